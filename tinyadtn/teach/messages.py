"""What a grader and the process of an answer send each other: lines of JSON.

The grader trusts nothing that it receives, and JSON can only describe plain values: numbers,
strings, arrays, lists, tuples, dicts, sets. Any other object stays where it is, and a number stands
for it on the other side.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np

NUMBERS = "biufc"  # kinds of dtype that are sent


def pack(value: Any, refer: Callable[[Any], dict[str, Any]]) -> Any:
    """Return the JSON form of a value; ``refer`` gives the form of an object that stays.

    >>> pack((1, [True, None]), refer=None)
    {'tuple': [1, {'list': [True, None]}]}
    """
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind in (list, tuple, set, frozenset):
        return {kind.__name__: [pack(part, refer) for part in value]}
    if kind is dict:
        return {"dict": [[pack(k, refer), pack(v, refer)] for k, v in value.items()]}
    if kind is complex:
        return {"complex": [value.real, value.imag]}
    if value is NotImplemented:
        return {"NotImplemented": 0}
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in NUMBERS:
        array = np.asarray(value)
        content = base64.b64encode(array.tobytes()).decode("ascii")
        form = [array.dtype.str, list(array.shape), content]
        return {"array" if isinstance(value, np.ndarray) else "scalar": form}
    return refer(value)


def unpack(form: Any, find: Callable[[dict[str, Any]], Any]) -> Any:
    """Return the value of a JSON form; ValueError if the form is not one of ``pack``.

    >>> unpack(pack((1, [2.5, 3j]), None), None)
    (1, [2.5, 3j])
    """
    if not isinstance(form, dict):
        if isinstance(form, list):
            raise ValueError("a list without its kind")
        return form
    if "object" in form or "yours" in form:
        return find(form)
    if len(form) != 1:
        raise ValueError(f"{len(form)} kinds in one value")
    ((kind, content),) = form.items()
    if kind in ("list", "tuple", "set", "frozenset"):
        parts = [unpack(part, find) for part in content]
        return {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind](parts)
    if kind == "dict":
        return {unpack(k, find): unpack(v, find) for k, v in content}
    if kind == "complex":
        return complex(*content)
    if kind == "NotImplemented":
        return NotImplemented
    if kind == "generator":
        return np.random.default_rng(content)
    if kind in ("array", "scalar"):
        name, shape, text = content
        dtype = np.dtype(str(name))
        if dtype.kind not in NUMBERS:
            raise ValueError(f"an array of dtype {dtype}")
        array = np.frombuffer(base64.b64decode(text), dtype).reshape(shape)
        return array.copy() if kind == "array" else array[()]
    raise ValueError(f"an unknown kind of value: {kind!r}")
