"""Check images and labels from any source; each error names the problem and the remedy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sized
from itertools import combinations
from typing import Any

import numpy as np

from ..autodiff.arrays import require_no_mask
from ..errors import DataFileError
from ..limits import require_memory

MAX_CLASSES = 1000  # ImageNet has as many; a larger label is a mistake
Pair = tuple[np.ndarray, np.ndarray]


def check_pair(pair: Any, what: str, *, features: bool) -> Pair:
    """Return checked images (n, c, h, w), uint8 or float, or features, and labels int64 (n,).

    Images may also be (n, h, w), square grey ones in rows (n, h·w), or clearly (n, h, w, c).
    """
    try:
        images, labels = pair
        _require_one_shape(images, what)
        images, labels = without_mask(images), without_mask(labels)
    except DataFileError:
        raise
    except (TypeError, ValueError) as error:
        raise DataFileError(f"{what}: expected a pair (images, labels): {error}") from error
    images = images[:, None] if images.ndim == 3 else images
    if not features:
        images = _in_rows_and_columns(images)
        images = images.transpose(0, 3, 1, 2) if has_channels_last(images) else images
    _require(
        images.ndim == 4 and images.size > 0,
        f"{what}: expected images (n, h, w) or (n, c, h, w), at least one, found {images.shape}; "
        "for rows of pixels give images.reshape(-1, c, h, w)",
    )
    labels = labels[:, 0] if labels.shape == (len(images), 1) else labels
    require_memory(what, 4 * images.size, "give fewer images")  # as float32
    _require(
        labels.shape == images.shape[:1],
        f"{what}: {len(images):,} images need as many labels, ({len(images)},), found "
        f"{labels.shape}; do the two belong together? (For rows of 0 and 1, labels.argmax(axis=1))",
    )
    require_labels(labels, what)
    if features:
        _check_features(images, what)
    else:
        require_pixels(images, what)
        require_bytes(images, what)
    return images, labels.astype(np.int64)


def require_labels(labels: np.ndarray, what: str) -> None:
    """Raise ``DataFileError`` unless all labels are integers from 0 up."""
    _require(
        labels.dtype.kind in "iu",
        f"{what}: expected integer labels, found {labels.dtype}; give labels.astype(int), or names",
    )
    low, high = (labels.min(), labels.max()) if labels.size else (0, 0)
    _require(
        low >= 0 and high < MAX_CLASSES,
        f"{what}: expected labels from 0 to {MAX_CLASSES - 1}, found {low} to {high}; number the "
        "classes 0, 1, 2, …",
    )


def _require_one_shape(images: Any, what: str) -> None:
    """Raise ``DataFileError`` for a list of images of different shapes."""
    shapes = [np.shape(image) for image in images] if isinstance(images, (list, tuple)) else []
    for k, shape in enumerate(shapes):
        _require(
            shape == shapes[0],
            f"{what}: image {k} has the shape {shape}, image 0 has {shapes[0]}; scale all images "
            "to one shape, and give numpy.stack(images)",
        )


def _in_rows_and_columns(images: np.ndarray) -> np.ndarray:
    """Return rows of pixels (n, s²) as grey images (n, 1, s, s); other shapes unchanged."""
    side = math.isqrt(images.shape[1]) if images.ndim == 2 else 0
    square = side > 1 and side**2 == images.shape[1]
    return images.reshape(len(images), 1, side, side) if square else images


def without_mask(value: Any) -> np.ndarray:
    """Return ``value`` as an array; ``DTypeError`` for a masked one, whose mask would be lost."""
    require_no_mask(value)
    return np.asarray(value)


def require_pixels(images: Any, what: str) -> None:
    """Raise ``DataFileError`` unless images are (n, c, h, w), of uint8 or floats in [0, 1]."""
    require_channels_first(images, what)
    if images.ndim == 4:
        _, first, second, last = images.shape
        _require(
            first in (1, 3, 4) or last == 1 or last >= min(first, second),
            f"{what}: images {images.shape} would have {first} channels, and their shortest axis "
            f"is the last; if that is the channels, give images.transpose(0, 3, 1, 2)",
        )
    if images.dtype == np.uint8 or images.size == 0:
        return
    if images.dtype.kind != "f":
        raise DataFileError(
            f"{what}: expected images of uint8 or floats in [0, 1], found {images.dtype}; give "
            "images.astype(numpy.uint8) if they are bytes, or floats in [0, 1], scaled in the same "
            "way for every split"
        )
    low, high = images.min(), images.max()
    _require(
        np.isfinite(low) and np.isfinite(high),  # false for NaN, which min and max propagate
        f"{what}: expected pixels in [0, 1], found {low} to {high}; replace what is not finite",
    )
    bytes_too = ", or give uint8, which is divided by 255" if low >= 0 and high <= 255 else ""
    found = " to ".join(str(value).removesuffix(".0") for value in (low, high))
    _require(
        low >= 0 and high <= 1,
        f"{what}: expected pixels in [0, 1], found {found}; scale them{bytes_too}",
    )


def require_bytes(images: Any, what: str) -> None:
    """Raise ``DataFileError`` for uint8 images of 0 to 1 or 16, which would be divided by 255."""
    top = images.max() if images.dtype == np.uint8 and images.size else 0
    _require(
        not 1 <= top <= 16,
        f"{what}: images of uint8 are divided by 255, and the largest value of these is {top}; "
        f"if that is white, give images.astype(numpy.float32) / {top}",
    )


def require_channels_first(images: Any, what: str) -> None:
    """Raise ``DataFileError`` for images (n, h, w, c), as in Keras."""
    _require(
        not has_channels_last(images),
        f"{what}: images {images.shape} look like (n, h, w, c), and must be (n, c, h, w); give "
        "images.transpose(0, 3, 1, 2)",
    )


def has_channels_last(images: Any) -> bool:
    """Return whether images look like (n, h, w, c), as in Keras, with 1, 3 or 4 channels.

    >>> has_channels_last(np.zeros((5, 28, 28, 1))), has_channels_last(np.zeros((5, 1, 28, 28)))
    (True, False)
    """
    if images.ndim != 4:
        return False
    _, first, second, last = images.shape
    grey = last == 1 and 2 * min(first, second) >= max(first, second)  # not signals (n, c, t, 1)
    return min(first, second) > 4 and (grey or last in (3, 4))


def _check_features(images: np.ndarray, what: str) -> None:
    _require(
        images.dtype == np.float32, f"{what}: expected features of float32, found {images.dtype}"
    )
    bad = int((~np.isfinite(images)).sum())
    _require(
        bad == 0,
        f"{what}: {bad:,} of {images.size:,} features are not finite; compute them again, with a "
        "model whose weights are finite",
    )


def require_names(labels: np.ndarray, what: str, classes: Sized) -> None:
    """Raise ``DataFileError`` unless every label has the name of a class."""
    highest = labels.max() if labels.size else 0
    _require(
        highest < len(classes) or not labels.size,
        f"{what} has label {highest}, and there are {len(classes)} classes; do the splits belong "
        "together, and has each class a name?",
    )


def check_together(pairs: Mapping[str, Pair], name: str, *, features: bool) -> None:
    """Raise ``DataFileError`` for other shapes or scales, or the same images, in two splits."""
    train_shape = pairs["train"][0].shape[1:]
    for split, (images, _) in pairs.items():
        _require(
            images.shape[1:] == train_shape,
            f"{name}: {split} images are {images.shape[1:]}, training images {train_shape}; give "
            "all splits the same shape",
        )
    tops = {s: x.max() / (255 if x.dtype == np.uint8 else 1) for s, (x, _) in pairs.items()}
    for one, other in combinations(pairs, 2):
        low, high = sorted((one, other), key=tops.__getitem__)
        _require(
            features or not 0 < 100 * tops[low] < tops[high],
            f"{name}: the largest pixel of {low} is {tops[low]:.3g}, and of {high} it is "
            f"{tops[high]:.3g} (white is 1); scale all splits in the same way",
        )
        _require(
            not np.array_equal(pairs[one][0], pairs[other][0]),
            f"{name}: {one} and {other} hold the same images; a result on images that were trained "
            "on means nothing. Give each split its own",
        )


def require_every_class(pairs: Mapping[str, Pair], name: str) -> None:
    """Raise ``DataFileError`` if a class has no training image or no validation image.

    This detects damaged label files: a label 255 among ten digits leaves 245 empty classes.
    """
    labels = np.concatenate(
        [pairs[split][1] for split in ("train", "validation") if split in pairs]
    )
    missing = np.setdiff1d(np.arange(labels.max()), labels)
    _require(
        missing.size == 0,
        f"{name}: train: labels go to {labels.max()} but {missing.size} of the classes, such as "
        f"{missing[:1].sum()}, {'has' if missing.size == 1 else 'have'} no image; "
        "number the labels 0, 1, 2, … or repair the file",
    )


def _require(holds: Any, problem: str) -> None:
    if not holds:
        raise DataFileError(problem)
