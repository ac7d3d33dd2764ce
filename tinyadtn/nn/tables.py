"""A network as a table: the rows, and the chain of layers that they describe.

A row names a layer and its own options: width, kernel, stride. The number of channels and pixels
that arrive follows from the rows above.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..checks import to_builtin
from ..errors import ShapeError
from .layers import Conv2d, Flatten, Linear, ReLU
from .module import Module
from .norm_layers import Dropout
from .parameters import Seed, Shape
from .pool_layers import MaxPool2d
from .sequential import Sequential, naming

LayerFactory = Callable[[Shape, Seed], Module]  # a layer for inputs of that shape
Table = dict[str, LayerFactory | Module]


def conv(width: int, kernel: int, **geometry: Any) -> LayerFactory:
    """Return a row of a table: a convolution to ``width`` channels."""
    return lambda shape, rng: Conv2d(shape[0], width, kernel, **geometry, rng=rng)


def fully_connected(width: int) -> LayerFactory:
    """Return a row of a table: a linear layer to ``width`` features.

    If its input was an image, an encoding gives channels, rows and columns separate sites, unless
    that takes more sites than the features in one row. 28×28 pixels get separate sites (5 + 5 bits;
    784 features need 10). 16 channels of 5×5 do not (4 + 3 + 3 bits; 400 features need 9).
    """

    def layer(shape: Shape, rng: Seed) -> Linear:
        bits = [(n - 1).bit_length() for n in (*shape, math.prod(shape))]
        structured = sum(bits[:-1]) == bits[-1]
        axes = tuple(n for n in shape if n > 1) or 1  # an axis of length 1 needs no site
        return Linear(axes if structured else math.prod(shape), width, rng=rng)

    return layer


def block(number: int, first: LayerFactory, *others: Module) -> Table:
    """Return rows of a table: conv1, relu1, then the others as pool1 or norm1, in that order."""
    rows: Table = {f"conv{number}": first, f"relu{number}": ReLU()}
    for layer in others:
        rows[f"{'pool' if isinstance(layer, MaxPool2d) else 'norm'}{number}"] = layer
    return rows


def fully_connected_layers(
    widths: Sequence[int], num_classes: int, dropout: float | None = None
) -> Table:
    """Return rows: flatten, then fc1, fc2, …, with relu and dropout after all except the last."""
    rows: Table = {"flatten": Flatten()}
    for k, width in enumerate(widths, start=1):
        rows |= {f"fc{k}": fully_connected(width), f"relu_fc{k}": ReLU()}
        if dropout is not None:
            rows[f"dropout{k}"] = Dropout(dropout)
    return {**rows, f"fc{len(widths) + 1}": fully_connected(num_classes)}


def network(config: dict[str, Any], rng: Seed, **table: LayerFactory | Module) -> Sequential:
    """Return the network that a table describes, for the images that ``config`` describes.

    >>> network({"channels": 1, "image_size": 8}, None, conv1=conv(4, 3), pool1=MaxPool2d(2))
    Sequential(conv1=Conv2d(1, 4, (3, 3)), pool1=MaxPool2d(2, stride=2))
    """
    rng = None if rng is None else np.random.default_rng(rng)
    layers: dict[str, Module] = {}
    arriving = structure = image_shape(config)
    for name, row in table.items():
        with naming(name):
            layer = row if isinstance(row, Module) else row(structure, rng)
            leaving = layer.output_shape(arriving)
        # After a Flatten, a row still gets the shape of the image: see ``fully_connected``.
        structure = arriving if isinstance(layer, Flatten) else leaving
        layers[name], arriving = layer, leaving
    model = Sequential(**layers)
    model.config = config
    return model


def config_of(
    model: str, num_classes: int, image_size: int, channels: int, **own: Any
) -> dict[str, Any]:
    """Return how to build a network again: its name here, and the arguments of its function."""
    common = {"num_classes": num_classes, "image_size": image_size, "channels": channels}
    for name, number in common.items():
        if not isinstance(number, numbers.Integral) or number < 1:
            raise ShapeError(f"{name} must be a whole number, 1 or more, got {number!r}")
    widths = own.get("widths", ())
    if not isinstance(widths, (tuple, list)):
        raise ShapeError(
            f"widths must be a list, a number for each hidden linear layer, got {widths!r}"
        )
    if "widths" in own:
        own["widths"] = list(to_builtin(widths))
    return {"model": model, **{name: int(n) for name, n in common.items()}, **own}


def image_shape(config: dict[str, Any]) -> Shape:
    """Return (c, h, w) of the images that a network with this configuration takes."""
    return (config["channels"], config["image_size"], config["image_size"])


def border_of(image_size: int, *others: int) -> int:
    """Return the padding that the first convolution adds to that for 32×32 images."""
    border = {28: 2, 32: 0} | dict.fromkeys(others, 0)
    if image_size not in border:
        sizes = ", ".join(map(str, border))
        raise ShapeError(
            f"this network is for images of {sizes} pixels a side, not {image_size}; scale them "
            "(tinyadtn data import FOLDER --size 32 --out FILE.npz), or take fc2 or lenet5"
        )
    return border[image_size]
