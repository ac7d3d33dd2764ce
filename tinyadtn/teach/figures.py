"""The figures of the course for slides: SVG and PDF, made by running the notebooks.

A player becomes a PDF with one page per step, and the SVG of its last step. Each file holds its
description and its licence; ``figures.md`` lists them.
"""

from __future__ import annotations

import ast
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from ..errors import DataFileError
from .editions import sources
from .percent import Cell, read_cells

LICENCE = (
    "MIT licence, (c) The tinyadtn authors. "
    "Figures that show digits contain MNIST data: CC BY-SA 3.0."
)


def write_figures(folder: Path, numbers: Sequence[str] = ()) -> Iterator[Path]:
    """Run the notebooks with these numbers (default: all); yield the files that are written.

    Notebooks run with the solutions, in full: some take minutes. TINYADTN_FAST=1 runs them with
    fewer training steps.
    """
    from matplotlib import rc_context

    chosen = [s for s in sources() if not numbers or s.stem[:2] in numbers]
    unknown = set(numbers) - {source.stem[:2] for source in chosen}
    if unknown:
        raise DataFileError(f"no notebook has the number {', '.join(sorted(unknown))}")
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# Figures of the course", "", LICENCE, ""]
    for source in chosen:
        for count, (frames, text) in enumerate(_figures_of(read_cells(source)), start=1):
            name = f"{source.stem}_{count}"
            with rc_context({"svg.hashsalt": name, "pdf.fonttype": 42}):
                yield from _save(frames, folder / name, text)
            lines.append(f"- `{name}`: {text}")
    (folder / "figures.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    yield folder / "figures.md"


def _figures_of(cells: list[Cell]) -> Iterator[tuple[Iterable[Any], str]]:
    """Run the cells; yield the frames and the description of each figure that a cell ends with."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells:
        if cell.kind in ("text", "compare"):
            continue
        *body, last = ast.parse(cell.source).body or [ast.Pass()]
        with redirect_stdout(io.StringIO()):
            exec(compile(ast.Module(body, []), "<cell>", "exec"), namespace)
            if not isinstance(last, ast.Expr):
                exec(compile(ast.Module([last], []), "<cell>", "exec"), namespace)
                continue
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), namespace)
        if hasattr(value, "savefig"):
            yield [value], _one_line(value.get_label())
        elif hasattr(value, "captions"):  # a player
            yield map(value.draw, range(len(value.captions))), _one_line(value.alt)


def _save(frames: Iterable[Any], path: Path, text: str) -> Iterator[Path]:
    from matplotlib.backends.backend_pdf import PdfPages

    svg, pdf = path.with_suffix(".svg"), path.with_suffix(".pdf")
    subject = {"Title": path.name, "Subject": f"{text} {LICENCE}"}
    with PdfPages(pdf, metadata={**subject, "CreationDate": None}) as pages:
        for frame in frames:  # one figure may be changed from step to step
            pages.savefig(frame)
    described = {"Title": path.name, "Description": text, "Rights": LICENCE}
    frame.savefig(svg, metadata={**described, "Date": None})
    yield from (svg, pdf)


def _one_line(text: Any) -> str:
    return " ".join(str(text).split())
