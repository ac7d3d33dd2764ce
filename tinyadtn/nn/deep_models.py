"""AlexNet, ZFNet and VGG-16 as tables, and their linear layers alone: see ``models``."""

from __future__ import annotations

from collections.abc import Sequence

from ..checks import to_builtin
from .layers import ReLU
from .norm_layers import BatchNorm2d, LocalContrastNorm, LocalResponseNorm, Normalize
from .parameters import Seed
from .pool_layers import MaxPool2d
from .sequential import Sequential
from .tables import Table, block, border_of, config_of, conv, fully_connected_layers, network

WIDTHS = (4096, 4096)  # of the hidden linear layers


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
    config = config_of(
        "alexnet", num_classes, image_size, channels, groups=to_builtin(groups), widths=widths
    )
    border = border_of(image_size, 224)
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
    config = config_of("zfnet", num_classes, image_size, channels, widths=widths)
    border = border_of(image_size, 224)
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
    config = config_of(
        "vgg16", num_classes, image_size, channels, batch_norm=batch_norm, widths=widths
    )
    padding = 1 + border_of(image_size, 224)
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
    config = config_of("head", num_classes, image_size, channels, widths=widths)
    return network(config, rng, **fully_connected_layers(widths, num_classes, dropout=0.5))
