"""What all readers of data files share: how a file is opened, and how it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from ..errors import DataFileError

SPLITS = ("train", "validation", "test")
MAX_BYTES = 2**28  # a larger file or promise is refused: five times MNIST, all of CIFAR and more
CHUNK = 2**20  # read and converted at a time


@contextmanager
def opened(path: Path, expected: str) -> Iterator[BufferedReader]:
    """The ordinary file ``path``, open to read bytes; ``DataFileError`` if the system refuses.

    >>> with opened(Path("missing"), "labels") as file:
    ...     file.read()
    Traceback (most recent call last):
    tinyadtn.errors.DataFileError: missing: expected labels, found no such file. Put a good copy ...
    """
    try:
        if not path.is_file():  # opening a pipe that nobody writes to would wait for ever
            raise refusal(path, expected, _describe_other(path))
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise refusal(path, "a readable file", error.strerror or str(error)) from error


def _describe_other(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    return "something that is not an ordinary file" if path.exists() else "no such file"


def describe(start: bytes) -> str:
    """What a file that begins with these bytes may be.

    >>> describe(b"<!DOCTYPE html>")
    'a web page, perhaps the error page of a failed download'
    """
    if not start:
        return "an empty file"
    if start.lstrip().startswith(b"<"):
        return "a web page, perhaps the error page of a failed download"
    return f"the bytes {start[:4].hex(' ')}"


def refusal(path: Path, expected: str, found: str) -> DataFileError:
    """The error for a data file: which one, what should be there, what is, what to do."""
    return DataFileError(
        f"{path}: expected {expected}, found {found}. Put a good copy in its place "
        "(`tinyadtn data get NAME` fetches the sets that `tinyadtn data list` names)"
    )
