"""Tables as text and as Markdown: cells that are safe to print, groups of rows, mean and spread."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Return {key: items with this key}, both in the order in which they come.

    >>> grouped(["ab", "c", "de"], len)
    {2: ['ab', 'de'], 1: ['c']}
    """
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def printable(text: str, *, also: str = "") -> str:
    r"""Return the text on one line, with Python's escapes for characters that are not printable.

    A name from a file may contain anything, such as codes that control a terminal. ``also`` are
    characters that stay unchanged.

    >>> print(printable("two\nlines, \x1b[31mred"))
    two\nlines, \x1b[31mred
    """
    return "".join(c if c.isprintable() or c in also else repr(c)[1:-1] for c in text)


def shortened(text: str, most: int = 2000) -> str:
    """Return the text, or its beginning and its end, in at most so many characters.

    >>> shortened("0123456789" * 1000, 20)
    '0123456789 … 3456789'
    """
    return text if len(text) <= most else f"{text[: most // 2]} … {text[3 - most // 2 :]}"


def rounded(record: Any) -> str:
    """Return a dataclass with floats in six digits; as its ``__repr__`` it is easy to read.

    >>> from tinyadtn.training.evaluate import Evaluation
    >>> Evaluation(0.1 + 0.2, 1 / 3, 30)
    Evaluation(loss=0.3, accuracy=0.333333, count=30)
    """
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    parts = (f"{k}={v:.6g}" if isinstance(v, float) else f"{k}={v!r}" for k, v in values.items())
    return f"{type(record).__name__}({', '.join(parts)})"


def format_table(rows: list[list[str]], *, left: int = 1) -> str:
    """Return rows as columns of text: the first ``left`` aligned left, all others aligned right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if k < left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    )


def format_markdown(rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Return rows as a Markdown table, whose head is the first row. A "|" in a cell is escaped.

    >>> print(format_markdown([["", "stored"], ["ADTN", "164"]]))
    |  | stored |
    | --- | ---: |
    | ADTN | 164 |
    """
    head, *body = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    rule = ["---" if k < left else "---:" for k in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))


def spread(shares: Sequence[float], digits: int = 1) -> str:
    """Return mean ± standard deviation of shares (0 to 1) in percent; one share has no deviation.

    >>> spread([0.5, 0.7]), spread([0.5], 2)
    ('60.0 ± 14.1 %', '50.00 %')
    """
    percent = [100 * share for share in shares]
    mean = f"{statistics.fmean(percent):.{digits}f}"
    if len(percent) == 1:
        return f"{mean} %"
    return f"{mean} ± {statistics.stdev(percent):.{digits}f} %"
