"""Picture files: opened safely, one at a time, or a whole folder with a folder for each class.

pets/cat/1.png          or   pets/train/cat/1.png
pets/dog/2.jpg               pets/test/dog/2.jpg
"""

from __future__ import annotations

import io
import math
import re
import shlex
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataFileError
from ..files.datafile import files_in
from ..files.npz import is_stream
from ..limits import require_memory
from ..tables import grouped
from .usual_names import split_of

MAX_BYTES = 2**25  # largest file
# A small file may claim any number of pixels; decoding takes up to 12 bytes per pixel.
MAX_PIXELS = 15_000_000
MAX_SIDE = 2**16  # Pillow needs memory for every row, too
# Decoding makes a pass over all pixels for every scan of a JPEG, and a scan may take 32 bytes.
MAX_SCANS = 100  # a progressive photo has about ten
# After 0xff, pixels have a zero or the number of a restart; everything else is a marker.
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
SCAN, END, WITHOUT_LENGTH = b"\xff\xda", b"\xff\xd9", (b"\xff\xd8", b"\xff\x01")
# The bytes of pixels that a folder may become: so many, and a multiple of the bytes of its files.
EMPTY, DRAWING = 2**25, 200  # a drawing compresses to a hundredth, an empty page to a thousandth
LARGE = 2048  # pixels per side to which a photo may be reduced
# Otherwise Pillow would try all its formats, including PostScript, which starts Ghostscript.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP")
ENDINGS = (
    *(".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg"),
    *(".pbm", ".pgm", ".png", ".pnm", ".ppm", ".webp"),
)
# Pictures that would be missed without a word if they were ignored as other files are.
UNREAD = (".avif", ".heic", ".heif", ".jp2", ".jxl", ".tif", ".tiff")
GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L")  # Pillow's modes without colour


def read_picture_file(path: Any, decode: Callable[[Any], Any], *, mode: str = "L") -> Any:
    """Return ``decode(picture)`` of an opened Pillow image; ``mode`` is for the draft of a photo.

    ``DataFileError`` for a file that is not a picture or has too many pixels.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise ImportError("reading pictures needs Pillow: pip install pillow") from None
    if is_stream(Path(path)):
        raise DataFileError(f"{path}: is not an ordinary file; name a picture")
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
        # From memory, because for a file Pillow allocates the bytes that a damaged header claims.
        content = Path(path).read_bytes()
        with warnings.catch_warnings(), Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            warnings.simplefilter("ignore")  # about defects that Pillow tolerates
            if opened.mode == "F":
                raise ValueError("its pixels are floats, whose scale is not known")
            if opened.format == "JPEG" and _scans(content) > MAX_SCANS:
                raise ValueError(f"it has more than {MAX_SCANS} scans; save it again")
            _check_size(opened, mode)
            return decode(opened)
    except (FileNotFoundError, PermissionError, IsADirectoryError, MemoryError):
        raise
    except UnidentifiedImageError as error:  # its message would name the BytesIO
        raise DataFileError(
            f"{path}: not a picture that can be read (the formats are {', '.join(FORMATS)})"
        ) from error
    except Exception as error:  # Pillow may raise any exception for a damaged file
        raise DataFileError(f"{path}: not a picture that can be read ({error})") from error


def _check_size(opened: Any, mode: str) -> None:
    """Reject too many pixels before decoding; a JPEG photo is decoded at a lower resolution."""
    (width, height), limit = opened.size, MAX_PIXELS
    if opened.format == "WEBP":  # decoding makes several copies
        limit //= 2
    elif opened.format == "JPEG" and not opened.info.get("progressive"):
        limit *= 2
        opened.draft(mode, (LARGE, LARGE))
    if width * height > limit:
        raise ValueError(f"{width}×{height} pixels are more than {limit:,}; save a smaller picture")
    if max(width, height) > MAX_SIDE:
        raise ValueError(f"{width}×{height} pixels: a side has more than {MAX_SIDE:,}; cut it")


def _scans(content: bytes) -> int:
    """Return how many scans a JPEG has, up to ``MAX_SCANS`` + 1."""
    place = scans = 0
    while scans <= MAX_SCANS and (found := MARKER.search(content, place)) and found[0] != END:
        scans += found[0] == SCAN
        place = found.end()
        if found[0] not in WITHOUT_LENGTH:
            place += int.from_bytes(content[place : place + 2], "big")
    return scans


# --- a folder with a folder for each class -------------------------------------------------------


def read_picture_folder(folder: Path, size: int | None = None) -> dict[str, tuple] | None:
    """Return {split: (images uint8 (n, c, h, w), class names (n,))}; None if there are no pictures.

    Without subfolders such as ``train`` and ``test``, all are in the training split. Pictures are
    grey if all files are, else red, green and blue; transparent ones are put on white. With
    ``size``, each is cut to its middle square and scaled to size×size pixels. Other files, and
    names that begin with a dot, are ignored. ``DataFileError`` for pictures of different sizes, for
    broken ones and other formats, and for two folders of one split.
    """
    splits = _splits(folder)
    files = {
        split: [(path, each.name) for each in _subfolders(root) for path in _pictures(each)]
        for split, root in splits.items()
    }
    paths = [path for some in files.values() for path, _ in some]
    if not paths or not files["train"]:
        return None
    shape = _common_shape(folder, paths, size)
    size_in_bytes = len(paths) * math.prod(shape)
    require_memory(str(folder), 5 * size_in_bytes, "give fewer pictures")  # as bytes and float32
    if size is None:
        _require_content(folder, paths, size_in_bytes)
    mode = "L" if shape[0] == 1 else "RGB"

    def pixels(opened: Any) -> np.ndarray:
        return bytes_of(opened, mode, size)

    result = {}
    for split, some in files.items():
        images = np.empty((len(some), *shape), np.uint8)
        for k, (path, _) in enumerate(some):
            images[k] = read_picture_file(path, pixels, mode=mode)
        result[split] = images, np.array([name for _, name in some])
    return result


def _splits(folder: Path) -> dict[str, Path]:
    """Return the folder of each split: all is for training if no subfolder is called train."""
    named = grouped(_subfolders(folder), lambda each: split_of(each.name))
    if "train" not in named:
        return {"train": folder}
    for split, some in named.items():
        if split and len(some) > 1:
            names = " and ".join(each.name for each in some)
            raise DataFileError(f"{folder}: {names} may both be meant for {split}; move one away")
    train = named["train"][0]
    if not _subfolders(train) and _pictures(train):
        raise DataFileError(
            f"{train}: each class needs a folder in it, such as {train / 'cat' / '1.png'}; if "
            "train is a class, give its folder another name"
        )
    return {split: some[0] for split, some in named.items() if split}


def _subfolders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _pictures(folder: Path) -> list[Path]:
    pictures = files_in(folder, *ENDINGS, *UNREAD)
    for path in pictures:
        if path.suffix.lower() in UNREAD:
            raise DataFileError(
                f"{path}: this format is not read; save it as PNG or JPEG, or move it out"
            )
    return pictures


def _require_content(folder: Path, paths: list[Path], pixels: int) -> None:
    """Raise ``DataFileError`` for small files with very many pixels, a mistake or an attack."""
    stored = sum(path.stat().st_size for path in paths)
    if pixels > EMPTY + DRAWING * stored:
        raise DataFileError(
            f"{folder}: {len(paths):,} pictures of {stored:,} bytes in all would become "
            f"{pixels:,} bytes, so they are nearly empty. To make them smaller: "
            f"{_scaled(folder)}; or read them with Pillow, and give the arrays to load_data"
        )


def _scaled(folder: Path) -> str:
    """Return how to scale the pictures of a folder."""
    command = f"tinyadtn data import {shlex.quote(str(folder))} --size 32 --out pictures.npz"
    return f"load_data(folder, size=32), or {command}"


def _common_shape(folder: Path, paths: list[Path], size: int | None) -> tuple[int, int, int]:
    """Return (c, h, w) of the pictures, from their headers."""
    first, grey = None, True
    for path in paths:
        (width, height), without_colour = read_picture_file(path, _size_and_grey, mode="RGB")
        grey = grey and without_colour
        first = first or (height, width)
        if size is None and (height, width) != first:
            raise DataFileError(
                f"{path}: has {width}×{height} pixels, {paths[0]} has {first[1]}×{first[0]}, and "
                f"all need the same. To cut and scale them: {_scaled(folder)}"
            )
    height, width = (size, size) if size else first or (0, 0)
    return 1 if grey else 3, height, width


def _size_and_grey(opened: Any) -> tuple[tuple[int, int], bool]:
    """Return (width, height), as the picture is to be seen, and whether it has no colour."""
    turned = opened.getexif().get(0x0112) in (5, 6, 7, 8)  # by a quarter
    size = opened.size[::-1] if turned else opened.size
    if opened.mode != "P":
        return size, opened.mode in GREY
    palette = opened.getpalette() or []
    return size, palette[0::3] == palette[1::3] == palette[2::3]


def bytes_of(opened: Any, mode: str, size: int | None) -> np.ndarray:
    """Return the bytes (c, h, w) of an opened picture in mode L or RGB, of size×size if given."""
    from PIL import Image, ImageOps

    ImageOps.exif_transpose(opened, in_place=True)  # first: the new pictures below have no EXIF
    if opened.mode.startswith("I"):  # 16 bits
        picture = Image.fromarray(np.uint8(np.asarray(opened.convert("I")) // 257))
    else:
        picture = on_white(opened)
    if picture.mode != mode:
        picture = picture.convert(mode)
    if size:
        picture = ImageOps.fit(picture, (size, size))
    pixels = np.asarray(picture, np.uint8)
    return pixels[None] if mode == "L" else pixels.transpose(2, 0, 1)


def on_white(opened: Any) -> Any:
    """Return an opened picture without its transparency."""
    from PIL import Image

    if "A" not in opened.getbands() and "transparency" not in opened.info:
        return opened
    above = opened if opened.mode == "RGBA" else opened.convert("RGBA")
    picture = Image.new("RGB", above.size, "white")
    picture.paste(above, mask=above.getchannel("A"))
    return picture
