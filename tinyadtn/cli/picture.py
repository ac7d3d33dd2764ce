"""A picture from anywhere, as the networks know digits."""

from __future__ import annotations

import io
import math
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataFileError
from ..files.npz import is_stream

# More than most cameras give; a small file may claim any number.
MAX_BYTES, MAX_PIXELS = 2**25, 2**26
# Pillow would try all that it knows by content, PostScript too, which it hands to Ghostscript.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP")


def read_picture(path: str | os.PathLike[str], size: int = 28) -> np.ndarray:
    """A picture file as (1, size, size), from 0, background, to 1, ink.

    The paper is what the border shows, so there must be no frame; ink is what differs from it. A
    picture of this size with black paper is taken as it is. Any other is prepared as MNIST's digits
    were: cut to its ink, scaled so that the longer side fills 20 of 28 pixels, centred by its
    centre of mass (LeCun et al., Proc. IEEE 86, 2278, 1998).
    DataFileError for a file that is no picture, or holds no ink.
    """
    grey = _grey_levels(path)
    paper = float(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))
    if grey.max() - grey.min() < 0.1:
        raise DataFileError(f"{path}: shows nothing: all of its pixels are about equally bright")
    if grey.shape == (size, size) and paper < 0.05:
        return grey[None]
    dark_ink = paper - grey.min() > grey.max() - paper
    ink = np.clip(paper - grey if dark_ink else grey - paper, 0, None)
    ink /= ink.max()
    return (ink if grey.shape == (size, size) else _centred(_cut_to_ink(ink), size))[None]


def _grey_levels(path: Any) -> np.ndarray:
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise ImportError('reading pictures needs Pillow: pip install "tinyadtn[plot]"') from None
    if is_stream(Path(path)):
        raise DataFileError(f"{path}: is no ordinary file")
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
        # From memory: in a file Pillow makes room for as many bytes as a damaged header promises.
        content = io.BytesIO(Path(path).read_bytes())
        with warnings.catch_warnings(), Image.open(content, formats=FORMATS) as opened:
            warnings.simplefilter("ignore")  # of what Pillow can do without, in its own words
            if math.prod(opened.size) > MAX_PIXELS:
                raise ValueError(f"{opened.size[0]}×{opened.size[1]} pixels are too many")
            picture: Any = ImageOps.exif_transpose(opened)
            if "A" in picture.getbands() or "transparency" in picture.info:
                paper = Image.new("RGBA", picture.size, "white")
                picture = Image.alpha_composite(paper, picture.convert("RGBA"))
            if picture.mode.startswith("I;16"):
                return np.asarray(picture, np.float32) / 65535
            return np.asarray(picture.convert("L"), np.float32) / 255
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except UnidentifiedImageError as error:  # which names our copy of the bytes
        raise DataFileError(
            f"{path}: not a picture that can be read (the formats are {', '.join(FORMATS)})"
        ) from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataFileError(f"{path}: not a picture that can be read ({error})") from error


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
    # The centre of mass goes to the middle, as far as the digit stays inside.
    mass = digit.sum()
    top = round(size / 2 - (digit.sum(axis=1) @ np.arange(0.5, height)) / mass)
    left = round(size / 2 - (digit.sum(axis=0) @ np.arange(0.5, width)) / mass)
    top, left = min(max(top, 0), size - height), min(max(left, 0), size - width)
    result[top : top + height, left : left + width] = digit
    return result
