"""Saving and loading: one ``.npz`` file a state, written whole or not at all, read without trust.

Inside are the arrays by name and a JSON text: format, model configuration, the SHA-256 of every
array, and whatever else the writer wants back.
"""

from __future__ import annotations

import os
from typing import Any

from ..autodiff.engine import Tensor
from ..decode_free.precomputed import PrecomputedFactors
from ..errors import CheckpointError, DTypeError, TinyADTNError
from ..files.state import read_state, write_state
from ..nn.module import Module
from ..nn.surgery import named_layers
from .configure import build


def save(path: str | os.PathLike[str], model: Module) -> None:
    """Write the model's weights, and how to build it again, to a ``.npz`` file.

    The file is complete or untouched: a crash or a full disk leaves the old one as it was.
    TinyADTNError for what ``decoded`` gave: it has lost the encodings that ``load`` would build.

    >>> import tempfile, tinyadtn as ta
    >>> model = ta.models.fc2(rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/fc2.npz", model)
    ...     ta.load(f"{folder}/fc2.npz").num_parameters
    203530
    """
    if not isinstance(model, Module):
        raise TypeError(f"save(path, model) needs a Module, got {type(model).__name__}")
    _require_encodings(model)
    write_state(path, model.arrays(), {"kind": "weights", "config": model.config})


def _require_encodings(model: Module) -> None:
    """Refuse a model that has factors or tensors where its configuration promises encodings."""
    promised = (model.config or {}).get("encodings", {})
    for name, layer in named_layers(model).items():
        if isinstance(layer.weight, PrecomputedFactors) or (
            name in promised and isinstance(layer.weight, Tensor)
        ):
            raise TinyADTNError(
                f"{name} has lost its encoding, so the file could not be loaded: save the model "
                "that decoded was given; for a dense one, save ta.decompress(model)"
            )


def load(path: str | os.PathLike[str], *, into: Module | None = None) -> Any:
    """The model in a checkpoint, whether weights only or a training state.

    What ``ta.models`` and ``ta.compress`` made is built again from the stored configuration; for
    any other module give one of the same shape as ``into``, which receives the weights.
    CheckpointError for a file that is damaged, unsafe, newer, or for another model.
    """
    arrays, meta = read_state(path)
    if meta.get("kind") == "features":
        raise CheckpointError(f"{path}: holds features, no model; ta.load_data reads it")
    if into is None and meta.get("config") is None:
        raise CheckpointError(
            f"{path}: this model was not made by ta.models, so it cannot be built from the file; "
            "build it yourself and call ta.load(path, into=model)"
        )
    try:
        model = into if into is not None else build(meta["config"])
        take_weights(model, arrays)
    except (TinyADTNError, MemoryError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    return model


def take_weights(model: Module, arrays: dict[str, Any]) -> None:
    """Give the model those of a state's arrays that are its own, not the optimiser's.

    Unlike ``load_arrays``, which takes what a user has, it takes no integers for floats: no model
    was saved so.
    """
    own = {name: array for name, array in arrays.items() if not name.startswith("optimizer/")}
    for name, tensor in model.named_tensors():
        if name in own and own[name].dtype.kind != tensor.dtype.kind:
            raise DTypeError(f"{name} holds {own[name].dtype}, the model needs {tensor.dtype}")
    model.load_arrays(own)
