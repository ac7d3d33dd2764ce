"""What the tests import is in the extra `test`: another package may bring it along, or may not."""

import ast
import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TESTS = Path(__file__).parent
PYPROJECT = tomllib.loads((TESTS.parent / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, EXTRAS = PYPROJECT["project"], PYPROJECT["project"]["optional-dependencies"]
NAMES = {"PIL": "pillow", "tomllib": "tomli"}  # of packages that are imported by another name
OURS = {path.stem for path in TESTS.rglob("*.py")} | {"tinyadtn", "build", "variants"}


def names(requirements: list[str]) -> set[str]:
    """The packages of a list; "tinyadtn[plot,dask]" stands for those of two extras."""
    found = set()
    for requirement in requirements:
        name, extras = re.match(r"([\w.-]+)(?:\[([\w,]+)\])?", requirement).groups()
        if name == "tinyadtn":
            found.update(*(names(EXTRAS[extra]) for extra in extras.split(",")))
        else:
            found.add(name)
    return found


def imported(source: str) -> set[str]:
    """The packages that a file imports as soon as it is read."""
    found = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module)
    return {name.partition(".")[0] for name in found}


def test_what_a_test_imports_is_installed_with_the_tests():
    has = names(PROJECT["dependencies"]) | names(EXTRAS["test"])
    for path in sorted(TESTS.glob("*.py")):
        needed = imported(path.read_text(encoding="utf-8")) - OURS - sys.stdlib_module_names
        # A file for torch alone is imported by tests that are skipped without it.
        lacking = {NAMES.get(name, name) for name in needed} - has - {"torch"}
        assert not lacking, f"{path.name} imports {lacking}: add it to the extra test"


def test_the_wheel_is_built_with_the_version_that_the_tests_install():
    assert set(PYPROJECT["build-system"]["requires"]) <= set(EXTRAS["test"])
