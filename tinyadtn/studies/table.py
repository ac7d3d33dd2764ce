"""The results of a sweep: mean and spread over the seeds of every row, as tables and a picture."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..draw.scatter import Point, tradeoff
from ..errors import ShapeError, TinyADTNError, nearest
from ..tables import format_markdown, format_table, spread
from .results import Record
from .run import Preview
from .spec import PlannedRun, Spec, brief, labelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NONE = "–"  # shown for a missing value
DIGITS = 2  # default number of decimals of accuracies in %
SPLITS = ("test", "validation")


@dataclass(frozen=True)
class RowResult:
    """A row of the table: runs that differ only in their seeds, and their records.

    ``numbers`` are the stored parameters that the spec counts, None if the row has no such weight.
    Accuracies are shares (0 to 1), one per seed.
    """

    run: PlannedRun  # the first of these runs
    planned: int
    done: tuple[Record, ...]
    failed: int
    numbers: int | None

    @property
    def runs(self) -> str:
        """The number of planned runs, with the number of done and failed runs if they differ."""
        done = str(self.planned) if self.is_whole else f"{len(self.done)} of {self.planned}"
        return done + (f", {self.failed} failed" if self.failed else "")

    @property
    def is_whole(self) -> bool:
        """Whether all its runs are done."""
        return len(self.done) == self.planned

    @property
    def learning_rate(self) -> float:
        """The peak learning rate of the runs."""
        return self.run.config["learning_rate"]

    def accuracies(self, split: str) -> tuple[float, ...]:
        """Return the accuracies on a split, one per seed."""
        return tuple(record[split] for record in self.done)


def summaries(spec: Spec, records: Mapping[str, Record]) -> list[RowResult]:
    """Return the rows of a sweep in the order of its spec, with the records of their runs."""
    found = []
    for runs in by_label(spec).values():
        ended = [records[run.key] for run in runs if run.key in records]
        done = tuple(record for record in ended if record["status"] == "done")
        numbers = counted(done[0], spec.count) if done else None
        found.append(RowResult(runs[0], len(runs), done, len(ended) - len(done), numbers))
    return found


def group_by_method(found: Iterable[RowResult]) -> list[list[RowResult]]:
    """Return lists of rows that differ only in the learning rate, each with the best row first."""
    groups: dict[str, list[RowResult]] = {}
    for row in found:
        method = {k: v for k, v in row.run.config.items() if k != "learning_rate"}
        groups.setdefault(json.dumps(method, sort_keys=True), []).append(row)
    return [sorted(group, key=_place) for group in groups.values()]


def _place(row: RowResult) -> tuple[float, float, float]:
    """Return the sort key of a row: best on validation first, without using the test split.

    A mean over fewer seeds is not comparable, because the worst runs are usually those that fail.
    So a row comes after all rows of which a larger share of the runs is done. Among equals, the
    smaller learning rate comes first.
    """
    mean = statistics.fmean(row.accuracies("validation")) if row.done else 0.0
    return -len(row.done) / row.planned, -mean, row.learning_rate


def by_label(spec: Spec) -> dict[str, list[PlannedRun]]:
    """Return {label: runs that differ only in their seeds}."""
    groups: dict[str, list[PlannedRun]] = {}
    for run in spec.runs:
        groups.setdefault(run.label, []).append(run)
    return groups


def counted(numbers: Mapping[str, Any], count: str | Sequence[str]) -> int | None:
    """Return the stored parameters selected by ``count``: of encoded weights, of layers, or of all.

    ``numbers`` are ``stored_numbers``. None if nothing is encoded, or no such layer exists.

    >>> numbers = {"stored": {"fc1": 436, "fc2": 2560}, "encoded": ["fc1"], "model": 3262}
    >>> counted(numbers, "encoded"), counted(numbers, "model"), counted(numbers, ["fc1", "fc2"])
    (436, 3262, 2996)
    """
    if count == "model":
        return numbers["model"]
    # The joint encoding of several layers is called "fc1+fc2".
    chosen = [
        stored
        for name, stored in numbers["stored"].items()
        if (name in numbers["encoded"] if count == "encoded" else set(name.split("+")) & set(count))
    ]
    return sum(chosen) if chosen else None


# --- one line per row ----------------------------------------------------------------------------


def table(
    spec: Spec, records: Mapping[str, Record], *, best: bool = False, digits: int = DIGITS
) -> str:
    """Return a table of the accuracies of every row, mean ± standard deviation over its seeds.

    With ``best``, of rows that differ only in the learning rate, the table shows the one with the
    highest mean validation accuracy, with its learning rate and all rates that it was chosen from.
    A row with missing runs, failed or not done yet, is chosen only if the others lack as many.
    """
    return format_table(_table_rows(spec, records, best, digits))


def markdown_table(
    spec: Spec, records: Mapping[str, Record], *, best: bool = False, digits: int = DIGITS
) -> str:
    """Return ``table`` in Markdown."""
    return format_markdown(_table_rows(spec, records, best, digits))


def _table_rows(
    spec: Spec, records: Mapping[str, Record], best: bool, digits: int
) -> list[list[str]]:
    rows = [["", "runs", title(spec), "whole model", "validation", "test"]]
    rows[0] += ["learning rate"] if best else []
    found = summaries(spec, records)
    for row, *others in group_by_method(found) if best else ([row] for row in found):
        model = row.done[0]["model"] if row.done else None
        shares = [spread(row.accuracies(s), digits) if row.done else "" for s in SPLITS[::-1]]
        cells = [row.run.method if best else row.run.label, row.runs, _number(row.numbers)]
        rows.append([*cells, _number(model), *shares, *([_rates(row, others)] if best else [])])
    return _without_twin_column(spec, rows, 2)


def _rates(best: RowResult, others: Sequence[RowResult]) -> str:
    """Return the chosen learning rate and its alternatives, with the runs of incomplete rows."""
    tried = sorted([best, *others], key=lambda row: row.learning_rate)
    shown = [brief(r.learning_rate) + ("" if r.is_whole else f" ({r.runs})") for r in tried]
    return brief(best.learning_rate) + (f" of {', '.join(shown)}" if others else "")


def preview_table(spec: Spec, preview: Mapping[str, Preview], records: Mapping[str, Record]) -> str:
    """Return a table of planned runs: how many per row, how many are done, stored parameters."""
    rows = [["", "runs", "done", title(spec), "whole model", "trained"]]
    for row in summaries(spec, records):
        stored = preview[row.run.label].stored
        numbers = [counted(stored, spec.count), stored["model"], stored["trained"]]
        done = str(len(row.done))
        rows.append([row.run.label, str(row.planned), done, *map(_number, numbers)])
    return format_table(_without_twin_column(spec, rows, 3))


def _without_twin_column(spec: Spec, rows: list[list[str]], column: int) -> list[list[str]]:
    """Return the rows, without the column if ``count`` is the whole model and it would repeat."""
    return [r[:column] + r[column + 1 :] for r in rows] if spec.count == "model" else rows


def title(spec: Spec) -> str:
    """Return the head of the column of counted parameters."""
    return spec.count if isinstance(spec.count, str) else brief("+".join(spec.count))


def _number(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


# --- one column per value of an option -----------------------------------------------------------


def pivot_table(
    spec: Spec,
    records: Mapping[str, Record],
    key: str,
    *,
    best: bool = False,
    digits: int = DIGITS,
    split: str = "test",
) -> str:
    """Return a Markdown table: a line per method, a column per value of the option ``key``.

    A cell is "stored parameters: accuracy in %". If the stored parameters do not vary within any
    line, they have a separate column. ``key`` is the name of an option, such as ``depth`` or
    ``network``; rows without this option are in the column "–". Accuracies are those of one split,
    mean ± standard deviation over the seeds. TinyADTNError if no run of the spec varies the option,
    or if two rows would share a cell.
    """
    found = summaries(spec, records)
    if len({_value(row.run, key) for row in found} - {NONE}) < 2:
        varied = dict.fromkeys(_last(name) for row in found for name in row.run.choices)
        there = f"it varies {', '.join(varied)}" if varied else "its rows vary nothing"
        raise TinyADTNError(
            f"{spec.name}: --pivot {key}: no two of its rows differ in it{nearest(key, varied)} "
            f"({there})"
        )
    lines: dict[str, dict[str, RowResult]] = {}
    for row in [group[0] for group in group_by_method(found)] if best else found:
        left_out = {"learning_rate"} if best else set()
        left_out |= {name for name in row.run.choices if _last(name) == key}
        others = {k: v for k, v in row.run.choices.items() if k not in left_out}
        cells = lines.setdefault(labelled(row.run.row, others), {})
        twin = cells.setdefault(_value(row.run, key), row)
        if twin is not row:
            raise TinyADTNError(
                f"{spec.name}: {twin.run.label!r} and {row.run.label!r} differ in more than {key}, "
                "and would stand in the same cell"
            )
    values = sorted(dict.fromkeys(v for cells in lines.values() for v in cells), key=_by_size)
    stored = [{row.numbers for row in cells.values()} for cells in lines.values()]
    apart = all(len(numbers) == 1 for numbers in stored)  # then one column shows them
    heads = [value if value == NONE else f"{key} {value}" for value in values]
    table = [["", *([title(spec)] if apart else []), *heads]]
    for (name, cells), numbers in zip(lines.items(), stored):
        first = [_number(numbers.pop())] if apart else []
        shown = [_cell(cells[v], split, digits, apart) if v in cells else "" for v in values]
        table.append([name, *first, *shown])
    return format_markdown(table)


def _cell(row: RowResult, split: str, digits: int, apart: bool) -> str:
    if not row.done:
        return f"({row.runs})"
    numbers = "" if apart or row.numbers is None else f"{row.numbers:,}: "
    missing = "" if row.is_whole else f" ({row.runs})"
    return f"{numbers}{spread(row.accuracies(split), digits).removesuffix(' %')}{missing}"


def _value(run: PlannedRun, key: str) -> str:
    """Return a run's value of an option: its choice, or all values in its configuration."""
    chosen = [value for name, value in run.choices.items() if _last(name) == key]
    values = dict.fromkeys(chosen or map(brief, _everywhere(run.config, key)))
    return ", ".join(values) or NONE


def _by_size(value: str) -> tuple[bool, float]:
    """Return the sort key of a value: numbers by size, then words in order, then NONE."""
    try:
        return False, float(value)
    except ValueError:
        return value == NONE, math.inf


def _everywhere(config: Mapping[str, Any], key: str) -> Iterator[Any]:
    for name, value in config.items():
        if name == key:
            yield value.get("name", value) if isinstance(value, Mapping) else value
        elif isinstance(value, Mapping):
            yield from _everywhere(value, key)


def _last(name: str) -> str:
    return name.rsplit(".", 1)[-1]


# --- a picture -----------------------------------------------------------------------------------


def plot(spec: Spec, records: Mapping[str, Record]) -> Figure:
    """Draw test accuracy against stored parameters: one curve per method, one point per size.

    A method is a row with all its choices, except the learning rate and options such as ``depth``
    that change the number of stored parameters. Of runs with equally many parameters, for instance
    at several learning rates, the point is the one that is best on validation, as in ``table``. A
    method without counted parameters is a horizontal line.
    """
    curves: dict[str, list[Point]] = {}
    levels: dict[str, Point] = {}
    for name, members in _methods([row for row in summaries(spec, records) if row.done]).items():
        best: dict[int, RowResult] = {}
        for row in sorted(members, key=_place):
            best.setdefault(row.numbers or 0, row)
        for numbers, row in sorted(best.items()):
            shares = row.accuracies("test")
            around = statistics.stdev(shares) if len(shares) > 1 else 0.0
            point = Point(numbers, statistics.fmean(shares), around)
            if numbers:
                curves.setdefault(name, []).append(point)
            else:
                levels[name] = point
    if not curves and not levels:
        raise TinyADTNError(f"{spec.name}: no run of it is done yet, so there is nothing to draw")
    what = {
        "encoded": "stored parameters of the encoded weights",
        "model": "stored parameters of the whole model",
    }
    try:
        return tradeoff(
            curves, levels, xlabel=what.get(title(spec), f"stored parameters of {title(spec)}")
        )
    except ShapeError as error:  # too many curves
        raise TinyADTNError(f"{spec.name}: {error}; choose some with --rows") from error


def _methods(found: Iterable[RowResult]) -> dict[str, list[RowResult]]:
    """Return {name of a curve: the rows of the table that it joins}."""
    rows: dict[str, list[RowResult]] = {}
    for result in found:
        rows.setdefault(result.run.row, []).append(result)
    methods: dict[str, list[RowResult]] = {}
    for row, members in rows.items():
        for result in members:
            others = {
                name: value
                for name, value in result.run.choices.items()
                if name != "learning_rate" and not _sets_the_size(name, members)
            }
            methods.setdefault(labelled(row, others), []).append(result)
    return methods


def _sets_the_size(option: str, members: Iterable[RowResult]) -> bool:
    """Return whether an option changes the number of stored parameters, all other choices equal."""
    sizes: dict[str, set[int | None]] = {}
    for row in members:
        rest = {k: v for k, v in row.run.choices.items() if k not in (option, "learning_rate")}
        sizes.setdefault(labelled("", rest), set()).add(row.numbers)
    return any(len(numbers) > 1 for numbers in sizes.values())
