"""TODO tensor_networks.counting: _reachable_outputs, live_entries, peak_floats."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .wall import Column


def peak_floats(layer: Sequence[Column], site_dims: Sequence[int], depth: int) -> int:
    """About how many numbers training gate by gate holds at once, told from the first layer.

    A gate keeps what it acted on in the order its product wants, and the new state: two tensors of
    T's size. So does an activation. A gate's number has a gradient and two moments in Adam.

    >>> from tinyadtn.tensor_networks.wall import build_wall
    >>> peak_floats(build_wall([((0, 1),), ((1, 2),)], (2, 2, 2), 1), (2, 2, 2), depth=1)
    128
    """
    gates = sum(len(column.pairs) for column in layer)
    first = sum(math.prod(column.shape) for column in layer)
    later = sum(len(column.pairs) * math.prod(column.dims) ** 2 for column in layer)
    states = 2 * depth * gates + 2 * (depth - 1) + 2  # and two on the way back
    return states * math.prod(site_dims) + 4 * (first + (depth - 1) * later)


# --- counting ------------------------------------------------------------------------------------


def live_entries(
    wall: Sequence[Column], site_dims: Sequence[int], kept: Sequence[tuple[list[int], np.ndarray]]
) -> int:
    """How many stored numbers can influence an entry of T that is kept, for generic gates.

    ``kept`` says what the crop keeps: for each axis its sites and a boolean array with one axis a
    site. Going backward, a gate mixes its two sites, so before it every setting of them matters if
    any did after it. Going forward, an untouched site is 0: that limits a gate's inputs, and never
    its outputs, for with an entry the crop keeps all that have a 1 of its index turned into a 0.
    """
    kept = [(sites, mask.copy()) for sites, mask in kept]
    total = 0
    for k in range(len(wall) - 1, -1, -1):
        pairs = wall[k].pairs
        touched = {s for earlier in wall[:k] for pair in earlier.pairs for s in pair}
        for pair in pairs:
            inputs = math.prod(site_dims[s] if s in touched else 1 for s in pair)
            total += inputs * _reachable_outputs(pair, site_dims, kept)
        for sites, mask in kept:
            axes = tuple(sites.index(s) for pair in pairs for s in pair if s in sites)
            mask |= mask.any(axis=axes, keepdims=True)
    return total


def _reachable_outputs(
    pair: tuple[int, int], site_dims: Sequence[int], kept: list[tuple[list[int], np.ndarray]]
) -> int:
    """Settings of the pair's two sites with which some kept entry agrees."""
    count = 0
    for values in np.ndindex(*(site_dims[s] for s in pair)):
        fixed = dict(zip(pair, values))
        count += all(
            mask[tuple(fixed.get(site, slice(None)) for site in sites)].any()
            for sites, mask in kept
        )
    return count
