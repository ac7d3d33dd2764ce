"""Saving and loading: one ``.npz`` file a state, written whole or not at all, read without trust.

Inside are the arrays by name and a JSON text: format, model configuration, the SHA-256 of every
array, and whatever else the writer wants back.
"""

from __future__ import annotations

import json
import os
from pathlib import PurePosixPath
from typing import Any

from ..autodiff.engine import Tensor
from ..decode_free.precomputed import PrecomputedFactors
from ..errors import CheckpointError, DTypeError, TinyADTNError
from ..files.state import META, read_state, write_state
from ..nn.module import Module, require_fitting
from ..nn.surgery import named_layers
from .configure import build, has_own_encoding, is_known


def save(path: str | os.PathLike[str], model: Module) -> None:
    """Write the model's weights, and how to build it again, to a ``.npz`` file.

    The file is complete or untouched: a crash or a full disk leaves the old one as it was. What is
    written can be loaded: TinyADTNError for a model that is not what its configuration describes,
    such as one whose layers were replaced, or what ``decoded`` gave, which has lost its encodings.
    A model that ``ta.models`` and ``ta.compress`` did not make is loaded with ``into=``.

    >>> import tempfile, tinyadtn as ta
    >>> model = ta.models.fc2(rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/fc2.npz", model)
    ...     ta.load(f"{folder}/fc2.npz").num_parameters
    203530
    """
    save_with(path, model, {})


def save_with(path: str | os.PathLike[str], model: Module, about: dict[str, Any]) -> None:
    """``save``, with more to tell of the model, such as the data that it was trained on."""
    if not isinstance(model, Module):
        raise TypeError(f"save(path, model) needs a Module, got {type(model).__name__}")
    config = model.config if is_known(model.config) else None
    arrays = model.arrays()
    _require_loadable(model, arrays, config)
    write_state(path, arrays, {"kind": "weights", "config": config, **about})


def _require_loadable(model: Module, arrays: dict[str, Any], config: Any) -> None:
    """Reject now what ``load`` would reject, or mistake, later."""
    names = [name for name, _ in model.named_tensors()]
    for name in names:
        outside = name.startswith(("/", "\\")) or ".." in PurePosixPath(name).parts
        taken = name.startswith("optimizer/") or name == META
        text = name.encode(errors="ignore").decode()  # without halves of surrogates
        if outside or taken or "\0" in name or text != name:
            raise TinyADTNError(f"{name!r} cannot be the name of an array in a file; rename it")
    if len(arrays) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise TinyADTNError(f"two tensors are called {twice}: a file holds only one of them")
    for name, layer in named_layers(model).items():
        if isinstance(layer.weight, PrecomputedFactors) or (
            name in (config or {}).get("encodings", {}) and isinstance(layer.weight, Tensor)
        ):
            raise TinyADTNError(
                f"{name} has lost its encoding, so the file could not be loaded: save the model "
                "that decoded was given; for a dense one, save ta.decompress(model)"
            )
    if config is None or has_own_encoding(config):  # loaded with into=
        return
    try:
        _require_fitting(build(json.loads(json.dumps(config)), arrays), arrays)
    except (TinyADTNError, MemoryError, TypeError) as error:
        raise TinyADTNError(
            f"this model is not the {config['model']} that its configuration describes, so the "
            f"file could not be loaded ({error}); set model.config = None to save the parameters "
            "alone, and load them with ta.load(path, into=model)"
        ) from error


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
        model = into if into is not None else build(meta["config"], _own(arrays))
        take_weights(model, arrays)
    except (TinyADTNError, MemoryError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    return model


def take_weights(model: Module, arrays: dict[str, Any]) -> None:
    """Give the model those of a state's arrays that are its own, not the optimiser's."""
    _require_fitting(model, _own(arrays))
    model.load_arrays(_own(arrays))


def _own(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: array for name, array in arrays.items() if not name.startswith("optimizer/")}


def _require_fitting(model: Module, arrays: dict[str, Any]) -> None:
    """ShapeError or DTypeError for arrays of other names, shapes or kinds of numbers.

    Unlike ``load_arrays``, which takes what a user has, it takes no integers for floats: no model
    was saved so.
    """
    require_fitting(model, arrays)
    for name, tensor in model.named_tensors():
        if arrays[name].dtype.kind != tensor.dtype.kind:
            raise DTypeError(f"{name} holds {arrays[name].dtype}, the model needs {tensor.dtype}")
