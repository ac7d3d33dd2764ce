"""The verdict on an answer: right, wrong with the smallest counterexample found, or not done yet.

``judge`` runs the cases of an exercise. It stops at the first wrong case, unless it has the right
answer: then it looks for a smaller counterexample. Only cases with smaller arguments still call
the reader's answer, so an answer that never returns on large cases cannot hang the search.
"""

from __future__ import annotations

import functools
import os
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .exercises import AnswerError, Exercise

# Lines of these folders are not the reader's.
OUR_FOLDERS = tuple(str(Path(f).parent) for f in (os.__file__, np.__file__, Path(__file__).parent))

NOT_IMPLEMENTED = "It raises NotImplementedError."
CHANGES = "It changes an array that it is given. Return a new array."
# What a check raises if a value that is not a function has a type or a length it cannot use.
WRONG_FORM = ("AttributeError", "IndexError", "KeyError", "TypeError", "ValueError")


class NothingReturnedError(AnswerError):
    """An answer returned None or NotImplemented."""


@dataclass(frozen=True)
class Verdict:
    """The result of a check. ``state`` is "right", "wrong" or "not done yet"."""

    state: str
    message: str
    passed: int = 0  # cases that were right


def judge(
    exercise: Exercise,
    answer: Any,
    seed: int,
    right_answer: Any = None,
    *,
    catch: type[BaseException] = BaseException,
) -> Verdict:
    """Return the verdict on an answer; errors of the answer, of type ``catch``, are part of it."""
    if answer is None or answer is NotImplemented:
        return Verdict("not done yet", "Write it in the cell above and run both again.")
    calls = Calls(exercise.asked(answer), exercise.asked(right_answer))
    passed, worst, problem = 0, 0.0, ""
    try:
        with np.errstate(all="ignore"):
            for tried, right, got in exercise.cases(calls.answer, np.random.default_rng(seed)):
                if problem and not calls.smaller():
                    continue
                if (got is None or got is NotImplemented) and not calls.last:
                    return Verdict("not done yet", f"{tried}: no answer yet.", passed)
                distance, found = compare(right, got, exercise.tolerance)
                if found:
                    problem = calls.problem(tried, right, got, found)
                    if not calls.seek_smaller():
                        break
                else:
                    passed, worst = passed + (not problem), max(worst, distance)
    except catch as error:  # the code of a reader may raise anything
        if not problem:
            check_file = exercise.cases.__code__.co_filename
            called_with = calls.in_words() if exercise.ask is None else ""
            message = _describe_error(error, answer, calls.last, called_with, check_file)
            is_empty = message == NOT_IMPLEMENTED
            if isinstance(error, NothingReturnedError):
                is_empty = passed == 0
                missing = f"{error} Is a return missing? {called_with}".rstrip()
                message = str(error) if is_empty else missing
            return Verdict("not done yet" if is_empty else "wrong", message, passed)
    if problem:
        return Verdict("wrong", problem, passed)
    if passed == 0:
        return Verdict("wrong", "No case was tried.")
    cases = "1 case" if passed == 1 else f"{passed} cases"
    figures = f"largest difference {worst:.0e}" if worst else "no difference"
    return Verdict("right", f"{cases}, {figures}.", passed)


class Calls:
    """An answer whose calls are seen: the arguments, and what was returned."""

    def __init__(self, answer: Any, right_answer: Any) -> None:
        self.answer: Any = answer
        self.last: tuple[Any, ...] = ()
        self._arguments: list[Any] = []
        self._limit: tuple[float, float] | None = None
        self._can_seek = False
        if not callable(answer) or isinstance(answer, type):
            return
        self._can_seek = callable(right_answer)

        @functools.wraps(answer)
        def called(*arguments: Any, **options: Any) -> Any:
            self._arguments = [*arguments, *options.values()]
            if self._limit is not None and not self.smaller():
                return right_answer(*arguments, **options)
            # Copies: a check may compute the right result from its arrays after the call.
            given = [copied(argument) for argument in arguments]
            self.last = ()
            result = answer(*given, **options)
            if result is None or result is NotImplemented:
                raise NothingReturnedError(f"It returns {result}.")
            self.last = (result,)
            if any(map(is_changed, arguments, given)):
                raise AnswerError(CHANGES)
            return self.last[0]

        self.answer = called

    def seek_smaller(self) -> bool:
        """From now on call the answer only with smaller arguments; False if that cannot be."""
        self._limit = size_of(self._arguments)
        return self._can_seek

    def smaller(self) -> bool:
        return self._limit is not None and size_of(self._arguments) < self._limit

    def in_words(self) -> str:
        """Return the arguments of the last call as a sentence, "" if they do not fit into one."""
        words = []
        for value in self._arguments:
            if isinstance(value, np.ndarray):
                words.append(f"an array {value.shape}")
            elif isinstance(value, (list, tuple)) and len(str(value)) > 40:
                words.append(f"a {type(value).__name__} of {len(value)} values")
            elif isinstance(value, (int, float, str, list, tuple)):
                words.append(_quoted(value))
            else:
                return ""
        sentence = f"It was called with {', '.join(words)}."
        return sentence if words and len(sentence) <= 100 else ""

    def problem(self, tried: str, right: Any, got: Any, found: str) -> str:
        """Return the sentence about a case that failed."""
        is_property = isinstance(got, (bool, np.bool_)) and got is not self.answer
        if not is_property or (self.last and self.last[0] is got):
            return f"For {tried}: {found}"  # the answer itself is compared
        sentence = f"Not fulfilled: {tried}." if right is True else f"For {tried}: {found}"
        words, values = "Your function returned", self.last
        if not callable(self.answer):
            words, values = "Your answer is", (self.answer,)
        given = _quoted(values[0]) if values else " …"
        # Not the beginning of something large, which helps nobody.
        return sentence if given.endswith(" …") else f"{sentence} {words} {given}."


def copied(value: Any) -> Any:
    """Return a value in which no array, list or dict is shared with the given one."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) in (list, tuple):
        return type(value)(map(copied, value))
    return {k: copied(v) for k, v in value.items()} if type(value) is dict else value


def is_changed(before: Any, after: Any) -> bool:
    if not isinstance(before, np.ndarray) or before.dtype.kind not in "biufc":
        return False
    return before.tobytes() != after.tobytes()


def size_of(value: Any) -> tuple[float, float]:
    """Return how many numbers a value has and how large they are, to compare counterexamples.

    >>> size_of([3, -4.0]), size_of(np.ones((2, 3)))
    ((2.0, 7.0), (6.0, 6.0))
    """
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        sizes = [size_of(part) for part in value]
        return sum(s[0] for s in sizes) + 0.0, sum(s[1] for s in sizes) + 0.0
    if isinstance(value, (int, float, np.ndarray, np.generic)):
        array = np.asarray(value)
        if array.dtype.kind in "biufc":
            return float(array.size), float(np.abs(array.astype(complex)).sum())
    return 1.0, 0.0


# --- comparing -----------------------------------------------------------------------------------


def compare(right: Any, got: Any, tolerance: float) -> tuple[float, str]:
    """Return the largest difference and a description of the problem, "" if there is none."""
    if isinstance(right, np.ndarray) and right.ndim and isinstance(got, (list, tuple)):
        # The cells that follow compute with the answer.
        return np.inf, f"an array is expected, not a {type(got).__name__}."
    right = np.asarray(right)
    expected = "True or False" if right.dtype == bool else "a number or an array"
    if right.dtype.kind in "US":
        same = isinstance(got, str) and got == str(right)
        return (0.0, "") if same else (np.inf, f"right {str(right)!r}, yours {_quoted(got)}.")
    try:
        given = np.asarray(got)
        if given.dtype.kind not in "biufc":
            raise TypeError
        numbers = given.astype(np.result_type(right.dtype, given.dtype, np.float64))
    except (TypeError, ValueError):
        kind = "" if hasattr(type(got), "is_remote") else f" ({type(got).__name__})"
        return np.inf, f"{expected} is expected, not {_quoted(got)}{kind}."
    if given.shape != right.shape:
        return np.inf, f"the shape should be {right.shape}, it is {given.shape}."
    off = np.abs(numbers - right)
    distance = float(off.max(initial=0.0))
    if distance <= tolerance * max(1.0, float(np.abs(right).max(initial=0.0))):
        return distance, ""
    counts = right.dtype.kind in "iu" and right.ndim == 1 and right.size <= 3
    if right.size == 1 or counts:
        problem = _side_by_side(right, given)
        is_telling = distance < 1e-3 * np.abs(right).max()  # else the numbers show it
    else:
        where = np.unravel_index(np.argmax(off), off.shape)  # a NaN counts as the largest
        problem = f"at {[int(k) for k in where]} {_side_by_side(right[where], given[where])}"
        is_telling = np.isfinite(distance)
    if right.dtype == bool or not is_telling:
        return distance, f"{problem}."
    return distance, f"{problem}; the largest difference is {distance:.1e}."


def _side_by_side(right: np.ndarray, given: np.ndarray) -> str:
    shown = _whole(right), _whole(given)
    if shown[0] == shown[1]:  # they differ in later digits
        shown = str(right), str(given)
    return f"right {shown[0]}, yours {shown[1]}"


def _whole(array: np.ndarray) -> str:
    return short(array) if array.size == 1 else f"({', '.join(map(short, array.ravel()))})"


def _quoted(value: Any) -> str:
    """A value within a sentence: on one line, a text in quotes."""
    return repr(value)[:100] if isinstance(value, str) else " ".join(short(value, 100).split())


def short(value: Any, most: int = 200) -> str:
    """Return a number with a few digits; anything else as Python prints it, cut if it is long."""
    if isinstance(value, (int, float, np.ndarray, np.generic)):
        array = np.asarray(value)
        if array.size == 1 and array.dtype.kind in "iuf":
            number = array.item()
            whole = isinstance(number, int) or (abs(number) < 1e15 and number == int(number))
            return f"{number:,.0f}" if whole else f"{number:,.6g}"
    try:
        text = str(value)
    except Exception:  # the object of a reader may not even print
        text = f"an object of type {type(value).__name__}"
    return text if len(text) <= most else f"{text[:most]} …"


# --- sentences -----------------------------------------------------------------------------------


def _describe_error(
    error: BaseException, answer: Any, last: tuple, called_with: str, check_file: str
) -> str:
    if isinstance(error, AnswerError):
        return f"{error}"
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, StopIteration):
        error = error.__cause__
    kind, text, line = name_error(error, check_file)
    where = f" (in the line: {line})" if line else ""
    if not callable(answer) and "not callable" in text:
        return f"A function is expected, not {_quoted(answer)}."
    if kind == "SystemExit":
        return f"It ends the program, by exit() or quit(){where}. A function returns its result."
    if kind == "KeyboardInterrupt":
        return f"It was interrupted{where}. Does a loop never end?"
    if kind == "RecursionError":
        return f"RecursionError: it calls itself too often, perhaps without end{where}."
    if kind == "MemoryError":
        return f"MemoryError: it needs more memory than there is{where}. {text}".rstrip()
    if kind == "NotImplementedError":
        return NOT_IMPLEMENTED
    if kind == "UnexpectedResultError":  # in another process
        return text
    if last and not line:  # the check could not use what was returned
        return f"It returned {_quoted(last[0])}, which cannot be checked: {kind}: {text}"
    if not callable(answer) and not line and kind in WRONG_FORM:
        return f"The answer {_quoted(answer)} has another form than the exercise asks for."
    raised = f"It raises {kind}: {text}{where}"
    return f"{raised.rstrip('.')}. {called_with}" if called_with else raised


def name_error(error: BaseException, check_file: str = "") -> tuple[str, str, str]:
    """Return the error's type, its text, and the reader's line that raised it ("" if none)."""
    raised = getattr(error, "raised", None)  # in another process
    if raised is not None:
        return raised
    frames = traceback.extract_tb(error.__traceback__)
    ours = (*OUR_FOLDERS, check_file) if check_file else OUR_FOLDERS
    lines = [f.line or "" for f in frames if not f.filename.startswith(ours)]
    return type(error).__name__, str(error), lines[-1] if lines else ""
