"""Sums over axes, accurate also over many terms of float32."""

from __future__ import annotations

import math
from typing import Any

from .arrays import Array


def sum_over(array: Array, axes: tuple[int, ...], keepdims: bool = False) -> Any:
    """Return Σ over some axes, with an error that grows with the log of the number of terms.

    NumPy adds pairwise along an axis that is contiguous in memory. Along any other axis it adds one
    term after another, which loses 1 % of 10⁶ equal terms in float32. So a long axis is summed in
    blocks of 16, and then the totals of the blocks are summed.

    >>> import numpy as np
    >>> thirds = np.full((3**12, 2), 1 / 3, np.float32)
    >>> bool((abs(sum_over(thirds, (0,)) / 3**11 - 1) < 1e-6).all())
    True
    """
    whole = len(axes) == array.ndim and array.flags.c_contiguous
    if whole or math.prod([array.shape[k] for k in axes]) <= 16 or array.dtype.kind != "f":
        return array.sum(axis=axes, keepdims=keepdims)
    inner, stride = [], array.dtype.itemsize  # axes that together are contiguous
    for axis in sorted(axes, key=lambda k: abs(array.strides[k])):
        if array.strides[axis] == stride:
            inner.append(axis)
            stride *= array.shape[axis]
    if len(inner) == len(axes):
        return array.sum(axis=axes, keepdims=keepdims)
    total = array.sum(axis=tuple(inner), keepdims=True) if inner else array
    for axis in axes:
        if axis not in inner:
            total = _sum_along(total, axis)
    return total if keepdims else total.squeeze(axes)


def _sum_along(array: Array, axis: int) -> Any:
    """Return Σ along one axis, which stays as an axis of length 1."""
    n = array.shape[axis]
    if n <= 16:
        return array.sum(axis=axis, keepdims=True)
    shape, before, end = array.shape, (slice(None),) * axis, n - n % 16
    first, rest = (*before, slice(end)), (*before, slice(end, n))
    blocks = array[first].reshape(*shape[:axis], -1, 16, *shape[axis + 1 :])
    total = _sum_along(blocks.sum(axis=axis + 1), axis)
    if end < n:
        total += array[rest].sum(axis=axis, keepdims=True)
    return total
