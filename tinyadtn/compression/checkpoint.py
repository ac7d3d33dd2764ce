"""Save and load models: one ``.npz`` file per state, written atomically and checked when read.

The file holds the arrays by name and a JSON text: format, model configuration, the SHA-256 of every
array, and the entries that the writer adds.
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
from ..nn.module import Module, require_fitting, require_model
from ..nn.surgery import named_layers
from .configure import build, has_own_encoding, is_known


def save(path: str | os.PathLike[str], model: Module) -> None:
    """Write the weights and the configuration of a model to a ``.npz`` file.

    A file that is there is replaced, atomically: a crash or a full disk leaves the old one
    unchanged. ``OSError`` for a folder, a device or a pipe. Every file can be loaded:
    TinyADTNError for a model that does not match its configuration, such as one whose layers
    were replaced, or a result of ``decoded``, which has no encodings. A model that was not made
    by ``ta.models`` and ``ta.compress`` is loaded with ``into=``.

    >>> import tempfile, tinyadtn as ta
    >>> model = ta.models.fc2(rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/fc2.npz", model)
    ...     ta.load(f"{folder}/fc2.npz").num_parameters
    203530
    """
    save_with(path, model, {})


def save_with(path: str | os.PathLike[str], model: Module, about: dict[str, Any]) -> None:
    """Do ``save`` and store more about the model, such as its training data."""
    arrays, config = to_save(model)
    write_state(path, arrays, {"kind": "weights", "config": config, **about})


def to_save(model: Module) -> tuple[dict[str, Any], Any]:
    """Return the arrays and the configuration; raise for a model that could not be loaded."""
    require_model("save(path, model)", model)
    config = model.config if is_known(model.config) else None
    arrays = model.arrays()
    _require_loadable(model, arrays, config)
    return arrays, config


def _require_loadable(model: Module, arrays: dict[str, Any], config: Any) -> None:
    """Raise now for a model that ``load`` would reject, or load wrongly, later."""
    names = [name for name, _ in model.named_tensors()]
    for name in names:
        outside = name.startswith(("/", "\\")) or ".." in PurePosixPath(name).parts
        taken = name.startswith("optimizer/") or name == META
        text = name.encode(errors="ignore").decode()  # without lone surrogates
        if outside or taken or "\0" in name or text != name:
            raise TinyADTNError(f"{name!r} cannot be the name of an array in a file; rename it")
    for name, layer in named_layers(model).items():
        if isinstance(layer.weight, PrecomputedFactors) or (
            name in (config or {}).get("encodings", {}) and isinstance(layer.weight, Tensor)
        ):
            raise TinyADTNError(
                f"{name} has lost its encoding, so the file could not be loaded: save the model "
                "that decoded was given; for a dense one, save ta.decompress(model)"
            )
    if config is None or has_own_encoding(config):  # it is loaded with into=
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
    """Return the model in a checkpoint, which may hold weights only or a training state.

    A model made by ``ta.models`` and ``ta.compress`` is built again from the stored configuration.
    For any other model, pass a module of the same shapes as ``into``; it receives the weights.
    CheckpointError for a file that is damaged, unsafe, of a newer format, or of another model.
    """
    arrays, meta = read_state(path)
    if (kind := meta.get("kind")) in ("features", "images"):
        raise CheckpointError(
            f"{path}: holds {kind}, not a network; give it with --data, or to ta.load_data"
        )
    return model_from(path, arrays, meta.get("config"), into)


def model_from(
    path: str | os.PathLike[str], arrays: dict[str, Any], config: Any, into: Module | None
) -> Any:
    """Return the model that the arrays and the configuration of a file describe, or ``into``."""
    if into is None and config is None:
        raise CheckpointError(
            f"{path}: this model was not made by ta.models, so it cannot be built from the file; "
            "build it yourself and call ta.load(path, into=model) (evaluate: --network NAME)"
        )
    try:
        model = into if into is not None else build(config, _own(arrays))
        take_weights(model, arrays)
    except (TinyADTNError, MemoryError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    return model


def take_weights(model: Module, arrays: dict[str, Any]) -> None:
    """Load the model's arrays from those of a state, which may also hold the optimizer's."""
    _require_fitting(model, _own(arrays))
    model.load_arrays(_own(arrays))


def _own(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: array for name, array in arrays.items() if not name.startswith("optimizer/")}


def _require_fitting(model: Module, arrays: dict[str, Any]) -> None:
    """Raise ShapeError or DTypeError for arrays of other names, shapes or kinds of dtype.

    Unlike ``load_arrays``, it rejects integers in place of floats, because no model is saved so.
    """
    require_fitting(model, arrays)
    for name, tensor in model.named_tensors():
        if arrays[name].dtype.kind != tensor.dtype.kind:
            raise DTypeError(f"{name} holds {arrays[name].dtype}, the model needs {tensor.dtype}")
