"""Read one picture file for a network: as MNIST's digits were prepared, or as any picture."""

from __future__ import annotations

import math
import numbers
import os
from typing import Any

import numpy as np

from ..checks import require_number
from ..errors import DataFileError
from ..limits import require_memory
from .picture_files import LARGE, bytes_of, on_white, read_picture_file


def load_picture(
    path: str | os.PathLike[str], *, size: int = 28, channels: int = 1, ink: bool = False
) -> np.ndarray:
    """Return a picture file as an array (channels, size, size), float32 from 0 to 1.

    The picture is cut to its middle square and scaled, as ``load_data(folder, size=size)`` does:
    grey for 1 channel, red, green and blue for 3. With ``ink=True`` it is prepared as MNIST's
    digits were: the paper is subtracted, and the ink is cut out, scaled and centred. The network's
    ``config`` has its ``image_size`` and ``channels``. ``predict`` takes several pictures, stacked.
    ``DataFileError`` for a file that is not a picture, has too many pixels, or shows no ink;
    ``SizeLimitError`` for a size that does not fit in memory; ``ValueError`` for a size below 1,
    other channels, and ink with colour.

    >>> import tempfile
    >>> import tinyadtn as ta
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (64, 48), "orange").save(f"{folder}/new.png")
    ...     picture = load_picture(f"{folder}/new.png", size=32, channels=3)
    >>> model = ta.models.vgg16(image_size=32, channels=3, widths=(), rng=0)
    >>> ta.predict(model, np.stack([picture])).shape
    (1, 10)
    """
    require_number("size", size, numbers.Integral)
    if size < 1:
        raise ValueError(f"size must be 1 or more, got {size}")
    if channels not in (1, 3):
        raise ValueError(f"a picture has 1 channel (grey) or 3 (colour), got channels={channels!r}")
    if ink and channels == 3:
        raise ValueError("ink=True is for grey pictures: use channels=1")
    require_memory(f"{path}", 5 * channels * size**2, "use a smaller size")  # as bytes and float32
    return read_digit(path, size) if ink else read_picture(path, size, channels)


def read_digit(path: str | os.PathLike[str], size: int = 28) -> np.ndarray:
    """Return a picture file as an array (1, size, size), from 0 (background) to 1 (ink).

    The median of the border is the paper, so the picture must not have a frame; pixels that differ
    from the paper are ink. A picture of this size with black paper is used unchanged. Any other is
    prepared as MNIST's digits were: cropped to its ink, scaled so that the longer side fills 20 of
    28 pixels, and centred by its centre of mass (LeCun et al., Proc. IEEE 86, 2278, 1998).
    DataFileError for a file that is not a picture, has too many pixels, or contains no ink.
    """
    grey = read_picture_file(path, _decoded)
    paper = float(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))
    if grey.max() - grey.min() < 0.1:
        raise DataFileError(f"{path}: shows nothing: all of its pixels are about equally bright")
    if grey.shape == (size, size) and paper < 0.05:
        return grey[None]
    dark_ink = paper - grey.min() > grey.max() - paper
    ink = np.clip(paper - grey if dark_ink else grey - paper, 0, None)
    ink /= ink.max()
    return (ink if grey.shape == (size, size) else _centred(_cut_to_ink(ink), size))[None]


def read_picture(path: str | os.PathLike[str], size: int, channels: int) -> np.ndarray:
    """Return the middle square of a picture file as an array (channels, size, size), from 0 to 1.

    It is prepared as ``load_data(folder, size=size)`` prepares pictures: grey for one channel,
    red, green and blue for three.
    """
    mode = "L" if channels == 1 else "RGB"
    pixels = read_picture_file(path, lambda p: bytes_of(p, mode, size), mode=mode)
    return np.divide(pixels, 255, dtype=np.float32)


def _decoded(opened: Any) -> np.ndarray:
    from PIL import ImageOps

    ImageOps.exif_transpose(opened, in_place=True)
    deep = opened.mode.startswith("I")  # 16 bits
    picture = opened.convert("I") if deep else on_white(opened).convert("L")
    small = picture.reduce(math.ceil(max(picture.size) / LARGE))
    return np.asarray(small, np.float32) / (65535 if deep else 255)


def _cut_to_ink(ink: np.ndarray) -> np.ndarray:
    dark = ink > 0.5
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _centred(ink: np.ndarray, size: int) -> np.ndarray:
    from PIL import Image

    longest = round(size * 20 / 28)
    height, width = (max(1, round(n * longest / max(ink.shape))) for n in ink.shape)
    small = Image.fromarray(np.uint8(255 * ink)).resize((width, height), Image.Resampling.BOX)
    digit = np.asarray(small, np.float32) / 255
    result = np.zeros((size, size), np.float32)
    # Move the centre of mass to the middle, as far as the digit stays inside.
    mass = digit.sum()
    top = round(size / 2 - (digit.sum(axis=1) @ np.arange(0.5, height)) / mass)
    left = round(size / 2 - (digit.sum(axis=0) @ np.arange(0.5, width)) / mass)
    top, left = min(max(top, 0), size - height), min(max(left, 0), size - width)
    result[top : top + height, left : left + width] = digit
    return result
