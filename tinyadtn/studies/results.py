"""The results of a sweep: a file of JSON lines, one per run, that survives crashes.

One process writes, with a lock that the system releases when the process dies. Every line is
written and synced as a whole. If a writer is killed, the next one removes its incomplete last line.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..compression.configure import options_of
from ..errors import TinyADTNError
from ..files.npz import is_stream
from ..tables import printable
from .configuration import configuration
from .spec import DEEPEST, run_key, too_deep

Record = dict[str, Any]
Rule = tuple[str, Callable[[Any], bool]]  # requirement in words, and its test
FIRST = b'{"row": "'  # every line begins with it


def _whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def _identity(value: Any) -> bool:
    named = isinstance(value, dict) and isinstance(value.get("name"), str)
    return named and isinstance(value.get("sha256"), str) and _whole(value.get("images"))


_TEXT: Rule = ("text", lambda v: isinstance(v, str))
_WHOLE: Rule = ("a whole number from 0 up", _whole)
_SHARE: Rule = ("a share from 0 to 1", lambda v: type(v) in (int, float) and 0 <= v <= 1)
_TABLE: Rule = ("a table", lambda v: isinstance(v, dict))
_NAMES: Rule = ("names", lambda v: isinstance(v, list) and all(isinstance(n, str) for n in v))
_SIZES: Rule = ("whole numbers", lambda v: isinstance(v, dict) and all(map(_whole, v.values())))
_STATUS: Rule = ("done or failed", lambda v: v in ("done", "failed"))
_DATA: Rule = ("a table with name, images and sha256", _identity)
_ALWAYS = {"status": _STATUS, "row": _TEXT, "config": _TABLE, "seed": _WHOLE}
_FAILED = {"error": _TEXT}
_DONE = {
    "validation": _SHARE, "test": _SHARE, "model": _WHOLE, "stored": _SIZES, "encoded": _NAMES
}  # fmt: skip
_SINCE_IT_IS_RECORDED = {
    "data": _DATA, "dense_sha256": _TEXT,
    "classes": ("a whole number from 1 up", lambda v: _whole(v) and v > 0),
}  # fmt: skip


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
    rules = _ALWAYS | (_FAILED if record.get("status") == "failed" else _DONE)
    rules |= {name: rule for name, rule in _SINCE_IT_IS_RECORDED.items() if name in record}
    for name, (what, fits) in rules.items():
        if name not in record:
            raise ValueError(f"{name} is missing")
        if not fits(record[name]):
            raise ValueError(f"{name} must be {what}, got {record[name]!r:.60}")


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
