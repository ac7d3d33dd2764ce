"""Reverse-mode automatic differentiation.

In the forward pass, every op records a ``Node``. It stores where the inputs came from, and one
function for each input that maps dL/d(output) to dL/d(input), a vector-Jacobian product (VJP).
``backward`` visits the nodes from the newest to the oldest. Inputs exist before outputs, so the
order in which nodes were made is already a topological order. VJPs hold arrays, never Tensors, so a
graph is freed together with its loss. Only first derivatives are supported. Skip ``rules`` (checks)
and ``guard`` (read-only arrays) at first.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any

from numpy import ndarray

from . import rules
from .arraylike import ArrayLike
from .arrays import FLOAT32, Array, as_array, sum_over
from .guard import locked, protect
from .modes import looking_for_nan, recording

_clock = itertools.count()


class Tensor(ArrayLike):
    """An array and, if it was computed from tensors that require a gradient, its graph.

    ``.data`` is the array. ``.grad`` is dL/d(data) after ``L.backward()``, for tensors made with
    ``requires_grad=True``, and for results on which ``retain_grad()`` was called; gradients
    accumulate. ``.node`` is the recorded op that computed the tensor.

    A tensor that requires a gradient owns its array: it copies the array that it gets, because an
    optimizer will write into it. Any other tensor shares the memory of a NumPy array.

    While a graph needs an array, the array is read-only: writing into it raises NumPy's
    ``ValueError: assignment destination is read-only`` (``output array is read-only`` for -=). It
    becomes writeable when ``backward()`` has run or the result has been deleted (``del loss``).
    There are three other solutions: write into a copy (``x.numpy().copy()``), compute under
    ``ta.no_grad()``, or switch the protection off with ``ta.unprotected()``. One way to write
    remains, because NumPy does not report it: a view that existed before the op.
    ``ta.detect_anomaly()`` detects such a change in ``backward()``.

    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    array([2., 4., 6.], dtype=float32)
    """

    __slots__ = ("__weakref__", "_data", "_grad", "_requires_grad", "node")

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        if type(data) is not ndarray or data.dtype is not FLOAT32:  # the usual case needs no call
            data = as_array(data._data if isinstance(data, Tensor) else data)
        self._data: Array = data
        self._requires_grad = False
        self._grad: Array = None
        self.node: Node | None = None
        if requires_grad:
            self.requires_grad = requires_grad

    def backward(self, gradient: Any = None) -> None:
        """Add dL/d(leaf) to ``.grad`` of every leaf that this tensor L was computed from.

        ``gradient`` is dL/d(self), with the shape of this tensor. Without it, L must have one
        element. The graph is freed, so a second call raises GraphError. If an op raises an error,
        no ``.grad`` has changed, and the graph is freed, too.
        """
        cotangents = {rules.root_of(self): rules.first_cotangent(self, gradient)}
        looking, nodes = looking_for_nan.get(), _newest_first(self.node)
        try:
            for node in nodes:
                g = cotangents.pop(node)
                if node.retained is not None:
                    rules.retain(node.retained(), g, cotangents)
                for source, share in node.pull_back(g):
                    known, leaf = cotangents.get(source), isinstance(source, Tensor)
                    total = share if known is None else known + share
                    if looking:
                        rules.look_back(share, total, node)
                    cotangents[source] = rules.owned(total, g, source) if leaf else total
                node.free()
        except BaseException:
            for node in nodes:
                node.free()
            raise
        locked(_add_gradients, cotangents)  # only tensors are left


def _add_gradients(found: dict[Tensor, Array]) -> None:
    """Add to ``.grad`` of every tensor. One call sets all, so that Ctrl-C cannot set only some."""
    old = [tensor._grad for tensor in found]
    sums = [
        g if known is None else rules.owned(known + g, g, tensor)
        for known, (tensor, g) in zip(old, found.items())
    ]
    if looking_for_nan.get():
        for total in sums:
            rules.check_finite(total, "the sum of a gradient and an earlier one", "")
    list(map(_set_gradient, found, sums))


_set_gradient: Any = Tensor.__dict__["_grad"].__set__


class Node:
    """One recorded op. Each of its ``sources`` receives a gradient: a node, a leaf, or None."""

    __slots__ = (
        *("dtype", "holds", "line", "name", "order", "retained", "shape", "snapshots"),
        *("sources", "vjps"),
    )

    def __init__(self, name: str, sources: list, vjps: Any, out: Tensor, line: str) -> None:
        self.name, self.sources, self.vjps, self.line = name, sources, vjps, line
        self.shape, self.dtype = out._data.shape, out._data.dtype
        self.holds: list = []  # arrays that the guard made read-only for this node
        self.snapshots: tuple = ()  # copies of arrays that it could not make read-only
        self.retained: Any = None  # a weak reference to the result, after retain_grad()
        self.order = next(_clock)

    def pull_back(self, g: Array) -> Iterator[tuple[Any, Array]]:
        """Yield (source, dL/d(source)) for inputs that need a gradient, from g = dL/d(output)."""
        shares = rules.joint_shares(self, g) if callable(self.vjps) else None
        for k, source in enumerate(self.sources):
            if source is not None:
                share = self.vjps[k](g) if shares is None else shares[k]
                if type(share) is not ndarray or share.shape != source.shape:
                    share = unbroadcast(rules.array(share, self, k), source.shape, self, k)
                good = share.dtype is source.dtype
                yield source, share if good else rules.cast(share, source, self, k)

    __reduce__ = rules.not_copied

    def free(self) -> None:
        """Release the inputs, and make them writeable again."""
        self.sources, self.vjps, self.holds, self.snapshots = [], None, [], ()


def op(function: Any = None, *, joint: bool = False) -> Any:
    """Turn a function on arrays into a function on Tensors that records its gradient.

    The function takes its arrays, which are read-only, as positional arguments and all options by
    keyword. It returns its value, then for each array a function ``g -> dL/d(array)`` where
    ``g = dL/d(value)``. That function returns a new array, ``g`` or a view, and never changes
    ``g``. The engine sums over broadcast axes. With ``joint=True`` one function returns the list of
    all gradients. An option has no gradient, so a tensor that requires one is rejected there. Only
    arguments and options are protected until backward: an array that the function reads from
    anywhere else (a global variable, an attribute) must not change before.

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
    name, evaluate = rules.checked(function, joint)

    @functools.wraps(function)
    def apply(*arguments: Any, **options: Any) -> Tensor:
        arrays, options, value, vjps = evaluate(arguments, options)  # calls the function
        out = Tensor(value)
        line = rules.look(out._data, name, arrays) if looking_for_nan.get() else ""
        needed = [isinstance(a, Tensor) and a._requires_grad for a in arguments]
        if True in needed and recording.get():
            sources = [(a.node or a) if n else None for a, n in zip(arguments, needed)]
            out._requires_grad, out.node = True, Node(name, sources, vjps, out, line)
            protect(out.node, arguments, arrays, (*options.values(), out._data))
        return out

    return apply


def _newest_first(root: Any) -> list[Node]:
    """Return every node that the root was computed from, newest first."""
    found, waiting = {root}, [root]
    while waiting:
        node = waiting.pop()
        if node.vjps is None or node.snapshots:
            rules.check_usable(node, root)
        for source in node.sources:
            if isinstance(source, Node) and source not in found:
                found.add(source)
                waiting.append(source)
    return sorted(found, key=lambda node: node.order, reverse=True)


def unbroadcast(g: Array, shape: tuple[int, ...], *place: Any) -> Array:
    """Return the adjoint of broadcasting: sum over the axes that were stretched forward.

    >>> unbroadcast(as_array([[1, 2], [3, 4]]), (1,))
    array([10.], dtype=float32)
    """
    if g.shape == shape:
        return g
    rules.require_broadcast(g.shape, shape, *place)
    new = g.ndim - len(shape)  # axes that broadcasting added in front
    stretched = [new + k for k, n in enumerate(shape) if n == 1 != g.shape[new + k]]
    return sum_over(g, (*range(new), *stretched)).reshape(shape)
