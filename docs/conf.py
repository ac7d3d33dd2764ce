"""Settings of the site: README, docs/, data/results/ and the executed notebooks, built by Sphinx.

    make docs    # or: python -m sphinx -c docs . build/docs

The source folder is the repository, so that every relative link is the same here and on a code
host. Formulas become MathML and nothing is loaded from a network: the pages can be read offline.
"""

import json
import shutil
import sys
from pathlib import Path

import nbformat
from latex2mathml.converter import convert
from myst_nb.core.render import NbElementRenderer

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "notebooks")]

import tinyadtn
from tinyadtn.teach.percent import read_cells

project = "tinyadtn"
author = "The tinyadtn authors"
version = release = tinyadtn.__version__
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/api/*.md", "data/*.md", "data/results/*.md", "notebooks/*", "tests/README.md"]
exclude_patterns = [".*", "**/.*", "build", "runs", "tinyadtn", "tests/bench", "notebooks/src"]
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "a11y-high-contrast-dark"

# --- the pages in the margin ----------------------------------------------------------------------

GUIDE = """networks encodings without_forming_w sweeps torch extend command_line data
    performance gpu reading"""
CONTENTS = {
    "Guide": [f"docs/{name}" for name in GUIDE.split()],
    "Course": ["notebooks/README"],
    "Results": ["data/results/README"],
    "Reference": ["docs/glossary", "docs/equations", "docs/faq", "docs/api/README"],
    "Project": ["CONTRIBUTING", "CHANGELOG", "tests/README", "data/README"],
}


def pages_in(folder: str, pattern: str) -> list[str]:
    found = sorted((ROOT / folder).glob(pattern))
    return [path.relative_to(ROOT).with_suffix("").as_posix() for path in found]


BELOW = {
    "notebooks/README": pages_in("notebooks", "[0-9][0-9]_*.ipynb"),
    "data/results/README": pages_in("data/results", "[!R]*.md"),
    "docs/api/README": pages_in("docs/api", "[!R]*.md"),
}


def toctree(pages: list[str], caption: str = "") -> str:
    lines = ["", "```{toctree}", ":hidden:", *([f":caption: {caption}"] if caption else []), ""]
    return "\n".join([*lines, *(f"/{page}" for page in pages), "```", ""])


def add_contents(app, docname, source):
    """Tables of contents, which a code host would show as code, are added here."""
    if docname == root_doc:
        source[0] += "".join(toctree(pages, caption) for caption, pages in CONTENTS.items())
    elif docname in BELOW:
        source[0] += toctree(BELOW[docname])


# --- Markdown and notebooks -----------------------------------------------------------------------

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4  # #links to headings, as on a code host
nb_execution_mode = "cache"  # what did not change is not run again
nb_execution_cache_path = str(ROOT / "build" / "docs-notebooks")
nb_execution_timeout = 20 * 60
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_ipywidgets_js = {}  # would come from a network
nb_custom_formats = {".ipynb": ["conf.notebook_with_solutions", {}]}


def notebook_with_solutions(text: str):
    """A notebook, each solution folded behind the cell that poses its exercise."""
    notebook = nbformat.reads(text, as_version=4)
    found = (cell for path in (ROOT / "notebooks/src").glob("*.py") for cell in read_cells(path))
    solutions = {cell.exercise: cell.source for cell in found if cell.kind == "solution"}
    cells = []
    for cell in notebook.cells:
        for name in [n for n in solutions if f'teach.check("{n}"' in cell.source]:
            fold = f"<details><summary>Solution: {name}</summary>\n\n```python\n{{}}\n```\n\n</details>"
            cells.append(nbformat.v4.new_markdown_cell(fold.format(solutions.pop(name))))
        cells.append(cell)
    notebook.cells = cells
    return notebook


def with_alt_text(self, data, render=NbElementRenderer.render_image):
    """A picture with its description, which our figures write into the output (draw/style.py)."""
    (image,) = render(self, data)
    image["alt"] = data.output_metadata.get(data.mime_type, {}).get("alt", "")
    return [image]


NbElementRenderer.render_image = with_alt_text

# --- API reference --------------------------------------------------------------------------------

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say it in words
autodoc_default_options = {"members": True}

# --- HTML -----------------------------------------------------------------------------------------

html_theme = "furo"
html_title = "tinyadtn"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]


def formula(self, node):
    """A formula in MathML, which browsers draw without a script or a font from a network."""
    block = node.tagname == "math_block"
    mathml = convert(node.astext(), display="block" if block else "inline")
    self.body.append(f'<div class="formula">{mathml}</div>' if block else mathml)
    raise __import__("docutils").nodes.SkipNode


def add_start_page(app, exception):
    """index.html, where a browser begins, is README's page."""
    if exception is None and app.builder.name == "html":
        shutil.copy(Path(app.outdir, "README.html"), Path(app.outdir, "index.html"))


def setup(app):
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
    app.connect("source-read", add_contents)
    app.connect("build-finished", add_start_page)


html_math_renderer = "mathml"
