"""Layers in torch: each computes what our layer of the same name does, with the same tensors."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..autodiff.engine import Tensor
from ..errors import TinyADTNError
from ..nn import layers, norm_layers, pool_layers
from ..nn.sequential import Sequential
from ..ops.pool import pool_window
from ..ops.windows import SlidingWindow, window_over
from .torch_part import Part, counterpart
from .torch_weights import decoder


def sequential(ours: Sequential, made: dict[int, Any]) -> nn.Sequential:
    """Return the layers one after another."""
    theirs = nn.Sequential()
    for name, layer in ours.layers():
        try:
            theirs.add_module(name, layer_in_torch(layer, made))
        except KeyError as error:  # "type" is a name of torch's own
            raise TinyADTNError(
                f"torch has another use for the name {name!r}: give this layer another name"
            ) from error
    return theirs


class TorchWeighted(Part):
    """The base class of layers with a weight: a parameter, or a module that decodes it."""

    tensors = ("bias",)

    def __init__(self, ours: Any, made: dict[int, Any]):
        super().__init__(ours, made)
        if isinstance(ours.weight, Tensor):
            self.hold("weight", ours.weight, made)
        else:
            self.weight = decoder(ours.weight, made)

    def decoded(self) -> torch.Tensor:
        """Return the weight as a tensor."""
        return self.weight() if isinstance(self.weight, nn.Module) else self.weight


class TorchLinear(TorchWeighted):
    """y[n,o] = Σ_i x[n,i] · W[o,i] + bias[o]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self.decoded(), self.bias)


class TorchConv2d(TorchWeighted):
    """y = conv2d(x, W) + bias[o]."""

    options = ("geometry",)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, own = self.decoded(), self.geometry
        kernel = (weight.shape[2], weight.shape[3])
        window = window_over(tuple(x.shape), kernel, own.stride, own.padding, own.dilation)
        x, padding = padded(x, window)
        return functional.conv2d(
            x, weight, self.bias, window.stride, padding, window.dilation, own.groups
        )


def padded(
    x: torch.Tensor, window: SlidingWindow, value: float = 0.0
) -> tuple[torch.Tensor, tuple[int, int]]:
    """Return x and the padding that torch adds, which is the same on opposite sides."""
    (top, left), (bottom, right) = window.padding, window.after or window.padding
    if (top, left) == (bottom, right):
        return x, (top, left)
    return functional.pad(x, (left, right, top, bottom), value=value), (0, 0)


class TorchPool2d(nn.Module):
    """The largest value of each window, or the mean."""

    def __init__(self, ours: pool_layers.MaxPool2d | pool_layers.AvgPool2d, made: dict[int, Any]):
        super().__init__()
        self.options, self.is_max = ours._options(), isinstance(ours, pool_layers.MaxPool2d)
        if not self.is_max and self.options["dilation"] not in (1, (1, 1)):
            raise TinyADTNError(f"torch has no avg_pool2d with dilation, got {ours!r}")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        window = pool_window(tuple(x.shape), **self.options)
        x, padding = padded(x, window, -math.inf if self.is_max else 0.0)
        sides = (window.kernel, window.stride, padding)
        if self.is_max:
            y = functional.max_pool2d(x, *sides, window.dilation, window.ceil_mode)
        else:
            y = functional.avg_pool2d(x, *sides, window.ceil_mode)
        return y[:, :, : window.outputs[0], : window.outputs[1]]


class TorchNormalize(Part):
    """y = (x - mean) / std, with constants."""

    tensors = ("mean", "std")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean[:, None, None]) / self.std[:, None, None]


class TorchBatchNorm2d(Part):
    """y = scale · (x - mean) / √(variance + ε) + shift, the buffers updated in training."""

    tensors = ("scale", "shift", "running_mean", "running_variance")
    options = ("momentum", "epsilon")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.batch_norm(
            x,
            self.running_mean,
            self.running_variance,
            self.scale,
            self.shift,
            self.training,
            self.momentum,
            self.epsilon,
        )


class TorchLocalResponseNorm(Part):
    """y_c = x_c / (k + α Σ x_j²)^β. torch divides α by the size."""

    options = ("size", "k", "alpha", "beta")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        alpha = self.alpha * self.size
        return functional.local_response_norm(x, self.size, alpha, self.beta, self.k)


class TorchLocalContrastNorm(Part):
    """v = x - local mean;  y = v / max(σ, mean of σ): see ``ops.local_norm``."""

    options = ("size",)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        distance = torch.arange(self.size, device=x.device, dtype=torch.float64) - self.size // 2
        profile = torch.exp(-0.5 * (4 * distance / self.size) ** 2)
        window = (profile[:, None] * profile).to(x.dtype)[None, None]

        def blurred(image: torch.Tensor) -> torch.Tensor:
            return functional.conv2d(image, window, padding=self.size // 2)

        inside = blurred(torch.ones_like(x[:1, :1]))
        v = x - blurred(x.mean(1, keepdim=True)) / inside
        spread = torch.sqrt(blurred((v * v).mean(1, keepdim=True)) / inside + 1e-8)
        return v / torch.maximum(spread, spread.mean((1, 2, 3), keepdim=True))


LAYERS: dict[type, Any] = {
    Sequential: sequential,
    layers.Linear: TorchLinear,
    layers.Conv2d: TorchConv2d,
    pool_layers.MaxPool2d: TorchPool2d,
    pool_layers.AvgPool2d: TorchPool2d,
    layers.Flatten: lambda ours, made: nn.Flatten(),
    layers.ReLU: lambda ours, made: nn.ReLU(),
    norm_layers.Normalize: TorchNormalize,
    norm_layers.BatchNorm2d: TorchBatchNorm2d,
    norm_layers.LocalResponseNorm: TorchLocalResponseNorm,
    norm_layers.LocalContrastNorm: TorchLocalContrastNorm,
    norm_layers.Dropout: lambda ours, made: nn.Dropout(ours.rate),
}


def layer_in_torch(layer: Any, made: dict[int, Any]) -> nn.Module:
    """Return the torch module that computes what the layer does; a shared layer is made once."""
    names = ", ".join(kind.__name__ for kind in LAYERS)
    return counterpart(LAYERS, layer, made, f"there is one for {names}")
