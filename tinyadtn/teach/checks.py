"""Functions for the reader of a notebook: checks, hints, solutions.

    tanh = teach.check("tanh", tanh)    # compares your answer; never stops the notebook
    teach.hint("tanh")                  # one more hint each time
    teach.solution("tanh")              # the code, on request

``check`` returns your function if it is right, and else the solution of the course, so the
following cells run in any case. The exercises, with hints and with wrong answers that the check
must reject, are in `tinyadtn/course/exercises/`; the solutions are in `notebooks/src/`.

If the text of a notebook contains a numerical result, a cell compares it with the run:

    teach.states("2.303", losses[0], within=0.001)
"""

from __future__ import annotations

import os
from typing import Any, TypeVar

from .exercises import NotFoundError, find_exercise, judge, right_answer, short, solution_cell

T = TypeVar("T")
fast = os.environ.get("TINYADTN_FAST", "0") not in ("", "0")


def pick(full: T, quick: T, /) -> T:
    """Return ``full`` for a reader, and ``quick`` if the notebook is only tested (TINYADTN_FAST=1).

    >>> epochs = pick(8, 1)
    """
    return quick if fast else full


# --- predict, then run ---------------------------------------------------------------------------


def reveal(guess: Any, value: Any) -> None:
    """Print the value next to the guess; None means that the reader made no guess.

    >>> reveal(None, 2.5)
    no guess; it is 2.5
    >>> reveal(2, 2.5)
    your guess: 2; it is 2.5
    """
    print(f"{'no guess' if guess is None else f'your guess: {guess}'}; it is {short(value)}")


def states(text: str, value: Any, *, within: float = 0.0, always: bool = False) -> None:
    """Compare a number, as the notebook's text gives it, with the value of this run.

    They agree if they differ by no more than ``within`` plus half of the last digit in the text. In
    fast mode the comparison is skipped unless ``always`` is set. A difference is printed; with
    TINYADTN_STRICT=1, as in the tests, it raises AssertionError.

    >>> states("1.6e-12", 1.63e-12)
    the text says 1.6e-12, this run has 1.63e-12: they agree
    """
    if fast and not always:
        print(f"the text says {text}; fast mode has {short(value)}")
        return
    digits = text.replace(",", "").replace("−", "-").replace("%", "").strip()
    mantissa, _, exponent = digits.partition("e")
    last = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    agrees = abs(float(value) - float(digits)) <= within + 0.5000001 * last
    sentence = f"the text says {text}, this run has {short(value)}"
    if not agrees and os.environ.get("TINYADTN_STRICT", "0") not in ("", "0"):
        raise AssertionError(f"{sentence}: more than {within:g} apart")
    print(f"{sentence}: {'they agree' if agrees else f'more than {within:g} apart'}")


# --- checks, hints, solutions ---------------------------------------------------------------------


_handed_out: dict[str, Any] = {}  # solutions of the course that a check has returned


def check(name: str, answer: Any, *, seed: int = 0) -> Any:
    """Test the answer on many cases; print exact, approximate and the largest difference.

    Return the answer if it is right, else the solution of the course. No error stops the check.
    """
    try:
        found = find_exercise(name)
        if answer is not None and answer is _handed_out.get(name):
            print(f"{name}: this is the course's own. Run your cell again, then this one.")
            return answer
        verdict = judge(found, answer, seed)
        print(f"{name}: {verdict.state}. {verdict.message}")
        if verdict.state == "right":
            return answer
        print(f'  teach.hint("{name}") helps; what follows uses the course\'s own.')
        _handed_out[name] = right_answer(name)
        return _handed_out[name]
    except NotFoundError as error:
        print(error)
        return answer


def hint(name: str) -> None:
    """Print the next hint for an exercise."""
    try:
        found = find_exercise(name)
        number = found.hints_given % len(found.hints)
        found.hints_given += 1
        print(f"Hint {number + 1} of {len(found.hints)}: {found.hints[number]}")
        if number + 1 == len(found.hints):
            print(f'The code: teach.solution("{name}")')
    except NotFoundError as error:
        print(error)


def solution(name: str) -> None:
    """Print the solution of an exercise."""
    try:
        print(solution_cell(name)[0].source)
    except NotFoundError as error:
        print(error)
