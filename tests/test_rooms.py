"""The house: rooms and files import only downward, and `import tinyadtn` imports NumPy alone."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import tinyadtn

PACKAGE = Path(tinyadtn.__file__).parent
# From the ground to the roof. A room imports from the rooms before it.
# fmt: off
ROOMS = ["autodiff", "ops", "files", "data", "nn", "tensor_networks", "decode_free", "encodings",
         "compression", "exchange", "training", "draw", "studies", "cli", "teach", "course"]
GROUND = ["version", "errors", "limits", "progress", "tables", "checks"]  # below every room
ROOF = ["__init__", "__main__", "tiny"]
OPTIONAL = ["matplotlib", "tqdm", "pooch", "PIL", "scipy", "cupy", "torch", "pandas", "IPython",
            "distributed", "dask", "tomli", "safetensors", "onnx"]
# fmt: on
FILES = {path.relative_to(PACKAGE).with_suffix("").parts: path for path in PACKAGE.rglob("*.py")}


def imported_by(file: tuple[str, ...], source: str) -> set[tuple[str, ...]]:
    """The files of the package that a source imports, anywhere in it, but not only for types."""
    found, waiting = set(), [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting.extend(node.orelse)
            continue
        waiting.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            dotted = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ("tinyadtn", *file[: len(file) - node.level]) if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            dotted = [(*base, alias.name) for alias in node.names]
        else:
            continue
        for package, *path in dotted:
            if package == "tinyadtn":
                ways = [tuple(path), tuple(path[:-1])]  # a module, or a name in one
                ways += [(*way, "__init__") for way in ways]
                found.add(next(way for way in ways if way in FILES))
    return found


def level(file: tuple[str, ...]) -> int:
    place = file[0]
    if place == "course":  # imports the package as its readers do
        return 2 + len(ROOMS)
    if len(file) > 1:
        return 1 + ROOMS.index(place)
    return 0 if place in GROUND else 1 + len(ROOMS)


def upward(file: tuple[str, ...], source: str) -> set[str]:
    above = (other for other in imported_by(file, source) if level(other) > level(file))
    return {".".join(other) for other in above}


def test_every_file_has_its_room():
    assert {file[0] for file in FILES if len(file) == 1} <= {*GROUND, *ROOF}
    assert {file[0] for file in FILES if len(file) > 1} == set(ROOMS)


@pytest.mark.parametrize("file", FILES, ids=".".join)
def test_no_import_points_up(file):
    assert upward(file, FILES[file].read_text(encoding="utf-8")) == set()


def test_files_import_in_one_direction():
    imports = {f: imported_by(f, path.read_text(encoding="utf-8")) for f, path in FILES.items()}
    list(TopologicalSorter(imports).static_order())  # CycleError names a circle


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from ..training.train import train", {"training.train"}),
        ("from ..training import train", {"training.train"}),
        ("import tinyadtn.training.train", {"training.train"}),
        ("def f():\n    from tinyadtn.training.train import train", {"training.train"}),
        ("import tinyadtn as ta", {"__init__"}),
        ("from .basic import add", set()),  # in the same room
        ("from ..errors import ShapeError\nimport numpy.train", set()),
        ("if TYPE_CHECKING:\n    from ..training.train import train", set()),
        ("if typing.TYPE_CHECKING:\n    pass\nelse:\n    from ..nn import optim", {"nn.optim"}),
    ],
)
def test_the_reader_of_imports_sees_every_spelling(source, expected):
    assert upward(("ops", "contract"), source) == expected


def test_every_room_says_what_is_inside():
    """What is in a room, and what to read first: every file of it is named."""
    for room in ROOMS:
        text = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text("utf-8")))
        assert 4 <= len(text.splitlines()) <= 20, room
        for path in (PACKAGE / room).rglob("*.py"):
            if path.stem != "__init__":
                assert f"``{path.stem}``" in text, f"{room} does not mention {path.stem}"


def test_the_package_shows_its_public_names_alone():
    public = set(tinyadtn.__all__)
    assert set(dir(tinyadtn)) == public
    assert {"train", "compress", "sweep", "draw", "models"} < public
    assert public.isdisjoint(set(ROOMS) - {"draw"})
    assert all(getattr(tinyadtn, name) is not None for name in public)


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_imports_numpy_alone():
    """With everything optional blocked, and nothing beyond NumPy and Python itself pulled in."""
    code = f"""
import sys
for name in {OPTIONAL}:
    sys.modules[name] = None
before = set(sys.modules)
import tinyadtn
tops = {{name.partition(".")[0] for name in set(sys.modules) - before}}
ours = {{"numpy", "tinyadtn"}} | sys.stdlib_module_names
print(*sorted(t for t in tops - ours if "cython" not in t))
"""
    assert run(code).split() == []


def test_a_step_does_not_import_masked_arrays():
    """They take a MiB. Before they are imported, no array can be masked."""
    code = """
import sys, tinyadtn as ta
x = ta.Tensor([[1.0, 2.0]], requires_grad=True)
ta.softmax_cross_entropy(x * 2, labels=[0]).backward()
print("numpy.ma" in sys.modules, x.grad is not None)
"""
    assert run(code).split() == ["False", "True"]


def test_importing_the_package_changes_no_setting_of_numpy():
    code = """
import random, sys, warnings, numpy as np
state = str(np.geterr()) + str(np.get_printoptions()) + str(random.getstate())
state += str(np.random.get_state()) + str(warnings.filters)
import tinyadtn
after = str(np.geterr()) + str(np.get_printoptions()) + str(random.getstate())
after += str(np.random.get_state()) + str(warnings.filters)
print(state == after)
"""
    assert run(code).strip() == "True"


def test_what_prints_as_text_shows_the_same_text_in_a_notebook():
    """A cell that ends with ta.report(model) shows the table, and not a line of fields."""
    texts = {
        part.name: ast.unparse(part)
        for path in PACKAGE.rglob("*.py")
        for part in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(part, ast.ClassDef)
    }
    printed = {name for name, text in texts.items() if "def __str__" in text}
    assert {"Report", "ModelSummary", "Suggestions", "Sensitivity", "DataCard"} <= printed
    assert {name for name in printed if "__repr__ = __str__" not in texts[name]} == set()
    small = tinyadtn.summary(tinyadtn.models.fc2())
    assert repr(small) == str(small)
