"""The layers that normalize, and dropout; the formulas are in ``norm``."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..autodiff.engine import Tensor
from ..checks import require_number
from ..errors import ShapeError
from ..ops.arguments import require_epsilon
from ..ops.dropout import dropout, require_rate
from ..ops.local_norm import local_contrast_norm, local_response_norm, require_odd, require_response
from ..ops.norm import batch_norm
from .layers import require_channels, require_image, require_widths
from .module import Module
from .parameters import Seed, Shape
from .weights import reject_bytes


class _PerChannel(Module):
    """The shapes of layers with one value per channel."""

    channels: int

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.channels})"

    def output_shape(self, shape: Shape) -> Shape:
        require_channels(self, self.channels, ("n", *shape))
        return shape


class Normalize(_PerChannel):
    """y = (x - mean) / std, channel by channel, with constants that belong to the data.

    Both are buffers, initially 0 and 1. ``load_arrays`` sets them to those of the training images
    (see ``channel_statistics``). They are saved with the model, so a loaded model takes raw images.

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
        """Return (x - mean) / std for x (n, c, h, w)."""
        reject_bytes(x)
        require_channels(self, self.channels, x.shape)
        return (x - self.mean.reshape(-1, 1, 1)) / self.std.reshape(-1, 1, 1)


class BatchNorm2d(_PerChannel):
    """y = scale · (x - mean) / √(variance + ε) + shift, see ``batch_norm``.

    In training, mean and variance are those of the batch, and the buffers follow them:
    running ← (1 - momentum) · running + momentum · batch, with the unbiased variance. Otherwise the
    buffers are used. The name is ``scale``, not ``weight``, because it is not encoded.

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
        require_number("momentum", momentum)
        if not 0 <= momentum <= 1:
            raise ValueError(f"BatchNorm2d needs a momentum from 0 to 1, got {momentum}")
        self.scale = Tensor(np.ones(channels, np.float32), requires_grad=True)
        self.shift = Tensor(np.zeros(channels, np.float32), requires_grad=True)
        self.running_mean = Tensor(np.zeros(channels, np.float32))
        self.running_variance = Tensor(np.ones(channels, np.float32))
        self.channels, self.momentum, self.epsilon = channels, momentum, epsilon

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        """Return y (n, c, h, w) for x of the same shape; in training, update the buffers."""
        reject_bytes(x)
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
        """Update the running statistics from those of a batch with ``count`` values per channel."""
        unbiased = variance * (count / (count - 1))
        for buffer, new in ((self.running_mean, mean), (self.running_variance, unbiased)):
            # A new array, because a graph may still need the old one.
            mixed = (1 - self.momentum) * buffer.data + self.momentum * new
            buffer.data = mixed.astype(buffer.dtype, copy=False)


class _ForImages(Module):
    """The shapes of layers that take images of any size."""

    size: int

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size})"

    def output_shape(self, shape: Shape) -> Shape:
        require_image(self, shape)
        return shape


class LocalResponseNorm(_ForImages):
    """AlexNet's normalization across neighboring channels: see ``local_response_norm``."""

    def __init__(self, size: int = 5, *, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75):
        require_response(size, k, alpha, beta)
        self.size, self.k, self.alpha, self.beta = size, k, alpha, beta

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        """Return y (n, c, h, w) for x of the same shape."""
        reject_bytes(x)
        return local_response_norm(x, size=self.size, k=self.k, alpha=self.alpha, beta=self.beta)


class LocalContrastNorm(_ForImages):
    """ZFNet's normalization by the neighboring pixels: see ``local_contrast_norm``."""

    def __init__(self, size: int = 9):
        require_odd(size, "LocalContrastNorm")
        self.size = size

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        """Return y (n, c, h, w) for x of the same shape."""
        reject_bytes(x)
        return local_contrast_norm(x, size=self.size)


class Dropout(Module):
    """In training, each element is 0 with probability ``rate``, others are scaled: ``dropout``."""

    def __init__(self, rate: float = 0.5):
        require_rate(rate)
        self.rate = rate

    def __repr__(self) -> str:
        return f"Dropout({self.rate})"

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        """Return x with random elements set to 0 in training, otherwise x itself."""
        reject_bytes(x)
        return dropout(x, rate=self.rate, rng=rng) if training and self.rate else x
