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
    """A weight whose layer sends a batch through its factors where that takes less: see ``rule``.

    A subclass says what its factors are (``factors``) and how they make the weight: as a ``chain``,
    or, for a kernel, as a ``row`` of convolutions.
    """

    def factors(self, chain: Chain | None = None) -> Sequence[Tensor]:
        """What the weight is a product of; differentiable.

        ``chain`` is one of those that ``chain`` gives; without it, what suits large batches.
        """
        raise TypeError(f"{type(self).__name__} has no factors: decode() is all it can do")

    def chain(self, batch: int) -> Chain | None:
        """How the factors make the weight, as a matrix (o, all inputs), if they are a chain.

        A weight that can choose between chains suits it to a batch of so many vectors.
        """
        return None

    def row(self) -> ConvChain | None:
        """How they make a kernel (o, c, kh, kw), if that is a row of convolutions by itself."""
        return None

    def kernels(self) -> list[Tensor]:
        """The factors as the kernels of ``row``."""
        raise TypeError(f"{type(self).__name__} is not a row of convolutions")

    def build_work(self, chain: Chain | None) -> int:
        """What computing the factors takes, in the units of ``cost.work``."""
        return 0

    def decode_work(self) -> int:
        """What decoding takes, in the same: each entry is written and read a few times."""
        return CALL + self.cost().decode + 4 * MOVED * math.prod(self.shape)

    def cost(self) -> Any:
        """Multiply-adds to use it: see ``encodings``."""
        raise TypeError(f"{type(self).__name__} has no cost()")

    def linear(self, x: Tensor, bias: Tensor | None) -> Tensor:
        chain = rule.linear_route(self, len(x))
        if chain is None:
            return super().linear(x, bias)
        return linear_through(x, self.factors(chain), bias, chain)

    def convolution(self, x: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
        window = conv_window(x.shape, self.shape, **vars(geometry))
        in_pixels, out_pixels = (len(x) * math.prod(s) for s in (window.image, window.outputs))
        route = rule.conv_route(self, in_pixels, out_pixels, geometry.groups)
        if route is None:
            return super().convolution(x, bias, geometry)
        return convolution_through(x, along(route, self), bias, route, self.shape, geometry)

    def linear_multiply_adds(self) -> int:
        route = rule.linear_route(self, LARGE_BATCH, precomputed=True)
        return linear_count(route, self.shape)

    def conv_multiply_adds(self, in_pixels: int, out_pixels: int, geometry: Geometry) -> int:
        route = large_conv_route(self, geometry)
        return conv_count(route, self.shape, in_pixels, out_pixels, geometry.groups)


def large_conv_route(weight: Array, geometry: Geometry) -> Route | None:
    """The route of a large batch of images, the weight or its factors precomputed."""
    in_pixels = LARGE_BATCH * math.prod(pair(geometry.stride))
    return rule.conv_route(weight, in_pixels, LARGE_BATCH, geometry.groups, precomputed=True)


def along(route: Route, weight: Array) -> list[Tensor]:
    """The factors of a weight as its route takes them: cores, or kernels."""
    if isinstance(route, Chain):
        return list(weight.factors(route))
    if route.chain is None:
        return weight.kernels()
    return route.kernels_of(weight.factors(route.chain))


def linear_through(x: Tensor, cores: Sequence[Tensor], bias: Tensor | None, chain: Chain) -> Tensor:
    """y[n,o] = Σ_i x[n,i] · W[o,i] + bias[o] for the W that the cores make together."""
    if bias is None:
        return through(x, *cores, chain=chain)
    return through(x, *cores, bias, chain=chain, biased=True)


def convolution_through(
    x: Tensor,
    factors: Sequence[Tensor],
    bias: Tensor | None,
    route: Route,
    shape: Sequence[int],
    geometry: Geometry,
) -> Tensor:
    """y = conv2d(x, W) + bias[o] for the W of that shape that the factors make together."""
    if isinstance(route, ConvChain):
        return route.apply(x, factors, bias, geometry)
    biases = () if bias is None else (bias,)
    return patches_through(
        x,
        *factors,
        *biases,
        chain=route,
        kernel=tuple(shape[2:]),
        biased=bias is not None,
        geometry=geometry,
    )


def linear_count(route: Chain | None, shape: Sequence[int]) -> int:
    """Multiply-adds of one vector: through the chain, or the matrix if there is none."""
    return math.prod(shape) if route is None else route.multiply_adds


def conv_count(
    route: Route | None, shape: Sequence[int], in_pixels: int, out_pixels: int, groups: int
) -> int:
    """Multiply-adds of one image with so many pixels before and after."""
    if isinstance(route, ConvChain):
        return route.multiply_adds(in_pixels, out_pixels, groups)
    return out_pixels * linear_count(route, shape)
