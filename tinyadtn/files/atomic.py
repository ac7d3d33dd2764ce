"""Write a file whole or not at all: a crash or a full disk leaves the old one as it was."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def replacing(path: Path, *, keep: Path | None = None) -> Iterator[Any]:
    """Open a temporary file that replaces ``path`` once it is complete and on the disk.

    ``keep`` is a file name that the old content of ``path`` gets.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "There is no such folder", str(path.parent))
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    killed_writers = f".{glob.escape(path.name)}.*.tmp"
    for stale in path.parent.glob(killed_writers):
        stale.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        if keep is not None and path.exists():
            _second_name(path, keep)
        Path(name).replace(path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # a full disk, say
            error.filename = str(path)
        raise
    with contextlib.suppress(OSError):  # some systems cannot sync a folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _second_name(path: Path, keep: Path) -> None:
    """Give the file another name too, so that at no moment there is none."""
    link = keep.with_name(f".{keep.name}.link")
    link.unlink(missing_ok=True)
    try:
        try:
            link.hardlink_to(path)
        except OSError:  # a file system without links
            shutil.copyfile(path, link)
        link.replace(keep)
    finally:  # also where both were names of one file: then replacing does nothing
        link.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
