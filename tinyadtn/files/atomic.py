"""Write a file atomically: a crash or a full disk leaves the old file unchanged."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import TinyADTNError
from .npz import is_stream


@contextlib.contextmanager
def replacing(path: Path, *, keep: Path | None = None) -> Iterator[Any]:
    """Open a temporary file that replaces ``path`` once it is complete and synced to the disk.

    A symbolic link stays, and the file that it points to is replaced. ``keep`` is a file name under
    which the old content of ``path`` is kept. Several threads or processes may write to one path:
    the last to finish wins. ``OSError`` with the path if it is not an ordinary file (a folder, a
    pipe, a device), if it is read-only, and for every error of the system.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "There is no such folder", str(target.parent))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a folder; add the name of a file", str(path))
    if is_stream(target) or target.is_symlink():
        raise OSError(errno.EINVAL, "Is not an ordinary file; choose another name", str(path))
    if target.exists() and not target.stat().st_mode & 0o222:  # root could write to it
        raise PermissionError(
            errno.EACCES, "Is read-only; make it writable, or choose another name", str(path)
        )
    temporary = held = None
    try:
        _remove_stale(target)
        file, held = _temporary_file(target)
        temporary = Path(file.name)
        with file:
            if target.exists():
                temporary.chmod(target.stat().st_mode & 0o777)
            yield file
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and target.exists():
            _second_name(target, keep)
        temporary.replace(target)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and str(error.filename or ".tmp").endswith(".tmp"):
            error.filename, error.filename2 = str(path), None  # a full disk, for example
        raise
    finally:
        if held is not None:
            os.close(held)
    with contextlib.suppress(OSError):  # some systems cannot sync a folder
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def require_name(path: str | os.PathLike[str]) -> None:
    """Raise TinyADTNError for an empty name, and for a ~, which would become a folder called ~."""
    text = os.fspath(path)
    if not text:  # as a shell gives a variable that is not set
        raise TinyADTNError("the name of the file or folder is empty; name one, or . for this one")
    if os.path.expanduser(text) != text:  # noqa: PTH111 - Path has no text with "."
        raise TinyADTNError(f"{text}: ~ is not replaced; give os.path.expanduser({text!r})")


def lock(descriptor: int) -> bool | None:
    """Lock an open file until it is closed; return False if another process holds the lock.

    None where there are no such locks: on Windows, and on some file systems.
    """
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return None
    return True


def _temporary_file(path: Path) -> tuple[Any, int | None]:
    """Return a new file next to ``path``, and a lock on it: its writer is alive."""
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        file = temporary.open("xb")
        held = lock(file.fileno())
        if held is not False and temporary.exists():
            return file, os.dup(file.fileno()) if held else None  # until it is closed and renamed
        file.close()  # another writer removed it as stale before it was locked


def _remove_stale(path: Path) -> None:
    """Remove the temporary files without a lock, whose writers were killed."""
    random = "[0-9a-f]" * 8  # other names are those of users
    for stale in path.parent.glob(f".{glob.escape(path.name)}.{random}.tmp"):
        with contextlib.suppress(OSError), stale.open("r+b") as file:
            if lock(file.fileno()):
                stale.unlink()


def _second_name(path: Path, keep: Path) -> None:
    """Give the file a second name, so that it has a name at every moment."""
    link = keep.with_name(f".{keep.name}.link")
    link.unlink(missing_ok=True)
    try:
        try:
            link.hardlink_to(path)
        except OSError:  # a file system without links
            shutil.copyfile(path, link)
        link.replace(keep)
    finally:  # if both are names of the same file, replacing does nothing
        link.unlink(missing_ok=True)
