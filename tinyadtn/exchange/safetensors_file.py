"""Weights as a safetensors file: arrays by name and a text, which many programs read.

Reading is safe for files from unknown sources: the format has no code, the package checks every
size in the header against the file, and the limits of ``files.npz`` hold. Unlike a checkpoint, the
file has no hashes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..compression.checkpoint import model_from, to_save
from ..errors import CheckpointError, TinyADTNError
from ..files.atomic import replacing
from ..files.npz import MOST_MEMBERS, is_stream
from ..files.state import FORMAT, parse_meta
from ..limits import most_from, require_memory
from ..nn.module import Module
from .from_torch import load_from_torch
from .optional import optional

KEY = "tinyadtn"  # of the text with the configuration
KINDS = {
    "BOOL",
    "F16",
    "F32",
    "F64",
    *(f"{sign}{bits}" for sign in "IU" for bits in (8, 16, 32, 64)),
}


def save_safetensors(path: str | os.PathLike[str], model: Module) -> None:
    """Write all parameters and buffers, under our names, and the configuration of the model.

    A file that is there is replaced, atomically; ``OSError`` for a folder, a device or a pipe.
    ``load_safetensors`` builds a model of ``ta.models`` and ``ta.compress`` from the file. An
    encoded layer is stored by its gates or factors; for a file with dense weights, save
    ``ta.decompress(model)``. Raises TinyADTNError as ``save`` does, and if safetensors is not
    installed.
    """
    package = optional("safetensors.numpy")
    arrays, config = to_save(model)
    text = json.dumps({"format": FORMAT, "config": config})
    with replacing(Path(path)) as file:
        file.write(package.save(arrays, metadata={KEY: text}))


def load_safetensors(
    path: str | os.PathLike[str],
    *,
    into: Module | None = None,
    names: Mapping[str, str] | None = None,
) -> Any:
    """Return the model in a safetensors file.

    A file of ``save_safetensors`` contains the configuration. For any other file, such as the
    ``state_dict`` of a torch network, pass a module as ``into``, and ``names`` as in
    ``load_from_torch``; it receives the weights. CheckpointError for a file that is damaged, too
    large for this machine, or of another model.
    """
    arrays, about = read_safetensors(path)
    if into is not None and (names or KEY not in about):
        try:
            load_from_torch(into, arrays, names=names)
        except TinyADTNError as error:
            raise CheckpointError(f"{path}: {error}") from error
        return into
    config = parse_meta(path, about[KEY].encode()).get("config") if KEY in about else None
    if config is None and into is None:
        raise CheckpointError(
            f"{path}: does not describe a model of ta.models; build the model and call "
            "ta.load_safetensors(path, into=model)"
        )
    if names:
        raise CheckpointError(f"{path}: names= is for a model that is passed as into=")
    return model_from(path, arrays, config, into)


def read_safetensors(
    path: str | os.PathLike[str],
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays and the texts of a safetensors file; CheckpointError if it is not sound."""
    package, path = optional("safetensors"), Path(path)
    if path.is_dir() or is_stream(path):
        raise CheckpointError(f"{path}: is not an ordinary file; name a .safetensors file")
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most_from(file.fileno()):
                raise CheckpointError(f"{path}: {size:,} bytes, which are mostly holes")
        require_memory(str(path), 2 * size, "load it on a machine with more memory")
        with package.safe_open(path, framework="numpy") as content:
            names = list(content.keys())
            if len(names) > MOST_MEMBERS:
                raise CheckpointError(
                    f"{path}: {len(names):,} arrays; at most {MOST_MEMBERS:,} are read"
                )
            arrays = {name: _array(path, content, name) for name in names}
            return arrays, dict(content.metadata() or {})
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file") from None
    except package.SafetensorError as error:
        raise CheckpointError(
            f"{path}: not a readable safetensors file ({str(error)[:200]}); it is damaged or "
            "something else"
        ) from error


def _array(path: Path, content: Any, name: str) -> np.ndarray:
    kind = content.get_slice(name).get_dtype()
    if kind not in KINDS:
        raise CheckpointError(
            f"{path}: {name} holds {kind}, which NumPy does not have; convert the file to float32"
        )
    return content.get_tensor(name)
