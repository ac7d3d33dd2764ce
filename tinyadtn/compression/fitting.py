"""``fit``: every encoded weight of a model brought close to the dense weight of the same layer."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..encodings.adtn import ADTN
from ..encodings.encoding import Encoding
from ..encodings.joint import SharedWeight, group_by_encoding, storage_of
from ..errors import ShapeError, TinyADTNError
from ..nn.module import Module
from ..nn.surgery import dense, layer_named


def fit(model: Module, dense_model: Module, **options: Any) -> dict[str, list[float]]:
    """Bring every encoded weight of ``model`` close to the dense weight of the same layer.

    Returns each layer's relative errors ‖W - target‖ / ‖target‖. An encoding that iterates gives
    one a step and takes the options of ``ADTN.fit`` (``steps``, ``learning_rate``, …); one whose
    best fit is a formula gives one error and needs no options. A joint encoding is fitted once, to
    all its layers, under the name "fc1+fc2". What has no fit, or is frozen, is left alone.

    >>> import tinyadtn as ta
    >>> model = ta.models.fc2(rng=0)
    >>> small = ta.compress(model, {"fc1": 1, "fc2": ta.LowRank.like(10)}, rng=0)
    >>> errors = ta.fit(small, model, steps=5, show_progress=False)
    >>> len(errors["fc1"]), len(errors["fc2"]), errors["fc2"][0] < 1e-5  # rank 10 is all of fc2
    (6, 1, True)
    """
    groups = {
        name: weights
        for name, weights in group_by_encoding(model).items()
        if all(hasattr(storage_of(w), "fit") and w.parameters() for w in weights.values())
    }
    if not groups:
        raise TinyADTNError(
            "nothing to fit: the first model holds no encoding that can be (are the two swapped?)"
        )
    fits = {name: storage_of(next(iter(group.values()))).fit for name, group in groups.items()}
    takes = {name: set(inspect.signature(method).parameters) for name, method in fits.items()}
    known = set(inspect.signature(ADTN.fit).parameters).union(*takes.values()) - {"self", "target"}
    if not options.keys() <= known:
        raise TypeError(f"fit takes {', '.join(sorted(known))}; got {', '.join(options)}")
    targets = {name: _target(group, dense_model) for name, group in groups.items()}
    errors = {}
    for name in groups:
        given = {k: v for k, v in {"label": f"fit {name}", **options}.items() if k in takes[name]}
        errors[name] = fits[name](targets[name], **given)
    return errors


def _target(group: Mapping[str, Encoding], dense_model: Module) -> Any:
    """What the encoding of these layers should decode to."""
    name, weight = next(iter(group.items()))
    shapes = weight.layers if isinstance(weight, SharedWeight) else {name: weight.shape}
    targets = {}
    for layer, shape in shapes.items():
        targets[layer] = dense(layer_named(dense_model, layer).weight).numpy()
        if targets[layer].shape != shape:
            raise ShapeError(
                f"{layer} of the dense model has a weight of shape {targets[layer].shape}, "
                f"the encoding is for {shape}"
            )
    return weight.target(targets) if isinstance(weight, SharedWeight) else targets[name]
