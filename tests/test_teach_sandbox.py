"""What crosses between the grader and an answer, and what an answer needs of its notebook."""

import ast
import json
import time
from pathlib import Path

import numpy as np
import pytest
from class_copies import notebook
from course_rules import SOURCES
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tinyadtn.course import exercises as course_exercises
from tinyadtn.errors import DataFileError
from tinyadtn.teach.exercises import AnswerError
from tinyadtn.teach.messages import Remote, RemoteError, pack, unpack
from tinyadtn.teach.sandbox import Sandbox
from tinyadtn.teach.slices import answers, needed_by, parsed, without_magics

# --- messages ------------------------------------------------------------------------------------

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.complex_numbers(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(plain)
def test_plain_values_come_back_as_they_were(value):
    form = json.loads(json.dumps(pack(value, None)))
    assert repr(unpack(form, None)) == repr(value)


@given(arrays.arrays(arrays.scalar_dtypes().filter(lambda d: d.kind in "biufc"), (2, 3)))
def test_arrays_come_back_bit_for_bit(array):
    for value in (array, array[0, 0]):
        back = unpack(json.loads(json.dumps(pack(value, None))), None)
        assert type(back) is type(value) and back.dtype == value.dtype
        assert back.tobytes() == value.tobytes()
        assert value.ndim == 0 or back.flags.writeable  # a check may go on computing in it


def test_other_objects_stay():
    class Liar(float):
        pass

    stayed = []
    for value in (object(), Liar(1.0), np.array([object()]), np.array(["a"]), len, b"bytes"):
        pack(value, lambda value: stayed.append(value) or {"object": 0})
    assert len(stayed) == 6
    sub = pack(np.zeros(2).view(np.recarray), None)
    assert type(unpack(sub, None)) is np.ndarray


@pytest.mark.parametrize(
    "form",
    [
        [1],
        {},
        {"function": "os.system"},
        {"list": [], "tuple": []},
        {"array": ["|O", [1], "AAAAAAAAAAA="]},
        {"array": ["<U1", [1], "YQAAAA=="]},
        {"array": ["<f8", [10**12], ""]},
        {"array": ["<f8", [-1, -1], ""]},
        {"scalar": ["<f8", [], "AA=="]},
        {"dict": [[{"list": []}, 1]]},
        {"complex": [1, 2, 3]},
    ],
)
def test_other_forms_are_rejected(form):
    with pytest.raises((ValueError, TypeError)):
        unpack(form, None)


# --- the other process ---------------------------------------------------------------------------

SOURCE = """
import numpy as np
class Box:
    def __init__(self, value): self.value = value
    def __call__(self, factor): return factor * self.value
def box(x): return Box(x)
def use(f, x): return f(f(x))
def back(f): return f
def spoil(a): a[0] = 9
def draw(rng): return rng.normal()
def fails(f): return f(1)
def same(x): return x
"""


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(seconds=60) as sandbox:
        yield sandbox


def test_objects_stay_there_and_can_be_called(sandbox):
    box = sandbox.answer([SOURCE], "box")(np.arange(3.0))
    assert isinstance(box, Remote) and repr(box) == "<an object of type Box>"
    assert np.array_equal(box(2), [0, 2, 4])
    with pytest.raises(AttributeError):
        box.value  # noqa: B018


def test_an_object_that_is_sent_back_is_the_same(sandbox):
    box = sandbox.answer([SOURCE], "Box(3)")
    assert sandbox.answer([SOURCE], "lambda box: box.value")(box) == 3


def test_functions_of_the_check_are_called_here(sandbox):
    seen = []
    use = sandbox.answer([SOURCE], "use")
    assert use(lambda x: seen.append(x) or x + 1, 1.5) == 3.5
    assert seen == [1.5, 2.5]
    function = lambda x: x  # noqa: E731
    assert sandbox.answer([SOURCE], "back")(function) is function


def test_an_error_of_the_check_reaches_the_answer(sandbox):
    def function(x):
        raise KeyError("no")

    with pytest.raises(RemoteError, match=r"^KeyError: 'no'"):
        sandbox.answer([SOURCE], "fails")(function)
    source = "def seen(f):\n    try: f(1)\n    except RuntimeError as error: return error.raised"
    assert sandbox.answer([source], "seen")(function) == ("KeyError", "'no'", "")


def test_an_error_of_the_answer_goes_through_a_function_of_the_check(sandbox):
    """The check calls the answer from a function that the answer calls."""
    source = "def outer(f):\n    return f(1)\ndef inner(x):\n    return x[0]"
    inner = sandbox.answer([source], "inner")
    with pytest.raises(RemoteError, match="TypeError") as error:
        sandbox.answer([source], "outer")(lambda x: inner(x))
    assert error.value.raised[2] == "return x[0]"
    assert sandbox.answer([source], "outer")(lambda x: inner([x, 2])) == 1


def test_a_message_that_nobody_asked_for_is_not_the_next_answer(sandbox):
    later = (
        "import os, threading, time\n"
        "def later():\n    time.sleep(0.2)\n    for k in range(3, 12):\n"
        "        try: os.write(k, b'{\"result\": 7}\\n')\n        except OSError: pass\n"
        "threading.Thread(target=later).start()"
    )
    assert sandbox.answer([later], "1") == 1
    time.sleep(2)
    assert sandbox.answer([], "2") == 2


def test_changes_of_an_argument_are_seen(sandbox):
    with pytest.raises(RemoteError, match="UnexpectedResultError: It changes an array"):
        sandbox.answer([SOURCE], "spoil")(np.zeros(2))


def test_the_cases_to_come_cannot_be_computed(sandbox):
    rng = np.random.default_rng(0)
    drawn = sandbox.answer([SOURCE], "draw")(rng)
    assert drawn != np.random.default_rng(0).normal() and drawn != rng.normal()


def test_an_object_of_the_check_that_cannot_be_sent(sandbox):
    class Local:
        pass

    with pytest.raises(Exception, match="Local"):
        sandbox.answer([SOURCE], "same")(Local())


def test_after_a_crash_the_next_answer_has_a_new_process():
    with Sandbox(seconds=60) as sandbox:
        answer = sandbox.answer(["import os"], "os._exit")
        with pytest.raises(AnswerError, match="exit code 3"):
            answer(3)
        with pytest.raises(AnswerError, match="has ended"):
            answer(3)
        assert sandbox.answer([], "1 + 1") == 2


def test_an_answer_that_never_returns_is_ended():
    with Sandbox(seconds=1) as sandbox:
        started = time.monotonic()
        with pytest.raises(AnswerError, match="did not finish within 1 s"):
            sandbox.answer(["import time", "def wait():\n    time.sleep(30)"], "wait")()
        assert time.monotonic() - started < 20


def test_the_solutions_cannot_be_read(sandbox):
    exercises = Path(course_exercises.__path__[0])
    for path in [*exercises.glob("ex*.py"), exercises / "broken.py", *SOURCES]:
        with pytest.raises(RemoteError, match="PermissionError"):
            sandbox.answer([], f"open({str(path)!r}).read()")
    readable = sandbox.answer([], f"len(open({np.__file__!r}).read())")
    assert readable > 0


@pytest.mark.parametrize(
    "code",
    [
        "os.rename('mine', there)",
        "os.replace('mine', there)",
        "shutil.move('mine', there)",
        "open(there, 'w')",
        "os.mkdir(there)",
        "os.remove(neighbour)",
        "open(neighbour, 'w')",
        "sqlite3.connect(there).execute('create table t (x)')",
    ],
)
def test_nothing_is_written_outside_the_folder_of_the_process(sandbox, tmp_path, code):
    there = tmp_path / "there"
    source = ["import os, shutil, sqlite3", f"there = {str(there)!r}", "open('mine', 'w').close()"]
    neighbour = Path(sandbox.answer(["import os"], "os.getcwd()") + "-2")  # begins with its name
    neighbour.write_text("kept", encoding="utf-8")
    try:
        with pytest.raises(RemoteError, match="PermissionError: the grader does not let"):
            sandbox.answer([*source, f"neighbour = {str(neighbour)!r}"], code)
        assert neighbour.read_text(encoding="utf-8") == "kept"
    finally:
        neighbour.unlink(missing_ok=True)
    assert not there.exists()
    inside = "os.rename('mine', 'yours'), os.mkdir('new'), os.rmdir('new'), os.listdir()"
    assert "yours" in sandbox.answer(source, inside)[-1]


# --- slices --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "needed"),
    [
        ("a = 1\nb = 2\nf = lambda: a", ["a = 1", "f = lambda: a"]),
        ("def f(x):\n    a = x\n    return a\na = 2", ["def f(x):\n    a = x\n    return a"]),
        ("def f():\n    return g()\ndef g(): return 1", None),
        ("import os, math\nf = math.sqrt", ["import math", "f = math.sqrt"]),
        ("from math import sqrt, exp\nf = sqrt", ["from math import sqrt", "f = sqrt"]),
        ("class A: pass\nA.x = 1\nf = A", None),
        ("a = []\na.append(1)\nf = a", None),
        ("a = [0]\na[0] = 1\nf = a", None),
        ("a = 0\na += 1\nf = a", None),
        ("a = 0\nfor k in range(3): a = k\nf = a", None),
        ("if True:\n    f = 1\nelse:\n    f = 2", None),
        (
            "import numpy as np\nnp.show()\nprint(np)\nf = np.sin",
            ["import numpy as np", "f = np.sin"],
        ),
        ("class A:\n    def m(self): return b\nb = 1\nf = A", None),
        ("b = 1\nf = [b for k in range(3)]", None),
        ("with open('x') as file: f = 1\nx = 1", ["with open('x') as file:\n    f = 1"]),
        ("a = 1\ndef change():\n    global f\n    f = a\nchange()", None),
    ],
)
def test_what_an_answer_needs(code, needed):
    expected = [ast.unparse(node) for node in parsed(code)] if needed is None else needed
    found = needed_by("f", parsed(code))
    if "global f" in code:  # the call that changes f cannot be seen; the definition is
        expected = expected[:-1]
    assert list(found) == expected


@pytest.mark.parametrize(
    ("cell", "python"),
    [
        ("%matplotlib inline\nx = 1", "\nx = 1"),
        ("!pip install x\nx = 1", "\nx = 1"),
        ("if x:\n    !ls\n    y = 1", "if x:\n    \n    y = 1"),
        ("files = !ls", "files = None"),
        ("t = %timeit -o f()", "t = None"),
        ("np.sin?", ""),
        ("?np", ""),
        ("%%time\nx = 1", "x = 1"),
        ("%%bash\nls", ""),
    ],
)
def test_lines_of_ipython_are_left_out(cell, python):
    assert without_magics(cell) == python
    assert [ast.unparse(node) for node in parsed(cell)] == [
        ast.unparse(node) for node in ast.parse(python).body
    ]


def test_a_percent_sign_in_a_text_is_no_magic():
    code = 's = """\n%d items\n!\n"""'
    assert ast.unparse(parsed(code)) == ast.unparse(ast.parse(code).body)


def test_the_last_check_of_a_name_counts(tmp_path):
    path = tmp_path / "01.ipynb"
    cells = ["f = 1", 'teach.check("a", f)', "f = 2", 'x = tinyadtn.teach.check("a", f)']
    path.write_text(notebook([*cells, "f = 3"]), encoding="utf-8")
    assert answers(path)["a"].needed == ("f = 1", "f = 2")


def test_calls_that_are_no_checks_are_passed_over(tmp_path):
    path = tmp_path / "01.ipynb"
    path.write_text(notebook(["check(1)", 'check("a")', "check(name, f)", "b.c(2, 3)"]), "utf-8")
    assert answers(path) == {}


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataFileError, match="not a notebook"):
        answers(tmp_path / "none.ipynb")
