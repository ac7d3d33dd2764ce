"""A training step on a GPU, through CuPy, dense and with fc1, fc2 at M=1, beside torch's step.

    python tests/bench/bench_gpu.py [NETWORK …]

Forward, backward and Adam on random images that lie on the GPU already, in float32 without TF32.
Every step waits for the GPU, so that what is queued is not taken for done. A sentence and exit code
1 where CuPy, torch or the GPU is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from side_by_side import milliseconds, peer, print_row, ratio, rounds

import tinyadtn as ta
from tinyadtn.autodiff.arrays import require_device
from tinyadtn.errors import DeviceError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for torch_networks

BATCH = {"fc2": 128, "lenet5": 128, "alexnet": 128, "zfnet": 128, "vgg16": 128}
WIDTHS = [10, 24, 24, 24, 14, 14]


def our_step(model: Any, images: Any, labels: Any, wait: Callable[[], Any]) -> Callable[[], None]:
    """A training step of our model, to the end."""
    optimizer = ta.Adam(model.parameters())

    def step() -> None:
        logits = model(images, training=True, rng=0)
        ta.softmax_cross_entropy(logits, labels=labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        wait()

    return step


def torch_step(network: Any, images: Any, labels: Any, wait: Callable[[], Any]) -> Callable:
    """The same step of the same network in torch."""
    import torch

    network.train()
    optimizer = torch.optim.Adam(network.parameters())

    def step() -> None:
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        wait()

    return step


def measure(name: str, torch: Any) -> None:
    """Print one network's row."""
    import cupy
    import torch_networks

    rng, dense = np.random.default_rng(0), ta.models.MODELS[name](rng=0)
    images = rng.random((BATCH[name], *ta.models.image_shape(dense.config)), np.float32)
    labels = rng.integers(0, 10, BATCH[name])
    options = {"batch_norm": True} if name == "vgg16" else {}
    twin = torch_networks.with_arrays(
        lambda: getattr(torch_networks, name)(**options), dense.arrays()
    )
    models = {"dense": dense, "encoded": ta.compress(dense, {"fc1": 1, "fc2": 1}, rng=0)}
    there = [ta.to_device(array, "cuda") for array in (images, labels)]
    sides = {
        kind: our_step(ta.to_device(model, "cuda"), *there, cupy.cuda.Device().synchronize)
        for kind, model in models.items()
    }
    theirs = [torch.from_numpy(array).cuda() for array in (images, labels)]
    sides["torch"] = torch_step(twin.cuda(), *theirs, torch.cuda.synchronize)
    seconds = rounds(sides)
    times = [milliseconds(seconds[side]) for side in sides]
    ratios = [ratio(seconds[side], seconds["torch"]) for side in models]
    print_row([name, *times, *ratios], WIDTHS)


def main(names: list[str]) -> None:
    """All rows."""
    try:
        require_device("cuda")
    except DeviceError as error:
        sys.exit(f"nothing to measure: {error}")
    torch = peer("torch")
    if torch is None or not torch.cuda.is_available():
        sys.exit("nothing to compare with: this needs a torch that sees the GPU")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    print(f"{torch.cuda.get_device_name()}; ms a step, median (quartiles)")
    print_row(["", "dense", "encoded", "torch", "dense/torch", "encoded/torch"], WIDTHS)
    for name in names or BATCH:
        measure(name, torch)


if __name__ == "__main__":
    main(sys.argv[1:])
