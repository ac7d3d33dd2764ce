"""A file of features: the output of a network's first layers, stored to train many heads on it.

It holds three splits of features and labels, the class names, and the origin of the features. It
is written atomically and checked when it is read, as a checkpoint is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CheckpointError, DataFileError, TinyADTNError
from ..files.datafile import SPLITS
from ..files.state import read_state, write_state

if TYPE_CHECKING:
    from .splits import Data

ENDING = ".npz"
KIND = "features"
ORIGIN = ("data", "before", "model")  # stored by ``features``: where the features come from
# The command replaces an existing file, so the message asks for another name.
MAKE = (
    "Arrays of images are loaded in Python: ta.load_data((train, test)), pairs (images, labels). "
    "A file of features is made by: tinyadtn features MODEL.npz --before LAYER --data NAME "
    "--out FEATURES.npz"
)
Pairs = dict[str, tuple[np.ndarray, np.ndarray]]  # {split: (features, labels)}


def is_feature_file(source: str | os.PathLike[str]) -> bool:
    """Return whether ``load_data`` reads this as a file of features, which its name decides."""
    return Path(source).suffix == ENDING


def save_features(path: str | os.PathLike[str], data: Data) -> None:
    """Write the result of ``features`` to a ``.npz`` file, which ``load_data(path)`` reads.

    The file is written atomically. TinyADTNError for data that are not features, and for a name
    with another ending, which ``load_data`` would not recognize.

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
    """Raise TinyADTNError for a name that ``load_data`` would not read as a file of features."""
    if Path(path).suffix != ENDING:
        raise TinyADTNError(f"{path}: the name of a file of features ends in {ENDING}")


def read_features(
    path: str | os.PathLike[str],
) -> tuple[Pairs, tuple[str, ...], dict[str, Any]]:
    """Return the splits, the class names and the origin that a file of features holds.

    The length and the hash of every array are checked; no pickle is read. ``DataFileError`` for any
    other file, ``SizeLimitError`` before reading a file that would not fit in memory.
    """
    path = Path(path)
    try:
        arrays, meta = read_state(path)
    except CheckpointError as error:
        raise DataFileError(f"{error}. {MAKE}") from error
    except OSError as error:
        raise DataFileError(f"{path}: {error.strerror or error}. {MAKE}") from error
    wanted = [f"{split}/{part}" for split in SPLITS for part in ("images", "labels")]
    classes: Any = meta.get("classes")
    origin: Any = meta.get("origin")
    wrong = ""
    if meta.get("kind") != KIND:
        wrong = "it holds the weights of a network, not features"
    elif arrays.keys() != set(wanted):
        wrong = f"expected {', '.join(wanted)}, found {', '.join(arrays) or 'none'}"
    elif not (isinstance(classes, list) and classes and all(isinstance(c, str) for c in classes)):
        wrong = "expected the names of the classes, found none"
    elif not isinstance(origin, dict) or origin.keys() != set(ORIGIN):
        wrong = f"expected what the features were computed from: {', '.join(ORIGIN)}"
    if wrong:
        raise DataFileError(f"{path}: {wrong}. {MAKE}")
    pairs = {split: (arrays[f"{split}/images"], arrays[f"{split}/labels"]) for split in SPLITS}
    return pairs, tuple(classes), origin
