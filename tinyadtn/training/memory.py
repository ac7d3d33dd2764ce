"""How much memory a training run takes, told before it starts.

What a step keeps for its backward pass is about one array for every layer's output. Beside them
are the weights, what the optimiser remembers of each, and either gradients or, while a state is
saved, a copy of it all. An encoded weight is decoded for the step, or never: see ``decode_free``.
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
from .runs import OPTIMIZERS, TrainingPlan

GIB = 2**30


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of a training run at their peak, by what they hold."""

    images: int
    weights: int
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.images + self.weights + self.activations

    def __str__(self) -> str:
        parts = {
            "images": self.images,
            "weights and optimiser": self.weights,
            "activations": self.activations,
        }
        inside = ", ".join(f"{what} {size / GIB:.1f}" for what, size in parts.items())
        return f"about {self.total / GIB:.1f} GiB of memory ({inside})"


def training_memory(model: Sequential, data: Data, plan: TrainingPlan) -> TrainingMemory:
    """An estimate from shapes alone, rather above than below what is then used.

    >>> import tinyadtn as ta
    >>> plan = TrainingPlan(batch_size=1000)
    >>> print(training_memory(ta.models.lenet5(), ta.load_data("mnist-5k"), plan))
    about 0.1 GiB of memory (images 0.0, weights and optimiser 0.0, activations 0.1)
    """
    image = data.train.images.shape[1:]
    outputs = [math.prod(after) for _, _, _, after in model.shapes(image)]
    largest = max(outputs)
    # Three more of the largest: a gradient, the one it becomes, and what lies between.
    batch = min(plan.batch_size, len(data.train))
    kept = batch * (math.prod(image) + sum(outputs) + 3 * largest)
    judged = EVALUATION_BATCH * 4 * largest  # nothing is kept: a layer's input and output
    held = sum(t.size * t.dtype.itemsize for _, t in model.named_tensors())  # trained or not
    trained = sum(t.size * t.dtype.itemsize for t in model.parameters())
    state = held + len(OPTIMIZERS[plan.optimizer].slots) * trained
    # A step has gradients beside it, and one on the way; saving has a copy.
    weights = state + max(2 * trained, state)
    encoded = sum(
        _encoded_bytes(layer, batch, shape)
        for _, layer, shape, _ in model.innermost(image)
        if not isinstance(getattr(layer, "weight", Tensor(0)), Tensor)
    )
    pixels = sum(getattr(data, split).images.nbytes for split in SPLITS)
    return TrainingMemory(pixels, weights + encoded, 4 * max(kept, judged))


def _encoded_bytes(layer: Any, batch: int, shape: Shape) -> int:
    """What a step holds of an encoded weight: decoded, or of the batch on its way through."""
    route = route_of(layer, batch, shape)
    if route is None:
        return layer.weight.peak_bytes()
    if isinstance(route, ConvChain):
        seen, made = (batch * math.prod(s[1:]) for s in (shape, layer.output_shape(shape)))
        return 4 * route.floats(seen, made, layer.groups)
    vectors = batch if len(shape) == 1 else BLOCK // route.widest + 1
    return 4 * 2 * vectors * route.state_floats


def check_memory(needed: TrainingMemory) -> None:
    """SizeLimitError, before any weight is drawn, for a run that this machine cannot hold."""
    require_memory(f"this run, which takes {needed},", needed.total, "use a smaller batch")
