"""The ops on tensors: each a NumPy line and, beside it, what it does to a gradient.

Every function here takes arrays or Tensors by position and options by keyword, and returns a
Tensor. ``g`` is dL/d(result). Broadcasting is NumPy's; the engine undoes it for the gradient.
Ties: max and min let the first winner take the gradient, maximum and minimum share it half and
half; relu'(0) = abs'(0) = 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .backend import array_module, as_float, beside
from .engine import Tensor, op
from .errors import ShapeError

# --- arithmetic ----------------------------------------------------------------------------------


@op
def add(a: Any, b: Any) -> Any:
    """c = a + b."""
    return a + b, lambda g: g, lambda g: g


@op
def subtract(a: Any, b: Any) -> Any:
    """c = a - b."""
    return a - b, lambda g: g, lambda g: -g


@op
def multiply(a: Any, b: Any) -> Any:
    """c = a · b, element by element."""
    return a * b, lambda g: g * b, lambda g: g * a


@op
def divide(a: Any, b: Any) -> Any:
    """c = a / b."""
    a, b = as_float(a), as_float(b)
    c = a / b
    return c, lambda g: g / b, lambda g: -g * c / b


@op
def negative(a: Any) -> Any:
    """c = -a."""
    return -a, lambda g: -g


@op
def power(a: Any, b: Any) -> Any:
    """c = a^b. Where b = 0 the gradient of a is 0, also at a = 0."""
    xp = array_module(a)
    c = a**b

    def grad_a(g: Any) -> Any:
        # b·a^(b-1), with a stand-in for a where b is 0: there the product is 0 whatever a is.
        return g * b * xp.where(b == 0, 1, a) ** (b - 1)

    def grad_b(g: Any) -> Any:
        # a^b·ln(a) goes to 0 with a; where a < 0 the derivative does not exist, and is NaN.
        return g * c * xp.log(xp.where((a == 0) & (b >= 0), 1, a))

    return c, grad_a, grad_b


# --- elementwise functions -----------------------------------------------------------------------


@op
def exp(a: Any) -> Any:
    """c = e^a."""
    c = array_module(a).exp(as_float(a))
    return c, lambda g: g * c


@op
def log(a: Any) -> Any:
    """c = ln a."""
    return array_module(a).log(as_float(a)), lambda g: g / a


@op
def sqrt(a: Any) -> Any:
    """c = √a."""
    c = array_module(a).sqrt(as_float(a))
    return c, lambda g: g / (2 * c)


@op
def absolute(a: Any) -> Any:
    """c = |a|."""
    xp = array_module(a)
    return xp.abs(a), lambda g: g * xp.sign(a)


@op
def tanh(a: Any) -> Any:
    """c = tanh a."""
    c = array_module(a).tanh(as_float(a))
    return c, lambda g: g * (1 - c * c)


@op
def sigmoid(a: Any) -> Any:
    """c = 1 / (1 + e^-a), written with tanh because that cannot overflow."""
    c = (1 + array_module(a).tanh(as_float(a) / 2)) / 2
    return c, lambda g: g * c * (1 - c)


@op
def relu(a: Any) -> Any:
    """c = max(a, 0)."""
    xp = array_module(a)
    zeros = xp.zeros(a.shape[-1:], a.dtype)  # to NumPy 2.4 a number here is twice the time
    return xp.maximum(a, zeros), lambda g: g * (a > 0)


@op
def leaky_relu(a: Any, *, slope: float = 0.01) -> Any:
    """c = a where a > 0, slope · a elsewhere."""
    a = as_float(a)
    factor = array_module(a).where(a > 0, 1, slope).astype(a.dtype)
    return a * factor, lambda g: g * factor


@op
def maximum(a: Any, b: Any) -> Any:
    """c = the larger of a and b; NaN where either is NaN."""
    value = array_module(a).maximum(a, b)
    return value, lambda g: g * _ahead(a, b), lambda g: g * _ahead(b, a)


@op
def minimum(a: Any, b: Any) -> Any:
    """c = the smaller of a and b; NaN where either is NaN."""
    value = array_module(a).minimum(a, b)
    return value, lambda g: g * _ahead(b, a), lambda g: g * _ahead(a, b)


def _ahead(a: Any, b: Any) -> Any:
    """1 where a is larger, 1/2 where both are the same."""
    return ((a > b) + (a == b) * np.float32(0.5)).astype(a.dtype)


@op
def _where(a: Any, b: Any, *, condition: Any) -> Any:
    xp, condition = array_module(a), beside(condition, a)
    value = xp.where(condition, a, b)
    return value, lambda g: xp.where(condition, g, 0), lambda g: xp.where(condition, 0, g)


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """c = a where the condition holds, b elsewhere. The condition (booleans) has no gradient.

    >>> where(np.array([True, False]), [1.0, 2.0], 0.0).data
    array([1., 0.], dtype=float32)
    """
    condition = condition if hasattr(condition, "dtype") else np.array(condition)
    return _where(a, b, condition=condition)


# --- products ------------------------------------------------------------------------------------


@op
def matmul(a: Any, b: Any) -> Any:
    """c = a @ b: vectors, matrices, and stacks of matrices that broadcast.

    >>> matmul(np.ones((5, 2, 3)), np.ones((3, 4))).shape
    (5, 2, 4)
    """
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(f"matmul needs at least one axis each, got shapes {a.shape} and {b.shape}")
    # A vector is a matrix with one row (on the left) or one column (on the right).
    rows = a[None, :] if a.ndim == 1 else a
    columns = b[:, None] if b.ndim == 1 else b
    if rows.shape[-1] != columns.shape[-2]:
        raise ShapeError(
            f"matmul of {a.shape} and {b.shape}: {rows.shape[-1]} columns against "
            f"{columns.shape[-2]} rows"
        )
    inner = (rows @ columns).shape

    def grad_a(g: Any) -> Any:
        share = g.reshape(inner) @ columns.swapaxes(-1, -2)
        return share[..., 0, :] if a.ndim == 1 else share

    def grad_b(g: Any) -> Any:
        share = rows.swapaxes(-1, -2) @ g.reshape(inner)
        return share[..., 0] if b.ndim == 1 else share

    return a @ b, grad_a, grad_b


# --- reductions ----------------------------------------------------------------------------------


def _axes(axis: int | tuple[int, ...] | None, ndim: int) -> tuple[int, ...]:
    """The axes to reduce, as non-negative numbers."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    for k in axes:
        if not -ndim <= k < ndim:
            raise ShapeError(f"axis {k} does not exist in an array with {ndim} axes")
    if len({k % ndim for k in axes}) < len(tuple(axes)):
        raise ShapeError(f"axis {axis} names one axis twice")
    return tuple(k % ndim for k in axes)


@op
def sum(a: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """c = Σ a over the given axes (all of them by default)."""
    axes = _axes(axis, a.ndim)

    def grad_a(g: Any) -> Any:
        kept = [1 if k in axes else n for k, n in enumerate(a.shape)]
        share = array_module(g).empty(a.shape, g.dtype)
        share[...] = g.reshape(kept)
        return share

    return a.sum(axis=axes, keepdims=keepdims), grad_a


def mean(a: Any, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """c = Σ a / n over the given axes, n being the number of elements summed."""
    shape = a.shape if hasattr(a, "shape") else np.shape(a)
    count = math.prod(shape[k] for k in _axes(axis, len(shape)))
    if count == 0:
        raise ShapeError(f"the mean of no elements is undefined (shape {shape}, axis {axis})")
    return sum(a, axis=axis, keepdims=keepdims) / count


@op
def max(a: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """c = the largest of a over the given axes; of equals, the first gets the gradient."""
    return _extremum(a, axis, keepdims, "argmax")


@op
def min(a: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """c = the smallest of a over the given axes; of equals, the first gets the gradient."""
    return _extremum(a, axis, keepdims, "argmin")


def _extremum(a: Any, axis: Any, keepdims: bool, argument: str) -> Any:
    axes, xp = sorted(_axes(axis, a.ndim)), array_module(a)
    others = [k for k in range(a.ndim) if k not in axes]
    order = [*others, *axes]
    count = math.prod(a.shape[k] for k in axes)
    if count == 0:
        raise ShapeError(
            f"{argument[3:]} of no elements is undefined (shape {a.shape}, axis {axis})"
        )
    # The reduced axes together as the last one, so that "the first" has a meaning.
    rows = a.transpose(order).reshape(*(a.shape[k] for k in others), count)
    winner = getattr(rows, argument)(axis=-1)[..., None]
    chosen = xp.arange(count) == winner
    kept = tuple(1 if k in axes else n for k, n in enumerate(a.shape))
    c = xp.take_along_axis(rows, winner, axis=-1)

    def grad_a(g: Any) -> Any:
        share = xp.where(chosen, g.reshape(winner.shape), 0)
        return share.reshape([a.shape[k] for k in order]).transpose(np.argsort(order).tolist())

    return c.reshape(kept if keepdims else [a.shape[k] for k in others]), grad_a


@op
def softmax(a: Any, *, axis: int = -1) -> Any:
    """c = e^a / Σ e^a along an axis; computed from a - max(a), so that nothing overflows."""
    a = as_float(a)
    e = array_module(a).exp(a - a.max(axis=axis, keepdims=True))
    c = e / e.sum(axis=axis, keepdims=True)
    return c, lambda g: c * (g - (g * c).sum(axis=axis, keepdims=True))


@op
def log_softmax(a: Any, *, axis: int = -1) -> Any:
    """c = a - ln Σ e^a along an axis."""
    xp, a = array_module(a), as_float(a)
    shifted = a - a.max(axis=axis, keepdims=True)
    c = shifted - xp.log(xp.exp(shifted).sum(axis=axis, keepdims=True))
    return c, lambda g: g - xp.exp(c) * g.sum(axis=axis, keepdims=True)


# --- shapes --------------------------------------------------------------------------------------


@op
def reshape(a: Any, *, shape: Any) -> Any:
    """The same numbers in another shape; one length may be -1."""
    try:
        return a.reshape(shape), lambda g: g.reshape(a.shape)
    except ValueError:
        raise ShapeError(f"cannot reshape {a.shape} ({a.size} numbers) to {shape}") from None


@op
def transpose(a: Any, *, axes: tuple[int, ...] | None = None) -> Any:
    """The axes in another order (reversed by default)."""
    order = tuple(reversed(range(a.ndim))) if axes is None else _axes(tuple(axes), a.ndim)
    if len(order) != a.ndim:
        raise ShapeError(f"transpose of {a.ndim} axes needs each of them once, got {axes}")
    return a.transpose(order), lambda g: g.transpose(np.argsort(order).tolist())


@op
def broadcast_to(a: Any, *, shape: tuple[int, ...]) -> Any:
    """a stretched to a shape by NumPy's rules."""
    try:
        return array_module(a).broadcast_to(a, shape), lambda g: g
    except ValueError:
        raise ShapeError(f"cannot broadcast {a.shape} to {shape}") from None


@op
def concatenate(*arrays: Any, axis: int = 0) -> Any:
    """The arrays one behind the other along an axis."""
    xp = array_module(arrays[0])
    (axis,) = _axes(axis, arrays[0].ndim)
    rest = {a.shape[:axis] + a.shape[axis + 1 :] for a in arrays}
    if len(rest) > 1 or len({a.ndim for a in arrays}) > 1:
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise ShapeError(f"concatenate along axis {axis}: the other axes differ in {shapes}")
    ends = np.cumsum([a.shape[axis] for a in arrays]).tolist()

    def slice_of(start: int, end: int) -> Any:
        index = (slice(None),) * axis + (slice(start, end),)
        return lambda g: g[index]

    return xp.concatenate(arrays, axis=axis), *map(slice_of, [0, *ends], ends)


@op
def getitem(a: Any, *, index: Any) -> Any:
    """c = a[index], any index that NumPy takes; an element picked twice gets both gradients."""
    parts = index if isinstance(index, tuple) else (index,)
    parts = tuple(_index_part(part, a) for part in parts)
    simple = all(part is None or part is ... or isinstance(part, (int, slice)) for part in parts)

    def grad_a(g: Any) -> Any:
        xp = array_module(g)
        share = xp.zeros(a.shape, g.dtype)
        if simple:
            share[parts] = g
        else:
            xp.add.at(share, parts, g)
        return share

    return a[parts], grad_a


def _index_part(part: Any, a: Any) -> Any:
    """A tensor or a list as an array that can index ``a``; an empty list has no type of its own."""
    if isinstance(part, Tensor):
        part = part.data
    elif isinstance(part, list):
        part = np.array(part) if part else np.zeros(0, int)
    return beside(part, a) if isinstance(part, np.ndarray) else part


# --- Tensor learns its operators -----------------------------------------------------------------


def _swapped(function: Any) -> Any:
    return lambda self, other: function(other, self)


def _reduction(function: Any) -> Any:
    def method(self: Tensor, axis: Any = None, keepdims: bool = False, **more: Any) -> Tensor:
        if more:  # as np.sum(x) calls x.sum(axis=None, out=None)
            name = function.__name__
            raise TypeError(
                f"{name} of a tensor takes axis and keepdims, got {', '.join(more)}; NumPy knows "
                f"no gradients: write ta.{name}(x) for np.{name}(x)"
            )
        return function(self, axis=axis, keepdims=keepdims)

    method.__doc__ = function.__doc__
    return method


def _lengths(arguments: tuple) -> Any:
    """``x.reshape(2, 3)`` and ``x.reshape((2, 3))`` mean the same."""
    return arguments[0] if len(arguments) == 1 and not isinstance(arguments[0], int) else arguments


def _compared(name: str) -> Any:
    def method(self: Tensor, other: Any) -> Any:
        """A plain boolean array: comparisons have no gradient."""
        return getattr(self.data, name)(other.data if isinstance(other, Tensor) else other)

    return method


for _name, _function in {
    "add": add,
    "sub": subtract,
    "mul": multiply,
    "truediv": divide,
    "pow": power,
    "matmul": matmul,
}.items():
    setattr(Tensor, f"__{_name}__", _function)
    setattr(Tensor, f"__r{_name}__", _swapped(_function))
for _name in ("__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__"):
    setattr(Tensor, _name, _compared(_name))
for _function in (sum, mean, max, min):
    setattr(Tensor, _function.__name__, _reduction(_function))
for _name, _method in {
    "__neg__": lambda self: negative(self),
    "__abs__": lambda self: absolute(self),
    "__getitem__": lambda self, index: getitem(self, index=index),
    "__hash__": object.__hash__,  # a tensor is itself, whatever its values
    "reshape": lambda self, *shape: reshape(self, shape=_lengths(shape)),
    "transpose": lambda self, *axes: transpose(self, axes=_lengths(axes) if axes else None),
    "T": property(transpose),
}.items():
    setattr(Tensor, _name, _method)
