"""Functions for the reader of a notebook: checks, hints, solutions.

    tanh = teach.check("tanh", tanh)    # compares your answer; never stops the notebook
    teach.hint("tanh")                  # one more hint each time
    teach.solution("tanh")              # the code, on request

``check`` returns your function if it is right, and else the solution of the course, so the
following cells run in any case. The exercises, with hints and with wrong answers that the check
must reject, are in `tinyadtn/course/exercises/`; the solutions are in `notebooks/src/`.

A line of a source compares a number of the text with the run; the notebook is made without it:

    teach.states("2.303", losses[0], within=0.001)
"""

from __future__ import annotations

import os
from typing import Any, TypeVar

from .exercises import (
    NotFoundError,
    find_exercise,
    is_student_edition,
    load_exercises,
    right_answer,
    solution_locked,
    solution_source,
)
from .judging import judge, short

T = TypeVar("T")
fast = os.environ.get("TINYADTN_FAST", "0") not in ("", "0")


def pick(full: T, quick: T, /) -> T:
    """Return ``full`` for a reader, and ``quick`` if the notebook is only tested (TINYADTN_FAST=1).

    >>> epochs = pick(8, 1)
    """
    return quick if fast else full


# --- predict, then run ---------------------------------------------------------------------------


def reveal(guess: Any, value: Any, what: str = "") -> None:
    """Print the value next to the guess; None means that the reader made no guess.

    ``what`` names the value, where a cell reveals several.

    >>> reveal(None, 2.5)
    no guess; it is 2.5
    >>> reveal(2, 2.5)
    your guess: 2; it is 2.5
    >>> reveal(2, 2.5, "depth 1")
    depth 1: your guess: 2; it is 2.5
    """
    guessed = "no guess" if guess is None else f"your guess: {guess}"
    print(f"{what}{': ' * bool(what)}{guessed}; it is {short(value)}")


def states(text: str, value: Any, *, within: float = 0.0, always: bool = False) -> None:
    """Compare a number, as the notebook's text gives it, with the value of this run.

    They agree if they differ by no more than ``within`` plus half of the last digit in the text.
    Nothing is printed if they agree. A difference is printed; with TINYADTN_STRICT=1, as in the
    tests, it raises AssertionError. In fast mode nothing is compared unless ``always`` is set.

    >>> states("1.6e-12", 1.63e-12)
    >>> states("1.6e-12", 1.73e-12)
    the text says 1.6e-12, this run has 1.73e-12: more than 0 apart
    """
    if fast and not always:
        return
    digits = text.replace(",", "").replace("−", "-").replace("%", "").strip()
    mantissa, _, exponent = digits.partition("e")
    last = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    agrees = abs(float(value) - float(digits)) <= within + 0.5000001 * last
    if agrees:
        return
    sentence = f"the text says {text}, this run has {short(value)}: more than {within:g} apart"
    if os.environ.get("TINYADTN_STRICT", "0") not in ("", "0"):
        raise AssertionError(sentence)
    print(sentence)


# --- checks, hints, solutions ---------------------------------------------------------------------


_states: dict[str, str] = {}  # exercise -> state of its last check


def check(name: str, answer: Any, *, seed: int = 0) -> Any:
    """Test the answer on many cases; print the verdict, and the largest difference or a wrong case.

    Return the answer if it is right or nothing follows, else the solution of the course. No error
    stops the check.
    """
    try:
        found = find_exercise(name)
    except NotFoundError as error:
        print(error)
        return answer
    own = None if found.last else right_answer(name)
    if answer is not None and answer is own:
        print(f"{name}: this is the course's own. Run your cell again, then this one.")
        return answer
    with solution_locked(name):
        verdict = judge(found, answer, seed, getattr(own, "__wrapped__", own))
    _states[name] = verdict.state
    print(f"{name}: {verdict.state}. {verdict.message}")
    if verdict.state == "right":
        return answer
    follows = "" if own is None else "; what follows uses the course's own"
    print(f'  teach.hint("{name}") helps{follows}.')
    return answer if own is None else own


def status() -> None:
    """Print the state of every exercise of the notebooks that were checked in this session."""
    known = load_exercises()
    touched = {known[name].cases.__module__ for name in _states}
    names = [name for name, found in known.items() if found.cases.__module__ in touched]
    if not names:
        print("No exercise has been checked yet.")
        return
    states = {name: _states.get(name, "not checked yet") for name in names}
    width = max(map(len, names))
    for name, state in states.items():
        print(f"{name:<{width}}  {state}")
    print(f"{list(states.values()).count('right')} of {len(names)} right")


def hint(name: str) -> None:
    """Print the next hint for an exercise; a student edition leaves out the last of several."""
    try:
        found = find_exercise(name)
        hints = found.hints
        if is_student_edition():  # the last hint is often the code
            hints = hints[:-1] or hints
        number = found.hints_given % len(hints)
        found.hints_given += 1
        print(f"Hint {number + 1} of {len(hints)}: {hints[number]}")
        if number + 1 == len(hints) and not is_student_edition():
            print(f'The code: teach.solution("{name}")')
    except NotFoundError as error:
        print(error)


def solution(name: str) -> None:
    """Print the solution of an exercise."""
    try:
        print(solution_source(name))
    except NotFoundError as error:
        print(error)
