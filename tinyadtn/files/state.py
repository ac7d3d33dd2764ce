"""Write and read a state: named arrays and a JSON text in one ``.npz`` file, with hashes.

The JSON text holds the format number, the SHA-256 of every array, and the entries that the writer
adds. A state does not depend on a model: checkpoints, training runs and feature files are states.
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
META = "meta json"  # the space prevents a clash with an attribute's name


def write_state(
    path: str | os.PathLike[str],
    arrays: dict[str, Any],
    meta: dict[str, Any],
    *,
    keep: Path | None = None,
) -> None:
    """Write arrays and ``meta``, which becomes JSON, atomically; ``keep`` names the old file."""
    hashes = {name: _hash(array) for name, array in arrays.items()}
    text = json.dumps({**meta, "format": FORMAT, "sha256": hashes})
    with replacing(Path(path), keep=keep) as file:
        write_npz(file, {META: np.frombuffer(text.encode(), np.uint8), **arrays})


def read_state(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and ``meta`` of a state; every array is checked against its hash."""
    return parse_state(path, read_npz(path))


def parse_state(
    path: str | os.PathLike[str], arrays: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and ``meta`` from all arrays of the file ``path``, checked."""
    if META not in arrays:
        raise CheckpointError(f"{path}: holds no {META!r}; it was not written by tinyadtn")
    meta = parse_meta(path, arrays.pop(META).tobytes())
    hashes = meta.get("sha256")
    if not isinstance(hashes, dict):
        raise CheckpointError(f"{path}: its description cannot be read (it has no hashes)")
    if arrays.keys() != hashes.keys():
        odd = ", ".join(sorted(arrays.keys() ^ hashes.keys()))
        raise CheckpointError(f"{path}: arrays missing or extra: {odd}")
    for name, array in arrays.items():
        if _hash(array) != hashes[name]:
            raise CheckpointError(f"{path}: {name} is damaged: it is not what was written")
    return arrays, meta


def parse_meta(path: str | os.PathLike[str], text: bytes) -> dict[str, Any]:
    """Return the description of a file from its JSON text, after a check of the format number."""
    try:
        meta = json.loads(text.decode(), parse_int=_parse_int)
        version = meta["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its description cannot be read ({error})") from error
    if version != FORMAT:
        raise CheckpointError(
            f"{path}: format {version}, this tinyadtn reads format {FORMAT}; use the tinyadtn that "
            "wrote it"
        )
    return meta


def _parse_int(digits: str) -> int:
    """Return the integer. Generator states have 39 digits; more than 300 are rejected."""
    if len(digits) > 300:
        raise ValueError(f"it has a number of {len(digits)} digits")
    return int(digits)


def _hash(array: np.ndarray) -> str:
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)  # no copy: a weight may fill most of the memory
    return digest.hexdigest()
