"""Words for a terminal: a name in them may hold anything, also what commands it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable


def printable(text: str, *, also: str = "") -> str:
    r"""The text on one line, what is no character to be seen as Python would write it.

    >>> print(printable("two\nlines, \x1b[31mred"))
    two\nlines, \x1b[31mred
    """
    return "".join(c if c.isprintable() or c in also else repr(c)[1:-1] for c in text)


def say(text: object) -> None:
    """Print it as ``printable``, on as many lines as it has."""
    print(printable(str(text), also="\n"))


def as_typed(words: Iterable[str]) -> str:
    r"""The words as a line for the shell, quoted where they must be.

    >>> print(as_typed(["ls", "my digits", "\x1b[31mred"]))
    ls 'my digits' $'\x1b\x5b\x33\x31\x6d\x72\x65\x64'
    """
    return " ".join(shlex.quote(word) if word.isprintable() else _spelled(word) for word in words)


def _spelled(word: str) -> str:
    """Byte by byte, as bash and zsh read it: such a name is in no other way both safe and exact."""
    return "$'" + "".join(f"\\x{byte:02x}" for byte in os.fsencode(word)) + "'"
