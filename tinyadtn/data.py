"""Images and labels in three splits: loading and checking them, and dealing out batches."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from .datafile import CHUNK, SPLITS
from .errors import DataFileError, ShapeError
from .featurefile import is_feature_file, read_features
from .sources import KNOWN, locate, read_folder

MAX_CLASSES = 1000  # as many as ImageNet has; a larger label is a mistake
VALIDATION_SHARE = 12  # one training image in twelve: 5,000 of MNIST's 60,000
VALIDATION_SEED = 2305
ORDER_STREAM = 6058  # keeps the draws for batch order apart from other uses of the same seed


@dataclass(frozen=True, eq=False)
class Split:
    """Images, float32 (n, c, h, w) in [0, 1], and their labels, int64 (n,).

    Or features in their place, which have any values: see ``ta.features``.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Split({len(self):,} images {'×'.join(map(str, self.images.shape[1:]))})"


@dataclass(frozen=True, eq=False)
class Data:
    """What a network is trained, chosen and judged on, and the names of the classes.

    ``origin`` is there if these are features: the data and the layers that they were made by.
    """

    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    name: str = "arrays"
    origin: dict[str, Any] | None = None

    def identity(self) -> dict[str, Any]:
        """What a run was trained on: the name, and the number and SHA-256 of the training images.

        The hash covers pixels and labels: other data of the same size are other data. Of features
        it tells their ``origin`` too.
        """
        digest = hashlib.sha256(repr(self.train.images.shape).encode())
        for array in (self.train.images, self.train.labels):
            digest.update(np.ascontiguousarray(array).data)
        found = {"name": self.name, "images": len(self.train), "sha256": digest.hexdigest()}
        return found if self.origin is None else {**found, "origin": self.origin}

    def __repr__(self) -> str:
        sizes = ", ".join(f"{split} {len(getattr(self, split)):,}" for split in SPLITS)
        shape = "×".join(map(str, self.train.images.shape[1:]))
        return f"Data({self.name}: {sizes}; images {shape}; {len(self.classes)} classes)"


def load_data(source: str | os.PathLike[str] | Mapping | Sequence = "mnist-5k") -> Data:
    """Images scaled to [0, 1] and labels, as train, validation and test.

    ``source`` is a known set ("mnist-5k" is bundled; "mnist", "fashion-mnist", "cifar10" and
    "cifar100" are looked for, see ``sources.locate``), a folder of IDX files named as MNIST's are
    or of CIFAR's binary files, a ``.npz`` file of features (see ``save_features``), or arrays: a
    pair (images, labels) for each split, as ``{"train": …, "validation": …, "test": …}`` or in this
    order. Images of arrays are uint8 or floats in [0, 1], (n, h, w) or (n, c, h, w). Where there is
    no validation split, a twelfth of the training images (of CIFAR by its name a tenth), drawn with
    a fixed seed, becomes it. The images take four bytes a pixel, and one more while files are read;
    features, which are stored as they are, twice their four bytes.
    ``DataFileError`` for everything that does not fit.

    >>> load_data("mnist-5k")
    Data(mnist-5k: train 3,500, validation 500, test 1,000; images 1×28×28; 10 classes)
    """
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
        if classes is None:
            _refuse_gaps(pairs["train"][1], f"{source}: train")
        return _from_pairs(pairs, name=str(source), classes=classes)
    if isinstance(source, (tuple, list)) and len(source) in (2, 3):
        names = SPLITS if len(source) == 3 else ("train", "test")
        return _from_pairs(dict(zip(names, source, strict=True)), name="arrays")
    raise DataFileError(
        f"data: expected one of {', '.join(KNOWN)}, a folder, a .npz file of features, or a pair "
        "(images, labels) for each of train, validation (may be left out) and test, found "
        f"{type(source).__name__}"
    )


def batches(
    split: Split, size: int, *, seed: int, epoch: int, skip: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(images, labels) of ``size`` rows at a time, every row once, the last batch perhaps shorter.

    The order follows from (seed, epoch) alone; ``skip`` leaves out that many batches at the start,
    so a run that stopped inside an epoch goes on with the batch it would have had next.
    ``ShapeError`` for a size below 1 or a negative skip.

    >>> test = load_data().test
    >>> [len(labels) for _, labels in batches(test, 400, seed=0, epoch=1)]
    [400, 400, 200]
    """
    if size < 1 or skip < 0:
        raise ShapeError(f"batches need size >= 1 and skip >= 0, got size {size} and skip {skip}")
    order = np.random.default_rng((ORDER_STREAM, seed, epoch)).permutation(len(split))
    starts = range(skip * size, len(split), size)
    rows = (order[start : start + size] for start in starts)
    return ((split.images[chosen], split.labels[chosen]) for chosen in rows)


def _from_pairs(
    pairs: dict[str, Any],
    *,
    name: str,
    classes: tuple[str, ...] | None = None,
    validation: int | None = None,
    origin: dict[str, Any] | None = None,
) -> Data:
    """The splits as they are given; with an ``origin`` they are features, of any finite values."""
    if not {"train", "test"} <= set(pairs) <= set(SPLITS):
        raise DataFileError(
            f"{name}: expected train, test and perhaps validation, found {list(pairs)}"
        )
    check = _check_pixels if origin is None else _check_features
    checked = {split: _check_pair(pairs[split], f"{name}: {split}", check) for split in pairs}
    if classes is None:
        classes = tuple(map(str, range(int(checked["train"][1].max()) + 1)))
    _check_together(checked, name, len(classes))
    rows = {split: np.arange(len(labels)) for split, (_, labels) in checked.items()}
    if "validation" not in checked:
        checked["validation"] = checked["train"]
        rows["train"], rows["validation"] = _draw(len(rows["train"]), validation, name)
    train, validated, test = (_take(*checked[split], rows[split]) for split in SPLITS)
    return Data(train, validated, test, classes, name, origin)


def _check_pair(
    pair: Any, what: str, check: Callable[[np.ndarray, str], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, c, h, w), still uint8 or float, and labels int64 (n,)."""
    try:
        images, labels = (np.asarray(array) for array in pair)
    except (TypeError, ValueError) as error:
        raise DataFileError(f"{what}: expected a pair (images, labels): {error}") from error
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or images.size == 0:
        raise DataFileError(
            f"{what}: expected images (n, h, w) or (n, c, h, w), at least one, found {images.shape}"
        )
    if labels.shape != images.shape[:1]:
        raise DataFileError(
            f"{what}: {len(images):,} images need as many labels, ({len(images)},), "
            f"found {labels.shape}; do the two belong together?"
        )
    if labels.dtype.kind not in "iu":
        raise DataFileError(f"{what}: expected integer labels, found {labels.dtype}")
    if labels.min() < 0 or labels.max() >= MAX_CLASSES:
        raise DataFileError(
            f"{what}: expected labels from 0 to {MAX_CLASSES - 1}, "
            f"found {labels.min()} to {labels.max()}; number the classes 0, 1, 2, …"
        )
    check(images, what)
    return images, labels.astype(np.int64)


def _check_pixels(images: np.ndarray, what: str) -> None:
    if images.dtype == np.uint8:
        return
    if images.dtype.kind != "f":
        raise DataFileError(f"{what}: expected images of uint8 or floats, found {images.dtype}")
    low, high = images.min(), images.max()
    if not (low >= 0 and high <= 1):  # false for NaN, which min and max hand on
        raise DataFileError(
            f"{what}: expected pixels in [0, 1], found {low:g} to {high:g}; scale them, "
            "or give uint8, which is divided by 255"
        )


def _check_features(images: np.ndarray, what: str) -> None:
    if images.dtype != np.float32:
        raise DataFileError(f"{what}: expected features of float32, found {images.dtype}")
    bad = int((~np.isfinite(images)).sum())
    if bad:
        raise DataFileError(
            f"{what}: {bad:,} of {images.size:,} features are not finite; make them anew, by "
            "a model whose weights are"
        )


def _check_together(
    pairs: Mapping[str, tuple[np.ndarray, np.ndarray]], name: str, num_classes: int
) -> None:
    train_images = pairs["train"][0]
    for split, (images, labels) in pairs.items():
        if images.shape[1:] != train_images.shape[1:]:
            raise DataFileError(
                f"{name}: {split} images are {images.shape[1:]}, training images "
                f"{train_images.shape[1:]}; give all splits the same shape"
            )
        if labels.max() >= num_classes:
            raise DataFileError(
                f"{name}: {split} has label {labels.max()}, training only "
                f"0 to {num_classes - 1}; do the files belong together?"
            )
    for one, other in combinations(pairs, 2):
        if np.array_equal(pairs[one][0], pairs[other][0]):
            raise DataFileError(
                f"{name}: {one} and {other} hold the same images; a result on images that were "
                "trained on means nothing. Give each split its own"
            )


def _refuse_gaps(labels: np.ndarray, what: str) -> None:
    # A damaged label file rarely names every class: 255 among ten digits leaves 245 gaps.
    missing = np.setdiff1d(np.arange(int(labels.max(initial=0)) + 1), labels)
    if labels.size and missing.size:
        raise DataFileError(
            f"{what}: labels go to {labels.max()} but {missing.size} of the classes, such as "
            f"{missing[0]}, have no image; number the labels 0, 1, 2, … or repair the file"
        )


def _draw(total: int, count: int | None, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(rows to train on, rows to validate on): a fixed draw, each in the order of the file."""
    if total < 2:
        raise DataFileError(f"{name}: one training image leaves none for validation; give more")
    count = count or max(1, total // VALIDATION_SHARE)
    drawn = np.zeros(total, bool)
    drawn[np.random.default_rng(VALIDATION_SEED).permutation(total)[:count]] = True
    return np.flatnonzero(~drawn), np.flatnonzero(drawn)


def _take(images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> Split:
    """These rows as float32 in [0, 1], in memory of their own.

    A few rows at a time: drawing all of CIFAR's in one go would copy its bytes once more.
    """
    floats = np.empty((len(rows), *images.shape[1:]), np.float32)
    step = max(1, CHUNK // images[0].size)
    for start in range(0, len(rows), step):
        some = images[rows[start : start + step]]
        if some.dtype == np.uint8:
            np.divide(some, 255, out=floats[start : start + step], dtype=np.float32)
        else:
            floats[start : start + step] = some
    return Split(floats, labels[rows])
