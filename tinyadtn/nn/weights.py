"""A layer's weight decides how it is applied: a Tensor, or an object that replaces a Tensor.

A layer calls ``linear`` or ``convolution``. For a Tensor they are the line of mathematics. A
``Weight`` applies itself: here it decodes to a Tensor and calls the same function again. Weights
that can be applied without decoding override that (``decode_free``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autodiff.engine import Tensor
from ..errors import DTypeError, ShapeError
from ..limits import fits_memory
from ..ops.contract import contract
from ..ops.conv import conv2d
from .module import Module
from .parameters import Shape

BYTES = np.dtype(np.uint8)  # comparing with it is faster than with numpy.uint8
SMALL = 2**20  # entries of a weight that fits into the memory of every machine


@dataclass(frozen=True)
class Geometry:
    """The options of ``conv2d``: stride, padding, dilation and groups."""

    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1


def linear(x: Tensor, weight: Tensor | Weight, bias: Tensor | None) -> Tensor:
    """y[n,o] = Σ_i x[n,i] · weight[o,i] + bias[o]."""
    reject_bytes(x)
    if not isinstance(weight, Tensor):
        return weight.linear(x, bias)
    y = contract(x, weight, pattern="ni,oi->no")
    return y if bias is None else y + bias


def convolution(
    x: Tensor, weight: Tensor | Weight, bias: Tensor | None, geometry: Geometry
) -> Tensor:
    """y = conv2d(x, weight) + bias[o]."""
    reject_bytes(x)
    if not isinstance(weight, Tensor):
        return weight.convolution(x, bias, geometry)
    y = conv2d(x, weight, **vars(geometry))
    return y if bias is None else y + bias.reshape(-1, 1, 1)


def reject_bytes(x: Tensor) -> None:
    """Raise DTypeError for pixels of 0 … 255, because networks are trained on pixels in [0, 1]."""
    if x.dtype == BYTES:
        raise DTypeError(
            "a layer got uint8, which are pixels of 0 to 255: divide them by 255, "
            "images.astype(numpy.float32) / 255, or call ta.predict(model, images), which does; "
            "for other numbers write x.astype(numpy.float32)"
        )


class Weight(Module):
    """Something with a ``shape`` that decodes to a tensor of that shape."""

    shape: Shape

    @property
    def label(self) -> str:
        """The name of the weight in reports."""
        return type(self).__name__

    def decode(self) -> Tensor:
        """Return the weight; differentiable, so that a loss can train its parameters."""
        raise TypeError(f"{type(self).__name__} has no decode()")

    def peak_bytes(self) -> int:
        """Estimate the bytes in memory at once while a loss of the decoded weight trains it."""
        return 3 * 4 * math.prod(self.shape)  # the weight, its gradient, and one intermediate array

    def fits(self) -> bool:
        """Return whether the decoded weight fits into memory; if not, only its factors are used."""
        return math.prod(self.shape) <= SMALL or fits_memory(self.peak_bytes())

    def linear(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """y[n,o] = Σ_i x[n,i] · W[o,i] + bias[o]."""
        return linear(x, decoded(self), bias)

    def convolution(self, x: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
        """y = conv2d(x, W) + bias[o]."""
        return convolution(x, decoded(self), bias, geometry)

    def linear_multiply_adds(self) -> int:
        """Count the multiply-adds per input vector, in a large batch."""
        return math.prod(self.shape)

    def conv_multiply_adds(self, in_pixels: int, out_pixels: int, geometry: Geometry) -> int:
        """Count the multiply-adds per image, in a large batch, with that many pixels in and out."""
        return out_pixels * math.prod(self.shape)


def decoded(weight: Weight) -> Tensor:
    """Return ``weight.decode()``; raise an error unless it is a Tensor of the weight's shape."""
    whole: Any = weight.decode()
    name = f"{type(weight).__name__}.decode()"
    if not isinstance(whole, Tensor):
        raise TypeError(
            f"{name} must return a Tensor, so that a loss can train it; got a "
            f"{type(whole).__name__}"
        )
    if whole.shape != tuple(weight.shape):
        raise ShapeError(f"{name} must return shape {tuple(weight.shape)}, got {whole.shape}")
    return whole
