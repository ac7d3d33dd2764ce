"""A weight as a tensor train: a chain of small cores, one for each pair of modes.

           o₁       o₂       o₃
           │        │        │
         ┌─┴─┐ D₁ ┌─┴─┐ D₂ ┌─┴─┐
         │ 1 ├────┤ 2 ├────┤ 3 │        D: the bonds
         └─┬─┘    └─┬─┘    └─┬─┘
           │        │        │
           i₁       i₂       i₃

The rows of the matrix are split as o = o₁·o₂·o₃, the columns as i = i₁·i₂·i₃. Physicists call it a
matrix product operator (MPO).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

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

Modes = Sequence[Sequence[int]]
PAIRS = 3  # of modes, if they are not given


class TensorTrain(FactoredEncoding):
    """W[o₁…oₙ, i₁…iₙ] = core₁[o₁,i₁] · core₂[o₂,i₂] ⋯ coreₙ[oₙ,iₙ], a product of D×D matrices.

    ``modes`` is ((o₁, …, oₙ), (i₁, …, iₙ)). The first multiply to the first axis of ``shape``, the
    second to all others together (c·kh·kw for a convolution); pad the shorter row with 1s.
    Without ``modes`` there are three cores with sizes that are as equal as possible.
    ``ranks`` is one bond dimension D for all, or the n - 1 inner ones. Core k is
    (D_{k-1}, o_k, i_k, D_k). ``fit`` is TT-SVD: its error is at most √(n - 1) times the smallest
    possible error with these bonds. Raises ShapeError for modes that do not multiply to the shape,
    and for a bond that is larger than the neighboring cores can use.
    Source: Oseledets, SIAM J. Sci. Comput. 33, 2295 (2011); Novikov et al., arXiv 1509.06569.

    >>> weight = TensorTrain((256, 784), ((4, 4, 4, 4), (4, 7, 7, 4)), 4, rng=0)
    >>> weight.num_parameters, [core.shape for core in weight.cores][:2]
    (1024, [(1, 4, 4, 4), (4, 4, 7, 4)])
    """

    cores: list[Tensor]

    def __init__(
        self,
        shape: Sequence[int],
        modes: Modes | None = None,
        ranks: int | Sequence[int] = 4,
        *,
        axes: Axes = None,
        rng: Seed = None,
    ):
        self.shape = checked_shape("TensorTrain", shape, 2)
        self.modes = checked_modes(self.shape, modes)
        sizes = [o * i for o, i in zip(*self.modes)]
        self.ranks = _checked_ranks(sizes, ranks)
        self.describe(
            "TensorTrain", modes=[list(row) for row in self.modes], ranks=list(self.ranks)
        )
        bonds = (1, *self.ranks, 1)
        shapes = list(zip(bonds, *self.modes, bonds[1:]))
        self.cores = list(self._draw(shapes, rng))
        self._match_start(rng)

    @property
    def label(self) -> str:
        """The name in reports, with the largest bond dimension D."""
        return f"tensor train D={max(self.ranks, default=1)}"

    def product(self) -> Tensor:
        """Return the weight: the cores contracted along their bonds, from left to right."""
        weight = self.cores[0].reshape(self.cores[0].shape[1:])  # (rows, columns, bond) so far
        for core in self.cores[1:]:
            joined = contract(weight, core, pattern="abr,roid->aobid")
            a, o, b, i, bond = joined.shape
            weight = joined.reshape(a * o, b * i, bond)
        return weight.reshape(self.shape)

    def as_cores(self) -> list[Array]:
        """Return the cores."""
        return [core.data for core in self.cores]

    def best_factors(self, target: np.ndarray) -> list[np.ndarray]:
        """Return the cores of TT-SVD: from the left, each keeps the largest singular values."""
        n = len(self.cores)
        pairs = [axis for k in range(n) for axis in (k, n + k)]  # o₁ i₁ o₂ i₂ …
        rest = target.reshape(*self.modes[0], *self.modes[1]).transpose(pairs)
        found = []
        for core in self.cores[:-1]:
            bond = core.shape[-1]
            rest = rest.reshape(math.prod(core.shape[:-1]), -1)
            u, s, v = np.linalg.svd(rest, full_matrices=False)
            found.append(u[:, :bond].reshape(core.shape))
            rest = s[:bond, None] * v[:bond]
        return [*found, rest.reshape(self.cores[-1].shape)]

    def factors(self, chain: Chain | None = None) -> list[Tensor]:
        """Return the cores."""
        return self.cores

    def chain(self, batch: int) -> Chain:
        """Return the chain of these cores, entered from the end that takes less work."""
        cores = tuple(core.shape for core in self.cores)
        routes = [Chain(cores, from_right) for from_right in (False, True)]
        return min(routes, key=lambda chain: chain.work(batch))

    def cost(self) -> Cost:
        """Count the multiply-adds to decode from the left, and to apply core by core."""
        decode, rows, columns = 0, 1, 1
        for k, core in enumerate(self.cores):
            _, o, i, _ = core.shape
            if k:
                decode += rows * columns * core.size
            rows, columns = rows * o, columns * i
        return Cost(decode, self.chain(1).multiply_adds)


def balanced(length: int, count: int) -> tuple[int, ...]:
    """Return ``count`` factors of the length, as equal as a greedy split makes them.

    >>> balanced(784, 4), balanced(10, 3)
    ((7, 7, 4, 4), (5, 2, 1))
    """
    primes, divisor = [], 2
    while length > 1:
        if divisor * divisor > length:
            divisor = length
        if length % divisor:
            divisor += 1
        else:
            primes.append(divisor)
            length //= divisor
    factors = [1] * count
    for prime in reversed(primes):
        factors[factors.index(min(factors))] *= prime
    return tuple(sorted(factors, reverse=True))


def checked_modes(shape: tuple[int, ...], modes: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the modes as tuples, balanced ones for None; ShapeError if they do not fit."""
    wanted = (shape[0], math.prod(shape[1:]))
    if modes is None:
        out, into = (balanced(length, PAIRS) for length in wanted)
        return out, into[::-1]  # pairs large with small
    rows = to_builtin(modes)
    if not (
        isinstance(rows, tuple)
        and len(rows) == 2
        and all(isinstance(row, tuple) and row for row in rows)
        and all(isinstance(n, int) and n > 0 for row in rows for n in row)
    ):
        raise ShapeError(
            f"modes must be ((out modes), (in modes)), got {modes!r}; "
            "pass one number by its name: ranks= of a TensorTrain, width= of a MixT"
        )
    out, into = rows
    if len(out) != len(into):
        raise ShapeError(
            f"{len(out)} out modes {out} meet {len(into)} in modes {into}; pad the shorter with 1s"
        )
    if (math.prod(out), math.prod(into)) != wanted:
        raise ShapeError(
            f"modes {out}, {into} multiply to {math.prod(out)} and {math.prod(into)}; a weight of "
            f"shape {shape} needs {wanted[0]} and {wanted[1]}"
        )
    return out, into


def _checked_ranks(sizes: list[int], ranks: Any) -> tuple[int, ...]:
    """Return the inner bonds; ShapeError if one is larger than the neighboring cores can use."""
    inner = to_builtin(ranks)
    if isinstance(inner, int):
        inner = (inner,) * (len(sizes) - 1)
    if not isinstance(inner, tuple) or not all(isinstance(rank, int) for rank in inner):
        raise ShapeError(f"ranks must be one bond or a list of bonds, got {ranks!r}")
    if len(inner) != len(sizes) - 1:
        raise ShapeError(
            f"{len(sizes)} pairs of modes have {len(sizes) - 1} inner bonds, got ranks {inner}"
        )
    bonds = (1, *inner, 1)
    for k in range(1, len(sizes)):
        most = min(bonds[k - 1] * sizes[k - 1], sizes[k] * bonds[k + 1])
        if not 1 <= bonds[k] <= most:
            raise ShapeError(
                f"bond {k} of {inner} must be from 1 to {most}: it stands between cores of "
                f"{bonds[k - 1]}·{sizes[k - 1]} and {sizes[k]}·{bonds[k + 1]}; give smaller ranks, "
                "or a list of them"
            )
    return inner
