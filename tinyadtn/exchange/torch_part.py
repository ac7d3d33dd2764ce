"""The base class of what is computed in torch: a torch module with the tensors of one of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ..autodiff.engine import Tensor
from ..errors import TinyADTNError


class Part(nn.Module):
    """The base class: a torch module with attributes of one of our modules.

    A subclass names them: ``tensors`` are parameters, buffers, None, and lists of tensors, which
    are copied; ``options`` are all others. ``made`` maps the id of our tensors and modules to their
    copies. So what several layers share is copied once.
    """

    tensors: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    if TYPE_CHECKING:  # the attributes that are named

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self, ours: Any, made: dict[int, Any]):
        super().__init__()
        for name in self.options:
            setattr(self, name, getattr(ours, name))
        for name in self.tensors:
            self.hold(name, getattr(ours, name), made)

    def hold(self, name: str, value: Any, made: dict[int, Any]) -> None:
        """Copy a tensor, or a list of tensors, to an attribute.

        A parameter that is frozen becomes a buffer; in a list, a parameter without gradient.
        """
        if value is None:
            self.register_parameter(name, None)
        elif isinstance(value, list):
            self.add_module(name, nn.ParameterList(copied(tensor, made) for tensor in value))
        elif value.requires_grad:
            self.register_parameter(name, copied(value, made))
        else:
            self.register_buffer(name, copied(value, made).data)


def counterpart(
    table: Mapping[type, Any], ours: Any, made: dict[int, Any], advice: str
) -> nn.Module:
    """Return what the table makes of one of our modules; what several layers share is made once."""
    if type(ours) not in table:
        raise TinyADTNError(f"{type(ours).__name__} has no counterpart in torch; {advice}")
    if id(ours) not in made:
        made[id(ours)] = table[type(ours)](ours, made)
    return made[id(ours)]


def copied(tensor: Tensor, made: dict[int, Any]) -> nn.Parameter:
    """Return a parameter with a copy of the values."""
    if id(tensor) not in made:
        array = tensor.numpy()
        if array.dtype.kind == "u" and array.dtype != np.uint8:  # indices, which torch cannot save
            array = array.astype(np.int64)
        value = torch.tensor(array)
        made[id(tensor)] = nn.Parameter(value, requires_grad=tensor.requires_grad)
    return made[id(tensor)]
