"""How every benchmark here compares: all sides in turn, in one process, and ratios round by round.

A side is a function without arguments that does the whole job once. The order turns from round to
round, so that nobody always runs behind the same neighbour; a ratio is taken within its round, so
that a machine that slows down slows both. Shown are medians, with the quartiles of the times.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

PEERS = {  # module: what `pip install "tinyadtn[bench]"` calls it
    "torch": "torch",
    "mygrad": "MyGrad",
    "autograd": "HIPS autograd",
    "jax": "JAX",
}
PAUSE, TURN = 0.06, 0.05  # seconds
Clock = Callable[[], float]


def peer(module: str) -> ModuleType | None:
    """The peer's module; if it is not installed, that is said once and its columns stay empty."""
    try:
        return importlib.import_module(module)
    except ImportError:
        print(f"{PEERS[module]} is not installed: its column is empty")
        return None


def as_on_a_users_machine() -> None:
    """Start again without the variables that tie OpenBLAS to one CPU's kernels; print conditions.

    Call it first thing under ``if __name__ == "__main__"``.
    """
    forced = {name for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE") if name in os.environ}
    if forced:
        print(f"measured without {', '.join(sorted(forced))}", flush=True)
        environment = {k: v for k, v in os.environ.items() if k not in forced}
        sys.exit(subprocess.run([sys.executable, *sys.argv], env=environment).returncode)
    print(conditions(), flush=True)


def conditions() -> str:
    """What the times depend on: libraries, threads, the kernel of OpenBLAS, the machine's load."""
    threads = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS")
    said = [f"NumPy {np.__version__}, BLAS threads: {threads or f'all of {os.cpu_count()} cores'}"]
    torch = sys.modules.get("torch")
    if torch is not None:
        said.append(f"torch {torch.__version__}, threads: {torch.get_num_threads()}")
    said.append(f"kernel: {_kernel()}")
    if hasattr(os, "getloadavg"):
        said.append(f"load: {os.getloadavg()[0]:.1f}")
    return "; ".join(said)


def _kernel() -> str:
    """The CPU whose kernels OpenBLAS uses; the name of the BLAS where NumPy has another one."""
    for path in Path(np.__file__).parents[1].glob("numpy.libs/*openblas*"):
        name = getattr(ctypes.CDLL(str(path)), "scipy_openblas_get_corename64_", None)
        if name is not None:
            name.restype = ctypes.c_char_p
            return name().decode()
    return np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]


def rounds(
    sides: Mapping[str, Callable[[], Any] | None],
    *,
    seconds: float = 6.0,
    fewest: int = 5,
    clock: Clock = time.perf_counter,
) -> dict[str, np.ndarray]:
    """Seconds of a call in each round by side; sides that are None are missing and left out.

    ``clock=time.process_time`` suits sides with one thread on a machine that has other work.
    """
    present = {name: side for name, side in sides.items() if side is not None}
    for side in present.values():
        side()  # the first call pays for imports, buffers and compilation
    taken: dict[str, list[float]] = {name: [] for name in present}
    start, names = time.perf_counter(), list(present)
    while (count := len(taken[names[0]])) < fewest or (
        count < 200 and time.perf_counter() - start < seconds
    ):
        for k in range(len(names)):
            name = names[(k + count) % len(names)]
            taken[name].append(_turn(present[name], clock))
    return {name: np.array(values) for name, values in taken.items()}


def _turn(side: Callable[[], Any], clock: Clock) -> float:
    """Seconds of a call: of one that takes long, or the mean of as many as fit into TURN.

    Idle threads of a BLAS or of OpenMP spin for some 30 ms before they sleep: on two cores they
    would take one from the next side. So everybody waits before his turn, and wakes his own threads
    with a call that is not timed.
    """
    time.sleep(PAUSE)
    start = clock()
    side()
    alone = clock() - start
    if alone > TURN:
        return alone
    start, calls = clock(), 0
    while (passed := clock() - start) < TURN:
        side()
        calls += 1
    return passed / calls


def milliseconds(seconds: np.ndarray) -> str:
    """'median (lower quartile-upper quartile)' in ms."""
    low, middle, high = np.percentile(seconds * 1e3, [25, 50, 75])
    return f"{_short(middle)} ({_short(low)}-{_short(high)})"


def ratio(seconds: np.ndarray, reference: np.ndarray) -> str:
    """The median over the rounds of seconds / reference."""
    return _short(float(np.median(seconds / reference)))


def _short(x: float) -> str:
    """Three digits."""
    return f"{x:.3f}" if x < 0.1 else f"{x:.2f}" if x < 10 else f"{x:.0f}"


def difference(result: Any, wanted: Any) -> float:
    """The largest error of any array of a list, in units of the largest number of that array."""
    pairs = zip(result, wanted, strict=True)
    return max(np.abs(np.asarray(a) - b).max() / np.abs(b).max() for a, b in pairs)


def print_row(cells: list[Any], widths: list[int]) -> None:
    """One line of a table: the first cell to the left, the others to the right."""
    first, *others = map(str, cells)
    shown = [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(others, widths[1:]))]
    print("".join(shown).rstrip(), flush=True)
