"""The table of a sweep in Markdown, as it is or with one option's values side by side."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..errors import TinyADTNError, nearest
from ..tables import format_markdown, spread
from .results import Record
from .spec import Spec, brief, labelled
from .table import DIGITS, NONE, RowResult, group_by_method, number, summaries, table_rows, title

SPLITS = ("test", "validation")


def markdown_table(
    spec: Spec, records: Mapping[str, Record], *, best: bool = False, digits: int = DIGITS
) -> str:
    """``table`` in Markdown."""
    return format_markdown(table_rows(spec, records, best=best, digits=digits))


def pivot_table(
    spec: Spec,
    records: Mapping[str, Record],
    key: str,
    *,
    best: bool = False,
    digits: int = DIGITS,
    split: str = "test",
) -> str:
    """A line for each method, a column for each value of ``key``: stored numbers: accuracy, in %.

    Where no line has different stored numbers, these stand in a column of their own.
    ``key`` is the name of an option, ``depth`` or ``network`` say; what has no such option stands
    under "–". Accuracies are those of one split, mean ± standard deviation over the seeds.
    TinyADTNError if no run of the spec varies it, or if two rows would stand in the same cell.
    """
    found = summaries(spec, records)
    _refuse_constant(spec, found, key)
    chosen = [group[0] for group in group_by_method(found)] if best else found
    lines: dict[str, dict[str, RowResult]] = {}
    for s in chosen:
        cells = lines.setdefault(_name(s, key, best), {})
        value = _value(s, key)
        if value in cells:
            raise TinyADTNError(
                f"{spec.name}: {cells[value].label!r} and {s.label!r} differ in more than {key}, "
                "and would stand in the same cell"
            )
        cells[value] = s
    values = list(dict.fromkeys(_value(s, key) for s in chosen))
    values.sort(key=_place)
    heads = [value if value == NONE else f"{key} {value}" for value in values]
    stored = {name: {s.numbers for s in cells.values()} for name, cells in lines.items()}
    apart = all(len(numbers) == 1 for numbers in stored.values())  # then they need no cell twice
    rows = [["", *([title(spec.count)] if apart else []), *heads]]
    for name, cells in lines.items():
        first = [number(stored[name].pop())] if apart else []
        accuracies = [_cell(cells.get(value), split, digits, alone=apart) for value in values]
        rows.append([name, *first, *accuracies])
    return format_markdown(rows)


def _cell(s: RowResult | None, split: str, digits: int, *, alone: bool) -> str:
    if s is None:
        return ""
    shares = getattr(s, split)
    if not shares:
        return f"({s.runs})"
    said = "" if alone or s.numbers is None else f"{s.numbers:,}: "
    part = "" if s.is_whole else f" ({s.runs})"
    return f"{said}{spread(shares, digits).removesuffix(' %')}{part}"


def _name(s: RowResult, key: str, best: bool) -> str:
    """The row of the spec with what it varies beside ``key``; with ``best``, and beside rates."""
    left_out = {"learning_rate"} if best else set()
    said = {k: v for k, v in s.choices.items() if _last(k) != key and k not in left_out}
    return labelled(s.row, said)


def _value(s: RowResult, key: str) -> str:
    """What a row has for that option: as it was chosen, or wherever its configuration names it."""
    chosen = [value for name, value in s.choices.items() if _last(name) == key]
    values = dict.fromkeys(chosen or map(brief, _everywhere(s.config, key)))
    return ", ".join(values) or NONE


def _place(value: str) -> tuple[bool, float]:
    """Numbers by size, then words as they come; what has no such option last."""
    try:
        return False, float(value)
    except ValueError:
        return value == NONE, math.inf


def _everywhere(config: Any, key: str) -> Iterator[Any]:
    if isinstance(config, Mapping):
        for name, value in config.items():
            if name == key:
                yield value.get("name") if isinstance(value, Mapping) and "name" in value else value
            else:
                yield from _everywhere(value, key)


def _refuse_constant(spec: Spec, found: Iterable[RowResult], key: str) -> None:
    varied = dict.fromkeys(_last(name) for s in found for name in s.choices)
    values = {_value(s, key) for s in found} - {NONE}
    if len(values) < 2:
        there = f"it varies {', '.join(varied)}" if varied else "its rows vary nothing"
        raise TinyADTNError(
            f"{spec.name}: --pivot {key}: no two of its rows differ in it{nearest(key, varied)} "
            f"({there})"
        )


def _last(name: str) -> str:
    return name.rsplit(".", 1)[-1]
