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

import os
from typing import Any, TypeVar

from .exercises import NotFoundError, find_exercise, judge, right_answer, short, solution_cell

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
    print(f"{'no guess' if guess is None else f'your guess: {guess}'}; it is {short(value)}")


def states(text: str, value: Any, *, within: float = 0.0, always: bool = False) -> None:
    """Compare a number in the notebook's text, as it is written there, with this run's.

    They agree if they differ by no more than ``within`` and half of the last digit written. In fast
    mode only what ``always`` holds is compared. A difference is printed; with TINYADTN_STRICT=1, as
    in the tests, it is an AssertionError.

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


_handed_out: dict[str, Any] = {}  # the course's own answers, where a check has returned them


def check(name: str, answer: Any, *, seed: int = 0) -> Any:
    """Try the answer on many cases; print exact, approximate and the largest difference.

    Returns the answer if it is right, else the course's. Nothing that the answer does stops it.
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
    """Print the course's answer to an exercise."""
    try:
        print(solution_cell(name)[0].source)
    except NotFoundError as error:
        print(error)
