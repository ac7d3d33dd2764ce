"""The parameters of any encoding in few bits: float16, or integers with one scale per array."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..autodiff.arrays import Array, array_module
from ..autodiff.engine import Tensor, op
from ..checks import to_builtin
from ..nn.parameters import Seed
from ..nn.surgery import with_changed
from ..nn.weights import Geometry
from ..tensor_networks.sites import Axes
from .dense import Dense
from .encoding import Cost, Counts, Encoding
from .fit import relative_error
from .recipe import Inner, encoding_for

HALF = 16  # bits: a float16, which needs no scale
LARGEST = 65504.0  # in float16


class Quantized(Encoding):
    """An encoding whose parameters are rounded to ``bits`` bits whenever the weight is used.

    With 2 to 8 bits a parameter is an integer times a scale, p = s · round(x/s), with
    s = max|x| / (2^(bits-1) - 1) for each array of parameters. With 16 bits it is a float16. ``of``
    is what is stored: a recipe such as ``ADTN.like(2)``, a depth of an ADTN, or an encoding. The
    default is ``Dense``, the weight itself.

    This is quantization-aware training: x is kept in float32, and the gradient passes the rounding
    unchanged (a *straight-through* estimator). A checkpoint holds x, so that training can go on.
    ``counts().stored_bytes`` are the bytes of the rounded values and their scales, which are enough
    to use the weight. Raises ValueError for other ``bits``.
    Source: Bengio, Léonard, Courville, arXiv 1308.3432; Jacob et al., arXiv 1712.05877.

    >>> from tinyadtn import ADTN
    >>> weight = Quantized((256, 784), 8, of=ADTN.like(2), rng=0)
    >>> weight.label, weight.num_parameters, weight.counts().stored_bytes  # 4 arrays of gates
    ('ADTN M=2, 8 bits', 436, 452)
    """

    takes_axes = True
    of: Encoding

    def __init__(
        self,
        shape: Sequence[int],
        bits: int = 8,
        *,
        of: Inner = None,
        axes: Axes = None,
        rng: Seed = None,
    ):
        self.bits = to_builtin(bits)
        if type(self.bits) is not int or not (2 <= self.bits <= 8 or self.bits == HALF):
            raise ValueError(f"bits must be 2 to 8, or 16 for float16, got {bits!r}")
        self.of = encoding_for(Dense if of is None else of, shape, axes, rng)
        self.shape = self.of.shape
        self.describe("Quantized", bits=self.bits, of=self.of.config)

    @property
    def label(self) -> str:
        """The name of the inner encoding in reports, with the bits."""
        return f"{self.of.label}, {self.bits} bits"

    def rounded(self) -> Encoding:
        """Return the inner encoding with rounded parameters; differentiable."""

        def change(tensor: Tensor) -> Tensor:
            return _rounded(tensor, bits=self.bits) if _is_rounded(tensor) else tensor

        return with_changed(self.of, change)

    def decode(self) -> Tensor:
        """Return the weight that the rounded parameters decode to."""
        return self.rounded().decode()

    def linear(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """y[n,o] = Σ_i x[n,i] · W[o,i] + bias[o], as the inner encoding does it."""
        return self.rounded().linear(x, bias)

    def convolution(self, x: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
        """y = conv2d(x, W) + bias[o], as the inner encoding does it."""
        return self.rounded().convolution(x, bias, geometry)

    def linear_multiply_adds(self) -> int:
        """Count the multiply-adds of the inner encoding per input vector."""
        return self.of.linear_multiply_adds()

    def conv_multiply_adds(self, in_pixels: int, out_pixels: int, geometry: Geometry) -> int:
        """Count the multiply-adds of the inner encoding per image."""
        return self.of.conv_multiply_adds(in_pixels, out_pixels, geometry)

    def counts(self) -> Counts:
        """Count the parameters of the inner encoding, and the bytes of the rounded ones."""
        counts = self.of.counts()
        saved = sum(4 * size - self._bytes(size) for size in self._sizes())
        return replace(counts, stored_bytes=max(0, counts.stored_bytes - saved))

    def _sizes(self) -> Iterator[int]:
        return (t.size for _, t in self.of.named_tensors() if _is_rounded(t))

    def _bytes(self, size: int) -> int:
        return math.ceil(self.bits * size / 8) + (0 if self.bits == HALF else 4)

    def cost(self) -> Cost:
        """Count the multiply-adds of the inner encoding."""
        return self.of.cost()

    def peak_bytes(self) -> int:
        """Estimate the bytes for the inner encoding, and for the rounded parameters."""
        return self.of.peak_bytes() + 2 * 4 * sum(self._sizes())

    def fit(self, target: Any, **options: Any) -> list[float]:
        """Fit the inner encoding; the last of the relative errors is that after rounding."""
        errors = self.of.fit(target, **options)  # type: ignore[attr-defined]
        return [*errors[:-1], relative_error(self, target)]


def _is_rounded(tensor: Tensor) -> bool:
    """Return whether an array is rounded: not a single factor, and not indices."""
    return tensor.size > 1 and tensor.dtype.kind == "f"


@op
def _rounded(x: Array, *, bits: int) -> tuple:
    """Return x rounded to what is stored; the gradient is that of y = x."""
    xp = array_module(x)
    if bits == HALF:
        y = xp.clip(x, -LARGEST, LARGEST).astype(np.float16).astype(x.dtype)
    else:
        step = xp.abs(x).max() / (2 ** (bits - 1) - 1)
        y = xp.rint(x / step) * step if step > 0 else x.copy()
    return y, lambda g: g
