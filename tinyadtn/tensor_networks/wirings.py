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

from collections.abc import Callable

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
