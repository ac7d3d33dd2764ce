"""Safe printing on a terminal, because a name may contain characters that control it."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..tables import printable


def say(text: object) -> None:
    """Print the text on its lines, with every other unprintable character escaped."""
    with _naming_stdout():
        print(printable(str(text), also="\n"))


def program() -> str:
    """Return the name by which this program was called, for commands that users copy."""
    called = sys.argv[0]
    needs_folder = Path(called).name == "tinyadtn" and called != shutil.which("tinyadtn")
    return called if needs_folder else "tinyadtn"


def say_next(*words: str) -> None:
    """Print the command that comes next, for users to copy."""
    say(f"\nNext: {as_typed([program(), *words])}")


def words_of(options: Namespace, *names: str) -> list[str]:
    """Return the words of those options that do not have their default, as a user types them."""
    words = []
    for name in names:
        if (value := getattr(options, name)) != options.defaults[name]:
            values = value if isinstance(value, list) else [] if value is True else [value]
            words += [f"--{name.replace('_', '-')}", *map(str, values)]
    return words


def flush_output() -> None:
    """Write what is still buffered; ``OSError`` names stdout if that fails."""
    with _naming_stdout():
        sys.stdout.flush()


@contextmanager
def _naming_stdout() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        error.filename = "stdout"
        raise


def as_typed(words: Iterable[str]) -> str:
    r"""Return the words as a line for the shell, quoted where necessary; a file -x becomes ./-x.

    >>> print(as_typed(["ls", "my digits", "\x1b[31mred"]))
    ls 'my digits' $'\x1b\x5b\x33\x31\x6d\x72\x65\x64'
    """
    words = [f"./{word}" if word[:1] == "-" != word[1:2] else word for word in words]
    return " ".join(shlex.quote(word) if word.isprintable() else _spelled(word) for word in words)


def _spelled(word: str) -> str:
    """Return the bytes of a word in hex, as bash and zsh read them: safe to print, and exact."""
    return "$'" + "".join(f"\\x{byte:02x}" for byte in os.fsencode(word)) + "'"
