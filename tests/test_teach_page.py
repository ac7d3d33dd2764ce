"""TEACHING.md: its example is run, and the states of its sample answers are those of the check."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from class_copies import notebook

import tinyadtn
from tinyadtn.teach.exercises import find_exercise
from tinyadtn.teach.judging import judge

ROOT = Path(tinyadtn.__file__).parents[1]
BLOCKS = re.findall(
    r"```python (\S+)\n(.*?)```", (ROOT / "TEACHING.md").read_text("utf-8"), re.DOTALL
)
SAMPLES = [(state, code) for state, code in BLOCKS if state in ("right", "wrong")]


@pytest.mark.parametrize(("state", "code"), SAMPLES, ids=[state for state, _ in SAMPLES])
def test_a_sample_answer_has_the_state_that_the_page_says(state, code):
    namespace = {"math": math}
    exec(code, namespace)
    verdicts = [judge(find_exercise("tanh"), namespace["tanh"], seed) for seed in range(5)]
    assert {verdict.state for verdict in verdicts} == {state}


def run(*command, cwd):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_of_an_own_notebook_runs_and_is_graded(tmp_path):
    blocks = dict(BLOCKS)
    (tmp_path / "exercises").mkdir()
    (tmp_path / "exercises" / "ex_own.py").write_text(blocks["exercises/ex_own.py"], "utf-8")
    (tmp_path / "own.py").write_text(blocks["notebook"], encoding="utf-8")
    assert "0 of 1 right" in run("own.py", cwd=tmp_path)

    answer = '    return np.where(x > 0, x, 0)\n\nmy_relu = teach.check("my relu", my_relu)'
    solved = blocks["notebook"].replace('\nmy_relu = teach.check("my relu", my_relu)', answer)
    (tmp_path / "own.py").write_text(solved, encoding="utf-8")
    assert "1 of 1 right" in run("own.py", cwd=tmp_path)

    (tmp_path / "own.ipynb").write_text(notebook([blocks["notebook"]]), encoding="utf-8")
    for student, text in (("Ada", solved), ("Bob", blocks["notebook"])):
        (tmp_path / "copies" / student).mkdir(parents=True)
        cells = ["%matplotlib inline\n!ls", text, "import matplotlib\nplt.show()"]
        (tmp_path / "copies" / student / "own.ipynb").write_text(notebook(cells), "utf-8")
    table = run("-m", "tinyadtn.teach", "grade", "copies", cwd=tmp_path)
    assert re.search(r"Ada +my relu +4/4 +right", table), table
    assert re.search(r"Bob +my relu +0/4 +not done yet", table), table
