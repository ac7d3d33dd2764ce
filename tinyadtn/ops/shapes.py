"""Ops that move elements and compute nothing: reshape, transpose, broadcast_to, concatenate, index.

Each gradient moves g back to the place where the elements came from. An element that was copied to
several places gets the sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autodiff.arrays import Array, array_module, asarray_like
from ..autodiff.engine import Tensor, op
from ..errors import ShapeError
from .arguments import axes_of


@op
def reshape(a: Array, *, shape: Any) -> Any:
    """Return the same elements in another shape; one length may be -1."""
    try:
        return a.reshape(shape), lambda g: g.reshape(a.shape)
    except ValueError:
        raise ShapeError(f"cannot reshape {a.shape} ({a.size} numbers) to {shape}") from None


@op
def transpose(a: Array, *, axes: tuple[int, ...] | None = None) -> Any:
    """Return the array with its axes in another order (reversed by default)."""
    order = tuple(reversed(range(a.ndim))) if axes is None else axes_of(tuple(axes), a.ndim)
    if len(order) != a.ndim:
        raise ShapeError(f"transpose of {a.ndim} axes needs each of them once, got {axes}")
    return a.transpose(order), lambda g: g.transpose(np.argsort(order).tolist())


@op
def broadcast_to(a: Array, *, shape: tuple[int, ...]) -> Any:
    """Stretch a to a shape by NumPy's broadcasting rules."""
    try:
        return array_module(a).broadcast_to(a, shape), lambda g: g
    except ValueError:
        raise ShapeError(f"cannot broadcast {a.shape} to {shape}") from None


@op
def concatenate(*arrays: Array, axis: int = 0) -> Any:
    """Join the arrays one after another along an axis."""
    xp = array_module(arrays[0])
    (axis,) = axes_of(axis, arrays[0].ndim)
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
def getitem(a: Array, *, index: Any) -> Any:
    """c = a[index], for any index of NumPy; an element that is read twice gets both gradients."""
    parts = index if isinstance(index, tuple) else (index,)
    parts = tuple(_index_part(part, a) for part in parts)
    simple = all(part is None or part is ... or isinstance(part, (int, slice)) for part in parts)

    def grad_a(g: Array) -> Any:
        # Parts of one element are added one by one: float32 would lose 1 % of 10⁶ equal parts.
        share = array_module(g).zeros(a.shape, g.dtype if simple else np.float64)
        if simple:
            share[parts] = g
        else:
            array_module(g).add.at(share, parts, g.astype(np.float64))
        return share

    return a[parts], grad_a


def _index_part(part: Array, a: Array) -> Any:
    """Return a tensor or list as an array that can index ``a``; an empty list has no own dtype."""
    if isinstance(part, Tensor):
        part = part.data
    elif isinstance(part, list):
        part = np.array(part) if part else np.zeros(0, int)
    return asarray_like(part, a) if isinstance(part, np.ndarray) else part
