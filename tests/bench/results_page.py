"""The tables and pictures of the pages in data/results, made anew from the files of results.

    python tests/bench/results_page.py    # or make page

A table stands between two marks, the first of which says the command that prints it:

    <!-- tinyadtn sweep data/results/fc1_orders.toml --table --pivot depth -->
    …
    <!-- end -->

``tinyadtn …`` and ``python tests/bench/….py --table`` are run in the folder of the repository. A
picture is drawn by a line of the page that ends in ``--plot data/results/NAME.png``.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "data" / "results").glob("*.md"))
MARKED = re.compile(
    r"(<!-- (?P<command>(?:tinyadtn|python) .*?) -->\n).*?(<!-- end -->)", re.DOTALL
)
DRAWN = re.compile(r"^(?:tinyadtn|python) .* --plot data/results/\S+\.png$", re.MULTILINE)
PREFIXES = {
    "tinyadtn": [sys.executable, "-m", "tinyadtn"],
    "python": [sys.executable],
}


def made(page: str) -> str:
    """The page with what its commands print now."""
    return MARKED.sub(lambda found: f"{found[1]}\n{printed(found['command'])}\n{found[3]}", page)


def printed(command: str) -> str:
    """What a command prints; its last words, if it fails."""
    program, *words = shlex.split(command)
    done = subprocess.run(
        [*PREFIXES[program], *words], cwd=ROOT, capture_output=True, text=True, encoding="utf-8"
    )
    if done.returncode:
        sys.exit(f"{command}: {done.stderr.strip()}")
    return done.stdout


def commands(page: str) -> list[str]:
    return [found["command"] for found in MARKED.finditer(page)]


def main() -> None:
    for path in PAGES:
        page = path.read_text(encoding="utf-8")
        path.write_text(made(page), encoding="utf-8")
        for command in DRAWN.findall(page):
            printed(command)


if __name__ == "__main__":
    main()
