"""Types of option values: each function parses a text, or raises with the expected form."""

from __future__ import annotations

import argparse
import math
import os

from ..errors import nearest
from ..nn.models import MODELS
from ..studies.parts import is_own


def path(text: str) -> str:
    """Return the name of a file, a folder or a data set; a shell leaves the ~ of --out=~/x."""
    # An empty text is often an unset shell variable, so it must not mean the default.
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"expected a file, a folder or a name, got {text!r}")
    return os.path.expanduser(text)  # noqa: PTH111 - Path would drop the / of dir/


def network(text: str) -> str:
    """Return the name of a network of the package, or "module:name" of the user."""
    if text in MODELS or is_own(text):
        return text
    raise argparse.ArgumentTypeError(
        f"expected one of {', '.join(sorted(MODELS))}, or module:name, got "
        f"{text[:60]!r}{nearest(text, MODELS)}"
    )


def whole(text: str, least: int = 0, digits: int = 18) -> int:
    """Return a whole number that is at least ``least``."""
    if text.isascii() and text.isdecimal() and len(text) <= digits and int(text) >= least:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from {least} up, got {text[:20]!r}")


def positive(text: str) -> int:
    """Return a whole number that is at least 1."""
    return whole(text, least=1, digits=9)


def rate(text: str) -> float:
    """Return a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return number
