"""Run all notebooks and write them as web pages: one folder that needs no network to be read.

    python notebooks/course.py build/course

Formulas become MathML, pictures become files beside the pages, and each solution lies folded behind
its exercise. With TINYADTN_FAST=1 the notebooks run in fast mode.
"""

from __future__ import annotations

import base64
import html
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mistune
import nbformat
from jupyter_client import AsyncKernelManager
from latex2mathml.converter import convert as mathml
from nbclient import NotebookClient
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

import build
from tinyadtn.teach.percent import Cell, read_cells

HANG = 20 * 60  # seconds a cell may take: a guard against hanging, no promise of speed
CODE_OR_MATH = re.compile(r"(`+.*?`+)|\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="style.css">
</head>
<body>
<nav>{navigation}</nav>
<main>
{body}
</main>
<nav>{navigation}</nav>
</body>
</html>
"""
STYLE = """\
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 52rem; padding: 0 1rem 3rem; color: #1a1a1a; background: #fff;
  font: 1.06rem/1.6 system-ui, sans-serif; }
h1, h2 { line-height: 1.25; margin-top: 2.2rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.25rem; }
nav { display: flex; flex-wrap: wrap; gap: 0 1.5rem; padding: 1rem 0; font-size: 0.95rem; }
a { color: #005a94; }
pre { overflow-x: auto; margin: 0; padding: 0.7rem 0.9rem; font-size: 0.82rem; line-height: 1.45; }
p code, li code, td code { background: #f2f2f2; padding: 0 0.2em; overflow-wrap: anywhere; }
.code, details { border-left: 4px solid #0072b2; background: #f6f7f9; margin: 1rem 0 0; }
.output { border-left: 4px solid #bbb; margin: 0 0 1rem; }
details { border-color: #d55e00; } summary { cursor: pointer; padding: 0.4rem 0.9rem; }
.wide { overflow-x: auto; margin: 0.7rem 0; }
.wide img { display: block; max-width: 100%; height: auto; }
@media (max-width: 44rem) { .wide img { max-width: 38rem; } }  /* on a phone: scroll sideways */
math { font-family: "STIX Two Math", "Latin Modern Math", "Cambria Math", math; }
math[display="block"] { margin: 0.8rem 0; }
.contents { list-style: none; padding: 0; }
.contents li { border-top: 1px solid #ddd; padding: 1rem 0; }
.contents img { display: block; max-width: 100%; height: auto; margin-top: 0.7rem; }
.contents .time { color: #555; font-size: 0.9rem; }
table { border-collapse: collapse; } td, th { border: 1px solid #ccc; padding: 0.2rem 0.6rem; }
"""


@dataclass
class Picture:
    """A file beside the pages, its size in pixels, and what it shows in words."""

    name: str
    width: int
    height: int
    alt: str
    to_keep: bool = False

    def html(self) -> str:
        """The picture, no larger than its place; behind it, itself in full size."""
        alt = html.escape(self.alt, quote=True)
        size = f'width="{self.width}" height="{self.height}"'
        return f'<a href="{self.name}"><img src="{self.name}" {size} alt="{alt}"></a>'


@dataclass
class Page:
    """A notebook that has been run: its title, its body, its pictures, and how long it took."""

    source: Path
    title: str
    body: str
    pictures: list[Picture]
    seconds: float

    @property
    def name(self) -> str:
        return f"{self.source.stem}.html"

    @property
    def heart(self) -> Picture | None:
        """For the index: the picture under the heading "The picture to keep", or the largest."""
        return max(self.pictures, key=lambda p: (p.to_keep, p.width * p.height), default=None)


def run(source: Path, **environment: str) -> Any:
    """The notebook of a source after a run in a fresh kernel, with its outputs."""
    notebook = nbformat.reads(build.notebook(source), as_version=4)
    resources = {"metadata": {"path": str(build.FOLDER)}}
    with tempfile.TemporaryDirectory() as folder:
        options: Any = {"kernel_name": "python3"}
        if os.name != "nt":  # sockets in a folder of our own: nobody else can listen
            options |= {"transport": "ipc", "connection_file": f"{folder}/kernel.json"}
        client = NotebookClient(notebook, timeout=HANG, resources=resources)
        client.km = AsyncKernelManager(**options)
        path = os.pathsep.join([str(build.FOLDER.parent), os.environ.get("PYTHONPATH", "")])
        ours = {"PYTHONPATH": path.rstrip(os.pathsep)}  # the library of this folder, no other
        client.execute(cleanup_kc=True, env=os.environ | ours | environment)
    return notebook


def render(source: Path, notebook: Any, seconds: float, folder: Path) -> Page:
    """The page of a notebook that was run; its pictures are written to folder/figures."""
    outputs = iter([cell.outputs for cell in notebook.cells if cell.cell_type == "code"])
    body, pictures, to_keep = [], [], False
    cells = read_cells(source)
    for cell in cells:
        body.append(_cell(cell))
        if cell.kind == "text":
            to_keep = "# The picture to keep" in cell.source
        elif cell.kind == "code":
            before = len(pictures)
            shown = [_output(output, source, folder, pictures) for output in next(outputs)]
            for picture in pictures[before:]:
                picture.to_keep = to_keep
            if any(shown):
                body.append(f'<div class="output">{"".join(shown)}</div>')
    title = cells[0].source.splitlines()[0].lstrip("# ")
    return Page(source, title, "\n".join(body), pictures, seconds)


def _cell(cell: Cell) -> str:
    if cell.kind == "text":
        return markdown(cell.source)
    code = highlight(cell.source, PythonLexer(), HtmlFormatter(cssclass="python"))
    if cell.kind == "solution":
        return f"<details><summary>Solution: {html.escape(cell.exercise)}</summary>{code}</details>"
    return f'<div class="code">{code}</div>'


def markdown(text: str) -> str:
    """Markdown to HTML, formulas to MathML; `$` in code is no formula."""
    formulas: list[str] = []

    def put_aside(match: re.Match[str]) -> str:
        if match[1]:
            return match[1]
        block = match[2] is not None
        formula = mathml(match[2] or match[3], display="block" if block else "inline")
        formulas.append(f'<div class="wide">{formula}</div>' if block else formula)
        around = "\n\n" if block else ""
        return f"{around}FORMULA{len(formulas) - 1}X{around}"

    rendered = str(mistune.html(CODE_OR_MATH.sub(put_aside, text)))
    rendered = re.sub(r"<p>(FORMULA\d+X)</p>", _unwrap_blocks(formulas), rendered)
    return re.sub(r"FORMULA(\d+)X", lambda m: formulas[int(m[1])], rendered).strip()


def _unwrap_blocks(formulas: list[str]) -> Any:
    """A formula of its own is no paragraph."""
    return lambda match: match[1] if "<div" in formulas[int(match[1][7:-1])] else match[0]


def _output(output: Any, source: Path, folder: Path, pictures: list[Picture]) -> str:
    if output.output_type == "stream":
        return f"<pre>{html.escape(output.text)}</pre>"
    if output.output_type == "error":
        return f"<pre>{html.escape(f'{output.ename}: {output.evalue}')}</pre>"
    if "image/png" not in output.data:
        return f"<pre>{html.escape(output.data.get('text/plain', ''))}</pre>"
    data = base64.b64decode(output.data["image/png"])
    name = f"figures/{source.stem[:2]}_{len(pictures) + 1}.png"
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    width, height = (int.from_bytes(data[k : k + 4], "big") for k in (16, 20))  # of the PNG header
    pictures.append(Picture(name, width, height, output.metadata["image/png"]["alt"]))
    return f'<div class="wide">{pictures[-1].html()}</div>'


def index(pages: list[Page]) -> str:
    """The list of all notebooks, each with its question and how long it runs."""
    entries = [
        f'<li><a href="{page.name}">{html.escape(page.title)}</a> '
        f'<span class="time">{page.seconds:.0f} s to run</span>'
        f"{page.heart.html() if page.heart else ''}</li>"
        for page in pages
    ]
    readme = (build.FOLDER / "README.md").read_text(encoding="utf-8").split("\n## ")[0]
    contents = f'<ol class="contents">{"".join(entries)}</ol>'
    return PAGE.format(title="The course", navigation="", body=markdown(readme) + contents)


def write(pages: list[Page], folder: Path) -> None:
    """Every page, the index and the style sheet."""
    for k, page in enumerate(pages):
        links = ['<a href="index.html">All notebooks</a>']
        for word, other in (("Before", k - 1), ("Next", k + 1)):
            if 0 <= other < len(pages):
                title = html.escape(pages[other].title)
                links.append(f'<a href="{pages[other].name}">{word}: {title}</a>')
        text = PAGE.format(title=page.title, navigation="".join(links), body=page.body)
        (folder / page.name).write_text(text, encoding="utf-8")
    (folder / "index.html").write_text(index(pages), encoding="utf-8")
    colours = HtmlFormatter(style="friendly_grayscale").get_style_defs(".python")
    (folder / "style.css").write_text(STYLE + colours + "\n", encoding="utf-8")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pages = []
    for source in build.sources():
        start = time.perf_counter()
        notebook = run(source)
        pages.append(render(source, notebook, time.perf_counter() - start, folder))
        print(f"{pages[-1].seconds:6.1f} s  {folder / pages[-1].name}", flush=True)
    write(pages, folder)
    print(f"          {folder / 'index.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/course"))
