"""Copies of the course: to work in, for students, and for teachers.

    python -m tinyadtn.teach copy FOLDER               # notebooks to work in
    python -m tinyadtn.teach edition student FOLDER    # without solutions
    python -m tinyadtn.teach edition teacher FOLDER    # each solution after its exercise

Nothing that exists is overwritten: a file that is there stays as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from ..errors import DataFileError
from ..version import __version__
from .address import setup_cell
from .exercises import STUDENT_MARK, course_folders, load_exercises
from .percent import Cell, read_cells

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
STUDENT_TEXT = """\
tinyadtn: the course, student edition

Your teacher gives you the package as a file, {wheel}. Put it into
this folder, and do not install a package of this name from the internet. Then, in this folder:

    python -m pip install ./{wheel} jupyterlab matplotlib pillow
    jupyter lab

Work in these files. teach.check tests your answers, teach.hint gives hints, and teach.status lists
what is right so far. Your teacher has the solutions; while this file is here, teach.solution shows
none, and teach.hint leaves out the last hint.
"""


def write_edition(kind: str, folder: Path) -> tuple[list[Path], list[Path]]:
    """Write a "copy" of the notebooks, or the "student" or "teacher" edition, into the folder.

    Return the files that are new, and those that stayed.
    """
    solved = kind == "teacher"
    files = {f"{s.stem}.ipynb": notebook(read_cells(s), solved=solved) for s in sources()}
    if solved:
        files["exercises.md"] = exercise_list()
    if kind == "student":
        files[STUDENT_MARK] = STUDENT_TEXT.format(wheel=wheel_name())
    return _write(folder, files)


def wheel_name() -> str:
    """Return the name of the file that `python -m pip wheel --no-deps .` makes in a clone."""
    return f"tinyadtn-{__version__}-py3-none-any.whl"


def _write(folder: Path, files: dict[str, str]) -> tuple[list[Path], list[Path]]:
    folder.mkdir(parents=True, exist_ok=True)
    new, stayed = [], []
    for name, text in files.items():
        try:
            with (folder / name).open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
            new.append(folder / name)
        except FileExistsError:
            stayed.append(folder / name)
    return new, stayed


def sources() -> list[Path]:
    """Return the sources of the course's notebooks, in their order."""
    found = sorted((course_folders()[-1] / "src").glob("[0-9][0-9]_*.py"))
    if not found:
        raise DataFileError("the course's notebooks are not installed: install tinyadtn again")
    return found


# --- notebooks ------------------------------------------------------------------------------------


def notebook(cells: list[Cell], *, solved: bool = False, compared: bool = False) -> str:
    """Return the .ipynb of these cells, as text: the same cells give the same bytes.

    Solutions are left out, or with ``solved`` marked cells after the exercise. Cells that compare
    the text with the run are left out, too, unless ``compared`` is set, as in the tests.
    """
    left_out = {"solution": not solved, "compare": not compared}
    shown = [cell for cell in cells if not left_out.get(cell.kind)]
    if setup := setup_cell():
        shown.insert(1, Cell("code", setup))
    content: dict[str, Any] = {
        "cells": [_json_cell(number, cell) for number, cell in enumerate(shown, start=1)],
        "metadata": METADATA,
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    content["metadata"] = METADATA | {"tinyadtn": {"built": _digest(content)}}
    return json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def is_as_built(text: str) -> bool:
    """Return whether a notebook is as ``notebook`` made it: nobody has edited or run it."""
    try:
        content = json.loads(text)
        built = content["metadata"].pop("tinyadtn")["built"]
        return built == _digest(content)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _json_cell(number: int, cell: Cell) -> dict[str, Any]:
    source = re.sub(r"(?m)^# ([%!]\w)", r"\1", cell.source)  # a magic
    source = f"# Solution of {cell.exercise!r}\n{source}" if cell.exercise else source
    lines = source.splitlines(keepends=True)
    marks = {"tags": ["solution"]} if cell.kind == "solution" else {}
    common = {"id": f"cell-{number:03d}", "metadata": marks, "source": lines}
    if cell.kind == "text":
        return {"cell_type": "markdown", **common}
    return {"cell_type": "code", "execution_count": None, "outputs": [], **common}


def exercise_list() -> str:
    """Return, as Markdown, the hints of every exercise and the wrong answers that are known."""
    lines = ["# Exercises: hints, and wrong answers that each check finds", ""]
    exercises = load_exercises()
    for source in sources():
        lines += [f"## {source.stem}", ""]
        for cell in read_cells(source):
            if cell.kind == "solution" and cell.exercise in exercises:
                found = exercises[cell.exercise]
                names = [getattr(answer, "__qualname__", "<") for answer in found.wrong]
                # One that another function made has no name that says what is wrong with it.
                named = [n.strip("_").replace("_", " ") for n in names if n.isidentifier()]
                wrong = ", ".join(named)
                known = ["", f"Known wrong answers: {wrong}."] if wrong else []
                lines += [f"### {found.name}", ""]
                lines += [f"{k}. {hint}" for k, hint in enumerate(found.hints, start=1)]
                lines += [*known, ""]
    return "\n".join(lines)
