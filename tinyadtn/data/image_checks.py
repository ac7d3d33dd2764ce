"""Check images and labels from any source; DataFileError says what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from ..errors import DataFileError

MAX_CLASSES = 1000  # as many as ImageNet has; a larger label is a mistake


def check_pair(
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


def check_pixels(images: np.ndarray, what: str) -> None:
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


def check_features(images: np.ndarray, what: str) -> None:
    if images.dtype != np.float32:
        raise DataFileError(f"{what}: expected features of float32, found {images.dtype}")
    bad = int((~np.isfinite(images)).sum())
    if bad:
        raise DataFileError(
            f"{what}: {bad:,} of {images.size:,} features are not finite; make them anew, by "
            "a model whose weights are"
        )


def check_together(
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


def require_every_class(labels: np.ndarray, what: str) -> None:
    # A damaged label file rarely names every class: 255 among ten digits leaves 245 gaps.
    missing = np.setdiff1d(np.arange(int(labels.max(initial=0)) + 1), labels)
    if labels.size and missing.size:
        raise DataFileError(
            f"{what}: labels go to {labels.max()} but {missing.size} of the classes, such as "
            f"{missing[0]}, have no image; number the labels 0, 1, 2, … or repair the file"
        )
