"""Find the op that produced the first NaN, and the caller's line that called it."""

from __future__ import annotations

import linecache
import os
import sys
from typing import Any

from ..errors import NonFiniteError
from .arrays import Array, array_module


def check_finite(values: Array, what: str, line: str, inputs: Any = ()) -> None:
    """Raise NonFiniteError if a value is not finite, with the op and the line that computed it.

    ``inputs`` are the arrays it was computed from. The error names those that were not finite,
    because then the cause is an earlier op.
    """
    bad = _count_bad(values)
    if bad:
        given = [str(k) for k, a in enumerate(inputs, 1) if _count_bad(a)]
        had = f"; not finite already: its argument {' and '.join(given)}" if given else ""
        raise NonFiniteError(
            f"{what} gave {bad} of {values.size} values that are not finite{line}{had}"
        )


def _count_bad(values: Array) -> int:
    if values.dtype.kind != "f":
        return 0
    return int((~array_module(values).isfinite(values)).sum())


def calling_line() -> str:
    """Return the innermost line of the user's code on the stack, as the end of a sentence.

    Return "" if there is none: a command and a run of a sweep run no code of the user.
    """
    frame: Any = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if "RUNS_NO_USER_CODE" in frame.f_globals:
            return ""
        if module.partition(".")[0] not in _NOT_YOURS:
            name, number = frame.f_code.co_filename, frame.f_lineno
            source = linecache.getline(name, number, frame.f_globals).strip()
            # Jupyter calls a cell's file by a long number in a temporary folder.
            place = "a notebook cell" if "ipykernel" in name else _shortened(name)
            return f", called at {place}:{number}" + (f": {source}" if source else "")
        frame = frame.f_back
    return ""


_PACKAGE = __name__.partition(".")[0]


# Modules that may be on the stack between the user's code and an op.
_NOT_YOURS = (_PACKAGE, "asyncio", "concurrent", "contextlib", "threading", "tqdm")


def _shortened(path: str) -> str:
    """Return the path relative to the working folder, if the file is inside it."""
    here = os.path.join(os.getcwd(), "")  # noqa: PTH118, PTH109 - plain text is all that is needed
    return path.removeprefix(here)
