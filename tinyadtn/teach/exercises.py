"""Exercises of the notebooks: how they are registered and found.

A check is a generator of cases for an answer. Checks, hints, and wrong answers that the check must
reject are in `tinyadtn/course/exercises/`; the right answers are the solutions in `notebooks/src/`.
"""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import numpy as np

from ..errors import nearest
from .percent import Cell, read_cells

Case = tuple[str, Any, Any]  # (description of the case, right result, result of the answer)
CheckFunction = Callable[[Any, np.random.Generator], Iterator[Case]]


@dataclass
class Exercise:
    """An exercise. An answer is right if all cases of the check are within the tolerance."""

    name: str
    cases: CheckFunction
    hints: tuple[str, ...]
    wrong: tuple[Any, ...]
    tolerance: float
    ask: Callable | None = None
    solution: Any = None
    last: bool = False
    hints_given: int = field(default=0, compare=False)

    def asked(self, answer: Any) -> Any:
        """Return what the check is given for an answer: ``ask`` with it, if there is one."""
        return answer if self.ask is None or answer is None else functools.partial(self.ask, answer)


STUDENT_MARK = "STUDENT_EDITION.txt"  # a folder with this file shows no solutions
_exercises: dict[str, Exercise] = {}


def exercise(
    name: str,
    *,
    hints: tuple[str, ...],
    wrong: tuple[Any, ...],
    tolerance: float = 1e-9,
    ask: Callable | None = None,
    solution: Any = None,
    last: bool = False,
) -> Callable[[CheckFunction], CheckFunction]:
    """Register a check: a generator of cases (description, right result, result of the answer).

    ``wrong`` are three or more answers that the check must reject, as the tests verify.
    ``tolerance`` bounds the largest difference, relative to the largest right value if above 1.
    ``ask(answer, ...)`` takes plain values, calls the answer with the objects that it needs, and
    returns plain values. The check gets this function in place of the answer, so that
    the answer can run in a process of its own (`sandbox`).
    ``solution`` is the right answer, if no solution cell in ``src/`` gives it.
    ``last`` says that no later cell uses the answer. Then a notebook never runs the solution, which
    may have to train a network.
    """

    def register(cases: CheckFunction) -> CheckFunction:
        _exercises[name] = Exercise(name, cases, hints, wrong, tolerance, ask, solution, last)
        return cases

    return register


class AnswerError(Exception):
    """An answer cannot be judged; the message says why, in a sentence for the reader."""


class UnexpectedResultError(AnswerError, TypeError):
    """An answer returned a result of another form than its exercise asks for."""


def parts(result: Any, count: int) -> tuple[Any, ...]:
    """Return the ``count`` parts of an answer's result; each is None if the result is None.

    >>> parts((1.0, 2.0), 2), parts(None, 2)
    ((1.0, 2.0), (None, None))
    >>> parts((1.0, 2.0), 3)
    Traceback (most recent call last):
    tinyadtn.teach.exercises.UnexpectedResultError: 3 things are expected; there are 2.
    """
    if result is None or result is NotImplemented:
        return (result,) * count
    if not isinstance(result, (tuple, list)):
        kind = type(result).__name__
        raise UnexpectedResultError(f"{count} things are expected, not one {kind}.")
    if len(result) != count:
        raise UnexpectedResultError(f"{count} things are expected; there are {len(result)}.")
    return tuple(result)


# --- finding exercises ----------------------------------------------------------------------------


class NotFoundError(LookupError):
    """An exercise or a solution was not found."""


class SolutionCallError(AnswerError):
    """The answer to an exercise calls the course's solution of it."""


_now_checked: set[str] = set()


@contextmanager
def solution_locked(name: str) -> Iterator[None]:
    """Let calls of this solution raise SolutionCallError inside the block."""
    _now_checked.add(name)
    try:
        yield
    finally:
        _now_checked.discard(name)


def right_answer(name: str) -> Any:
    """Return the last definition of the solution: a function, or a named value; None without it."""
    _raise_if_locked(name)
    with suppress(NotFoundError):  # an exercise of a teacher's own may have none
        return _right_answer(name)


def _raise_if_locked(name: str) -> None:
    if name in _now_checked:
        raise SolutionCallError(f"It calls the course's solution of {name!r}.")


@cache
def _right_answer(name: str) -> Any:
    found = find_exercise(name).solution
    if found is None:
        found = _run_solution(name)
    if not inspect.isfunction(found):
        return found

    @functools.wraps(found)
    def course_solution(*arguments: Any, **options: Any) -> Any:
        _raise_if_locked(name)
        return found(*arguments, **options)

    return course_solution


def _run_solution(name: str) -> Any:
    cell, around = solution_cell(name)
    namespace: dict[str, Any] = {}
    for other in around:
        for node in ast.parse(other.source).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                exec(ast.unparse(node), namespace)
    exec(compile(cell.source, f"<solution of {name}>", "exec"), namespace)
    last: Any = ast.parse(cell.source).body[-1]
    defined = ast.unparse(last.targets[0]) if isinstance(last, ast.Assign) else last.name
    return namespace[defined]


def course_folders() -> list[Path]:
    """Return the folders that may hold exercises/ and src/: the current one, and the course's.

    A wheel carries notebooks/ inside the package; in a clone it is next to it.
    """
    package = Path(__file__).parents[1]
    carried = package / "course_files"
    return [Path.cwd(), carried if carried.is_dir() else package.parent / "notebooks"]


@cache
def load_exercises() -> dict[str, Exercise]:
    """Return every exercise: those of the course, and those in exercises/ of the current folder."""
    course = import_module("tinyadtn.course.exercises")
    for module in iter_modules(course.__path__):
        import_module(f"{course.__name__}.{module.name}")
    for file in sorted(Path("exercises").glob("ex*.py")):
        spec: Any = spec_from_file_location(f"exercises_{file.stem}", file)
        spec.loader.exec_module(module_from_spec(spec))
    return _exercises


def find_exercise(name: str) -> Exercise:
    """Return the exercise with this name; NotFoundError gives the nearest name, or all."""
    known = load_exercises()
    if not isinstance(name, str):
        shown = type(name).__name__
        raise NotFoundError(f"The name of the exercise comes first, in quotes; this is a {shown}.")
    if name not in known:
        hint = nearest(name, known) or f"; the names are {', '.join(known)}."
        raise NotFoundError(f"No exercise is called {name!r}{hint}")
    return known[name]


def is_student_edition() -> bool:
    """Return whether the current folder is a student edition."""
    return Path(STUDENT_MARK).exists()


def solution_source(name: str) -> str:
    """Return the code of the solution; a student edition has none."""
    if is_student_edition():
        raise NotFoundError("This is the student edition: your teacher has the solutions.")
    own = find_exercise(name).solution
    return solution_cell(name)[0].source if own is None else inspect.getsource(own)


def solution_cell(name: str) -> tuple[Cell, list[Cell]]:
    """Return the solution of an exercise, and the code cells of its notebook."""
    for file in (file for folder in course_folders() for file in sorted(folder.glob("src/*.py"))):
        cells = read_cells(file)
        for cell in cells:
            if cell.kind == "solution" and cell.exercise == name:
                return cell, [c for c in cells if c.kind == "code"]
    raise NotFoundError(f"No solution is called {name!r}.")


def solution_files() -> list[Path]:
    """Return beginnings of the paths of all files that contain right answers."""
    folders = [folder / name for folder in course_folders() for name in ("src", "exercises")]
    course = Path(__file__).parents[1] / "course" / "exercises"
    hidden = [
        course / f"{cache}{name}" for cache in ("", "__pycache__/") for name in ("ex", "broken")
    ]
    return [*folders, *hidden]
