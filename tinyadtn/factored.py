"""A weight as a product of small factors: low rank, and Tucker for convolutions.

What an ADTN competes with. Each is linear in every one of its factors, so there is no activation to
choose, and the best factors for a given weight are a formula: a singular value decomposition.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .backend import array_module
from .chain import Chain
from .contract import contract
from .encodings import Cost, Encoding, check_size, checked_shape, plain, target_of
from .engine import Tensor
from .errors import ShapeError
from .modes import no_grad
from .module import Seed, he_std, parameter, require_values
from .row import Row
from .sites import Axes


class Factored(Encoding):
    """An encoding that is linear in each of its factors.

    A subclass lists its shape, its configuration and its factors' shapes, says what they multiply
    to (``product``), and which factors suit a given weight (``factors_of``).
    """

    def product(self) -> Tensor:
        """The weight from the factors."""
        raise TypeError(f"{type(self).__name__} has no product()")

    def factors_of(self, target: np.ndarray) -> list[np.ndarray]:
        """Factors, in the order of the attributes, whose product is close to the target."""
        raise TypeError(f"{type(self).__name__} has no factors_of()")

    def decode(self) -> Tensor:
        """The weight: the product of the factors."""
        require_values(self._factors())
        return self.product()

    def fit(self, target: Any) -> list[float]:
        """Bring the decoded weight close to the target in Euclidean distance: one decomposition.

        Works on shapes only, too. Returns the relative error ‖W - target‖ / ‖target‖, in a list as
        every ``fit`` does. ShapeError for another shape, NonFiniteError for a target that is zero
        or not finite.
        """
        target, norm = target_of(self, target)
        direction = Tensor(target).numpy().astype(np.float64) / norm
        found = self.factors_of(direction)
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


class LowRank(Factored):
    """A weight (o, …) as a matrix of low rank: W[o,i] = Σ_r left[o,r] · right[r,i].

    i runs over all axes but the first, so a convolution becomes ``rank`` filters and a 1×1
    convolution. It stores rank·(o + i) numbers. ``fit`` is the truncated singular value
    decomposition, the best there is (Eckart and Young, Psychometrika 1, 211, 1936): its error is
    the root of the sum of the squared singular values left out. ShapeError for a rank below 1 or
    above min(o, i).

    >>> weight = LowRank((256, 784), 8, rng=0)
    >>> weight.num_parameters, weight.decode().shape
    (8320, (256, 784))
    """

    left: Tensor
    right: Tensor

    def __init__(self, shape: Sequence[int], rank: int, *, axes: Axes = None, rng: Seed = None):
        self.shape, self.rank = checked_shape("LowRank", shape, 2), plain(rank)
        o, i = self.shape[0], math.prod(self.shape[1:])
        if not isinstance(self.rank, int) or not 1 <= self.rank <= min(o, i):
            raise ShapeError(
                f"a {o}×{i} matrix has a rank from 1 to {min(o, i)}, LowRank got {rank!r}"
            )
        self.config = {"encoding": "LowRank", "shape": list(self.shape), "rank": self.rank}
        self.left, self.right = self._draw([(o, self.rank), (self.rank, i)], rng)
        self._match_start(rng)

    @property
    def label(self) -> str:
        return f"low rank r={self.rank}"

    def product(self) -> Tensor:
        return contract(self.left, self.right, pattern="or,ri->oi").reshape(self.shape)

    def factors_of(self, target: np.ndarray) -> list[np.ndarray]:
        u, s, v = np.linalg.svd(target.reshape(self.shape[0], -1), full_matrices=False)
        root = np.sqrt(s[: self.rank])
        return [u[:, : self.rank] * root, root[:, None] * v[: self.rank]]

    def factors(self, chain: Chain | None = None) -> tuple[Tensor, Tensor]:
        """(left, right)."""
        require_values(self._factors())
        return self.left, self.right

    def chain(self, batch: int) -> Chain:
        (o, rank), (_, i) = self.left.shape, self.right.shape
        return Chain(((1, o, 1, rank), (rank, 1, i, 1)))

    def cost(self) -> Cost:
        """Decoded: o·r·i; applied: r·(o + i)."""
        return Cost(math.prod(self.shape) * self.rank, self.left.size + self.right.size)


class Tucker(Factored):
    """A kernel (o, c, p, q) in Tucker-2 form: W[o,c,p,q] = Σ_ab out[o,a] · core[a,b,p,q] · in[c,b].

    A 1×1 convolution to ``ranks[1]`` channels, a small convolution, a 1×1 convolution to o
    channels; the kernel's own axes, few and short, stay whole. ``ranks`` is (a, b), or one number
    for both. ``fit`` is the higher-order singular value decomposition, at most √2 times as far
    from the target as the best of these ranks. ShapeError for ranks beyond what the shape, and the
    other rank, allow, and for a matrix: there ``LowRank`` does the same with less.
    Source: Kim et al., arXiv 1511.06530; De Lathauwer et al., SIAM J. Matrix Anal. 21, 1253 (2000).

    >>> weight = Tucker((512, 256, 3, 3), (64, 32), rng=0)
    >>> weight.num_parameters  # 512·64 + 64·32·3·3 + 256·32
    59392
    """

    out_factor: Tensor
    core: Tensor
    in_factor: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        ranks: int | Sequence[int],
        *,
        axes: Axes = None,
        rng: Seed = None,
    ):
        self.shape = checked_shape("Tucker", shape, 3)
        pair = plain(ranks)
        self.ranks = (pair, pair) if isinstance(pair, int) else pair
        o, c, *kernel = self.shape
        if not (
            isinstance(self.ranks, tuple)
            and len(self.ranks) == 2
            and all(isinstance(rank, int) for rank in self.ranks)
        ):
            raise ShapeError(f"Tucker needs two ranks, for the {o} out and {c} in, got {ranks!r}")
        (a, b), size = self.ranks, math.prod(kernel)
        if not (1 <= a <= min(o, b * size) and 1 <= b <= min(c, a * size)):
            raise ShapeError(
                f"Tucker ranks ({a}, {b}) for {self.shape}: the first must be from 1 to "
                f"min({o}, {b}·{size}), the second from 1 to min({c}, {a}·{size})"
            )
        self.config = {
            "encoding": "Tucker",
            "shape": list(self.shape),
            "ranks": list(self.ranks),
        }
        factors = self._draw([(o, a), (a, b, *kernel), (c, b)], rng)
        self.out_factor, self.core, self.in_factor = factors
        self._match_start(rng)

    @property
    def label(self) -> str:
        return f"Tucker {self.ranks[0]}×{self.ranks[1]}"

    def product(self) -> Tensor:
        a, b = self.ranks
        core = self.core.reshape(a, b, math.prod(self.shape[2:]))
        weight = contract(self.in_factor, core, self.out_factor, pattern="cb,abk,oa->ock")
        return weight.reshape(self.shape)

    def factors_of(self, target: np.ndarray) -> list[np.ndarray]:
        o, c, *_ = self.shape
        a, b = self.ranks
        tensor = target.reshape(o, c, -1)
        out = np.linalg.svd(tensor.reshape(o, -1), full_matrices=False)[0][:, :a]
        into = np.linalg.svd(tensor.swapaxes(0, 1).reshape(c, -1), full_matrices=False)[0][:, :b]
        core = np.einsum("oa,ock,cb->abk", out, tensor, into, optimize=True)
        return [out, core.reshape(self.core.shape), into]

    def factors(self, chain: Chain | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(out_factor, core, in_factor)."""
        require_values(self._factors())
        return self.out_factor, self.core, self.in_factor

    def row(self) -> Row | None:
        """1×1 to b channels, the core, 1×1 from a channels: for a kernel of two axes."""
        if len(self.shape) != 4:
            return None
        (o, c, *_), (a, b) = self.shape, self.ranks
        return Row(((b, c, 1, 1), self.core.shape, (o, a, 1, 1)), sliding=1)

    def kernels(self) -> list[Tensor]:
        out, core, into = self.factors()
        return [into.T.reshape(*into.T.shape, 1, 1), core, out.reshape(*out.shape, 1, 1)]

    def cost(self) -> Cost:
        """Decoded: channels in, then out; applied at one position: a row of small products.

        A layer sends a pixel through ``in_factor`` once, not for every position that sees it.
        """
        (o, c, *kernel), (a, b) = self.shape, self.ranks
        size = math.prod(kernel)
        return Cost(c * b * a * size + o * a * c * size, c * b * size + a * b * size + o * a)
