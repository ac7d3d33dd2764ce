"""Grading: every kind of answer gets its verdict, and no answer gets past the check."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from class_copies import KINDS, copy_of, write_copies, write_course

import tinyadtn
from tinyadtn.errors import DataFileError
from tinyadtn.teach import grading
from tinyadtn.teach.exercises import Exercise
from tinyadtn.teach.grading import Row
from tinyadtn.teach.sandbox import Sandbox

ROOT = Path(tinyadtn.__file__).parents[1]
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="limits and signals of Linux")


def teach(folder, *arguments):
    """Run `python -m tinyadtn.teach` in the folder."""
    return subprocess.run(
        [sys.executable, "-m", "tinyadtn.teach", *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )


def graded(folder, count):
    """The rows of a class of this size, by student and exercise; and what kind each answer is."""
    write_course(folder)
    kinds = write_copies(folder / "copies", count, folder / "src" / "01_roots.py")
    options = ["--seconds", 4, "--jobs", 2, "--json", "rows.json", "--csv", "rows.csv"]
    done = teach(folder, "grade", "copies", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((folder / "rows.json").read_text(encoding="utf-8"))["rows"]
    return kinds, {(row["student"], row["exercise"]): row for row in rows}, done.stdout


def disagreements(kinds, rows):
    """The answers whose row is not as KINDS says."""
    for student, kind in kinds.items():
        _, state, message = KINDS[kind]
        row = rows[student, "root"]
        good = row["state"] == state and message in row["message"] and row["cases"] == 20
        good = good and (row["passed"] == 20) == (state == "right")
        # whatever happened there, the next exercise is judged for itself
        if not good or rows[student, "largest"]["state"] != "right":
            yield kind, row


@on_linux
def test_each_kind_of_answer_gets_its_verdict(tmp_path):
    kinds, rows, table = graded(tmp_path, len(KINDS))
    assert list(disagreements(kinds, rows)) == []
    right = sum(KINDS[kind][1] == "right" for kind in kinds.values())
    assert table.count("  20/20   right") == right
    assert all(student in table for student in kinds)
    assert "seed of the cases: " in table


@on_linux
@pytest.mark.deep
def test_a_class_of_a_hundred(tmp_path):
    kinds, rows, _ = graded(tmp_path, 100)
    assert list(disagreements(kinds, rows)) == []


@on_linux
def test_a_result_that_makes_the_check_slow_is_given_up(tmp_path):
    """The check here counts up to 2 to the power of the result."""

    def slow(answer, rng):
        for _ in range(2 ** answer(1)):
            pass
        yield "as many steps as it says", 0, 0

    exercise = Exercise("slow", slow, (), (), 1e-9, solution=lambda x: 1)
    with Sandbox(seconds=1) as sandbox:
        source = ("def answer(x):\n    return 60",)
        verdict, _ = grading._run(sandbox, exercise, source, "answer", 0)
    assert verdict.state == "wrong" and "not checked within 1 s" in verdict.message


# --- the folder of copies ------------------------------------------------------------------------


def one_copy(tmp_path, name, text):
    write_course(tmp_path / "course")
    path = tmp_path / "course" / "copies" / name
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    done = teach(tmp_path / "course", "grade", "copies", "--json", "rows.json", "--seed", 1)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "course" / "rows.json").read_text(encoding="utf-8"))
    return [Row(**row) for row in content["rows"]]


def test_a_deleted_check_is_not_found(tmp_path):
    text = copy_of("def root(x): return x").replace("teach.check", "print")
    rows = one_copy(tmp_path, "Ada_01_roots.ipynb", text)
    assert [(row.student, row.exercise, row.state) for row in rows] == [
        ("Ada", "root", "not found"),
        ("Ada", "largest", "not found"),
    ]


def test_a_value_that_was_computed_step_by_step_is_found(tmp_path):
    """The slice of a value misses what changes it under another name: all before it is run."""
    steps = "values = [0.0, 0.0]\nsame = values\nfor k in (0, 1):\n    same[k] += 3.0 - k\n"
    text = copy_of(f"root = None\n{steps}", "values")
    assert one_copy(tmp_path, "Ada/01_roots.ipynb", text)[1].state == "right"


@pytest.mark.parametrize("text", ["", "[]", '{"cells": 3}', '{"cells": [{"cell_type": "code"}]}'])
def test_a_file_that_is_not_a_notebook_has_a_row(tmp_path, text):
    (row,) = one_copy(tmp_path, "Ada/01_roots.ipynb", text)
    assert row.state == "unreadable" and "01_roots.ipynb is not a notebook" in row.message


def test_a_notebook_without_known_exercises_has_a_row(tmp_path):
    text = copy_of("def root(x): return x").replace("root", "stem")
    (row,) = one_copy(tmp_path, "Ada/own.ipynb", text.replace("largest", "least"))
    assert row.state == "unknown" and "in the folder that has exercises/" in row.message


def test_the_table_has_points_of_six():
    rows = [Row("Ada", "01", name, "right", 1, 1, "") for name in "abc"]
    rows += [Row("Ada", "01", "d", "wrong", 0, 1, "")]
    rows += [Row("Ada", "02", "a", "wrong", 0, 1, ""), Row("Bob", "01", "a", "right", 1, 1, "")]
    rows += [Row("Bob", "01", name, "wrong", 0, 1, "") for name in "bcde"]
    _, totals, exercises = grading.as_table(rows).split("\n\n")
    assert [line.split() for line in totals.splitlines()[1:]] == [
        ["Ada", "01", "3", "4", "6.0"],
        ["Ada", "02", "0", "1", "0.0"],
        ["Bob", "01", "1", "5", "1.5"],
    ]
    # what most of the class could not do comes first
    assert exercises.split("\n")[0].split() == ["exercise", "right", "of"]
    found = [line.split() for line in exercises.splitlines()[1:]]
    assert found == [list("d02"), list("e01"), list("b12"), list("c12"), list("a23")]


def test_a_message_that_is_cut_ends_in_dots():
    row = Row("Ada", "01", "a", "wrong", 0, 1, 120 * "x")
    assert f" {100 * 'x'} …" in grading.as_table([row])


def test_a_student_cannot_read_the_copies_of_others(tmp_path):
    other = tmp_path / "course" / "copies" / "Bob" / "01_roots.ipynb"
    answer = f"def root(x):\n    return float(open({str(other)!r}).read())"
    row = one_copy(tmp_path, "Ada/01_roots.ipynb", copy_of(answer))[0]
    assert "does not let an answer read this file" in row.message


def test_results_are_not_overwritten(tmp_path):
    write_course(tmp_path)
    write_copies(tmp_path / "copies", 1, tmp_path)
    (tmp_path / "marks.csv").write_text("the teacher's notes", encoding="utf-8")
    done = teach(tmp_path, "grade", "copies", "--csv", "marks.csv")
    assert done.returncode == 2 and "marks.csv is there already" in done.stderr
    assert (tmp_path / "marks.csv").read_text(encoding="utf-8") == "the teacher's notes"
    assert teach(tmp_path, "grade", "copies", "--csv", "marks.csv", "--overwrite").returncode == 0
    assert "root,right,20,20," in (tmp_path / "marks.csv").read_text(encoding="utf-8")


def test_a_folder_without_notebooks_is_an_error(tmp_path):
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints" / "01.ipynb").write_text("{}", encoding="utf-8")
    (tmp_path / "file").touch()
    folders = {"": "no notebooks in ", "none": "none does not exist: ", "file": "file is a file: "}
    for name, message in folders.items():
        with pytest.raises(DataFileError, match=message):
            grading.grade(tmp_path / name)  # before the first row is asked for


@pytest.mark.parametrize(
    ("path", "student"),
    [
        ("Ada/01_roots.ipynb", "Ada"),
        ("Ada/week 1/01_roots.ipynb", "Ada"),
        ("Ada_01_roots.ipynb", "Ada"),
        ("01_roots - Ada.ipynb", "Ada"),
        ("01_roots.ipynb", "01_roots"),
        ("A\x1b[31mda/01_roots.ipynb", r"A\x1b[31mda"),
    ],
)
def test_students_are_named_by_folder_or_file(path, student):
    assert grading.student_of(Path("copies"), Path("copies", path), "01_roots") == student


def test_no_cell_of_the_csv_is_a_formula():
    row = Row("=HYPERLINK()", "01", "root", "wrong", 0, 20, 'For "x", 2')
    (_, cells) = csv.reader(io.StringIO(grading.as_csv([row])))
    assert cells == ["'=HYPERLINK()", "01", "root", "wrong", "0", "20", 'For "x", 2']
