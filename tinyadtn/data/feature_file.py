"""A file of features, so that heads can be trained on what a network's first layers compute once.

It is written and read as a checkpoint is, whole or not at all and without trust: three splits of
features and labels, the names of the classes, and what the features were computed from.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CheckpointError, DataFileError, SizeLimitError, TinyADTNError
from ..files.datafile import SPLITS
from ..files.state import read_state, write_state
from ..limits import memory_limit

if TYPE_CHECKING:
    from .splits import Data

ENDING = ".npz"
KIND = "features"
ORIGIN = ("data", "before", "model")  # what ``features`` tells of where they come from
Pairs = dict[str, tuple[np.ndarray, np.ndarray]]  # of each split (features, labels)


def is_feature_file(source: str | os.PathLike[str]) -> bool:
    """Whether ``load_data`` takes this for a file of features: by its name, whatever is in it."""
    return Path(source).suffix == ENDING


def save_features(path: str | os.PathLike[str], data: Data) -> None:
    """Write what ``features`` made to a ``.npz`` file, which ``load_data(path)`` reads.

    The file is complete or untouched. TinyADTNError for data that are no features, and for a name
    that ends otherwise: ``load_data`` would not know the file again.

    >>> import tempfile, tinyadtn as ta
    >>> digits = ta.load_data("mnist-5k")
    >>> made = ta.features(ta.models.lenet5(rng=0), "fc1", digits, show_progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_features(f"{folder}/lenet5.npz", made)
    ...     ta.load_data(f"{folder}/lenet5.npz").identity()["sha256"] == made.identity()["sha256"]
    True
    """
    if data.origin is None:
        raise TinyADTNError(f"{path}: {data} holds images; a file of features is for ta.features")
    require_ending(path)
    arrays: dict[str, np.ndarray] = {}
    for split in SPLITS:
        pair = getattr(data, split)
        arrays |= {f"{split}/images": pair.images, f"{split}/labels": pair.labels}
    meta = {"kind": KIND, "classes": list(data.classes), "origin": data.origin}
    write_state(path, arrays, meta)


def require_ending(path: str | os.PathLike[str]) -> None:
    """TinyADTNError for a name by which no file of features is known."""
    if Path(path).suffix != ENDING:
        raise TinyADTNError(f"{path}: the name of a file of features ends in {ENDING}")


def read_features(
    path: str | os.PathLike[str],
) -> tuple[Pairs, tuple[str, ...], dict[str, Any]]:
    """The splits, the names of the classes and the origin that a file of features holds.

    Every array is as long as it says and has the hash that was written; no pickle is read.
    DataFileError for all else, SizeLimitError before reading for more than this memory holds.
    """
    path = Path(path)
    try:
        _check_size(path)
        arrays, meta = read_state(path)
    except CheckpointError as error:
        raise DataFileError(f"{error}. {_make_anew(path)}") from error
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from error
    if meta.get("kind") != KIND:
        raise _refused(path, "holds the weights of a network, not features")
    wanted = [f"{split}/{part}" for split in SPLITS for part in ("images", "labels")]
    if arrays.keys() != set(wanted):
        raise _refused(path, f"expected {', '.join(wanted)}, found {', '.join(arrays) or 'none'}")
    classes, origin = meta.get("classes"), meta.get("origin")
    if not (isinstance(classes, list) and classes and all(isinstance(c, str) for c in classes)):
        raise _refused(path, "expected the names of the classes, found none")
    if not isinstance(origin, dict) or origin.keys() != set(ORIGIN):
        raise _refused(path, f"expected what the features were made of: {', '.join(ORIGIN)}")
    pairs = {split: (arrays[f"{split}/images"], arrays[f"{split}/labels"]) for split in SPLITS}
    return pairs, tuple(classes), origin


def _check_size(path: Path) -> None:
    size = path.stat().st_size if path.is_file() else 0
    if 2 * size > memory_limit():  # read, then dealt out to the splits
        raise SizeLimitError(
            f"{path}: {size:,} bytes, twice which exceed the {memory_limit():,} that are three "
            "quarters of the memory here; take features before a later layer, or fewer images"
        )


def _refused(path: Path, why: str) -> DataFileError:
    return DataFileError(f"{path}: {why}. {_make_anew(path)}")


def _make_anew(path: Path) -> str:
    return f"Make it: tinyadtn features MODEL.npz --before LAYER --data NAME --out {path}"
