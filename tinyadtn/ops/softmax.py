"""softmax, log_softmax and logsumexp.

They are computed from a - max(a), so that nothing overflows. The rounding error of that difference
becomes an error of the exponent: about 30 units in the last place at max(a) - a = 80. If one
element is much larger than the others, its p is almost 1. Then 1 - p is computed as the sum of the
other p, because the difference would lose all digits.
"""

from __future__ import annotations

from typing import Any

from ..autodiff.arrays import Array, array_module, as_float, sum_over
from ..autodiff.engine import op
from .arguments import axis_of
from .reductions import rows_over


@op
def softmax(a: Array, *, axis: int = -1) -> Any:
    """p = e^a / Σ e^a along an axis."""
    xp, a, axis = array_module(a), as_float(a), axis_of(axis, a.ndim)
    e = xp.exp(a - a.max(axis=axis, keepdims=True))
    p = e / _total(e, axis)

    def grad_a(g: Array) -> Any:
        # p_i (g_i - Σ_k p_k g_k) depends on differences of g only, because Σ p = 1. So g of the
        # largest is made 0, and what is subtracted is small.
        largest = xp.expand_dims(p.argmax(axis), axis)
        g = g - xp.take_along_axis(g, largest, axis)
        return p * (g - _total(g * p, axis))

    return p, grad_a


@op
def log_softmax(a: Array, *, axis: int = -1) -> Any:
    """c = ln p = a - ln Σ e^a along an axis."""
    xp, a, axis = array_module(a), as_float(a), axis_of(axis, a.ndim)
    shifted = a - a.max(axis=axis, keepdims=True)
    e = xp.exp(shifted)
    others = total_of_others(e, axis)

    def grad_a(g: Array) -> Any:
        places = xp.arange(e.shape[axis]).reshape([-1] + [1] * (e.ndim - 1)).swapaxes(0, axis)
        largest = places == xp.expand_dims(e.argmax(axis), axis)
        # g_i - p_i Σ_k g_k. They sum to 0: where p is almost 1, it is minus the sum of the others.
        share = g - e / (1 + others) * _total(g, axis)
        sure = largest & (others < 1)
        share = xp.where(sure, 0, share)
        return xp.where(sure, -_total(share, axis), share)

    return shifted - xp.log1p(others), grad_a


@op
def logsumexp(a: Array, *, axis: Any = None, keepdims: bool = False) -> Any:
    """c = ln Σ e^a over the given axes (all of them by default).

    >>> logsumexp([1000.0, 1000.0]).item() - 1000  # ln 2
    0.693...
    """
    (rows, shape, back), xp = rows_over(as_float(a), axis, keepdims), array_module(a)
    largest = rows.max(axis=-1, keepdims=True)
    infinite = xp.isinf(largest)
    e = xp.exp(rows - xp.where(infinite, 0, largest))  # ∞ - ∞ would be NaN
    others = total_of_others(e, -1)
    c = xp.where(infinite, largest, largest + xp.log1p(others))
    return c.reshape(shape), lambda g: back(g.reshape(c.shape) * (e / (1 + others)))


def total_of_others(e: Array, axis: int) -> Any:
    """Return Σ e along an axis without the largest e, which is 1: ln(1 + it) loses no small e.

    If the largest e is NaN or infinite, the result is NaN, and so are all gradients.
    """
    rows = e.copy().swapaxes(axis, 0)
    largest = (rows.argmax(axis=0), *array_module(e).indices(rows.shape[1:]))
    rows[largest] *= 0
    return sum_over(rows, (0,), keepdims=True).swapaxes(axis, 0)


def _total(a: Array, axis: int) -> Any:
    """Return Σ along an axis, which stays with length 1."""
    return sum_over(a, (axis,), keepdims=True)
