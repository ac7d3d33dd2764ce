"""The named orders of the sites: the position of each site in the network.

The order decides which sites are neighbors, so it decides which gates can join them. Each function
takes ``groups``, the sites of every axis from the most significant digit on, and ``parts``, the
number of parts of every axis of the weight (1 for an axis that is not split). It returns all sites
by position. For a weight (8, 8), sites 0-2 belong to the outputs and 3-5 to the inputs:

>>> groups = [(0, 1, 2), (3, 4, 5)]
>>> ORDERS["output_first"](groups, (1, 1)), ORDERS["interleaved"](groups, (1, 1))
((0, 1, 2, 3, 4, 5), (0, 3, 1, 4, 2, 5))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

SiteGroup = tuple[int, ...]  # the sites of one axis


def _output_first(groups: Sequence[SiteGroup], parts: Sequence[int]) -> SiteGroup:
    return tuple(range(sum(map(len, groups))))


def _interleaved(groups: Sequence[SiteGroup], parts: Sequence[int]) -> SiteGroup:
    """Take the next site from the axis with the smallest share placed; the earlier axis on ties."""
    taken = [0] * len(groups)
    order = []
    for _ in range(sum(map(len, groups))):
        open_axes = [k for k, group in enumerate(groups) if taken[k] < len(group)]
        # Equal quotients round to the same float, so ties are exact and min() takes the first.
        k = min(open_axes, key=lambda k: (taken[k] + 0.5) / len(groups[k]))
        order.append(groups[k][taken[k]])
        taken[k] += 1
    return tuple(order)


def _nested(groups: Sequence[SiteGroup], parts: Sequence[int]) -> SiteGroup:
    """Join the parts of each split axis end to end, then interleave the whole axes."""
    return _interleaved([sum(axis, ()) for axis in _axes(groups, parts)], ())


def _mirrored(groups: Sequence[SiteGroup], parts: Sequence[int]) -> SiteGroup:
    """Order as ``nested``, but reverse every second part, so that the coarse digits are neighbors.

    For 28×28 pixels: rows from the finest digit to the coarsest, columns from the coarsest to the
    finest. This is the default: it was best at small depth in ``data/results/fc1_orders.toml``.
    """
    whole = []
    for axis in _axes(groups, parts):
        turned = [part[::-1] if (len(axis) - k) % 2 == 0 else part for k, part in enumerate(axis)]
        whole.append(sum(turned, ()))
    return _interleaved(whole, ())


def _axes(groups: Sequence[SiteGroup], parts: Sequence[int]) -> list[list[SiteGroup]]:
    """Return the groups of each axis of the weight; one group for an axis that is not split."""
    ends = list(accumulate(parts))
    return [list(groups[end - n : end]) for n, end in zip(parts, ends)]


ORDERS: dict[str, Callable[[Sequence[SiteGroup], Sequence[int]], SiteGroup]] = {
    "output_first": _output_first,
    "interleaved": _interleaved,
    "nested": _nested,
    "mirrored": _mirrored,
}
