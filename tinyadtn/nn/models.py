"""The networks, each a table that reads like the one in its paper.

The rows are described in ``tables``; AlexNet, ZFNet and VGG-16 are in ``deep_models``. ``rng`` is a
seed or a generator. Without it a network has shapes only, which is enough for counting.

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

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..checks import to_builtin
from ..errors import ShapeError, nearest
from .deep_models import alexnet, head, vgg16, zfnet
from .parameters import Seed
from .pool_layers import MaxPool2d
from .sequential import Sequential
from .tables import block, config_of, conv, fully_connected_layers, network
from .tables import image_shape as image_shape


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
    config = config_of("fc2", num_classes, image_size, channels, hidden=to_builtin(hidden))
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
    config = config_of("lenet5", num_classes, image_size, channels, widths=widths)
    if image_size < 12:  # pool2 gets image_size // 2 - 4 pixels, of which it takes two or more
        raise ShapeError(
            f"lenet5 needs images of 12 pixels a side or more, not {image_size}; take fc2, or "
            "scale them (tinyadtn data import FOLDER --size 28 --out FILE.npz)"
        )
    return network(
        config,
        rng,
        **block(1, conv(6, 5, padding=2 if image_size < 32 else 0), MaxPool2d(2)),
        **block(2, conv(16, 5), MaxPool2d(2)),
        **fully_connected_layers(widths, num_classes),
    )


MODELS: dict[str, Callable[..., Sequential]] = {
    "fc2": fc2,
    "lenet5": lenet5,
    "alexnet": alexnet,
    "zfnet": zfnet,
    "vgg16": vgg16,
    "head": head,
}


if not TYPE_CHECKING:  # a type checker reports unknown names itself

    def __getattr__(name: str) -> None:
        """Raise AttributeError with the networks that there are."""
        there = ", ".join(MODELS)
        raise AttributeError(f"no network {name!r}{nearest(name, MODELS)} (there is {there})")
