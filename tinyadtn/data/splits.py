"""The data of a run: three splits of images and labels (``Data``), and batches of one split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from ..checks import require_number
from ..errors import DTypeError, ShapeError, explained
from ..files.datafile import SPLITS
from .card import DataCard
from .image_checks import (
    require_bytes,
    require_labels,
    require_names,
    require_pixels,
    without_mask,
)
from .labels import numbers_as_names
from .preprocess import channel_statistics

ORDER_STREAM = 6058  # a separate random stream for the batch order


@dataclass(frozen=True, eq=False)
class Split:
    """Images (n, c, h, w), floats in [0, 1], and their labels, integers (n,) from 0.

    Images of uint8 are divided by 255, as ``load_data`` does. ``features=True`` is for images that
    are features (see ``ta.features``) or inputs that you prepared yourself: any floats, unchanged.
    ``ShapeError`` for images of another rank and unless there is one label per image,
    ``DTypeError`` for masked arrays, ``DataFileError`` for labels that are not integers from 0 and
    for images of another scale, dtype or order of the axes.

    >>> Split(np.full((2, 1, 8, 8), 51, np.uint8), [0, 1]).images.max()
    np.float32(0.2)
    """

    images: np.ndarray
    labels: np.ndarray
    features: bool = False

    def __post_init__(self) -> None:
        for part in ("images", "labels"):  # a memory map or another subclass becomes a plain array
            object.__setattr__(self, part, without_mask(getattr(self, part)))
        if self.labels.shape != self.images.shape[:1]:
            raise ShapeError(
                f"a Split needs a label for each image, got images {self.images.shape} and labels "
                f"{self.labels.shape}"
            )
        require_labels(self.labels, "a Split")
        if self.features:
            if self.images.dtype.kind not in "fiu":
                raise DTypeError(
                    f"a Split of features needs real numbers, got {self.images.dtype}; give "
                    "features.astype(numpy.float32)"
                )
        else:
            if self.images.ndim != 4:
                raise ShapeError(
                    f"a Split needs images (n, c, h, w), got {self.images.shape}; ta.load_data "
                    "takes other shapes too"
                )
            require_pixels(self.images, "a Split of pixels (features=True is for other inputs)")
            require_bytes(self.images, "a Split")
            if self.images.dtype == np.uint8:
                pixels = np.divide(self.images, 255, dtype=np.float32)
                object.__setattr__(self, "images", pixels)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Split({len(self):,} images {'×'.join(map(str, self.images.shape[1:]))})"


@dataclass(frozen=True, eq=False)
class Data:
    """Training, validation and test split of a data set, and the class names.

    ``origin`` is set for features: the data and the layers from which they were computed.
    ``DataFileError`` for a label without a name.
    """

    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    name: str = "arrays"
    origin: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        for split in SPLITS:
            if not isinstance(part := getattr(self, split), Split):
                raise TypeError(
                    f"Data needs a Split for {split}, got {type(part).__name__}; ta.load_data "
                    "makes Data from arrays"
                )
        if isinstance(self.classes, str) or not isinstance(self.classes, Iterable):
            raise TypeError(f"Data needs the names of the classes, got {self.classes!r}")
        object.__setattr__(self, "classes", tuple(map(str, self.classes)))
        for split in SPLITS:
            require_names(getattr(self, split).labels, f"{self.name}: {split}", self.classes)

    def identity(self) -> dict[str, Any]:
        """Return the name, and the number and SHA-256 of the training images, to store with a run.

        The hash covers pixels and labels, so it distinguishes data of the same size. ``all_sha256``
        covers all three splits. Names of classes are added unless they are numbers, and for
        features the ``origin``.
        """
        digest, hashes = hashlib.sha256(repr(self.train.images.shape).encode()), []
        for split in (self.train, self.validation, self.test):
            for array in (split.images, split.labels):
                digest.update(np.ascontiguousarray(array).data)
            hashes.append(digest.hexdigest())
        found = {"name": self.name, "images": len(self.train)}
        found |= {"sha256": hashes[0], "all_sha256": hashes[-1]}
        if self.classes != numbers_as_names(len(self.classes)):
            found["classes"] = list(self.classes)
        return found if self.origin is None else {**found, "origin": self.origin}

    def card(self) -> DataCard:
        """Return what to know before training: sizes, images per class, mean and std, hash.

        >>> import tinyadtn as ta
        >>> ta.load_data().card().counts["test"][:3]
        (100, 100, 100)
        """
        mean, std = channel_statistics(self.train.images)
        labels = {split: getattr(self, split).labels for split in SPLITS}
        return DataCard(
            self.name,
            self.train.images.shape[1:],
            self.classes,
            {
                s: tuple(np.bincount(y, minlength=len(self.classes)).tolist())
                for s, y in labels.items()
            },
            tuple(map(float, mean)),
            tuple(map(float, std)),
            self.identity()["sha256"],
        )

    def __repr__(self) -> str:
        sizes = ", ".join(f"{split} {len(getattr(self, split)):,}" for split in SPLITS)
        shape = "×".join(map(str, self.train.images.shape[1:]))
        return f"Data({self.name}: {sizes}; images {shape}; {len(self.classes)} classes)"


def hash_of(identity: dict[str, Any], like: dict[str, Any]) -> Any:
    """Return the SHA-256 in an identity that can be compared with another one.

    Files of older versions have only that of the training images.
    """
    return identity.get("all_sha256" if "all_sha256" in like else "sha256")


@explained()
def batches(
    split: Split, size: int, *, seed: int, epoch: int, skip: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (images, labels) of ``size`` rows, every row once; the last batch may be shorter.

    The order depends only on (seed, epoch). ``skip`` leaves out that many batches at the start, so
    a run that stopped inside an epoch continues with its next batch.
    ``ShapeError`` for a size below 1 or a negative skip, ``ValueError`` unless they are whole.

    >>> import tinyadtn as ta
    >>> test = ta.load_data().test
    >>> [len(labels) for _, labels in batches(test, 400, seed=0, epoch=1)]
    [400, 400, 200]
    """
    if not isinstance(split, Split):
        raise TypeError(
            f"batches needs a Split, as data.train, got {type(split).__name__}; make one with "
            "ta.Split(images, labels)"
        )
    for name, value in (("size", size), ("skip", skip)):
        require_number(name, value, Integral)
    if size < 1 or skip < 0:
        raise ShapeError(f"batches need size >= 1 and skip >= 0, got size {size} and skip {skip}")
    order = np.random.default_rng((ORDER_STREAM, seed, epoch)).permutation(len(split))
    starts = range(skip * size, len(split), size)
    rows = (order[start : start + size] for start in starts)
    return ((split.images[chosen], split.labels[chosen]) for chosen in rows)
