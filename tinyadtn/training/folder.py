"""The folder of a training run: one run writes to it, and no earlier run is overwritten.

Two runs in one folder would replace each other's files. So the folder is locked during a run, and a
folder that holds an earlier run is rejected unless the caller passes ``overwrite=True``.
"""

from __future__ import annotations

import errno
import os
import tempfile
import weakref
from pathlib import Path

from ..errors import TinyADTNError
from ..files.atomic import lock, require_name

STATES = ("last.npz", "best.npz", "previous.npz")

_open_here: weakref.WeakValueDictionary[Path, RunFolder] = weakref.WeakValueDictionary()


def writable_folder(folder: str | os.PathLike[str]) -> Path:
    """Create the folder if necessary, and test that files can be written in it; return its path."""
    require_name(folder)
    folder = Path(folder)
    if not folder.is_dir() and os.path.lexists(folder):
        raise NotADirectoryError(
            errno.ENOTDIR, "Is a file, not a folder; choose another name", str(folder)
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass
    return folder


def require_free(folder: Path, names: tuple[str, ...] = STATES, hint: str = "") -> None:
    """Raise TinyADTNError if the folder holds one of these files, which a run would overwrite."""
    found = [name for name in names if (folder / name).exists()]
    if found:
        raise TinyADTNError(
            f"{folder} holds an earlier run ({', '.join(found)}); name another folder{hint}"
        )


class RunFolder:
    """A writable folder, locked against other processes until it is closed.

    In one process the newest run owns the folder. A run that was interrupted in a notebook may stay
    alive in the traceback; it must neither block the next run nor overwrite its files.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.path = writable_folder(folder)
        self._key = self.path.resolve()
        earlier = _open_here.get(self._key)
        self._lock: int | None = earlier._lock if earlier else _lock(self.path)
        if earlier:
            earlier._lock = None
        _open_here[self._key] = self

    @property
    def mine(self) -> bool:
        """Whether this run owns the folder, because no newer run of this process uses it."""
        return _open_here.get(self._key) is self

    def close(self) -> None:
        """Let other runs use the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self.mine:
            del _open_here[self._key]

    def __del__(self) -> None:
        if (lock := getattr(self, "_lock", None)) is not None:  # without a lock it was rejected
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """Return a file descriptor that holds the lock; None where the system has no such locks."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows does not open folders
        return None
    held = lock(descriptor)
    if held:
        return descriptor
    os.close(descriptor)
    if held is None:
        return None
    raise TinyADTNError(
        f"{folder}: another training run is writing to it; wait until it ends, or name another "
        "folder"
    )
