"""Make the notebooks from their sources: src/NN_name.py -> NN_name.ipynb, without solutions.

    python notebooks/build.py

Nothing but the source decides what is written: the same source gives the same bytes.
"""

from __future__ import annotations

import json
from pathlib import Path

from tinyadtn.teach.percent import Cell, read_cells

FOLDER = Path(__file__).parent
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def sources() -> list[Path]:
    return sorted((FOLDER / "src").glob("[0-9][0-9]_*.py"))


def notebook_path(source: Path) -> Path:
    return FOLDER / f"{source.stem}.ipynb"


def notebook(source: Path) -> str:
    """The .ipynb of a source, as text."""
    shown = [cell for cell in read_cells(source) if cell.kind != "solution"]
    cells = [_json_cell(number, cell) for number, cell in enumerate(shown, start=1)]
    content = {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _json_cell(number: int, cell: Cell) -> dict:
    lines = cell.source.splitlines(keepends=True)
    common = {"id": f"cell-{number:03d}", "metadata": {}, "source": lines}
    if cell.kind == "text":
        return {"cell_type": "markdown", **common}
    return {"cell_type": "code", "execution_count": None, "outputs": [], **common}


def script(source: Path, *, solved: bool) -> str:
    """All code of a notebook as one program, with or without the solutions."""
    kinds = ("code", "solution") if solved else ("code",)
    return "\n\n\n".join(cell.source for cell in read_cells(source) if cell.kind in kinds) + "\n"


def main() -> None:
    for source in sources():
        notebook_path(source).write_text(notebook(source), encoding="utf-8", newline="\n")
        print(notebook_path(source).relative_to(FOLDER.parent))


if __name__ == "__main__":
    main()
