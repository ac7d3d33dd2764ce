"""Make the notebooks from their sources: src/NN_name.py -> NN_name.ipynb, without solutions.

    python notebooks/build.py [--overwrite]

Nothing but the source decides what is written: the same source gives the same bytes. A notebook
that somebody has edited or run since it was made is replaced only with --overwrite.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tinyadtn.teach import address, editions
from tinyadtn.teach.percent import read_cells

FOLDER = Path(__file__).parent
START, END = "<!-- links: written by build.py -->", "<!-- end of links -->"


def sources() -> list[Path]:
    return sorted((FOLDER / "src").glob("[0-9][0-9]_*.py"))


def notebook_path(source: Path) -> Path:
    return FOLDER / f"{source.stem}.ipynb"


def notebook(source: Path, *, compared: bool = False) -> str:
    """The .ipynb of a source, as text; ``compared`` adds the cells that only the tests run."""
    return editions.notebook(read_cells(source), compared=compared)


def script(source: Path, *, solved: bool) -> str:
    """All code of a notebook as one program for the tests, with or without the solutions."""
    kinds = ("code", "compare", "solution") if solved else ("code", "compare")
    return "\n\n\n".join(cell.source for cell in read_cells(source) if cell.kind in kinds) + "\n"


def write(source: Path, path: Path, *, overwrite: bool) -> bool:
    """Write the notebook; return False, and leave the file, if somebody has edited it."""
    made = notebook(source)
    old = path.read_text(encoding="utf-8") if path.exists() else made
    if not (overwrite or old == made or editions.is_as_built(old)):
        return False
    path.write_text(made, encoding="utf-8", newline="\n")
    return True


def with_links(readme: str) -> str:
    """The README with the links to Colab and Binder between its two marks."""
    before, _, rest = readme.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n\n{address.links([s.stem for s in sources()])}\n\n{END}{after}"


def main(arguments: list[str]) -> int:
    edited = []
    for source in sources():
        path = notebook_path(source)
        if write(source, path, overwrite="--overwrite" in arguments):
            print(path.relative_to(FOLDER.parent))
        else:
            edited.append(path.name)
    readme = FOLDER / "README.md"
    readme.write_text(with_links(readme.read_text(encoding="utf-8")), encoding="utf-8")
    if edited:
        print(f"not written, because they were edited or run: {', '.join(edited)}", file=sys.stderr)
        print("move them elsewhere, or replace them: build.py --overwrite", file=sys.stderr)
    return bool(edited)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
