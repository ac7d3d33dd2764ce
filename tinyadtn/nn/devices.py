"""Moving a model to a GPU and back.

Where a model's numbers lie, there it is computed: training, evaluation and prediction bring their
batches, labels and masks to it, an optimiser's memory lies beside its parameters, and an encoding
goes where the weight was that it replaces. Data stay in NumPy's hands, and so do files.
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
    """A copy of a model or tensor on ``"cuda"``, a GPU in CuPy's hands, or on ``"cpu"``.

    All parameters and buffers are moved, what layers share stays shared, and the original is left
    alone: an optimiser that was made for it trains the original, so move first. Random numbers are
    always drawn by NumPy, so a seed means the same on either device. A tensor must not be the
    result of a recorded computation: GraphError. An array is moved, and returned as it is if it is
    there. DeviceError for another device, without CuPy, or without a GPU.

    On a GPU nothing guards arrays that a graph still needs against being changed, for CuPy's arrays
    cannot be made read-only, and an index beyond the end wraps around, as it does in CuPy.

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
    # deepcopy takes what stands in its memo for copied: each tensor once, wherever it is held.
    return copy.deepcopy(
        what, {id(t): _moved(t, device) for _, t in what.named_tensors() if t.node is None}
    )


def placed(model: Module, device: str) -> Any:
    """The model itself if it is on that device, else a copy there."""
    there = all(backend.device_of(t.data) == device for _, t in model.named_tensors())
    return model if there else to_device(model, device)


def _moved(tensor: Tensor, device: str) -> Tensor:
    if tensor.node is not None:
        raise GraphError("only tensors that were not computed can be moved; detach() it first")
    return Tensor(cast_and_move(tensor, tensor.dtype, device), tensor.requires_grad)
