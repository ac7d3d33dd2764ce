"""The course: every notebook runs alone, solved and unsolved, and keeps the rules of the house."""

import os
import re
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from course_rules import (
    EARNED,
    NOTEBOOKS,
    SOURCES,
    badly_placed_guesses,
    cells_of,
    code_numbers,
    loose_numbers,
    patched_names,
    prose,
    stated_numbers,
    study_minutes,
    unearned,
)

import tinyadtn as ta
from tinyadtn import tiny
from tinyadtn.teach import editions, exercises, grading
from tinyadtn.teach.judging import judge
from tinyadtn.teach.percent import Cell

sys.path.insert(0, str(NOTEBOOKS))
import build

# plt.show() where there is no screen
SHOW = ("-W", "ignore:FigureCanvasAgg is non-interactive:UserWarning")
HANG = 20 * 60  # seconds: a guard against hanging, no promise of speed
each_notebook = pytest.mark.parametrize("source", SOURCES, ids=[s.stem for s in SOURCES])
EXERCISES = exercises.load_exercises()
each_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=list(EXERCISES))


# --- it runs -------------------------------------------------------------------------------------


def environment(*, fast):
    path = os.pathsep.join([str(NOTEBOOKS), str(NOTEBOOKS.parent)])
    return os.environ | {
        "TINYADTN_FAST": "1" if fast else "0",
        "TINYADTN_STRICT": "1",
        "PYTHONPATH": path,
        "OPENBLAS_NUM_THREADS": "1",
    }


@pytest.mark.parametrize("solved", [False, True], ids=["unsolved", "solved"])
@each_notebook
def test_it_runs_alone_from_top_to_bottom(source, solved, tmp_path):
    program = tmp_path / f"{source.stem}.py"
    program.write_text(build.script(source, solved=solved), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", *SHOW, str(program)],
        cwd=NOTEBOOKS,
        env=environment(fast=True),
        capture_output=True,
        text=True,
        timeout=HANG,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "wrong" not in verdicts(done.stdout)
    count = sum(cell.kind == "solution" for cell in cells_of(source))
    expected = "right" if solved else "not done yet"
    assert verdicts(done.stdout) == [expected] * count


def verdicts(output):
    states = ("right", "wrong", "not done yet")
    lines = [line.partition(": ")[2].partition(". ")[0] for line in output.splitlines()]
    return [state for state in lines if state in states]


def run(notebook, environment):
    """Run the cells in a fresh kernel; the outputs are written into the notebook."""
    from jupyter_client import AsyncKernelManager
    from nbclient import NotebookClient

    resources = {"metadata": {"path": str(NOTEBOOKS)}}
    with tempfile.TemporaryDirectory() as folder:
        options = {"kernel_name": "python3"}
        if os.name != "nt":  # sockets in a folder of this test: no other process can listen
            options |= {"transport": "ipc", "connection_file": f"{folder}/kernel.json"}
        client = NotebookClient(notebook, timeout=HANG, resources=resources)
        client.km = AsyncKernelManager(**options)
        client.execute(cleanup_kc=True, env=environment)


@each_notebook
def test_the_solutions_are_right_in_the_grader(source, tmp_path):
    """There an answer runs in another process: an exercise that needs objects has an `ask`."""
    path = tmp_path / "Ada" / f"{source.stem}.ipynb"
    path.parent.mkdir()
    path.write_text(editions.notebook(cells_of(source), solved=True), encoding="utf-8")
    rows = list(grading.grade(tmp_path, limits=grading.Limits(seconds=HANG)))
    assert [row.exercise for row in rows] == [c.exercise for c in cells_of(source) if c.exercise]
    for row in rows:
        assert row.state == "right" and row.passed == row.cases > 0, row


@pytest.mark.deep
@each_notebook
def test_it_runs_in_full_in_a_real_kernel(source):
    """As a reader sees it: the .ipynb, every picture drawn, every number of the text compared."""
    nbformat = pytest.importorskip("nbformat", reason="no kernel: make docs installs one")
    notebook = nbformat.reads(build.notebook(source, compared=True), as_version=4)
    run(notebook, environment(fast=False))
    nbformat.validate(notebook)
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert pictures, "no picture"
    described = [o["metadata"].get("image/png", {}).get("alt") for o in pictures]
    assert all(described), f"{described.count(None)} pictures without alt text: use ta.draw"


# --- it is what its source says ------------------------------------------------------------------


@each_notebook
def test_the_committed_notebook_is_what_the_source_gives(source):
    committed = build.notebook_path(source).read_bytes().decode("utf-8")
    assert committed == build.notebook(source), "run: python notebooks/build.py"


def test_no_notebook_is_without_a_source():
    assert {p.stem for p in NOTEBOOKS.glob("*.ipynb")} == {s.stem for s in SOURCES}


# --- rules ---------------------------------------------------------------------------------------


@each_notebook
def test_code_cells_are_short(source):
    cells = cells_of(source)
    lines = [len(cell.source.splitlines()) for cell in cells if cell.kind == "code"]
    assert statistics.median(lines) <= 12 and max(lines) <= 40, sorted(lines)


@each_notebook
def test_it_uses_only_what_was_earned(source):
    assert unearned(source) == []


@each_notebook
def test_the_library_is_never_patched(source):
    code = [cell.source for cell in cells_of(source) if cell.kind != "text"]
    assert [name for text in code for name in patched_names(text)] == []


@each_notebook
def test_numbers_in_the_text_are_asserted(source):
    cells = cells_of(source)
    assert loose_numbers(cells) == []
    text = prose(cells)
    assert [number for number in stated_numbers(cells) if number not in text] == []


@each_notebook
def test_each_exercise_is_posed_solved_and_checked_close_together(source):
    cells = cells_of(source)
    for place, cell in enumerate(cells):
        if cell.kind == "solution":
            assert cells[place - 1].kind == "code", f"{cell.exercise}: where is it posed?"
            after = "\n".join(c.source for c in cells[place + 1 : place + 3] if c.kind == "code")
            assert f'teach.check("{cell.exercise}"' in after, f"{cell.exercise} is not checked"


@each_notebook
def test_a_guess_comes_before_its_answer(source):
    assert badly_placed_guesses(cells_of(source)) == []


def test_badly_placed_guesses_are_found():
    def cells(*sources):
        return [Cell("code", source) for source in sources]

    assert badly_placed_guesses(cells("my_guess = None", "teach.reveal(my_guess, 3)")) == []
    assert badly_placed_guesses(cells("my_guess = None\nprint(3)", "my_guess"))
    assert badly_placed_guesses(cells("my_guess = None"))
    assert badly_placed_guesses(cells("teach.reveal(my_guess, 3)", "my_guess = None"))


@each_notebook
def test_it_begins_with_what_a_student_wants_to_know(source):
    """Study time, what is needed, what one can do afterwards; and the notebook before."""
    first, minutes = cells_of(source)[0].source, study_minutes(source)
    assert minutes and "**You need**" in first and "**Afterwards you" in first.replace("\n", " ")
    assert source is SOURCES[0] or re.search(r"\*\*(Recap|Before this)", first)
    page = (NOTEBOOKS.parent / "TEACHING.md").read_text(encoding="utf-8")
    assert f"| {source.stem[:2]} | {minutes} |" in page
    readme = (NOTEBOOKS / "README.md").read_text(encoding="utf-8")
    assert f"({source.stem}.ipynb) | {minutes} |" in readme


@each_notebook
def test_it_ends_with_a_challenge_that_is_checked(source):
    cells = cells_of(source)
    heads = [k for k, c in enumerate(cells) if c.kind == "text" and "## Challenge" in c.source]
    assert heads and any("teach.check(" in cell.source for cell in cells[heads[-1] :])


@each_notebook
def test_it_ends_with_a_ledger(source):
    last = [cell.source for cell in cells_of(source) if cell.kind == "text"][-1].lower()
    assert all(word in last for word in ("shown", "assumed", "not tested"))


# --- exercises -----------------------------------------------------------------------------------


def test_every_exercise_is_in_a_notebook():
    solved = [c.exercise for s in SOURCES for c in cells_of(s) if c.kind == "solution"]
    assert sorted(solved) == sorted(EXERCISES)


@each_exercise
def test_the_right_answer_passes_with_many_seeds(exercise):
    answer = exercises.right_answer(exercise.name)
    verdicts = [judge(exercise, answer, seed) for seed in range(30)]
    assert {v.state for v in verdicts} == {"right"}, verdicts


@each_exercise
def test_three_wrong_answers_and_more_are_refused(exercise):
    assert len(exercise.wrong) >= 3
    for answer in exercise.wrong:
        states = {judge(exercise, answer, seed).state for seed in range(10)}
        assert states == {"wrong"}, f"{answer} passes for {exercise.name}"


def test_the_smallest_network_has_no_uncounted_parameters():
    """The same network with an array as scale, or with a bias for each image, is wrong."""
    found = EXERCISES["smallest network"]
    scale, columns, (b1, w2, b2) = exercises.right_answer("smallest network")
    for changed in (
        (np.full((256, 784), scale), columns, [b1, w2, b2]),
        (scale, columns, [np.tile(b1, (500, 1)), w2, b2]),
    ):
        verdict = judge(found, changed, 0)
        assert verdict.state == "wrong" and "scale is one number" in verdict.message


def test_a_wrong_diagnosis_is_told_before_a_missing_one():
    half = {"A": "the step goes uphill", "B": None, "C": None}
    verdicts = [judge(EXERCISES["diagnosis"], half, seed) for seed in range(10)]
    assert all(v.state == "wrong" and "run A" in v.message for v in verdicts), verdicts


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("sine", lambda x: tiny.relu, "A tiny.Tensor is expected, not a value of type function."),
        ("sine", tiny.op(lambda a: (np.sin(a), np.cos(a))), "A VJP is a function"),
        ("smallest network", 0.93, "arrays_of(network, others) is expected."),
        ("diagnosis", {"A": "uphill"}, "run A: 'uphill' is not a line of the list."),
        ("diagnosis", "uphill", "A dict is expected"),
        (
            "diagnosis",
            {"C": "the step goes uphill"},
            "if the step goes uphill, the loss rises from",
        ),
        ("small network", 90, "Four arrays are expected"),
        ("training loop", lambda *given: [ta.Tensor(1.0)], "It should yield numbers, loss.item()"),
        ("small network", [np.ones(2)] * 4, "shapes (784, h)"),
        ("topological order", lambda root: [root], "have the parents [[1], [2], [3], []]"),
        ("topological order", lambda root: root, "It should return a list of nodes."),
        ("sine", np.sin, "NumPy's functions take arrays, not Tensors"),
        ("sine", tiny.op(lambda a: np.sin(a)), "returns a value and one VJP"),
        ("any activation", lambda network, act: np.ones(8), "A tiny.Tensor is expected"),
    ],
)
def test_an_answer_of_another_form_gets_a_sentence_that_helps(name, answer, said):
    verdict = judge(EXERCISES[name], answer, 0)
    assert verdict.state == "wrong" and said in verdict.message


@each_exercise
def test_the_stub_is_not_done_yet_and_there_are_hints(exercise):
    def stub(*arguments, **options):
        """As a notebook poses it."""

    assert judge(exercise, stub, 0).state == "not done yet"
    assert exercise.hints and all(exercise.hints)


# --- the rules' own tests ------------------------------------------------------------------------


def write(tmp_path, text, name="02_test.py"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_an_import_must_be_earned_first(tmp_path, monkeypatch):
    monkeypatch.setitem(EARNED, "01", {"exp": "my_exp"})
    monkeypatch.setitem(EARNED, "02", {"tanh": "my_tanh"})
    monkeypatch.setitem(EARNED, "03", {"log": "my_log"})
    early = "# %%\nta.tanh(1)\n# %%\ndef my_tanh(x): ...\n"
    late = "# %%\ndef my_tanh(x): ...\n# %%\nta.tanh(1), ta.exp(1), ta.draw.digits\n"
    assert unearned(write(tmp_path, early)) == ["ta.tanh is used before my_tanh is written"]
    assert unearned(write(tmp_path, late)) == []
    for use in ("ta.log(1)", "from tinyadtn import log", "from tinyadtn.ops.basic import log"):
        assert len(unearned(write(tmp_path, f"# %%\n{use}\n"))) == 1


def test_patches_are_seen():
    for code in ("ta.exp = 1", "ta.Tensor.exp = f", "setattr(ta, 'exp', f)", "ta.engine.x += 1"):
        assert patched_names(code), code
    assert not patched_names("x = ta.exp(1)\nx.grad = 2")


@pytest.mark.parametrize(
    ("text", "code", "loose"),
    [
        ("accuracy 97.1 %", "x = 1", ["97.1"]),
        ("accuracy 97.1 %", 'teach.states("97.1", x)', []),
        ("accuracy 197.1 %", 'teach.states("97.1", x)', ["197.1"]),
        ("784 pixels", "x = 784", []),
        ("784 pixels", "x = 7", ["784"]),
        ("60,000 digits, 12 of them", "x = 60_000", []),
        ("an error of 1e-9", "x = 1", ["1e-9"]),
        ("$x = 97.1$, `97.1`, [a](b97.1), arXiv 2305.06058, Griewank (1989)", "x = 1", []),
    ],
)
def test_loose_numbers_are_found(text, code, loose):
    cells = [Cell("text", text), Cell("code", code)]
    assert loose_numbers(cells) == loose


def test_numbers_of_the_code_are_read():
    assert code_numbers([Cell("code", "f(1, 2.5, 'x', 60_000)")]) == {1, 2.5, 60_000}


def test_building_leaves_solutions_out(tmp_path):
    source = write(tmp_path, "# %% [markdown]\n# Hi\n\n# %%\nx = 1\n\n# %% solution: x\nx = 2\n")
    assert "x = 2" not in build.notebook(source)
    assert build.script(source, solved=False) == "x = 1\n"
    assert "x = 2" in build.script(source, solved=True)
    assert build.notebook(source) == build.notebook(source)


def test_readers_do_not_see_how_the_text_is_compared(tmp_path):
    text = "# %% [markdown]\n# It is 97.1\n\n# %%\nx = 97\n\n# %% compare\nstates(x)\n"
    source = write(tmp_path, text)
    assert "states(x)" not in build.notebook(source)
    assert "states(x)" in build.notebook(source, compared=True)
    assert build.script(source, solved=False) == "x = 97\n\n\nstates(x)\n"


def test_a_magic_is_a_comment_in_the_source(tmp_path):
    text = "# %%\n# %matplotlib inline\n# !ls\n# % of the digits\nx = 1\n"
    source = write(tmp_path, text)
    assert "%matplotlib inline\\n" in build.notebook(source).replace('",', "")
    assert '"!ls' in build.notebook(source) and "# % of the digits" in build.notebook(source)
    assert build.script(source, solved=False) == text.partition("\n")[2]


@pytest.mark.deep
def test_a_teachers_edits_run_in_a_real_kernel():
    nbformat = pytest.importorskip("nbformat", reason="no kernel: make docs installs one")
    notebook = nbformat.reads(build.notebook(SOURCES[1]), as_version=4)
    for text in (
        "%matplotlib inline\n!echo from the shell",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
    ):
        notebook.cells.insert(1, nbformat.v4.new_code_cell(text))
    run(notebook, environment(fast=True))
    plotted, shell = (cell.outputs for cell in notebook.cells[1:3])
    assert "image/png" in plotted[0].data and "from the shell" in shell[0].text


def test_the_verdicts_of_a_run_are_read():
    output = "tanh: right. exact\nfoo\nb: not done yet. Write\nc: wrong. For x = 1: no"
    assert verdicts(output) == ["right", "not done yet", "wrong"]
