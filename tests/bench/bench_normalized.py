"""The cost of a training step with normalized ADTNs, relative to plain ones, by depth.

    OPENBLAS_NUM_THREADS=1 python tests/bench/bench_normalized.py [PROCESSES [SECONDS]]

A step is forward, backward and Adam: FC-2 with ``fc1`` an ADTN at batch 256, LeNet-5 with its
linear layers at batch 128. Both sides take turns in one process. The ratio is the median over its
rounds, of CPU times. It varies between processes, which place their arrays differently in memory:
shown are the median, the smallest and the largest ratio of several processes. "Page faults" are
those of one step, plain/normalized: memory that the C library returned to the system after the
step before.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from side_by_side import as_on_a_users_machine, print_row, rounds

import tinyadtn as ta

TASKS = {"fc2": (["fc1"], 256, (256, (28, 28))), "lenet5": (["fc1", "fc2", "fc3"], 128, None)}
DEPTHS = (1, 2, 4, 8, 16)
SIDES = {"plain": False, "normalized": True}


def training_step(network: str, depth: int, normalized: bool) -> Callable[[], None]:
    """One step of Adam on random images, with all its state made beforehand."""
    layers, batch, axes = TASKS[network]
    options = {"axes": axes} if axes else {}
    encoding = ta.ADTN.like(depth, normalized=normalized, **options)
    dense = getattr(ta.models, network)(rng=0)
    model = ta.compress(dense, dict.fromkeys(layers, encoding), rng=0)
    optimizer = ta.Adam(model.parameters(), 1e-4)
    rng = np.random.default_rng(0)
    images = rng.random((batch, *ta.models.image_shape(model.config)), np.float32)
    labels = rng.integers(0, 10, batch)

    def step() -> None:
        loss = ta.softmax_cross_entropy(model(images, training=True), labels=labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def page_faults(step: Callable[[], None], count: int = 5) -> int:
    """The mean number of page faults of a step."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        step()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // count


def one_process(network: str, depth: int, seconds: float) -> dict[str, Any]:
    sides = {name: training_step(network, depth, value) for name, value in SIDES.items()}
    taken = rounds(sides, seconds=seconds, clock=time.process_time)
    return {
        "ratio": float(np.median(taken["normalized"] / taken["plain"])),
        "milliseconds": 1e3 * float(np.median(taken["plain"])),
        "faults": [page_faults(step) for step in sides.values()],
    }


def main(processes: int = 5, seconds: float = 3.0) -> None:
    as_on_a_users_machine()
    widths = [10, 4, 16, 9, 15, 20]
    print_row(["network", "M", "plain, ms a step", "ratio", "processes", "page faults"], widths)
    for network in TASKS:
        for depth in DEPTHS:
            command = [sys.executable, __file__, "--one", network, str(depth), str(seconds)]
            found = [json.loads(subprocess.check_output(command)) for _ in range(processes)]
            found.sort(key=lambda each: each["ratio"])
            middle = found[len(found) // 2]
            span = f"{found[0]['ratio']:.2f}-{found[-1]['ratio']:.2f}"
            shown = [f"{middle['milliseconds']:.1f}", f"{middle['ratio']:.2f}", span]
            print_row([network, depth, *shown, "/".join(map(str, middle["faults"]))], widths)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one_process(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
    else:
        main(*(kind(word) for kind, word in zip((int, float), sys.argv[1:])))
