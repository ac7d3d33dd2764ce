"""CIFAR-10 and CIFAR-100 in their binary layouts: records of label bytes and pixels, no header.

    CIFAR-10                  label | 1,024 red | 1,024 green | 1,024 blue    3,073 bytes an image
    CIFAR-100    coarse label, fine label | 1,024 red | …                     3,074 bytes an image

Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009, and
https://www.cs.toronto.edu/~kriz/cifar.html. Nothing in such a file says what it is, so everything
that can be counted is counted, a chunk at a time, before an array for the pixels is allocated.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files.datafile import CHUNK, MAX_BYTES, describe, opened, refusal

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
MAX_NAMES_BYTES = 2**14  # a hundred names are under one kB


@dataclass(frozen=True)
class Layout:
    """Which files there are, and what the label bytes before the pixels may be.

    ``labels`` has the number of values of each; the last one is the class.
    """

    title: str
    folder: str  # what the official archive calls it
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str
    labels: tuple[int, ...]

    @property
    def record(self) -> int:
        """Bytes of one image with its labels."""
        return len(self.labels) + PIXELS

    @property
    def splits(self) -> dict[str, tuple[str, ...]]:
        """The files with images in each split."""
        return {"train": self.train, "test": self.test}


CIFAR10 = Layout(
    "CIFAR-10",
    "cifar-10-batches-bin",
    train=tuple(f"data_batch_{k}.bin" for k in range(1, 6)),
    test=("test_batch.bin",),
    names="batches.meta.txt",
    labels=(10,),
)
CIFAR100 = Layout(
    "CIFAR-100",
    "cifar-100-binary",
    train=("train.bin",),
    test=("test.bin",),
    names="fine_label_names.txt",
    labels=(20, 100),
)


def holds(folder: Path, layout: Layout) -> bool:
    """Whether a folder has any of the layout's files of images.

    >>> holds(Path("nowhere"), CIFAR10)
    False
    """
    return any((folder / name).exists() for name in layout.train + layout.test)


def read_cifar(
    folder: Path, layout: Layout, counts: tuple[int, int] | None = None
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], tuple[str, ...]]:
    """({split: (images uint8 (n, 3, 32, 32), labels uint8 (n,))}, names of the classes).

    Images and labels are views of the records: one byte of memory for each byte of the files. With
    ``counts``, the numbers of training and test images, there must be just as many, the same number
    of each class; without, any number of records in a file. ``DataFileError`` as `check_cifar`.
    """
    classes, sizes = check_cifar(folder, layout, counts)
    pairs = {}
    for split, names in layout.splits.items():
        rows = [sizes[name] // layout.record for name in names]
        records = np.empty((sum(rows), layout.record), np.uint8)
        for name, part in zip(names, np.split(records, np.cumsum(rows)[:-1])):
            with opened(folder / name, "images") as file:
                if file.readinto(part.data) != part.nbytes:
                    raise refusal(folder / name, f"{part.nbytes:,} bytes", "fewer; does it change?")
        images = records[:, len(layout.labels) :].reshape(-1, *SHAPE)
        pairs[split] = images, records[:, len(layout.labels) - 1]
    return pairs, classes


def check_cifar(
    folder: Path, layout: Layout, counts: tuple[int, int] | None = None
) -> tuple[tuple[str, ...], dict[str, int]]:
    """(names of the classes, {file: bytes}) of a folder that is as it should be.

    ``DataFileError`` for files that are missing, of another size or kind, hold labels that do not
    exist, or the same images twice. Reads everything and keeps a chunk.
    """
    classes = _read_names(folder / layout.names, layout)
    sizes: dict[str, int] = {}
    seen: dict[bytes, str] = {}
    for (split, names), images in zip(layout.splits.items(), counts or (None, None)):
        records = None if images is None else images // len(names)  # in each file
        limit = MAX_BYTES // len(names)  # so that a split is no larger than MAX_BYTES
        tally = np.zeros(layout.labels[-1], int)
        for name in names:
            path = folder / name
            sizes[name] = _check_size(path, layout, records, limit)
            digest, labels = _check_records(path, layout, sizes[name])
            tally += labels
            if digest in seen:
                raise refusal(path, f"other images than in {seen[digest]}", "the same")
            seen[digest] = name
        if images is not None and (wrong := np.flatnonzero(tally * len(tally) != images)).size:
            expected = f"{images // len(tally):,} {split} images of each class"
            raise refusal(folder, expected, f"{tally[wrong[0]]:,} of '{classes[wrong[0]]}'")
    return classes, sizes


def _check_size(path: Path, layout: Layout, records: int | None, limit: int) -> int:
    each = f"records of {layout.record:,} bytes, {layout.title}'s images"
    with opened(path, each) as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(16)
    found = f"{describe(start)} (size {size:,}, {size / layout.record:,.2f} records)"
    if records is not None and size != records * layout.record:
        raise refusal(path, f"{records:,} {each}", found)
    if size == 0 or size % layout.record:
        raise refusal(path, f"whole {each}", found)
    if size > limit:
        raise refusal(path, f"at most {limit:,} bytes", f"{size:,}")
    return size


def _check_records(path: Path, layout: Layout, size: int) -> tuple[bytes, np.ndarray]:
    """A digest of the pixels, and how many images of each class there are."""
    digest, tally = hashlib.blake2b(), np.zeros(layout.labels[-1], int)
    step = max(1, CHUNK // layout.record)
    with opened(path, "images") as file:
        for first in range(0, size // layout.record, step):
            content = file.read(min(step * layout.record, size - first * layout.record))
            if len(content) % layout.record or not content:
                raise refusal(path, f"{size:,} bytes", "fewer; does it change?")
            records = np.frombuffer(content, np.uint8).reshape(-1, layout.record)
            for column, values in enumerate(layout.labels):
                row = int(records[:, column].argmax())
                if records[row, column] >= values:
                    raise refusal(
                        path,
                        f"labels from 0 to {values - 1} in byte {column} of each record",
                        f"{records[row, column]} in record {first + row:,}",
                    )
            digest.update(np.ascontiguousarray(records[:, len(layout.labels) :]).data)
            labels = records[:, len(layout.labels) - 1]
            tally += np.bincount(labels, minlength=len(tally))
    return digest.digest(), tally


def _read_names(path: Path, layout: Layout) -> tuple[str, ...]:
    expected = f"the names of {layout.title}'s {layout.labels[-1]} classes, one a line"
    with opened(path, expected) as file:
        content = file.read(MAX_NAMES_BYTES + 1)
    names = tuple(line.strip() for line in content.decode("ascii", "replace").splitlines())
    names = tuple(name for name in names if name)  # the official file ends in an empty line
    if content.lstrip().startswith(b"<") or not content:
        raise refusal(path, expected, describe(content))
    if len(content) > MAX_NAMES_BYTES or not (len(set(names)) == len(names) == layout.labels[-1]):
        raise refusal(path, expected, f"{len(set(names)):,} different ones")
    if not all(name.isascii() and name.isprintable() for name in names):
        raise refusal(path, expected, "characters that are no plain text")
    return names
