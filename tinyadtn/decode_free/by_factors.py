"""A weight that can be applied through its factors, without forming W."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..autodiff.arrays import Array
from ..autodiff.engine import Tensor
from ..nn.weights import Geometry, Weight
from ..ops.conv import conv_window
from ..ops.windows import pair
from . import rule
from .chain import Chain, through
from .cost import CALL, MOVED
from .row import ConvChain, patches_through
from .rule import LARGE_BATCH, Route


class ByFactors(Weight):
    """A weight whose layer sends a batch through its factors if that is cheaper: see ``rule``.

    A subclass defines its factors (``factors``) and how they form the weight: as a ``chain``, or,
    for a kernel, as a ``row`` of convolutions.
    """

    def factors(self, chain: Chain | None = None) -> Sequence[Tensor]:
        """Return the factors whose product is the weight; differentiable.

        ``chain`` is a chain that the method ``chain`` returned. The default is the chain for large
        batches.
        """
        raise TypeError(f"{type(self).__name__} has no factors: decode() is all it can do")

    def chain(self, batch: int) -> Chain | None:
        """Return how the factors form the weight, as a matrix (o, all inputs); None if no chain.

        A weight with several possible chains returns the best one for that many vectors.
        """
        return None

    def row(self) -> ConvChain | None:
        """Return how they form a kernel (o, c, kh, kw), if it is a row of convolutions itself."""
        return None

    def kernels(self) -> list[Tensor]:
        """Return the factors as the kernels of ``row``."""
        raise TypeError(f"{type(self).__name__} is not a row of convolutions")

    def decode_work(self) -> float:
        """Estimate the cost of decoding, in the units of ``cost.work``, with memory traffic."""
        return CALL + self.cost().decode + 4 * MOVED * math.prod(self.shape)

    def cost(self) -> Any:
        """Count the multiply-adds to use the weight: see ``encodings``."""
        raise TypeError(f"{type(self).__name__} has no cost()")

    def linear(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """y[n,o] = Σ_i x[n,i] · W[o,i] + bias[o], through the factors if that is cheaper."""
        chain = rule.linear_route(self, len(x))
        if chain is None:
            return super().linear(x, bias)
        cores = self.factors(chain)
        if bias is None:
            return through(x, *cores, chain=chain)
        return through(x, *cores, bias, chain=chain, biased=True)

    def convolution(self, x: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
        """y = conv2d(x, W) + bias[o], through the factors if that is cheaper."""
        window = conv_window(x.shape, self.shape, **vars(geometry))
        in_pixels, out_pixels = (len(x) * math.prod(s) for s in (window.image, window.outputs))
        route = rule.conv_route(self, in_pixels, out_pixels, geometry.groups)
        if route is None:
            return super().convolution(x, bias, geometry)
        factors = along(route, self)
        if isinstance(route, ConvChain):
            y = route.apply(x, factors, geometry)
        else:
            y = patches_through(x, *factors, chain=route, shape=self.shape, geometry=geometry)
        return y if bias is None else y + bias.reshape(-1, 1, 1)

    def linear_multiply_adds(self) -> int:
        """Count the multiply-adds per input vector, on the route of a large batch."""
        chain = rule.linear_route(self, LARGE_BATCH, precomputed=True)
        return super().linear_multiply_adds() if chain is None else chain.multiply_adds

    def conv_multiply_adds(self, in_pixels: int, out_pixels: int, geometry: Geometry) -> int:
        """Count the multiply-adds per image, on the route of a large batch."""
        route = large_conv_route(self, geometry)
        if isinstance(route, ConvChain):
            return route.multiply_adds(in_pixels, out_pixels, geometry.groups)
        return out_pixels * (math.prod(self.shape) if route is None else route.multiply_adds)


def large_conv_route(weight: Array, geometry: Geometry) -> Route | None:
    """Return the route of a large batch of images, the weight or its factors precomputed."""
    in_pixels = LARGE_BATCH * math.prod(pair(geometry.stride))
    return rule.conv_route(weight, in_pixels, LARGE_BATCH, geometry.groups, precomputed=True)


def along(route: Route, weight: Array) -> list[Tensor]:
    """Return the factors of a weight as its route takes them: cores, or kernels."""
    if isinstance(route, Chain):
        return list(weight.factors(route))
    if route.chain is None:
        return weight.kernels()
    return route.kernels_of(weight.factors(route.chain))
