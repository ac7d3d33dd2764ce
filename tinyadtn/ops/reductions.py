"""Ops that reduce axes: sum, mean, max, min.

The gradient of a sum is g, repeated along the axes that were summed. The gradient of a maximum goes
only to the largest element; among equal elements, to the first one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autodiff.arrays import Array, array_module, sum_over
from ..autodiff.engine import Tensor, op
from ..errors import ShapeError, explained
from .arguments import axes_of, shape_of


@op
def sum(a: Array, *, axis: Any = None, keepdims: bool = False) -> Any:
    """c = Σ a over the given axes (all of them by default)."""
    axes, shape = axes_of(axis, a.ndim), a.shape  # the gradient keeps these, and not the array

    def grad_a(g: Array) -> Any:
        kept = [1 if k in axes else n for k, n in enumerate(shape)]
        share = array_module(g).empty(shape, g.dtype)
        share[...] = g.reshape(kept)
        return share

    return sum_over(a, axes, keepdims), grad_a


@explained()
def mean(a: Array, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """c = Σ a / n over the given axes, n being the number of elements summed."""
    shape = shape_of(a)
    count = math.prod(shape[k] for k in axes_of(axis, len(shape)))
    if count == 0:
        raise ShapeError(f"the mean of no elements is undefined (shape {shape}, axis {axis})")
    return sum(a, axis=axis, keepdims=keepdims) / count


@op
def max(a: Array, *, axis: Any = None, keepdims: bool = False) -> Any:
    """c = the largest of a over the given axes; among equals the first gets the gradient."""
    return _extremum(a, axis, keepdims, "argmax")


@op
def min(a: Array, *, axis: Any = None, keepdims: bool = False) -> Any:
    """c = the smallest of a over the given axes; among equals the first gets the gradient."""
    return _extremum(a, axis, keepdims, "argmin")


def _extremum(a: Array, axis: Any, keepdims: bool, argument: str) -> Any:
    (rows, shape, back), xp = rows_over(a, axis, keepdims), array_module(a)
    count = rows.shape[-1]
    if count == 0:
        raise ShapeError(
            f"{argument[3:]} of no elements is undefined (shape {a.shape}, axis {axis})"
        )
    winner = getattr(rows, argument)(axis=-1)[..., None]
    chosen = xp.arange(count) == winner
    c = xp.take_along_axis(rows, winner, axis=-1).reshape(shape)
    return c, lambda g: back(xp.where(chosen, g.reshape(winner.shape), 0))


def rows_over(a: Array, axis: Any, keepdims: bool) -> tuple[Any, tuple[int, ...], Any]:
    """Return the reduced axes together as the last one, so that "the first" has a meaning.

    Returned are the rows (…, count), the shape of the result of the reduction, and the function
    that puts values of the shape of the rows back into the shape of ``a``.
    """
    axes = sorted(axes_of(axis, a.ndim))
    others = [k for k in range(a.ndim) if k not in axes]
    order, lengths = [*others, *axes], [a.shape[k] for k in others]
    rows = a.transpose(order).reshape(*lengths, math.prod(a.shape[k] for k in axes))
    kept = [1 if k in axes else n for k, n in enumerate(a.shape)]

    def back(values: Array) -> Any:
        inverse = np.argsort(order).tolist()
        return values.reshape([a.shape[k] for k in order]).transpose(inverse)

    return rows, tuple(kept if keepdims else lengths), back
