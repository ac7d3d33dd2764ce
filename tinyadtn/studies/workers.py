"""Workers of a sweep: processes on this machine, or an executor that the caller passes.

Both yield (run, result) in the order in which runs end. A run that fails has a result. The run of a
worker that dies has no result; another worker does it.
"""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import TinyADTNError
from ..limits import keep_freed_memory
from .run import failure, run_one
from .spec import PlannedRun

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Result = dict[str, Any]
Results = Generator[tuple[PlannedRun, Result], None, Any]
PATIENCE = "10s"  # the longest wait for a Dask scheduler to answer and to have a worker
LOOK_SECONDS = 10  # time without a result before the workers are checked

# Every BLAS library reads one of these once, when it is loaded.
BLAS_THREADS = (
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "OMP_NUM_THREADS",
)


# --- processes on this machine -------------------------------------------------------------------


def on_processes(
    runs: Sequence[PlannedRun], device: str, workers: int, blas_threads: int
) -> Results:
    """Return the results of the runs from a pool of processes that is replaced when it breaks.

    A pool breaks when one of its processes dies, and does not report which. So each unfinished run
    is repeated in a separate pool; a run that breaks this pool too is a failed run. Leaving the
    loop ends the processes at once.
    """
    waiting = deque(runs)
    while waiting:
        for run in (yield from _until_broken(waiting, device, workers, blas_threads)):
            if (yield from _until_broken(deque([run]), device, 1, blas_threads)):
                died = "its process died twice, killed from outside or for lack of memory"
                yield run, failure(RuntimeError(died))


def _until_broken(
    waiting: deque[PlannedRun], device: str, workers: int, blas_threads: int
) -> Results:
    """Yield results until all runs are done or a process dies; return the unfinished runs."""
    doing: dict[Future, PlannedRun] = {}
    lost: list[PlannedRun] = []
    with _pool(min(workers, len(waiting)), blas_threads) as pool:
        while doing or (waiting and not lost):
            while waiting and not lost and len(doing) < workers:
                run = waiting.popleft()
                try:
                    doing[pool.submit(run_one, run.located, run.seed, device)] = run
                except BrokenExecutor:  # a process died before it got a run
                    lost.append(run)
            for future in wait(doing, return_when=FIRST_COMPLETED).done:
                run = doing.pop(future)
                if isinstance(future.exception(), BrokenExecutor):
                    lost.append(run)
                else:
                    yield run, future.result()
    return lost


@contextmanager
def _pool(workers: int, blas_threads: int) -> Iterator[Executor]:
    """Yield a pool of new processes that end when this process ends, even if it is killed."""
    # Only a sweep needs these two modules, whose import is slow.
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context("spawn")  # a fork would inherit a running BLAS
    ours, theirs = context.Pipe(duplex=False)
    with _environment(dict.fromkeys(BLAS_THREADS, str(blas_threads))):
        pool = ProcessPoolExecutor(
            workers, mp_context=context, initializer=_begin, initargs=(ours,)
        )
        try:
            try:
                pool.submit(os.getpid).result()
            except BrokenExecutor as error:
                raise TinyADTNError(
                    "a worker process could not start; in a script, call ta.sweep under "
                    '`if __name__ == "__main__":`, because every worker reads the script first'
                ) from error
            yield pool
        except BaseException:
            theirs.close()  # end them now; unfinished runs are repeated later
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            theirs.close()
            ours.close()


def _begin(parent: Connection) -> None:
    """Initialize a worker: ignore Ctrl-C, and exit when the parent process ends."""
    from multiprocessing import connection

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()

    def watch() -> None:
        connection.wait([parent])  # nothing is sent; it is ready when the parent closes its end
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ[name] for name in values if name in os.environ}
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            os.environ.pop(name, None)
        os.environ.update(before)


# --- any executor --------------------------------------------------------------------------------


def on_executor(runs: Sequence[PlannedRun], device: str, executor: Executor) -> Results:
    """Return the results of the runs from an executor that the caller makes and closes.

    ``run_one`` does not raise, so an exception of a future is an error of the executor, and its run
    has no result. The other runs continue, and a TinyADTNError at the end reports the missing runs
    and the cause. A run that Dask abandons after several workers died counts as failed.
    """
    futures = {executor.submit(run_one, run.located, run.seed, device): run for run in runs}
    undone: list[tuple[PlannedRun, BaseException]] = []
    try:
        for future in _as_completed(futures, executor):
            run = futures[future]
            try:
                result = future.result()
            except Exception as error:
                if type(error).__name__ != "KilledWorker":
                    undone.append((run, error))
                    continue
                result = failure(error)
            yield run, result
    finally:
        for future in futures:
            future.cancel()
    if undone:
        run, why = undone[0]
        count = "one run was" if len(undone) == 1 else f"{len(undone)} runs were"
        raise TinyADTNError(
            f"{count} not done, for the executor failed: {type(why).__name__}: {why} "
            f"({run.label}, seed {run.seed}). What is done is kept; the same call goes on"
        )


def _as_completed(futures: Iterable[Future], executor: Executor) -> Iterator[Future]:
    """Yield the futures as they end; warn if a Dask cluster has no workers."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
        yield from done
        dask = getattr(getattr(executor, "_client", None), "scheduler_info", None)
        if not done and dask is not None and not dask()["workers"]:
            warnings.warn(
                "this Dask cluster has no worker, so the sweep waits for one: start it with "
                f"`dask worker {dask().get('address')}`",
                stacklevel=2,
            )


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """Yield an executor for the cluster whose Dask scheduler listens at dask://HOST:PORT.

    Its workers need tinyadtn and the data. OSError if no scheduler answers, TinyADTNError if it has
    no worker.
    """
    scheme, _, place = address.partition("://")
    if scheme != "dask" or not place:
        raise TinyADTNError(f"an executor is dask://HOST:PORT, got {address!r}")
    try:
        from distributed import Client
        from distributed import TimeoutError as NoWorkerError
    except ImportError as error:
        raise ImportError("Dask is not installed: pip install 'dask[distributed]'") from error
    with Client(f"tcp://{place}", timeout=PATIENCE, set_as_default=False) as client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except NoWorkerError as error:
            raise TinyADTNError(
                f"the Dask scheduler at {address} has no worker; start some with "
                f"`dask worker tcp://{place}`"
            ) from error
        yield client.get_executor(pure=False)
