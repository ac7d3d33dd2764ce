"""The guard: prevents accidental changes of arrays that a recorded graph still needs.

A gradient function keeps arrays of the forward pass. If one of them were changed before backward
runs, the gradient would be wrong without any error. So these arrays are read-only while a graph
needs them, and NumPy itself raises at the line that tries to write. ``unprotected()`` switches the
guard off.

NumPy does not make an array writeable again if other software owns its memory: an array from a
pickle, from torch, or from ``as_strided``. Such an array stays writeable. The guard keeps a copy of
its values, and ``backward`` raises GraphError if they have changed.

The guard cannot cover what NumPy does not report. A view that existed before the op can still write
into the array, and the gradient is then wrong without any error. Only under ``detect_anomaly()``
the guard copies the inputs of every op, so that ``backward`` notices. A view that is made in the
meantime stays read-only. An object with arrays inside, given as an option, is not searched.
"""

from __future__ import annotations

import functools
import operator
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

import numpy as np

from .arrays import Array
from .modes import looking_for_nan, protecting
from .options import leaves


class Hold:
    """The arrays in one piece of memory that nodes made read-only: its owner and views of it.

    Only nodes keep references to it, so it exists as long as a node needs one of the arrays.
    """

    __slots__ = ("__weakref__", "arrays")

    arrays: list[weakref.ref]


class Snapshot:
    """An array that the user may write into, with a copy of its values."""

    __slots__ = ("array", "values")

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.values = array, array.tobytes()

    def changed(self) -> bool:
        """Return whether the array differs from the copy."""
        return self.array.tobytes() != self.values


# id(array that owns its memory) -> weak references to it and to its Hold. The second reference has
# a callback, which makes the arrays of the Hold writeable when the last node releases it. It is a
# chain of compiled functions, because Python ignores exceptions in such a callback: a Ctrl-C during
# a Python function there would be ignored.
_holds: dict[int, tuple[weakref.ref, weakref.ref]] = {}
_most = 1000  # entries, before those without a Hold are removed
_lock = threading.RLock()
_dereference = operator.methodcaller("__call__")
_alive: Any = functools.partial(operator.is_not, None)
_make_writeable = operator.methodcaller("setflags", True)
_go_through: Any = dict.fromkeys
_partial, _reference = functools.partial, weakref.ref  # a look-up less for each array


def _new_lock() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # another thread of the parent may have held the lock
    os.register_at_fork(after_in_child=_new_lock)


def locked(function: Callable[..., None], *arguments: Any) -> None:
    """Call the function while no other thread is inside such a call."""
    with _lock: function(*arguments)  # noqa: E701  # fmt: skip


def protect(node: Any, arguments: Iterable[Any], arrays: Iterable[Any], others: Any) -> None:
    """Make the arrays of an op, and the arrays they are views of, read-only while the node lives.

    ``arrays`` are those of the ``arguments``. An array that another node made is guarded by that
    node for as long as it is needed: once that node is freed, ``backward`` cannot go through either
    of them. Python numbers and lists became new arrays, which the caller cannot reach. ``others``
    are the options of the op and its result. The function searches tuples, lists and dicts (an
    index may be a tuple); values that are not arrays are ignored. If the VJPs keep no array, as
    those of a sum, nothing needs to be protected, except a result that is a view: if a later op
    needs the memory, that op does not know the view.
    """
    view = getattr(others[-1], "base", None) is not None  # arrays of devices have no base
    if not protecting.get() or (not view and _keep_no_array(node.vjps)):
        return
    needed = [
        array
        for argument, array, source in zip(arguments, arrays, node.sources)
        if type(argument) not in _NUMBERS and not getattr(source, "holds", None)
    ]
    for value in others:
        if type(value) is np.ndarray:
            needed.append(value)
        else:
            needed.extend(leaves(value))
    # On one line: a debugger or Ctrl-C cannot interrupt between the block and the end of the lock.
    with _lock: _hold_all(needed, node)  # noqa: E701  # fmt: skip
    if looking_for_nan.get():  # views of the result itself are read-only, so it is left out
        inputs = [Snapshot(array) for array in needed[:-1] if isinstance(array, np.ndarray)]
        node.snapshots = (*node.snapshots, *inputs)


_NUMBERS = (float, int)
_PLAIN = frozenset({bool, int, float, str, type(None)})


def _keep_no_array(vjps: Any) -> bool:
    """Return whether the VJPs are plain functions, of g and of numbers and shapes alone."""
    for vjp in vjps if type(vjps) is list else (vjps,):
        if type(vjp) is not FunctionType or vjp.__defaults__ or vjp.__kwdefaults__:
            return False
        for cell in vjp.__closure__ or ():
            try:
                kept = cell.cell_contents
            except ValueError:  # a variable that was never assigned
                return False
            if type(kept) not in _PLAIN and not (
                type(kept) in (tuple, list) and _PLAIN.issuperset(map(type, kept))
            ):
                return False
    return True


def _hold_all(needed: list[Any], node: Any) -> None:
    if len(_holds) > _most:
        _forget()
    for array in needed:
        if isinstance(array, np.ndarray):  # CuPy arrays cannot be made read-only
            _hold(array, node)


def _hold(array: Array, node: Any) -> None:
    """Let the node hold the owner of the array's memory, and make both read-only."""
    owner = array if array.base is None else _owner(array)
    entry = _holds.get(id(owner))
    hold = entry[1]() if entry and entry[0]() is owner else None
    if hold is None:
        flags = owner.flags
        if not (flags.writeable or array.flags.writeable):
            return  # the caller made it read-only, so it stays read-only
        if not (flags.writeable and (flags.owndata or _owns_a_buffer(owner))):
            node.snapshots = (*node.snapshots, Snapshot(array))
            return
        hold, reference = Hold(), _reference(owner)
        hold.arrays = arrays = [reference]
        writeable = map(_make_writeable, filter(_alive, map(_dereference, arrays)))
        _holds[id(owner)] = reference, _reference(hold, _partial(_go_through, writeable))
        owner.setflags(False)
    node.holds.append(hold)
    while array is not owner:
        if array.flags.writeable:
            hold.arrays.append(weakref.ref(array))
            array.setflags(False)
        array = array.base


def _owner(array: Array) -> Any:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _forget() -> None:
    """Remove the entries without a Hold; the others may double before the next removal."""
    global _most
    for key in [key for key, (_, hold) in _holds.items() if hold() is None]:
        del _holds[key]
    _most = max(1000, 2 * len(_holds))


def _owns_a_buffer(owner: Array) -> bool:
    """Return whether the memory is that of a buffer: NumPy can make the array writeable again."""
    try:
        buffer = memoryview(owner.base)
    except (TypeError, ValueError, BufferError):
        return False
    return buffer.c_contiguous and not buffer.readonly
