"""The networks, each a table that reads like its paper's."""

from __future__ import annotations

import numpy as np

from .layers import Flatten, Linear, ReLU, Sequential
from .module import Seed


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
    rng = None if rng is None else np.random.default_rng(rng)
    # The shape of the image, so that an encoding can tell rows from columns; 1 needs no site.
    pixels = (*((channels,) if channels > 1 else ()), image_size, image_size)
    model = Sequential(
        flatten=Flatten(),
        fc1=Linear(pixels, hidden, rng=rng),
        relu1=ReLU(),
        fc2=Linear(hidden, num_classes, rng=rng),
    )
    model.config = {
        "model": "fc2",
        "num_classes": num_classes,
        "image_size": image_size,
        "channels": channels,
        "hidden": hidden,
    }
    return model


MODELS = {"fc2": fc2}
