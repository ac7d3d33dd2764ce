"""The mean and spread of each colour channel: computed from the training images, never typed in."""

from __future__ import annotations

import numpy as np

from .datafile import CHUNK
from .errors import DTypeError, ShapeError


def channel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, standard deviation) of each channel over all images and pixels, float32 (c,) each.

        mean_c = Σ x / N,    std_c² = Σ (x - mean_c)² / N,    N = n·h·w

    ``images`` (n, c, h, w), floats, are summed in float64 a few at a time: under 20 MB of memory
    however many there are. A channel in which all pixels are equal gets the std 1: subtracting the
    mean makes it zero, and no division is to change that. Take the *training* images, and use the
    same two for all splits. ``ShapeError`` for other shapes and for no pixel at all, ``DTypeError``
    for integers. Merging of parts: Chan, Golub and LeVeque, Am. Stat. 37, 242 (1983).

    >>> mean, std = channel_statistics(np.float32([[[[0, 1]], [[0.5, 0.5]]]]))
    >>> mean.tolist(), std.tolist()
    ([0.5, 0.5], [0.5, 1.0])
    """
    if images.ndim != 4 or images.size == 0:
        raise ShapeError(
            f"channel_statistics needs images (n, c, h, w), at least one pixel, got {images.shape}"
        )
    if images.dtype.kind != "f":
        raise DTypeError(
            f"channel_statistics needs floats in [0, 1], as load_data gives them, got "
            f"{images.dtype}; divide bytes by 255"
        )
    c = images.shape[1]
    count, mean, squares = 0, np.zeros(c), np.zeros(c)
    low, high = np.full(c, np.inf), np.full(c, -np.inf)
    step = max(1, CHUNK // images[0].size)
    for start in range(0, len(images), step):
        part = images[start : start + step].astype(np.float64)
        low = np.minimum(low, part.min(axis=(0, 2, 3)))
        high = np.maximum(high, part.max(axis=(0, 2, 3)))
        # Each part about its own mean: with Σ x² - N·mean², a small spread would drown in rounding.
        size = part.size // c
        part_mean = part.mean(axis=(0, 2, 3))
        part -= part_mean[:, None, None]
        part *= part
        gap = part_mean - mean
        squares += part.sum(axis=(0, 2, 3)) + gap**2 * count * size / (count + size)
        mean += gap * size / (count + size)
        count += size
    std = np.sqrt(squares / count).astype(np.float32)
    std[(low == high) | (std == 0)] = 1
    return mean.astype(np.float32), std
