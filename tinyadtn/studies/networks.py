"""The dense networks of studies: built for the data, or trained before and checked."""

from __future__ import annotations

from typing import Any

from ..data.preprocess import channel_statistics
from ..data.splits import Data
from ..encodings.encoding import Encoding
from ..errors import ShapeError, TinyADTNError
from ..nn.module import Module
from ..nn.sequential import Sequential
from ..nn.surgery import named_layers
from .parts import network_named


def build_for(data: Data, model: str, seed: int | None, **options: Any) -> Any:
    """Return the named network for the images and classes of the data; no seed gives shapes only.

    ``options`` are options of the network, such as ``hidden`` of fc2. A network that normalizes its
    input gets the mean and standard deviation of the training images.
    """
    _, channels, height, width = data.train.images.shape
    if height != width:
        raise ShapeError(
            f"the networks take square images, these are {height}×{width}; pad them, or import "
            "pictures with a size: tinyadtn data import FOLDER --size 32 --out FILE"
        )
    build = network_named(model)
    built = build(len(data.classes), width, channels=channels, rng=seed, **options)
    if not isinstance(built, Sequential):
        raise TinyADTNError(f"{model} must return a ta.Sequential, got {type(built).__name__}")
    if "normalize" in vars(built) and seed is not None:
        mean, std = channel_statistics(data.train.images)
        built.normalize.load_arrays({"mean": mean, "std": std})
    return built


def check_dense(model: Module, wanted: Module) -> None:
    """Raise TinyADTNError if the network to compress is compressed already or another one."""
    if any(isinstance(p.weight, Encoding) for p in named_layers(model).values()):
        raise TinyADTNError("the network to compress is compressed already; name a dense one")
    if model.config != wanted.config:
        raise TinyADTNError(
            f"the dense network is {_described(model.config)}, this experiment is for "
            f"{_described(wanted.config)}; name the network that it is, and data of its kind"
        )


def _described(config: dict[str, Any] | None) -> str:
    if config is None:
        return "none that ta.models made"
    return f"{config['model']} ({', '.join(f'{k}={v}' for k, v in config.items() if k != 'model')})"
