"""Products and sums of what comes before an element: prod and cumsum."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autodiff.arrays import Array, array_module
from ..autodiff.engine import op
from .arguments import axis_of
from .reductions import rows_over


@op
def prod(a: Array, *, axis: Any = None, keepdims: bool = False) -> Any:
    """c = Π a over the given axes (all of them by default).

    The gradient is g times the product of all *other* elements. It is computed as the product of
    those before times the product of those after, because c / a fails where an element is 0.

    Products are in float64. For an array of float64, the error is up to n / 2 units in the last
    place for n elements, and a product of some of them can leave the range of the dtype.
    """
    rows, shape, back = rows_over(a, axis, keepdims)  # (…, count)
    if a.dtype.kind == "f":
        rows = rows.astype(np.float64, copy=False)

    def product_before(rows: Array) -> Any:
        before = array_module(rows).ones_like(rows)
        before[..., 1:] = rows[..., :-1].cumprod(-1)
        return before

    def grad_a(g: Array) -> Any:
        others = product_before(rows) * product_before(rows[..., ::-1])[..., ::-1]
        return back(g.reshape(*rows.shape[:-1], 1) * others)

    return rows.prod(-1).reshape(shape), grad_a


@op
def cumsum(a: Array, *, axis: int) -> Any:
    """c_k = a_0 + … + a_k along an axis; the gradient of a_k is g_k + … + g_last.

    Sums are in float64. For an array of float64, the error is up to n / 2 units in the last place
    of n terms.
    """
    axis = axis_of(axis, a.ndim)
    back = (slice(None),) * axis + (slice(None, None, -1),)

    def running_sum(a: Array) -> Any:
        return a.cumsum(axis, np.float64).astype(a.dtype) if a.dtype.kind == "f" else a.cumsum(axis)

    return running_sum(a), lambda g: running_sum(g[back])[back]
