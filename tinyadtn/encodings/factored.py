"""A weight as a product of small factors: low rank, and Tucker for convolutions.

These are the competitors of an ADTN. Each is linear in every one of its factors. So there is no
activation to choose, and the best factors for a given weight have a closed form: a singular value
decomposition.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..autodiff.arrays import Array
from ..autodiff.engine import Tensor
from ..autodiff.modes import isolated, no_grad
from ..decode_free.by_factors import ByFactors
from ..decode_free.chain import LARGE, standard_deviation
from ..limits import require_memory
from ..nn.parameters import Seed, he_std, parameter
from .encoding import Encoding, check_size
from .fit import checked_target, relative_error


class FactoredEncoding(ByFactors, Encoding):
    """An encoding that is linear in each of its factors.

    A subclass defines its shape, its configuration, the shapes of its factors, their product
    (``product``), and the factors that approximate a given weight (``best_factors``). The weight
    may exceed the memory, as long as layers apply it through its factors: ``as_cores`` gives the
    standard deviation of its entries, and only ``decode`` is rejected.
    """

    def product(self) -> Tensor:
        """Return the weight, computed from the factors."""
        raise TypeError(f"{type(self).__name__} has no product()")

    def best_factors(self, target: np.ndarray) -> list[np.ndarray]:
        """Return factors whose product is close to the target, in the order of the attributes."""
        raise TypeError(f"{type(self).__name__} has no best_factors()")

    def as_cores(self) -> list[Array]:
        """Return the factors as the cores of a ``Chain`` that forms W up to the order of inputs."""
        raise TypeError(f"{type(self).__name__} has no as_cores()")

    def decode(self) -> Tensor:
        """Return the weight: the product of the factors. SizeLimitError if it does not fit."""
        check_size(self)
        return self.product()

    def fit(self, target: Any) -> list[float]:
        """Bring the decoded weight close to the target in Euclidean distance: one decomposition.

        This also works for an encoding that has shapes only. Returns a list with one relative error
        ‖W - target‖ / ‖target‖. Raises ShapeError for another shape, and NonFiniteError for a
        target that is zero or not finite.
        """
        array, norm = checked_target(self, target)
        direction = array.astype(np.float64) / norm
        found = self.best_factors(direction)
        # All factors get entries of the same size, as at initialization, so that steps match.
        sizes = [math.sqrt(float((f * f).mean())) for f in found]
        common = math.prod(size * norm ** (1 / len(found)) for size in sizes) ** (1 / len(found))
        self.load_arrays(
            {
                name: (values * (common / size)).astype(factor.dtype)
                for (name, factor), values, size in zip(self.named_tensors(), found, sizes)
            }
        )
        return [relative_error(self, target)]

    def _draw(self, shapes: Sequence[tuple[int, ...]], rng: Seed) -> Iterator[Tensor]:
        """Yield random normal factors; SizeLimitError first if they exceed the memory."""
        stored = sum(map(math.prod, shapes))
        require_memory(
            f"a weight of shape {self.shape} as {self.label} has {stored:,} parameters; to train "
            "them",
            4 * 4 * stored,  # the parameters, their gradients, and two moments in Adam
            "use a smaller weight or smaller ranks",
        )
        generator = None if rng is None else np.random.default_rng(rng)
        return (parameter(shape, 1.0, generator) for shape in shapes)

    def _match_start(self, rng: Seed) -> None:
        if rng is not None:
            factors = self.factors()
            match_std(self, factors, len(factors), lambda: standard_deviation(self.as_cores()))


@isolated
def match_std(
    weight: Encoding, parts: Sequence[Tensor], degree: int, estimate: Callable[[], float]
) -> None:
    """Scale all parts equally, to give the weight the standard deviation of a dense one.

    A common factor f on all parts is a factor f^degree on the weight. A weight that is too large to
    decode has an estimate of its standard deviation.
    """
    if math.prod(weight.shape) <= LARGE and weight.fits():
        with no_grad():
            std = float(weight.decode().numpy().std(dtype=np.float64))
    else:
        std = estimate()
    if std > 0:  # a weight with a single entry has no standard deviation
        for part in parts:
            part.data *= part.dtype.type((he_std(weight.shape) / std) ** (1 / degree))
