"""Read a picture file for ``predict``: as MNIST's digits were prepared, or as any picture."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from ..data.picture_files import LARGE, bytes_of, read_picture_file
from ..errors import DataFileError


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
    from PIL import Image, ImageOps

    scale = 255.0
    if opened.mode.startswith("I"):
        picture, scale = opened.convert("I"), 65535.0
    elif "A" in opened.getbands() or "transparency" in opened.info:
        picture = opened.convert("RGBA")
    else:
        picture = opened.convert("L")
    picture = ImageOps.exif_transpose(picture.reduce(math.ceil(max(picture.size) / LARGE)))
    if picture.mode == "RGBA":
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture).convert("L")
    return np.asarray(picture, np.float32) / scale


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
