"""Fit the encodings of a compressed model to the weights of a dense model, before training."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..encodings.adtn import ADTN
from ..encodings.encoding import Encoding
from ..encodings.joint import SharedWeight
from ..errors import TinyADTNError
from ..nn.module import Module, require_model
from ..nn.surgery import dense, layer_named
from .encoded_model import StoredWeight, check_shape, stored_weights


def fit(model: Module, dense_model: Module, **options: Any) -> dict[str, list[float]]:
    """Fit every encoded weight of ``model`` to the dense weight of the same layer.

    Return the relative errors ‖W - target‖ / ‖target‖ of each layer. An iterative fit returns one
    error per step and takes the options of ``ADTN.fit`` (``steps``, ``learning_rate``, …). A fit in
    closed form returns one error and needs no options. A joint encoding is fitted once, to all its
    layers, under the name "fc1+fc2". An encoding without a fit, or a frozen one, does not change.

    >>> import tinyadtn as ta
    >>> model = ta.models.fc2(rng=0)
    >>> small = ta.compress(model, {"fc1": 1, "fc2": ta.LowRank.like(10)}, rng=0)
    >>> errors = ta.fit(small, model, steps=5, show_progress=False)
    >>> len(errors["fc1"]), len(errors["fc2"]), errors["fc2"][0] < 1e-5  # rank 10 is all of fc2
    (6, 1, True)
    """
    require_model("fit", model)
    require_model("fit", dense_model)
    encoded = fittable(model)
    takes = [_options(weight.storage) for weight in encoded]
    known = set(inspect.signature(ADTN.fit).parameters).union(*takes) - {"self", "target"}
    if not options.keys() <= known:
        raise TypeError(f"fit takes {', '.join(sorted(known))}; got {', '.join(options)}")
    targets = [_target(weight.weights, dense_model) for weight in encoded]
    errors = {}
    for weight, target, taken in zip(encoded, targets, takes):
        given = {"label": f"fit {weight.name}", **options}
        own = {name: value for name, value in given.items() if name in taken}
        errors[weight.name] = weight.storage.fit(target, **own)
    return errors


def fittable(model: Module) -> list[StoredWeight]:
    """Return the encodings that can be fitted; TinyADTNError if there is none."""
    found = [
        weight
        for weight in stored_weights(model)
        if hasattr(weight.storage, "fit") and weight.storage.parameters()
    ]
    if not found:
        raise TinyADTNError(
            "nothing to fit: the first model holds no encoding that can be (are the two swapped?)"
        )
    return found


def _options(encoding: Any) -> set[str]:
    """Return the names of the arguments of ``fit``, those of an inner encoding included."""
    names = inspect.signature(encoding.fit).parameters
    return {*names} if "options" not in names else {*names, *_options(encoding.of)} - {"options"}


def _target(group: Mapping[str, Encoding], dense_model: Module) -> Any:
    """Return the array that the encoding of these layers should decode to."""
    name, weight = next(iter(group.items()))
    shapes = weight.layers if isinstance(weight, SharedWeight) else {name: weight.shape}
    targets = {}
    for layer, shape in shapes.items():
        targets[layer] = dense(layer_named(dense_model, layer).weight).numpy()
        check_shape(layer, targets[layer].shape, shape)
    return weight.target(targets) if isinstance(weight, SharedWeight) else targets[name]
