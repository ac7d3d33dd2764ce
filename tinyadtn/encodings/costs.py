"""What an ADTN costs: memory and multiply-adds.

``check_size`` rejects an ADTN that does not fit into memory. ``peak_bytes`` and ``cost`` are its
methods of these names.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..autodiff.modes import fast
from ..limits import require_memory
from ..tensor_networks.counting import peak_floats
from ..tensor_networks.fast import fast_wall, one_layer
from .encoding import Cost

if TYPE_CHECKING:
    from .adtn import ADTN

VECTOR = 256  # bytes per output and input: entries of the factors, their gradients, and indices


def is_fast(weight: ADTN) -> bool:
    """Return whether ``network_tensor`` takes the fast path for this ADTN."""
    return fast.get() and fast_wall.applies(weight.wiring, weight.sites.dims)


def is_one_layer(weight: ADTN) -> bool:
    """Return whether this is a brick wall of depth 1, which is also a chain of small cores."""
    return weight.depth == 1 and fast_wall.applies(weight.wiring, weight.sites.dims)


def one_layer_layout(weight: ADTN) -> one_layer.Layout | None:
    """Return how a brick wall of depth 1 is written in the order of the weight, if it can be."""
    use = is_fast(weight) and is_one_layer(weight)
    return one_layer.layout_of(weight.sites) if use else None


def peak_bytes(weight: ADTN) -> int:
    """Estimate the bytes in memory at once while the gates are trained through ``decode``."""
    layer = [column for column in weight.wall if column.layer == 1]
    if is_fast(weight) and is_one_layer(weight) and one_layer.applies(weight.sites):
        total = 4 * one_layer.peak_floats(weight.sites)
    else:
        if is_fast(weight):
            floats = fast_wall.peak_floats(weight.num_sites, weight.depth)
        else:
            floats = peak_floats(layer, weight.sites.wall_dims, weight.depth)
        # In addition: the gradient of T (4 bytes per entry), the index (8 bytes), and the weight
        # before the scale, after the scale, and its gradient (4 bytes each).
        total = 4 * (floats + weight.sites.padded_size) + (8 + 3 * 4) * math.prod(weight.shape)
        if weight.normalized and weight.depth == 1:  # the gradient of the last gate's norm needs T
            total += 4 * math.prod(weight.shape)
    if weight.normalized:  # the unit gates, their gradients, and a product
        first = sum(math.prod(column.shape) for column in layer)
        later = sum(len(column.pairs) * math.prod(column.dims) ** 2 for column in layer)
        total += 3 * 4 * (first + (weight.depth - 1) * later)
    return total


def check_size(weight: ADTN, *, by_factors: bool = False) -> None:
    """Raise SizeLimitError if training would not fit into memory: through ``decode``, or without.

    ``by_factors``: a brick wall of depth 1 is also accepted if only its factors fit. Linux grants
    more memory than it has, and stops the process that uses it.
    """
    needed = peak_bytes(weight)
    if by_factors and is_one_layer(weight) and len(weight.shape) > 1:
        o, i = weight.shape[0], math.prod(weight.shape[1:])
        needed = min(needed, VECTOR * (o + i)) if min(o, i) > 1 else needed
    fast = ', or wiring="brick_wall" and site_dim=2, which take less'
    require_memory(
        f"a weight of shape {weight.shape} is a tensor of {weight.sites.padded_size:,} numbers; to "
        f"train it at depth {weight.depth}",
        needed,
        f"use a smaller weight or a smaller depth{'' if is_fast(weight) else fast}",
    )


def cost(weight: ADTN) -> Cost:
    """Count the multiply-adds to decode, to apply the factors, and to compute the factors.

    The first layer of a brick wall is decoded as a matrix product state, with 2 multiply-adds
    per entry. Every other gate is counted as applied to all entries. ``fast_wall`` multiplies
    groups of those gates first: more multiply-adds in less time.

    >>> import tinyadtn as ta
    >>> ta.ADTN((4, 4), depth=2).cost()  # 2^4 entries: 2 each, then three 4×4 gates on all
    Cost(decode=224, apply=None, build=0)
    """
    first = 2 if is_fast(weight) else 0  # per entry of T, for a first layer as a product L·R
    gates = [
        (len(column.pairs), 1 if column.fresh else math.prod(column.dims))
        for column in weight.wall
        if not (first and column.layer == 1)
    ]
    decode = weight.sites.padded_size * (first + sum(n * terms for n, terms in gates))
    factored = weight.chain(1)
    if factored is None:
        return Cost(decode, None)
    return Cost(decode, factored.multiply_adds, factored.build_multiply_adds)
