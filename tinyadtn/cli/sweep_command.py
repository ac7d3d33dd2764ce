"""The command ``tinyadtn sweep``: its checks and its output."""

from __future__ import annotations

import contextlib
import os
from argparse import Namespace
from pathlib import Path

from .. import draw
from ..errors import TinyADTNError
from ..studies.results import Record, read_records
from ..studies.spec import Spec, read_spec
from ..studies.sweep import check_executor, preview, results_path, sweep
from ..studies.table import by_label, pivot_table, plot, preview_table, table
from ..studies.workers import dask_executor
from ..tables import printable
from ..training.folder import writable_folder
from .outputs import check_picture
from .terminal import as_typed, program, say, words_of

# The options that a command to copy repeats, unless they have their defaults.
WHAT, WHERE = ("out", "rows"), ("executor", "workers", "blas_threads", "device")
SHOWN = ("best", "markdown", "pivot", "split", "digits")


def run_sweep(options: Namespace) -> int:
    """Do the runs of a spec, or only list them, or only show their results."""
    spec = read_spec(options.spec, rows=options.rows)
    out = results_path(spec, options.out)
    if options.plot is not None:  # the picture with the name of the results is the sweep's own
        own = os.path.realpath(options.plot) == os.path.realpath(out.parent / f"{out.stem}.png")
        check_picture(options.plot, own or options.overwrite, options.spec, out)
    if options.split is not None and options.pivot is None:
        raise TinyADTNError("--split goes with --pivot: without it, the table shows both splits")
    _table(options, spec, {})  # a wrong table option raises before any run
    records = read_records(out) if out.exists() else {}
    if options.dry_run:
        say(f"{_headline(spec, out, records)}\n\n{preview_table(spec, preview(spec), records)}")
        say(f"\nNext: {_again(options)}")
        return 0
    if options.plot is not None:
        writable_folder(Path(options.plot).parent)
    if not (options.table or options.plot is not None):
        check_executor(options.executor, options.workers, options.blas_threads, options.device)
        preview(spec)  # errors are raised before the headline is printed
        say(_headline(spec, out, records))
        records = _do(options, spec, out)
        say("")
    if not any(run.key in records for run in spec.runs):
        given = " and ".join(f"--{name}" for name in ("table", "plot") if getattr(options, name))
        raise TinyADTNError(f"{out} holds no run of {spec.name}; first do some, without {given}")
    say(_table(options, spec, records))
    if options.plot is not None:
        draw.save(plot(spec, records), options.plot)
        say(f"\n{printable(options.plot)}")
    code = _tell_failures(options, spec, records)
    if code == 0 and not options.table and options.plot is None:
        say(f"\nNext: {_again(options, '--table', '--plot', str(out.with_suffix('.png')))}")
    return code


def _table(options: Namespace, spec: Spec, records: dict[str, Record]) -> str:
    said = {"best": options.best, "digits": options.digits}
    if options.pivot is not None:
        split = options.split or "test"
        return pivot_table(spec, records, options.pivot, split=split, **said)
    return table(spec, records, markdown=options.markdown, **said)


def _headline(spec: Spec, out: Path, records: dict[str, Record]) -> str:
    known = {run.key for run in spec.runs}
    failed = sum(records[key]["status"] == "failed" for key in known & records.keys())
    done = f"{len(known & records.keys()) - failed} done{f', {failed} failed' if failed else ''}"
    runs = "1 run" if len(spec.runs) == 1 else f"{len(spec.runs)} runs"
    labels = len(by_label(spec))
    rows = "1 row" if labels == 1 else f"{labels} rows"
    others = len(records.keys() - known)
    others_too = f", which also holds {others} of other specs or rows" if others else ""
    return printable(f"{spec.name}: {runs} in {rows}, {done}; results in {out}{others_too}")


def _do(options: Namespace, spec: Spec, out: Path) -> dict[str, Record]:
    with contextlib.ExitStack() as stack:
        executor = options.executor and stack.enter_context(dask_executor(options.executor))
        try:
            sweep(
                spec,
                out,
                executor=executor,
                workers=options.workers,
                blas_threads=options.blas_threads,
                device=options.device,
                retry_failed=options.retry_failed,
                show_progress=not options.quiet,
            )
        except KeyboardInterrupt:
            records = read_records(out) if out.exists() else {}
            done = sum(run.key in records for run in spec.runs)
            state = f"{done} of {len(spec.runs)} runs are in {printable(str(out))}"
            say(f"\nstopped: {state}; unfinished runs begin again.")
            say(f"Go on with\n  {_again(options)}")
            raise
    return read_records(out)


def _again(options: Namespace, *more: str) -> str:
    """Return the command that does the remaining runs."""
    return as_typed(
        [program(), "sweep", options.spec, *words_of(options, *WHAT, *WHERE, *SHOWN), *more]
    )


def _tell_failures(options: Namespace, spec: Spec, records: dict[str, Record]) -> int:
    failed = [
        (run, records[run.key])
        for run in spec.runs
        if records.get(run.key, {}).get("status") == "failed"
    ]
    for run, record in failed:
        say(f"\nfailed: {run.label}, seed {run.seed}: {printable(record['error'])}")
    if failed:
        say(f"\nonce the reason is gone: {_again(options, '--retry-failed')}")
    return 1 if failed else 0
