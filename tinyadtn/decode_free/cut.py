"""Any wiring of gates without an activation between them, cut in two: W = A·B without forming W.

The output sites of the weight go to A and its input sites to B, with the gates on either side. A
gate *across* the cut acts in A. B passes the state of its site to A and gets it back afterwards, so
the two ends are a bond of d·d. A site that is still in |0⟩ need not be passed, so its bond is only
d::

    A    ────┌───┐────               ────┌───┐────
             │ g │          =    s ──────│ g │────── q         s: B hands over
    B    ────└───┘────                   └───┘                 q: A hands back
                                     ──── s     q ────

The rank of A·B is the product of the bonds, so this is cheap if few gates cross the cut: one per
layer of a staircase with its outputs first, but Q/2 in a butterfly.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..autodiff.arrays import Array, array_module
from ..autodiff.engine import Tensor, op
from ..tensor_networks.gates import apply_gate, product_state
from ..tensor_networks.sites import Sites
from ..tensor_networks.wall import Column
from .chain import Chain
from .cost import CALL, MOVED


@dataclass(frozen=True, eq=False)
class CutChain(Chain):
    """The two cores (1, o, 1, r) and (r, 1, i, 1), and the gates that they are computed from."""

    sites: Sites | None = None
    wall: tuple[Column, ...] = ()

    def factors(self, columns: Sequence[Tensor], scale: Tensor) -> list[Tensor]:
        """Return A (o, r) and B (r, i), computed from the gates; differentiable."""
        assert self.sites is not None
        a, b = cut_factors(columns, self.sites, self.wall)
        return [a, b * scale]


@functools.lru_cache(maxsize=256)
def cut_chain(sites: Sites, wall: tuple[Column, ...]) -> CutChain | None:
    """Return the chain of A and B; None if they would have more entries than the weight.

    >>> from tinyadtn.tensor_networks.wall import build_wall
    >>> from tinyadtn.tensor_networks.sites import assign_sites
    >>> from tinyadtn.tensor_networks.wirings import staircase
    >>> sites = assign_sites((64, 64), None, 2, "output_first")
    >>> cut_chain(sites, tuple(build_wall(staircase(12), sites.wall_dims, 1))).cores
    ((1, 64, 1, 2), (2, 1, 64, 1))
    """
    is_output, dims, rank = sites.is_output, sites.wall_dims, 1
    touched: set[int] = set()
    gates = []  # for each gate: whether it acts in A, and its multiply-adds for each entry there
    for column in wall:
        for pair in column.pairs:
            outputs = [is_output[place] for place in pair]
            if any(outputs) and not all(outputs):
                place = pair[outputs.index(False)]
                rank *= dims[place] ** (2 if place in touched else 1)
            gates.append((any(outputs), math.prod(column.dims)))
            touched.update(pair)
    sizes = {
        side: rank * math.prod(dim for dim, own in zip(dims, is_output) if own == side)
        for side in (True, False)
    }
    o, i = sites.shape[0], math.prod(sites.shape[1:])
    if sum(sizes.values()) >= o * i:
        return None
    multiply_adds = sum(sizes[side] * terms for side, terms in gates)
    moved = sum(2 * sizes[side] for side, _ in gates)
    return CutChain(
        cores=((1, o, 1, rank), (rank, 1, i, 1)),
        sites=sites,
        wall=wall,
        build_multiply_adds=multiply_adds,
        build_work=8 * CALL * len(gates) + MOVED * moved + multiply_adds,
    )


def cut_factors(
    columns: Sequence[Tensor], sites: Sites, wall: Sequence[Column]
) -> tuple[Tensor, Tensor]:
    """Return A (o, r) and B (r, i): each side's gates applied, its sites in order and cropped."""
    a, b = (_Side(sites, columns[0]) for _ in range(2))
    for column, gates in zip(wall, columns):
        for k, pair in enumerate(column.pairs):
            members = [sites.order[place] for place in pair]
            outputs = [sites.is_output[place] for place in pair]
            if any(outputs) and not all(outputs):
                across = members[outputs.index(False)]
                b.hand_over(across, a)
                a.apply(gates[k], members)
                a.hand_over(across, b)
            else:
                (a if all(outputs) else b).apply(gates[k], members)
    axes = range(len(sites.lengths))
    return a.matrix(axes[: sites.num_outputs]), b.matrix(axes[sites.num_outputs :]).T


class _Side:
    """One side: a state over *lines*, which are its sites and the bonds to the other side.

    ``line`` maps each site to its current line; a site that no gate has touched has none.
    """

    def __init__(self, sites: Sites, like: Tensor) -> None:
        self.sites, self.xp = sites, array_module(like.data)
        self.state = Tensor(self.xp.ones(1, like.dtype))
        self.dims: list[int] = []
        self.line: dict[int, int] = {}
        self.bonds: list[int] = []

    def add(self, state: Array, dims: Sequence[int]) -> list[int]:
        """Append lines of these dimensions in that state, and return their numbers."""
        self.state = _outer(self.state, new=state.reshape(-1))
        self.dims += dims
        return list(range(len(self.dims) - len(dims), len(self.dims)))

    def begin(self, members: Sequence[int]) -> None:
        """Append a line in |0⟩ for each of these sites that has none."""
        new = [site for site in members if site not in self.line]
        if new:
            dims = [self.sites.dims[site] for site in new]
            state = product_state(dims, self.state.dtype, self.xp).data
            self.line.update(zip(new, self.add(state, dims)))

    def apply(self, gate: Tensor, members: Sequence[int]) -> None:
        """Apply a gate to two sites."""
        self.begin(members)
        pair = (self.line[members[0]], self.line[members[1]])
        self.state = apply_gate(self.state, gate, pair, self.dims)

    def hand_over(self, site: int, taker: _Side) -> None:
        """Move a site to the other side, unless it is still in |0⟩: its line becomes a bond."""
        if site in self.line:
            self.bonds.append(self.line.pop(site))
            dim = self.sites.dims[site]
            bond, taker.line[site] = taker.add(self.xp.eye(dim, dtype=self.state.dtype), (dim, dim))
            taker.bonds.append(bond)

    def matrix(self, axes: Sequence[int]) -> Tensor:
        """Return the state as (entries of the axes, all bonds together)."""
        groups = [self.sites.groups[k] for k in axes]
        members = sum(groups, ())
        self.begin(members)
        order = [*(self.line[site] for site in members), *self.bonds]
        padded = [math.prod(self.sites.dims[site] for site in group) for group in groups]
        kept = tuple(slice(self.sites.lengths[k]) for k in axes)
        state = self.state.reshape(self.dims).transpose(order).reshape(*padded, -1)[kept]
        return state.reshape(-1, state.shape[-1])


@op
def _outer(state: Array, *, new: Array) -> Any:
    """state[a] · new[b], as a vector over a and b."""
    product = state[:, None] * new
    return product.reshape(-1), lambda g: g.reshape(product.shape) @ new
