"""The tensor network behind an ADTN: the columns of gates that are contracted into T.

    site 0  |0⟩──┌───┐────────────┌───┐──────
    site 1  |0⟩──└───┘──┌───┐─────└───┘──┌───┐
    site 2  |0⟩──┌───┐──└───┘──σ──┌───┐──└───┘     T has one axis for each site
    site 3  |0⟩──└───┘──┌───┐─────└───┘──┌───┐
    site 4  |0⟩─────────└───┘────────────└───┘
              column 1   column 2 …

Q sites start in |0⟩ = (1, 0). A gate is a matrix that acts on two sites. A *TN layer* is one pass
through the columns of the wiring (here a brick wall; others are in ``wirings``). Depth M means M
layers with an activation σ between them. ``gates.network_tensor`` computes T in this order.
Source: Qing, Li, Zhou, Ran, arXiv 2305.06058.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .wirings import Pairs


@dataclass(frozen=True)
class Column:
    """Gates of one shape that act at the same time, on different pairs of sites.

    A gate on two sites that no earlier gate touches acts on |00⟩, so only one column of its matrix
    matters. Such a gate is *fresh* (``fresh``): it stores that column, d·d parameters for sites of
    dimension d. All other gates store (d·d)².
    """

    layer: int  # 1 … M
    pairs: Pairs
    fresh: bool
    dims: tuple[int, int]

    @property
    def shape(self) -> tuple[int, ...]:
        """(gates, d, d) if fresh, else (gates, d·d, d·d)."""
        size = self.dims[0] * self.dims[1]
        return (len(self.pairs), *(self.dims if self.fresh else (size, size)))


def build_wall(wiring: Sequence[Pairs], site_dims: Sequence[int], depth: int) -> list[Column]:
    """Return all columns for depth M. A wiring column with gates of several shapes is split."""
    touched: set[int] = set()
    wall: list[Column] = []
    for layer in range(1, depth + 1):
        for pairs in wiring:
            kinds: dict[tuple, list[tuple[int, int]]] = {}
            for i, j in pairs:
                fresh = i not in touched and j not in touched
                kinds.setdefault((fresh, (site_dims[i], site_dims[j])), []).append((i, j))
            wall += [Column(layer, tuple(p), *kind) for kind, p in kinds.items()]
            touched.update(site for pair in pairs for site in pair)
    return wall
