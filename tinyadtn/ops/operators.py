"""Python's operators for a Tensor: ``x * y`` is ``multiply(x, y)``, and so on.

The engine does not import any op, so ``Tensor`` gets its operators here, one line each. For
``array * tensor``, NumPy calls ``Tensor.__rmul__``. Comparisons return plain boolean arrays.
"""

# mypy reports assigned methods as errors; written out, each would be one more call per operation.
# mypy: disable-error-code="method-assign, operator, attr-defined"

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autodiff.engine import Tensor
from ..errors import GraphError
from . import basic, trigonometric
from .arguments import axis_of
from .basic import (
    absolute,
    add,
    clip,
    divide,
    exp,
    log,
    matmul,
    multiply,
    negative,
    power,
    relu,
    sigmoid,
    sqrt,
    subtract,
    tanh,
)
from .cumulative import cumsum, prod
from .other_names import FUNCTIONS, OURS, Elsewhere, other_name
from .reductions import max, mean, min, sum
from .shapes import expand_dims, getitem, reshape, squeeze, transpose
from .softmax import log_softmax, logsumexp, softmax
from .statistics import norm, std, var
from .trigonometric import cos, sin


def _swapped(function: Any) -> Any:
    return lambda self, other: function(other, self)


Tensor.__add__ = add
Tensor.__sub__ = subtract
Tensor.__mul__ = multiply
Tensor.__truediv__ = divide
Tensor.__pow__ = power
Tensor.__matmul__ = matmul

Tensor.__radd__ = _swapped(add)
Tensor.__rsub__ = _swapped(subtract)
Tensor.__rmul__ = _swapped(multiply)
Tensor.__rtruediv__ = _swapped(divide)
Tensor.__rpow__ = _swapped(power)
Tensor.__rmatmul__ = _swapped(matmul)


def _in_place(function: Any, sign: str) -> Any:
    def method(self: Tensor, other: Any) -> Tensor:
        if self._grad is not None and self.node is None and self._requires_grad:
            raise GraphError(
                f"w {sign}= … would make a new tensor and not change w, which has a gradient: "
                f"write w.data {sign}= … to change it, or w = w {sign} … for a new tensor"
            )
        return function(self, other)

    return method


# ``h += x`` makes a new tensor, as ``h = h + x`` does. Of a parameter that has a gradient it is a
# mistake: ``w -= 0.1 * w.grad`` would train nothing.
Tensor.__iadd__ = _in_place(add, "+")
Tensor.__isub__ = _in_place(subtract, "-")
Tensor.__imul__ = _in_place(multiply, "*")
Tensor.__itruediv__ = _in_place(divide, "/")
Tensor.__ipow__ = _in_place(power, "**")
Tensor.__imatmul__ = _in_place(matmul, "@")

Tensor.__pos__ = lambda self: self
Tensor.__neg__ = lambda self: negative(self)
Tensor.__abs__ = lambda self: absolute(self)
Tensor.__getitem__ = lambda self, index: getitem(self, index=index)


# --- comparisons: no gradient --------------------------------------------------------------------


def _array(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else value


Tensor.__lt__ = lambda self, other: self.data < _array(other)
Tensor.__le__ = lambda self, other: self.data <= _array(other)
Tensor.__gt__ = lambda self, other: self.data > _array(other)
Tensor.__ge__ = lambda self, other: self.data >= _array(other)
Tensor.__eq__ = lambda self, other: self.data == _array(other)
Tensor.__ne__ = lambda self, other: self.data != _array(other)
Tensor.__hash__ = object.__hash__  # by identity, not by values


# --- NumPy's functions ---------------------------------------------------------------------------

_UFUNCS = {
    np.add: add,
    np.subtract: subtract,
    np.multiply: multiply,
    np.true_divide: divide,
    np.power: power,
    np.matmul: matmul,
    np.less: lambda a, b: _array(a) < _array(b),
    np.less_equal: lambda a, b: _array(a) <= _array(b),
    np.greater: lambda a, b: _array(a) > _array(b),
    np.greater_equal: lambda a, b: _array(a) >= _array(b),
    np.equal: lambda a, b: _array(a) == _array(b),
    np.not_equal: lambda a, b: _array(a) != _array(b),
}


def _array_ufunc(self: Tensor, ufunc: Any, method: str, *arguments: Any, **options: Any) -> Any:
    """Handle ``array * tensor``; reject NumPy functions such as ``np.exp(tensor)``."""
    if method == "__call__" and ufunc in _UFUNCS and not options:
        return _UFUNCS[ufunc](*arguments)
    name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
    if "out" in options:
        remedy = "an array cannot hold a gradient: write a = a + x for a += x"
    elif method == "__call__" and (hasattr(basic, name) or hasattr(trigonometric, name)):
        remedy = f"write ta.{name}(x) for np.{name}(x)"
    else:
        remedy = f"write np.{name}(x.numpy()) if no gradient is needed"
    raise TypeError(f"NumPy knows no gradients: {remedy}")


class _OfTheClass:
    """A class attribute that instances do not have: NumPy asks the class, CuPy the instance."""

    def __get__(self, tensor: Any, kind: Any = None) -> Any:
        return _array_ufunc if tensor is None else None


Tensor.__array_ufunc__ = _OfTheClass()


def _array_function(self: Tensor, function: Any, types: Any, given: tuple, options: dict) -> Any:
    """Call another function of NumPy; those that compare get the values, as ``==`` does.

    Without this, ``np.array_equal`` would return False for any tensor that requires a gradient.
    """
    if function in (np.array_equal, np.array_equiv, np.allclose, np.isclose):
        return function(*map(_array, given), **options)
    return function._implementation(*given, **options)


Tensor.__array_function__ = _array_function


# --- methods -------------------------------------------------------------------------------------


def _reduction(function: Any) -> Any:
    def method(self: Tensor, axis: Any = None, keepdims: bool = False, **more: Any) -> Tensor:
        if "out" in more:  # np.sum(x) calls x.sum(axis=None, out=None)
            name = function.__name__
            raise TypeError(f"NumPy knows no gradients: write ta.{name}(x) for np.{name}(x)")
        return function(self, axis=axis, keepdims=keepdims, **more)

    method.__doc__ = function.__doc__
    return method


def _lengths(arguments: tuple) -> Any:
    """``x.reshape(2, 3)`` and ``x.reshape((2, 3))`` mean the same."""
    return arguments[0] if len(arguments) == 1 and not isinstance(arguments[0], int) else arguments


def _flatten(self: Tensor, start: int = 0) -> Tensor:
    """Join all axes from number ``start`` into one: ``x.flatten(1)`` keeps the batch axis."""
    start = axis_of(start, self.ndim or 1)
    return reshape(self, shape=(*self.shape[:start], math.prod(self.shape[start:])))


Tensor.sum = _reduction(sum)
Tensor.mean = _reduction(mean)
Tensor.max = _reduction(max)
Tensor.min = _reduction(min)
Tensor.prod = _reduction(prod)
Tensor.var = _reduction(var)
Tensor.std = _reduction(std)
Tensor.norm = _reduction(norm)
Tensor.logsumexp = _reduction(logsumexp)

Tensor.exp = exp
Tensor.log = log
Tensor.sqrt = sqrt
Tensor.sin = sin
Tensor.cos = cos
Tensor.abs = absolute
Tensor.tanh = tanh
Tensor.sigmoid = sigmoid
Tensor.relu = relu
Tensor.clip = lambda self, min=-math.inf, max=math.inf: clip(self, min=min, max=max)
Tensor.softmax = lambda self, axis=-1, **more: softmax(self, axis=axis, **more)
Tensor.log_softmax = lambda self, axis=-1, **more: log_softmax(self, axis=axis, **more)
Tensor.cumsum = lambda self, axis=None, **more: cumsum(self, axis=axis, **more)

Tensor.reshape = lambda self, *shape: reshape(self, shape=_lengths(shape))
Tensor.transpose = lambda self, *axes: transpose(self, axes=_lengths(axes) if axes else None)
Tensor.T = property(transpose)
Tensor.flatten = _flatten
Tensor.squeeze = lambda self, axis=None, **more: squeeze(self, axis=axis, **more)
Tensor.expand_dims = lambda self, axis=None, **more: expand_dims(self, axis=axis, **more)


# --- methods of other libraries ------------------------------------------------------------------

for _name in {*OURS, *FUNCTIONS} - {*dir(Tensor)}:
    setattr(Tensor, _name, Elsewhere(_name, other_name(_name)))

for _name, _method in vars(Tensor).items():  # else a message speaks of <lambda>()
    if getattr(_method, "__module__", None) == __name__ and hasattr(_method, "__qualname__"):
        _method.__name__, _method.__qualname__ = _name, f"Tensor.{_name}"
