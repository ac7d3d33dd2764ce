"""TODO tensor_networks.orders: SiteGroup, ORDERS, _axes, _interleaved, _mirrored, _nested, _output_first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

# --- the orders, each from the sites of every axis and the number of parts of each split one -----


SiteGroup = tuple[int, ...]


def _output_first(groups: Sequence[SiteGroup], parts: Sequence[int]) -> SiteGroup:
    return tuple(range(sum(map(len, groups))))


def _interleaved(groups: Sequence[SiteGroup], parts: Sequence[int]) -> SiteGroup:
    """The axes take turns, the one that is least far along first; ties go to the earlier axis."""
    taken = [0] * len(groups)
    order = []
    for _ in range(sum(map(len, groups))):
        open_axes = [k for k, group in enumerate(groups) if taken[k] < len(group)]
        # Division rounds equal quotients alike, so a tie is a tie and min() takes the first.
        k = min(open_axes, key=lambda k: (taken[k] + 0.5) / len(groups[k]))
        order.append(groups[k][taken[k]])
        taken[k] += 1
    return tuple(order)


def _nested(groups: Sequence[SiteGroup], parts: Sequence[int]) -> SiteGroup:
    """The parts of a split axis stand one after the other, as one axis that takes its turns."""
    return _interleaved([sum(axis, ()) for axis in _axes(groups, parts)], ())


def _mirrored(groups: Sequence[SiteGroup], parts: Sequence[int]) -> SiteGroup:
    """As nested, every second part backwards, so that the coarse digits of rows and columns meet.

    The default: the best at small depth in ``data/results/fc1_orders.toml``.

    Of 28×28 pixels: rows from the finest digit to the coarsest, columns from the coarsest on.
    """
    whole = []
    for axis in _axes(groups, parts):
        turned = [part[::-1] if (len(axis) - k) % 2 == 0 else part for k, part in enumerate(axis)]
        whole.append(sum(turned, ()))
    return _interleaved(whole, ())


def _axes(groups: Sequence[SiteGroup], parts: Sequence[int]) -> list[list[SiteGroup]]:
    """The parts of each axis of the weight: one for an axis that is not split."""
    ends = list(accumulate(parts))
    return [list(groups[end - n : end]) for n, end in zip(parts, ends)]


ORDERS: dict[str, Callable[[Sequence[SiteGroup], Sequence[int]], SiteGroup]] = {
    "output_first": _output_first,
    "interleaved": _interleaved,
    "nested": _nested,
    "mirrored": _mirrored,
}
