"""A file of data: three splits that were prepared once, with their class names.

It holds images (``save_data``, or the command ``data import``), or features with their origin: the
output of a network's first layers, stored to train many heads on it. It is written atomically and
checked when it is read, as a checkpoint is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataFileError, TinyADTNError
from ..files.datafile import SPLITS
from ..files.state import parse_state, write_state

if TYPE_CHECKING:
    from .splits import Data

ENDING = ".npz"
KINDS = ("images", "features")
ORIGIN = ("data", "before", "model")  # stored by ``features``: where the features come from
# The command replaces an existing file, so the message asks for another name.
MAKE = (
    "A .npz file holds arrays called x_train, y_train, x_test and y_test, or images and labels. A "
    "file of features is made by: tinyadtn features MODEL.npz --before LAYER --data NAME "
    "--out FEATURES.npz"
)
Pairs = dict[str, tuple[np.ndarray, np.ndarray]]  # {split: (images or features, labels)}


def save_data(path: str | os.PathLike[str], data: Data) -> None:
    """Write images or features, labels and class names to a ``.npz`` file for ``load_data``.

    Splits and values are read again exactly; images that came from bytes take one byte per pixel.
    A file that is there is replaced, atomically. TinyADTNError for a name with another ending,
    ``OSError`` for a folder, a device or a pipe.

    >>> import tempfile, tinyadtn as ta
    >>> digits = ta.load_data("mnist-5k")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_data(f"{folder}/digits.npz", digits)
    ...     again = ta.load_data(f"{folder}/digits.npz")
    >>> again.identity()["sha256"] == digits.identity()["sha256"]
    True
    """
    from .splits import Data  # imports this room's files the other way

    if not isinstance(data, Data):
        raise TypeError(
            f"save_data needs Data, got {type(data).__name__}; give ta.load_data((images, labels))"
        )
    require_ending(path)
    arrays: dict[str, np.ndarray] = {}
    for split in SPLITS:
        pair = getattr(data, split)
        images = pair.images if data.origin else _as_bytes(pair.images)
        arrays |= {f"{split}/images": images, f"{split}/labels": pair.labels}
    kind = {"kind": KINDS[0]} if data.origin is None else {"kind": KINDS[1], "origin": data.origin}
    write_state(path, arrays, {**kind, "classes": list(data.classes)})


def _as_bytes(images: np.ndarray) -> np.ndarray:
    """Return pixels as the bytes that give exactly these floats again, or else unchanged."""
    whole = np.rint(images * 255).astype(np.uint8)
    again = np.divide(whole, 255, dtype=np.float32)
    return whole if np.array_equal(again, images) else images


def save_features(path: str | os.PathLike[str], data: Data) -> None:
    """Write the result of ``features`` to a ``.npz`` file: ``save_data``, for features only.

    TinyADTNError for data that are not features, and for a name with another ending.

    >>> import tempfile, tinyadtn as ta
    >>> digits = ta.load_data("mnist-5k")
    >>> made = ta.features(ta.models.lenet5(rng=0), "fc1", digits, show_progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_features(f"{folder}/lenet5.npz", made)
    ...     ta.load_data(f"{folder}/lenet5.npz").identity()["sha256"] == made.identity()["sha256"]
    True
    """
    if data.origin is None:
        raise TinyADTNError(f"{path}: {data} holds images, not features: ta.save_data writes them")
    save_data(path, data)


def require_ending(path: str | os.PathLike[str]) -> None:
    """Raise TinyADTNError for a name that ``load_data`` would not read as a file of data."""
    if Path(path).suffix.lower() != ENDING:
        raise TinyADTNError(f"{path}: the name of a file of data ends in {ENDING}")


def parse_data(
    path: str | os.PathLike[str], stored: dict[str, np.ndarray]
) -> tuple[Pairs, tuple[str, ...], dict[str, Any] | None]:
    """Return the splits, the class names and the origin (None for images) from a file's arrays.

    The hash of every array is checked. ``CheckpointError`` or ``DataFileError`` for other files.
    """
    arrays, meta = parse_state(path, stored)
    wanted = [f"{split}/{part}" for split in SPLITS for part in ("images", "labels")]
    kind: Any = meta.get("kind")
    classes: Any = meta.get("classes")
    origin: Any = meta.get("origin")
    wrong = ""
    if kind not in KINDS:
        wrong = "it holds the weights of a network, not features or images"
    elif arrays.keys() != set(wanted):
        wrong = f"expected {', '.join(wanted)}, found {', '.join(arrays) or 'none'}"
    elif not (isinstance(classes, list) and classes and all(isinstance(c, str) for c in classes)):
        wrong = "expected the names of the classes, found none"
    elif kind == KINDS[0]:
        origin = None
    elif not isinstance(origin, dict) or origin.keys() != set(ORIGIN):
        wrong = f"expected what the features were computed from: {', '.join(ORIGIN)}"
    if wrong:
        raise DataFileError(f"{path}: {wrong}. {MAKE}")
    pairs = {split: (arrays[f"{split}/images"], arrays[f"{split}/labels"]) for split in SPLITS}
    return pairs, tuple(classes), origin
