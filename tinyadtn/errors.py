"""The errors that tinyadtn raises on purpose: each is also the built-in error that it resembles.

``except TinyADTNError`` catches all of them; ``except ValueError`` still works. Every message
states what is wrong, the values, and what to do.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from .tables import printable, shortened

F = TypeVar("F", bound=Callable)


class TinyADTNError(Exception):
    """The base class of all errors that tinyadtn raises on purpose."""


class ShapeError(TinyADTNError, ValueError):
    """Shapes do not fit together."""


class DTypeError(TinyADTNError, TypeError):
    """A dtype cannot be used here."""


class GraphError(TinyADTNError, RuntimeError):
    """A backward pass cannot run, because nothing was recorded or the graph was freed."""


class DeviceError(TinyADTNError, RuntimeError):
    """A device is not available, or tensors are on different devices."""


class _FileError(TinyADTNError, ValueError):
    """An error that may quote a file, so its message is cut, and safe to print on a terminal."""

    def __init__(self, message: object = ""):
        super().__init__(shortened(printable(str(message))))


class DataFileError(_FileError):
    """A data file is missing, damaged, or has the wrong content."""


class CheckpointError(_FileError):
    """A checkpoint is damaged, unsafe, or belongs to another model or run."""


class NonFiniteError(TinyADTNError, ArithmeticError):
    """A value is NaN or infinite, but a finite one is needed."""


class SizeLimitError(TinyADTNError, MemoryError):
    """A tensor would not fit in memory; raised before anything is allocated."""


class GradientMismatchError(TinyADTNError, AssertionError):
    """A gradient that differs from the measured one; the message has the place and the values."""


THEIRS = {  # PyTorch's and the papers' names of options, and ours
    "lr": "learning_rate",
    "kernel_size": "kernel",
    "dim": "axis",
    "keepdim": "keepdims",
    "eps": "epsilon",
    "M": "depth",
    "sigma": "activation",
    **dict.fromkeys(("loss_fn", "criterion"), "loss"),
}


def nearest(name: Any, known: Iterable[str], least: float = 0.6) -> str:
    """Return a hint with the known name that is nearest to an unknown one, or "".

    ``least`` is how similar they must be: 1 is equal.

    >>> nearest("fc11", ["conv1", "fc1"]), nearest("norm", ["fc1"]), nearest("dim", ["axis"])
    ('; did you mean fc1?', '', '; did you mean axis?')
    >>> nearest("--lr", ["--learning-rate"])
    '; did you mean --learning-rate?'
    """

    def plain(text: str) -> str:
        return text.lstrip("-").replace("-", "_")

    ours = {plain(each): each for each in known}
    wanted = THEIRS.get(plain(str(name)))
    close = difflib.get_close_matches(plain(str(name)), ours, 1, least)
    near = [wanted] if wanted in ours else close
    return f"; did you mean {ours[near[0]]}?" if near else ""


def unknown_option(name: str, function: Any, options: Iterable[str]) -> str:
    """Return the message for an option that the function does not have; "" if it has all."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return ""
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    unknown = [option for option in options if option not in known]
    there = f"it has {', '.join(f'{option}=' for option in known)}" if known else "it has none"
    if not unknown:
        return ""
    return f"{name} has no option {unknown[0]!r} ({there}){nearest(unknown[0], known)}"


def by_keyword(name: str, function: Any, arguments: tuple) -> str:
    """Return the message for an option that was passed by position."""
    texts = [repr(a) for a in arguments if isinstance(a, str)]
    got = " and ".join(texts) or len(arguments)
    return f"{name} {_takes(function)}; got {got} by position"


def _takes(function: Any) -> str:
    parameters = inspect.signature(function).parameters.values()
    by_name = [p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
    options = [f"{p.name}=" for p in by_name if p.kind is p.KEYWORD_ONLY]
    others = [str(p).partition(":")[0] for p in parameters if p not in by_name and p.name != "self"]
    places = f"{', '.join(others)} by position" if others else "nothing by position"
    return f"takes {places}" + (f" and {', '.join(options)} by keyword" if options else "")


def explained(hint: str = "") -> Callable[[F], F]:
    """Decorate a function: the TypeError for a call that does not fit names what it takes.

    >>> explained()(lambda x, *, axis: 0)(1, 2)
    Traceback (most recent call last):
    TypeError: <lambda> takes x by position and axis= by keyword: takes 1 ...
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            try:
                return function(*arguments, **options)
            except TypeError as error:
                require_call(function, arguments, options, error, hint=hint)
                raise

        return call  # type: ignore[return-value]

    return decorate


def require_call(
    function: Any, arguments: tuple, options: dict, error: TypeError, name: str = "", hint: str = ""
) -> None:
    """Raise TypeError, with what the function takes, if the error is that a call does not fit."""
    try:
        inspect.signature(function).bind(*arguments, **options)
    except TypeError:
        name = name or function.__qualname__.removesuffix(".__init__").rpartition(".")[2]
        problem = str(error).partition("() ")[2] or error
        known = inspect.signature(function).parameters
        near = "".join(nearest(option, known) for option in options if option not in known)
        raise TypeError(f"{name} {_takes(function)}: {problem}{near}{hint}") from None
