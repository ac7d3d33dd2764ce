"""Grade the notebooks of a class: one row for each exercise of each copy.

    for row in grade(Path("copies")):
        print(row.student, row.exercise, row.state, row.message)

A copy is an .ipynb file, in a folder with the student's name or with the name in its own. The
exercises are those of the original notebook, so a check that was deleted or edited changes nothing.
Each answer runs in a process of its own (`sandbox`); the check runs here.
"""

from __future__ import annotations

import csv
import io
import json
import re
import secrets
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, partial
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

from ..errors import DataFileError
from ..tables import format_table, grouped, printable
from .exercises import (
    AnswerError,
    Exercise,
    course_folders,
    find_exercise,
    load_exercises,
    right_answer,
)
from .judging import Verdict, judge, short
from .messages import RemoteError
from .sandbox import Sandbox
from .slices import Answer, answers


@dataclass(frozen=True)
class Row:
    """The verdict on one answer: ``passed`` of ``cases`` were right before the first wrong one.

    ``state`` is "right", "wrong", "not done yet", "not found" (in a notebook without this check),
    "unknown" (a notebook without known exercises) or "unreadable" (a file that is not a notebook).
    """

    student: str
    notebook: str
    exercise: str
    state: str
    passed: int
    cases: int
    message: str


@dataclass(frozen=True)
class Limits:
    """For each answer, with all cases of its check: seconds, and megabytes of memory."""

    seconds: float = 60
    megabytes: int = 2048


def grade(
    folder: Path, *, limits: Limits | None = None, jobs: int = 1, seed: int | None = None
) -> Iterator[Row]:
    """Return the rows of all copies in the folder, copy by copy, in alphabetical order.

    The cases are drawn with ``seed``, the same for all copies. By default it is a random number,
    so that no answer can be a table of the cases. ``jobs`` copies are graded at the same time.
    """
    copies = find_copies(folder)  # now, so that a wrong folder is seen before the first row
    seed = secrets.randbits(32) if seed is None else seed
    one = partial(grade_copy, folder, limits=limits or Limits(), seed=seed)
    return _in_order(one, copies, jobs)


def _in_order(one: Callable[[Path], list[Row]], copies: list[Path], jobs: int) -> Iterator[Row]:
    if jobs == 1:
        for path in copies:
            yield from one(path)
        return
    with ProcessPoolExecutor(jobs) as pool:
        for rows in pool.map(one, copies):
            yield from rows


def find_copies(folder: Path) -> list[Path]:
    """Return all notebooks in the folder and below it; DataFileError if there are none."""
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise DataFileError(f"{folder} {problem}: give the folder with the students' copies")
    found = sorted(folder.rglob("*.ipynb"))
    inside = [(path, path.relative_to(folder).parts) for path in found]
    copies = [path for path, parts in inside if not any(p.startswith(".") for p in parts)]
    if not copies:
        raise DataFileError(f"no notebooks in {folder}: give the folder with the students' copies")
    return copies


def grade_copy(folder: Path, path: Path, *, limits: Limits, seed: int) -> list[Row]:
    """Return the rows of one copy."""
    notebook, exercises = original_of(path)
    row = partial(Row, student_of(folder, path, notebook), notebook or path.stem)
    try:
        found = answers(path)
    except DataFileError as error:
        return [row("", "unreadable", 0, 0, printable(str(error)))]
    names = exercises or [name for name in found if name in load_exercises()]
    if not names:
        message = "No exercise of it is known: run this in the folder that has exercises/."
        return [row("", "unknown", 0, 0, message)]
    rows = []
    # A folder that holds Python or this package cannot be hidden from its process.
    needed = (Path(__file__).resolve(), Path(sys.prefix).resolve())
    hidden = [folder.resolve()]
    if any(path.is_relative_to(hidden[0]) for path in needed):
        hidden = []
    with Sandbox(seconds=limits.seconds, megabytes=limits.megabytes, hidden=hidden) as sandbox:
        for name in names:
            cases = _number_of_cases(name, seed)
            if name in found:
                verdict = _verdict(sandbox, find_exercise(name), found[name], seed)
            else:
                message = f'The notebook has no cell with teach.check("{name}", …).'
                verdict = Verdict("not found", message)
            message = printable(verdict.message)
            rows.append(row(name, verdict.state, verdict.passed, cases, message))
    return rows


def original_of(path: Path) -> tuple[str, list[str]]:
    """Return the name of the original notebook and its exercises; "" and [] if it is unknown."""
    names = [name for name in _originals() if name in path.stem]
    name = max(names, key=len, default="")
    return name, _originals().get(name, [])


@cache
def _originals() -> dict[str, list[str]]:
    files = [file for folder in course_folders() for file in sorted(folder.glob("*.ipynb"))]
    return {file.stem: list(answers(file)) for file in reversed(files)}


def student_of(folder: Path, path: Path, notebook: str) -> str:
    """Return the student's name: the first folder on the way to the copy, or from its file name.

    >>> student_of(Path("copies"), Path("copies/Ada/04.ipynb"), "")
    'Ada'
    >>> student_of(Path("copies"), Path("copies/Ada_04_does_it_learn.ipynb"), "04_does_it_learn")
    'Ada'
    >>> again = Path("copies/Anna Berg_04_does_it_learn (1).ipynb")  # as a browser names it
    >>> student_of(Path("copies"), again, "04_does_it_learn")
    'Anna Berg'
    """
    first, *rest = path.relative_to(folder).parts
    if rest:
        return printable(first)
    stem = re.sub(r"( \(\d+\)|-Copy\d+)$", "", path.stem)  # a second download, or a copy in Jupyter
    name = stem.replace(notebook, "") if notebook else stem
    return printable(name.strip(" _-.") or path.stem)


def _verdict(sandbox: Sandbox, exercise: Exercise, answer: Answer, seed: int) -> Verdict:
    verdict, is_function = _run(sandbox, exercise, answer.needed, answer.expression, seed)
    if verdict.state != "wrong" or is_function:
        return verdict
    # A value may be the result of statements that never name it: run all that come before.
    return _run(sandbox, exercise, answer.before, answer.expression, seed)[0]


def _run(
    sandbox: Sandbox, exercise: Exercise, source: tuple[str, ...], expression: str, seed: int
) -> tuple[Verdict, bool]:
    """Return the verdict, and whether the answer is a function (or was never defined)."""
    right = _asked(exercise)  # before the time of the answer begins
    try:
        answer = sandbox.answer(list(source), expression, exercise.ask)
    except RemoteError as error:
        kind, text, line = error.raised
        is_ours = line.startswith("raise SyntaxError(")  # of `slices`
        where = f" (in the line: {line})" if line and not is_ours else ""
        return Verdict("wrong", f"It cannot be defined: {kind}: {text}{where}"), True
    except AnswerError as error:
        return Verdict("wrong", str(error)), True
    # Its process calls the answer as the exercise asks; the right one is called so here.
    here = replace(exercise, ask=None)
    late = AnswerError(f"It was not checked within {sandbox.seconds:g} s.")
    with _alarm(sandbox.seconds + 1, late):
        verdict = judge(here, answer, seed, right, catch=Exception)
    if verdict.message == str(late):
        sandbox.close()  # it may be in the middle of a call
    return verdict, callable(answer)


@contextmanager
def _alarm(seconds: float, error: Exception) -> Iterator[None]:
    """Raise the error after so many seconds: a strange result can make the check itself slow."""
    if not hasattr(signal, "setitimer") or current_thread() is not main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise error

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _asked(exercise: Exercise) -> Any:
    """Return the right answer as the check calls it, None if there is none."""
    right = right_answer(exercise.name)
    return exercise.asked(getattr(right, "__wrapped__", right))


@cache
def _number_of_cases(name: str, seed: int) -> int:
    """Return how many cases the right answer passes; 0 for an exercise without a solution."""
    exercise = find_exercise(name)
    right = _asked(exercise)
    return 0 if right is None else judge(replace(exercise, ask=None), right, seed).passed


# --- what a teacher reads ------------------------------------------------------------------------


def as_table(rows: list[Row]) -> str:
    """Return all rows, the points of each copy, and how many copies have each exercise right."""
    head = ["student", "exercise", "passed", "state", "message"]
    lines = [
        [row.student, row.exercise, f"{row.passed}/{row.cases}", row.state, short(row.message, 100)]
        for row in rows
    ]
    totals = [["student", "notebook", "right", "of", "points"]]
    for copy, own in grouped(rows, lambda row: (row.student, row.notebook)).items():
        right = [row.state for row in own].count("right")
        points = f"{points_of_six(right, len(own)):.1f}"
        totals.append([*copy, str(right), str(len(own)), points])
    # Fewest right answers first: what to discuss in class.
    states = {
        exercise: [row.state for row in own]
        for exercise, own in grouped(rows, lambda row: row.exercise).items()
        if exercise
    }
    counts = [[name, str(own.count("right")), str(len(own))] for name, own in states.items()]
    counts.sort(key=lambda cells: int(cells[1]) / int(cells[2]))
    tables = ([head, *lines], 5), (totals, 2), ([["exercise", "right", "of"], *counts], 1)
    return "\n\n".join(format_table(table, left=left) for table, left in tables)


def points_of_six(right: int, exercises: int) -> float:
    """Return 6 points for all exercises except one: the challenge is voluntary.

    >>> points_of_six(2, 4), points_of_six(3, 4), points_of_six(4, 4)
    (4.0, 6.0, 6.0)
    """
    return min(6.0, 6 * right / max(1, exercises - 1))


def as_csv(rows: list[Row]) -> str:
    """Return the rows as CSV; a spreadsheet takes no cell for a formula."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    for row in rows:
        cells = [str(value) for value in asdict(row).values()]
        writer.writerow([f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell
                         for cell in cells])  # fmt: skip
    return file.getvalue()


def as_json(rows: list[Row], seed: int) -> str:
    """Return the rows and the seed of their cases as JSON."""
    content = {"seed": seed, "rows": [asdict(row) for row in rows]}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
