"""IDX, the format of the MNIST files: a magic number, the lengths of the axes, then the bytes.

    00 00 08 03 | 00 00 ea 60 | 00 00 00 1c | 00 00 00 1c | …       the 60,000 training images
    bytes, 3 axes      60,000            28            28   47,040,000 pixels

A file is not believed: nothing is allocated until the bytes that its header promises were counted.
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

from ..files.datafile import CHUNK, MAX_BYTES, describe, opened, refusal

UNSIGNED_BYTE = 0x08


# A split's name here, and what MNIST's file names call it.
PREFIX = {"train": "train", "validation": "validation", "test": "t10k"}


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The uint8 array in an IDX file, plain or gzip: labels (n,) or images (n, h, w).

    Read to its end, so that gzip's checksum is verified. ``DataFileError`` for everything that is
    not exactly one such array. Format: http://yann.lecun.com/exdb/mnist/

    >>> from tinyadtn.data.catalogue import BUNDLED
    >>> read_idx(BUNDLED / "mnist-5k" / "t10k-images-idx3-ubyte.gz").shape
    (1000, 28, 28)
    """
    path = Path(path)
    with opened(path, "an IDX file") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            return _read_stream(gzip.open(file) if zipped else file, path)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise refusal(path, "a whole gzip file", f"a damaged one ({error})") from error


def _read_stream(stream: BinaryIO | gzip.GzipFile, path: Path) -> np.ndarray:
    shape = _read_header(stream, path)
    promised = math.prod(shape)
    start = stream.tell()
    # Count first, one chunk in memory at a time and never past one byte too many: a small gzip
    # can hold gigabytes of zeros. Only then is the array allocated and the stream read again.
    present = 0
    while chunk := stream.read(min(CHUNK, promised + 1 - present)):
        present += len(chunk)
    if present != promised:
        found = "more" if present > promised else f"{present:,}"
        raise refusal(path, f"{promised:,} bytes after its header {shape}", found)
    stream.seek(start)
    return np.frombuffer(bytearray(stream.read(promised)), np.uint8).reshape(shape)


def _read_header(stream: BinaryIO | gzip.GzipFile, path: Path) -> tuple[int, ...]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise refusal(path, "an IDX file, which starts with 00 00 08", describe(magic))
    kind, ndim = magic[2:]
    if kind != UNSIGNED_BYTE:
        raise refusal(path, "unsigned bytes (IDX type 0x08)", f"IDX type 0x{kind:02x}")
    if not 1 <= ndim <= 3:
        raise refusal(path, "1 axis (labels) to 3 (images)", f"{ndim} axes")
    lengths = stream.read(4 * ndim)
    if len(lengths) < 4 * ndim:
        raise refusal(path, f"the lengths of {ndim} axes", "the end of the file")
    shape = struct.unpack(f">{ndim}I", lengths)
    if math.prod(shape) > MAX_BYTES:
        raise refusal(path, f"at most {MAX_BYTES:,} bytes", f"a header that promises {shape}")
    return shape


def payload_sha256(values: np.ndarray) -> str:
    """SHA-256 of the unpacked IDX file that holds ``values``: header, then bytes.

    Copies of MNIST differ in how they were gzipped and agree in this.

    >>> payload_sha256(np.zeros(3, np.uint8))[:8]
    'c51ace58'
    """
    header = struct.pack(f">HBB{values.ndim}I", 0, UNSIGNED_BYTE, values.ndim, *values.shape)
    digest = hashlib.sha256(header)
    digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


# --- folders -------------------------------------------------------------------------------------


def read_idx_folder(folder: Path, sha256: Mapping[str, str] | None = None) -> dict[str, tuple]:
    """{split: (images (n, h, w), labels (n,))}, uint8, from files named as MNIST's are.

    ``validation-images-idx3-ubyte`` and its labels may be absent. Where ``sha256`` is given it says
    which files there are, and each must have its hash.

    >>> from tinyadtn.data.catalogue import BUNDLED
    >>> images, labels = read_idx_folder(BUNDLED / "mnist-5k")["test"]
    >>> images.shape, labels[:5].tolist()
    ((1000, 28, 28), [7, 5, 1, 5, 0])
    """
    if sha256 is None:
        has_validation = find(folder, "validation-images") is not None
    else:
        has_validation = "validation-images" in sha256
    pairs = {}
    for split, prefix in PREFIX.items():
        if split != "validation" or has_validation:
            images = _read_file(folder, f"{prefix}-images", sha256)
            pairs[split] = images, _read_file(folder, f"{prefix}-labels", sha256)
    return pairs


def _read_file(folder: Path, key: str, sha256: Mapping[str, str] | None) -> np.ndarray:
    path = find(folder, key)
    if path is None:
        raise refusal(folder, f"{file_name(key)} or {file_name(key)}.gz in it", "neither")
    values = read_idx(path)
    if key.endswith("images") != (values.ndim == 3):
        raise refusal(
            path,
            "images (n, h, w)" if key.endswith("images") else "labels (n,)",
            f"an array {values.shape}; are the files of images and labels swapped?",
        )
    if sha256 is not None:
        _compare(path, values, sha256[key])
    return values


def check_hash(path: Path, sha256: str) -> None:
    """``DataFileError`` unless ``path`` is an IDX file with this hash when unpacked."""
    _compare(path, read_idx(path), sha256)


def _compare(path: Path, values: np.ndarray, sha256: str) -> None:
    found = payload_sha256(values)
    if found != sha256:
        raise refusal(path, f"unpacked bytes with SHA-256 {sha256}", found)


def file_name(key: str) -> str:
    """The name of MNIST's file ``key``.

    >>> file_name("t10k-labels")
    't10k-labels-idx1-ubyte'
    """
    return f"{key}-idx{3 if key.endswith('images') else 1}-ubyte"


def find(folder: Path, key: str) -> Path | None:
    """The file ``key`` in a folder, plain or gzip, if it is there."""
    for path in (folder / file_name(key), folder / f"{file_name(key)}.gz"):
        if path.exists():
            return path
    return None
