"""Four wirings: which pairs of sites the gates of one TN layer act on, and in which order.

Read from left to right; in one column, two sites with the same letter share a gate::

    site   brick_wall   staircase        tree      butterfly
      0       a ·       a · · · · · ·    a a a       a a a
      1       a a       a a · · · · ·    · · a       a b b
      2       b a       · a a · · · ·    · a b       b a c
      3       b b       · · a a · · ·    · · b       b b d
      4       c b       · · · a a · ·    a b c       c c a
      5       c c       · · · · a a ·    · · c       c d b
      6       d c       · · · · · a a    · b d       d c c
      7       d ·       · · · · · · a    · · d       d d d

A gate on two sites that no earlier gate touches acts on |00⟩ and stores one column of its matrix.
Every other gate stores the whole matrix. If *one* of the sites is untouched (dimension 2), half the
columns of the matrix meet only zeros: these parameters are stored, but not effective. In the first
layer of a staircase or a tree that is every gate except the first. For Q sites of dimension 2,
depth M, and weights without a crop:

    wiring       gates/layer     stored parameters         of these not effective
    brick_wall   Q-1             16·M·(Q-1) - 12·⌊Q/2⌋     8 if Q is odd
    staircase    Q-1             16·M·(Q-1) - 12           8·(Q-2)
    tree         Q-1             16·M·(Q-1) - 12           8·(Q-2)
    butterfly    B(Q)            16·M·B(Q) - 12·⌊Q/2⌋      8 if Q is odd

B(Q) is the number of bits that are 1 in the integers 0 … Q-1: ½·Q·log2(Q) for a power of two.

The *cut rank* measures what one layer can represent: cut the line of sites in two, and take the
rank of T as a matrix, sites before the cut × sites after it. The cut ranks are 2, 4, 2, 4, … for
the brick wall and 2 everywhere for the staircase. The tree has 2 wherever the cut separates a
branch. For a power of two that includes the middle, where the butterfly has full rank. For generic
gates each cut rank is the smallest cut through the lines of the network that separates the two
sides (tested for all four).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ShapeError

Pairs = tuple[tuple[int, int], ...]


def brick_wall(num_sites: int) -> list[Pairs]:
    """Return two columns on neighboring sites: (0,1), (2,3), … and then (1,2), (3,4), …

    Source: Qing, Li, Zhou, Ran, arXiv 2305.06058.

    >>> brick_wall(5)
    [((0, 1), (2, 3)), ((1, 2), (3, 4))]
    """
    return [tuple((i, i + 1) for i in range(first, num_sites - 1, 2)) for first in (0, 1)]


def staircase(num_sites: int) -> list[Pairs]:
    """Return one gate per column, on neighbors: (0,1), then (1,2), …; each adds an untouched site.

    One layer is a matrix product state of bond 2, and every such state is one layer.
    Source: Schön, Solano, Verstraete, Cirac, Wolf, PRL 95, 110503 (2005).

    >>> staircase(4)
    [((0, 1),), ((1, 2),), ((2, 3),)]
    """
    return [((i, i + 1),) for i in range(num_sites - 1)]


def tree(num_sites: int) -> list[Pairs]:
    """Start at site 0 and halve the distance in each column; each gate adds one untouched site.

    Site j is reached from j - 2^k, where 2^k is the lowest bit of j. So every site is at most
    ⌈log2 Q⌉ gates from site 0; a staircase needs up to Q-1. Any Q works: sites past the end are
    left out.
    Source of the state: Shi, Duan, Vidal, PRA 74, 022320 (2006).

    >>> tree(8)
    [((0, 4),), ((0, 2), (4, 6)), ((0, 1), (2, 3), (4, 5), (6, 7))]
    >>> tree(6)
    [((0, 4),), ((0, 2),), ((0, 1), (2, 3), (4, 5))]
    """
    return [
        tuple((i, i + step) for i in range(0, num_sites - step, 2 * step))
        for step in reversed(_powers_below(num_sites))
    ]


def butterfly(num_sites: int) -> list[Pairs]:
    """Return all pairs at distance 1, then 2, then 4, …: sites whose numbers differ in one bit.

    For a power of two, one layer connects every site with every other, as in a fast Fourier
    transform. Any Q works: sites past the end are left out.
    Source of the pattern: Cooley, Tukey, Math. Comput. 19, 297 (1965).

    >>> butterfly(4)
    [((0, 1), (2, 3)), ((0, 2), (1, 3))]
    """
    return [
        tuple((i, i + step) for i in range(num_sites - step) if not i & step)
        for step in _powers_below(num_sites)
    ]


def _powers_below(num_sites: int) -> list[int]:
    """Return 1, 2, 4, … below Q."""
    return [2**k for k in range((num_sites - 1).bit_length())]


WIRINGS: dict[str, Callable[[int], list[Pairs]]] = {
    "brick_wall": brick_wall,
    "staircase": staircase,
    "tree": tree,
    "butterfly": butterfly,
}


def columns_of(wiring: str | Sequence[Pairs], num_sites: int) -> Sequence[Pairs]:
    """Return the columns of one TN layer, for a wiring that is a name or a list of columns."""
    if isinstance(wiring, str):
        return WIRINGS[wiring](num_sites)
    _require_wiring(wiring, num_sites)
    return wiring


def _require_wiring(wiring: Any, num_sites: int) -> None:
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
    if not any(wiring):
        raise ShapeError(f"a wiring needs at least one gate, got {list(wiring)}")
