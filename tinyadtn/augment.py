"""Changing training images a little, anew for every batch, so that a network meets more of them."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .errors import ShapeError


def crop_and_flip(
    images: np.ndarray, rng: int | np.random.Generator, *, padding: int = 4
) -> np.ndarray:
    """Each image moved by up to ``padding`` pixels, zeros coming in, and mirrored half of the time.

    ``images`` (n, c, h, w), any number type, is not changed; the result has the same shape and
    type. The image is padded by zeros on its four sides, a window of its own size is cut out at a
    place drawn from all (2·padding + 1)² alike, and left and right are swapped with probability
    1/2; every image of the batch has draws of its own. ``rng`` is a seed or a Generator, and all
    that the result depends on besides. ``ShapeError`` for other shapes, and for a padding that is
    negative or could push an image out of its window.
    Source: He et al., arXiv 1512.03385, section 4.2, for CIFAR. Digits are not to be mirrored.

    >>> rows = np.tile(np.arange(1, 6, dtype=np.float32), (3, 1, 3, 1))  # three times 3×5 pixels
    >>> crop_and_flip(rows, 2, padding=1)[:, 0, 1]  # the middle row of each
    array([[4., 3., 2., 1., 0.],
           [1., 2., 3., 4., 5.],
           [2., 3., 4., 5., 0.]], dtype=float32)
    """
    if images.ndim != 4:
        raise ShapeError(f"crop_and_flip needs images (n, c, h, w), got {images.shape}")
    if rng is None:
        raise TypeError("crop_and_flip needs rng, a seed or a Generator: no draw without one")
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
    # Views on every window, (n, c, top, left, h, w), of which one for each image is copied.
    windows = sliding_window_view(padded, (h, w), axis=(2, 3))
    result = windows[np.arange(n), :, tops, lefts]
    result[mirrored] = result[mirrored, :, :, ::-1]
    return result
