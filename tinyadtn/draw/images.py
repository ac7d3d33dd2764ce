"""A gallery of images with captions, such as digits that a network classifies wrongly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from .matrices import _array
from .style import Figure, new_figure


def digits(images: Any, titles: Sequence[str]) -> Figure:
    """Draw a gallery of images (n, h, w) or (n, c, h, w) in [0, 1], with a caption above each.

    >>> digits(np.zeros((2, 28, 28)), ["7, read as 1", "4, read as 9"]).get_label()
    'Images: 7, read as 1; 4, read as 9.'
    """
    images = _array(images)
    if images.ndim == 4 and images.shape[1] in (1, 3):  # one channel is ink, three are colours
        images = images[:, 0] if images.shape[1] == 1 else images.transpose(0, 2, 3, 1)
    elif images.ndim != 3:
        raise ShapeError(f"digits takes (n, h, w), (n, 1, h, w) or (n, 3, h, w): {images.shape}")
    if not 0 < len(images) == len(titles):
        raise ShapeError(
            f"every image needs a caption: {len(images)} images, {len(titles)} captions"
        )
    side = math.ceil(math.sqrt(len(images)))
    # As few empty places as possible, and rather wide than high.
    widths = range(side, min(len(images), 2 * side) + 1)
    wide = min(widths, key=lambda w: (-len(images) % w, -w))
    high = math.ceil(len(images) / wide)
    lines = [line for title in titles for line in title.split("\n")]
    width = max(1.25, 0.08 * max(map(len, lines)))  # inches
    figure = new_figure(max(2.0, width * wide), 1.5 * high, f"Images: {'; '.join(titles)}.")
    for k, (image, title) in enumerate(zip(images, titles), start=1):
        axes = figure.add_subplot(high, wide, k)
        axes.imshow(np.clip(image, 0, 1), cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(title, fontsize=9)
        axes.set(xticks=[], yticks=[])
    return figure
