"""Read the spec of a sweep: a TOML file becomes a list of runs with complete configurations.

    network = "fc2"                     # common to all rows; a row's own value takes its place
    epochs = 4
    seeds = 3                           # 0, 1, 2

    [rows.dense]
    learning_rate = 2e-3

    [rows.adtn]
    encode.fc1 = {encoding = "ADTN", depth = {each = [1, 2, 4]}}
    learning_rate = {each = [1e-2, 2e-2]}

Any value may be replaced by ``{each = […]}``: one run for each of the values in its list.
Several of them multiply, so the row ``adtn`` has 3 · 2 · 3 runs.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any

from ..errors import SizeLimitError, TinyADTNError, nearest
from ..files.npz import is_stream
from .config import DEEPEST, OPTIONS, Config, configuration, refuse_unknown, too_deep

LONGEST = 2**22  # bytes of a spec
MOST_RUNS = 100_000
COUNTS = ("encoded", "model")  # what ``count`` may be, beside a list of layers


@dataclass(frozen=True)
class PlannedRun:
    """One run: ``config`` and ``seed`` decide everything in it.

    ``row`` is its row in the spec; ``choices``, {option: value}, is what it has of every ``each``;
    ``label`` says both, and ``method`` all but the learning rate.
    """

    row: str
    label: str
    config: Config
    seed: int
    method: str
    choices: Mapping[str, str]

    @property
    def key(self) -> str:
        """The same for the same run, however it was written down."""
        return run_key(self.config, self.seed)


@dataclass(frozen=True)
class Spec:
    """The runs of a sweep. ``count`` says which stored numbers its table and picture tell.

    ``whole`` says whether these are the runs of all its rows.
    """

    name: str
    path: Path | None
    runs: tuple[PlannedRun, ...]
    count: Any = "encoded"
    whole: bool = True


def run_key(config: Config, seed: int) -> str:
    """A text that two runs share if nothing distinguishes them."""
    return json.dumps([config, seed], sort_keys=True)


def read_spec(
    source: str | os.PathLike[str] | Mapping[str, Any], *, rows: Iterable[str] = ()
) -> Spec:
    """The runs that a TOML file, or a mapping of the same content, describes.

    ``rows`` are patterns: only rows with such names. A value that is wrong in itself is rejected
    here, with its place; ``run.check`` tests whether layers exist and shapes fit.

    >>> rows = {"adtn": {"encode": {"fc1": {"each": [1, 2]}}, "seeds": 3}}
    >>> spec = read_spec({"network": "fc2", "rows": rows})
    >>> len(spec.runs), spec.runs[3].label, spec.runs[3].config["encode"]["fc1"]["depth"]
    (6, 'adtn fc1=2', 2)
    """
    path = None if isinstance(source, Mapping) else Path(source)
    content: Any = source if path is None else _parsed(path)
    name = "spec" if path is None else str(path)
    if too_deep(content):
        raise TinyADTNError(f"{name}: nested more than {DEEPEST} deep; no option is")
    common = {key: value for key, value in content.items() if key not in ("rows", "count")}
    refuse_unknown(name, common, [*OPTIONS, "seeds", "count", "rows"])
    table = _row_table(name, content)
    chosen = _chosen_rows(name, table, tuple(rows))
    runs = _runs_of_rows(name, common, chosen)
    count = _count(name, content.get("count", "encoded"))
    return Spec(name, path, tuple(runs), count, whole=len(chosen) == len(table))


# --- the file, and its rows ----------------------------------------------------------------------


def _parsed(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    if is_stream(path):
        raise TinyADTNError(f"{path}: is no ordinary file; a spec is a TOML file")
    if path.stat().st_size > LONGEST:
        raise SizeLimitError(
            f"{path}: {path.stat().st_size:,} bytes; a spec has at most {LONGEST:,}: is it another "
            "file?"
        )
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise TinyADTNError(f"{path}: no text in UTF-8, so no TOML file ({error})") from error
    except ValueError as error:  # of TOML's own kind, or of Python's for a number that is too long
        raise TinyADTNError(f"{path}: not TOML: {error}") from error
    except RecursionError as error:
        raise TinyADTNError(f"{path}: nested more than {DEEPEST} deep; no option is") from error


def _row_table(name: str, content: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """All rows of a spec: {name: options of its own}."""
    table = content.get("rows", {})
    if not isinstance(table, Mapping) or not all(isinstance(r, Mapping) for r in table.values()):
        raise TinyADTNError(f"{name}: rows are tables with names, as [rows.dense]")
    if not table:
        raise TinyADTNError(f"{name}: a sweep of 0 runs: no rows. A row begins with [rows.NAME]")
    return table


def _chosen_rows(
    name: str, table: Mapping[str, Mapping[str, Any]], patterns: tuple[str, ...]
) -> dict[str, Mapping[str, Any]]:
    """The rows whose names match a pattern; all rows if there is no pattern."""
    for pattern in patterns:
        if not any(fnmatchcase(row, pattern) for row in table):
            raise TinyADTNError(
                f"{name}: no row is called {pattern!r}{nearest(pattern, table)} "
                f"(there is {', '.join(table)})"
            )
    return {
        row: own
        for row, own in table.items()
        if not patterns or any(fnmatchcase(row, pattern) for pattern in patterns)
    }


# --- from rows to runs ---------------------------------------------------------------------------


def _runs_of_rows(
    name: str, common: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]
) -> list[PlannedRun]:
    """The runs of all rows; SizeLimitError for too many, TinyADTNError for the same run twice."""
    _refuse_too_many(name, [{**common, **own} for own in rows.values()])
    runs: list[PlannedRun] = []
    for row, own in rows.items():
        where = f"{name}: rows.{row}"
        refuse_unknown(where, own, [*OPTIONS, "seeds"])
        runs += _runs_of_row(where, str(row), {**common, **own})
    _refuse_twins(name, runs)
    return runs


def _runs_of_row(where: str, row: str, options: dict[str, Any]) -> Iterator[PlannedRun]:
    seeds = _seeds(where, options.pop("seeds", 1))
    varied = list(_each(where, options))
    paths = {path for choices, _ in varied for path, _ in choices}
    for choices, values in varied:
        config = configuration(where, values)
        shown = {path: (_shortest(path, paths), brief(value)) for path, value in choices}
        chosen = dict(shown.values())
        shown.pop(("learning_rate",), None)
        label, method = labelled(row, chosen), labelled(row, dict(shown.values()))
        for seed in seeds:
            yield PlannedRun(row, label, config, seed, method, chosen)


def labelled(row: str, choices: Mapping[str, str]) -> str:
    """A row's name with what it chose.

    >>> labelled("adtn", {"depth": "2"})
    'adtn depth=2'
    """
    return " ".join([row, *(f"{name}={value}" for name, value in choices.items())])


def _refuse_too_many(name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Counted, not listed: a slip in a spec may ask for more runs than there is memory."""
    count = sum(_num_seeds(row.get("seeds", 1)) * _num_choices(row) for row in rows)
    if count > MOST_RUNS:
        shown = f"{count:,}" if count < 10**18 else "more than 10^18"
        raise SizeLimitError(f"{name}: {shown} runs, a sweep has at most {MOST_RUNS:,}")


def _num_seeds(value: Any) -> int:
    return value if isinstance(value, int) else 1


def _num_choices(value: Any) -> int:
    """How many choices ``_each`` will give; 1 for what it will refuse."""
    if not isinstance(value, Mapping):
        return 1
    if "each" not in value:
        return math.prod(map(_num_choices, value.values()))
    choices = value["each"]
    return sum(map(_num_choices, choices)) if isinstance(choices, (list, tuple)) else 1


def _each(where: str, value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[list, Any]]:
    """Every choice of what ``each`` stands for: [(path, value), …], and the value without it."""
    if not isinstance(value, Mapping):
        yield [], value
    elif "each" in value:
        choices = value["each"]
        if len(value) > 1 or not isinstance(choices, (list, tuple)):
            raise TinyADTNError(
                f"{where}: {'.'.join(path)}: each stands alone and has a list, "
                f"{{each = [1, 2]}}; got {dict(value)}"
            )
        if not choices:
            raise TinyADTNError(f"{where}: {'.'.join(path)}: each of nothing gives 0 runs")
        for choice in choices:
            for _, plain in _each(where, choice, path):
                yield [(path, plain)], plain
    else:
        inside = [list(_each(where, child, (*path, str(key)))) for key, child in value.items()]
        for combination in product(*inside):
            yield (
                [choice for choices, _ in combination for choice in choices],
                dict(zip(value, (plain for _, plain in combination))),
            )


def _shortest(path: tuple[str, ...], paths: Iterable[tuple[str, ...]]) -> str:
    """The end of a path that tells it from the others of its row."""
    others = [other for other in paths if other != path]
    length = next(
        n
        for n in range(1, len(path) + 1)
        if n == len(path) or all(other[-n:] != path[-n:] for other in others)
    )
    return ".".join(path[-length:])


def brief(value: Any) -> str:
    """The value in few letters, and no two values in the same."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={brief(child)}" for key, child in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(brief, value)) + "]"
    short = f"{value:g}" if isinstance(value, float) else str(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)


def _seeds(where: str, value: Any) -> list[int]:
    seeds = list(range(value)) if isinstance(value, int) else value
    whole = isinstance(seeds, (list, tuple)) and all(
        isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 for seed in seeds
    )
    if not whole or isinstance(value, bool) or len(set(seeds)) < len(seeds):
        raise TinyADTNError(
            f"{where}: seeds is how many, or a list of whole numbers, got {value!r}"
        )
    if not seeds:
        raise TinyADTNError(f"{where}: seeds = {value} gives 0 runs")
    return list(seeds)


def _count(where: str, value: Any) -> Any:
    if value in COUNTS or (
        isinstance(value, (list, tuple))
        and value
        and all(isinstance(name, str) and name.strip() for name in value)
        and len(set(value)) == len(value)
    ):
        return value if isinstance(value, str) else list(value)
    raise TinyADTNError(
        f'{where}: count must be "encoded" (the numbers of encoded weights), "model" (all), or a '
        f"list of different layers, got {value!r}"
    )


def _refuse_twins(name: str, runs: Iterable[PlannedRun]) -> None:
    by_key: dict[str, PlannedRun] = {}
    by_label: dict[str, PlannedRun] = {}
    for run in runs:
        twin = by_key.setdefault(run.key, run)
        if twin is not run:
            both = " and ".join(dict.fromkeys((twin.label, run.label)))
            raise TinyADTNError(f"{name}: the same run twice, with seed {run.seed}: {both}")
        if by_label.setdefault(run.label, run).config != run.config:
            raise TinyADTNError(f"{name}: two different rows are called {run.label!r}")
