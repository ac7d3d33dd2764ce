"""Run one command of ``tinyadtn``; every error becomes one line and an exit code.

The ``error:`` line on stderr says what went wrong (``--debug`` adds the traceback). Exit codes:
0 ok, 1 runs of a sweep failed, 2 usage, 3 data, 4 checkpoint, 5 not finite, 6 too large,
7 input/output, 130 interrupted.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, DataFileError, NonFiniteError, SizeLimitError, TinyADTNError
from ..limits import keep_freed_memory
from ..tables import printable, shortened
from .parser import build_parser
from .signals import handling
from .terminal import flush_output

RUNS_NO_USER_CODE = True  # ``anomaly`` need not search this file for a line of the caller
EXIT_CODES: list[tuple[type[BaseException], int]] = [
    (DataFileError, 3),
    (CheckpointError, 4),
    (NonFiniteError, 5),
    (SizeLimitError, 6),
    (MemoryError, 6),
    (OSError, 7),
    (ImportError, 2),
    (TinyADTNError, 2),
    (ValueError, 2),
    (RuntimeError, 7),  # pathlib raises it for a user without a home folder
]


def main(
    arguments: Sequence[str] | None = None, parser: Callable[[], ArgumentParser] = build_parser
) -> int:
    """Run one command and return its exit code; ``parser`` makes the parser of the commands."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by 2>&-, so the next file would get its number
            setattr(sys, name, Path(os.devnull).open("r+"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without "±" is not an error
    try:
        return _code_of(arguments, parser)
    finally:
        for stream in (sys.stdout, sys.stderr):
            _discard_if_full(stream)


def _code_of(arguments: Sequence[str] | None, parser: Callable[[], ArgumentParser]) -> int:
    debug = False
    try:
        keep_freed_memory()
        options = _parsed(arguments, parser)
        debug = options.debug
        with handling(_interrupt, signal.SIGTERM, signal.SIGHUP):
            code = options.run(options) or 0
        flush_output()  # a full disk may be noticed only here
        return code
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except BrokenPipeError:  # the reader of the output, such as head, has ended
        return 7
    except tuple(kind for kind, _ in EXIT_CODES) as error:
        if debug:
            raise
        _complain(f"error: {explained(error)}")
        return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


def _parsed(arguments: Sequence[str] | None, parser: Callable[[], ArgumentParser]) -> Namespace:
    try:
        return parser().parse_args(arguments)
    except SystemExit:  # after --help, --version or a wrong option
        flush_output()
        raise


def _complain(text: str) -> None:
    with suppress(OSError, KeyboardInterrupt):  # stderr is full; a second Ctrl-C
        print(text, file=sys.stderr)


def _discard_if_full(stream: Any) -> None:
    """Discard what cannot be written: Python would try again at its exit, with a traceback."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def explained(error: BaseException) -> str:
    """Return the message of an error on one line; for errors of the system the path comes first."""
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}"
    return shortened(printable(text)) or type(error).__name__


def _interrupt(*_: Any) -> None:
    """Stop the command as Ctrl-C does, at SIGTERM or SIGHUP (a closed terminal)."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
