"""The results of a sweep: a file of JSON lines, one a run, that survives whatever happens.

One process writes, under a lock that the system drops when the process dies. A line is written and
synced whole; what a killed writer may have left of its last line is cut off by the next one.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..compression.configure import options_of
from ..errors import TinyADTNError
from ..files.npz import is_stream
from .config import DEEPEST, configuration, too_deep
from .spec import run_key

Record = dict[str, Any]
FIRST = b'{"row": "'  # every line begins so, and what is left of one too
_NOT_JSON = (json.JSONDecodeError, UnicodeDecodeError)


class ResultsFile:
    """``with ResultsFile(path) as file:`` holds the file alone, and appends to it.

    ``records`` is what is in it, by ``run_key``; ``repaired`` says what was cut off, if anything.
    TinyADTNError if another sweep holds it, or if it holds something else.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self.records: dict[str, Record] = {}
        self.repaired = ""

    def __enter__(self) -> ResultsFile:
        _refuse_stream(self.path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            self._lock()
            self._read_and_repair()
        except BaseException:
            os.close(self._file)
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._file)

    def append(self, record: Record) -> None:
        """Write one line, whole, and wait until it is on the disk."""
        line = (json.dumps(record, allow_nan=False) + "\n").encode()
        size = os.fstat(self._file).st_size
        try:
            while line:
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)
        except OSError as error:  # a full disk leaves no half line behind
            os.ftruncate(self._file, size)
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        self.records[_key_of(record)] = record

    def _read_and_repair(self) -> None:
        content = self.path.read_bytes()
        self.records, whole = _parsed(self.path, content)
        torn = content[whole:]
        if torn:
            os.ftruncate(self._file, whole)
            self.repaired = (
                f"{self.path}: its last line was torn, as a sweep was killed while it wrote: "
                f"{len(torn)} bytes are removed, and that run is done again"
            )
        elif content and not content.endswith(b"\n"):  # an editor's doing
            os.write(self._file, b"\n")

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
    """What is in a results file, by ``run_key``, also while a sweep writes to it."""
    path = Path(path)
    _refuse_stream(path)
    return _parsed(path, path.read_bytes())[0]


def _refuse_stream(path: Path) -> None:
    if is_stream(path):
        raise TinyADTNError(f"{path}: is no ordinary file; results need one that can be read again")


def _parsed(path: Path, content: bytes) -> tuple[dict[str, Record], int]:
    """The records, of each run the last, and how many bytes hold whole lines."""
    records = {}
    whole = 0
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        try:
            record = json.loads(line)
            _check(record)
        except (ValueError, RecursionError) as error:
            unfinished = isinstance(error, _NOT_JSON) and not line.endswith(b"\n")
            if unfinished and line.startswith(FIRST[: len(line)]):
                break  # the last line, torn
            why = f"nested more than {DEEPEST} deep" if isinstance(error, RecursionError) else error
            raise TinyADTNError(
                f"{path}, line {number}: no result of a sweep ({why}); is this the right file? "
                "A damaged line may be deleted: its run is then done again"
            ) from error
        records[_key_of(record)] = record
        whole += len(line)
    return records, whole


def _check(record: Any) -> None:
    """ValueError for what a table could not be made of."""
    if not isinstance(record, dict):
        raise ValueError("a result is a table")
    if too_deep(record):
        raise ValueError(f"nested more than {DEEPEST} deep")
    _require(record, "status", "done or failed", lambda status: status in ("done", "failed"))
    _require(record, "row", "text", _is_text)
    _require(record, "config", "a table", lambda config: isinstance(config, dict))
    _require(record, "seed", "a whole number from 0 up", _is_whole)
    if "data" in record:  # results from before it was recorded have none
        _require(record, "data", "a table with name, images and sha256", _is_identity)
    if record["status"] == "failed":
        _require(record, "error", "text", _is_text)
        return
    for name in ("validation", "test"):
        _require(record, name, "a share from 0 to 1", _is_share)
    _require(record, "model", "a whole number from 0 up", _is_whole)
    _require(
        record,
        "stored",
        "whole numbers from 0 up, by layer",
        lambda stored: isinstance(stored, dict) and all(map(_is_whole, stored.values())),
    )
    _require(
        record,
        "encoded",
        "names of layers",
        lambda names: isinstance(names, list) and all(map(_is_text, names)),
    )


def _require(record: Record, name: str, what: str, fits: Callable[[Any], bool]) -> None:
    if name not in record:
        raise ValueError(f"{name} is missing")
    if not fits(record[name]):
        raise ValueError(f"{name} must be {what}, got {record[name]!r:.60}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_identity(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _is_text(value.get("name"))
        and _is_whole(value.get("images"))
        and _is_text(value.get("sha256"))
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def _key_of(record: Record) -> str:
    """The key of a record's run; an option that is younger than the record has its default.

    A configuration that cannot be asked for any more keeps its place, and no spec has it. An ADTN
    whose record does not say whether it is ``normalized`` is not (see ``options_of``).
    """
    config, seed = record["config"], record["seed"]
    with contextlib.suppress(TinyADTNError, AttributeError, KeyError, TypeError):
        encode = {name: {**e, **options_of(e)} for name, e in config.get("encode", {}).items()}
        config = configuration("record", {**config, "encode": encode})
    return run_key(config, seed)
