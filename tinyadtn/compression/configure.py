"""Build a model from the configuration in a file: network, encodings, frozen parameters."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..encodings.adtn import ADTN
from ..encodings.dense import Dense
from ..encodings.encoding import Encoding
from ..encodings.frozen import Frozen
from ..encodings.joint import SharedWeight
from ..encodings.low_rank import LowRank
from ..encodings.mixt import MixT
from ..encodings.pruned import Pruned
from ..encodings.quantized import Quantized
from ..encodings.tensor_train import TensorTrain
from ..encodings.tucker import Tucker
from ..encodings.update import Update
from ..errors import TinyADTNError
from ..nn.models import MODELS
from ..nn.surgery import layer_named, with_frozen
from .encoded_model import check_shape, encoded

ENCODINGS: dict[str, Callable[..., Encoding]] = {
    **{kind.__name__: kind for kind in (ADTN, LowRank, TensorTrain, Tucker, MixT, Frozen)},
    **{kind.__name__: kind for kind in (Dense, Pruned, Quantized, Update)},
    "Part": SharedWeight,  # its name in files
}


def is_known(config: Any) -> bool:
    """Return whether a configuration describes a network of ``ta.models``."""
    name = config.get("model") if isinstance(config, dict) else None
    return isinstance(name, str) and name in MODELS


def has_own_encoding(config: dict[str, Any]) -> bool:
    """Return whether a layer has an encoding of a class that is not in this package."""
    levels = [part for entry in config.get("encodings", {}).values() for part in _levels(entry)]
    return any(part is None or part["encoding"] not in ENCODINGS for part in levels)


def build(config: dict[str, Any], arrays: Mapping[str, Any] | None = None) -> Any:
    """Build the model that a configuration describes, with shapes only.

    ``arrays`` are the arrays of the same file. With them, a configuration that describes a larger
    model is rejected before anything is built.
    """
    try:
        if arrays is not None:
            _check_limits(config, arrays)
        options = {k: v for k, v in config.items() if k not in ("model", "encodings", "frozen")}
        model = MODELS[config["model"]](**_without_rng(options))
        weights = {}
        wholes: dict[str, Encoding] = {}
        for name, entry in config.get("encodings", {}).items():
            weights[name] = build_encoding(entry, wholes)
            check_shape(name, tuple(layer_named(model, name).weight.shape), weights[name].shape)
        return with_frozen(encoded(model, weights) if weights else model, config.get("frozen", ()))
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as e:
        raise TinyADTNError(f"this configuration describes no known model: {e!r}") from e


def _check_limits(config: dict[str, Any], arrays: Mapping[str, Any]) -> None:
    """Reject sizes that no model with these arrays has, because layers are built in full.

    Every layer of a network and every layer of gates has at least one array. The number of channels
    may exceed the stored parameters of an encoded weight, so a million is always allowed.
    """
    widths = config.get("widths", ())
    depths = {}
    for entry in config.get("encodings", {}).values():
        whole = [*_levels(entry)][-1] or {}
        per_layer = len(whole["wiring"]) if isinstance(whole.get("wiring"), list) else 1
        depths[json.dumps(whole, sort_keys=True)] = whole.get("depth", 0) * per_layer
    if len(widths) + sum(depths.values()) > len(arrays):
        raise ValueError(f"more layers than the {len(arrays)} arrays of the file can hold")
    most = max(2**20, sum(array.size for array in arrays.values()))
    sizes = (*widths, *(value for value in config.values() if isinstance(value, int)))
    if any(size > most for size in sizes):
        raise ValueError(f"a size of {max(sizes):,}, but the file holds fewer numbers")


def _levels(entry: Any) -> Iterator[Any]:
    """Yield the entry of an encoding, then those of the encodings in it: ``whole`` or ``of``."""
    yield entry
    for key in ("whole", "of"):
        if isinstance(entry, dict) and key in entry:
            yield from _levels(entry[key])


def _without_rng(options: dict[str, Any]) -> dict[str, Any]:
    if "rng" in options:  # it would draw all values, which are replaced at once
        raise ValueError("a configuration has no rng")
    return options


def build_encoding(entry: dict[str, Any], wholes: dict[str, Encoding]) -> Encoding:
    """Build the encoding of an entry; parts of the same layers get the same whole."""
    if entry is None or entry["encoding"] not in ENCODINGS:
        raise TinyADTNError(
            "an encoding of your own class cannot be built from a file; build the model yourself "
            "and call ta.load(path, into=model)"
        )
    arguments = options_of(entry)
    if entry["encoding"] == "Part":
        key = json.dumps([entry["whole"], entry["layers"]], sort_keys=True)
        if key not in wholes:
            wholes[key] = build_encoding(entry["whole"], wholes)
        arguments["whole"] = wholes[key]
    if "of" in arguments:  # an encoding inside another one
        arguments["of"] = build_encoding(arguments["of"], wholes)
    return ENCODINGS[entry["encoding"]](**_without_rng(arguments))


def options_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the constructor's options from the configuration of an encoding in a file.

    Files written before the ADTN had the option ``normalized`` hold the plain parametrization.
    """
    options = {key: value for key, value in entry.items() if key != "encoding"}
    return {"normalized": False, **options} if entry["encoding"] == "ADTN" else options
