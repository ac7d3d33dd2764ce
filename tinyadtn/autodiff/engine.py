"""Reverse-mode automatic differentiation.

Going forward, every op leaves a ``Node``: where its inputs came from, and one function for each
input that turns dL/d(output) into dL/d(input), a vector-Jacobian product (VJP). ``backward`` walks
the nodes from the newest to the oldest. Inputs exist before outputs, so the order in which nodes
were made is already a topological order. VJPs hold arrays, never Tensors, so a graph is freed with
its loss. First derivatives only. Skip ``rules`` (checks) and ``guard`` (read-only arrays) at first.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any

from numpy import ndarray

from . import rules
from .arraylike import ArrayLike
from .arrays import Array, as_array
from .guard import protect, release
from .modes import looking_for_nan, recording

_clock = itertools.count()


class Tensor(ArrayLike):
    """An array and, if it was computed from something that needs a gradient, how.

    ``.data`` is the array; ``.grad`` is dL/d(data) after ``L.backward()``, for tensors made with
    ``requires_grad=True``, and accumulates. ``.node`` is the recorded op that computed the tensor.

    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    array([2., 4., 6.], dtype=float32)
    """

    __slots__ = ("__weakref__", "data", "grad", "node", "requires_grad")

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self.data: Array = as_array(data.data if isinstance(data, Tensor) else data)
        self.requires_grad = requires_grad and rules.differentiable(self.data)
        self.grad: Array = None
        self.node: Node | None = None

    def backward(self, gradient: Any = None) -> None:
        """Add dL/d(leaf) to ``.grad`` of every leaf that this tensor L was computed from.

        ``gradient`` is dL/d(self), of this tensor's shape; without it L must have one element.
        The graph is freed on the way, so a second call raises GraphError.
        """
        cotangents = {rules.root_of(self): rules.first_cotangent(self, gradient)}
        looking = looking_for_nan.get()
        for node in _newest_first(self.node):
            g = cotangents.pop(node)
            for source, share in node.pull_back(g):
                leaf = isinstance(source, Tensor)
                known = source.grad if leaf else cotangents.get(source)
                total = share if known is None else known + share
                if looking:
                    rules.look_back(share, total, node)
                if leaf:
                    source.grad = rules.owned(total, g, source)
                else:
                    cotangents[source] = total
            node.free()


class Node:
    """One recorded op. Its ``sources``, where gradients go, are a node, a leaf or None each."""

    __slots__ = ("dtype", "holds", "line", "name", "order", "shape", "sources", "vjps")

    def __init__(self, name: str, sources: list, vjps: Any, out: Tensor, line: str) -> None:
        self.name, self.sources, self.vjps, self.line = name, sources, vjps, line
        self.shape, self.dtype = out.shape, out.dtype
        self.holds: list = []  # what the guard made read-only for this node
        self.order = next(_clock)

    def pull_back(self, g: Array) -> Iterator[tuple[Any, Array]]:
        """(source, dL/d(source)) for every input that needs a gradient, from g = dL/d(output)."""
        shares = rules.joint_shares(self, g) if callable(self.vjps) else None
        for k, source in enumerate(self.sources):
            if source is not None:
                share = self.vjps[k](g) if shares is None else shares[k]
                if type(share) is not ndarray or share.shape != source.shape:
                    share = unbroadcast(rules.array(share, self, k), source.shape, self, k)
                yield source, share if share.dtype is source.dtype else share.astype(source.dtype)

    def free(self) -> None:
        """Forget the inputs, and let them be written to again."""
        release(self.holds)
        self.sources, self.vjps, self.holds = [], None, []

    def __del__(self) -> None:
        release(self.holds)


def op(function: Any = None, *, joint: bool = False) -> Any:
    """Lift a function on arrays to Tensors.

    The function takes its arrays as positional arguments and everything else by keyword. It returns
    its value, then for each array a function ``g -> dL/d(array)`` where ``g = dL/d(value)``. That
    returns a new array, ``g`` or a view; the engine sums broadcast axes away. It never changes
    ``g``. With ``joint=True`` one function returns the list of all gradients.

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
    name, evaluate = function.__name__.strip("_"), rules.checked(function, joint)

    @functools.wraps(function)
    def apply(*arguments: Any, **options: Any) -> Tensor:
        arrays, options, value, vjps = evaluate(arguments, options)  # calls the function
        out = Tensor(value)
        line = rules.look(out.data, name, arrays) if looking_for_nan.get() else ""
        needed = [isinstance(a, Tensor) and a.requires_grad for a in arguments]
        if True in needed and recording.get():
            sources = [(a.node or a) if n else None for a, n in zip(arguments, needed)]
            out.requires_grad, out.node = True, Node(name, sources, vjps, out, line)
            out.node.holds = protect(arguments, arrays, sources, (*options.values(), out.data))
        return out

    return apply


def _newest_first(root: Any) -> list[Node]:
    """Every node that the root was computed from, newest first."""
    found, waiting = {root}, [root]
    while waiting:
        node = waiting.pop()
        rules.check_not_freed(node, root)
        for source in node.sources:
            if isinstance(source, Node) and source not in found:
                found.add(source)
                waiting.append(source)
    return sorted(found, key=lambda node: node.order, reverse=True)


def unbroadcast(g: Array, shape: tuple[int, ...], *place: Any) -> Array:
    """The adjoint of broadcasting: what was stretched forward is summed backward.

    >>> unbroadcast(as_array([[1, 2], [3, 4]]), (1,))
    array([10.], dtype=float32)
    """
    if g.shape == shape:
        return g
    rules.require_broadcast(g.shape, shape, *place)
    new = g.ndim - len(shape)  # axes that broadcasting put in front
    stretched = [new + k for k, n in enumerate(shape) if n == 1 != g.shape[new + k]]
    return g.sum(axis=(*range(new), *stretched)).reshape(shape)
