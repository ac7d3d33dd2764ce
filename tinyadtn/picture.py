"""A picture from anywhere, as the networks know digits."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .errors import DataFileError


def read_picture(path: str | os.PathLike[str], size: int = 28) -> np.ndarray:
    """A picture file as (1, size, size), from 0, background, to 1, ink.

    One that has this size is taken as it is. Any other is prepared as MNIST's digits were: cut to
    its ink, scaled so that the longer side fills 20 of 28 pixels, centred by its centre of mass
    (LeCun et al., Proc. IEEE 86, 2278, 1998). Dark ink on light paper is turned round.
    DataFileError for a file that is no picture, or holds no ink.
    """
    grey = _grey_levels(path)
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = 1 - grey if border.mean() > 0.5 else grey
    if ink.max() - ink.min() < 0.1:
        raise DataFileError(f"{path}: shows nothing: all of its pixels are about equally bright")
    if ink.shape != (size, size):
        ink = _centred(_cut_to_ink(ink), size)
    return ink[None]


def _grey_levels(path: Any) -> np.ndarray:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise ImportError('reading pictures needs Pillow: pip install "tinyadtn[plot]"') from None
    try:
        with Image.open(path) as picture:
            if "A" in picture.getbands() or "transparency" in picture.info:
                paper = Image.new("RGBA", picture.size, "white")
                picture = Image.alpha_composite(paper, picture.convert("RGBA"))
            if picture.mode.startswith("I;16"):
                return np.asarray(picture, np.float32) / 65535
            return np.asarray(picture.convert("L"), np.float32) / 255
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataFileError(f"{path}: not a picture that can be read ({error})") from error


def _cut_to_ink(ink: np.ndarray) -> np.ndarray:
    dark = ink > (ink.max() + ink.min()) / 2
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _centred(ink: np.ndarray, size: int) -> np.ndarray:
    from PIL import Image

    longest = round(size * 20 / 28)
    height, width = (max(1, round(n * longest / max(ink.shape))) for n in ink.shape)
    small = Image.fromarray(np.uint8(255 * ink)).resize((width, height), Image.Resampling.BOX)
    digit = np.asarray(small, np.float32) / 255
    result = np.zeros((size, size), np.float32)
    # The centre of mass goes to the middle, as far as the digit stays inside.
    mass = digit.sum()
    top = round(size / 2 - (digit.sum(axis=1) @ np.arange(0.5, height)) / mass)
    left = round(size / 2 - (digit.sum(axis=0) @ np.arange(0.5, width)) / mass)
    top, left = min(max(top, 0), size - height), min(max(left, 0), size - width)
    result[top : top + height, left : left + width] = digit
    return result
