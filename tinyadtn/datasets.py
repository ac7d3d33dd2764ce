"""The two kinds of data set that have a name: how each is recognised, read, and fetched."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from . import idx, mirrors
from .archive import unpack
from .cifar import MAX_NAMES_BYTES, Layout, check_cifar, holds, read_cifar
from .errors import DataFileError

# (images, labels) by split, and the names of the classes where the files give them.
Contents = tuple[dict[str, tuple], tuple[str, ...] | None]


@dataclass(frozen=True)
class IdxSet:
    """A data set in IDX files: the hash of each unpacked file, who serves copies."""

    description: str
    sha256: Mapping[str, str]
    mirrors: tuple[str, ...] = ()
    classes: tuple[str, ...] | None = None
    elsewhere: tuple[Path, ...] = ()  # where other programs put it
    validation: int | None = None  # images drawn from the training images; None: a twelfth
    subfolder: str = ""

    def is_in(self, folder: Path) -> bool:
        """Whether a folder has files of these names."""
        return idx.find(folder, "train-images") is not None

    def fits(self, folder: Path) -> bool:
        """A quick look: whether the smallest file is this set's and not another's."""
        path = idx.find(folder, "t10k-labels")
        try:
            idx.check_hash(path or folder, self.sha256["t10k-labels"])
        except DataFileError:
            return False
        return True

    def read(self, folder: Path) -> Contents:
        """The images and labels, every file's hash checked."""
        return idx.read_idx_folder(folder, self.sha256), self.classes

    def fetch(self, folder: Path) -> None:
        """Download every file that is missing or wrong."""
        for key, sha256 in self.sha256.items():
            path = folder / f"{idx.file_name(key)}.gz"
            try:
                idx.check_hash(path, sha256)
            except DataFileError:
                keep = partial(self._keep, path, sha256)
                mirrors.fetch(path.name, self.mirrors, folder, keep)

    @staticmethod
    def _keep(path: Path, sha256: str, part: Path) -> None:
        idx.check_hash(part, sha256)
        part.replace(path)


@dataclass(frozen=True)
class CifarSet:
    """A data set in CIFAR's binary layout: its archive, the MD5 of that, who serves it."""

    description: str
    layout: Layout
    archive: str
    md5: str
    mirrors: tuple[str, ...]
    counts: tuple[int, int] = (50_000, 10_000)  # training and test images
    validation: int | None = 5_000
    elsewhere: tuple[Path, ...] = ()

    @property
    def subfolder(self) -> str:
        """The archive's own folder, where somebody unpacked it by hand."""
        return self.layout.folder

    def is_in(self, folder: Path) -> bool:
        """Whether a folder has files of these names."""
        return holds(folder, self.layout)

    def fits(self, folder: Path) -> bool:
        """A quick look: whether the files have the right sizes."""
        return all(
            path.is_file() and path.stat().st_size == size for path, size in self._sizes(folder)
        )

    def _sizes(self, folder: Path) -> list[tuple[Path, int]]:
        return [
            (folder / name, count // len(names) * self.layout.record)
            for count, names in zip(self.counts, self.layout.splits.values())
            for name in names
        ]

    def read(self, folder: Path) -> Contents:
        """The images, fine labels and names, everything counted."""
        return read_cifar(folder, self.layout, self.counts)

    def fetch(self, folder: Path) -> None:
        """Download and unpack the archive unless all is there."""
        try:
            check_cifar(folder, self.layout, self.counts)
        except DataFileError:
            mirrors.fetch(self.archive, self.mirrors, folder, self._keep)

    def _keep(self, part: Path) -> None:
        mirrors.check_md5(part, self.md5)
        with TemporaryDirectory(dir=part.parent, prefix=f".{os.getpid()}-") as room:
            members = {f"{self.subfolder}/{path.name}": n for path, n in self._sizes(part.parent)}
            members[f"{self.subfolder}/{self.layout.names}"] = MAX_NAMES_BYTES
            unpack(part, members, Path(room))
            check_cifar(Path(room), self.layout, self.counts)
            for file in Path(room).iterdir():
                file.replace(part.parent / file.name)
