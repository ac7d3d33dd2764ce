"""What a sweep has found: mean and spread over the seeds of every row, as a table and a picture."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..draw.scatter import Point, tradeoff
from ..errors import ShapeError, TinyADTNError
from ..tables import format_table, spread
from .config import Config
from .results import Record
from .run import Preview
from .spec import PlannedRun, Spec, brief, labelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NONE = "–"  # in the place of what is not there
DIGITS = 2  # after the point of an accuracy in %, unless said otherwise


@dataclass(frozen=True)
class RowResult:
    """A row of the table: the runs that differ in their seeds alone, those of them that are done.

    ``numbers`` is what the spec counts, None where the row has nothing of the kind; accuracies are
    shares, one a seed.
    """

    row: str
    label: str
    method: str
    choices: Mapping[str, str]
    config: Config
    planned: int
    failed: tuple[Record, ...]
    numbers: int | None
    model: int | None
    validation: tuple[float, ...]
    test: tuple[float, ...]

    @property
    def runs(self) -> str:
        """How many are planned, or how many of these are done."""
        done = str(self.planned) if self.is_whole else f"{len(self.test)} of {self.planned}"
        return done + (f", {len(self.failed)} failed" if self.failed else "")

    @property
    def is_whole(self) -> bool:
        """Whether all its runs are done."""
        return len(self.test) == self.planned


def summaries(spec: Spec, records: Mapping[str, Record]) -> list[RowResult]:
    """The rows of a sweep, in the order of its spec, with what is recorded of their runs."""
    found = []
    for label, runs in by_label(spec).items():
        all_ended = [records[run.key] for run in runs if run.key in records]
        done = [record for record in all_ended if record["status"] == "done"]
        found.append(
            RowResult(
                row=runs[0].row,
                label=label,
                method=runs[0].method,
                choices=runs[0].choices,
                config=runs[0].config,
                planned=len(runs),
                failed=tuple(record for record in all_ended if record["status"] == "failed"),
                numbers=counted(done[0], spec.count) if done else None,
                model=done[0]["model"] if done else None,
                validation=tuple(record["validation"] for record in done),
                test=tuple(record["test"] for record in done),
            )
        )
    return found


def group_by_method(found: Iterable[RowResult]) -> list[list[RowResult]]:
    """The rows that differ in their learning rate alone together, in each list the best first."""
    groups: dict[str, list[RowResult]] = {}
    for s in found:
        method = {name: value for name, value in s.config.items() if name != "learning_rate"}
        groups.setdefault(json.dumps(method, sort_keys=True), []).append(s)
    return [sorted(group, key=_place) for group in groups.values()]


def _place(s: RowResult) -> tuple[float, float, float]:
    """Sorts the best on validation first, and never looks at the test split.

    The mean over fewer seeds is no match: what failed is as a rule what went worst. So a row comes
    after all rows of whose runs a larger share is done. Of equals, the smaller rate is first.
    """
    share = len(s.validation) / s.planned
    mean = statistics.fmean(s.validation) if s.validation else 0.0
    return -share, -mean, s.config["learning_rate"]


def by_label(spec: Spec) -> dict[str, list[PlannedRun]]:
    """The runs that differ in their seeds alone stand together."""
    groups: dict[str, list[PlannedRun]] = {}
    for run in spec.runs:
        groups.setdefault(run.label, []).append(run)
    return groups


def counted(numbers: Mapping[str, Any], count: str | Sequence[str]) -> int | None:
    """The stored numbers that ``count`` names: those of encoded weights, of layers, or of all.

    ``numbers`` are ``stored_numbers``. None where nothing is encoded, or no such layer is there.

    >>> numbers = {"stored": {"fc1": 436, "fc2": 2560}, "encoded": ["fc1"], "model": 3262}
    >>> counted(numbers, "encoded"), counted(numbers, "model"), counted(numbers, ["fc1", "fc2"])
    (436, 3262, 2996)
    """
    if count == "model":
        return numbers["model"]
    # One encoding of several layers is called "fc1+fc2".
    chosen = [
        name
        for name in numbers["stored"]
        if (name in numbers["encoded"] if count == "encoded" else set(name.split("+")) & set(count))
    ]
    return sum(numbers["stored"][name] for name in chosen) if chosen else None


def table(
    spec: Spec, records: Mapping[str, Record], *, best: bool = False, digits: int = DIGITS
) -> str:
    """Validation and test accuracy of every row, mean ± standard deviation over its seeds.

    With ``best``, of rows that differ in their learning rate alone only the one whose validation
    accuracy has the highest mean, with its rate and all the rates that it was chosen from. One that
    lacks runs, because they failed or are not done yet, is chosen only if all others lack as many.
    """
    return format_table(table_rows(spec, records, best=best, digits=digits))


def table_rows(
    spec: Spec, records: Mapping[str, Record], *, best: bool = False, digits: int = DIGITS
) -> list[list[str]]:
    """The cells of ``table``, its head first."""
    rows = [["", "runs", title(spec.count), "whole model", "validation", "test"]]
    found = summaries(spec, records)
    for s, *others in group_by_method(found) if best else ([s] for s in found):
        accuracies = [spread(s.validation, digits), spread(s.test, digits)] if s.test else ["", ""]
        rows.append(
            [s.method if best else s.label, s.runs, number(s.numbers), number(s.model),
             *accuracies, *([_rates(s, others)] if best else [])]
        )  # fmt: skip
    if best:
        rows[0].append("learning rate")
    return rows if spec.count != "model" else [row[:2] + row[3:] for row in rows]


def _rates(best: RowResult, others: Sequence[RowResult]) -> str:
    """The rate that was chosen, of which; with the runs of those that lack some."""
    chosen = brief(best.config["learning_rate"])
    if not others:
        return chosen
    tried = sorted([best, *others], key=lambda s: s.config["learning_rate"])
    shown = [
        brief(s.config["learning_rate"]) + ("" if s.is_whole else f" ({s.runs})") for s in tried
    ]
    return f"{chosen} of {', '.join(shown)}"


def preview_table(spec: Spec, preview: Mapping[str, Preview], records: Mapping[str, Record]) -> str:
    """The runs to come: how many of each row, how many of them are done, and stored numbers."""
    rows = [["", "runs", "done", title(spec.count), "whole model", "trained"]]
    for label, runs in by_label(spec).items():
        stored = preview[label].stored
        numbers = [counted(stored, spec.count), stored["model"], stored["trained"]]
        done = sum(run.key in records and records[run.key]["status"] == "done" for run in runs)
        rows.append([label, str(len(runs)), str(done), *map(number, numbers)])
    return format_table(rows if spec.count != "model" else [row[:3] + row[4:] for row in rows])


def title(count: str | Sequence[str]) -> str:
    """The head of the column of counted numbers."""
    return count if isinstance(count, str) else "+".join(count)


def number(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def plot(spec: Spec, records: Mapping[str, Record]) -> Figure:
    """Test accuracy against stored numbers: a curve a method, a point for each number of them.

    A method is a row, with what it varies beside its learning rate and the options, as ``depth``,
    that its stored numbers depend on. Where its runs store equally many, at several learning rates
    for instance, the point is the one that is best on validation, as in ``table``. A method that
    stores nothing of what is counted is a level across the picture.
    """
    curves: dict[str, list[Point]] = {}
    levels: dict[str, Point] = {}
    found = [s for s in summaries(spec, records) if s.test]
    for name, members in _methods(found).items():
        best: dict[int, RowResult] = {}
        for s in sorted(members, key=_place):
            best.setdefault(s.numbers or 0, s)
        points = [Point(numbers, *_moments(s.test)) for numbers, s in sorted(best.items())]
        for point in points:
            if point.numbers:
                curves.setdefault(name, []).append(point)
            else:
                levels[name] = point
    if not curves and not levels:
        raise TinyADTNError(f"{spec.name}: no run of it is done yet, so there is nothing to draw")
    what = {"encoded": "stored numbers of the encoded weights", "model": "stored numbers, in all"}
    named = what.get(title(spec.count), f"stored numbers of {title(spec.count)}")
    try:
        return tradeoff(curves, levels, xlabel=named)
    except ShapeError as error:  # too many curves
        raise TinyADTNError(f"{spec.name}: {error}; choose some with --rows") from error


def _methods(found: Iterable[RowResult]) -> dict[str, list[RowResult]]:
    """The rows of the table that one curve joins, by its name."""
    rows: dict[str, list[RowResult]] = {}
    for s in found:
        rows.setdefault(s.row, []).append(s)
    methods: dict[str, list[RowResult]] = {}
    for row, members in rows.items():
        options = {name for s in members for name in s.choices} - {"learning_rate"}
        along = {"learning_rate", *(o for o in options if _sets_the_size(o, members))}
        for s in members:
            others = {name: value for name, value in s.choices.items() if name not in along}
            methods.setdefault(labelled(row, others), []).append(s)
    return methods


def _sets_the_size(option: str, members: Iterable[RowResult]) -> bool:
    """Whether two that differ in that option, and in their rates at most, store unequally many."""
    sizes: dict[frozenset[tuple[str, str]], set[int | None]] = {}
    for s in members:
        rest = {k: v for k, v in s.choices.items() if k not in (option, "learning_rate")}
        sizes.setdefault(frozenset(rest.items()), set()).add(s.numbers)
    return any(len(numbers) > 1 for numbers in sizes.values())


def _moments(shares: Sequence[float]) -> tuple[float, float]:
    return statistics.fmean(shares), statistics.stdev(shares) if len(shares) > 1 else 0.0
