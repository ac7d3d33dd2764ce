"""Two operations on images before training.

``channel_statistics`` measures each channel once, to normalize the network's input.
``crop_and_flip`` augments the images of every batch: it shifts and mirrors them at random.
"""

from __future__ import annotations

from numbers import Integral

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..checks import require_number
from ..errors import DataFileError, DTypeError, ShapeError
from ..files.datafile import CHUNK
from .image_checks import require_channels_first, without_mask


def channel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each channel's mean and standard deviation over all images and pixels, float32 (c,).

        mean_c = Σ x / N,    std_c² = Σ (x - mean_c)² / N,    N = n·h·w

    ``images`` (n, c, h, w), floats, are summed in float64, a few at a time: this takes less than
    20 MB of memory for any number of images. If all pixels of a channel are equal, its standard
    deviation is set to 1, so that normalization makes it zero. Use the *training* images, and the
    same result for all splits. ``ShapeError`` for other shapes and for images without pixels,
    ``DTypeError`` for integers, ``DataFileError`` for pixels that are not finite.

    >>> mean, std = channel_statistics(np.float32([[[[0, 1]], [[0.5, 0.5]]]]))
    >>> mean.tolist(), std.tolist()
    ([0.5, 0.5], [0.5, 1.0])
    """
    images = without_mask(images)
    if images.ndim != 4 or images.size == 0:
        raise ShapeError(
            f"channel_statistics needs images (n, c, h, w), at least one pixel, got {images.shape}"
        )
    require_channels_first(images, "channel_statistics")
    if images.dtype.kind != "f":
        raise DTypeError(
            f"channel_statistics needs floats in [0, 1], as load_data gives them, got "
            f"{images.dtype}; divide bytes by 255"
        )
    sizes, means, variances = [], [], []
    step = max(1, CHUNK // (8 * images[0].size))
    for start in range(0, len(images), step):
        part = images[start : start + step].astype(np.float64)
        sizes.append(len(part))
        means.append(part.mean(axis=(0, 2, 3)))
        if not np.isfinite(means[-1]).all():
            raise DataFileError("channel_statistics: pixels must be finite; replace NaN and inf")
        part -= means[-1][:, None, None]
        variances.append(np.square(part, out=part).mean(axis=(0, 2, 3)))
    mean = np.average(means, 0, sizes)
    # Within the parts and between them: in Σ x²/N - mean², a small spread would drown in rounding.
    std = np.sqrt(np.average(variances + (means - mean) ** 2, 0, sizes)).astype(np.float32)
    constant = images.min(axis=(0, 2, 3)) == images.max(axis=(0, 2, 3))
    std[constant | (std == 0)] = 1
    return mean.astype(np.float32), std


def crop_and_flip(
    images: np.ndarray, rng: int | np.random.Generator, *, padding: int = 4
) -> np.ndarray:
    """Shift each image by up to ``padding`` pixels, filling with zeros; mirror about half of them.

    ``images`` (n, c, h, w), any dtype, is not changed; the result has the same shape and dtype.
    Each image is padded with zeros on its four sides. Then a window of the original size is cut
    out, at a position drawn uniformly from all (2·padding + 1)², and mirrored with probability 1/2.
    Every image of the batch has its own draws. ``rng`` is a seed or a Generator. ``ShapeError`` for
    other shapes, and for a padding that is negative or could shift an image out of its window;
    ``DataFileError`` for images (n, h, w, c).
    Source: He et al., arXiv 1512.03385, section 4.2, for CIFAR. Do not mirror digits.

    >>> rows = np.tile(np.arange(1, 6, dtype=np.float32), (3, 1, 3, 1))  # three times 3×5 pixels
    >>> crop_and_flip(rows, 2, padding=1)[:, 0, 1]  # the middle row of each
    array([[4., 3., 2., 1., 0.],
           [1., 2., 3., 4., 5.],
           [2., 3., 4., 5., 0.]], dtype=float32)
    """
    images = without_mask(images)
    if images.ndim != 4:
        raise ShapeError(f"crop_and_flip needs images (n, c, h, w), got {images.shape}")
    if rng is None:
        raise TypeError("crop_and_flip needs rng, a seed or a Generator: no draw without one")
    require_channels_first(images, "crop_and_flip")
    require_number("padding", padding, Integral)
    n, c, h, w = images.shape
    if not 0 <= padding < max(1, min(h, w)):
        raise ShapeError(
            f"padding must be from 0 to {max(1, min(h, w)) - 1}, so that some of each image "
            f"{(c, h, w)} stays in its window, got {padding}"
        )
    rng = np.random.default_rng(rng)
    tops, lefts = rng.integers(0, 2 * padding + 1, (2, n))
    mirrored = rng.random(n) < 0.5
    padded = np.zeros((n, c, h + 2 * padding, w + 2 * padding), images.dtype)
    padded[:, :, padding : padding + h, padding : padding + w] = images
    # Views of all windows, (n, c, top, left, h, w); one per image is copied.
    windows = sliding_window_view(padded, (h, w), axis=(2, 3))
    result = windows[np.arange(n), :, tops, lefts]
    result[mirrored] = result[mirrored, :, :, ::-1]
    return result
