"""Count the effective parameters of a network, and the memory of its gate-by-gate contraction.

How many parameters are *stored* follows from the shapes of the columns (see ``wall.Column``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .wall import Column


def peak_floats(layer: Sequence[Column], site_dims: Sequence[int], depth: int) -> int:
    """Estimate how many floats are in memory at once while gate-by-gate training runs.

    ``layer`` is the columns of the first TN layer. Each gate keeps two tensors of T's size for its
    backward pass: its input, transposed for the product, and its output. Each activation keeps two
    as well. Each parameter of a gate has a gradient and two moments in Adam.

    >>> from tinyadtn.tensor_networks.wall import build_wall
    >>> peak_floats(build_wall([((0, 1),), ((1, 2),)], (2, 2, 2), 1), (2, 2, 2), depth=1)
    128
    """
    gates = sum(len(column.pairs) for column in layer)
    first = sum(math.prod(column.shape) for column in layer)
    later = sum(len(column.pairs) * math.prod(column.dims) ** 2 for column in layer)
    states = 2 * depth * gates + 2 * (depth - 1) + 2  # and two on the way back
    return states * math.prod(site_dims) + 4 * (first + (depth - 1) * later)


def live_entries(
    wall: Sequence[Column], site_dims: Sequence[int], kept: Sequence[tuple[list[int], np.ndarray]]
) -> int:
    """Count the effective parameters: those that can change a kept entry of T, for generic gates.

    ``kept`` describes the crop: for each axis its sites, and a boolean array with one axis per
    site. Going backward, a gate mixes its two sites. So before the gate every setting of them
    matters if any setting matters after it. Going forward, an untouched site is 0, which limits the
    inputs of a gate. It never limits the outputs: if the crop keeps an entry, it also keeps every
    entry that has some of its 1 digits replaced by 0.
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
    """Count the settings of the pair's two sites that occur in at least one kept entry."""
    count = 0
    for values in np.ndindex(*(site_dims[s] for s in pair)):
        fixed = dict(zip(pair, values))
        count += all(
            mask[tuple(fixed.get(site, slice(None)) for site in sites)].any()
            for sites, mask in kept
        )
    return count
