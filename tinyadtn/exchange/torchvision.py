"""The networks of torchvision, as their weights come: AlexNet, VGG-16 and VGG-16 with batch norm.

Their ``features`` and ``classifier`` are lists, so the tensors have numbers: ``features.0.weight``.
The average pool between the two changes nothing for images of 224 pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ShapeError
from ..nn.layers import Flatten, ReLU
from ..nn.models import vgg16
from ..nn.norm_layers import Dropout, Normalize
from ..nn.pool_layers import MaxPool2d
from ..nn.sequential import Sequential
from ..nn.tables import Table, block, conv, fully_connected, network
from .from_torch import load_from_torch, state_of

ALEXNET = (64, 192, 384, 256, 256)  # the channels after each convolution
VGG16 = (64, 64, 128, 128, *[256] * 3, *[512] * 6)
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def from_torchvision(state: Any) -> Sequential:
    """Return the network with the weights of torchvision's ``alexnet``, ``vgg16`` or ``vgg16_bn``.

    ``state`` is the network, its ``state_dict()``, or a dict of arrays with the same names. Layers
    get our names; the number of classes and the widths of the linear layers follow from the shapes.
    Images are (n, 3, 224, 224) from 0 to 1: ``normalize`` has ImageNet's mean and standard
    deviation. If the first linear layer has 512 inputs, VGG-16 is the one for 32×32 images.

    VGG-16 is that of ``ta.models.vgg16``. AlexNet is the version of 2014 (Krizhevsky, arXiv
    1404.5997), with fewer channels than ``ta.models.alexnet`` and without normalization between the
    layers; to load a saved one, pass another as ``into``. Raises ShapeError for other networks.
    """
    state = state_of(state)
    convolutions = _numbered(state, "features", 4)
    linear = _numbered(state, "classifier", 2)
    channels = tuple(state[f"{name}.weight"].shape[0] for name in convolutions)
    if channels not in (ALEXNET, VGG16) or not linear:
        raise ShapeError(
            "this is none of torchvision's alexnet, vgg16 and vgg16_bn: it has "
            f"{len(convolutions)} convolutions features.*, with channels {channels}, and "
            f"{len(linear)} linear layers classifier.*; write the network as a ta.Sequential "
            "and call ta.load_from_torch(model, state, names={...})"
        )
    *widths, classes = (state[f"{name}.weight"].shape[0] for name in linear)
    if channels == ALEXNET:
        model = alexnet(classes, widths)
    else:
        inputs = state[f"{linear[0]}.weight"].shape[1]
        model = vgg16(
            classes,
            32 if inputs == 512 else 224,
            batch_norm="features.1.running_mean" in state,
            widths=widths,
        )
    model_layers = [name for name, _ in model.layers()]
    ours = [name for name in model_layers if name.startswith("conv")]
    names = dict(zip(ours, convolutions))
    for name in ours:  # a batch normalization has the number after its convolution
        norm, number = name.replace("conv", "norm"), int(names[name].partition(".")[2])
        if norm in model_layers:
            names[norm] = f"features.{number + 1}"
    names |= {f"fc{k}": theirs for k, theirs in enumerate(linear, start=1)}
    load_from_torch(model, state, names=names)
    model.normalize.load_arrays(IMAGENET)
    return model


def _numbered(state: Mapping[str, Any], group: str, axes: int) -> list[str]:
    """Return the layers of a group whose weight has so many axes, such as features.0, in order."""
    found = []
    for name, tensor in state.items():
        first, _, rest = name.partition(".")
        number, _, part = rest.partition(".")
        is_weight = first == group and part == "weight" and number.isdecimal()
        if is_weight and len(getattr(tensor, "shape", ())) == axes:
            found.append(int(number))
    return [f"{group}.{number}" for number in sorted(found)]


def alexnet(num_classes: int = 1000, widths: Any = (4096, 4096)) -> Sequential:
    """Return torchvision's AlexNet, of shapes only, for images (3, 224, 224).

    >>> alexnet().num_parameters
    61100840
    """
    config = {"num_classes": num_classes, "channels": 3, "image_size": 224}
    rows: Table = {"flatten": Flatten()}
    for k, width in enumerate(widths, start=1):  # dropout comes before the linear layers
        rows |= {
            f"dropout{k}": Dropout(0.5),
            f"fc{k}": fully_connected(width),
            f"relu_fc{k}": ReLU(),
        }
    rows[f"fc{len(widths) + 1}"] = fully_connected(num_classes)
    first, second, third, fourth, fifth = ALEXNET
    return network(
        config,
        None,
        normalize=Normalize(3),
        **block(1, conv(first, 11, stride=4, padding=2), MaxPool2d(3, stride=2)),
        **block(2, conv(second, 5, padding=2), MaxPool2d(3, stride=2)),
        **block(3, conv(third, 3, padding=1)),
        **block(4, conv(fourth, 3, padding=1)),
        **block(5, conv(fifth, 3, padding=1), MaxPool2d(3, stride=2)),
        **rows,
    )
