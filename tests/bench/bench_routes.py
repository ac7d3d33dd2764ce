"""Does a layer take the faster route? Both routes of many layers, and the one that the rule takes.

    OPENBLAS_NUM_THREADS=1 python tests/bench/bench_routes.py [WORD …]   # rows with these words

On the *free* route each batch goes through the factors; on the other one the weight is decoded.
``decode_free/rule`` chooses by an estimate. "loss" is the time of the chosen route, in units of the
faster one. A step is forward and backward. The times are CPU time, which other work on the machine
disturbs less: use one thread.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from side_by_side import as_on_a_users_machine, milliseconds, print_row, rounds

import tinyadtn as ta
from tinyadtn.decode_free.precomputed import route_of
from tinyadtn.errors import ShapeError

RECIPES = {
    "ADTN M=1, mirrored": ta.ADTN.like(1),
    "ADTN M=1, output first": ta.ADTN.like(1, order="output_first"),
    "low rank 8": ta.LowRank.like(8),
    "low rank 64": ta.LowRank.like(64),
    "Tucker 64": ta.Tucker.like(64),
    "tensor train D=4": ta.TensorTrain.like(ranks=4),
    "tensor train D=16": ta.TensorTrain.like(ranks=16),
}
MATRICES = [(120, 400), (256, 784), (512, 512), (1024, 2048)]
BATCHES = (1, 16, 128, 1024)
KERNELS = {  # kernel: length of the image
    (16, 6, 5, 5): 14,
    (64, 64, 3, 3): 32,
    (128, 64, 3, 3): 16,
    (256, 256, 3, 3): 8,
    (512, 512, 3, 3): 4,
}
IMAGES = (1, 32)
WIDTHS = [52, 20, 20, 10, 7]


def layers() -> Iterator[tuple[str, ta.Module, tuple[int, ...]]]:
    """Yield the name of each row, the layer with its encoding, and the shape of a batch."""
    for shape, (name, recipe), batch in itertools.product(MATRICES, RECIPES.items(), BATCHES):
        if name != "Tucker 64":
            layer = ta.Linear(shape[1], shape[0], rng=0)
            yield from with_encoding(layer, recipe, name, (batch, shape[1]))
    for (shape, size), (name, recipe), n in itertools.product(
        KERNELS.items(), RECIPES.items(), IMAGES
    ):
        layer = ta.Conv2d(shape[1], shape[0], shape[2], padding=1, rng=0)
        yield from with_encoding(layer, recipe, name, (n, shape[1], size, size))


def with_encoding(layer: Any, recipe: Any, name: str, batch: tuple[int, ...]) -> Iterator[Any]:
    try:
        layer.weight = recipe(layer.weight.shape, rng=0)
    except ShapeError:  # the layer is too small for this rank
        return
    if route_of_kind(layer, batch, True) is not None:
        shape = "×".join(map(str, layer.weight.shape))
        image = f", image {batch[2]}×{batch[3]}" if len(batch) > 2 else ""
        yield f"{shape}{image}, batch {batch[0]}: {name}", layer, batch


def route_of_kind(layer: Any, batch: tuple[int, ...], free: bool) -> Any:
    """Return the route that the layer takes if decoding costs everything, or nothing."""
    layer.weight.decode_work = lambda: math.inf if free else -math.inf
    try:
        return route_of(layer, batch[0], batch[1:])
    finally:
        del layer.weight.decode_work


def side(layer: Any, x: ta.Tensor, g: np.ndarray, free: bool) -> Callable[[], None]:
    """A step on one of the two routes."""

    def step() -> None:
        layer.weight.decode_work = lambda: math.inf if free else -math.inf
        layer(x).backward(g)
        del layer.weight.decode_work
        for tensor in (x, *layer.parameters()):
            tensor.grad = None

    return step


def main(words: list[str]) -> None:
    as_on_a_users_machine()
    print_row(["", "free, ms", "decoded, ms", "chosen", "loss"], WIDTHS)
    losses = []
    for name, layer, batch in layers():
        if not all(word in name for word in words):
            continue
        x = ta.Tensor(np.random.default_rng(0).normal(size=batch).astype(np.float32), True)
        g = np.ones((batch[0], *layer.output_shape(batch[1:])), np.float32)
        sides = {"free": side(layer, x, g, True), "decoded": side(layer, x, g, False)}
        taken = rounds(sides, seconds=1, clock=time.process_time)
        chosen = "decoded" if route_of(layer, batch[0], batch[1:]) is None else "free"
        middle = {route: float(np.median(seconds)) for route, seconds in taken.items()}
        losses.append(middle[chosen] / min(middle.values()))
        times = [milliseconds(taken[route]) for route in ("free", "decoded")]
        print_row([name, *times, chosen, f"{losses[-1]:.2f}"], WIDTHS)
    above = sum(loss > 1.1 for loss in losses)
    print(f"\n{len(losses)} layers, {above} above 1.1, the worst {max(losses):.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
