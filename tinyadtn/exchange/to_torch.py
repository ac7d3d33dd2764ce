"""A model as a torch module, with its gates and factors: it trains and runs in torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..nn.module import Module
from .optional import optional

if TYPE_CHECKING:
    import torch


def to_torch(model: Module) -> torch.nn.Module:
    """Return a ``torch.nn.Module`` that computes the same network, with copies of all values.

    Encoded layers stay encoded: the module holds their gates or factors and decodes the weight in
    ``forward``, so torch trains the same parameters. The names in ``state_dict()`` are ours, such
    as ``fc1.weight.columns.0``; ``load_from_torch`` brings the values back. The dtype is that of
    the model. Call ``eval()`` for dropout and batch normalization, as for every torch module.

    TinyADTNError if torch is not installed, and for a layer or an encoding of your own.
    """
    optional("torch")
    from .torch_layers import layer_in_torch  # it imports torch

    return layer_in_torch(model, {})
