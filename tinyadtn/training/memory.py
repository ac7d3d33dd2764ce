"""An estimate of the memory that a training run takes, computed before it starts.

A step keeps about one array per layer output for its backward pass. Added to these are the weights,
the state of the optimizer, and either the gradients or, while a state is saved, a copy of weights
and optimizer state. An encoded weight is decoded in each step, or not at all: see ``decode_free``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..autodiff.engine import Tensor
from ..data.splits import Data
from ..decode_free.precomputed import route_of
from ..decode_free.row import BLOCK, ConvChain
from ..files.datafile import SPLITS
from ..limits import require_memory
from ..nn.parameters import Shape
from ..nn.sequential import Sequential
from .evaluate import EVALUATION_BATCH
from .plan import TrainingPlan

GIB = 2**30


@dataclass(frozen=True)
class TrainingMemory:
    """The largest memory of a training run in bytes, by content."""

    images: int
    weights: int
    activations: int

    @property
    def total(self) -> int:
        """The sum of all parts, in bytes."""
        return self.images + self.weights + self.activations

    def __str__(self) -> str:
        parts = {
            "images": self.images,
            "weights and optimizer": self.weights,
            "activations": self.activations,
        }
        unit, size, digits = ("GiB", GIB, 1) if self.total >= GIB else ("MiB", 2**20, 0)
        inside = ", ".join(f"{what} {part / size:,.{digits}f}" for what, part in parts.items())
        return f"about {self.total / size:,.{digits}f} {unit} of memory ({inside})"

    __repr__ = __str__


def training_memory(model: Sequential, data: Data, plan: TrainingPlan) -> TrainingMemory:
    """Return an estimate from shapes alone, which is rather too large than too small.

    >>> import tinyadtn as ta
    >>> plan = TrainingPlan(batch_size=1000)
    >>> print(training_memory(ta.models.lenet5(), ta.load_data("mnist-5k"), plan))
    about 130 MiB of memory (images 15, weights and optimizer 1, activations 114)
    """
    image = data.train.images.shape[1:]
    outputs = [math.prod(after) for _, _, _, after in model.shapes(image)]
    largest = max(outputs)
    # Three more arrays of the largest output: two gradients and one intermediate result.
    batch = min(plan.batch_size, len(data.train))
    kept = batch * (math.prod(image) + sum(outputs) + 3 * largest)
    judged = EVALUATION_BATCH * 4 * largest  # no graph: the input and output of one layer
    held = sum(t.size * t.dtype.itemsize for _, t in model.named_tensors())  # trainable or not
    trained = sum(t.size * t.dtype.itemsize for t in model.parameters())
    state = held + len(getattr(plan.part("optimizer"), "slots", ())) * trained
    # A step adds the gradients and one intermediate copy; saving adds a copy of the state.
    weights = state + max(2 * trained, state)
    encoded = sum(
        _encoded_bytes(layer, batch, shape)
        for _, layer, shape, _ in model.innermost(image)
        if not isinstance(getattr(layer, "weight", Tensor(0)), Tensor)
    )
    pixels = sum(getattr(data, split).images.nbytes for split in SPLITS)
    return TrainingMemory(pixels, weights + encoded, 4 * max(kept, judged))


def _encoded_bytes(layer: Any, batch: int, shape: Shape) -> int:
    """Return the bytes of a step for an encoded weight: decoded, or the states of the batch."""
    route = route_of(layer, batch, shape)
    if route is None:
        return layer.weight.peak_bytes()
    if isinstance(route, ConvChain):
        seen, made = (batch * math.prod(s[1:]) for s in (shape, layer.output_shape(shape)))
        return 4 * route.floats(seen, made, layer.groups)
    vectors = batch if len(shape) == 1 else BLOCK // route.widest + 1
    return 4 * 2 * vectors * route.state_floats


def check_memory(needed: TrainingMemory) -> None:
    """Raise SizeLimitError for a run that needs more memory than this machine allows."""
    require_memory(f"this run, which takes {needed},", needed.total, "use a smaller batch")
