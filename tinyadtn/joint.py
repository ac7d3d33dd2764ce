"""One encoding for the weights of several layers: each layer holds a part of the whole.

    conv4_2.weight ── part 0 ──┐
                               ├── whole: one encoding of the weights together
    conv4_3.weight ── part 1 ──┘

The parts share the whole, so its numbers are trained, counted and saved once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .encodings import Cost, Counts, Encoding
from .engine import Tensor
from .errors import ShapeError
from .module import Module, Shape, he_std, named_layers
from .sites import Axes


class Part(Encoding):
    """The weight of one layer, cut from an encoding of several: W = gain · whole[index].

    ``layers`` names all of them with their shapes. Weights of one shape are stacked on a new first
    axis, (k, o, …); weights of different shapes are flattened, one behind the other, to a vector.
    ``gain`` is √(2/fan_in) of this weight over that of the whole, a constant of the shapes: so
    every part starts spread like a dense layer of its own. The numbers stored are the whole's.
    Every layer decodes the whole for itself; ``decoded`` (what ``evaluate`` uses) does it once.
    ShapeError if the whole has another shape than the layers together.

    >>> import tinyadtn as ta
    >>> layers = {"fc1": (4, 8), "fc2": (4, 8)}
    >>> whole = ta.ADTN((2, 4, 8), rng=0)
    >>> one, two = Part(whole, 0, layers), Part(whole, 1, layers)
    >>> one.decode().shape, one.parameters()[0] is two.parameters()[0]
    ((4, 8), True)
    """

    whole: Encoding

    def __init__(self, whole: Encoding, index: int, layers: Mapping[str, Sequence[int]]):
        shapes = [tuple(shape) for shape in layers.values()]
        if whole.shape != joint_shape(shapes):
            raise ShapeError(
                f"the weights of {', '.join(layers)} together have shape {joint_shape(shapes)}, "
                f"the encoding is for {whole.shape}"
            )
        if not 0 <= index < len(shapes):
            raise ShapeError(f"{len(shapes)} layers have parts 0 … {len(shapes) - 1}, got {index}")
        self.whole, self.index = whole, index
        self.layers = dict(zip(layers, shapes))
        self.shape = shapes[index]
        self.config = {
            "encoding": "Part",
            "whole": whole.config,
            "index": index,
            "layers": {name: list(shape) for name, shape in self.layers.items()},
        }

    @property
    def label(self) -> str:
        return self.whole.label

    @property
    def gain(self) -> float:
        """What the slice of the whole is multiplied by."""
        return he_std(self.shape) / he_std(self.whole.shape)

    def cut(self, whole: Tensor) -> Tensor:
        """This weight from the decoded whole."""
        if whole.ndim > 1:
            return whole[self.index] * self.gain
        sizes = [math.prod(shape) for shape in self.layers.values()]
        first = sum(sizes[: self.index])
        return whole[first : first + sizes[self.index]].reshape(self.shape) * self.gain

    def decode(self) -> Tensor:
        """The weight: the whole decoded, and cut."""
        return self.cut(self.whole.decode())

    def peak_bytes(self) -> int:
        """That of the whole, and this weight."""
        return self.whole.peak_bytes() + super().peak_bytes()

    def counts(self) -> Counts:
        """This weight's entries, and all the numbers of the whole: they are needed for any part."""
        return replace(self.whole.counts(), dense=math.prod(self.shape))

    def cost(self) -> Cost:
        """That of the whole, which has to be decoded."""
        return Cost(self.whole.cost().decode, None)

    def target(self, weights: Mapping[str, Any]) -> np.ndarray:
        """What the whole should decode to for the layers to have these weights.

        Each weight is divided by its gain, so none counts more for having fewer inputs.
        """
        unit = he_std(self.whole.shape)
        arrays = [
            np.asarray(weights[name]) * (unit / he_std(shape))
            for name, shape in self.layers.items()
        ]
        if len(self.whole.shape) > 1:
            return np.stack(arrays)
        return np.concatenate([array.ravel() for array in arrays])


def joint_shape(shapes: Sequence[Shape]) -> Shape:
    """The shape of several weights together: stacked if they are alike, else one vector.

    >>> joint_shape([(8, 4), (8, 4)]), joint_shape([(8, 4), (2, 8)])
    ((2, 8, 4), (48,))
    """
    if len(set(shapes)) == 1:
        return (len(shapes), *shapes[0])
    return (sum(map(math.prod, shapes)),)


def joint_axes(shapes: Sequence[Shape], axes: Sequence[Axes]) -> Axes:
    """The structure of a stack whose weights all have the same; None where there is no such."""
    alike = len(set(shapes)) == 1 and axes[0] is not None and all(a == axes[0] for a in axes)
    return (len(shapes), *axes[0]) if alike and axes[0] is not None else None


def by_encoding(model: Module) -> dict[str, dict[str, Any]]:
    """The weights by what stores them: {"conv4_2+conv4_3": {"conv4_2": …, "conv4_3": …}, …}.

    Layers with parts of one whole, or with the very same weight, stand together.
    """
    groups: dict[int, dict[str, Any]] = {}
    for name, layer in named_layers(model).items():
        groups.setdefault(id(whole_of(layer.weight)), {})[name] = layer.weight
    return {"+".join(group): group for group in groups.values()}


def whole_of(weight: Any) -> Any:
    """The encoding or tensor that stores a weight: of a part the whole, of all others itself."""
    return weight.whole if isinstance(weight, Part) else weight
