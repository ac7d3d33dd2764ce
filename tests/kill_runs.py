"""Kill -9 at random moments of a training run that saves after every step, again and again.

    python tests/kill_runs.py 100

Every run is killed once at a random moment, from before its first import to after its last save,
and half of the runs once more after they went on. Then it goes on to its end, and its checkpoints
must hold the very same bits as those of a run that nobody killed.
"""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from test_resume import same_state  # noqa: E402

from tinyadtn.errors import CheckpointError  # noqa: E402
from tinyadtn.files.state import read_state  # noqa: E402

# A network with running statistics, dropout and random crops; 12 steps, each of them saved.
RUN = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
import numpy as np, tinyadtn as ta
from pathlib import Path
from test_resume import convolutional

rng = np.random.default_rng(0)
def split(count):
    return ta.Split(rng.random((count, 1, 28, 28), np.float32), rng.integers(0, 10, count))
data = ta.Data(split(60), split(20), split(20), tuple("0123456789"))
out = Path(sys.argv[1])
found = [name for name in ("last.npz", "previous.npz") if (out / name).exists()]
plan = {{"epochs": 4, "batch_size": 20, "augment": True, "overwrite": True}}
how = {{"resume": out / found[0]}} if found else plan
for step in ta.train(convolutional(), data, out=out, save_minutes=0, **how):
    pass
"""


@dataclasses.dataclass
class Tally:
    """What the kills hit."""

    runs: int = 0
    kills: int = 0
    before_the_first_save: int = 0
    between_saves: int = 0
    inside_a_save: int = 0  # seen by the part file that was left
    after_the_end: int = 0
    differ: list = dataclasses.field(default_factory=list)

    def hit_enough(self) -> bool:
        """Whether the kills came where they can do harm: kills after the end prove nothing.

        Those are a quarter on a busy machine, as a run that goes on is shorter than a whole one.
        """
        return 10 * self.inside_a_save >= self.kills and 3 * self.after_the_end <= self.kills

    def __str__(self) -> str:
        return (
            f"{self.runs} runs, {self.kills} kills: {self.before_the_first_save} before the first "
            f"save, {self.between_saves} between saves, {self.inside_a_save} inside one, "
            f"{self.after_the_end} after the end; {self.runs - len(self.differ)} runs ended with "
            "the bits of the uninterrupted one"
        )


def start(out: Path) -> subprocess.Popen:
    code = RUN.format(root=str(HERE.parent), tests=str(HERE))
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "random"}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def finish(process: subprocess.Popen) -> None:
    """To the end; the words of whatever went wrong."""
    _, error = process.communicate(timeout=120)
    if process.returncode != 0:
        raise AssertionError(f"the run did not go on: {error}")


def first_save(out: Path, process: subprocess.Popen) -> None:
    while not (out / "last.npz").exists() and process.poll() is None:
        time.sleep(0.0005)


def kill(out: Path, seconds: float, saving: float, rng: random.Random, tally: Tally) -> None:
    """Start or go on, and end it at a random moment: mostly while it saves, also before."""
    process = start(out)
    if rng.random() < 0.8 and not (out / "last.npz").exists():
        first_save(out, process)
        time.sleep(rng.uniform(0, saving))
    else:
        time.sleep(rng.uniform(0, seconds))
    ended = process.poll() is not None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    tally.kills += 1
    if ended:
        tally.after_the_end += 1
    elif any(path.name.startswith(".last.npz.") for path in out.glob(".*")):
        tally.inside_a_save += 1
    elif (out / "last.npz").exists():
        tally.between_saves += 1
    else:
        tally.before_the_first_save += 1


def whole_or_absent(folder: Path) -> None:
    """Whatever has a name can be read, whenever the kill came."""
    for path in folder.glob("[!.]*"):
        for array in read_state(path)[0].values():
            assert np.isfinite(array).all()


def survive(runs: int, folder: Path, seed: int = 0) -> Tally:
    """Kill so many runs, and see how each of them ends."""
    rng, tally = random.Random(seed), Tally()
    whole = folder / "whole"
    whole.mkdir()
    begun = time.monotonic()
    process = start(whole)
    first_save(whole, process)
    saving = time.monotonic()
    finish(process)
    seconds, saving = time.monotonic() - begun, time.monotonic() - saving
    for number in range(runs):
        out = folder / f"run{number}"
        out.mkdir()
        for _ in range(1 + number % 2):
            kill(out, seconds, saving, rng, tally)
            whole_or_absent(out)
        finish(start(out))
        tally.runs += 1
        try:
            same_state(out / "last.npz", whole / "last.npz")
            same_state(out / "best.npz", whole / "best.npz")
            left = {path.name for path in out.iterdir()}
            assert left == {"best.npz", "last.npz", "previous.npz"}, left
        except (AssertionError, CheckpointError) as error:
            tally.differ.append(f"run {number}: {error}")
    return tally


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tally = survive(runs, Path(folder))
    print(f"{tally} ({time.monotonic() - begun:.0f} s)")
    print("\n".join(tally.differ), end="\n" if tally.differ else "")
    if not tally.hit_enough():
        print("too few kills came inside a save (a tenth must), or over a third after the end")
    return 0 if tally.hit_enough() and not tally.differ else 1


if __name__ == "__main__":
    sys.exit(main())
