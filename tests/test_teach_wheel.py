"""A notebook alone, with the wheel installed: outside the clone, from the wheel's own copy."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from course_rules import NOTEBOOKS, SOURCES

from tinyadtn.teach.editions import wheel_name

ROOT = NOTEBOOKS.parent
CLONE_ONLY = ".*", "build", "*.egg-info", "__pycache__", "results", "my-notebooks"


def run(*command, cwd, **environment):
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "TINYADTN_FAST": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the installed wheel; it is built from a copy, as nothing may be left here."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("tinyadtn", "data", "notebooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(*CLONE_ONLY))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", "dist", ".", cwd=folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    assert wheel.name == wheel_name()  # the student edition says so
    site = folder / "site"
    run(*pip, "install", "--no-deps", "--no-index", "--target", site, wheel, cwd=folder)
    return site


def python(installed, folder, *arguments):
    return run(sys.executable, *arguments, cwd=folder, PYTHONPATH=str(installed))


def test_notebooks_run_outside_the_clone(installed, tmp_path):
    for number in ("01", "05"):
        (carried,) = (installed / "tinyadtn" / "course_files").glob(f"{number}_*.ipynb")
        cells = json.loads(carried.read_text(encoding="utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        code.append("teach.hint(list(teach.checks._states)[0])")
        code.append("print('from', ta.__file__)\nteach.status()")
        (tmp_path / "alone.py").write_text("\n\n".join(code), encoding="utf-8")
        said = python(installed, tmp_path, "alone.py")
        assert f"from {installed}" in said and "Hint 1 of" in said
        assert "not done yet" in said and "\n0 of " in said


def test_the_commands_work_outside_the_clone(installed, tmp_path):
    python(installed, tmp_path, "-m", "tinyadtn.teach", "copy", "mine")
    assert sorted(p.stem for p in (tmp_path / "mine").iterdir()) == [s.stem for s in SOURCES]
    python(installed, tmp_path, "-m", "tinyadtn.teach", "edition", "teacher", "copies/Ada")
    for path in (tmp_path / "copies" / "Ada").glob("*.ipynb"):
        if path.stem[:2] != "01":
            path.unlink()
    said = python(installed, tmp_path, "-m", "tinyadtn.teach", "grade", "copies")
    (total,) = (line for line in said.splitlines() if line.startswith("Ada ") and "/" not in line)
    _, _, right, of, points = total.split()
    assert right == of and int(of) >= 3 and points == "6.0"
