"""What an option's text may be: each function gives its value, or says what was expected."""

from __future__ import annotations

import argparse
import math


def path(text: str) -> str:
    """A file, a folder or the name of a data set."""
    # An empty one is a variable of the shell's that is not set: no default is meant by it.
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"expected a file, a folder or a name, got {text!r}")
    return text


def whole(text: str) -> int:
    """A whole number from 0 up."""
    return _whole_from(0, text, digits=18)


def positive(text: str) -> int:
    """A whole number from 1 up."""
    return _whole_from(1, text, digits=9)


def _whole_from(least: int, text: str, *, digits: int) -> int:
    good = text.isascii() and text.isdecimal() and len(text) <= digits and int(text) >= least
    if not good:
        raise argparse.ArgumentTypeError(
            f"expected a whole number from {least} up, got {text[:20]!r}"
        )
    return int(text)


def layer_depth(text: str) -> tuple[str, int]:
    """``LAYER=DEPTH``: a layer's name or pattern, and the depth of its ADTN."""
    layer, equals, depth = text.rpartition("=")
    if not (equals and layer):
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
