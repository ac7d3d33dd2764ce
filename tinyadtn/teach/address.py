"""Where the course is on the web. Set ``REPOSITORY`` and ``BRANCH`` here, and nowhere else.

After a change run ``python notebooks/build.py``: it writes a link to Colab and to Binder for each
notebook into notebooks/README.md, and into each notebook a first cell that installs the package in
Colab and does nothing elsewhere. Editions made later have that cell, too.
"""

from __future__ import annotations

import re
from urllib.parse import quote

REPOSITORY = ""  # on GitHub, such as "https://github.com/OWNER/tinyadtn"; "" for no links
BRANCH = "main"

SETUP = """\
# In Colab this cell installs the course. Elsewhere it does nothing.
import subprocess
import sys

if "google.colab" in sys.modules:
    package = "tinyadtn[plot] @ git+https://github.com/{name}@{branch}"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", package], check=True)"""


def setup_cell(repository: str = "") -> str:
    """Return the code of a notebook's first cell, "" without an address."""
    repository = repository or REPOSITORY
    return repository and SETUP.format(name=owner_and_name(repository), branch=BRANCH)


def links(notebooks: list[str], repository: str = "") -> str:
    """Return a Markdown list with a link to Colab and to Binder for each notebook.

    >>> print(links(["01_a"], "https://github.com/me/tinyadtn").replace(") or", ")\\n or"))
    - 01_a: [Colab](https://colab.research.google.com/github/me/tinyadtn/blob/main/notebooks/01_a.ipynb)
      or [Binder](https://mybinder.org/v2/gh/me/tinyadtn/main?labpath=notebooks%2F01_a.ipynb)
    """
    repository = repository or REPOSITORY
    if not repository:
        return "No address is set: see `REPOSITORY` in `tinyadtn/teach/address.py`."
    place = owner_and_name(repository), BRANCH
    lines = []
    for name in notebooks:
        path = f"notebooks/{name}.ipynb"
        colab = "https://colab.research.google.com/github/{}/blob/{}/".format(*place) + path
        binder = "https://mybinder.org/v2/gh/{}/{}?labpath=".format(*place) + quote(path, "")
        lines.append(f"- {name}: [Colab]({colab}) or [Binder]({binder})")
    return "\n".join(lines)


def owner_and_name(repository: str) -> str:
    """Return "OWNER/NAME" of an address on GitHub, the only one that Colab opens.

    >>> owner_and_name("git@github.com:me/tinyadtn.git")
    'me/tinyadtn'
    """
    found = re.search(r"github\.com[/:]([\w.-]+/[\w.-]+?)(\.git)?/?$", repository)
    if found is None:
        raise ValueError(
            f'REPOSITORY should be like "https://github.com/OWNER/NAME", got {repository!r}'
        )
    return found[1]
