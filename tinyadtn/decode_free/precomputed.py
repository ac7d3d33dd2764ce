"""``decoded``: a model whose weights, or their factors, are computed once for many batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..autodiff.arrays import Array
from ..autodiff.engine import Tensor
from ..autodiff.modes import isolated, no_grad
from ..errors import TinyADTNError
from ..nn.layers import Conv2d, Linear
from ..nn.module import Module, require_model
from ..nn.parameters import Shape
from ..nn.surgery import named_layers, with_tensors
from ..nn.weights import Weight
from . import rule
from .by_factors import ByFactors, along, large_conv_route
from .chain import Chain
from .rule import LARGE_BATCH, Route


class PrecomputedFactors(ByFactors):
    """The factors of a weight, computed in advance, and the only route through them.

    ``tensors`` are the kernels of a ``ConvChain``, or the cores of a ``Chain``.
    """

    tensors: list[Tensor]

    def __init__(self, shape: Sequence[int], name: str, route: Route, tensors: Sequence[Tensor]):
        self.shape, self.name, self.tensors = tuple(shape), name, list(tensors)
        # The kernels are here; the chain that they were computed from is not.
        self.route = route if isinstance(route, Chain) else replace(route, chain=None)

    @property
    def label(self) -> str:
        """The name of the encoding in reports."""
        return self.name

    def factors(self, chain: Chain | None = None) -> list[Tensor]:
        """Return the precomputed factors."""
        return self.tensors

    kernels = factors

    def decode(self) -> Tensor:
        """Raise TinyADTNError, because only the factors are available here, not the encoding."""
        raise TinyADTNError(
            f"{self.label}: these are the factors that decoded computed, which batches can go "
            "through and nothing else; use the model that decoded was given"
        )

    def counts(self) -> Any:
        """Raise TinyADTNError, as ``decode`` does."""
        return self.decode()


def route_of(layer: Any, batch: int | None = None, shape: Shape = ()) -> Any:
    """Return the route of a batch of inputs of that shape through a layer's factors, or None.

    None means that the weight is decoded. The default ``batch`` is a large one, with the weight or
    its factors precomputed.
    """
    weight, precomputed = layer.weight, batch is None
    if isinstance(layer, Linear):
        return rule.linear_route(weight, LARGE_BATCH if batch is None else batch, precomputed)
    if not isinstance(layer, Conv2d):
        return None
    if batch is None:
        return large_conv_route(weight, layer.geometry)
    in_pixels, out_pixels = (batch * math.prod(s[1:]) for s in (shape, layer.output_shape(shape)))
    return rule.conv_route(weight, in_pixels, out_pixels, layer.groups)


class decoded(no_grad):  # noqa: N801
    """Compute every encoded weight once, for many batches: ``with decoded(model) as ready:``.

    Inside the block nothing is recorded, as in ``no_grad``. Each layer gets a Tensor, or
    ``PrecomputedFactors`` if they are cheaper for large batches. Nothing is cached: the new model
    lives as long as you keep it. Its encoded weights are copies, which do not follow later updates.
    It shares everything else, such as biases and dense weights, with the model. Encodings that
    layers share (``joint``) are decoded once for all of them. Use the new model only to compute
    batches. To save, report or train, use the original model, which has the encodings.

    >>> import tinyadtn as ta
    >>> spec = {"fc1": ta.LowRank.like(8), "fc2": 2}
    >>> model = ta.compress(ta.models.fc2(rng=0), spec, rng=0)
    >>> with decoded(model) as ready:
    ...     type(ready.fc1.weight).__name__, type(ready.fc2.weight).__name__
    ('PrecomputedFactors', 'Tensor')
    """

    def __init__(self, model: Module) -> None:
        super().__init__()
        require_model("decoded", model)
        self._model = model

    def _inside(self) -> Any:
        return _ready(self._model)


@isolated
@no_grad()
def _ready(model: Module) -> Any:
    """Return the model with precomputed weights and factors."""
    layers = {"": model, **named_layers(model)}

    def precomputed(name: str, weight: Array) -> Any:
        if isinstance(weight, PrecomputedFactors):
            return weight
        if isinstance(weight, Weight) and not (hasattr(weight, "chain") or weight.fits()):
            return weight  # applied as it is, because it cannot be decoded
        layer: Any = layers.get(name.rpartition(".")[0])
        route = None if layer is None else route_of(layer)
        if route is None:
            return None
        # Copies: a factor may be a parameter itself, which an optimizer changes in place.
        tensors = [Tensor(factor.data.copy()) for factor in along(route, weight)]
        return PrecomputedFactors(weight.shape, weight.label, route, tensors)

    return with_tensors(model, precomputed)
