"""Fit the encodings of a compressed model to the weights of a dense model, before training."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..encodings.adtn import ADTN
from ..encodings.encoding import Encoding
from ..encodings.joint import SharedWeight, group_by_encoding, storage_of
from ..errors import TinyADTNError
from ..nn.module import Module, require_model
from ..nn.surgery import dense, layer_named
from .encoded_model import check_shape


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
    groups = fittable(model)
    wholes = {name: storage_of(next(iter(group.values()))) for name, group in groups.items()}
    takes = {name: _options(whole) for name, whole in wholes.items()}
    known = set(inspect.signature(ADTN.fit).parameters).union(*takes.values()) - {"self", "target"}
    if not options.keys() <= known:
        raise TypeError(f"fit takes {', '.join(sorted(known))}; got {', '.join(options)}")
    targets = {name: _target(group, dense_model) for name, group in groups.items()}
    errors = {}
    for name, whole in wholes.items():
        given = {k: v for k, v in {"label": f"fit {name}", **options}.items() if k in takes[name]}
        errors[name] = whole.fit(targets[name], **given)
    return errors


def fittable(model: Module) -> dict[str, dict[str, Encoding]]:
    """Return the encodings that can be fitted, as ``group_by_encoding``; raise if there is none."""
    groups = {
        name: weights
        for name, weights in group_by_encoding(model).items()
        if all(hasattr(storage_of(w), "fit") and w.parameters() for w in weights.values())
    }
    if not groups:
        raise TinyADTNError(
            "nothing to fit: the first model holds no encoding that can be (are the two swapped?)"
        )
    return groups


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
