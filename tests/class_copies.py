"""A small course of a teacher's own, and copies of it with every kind of answer, for the tests."""

import json
import textwrap
from pathlib import Path

EXERCISES = """
import numpy as np
from tinyadtn.teach import exercise

@exercise(
    "root",
    hints=("Which number, times itself, is x?",),
    wrong=(abs, lambda x: x, lambda x: 1.0),
)
def _(answer, rng):
    for x in sorted(rng.uniform(1, 100, size=20)):
        yield f"x = {x:.3f}", np.sqrt(x), answer(x)

@exercise("largest", hints=("Sort.",), wrong=([1.0], [0.0, 3.0], 17))
def _(answer, rng):
    yield "the two largest of 3, 1, 2", [3.0, 2.0], answer
"""
SOURCE = '''# %% [markdown]
# # Roots

# %%
import numpy as np
from tinyadtn import teach

# %%
def root(x):
    """Return the square root of x."""

# %% solution: root
def root(x):
    return np.sqrt(x)

# %%
root = teach.check("root", root)

# %%
largest = None

# %% solution: largest
largest = [3.0, 2.0]

# %%
teach.check("largest", largest)
'''
RIGHT, WRONG, OPEN, NONE = "right", "wrong", "not done yet", "not found"

# Kind of answer -> (the cell of "root", state, a part of the message).
KINDS = {
    "right": ("def root(x):\n    return x**0.5", RIGHT, "20 cases, "),
    "right with a helper": (
        "half = 0.5\ndef power(x, n):\n    return x**n\ndef root(x):\n    return power(x, half)",
        RIGHT,
        "",
    ),
    "right among magics": (
        "%matplotlib inline\n!ls\nfiles = !ls\nroot = lambda x: np.sqrt(x)\nroot?",
        RIGHT,
        "",
    ),
    "right after a picture": (
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\n"
        "def root(x):\n    return np.sqrt(x)",
        RIGHT,
        "",
    ),
    "right and talkative": (
        "def root(x):\n    print('x' * 10_000)\n    return np.sqrt(x)",
        RIGHT,
        "",
    ),
    "wrong": ("def root(x):\n    return x / 2", WRONG, "For x = "),
    "wrong shape": ("def root(x):\n    return np.ones(3)", WRONG, "the shape should be ()"),
    "not begun": ("def root(x):\n    pass", OPEN, "It returns None."),
    "not implemented": ("def root(x):\n    raise NotImplementedError", OPEN, "NotImplementedError"),
    "a word": ("def root(x):\n    return 'two'", WRONG, "not 'two' (str)"),
    "an error": ("def root(x):\n    return x[3]", WRONG, "(in the line: return x[3])"),
    "an unknown name": ("def root(x):\n    return squareroot(x)", WRONG, "NameError"),
    "no Python": ("def root(x:\n", WRONG, "SyntaxError: '(' was never closed (cell, line 2)"),
    "recursion": ("def root(x):\n    return root(x)", WRONG, "RecursionError: it calls itself"),
    "hangs": ("def root(x):\n    while True: pass", WRONG, "did not finish within"),
    "hangs when defined": ("while True:\n    root = abs", WRONG, "did not finish within"),
    "sleeps": ("import time\ndef root(x):\n    time.sleep(99)", WRONG, "did not finish within"),
    "too much memory": (
        "def root(x):\n    return np.ones((100_000, 100_000)).sum()",
        WRONG,
        "MemoryError",
    ),
    "a huge result": ("def root(x):\n    return [0.0] * 40_000_000", WRONG, "did not finish"),
    "waits for input": ("def root(x):\n    return float(input())", WRONG, "EOFError"),
    "exits": ("import sys\ndef root(x):\n    sys.exit(0)", WRONG, "It ends the program"),
    "exits when defined": ("import sys\nroot = sys.exit(0)", WRONG, "SystemExit"),
    "exits at once": ("import os\ndef root(x):\n    os._exit(0)", WRONG, "the exit code 0"),
    "crashes": (
        "import faulthandler\ndef root(x):\n    faulthandler._sigsegv()",
        WRONG,
        "the signal SIGSEGV",
    ),
    "interrupts": ("def root(x):\n    raise KeyboardInterrupt", WRONG, "It was interrupted"),
    "kills its process": (
        "import os\ndef root(x):\n    os.kill(os.getpid(), 9)",
        WRONG,
        "does not let an answer use os.kill",
    ),
    "kills the grader": (
        "import os\ndef root(x):\n    os.kill(os.getppid(), 9)",
        WRONG,
        "does not let an answer use os.kill",
    ),
    "takes the solution": (
        "from tinyadtn.teach.exercises import right_answer\nroot = right_answer('root')",
        WRONG,
        "does not let an answer read this file",
    ),
    "calls the solution": (
        "from tinyadtn.teach import exercises\n"
        "def root(x):\n    return exercises.right_answer('root')(x)",
        WRONG,
        "",
    ),
    "asks the check for it": ("root = teach.check('root', None)", OPEN, ""),
    "reads the solution": (
        "def root(x):\n    exec(open(FILE).read().split('solution: root')[1].split('# %%')[0], "
        "globals())\n    return root(x)",
        WRONG,
        "does not let an answer read this file",
    ),
    "lists the solutions": (
        "import os\ndef root(x):\n    return len(os.listdir(os.path.dirname(FILE)))",
        WRONG,
        "does not let an answer list this folder",
    ),
    "imports the checks": (
        "from tinyadtn.course.exercises import ex01_differentiate\n"
        "def root(x):\n    return ex01_differentiate.math.sqrt(x)",
        WRONG,
        "",
    ),
    "edits the checks": (
        "import tinyadtn.teach.judging as j, tinyadtn.teach.checks as c\n"
        "j.judge = c.judge = lambda *a, **k: j.Verdict('right', '')\n"
        "j.compare = lambda *a: (0.0, '')\nroot = abs",
        WRONG,
        "For x = ",
    ),
    "edits the register": (
        "from tinyadtn.teach import exercises\nexercises._exercises.clear()\n"
        "exercises.find_exercise = lambda name: None\nroot = abs",
        WRONG,
        "For x = ",
    ),
    "prints a verdict": (
        "import sys\nprint('root: right. 20 cases')\n"
        "def root(x):\n    print('root: right', file=sys.__stdout__)\n    return x",
        WRONG,
        "For x = ",
    ),
    "forges messages": (
        "import os, json\ndef root(x):\n    for k in range(3, 12):\n        try:\n"
        "            os.write(k, b'{\"result\": \"right\"}\\n')\n        except OSError: pass\n"
        "    return x",
        WRONG,
        "a number or an array is expected, not 'right'",
    ),
    "sends garbage": (
        "import os\ndef root(x):\n    for k in range(3, 12):\n        try:\n"
        "            os.write(k, b'[' * 100_000 + b'\\n')\n        except OSError: pass\n"
        "    return x",
        WRONG,
        "a message that cannot be read",
    ),
    "looks for the right value": (
        "import sys\ndef root(x):\n    frame = sys._getframe()\n    while frame:\n"
        "        if 'right' in frame.f_locals: return frame.f_locals['right']\n"
        "        frame = frame.f_back\n    return 0.0",
        WRONG,
        "For x = ",
    ),
    "equal to everything": (
        "class Same:\n    __eq__ = __le__ = __lt__ = lambda self, other: True\n"
        "    __array__ = lambda self, *a, **k: np.zeros(())\n    __hash__ = None\n"
        "def root(x):\n    return Same()",
        WRONG,
        "a number or an array is expected, not <an object of type Same>.",
    ),
    "an array that lies": (
        "class Lie(np.ndarray):\n    __array_ufunc__ = lambda self, *a, **k: 0.0\n"
        "def root(x):\n    return np.zeros(()).view(Lie)",
        WRONG,
        "For x = ",
    ),
    "not a function": ("root = 1", WRONG, "A function is expected, not 1."),
    "uses the network": (
        "import socket\ndef root(x):\n    socket.create_connection(('127.0.0.1', 9))",
        WRONG,
        "does not let an answer use socket.",
    ),
    "starts a program": (
        "import subprocess\ndef root(x):\n    subprocess.run(['true'])",
        WRONG,
        "does not let an answer use subprocess",
    ),
    "writes a file": (
        "def root(x):\n    open(FILE + '.new', 'w').write('')",
        WRONG,
        "does not let an answer",
    ),
    "removes a file": (
        "import os\ndef root(x):\n    os.remove(FILE)",
        WRONG,
        "does not let an answer change this file",
    ),
    "predicts the cases": (
        "rng = np.random.default_rng(0)\ntable = sorted(rng.uniform(1, 100, size=20))\n"
        "def root(x):\n    return table.index(x)",
        WRONG,
        "ValueError",
    ),
}  # fmt: skip


def notebook(cells):
    """The text of an .ipynb file with these code cells."""
    made = [
        {"cell_type": "code", "source": text, "metadata": {}, "outputs": [],
         "execution_count": None}
        for text in cells
    ]  # fmt: skip
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def write_course(folder: Path) -> None:
    """A notebook 01_roots with two exercises, as a teacher would add it."""
    (folder / "exercises").mkdir(parents=True)
    (folder / "exercises" / "ex1.py").write_text(EXERCISES, encoding="utf-8")
    (folder / "src").mkdir()
    (folder / "src" / "01_roots.py").write_text(SOURCE, encoding="utf-8")
    (folder / "01_roots.ipynb").write_text(copy_of("def root(x): ...", "None"), encoding="utf-8")


def copy_of(answer: str, largest: str = "[3.0, 2.0]") -> str:
    """A student's notebook with this cell for "root", and this value for "largest"."""
    return notebook(
        [
            "import numpy as np\nfrom tinyadtn import teach",
            answer,
            'root = teach.check("root", root)',
            f"largest = {largest}",
            'teach.check("largest", largest)',
        ]
    )


def write_copies(folder: Path, count: int, hidden: Path) -> dict[str, str]:
    """One folder for each of ``count`` students; return the kind of each student's answer."""
    kinds = {}
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        student = f"student {number:03d}"
        text = textwrap.dedent(KINDS[kind][0])
        copy = copy_of(f"FILE = {str(hidden)!r}\n{text}")
        (folder / student).mkdir(parents=True)
        (folder / student / "01_roots.ipynb").write_text(copy, encoding="utf-8")
        kinds[student] = kind
    return kinds
