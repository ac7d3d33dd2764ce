"""Format tables as text and as Markdown, and a mean with its standard deviation."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def format_table(rows: list[list[str]], *, left: int = 1) -> str:
    """Align rows of text in columns: ``left`` columns to the left, all others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if k < left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    )


def format_markdown(rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Return a Markdown table whose head is the first row.

    >>> print(format_markdown([["", "stored"], ["ADTN", "164"]]))
    |  | stored |
    | --- | ---: |
    | ADTN | 164 |
    """
    head, *body = rows
    rule = ["---" if k < left else "---:" for k in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))


def spread(shares: Sequence[float], digits: int = 1) -> str:
    """Return mean ± standard deviation of shares, in percent; without ± for a single share.

    >>> spread([0.5, 0.7]), spread([0.5], 2)
    ('60.0 ± 14.1 %', '50.00 %')
    """
    percent = [100 * share for share in shares]
    mean = f"{statistics.fmean(percent):.{digits}f}"
    if len(percent) == 1:
        return f"{mean} %"
    return f"{mean} ± {statistics.stdev(percent):.{digits}f} %"
