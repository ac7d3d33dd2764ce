"""Where the course is on the web: the one place to set, for links to Colab and Binder.

After a change run ``python notebooks/build.py``: it writes the links into notebooks/README.md, and
into each notebook a first cell that installs the package in Colab and does nothing elsewhere.
"""

from __future__ import annotations

from urllib.parse import quote

REPOSITORY = ""  # on GitHub, such as "https://github.com/OWNER/tinyadtn"; "" for no links
BRANCH = "main"

SETUP = """\
# In Colab this cell installs the course. Elsewhere it does nothing.
import subprocess
import sys

if "google.colab" in sys.modules:
    package = "tinyadtn[plot] @ git+{repository}@{branch}"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", package], check=True)"""


def setup_cell(repository: str = "") -> str:
    """Return the code of a notebook's first cell, "" without an address."""
    repository = repository or REPOSITORY
    return repository and SETUP.format(repository=repository, branch=BRANCH)


def links(notebooks: list[str], repository: str = "") -> str:
    """Return a Markdown list with a link to Colab and to Binder for each notebook.

    >>> print(links(["01_a"], "https://github.com/me/tinyadtn").replace(") or", ")\\n or"))
    - 01_a: [Colab](https://colab.research.google.com/github/me/tinyadtn/blob/main/notebooks/01_a.ipynb)
      or [Binder](https://mybinder.org/v2/gh/me/tinyadtn/main?labpath=notebooks%2F01_a.ipynb)
    """
    repository = repository or REPOSITORY
    if not repository:
        return "No address is set: see `REPOSITORY` in `tinyadtn/teach/address.py`."
    owner_and_name = repository.rstrip("/").removesuffix(".git").partition("github.com/")[2]
    lines = []
    for name in notebooks:
        path = f"notebooks/{name}.ipynb"
        colab = f"https://colab.research.google.com/github/{owner_and_name}/blob/{BRANCH}/{path}"
        binder = f"https://mybinder.org/v2/gh/{owner_and_name}/{BRANCH}?labpath={quote(path, '')}"
        lines.append(f"- {name}: [Colab]({colab}) or [Binder]({binder})")
    return "\n".join(lines)
