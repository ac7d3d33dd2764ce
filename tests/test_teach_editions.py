"""Copies and editions: nothing is overwritten, and students get no solution."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from course_rules import NOTEBOOKS, SOURCES

from tinyadtn.teach import __main__ as command
from tinyadtn.teach import address, editions, exercises, figures
from tinyadtn.teach.percent import Cell, read_cells

sys.path.insert(0, str(NOTEBOOKS))
import build

ROOT = NOTEBOOKS.parent
SOLUTIONS = [
    cell.source for path in SOURCES for cell in read_cells(path) if cell.kind == "solution"
]


def run(*arguments):
    return command.main([str(a) for a in arguments])


def code_of(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_a_copy_is_the_course_and_keeps_what_a_student_wrote(tmp_path, capsys):
    assert run("copy", tmp_path / "mine") == 0
    names = {path.name for path in (tmp_path / "mine").iterdir()}
    assert names == {f"{source.stem}.ipynb" for source in SOURCES}
    first = tmp_path / "mine" / f"{SOURCES[0].stem}.ipynb"
    assert first.read_bytes() == build.notebook_path(SOURCES[0]).read_bytes()
    first.write_text("my work", encoding="utf-8")
    (tmp_path / "mine" / f"{SOURCES[1].stem}.ipynb").unlink()
    capsys.readouterr()
    assert run("copy", tmp_path / "mine") == 0
    assert first.read_text(encoding="utf-8") == "my work"
    said = capsys.readouterr().out
    count = len(SOURCES)
    assert f"{SOURCES[1].stem}.ipynb" in said
    assert f"{count - 1} of {count} files were there already and stay" in said


def test_the_students_edition_has_no_solutions(tmp_path):
    assert run("edition", "student", tmp_path) == 0
    files = sorted(path.name for path in tmp_path.rglob("*"))
    assert files == sorted([*(f"{s.stem}.ipynb" for s in SOURCES), exercises.STUDENT_MARK])
    mark = (tmp_path / exercises.STUDENT_MARK).read_text(encoding="utf-8")
    assert f"pip install ./{editions.wheel_name()} " in mark and "install tinyadtn" not in mark
    text = "".join(json.dumps(code_of(path)) for path in tmp_path.glob("*.ipynb"))
    assert not [code for code in SOLUTIONS if json.dumps(code)[1:-1] in text]


def test_the_teachers_edition_has_each_solution_after_its_exercise(tmp_path):
    assert run("edition", "teacher", tmp_path) == 0
    for source in SOURCES:
        cells = [cell for cell in read_cells(source) if cell.kind in ("code", "solution")]
        shown = code_of(tmp_path / f"{source.stem}.ipynb")
        assert [text.endswith(cell.source) for text, cell in zip(shown, cells)] == [True] * len(
            cells
        )
    hints = (tmp_path / "exercises.md").read_text(encoding="utf-8")
    for exercise in exercises.load_exercises().values():
        assert f"### {exercise.name}\n\n1. {exercise.hints[0]}" in hints
    assert "Known wrong answers: stays, too many runs." in hints  # and not: lowest, lowest, …
    names = re.findall(r"Known wrong answers: (.*)\.", hints)
    assert not any("lambda" in line or "answer" in line for line in names)


def test_a_notebook_that_was_edited_is_noticed():
    text = build.notebook(SOURCES[0])
    assert editions.is_as_built(text)
    content = json.loads(text)
    assert editions.is_as_built(json.dumps(content))  # as another program may write it
    content["cells"][0]["source"].append("\nmine")
    assert not editions.is_as_built(json.dumps(content))
    for other in ("", "[]", "{}", '{"metadata": {}}', '{"metadata": {"tinyadtn": 3}}'):
        assert not editions.is_as_built(other)


def test_the_build_overwrites_no_work(tmp_path):
    source, path = tmp_path / "01_a.py", tmp_path / "01_a.ipynb"
    source.write_text("# %%\nx = 1\n", encoding="utf-8")
    assert build.write(source, path, overwrite=False)
    source.write_text("# %%\nx = 2\n", encoding="utf-8")
    assert build.write(source, path, overwrite=False)
    assert "x = 2" in path.read_text(encoding="utf-8")

    edited = path.read_text(encoding="utf-8").replace("x = 2", "x = 3  # mine")
    path.write_text(edited, encoding="utf-8")
    assert not build.write(source, path, overwrite=False)
    assert path.read_text(encoding="utf-8") == edited
    assert build.write(source, path, overwrite=True)
    assert "x = 2" in path.read_text(encoding="utf-8")


# --- in a browser, with make ---------------------------------------------------------------------

ADDRESS = "https://github.com/someone/tinyadtn"


def test_an_address_gives_links_and_a_first_cell(monkeypatch):
    monkeypatch.setattr(address, "REPOSITORY", ADDRESS)
    cells = json.loads(build.notebook(SOURCES[0]))["cells"]
    assert [cell["cell_type"] for cell in cells[:3]] == ["markdown", "code", "code"]
    readme = build.with_links((NOTEBOOKS / "README.md").read_text(encoding="utf-8"))
    assert build.with_links(readme) == readme
    for source in SOURCES:
        name = f"{source.stem}.ipynb"
        assert f"/github/someone/tinyadtn/blob/main/notebooks/{name})" in readme
        assert f"/gh/someone/tinyadtn/main?labpath=notebooks%2F{name})" in readme


def test_the_first_cell_installs_in_colab_alone(monkeypatch):
    cell, ran = address.setup_cell(ADDRESS), []
    monkeypatch.setattr("subprocess.run", lambda command, **options: ran.append(command))
    exec(cell, {})
    assert ran == []
    monkeypatch.setitem(sys.modules, "google.colab", sys)
    exec(cell, {})
    assert ran == [[sys.executable, "-m", "pip", "install", "--quiet",
                    f"tinyadtn[plot] @ git+{ADDRESS}@main"]]  # fmt: skip


def test_an_address_of_another_host_is_an_error():
    assert address.owner_and_name("https://github.com/me/x.git/") == "me/x"
    with pytest.raises(ValueError, match="should be like"):
        address.links(["01_a"], "https://gitlab.com/me/x")


def test_binder_installs_what_the_notebooks_need():
    requirements = (ROOT / ".binder" / "requirements.txt").read_text(encoding="utf-8")
    assert requirements == "-e .[notebooks]\n"


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_opens_a_copy_with_options():
    command = [
        "make",
        "--dry-run",
        "--no-print-directory",
        "notebooks",
        "FOLDER=mine",
        "ARGS=--no-browser",
    ]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "-m tinyadtn.teach copy mine" in said and "cd mine &&" in said
    root = hasattr(os, "getuid") and os.getuid() == 0
    assert said.rstrip().endswith("--allow-root --no-browser" if root else "--no-browser")


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_git_sees_nothing_of_a_students_work():
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    files = ["my-notebooks/01.ipynb", "notebooks/.ipynb_checkpoints/01-checkpoint.ipynb"]
    done = subprocess.run(["git", "check-ignore", *files], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines() == files
    clean = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nclean:")[2]
    assert "my-notebooks" not in clean


def test_a_course_that_is_not_there(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(editions, "course_folders", lambda: [tmp_path])
    assert run("copy", tmp_path / "mine") == 3
    assert "error: the course's notebooks are not installed" in capsys.readouterr().err


def test_figures_as_svg_and_pdf_with_their_licence(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    cells = """# %%
from tinyadtn.course.player import player
from tinyadtn.draw.style import new_figure
def square(k=0):
    made = new_figure(2, 2, "A square.")
    made.text(0.1 * k, 0.5, "here")
    return made

# %%
square()

# %%
print("no figure")

# %%
player(square, ["one", "two", "three"], alt="A square moves.")
"""
    source = tmp_path / "01_squares.py"
    source.write_text(cells, encoding="utf-8")
    monkeypatch.setattr("tinyadtn.teach.figures.sources", lambda: [source])
    assert run("figures", tmp_path / "slides") == 0
    names = sorted(path.name for path in (tmp_path / "slides").iterdir())
    assert names == [
        *("01_squares_1.pdf", "01_squares_1.svg", "01_squares_2.pdf", "01_squares_2.svg"),
        "figures.md",
    ]
    listed = (tmp_path / "slides" / "figures.md").read_text(encoding="utf-8")
    assert "`01_squares_1`: A square." in listed and "`01_squares_2`: A square moves." in listed
    for name in ("01_squares_1.svg", "01_squares_2.svg"):
        svg = (tmp_path / "slides" / name).read_text(encoding="utf-8")
        assert "MIT licence" in svg and "CC BY-SA 3.0" in svg and "A square" in svg
    assert (tmp_path / "slides" / "01_squares_2.pdf").read_bytes().count(b"/Type /Page ") == 3
    assert run("figures", tmp_path / "slides", "07") == 3
    assert "no notebook has the number 07" in capsys.readouterr().err


def test_a_player_that_changes_one_figure_has_a_page_for_each_step(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    cell = """from tinyadtn.course.player import player
from tinyadtn.draw.style import new_figure
made = new_figure(2, 2, "")
text = made.text(0.5, 0.5, "")
def step(k):
    text.set_text("XY"[k])
    return made
player(step, ["one", "two"], alt="")"""
    ((frames, _),) = figures._figures_of([Cell("code", cell)])
    with matplotlib.rc_context({"pdf.compression": 0, "pdf.fonttype": 42}):
        list(figures._save(frames, tmp_path / "film", ""))
    pages = (tmp_path / "film.pdf").read_bytes()
    assert re.findall(rb"\(\x00([XY])\)", pages) == [b"X", b"Y"]
