"""A sparse weight: some of its entries, and the places where they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autodiff.arrays import Array, array_module
from ..autodiff.engine import Tensor, op
from ..autodiff.shape_only import ShapeOnly
from ..checks import require_number
from ..nn.parameters import Seed, he_std, parameter
from ..tensor_networks.sites import Axes
from .encoding import Counts, Encoding, check_size, checked_shape
from .fit import checked_target, relative_error


class Pruned(Encoding):
    """A sparse weight: W[place_k] = value_k for a share ``density`` of the entries, 0 elsewhere.

    The values are trained, the places are fixed. At first they are random. ``fit`` is magnitude
    pruning: it keeps the largest entries of the given weight, the best choice in Euclidean
    distance. So ``fit`` first, and then train ("fine-tune").

    It stores round(density · n) of n entries as parameters. The places take further bytes: a list
    of indices (1, 2 or 4 bytes each), or one bit for every entry of W if that is smaller. Raises
    ValueError unless 0 < density <= 1.
    Source: Han, Pool, Tran, Dally, arXiv 1506.02626.

    >>> weight = Pruned((256, 784), 0.01, rng=0)
    >>> weight.num_parameters, weight.counts().stored_bytes  # 4 bytes per value and per index
    (2007, 16056)
    """

    values: Tensor
    places: Tensor

    def __init__(
        self, shape: Sequence[int], density: float, *, axes: Axes = None, rng: Seed = None
    ):
        self.shape = checked_shape("Pruned", shape, 1)
        require_number("density", density)
        if not 0 < density <= 1:
            raise ValueError(f"density is the share of entries that stay, 0 to 1, got {density}")
        check_size(self)
        n, self.density = math.prod(self.shape), float(density)
        kept = max(1, round(self.density * n))
        generator = None if rng is None else np.random.default_rng(rng)
        self.values = parameter((kept,), he_std(self.shape) * math.sqrt(n / kept), generator)
        index = np.min_scalar_type(n - 1)
        self.is_mask = kept * index.itemsize > math.ceil(n / 8)
        if generator is None:
            size = math.ceil(n / 8) if self.is_mask else kept
            places: Any = ShapeOnly((size,), np.dtype(np.uint8) if self.is_mask else index)
        else:
            places = self._packed(np.sort(generator.permutation(n)[:kept]))
        self.places = Tensor(places)
        self.describe("Pruned", density=self.density)

    @property
    def label(self) -> str:
        """The name in reports, with the share of entries that are kept."""
        return f"pruned {100 * self.density:.3g} %"

    def decode(self) -> Tensor:
        """Return the weight: the values at their places."""
        return _scattered(self.values, places=self._indices(), size=math.prod(self.shape)).reshape(
            self.shape
        )

    def counts(self) -> Counts:
        """Count the kept entries; the bytes are those of the values and of the places."""
        n, kept = math.prod(self.shape), self.values.size
        places = self.places.size * self.places.dtype.itemsize
        return Counts(n, n, kept, kept, kept, stored_bytes=4 * kept + places)

    def fit(self, target: Any) -> list[float]:
        """Keep the largest entries of the target. Return a list with one relative error."""
        found, _ = checked_target(self, target)
        flat = found.ravel()
        first = flat.size - self.values.size
        chosen = np.sort(np.argpartition(np.abs(flat), first)[first:])
        values = flat[chosen].astype(self.values.dtype)
        self.load_arrays({"values": values, "places": self._packed(chosen)})
        return [relative_error(self, target)]

    def _packed(self, indices: np.ndarray) -> np.ndarray:
        n = math.prod(self.shape)
        if not self.is_mask:
            return indices.astype(np.min_scalar_type(n - 1))
        bits = np.zeros(n, np.uint8)
        bits[indices] = 1
        return np.packbits(bits)

    def _indices(self) -> Array:
        places = self.places.data
        if isinstance(places, ShapeOnly) or not self.is_mask:
            return places
        xp = array_module(places)
        return xp.flatnonzero(xp.unpackbits(places)[: math.prod(self.shape)])


@op
def _scattered(values: Array, *, places: Array, size: int) -> tuple:
    """w[places[k]] = values[k] and 0 elsewhere. No place occurs twice."""
    whole = array_module(values).zeros(size, values.dtype)
    whole[places] = values
    return whole, lambda g: g[places]
