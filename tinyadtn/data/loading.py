"""``load_data``: checked images in three splits, from a name, a file, a folder or arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataFileError, explained
from ..files.datafile import CHUNK, SPLITS
from ..limits import require_memory
from .catalogue import KNOWN, locate
from .image_checks import check_pair, check_together, require_every_class
from .labels import number_labels, numbers_as_names
from .readers import read_path
from .splits import Data, Split
from .usual_names import by_usual_names

VALIDATION_SHARE = 12  # one training image in twelve: 5,000 of MNIST's 60,000
TEST_SHARE = 6  # one image in six of each class, as in MNIST
VALIDATION_SEED = 2305
FROM_TORCH = (
    "; from a torch Dataset (loader.dataset of a DataLoader) make arrays: images = "
    "np.stack([np.asarray(image) for image, _ in dataset]), labels = [label for _, label in "
    "dataset], load_data((images, labels))"
)


@explained("; arrays are one argument, load_data((images, labels))")
def load_data(
    source: str | os.PathLike[str] | Mapping | Sequence | Split | Data = "mnist-5k",
    *,
    size: int | None = None,
) -> Data:
    """Return images scaled to [0, 1] and their labels, as train, validation and test split.

    ``source`` is one of these (docs/data.md has an example of each):

    - a known set: "mnist-5k" is bundled; "mnist", "fashion-mnist", "cifar10" and "cifar100" are
      searched for (see ``catalogue.locate``);
    - a folder of pictures in a folder per class, or of such folders called train and test;
      ``size=32`` cuts every picture to its middle square and scales it to 32×32 pixels;
    - a ``.csv`` file with a label and the pixels of an image in every line, or a folder of these;
    - a ``.npz`` file, or a folder of ``.npy`` files, called x_train, y_train, x_test, y_test or
      images and labels; a file of ``save_data`` or ``save_features``;
    - a folder of IDX files with MNIST's names, or of CIFAR's binary files;
    - arrays, or lists of images: one pair (images, labels), a pair per split, as ``{"train": …,
      "validation": …, "test": …}`` or in this order, or a dict with the names that a ``.npz`` file
      may have; a ``Split``; or ``Data``, which is returned as it is.

    Images are uint8 or floats in [0, 1], (n, h, w), (n, c, h, w), or (n, h, w, c) if that is clear.
    Labels are integers from 0 without gaps, or names, which become the classes.

    If a file or a single pair has no test split, a sixth of each class becomes the test split. If
    there is no validation split, a twelfth of the training images of each class becomes it (of the
    named sets a twelfth of all images, for CIFAR a tenth). Both are drawn with a fixed seed. Images
    take four bytes per pixel, and one more while files are read; features take four bytes per
    value, and eight while they are read.
    ``DataFileError`` for wrong data, ``SizeLimitError`` for data that would not fit in memory.

    >>> load_data("mnist-5k")
    Data(mnist-5k: train 3,500, validation 500, test 1,000; images 1×28×28; 10 classes)
    """
    data = _load(source, size)
    if size is not None and data.train.images.shape[2:] != (size, size):
        height, width = data.train.images.shape[2:]
        raise DataFileError(
            f"{data.name}: size={size} is for a folder of pictures; these are arrays of "
            f"{height}×{width} pixels"
        )
    return data


def _load(source: Any, size: int | None) -> Data:
    if size is not None and (isinstance(size, bool) or not isinstance(size, (int, np.integer))):
        raise TypeError(f"size must be a whole number of pixels, such as 32, got {size!r}")
    if size is not None and size < 1:
        raise ValueError(f"size must be 1 or more, got {size}")
    if isinstance(source, Data):
        return source
    if isinstance(source, str) and source in KNOWN:
        pairs, classes = KNOWN[source].read(locate(source))
        validation = KNOWN[source].validation
        return _from_pairs(pairs, classes, name=source, validation=validation, known=True)
    if isinstance(source, str) and not source:  # as a shell gives a variable that is not set
        raise DataFileError("data: the path is empty; name a file or a folder, or . for this one")
    if isinstance(source, (str, os.PathLike)):
        pairs, classes, origin = read_path(Path(source), size)
        return _from_pairs(pairs, name=str(source), classes=classes, origin=origin, draw_test=True)
    if isinstance(source, Mapping):
        if set(SPLITS) & set(source) or not source:
            return _from_pairs(dict(source), name="arrays")
        return _from_pairs(*by_usual_names(source, "arrays"), name="arrays", draw_test=True)
    if isinstance(source, Split) or _is_one_pair(source):
        return _from_pairs({"train": source}, name="arrays", draw_test=True)
    if isinstance(source, (tuple, list)) and len(source) in (2, 3):
        names = SPLITS if len(source) == 3 else ("train", "test")
        return _from_pairs(dict(zip(names, source, strict=True)), name="arrays")
    raise DataFileError(
        f"data: expected one of {', '.join(KNOWN)}, a folder, a .npz or .csv file, or a pair "
        "(images, labels) for each of train, validation (may be left out) and test, found "
        f"{type(source).__name__}" + (FROM_TORCH if hasattr(source, "__len__") else "")
    )


def _is_one_pair(source: Any) -> bool:
    """Return whether this is (images, labels), arrays or a list of images, and not two pairs."""
    return (
        isinstance(source, (tuple, list))
        and len(source) == 2
        and not isinstance(source[1], Split)
        and (getattr(source[0], "ndim", 0) > 1 or _is_list_of_images(source[0]))
    )


def _is_list_of_images(values: Any) -> bool:
    """Return whether this is a list of images, each an array, and not a pair (images, labels)."""
    if not isinstance(values, (tuple, list)) or not values:
        return False
    are_arrays = all(getattr(value, "ndim", 0) > 1 for value in values)
    return are_arrays and (len(values) != 2 or values[0].shape == values[1].shape)


def _from_pairs(
    pairs: dict[str, Any],
    classes: tuple[str, ...] | None = None,
    *,
    name: str,
    validation: int | None = None,
    origin: dict[str, Any] | None = None,
    draw_test: bool = False,
    known: bool = False,
) -> Data:
    """Return the given splits, checked; with an ``origin`` they are features of any value."""
    wanted = {"train"} if draw_test else {"train", "test"}
    if not wanted <= set(pairs) <= set(SPLITS):
        raise DataFileError(
            f"{name}: expected train, test and perhaps validation, found {list(pairs)}"
        )
    if dicts := [split for split, pair in pairs.items() if isinstance(pair, Mapping)]:
        raise DataFileError(f"{name}: {dicts[0]} is a dict; give a pair (images, labels)")
    given = [pair for pair in pairs.values() if isinstance(pair, Split)]
    features = origin is not None or any(split.features for split in given)
    pairs = {s: (p.images, p.labels) if isinstance(p, Split) else p for s, p in pairs.items()}
    pairs, classes = number_labels(pairs, classes, name)
    checked = {s: check_pair(pairs[s], f"{name}: {s}", features=features) for s in pairs}
    if classes is None:
        classes = numbers_as_names(int(checked["train"][1].max()) + 1)
    check_together(checked, name, features=features)
    # A class with a name may have no images, because its labels are intended.
    if classes == numbers_as_names(len(classes)):
        require_every_class(checked, name)
    pixels = sum(images.size for images, _ in checked.values())
    require_memory(name, 4 * pixels, "give fewer images")
    rows = {split: np.arange(len(labels)) for split, (_, labels) in checked.items()}
    if "test" not in checked:
        checked["test"] = checked["train"]
        rows["train"], rows["test"] = _draw_test(checked["train"][1], name)
    if "validation" not in checked:
        checked["validation"] = checked["train"]
        labels = checked["train"][1][rows["train"]]
        kept, drawn = _draw(labels, validation, name, per_class=not known)
        rows["train"], rows["validation"] = rows["train"][kept], rows["train"][drawn]
    train, validated, test = (_take(*checked[split], rows[split], features) for split in SPLITS)
    return Data(train, validated, test, classes, name, origin)


def _by_class(labels: np.ndarray) -> np.ndarray:
    """Return all rows class by class, those of a class in a fixed random order."""
    order = np.random.default_rng(VALIDATION_SEED).permutation(len(labels))
    return order[np.argsort(labels[order], kind="stable")]


def _draw_test(labels: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (other rows, test rows): a fixed draw of a sixth of each class."""
    order = _by_class(labels)
    place = np.arange(len(order)) - np.searchsorted(labels[order], labels[order])
    is_test = place % TEST_SHARE == TEST_SHARE - 1
    if not is_test.any():
        raise DataFileError(
            f"{name}: there is no test split, and no class has {TEST_SHARE} images of which one "
            "could be taken for it; give more images, or a test split"
        )
    return np.sort(order[~is_test]), np.sort(order[is_test])


def _draw(
    labels: np.ndarray, count: int | None, name: str, *, per_class: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return (training rows, validation rows): a fixed draw, each in the order of the file.

    ``per_class`` takes every twelfth row, class by class, so each class keeps its share. The named
    sets are drawn from all rows, and their splits never change.
    """
    total = len(labels)
    if total < 2:
        raise DataFileError(f"{name}: one training image leaves none for validation; give more")
    count = count or max(1, total // VALIDATION_SHARE)
    drawn = np.zeros(total, bool)
    if per_class:
        drawn[_by_class(labels)[(2 * np.arange(count) + 1) * total // (2 * count)]] = True
    else:
        drawn[np.random.default_rng(VALIDATION_SEED).permutation(total)[:count]] = True
    return np.flatnonzero(~drawn), np.flatnonzero(drawn)


def _take(images: np.ndarray, labels: np.ndarray, rows: np.ndarray, features: bool) -> Split:
    """Return a copy of these rows as float32, pixels in [0, 1].

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
