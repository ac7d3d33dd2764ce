"""What the site adds to a notebook: folded solutions, and descriptions of its pictures.

With TINYADTN_SOLUTIONS=0 the pages have no solutions: a teacher can give them to a class.
"""

import os
from pathlib import Path
from typing import Any

import nbformat
from myst_nb.core.render import NbElementRenderer

from tinyadtn.teach.percent import read_cells

SOURCES = Path(__file__).parents[1] / "notebooks" / "src"
FOLD = "<details><summary>Solution: {}</summary>\n\n```python\n{}\n```\n\n</details>"


def with_solutions(text: str) -> Any:
    """Return the notebook of this text; each solution is folded before the cell that checks it."""
    notebook = nbformat.reads(text, as_version=4)
    if os.environ.get("TINYADTN_SOLUTIONS") == "0":
        return notebook
    found = [cell for path in SOURCES.glob("*.py") for cell in read_cells(path)]
    solutions = {cell.exercise: cell.source for cell in found if cell.kind == "solution"}
    cells = []
    for cell in notebook.cells:
        for name, solution in solutions.items():
            if f'teach.check("{name}"' in cell.source:
                cells.append(nbformat.v4.new_markdown_cell(FOLD.format(name, solution)))
        cells.append(cell)
    notebook.cells = cells
    return notebook


def describe_pictures() -> None:
    """Give each picture the description that our figures write into their output."""
    render = NbElementRenderer.render_image

    def with_alt(self: Any, data: Any) -> Any:
        (image,) = render(self, data)
        image["alt"] = data.output_metadata.get(data.mime_type, {}).get("alt", "")
        return [image]

    NbElementRenderer.render_image = with_alt
