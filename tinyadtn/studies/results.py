"""The results of a sweep: a file of JSON lines, one per run, that survives crashes.

One process writes, with a lock that the system releases when the process dies. Every line is
written and synced as a whole. If a writer is killed, the next one removes its incomplete last line.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..compression.configure import options_of
from ..errors import TinyADTNError
from ..files.npz import is_stream
from ..tables import printable
from .configuration import configuration
from .spec import DEEPEST, run_key, too_deep

Record = dict[str, Any]
FIRST = b'{"row": "'  # every line begins with it


# The entries that tables and pictures need.
_ALWAYS = {"status": str, "row": str, "config": dict, "seed": int}
_FAILED = {"error": str}
_DONE = {"validation": float, "test": float, "model": int, "stored": dict, "encoded": list}


class ResultsFile:
    """A results file, locked and open for appending: ``with ResultsFile(path) as file:``.

    ``records`` are its records by ``run_key``; ``repaired`` describes a line that was removed.
    TinyADTNError if another sweep has locked the file, or if its content is not results.

    An editor, git or rsync may replace or change the file meanwhile. This is detected before the
    next line and at the end: the missing records are then added to the new file.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self.records: dict[str, Record] = {}
        self.repaired = ""
        self._own: dict[str, Record] = {}  # appended by this process

    def __enter__(self) -> ResultsFile:
        self._file = self._opened()
        try:
            self._lock()
            self._read_and_repair()
        except BaseException:
            os.close(self._file)
            raise
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        try:
            if kind is None:
                self._follow()
        finally:
            os.close(self._file)

    def append(self, record: Record) -> None:
        """Append one line and sync it to the disk."""
        line, new = _line(record), {_key_of(record): record}
        if not self._follow(new):
            self._write(line)
        self._own |= new
        self.records |= new

    def _opened(self) -> int:
        _refuse_stream(self.path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)

    def _write(self, line: bytes) -> None:
        size = os.fstat(self._file).st_size
        try:
            while line:
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)
        except OSError as error:  # a full disk leaves no incomplete line
            os.ftruncate(self._file, size)
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        finally:
            self._left = _stamp(os.fstat(self._file))

    def _follow(self, new: Mapping[str, Record] | None = None) -> bool:
        """Return whether the file was changed from outside; then add the records that it lacks.

        If that fails, write all records to a new file next to it and raise TinyADTNError.
        """
        with contextlib.suppress(OSError):
            if _stamp(self.path.stat()) == self._left:
                return False
        before, own = self.records, {**self._own, **(new or {})}
        try:
            file = self._opened()
            if not os.path.samestat(os.fstat(file), os.fstat(self._file)):
                os.dup2(file, self._file, inheritable=False)
            os.close(file)
            self._lock()
            self._read_and_repair()
            lacking = {k: r for k, r in before.items() if k not in self.records}
            lacking |= {k: r for k, r in own.items() if self.records.get(k) != r}
            self._write(b"".join(map(_line, lacking.values())))
        except (TinyADTNError, OSError) as error:
            kept = self.path.with_name(f"{self.path.name}.{os.getpid()}.kept")
            kept.write_bytes(b"".join(map(_line, {**before, **own}.values())))
            raise TinyADTNError(
                f"{self.path}: was changed while this sweep wrote to it, and cannot be gone on "
                f"with ({error}). All results are in {kept}: put that file in its place"
            ) from error
        self.records |= lacking
        if lacking:
            print(
                f"{printable(str(self.path))}: was changed while this sweep wrote to it; "
                f"{len(lacking)} results that it lacked are in it again"
            )
        return True

    def _read_and_repair(self) -> None:
        content = self.path.read_bytes()
        self.records, whole = _parsed(self.path, content)
        if whole < len(content):
            os.ftruncate(self._file, whole)
            self.repaired = (
                f"{self.path}: its last line was torn, as a sweep was killed while it wrote: "
                f"{len(content) - whole} bytes are removed, and that run is done again"
            )
        elif content and not content.endswith(b"\n"):  # an editor removed the line end
            os.write(self._file, b"\n")
        self._left = _stamp(os.fstat(self._file))

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError as error:
            raise TinyADTNError(
                "a sweep needs the file locks of Linux or macOS (on Windows: in WSL)"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TinyADTNError(
                f"{self.path}: another sweep is writing to it; wait for its end, or give this one "
                "a file of its own with --out"
            ) from error


def read_records(path: str | os.PathLike[str]) -> dict[str, Record]:
    """Return the records of a results file by ``run_key``, also while a sweep writes to it."""
    path = Path(path)
    _refuse_stream(path)
    return _parsed(path, path.read_bytes())[0]


def _line(record: Record) -> bytes:
    return (json.dumps(record, allow_nan=False) + "\n").encode()


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    """Return the values that change when a file is replaced or written to."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _refuse_stream(path: Path) -> None:
    if is_stream(path):
        raise TinyADTNError(f"{path}: is no ordinary file; results need one that can be read again")


def _parsed(path: Path, content: bytes) -> tuple[dict[str, Record], int]:
    """Return the last record of each run, and the number of bytes in complete lines."""
    records: dict[str, Record] = {}
    whole = 0
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        try:
            record = json.loads(line)
            _check(record)
        except (ValueError, RecursionError) as error:
            unfinished = isinstance(error, (json.JSONDecodeError, UnicodeDecodeError))
            if unfinished and not line.endswith(b"\n") and line.startswith(FIRST[: len(line)]):
                break  # the last line is incomplete
            why = f"nested more than {DEEPEST} deep" if isinstance(error, RecursionError) else error
            raise TinyADTNError(
                f"{path}, line {number}: no result of a sweep ({why}); is this the right file? "
                "A damaged line may be deleted: its run is then done again"
            ) from error
        records[_key_of(record)] = record
        whole += len(line)
    return records, whole


def _check(record: Any) -> None:
    """Raise ValueError for a line that no sweep wrote: entries that tables need must be there."""
    if not isinstance(record, dict):
        raise ValueError("a result is a table")
    if too_deep(record):
        raise ValueError(f"nested more than {DEEPEST} deep")
    needed = _ALWAYS | (_FAILED if record.get("status") == "failed" else _DONE)
    for name, kind in needed.items():
        if type(record.get(name)) is not kind:
            raise ValueError(
                f"{name} must be of type {kind.__name__}, got {record.get(name)!r:.60}"
            )


def _key_of(record: Record) -> str:
    """Return the key of a record's run; options that are newer than the record get their defaults.

    A configuration that no spec can describe any more keeps a key that no run has. An ADTN in a
    record without the option ``normalized`` is a plain one (see ``options_of``).
    """
    config, seed = record["config"], record["seed"]
    with contextlib.suppress(TinyADTNError, AttributeError, KeyError, TypeError):
        encode = {name: {**e, **options_of(e)} for name, e in config.get("encode", {}).items()}
        config = configuration("record", {**config, "encode": encode})
    return run_key(config, seed)
