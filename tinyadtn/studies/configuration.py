"""A row's options become a configuration: everything that a run depends on, with all defaults.

A configuration is plain JSON. So results stay readable, and the run stays the same, if a default of
the library changes. This file checks names and adds defaults. Constructors check the values: the
``TrainingPlan`` here, networks and encodings in ``run.check``.
"""

from __future__ import annotations

import inspect
import json
import math
import numbers
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..checks import require_number
from ..compression.configure import ENCODINGS
from ..encodings.adtn import ADTN
from ..errors import TinyADTNError, nearest
from ..nn.models import MODELS
from ..training.parts import KNOWN as TRAINING_PARTS
from ..training.plan import TrainingPlan
from .parts import GIVEN, encoding_named, is_own, network_named, training_part

Config = dict[str, Any]
PLAN = [each.name for each in fields(TrainingPlan) if each.name != "seed"]
OPTIONS = ["data", "network", "encode", "train_others", "freeze", "dense", "fit", *PLAN, "seeds"]
TABLE = "a table, {name = value}"


def configuration(where: str, options: Mapping[str, Any], folder: Path | None = None) -> Config:
    """Return the configuration of a row's options; TinyADTNError names the place of an error.

    Modules of the user are imported from the folder of the spec; without it, nothing is imported.

    >>> config = configuration("row", {"network": "fc2", "encode": {"fc1": 2}, "epochs": 4})
    >>> config["encode"]["fc1"]["activation"], config["learning_rate"]
    ('relu', 0.001)
    """
    require_known(where, options, OPTIONS)
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
        found[" ".join(layers.split())] = encoding_entry(place, entry, folder)
    return found


def encoding_entry(place: str, entry: Any, folder: Path | None = None) -> dict[str, Any]:
    """Return an encoding with all its options, and the same for the encoding in it (``of``)."""
    entry = {"encoding": "ADTN", "depth": entry} if type(entry) is int else entry
    chosen = _part(f"{place}: encoding", ENCODING, entry, folder)
    if "axes" in chosen and chosen["encoding"] != "ADTN":
        raise TinyADTNError(f"{place}: unknown 'axes': only an ADTN has them")
    if "of" in chosen:
        chosen["of"] = encoding_entry(f"{place}.of", chosen["of"], folder)
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
    require_known(where, given, known)
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


def require_known(where: str, given: Iterable[str], known: Iterable[str]) -> None:
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
