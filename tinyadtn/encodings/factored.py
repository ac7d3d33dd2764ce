"""A weight as a product of small factors: low rank, and Tucker for convolutions.

What an ADTN competes with. Each is linear in every one of its factors, so there is no activation to
choose, and the best factors for a given weight are a formula: a singular value decomposition.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..autodiff.arrays import array_module
from ..autodiff.engine import Tensor
from ..autodiff.modes import no_grad
from ..decode_free.by_factors import ByFactors
from ..nn.parameters import Seed, he_std, parameter
from .encoding import Encoding, check_size, checked_target


class FactoredEncoding(ByFactors, Encoding):
    """An encoding that is linear in each of its factors.

    A subclass lists its shape, its configuration and its factors' shapes, says what they multiply
    to (``product``), and which factors suit a given weight (``best_factors``).
    """

    def product(self) -> Tensor:
        """The weight from the factors."""
        raise TypeError(f"{type(self).__name__} has no product()")

    def best_factors(self, target: np.ndarray) -> list[np.ndarray]:
        """Factors, in the order of the attributes, whose product is close to the target."""
        raise TypeError(f"{type(self).__name__} has no best_factors()")

    def decode(self) -> Tensor:
        """The weight: the product of the factors."""
        return self.product()

    def fit(self, target: Any) -> list[float]:
        """Bring the decoded weight close to the target in Euclidean distance: one decomposition.

        Works on shapes only, too. Returns the relative error ‖W - target‖ / ‖target‖, in a list as
        every ``fit`` does. ShapeError for another shape, NonFiniteError for a target that is zero
        or not finite.
        """
        target, norm = checked_target(self, target)
        direction = Tensor(target).numpy().astype(np.float64) / norm
        found = self.best_factors(direction)
        # Entries of one size in all factors, as at the start: a step then moves them alike.
        sizes = [math.sqrt(float((f * f).mean())) for f in found]
        common = math.prod(size * norm ** (1 / len(found)) for size in sizes) ** (1 / len(found))
        for factor, values, size in zip(self._factors(), found, sizes):
            xp = array_module(factor.data)
            factor.data = xp.asarray(values * (common / size), dtype=factor.dtype)
        with no_grad():
            left = self.decode().numpy() / norm - direction
        return [math.sqrt(float((left * left).sum()))]

    def _factors(self) -> list[Tensor]:
        return [factor for _, factor in self.named_tensors()]

    def _draw(self, shapes: Sequence[tuple[int, ...]], rng: Seed) -> Iterator[Tensor]:
        """Normal factors; what would not fit into memory once decoded is refused before."""
        check_size(self)
        generator = None if rng is None else np.random.default_rng(rng)
        return (parameter(shape, 1.0, generator) for shape in shapes)

    def _match_start(self, rng: Seed) -> None:
        """Scale all factors alike so that the decoded weight is spread like a dense start."""
        if rng is None:
            return
        with no_grad():
            std = float(self.decode().numpy().std(dtype=np.float64))
        factors = self._factors()
        if std > 0:  # a weight with a single entry has no spread
            for factor in factors:
                factor.data *= factor.dtype.type((he_std(self.shape) / std) ** (1 / len(factors)))
