"""The values of options: each function reads one from its text, or says what was expected."""

from __future__ import annotations

import argparse
import math


def path(text: str) -> str:
    """A file, a folder or the name of a data set."""
    # An empty one is a shell variable that is not set: no default is meant by it.
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"expected a file, a folder or a name, got {text!r}")
    return text


def whole(text: str, least: int = 0, digits: int = 18) -> int:
    """A whole number from 0 up."""
    if text.isascii() and text.isdecimal() and len(text) <= digits and int(text) >= least:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from {least} up, got {text[:20]!r}")


def positive(text: str) -> int:
    """A whole number from 1 up."""
    return whole(text, least=1, digits=9)


def layer_depth(text: str) -> tuple[str, int]:
    """``LAYER=DEPTH``: a layer's name or pattern, and the depth of its ADTN."""
    layer, _, depth = text.rpartition("=")
    if not layer:
        raise argparse.ArgumentTypeError(f"expected LAYER=DEPTH, as fc1=2, got {text!r}")
    return layer, positive(depth)


def rate(text: str) -> float:
    """A number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return number
