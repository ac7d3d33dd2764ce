"""A matrix product of large matrices as many products of small ones.

OpenBLAS copies the factors of a large product into an order of its own first. If one factor has few
rows, the copies take longer than the multiplications. Small products are computed without copies
(on CPUs with AVX-512; on others they take as long as one large product). In convolutions this
halves the time of the products by Winograd's transformations and by a few filters.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...autodiff.arrays import Array, array_module

SMALL = 10**6  # the most multiply-adds that OpenBLAS computes without copies
LEAST_COLUMNS = 16


def product(a: Array, b: Array, *, out: Any) -> Any:
    """Return a @ b, written into ``out``, some columns of b at a time.

    >>> a, b = np.ones((2, 3)), np.ones((3, 640_000))
    >>> product(a, b, out=np.empty((2, 640_000)))[:, -1]
    array([3., 3.])
    """
    xp, rows = array_module(b), a.shape[-1] * a.shape[-2]
    most = SMALL // max(1, rows)
    columns = math.gcd(b.shape[-1], 2 ** most.bit_length() // 2)  # a power of two, up to `most`
    if xp is not np or not LEAST_COLUMNS <= columns < b.shape[-1]:
        return xp.matmul(a, b, out=out)
    np.matmul(a[..., None, :, :], _slices(b, columns), out=_slices(out, columns))
    return out


def _slices(matrix: Any, columns: int) -> Any:
    """Return (…, rows, k · columns) as (…, k, rows, columns): a view."""
    return matrix.reshape(*matrix.shape[:-1], -1, columns).swapaxes(-3, -2)
