"""CSV files of images: a row per image, its label and its pixels, as Kaggle's MNIST has them.

label,pixel0,pixel1,…        the line of names may be missing: then the label comes first
5,0,0,…
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataFileError
from ..files.datafile import opened
from ..limits import require_memory
from .image_checks import MAX_CLASSES
from .picture_files import ENDINGS
from .usual_names import LABELS

LABEL_NAMES = (*LABELS, "class")
LAYOUT = (
    "The label is read from the column called label, class, target or y, else from the first one; "
    "the pixels are those of a square grey image. Columns are separated by commas, semicolons or "
    "tabs. For colour images or other shapes use a .npz file"
)
FLOAT = re.compile(r"[0-9]{1,9}\.[0-9]{1,18}(e[+-]?[0-9]{1,2})?")  # as numpy.savetxt writes them
LONGEST_LINE = 2**24  # characters


def read_csv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return images (n, pixels), uint8 or float32, and their labels, integers or names (n,).

    The label is in the column called label, class, target or y, else in the first. Whole numbers
    from 0 to 255 are bytes. Columns are separated by commas, semicolons or tabs. ``DataFileError``
    for a file that is not such a table. The numbers of the lines that pandas writes are left out.
    """
    expected = "a CSV file with a label and the pixels of an image in every line"

    def refusal(found: str) -> DataFileError:
        return DataFileError(f"{path}: expected {expected}, found {found}. {LAYOUT}")

    head: list[str] = []
    names: dict[str, int] = {}  # of the labels, numbered in the order of the file
    with opened(path, expected) as file:
        size = os.fstat(file.fileno()).st_size
        require_memory(str(path), 8 * size, "give fewer images")  # two bytes may be a number
        text = io.TextIOWrapper(file, encoding="utf-8-sig")
        try:
            head, delimiter = _head(text)
            # pandas numbers the lines, and names that column when it reads its own file.
            unnamed = [k for k, n in enumerate(head) if not n or n.startswith("Unnamed: ")]
            named = [k for k in range(len(head)) if k not in unnamed]
            column = [*_label_columns(head), *named, 0][0]
            table = _table(text, delimiter, {column: lambda name: _number_of(name, names)})
        except (ValueError, csv.Error) as error:
            if len(names) > MAX_CLASSES:  # NumPy replaces the message of _number_of
                raise refusal(f"more than {MAX_CLASSES:,} different labels") from error
            raise refusal(_explained(error, bool(head))) from error
    if table.shape[0] == 0 or table.shape[1] < 2:
        raise refusal(f"{table.shape[0]} lines with {table.shape[1]} columns")
    if len(names) == 1 < len(table) and not _label_columns(head):
        raise refusal(f"the same label, {next(iter(names))!r}, in the first column of every line")
    labels = np.array(list(names), object)[table[:, column].astype(np.int64)]  # one may be long
    if all(name.isascii() and name.isdecimal() and len(name) < 10 for name in names):
        labels = labels.astype(np.int64)
    pixels = np.delete(table, [column, *unnamed], 1)
    if not _is_square(pixels.shape[1]):
        if _is_square(pixels.shape[1] + 1) and not _label_columns(head):
            raise refusal(f"{pixels.shape[1] + 1} numbers in a line, so it has pixels and no label")
        others = [name for k, name in enumerate(head) if k not in (column, *unnamed)][:3]
        raise refusal(
            f"{pixels.shape[1]} pixels in a line, which is not a square number"
            + (f"; the columns after the label are {', '.join(others)}, …" if others else "")
        )
    if not np.isfinite(pixels).all():
        line, place = np.argwhere(~np.isfinite(pixels))[0]
        raise refusal(f"a pixel that is {pixels[line, place]} in image {line + 1}")
    return _bytes_if_whole(pixels), labels


def _is_square(count: int) -> bool:
    return math.isqrt(count) ** 2 == count


def _explained(error: Exception, has_head: bool) -> str:
    """Return what NumPy found, with the line of the file, and without its advice."""
    problem = str(error)
    if isinstance(error, UnicodeDecodeError):
        byte = error.object[error.start]
        return f"text that is not UTF-8 (byte 0x{byte:02x}); save it as CSV in UTF-8"
    if found := re.search(
        r"could not convert string '(.*)' to .* at row (\d+), column (\d+)", problem
    ):
        text, row, place = found[1], int(found[2]) + 1 + has_head, found[3]
        what = "a missing value" if not text.strip() else f"{text!r}, which is not a number,"
        if text.strip().lower().endswith(ENDINGS):
            what = (
                f"{text!r} (give the folder of the pictures, with one folder per class and no CSV "
                "file inside)"
            )
        return f"{what} in line {row}, column {place}"
    if found := re.search(r"from (\d+) to (\d+) at row (\d+)", problem):
        row = int(found[3]) + has_head
        return f"{found[2]} columns in line {row}, and {found[1]} in the lines before"
    return f"another one ({problem})"


def _head(text: io.TextIOWrapper) -> tuple[list[str], str]:
    """Return the names of the columns, [] if the first line is an image, and the delimiter."""
    line = text.readline(LONGEST_LINE)
    delimiter = max(",;\t", key=line.count)
    cells = next(csv.reader([line], delimiter=delimiter), [])
    columns = _label_columns(cells)
    if len(columns) > 1:
        raise ValueError(f"{len(columns)} columns of labels")
    numbered = [str(k) for k in range(len(cells))]  # pandas' names of columns without a name
    if cells in (numbered, ["", *numbered[:-1]]) and len(cells) > 1:
        return cells, delimiter
    if not columns and sum(map(_is_number, cells)) >= len(cells) - 1:
        text.seek(0)
        return [], delimiter
    return cells, delimiter


def _label_columns(head: list[str]) -> list[int]:
    return [k for k, name in enumerate(head) if name.strip().lower() in LABEL_NAMES]


def _table(text: io.TextIOWrapper, delimiter: str, converters: Any) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a table without lines
        return np.loadtxt(
            text,
            np.float32,
            comments=None,
            delimiter=delimiter,
            converters=converters,
            ndmin=2,
            encoding="utf-8",
            quotechar='"',
        )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number_of(name: str, names: dict[str, int]) -> int:
    """Return the number of a name, which is new or not."""
    if len(names) > MAX_CLASSES:
        raise ValueError(f"more than {MAX_CLASSES:,} different labels")
    name = name.strip()
    if FLOAT.fullmatch(name) and float(name).is_integer():  # 3.0 is the class 3
        name = str(int(float(name)))
    return names.setdefault(name, len(names))


def _bytes_if_whole(values: np.ndarray) -> np.ndarray:
    """Return whole numbers up to 255, of which some are above 127, as uint8: they are bytes."""
    if not (128 <= values.max() <= 255 and values.min() >= 0):  # false for NaN, too
        return values
    as_bytes = values.astype(np.uint8)
    return as_bytes if np.array_equal(as_bytes, values) else values
