"""A model whose weights are encoded: what stores its weights, its configuration, and checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..autodiff.engine import Tensor
from ..encodings.encoding import Encoding
from ..encodings.joint import SharedWeight
from ..errors import ShapeError, TinyADTNError
from ..nn.module import Module
from ..nn.parameters import Shape
from ..nn.surgery import named_layers, with_weights
from ..nn.tables import image_shape


def image_of(model: Module, image: Shape | None) -> Shape:
    """Return the image shape (c, h, w) of a model: ``image``, or that of its configuration."""
    if image is not None and not isinstance(image, (tuple, list)):
        raise ShapeError(f"image= is the shape (c, h, w) of one image, got {image!r}")
    if image is None and model.config is None:
        raise TinyADTNError("say what images this model takes: image=(c, h, w)")
    return image_shape(model.config) if image is None else image


@dataclass(frozen=True)
class StoredWeight:
    """A tensor or an encoding, and the weights that it stores, {layer: weight}.

    Layers with parts of one joint encoding, or with the same weight, have the same storage. Their
    names are joined in ``name``, such as "conv4_2+conv4_3".
    """

    storage: Any
    weights: dict[str, Any]

    @property
    def name(self) -> str:
        """The names of the layers, joined with "+"."""
        return "+".join(self.weights)


def stored_weights(model: Module) -> list[StoredWeight]:
    """Return what stores the weights of a model, each storage once, in the order of the layers."""
    found: dict[int, StoredWeight] = {}
    for name, layer in named_layers(model).items():
        weight = layer.weight
        storage = weight.whole if isinstance(weight, SharedWeight) else weight
        found.setdefault(id(storage), StoredWeight(storage, {})).weights[name] = weight
    return [*found.values()]


def stored_in(weight: Any) -> dict[str, Tensor]:
    """Return the tensors that store a layer's weight, by name: the weight, or its encoding's."""
    return {"weight": weight} if isinstance(weight, Tensor) else dict(weight.named_tensors())


def check_shape(name: str, shape: Shape, encoded: Shape) -> None:
    """Raise ShapeError unless an encoding of shape ``encoded`` fits the weight of this layer."""
    if encoded != shape:
        raise ShapeError(f"{name} has a weight of shape {shape}, the encoding is for {encoded}")


def encoded(model: Module, weights: Mapping[str, Encoding]) -> Any:
    """Return a copy of the model with these weights, and their encodings in its ``config``."""

    def change(path: str, weight: Any) -> Any:
        return weights.get(path.removesuffix(".weight"), weight)

    result = with_weights(model, change)
    if model.config is not None:
        now = {name: weight.config for name, weight in weights.items()}
        set_config(result, model, {**model.config.get("encodings", {}), **now})
    return result


def set_config(result: Module, model: Module, encodings: dict[str, Any]) -> None:
    """Set ``result.config`` from the model's, these encodings, and the parameters still frozen."""
    frozen = set(model.config.get("frozen", ()))
    still = {id(tensor) for name, tensor in model.named_tensors() if name in frozen}
    names = sorted(name for name, tensor in result.named_tensors() if id(tensor) in still)
    new = {"encodings": encodings, "frozen": names}
    result.config = {key: value for key, value in model.config.items() if key not in new}
    result.config |= {key: value for key, value in new.items() if value}
