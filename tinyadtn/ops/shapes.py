"""Ops that move elements and compute nothing: reshape, transpose, broadcast_to, indexing.

Each gradient moves g back to the place where the elements came from. An element that was copied to
several places gets the sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autodiff.arrays import Array, array_module, asarray_like
from ..autodiff.engine import Tensor, op
from ..errors import ShapeError, explained
from .arguments import axes_of, axis_of, shape_of


@op
def reshape(a: Array, *, shape: Any) -> Any:
    """Return the same elements in another shape; one length may be -1."""
    before = a.shape  # the gradient keeps this, and not the array
    try:
        return a.reshape(shape), lambda g: g.reshape(before)
    except ValueError:
        raise ShapeError(f"cannot reshape {a.shape} ({a.size} numbers) to {shape}") from None


@op
def transpose(a: Array, *, axes: tuple[int, ...] | None = None) -> Any:
    """Return the array with its axes in another order (reversed by default)."""
    order = tuple(reversed(range(a.ndim))) if axes is None else axes_of(tuple(axes), a.ndim)
    if len(order) != a.ndim:
        raise ShapeError(f"transpose of {a.ndim} axes needs each of them once, got {axes}")
    return a.transpose(order), lambda g: g.transpose(np.argsort(order).tolist())


@explained()
def squeeze(a: Array, *, axis: Any = None) -> Tensor:
    """Remove axes of length 1 (all of them by default)."""
    shape = shape_of(a)
    lone = [k for k, n in enumerate(shape) if n == 1] if axis is None else axes_of(axis, len(shape))
    if any(shape[k] != 1 for k in lone):
        raise ShapeError(f"squeeze of {shape}: axis {axis} has a length other than 1")
    return reshape(a, shape=tuple(n for k, n in enumerate(shape) if k not in lone))


@explained()
def expand_dims(a: Array, *, axis: int) -> Tensor:
    """Insert an axis of length 1, so that it is axis number ``axis`` of the result."""
    shape = shape_of(a)
    axis = axis_of(axis, len(shape) + 1)
    return reshape(a, shape=(*shape[:axis], 1, *shape[axis:]))


@op
def broadcast_to(a: Array, *, shape: tuple[int, ...]) -> Any:
    """Stretch a to a shape by NumPy's broadcasting rules."""
    try:
        return array_module(a).broadcast_to(a, shape), lambda g: g
    except ValueError:
        raise ShapeError(f"cannot broadcast {a.shape} to {shape}") from None


@op
def getitem(a: Array, *, index: Any) -> Any:
    """c = a[index], for any index of NumPy; an element that is read twice gets both gradients.

    Such gradients are added one after another in float64: of n equal ones, a float64 gradient
    loses up to n / 2 units in the last place.
    """
    parts = index if isinstance(index, tuple) else (index,)
    parts = tuple(_index_part(part, a) for part in parts)
    simple = all(part is None or part is ... or isinstance(part, (int, slice)) for part in parts)

    def grad_a(g: Array) -> Any:
        # In float32, 1 % of the sum of 10⁶ equal parts would be lost.
        share = array_module(g).zeros(a.shape, g.dtype if simple else np.float64)
        if simple:
            share[parts] = g
        else:
            array_module(g).add.at(share, parts, g.astype(np.float64))
        return share

    return a[parts], grad_a


def _index_part(part: Array, a: Array) -> Any:
    """Return a tensor or sequence as an array that can index ``a``; an empty one has no dtype."""
    if isinstance(part, Tensor):
        part = part.data
    elif hasattr(part, "__getitem__") and not hasattr(part, "dtype"):
        part = np.array(part) if len(part) else np.zeros(0, int)
    return asarray_like(part, a) if isinstance(part, np.ndarray) else part
