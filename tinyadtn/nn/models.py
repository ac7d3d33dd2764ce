"""The networks, each a table that reads like the one in its paper.

A row names a layer and its own options: width, kernel, stride. The number of channels and pixels
that arrive follows from the rows above. ``rng`` is a seed or a generator. Without it a network has
shapes only, which is enough for counting.

All networks except FC-2 and LeNet-5 come in two geometries. One is the original
(``image_size=224``), whose number of parameters can be compared with the published one. The other
is an adaptation to the 32×32 images of CIFAR; each docstring gives the reason for its changes. For
28×28 images the padding of the first convolution is larger by 2, so that they are 32×32 after it.

AlexNet, ZFNet and VGG-16 begin with ``normalize``, which leaves the images unchanged until it gets
the mean and the standard deviation of the training images. ``tinyadtn train`` and sweeps set them;
``ta.train`` does not. So in Python, before training:

    mean, std = ta.channel_statistics(data.train.images)
    model.normalize.load_arrays({"mean": mean, "std": std})

For these three and LeNet-5, ``widths`` are the widths of the hidden linear layers. The default is
the published widths. An empty tuple leaves one linear layer, fc1, after the last pool.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..checks import to_builtin
from ..errors import ShapeError
from .layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU
from .module import Module
from .norm_layers import BatchNorm2d, Dropout, LocalContrastNorm, LocalResponseNorm, Normalize
from .parameters import Seed, Shape
from .sequential import Sequential, naming

LayerFactory = Callable[[Shape, Seed], Module]  # a layer for inputs of that shape
Table = dict[str, LayerFactory | Module]
WIDTHS = (4096, 4096)  # of the hidden linear layers of AlexNet, ZFNet and VGG-16


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


def _config(
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


def _border(image_size: int, *others: int) -> int:
    """Return the padding that the first convolution adds to that for 32×32 images."""
    border = {28: 2, 32: 0} | dict.fromkeys(others, 0)
    if image_size not in border:
        sizes = ", ".join(map(str, border))
        raise ShapeError(
            f"this network is for images of {sizes} pixels a side, not {image_size}; scale them "
            "(tinyadtn data import FOLDER --size 32 --out FILE.npz), or take fc2 or lenet5"
        )
    return border[image_size]


def fc2(
    num_classes: int = 10,
    image_size: int = 28,
    *,
    channels: int = 1,
    hidden: int = 256,
    rng: Seed = None,
) -> Sequential:
    """Two linear layers, 784-256-10 on MNIST: the FC-2 of Gao et al., PRR 2, 023300 (2020).

    >>> fc2(rng=0).num_parameters
    203530
    """
    config = _config("fc2", num_classes, image_size, channels, hidden=to_builtin(hidden))
    return network(config, rng, **fully_connected_layers([hidden], num_classes))


def lenet5(
    num_classes: int = 10,
    image_size: int = 28,
    *,
    channels: int = 1,
    widths: Sequence[int] = (120, 84),
    rng: Seed = None,
) -> Sequential:
    """LeNet-5 on MNIST: two convolutions, three linear layers.

    Source: LeCun et al., Proc. IEEE 86, 2278 (1998), in its usual modern form: relu for tanh,
    max-pooling for trained subsampling, softmax for radial basis functions, and a conv2 that reads
    all six maps. Images of 32 pixels and more are taken as they are, and smaller ones get a border
    of 2 pixels, as MNIST's 28.

    >>> lenet5().num_parameters, lenet5(widths=()).num_parameters
    (61706, 6582)
    """
    config = _config("lenet5", num_classes, image_size, channels, widths=widths)
    return network(
        config,
        rng,
        **block(1, conv(6, 5, padding=2 if image_size < 32 else 0), MaxPool2d(2)),
        **block(2, conv(16, 5), MaxPool2d(2)),
        **fully_connected_layers(widths, num_classes),
    )


def alexnet(
    num_classes: int = 10,
    image_size: int = 32,
    *,
    channels: int = 3,
    groups: int = 1,
    widths: Sequence[int] = WIDTHS,
    rng: Seed = None,
) -> Sequential:
    """AlexNet: five convolutions, three linear layers, local response normalization.

    Source: Krizhevsky, Sutskever and Hinton, NeurIPS 2012. There conv2, conv4 and conv5 have
    ``groups=2``, one on each of two GPUs. For 32×32 images conv1 is 3×3 with stride 1, because an
    11×11 window with stride 4 would leave only 6×6 pixels. The widths and all layers after conv1
    are those of the paper.
    The first layer, ``normalize``, leaves the images unchanged until it gets the statistics of the
    training images: see the two lines in the docstring of ``ta.models``.

    >>> alexnet(1000, 224, groups=2).num_parameters, alexnet(1000, 224).num_parameters
    (60965224, 62378344)
    """
    config = _config(
        "alexnet", num_classes, image_size, channels, groups=to_builtin(groups), widths=widths
    )
    border = _border(image_size, 224)
    original = image_size == 224
    first = conv(96, 11, stride=4, padding=2) if original else conv(96, 3, padding=1 + border)
    second = conv(256, 5, padding=2, groups=groups)
    return network(
        config,
        rng,
        normalize=Normalize(channels),
        **block(1, first, LocalResponseNorm(5), MaxPool2d(3, stride=2)),
        **block(2, second, LocalResponseNorm(5), MaxPool2d(3, stride=2)),
        **block(3, conv(384, 3, padding=1)),
        **block(4, conv(384, 3, padding=1, groups=groups)),
        **block(5, conv(256, 3, padding=1, groups=groups), MaxPool2d(3, stride=2)),
        **fully_connected_layers(widths, num_classes, dropout=0.5),
    )


def zfnet(
    num_classes: int = 10,
    image_size: int = 32,
    *,
    channels: int = 3,
    widths: Sequence[int] = WIDTHS,
    rng: Seed = None,
) -> Sequential:
    """ZFNet: AlexNet with a finer first layer and local contrast normalization.

    Source: Zeiler and Fergus, arXiv 1311.2901. For 32×32 images conv1 is 5×5 with stride 1, because
    7×7 with stride 2 would leave 15×15 pixels. There conv2 keeps its pixels, and the pools are
    those of AlexNet, so that 3×3 pixels arrive at the linear layers, as in AlexNet.
    The first layer, ``normalize``, leaves the images unchanged until it gets the statistics of the
    training images: see the two lines in the docstring of ``ta.models``.

    >>> zfnet(1000, 224).num_parameters
    62357608
    """
    config = _config("zfnet", num_classes, image_size, channels, widths=widths)
    border = _border(image_size, 224)
    if image_size == 224:
        first, second = conv(96, 7, stride=2, padding=1), conv(256, 5, stride=2)
        pools = [MaxPool2d(3, stride=2, padding=1) for _ in range(2)]
    else:
        first, second = conv(96, 5, padding=2 + border), conv(256, 5, padding=2)
        pools = [MaxPool2d(3, stride=2) for _ in range(2)]
    return network(
        config,
        rng,
        normalize=Normalize(channels),
        **block(1, first, pools[0], LocalContrastNorm()),
        **block(2, second, pools[1], LocalContrastNorm()),
        **block(3, conv(384, 3, padding=1)),
        **block(4, conv(384, 3, padding=1)),
        **block(5, conv(256, 3, padding=1), MaxPool2d(3, stride=2)),
        **fully_connected_layers(widths, num_classes, dropout=0.5),
    )


def vgg16(
    num_classes: int = 10,
    image_size: int = 32,
    *,
    channels: int = 3,
    batch_norm: bool | None = None,
    widths: Sequence[int] = WIDTHS,
    rng: Seed = None,
) -> Sequential:
    """VGG-16: thirteen 3×3 convolutions in five blocks, three linear layers.

    Source: Simonyan and Zisserman, arXiv 1409.1556, configuration D. For 32×32 images one pixel of
    512 channels is left after the five pools, so fc1 has 512 inputs; the original has 25,088.
    ``batch_norm`` puts a batch normalization after every convolution. By default the original is
    without, as published (it was trained in stages), and the one for 32×32 images is with: without
    it, thirteen layers hardly train from a random initialization. ``widths`` are those of fc1, fc2.
    The first layer, ``normalize``, leaves the images unchanged until it gets the statistics of the
    training images: see the two lines in the docstring of ``ta.models``.

    >>> vgg16(1000, 224).num_parameters, vgg16().num_parameters, vgg16(widths=()).num_parameters
    (138357544, 33646666, 14728266)
    """
    batch_norm = image_size != 224 if batch_norm is None else batch_norm
    config = _config(
        "vgg16", num_classes, image_size, channels, batch_norm=batch_norm, widths=widths
    )
    padding = 1 + _border(image_size, 224)
    table: Table = {"normalize": Normalize(channels)}
    for stage, channels_out in enumerate(
        [(64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)], start=1
    ):
        for k, width in enumerate(channels_out, start=1):
            table[f"conv{stage}_{k}"] = conv(width, 3, padding=padding)
            if batch_norm:
                table[f"norm{stage}_{k}"] = BatchNorm2d(width)
            table[f"relu{stage}_{k}"] = ReLU()
            padding = 1
        table[f"pool{stage}"] = MaxPool2d(2)
    return network(config, rng, **table, **fully_connected_layers(widths, num_classes, dropout=0.5))


def head(
    num_classes: int = 10,
    image_size: int = 1,
    *,
    channels: int = 512,
    widths: Sequence[int] = WIDTHS,
    rng: Seed = None,
) -> Sequential:
    """The linear layers of AlexNet, ZFNet and VGG-16 alone, for precomputed features.

    ``ta.features`` computes these, (n, channels, image_size, image_size). The default is the 512
    features that arrive at fc1 of VGG-16 for a 32×32 image. ``widths`` are as in those networks.
    There is no ``normalize`` layer, because in these networks it comes before the features.

    >>> head().num_parameters, head(widths=()).num_parameters
    (18923530, 5130)
    """
    config = _config("head", num_classes, image_size, channels, widths=widths)
    return network(config, rng, **fully_connected_layers(widths, num_classes, dropout=0.5))


MODELS: dict[str, Callable[..., Sequential]] = {
    "fc2": fc2,
    "lenet5": lenet5,
    "alexnet": alexnet,
    "zfnet": zfnet,
    "vgg16": vgg16,
    "head": head,
}
