"""How many BLAS threads are fastest here? A matrix product and training steps with 1, 2, 4, ….

    python tests/bench/bench_threads.py

Where the system counts two hardware threads for a core, OpenBLAS starts a thread on each, although
one per core is often faster. Every measurement is a separate process, and the numbers of threads
alternate. A step is forward, backward and Adam's update.
"""

import os
import statistics
import subprocess
import sys
import time

import numpy as np
from side_by_side import as_on_a_users_machine, print_row

import tinyadtn as ta

LENGTH, ROUNDS = 2048, 3
STEPS = {  # shape of a batch, steps
    "fc2": ((128, 1, 28, 28), 40),
    "lenet5": ((128, 1, 28, 28), 20),
    "vgg16": ((32, 3, 32, 32), 2),
}


def measured() -> list[float]:
    """Return GFLOP/s of a large matrix product, then the milliseconds of each network's step."""
    a = np.random.default_rng(0).random((LENGTH, LENGTH), np.float32)
    found = [2e-9 * LENGTH**3 / seconds_of(lambda: a @ a, 5)]
    for network, (shape, steps) in STEPS.items():
        model = getattr(ta.models, network)(rng=0)
        images = np.random.default_rng(0).random(shape, np.float32)
        labels, optimizer = np.arange(shape[0]) % 10, ta.Adam(model.parameters(), 1e-3)

        def step(model=model, images=images, labels=labels, optimizer=optimizer):
            optimizer.zero_grad()
            ta.softmax_cross_entropy(model(images, training=True, rng=0), labels=labels).backward()
            optimizer.step()

        found.append(1e3 * seconds_of(step, steps))
    return found


def seconds_of(call, times: int) -> float:
    call()
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def main() -> None:
    cores = os.cpu_count() or 1
    counts = sorted({1, *(2**k for k in range(1, cores.bit_length()) if 2**k <= cores), cores})
    found: dict[int, list[list[float]]] = {count: [] for count in counts}
    for k in range(ROUNDS):
        for count in counts[:: 1 if k % 2 else -1]:
            environment = {**os.environ, "OPENBLAS_NUM_THREADS": str(count)}
            command = [sys.executable, __file__, "measure"]
            shown = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=True
            )
            found[count].append([float(word) for word in shown.stdout.split()])
    widths = [9, 18, *[14] * len(STEPS)]
    heads = [f"{name}, ms" for name in STEPS]
    print_row(["threads", "product, GFLOP/s", *heads], widths)
    for count, rounds in found.items():
        middle = [f"{statistics.median(values):.1f}" for values in zip(*rounds)]
        print_row([count, *middle], widths)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        as_on_a_users_machine()
        main()
    else:
        print(*measured())
