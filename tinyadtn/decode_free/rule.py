"""Layers that never decode: a batch goes through the factors of a weight, if that takes less.

A weight of small factors can be multiplied out (*decoded*) and used like any other, or each batch
can go through the factors one by one. The result is the same. Which takes less depends on the
batch, and one rule decides, here and nowhere else:

    building the factors + the batch through them  <  decoding + the batch through the dense weight

Both sides are counted by ``chain.work``: multiply-adds, and what is moved, in multiply-adds. On
either side the way back takes about twice what the way forward takes, so the rule is the same for
training. Where the weight or its factors are *at hand* (``decoded``), the first term of either side
is gone, and the batch counts as a large one.

The counts are estimates, and may pick the slower side. The worst case that was measured is a tensor
train of bond 4 for 512 filters of 3×3 on 16×16 images: counted as 0.65 of the dense layer's time,
it takes 1.12 times that (``tests/bench/bench_decode_free.py``). On 4×4 images, with the same count,
it is 1.35 times as fast, so no margin on the counts would set this right.

A linear layer sends its batch through a ``Chain``. A convolution becomes a ``ConvChain`` of smaller ones
if the factors allow it; of any other chain the patches are the batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..autodiff.engine import Tensor
from ..autodiff.modes import no_grad
from ..errors import TinyADTNError
from ..nn.module import Module
from ..nn.surgery import dense, named_layers, with_tensors
from ..ops.contract import contract
from ..ops.conv import conv2d, conv_window
from .chain import Chain, through
from .cost import work
from .row import ConvChain, Geometry, patch_work, patches_through, patches_work

LARGE_BATCH = 2**14  # rows or pixels of a batch for which precomputed factors are chosen
Route = Chain | ConvChain


class PrecomputedFactors(Module):
    """A weight's precomputed factors, and the way through them: what ``decoded`` gives a layer.

    For a ``ConvChain`` the factors are its kernels, for a ``Chain`` its cores.
    """

    factors: list[Tensor]

    def __init__(self, shape: Sequence[int], label: str, route: Route, factors: Sequence[Tensor]):
        self.shape, self.label, self.route = tuple(shape), label, route
        self.factors = list(factors)

    def decode(self) -> Tensor:
        """TinyADTNError: who asks needs the encoding, and that is not here any more."""
        raise TinyADTNError(
            f"{self.label}: these are the factors that decoded computed, fit to put batches "
            "through and nothing else; use the model that decoded was given"
        )

    def counts(self) -> Any:
        """TinyADTNError, as for ``decode``."""
        return self.decode()


# --- the rule ------------------------------------------------------------------------------------


def linear_route(weight: Any, batch: int, precomputed: bool = False) -> Any:
    """The chain that a batch of so many rows should go through; None: decode."""
    if isinstance(weight, PrecomputedFactors):
        return weight.route
    chain = None if isinstance(weight, Tensor) else weight.chain(batch)
    if chain is None:
        return None
    free, whole = chain.work(batch), work(batch, math.prod(weight.shape[1:]), weight.shape[0])
    if not precomputed:
        free, whole = free + weight.build_work(chain), whole + weight.decode_work()
    return chain if free < whole else None


def conv_route(
    weight: Any, in_pixels: int, out_pixels: int, groups: int = 1, precomputed: bool = False
) -> Route | None:
    """The same for a convolution whose window sees and makes so many pixels, all images together.

    Groups share their inputs' factors only in a row; another chain is decoded for them.
    """
    if isinstance(weight, PrecomputedFactors):
        return weight.route
    if isinstance(weight, Tensor):
        return None
    route: Route | None = weight.row()
    chain: Chain | None = None if route is not None else weight.chain(out_pixels)
    if chain is not None:
        route = ConvChain.of(chain, weight.shape) or (chain if groups == 1 else None)
    if route is None:
        return None
    whole = groups * patch_work((weight.shape[0] // groups, *weight.shape[1:]), out_pixels)
    if isinstance(route, ConvChain):
        free = route.work(in_pixels, out_pixels, groups)
    else:
        free = patches_work(route, weight.shape, out_pixels)
    if not precomputed:
        free, whole = free + weight.build_work(chain), whole + weight.decode_work()
    return route if free < whole else None


# --- its application -----------------------------------------------------------------------------


def linear(x: Tensor, weight: Any, bias: Tensor | None) -> Tensor:
    """y[n,o] = Σ_i x[n,i] · weight[o,i] + bias[o], the weight a Tensor, an encoding or PrecomputedFactors."""
    chain: Any
    if isinstance(weight, PrecomputedFactors):
        chain, factors = weight.route, weight.factors
    else:
        chain = linear_route(weight, len(x))
        if chain is None:
            y = contract(x, dense(weight), pattern="ni,oi->no")
            return y if bias is None else y + bias
        factors = weight.factors(chain)
    if bias is None:
        return through(x, *factors, chain=chain)
    return through(x, *factors, bias, chain=chain, biased=True)


def convolution(x: Tensor, weight: Any, bias: Tensor | None, geometry: Geometry) -> Tensor:
    """conv2d(x, weight) + bias[o], the weight a Tensor, an encoding or PrecomputedFactors."""
    if isinstance(weight, PrecomputedFactors):
        route, factors = weight.route, weight.factors
    else:
        found: Route | None = None
        if not isinstance(weight, Tensor):
            window = conv_window(x.shape, weight.shape, *vars(geometry).values())
            in_pixels, out_pixels = (
                len(x) * math.prod(size) for size in (window.image, window.outputs)
            )
            found = conv_route(weight, in_pixels, out_pixels, geometry.groups)
        if found is None:
            y = conv2d(x, dense(weight), **vars(geometry))
            return y if bias is None else y + bias.reshape(-1, 1, 1)
        route, factors = found, _ready(weight, found)
    if isinstance(route, ConvChain):
        return route.apply(x, factors, bias, geometry)
    biases = () if bias is None else (bias,)
    return patches_through(
        x,
        *factors,
        *biases,
        chain=route,
        kernel=weight.shape[2:],
        biased=bias is not None,
        geometry=geometry,
    )


def _ready(weight: Any, route: Route) -> list[Tensor]:
    """The factors as the way takes them: cores, or kernels."""
    if isinstance(route, Chain):
        return list(weight.factors(route))
    return (
        weight.kernels() if route.chain is None else route.kernels_of(weight.factors(route.chain))
    )


# --- at hand -------------------------------------------------------------------------------------


@contextmanager
def decoded(model: Module) -> Iterator[Any]:
    """``with decoded(model) as ready:`` every encoded weight is computed once, for many batches.

    Each layer gets a Tensor, or ``PrecomputedFactors`` where large batches take less through those. Nothing is
    cached: the new model lives as long as you hold it, and what it has of an encoded weight knows
    nothing of updates. All else, biases and dense weights, it shares with the model. Encodings that
    layers share (``joint``) are decoded once for all of them. The new model is there to put batches
    through; to save, to report or to train takes the encodings, and so the model they are in.

    >>> import tinyadtn as ta
    >>> spec = {"fc1": ta.LowRank.like(8), "fc2": 2}
    >>> model = ta.compress(ta.models.fc2(rng=0), spec, rng=0)
    >>> with decoded(model) as ready:
    ...     type(ready.fc1.weight).__name__, type(ready.fc2.weight).__name__
    ('PrecomputedFactors', 'Tensor')
    """
    with no_grad():
        layers = {"": model, **named_layers(model)}

        def precomputed(name: str, weight: Any) -> Any:
            if isinstance(weight, PrecomputedFactors):
                return weight
            layer: Any = layers.get(name.rpartition(".")[0])
            route = layer.route() if hasattr(layer, "route") else None
            if route is None:
                return None
            # Copies: factors may be the very parameters, which an optimiser changes in place.
            tensors = [Tensor(factor.data.copy()) for factor in _ready(weight, route)]
            return PrecomputedFactors(weight.shape, weight.label, route, tensors)

        yield with_tensors(model, precomputed)
