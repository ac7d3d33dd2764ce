"""A model as a torch module with its gates and factors, or its dense values by torch's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..autodiff.arrays import to_numpy
from ..autodiff.engine import Tensor
from ..compression.compress import decompress
from ..nn.members import walk
from ..nn.module import Module
from .from_torch import TorchNames
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


def to_torch_state(
    model: Module, *, names: Mapping[str, str] | None = None
) -> dict[str, torch.Tensor]:
    """Return the dense values of the model by torch's names, for ``network.load_state_dict``.

    This is the inverse of ``load_from_torch`` with the same ``names``, after ``decompress``. The
    tensors of a batch normalization get torch's words, without ``num_batches_tracked``. A tensor
    that several layers share is listed at each of them. ``normalize``, which torch's networks do
    not have, is left out unless ``names`` has it.

    TinyADTNError if torch is not installed, and for a name that the model does not have.
    """
    torch, dense = optional("torch"), decompress(model)
    theirs_of = TorchNames(dense, names)
    state = {}
    for ours, tensor, *_ in walk(dense):
        skipped = theirs_of.is_normalize(ours) and ours.rpartition(".")[0] not in theirs_of.names
        if isinstance(tensor, Tensor) and not skipped:
            state[theirs_of(ours)] = torch.from_numpy(to_numpy(tensor.data).copy())
    return state
