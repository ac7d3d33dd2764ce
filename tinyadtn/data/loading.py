"""``load_data``: checked images in three splits, from a name, a folder, a file or arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataFileError
from ..files.datafile import CHUNK, SPLITS
from ..limits import require_memory
from .catalogue import KNOWN, locate, read_folder
from .feature_file import is_feature_file, read_features
from .image_checks import check_pair, check_together, require_every_class
from .splits import Data, Split

VALIDATION_SHARE = 12  # one training image in twelve: 5,000 of MNIST's 60,000
VALIDATION_SEED = 2305


def load_data(source: str | os.PathLike[str] | Mapping | Sequence = "mnist-5k") -> Data:
    """Return images scaled to [0, 1] and their labels, as train, validation and test split.

    ``source`` is one of these:

    - a known set: "mnist-5k" is bundled; "mnist", "fashion-mnist", "cifar10" and "cifar100" are
      searched for (see ``catalogue.locate``);
    - a folder of IDX files with MNIST's names, or of CIFAR's binary files;
    - a ``.npz`` file of features (see ``save_features``);
    - arrays: a pair (images, labels) per split, as ``{"train": …, "validation": …, "test": …}``
      or in this order. Images are uint8 or floats in [0, 1], (n, h, w) or (n, c, h, w).

    If there is no validation split, a twelfth of the training images (for the named CIFAR sets a
    tenth) becomes the validation split. They are drawn with a fixed seed. Images take four bytes
    per pixel, and one more while files are read; features take twice their four bytes meanwhile.
    ``DataFileError`` for wrong data, ``SizeLimitError`` for data that would not fit in memory.

    >>> load_data("mnist-5k")
    Data(mnist-5k: train 3,500, validation 500, test 1,000; images 1×28×28; 10 classes)
    """
    if isinstance(source, Data):
        return source
    if isinstance(source, Mapping):
        return _from_pairs(dict(source), name="arrays")
    if isinstance(source, str) and source in KNOWN:
        known = KNOWN[source]
        pairs, classes = known.read(locate(source))
        return _from_pairs(pairs, name=source, classes=classes, validation=known.validation)
    if isinstance(source, (str, os.PathLike)) and is_feature_file(source):
        pairs, classes, origin = read_features(source)
        return _from_pairs(pairs, name=str(source), classes=classes, origin=origin)
    if isinstance(source, (str, os.PathLike)):
        pairs, classes = read_folder(Path(source))
        return _from_pairs(pairs, name=str(source), classes=classes)
    if isinstance(source, (tuple, list)) and len(source) in (2, 3):
        names = SPLITS if len(source) == 3 else ("train", "test")
        return _from_pairs(dict(zip(names, source, strict=True)), name="arrays")
    raise DataFileError(
        f"data: expected one of {', '.join(KNOWN)}, a folder, a .npz file of features, or a pair "
        "(images, labels) for each of train, validation (may be left out) and test, found "
        f"{type(source).__name__}"
    )


def _from_pairs(
    pairs: dict[str, Any],
    *,
    name: str,
    classes: tuple[str, ...] | None = None,
    validation: int | None = None,
    origin: dict[str, Any] | None = None,
) -> Data:
    """Return the given splits, checked; with an ``origin`` they are features of any value."""
    if not {"train", "test"} <= set(pairs) <= set(SPLITS):
        raise DataFileError(
            f"{name}: expected train, test and perhaps validation, found {list(pairs)}"
        )
    given = [pair for pair in pairs.values() if isinstance(pair, Split)]
    features = origin is not None or any(split.features for split in given)
    pairs = {s: (p.images, p.labels) if isinstance(p, Split) else p for s, p in pairs.items()}
    checked = {s: check_pair(pairs[s], f"{name}: {s}", features=features) for s in pairs}
    count = int(checked["train"][1].max()) + 1 if classes is None else len(classes)
    numbers = tuple(map(str, range(count)))
    classes = classes or numbers
    check_together(checked, name, len(classes))
    if classes == numbers:  # a class with a name may have no images: its labels are intended
        require_every_class(checked, name)
    pixels = sum(images.size for images, _ in checked.values())
    require_memory(name, 4 * pixels, "give fewer images")
    rows = {split: np.arange(len(labels)) for split, (_, labels) in checked.items()}
    if "validation" not in checked:
        checked["validation"] = checked["train"]
        rows["train"], rows["validation"] = _draw(len(rows["train"]), validation, name)
    train, validated, test = (_take(*checked[split], rows[split], features) for split in SPLITS)
    return Data(train, validated, test, classes, name, origin)


def _draw(total: int, count: int | None, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (training rows, validation rows): a fixed draw, each in the order of the file."""
    if total < 2:
        raise DataFileError(f"{name}: one training image leaves none for validation; give more")
    count = count or max(1, total // VALIDATION_SHARE)
    drawn = np.zeros(total, bool)
    drawn[np.random.default_rng(VALIDATION_SEED).permutation(total)[:count]] = True
    return np.flatnonzero(~drawn), np.flatnonzero(drawn)


def _take(images: np.ndarray, labels: np.ndarray, rows: np.ndarray, features: bool) -> Split:
    """Return a copy of these rows as float32 in [0, 1].

    A few rows at a time, because indexing all rows of CIFAR at once would copy its bytes once more.
    """
    floats = np.empty((len(rows), *images.shape[1:]), np.float32)
    step = max(1, CHUNK // images[0].size)
    for start in range(0, len(rows), step):
        some = images[rows[start : start + step]]
        if some.dtype == np.uint8:
            np.divide(some, 255, out=floats[start : start + step], dtype=np.float32)
        else:
            floats[start : start + step] = some
    return Split(floats, labels[rows], features)
