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

from .arrays import Array
from .modes import protecting


class _Hold:
    """How many nodes need one array that the guard made read-only."""

    __slots__ = ("array", "count", "key", "waiting")

    def __init__(self, array: np.ndarray, key: int) -> None:
        self.array = weakref.ref(array)
        self.key = key
        self.count = 1
        self.waiting: tuple[Any, ...] = ()  # views nobody needs, but whose owner, this, is needed


_holds: dict[int, _Hold] = {}
_lock = threading.RLock()  # reentrant, for a node may die while another is being made


def protect(
    arguments: Iterable[Any], arrays: Iterable[Any], sources: Iterable[Any], others: Iterable[Any]
) -> list[_Hold]:
    """Make what an op works with, and what that is a view of, read-only until ``release``.

    ``arrays`` are those of the ``arguments``, ``sources`` their nodes or leaves. An array that a
    node made is guarded by it as long as this can be of use: where that node was freed,
    ``backward`` refuses to go through both. Python numbers and lists became new arrays, which no
    caller knows. ``others`` are the op's options and its result: tuples (an index may be one) and
    tensors are looked into, values that are not arrays are ignored.
    """
    holds: list[_Hold] = []
    if not protecting.get():
        return holds
    with _lock:
        for argument, array, source in zip(arguments, arrays, sources):
            if hasattr(argument, "dtype") and not getattr(source, "holds", None):
                _hold(array, holds)
        for value in others:
            if type(value) is np.ndarray:
                _hold(value, holds)
            else:
                for array in _arrays_in(value):
                    _hold(array, holds)
    return holds


def _hold(array: Array, holds: list[_Hold]) -> None:
    """Count one more node that needs the array, and those that it is a view of."""
    while type(array) is np.ndarray:
        key = id(array)
        hold = _holds.get(key)
        if hold is not None and hold.array() is array:  # and not one that was here before
            hold.count += 1
            holds.append(hold)
        elif array.flags.writeable:
            array.setflags(write=False)
            hold = _holds[key] = _Hold(array, key)
            holds.append(hold)
        array = array.base


def _arrays_in(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        for part in value:
            yield from _arrays_in(part)
    else:
        yield value if isinstance(value, np.ndarray) else getattr(value, "data", None)


def release(holds: list[_Hold]) -> None:
    """Give back what ``protect`` took: the last to release makes the array writeable again."""
    if not holds:
        return
    with _lock:
        for hold in holds:
            hold.count -= 1
            if hold.count > 0:
                continue
            if _holds.get(hold.key) is hold:
                del _holds[hold.key]
            array = hold.array()
            if array is None:
                continue
            if array.base is None and not hold.waiting:
                array.setflags(write=True)
            else:
                _unlock(array, hold.waiting)


def _unlock(array: np.ndarray, waiting: tuple[Any, ...] = ()) -> None:
    """Make an array writeable; NumPy lets a view be that only after its owner."""
    base = array.base
    if base is not None and _held(base):
        _holds[id(base)].waiting += (weakref.ref(array), *waiting)
        return
    if not isinstance(base, np.ndarray) or base.flags.writeable:
        array.flags.writeable = True
    for reference in waiting:
        view = reference()
        if view is not None and not _held(view):
            _unlock(view)


def _held(array: Array) -> bool:
    hold = _holds.get(id(array))
    return hold is not None and hold.array() is array
