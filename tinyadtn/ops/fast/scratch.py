"""Memory that a computation uses while it runs, kept from call to call.

A new large array costs more than what is done with it: the system hands out pages of zeros, one
by one, at the first touch. So what a convolution needs within a block (columns, products) is kept.
Each thread has its own, and it never leaves the function that asked: no result shares memory with
it, and what it held before is never read.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from ...autodiff.arrays import Array, array_module


class _Kept(threading.local):
    def __init__(self) -> None:
        self.flat: dict[tuple[str, np.dtype], np.ndarray] = {}


_kept = _Kept()


def scratch(name: str, shape: tuple[int, ...], like: Array) -> Any:
    """An array of that shape with the dtype of ``like`` and any values.

    It is this thread's only one of that name: the next call with the name takes it back. What is
    kept for a name is as large as its largest array so far. CuPy keeps its memory itself.

    >>> a = scratch("example", (2, 3), np.ones(1))
    >>> b = scratch("example", (4,), np.ones(1))
    >>> a.shape, b.shape, np.shares_memory(a, b)
    ((2, 3), (4,), True)
    """
    xp, size = array_module(like), math.prod(shape)
    if xp is not np:
        return xp.empty(shape, like.dtype)
    key = (name, like.dtype)
    flat = _kept.flat.get(key)
    if flat is None or flat.size < size:
        flat = _kept.flat[key] = np.empty(size, like.dtype)
    return flat[:size].reshape(shape)
