"""Random weights that are never trained: the baseline for every compression."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..autodiff.engine import Tensor
from ..nn.parameters import Seed, he_std, parameter
from ..tensor_networks.sites import Axes
from .encoding import Counts, Encoding, check_size, checked_shape


class Frozen(Encoding):
    """Random weights N(0, 2/fan_in) that are never trained: the control for every compression.

    What a network reaches with a frozen layer, it owes to the layers around it. A seed would bring
    them back, so they count as no numbers at all; a file holds them all the same, because NumPy
    does not promise the same normal numbers in every version (NEP 19). ShapeError for a shape
    without axes, or with a length below 1; SizeLimitError for numbers beyond this machine's memory.

    >>> Frozen((256, 784), rng=0).num_parameters
    0
    """

    def __init__(self, shape: Sequence[int], *, axes: Axes = None, rng: Seed = None):
        self.shape = checked_shape("Frozen", shape, 1)
        check_size(self)
        self.values = parameter(self.shape, he_std(self.shape), rng).detach()
        self.config = {"encoding": "Frozen", "shape": list(self.shape)}

    @property
    def label(self) -> str:
        return "frozen"

    def decode(self) -> Tensor:
        """The weights as they were drawn."""
        return self.values

    def counts(self) -> Counts:
        """Nothing is stored but the seed."""
        n = math.prod(self.shape)
        return Counts(dense=n, padded=n, stored=0, live=0, full_gates=0)
