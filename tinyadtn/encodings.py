"""What can stand in for a weight: objects that decode to a tensor of the weight's shape.

A layer never asks which one it has: it calls ``decode()`` and multiplies. The tensor network is in
``adtn``; here is what all encodings have in common, and the simplest one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .engine import Tensor
from .module import Module, Seed, he_std, parameter
from .sites import Axes

Recipe = Callable[..., "Encoding"]  # recipe(shape, axes=…, rng=…) encodes one layer


@dataclass(frozen=True)
class Counts:
    """How many numbers a weight takes under each way of counting.

    ``dense`` entries of the weight, ``padded`` entries of the tensor it is cropped from, ``stored``
    numbers that are trained and saved, ``live`` ones among them that can influence the weight, and
    ``full_gates``: what it would be if every gate stored its whole matrix.
    """

    dense: int
    padded: int
    stored: int
    live: int
    full_gates: int

    @property
    def ratio(self) -> float:
        """Dense numbers for each stored one; infinite where nothing is stored."""
        return self.dense / self.stored if self.stored else math.inf


class Encoding(Module):
    """Something with a ``shape`` that decodes to a tensor of that shape."""

    shape: tuple[int, ...]

    def decode(self) -> Tensor:
        """The weight; differentiable, so that a loss can train what it was decoded from."""
        raise TypeError(f"{type(self).__name__} has no decode()")

    def peak_bytes(self) -> int:
        """About how many bytes are held at once while a loss of the decoded weight trains it."""
        return 3 * 4 * math.prod(self.shape)  # decoded, with its gradient, and one on the way

    def counts(self) -> Counts:
        """How many numbers this takes."""
        n, stored = math.prod(self.shape), self.num_parameters
        return Counts(dense=n, padded=n, stored=stored, live=stored, full_gates=stored)


class Frozen(Encoding):
    """Random weights N(0, 2/fan_in) that are never trained: the control for every compression.

    What a network reaches with a frozen layer, it owes to the layers around it.

    >>> Frozen((256, 784), rng=0).num_parameters
    0
    """

    def __init__(self, shape: Sequence[int], *, axes: Axes = None, rng: Seed = None):
        self.shape = tuple(shape)
        self.values = parameter(self.shape, he_std(self.shape), rng).detach()
        self.config = {"encoding": "Frozen", "shape": list(self.shape)}

    def decode(self) -> Tensor:
        """The weights as they were drawn."""
        return self.values
