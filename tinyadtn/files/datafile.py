"""Shared by all readers of data files: how a file is opened, and how it is rejected."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from ..errors import DataFileError
from ..limits import most_from

SPLITS = ("train", "validation", "test")
CHUNK = 2**20  # bytes read, or values converted, at a time


@contextmanager
def opened(path: Path, expected: str) -> Iterator[BufferedReader]:
    """Open the ordinary file ``path`` for reading bytes; ``DataFileError`` if that fails.

    A sparse file is rejected too, because it would take much memory and no disk space.

    >>> with opened(Path("missing"), "labels") as file:
    ...     file.read()
    Traceback (most recent call last):
    tinyadtn.errors.DataFileError: missing: expected labels, found no such file. Put a good copy ...
    """
    try:
        if not path.is_file():  # opening a pipe without a writer would block
            raise refusal(path, expected, _describe_other(path))
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > (most := most_from(file.fileno())):
                raise refusal(path, f"at most {most:,} bytes", f"{size:,}, mostly holes")
            yield file
    except OSError as error:
        raise refusal(path, "a readable file", error.strerror or str(error)) from error


def files_in(folder: Path, *endings: str) -> list[Path]:
    """Return the files with these endings, also in capitals, without those that begin with a dot.

    >>> files_in(Path(__file__).parent, ".csv", ".npy")
    []
    """
    found = (p for p in folder.iterdir() if p.suffix.lower() in endings)
    return sorted(p for p in found if not (p.name.startswith(".") or p.is_dir()))


def _describe_other(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    return "something that is not an ordinary file" if path.exists() else "no such file"


def describe(start: bytes) -> str:
    """Describe what kind of file begins with these bytes.

    >>> describe(b"<!DOCTYPE html>")
    'a web page, perhaps the error page of a failed download'
    """
    if not start:
        return "an empty file"
    if start.lstrip().startswith(b"<"):
        return "a web page, perhaps the error page of a failed download"
    return f"the bytes {start[:4].hex(' ')}"


def refusal(path: Path, expected: str, found: str) -> DataFileError:
    """Return the error for a data file, with the path, the expected and the found content."""
    return DataFileError(
        f"{path}: expected {expected}, found {found}. Put a good copy in its place "
        "(`tinyadtn data get NAME` fetches the sets that `tinyadtn data list` names)"
    )
