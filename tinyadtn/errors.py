"""The errors that tinyadtn raises on purpose: one family, each also the built-in it resembles.

``except TinyADTNError`` catches what the library has to say; ``except ValueError`` still works.
Every message says what went wrong, with which numbers, and what to do.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable
from typing import Any


class TinyADTNError(Exception):
    """Something that tinyadtn can explain."""


class ShapeError(TinyADTNError, ValueError):
    """Shapes that do not fit together."""


class DTypeError(TinyADTNError, TypeError):
    """A number type that cannot be used here."""


class GraphError(TinyADTNError, RuntimeError):
    """A backward pass that cannot run: nothing recorded, or already freed."""


class DeviceError(TinyADTNError, RuntimeError):
    """A device that is not there, or tensors that do not live on one device."""


class DataFileError(TinyADTNError, ValueError):
    """A data file that is missing, damaged, or not what it should be."""


class CheckpointError(TinyADTNError, ValueError):
    """A checkpoint that is damaged, unsafe, or belongs to something else."""


class NonFiniteError(TinyADTNError, ArithmeticError):
    """NaN or infinity where a finite number is needed."""


class SizeLimitError(TinyADTNError, MemoryError):
    """A tensor that would not fit in memory, refused before anything is allocated."""


def nearest(name: Any, known: Iterable[str]) -> str:
    """For a name that is not known: a few words that offer the nearest that is, or none.

    >>> nearest("fc11", ["conv1", "fc1"]), nearest("norm", ["fc1"])
    ('; did you mean fc1?', '')
    """
    near = difflib.get_close_matches(str(name), known, 1)
    return f"; did you mean {near[0]}?" if near else ""


def by_keyword(name: str, function: Any, arguments: tuple) -> str:
    """What to say where a function was given an option by position."""
    parameters = inspect.signature(function).parameters.values()
    by_name = [p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
    options = [f"{p.name}=" for p in by_name if p.kind is p.KEYWORD_ONLY]
    arrays = [str(p).partition(":")[0] for p in parameters if p not in by_name]
    texts = [repr(a) for a in arguments if isinstance(a, str)]
    return (
        f"{name} takes {', '.join(arrays)} by position"
        + (f" and {', '.join(options)} by keyword" if options else "")
        + f"; got {' and '.join(texts) or len(arguments)} by position"
    )
