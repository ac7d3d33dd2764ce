"""When a batch goes through the factors of a weight, and when the weight is decoded: one rule.

A weight of small factors can be multiplied out (*decoded*) and used like any other, or each batch
can go through the factors one by one. The result is the same. The cheaper way depends on the batch,
and this file has the only rule that decides:

    building the factors + the batch through them  <  decoding + the batch through the dense weight

``cost.work`` counts both sides, arithmetic and memory traffic, in multiply-adds. On both sides the
backward pass takes about twice as long as the forward pass, so the rule is the same for training.
If the weight or its factors are *precomputed* (``decoded``), the first term of either side is 0,
and the batch counts as a large one. A weight that does not fit into memory is never decoded.

The counts are estimates, and may select the slower side. ``tests/bench/bench_routes.py`` measures
both sides of many layers: nearly all choices are within a tenth of the faster side, and the others
take at most 1.4 times as long.

A linear layer sends its batch through a ``Chain``. A convolution becomes a ``ConvChain`` of smaller
ones if the factors allow it; for any other chain the patches of the image are the batch.
"""

from __future__ import annotations

import math
from typing import Any

from ..autodiff.arrays import Array
from ..autodiff.modes import fast
from .chain import Chain
from .cost import work
from .row import ConvChain, conv_work, patches_work

LARGE_BATCH = 2**12  # rows or pixels of a batch for which precomputed factors are chosen
Route = Chain | ConvChain


def linear_route(weight: Array, batch: int, precomputed: bool = False) -> Any:
    """Return the chain for a batch of that many rows; None means that the weight is decoded.

    ``precomputed``: the weight, or its factors, were computed in advance.
    """
    if hasattr(weight, "route"):  # factors that ``decoded`` computed have only this route
        return weight.route
    chain = weight.chain(batch) if hasattr(weight, "chain") and fast.get() else None
    if chain is None:
        return None
    free, whole = chain.work(batch), work(batch, math.prod(weight.shape[1:]), weight.shape[0])
    if not precomputed:
        free += chain.build_work + chain.kept_work(batch)
        whole += weight.decode_work()
    return chain if free < whole or not weight.fits() else None


def conv_route(
    weight: Array, in_pixels: int, out_pixels: int, groups: int = 1, precomputed: bool = False
) -> Route | None:
    """Return the same for a convolution with that many pixels before and after, of all images.

    Groups share the factors of their inputs only in a ``ConvChain``. Any other chain is decoded for
    them.
    """
    if hasattr(weight, "route"):
        return weight.route
    if not hasattr(weight, "chain") or not fast.get():
        return None
    route: Route | None = weight.row()
    if route is None and (chain := weight.chain(out_pixels)) is not None:
        route = ConvChain.of(chain, weight.shape) or (chain if groups == 1 else None)
    if route is None:
        return None
    whole = groups * conv_work((weight.shape[0] // groups, *weight.shape[1:]), out_pixels)
    if isinstance(route, ConvChain):
        free = route.work(in_pixels, out_pixels, groups)
    else:
        free = patches_work(route, weight.shape, out_pixels)
    if not precomputed:
        free, whole = free + route.build_work, whole + weight.decode_work()
    return route if free < whole or not weight.fits() else None
