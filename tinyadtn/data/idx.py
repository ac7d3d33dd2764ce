"""IDX, the format of the MNIST files: a magic number, the lengths of the axes, then the bytes.

    00 00 08 03 | 00 00 ea 60 | 00 00 00 1c | 00 00 00 1c | …       the 60,000 training images
    bytes, 3 axes      60,000            28            28   47,040,000 pixels

The lengths in the header are not trusted: memory is used only for bytes that really exist.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..files.datafile import CHUNK, describe, opened, refusal
from ..limits import most_from, require_memory

# The name of a split, and the word for it in MNIST's file names.
PREFIX = {"train": "train", "validation": "validation", "test": "t10k"}


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Return the uint8 array in an IDX file, plain or gzip: labels (n,) or images (n, h, w).

    The file is read to its end, so that gzip's checksum is verified. ``DataFileError`` for
    everything that is not exactly one such array. Format: http://yann.lecun.com/exdb/mnist/

    >>> from tinyadtn.data.catalogue import BUNDLED
    >>> read_idx(BUNDLED / "mnist-5k" / "t10k-images-idx3-ubyte.gz").shape
    (1000, 28, 28)
    """
    path = Path(path)
    with opened(path, "an IDX file") as file:
        is_packed = file.peek(2)[:2] == b"\x1f\x8b"
        stream = gzip.GzipFile(fileobj=file) if is_packed else file
        try:
            shape = _read_header(stream, path)
            promised, most = math.prod(shape), most_from(file.fileno())
            # NumPy limits the product of the nonzero lengths.
            if math.prod(length or 1 for length in shape) > most:
                raise refusal(path, f"at most {most:,} bytes", f"a header that promises {shape}")
            require_memory(str(path), 5 * promised, "give fewer images")  # bytes, then float32
            expected = f"{promised:,} bytes after its header {shape}"
            # gzip never makes a file much longer, and it skips zeros after the end slowly.
            if os.fstat(file.fileno()).st_size > 1.01 * promised + 2**16:
                raise refusal(path, expected, "more")
            content = bytearray()
            while chunk := stream.read(min(CHUNK, promised + 1 - len(content))):
                content += chunk
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise refusal(path, "a whole gzip file", f"a damaged one ({error})") from error
    if len(content) != promised:
        raise refusal(path, expected, "more" if len(content) > promised else f"{len(content):,}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _read_header(stream: BinaryIO | gzip.GzipFile, path: Path) -> tuple[int, ...]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise refusal(path, "an IDX file, which starts with 00 00 08", describe(magic))
    kind, ndim = magic[2:]
    if kind != 8:
        raise refusal(path, "unsigned bytes (IDX type 0x08)", f"IDX type 0x{kind:02x}")
    if not 1 <= ndim <= 3:
        raise refusal(path, "1 axis (labels) to 3 (images)", f"{ndim} axes")
    lengths = stream.read(4 * ndim)
    if len(lengths) < 4 * ndim:
        raise refusal(path, f"the lengths of {ndim} axes", "the end of the file")
    return struct.unpack(f">{ndim}I", lengths)


def idx_header(values: np.ndarray) -> bytes:
    """Return the first bytes of the IDX file that holds ``values``.

    >>> idx_header(np.zeros(3, np.uint8)).hex(" ", 4)
    '00000801 00000003'
    """
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)


def unpack_idx(path: Path) -> None:
    """Replace an IDX file by its unpacked content, because copies of MNIST differ in their gzip."""
    values = read_idx(path)
    path.write_bytes(idx_header(values) + values.tobytes())


def check_hash(path: Path, values: np.ndarray, sha256: str) -> None:
    """Raise ``DataFileError`` unless ``values``, from ``path``, have this hash as an IDX file."""
    found = hashlib.sha256(idx_header(values) + values.tobytes()).hexdigest()
    if found != sha256:
        raise refusal(path, f"unpacked bytes with SHA-256 {sha256}", found)


# --- folders -------------------------------------------------------------------------------------


def read_idx_folder(folder: Path, sha256: Mapping[str, str] | None = None) -> dict[str, tuple]:
    """Return {split: (images (n, h, w), labels (n,))}, uint8, from files with MNIST's names.

    ``validation-images-idx3-ubyte`` and its labels may be absent. If ``sha256`` is given, its keys
    are the files to read, and each file must have its hash.

    >>> from tinyadtn.data.catalogue import BUNDLED
    >>> images, labels = read_idx_folder(BUNDLED / "mnist-5k")["test"]
    >>> images.shape, labels[:5].tolist()
    ((1000, 28, 28), [7, 5, 1, 5, 0])
    """
    has_validation = "validation-images" in sha256 if sha256 else find(folder, "validation-images")
    return {
        split: tuple(read_file(folder, f"{prefix}-{part}", sha256) for part in ("images", "labels"))
        for split, prefix in PREFIX.items()
        if split != "validation" or has_validation
    }


def read_file(folder: Path, key: str, sha256: Mapping[str, str] | None = None) -> np.ndarray:
    """Return the array in MNIST's file ``key``, such as "t10k-labels", of a folder."""
    path = find(folder, key)
    if path is None:
        raise refusal(folder, f"{file_name(key)} or {file_name(key)}.gz in it", "neither")
    values = read_idx(path)
    is_images = key.endswith("images")
    if is_images != (values.ndim == 3):
        expected = "images (n, h, w)" if is_images else "labels (n,)"
        found = f"an array {values.shape}; are the files of images and labels swapped?"
        raise refusal(path, expected, found)
    if sha256 is not None:
        check_hash(path, values, sha256[key])
    return values


def file_name(key: str) -> str:
    """Return the name of MNIST's file ``key``.

    >>> file_name("t10k-labels")
    't10k-labels-idx1-ubyte'
    """
    return f"{key}-idx{3 if key.endswith('images') else 1}-ubyte"


def find(folder: Path, key: str) -> Path | None:
    """Return the file ``key`` in a folder, plain or gzip, if it is there.

    Some copies, such as Kaggle's, are called ``train-images.idx3-ubyte``, and may lie next to a
    folder ``train-images-idx3-ubyte``.
    """
    dashed = file_name(key)
    names = [f"{n}{end}" for n in (dashed, dashed.replace("-idx", ".idx")) for end in ("", ".gz")]
    paths = [folder / name for name in names if (folder / name).exists()]
    return next(filter(Path.is_file, paths), next(iter(paths), None))
