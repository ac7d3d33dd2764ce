"""The results of a sweep: mean and spread over the seeds of every row, as tables and a picture."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ..draw.scatter import Point, tradeoff
from ..errors import ShapeError, TinyADTNError, nearest
from ..tables import format_markdown, format_table, grouped, spread
from .results import Record
from .run import Preview
from .spec import PlannedRun, Spec, brief, labelled, without_rate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NONE = "–"  # shown for a missing value
CLASSES = 10  # of the data of results that are older than their entry "classes"
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
        """The number of planned runs, and how many are done, failed or ended near chance."""
        whole = len(self.done) == self.planned
        done = str(self.planned) if whole else f"{len(self.done)} of {self.planned}"
        done += f", {self.failed} failed" if self.failed else ""
        return done + (f", {self.near_chance} near chance" if self.near_chance else "")

    @property
    def near_chance(self) -> int:
        """How many runs are done and predict, on validation, less than twice as well as chance."""
        limits = (2 / record.get("classes", CLASSES) for record in self.done)
        return sum(record["validation"] < limit for record, limit in zip(self.done, limits))

    @property
    def is_whole(self) -> bool:
        """Whether all its runs are done, and none is near chance."""
        return self.trained == 1

    @property
    def trained(self) -> float:
        """The share of the planned runs that are done and not near chance."""
        return (len(self.done) - self.near_chance) / self.planned

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

    def method(row: RowResult) -> str:
        return json.dumps(without_rate(row.run.config), sort_keys=True)

    return [sorted(group, key=_place) for group in grouped(found, method).values()]


def _place(row: RowResult) -> tuple[float, float, float]:
    """Return the sort key of a row: best on validation first, without using the test split.

    A mean over fewer seeds is not comparable, because the worst runs are usually those that fail.
    So a row comes after all rows of which a larger share of the runs is done and not near chance.
    Among equals, the smaller learning rate comes first.
    """
    mean = statistics.fmean(row.accuracies("validation")) if row.done else 0.0
    return -row.trained, -mean, row.learning_rate


def by_label(spec: Spec) -> dict[str, list[PlannedRun]]:
    """Return {label: runs that differ only in their seeds}."""
    return grouped(spec.runs, lambda run: run.label)


def counted(numbers: Mapping[str, Any], count: str | Sequence[str]) -> int | None:
    """Return the stored parameters selected by ``count``: of encoded weights, of layers, or of all.

    For "bytes", return the bytes of the encoded weights. A record without bytes is older than
    encodings that do not take 4 per parameter. ``numbers`` are ``stored_numbers``. None
    if nothing is encoded, or no such layer exists.

    >>> numbers = {"stored": {"fc1": 436, "fc2": 2560}, "encoded": ["fc1"], "model": 3262}
    >>> counted(numbers, "encoded"), counted(numbers, "model"), counted(numbers, ["fc1", "fc2"])
    (436, 3262, 2996)
    """
    if count == "model":
        return numbers["model"]
    # The joint encoding of several layers is called "fc1+fc2".
    weights, encoded = numbers["stored"], isinstance(count, str)
    if count == "bytes":
        weights = numbers.get("bytes") or {name: 4 * size for name, size in weights.items()}
    chosen = [
        size
        for name, size in weights.items()
        if (name in numbers["encoded"] if encoded else set(name.split("+")) & set(count))
    ]
    return sum(chosen) if chosen else None


# --- one line per row ----------------------------------------------------------------------------


def table(
    spec: Spec,
    records: Mapping[str, Record],
    *,
    best: bool = False,
    digits: int = DIGITS,
    markdown: bool = False,
) -> str:
    """Return a table of the accuracies of every row, mean ± standard deviation over its seeds.

    With ``best``, of rows that differ only in the learning rate, the table shows the one with the
    highest mean validation accuracy, with its learning rate and all rates that it was chosen from.
    A row with missing runs, failed or not done yet, or with runs that ended near chance, is chosen
    only if the others lack as many.
    """
    rows = [["", "runs", *_heads(spec), "validation", "test"]]
    rows[0] += ["learning rate"] if best else []
    found = summaries(spec, records)
    for row, *others in group_by_method(found) if best else ([row] for row in found):
        name = row.run.method if best else row.run.label
        shares = [spread(row.accuracies(s), digits) if row.done else "" for s in SPLITS[::-1]]
        rates = [_rates(row, others)] if best else []
        stored = row.done[0] if row.done else None
        rows.append([name, row.runs, *_numbers(spec, stored), *shares, *rates])
    return format_markdown(rows) if markdown else format_table(rows)


def _rates(best: RowResult, others: Sequence[RowResult]) -> str:
    """Return the chosen learning rate and its alternatives, with the runs of incomplete rows."""
    tried = sorted([best, *others], key=lambda row: row.learning_rate)
    shown = [brief(r.learning_rate) + ("" if r.is_whole else f" ({r.runs})") for r in tried]
    return brief(best.learning_rate) + (f" of {', '.join(shown)}" if others else "")


def preview_table(spec: Spec, preview: Mapping[str, Preview], records: Mapping[str, Record]) -> str:
    """Return a table of planned runs: how many per row, how many are done, stored parameters."""
    rows = [["", "runs", "done", *_heads(spec), "trained"]]
    for row in summaries(spec, records):
        stored = preview[row.run.label].stored
        runs = [str(row.planned), str(len(row.done))]
        rows.append([row.run.label, *runs, *_numbers(spec, stored), _number(stored["trained"])])
    return format_table(rows)


def _heads(spec: Spec) -> list[str]:
    return ["whole model"] if spec.count == "model" else [title(spec), "whole model"]


def _numbers(spec: Spec, stored: Mapping[str, Any] | None) -> list[str]:
    """Return the cells below ``_heads``; nothing is known of a row without a finished run."""
    counts = ["model"] if spec.count == "model" else [spec.count, "model"]
    return [_number(counted(stored, count) if stored else None) for count in counts]


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
    _require_varied(spec, found, key)

    def line(row: RowResult) -> str:
        """Return the row's label without the option, and without the learning rate if chosen."""
        shown = {k: v for k, v in row.run.choices.items() if _last(k) != key}
        return labelled(row.run.row, without_rate(shown) if best else shown)

    shown = [group[0] for group in group_by_method(found)] if best else found
    lines = grouped(shown, line)
    values = sorted(dict.fromkeys(_value(row.run, key) for row in shown), key=_by_size)
    apart = all(len({row.numbers for row in members}) == 1 for members in lines.values())
    heads = [value if value == NONE else f"{key} {value}" for value in values]
    table = [["", *([title(spec)] if apart else []), *heads]]
    for name, members in lines.items():
        cells: dict[str, str] = {}
        for value, (row, *twins) in grouped(members, lambda row: _value(row.run, key)).items():
            if twins:
                raise TinyADTNError(
                    f"{spec.name}: {row.run.label!r} and {twins[0].run.label!r} differ in more "
                    f"than {key}, and would stand in the same cell"
                )
            cells[value] = _cell(row, split, digits, with_numbers=not apart)
        numbers = [_number(members[0].numbers)] if apart else []
        table.append([name, *numbers, *(cells.get(value, "") for value in values)])
    return format_markdown(table)


def _require_varied(spec: Spec, found: Iterable[RowResult], key: str) -> None:
    if len({_value(row.run, key) for row in found} - {NONE}) < 2:
        varied = dict.fromkeys(_last(name) for row in found for name in row.run.choices)
        there = f"it varies {', '.join(varied)}" if varied else "its rows vary nothing"
        raise TinyADTNError(
            f"{spec.name}: --pivot {key}: no two of its rows differ in it{nearest(key, varied)} "
            f"({there})"
        )


def _cell(row: RowResult, split: str, digits: int, with_numbers: bool) -> str:
    if not row.done:
        return f"({row.runs})"
    numbers = f"{row.numbers:,}: " if with_numbers and row.numbers is not None else ""
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
    done = [row for row in summaries(spec, records) if row.done]
    for members in grouped(done, lambda row: row.run.row).values():
        sizes = {o for row in members for o in row.run.choices if _sets_the_size(o, members)}
        for name, method in grouped(members, partial(_method, left_out=sizes)).items():
            for numbers, rows in sorted(grouped(method, lambda row: row.numbers or 0).items()):
                point = Point(numbers, *_mean_and_deviation(min(rows, key=_place)))
                if numbers:
                    curves.setdefault(name, []).append(point)
                else:
                    levels[name] = point
    if not done:
        raise TinyADTNError(f"{spec.name}: no run of it is done yet, so there is nothing to draw")
    what = {"encoded": "the encoded weights", "model": "the whole model"}
    xlabel = f"stored parameters of {what.get(title(spec), title(spec))}"
    if spec.count == "bytes":
        xlabel = "stored bytes of the encoded weights"
    try:
        return tradeoff(curves, levels, xlabel=xlabel)
    except ShapeError as error:  # too many curves
        raise TinyADTNError(f"{spec.name}: {error}; choose some with --rows") from error


def _mean_and_deviation(row: RowResult) -> tuple[float, float]:
    shares = row.accuracies("test")
    return statistics.fmean(shares), statistics.stdev(shares) if len(shares) > 1 else 0.0


def _method(row: RowResult, left_out: Container[str]) -> str:
    others = {k: v for k, v in without_rate(row.run.choices).items() if k not in left_out}
    return labelled(row.run.row, others)


def _sets_the_size(option: str, members: Iterable[RowResult]) -> bool:
    """Return whether an option changes the number of stored parameters, all other choices equal."""
    equal = grouped(members, lambda row: _method(row, {option}))
    return any(len({row.numbers for row in rows}) > 1 for rows in equal.values())
