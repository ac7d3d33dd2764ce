"""Which encoding or tensor stores the weights of which layers."""

from __future__ import annotations

from typing import Any

from ..nn.module import Module
from ..nn.surgery import named_layers
from .joint import SharedWeight


def group_by_encoding(model: Module) -> dict[str, dict[str, Any]]:
    """Group the weights by their encoding: {"conv4_2+conv4_3": {"conv4_2": …, "conv4_3": …}, …}.

    Layers with parts of the same whole, or with the same weight, are in one group.
    """
    groups: dict[int, dict[str, Any]] = {}
    for name, layer in named_layers(model).items():
        groups.setdefault(id(storage_of(layer.weight)), {})[name] = layer.weight
    return {"+".join(group): group for group in groups.values()}


def storage_of(weight: Any) -> Any:
    """Return the encoding or tensor that stores a weight: the whole for a part, else itself."""
    return weight.whole if isinstance(weight, SharedWeight) else weight
