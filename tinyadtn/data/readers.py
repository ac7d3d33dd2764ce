"""Find out which layout a file or a folder has, and read its images, labels and class names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError, DataFileError, nearest
from ..files.datafile import files_in, opened, refusal
from ..files.npz import read_npy, read_npz
from ..files.state import META
from . import idx
from .catalogue import KNOWN
from .cifar import CIFAR10, CIFAR100, Layout, holds, read_cifar
from .csv_file import read_csv
from .picture_files import ENDINGS, read_picture_folder
from .saved_data import ENDING, MAKE, parse_data
from .usual_names import EXPECTED, by_usual_names, split_of

# {split: (images, labels)}, the class names if there are any, the origin of features
Contents = tuple[dict[str, tuple], tuple[str, ...] | None, dict[str, Any] | None]
LAYOUTS = (
    f"files as MNIST's ({idx.file_name('train-images')}, …), CIFAR-10's ({CIFAR10.train[0]}, …) or "
    f"CIFAR-100's ({CIFAR100.train[0]}, …), a folder of pictures for each class, a CSV file, or "
    f".npy files called {EXPECTED}"
)


def read_path(path: Path, size: int | None = None) -> Contents:
    """Return what a file or a folder holds; splits that it does not have are left out.

    ``size`` is for pictures only (see ``read_picture_folder``). ``DataFileError`` if the path does
    not exist, has no layout that is known or more than one, or holds damaged files.
    """
    try:
        return _read_path(path, size)
    except OSError as error:  # a link to nothing, no permission, a name that is too long
        raise DataFileError(
            f"{error.filename or path}: {error.strerror or error}; remove it, or make it readable"
        ) from error


def _read_path(path: Path, size: int | None) -> Contents:
    if path.suffix.lower() == ENDING:
        return _read_npz(path)
    if path.suffix.lower() == ".csv" and not path.is_dir():
        return {"train": read_csv(path)}, None, None
    if not path.is_dir():
        hint = "; of a set in several files, name the folder" if path.is_file() else ""
        raise DataFileError(
            f"{path}: neither a folder, nor a .npz or .csv file, nor a data set that is known "
            f"({', '.join(KNOWN)}){nearest(str(path).lower(), KNOWN)}{hint}"
        )
    return _read_folder(path, size)


def _read_npz(path: Path) -> Contents:
    try:
        arrays = read_npz(path, packed=True)
        if META in arrays:
            return parse_data(path, arrays)
    except CheckpointError as error:
        raise DataFileError(f"{error}. {MAKE}") from error
    except OSError as error:
        raise DataFileError(f"{path}: {error.strerror or error}. {MAKE}") from error
    return *by_usual_names(arrays, str(path)), None


def _read_folder(folder: Path, size: int | None) -> Contents:
    found = _sets_in(folder)
    if not found:  # torchvision and the archives of CIFAR have subfolders
        names = ("raw", "MNIST/raw", CIFAR10.folder, CIFAR100.folder, "*/raw")
        below = dict.fromkeys(place for name in names for place in sorted(folder.glob(name)))
        found = [each for subfolder in below for each in _sets_in(subfolder)]
    if len(found) > 1:
        titles = [
            (layout.title if layout else "MNIST") + ("" if place == folder else f" ({place})")
            for place, layout in found
        ]
        raise refusal(folder, f"one layout: {LAYOUTS}", f"those of {' and '.join(titles)}")
    if found:
        place, layout = found[0]
        if layout is None:
            return idx.read_idx_folder(place), None, None
        return *read_cifar(place, layout), None
    if arrays := {path.stem: _read_array(path) for path in files_in(folder, ".npy")}:
        return *by_usual_names(arrays, str(folder)), None
    if tables := files_in(folder, ".csv"):
        return _read_tables(folder, tables), None, None
    if pictures := read_picture_folder(folder, size):
        return pictures, None, None
    if any(
        any(folder.glob(place)) for place in ("data_batch_1", "*/data_batch_1", "cifar-100-python")
    ):
        hint = "CIFAR's Python version, pickles, which are never loaded; get the binary version"
        raise refusal(folder, f"one layout: {LAYOUTS}", hint)
    inside = sorted(path.name for path in folder.iterdir())
    listed = ", ".join(inside[:5]) + (", …" if inside[5:] else "") if inside else "nothing"
    loose = any(name.lower().endswith(ENDINGS) for name in inside)
    hint = f". Each class needs a folder, such as {folder / 'cat' / '1.png'}" if loose else ""
    hint += f". Name {packed[0]} itself" if (packed := files_in(folder, ENDING)) else ""
    raise DataFileError(
        f"{folder}: expected files of one layout: {LAYOUTS}, found {listed} in it{hint}"
    )


def _sets_in(folder: Path) -> list[tuple[Path, Layout | None]]:
    """Return the folder with each layout that it has files of; None stands for IDX files."""
    found: list[Layout | None] = [x for x in (CIFAR10, CIFAR100) if holds(folder, x)]
    if any(idx.find(folder, key) for key in ("train-images", "t10k-images")):
        found.append(None)
    return [(folder, layout) for layout in found]


def _read_array(path: Path) -> np.ndarray:
    with opened(path, "a .npy file") as file:
        try:
            return read_npy(path, file)
        except CheckpointError as error:
            raise DataFileError(str(error)) from error


def _read_tables(folder: Path, tables: list[Path]) -> dict[str, tuple]:
    """Return a split for each CSV file: its name says which, or it is the only one."""
    by_split = {split_of(path.stem): path for path in tables}
    if len(tables) == 1:
        by_split = {"train": tables[0]}
    if None in by_split or len(by_split) < len(tables):
        found = ", ".join(path.name for path in tables[:10])
        raise refusal(folder, "one CSV file, or one for each split (train.csv, test.csv)", found)
    return {str(split): read_csv(path) for split, path in by_split.items()}
