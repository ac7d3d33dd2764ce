"""What a grader and the process of an answer send each other: calls and results, lines of JSON.

The grader trusts nothing that it receives, and JSON can only describe plain values: numbers,
strings, arrays, lists, tuples, dicts, sets. Any other object stays where it is, and a number stands
for it on the other side, where a ``Remote`` calls it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from ..tables import printable

NUMBERS = "biufc"  # kinds of dtype that are sent
MANY: dict[str, Any] = {kind.__name__: kind for kind in (list, tuple, set, frozenset, dict)}
LONGEST = 64 * 2**20  # bytes of one message


class RemoteError(RuntimeError):
    """An error of a function of the other process; ``raised`` has its type, text and line."""

    def __init__(self, raised: Any) -> None:
        kind, text, line = (printable(str(part)) for part in raised)
        self.raised = (kind, text, line)
        super().__init__(f"{kind}: {text}")


class MessageError(Exception):
    """A message that cannot be read."""


class Remote:
    """An object of the other process. It can be called and sent back."""

    is_remote = True
    __slots__ = ("_end", "_number", "_type")

    def __init__(self, end: End, number: int, kind: str) -> None:
        self._end, self._number, self._type = end, number, kind

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._end.call(self._number, arguments, options)

    def __repr__(self) -> str:
        return f"<an object of type {self._type}>"


class End:
    """One end of two pipes: it calls functions that the other end keeps, and the other way round.

    The grader and the process of an answer differ in their ``reply`` to a call.
    """

    reader: Any
    writer: Any
    kept: list[Any]  # objects that the other end can call, by number

    def call(self, number: int, arguments: tuple, options: dict[str, Any]) -> Any:
        """Return the result of an object that the other end keeps; do what it calls meanwhile."""
        self.send({"call": number, "with": self.pack((arguments, options))})
        return self.serve()

    def serve(self) -> Any:
        """Do the calls of the other end until it sends a result, and return that."""
        while line := self.reader.readline(LONGEST):
            try:
                message = json.loads(line)
                if "error" in message:
                    raise RemoteError(message["error"])
                if "result" in message:
                    return unpack(message["result"], self._find)
                function = self.kept[message["call"]]
                arguments, options = unpack(message["with"], self._find)
            except (LookupError, TypeError, ValueError, RecursionError) as error:
                raise MessageError("it cannot be read") from error
            self.send(self.reply(function, arguments, options))
        raise EOFError("the other end is closed")

    def send(self, message: dict[str, Any]) -> None:
        """Write a line."""
        self.writer.write(json.dumps(message).encode() + b"\n")
        self.writer.flush()

    def reply(self, function: Any, arguments: Any, options: Any) -> dict[str, Any]:
        """Call the function; return the message with its result or its error."""
        raise NotImplementedError

    def pack(self, value: Any) -> Any:
        """Return the JSON form of a value."""
        return pack(value, self.refer)

    def refer(self, value: Any) -> dict[str, Any]:
        """Return the form of an object that stays here, or that stayed there."""
        if isinstance(value, Remote):
            return {"yours": value._number}
        self.kept.append(value)
        return {"object": len(self.kept) - 1, "type": type(value).__name__}

    def _find(self, form: dict[str, Any]) -> Any:
        if "yours" in form:
            return self.kept[form["yours"]]
        return Remote(self, int(form["object"]), printable(str(form.get("type", "")))[:80])


def pack(value: Any, refer: Callable[[Any], dict[str, Any]]) -> Any:
    """Return the JSON form of a value; ``refer`` gives the form of an object that stays.

    >>> pack((1, [True, None]), refer=None)
    {'tuple': [1, {'list': [True, None]}]}
    """
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind in MANY.values():
        parts = value.items() if kind is dict else value
        return {kind.__name__: [pack(part, refer) for part in parts]}
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
    if kind in MANY:
        return MANY[kind](unpack(part, find) for part in content)
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
