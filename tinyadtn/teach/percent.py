"""Notebook sources in percent format: a Python file whose cells begin with lines `# %%`.

    # %% [markdown]          text, in which every line is a comment
    # %%                     code
    # %% solution: NAME      solution of the exercise NAME, in the source only
    # %% compare             compares numbers of the text with the run, in the tests only

`notebooks/build.py` makes the .ipynb files from these, without the last two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataFileError

MARK = re.compile(
    r"# %%(?: (?P<text>\[markdown\])| solution: (?P<solution>[\w -]+)| (?P<compare>compare))?"
)


@dataclass(frozen=True)
class Cell:
    """One cell: "text" (Markdown), "code", "compare", or "solution" with its exercise's name."""

    kind: str
    source: str
    exercise: str = ""


def read_cells(path: Path) -> list[Cell]:
    """Return the cells of a source file, which must begin with a mark."""
    return parse_cells(path.read_text(encoding="utf-8"), str(path))


def parse_cells(text: str, name: str = "source") -> list[Cell]:
    """Return the cells of a source text.

    >>> [(cell.kind, cell.source) for cell in parse_cells("# %% [markdown]\\n# Hi\\n# %%\\nx = 1")]
    [('text', 'Hi'), ('code', 'x = 1')]
    """
    cells: list[tuple[re.Match[str], list[str]]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("# %%"):
            mark = MARK.fullmatch(line)
            if mark is None:
                raise DataFileError(f"{name}, line {number}: {line!r} marks no kind of cell")
            cells.append((mark, []))
        elif cells:
            cells[-1][1].append(line)
        elif line.strip():
            raise DataFileError(f"{name}, line {number}: text before the first '# %%'")
    return [_cell(mark, lines, name) for mark, lines in cells]


def _cell(mark: re.Match[str], lines: list[str], name: str) -> Cell:
    if mark["text"]:
        bare = [line for line in lines if line.strip() and not re.match(r"#( |$)", line)]
        if bare:
            raise DataFileError(f"{name}: in a text cell every line is a comment, not {bare[0]!r}")
        return Cell("text", "\n".join(line[2:] for line in lines).strip())
    kind = "solution" if mark["solution"] else mark["compare"] or "code"
    return Cell(kind, "\n".join(lines).strip("\n"), mark["solution"] or "")
