"""A training step of each network: forward, backward, Adam; dense and with fc1, fc2 at M=1.

    python tests/bench/bench_networks.py [NETWORK …]

Each row is measured in a fresh process, so that the peak of its memory is its own. Random images
stand in for data; the median of the steps after the first.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time

BATCH = {"fc2": 128, "lenet5": 128, "alexnet": 128, "zfnet": 128, "vgg16": 128}
STEPS = 7


def measure(name: str, encoded: bool) -> None:
    """Print one row."""
    import numpy as np

    import tinyadtn as ta

    model = getattr(ta.models, name)(rng=0)
    if encoded:
        model = ta.compress(model, {"fc1": 1, "fc2": 1}, rng=0)
    rng, batch = np.random.default_rng(0), BATCH[name]
    images = rng.random((batch, *ta.models.image_shape(model.config)), np.float32)
    labels = rng.integers(0, 10, batch)
    optimizer = ta.Adam(model.parameters())
    seconds = []
    for step in range(STEPS):
        start = time.perf_counter()
        logits = model(images, training=True, rng=step)
        ta.softmax_cross_entropy(logits, labels=labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds[1:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    kind = "fc1, fc2 at M=1" if encoded else "dense"
    print(
        f"{name:8} {kind:16} {model.num_parameters:>11,} {batch:>6} {1000 * median:>9.1f} "
        f"{batch / median:>9.0f} {peak:>9.2f}"
    )


def main(names: list[str]) -> None:
    """All rows, each in a process of its own."""
    threads = os.environ.get("OPENBLAS_NUM_THREADS", "as many as BLAS likes")
    print(f"BLAS threads: {threads}; OPENBLAS_CORETYPE: left out")
    print("network  weights           parameters  batch   ms/step  images/s  peak, GiB")
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    for name in names or BATCH:
        for encoded in ("", "encoded"):
            command = [sys.executable, __file__, "--row", name, encoded]
            subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--row"]:
        measure(sys.argv[2], bool(sys.argv[3]))
    else:
        main(sys.argv[1:])
