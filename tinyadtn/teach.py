"""What the notebooks ask of their reader, and how they answer: checks, hints, solutions.

    tanh = teach.check("tanh", tanh)    # how far yours is from right; never stops the notebook
    teach.hint("tanh")                  # one more hint each time
    teach.solution("tanh")              # the code, on request

``check`` returns your function if it is right, and the course's own until then: whatever comes
after runs in any case. The exercises, with hints and with wrong answers that the check must reject,
are in `notebooks/exercises/`; the solutions are in `notebooks/src/`.

Where the text of a notebook gives a result in digits, a cell compares it with the run:

    teach.states("2.303", losses[0], within=0.001)
"""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .percent import Cell, read_cells

__all__ = ["check", "fast", "hint", "pick", "reveal", "solution", "states"]

T = TypeVar("T")
fast = os.environ.get("TINYADTN_FAST", "0") not in ("", "0")


def pick(full: T, quick: T, /) -> T:
    """``full`` for a reader; ``quick`` where the notebook is only tested (TINYADTN_FAST=1).

    >>> epochs = pick(8, 1)
    """
    return quick if fast else full


# --- predict, then run ---------------------------------------------------------------------------


def reveal(guess: Any, value: Any) -> None:
    """Print the answer beside the guess; None is no guess, and that is all right too.

    >>> reveal(None, 2.5)
    no guess; it is 2.5
    >>> reveal(2, 2.5)
    your guess: 2; it is 2.5
    """
    print(f"{'no guess' if guess is None else f'your guess: {guess}'}; it is {_short(value)}")


def states(text: str, value: Any, *, within: float = 0.0, always: bool = False) -> None:
    """Compare a number in the notebook's text, as it is written there, with this run's.

    They agree if they differ by no more than ``within`` and half of the last digit written. In fast
    mode only what ``always`` holds is compared. A difference is printed; with TINYADTN_STRICT=1, as
    in the tests, it is an AssertionError.

    >>> states("1.6e-12", 1.63e-12)
    the text says 1.6e-12, this run has 1.63e-12: they agree
    """
    if fast and not always:
        print(f"the text says {text}; fast mode has {_short(value)}")
        return
    digits = text.replace(",", "").replace("−", "-").replace("%", "").strip()
    mantissa, _, exponent = digits.partition("e")
    last = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    agrees = abs(float(value) - float(digits)) <= within + 0.5000001 * last
    sentence = f"the text says {text}, this run has {_short(value)}"
    if not agrees and os.environ.get("TINYADTN_STRICT", "0") not in ("", "0"):
        raise AssertionError(f"{sentence}: more than {within:g} apart")
    print(f"{sentence}: {'they agree' if agrees else f'more than {within:g} apart'}")


# --- exercises -----------------------------------------------------------------------------------

Case = tuple[str, Any, Any]  # what was tried, what is right, what the answer gave
CheckFunction = Callable[[Any, np.random.Generator], Iterator[Case]]


@dataclass
class Exercise:
    """A check yields cases for an answer; an answer is right if every case is within tolerance."""

    name: str
    cases: CheckFunction
    hints: tuple[str, ...]
    wrong: tuple[Callable[..., Any], ...]
    tolerance: float
    hints_given: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Verdict:
    """What came out of a check. ``state`` is "right", "wrong" or "not done yet"."""

    state: str
    message: str


_exercises: dict[str, Exercise] = {}
_handed_out: dict[str, Any] = {}  # the course's own answers, where a check has returned them


def exercise(
    name: str,
    *,
    hints: tuple[str, ...],
    wrong: tuple[Callable[..., Any], ...],
    tolerance: float = 1e-9,
) -> Callable[[CheckFunction], CheckFunction]:
    """Register a check: a generator of cases (what was tried, what is right, what came out).

    ``wrong`` are answers that the check must reject, three or more; the tests see to that.
    ``tolerance`` bounds the largest difference, relative to the largest right number if above 1.
    """

    def register(cases: CheckFunction) -> CheckFunction:
        _exercises[name] = Exercise(name, cases, hints, wrong, tolerance)
        return cases

    return register


def check(name: str, answer: Any, *, seed: int = 0) -> Any:
    """Try the answer on many cases; print exact, approximate and the largest difference.

    Returns the answer if it is right, else the course's. Nothing that the answer does stops it.
    """
    try:
        found = _exercise(name)
    except _NotFoundError as error:
        print(error)
        return answer
    if answer is not None and answer is _handed_out.get(name):
        print(f"{name}: this is the course's own. Run your cell again, then this one.")
        return answer
    verdict = judge(found, answer, seed)
    print(f"{name}: {verdict.state}. {verdict.message}")
    if verdict.state == "right":
        return answer
    print(f'  teach.hint("{name}") helps; what follows uses the course\'s own.')
    try:
        _handed_out[name] = right_answer(name)
        return _handed_out[name]
    except _NotFoundError as error:
        print(error)
        return answer


def judge(exercise: Exercise, answer: Any, seed: int) -> Verdict:
    """The verdict on an answer, whatever it is or does."""
    if answer is None or answer is NotImplemented:
        return Verdict("not done yet", "Write it in the cell above and run both again.")
    count, worst, exact = 0, 0.0, True
    try:
        with np.errstate(all="ignore"):
            for tried, right, got in exercise.cases(answer, np.random.default_rng(seed)):
                if got is None or got is NotImplemented:
                    return Verdict("not done yet", f"For {tried} it returns {got}.")
                distance, scale, problem = _compare(right, got)
                if problem or not distance <= exercise.tolerance * scale:
                    return Verdict("wrong", _refusal(tried, right, got, distance, problem))
                count, worst = count + 1, max(worst, distance)
                exact = exact and distance == 0
    except NotImplementedError:
        return Verdict("not done yet", "It raises NotImplementedError.")
    except Exception as error:  # a reader's code may do anything
        where = traceback.extract_tb(error.__traceback__)[-1]
        line = f" (in the line: {where.line})" if where.line else ""
        return Verdict("wrong", f"It raises {type(error).__name__}: {error}{line}")
    if count == 0:
        return Verdict("wrong", "No case was tried.")
    message = (
        f"exact: {exact} | approximate: True | max difference: {worst:.1e}, over {count} cases"
    )
    return Verdict("right", message)


def _compare(right: Any, got: Any) -> tuple[float, float, str]:
    """(largest difference, scale of the right one, what else is the matter)."""
    right = np.asarray(right)
    try:
        got = np.asarray(got)
        numbers = got.astype(np.result_type(right.dtype, np.float64))
    except (TypeError, ValueError):
        return np.inf, 1.0, f"a number or an array is expected, not a {type(got).__name__}"
    if got.shape != right.shape:
        return np.inf, 1.0, f"the shape should be {right.shape}, it is {got.shape}"
    distance = float(np.abs(numbers - right).max(initial=0.0))
    return distance, max(1.0, float(np.abs(right).max(initial=0.0))), ""


def _refusal(tried: str, right: Any, got: Any, distance: float, problem: str) -> str:
    if problem:
        return f"For {tried}: {problem}."
    if np.size(right) == 1:
        return (
            f"For {tried}: right {_short(right)}, yours {_short(got)} | exact: False | "
            f"approximate: False | max difference: {distance:.1e}"
        )
    return f"For {tried}: exact: False | approximate: False | max difference: {distance:.1e}"


def _short(value: Any) -> str:
    if (
        isinstance(value, (bool, np.bool_))
        or np.size(value) != 1
        or np.asarray(value).dtype.kind not in "iuf"
    ):
        return str(value)
    number = np.asarray(value).item()
    whole = isinstance(number, int) or (abs(number) < 1e15 and number == int(number))
    return f"{number:,.0f}" if whole else f"{number:,.6g}"


# --- hints and solutions -------------------------------------------------------------------------


def hint(name: str) -> None:
    """Print the next hint for an exercise."""
    try:
        found = _exercise(name)
    except _NotFoundError as error:
        print(error)
        return
    number = found.hints_given % len(found.hints)
    found.hints_given += 1
    print(f"Hint {number + 1} of {len(found.hints)}: {found.hints[number]}")
    if number + 1 == len(found.hints):
        print(f'The code: teach.solution("{name}")')


def solution(name: str) -> None:
    """Print the course's answer to an exercise."""
    try:
        print(_solution_cell(name)[0].source)
    except _NotFoundError as error:
        print(error)


@cache
def right_answer(name: str) -> Any:
    """What the solution defines last: a function, or a value with a name."""
    _load(notebooks_folder())
    cell, around = _solution_cell(name)
    namespace: dict[str, Any] = {}
    for other in around:
        for node in ast.parse(other.source).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                exec(ast.unparse(node), namespace)
    exec(compile(cell.source, f"<solution of {name}>", "exec"), namespace)
    last: Any = ast.parse(cell.source).body[-1]
    name = ast.unparse(last.targets[0]) if isinstance(last, ast.Assign) else last.name
    return namespace[name]


class _NotFoundError(LookupError):
    pass


def notebooks_folder() -> Path:
    """The folder of the course: here, below here, or beside the package in a clone."""
    places = [Path.cwd(), Path.cwd() / "notebooks", Path(__file__).parents[1] / "notebooks"]
    for place in places:
        if (place / "exercises").is_dir() and (place / "src").is_dir():
            return place
    raise _NotFoundError(
        "The checks and solutions are in the folder notebooks/ of the repository: start Jupyter "
        f"there (looked in {', '.join(map(str, places))})."
    )


@cache
def _load(folder: Path) -> dict[str, Exercise]:
    """Every exercise of the course, from the files that register them."""
    if str(folder) not in sys.path:  # they import from each other
        sys.path.append(str(folder))
    for file in sorted((folder / "exercises").glob("ex*.py")):
        spec: Any = importlib.util.spec_from_file_location(f"exercises_{file.stem}", file)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return _exercises


def _exercise(name: str) -> Exercise:
    known = _load(notebooks_folder())
    if name not in known:
        raise _NotFoundError(f"No exercise is called {name!r}: {', '.join(known)}.")
    return known[name]


def _solution_cell(name: str) -> tuple[Cell, list[Cell]]:
    """The solution of an exercise, and the code cells of its notebook."""
    for file in sorted((notebooks_folder() / "src").glob("*.py")):
        cells = read_cells(file)
        for cell in cells:
            if cell.kind == "solution" and cell.exercise == name:
                return cell, [c for c in cells if c.kind == "code"]
    raise _NotFoundError(f"No solution is called {name!r}.")
