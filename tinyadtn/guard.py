"""The guard: arrays that a recorded graph still needs cannot be changed by accident.

A gradient function keeps arrays of the forward pass. If one of them were changed before backward
runs, the gradient would be silently wrong. So those arrays are read-only while a graph needs them:
NumPy itself then refuses the write, at the line that tries it. ``unprotected()`` switches it off.
What NumPy does not tell cannot be guarded: a view that was there before still writes, and a view
that is taken meanwhile stays read-only.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .modes import protecting


class _Hold:
    """How many nodes need one array that the guard made read-only."""

    __slots__ = ("array", "count", "waiting")

    def __init__(self, array: np.ndarray) -> None:
        key = id(array)
        self.array = weakref.ref(array, lambda _: _holds.pop(key, None))
        self.count = 0
        self.waiting: list[Any] = []  # views that nobody needs but whose owner, this, is needed


_holds: dict[int, _Hold] = {}
_lock = threading.RLock()  # reentrant, for a node may die while another is being made


def protect(values: Iterable[Any]) -> list[_Hold]:
    """Make the arrays, and the arrays that they are views of, read-only until ``release``.

    What is no array is passed over; tuples (an index may be one) and tensors are looked into.
    """
    holds: list[_Hold] = []
    if not protecting.get():
        return holds
    with _lock:
        for array in _arrays_in(values):
            while type(array) is np.ndarray:
                hold = _holds.get(id(array))
                if hold is None and array.flags.writeable:
                    array.flags.writeable = False
                    hold = _holds[id(array)] = _Hold(array)
                if hold is not None:
                    hold.count += 1
                    holds.append(hold)
                array = array.base
    return holds


def _arrays_in(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, tuple):
            yield from _arrays_in(value)
        else:
            yield value if isinstance(value, np.ndarray) else getattr(value, "data", None)


def release(holds: list[_Hold]) -> None:
    """Give back what ``protect`` took: the last to release makes the array writeable again."""
    with _lock:
        for hold in holds:
            hold.count -= 1
            array = hold.array()
            if hold.count == 0 and array is not None:
                del _holds[id(array)]
                _unlock(array, hold.waiting)


def _unlock(array: np.ndarray, waiting: list[Any]) -> None:
    """Make an array writeable; NumPy lets a view be that only after its owner."""
    owner = _holds.get(id(array.base))
    if owner is not None:
        owner.waiting += [weakref.ref(array), *waiting]
        return
    if not isinstance(array.base, np.ndarray) or array.base.flags.writeable:
        array.flags.writeable = True
    for reference in waiting:
        view = reference()
        if view is not None and id(view) not in _holds:
            _unlock(view, [])
