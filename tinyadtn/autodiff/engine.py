"""Reverse-mode automatic differentiation.

Going forward, every op leaves a ``Node``: where its inputs came from, and one function for each
input that turns dL/d(output) into dL/d(input) (a vector-Jacobian product, VJP). ``backward`` walks
the nodes from the newest to the oldest. An op's inputs exist before its output, so the order in
which nodes were made is already a topological order, and no recursion is needed.

Gradient functions hold arrays, never Tensors: there is no reference cycle, and everything that
belonged to a loss goes when the loss goes. First derivatives only.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import sys
from typing import Any, Union

import numpy as np

from ..errors import DTypeError, GraphError, ShapeError, TinyADTNError, by_keyword
from .anomaly import calling_line, check_finite
from .arraylike import ArrayLike
from .arrays import array_module, as_array
from .dtypes import to_common_dtype
from .guard import protect, release
from .modes import looking_for_nan, recording

_clock = itertools.count()


class Tensor(ArrayLike):
    """An array and, if it was computed from something that needs a gradient, how.

    ``.data`` is the array; ``.grad`` is dL/d(data), same shape and dtype, after ``L.backward()``
    (only for tensors made with ``requires_grad=True``; it accumulates). ``.node`` is the recorded
    step, None for a tensor that was not computed.

    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> loss = (x * x).sum()
    >>> loss.backward()
    >>> x.grad
    array([2., 4., 6.], dtype=float32)
    """

    __slots__ = ("__weakref__", "data", "grad", "node", "requires_grad")

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self.data: Any = as_array(data.data if isinstance(data, Tensor) else data)
        if requires_grad and self.data.dtype.kind != "f":
            raise DTypeError(f"only floats can require a gradient, got {self.data.dtype}")
        self.requires_grad = requires_grad
        self.grad: Any = None
        self.node: Node | None = None

    def backward(self, gradient: Any = None) -> None:
        """Add dL/d(leaf) to ``.grad`` of every leaf that this tensor L was computed from.

        ``gradient`` is dL/d(self), of this tensor's shape; without it L must be a single number.
        The graph is freed on the way, so a second call raises GraphError.
        """
        if self.node is None:
            raise GraphError(
                "nothing to differentiate: not computed from a tensor that requires_grad"
            )
        if gradient is None and self.size != 1:
            raise ShapeError(f"backward() of a tensor {self.shape} needs gradient= of that shape")
        g = array_module(self.data).ones_like(self.data) if gradient is None else gradient
        g = to_common_dtype([self.data, g.data if isinstance(g, Tensor) else g], [True, False])[1]
        g = _in_dtype(g, self.dtype)
        if g.shape != self.shape:
            raise ShapeError(f"gradient has shape {g.shape}, the tensor has {self.shape}")
        if looking_for_nan.get():
            check_finite(g, "the gradient given to backward()", calling_line())
        cotangents = {self.node: g}
        for node in _newest_first(self.node):
            node.push(cotangents)


Source = Union["Node", Tensor, None]  # where a gradient goes: further back, to a leaf, or nowhere


class Node:
    """One recorded op: its name, the shape and dtype of its result, its sources and its VJPs."""

    __slots__ = ("dtype", "holds", "line", "name", "order", "shape", "sources", "vjps")

    def __init__(self, name: str, sources: list[Source], vjps: Any, out: Tensor):
        self.name, self.sources, self.vjps = name, sources, vjps
        self.shape, self.dtype = out.shape, out.dtype
        self.order = next(_clock)
        self.holds: list = []  # what the guard made read-only for this node
        self.line = ""  # who called the op, told under detect_anomaly only

    def push(self, cotangents: dict[Node, Any]) -> None:
        """Take this node's cotangent, hand each source its share, and forget everything."""
        g = cotangents.pop(self)
        looking = looking_for_nan.get()
        together = self._together(g) if callable(self.vjps) else None  # a joint op
        for k, source in enumerate(self.sources):
            if source is None:
                continue
            share = self.vjps[k](g) if together is None else together[k]
            if together is not None:
                together[k] = None  # so that `share` is its only name
            share = self._fitted(share, k, source)
            if looking:
                check_finite(share, f"the gradient of {self.name}", self.line)
            if isinstance(source, Tensor):
                references = sys.getrefcount(share)
                if source.grad is not None:
                    share = source.grad + share
                elif not (_new_and_alone(share, references) and _lies_well(share, source.data)):
                    share = share.copy()  # a leaf owns its gradient
                source.grad = array_module(share).asarray(share)
            else:
                known = cotangents.get(source)
                cotangents[source] = share if known is None else known + share
            if looking:  # finite shares may be too large together
                total = source.grad if isinstance(source, Tensor) else cotangents[source]
                check_finite(total, f"the sum of gradients up to {self.name}", self.line)
        self.free()

    def _together(self, g: Any) -> list:
        """The gradients of a joint op, one for each argument."""
        shares, n = self.vjps(g), len(self.sources)
        if not isinstance(shares, (list, tuple)) or len(shares) != n:
            raise GraphError(
                f"{self.name} is joint: its VJP must return a list of {n} gradients, "
                f"got {_shown(shares)}"
            )
        return list(shares)

    def _fitted(self, share: Any, k: int, source: Node | Tensor) -> Any:
        """The gradient of argument ``k`` as its source takes it; refused if it is none."""
        if isinstance(share, Tensor) or not hasattr(share, "dtype"):
            found = f"must be an array, its VJP returned {_shown(share)}"
            raise GraphError(f"{self.name}: the gradient of its argument {k + 1} {found}")
        try:
            return _in_dtype(unbroadcast(share, source.shape), source.dtype)
        except GraphError as error:
            found = f"does not fit: {error}"
            raise GraphError(f"{self.name}: the gradient of its argument {k + 1} {found}") from None

    def free(self) -> None:
        release(self.holds)
        self.sources, self.vjps, self.holds = [], None, []

    def __del__(self) -> None:
        release(self.holds)


def op(function: Any = None, *, joint: bool = False) -> Any:
    """Lift a function on arrays to Tensors.

    The function takes its arrays as positional arguments and everything else by keyword. It returns
    its value, then for each array a function ``g -> dL/d(array)`` where ``g = dL/d(value)``; it may
    leave broadcasting in place, the engine sums it away, and must not change ``g``, which others
    may be given, too. With ``joint=True`` it returns instead one function that gives the list of
    all gradients, for ops where one sweep finds them together.

    >>> @op
    ... def cube(a):
    ...     return a**3, lambda g: g * 3 * a**2
    >>> x = Tensor([2.0], requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad
    array([12.], dtype=float32)
    """
    if function is None:
        return functools.partial(op, joint=joint)
    name, most = function.__name__.strip("_"), _most_arrays(function)

    @functools.wraps(function)
    def apply(*arguments: Any, **options: Any) -> Tensor:
        if len(arguments) > most or (most == math.inf and str in map(type, arguments)):
            raise TypeError(by_keyword(name, function, arguments))
        arrays = _arrays(arguments)
        if options:
            options = {k: v.data if isinstance(v, Tensor) else v for k, v in options.items()}
        try:
            result = function(*arrays, **options)
            value, *vjps = result if isinstance(result, tuple) else (result,)
        except ValueError as error:
            if isinstance(error, TinyADTNError):
                raise
            shapes = ", ".join(str(a.shape) for a in arrays)
            raise ShapeError(f"{name} of shapes {shapes}: {error}") from error
        if len(vjps) != (1 if joint else len(arrays)) or not all(map(callable, vjps)):
            raise TypeError(
                f"{name} must return its value and "
                f"{'one function for all gradients' if joint else 'a function for each array'}: "
                f"for {len(arrays)} arrays it returned {len(vjps)} things behind the value"
            )
        if not hasattr(value, "dtype"):
            raise TypeError(f"{name} must return an array as its value, got {_shown(value)}")
        if value.dtype.kind == arrays[0].dtype.kind == "f":  # older NumPy widens 0-d float32
            value = _in_dtype(value, arrays[0].dtype)
        out = Tensor(value)
        looking = looking_for_nan.get()
        if looking:
            check_finite(out.data, name, calling_line(), arrays)
        if recording.get() and (sources := _sources(arguments)):
            out.requires_grad = True
            out.node = node = Node(name, sources, vjps[0] if joint else vjps, out)
            if looking:
                node.line = calling_line()
            exposed = _exposed(arguments, arrays, sources)
            node.holds = protect([*exposed, *options.values(), out.data])
        return out

    return apply


def _most_arrays(function: Any) -> float:
    """How many arrays an op takes by position."""
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return math.inf
    options = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
    return sum(kind not in options for kind in kinds)


def _sources(arguments: tuple) -> list[Source]:
    """Where the gradient of each argument goes; an empty list if none goes anywhere."""
    sources: list[Source] = []
    needed = False
    for argument in arguments:
        if isinstance(argument, Tensor) and argument.requires_grad:
            sources.append(argument.node or argument)
            needed = True
        else:
            sources.append(None)
    return sources if needed else []


def _arrays(arguments: tuple) -> list:
    """The arrays behind the arguments, in one float type."""
    data = [a.data if isinstance(a, Tensor) else a for a in arguments]
    return to_common_dtype(data, [isinstance(a, Tensor) for a in arguments])


def _exposed(arguments: tuple, arrays: list, sources: list[Source]) -> list:
    """The arrays that have to be guarded: that somebody else knows, and no node guards already.

    The node that made an array guards it as long as this one can be of use: where it was freed,
    ``backward`` refuses to go through both.
    """
    exposed = []
    for argument, array, source in zip(arguments, arrays, sources):
        guarded = isinstance(source, Node) and source.holds
        if not guarded and hasattr(argument, "dtype"):  # numbers and lists became arrays of our own
            exposed.append(array)
    return exposed


def _shown(value: Any) -> str:
    return f"{value!r:.60}" + ("; is a return missing?" if value is None else "")


def _in_dtype(array: Any, dtype: Any) -> Any:
    return array if array.dtype is dtype else array.astype(dtype, copy=False)


def _new_and_alone(array: Any, references: int) -> bool:
    """Whether the numbers of an array that has so many references are known to nobody else.

    Then a leaf may have it as its gradient as it is. CPython counts references; a view that was
    made of such an array, as by a reshape, may have it too if nobody holds the array itself.
    """
    if type(array) is not np.ndarray or references > _ALONE:
        return False
    owner = array.base
    if type(owner) is not np.ndarray:
        return owner is None and array.flags.writeable
    others = sys.getrefcount(owner) - _ALONE - 1  # 1: the array, which is a view of it
    return others <= 0 and array.flags.writeable and owner.size == array.size


def _lies_well(gradient: Any, data: Any) -> bool:
    """In memory as the leaf, or in the usual order."""
    return gradient.flags.c_contiguous or gradient.strides == data.strides


def _references_of_a_new_array() -> int:
    array = np.empty(0)
    return sys.getrefcount(array)


_ALONE = _references_of_a_new_array()


def _newest_first(root: Node) -> list[Node]:
    """Every node that the root was computed from, newest first; refuses a graph that is gone."""
    found, waiting = {root}, [root]
    while waiting:
        node = waiting.pop()
        if node.vjps is None:
            raise GraphError(
                f"the graph behind {root.name} was freed by an earlier backward(); compute it "
                "again, or add the losses and call backward() once"
            )
        for source in node.sources:
            if isinstance(source, Node) and source not in found:
                found.add(source)
                waiting.append(source)
    return sorted(found, key=lambda node: node.order, reverse=True)


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """The adjoint of broadcasting: what was stretched forward is summed backward.

    >>> import numpy as np
    >>> unbroadcast(np.ones((4, 2, 3)), (2, 1)).tolist()
    [[12.0], [12.0]]
    """
    if g.shape == shape:
        return g
    new = g.ndim - len(shape)  # axes that broadcasting put in front
    fits = new >= 0 and all(n in (1, m) for n, m in zip(shape, g.shape[max(new, 0) :]))
    if not fits:
        raise GraphError(f"a gradient of shape {g.shape} for an input of shape {shape}")
    stretched = [new + k for k, n in enumerate(shape) if n == 1 != g.shape[new + k]]
    return g.sum(axis=(*range(new), *stretched)).reshape(shape)
