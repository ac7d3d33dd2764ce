"""Moving a model to a GPU and back.

A model is computed on the device that holds its parameters. Training, evaluation and prediction
copy their batches, labels and masks to it. The state of an optimizer is on the device of its
parameters, and an encoding is on the device of the weight that it replaces. Data and files stay in
NumPy arrays.
"""

from __future__ import annotations

import copy
from typing import Any

from ..autodiff import arrays as backend
from ..autodiff.engine import Tensor
from ..errors import GraphError
from .module import Module
from .parameters import cast_and_move


def to_device(what: Any, device: str) -> Any:
    """Return a copy of a model or tensor on ``"cuda"`` (a GPU, through CuPy) or on ``"cpu"``.

    All parameters and buffers are moved, and shared tensors stay shared. The original does not
    change, and an optimizer that was made for it trains the original: so move the model first.
    Random numbers are always drawn by NumPy, so a seed gives the same values on either device. An
    array is moved, or returned as it is if it is already there. Raises GraphError for a tensor that
    is the result of a recorded computation, and DeviceError for an unknown device, without CuPy, or
    without a GPU.

    On a GPU nothing prevents changes of arrays that a graph still needs, because CuPy arrays cannot
    be made read-only. An index beyond the end wraps around, as it does in CuPy.

    >>> import tinyadtn as ta
    >>> model = to_device(ta.models.fc2(rng=0), "cpu")
    >>> gpu = to_device(model, "cuda")  # doctest: +SKIP
    >>> for step in ta.train(gpu, data, epochs=5):  # doctest: +SKIP
    ...     print(step.loss)
    """
    backend.require_device(device)
    if isinstance(what, Tensor):
        return _moved(what, device)
    if not isinstance(what, Module):
        return backend.to_device(backend.as_array(what), device)
    # deepcopy copies no object in its memo: so each tensor is moved once, wherever it is held.
    return copy.deepcopy(
        what, {id(t): _moved(t, device) for _, t in what.named_tensors() if t.node is None}
    )


def placed(model: Module, device: str) -> Any:
    """Return the model itself if it is on that device, otherwise a copy there."""
    there = all(backend.device_of(t.data) == device for _, t in model.named_tensors())
    return model if there else to_device(model, device)


def _moved(tensor: Tensor, device: str) -> Tensor:
    if tensor.node is not None:
        raise GraphError("only tensors that were not computed can be moved; detach() it first")
    return Tensor(cast_and_move(tensor, tensor.dtype, device), tensor.requires_grad)
