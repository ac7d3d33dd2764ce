"""Ops that reduce axes: sum, mean, max, min; and softmax, which is normalized along an axis.

The gradient of a sum is g, repeated along the axes that were summed. The gradient of a maximum goes
only to the largest element; among equal elements, to the first one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autodiff.arrays import Array, array_module, as_float, sum_over
from ..autodiff.engine import Tensor, op
from ..errors import ShapeError


def _axes(axis: int | tuple[int, ...] | None, ndim: int) -> tuple[int, ...]:
    """Return the axes to reduce, counted from 0; ShapeError for one that does not exist."""
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
def sum(a: Array, *, axis: Any = None, keepdims: bool = False) -> Any:
    """c = Σ a over the given axes (all of them by default)."""
    axes = _axes(axis, a.ndim)

    def grad_a(g: Array) -> Any:
        kept = [1 if k in axes else n for k, n in enumerate(a.shape)]
        share = array_module(g).empty(a.shape, g.dtype)
        share[...] = g.reshape(kept)
        return share

    return sum_over(a, axes, keepdims), grad_a


def mean(a: Array, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """c = Σ a / n over the given axes, n being the number of elements summed."""
    shape = a.shape if hasattr(a, "shape") else np.shape(a)
    count = math.prod(shape[k] for k in _axes(axis, len(shape)))
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

    def grad_a(g: Array) -> Any:
        share = xp.where(chosen, g.reshape(winner.shape), 0)
        return share.reshape([a.shape[k] for k in order]).transpose(np.argsort(order).tolist())

    return c.reshape(kept if keepdims else [a.shape[k] for k in others]), grad_a


@op
def softmax(a: Array, *, axis: int = -1) -> Any:
    """c = e^a / Σ e^a along an axis; computed from a - max(a), so that nothing overflows.

    The rounding error of that difference becomes an error of the exponent: about 30 units in the
    last place at max(a) - a = 80. The error of the gradient is relative to the largest g.
    """
    a = as_float(a)
    e = array_module(a).exp(a - a.max(axis=axis, keepdims=True))
    c = e / _total(e, axis)
    return c, lambda g: c * (g - _total(g * c, axis))


def _total(a: Array, axis: int) -> Any:
    """Return Σ along an axis, which stays with length 1."""
    return sum_over(a, (axis % a.ndim,), keepdims=True)


@op
def log_softmax(a: Array, *, axis: int = -1) -> Any:
    """c = a - ln Σ e^a along an axis; computed from a - max(a), so that nothing overflows.

    The error of the gradient is relative to the largest g.
    """
    xp, a = array_module(a), as_float(a)
    shifted = a - a.max(axis=axis, keepdims=True)
    c = shifted - xp.log1p(total_of_others(xp.exp(shifted), axis))
    return c, lambda g: g - xp.exp(c) * _total(g, axis)


def total_of_others(e: Array, axis: int) -> Any:
    """Return Σ e along an axis without the largest e, which is 1: ln(1 + it) loses no small e."""
    rows = e.copy().swapaxes(axis, 0)
    largest = (rows.argmax(axis=0), *array_module(e).indices(rows.shape[1:]))
    rows[largest] = 0
    return sum_over(rows, (0,), keepdims=True).swapaxes(axis, 0)
