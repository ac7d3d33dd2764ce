"""The Markdown pages of the project, and what the tests read from them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATTERNS = ("*.md", "docs/**/*.md", "data/**/*.md", "notebooks/*.md", "tests/*.md")
PAGES = sorted(path for pattern in PATTERNS for path in ROOT.glob(pattern))
FENCE = re.compile(r"^```(\S*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, language: str) -> list[str]:
    """The code blocks of a page in this language."""
    found = FENCE.findall(path.read_text(encoding="utf-8"))
    return [code for marked, code in found if marked == language]


def links(path: Path) -> list[str]:
    """The targets of all links and pictures of a page, without those in code."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    return LINK.findall(re.sub(r"`[^`\n]*`", "`code`", text))


def anchors(path: Path) -> set[str]:
    """What a link to a heading of this page may say after "#"."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"(?m)^#+ (.*)$", text)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def commands(path: Path) -> list[str]:
    """The commands of a page, without comments; a line that ends in a backslash goes on."""
    text = "".join(blocks(path, "sh")).replace("\\\n", " ")
    lines = (line.partition(" #")[0].strip() for line in text.splitlines())
    return [part.strip() for line in lines for part in line.split("&&") if part and line[0] != "#"]
