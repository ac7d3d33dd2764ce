"""Read the spec of a sweep: a TOML file becomes a list of runs with complete configurations.

    network = "fc2"                     # common to all rows; a row may override it
    epochs = 4
    seeds = 3                           # 0, 1, 2

    [rows.dense]
    learning_rate = 2e-3

    [rows.adtn]
    encode.fc1 = {encoding = "ADTN", depth = {each = [1, 2, 4]}}
    learning_rate = {each = [1e-2, 2e-2]}

Any value may be replaced by ``{each = […]}``: one run for each of the values in its list.
Several lists multiply, so the row ``adtn`` has 3 · 2 · 3 runs. ``configuration`` adds all defaults.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import islice, product
from pathlib import Path
from typing import Any, TypeVar

from ..data.catalogue import KNOWN
from ..errors import SizeLimitError, TinyADTNError, nearest
from ..files.npz import is_stream
from ..tables import printable
from ..training.parts import KNOWN as TRAINING_PARTS
from .configuration import ENCODING, NETWORK, OPTIONS, Config, configuration, require_known
from .parts import is_own

Item = TypeVar("Item")
LONGEST = 2**22  # bytes of a spec
MOST_RUNS = 100_000
PARTS = {NETWORK.key, ENCODING.key, *TRAINING_PARTS}  # options whose value may be "module:name"
DEEPEST = 30  # nesting of tables and lists; a wiring needs 8
# The start of a key in more parts than that, a.b.c. or "a".b.c.
DOTTED = re.compile(rf"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){{{DEEPEST}}}""")


@dataclass(frozen=True)
class PlannedRun:
    """One run: ``config`` and ``seed`` decide everything in it.

    ``row`` is its row in the spec; ``choices``, {option: value}, are its values of every ``each``.
    Paths in the configuration are relative to ``folder``, the folder of the spec. ``content`` has
    the SHA-256 that its "data" and its "dense" network must have, if they are known.
    """

    row: str
    config: Config
    seed: int
    choices: Mapping[str, str]
    folder: Path = Path()
    content: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """A key that is equal for equal runs, independent of how the spec is written."""
        return run_key(self.config, self.seed)

    @property
    def located(self) -> Config:
        """The configuration for the worker: paths and modules with their folder, ``content``."""
        files = {k: v for k, v in self.config.items() if k in ("data", "dense") and type(v) is str}
        paths = {k: str(self.folder / v) for k, v in files.items() if v not in KNOWN}
        return {**_with_folder(self.config, self.folder), **paths, "content": dict(self.content)}

    @property
    def label(self) -> str:
        """The row's name with all its choices."""
        return labelled(self.row, self.choices)

    @property
    def method(self) -> str:
        """The row's name with all its choices except the learning rate."""
        return labelled(self.row, without_rate(self.choices))


def _with_folder(config: Config, folder: Path) -> Config:
    """Return a configuration in which the user's own parts are "folder/module:name"."""
    found: Config = {
        k: _with_folder(v, folder) if isinstance(v, dict) else v for k, v in config.items()
    }
    own = {
        key: str(folder / value) for key, value in found.items() if key in PARTS and is_own(value)
    }
    return {**found, **own}


@dataclass(frozen=True)
class Spec:
    """The runs of a sweep.

    ``count`` selects the stored parameters in its table and picture: those of "encoded" weights,
    of the whole "model", or of a list of layers; or the "bytes" of the encoded weights.
    ``whole`` is false if only some rows were chosen.
    """

    name: str
    path: Path | None
    runs: tuple[PlannedRun, ...]
    count: str | list[str] = "encoded"
    whole: bool = True


def run_key(config: Config, seed: int) -> str:
    """Return a text that two runs share exactly if their configuration and seed are equal."""
    return json.dumps([config, seed], sort_keys=True)


def read_spec(
    source: str | os.PathLike[str] | Mapping[str, Any], *, rows: Iterable[str] = ()
) -> Spec:
    """Return the runs of a TOML file, or of a mapping with the same content.

    ``rows`` are names or patterns of the rows to use. A path in a file is relative to the file's
    folder, a path in a mapping to the working directory. TinyADTNError, with the place, for an
    unknown name and for a value that no run can have; ``run.check`` checks what depends on the
    network.

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
    require_known(name, content, [*OPTIONS, "count", "rows"])
    common = {key: value for key, value in content.items() if key not in ("rows", "count")}
    table = content.get("rows")
    if not isinstance(table, Mapping) or not all(isinstance(r, Mapping) for r in table.values()):
        table = {}
    if not table:
        raise TinyADTNError(
            f"{name}: a sweep of 0 runs: rows are tables with names, such as [rows.dense]"
        )
    patterns = tuple(rows) or ("*",)
    every = {str(row): {**common, **own} for row, own in table.items()}
    chosen = {row: every[row] for row in every if any(fnmatchcase(row, p) for p in patterns)}
    for pattern in patterns:
        if not any(fnmatchcase(row, pattern) for row in chosen):
            raise TinyADTNError(
                f"{name}: no row is called {pattern!r}{nearest(pattern, every)} "
                f"(there is {', '.join(map(printable, every))})"
            )
    folder = Path() if path is None else path.parent.absolute()
    runs: list[PlannedRun] = []
    for row, own in chosen.items():
        runs += _runs_of_row(name, folder, row, own)
        _refuse_too_many(name, len(runs))
    _refuse_twins(name, runs)
    count = content.get("count", "encoded")
    if isinstance(count, (list, tuple)) and count and all(isinstance(n, str) for n in count):
        count = list(dict.fromkeys(count))
    elif count not in ("encoded", "model", "bytes"):
        raise TinyADTNError(
            f'{name}: count must be "encoded" (the numbers of encoded weights), "model" (all), '
            f'"bytes" (of encoded weights), or a list of layers, got {count!r}'
        )
    return Spec(name, path, tuple(runs), count, whole=len(chosen) == len(table))


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
        text = path.read_text(encoding="utf-8")
        if DOTTED.search(text):  # tomllib would need memory for the square of the parts
            raise RecursionError
        return tomllib.loads(text)
    except ValueError as error:  # not UTF-8, not TOML, or a number that is too long for Python
        raise TinyADTNError(f"{path}: not TOML: {error}") from error
    except RecursionError as error:
        raise TinyADTNError(f"{path}: nested more than {DEEPEST} deep; no option is") from error


def too_deep(value: Any, deepest: int = DEEPEST) -> bool:
    """Return whether tables and lists are nested deeper than ``deepest``."""
    inside = value.values() if isinstance(value, Mapping) else value
    return deepest < 0 or (
        isinstance(value, (Mapping, list, tuple))
        and any(too_deep(child, deepest - 1) for child in inside)
    )


# --- from rows to runs ---------------------------------------------------------------------------


def _runs_of_row(
    name: str, folder: Path, row: str, options: dict[str, Any]
) -> Iterator[PlannedRun]:
    where = f"{name}: rows.{printable(row)}"
    require_known(where, options, OPTIONS)
    seeds = _seeds(where, options.pop("seeds", 1))
    varied = list(_first(_each(where, options)))
    _refuse_too_many(name, len(seeds) * len(varied))  # before a configuration is made for each
    paths = {path for choices, _ in varied for path in choices}
    for choices, values in varied:
        config = configuration(where, values, folder)
        named = {_shortest(path, paths): brief(value) for path, value in choices.items()}
        yield from (PlannedRun(row, config, seed, named, folder) for seed in seeds)


def _seeds(where: str, value: Any) -> list[int]:
    seeds = list(_first(range(value))) if type(value) is int else value
    whole = isinstance(seeds, (list, tuple)) and all(type(s) is int and s >= 0 for s in seeds)
    if not whole or not seeds or len(set(seeds)) < len(seeds):
        raise TinyADTNError(
            f"{where}: seeds is how many, or a list of different whole numbers, got {value!r}"
        )
    return list(seeds)


def _each(
    where: str, value: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[dict[tuple[str, ...], Any], Any]]:
    """Yield, per choice, {path: value} of every ``each`` and the value with the choice inserted."""
    if not isinstance(value, Mapping):
        yield {}, value
    elif "each" not in value:
        inside = [_first(_each(where, v, (*path, str(key)))) for key, v in value.items()]
        for combination in product(*inside):
            choices = {path: choice for made, _ in combination for path, choice in made.items()}
            yield choices, dict(zip(value, (plain for _, plain in combination)))
    elif len(value) > 1 or not isinstance(value["each"], (list, tuple)) or not value["each"]:
        raise TinyADTNError(
            f"{where}: {'.'.join(path)}: each stands alone and has a list of one value or more, "
            f"{{each = [1, 2]}}; got {dict(value)}"
        )
    else:
        for choice in value["each"]:
            yield from (({path: plain}, plain) for _, plain in _each(where, choice, path))


def _first(items: Iterable[Item]) -> Iterator[Item]:
    """Yield as many items as a sweep may have runs, and one more."""
    return islice(items, MOST_RUNS + 1)


def _refuse_too_many(name: str, count: int) -> None:
    if count > MOST_RUNS:
        raise SizeLimitError(f"{name}: a sweep has at most {MOST_RUNS:,} runs, this one has more")


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


def _shortest(path: tuple[str, ...], paths: set[tuple[str, ...]]) -> str:
    """Return the shortest end of a path that distinguishes it from the other paths of its row.

    ``learning_rate`` is that of the run; another one is called ``dense.learning_rate``.
    """
    others = (paths | {("learning_rate",)}) - {path}
    for length in range(1, len(path) + 1):
        if all(other[-length:] != path[-length:] for other in others):
            break
    return ".".join(path[-length:])


def brief(value: Any) -> str:
    """Return a short printable text for a value."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={brief(child)}" for key, child in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(brief, value)) + "]"
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return printable(str(value))


def labelled(row: str, choices: Mapping[str, str]) -> str:
    """Return a row's name with its choices.

    >>> labelled("adtn", {"depth": "2"})
    'adtn depth=2'
    """
    return " ".join(
        [printable(row), *(f"{printable(name)}={value}" for name, value in choices.items())]
    )


def without_rate(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options except the learning rate, of which a method may try several."""
    return {name: value for name, value in options.items() if name != "learning_rate"}
