"""One encoding for the weights of several layers: each layer uses a part of the whole.

    conv4_2.weight ── part 0 ──┐
                               ├── whole: one encoding of the weights together
    conv4_3.weight ── part 1 ──┘

The parts share the whole, so its parameters are trained, counted and saved once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..autodiff.engine import Tensor
from ..checks import to_builtin
from ..errors import ShapeError
from ..nn.parameters import Shape, he_std
from ..tensor_networks.sites import Axes
from .encoding import Cost, Counts, Encoding


class SharedWeight(Encoding):
    """The weight of one layer, cut from an encoding of several: W = gain · whole[index].

    ``layers`` lists the shapes of all these layers by name. If the weights differ only in their
    number of outputs, the whole is one weight with all outputs, (Σ o, c, kh, kw). Otherwise the
    weights are flattened and joined to a vector. In both cases the parts follow one another along
    the first axis. ``gain`` is √(2/fan_in) of this weight divided by that of the whole, a constant
    that depends on the shapes only. So every part initially has the standard deviation of a dense
    layer. It is 1 if all weights have the same inputs. The stored parameters are those of the
    whole. Every layer decodes the whole separately; ``decoded`` (which ``evaluate`` uses) decodes
    it once.
    Raises ShapeError if the whole has another shape than the layers together.

    >>> import tinyadtn as ta
    >>> layers = {"fc1": (4, 8), "fc2": (2, 8)}
    >>> whole = ta.ADTN((6, 8), rng=0)
    >>> one, two = SharedWeight(whole, 0, layers), SharedWeight(whole, 1, layers)
    >>> one.decode().shape, two.decode().shape, one.parameters()[0] is two.parameters()[0]
    ((4, 8), (2, 8), True)
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
        """The name of the whole in reports."""
        return self.whole.label

    @property
    def gain(self) -> float:
        """The factor on this part of the whole."""
        return he_std(self.shape) / he_std(self.whole.shape)

    def cut(self, whole: Tensor) -> Tensor:
        """Return this weight, given the decoded whole."""
        entry = math.prod(whole.shape[1:])  # elements at one index of the first axis
        lengths = [math.prod(shape) // entry for shape in self.layers.values()]
        first = sum(lengths[: self.index])
        part = whole[first : first + lengths[self.index]]
        return part.reshape(self.shape) * self.gain

    def decode(self) -> Tensor:
        """Return the weight: decode the whole, and cut out this part."""
        return self.cut(self.whole.decode())

    def peak_bytes(self) -> int:
        """Estimate the bytes for the whole and this weight."""
        return self.whole.peak_bytes() + super().peak_bytes()

    def counts(self) -> Counts:
        """Count this weight's entries, and all parameters of the whole, which every part needs."""
        return replace(self.whole.counts(), dense=math.prod(self.shape))

    def cost(self) -> Cost:
        """Count the multiply-adds of the whole, which has to be decoded."""
        return Cost(self.whole.cost().decode, None)

    def target(self, weights: Mapping[str, Any]) -> np.ndarray:
        """Return the tensor that the whole should decode to, so that the layers get these weights.

        Each weight is divided by its gain, so that fewer inputs do not give it more influence.
        """
        unit, inner = he_std(self.whole.shape), self.whole.shape[1:]
        return np.concatenate(
            [
                np.asarray(weights[name]).reshape(-1, *inner) * (unit / he_std(shape))
                for name, shape in self.layers.items()
            ]
        )


def joint_shape(shapes: Sequence[Shape]) -> Shape:
    """Return the shape of several weights together: all outputs over the same inputs, or a vector.

    >>> joint_shape([(8, 4), (2, 4)]), joint_shape([(8, 4), (2, 8)])
    ((10, 4), (48,))
    """
    inner = {shape[1:] for shape in shapes}
    if len(inner) == 1:
        return (sum(math.prod(shape[:1]) for shape in shapes), *inner.pop())
    return (sum(map(math.prod, shapes)),)


def joint_axes(shapes: Sequence[Shape], axes: Sequence[Axes]) -> Axes:
    """Return the axes of the inputs if all weights have the same; otherwise None.

    >>> joint_axes([(8, 12), (2, 12)], [(8, (3, 4)), (2, (3, 4))])
    (10, (3, 4))
    """
    first, *inner = joint_shape(shapes)
    structures = {None if one is None else to_builtin(one)[1:] for one in axes}
    structure = structures.pop()
    return (first, *structure) if inner and structure and not structures else None
