"""Scratch memory: arrays that a computation uses while it runs, kept from call to call.

Allocating a large array takes longer than filling it, because the operating system clears each
page at its first use. So the arrays of a block (columns, products) are kept. Each thread has
separate arrays. No result shares memory with them, and their old values are never read.
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
    """Return an array of that shape with the dtype of ``like`` and arbitrary values.

    A thread has one array per name and dtype: the next call with the same name returns the same
    memory. It grows to the largest array so far. CuPy arrays are new; CuPy has a memory pool.

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
