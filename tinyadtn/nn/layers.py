"""Layers, each a line of mathematics around a few parameters.

In ``output_shape``, a shape is that of one image or one row of features. Everywhere else the batch
axis comes first.
"""

from __future__ import annotations

import math
import numbers
from typing import Any

from ..autodiff.engine import Tensor
from ..errors import ShapeError
from ..ops.basic import relu
from ..ops.conv import conv_window, require_groups
from ..ops.windows import Padding, Size, sliding
from .module import Module
from .parameters import Seed, Shape, he_std, parameter
from .weights import Geometry, convolution, linear

Batch = tuple[Any, ...]  # a shape with the batch axis first: an integer, or the letter n


# --- layers with a weight ------------------------------------------------------------------------


class Linear(Module):
    """y[n,o] = Σ_i x[n,i] · weight[o,i] + bias[o].

    ``weight`` (out, in) is a Tensor, or an encoding that applies itself. The weight is initialized
    with N(0, 2/in), the bias with 0. If the input is an image, ``in_features`` may be its shape:
    (28, 28) is 784 features, and an encoding then gives rows and columns separate sites (``axes``).

    >>> import numpy as np
    >>> Linear(4, 3, rng=0)(np.ones((2, 4))).shape
    (2, 3)
    """

    weight: Any
    bias: Tensor | None

    axes: tuple[int | tuple[int, ...], ...]

    def __init__(
        self,
        in_features: int | tuple[int, ...],
        out_features: int,
        *,
        bias: bool = True,
        rng: Seed = None,
    ):
        structure = tuple(in_features) if isinstance(in_features, (tuple, list)) else (in_features,)
        require_widths(self, *structure, out_features)
        shape = (out_features, math.prod(structure))
        self.axes = (out_features, structure if len(structure) > 1 else structure[0])
        self.weight = parameter(shape, he_std(shape), rng)
        self.bias = parameter((out_features,), 0.0, rng) if bias else None

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        """Return y (n, out) for x (n, in)."""
        self._require(x.shape)
        return linear(x, self.weight, self.bias)

    def __repr__(self) -> str:
        return f"Linear({self.weight.shape[1]}, {self.weight.shape[0]}{_encoded(self.weight)})"

    def output_shape(self, shape: Shape) -> Shape:
        """Return (out,); ShapeError unless ``shape`` is (in,)."""
        self._require(("n", *shape))
        return (self.weight.shape[0],)

    def _require(self, batch: Batch) -> None:
        require_parameters(self, 2)
        if batch[1:] != (self.weight.shape[1],):
            flat = len(batch) > 2 and math.prod(batch[1:]) == self.weight.shape[1]
            raise ShapeError(
                f"Linear expects (n, {self.weight.shape[1]}), got {_written(batch)}"
                + ("; put Flatten() before it" if flat else "")
            )

    def multiply_adds(self, shape: Shape) -> int:
        """Count out·in multiply-adds, or those of the encoding."""
        weight = self.weight
        return weight.size if isinstance(weight, Tensor) else weight.linear_multiply_adds()


class Conv2d(Module):
    """y = conv2d(x, weight) + bias[o]: see ``conv2d`` for stride, padding, dilation and groups.

    ``weight`` (out, in / groups, kernel, kernel) is a Tensor, or an encoding that applies itself.
    It is initialized with N(0, 2 / fan_in), the bias with 0.

    >>> import numpy as np
    >>> Conv2d(3, 8, 5, padding=2, rng=0)(np.ones((2, 3, 9, 9))).shape
    (2, 8, 9, 9)
    """

    weight: Any
    bias: Tensor | None

    axes: tuple[int, ...]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Size,
        *,
        stride: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        rng: Seed = None,
    ):
        require_widths(self, in_channels, out_channels)
        require_groups(groups, in_channels, out_channels)
        kernels = sliding(kernel, stride, padding, dilation)[0]
        self.axes = (out_channels, in_channels // groups, *kernels)
        self.weight = parameter(self.axes, he_std(self.axes), rng)
        self.bias = parameter((out_channels,), 0.0, rng) if bias else None
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        """Return y (n, out, oh, ow) for x (n, in, h, w)."""
        self._require(x.shape)
        return convolution(x, self.weight, self.bias, self.geometry)

    def __repr__(self) -> str:
        o, c, *kernel = self.weight.shape
        said = [f"{c * self.groups}, {o}, {tuple(kernel)}"]
        usual = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
        said += [f"{k}={vars(self)[k]!r}" for k, v in usual.items() if vars(self)[k] != v]
        return f"Conv2d({', '.join(said)}{_encoded(self.weight)})"

    def output_shape(self, shape: Shape) -> Shape:
        """Return (out, oh, ow) for (in, h, w); ShapeError if the image does not fit."""
        self._require(("n", *shape))
        window = conv_window((1, *shape), self.weight.shape, **vars(self.geometry))
        return (self.weight.shape[0], *window.outputs)

    def _require(self, batch: Batch) -> None:
        require_parameters(self, 4)
        require_channels(self, self.weight.shape[1] * self.groups, batch)

    def multiply_adds(self, shape: Shape) -> int:
        """Count oh·ow multiply-adds per entry of the weight, or those of the encoding."""
        in_pixels, out_pixels = (math.prod(s[1:]) for s in (shape, self.output_shape(shape)))
        if isinstance(self.weight, Tensor):
            return out_pixels * self.weight.size
        return self.weight.conv_multiply_adds(in_pixels, out_pixels, self.geometry)

    @property
    def geometry(self) -> Geometry:
        """The options of ``conv2d`` for this layer."""
        return Geometry(self.stride, self.padding, self.dilation, self.groups)


def _encoded(weight: Any) -> str:
    return "" if isinstance(weight, Tensor) else f", {weight.label}"


def require_parameters(layer: Any, axes: int) -> None:
    """Raise ShapeError if a weight or bias that was assigned later does not fit.

    A bias of another shape could broadcast: (out, 1) does for a batch of one or of ``out`` images.
    """
    weight, bias = (getattr(p, "shape", None) for p in (layer.weight, layer.bias))
    if weight is None or len(weight) != axes or bias not in (None, (weight[0],)):
        raise ShapeError(
            f"{type(layer).__name__} needs a weight with {axes} axes, (out, in, …), and a bias "
            f"(out,) or None; got shapes {weight} and {bias}"
        )


def require_widths(layer: Module, *widths: int) -> None:
    """Raise ShapeError unless every width is an integer of 1 or more."""
    whole = (isinstance(n, numbers.Integral) and not isinstance(n, bool) for n in widths)
    if not all(whole) or min(widths) < 1:
        got = ", ".join(map(repr, widths))
        raise ShapeError(f"{type(layer).__name__} needs whole numbers of 1 or more, got {got}")


def require_channels(layer: Module, channels: int, batch: Batch) -> None:
    """Raise ShapeError unless the batch is (n, channels, h, w)."""
    if len(batch) != 4 or batch[1] != channels:
        raise ShapeError(
            f"{type(layer).__name__} expects {channels} channels (n, c, h, w), got "
            f"{_written(batch)}"
        )


def require_image(layer: Module, shape: Shape) -> None:
    """Raise ShapeError unless ``shape`` is (c, h, w)."""
    if len(shape) != 3:
        raise ShapeError(
            f"{type(layer).__name__} takes images (n, c, h, w), got {_written(('n', *shape))}"
        )


def _written(batch: Batch) -> str:
    """Return a shape as text: (n, 3, 32, 32), or with the length of the batch if it is known."""
    return f"({', '.join(map(str, batch))})"


# --- layers without parameters --------------------------------------------------------------------


class Flatten(Module):
    """Reshape (n, c, h, w) to (n, c·h·w)."""

    def output_shape(self, shape: Shape) -> Shape:
        """Return (c·h·w,) for (c, h, w)."""
        return (math.prod(shape),)

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        """Return x with one row per image."""
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))


class ReLU(Module):
    """y = max(x, 0)."""

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        """Return max(x, 0), element by element."""
        return relu(x)
