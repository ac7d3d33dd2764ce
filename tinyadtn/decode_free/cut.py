"""Any wiring of gates without an activation between them, cut in two: W = A·B, nothing decoded.

The weight's output sites go to A, its input sites to B, and with them the gates on either side. A
gate *across* the cut acts in A, and the line of its site in B is cut before and behind it: B hands
a state over and takes one back, so these two ends are a bond of d·d. A line still in |0⟩ need not
be handed over, which leaves a bond of d::

    A    ────┌───┐────               ────┌───┐────
             │ g │          =    s ──────│ g │────── q         s: B hands over
    B    ────└───┘────                   └───┘                 q: A hands back
                                     ──── s     q ────

The rank of A·B is the product of the bonds, so this pays where few gates cross the cut: one in a
layer of a staircase with its outputs first, but Q/2 in a butterfly.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autodiff.arrays import array_module
from ..autodiff.engine import Tensor
from ..tensor_networks.gates import apply_gate
from ..tensor_networks.sites import Sites
from ..tensor_networks.wall import Column
from .chain import Chain
from .cost import CALL, MOVED

Pair = tuple[int, int]
Gate = tuple[int, int, Pair]  # column of the wall, gate in it, the lines it acts on


class Side:
    """One side as a wall of its own, on *lines*: sites, or what is left of them between two cuts.

    ``copy_of[k]`` is the line whose index line k begins as a copy of, its other end being a bond;
    without that it begins in |0⟩. ``legs`` has for each site the line it ends on.
    """

    def __init__(self, dims: dict[int, int]):
        self.dims: list[int] = []
        self.copy_of: dict[int, int] = {}
        self.gates: list[Gate] = []
        self.bonds: list[int] = []
        self.legs = {site: self.line(dim) for site, dim in dims.items()}

    def line(self, dim: int) -> int:
        """A new line that begins in |0⟩."""
        self.dims.append(dim)
        return len(self.dims) - 1

    def taken_over(self, dim: int) -> int:
        """A new line that begins where the other side hands it over."""
        self.bonds.append(self.line(dim))
        line = self.line(dim)
        self.copy_of[line] = self.bonds[-1]
        return line

    @property
    def rank(self) -> int:
        """All bonds together."""
        return math.prod(self.dims[line] for line in self.bonds)

    @property
    def multiply_adds(self) -> int:
        """Of applying the gates, each to all lines."""
        return sum(
            math.prod(self.dims) * math.prod(self.dims[line] for line in lines)
            for _, _, lines in self.gates
        )

    def state(self, columns: Sequence[Tensor], lengths: Sequence[tuple[int, list[int]]]) -> Tensor:
        """The gates applied: (cropped axes, bonds). An axis is its length and its sites."""
        strides = [math.prod(self.dims[k + 1 :]) for k in range(len(self.dims))]
        places = np.zeros(1, np.intp)
        for line, source in self.copy_of.items():
            step = (strides[line] + strides[source]) * np.arange(self.dims[line])
            places = (places[:, None] + step).ravel()
        xp = array_module(columns[0].data)
        begin = xp.zeros(math.prod(self.dims), columns[0].dtype)
        begin[xp.asarray(places)] = 1
        state = Tensor(begin)
        for column, gate, lines in self.gates:
            state = apply_gate(state, columns[column][gate], lines, self.dims)
        order = [self.legs[site] for _, group in lengths for site in group] + self.bonds
        padded = [math.prod(self.dims[self.legs[site]] for site in group) for _, group in lengths]
        kept = tuple(slice(length) for length, _ in lengths)
        state = state.reshape(self.dims).transpose(order).reshape(*padded, self.rank)[kept]
        return state.reshape(math.prod(length for length, _ in lengths), self.rank)


@dataclass(frozen=True, eq=False)
class CutChain(Chain):
    """The two cores (1, o, 1, r) and (r, 1, i, 1), and the sides that they come from."""

    sides: tuple[Side, ...] = ()

    @property
    def build_multiply_adds(self) -> int:
        """Of applying the gates on both sides."""
        return sum(side.multiply_adds for side in self.sides)

    @property
    def build_work(self) -> int:
        """The same with all that is moved, in multiply-adds of a large product."""
        moved = sum(2 * len(side.gates) * math.prod(side.dims) for side in self.sides)
        calls = 4 * sum(len(side.gates) for side in self.sides)
        return CALL * calls + MOVED * moved + self.build_multiply_adds


@functools.lru_cache(maxsize=256)
def cut_chain(sites: Sites, wall: tuple[Column, ...]) -> CutChain | None:
    """The two sides of the wall; None where they would hold more numbers than the weight.

    >>> from tinyadtn.tensor_networks.wall import build_wall
    >>> from tinyadtn.tensor_networks.sites import assign_sites
    >>> from tinyadtn.tensor_networks.wirings import staircase
    >>> sites = assign_sites((64, 64), None, 2, "output_first")
    >>> cut_chain(sites, tuple(build_wall(staircase(12), sites.wall_dims, 1))).cores
    ((1, 64, 1, 2), (2, 1, 64, 1))
    """
    ours, theirs = two_sides(sites, wall)
    o, i = sites.shape[0], math.prod(sites.shape[1:])
    if math.prod(ours.dims) + math.prod(theirs.dims) > o * i:
        return None
    return CutChain(((1, o, 1, ours.rank), (ours.rank, 1, i, 1)), sides=(ours, theirs))


def two_sides(sites: Sites, wall: Sequence[Column]) -> tuple[Side, Side]:
    """A, with the outputs and all gates on one of them, and B, with the rest."""
    outputs = {site for group in sites.groups[: sites.num_outputs] for site in group}
    dims = dict(enumerate(sites.dims))
    ours = Side({site: dim for site, dim in dims.items() if site in outputs})
    theirs = Side({site: dim for site, dim in dims.items() if site not in outputs})
    touched: set[int] = set()
    for number, column in enumerate(wall):
        for gate, pair in enumerate(column.pairs):
            members = [sites.order[place] for place in pair]
            mine = [site in outputs for site in members]
            side = ours if any(mine) else theirs
            if any(mine) and not all(mine):
                lines = _across(ours, theirs, members, mine, dims, touched)
            else:
                lines = (side.legs[members[0]], side.legs[members[1]])
            side.gates.append((number, gate, lines))
            touched.update(members)
    return ours, theirs


def _across(
    ours: Side, theirs: Side, members: list[int], mine: list[bool], dims: Any, touched: set[int]
) -> Pair:
    """The lines, all on our side, that a gate across the cut acts on."""
    other = members[mine.index(False)]
    if other in touched:
        line = ours.taken_over(dims[other])
        theirs.bonds.append(theirs.legs[other])
    else:
        line = ours.line(dims[other])
    ours.bonds.append(line)
    if other in touched:
        theirs.legs[other] = theirs.taken_over(dims[other])
    else:  # their line, in |0⟩ so far, begins here
        theirs.copy_of[theirs.legs[other]] = theirs.line(dims[other])
        theirs.bonds.append(theirs.copy_of[theirs.legs[other]])
    return (ours.legs[members[0]], line) if mine[0] else (line, ours.legs[members[1]])


def cut_cores(columns: Sequence[Tensor], sites: Sites, chain: CutChain) -> tuple[Tensor, Tensor]:
    """A (o, r) and B (r, i)."""
    axes = [(n, list(group)) for n, group in zip(sites.lengths, sites.groups)]
    ours, theirs = chain.sides
    out, into = axes[: sites.num_outputs], axes[sites.num_outputs :]
    return ours.state(columns, out), theirs.state(columns, into).T
