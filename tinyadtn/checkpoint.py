"""Saving and loading: one ``.npz`` file a state, written whole or not at all, read without trust.

Inside are the arrays by name and a JSON text: format, model configuration, the SHA-256 of every
array, and whatever else the writer wants back.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .compress import build
from .decode_free import Factors
from .engine import Tensor
from .errors import CheckpointError, DTypeError, TinyADTNError
from .module import Module, named_layers, require_values
from .npz import read_npz, write_npz

FORMAT = 1
META = "meta json"  # with a space, so that no attribute can have this name


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
    require_values(tensor for _, tensor in model.named_tensors())
    _require_encodings(model)
    write_state(path, model.arrays(), {"kind": "weights", "config": model.config})


def _require_encodings(model: Module) -> None:
    """Refuse a model that has factors or tensors where its configuration promises encodings."""
    promised = (model.config or {}).get("encodings", {})
    for name, layer in named_layers(model).items():
        if isinstance(layer.weight, Factors) or (
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


def write_state(
    path: str | os.PathLike[str],
    arrays: dict[str, Any],
    meta: dict[str, Any],
    *,
    keep: Path | None = None,
) -> None:
    """Write arrays and a JSON-able ``meta`` to one file, atomically; ``keep`` gets the old one."""
    hashes = {name: _hash(array) for name, array in arrays.items()}
    text = json.dumps({**meta, "format": FORMAT, "sha256": hashes})
    with replacing(Path(path), keep=keep) as file:
        write_npz(file, {META: np.frombuffer(text.encode(), np.uint8), **arrays})


def read_state(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and ``meta`` of a checkpoint, every array checked against its hash."""
    arrays = read_npz(path)
    if META not in arrays:
        raise CheckpointError(f"{path}: holds no {META!r}; it was not written by tinyadtn")
    try:
        meta = json.loads(arrays.pop(META).tobytes().decode())
        version, hashes = meta["format"], dict(meta["sha256"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its description cannot be read ({error})") from error
    if version != FORMAT:
        raise CheckpointError(
            f"{path}: format {version}, this tinyadtn reads format {FORMAT}; use the tinyadtn that "
            "wrote it"
        )
    if arrays.keys() != hashes.keys():
        odd = ", ".join(sorted(arrays.keys() ^ hashes.keys()))
        raise CheckpointError(f"{path}: arrays missing or extra: {odd}")
    for name, array in arrays.items():
        if _hash(array) != hashes[name]:
            raise CheckpointError(f"{path}: {name} is damaged: it is not what was written")
    return arrays, meta


def _hash(array: np.ndarray) -> str:
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)  # no copy: a weight may be most of the memory
    return digest.hexdigest()


# --- writing whole or not at all -----------------------------------------------------------------


@contextlib.contextmanager
def replacing(path: Path, *, keep: Path | None = None) -> Iterator[Any]:
    """A file to write that takes the place of ``path`` only once it is complete and on the disk.

    ``keep`` names a file that is to be what ``path`` was before.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "There is no such folder", str(path.parent))
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    for stale in path.parent.glob(
        f".{glob.escape(path.name)}.*.tmp"
    ):  # of writers that were killed
        stale.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        if keep is not None and path.exists():
            _second_name(path, keep)
        Path(name).replace(path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # a full disk, say
            error.filename = str(path)
        raise
    with contextlib.suppress(OSError):  # some systems cannot sync a folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _second_name(path: Path, keep: Path) -> None:
    """Give the file another name too, so that at no moment there is none."""
    link = keep.with_name(f".{keep.name}.link")
    link.unlink(missing_ok=True)
    try:
        try:
            link.hardlink_to(path)
        except OSError:  # a file system without links
            shutil.copyfile(path, link)
        link.replace(keep)
    finally:  # also where both were names of one file: then replacing does nothing
        link.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
