"""Checks print, never raise, and hand back something that works."""

import sys

import numpy as np
import pytest

from tinyadtn import teach
from tinyadtn.teach import checks, exercises

EXERCISE_FILE = """
from tinyadtn.teach import exercise

@exercise("double", hints=("Add it.", "To itself."), wrong=(abs, abs, abs))
def _(answer, rng):
    for x in rng.normal(size=(5, 3)):
        yield f"x = {x}", 2 * x, answer(x)
"""
SOURCE = """\
# %%
import numpy as np

# %%
def double(x):
    ...

# %% solution: double
def helper(x):
    return np.add(x, x)


def double(x):
    return helper(x)

# %%
double = teach.check("double", double)
"""


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course with one exercise, in the current folder."""
    for folder, name, text in (("exercises", "ex1.py", EXERCISE_FILE), ("src", "01_a.py", SOURCE)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text, encoding="utf-8")
    exercises.load_exercises()  # the course's register once, and not in the dictionary below
    monkeypatch.setattr(exercises, "_exercises", {})
    monkeypatch.setattr(checks, "_states", {})
    monkeypatch.chdir(tmp_path)
    exercises.load_exercises.cache_clear()
    exercises._right_answer.cache_clear()
    yield tmp_path
    exercises.load_exercises.cache_clear()
    exercises._right_answer.cache_clear()


def double(x):
    return 2 * x


def stub(x):
    """Yours."""


def not_implemented(x):
    return NotImplemented


def todo(x):
    raise NotImplementedError


def explodes(x):
    return x[17]


def recurses(x):
    return recurses(x)


def wrong_shape(x):
    return (2 * x).sum()


def nearly(x):
    return 2 * x + 1e-6


def nan(x):
    return x * np.nan


def one_is_off(x):
    return 2 * x + np.array([0, 0, 1e-6])


def no_number(x):
    return "two"


def an_object(x):
    return object()


def exits(x):
    sys.exit()


def misspells(x):
    return dubble(x)  # noqa: F821


def interrupted(x):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (double, "double: right. 5 cases, no difference."),
        (lambda x: 2 * x * (1 + 1e-15), "right. 5 cases, largest difference "),
        (None, "not done yet"),
        (NotImplemented, "not done yet"),
        (stub, "not done yet. It returns None.\n"),
        (not_implemented, "not done yet"),
        (todo, "not done yet. It raises NotImplementedError"),
        (explodes, "wrong. It raises IndexError: index 17 is out of bounds"),
        (recurses, "wrong. RecursionError: it calls itself too often, perhaps without end (in the"),
        (wrong_shape, "the shape should be (3,), it is ()"),
        (nearly, "; the largest difference is 1.0e-06.\n"),
        (nan, "yours nan.\n"),
        (no_number, "a number or an array is expected, not 'two' (str)."),
        (lambda x: str(x[0]), "a number or an array is expected, not '"),
        (lambda x: [None, 1.0, 2.0], "an array is expected, not a list."),
        (exits, "It ends the program, by exit() or quit() (in the line: sys.exit())."),
        (interrupted, "It was interrupted (in the line: raise KeyboardInterrupt)."),
        (lambda x: next(iter(())), "wrong. It raises StopIteration"),
        (lambda: 1, "wrong. It raises TypeError: <lambda>() takes 0 positional arguments"),
        (misspells, "wrong. It raises NameError: name 'dubble' is not defined"),
        (an_object, "a number or an array is expected, not <object object"),
        (17, "wrong. A function is expected, not 17."),
        ("two", "wrong. A function is expected, not 'two'."),
        (one_is_off, "at [2] right "),
        (nan, "at [0] right "),
    ],
)
def test_what_a_check_says_and_returns(course, capsys, answer, said):
    returned = teach.check("double", answer)
    assert said in capsys.readouterr().out
    assert np.allclose(returned(np.ones(3)), 2, rtol=1e-12)
    assert (returned is answer) == ("right." in said)


def test_the_courses_own_answer_is_not_taken_for_yours(course, capsys):
    own = teach.check("double", stub)
    assert teach.check("double", own) is own
    said = capsys.readouterr().out
    assert "this is the course's own" in said and "right." not in said
    assert teach.check("double", double) is double


def test_an_answer_that_calls_the_solution_is_wrong(course, capsys):
    own = exercises.right_answer("double")
    for answer in (
        lambda x: own(x),
        lambda x: exercises.right_answer("double")(x),
        lambda x: teach.check("double", None)(x),
    ):
        assert teach.check("double", answer) is own
        said = capsys.readouterr().out
        assert "wrong. It calls the course's solution of 'double'." in said
    assert own(3) == 6  # the notebook goes on with it


def test_the_status_lists_the_exercises_of_the_notebook(course, capsys):
    teach.status()
    assert capsys.readouterr().out == "No exercise has been checked yet.\n"
    teach.check("double", stub)
    teach.status()
    assert "double  not done yet\n0 of 1 right" in capsys.readouterr().out
    teach.check("double", double)
    teach.status()
    assert "double  right\n1 of 1 right" in capsys.readouterr().out


def test_a_student_edition_shows_no_solution(course, capsys):
    (course / exercises.STUDENT_MARK).touch()
    teach.solution("double")
    assert (
        capsys.readouterr().out == "This is the student edition: your teacher has the solutions.\n"
    )


def test_a_student_edition_leaves_out_the_last_hint(course, capsys):
    (course / exercises.STUDENT_MARK).touch()
    teach.hint("double")
    teach.hint("double")
    assert capsys.readouterr().out == "Hint 1 of 1: Add it.\n" * 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("duoble", "No exercise is called 'duoble'; did you mean double?"),
        ("treble x", "No exercise is called 'treble x'; the names are double."),
        (double, "The name of the exercise comes first, in quotes; this is a function."),
        ([], "The name of the exercise comes first, in quotes; this is a list."),
    ],
)
def test_a_wrong_name_is_answered(course, capsys, name, said):
    assert teach.check(name, double) is double
    assert capsys.readouterr().out == said + "\n"


def test_the_line_that_raised_is_shown(course, capsys):
    teach.check("double", explodes)
    assert "in the line: return x[17]" in capsys.readouterr().out


def test_hints_come_one_by_one_and_start_again(course, capsys):
    for _ in range(3):
        teach.hint("double")
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "Hint 1 of 2: Add it.",
        "Hint 2 of 2: To itself.",
        'The code: teach.solution("double")',
        "Hint 1 of 2: Add it.",
    ]


def test_the_solution_is_shown_on_request(course, capsys):
    teach.solution("double")
    assert capsys.readouterr().out.startswith("def helper(x):\n    return np.add")


def test_the_right_answer_is_what_the_solution_defines_last(course):
    assert exercises.right_answer("double").__name__ == "double"
    assert exercises.right_answer("double")(3) == 6


def test_an_unknown_name_stops_nothing(course, capsys):
    assert teach.check("treble", double) is double
    teach.hint("treble")
    teach.solution("treble")
    assert capsys.readouterr().out.count("treble") == 3


def test_the_course_is_found_from_any_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    answer = exercises.right_answer("tanh").__wrapped__
    assert teach.check("tanh", answer) is answer
    teach.hint("tanh")
    teach.solution("tanh")
    assert "tanh: right." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "value", "within", "agrees"),
    [
        ("2.303", 2.3026, 0, True),
        ("2.303", 2.3036, 0, False),
        ("2.303", 2.3036, 0.01, True),
        ("97.1 %", 97.14, 0, True),
        ("1,234", 1234, 0, True),
        ("1,234", 1235, 0, False),
        ("1.6e-12", 1.64e-12, 0, True),
        ("1.6e-12", 1.7e-12, 0, False),
        ("−3", -3, 0, True),
        ("3", float("nan"), 0, False),
    ],
)
def test_numbers_of_the_text_are_compared(monkeypatch, capsys, text, value, within, agrees):
    monkeypatch.delenv("TINYADTN_STRICT", raising=False)
    teach.states(text, value, within=within)
    assert ("the text says" in capsys.readouterr().out) == (not agrees)
    monkeypatch.setenv("TINYADTN_STRICT", "1")
    if agrees:
        teach.states(text, value, within=within)
    else:
        with pytest.raises(AssertionError, match="the text says"):
            teach.states(text, value, within=within)


def test_fast_mode(monkeypatch, capsys):
    monkeypatch.setenv("TINYADTN_STRICT", "1")
    monkeypatch.setattr(checks, "fast", True)
    assert teach.pick(8, 1) == 1
    teach.states("97.1", 12)
    assert capsys.readouterr().out == ""
    with pytest.raises(AssertionError):
        teach.states("97.1", 12, always=True)
    monkeypatch.setattr(checks, "fast", False)
    assert teach.pick(8, 1) == 8
