"""Do many runs on many workers and write one results file.

    ta.sweep("study.toml")                                  # processes of this machine
    ta.sweep("study.toml", executor=client.get_executor())  # a Dask cluster, or any Executor

The record of each run is appended to the results as soon as it ends. Runs that have a record are
not done again, so a sweep that was stopped or killed continues where it was.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..autodiff.arrays import require_device
from ..data.splits import hash_of
from ..errors import SizeLimitError, TinyADTNError
from ..files.atomic import require_name
from ..limits import memory_limit
from ..progress import progress
from ..tables import grouped, printable
from ..training.memory import GIB
from .results import Record, ResultsFile
from .run import Preview, check, dense_beginning, loaded
from .spec import PlannedRun, Spec, read_spec
from .workers import Result, Results, on_executor, on_processes


def sweep(
    spec: str | os.PathLike[str] | Mapping[str, Any] | Spec,
    out: str | os.PathLike[str] | None = None,
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    blas_threads: int | None = None,
    device: str = "cpu",
    rows: Iterable[str] = (),
    retry_failed: bool = False,
    show_progress: bool = True,
) -> list[Record]:
    """Do the runs of a spec that ``out`` does not contain yet; return all records in order.

    ``spec`` is a TOML file (see ``spec``) or its content; ``rows`` are names or patterns of the
    rows to use. ``out`` is a file of JSON lines, one per run; the default is the spec's name with
    ``.jsonl``. The runs are done by ``workers`` processes (default: one per core), each with
    ``blas_threads`` BLAS threads (default: 1), or by an ``executor`` with the interface of
    ``concurrent.futures``, which the caller makes and closes. With ``device="cuda"`` each run
    computes on a GPU, and ``workers`` defaults to 1. In a script, call ``sweep`` under
    ``if __name__ == "__main__":``, which multiprocessing requires.

    A run that raises is recorded as "failed" with its error, and the other runs continue;
    ``retry_failed`` repeats failed runs. A run whose worker died is done again. After Ctrl-C or a
    kill, the same call continues the sweep. TinyADTNError before the first run for a wrong row, if
    another sweep writes to ``out``, and if ``out`` has runs on other data, or with another dense
    network, of the same name.

    >>> import tempfile
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> spec = {"network": "fc2", "epochs": 1, "rows": {"adtn": {"encode": {"fc1": 2}}}}
    >>> with ThreadPoolExecutor(1) as one, tempfile.TemporaryDirectory() as folder:
    ...     (record,) = sweep(spec, f"{folder}/r.jsonl", executor=one, show_progress=False)
    >>> record["stored"], record["test"] > 0.2
    ({'fc1': 436, 'fc2': 2560}, True)
    """
    plan = spec if isinstance(spec, Spec) else read_spec(spec, rows=rows)
    check_executor(executor, workers, blas_threads, device)
    workers = min(workers or (cores() if device == "cpu" else 1), len(plan.runs))
    try:
        previews = preview(plan)
        if executor is None:
            _refuse_too_many(workers, previews.values())
        with ResultsFile(results_path(plan, out)) as file:
            if file.repaired:
                print(printable(file.repaired))
            runs = [_with_content(run, previews[run.label]) for run in plan.runs]
            _refuse_other_content(file, runs, previews)
            todo = _sharing(run for run in runs if not _is_done(run, file.records, retry_failed))
            if executor is None:
                results = on_processes(todo, device, workers, blas_threads or 1)
            else:
                results = on_executor(todo, device, executor)
            _record(results, file, len(runs), len(runs) - len(todo), show_progress)
        return [file.records[run.key] for run in runs]
    finally:
        loaded.cache_clear()  # before the next sweep the data may change


def _record(results: Results, file: ResultsFile, total: int, done: int, show: bool) -> None:
    """Append each result to the file as soon as it is there."""
    bar = progress(results, total=total, initial=done, label="sweep", note=_note, show=show)
    try:
        for run, result in bar:
            head = {"row": run.row, "label": run.label, "config": run.config, "seed": run.seed}
            if "data" in result:  # the name in the spec, without the folder
                result = {**result, "data": {**result["data"], "name": run.config["data"]}}
            file.append({**head, **result})
    finally:
        results.close()  # ends the workers now, not at garbage collection


def check_executor(
    executor: Any, workers: int | None, blas_threads: int | None, device: str
) -> None:
    """Raise TinyADTNError for an executor together with settings of the process pool.

    DeviceError for a missing device; the workers of an executor check it themselves.
    """
    if executor is None:
        require_device(device)
    elif (workers, blas_threads) != (None, None):
        raise TinyADTNError("an executor has workers of its own: leave workers, blas_threads out")


def preview(spec: Spec) -> dict[str, Preview]:
    """Return a preview of the runs of each label; TinyADTNError for the first impossible run."""
    known: dict[str, Preview] = {}
    for run in spec.runs:
        if run.label not in known:
            try:
                known[run.label] = check(run.located)
            except TinyADTNError as error:
                raise type(error)(f"{spec.name}: {run.label}: {error}") from error
            except (OSError, MemoryError):
                raise
            except Exception as error:  # also what a network or an encoding of the user raises
                kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
                raise TinyADTNError(f"{spec.name}: {run.label}: {kind}{error}") from error
    if spec.whole and not isinstance(spec.count, str):
        stored = [name for preview in known.values() for name in preview.stored["stored"]]
        layers = dict.fromkeys(layer for name in stored for layer in name.split("+"))
        for name in spec.count:
            if name not in layers:
                raise TinyADTNError(
                    f"{spec.name}: count: no row has {name!r} (there is {', '.join(layers)})"
                )
    return known


def results_path(spec: Spec, out: str | os.PathLike[str] | None) -> Path:
    """Return the path of the results file: ``out``, or by default next to the spec."""
    if out is not None:
        require_name(out)
        return Path(out)
    if spec.path is None:
        raise TinyADTNError("name a file for the results: this spec is no file to put them beside")
    return spec.path.with_suffix(".jsonl")


def cores() -> int:
    """Return the number of processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not available on every system
        return os.cpu_count() or 1


def _is_done(run: PlannedRun, records: Mapping[str, Record], retry_failed: bool) -> bool:
    record = records.get(run.key)
    return record is not None and not (retry_failed and record["status"] == "failed")


def _with_content(run: PlannedRun, known: Preview) -> PlannedRun:
    hashes = {"data": known.data["all_sha256"], "dense": known.dense_sha256}
    return replace(run, content={name: sha for name, sha in hashes.items() if sha is not None})


def _refuse_other_content(
    file: ResultsFile, runs: Iterable[PlannedRun], previews: Mapping[str, Preview]
) -> None:
    """Compare the hashes in each record, because a file of the same name may have changed.

    An old record without a hash is not compared and counts as done.
    """
    now = {run.config["data"]: previews[run.label].data for run in runs}
    networks = {str(run.config.get("dense")): run.content.get("dense") for run in runs}
    for record in file.records.values():
        data, dense = record.get("data", {}), record["config"].get("dense")
        name = data.get("name")
        hashes = {
            f"data {name}": (hash_of(data, data), hash_of(now.get(name, {}), data)),
            f"dense {dense}": (record.get("dense_sha256"), networks.get(str(dense))),
        }
        for name, (sha256, found) in hashes.items():
            if sha256 and found and sha256 != found:
                raise TinyADTNError(
                    f"{file.path}: has runs on {name} (SHA-256 {sha256[:8]}…), but that is "
                    f"something else now (SHA-256 {found[:8]}…); give it what it began with, or "
                    "this sweep a file of its own with --out"
                )


def _sharing(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """Return the runs in order, but group those that begin with the same trained dense network.

    A worker caches the last of these networks, so it rarely trains one twice.
    """
    groups = grouped(runs, lambda run: dense_beginning(run.config, run.seed) or run.key)
    return [run for group in groups.values() for run in group]


def _note(item: tuple[PlannedRun, Result]) -> str:
    run, result = item
    if result["status"] == "failed":
        return f"{run.label}, seed {run.seed}: failed"
    return f"{run.label}, seed {run.seed}: validation {100 * result['validation']:.2f} %"


def _refuse_too_many(workers: int, runs: Iterable[Preview]) -> None:
    largest = max(run.memory.total for run in runs)
    if workers > 1 and workers * largest > memory_limit():
        raise SizeLimitError(
            f"{workers} workers may take {workers} × {largest / GIB:.1f} GiB, the limit here is "
            f"{memory_limit() / GIB:.1f} GiB (three quarters of the memory); "
            f"use workers={max(1, memory_limit() // largest)}, on the command line --workers"
        )
