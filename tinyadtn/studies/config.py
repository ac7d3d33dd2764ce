"""What decides one run of a sweep: a row's options, checked, with every default filled in.

A configuration is plain JSON, and names whatever it depends on: a result stays readable, and the
same run, when a default of the library changes.
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
    encode = _table(f"{where}: encode", options.get("encode", {}))
    if encode:
        _refuse_doubles(f"{where}: encode", encode)
        config["encode"] = {
            " ".join(layers.split()): _encoding(f"{where}: encode.{layers}", value)
            for layers, value in encode.items()
        }
    if not _true_or_false(f"{where}: train_others", options.get("train_others", True)):
        if not encode:
            raise TinyADTNError(f"{where}: train_others = false, and nothing is encoded")
        config["train_others"] = False
    if "freeze" in options:
        freeze = options["freeze"]
        patterns = freeze if isinstance(freeze, (list, tuple)) else [freeze]
        if not patterns or not all(patterns):
            raise TinyADTNError(f"{where}: freeze names nothing, got {freeze!r}")
        config["freeze"] = [_text(f"{where}: freeze", pattern) for pattern in patterns]
    if "dense" in options:
        dense = options["dense"]
        if dense == "":
            raise TinyADTNError(f"{where}: dense names no file")
        config["dense"] = dense if isinstance(dense, str) else _dense(f"{where}: dense", dense)
    if "fit" in options:
        fit = _table(f"{where}: fit", options["fit"])
        refuse_unknown(f"{where}: fit", fit, FIT)
        if not (encode and "dense" in config):
            raise TinyADTNError(
                f"{where}: fit brings encodings near to trained weights: it needs encode, and "
                "dense = {epochs = 10}, how these are trained, or the file of a network"
            )
        config["fit"] = _fit(f"{where}: fit", {**FIT, **fit})
    config |= _plan(where, {name: value for name, value in options.items() if name in PLAN})
    try:
        return json.loads(json.dumps(config, allow_nan=False))
    except (TypeError, ValueError) as error:  # a date, say, or nan: TOML has them
        raise TinyADTNError(f"{where}: {error}") from error


def _network(where: str, value: Any) -> dict[str, Any]:
    value = {"name": value} if isinstance(value, str) else _table(f"{where}: network", value or {})
    name, options = value.get("name"), {k: v for k, v in value.items() if k != "name"}
    _one_of(where, "network", name, MODELS)
    # How many classes, pixels and channels, the data tell.
    known = _options_of(MODELS[name], without=("num_classes", "image_size", "channels", "rng"))
    refuse_unknown(f"{where}: network {name}", options, known)
    return {"name": name, **_without_none(known), **options}


def _encoding(where: str, value: Any) -> dict[str, Any]:
    if isinstance(value, int) and not isinstance(value, bool):
        value = {"encoding": "ADTN", "depth": value}
    value = {"encoding": value} if isinstance(value, str) else _table(where, value)
    kinds = [
        name for name in ENCODINGS if name not in ("SharedWeight", "Part")
    ]  # "fc1+fc2" says what is joint
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


def _fit(where: str, value: dict[str, Any]) -> dict[str, Any]:
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


def _dense(where: str, value: Any) -> dict[str, Any]:
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
