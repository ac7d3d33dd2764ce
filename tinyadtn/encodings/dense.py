"""A weight that is stored as it is: what ``Quantized`` rounds, and a control in a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autodiff.arrays import asarray_like
from ..autodiff.engine import Tensor
from ..nn.parameters import Seed, he_std, parameter
from ..tensor_networks.sites import Axes
from .encoding import Encoding, check_size, checked_shape
from .fit import checked_target, relative_error


class Dense(Encoding):
    """W itself, every entry a parameter. The initialization is N(0, 2/fan_in).

    ``fit`` copies the given weight. Raises ShapeError for a shape without axes.

    >>> Dense((10, 84), rng=0).num_parameters
    840
    """

    values: Tensor

    def __init__(self, shape: Sequence[int], *, axes: Axes = None, rng: Seed = None):
        self.shape = checked_shape("Dense", shape, 1)
        check_size(self)
        self.values = parameter(self.shape, he_std(self.shape), rng)
        self.describe("Dense")

    @property
    def label(self) -> str:
        """The name in reports."""
        return "all entries"

    def decode(self) -> Tensor:
        """Return the weight: a copy of the parameters, which an optimizer changes in place."""
        return self.values * 1

    def fit(self, target: Any) -> list[float]:
        """Copy the target. Return a list with one relative error, that of rounding to float32."""
        found, _ = checked_target(self, target)
        self.values.data = asarray_like(found.astype(self.values.dtype), self.values.data)
        return [relative_error(self, target)]
