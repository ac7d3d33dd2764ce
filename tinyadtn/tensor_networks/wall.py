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
from typing import Any

from ..errors import ShapeError
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
    _check_wiring(wiring, len(site_dims))
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
    if not wall:
        raise ShapeError(f"a wiring needs at least one gate, got {list(wiring)}")
    return wall


def _check_wiring(wiring: Any, num_sites: int) -> None:
    """Raise ShapeError unless it is a list of columns, each a list of pairs of different sites."""
    for column in wiring if isinstance(wiring, (list, tuple)) else [wiring]:
        pairs: Any = column if isinstance(column, (list, tuple)) else [None]
        if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs) or not all(
            isinstance(site, int) for pair in pairs for site in pair
        ):
            raise ShapeError(
                "a wiring is a list of columns, each a list of pairs of sites, such as "
                f"[[(0, 1), (2, 3)], [(1, 2)]]; got {column!r}"
            )
        sites = [site for pair in pairs for site in pair]
        if len(set(sites)) < len(sites) or not all(0 <= site < num_sites for site in sites):
            raise ShapeError(
                f"a column's gates must act on different sites of 0 … {num_sites - 1}, got {column}"
            )
