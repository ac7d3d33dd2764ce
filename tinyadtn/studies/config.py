"""Check a row's options and fill in every default: the configuration of one run of a sweep.

A configuration is plain JSON and contains all that the run depends on. So a result stays readable,
and the run stays the same, when a default of the library changes.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

from ..compression.configure import ENCODINGS
from ..encodings.adtn import ADTN
from ..errors import TinyADTNError, nearest
from ..nn.models import MODELS
from ..training.runs import TrainingPlan

Config = dict[str, Any]
PLAN = {field.name: field.default for field in fields(TrainingPlan) if field.name != "seed"}
FIT = {k: inspect.signature(ADTN.fit).parameters[k].default for k in ("steps", "learning_rate")}
DEEPEST = 30  # a table in a list in a table …; a wiring takes 8
OPTIONS = ("data", "network", "encode", "train_others", "freeze", "dense", "fit", *PLAN)


def configuration(where: str, options: Mapping[str, Any]) -> Config:
    """The configuration of a row's options; TinyADTNError with the place for what is wrong in them.

    >>> config = configuration("row", {"network": "fc2", "encode": {"fc1": 2}, "epochs": 4})
    >>> config["encode"]["fc1"]["activation"], config["learning_rate"]
    ('relu', 0.001)
    """
    refuse_unknown(where, options, [*OPTIONS, "seeds"])
    config: Config = {
        "data": _text(f"{where}: data", options.get("data", "mnist-5k")),
        "network": _network(where, options.get("network")),
    }
    encode = _encodings(f"{where}: encode", options.get("encode", {}))
    if encode:
        config["encode"] = encode
    if not _true_or_false(f"{where}: train_others", options.get("train_others", True)):
        if not encode:
            raise TinyADTNError(f"{where}: train_others = false, and nothing is encoded")
        config["train_others"] = False
    if "freeze" in options:
        config["freeze"] = _freeze(f"{where}: freeze", options["freeze"])
    if "dense" in options:
        config["dense"] = _dense(f"{where}: dense", options["dense"])
    if "fit" in options:
        possible = bool(encode) and "dense" in config
        config["fit"] = _fit(f"{where}: fit", options["fit"], possible=possible)
    config |= _plan(where, {name: value for name, value in options.items() if name in PLAN})
    try:
        return json.loads(json.dumps(config, allow_nan=False))
    except (TypeError, ValueError) as error:  # a date, say, or nan: TOML has them
        raise TinyADTNError(f"{where}: {error}") from error


def _network(where: str, value: Any) -> dict[str, Any]:
    value = {"name": value} if isinstance(value, str) else _table(f"{where}: network", value or {})
    name, options = value.get("name"), {k: v for k, v in value.items() if k != "name"}
    _one_of(where, "network", name, MODELS)
    # The numbers of classes, pixels and channels come from the data.
    known = _options_of(MODELS[name], without=("num_classes", "image_size", "channels", "rng"))
    refuse_unknown(f"{where}: network {name}", options, known)
    return {"name": name, **_without_none(known), **options}


def _encodings(where: str, value: Any) -> dict[str, Any]:
    """{layers: encoding}; the key "fc1 fc2" gives each its own, "fc1+fc2" one for both."""
    encode = _table(where, value)
    _refuse_doubles(where, encode)
    return {
        " ".join(layers.split()): _encoding(f"{where}.{layers}", entry)
        for layers, entry in encode.items()
    }


def _encoding(where: str, value: Any) -> dict[str, Any]:
    if isinstance(value, int) and not isinstance(value, bool):
        value = {"encoding": "ADTN", "depth": value}
    value = {"encoding": value} if isinstance(value, str) else _table(where, value)
    kinds = [name for name in ENCODINGS if name != "Part"]  # "fc1+fc2" is how to ask for parts
    kind, options = value.get("encoding"), {k: v for k, v in value.items() if k != "encoding"}
    _one_of(where, "encoding", kind, kinds)
    own_axes = () if kind == "ADTN" else ("axes",)  # others take them, and do not look
    known = _options_of(ENCODINGS[kind], without=("shape", "rng", *own_axes))
    refuse_unknown(f"{where}: {kind}", options, known)
    parameters = inspect.signature(ENCODINGS[kind]).parameters
    for name, value in options.items():
        if not _is_list(value):
            continue
        kind_of = parameters[name].annotation  # "str | Sequence[int]" may be a list, of no names
        names = bool(value) and all(isinstance(one, str) for one in value)
        if kind_of in ("int", "str") or (kind_of.startswith("str") and names):
            raise TinyADTNError(f"{where}: {name} is one value, got {value}{_hint(value)}")
    lacking = [k for k, v in known.items() if v is inspect.Parameter.empty and k not in options]
    if lacking:
        raise TinyADTNError(f"{where}: {kind} needs {' and '.join(lacking)}")
    return {"encoding": kind, **_without_none(known), **options}


def _refuse_doubles(where: str, encode: Mapping[str, Any]) -> None:
    seen: set[str] = set()
    for layers in encode:
        if not layers.split():
            raise TinyADTNError(f"{where}: {layers!r} names no layer")
        for name in layers.split():
            if name in seen:
                raise TinyADTNError(f"{where}: {name} is named twice")
            seen.add(name)


def _freeze(where: str, value: Any) -> list[str]:
    patterns = value if isinstance(value, (list, tuple)) else [value]
    if not patterns or not all(patterns):
        raise TinyADTNError(f"{where} names nothing, got {value!r}")
    return [_text(where, pattern) for pattern in patterns]


def _fit(where: str, value: Any, *, possible: bool) -> dict[str, Any]:
    fit = _table(where, value)
    refuse_unknown(where, fit, FIT)
    if not possible:
        raise TinyADTNError(
            f"{where} brings encodings near to trained weights: it needs encode, and "
            "dense = {epochs = 10}, how these are trained, or the file of a network"
        )
    value = {**FIT, **fit}
    steps, rate = value["steps"], value["learning_rate"]
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
        raise TinyADTNError(
            f"{where}: steps must be a whole number from 0 up, got {steps!r}{_hint(steps)}"
        )
    real = isinstance(rate, (int, float)) and not isinstance(rate, bool)
    if not real or not 0 < rate <= sys.float_info.max:
        raise TinyADTNError(
            f"{where}: learning_rate must be a number above 0, got {rate!r:.60}{_hint(rate)}"
        )
    return {"steps": steps, "learning_rate": float(rate)}


def _dense(where: str, value: Any) -> str | dict[str, Any]:
    """The file of a trained network, or the plan by which it is trained."""
    if value == "":
        raise TinyADTNError(f"{where} names no file")
    if isinstance(value, str):
        return value
    value = _table(where, value)
    refuse_unknown(where, value, PLAN)
    return _plan(where, value)


def _plan(where: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of training, checked. Unlike a ``TrainingPlan``, epochs = 0 is one: none."""
    for name, value in options.items():
        if isinstance(value, (list, tuple, Mapping)):
            raise TinyADTNError(f"{where}: {name} is one value, got {value}{_hint(value)}")
        if isinstance(value, bool) and name != "augment":
            raise TinyADTNError(f"{where}: {name} is not true or false, got {value}")
    _true_or_false(f"{where}: augment", options.get("augment", False))
    none = {"epochs": 0} if options.get("epochs") == 0 else {}
    try:
        plan = asdict(TrainingPlan(**{**options, **dict.fromkeys(none, 1)})) | none
        return {
            name: float(plan[name]) if _is_real(name) and plan[name] is not None else plan[name]
            for name in PLAN
        }
    except (ValueError, OverflowError) as error:
        raise TinyADTNError(f"{where}: {error}") from error


def _is_real(name: str) -> bool:
    return name == "clip" or isinstance(PLAN[name], float)


def too_deep(value: Any) -> bool:
    """Whether tables and lists are nested so deep that only Python's own stack would stop them."""
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [child for each in level for child in _children(each)]
    return bool(level)


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


# --- refusing ------------------------------------------------------------------------------------


def refuse_unknown(where: str, given: Iterable[str], known: Iterable[str]) -> None:
    """TinyADTNError for the first name that is not known, with the nearest that is."""
    for name in given:
        if name not in known:
            there = ", ".join(known) or "no option"
            raise TinyADTNError(
                f"{where}: unknown {name!r}{nearest(name, known)} (there is {there})"
            )


def _one_of(where: str, what: str, name: Any, known: Iterable[str]) -> None:
    if not isinstance(name, str) or name not in known:
        got = "is missing" if name is None else f"cannot be {name!r}"
        there = ", ".join(known)
        raise TinyADTNError(f"{where}: {what} {got}{nearest(name, known)} (there is {there})")


def _options_of(make: Any, *, without: Iterable[str]) -> dict[str, Any]:
    parameters = inspect.signature(make).parameters
    return {name: p.default for name, p in parameters.items() if name not in without}


def _without_none(options: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that a configuration names: None, as no value, is for the library to fill."""
    empty = (None, inspect.Parameter.empty)
    return {name: value for name, value in options.items() if value not in empty}


def _table(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TinyADTNError(
            f"{where}: expected a table, {{name = value}}, got {value!r}{_hint(value)}"
        )
    return dict(value)


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TinyADTNError(f"{where}: expected text, got {value!r}{_hint(value)}")
    return value


def _true_or_false(where: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TinyADTNError(f"{where}: expected true or false, got {value!r}{_hint(value)}")
    return value


def _hint(value: Any) -> str:
    """Who gives a list may have meant a run for each."""
    many = _is_list(value)
    return f"; for a run with each of them, write {{each = {list(value)}}}" if many else ""


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))
