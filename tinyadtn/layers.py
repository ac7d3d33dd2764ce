"""Layers, each a line of mathematics around a few parameters, and the row of them: a network."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .contract import contract
from .engine import Tensor
from .errors import ShapeError
from .module import Module, Seed, dense, he_std, parameter
from .ops import relu


class Linear(Module):
    """y[n,o] = Σ_i x[n,i] · weight[o,i] + bias[o].

    ``weight`` (out, in) is a Tensor or an encoding (anything with ``decode()``). The start is
    N(0, 2/in), biases 0. Where the input is an image, ``in_features`` may say so: (28, 28) is 784
    features, and an encoding then gives rows and columns sites of their own (``axes``).

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
        structure = (in_features,) if isinstance(in_features, int) else tuple(in_features)
        if min(out_features, *structure) < 1:
            raise ShapeError(f"Linear needs widths of 1 or more, got {in_features}, {out_features}")
        shape = (out_features, math.prod(structure))
        self.axes = (out_features, structure if len(structure) > 1 else structure[0])
        self.weight = parameter(shape, he_std(shape), rng)
        self.bias = parameter((out_features,), 0.0, rng) if bias else None

    def __repr__(self) -> str:
        widths = f"{self.weight.shape[1]}, {self.weight.shape[0]}"
        return (
            f"Linear({widths})"
            if isinstance(self.weight, Tensor)
            else (f"Linear({widths}, weight={self.weight!r})")
        )

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        expected = self.weight.shape[1]
        if x.ndim != 2 or x.shape[1] != expected:
            raise ShapeError(f"Linear expects (n, {expected}), got {x.shape}")
        y = contract(x, dense(self.weight), pattern="ni,oi->no")
        return y if self.bias is None else y + self.bias


class Flatten(Module):
    """(n, c, h, w) to (n, c·h·w)."""

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))


class ReLU(Module):
    """y = max(x, 0)."""

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        return relu(x)


class Sequential(Module):
    """Layers one behind the other, each with a name that becomes an attribute.

    >>> model = Sequential(fc1=Linear(4, 3, rng=0), relu1=ReLU(), fc2=Linear(3, 2, rng=1))
    >>> model.fc2.weight.shape
    (2, 3)
    """

    def __init__(self, **layers: Module):
        for name, layer in layers.items():
            setattr(self, name, layer)

    def __getattr__(self, name: str) -> Any:
        layers = ", ".join(name for name, _ in self.layers())
        raise AttributeError(f"no layer {name!r}; there is {layers}")

    def layers(self) -> Iterator[tuple[str, Module]]:
        """The layers with their names, first to last."""
        return ((name, part) for name, part in vars(self).items() if isinstance(part, Module))

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        rng = None if rng is None else np.random.default_rng(rng)  # one stream for all the layers
        for name, layer in self.layers():
            try:
                x = layer(x, training=training, rng=rng)
            except ShapeError as error:
                raise ShapeError(f"{name}: {error}") from error
        return x
