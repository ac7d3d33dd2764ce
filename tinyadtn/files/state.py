"""Write and read a state: named arrays and a JSON text in one ``.npz`` file, with hashes.

The JSON text holds the format number, the SHA-256 of every array, and whatever the writer adds. A
state knows no model: checkpoints, training runs and feature files are all states.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError
from .atomic import replacing
from .npz import read_npz, write_npz

FORMAT = 1
META = "meta json"  # with a space, so that no attribute can have this name


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
        meta = json.loads(arrays.pop(META).tobytes().decode(), parse_int=_parse_int)
        version, hashes = meta["format"], {**meta["sha256"]}
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


def _parse_int(digits: str) -> int:
    """The states of generators have 39 digits; what is beyond float64 can only do harm."""
    if len(digits) > 300:
        raise ValueError(f"it has a number of {len(digits)} digits")
    return int(digits)


def _hash(array: np.ndarray) -> str:
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)  # no copy: a weight may be most of the memory
    return digest.hexdigest()
