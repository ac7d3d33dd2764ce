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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, DataFileError, NonFiniteError, SizeLimitError, TinyADTNError
from .commands import handling
from .parser import build_parser
from .terminal import printable

RUNS_NO_USER_CODE = True  # so ``anomaly`` looks for no line of the caller's here
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
    (RuntimeError, 7),  # what pathlib raises for a user without a home folder
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the exit code."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed, as by 2>&-: the next file would get its number
            setattr(sys, name, Path(os.devnull).open("r+"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")  # "±" on a terminal that has none is no error
    options = build_parser().parse_args(arguments)
    try:
        with stopping_gently():
            return options.run(options) or 0
    except KeyboardInterrupt:
        with suppress(KeyboardInterrupt):  # of an impatient user
            print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stderr.close()
        return 7
    except tuple(kind for kind, _ in EXIT_CODES) as error:
        if options.debug:
            raise
        print(f"error: {explained(error)}", file=sys.stderr)
        return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


def explained(error: BaseException) -> str:
    """The error as one line; the operating system's own errors with their path first."""
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}"
    return printable(text) or type(error).__name__


@contextmanager
def stopping_gently() -> Iterator[None]:
    """SIGTERM and SIGHUP, of a lost connection, raise KeyboardInterrupt, as SIGINT does."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with handling(interrupt, signal.SIGTERM, signal.SIGHUP):
        yield


if __name__ == "__main__":
    sys.exit(main())
