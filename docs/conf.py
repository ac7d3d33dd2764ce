"""Settings of the site: README, docs/, data/results/ and the executed notebooks, built by Sphinx.

    make docs    # or: python -m sphinx -c docs . build/docs

The source folder is the repository, so that every relative link is the same here and on a code
host. Formulas become MathML and nothing is loaded from a network: the pages can be read offline.
"""

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import notebook_pages

import tinyadtn

ROOT = Path(__file__).parents[1]

project = "tinyadtn"
author = "The tinyadtn authors"
version = release = tinyadtn.__version__
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
root_doc = "README"
include_patterns = [
    "*.md",
    "docs/*.md",
    "docs/api/*.md",
    "data/*.md",
    "data/results/*.md",
    "notebooks/*",
    "tests/README.md",
]
exclude_patterns = [".*", "**/.*", "build", "runs", "tinyadtn", "tests/bench", "notebooks/src"]
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "a11y-high-contrast-dark"

# --- the pages in the margin ----------------------------------------------------------------------

GUIDE = """README networks ops encodings without_forming_w sweeps torch extend command_line data
    performance gpu reading"""
CONTENTS = {
    "Course": ["notebooks/README", "TEACHING"],
    "Results": ["data/results/README"],
    "Guide": [f"docs/{name}" for name in GUIDE.split()],
    "Reference": ["docs/api/README", "docs/equations", "docs/glossary", "docs/faq"],
    "Project": ["CONTRIBUTING", "CHANGELOG", "tests/README", "data/README"],
}

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def pages_of(page: str, after: str) -> list[str]:
    """The pages of its folder that a page links to after this heading, in that order."""
    text = (ROOT / f"{page}.md").read_text(encoding="utf-8").partition(after)[2]
    return [f"{page.rpartition('/')[0]}/{name}" for name in re.findall(r"\]\((\w+)\.md\)", text)]


BELOW = {
    "notebooks/README": [f"notebooks/{path.stem}" for path in NOTEBOOKS],
    "data/results/README": pages_of("data/results/README", "## All studies"),
    "docs/api/README": pages_of("docs/api/README", "# API reference"),
}


def toctree(pages: list[str], caption: str = "") -> str:
    lines = ["", "```{toctree}", ":hidden:", *([f":caption: {caption}"] if caption else []), ""]
    return "\n".join([*lines, *(f"/{page}" for page in pages), "```", ""])


def add_contents(app, docname, source):
    """Tables of contents, which a code host would show as code, are added here."""
    if docname == root_doc:
        source[0] = source[0].replace("](tinyadtn/tiny.py)", "](docs/reading.md#tinypy)")
        source[0] += "".join(toctree(pages, caption) for caption, pages in CONTENTS.items())
    elif docname in BELOW:
        source[0] += toctree(BELOW[docname])


# --- Markdown and notebooks -----------------------------------------------------------------------

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4  # #links to headings, as on a code host


def run_with() -> str:
    """A name for all that decides the outputs of a notebook, apart from its own cells."""
    files = sorted([*ROOT.glob("tinyadtn/**/*.py"), *ROOT.glob("notebooks/src/*.py")])
    digest = hashlib.sha256(os.environ.get("TINYADTN_FAST", "").encode())
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


nb_execution_mode = "cache"  # a notebook is run again if it or the library changed
nb_execution_cache_path = str(ROOT / "build" / "notebooks" / run_with())
nb_execution_timeout = 20 * 60
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_ipywidgets_js = {}  # would come from a network
nb_custom_formats = {".ipynb": ["notebook_pages.with_solutions", {}]}

# --- API reference --------------------------------------------------------------------------------

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say it in words
autodoc_default_options = {"members": True}


def escape_bars(app, what, name, obj, options, lines):
    """|x| is a number's size and |0⟩ a state; reStructuredText would look for a substitution."""
    for k, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = re.split(r"(``.*?``)", line)
            parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
            lines[k] = "".join(parts)


# --- HTML -----------------------------------------------------------------------------------------

html_theme = "furo"
html_title = "tinyadtn"
html_copy_source = False
html_show_search_summary = False  # would fetch pages, which browsers forbid for files
html_static_path = ["_static"]
html_css_files = ["site.css"]


def formula(self, node):
    """A formula in MathML, which browsers draw without a script or a font from a network."""
    block = node.tagname == "math_block"
    mathml = convert(node.astext(), display="block" if block else "inline")
    self.body.append(f'<div class="formula">{mathml}</div>' if block else mathml)
    raise SkipNode


def add_start_page(app, exception):
    """index.html, where a browser begins, is README's page."""
    if exception is None and app.builder.name == "html":
        shutil.copy(Path(app.outdir, "README.html"), Path(app.outdir, "index.html"))


def setup(app):
    notebook_pages.describe_pictures()
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
    app.connect("source-read", add_contents)
    app.connect("autodoc-process-docstring", escape_bars)
    app.connect("build-finished", add_start_page)


html_math_renderer = "mathml"
