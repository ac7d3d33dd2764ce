"""A weight as a matrix of low rank, the product of two factors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..autodiff.arrays import Array
from ..autodiff.engine import Tensor
from ..checks import to_builtin
from ..decode_free.chain import Chain
from ..errors import ShapeError
from ..nn.parameters import Seed
from ..ops.contract import contract
from ..tensor_networks.sites import Axes
from .encoding import Cost, checked_shape
from .factored import FactoredEncoding


class LowRank(FactoredEncoding):
    """A weight (o, …) as a matrix of low rank: W[o,i] = Σ_r left[o,r] · right[r,i].

    i runs over all axes except the first, so a convolution becomes ``rank`` filters and a 1×1
    convolution. It stores rank·(o + i) parameters. ``fit`` is the truncated singular value
    decomposition, which is optimal (Eckart and Young, Psychometrika 1, 211, 1936). Its error is
    the root of the sum of the squared singular values that are left out. Raises ShapeError for a
    rank below 1 or above min(o, i).

    >>> weight = LowRank((256, 784), 8, rng=0)
    >>> weight.num_parameters, weight.decode().shape
    (8320, (256, 784))
    """

    left: Tensor
    right: Tensor

    def __init__(self, shape: Sequence[int], rank: int, *, axes: Axes = None, rng: Seed = None):
        self.shape, self.rank = checked_shape("LowRank", shape, 2), to_builtin(rank)
        o, i = self.shape[0], math.prod(self.shape[1:])
        if not isinstance(self.rank, int) or not 1 <= self.rank <= min(o, i):
            raise ShapeError(
                f"a {o}×{i} matrix has a rank from 1 to {min(o, i)}, LowRank got {rank!r}"
            )
        self.describe("LowRank", rank=self.rank)
        self.left, self.right = self._draw([(o, self.rank), (self.rank, i)], rng)
        self._match_start(rng)

    @property
    def label(self) -> str:
        """The name in reports, with the rank."""
        return f"low rank r={self.rank}"

    def product(self) -> Tensor:
        """Return left @ right in the shape of the weight."""
        return contract(self.left, self.right, pattern="or,ri->oi").reshape(self.shape)

    def as_cores(self) -> list[Array]:
        """Return the factors as two cores (bond, outputs, inputs, bond)."""
        return [self.left.data[None, :, None, :], self.right.data[:, None, :, None]]

    def best_factors(self, target: np.ndarray) -> list[np.ndarray]:
        """Return the factors of the truncated SVD, each with √s of the singular values s."""
        u, s, v = np.linalg.svd(target.reshape(self.shape[0], -1), full_matrices=False)
        root = np.sqrt(s[: self.rank])
        return [u[:, : self.rank] * root, root[:, None] * v[: self.rank]]

    def factors(self, chain: Chain | None = None) -> tuple[Tensor, Tensor]:
        """Return (left, right)."""
        return self.left, self.right

    def chain(self, batch: int) -> Chain:
        """Return the chain of two cores, left and right."""
        (o, rank), (_, i) = self.left.shape, self.right.shape
        return Chain(((1, o, 1, rank), (rank, 1, i, 1)))

    def cost(self) -> Cost:
        """Count the multiply-adds: o·r·i to decode, r·(o + i) to apply."""
        return Cost(math.prod(self.shape) * self.rank, self.left.size + self.right.size)
