"""The house: a file imports only from files above it, and `import tinyadtn` imports NumPy alone."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinyadtn

PACKAGE = Path(tinyadtn.__file__).parent
# From the ground to the roof. A new file must be given its place here.
# fmt: off
ORDER = [
    "version", "errors", "machine", "backend", "modes", "guard", "npz", "arraylike",
    "engine", "contract", "ops", "progress",
    "scratch", "windows", "winograd", "conv", "norm", "loss",
    "chain", "few_filters", "row", "gradcheck", "module", "devices", "decode_free", "layers",
    "norm_layers", "optim", "datafile", "idx", "cifar",
    "archive", "mirrors", "datasets", "sources", "augment", "normalize",
    "wall_windows", "pair_cores", "fast_wall", "sites", "wall_chain", "wirings", "brickwall",
    "starts", "cut", "encodings", "independent", "factored", "tensor_train", "adtn", "joint",
    "models", "timing", "reports", "suggest", "compress", "summary", "checkpoint", "featurefile",
    "data", "runs", "train", "features", "memory",
    "draw_style", "draw_wall",
    "draw_tradeoff", "draw", "percent", "exercises", "teach", "picture", "experiment",
    "sweep_config", "sweep_spec", "sweep_run", "sweep_file", "sweep_workers", "sweep",
    "sweep_table", "sweep_markdown", "terminal", "commands",
    "sweep_command", "argument_types", "parser", "cli", "__init__", "__main__",
]
# fmt: on
FILES = sorted(path.stem for path in PACKAGE.rglob("*.py"))
# fmt: off
OPTIONAL = ["matplotlib", "tqdm", "pooch", "PIL", "scipy", "cupy", "torch", "pandas", "IPython",
            "distributed", "dask", "tomli"]
# fmt: on


def imported_by(source: str) -> set[str]:
    """The files of the package that this source imports, anywhere in it, but not only for types."""
    found = set()
    waiting = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ("tinyadtn." if node.level else "") + (node.module or "")
            dotted = [f"{base.rstrip('.')}.{alias.name}" for alias in node.names]
        else:
            dotted = []
        for package, *rest in (name.split(".") for name in dotted):
            if package == "tinyadtn":
                found.add(rest[0] if rest and rest[0] in ORDER else "__init__")
        waiting.extend(ast.iter_child_nodes(node))
    return found


def upward(name: str, source: str) -> set[str]:
    return {other for other in imported_by(source) if ORDER.index(other) >= ORDER.index(name)}


def test_every_file_has_its_place():
    assert set(FILES) <= set(ORDER)


def test_readme_says_what_every_file_holds():
    readme = (PACKAGE.parent / "README.md").read_text(encoding="utf-8")
    table = readme.split("## How to read it\n")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+)\.py`", table))
    assert set(FILES) - named == {"__init__", "__main__", "version"}


def test_there_is_one_flat_package():
    assert sorted(path.stem for path in PACKAGE.glob("*.py")) == FILES


@pytest.mark.parametrize("name", FILES)
def test_no_arrow_points_up(name):
    if name in ORDER:
        source = (PACKAGE / f"{name}.py").read_text(encoding="utf-8")
        assert upward(name, source) == set(), f"{name}.py imports from below itself"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from .train import train", {"train"}),
        ("from . import train, errors", {"train"}),
        ("import tinyadtn.train", {"train"}),
        ("def f():\n    from tinyadtn.train import train", {"train"}),
        ("import tinyadtn as ta", {"__init__"}),
        ("from . import ops", {"ops"}),  # itself
        ("from .errors import ShapeError\nimport numpy.train", set()),
        ("if TYPE_CHECKING:\n    from .train import train", set()),
        ("if typing.TYPE_CHECKING:\n    pass\nelse:\n    from .train import x", {"train"}),
    ],
)
def test_the_reader_of_imports_sees_every_spelling(source, expected):
    assert upward("ops", source) == expected


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
