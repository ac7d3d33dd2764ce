"""Random weights that are never trained: the baseline for every compression."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..autodiff.engine import Tensor
from ..nn.parameters import Seed, he_std, parameter
from ..tensor_networks.sites import Axes
from .encoding import Counts, Encoding, check_size, checked_shape


class Frozen(Encoding):
    """Random weights N(0, 2/fan_in) that are never trained: the baseline for every compression.

    The accuracy of a network with a frozen layer is due to its other layers. A seed would reproduce
    the weights, so they count as 0 stored parameters. A file contains them all the same, because
    NumPy does not guarantee the same random values in every version (NEP 19). Raises ShapeError for
    a shape without axes, or with a length below 1. Raises SizeLimitError if the weights exceed the
    memory of this machine.

    >>> Frozen((256, 784), rng=0).num_parameters
    0
    """

    def __init__(self, shape: Sequence[int], *, axes: Axes = None, rng: Seed = None):
        self.shape = checked_shape("Frozen", shape, 1)
        check_size(self)
        self.values = parameter(self.shape, he_std(self.shape), rng).detach()
        self.describe("Frozen")

    @property
    def label(self) -> str:
        """The name in reports."""
        return "frozen"

    def decode(self) -> Tensor:
        """Return the weights as they were drawn."""
        return self.values

    def counts(self) -> Counts:
        """Count 0 stored parameters, because a seed reproduces the weights."""
        n = math.prod(self.shape)
        return Counts(dense=n, padded=n, stored=0, live=0, full_gates=0)
