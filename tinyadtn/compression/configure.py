"""A model from its configuration, as a file holds it: network, encodings, what is frozen."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ..encodings.adtn import ADTN
from ..encodings.encoding import Encoding
from ..encodings.frozen import Frozen
from ..encodings.joint import SharedWeight
from ..encodings.low_rank import LowRank
from ..encodings.tensor_train import TensorTrain
from ..encodings.tucker import Tucker
from ..errors import ShapeError, TinyADTNError
from ..nn.models import MODELS
from ..nn.module import Module
from ..nn.surgery import layer_named, with_frozen, with_weights

ENCODINGS: dict[str, Callable[..., Encoding]] = {
    "ADTN": ADTN,
    "LowRank": LowRank,
    "TensorTrain": TensorTrain,
    "Tucker": Tucker,
    "Frozen": Frozen,
    "Part": SharedWeight,  # its name in files
}


def check_shape(name: str, shape: tuple[int, ...], encoding: Encoding) -> None:
    if encoding.shape != shape:
        raise ShapeError(
            f"{name} has a weight of shape {shape}, the encoding is for {encoding.shape}"
        )


def encoded(model: Module, weights: Mapping[str, Encoding]) -> Any:
    """Return the model with these weights; its configuration describes their encodings."""

    def change(path: str, weight: Any) -> Any:
        return weights.get(path.removesuffix(".weight"), weight)

    result = with_weights(model, change)
    if model.config is not None:
        now = {name: weight.config for name, weight in weights.items()}
        set_config(result, model, {**model.config.get("encodings", {}), **now})
    return result


def set_config(result: Module, model: Module, encodings: dict[str, Any]) -> None:
    """Set ``result.config``: that of the model, these encodings, and what is still frozen."""
    frozen = set(model.config.get("frozen", ()))
    still = {id(tensor) for name, tensor in model.named_tensors() if name in frozen}
    names = sorted(name for name, tensor in result.named_tensors() if id(tensor) in still)
    new = {"encodings": encodings, "frozen": names}
    result.config = {key: value for key, value in model.config.items() if key not in new}
    result.config |= {key: value for key, value in new.items() if value}


def build(config: dict[str, Any]) -> Any:
    """Build the model that a configuration describes, with shapes only."""
    try:
        options = {k: v for k, v in config.items() if k not in ("model", "encodings", "frozen")}
        model = MODELS[config["model"]](**options)
        weights = {}
        wholes: dict[str, Encoding] = {}
        for name, entry in config.get("encodings", {}).items():
            weights[name] = build_encoding(entry, wholes)
            check_shape(name, tuple(layer_named(model, name).weight.shape), weights[name])
        return with_frozen(encoded(model, weights) if weights else model, config.get("frozen", ()))
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise TinyADTNError(f"this configuration describes no known model: {error!r}") from error


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
    return ENCODINGS[entry["encoding"]](**arguments)


def options_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the constructor's options in the configuration of an encoding, as a file holds it.

    Files from before ``normalized`` was an option of the ADTN hold the plain parametrization.
    """
    options = {key: value for key, value in entry.items() if key != "encoding"}
    return {"normalized": False, **options} if entry["encoding"] == "ADTN" else options
