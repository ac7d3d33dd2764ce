"""A training step with and without ``limits.keep_freed_memory``, which the command line calls.

    OPENBLAS_NUM_THREADS=1 python tests/bench/bench_freed_memory.py

Every measurement is a separate process, and both settings alternate, because what the C library
does with freed memory depends on everything that the process did before. Shown is the CPU time of a
step with Adam on 128 images.
"""

import statistics
import subprocess
import sys
import time

import numpy as np
from side_by_side import conditions, print_row

import tinyadtn as ta
from tinyadtn.limits import keep_freed_memory

ROWS = [("fc2", 0), ("fc2", 1), ("fc2", 2), ("fc2", 4), ("lenet5", 0), ("lenet5", 2)]
LAYERS = {"fc2": ["fc1"], "lenet5": ["fc1", "fc2", "fc3"]}
ROUNDS, STEPS = 5, 60


def seconds_of_a_step(network: str, depth: int) -> float:
    model = getattr(ta.models, network)(rng=0)
    if depth:
        model = ta.compress(model, dict.fromkeys(LAYERS[network], depth), rng=0)
    images = np.random.default_rng(0).random((128, 1, 28, 28), np.float32)
    labels, optimizer = np.arange(128) % 10, ta.Adam(model.parameters(), 1e-3)
    for step in range(10 + STEPS):
        if step == 10:
            start = time.process_time()
        optimizer.zero_grad()
        ta.softmax_cross_entropy(model(images, training=True), labels=labels).backward()
        optimizer.step()
    return (time.process_time() - start) / STEPS


def measured(how: str, network: str, depth: int) -> float:
    command = [sys.executable, __file__, how, network, str(depth)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    print(conditions())
    print_row(["network, M (0: dense)", "returned, ms", "kept, ms", "ratio"], [24, 14, 12, 10])
    for network, depth in ROWS:
        times = [
            (measured("return", network, depth), measured("keep", network, depth))
            for _ in range(ROUNDS)
        ]
        returned, kept = (1e3 * statistics.median(side) for side in zip(*times))
        ratio = statistics.median(after / before for before, after in times)
        cells = [f"{network}, {depth}", f"{returned:.2f}", f"{kept:.2f}", f"{ratio:.2f}"]
        print_row(cells, [24, 14, 12, 10])


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        if sys.argv[1] == "keep":
            keep_freed_memory()
        print(seconds_of_a_step(sys.argv[2], int(sys.argv[3])))
