"""Measure the time per layer of a model: dense, decoded, cached, and decode-free."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from ..autodiff.engine import Tensor
from ..autodiff.modes import isolated, no_grad
from ..decode_free.precomputed import decoded, route_of
from ..errors import TinyADTNError
from ..limits import require_memory
from ..nn.layers import Conv2d, Linear
from ..nn.parameters import Shape
from ..nn.sequential import Sequential
from ..nn.surgery import dense
from .encoded_model import image_of

SECONDS = 0.2  # duration of the repetitions, after one call for warm-up
FEWEST = 3


@dataclass(frozen=True)
class Timing:
    """Median times in milliseconds of one encoded layer, for the forward pass of one batch.

    ``dense``: with a dense weight. ``decode``: decoding the weight, without the batch. ``cached``:
    with the weight or the factors that ``decoded`` precomputes. ``decode_free``: computing the
    factors and applying them, without forming the weight; None if the layer forms it.
    """

    name: str
    dense: float
    decode: float
    cached: float
    decode_free: float | None

    def cells(self) -> list[str]:
        """Return the cells of a table row with the column heads ``HEAD``."""
        return [self.name, *("–" if t is None else f"{t:,.3f}" for t in astuple(self)[1:])]


HEAD = ["dense", "decode", "cached", "decode-free"]


def timings(model: Sequential, batch_size: int, image: Shape | None = None) -> Iterator[Timing]:
    """Yield the timing of each encoded layer with random inputs; each is measured on demand.

    ``image`` is (c, h, w); for a model of ``ta.models`` it is known. Each layer is measured alone,
    so the other layers do not matter. Layers of a nested ``Sequential`` are included, as
    "block.fc1"; those of other modules are not. SizeLimitError for a batch whose inputs and outputs
    of a layer would fill the memory.

    >>> import tinyadtn as ta
    >>> model = ta.compress(ta.models.fc2(rng=0), {"fc1": 1, "fc2": 2}, rng=0)
    >>> [(row.name, row.decode_free is None) for row in timings(model, batch_size=10)]
    [('fc1', False), ('fc2', True)]
    """
    if batch_size < 1:
        raise TinyADTNError(f"a batch to time needs 1 image or more, got {batch_size}")
    rng = np.random.default_rng(0)
    for name, layer, before, after in model.innermost(image_of(model, image)):
        if not isinstance(layer, (Linear, Conv2d)) or isinstance(layer.weight, Tensor):
            continue
        needed = 4 * batch_size * (math.prod(before) + math.prod(after))
        require_memory(f"{name}: a batch of {batch_size:,} images", needed, "time a smaller batch")
        yield _timing(name, layer, Tensor(rng.standard_normal((batch_size, *before), np.float32)))


@isolated
@no_grad()
def _timing(name: str, layer: Any, x: Tensor) -> Timing:
    twin = layer.copy()
    twin.weight = dense(layer.weight)
    with decoded(Sequential(layer=layer)) as ready:
        return Timing(
            name,
            _milliseconds(lambda: twin(x)),
            _milliseconds(layer.weight.decode),
            _milliseconds(lambda: ready.layer(x)),
            _milliseconds(lambda: layer(x)) if route_of(layer, len(x), x.shape[1:]) else None,
        )


def _milliseconds(call: Callable[[], Any]) -> float:
    call()
    taken: list[float] = []
    while len(taken) < FEWEST or sum(taken) < SECONDS:
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return 1e3 * float(np.median(taken))
