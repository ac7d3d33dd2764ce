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
Several lists multiply, so the row ``adtn`` has 3 · 2 · 3 runs.

A configuration is plain JSON and contains everything that the run depends on, including all
defaults. So results stay readable, and the run stays the same, if a default of the library changes.
This file checks names and adds defaults. ``run.check`` calls the constructors, which check values.
"""

from __future__ import annotations

import inspect
import json
import math
import numbers
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any

from ..checks import require_number
from ..compression.configure import ENCODINGS
from ..data.catalogue import KNOWN
from ..encodings.adtn import ADTN
from ..errors import SizeLimitError, TinyADTNError, nearest
from ..files.npz import is_stream
from ..nn.models import MODELS
from ..tables import printable
from ..training.parts import KNOWN as TRAINING_PARTS
from ..training.runs import TrainingPlan
from .parts import GIVEN, encoding_named, is_own, network_named, training_part

Config = dict[str, Any]
PLAN = [each.name for each in fields(TrainingPlan) if each.name != "seed"]
OPTIONS = ["data", "network", "encode", "train_others", "freeze", "dense", "fit", *PLAN, "seeds"]
LONGEST = 2**22  # bytes of a spec
MOST_RUNS = 100_000
DEEPEST = 30  # nesting of tables and lists; a wiring needs 8
# The start of a key in more parts than that, a.b.c. or "a".b.c.
DOTTED = re.compile(rf"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){{{DEEPEST}}}""")
TABLE = "a table, {name = value}"


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
        found: Config = {**self.config, **paths, "content": dict(self.content)}
        network = self.config["network"]
        found["network"] = {**network, "name": self._with_folder(network["name"])}
        found |= {kind: self._with_folder(found[kind]) for kind in TRAINING_PARTS}
        if isinstance(dense := found.get("dense"), dict):
            own = {kind: self._with_folder(dense[kind]) for kind in TRAINING_PARTS}
            found["dense"] = {**dense, **own}
        if "encode" in found:
            encode = found["encode"].items()
            found["encode"] = {k: self._located_encoding(entry) for k, entry in encode}
        return found

    def _located_encoding(self, entry: Config) -> Config:
        found = {**entry, "encoding": self._with_folder(entry["encoding"])}
        return {**found, "of": self._located_encoding(entry["of"])} if "of" in entry else found

    def _with_folder(self, name: str) -> str:
        return str(self.folder / name) if ":" in name else name

    @property
    def label(self) -> str:
        """The row's name with all its choices."""
        return labelled(self.row, self.choices)

    @property
    def method(self) -> str:
        """The row's name with all its choices except the learning rate."""
        return labelled(self.row, without_rate(self.choices))


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
    _require_known(name, content, [*OPTIONS, "count", "rows"])
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
    _refuse_too_many(name, chosen.values())
    folder = Path() if path is None else path.parent.absolute()
    runs = [run for row, own in chosen.items() for run in _runs_of_row(name, folder, row, own)]
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
    _require_known(where, options, OPTIONS)
    seeds = _seeds(where, options.pop("seeds", 1))
    varied = list(_each(where, options))
    paths = {path for choices, _ in varied for path in choices}
    for choices, values in varied:
        config = configuration(where, values, folder)
        named = {_shortest(path, paths): brief(value) for path, value in choices.items()}
        yield from (PlannedRun(row, config, seed, named, folder) for seed in seeds)


def _seeds(where: str, value: Any) -> list[int]:
    seeds = list(range(value)) if type(value) is int else value
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
        inside = [_each(where, child, (*path, str(key))) for key, child in value.items()]
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


def _refuse_too_many(name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Raise SizeLimitError for too many runs, counted before they are listed in memory."""
    count = sum(_num_seeds(row.get("seeds", 1)) * _num_choices(row) for row in rows)
    if count > MOST_RUNS:
        shown = f"{count:,}" if count < 10**18 else "more than 10^18"
        raise SizeLimitError(f"{name}: {shown} runs, a sweep has at most {MOST_RUNS:,}")


def _num_seeds(value: Any) -> int:
    if isinstance(value, (list, tuple)):
        return len(value)
    return value if isinstance(value, int) else 1


def _num_choices(value: Any) -> int:
    if not isinstance(value, Mapping):
        return 1
    if isinstance(value.get("each"), (list, tuple)):
        return sum(map(_num_choices, value["each"]))
    return math.prod(map(_num_choices, value.values()))


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


# --- from a row's options to a configuration -----------------------------------------------------


def configuration(where: str, options: Mapping[str, Any], folder: Path | None = None) -> Config:
    """Return the configuration of a row's options; TinyADTNError names the place of an error.

    Modules of the user are imported from the folder of the spec; without it, nothing is imported.

    >>> config = configuration("row", {"network": "fc2", "encode": {"fc1": 2}, "epochs": 4})
    >>> config["encode"]["fc1"]["activation"], config["learning_rate"]
    ('relu', 0.001)
    """
    _require_known(where, options, OPTIONS)
    given = dict(options)
    config: Config = {
        "data": _expect(f"{where}: data", given.pop("data", "mnist-5k"), str, "text"),
        "network": _part(f"{where}: network", NETWORK, given.pop("network", None), folder),
    }
    encode = _encodings(f"{where}: encode", given.pop("encode", {}), folder)
    if encode:
        config["encode"] = encode
    if not _expect(
        f"{where}: train_others", given.pop("train_others", True), bool, "true or false"
    ):
        config["train_others"] = False
    if "freeze" in given:
        patterns = given.pop("freeze")
        config["freeze"] = list(patterns) if isinstance(patterns, (list, tuple)) else [patterns]
    if "dense" in given:
        dense = given.pop("dense")  # the file of a network, or its training options
        config["dense"] = (
            dense if isinstance(dense, str) else _plan(f"{where}: dense", dense, folder)
        )
    if "fit" in given:
        if not encode or "dense" not in config:
            raise TinyADTNError(
                f"{where}: fit brings encodings near to trained weights: it needs encode, and "
                "dense = {epochs = 10}, how these are trained, or the file of a network"
            )
        config["fit"] = _fit(f"{where}: fit", given.pop("fit"))
    config |= _plan(where, given, folder)
    try:
        return json.loads(json.dumps(config, allow_nan=False))
    except (TypeError, ValueError) as error:  # TOML has dates and nan
        raise TinyADTNError(f"{where}: {error}") from error


def _encodings(where: str, value: Any, folder: Path | None) -> dict[str, Any]:
    """Return {layers: encoding}; "fc1 fc2" gives each layer its encoding, "fc1+fc2" a joint one."""
    encode = _expect(where, value, Mapping, TABLE)
    for name, times in Counter(n for layers in encode for n in layers.split() or [layers]).items():
        if not name.strip() or times > 1:
            why = "is named twice" if name.strip() else "names no layer"
            raise TinyADTNError(f"{where}: {name!r} {why}")
    found = {}
    for layers, entry in encode.items():
        place = f"{where}.{layers}"
        found[" ".join(layers.split())] = _encoding(place, entry, folder)
    return found


def _encoding(place: str, entry: Any, folder: Path | None) -> dict[str, Any]:
    """Return an encoding with all its options, and the same for the encoding in it (``of``)."""
    entry = {"encoding": "ADTN", "depth": entry} if type(entry) is int else entry
    chosen = _part(f"{place}: encoding", ENCODING, entry, folder)
    if "axes" in chosen and chosen["encoding"] != "ADTN":
        raise TinyADTNError(f"{place}: unknown 'axes': only an ADTN has them")
    if "of" in chosen:
        chosen["of"] = _encoding(f"{place}.of", chosen["of"], folder)
    return chosen


def _fit(where: str, value: Any) -> dict[str, Any]:
    others = ("self", "target", "show_progress", "label")
    fit = _completed(where, value, ADTN.fit, others)
    with _placed(where):
        require_number("steps", fit["steps"], numbers.Integral)
        require_number("learning_rate", fit["learning_rate"])
        if fit["steps"] < 0 or not 0 < fit["learning_rate"] < math.inf:
            raise ValueError(
                f"steps must be 0 or more and learning_rate a number above 0, got {fit}"
            )
    return {**fit, "learning_rate": float(fit["learning_rate"])}


def _plan(where: str, options: Mapping[str, Any], folder: Path | None) -> dict[str, Any]:
    """Return the options of training. Unlike in a ``TrainingPlan``, epochs may be 0.

    An optimizer, schedule or loss of the user, "module:name", keeps this name.
    """
    given = _completed(where, options, TrainingPlan, ("seed",))
    own = {kind: given[kind] for kind in TRAINING_PARTS if is_own(given[kind])}
    none = type(given["epochs"]) is int and given["epochs"] == 0
    given |= {"epochs": 1} if none else {}
    with _placed(where):
        for kind, name in own.items():
            known = getattr(TrainingPlan, kind)
            given[kind] = known if folder is None else training_part(str(folder / name))
        plan = asdict(TrainingPlan(**given))
    return {name: plan[name] for name in PLAN} | own | ({"epochs": 0} if none else {})


@dataclass(frozen=True)
class _Kind:
    """Networks or encodings: their names, and the function that imports one of the user."""

    key: str  # of the name in a table
    known: Mapping[str, Any]
    given: tuple[str, ...]  # arguments that are not options, because the run determines them
    find: Callable[[str], Any]


NETWORK = _Kind("name", MODELS, GIVEN, network_named)
# A "Part" is requested by "+" between layers.
_WHOLE = {name: kind for name, kind in ENCODINGS.items() if name != "Part"}
ENCODING = _Kind("encoding", _WHOLE, ("shape", "rng"), encoding_named)


def _part(where: str, kind: _Kind, value: Any, folder: Path | None) -> dict[str, Any]:
    """Return {key: name, option: value, …}: a network or an encoding with all its options."""
    given = {kind.key: value} if isinstance(value, str) else value
    given = dict(_expect(where, {} if given is None else given, Mapping, TABLE))
    name, known = given.pop(kind.key, None), kind.known
    if is_own(name):
        if folder is None:  # of a record, which has all of its options
            return {kind.key: name, **given}
        with _placed(where):
            known = {name: kind.find(str(folder / name))}
    if not isinstance(name, str) or name not in known:
        got = "is missing" if name is None else f"cannot be {name!r}"
        there = f"there is {', '.join(known)}, and module:name for one of your own"
        raise TinyADTNError(f"{where} {got}{nearest(name, known)} ({there})")
    return {kind.key: name, **_completed(f"{where} {name}", given, known[name], kind.given)}


def _completed(
    where: str, given: Mapping[str, Any], function: Callable[..., Any], without: tuple[str, ...]
) -> dict[str, Any]:
    """Return the given options of a function, with its defaults for the others."""
    _expect(where, given, Mapping, "a table, {name = value}")
    parameters = inspect.signature(function).parameters
    known = {name: p for name, p in parameters.items() if name not in without}
    _require_known(where, given, known)
    for name, value in given.items():
        # Annotations are texts. Lists contain numbers, never names.
        listed = any(word in str(known[name].annotation) for word in ("Sequence", "Axes", "Modes"))
        if isinstance(value, (list, tuple)):
            names = bool(value) and all(isinstance(one, str) for one in value)
            if names or not listed:
                raise TinyADTNError(f"{where}: {name} is one value, got {value}{_hint(value)}")
    lacking = [n for n, p in known.items() if p.default is p.empty and n not in given]
    if lacking:
        raise TinyADTNError(f"{where} needs {' and '.join(lacking)}")
    defaults = {name: p.default for name, p in known.items() if p.default is not None}
    return {**defaults, **given}


def _require_known(where: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise TinyADTNError for the first unknown name, with the nearest known one."""
    for name in given:
        if name not in known:
            there = ", ".join(known) or "no option"
            raise TinyADTNError(
                f"{where}: unknown {name!r}{nearest(name, known)} (there is {there})"
            )


def _expect(where: str, value: Any, kind: type, what: str) -> Any:
    if not isinstance(value, kind):
        raise TinyADTNError(f"{where}: expected {what}, got {value!r}{_hint(value)}")
    return value


def _hint(value: Any) -> str:
    """Return a hint for a list, which may have been meant as ``each``."""
    many = isinstance(value, (list, tuple))
    return f"; for a run with each of them, write {{each = {list(value)}}}" if many else ""


@contextmanager
def _placed(where: str) -> Iterator[None]:
    """Prefix the error of a constructor with the place in the spec."""
    try:
        yield
    except (TinyADTNError, TypeError, ValueError, OverflowError) as error:
        raise TinyADTNError(f"{where}: {error}") from error
