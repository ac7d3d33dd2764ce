"""What an op receives by keyword: labels, indices, conditions, shapes and other options."""

from __future__ import annotations

import copy
from collections.abc import Iterator, MutableSequence
from typing import Any

import numpy as np

from ..errors import GraphError
from .arraylike import ArrayLike
from .arrays import array_module, new_array, require_no_mask
from .modes import recording
from .shape_only import ShapeOnly

_PLAIN = frozenset({bool, int, float, str, slice, type(None), type(...), np.ndarray})


def option(value: Any) -> Any:
    """Return an option as the op receives it: a tensor becomes its array.

    A VJP may use the option long after the call. The guard makes arrays read-only until then. It
    cannot do that to lists, dicts and other objects that share their memory, so they are copied.
    Any other object with arrays inside is passed on: nobody may change it until backward has run.
    Raises GraphError for a tensor that requires a gradient, because an option gets none.
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, ArrayLike):
        if value._requires_grad and recording.get():
            raise GraphError(
                "an option has no gradient, and this one is a tensor that requires one; "
                "give x.detach() if it is a constant"
            )
        return value._data
    if isinstance(value, (tuple, list)):
        if _PLAIN.issuperset(map(type, value)):
            return value if isinstance(value, tuple) else value[:]
        parts = map(option, value)
        return value._make(parts) if hasattr(value, "_make") else type(value)(parts)
    if isinstance(value, dict):
        twin = copy.copy(value)
        twin.update({key: option(part) for key, part in value.items()})
        return twin
    require_no_mask(value)
    if shares_memory(value) and not isinstance(value, np.ndarray):
        return new_array(value)
    return list(map(option, value)) if isinstance(value, MutableSequence) else value  # a deque


def leaves(value: Any) -> Iterator[Any]:
    """Yield what is inside tuples, lists and dicts, at any depth."""
    if isinstance(value, (tuple, list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves(part)
    else:
        yield value


def shares_memory(value: Any) -> bool:
    """Return whether NumPy can make an array in the memory of this object, and somebody may write.

    Such objects are torch tensors, columns of pandas, memoryviews and arrays of ``array``.
    """
    if isinstance(value, (type, bytes, np.generic, ShapeOnly)) or array_module(value) is not np:
        return False
    if hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        return True
    try:
        memoryview(value)
    except TypeError:
        return hasattr(value, "__array_struct__")
    return True
