"""CSV files of images: a row per image, its label and its pixels, as Kaggle's MNIST has them.

label,pixel0,pixel1,…        the line of names may be missing: then the label comes first
5,0,0,…
"""

from __future__ import annotations

import csv
import io
import os
import warnings
from pathlib import Path

import numpy as np

from ..files.datafile import opened, refusal
from ..limits import require_memory
from .image_checks import MAX_CLASSES
from .usual_names import LABELS

LABEL_NAMES = (*LABELS, "class")
LONGEST_LINE = 2**24  # characters


def read_csv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return images (n, pixels), uint8 or float32, and their labels, integers or names (n,).

    The label is in the column called label, class, target or y, else in the first. Whole numbers
    from 0 to 255 are bytes. Columns are separated by commas, semicolons or tabs. ``DataFileError``
    for a file that is not such a table.
    """
    expected = "a CSV file with a label and the pixels of an image in every line"
    with opened(path, expected) as file:
        size = os.fstat(file.fileno()).st_size
        require_memory(str(path), 8 * size, "give fewer images")  # two bytes may be a number
        text = io.TextIOWrapper(file, encoding="utf-8-sig")
        try:
            line = text.readline(LONGEST_LINE)
            delimiter = max(",;\t", key=line.count)
            head = next(csv.reader([line], delimiter=delimiter), [])
            has_names = sum(map(_is_number, head)) < len(head) - 1 or _label_places(head)
            column = _label_column(path, head) if has_names else 0
            if not has_names:
                text.seek(0)
            names: dict[str, int] = {}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about no lines at all: see below
                table = np.loadtxt(
                    text,
                    np.float32,
                    comments=None,
                    delimiter=delimiter,
                    converters={column: lambda name: _number_of(name, names)},
                    ndmin=2,
                    encoding="utf-8",
                    quotechar='"',
                )
        except (ValueError, csv.Error, UnicodeError) as error:
            raise refusal(path, expected, f"another one ({error})") from error
    if table.shape[0] == 0 or table.shape[1] < 2:
        raise refusal(path, expected, f"{table.shape[0]} lines with {table.shape[1]} columns")
    numbers = table[:, column].astype(np.int64)
    labels = np.array(list(names))[numbers]
    if all(name.isascii() and name.isdecimal() for name in names):
        labels = labels.astype(np.int64)
    numbered = [k for k, name in enumerate(head) if has_names and not name]  # by pandas
    return _bytes_if_whole(np.delete(table, [column, *numbered], 1)), labels


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _label_places(head: list[str]) -> list[int]:
    return [k for k, name in enumerate(head) if name.strip().lower() in LABEL_NAMES]


def _label_column(path: Path, head: list[str]) -> int:
    found = _label_places(head)
    if len(found) > 1:
        wanted = f"one column called {' or '.join(LABEL_NAMES)}"
        raise refusal(path, wanted, f"{len(found)} of them")
    return found[0] if found else 0


def _number_of(name: str, names: dict[str, int]) -> int:
    """Return the number of a name, which is new or not."""
    if len(names) > MAX_CLASSES:
        raise ValueError(f"more than {MAX_CLASSES:,} different labels")
    return names.setdefault(name.strip(), len(names))


def _bytes_if_whole(values: np.ndarray) -> np.ndarray:
    """Return whole numbers up to 255, of which some are above 127, as uint8: they are bytes."""
    if not (128 <= values.max() <= 255 and values.min() >= 0):  # false for NaN, too
        return values
    as_bytes = values.astype(np.uint8)
    return as_bytes if np.array_equal(as_bytes, values) else values
