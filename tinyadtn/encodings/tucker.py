"""A kernel in Tucker form: a 1×1 convolution, a small convolution, a 1×1 convolution."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..autodiff.arrays import Array
from ..autodiff.engine import Tensor
from ..checks import to_builtin
from ..decode_free.chain import Chain
from ..decode_free.row import ConvChain
from ..errors import ShapeError
from ..nn.parameters import Seed
from ..ops.contract import contract
from ..tensor_networks.sites import Axes
from .encoding import Cost, checked_shape
from .factored import FactoredEncoding


class Tucker(FactoredEncoding):
    """A kernel (o, c, p, q) in Tucker-2 form: W[o,c,p,q] = Σ_ab out[o,a] · core[a,b,p,q] · in[c,b].

    It is a 1×1 convolution to ``ranks[1]`` channels, a small convolution, and a 1×1 convolution to
    o channels. The kernel's own axes are few and short, so they stay whole. ``ranks`` is (a, b), or
    one integer for both. ``fit`` is the higher-order singular value decomposition: its error is at
    most √2 times the smallest possible error with these ranks. Raises ShapeError for ranks that
    exceed what the shape and the other rank allow. It also raises ShapeError for a matrix, because
    ``LowRank`` does the same with fewer parameters.
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
        pair = to_builtin(ranks)
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
        self.describe("Tucker", ranks=list(self.ranks))
        factors = self._draw([(o, a), (a, b, *kernel), (c, b)], rng)
        self.out_factor, self.core, self.in_factor = factors
        self._match_start(rng)

    @property
    def label(self) -> str:
        """The name in reports, with both ranks."""
        return f"Tucker {self.ranks[0]}×{self.ranks[1]}"

    def product(self) -> Tensor:
        """Return the weight: the three factors contracted."""
        a, b = self.ranks
        core = self.core.reshape(a, b, math.prod(self.shape[2:]))
        # In two steps: in one, the gradient of the core forms all products of the outer factors.
        inside = contract(self.in_factor, core, pattern="cb,abk->cak")
        return contract(self.out_factor, inside, pattern="oa,cak->ock").reshape(self.shape)

    def as_cores(self) -> list[Array]:
        """Return the factors as cores (bond, outputs, inputs, bond), the window before c."""
        out, core, into = (factor.data for factor in self.factors())
        core = core.reshape(*self.ranks, -1).swapaxes(1, 2)[:, None]
        return [out[None, :, None, :], core, into.T[:, None, :, None]]

    def best_factors(self, target: np.ndarray) -> list[np.ndarray]:
        """Return the factors of the higher-order SVD: leading singular vectors, and the core."""
        o, c, *_ = self.shape
        a, b = self.ranks
        tensor = target.reshape(o, c, -1)
        out = np.linalg.svd(tensor.reshape(o, -1), full_matrices=False)[0][:, :a]
        into = np.linalg.svd(tensor.swapaxes(0, 1).reshape(c, -1), full_matrices=False)[0][:, :b]
        core = np.einsum("oa,ock,cb->abk", out, tensor, into, optimize=True)
        return [out, core.reshape(self.core.shape), into]

    def factors(self, chain: Chain | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return (out_factor, core, in_factor)."""
        return self.out_factor, self.core, self.in_factor

    def row(self) -> ConvChain | None:
        """Return the row for a 2-D kernel: 1×1 to b channels, the core, 1×1 from a channels."""
        if len(self.shape) != 4:
            return None
        (o, c, *_), (a, b) = self.shape, self.ranks
        return ConvChain(((b, c, 1, 1), self.core.shape, (o, a, 1, 1)), sliding=1)

    def kernels(self) -> list[Tensor]:
        """Return the factors as kernels: 1×1 to b channels, the core, 1×1 from a channels."""
        out, core, into = self.factors()
        return [into.T.reshape(*into.T.shape, 1, 1), core, out.reshape(*out.shape, 1, 1)]

    def cost(self) -> Cost:
        """Count the multiply-adds to decode, and to apply at one position: a row of small products.

        A layer sends a pixel through ``in_factor`` once, not for every position that reads it.
        """
        (o, c, *kernel), (a, b) = self.shape, self.ranks
        size = math.prod(kernel)
        return Cost(c * b * a * size + o * a * c * size, c * b * size + a * b * size + o * a)
