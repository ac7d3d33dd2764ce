"""Exercises of the notebooks: how they are registered, found and judged.

A check is a generator of cases for an answer. Checks, hints, and wrong answers that the check must
reject are in `tinyadtn/course/exercises/`; the right answers are the solutions in `notebooks/src/`.
"""

from __future__ import annotations

import ast
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import numpy as np

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
    hints_given: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Verdict:
    """The result of a check. ``state`` is "right", "wrong" or "not done yet"."""

    state: str
    message: str


_exercises: dict[str, Exercise] = {}


def exercise(
    name: str,
    *,
    hints: tuple[str, ...],
    wrong: tuple[Any, ...],
    tolerance: float = 1e-9,
) -> Callable[[CheckFunction], CheckFunction]:
    """Register a check: a generator of cases (description, right result, result of the answer).

    ``wrong`` are three or more answers that the check must reject, as the tests verify.
    ``tolerance`` bounds the largest difference, relative to the largest right value if above 1.
    """

    def register(cases: CheckFunction) -> CheckFunction:
        _exercises[name] = Exercise(name, cases, hints, wrong, tolerance)
        return cases

    return register


def judge(exercise: Exercise, answer: Any, seed: int) -> Verdict:
    """Return the verdict on an answer; errors of the answer are part of the verdict."""
    if answer is None or answer is NotImplemented:
        return Verdict("not done yet", "Write it in the cell above and run both again.")
    count, worst = 0, 0.0
    try:
        with np.errstate(all="ignore"):
            for tried, right, got in exercise.cases(answer, np.random.default_rng(seed)):
                if got is None or got is NotImplemented:
                    shown = f"For {tried} it returns {got}." if callable(answer) else ""
                    return Verdict("not done yet", shown or f"{tried}: no answer yet.")
                distance, problem = _compare(right, got, exercise.tolerance)
                if problem:
                    return Verdict("wrong", f"For {tried}: {problem}")
                count, worst = count + 1, max(worst, distance)
    except UnexpectedResultError as error:
        return Verdict("wrong", f"{error}")
    except NotImplementedError:
        return Verdict("not done yet", "It raises NotImplementedError.")
    except Exception as error:  # the code of a reader may raise anything
        where = traceback.extract_tb(error.__traceback__)[-1]
        line = f" (in the line: {where.line})" if where.line else ""
        return Verdict("wrong", f"It raises {type(error).__name__}: {error}{line}")
    if count == 0:
        return Verdict("wrong", "No case was tried.")
    figures = f"approximate: True | max difference: {worst:.1e}, over {count} cases"
    return Verdict("right", f"exact: {worst == 0} | {figures}")


class UnexpectedResultError(TypeError):
    """An answer returned a result of another form than its exercise asks for."""


def parts(result: Any, count: int) -> tuple[Any, ...]:
    """Return the ``count`` parts of an answer's result; each is None if the result is None.

    >>> parts((1.0, 2.0), 2), parts(None, 2)
    ((1.0, 2.0), (None, None))
    >>> parts((1.0, 2.0), 3)
    Traceback (most recent call last):
    tinyadtn.teach.exercises.UnexpectedResultError: It should return 3 things; it returns 2.
    """
    if result is None or result is NotImplemented:
        return (result,) * count
    if not isinstance(result, (tuple, list)):
        kind = type(result).__name__
        raise UnexpectedResultError(f"It should return {count} things; it returns one {kind}.")
    if len(result) != count:
        raise UnexpectedResultError(f"It should return {count} things; it returns {len(result)}.")
    return tuple(result)


def _compare(right: Any, got: Any, tolerance: float) -> tuple[float, str]:
    """Return the largest difference and a description of the problem, "" if there is none."""
    right = np.asarray(right)
    try:
        got = np.asarray(got)
        numbers = got.astype(np.result_type(right.dtype, np.float64))
    except (TypeError, ValueError):
        return np.inf, f"a number or an array is expected, not a {type(got).__name__}."
    if got.shape != right.shape:
        return np.inf, f"the shape should be {right.shape}, it is {got.shape}."
    off = np.abs(numbers - right)
    distance = float(off.max(initial=0.0))
    if distance <= tolerance * max(1.0, float(np.abs(right).max(initial=0.0))):
        return distance, ""
    where = np.unravel_index(np.argmax(off), off.shape)  # a NaN counts as the largest
    place = f"at {[int(k) for k in where]} " if right.size > 1 else ""
    problem = f"{place}right {short(right[where])}, yours {short(got[where])}"
    if right.dtype == bool:  # a difference of booleans has no size
        return distance, problem
    figures = f"exact: False | approximate: False | max difference: {distance:.1e}"
    return distance, f"{problem} | {figures}"


def short(value: Any) -> str:
    """Return a number with a few digits; anything else as Python prints it."""
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "iuf":
        return str(value)
    number = array.item()
    whole = isinstance(number, int) or (abs(number) < 1e15 and number == int(number))
    return f"{number:,.0f}" if whole else f"{number:,.6g}"


# --- finding exercises ----------------------------------------------------------------------------


@cache
def right_answer(name: str) -> Any:
    """Return the last definition of the solution: a function, or a named value."""
    load_exercises()
    cell, around = solution_cell(name)
    namespace: dict[str, Any] = {}
    for other in around:
        for node in ast.parse(other.source).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                exec(ast.unparse(node), namespace)
    exec(compile(cell.source, f"<solution of {name}>", "exec"), namespace)
    last: Any = ast.parse(cell.source).body[-1]
    name = ast.unparse(last.targets[0]) if isinstance(last, ast.Assign) else last.name
    return namespace[name]


class NotFoundError(LookupError):
    """An exercise or a solution was not found."""


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
    """Return the exercise with this name; NotFoundError lists the names."""
    known = load_exercises()
    if name not in known:
        raise NotFoundError(f"No exercise is called {name!r}: {', '.join(known)}.")
    return known[name]


def solution_cell(name: str) -> tuple[Cell, list[Cell]]:
    """Return the solution of an exercise, and the code cells of its notebook."""
    for file in (file for folder in course_folders() for file in sorted(folder.glob("src/*.py"))):
        cells = read_cells(file)
        for cell in cells:
            if cell.kind == "solution" and cell.exercise == name:
                return cell, [c for c in cells if c.kind == "code"]
    raise NotFoundError(f"No solution is called {name!r}.")
