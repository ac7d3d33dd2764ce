"""The layers that normalise, and dropout: ``norm`` has the mathematics, here is what they keep."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..autodiff.engine import Tensor
from ..errors import ShapeError
from ..ops.dropout import dropout, require_rate
from ..ops.local_norm import local_contrast_norm, local_response_norm, require_odd
from ..ops.norm import batch_norm, require_epsilon
from .layers import require_channels, require_image, require_widths
from .module import Module
from .parameters import Seed, Shape


class _PerChannel(Module):
    """What layers with one number per channel share."""

    channels: int

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.channels})"

    def output_shape(self, shape: Shape) -> Shape:
        require_channels(self, self.channels, ("n", *shape))
        return shape


class Normalize(_PerChannel):
    """y = (x - mean) / std, channel by channel, with constants that belong to the data.

    Both are buffers: 0 and 1 until ``load_arrays`` brings those of the training images (see
    ``channel_statistics``), and saved with the model: whoever loads it gives it plain images.

    >>> layer = Normalize(1)
    >>> layer.load_arrays({"mean": [0.5], "std": [0.25]})
    >>> layer(np.ones((1, 1, 1, 1))).item()
    2.0
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int):
        require_widths(self, channels)
        self.channels = channels
        self.mean = Tensor(np.zeros(channels, np.float32))
        self.std = Tensor(np.ones(channels, np.float32))

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        require_channels(self, self.channels, x.shape)
        return (x - self.mean.reshape(-1, 1, 1)) / self.std.reshape(-1, 1, 1)


class BatchNorm2d(_PerChannel):
    """y = scale · (x - mean) / √(variance + ε) + shift, see ``batch_norm``.

    In training mean and variance are the batch's, and the buffers follow them:
    running ← (1 - momentum) · running + momentum · batch, with the unbiased variance. Otherwise the
    buffers are used. It is ``scale``, not ``weight``: there is nothing here to encode.

    >>> layer = BatchNorm2d(3)
    >>> layer(np.ones((2, 3, 4, 4)), training=True).shape, layer.running_mean.data
    ((2, 3, 4, 4), array([0.1, 0.1, 0.1], dtype=float32))
    """

    scale: Tensor
    shift: Tensor
    running_mean: Tensor
    running_variance: Tensor

    def __init__(self, channels: int, *, momentum: float = 0.1, epsilon: float = 1e-5):
        require_widths(self, channels)
        require_epsilon(epsilon, "BatchNorm2d")
        if not 0 <= momentum <= 1:
            raise ValueError(f"BatchNorm2d needs a momentum from 0 to 1, got {momentum}")
        self.scale = Tensor(np.ones(channels, np.float32), requires_grad=True)
        self.shift = Tensor(np.zeros(channels, np.float32), requires_grad=True)
        self.running_mean = Tensor(np.zeros(channels, np.float32))
        self.running_variance = Tensor(np.ones(channels, np.float32))
        self.channels, self.momentum, self.epsilon = channels, momentum, epsilon

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        require_channels(self, self.channels, x.shape)
        count = x.size // self.channels
        if training and count < 2:
            raise ShapeError(
                f"BatchNorm2d needs 2 or more numbers per channel in training, because one has no "
                f"variance; got a batch of shape {x.shape}. Choose a batch size that leaves more "
                "than one image for the last batch of an epoch"
            )
        if training:
            statistics: dict[str, Any] = {"observe": functools.partial(self._follow, count)}
        else:
            statistics = {"mean": self.running_mean.data, "variance": self.running_variance.data}
        return batch_norm(x, self.scale, self.shift, epsilon=self.epsilon, **statistics)

    def _follow(self, count: int, mean: Any, variance: Any) -> None:
        """Let the running statistics follow those of a batch of ``count`` numbers a channel."""
        unbiased = variance * (count / (count - 1))
        for buffer, new in ((self.running_mean, mean), (self.running_variance, unbiased)):
            # A new array, for a graph may still need the old one.
            mixed = (1 - self.momentum) * buffer.data + self.momentum * new
            buffer.data = mixed.astype(buffer.dtype, copy=False)


class _ForImages(Module):
    """What layers that take images of any size share."""

    size: int

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size})"

    def output_shape(self, shape: Shape) -> Shape:
        require_image(self, shape)
        return shape


class LocalResponseNorm(_ForImages):
    """AlexNet's normalisation across neighbouring channels: see ``local_response_norm``."""

    def __init__(self, size: int = 5, *, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75):
        require_odd(size, "LocalResponseNorm")
        self.size, self.k, self.alpha, self.beta = size, k, alpha, beta

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        return local_response_norm(x, size=self.size, k=self.k, alpha=self.alpha, beta=self.beta)


class LocalContrastNorm(_ForImages):
    """ZFNet's normalisation by the neighbouring pixels: see ``local_contrast_norm``."""

    def __init__(self, size: int = 9):
        require_odd(size, "LocalContrastNorm")
        self.size = size

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        return local_contrast_norm(x, size=self.size)


class Dropout(Module):
    """In training, each number is 0 with probability ``rate`` and the others grow: ``dropout``."""

    def __init__(self, rate: float = 0.5):
        require_rate(rate)
        self.rate = rate

    def __repr__(self) -> str:
        return f"Dropout({self.rate})"

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        return dropout(x, rate=self.rate, rng=rng) if training and self.rate else x
