"""Safe printing on a terminal, because a name may contain characters that control it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable

from ..tables import printable


def say(text: object) -> None:
    """Print the text on its lines, with every other unprintable character escaped."""
    print(printable(str(text), also="\n"))


def as_typed(words: Iterable[str]) -> str:
    r"""Return the words as a line for the shell, quoted where necessary.

    >>> print(as_typed(["ls", "my digits", "\x1b[31mred"]))
    ls 'my digits' $'\x1b\x5b\x33\x31\x6d\x72\x65\x64'
    """
    return " ".join(shlex.quote(word) if word.isprintable() else _spelled(word) for word in words)


def _spelled(word: str) -> str:
    """Return the bytes of a word in hex, as bash and zsh read them: safe to print, and exact."""
    return "$'" + "".join(f"\\x{byte:02x}" for byte in os.fsencode(word)) + "'"
