"""CIFAR-10 and CIFAR-100 in their binary layouts: records of label bytes and pixels, no header.

    CIFAR-10                  label | 1,024 red | 1,024 green | 1,024 blue    3,073 bytes per image
    CIFAR-100    coarse label, fine label | 1,024 red | …                     3,074 bytes per image

Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009, and
https://www.cs.toronto.edu/~kriz/cifar.html. Such a file has no header that
identifies it. So its size, its labels and the number of images per class are checked.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files.datafile import CHUNK, describe, opened, refusal
from ..limits import require_memory

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
MAX_NAMES_BYTES = 2**14  # a hundred names take less than 1 kB


@dataclass(frozen=True)
class Layout:
    """The files of a data set, and the values that the label bytes before the pixels may have.

    ``labels`` is the number of values of each label byte; the last byte is the class.
    """

    title: str
    folder: str  # its name in the official archive
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str
    labels: tuple[int, ...]

    @property
    def record(self) -> int:
        """Bytes per image, labels included."""
        return len(self.labels) + PIXELS

    @property
    def splits(self) -> dict[str, tuple[str, ...]]:
        """The files of each split."""
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
    """Return whether a folder has any of the layout's files of images.

    >>> holds(Path("nowhere"), CIFAR10)
    False
    """
    return any((folder / name).exists() for name in layout.train + layout.test)


def read_cifar(
    folder: Path, layout: Layout, counts: tuple[int, int] | None = None
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], tuple[str, ...]]:
    """Return {split: (images uint8 (n, 3, 32, 32), labels uint8 (n,))} and the class names.

    Images and labels are views of the records, so they take one byte of memory per byte of the
    files. ``counts`` are the required counts of training and test images, equally many of each
    class; without it, a file may hold any number of records. ``DataFileError`` for files that are
    missing, have another size or layout, or hold invalid labels or the same images twice.
    """
    classes = _read_names(folder / layout.names, layout)
    pairs = {}
    seen: dict[bytes, str] = {}
    for (split, names), images in zip(layout.splits.items(), counts or (None, None)):
        parts = []
        for name in names:
            each = None if images is None else images // len(names)
            parts.append(_read_records(folder / name, layout, each))
            pixels = hashlib.blake2b(parts[-1][:, len(layout.labels) :].tobytes()).digest()
            if pixels in seen:
                raise refusal(folder / name, f"other images than in {seen[pixels]}", "the same")
            seen[pixels] = name
        records = np.concatenate(parts) if len(parts) > 1 else parts[0]
        labels = records[:, len(layout.labels) - 1]
        tally = np.bincount(labels, minlength=len(classes))
        if images is not None and (wrong := np.flatnonzero(tally * len(tally) != images)).size:
            expected = f"{images // len(tally):,} {split} images of each class"
            raise refusal(folder, expected, f"{tally[wrong[0]]:,} of '{classes[wrong[0]]}'")
        pairs[split] = records[:, len(layout.labels) :].reshape(-1, *SHAPE), labels
    return pairs, classes


def _read_records(path: Path, layout: Layout, count: int | None) -> np.ndarray:
    """Return the records of one file, uint8 (n, bytes per record); check their labels."""
    each = f"records of {layout.record:,} bytes, {layout.title}'s images"
    with opened(path, each) as file:
        size = os.fstat(file.fileno()).st_size
        found = f"{describe(file.peek(16))} (size {size:,}, {size / layout.record:,.2f} records)"
        if count is not None and size != count * layout.record:
            raise refusal(path, f"{count:,} {each}", found)
        if size == 0 or size % layout.record:
            raise refusal(path, f"whole {each}", found)
        require_memory(str(path), 5 * size, "give fewer images")  # bytes, then float32
        records = np.empty((size // layout.record, layout.record), np.uint8)
        for first in range(0, len(records), CHUNK // layout.record):
            part = records[first : first + CHUNK // layout.record]
            if file.readinto(part.data) != part.nbytes:
                raise refusal(path, f"{size:,} bytes", "fewer; does it change?")
            for column, values in enumerate(layout.labels):
                row = int(part[:, column].argmax())
                if part[row, column] >= values:
                    expected = f"labels from 0 to {values - 1} in byte {column} of each record"
                    raise refusal(path, expected, f"{part[row, column]} in record {first + row:,}")
    return records


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
        raise refusal(path, expected, "characters that are not plain text")
    return names
