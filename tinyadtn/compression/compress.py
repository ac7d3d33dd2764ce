"""Replace a model's dense weights by encodings (``compress``), and decode them (``decompress``).

``compress`` has three steps: it resolves the spec into layers, encodes their weights, and freezes
the other parameters if the caller asks for it.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from types import EllipsisType
from typing import Any

import numpy as np

from ..autodiff.arrays import device_of
from ..autodiff.engine import Tensor
from ..autodiff.modes import isolated, no_grad
from ..encodings.encoding import Encoding, Recipe
from ..encodings.joint import SharedWeight, joint_axes, joint_shape
from ..encodings.recipe import EXAMPLE, encoding_for
from ..errors import TinyADTNError
from ..nn.module import Module, require_model
from ..nn.parameters import Seed, Shape, cast_and_move
from ..nn.surgery import named_layers, with_frozen, with_tensors, with_weights
from ..tensor_networks.sites import Axes
from .encoded_model import encoded, set_config, stored_in

# Keys are the name of a layer, a pattern, or a tuple of these.
Spec = Mapping[Any, "int | Encoding | Recipe"]


def compress(
    model: Module,
    spec: Spec,
    *,
    rng: Seed | EllipsisType = ...,
    train_others: bool = True,
) -> Any:
    """Return a new model in which the weights of the named layers are encoded.

    ``spec`` maps a layer's name or a pattern ("fc*") to a depth (an ADTN of that depth), to an
    encoding, or to a recipe: ``recipe(shape, axes=…, rng=…)``, such as ``ADTN.like(depth=2)``.
    A tuple of names or patterns is encoded jointly: its weights are parts of a single encoding.
    If the layers have the same inputs, it encodes their stacked outputs, (Σ o, c, kh, kw), and else
    one vector of all entries. All other layers are copied, so ``model`` does not change. With
    ``train_others=False`` every parameter outside the encoded layers is frozen (see ``freeze``).
    The encodings are initialized at random, with the dtype of the weights that they replace;
    ``fit`` brings them close to these weights.

    >>> import tinyadtn as ta
    >>> small = compress(ta.models.fc2(rng=0), {"fc*": 2}, rng=0)
    >>> small.fc1.weight
    ADTN((256, 784), depth=2): 436 parameters for 200,704
    >>> joint = compress(ta.models.fc2(rng=0), {("fc1", "fc2"): 2}, rng=0)
    >>> joint.fc1.weight.whole
    ADTN((203264,), depth=2): 436 parameters for 203,264
    """
    require_model("compress", model)
    layers = named_layers(model)
    resolved = _resolve(spec, layers)
    if isinstance(rng, EllipsisType):
        raise TypeError("compress needs a seed, rng=0; with rng=None encodings have no values")
    rng = None if rng is None else np.random.default_rng(rng)
    weights: dict[str, Encoding] = {}
    for key, names in resolved.items():
        chosen = {name: layers[name] for name in names}
        if isinstance(key, tuple):
            weights |= _encode_jointly(chosen, spec[key], rng)
            continue
        for name, layer in chosen.items():
            shape, axes = tuple(layer.weight.shape), getattr(layer, "axes", None)
            weights[name] = _encode({name: layer}, shape, axes, spec[key], rng)
    small = encoded(model.copy(), weights)
    if train_others:
        return small
    kept = [n for n, layer in named_layers(small).items() if isinstance(layer.weight, Encoding)]
    inside = tuple(f"{name}." for name in kept)  # biases included
    return with_frozen(small, [n for n, _ in small.named_parameters() if not n.startswith(inside)])


def _resolve(spec: Any, layers: Mapping[str, Any]) -> dict[Any, list[str]]:
    """Return, for each key of the spec, the names of its layers; no layer is in two keys."""
    if not isinstance(spec, Mapping):
        raise TinyADTNError(
            f'compress takes what to put in the place of which layer, such as {{"fc1": 2}}; '
            f"got {spec!r}"
        )
    resolved: dict[Any, list[str]] = {}
    taken: set[str] = set()
    for key in spec:
        patterns = key if isinstance(key, tuple) else (key,)
        if not patterns:
            raise TinyADTNError("an empty tuple names no layers; name two or more")
        if not all(isinstance(pattern, str) for pattern in patterns):
            raise TinyADTNError(f"a layer has a name, a pattern or a tuple of these; got {key!r}")
        resolved[key] = [name for pattern in patterns for name in _matching(layers, pattern)]
        if isinstance(key, tuple) and len(resolved[key]) < 2:
            raise TinyADTNError(f"{resolved[key][0]} alone is not joint; name it without a tuple")
        for name in resolved[key]:
            if name in taken:
                raise TinyADTNError(f"{name} is named twice in {list(spec)}")
            taken.add(name)
    return resolved


def _matching(layers: Mapping[str, Any], pattern: str) -> list[str]:
    names = fnmatch.filter(layers, pattern)
    if not names:
        known = ", ".join(layers) or "no layer with a weight"
        raise TinyADTNError(f"no layer matches {pattern!r}; there is {known}")
    for name in names:
        others = [n for n, layer in layers.items() if layer is layers[name] and n != name]
        if others:
            raise TinyADTNError(
                f"{name} and {', '.join(others)} are one layer: encoding it under one name would "
                "part them; give each a layer of its own"
            )
    return names


def _encode_jointly(layers: Mapping[str, Any], value: Any, rng: Seed) -> dict[str, Encoding]:
    """Return one encoding for the weights of several layers, as a part for each."""
    shapes = {name: tuple(layer.weight.shape) for name, layer in layers.items()}
    together = [*shapes.values()]
    axes = joint_axes(together, [getattr(layer, "axes", None) for layer in layers.values()])
    whole = _encode(layers, joint_shape(together), axes, value, rng)
    return {name: SharedWeight(whole, k, shapes) for k, name in enumerate(layers)}


def _encode(layers: Mapping[str, Any], shape: Shape, axes: Axes, value: Any, rng: Seed) -> Encoding:
    """Return an encoding of that shape, which replaces the weights of the layers.

    ``value`` is a depth, an encoding or a recipe.
    """
    name = "+".join(layers)
    try:
        whole = encoding_for(value, shape, axes, rng)
    except TinyADTNError as error:
        raise type(error)(f"{name}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    except TypeError as error:
        raise TinyADTNError(
            f"{name}: {error}; a recipe is a function of (shape, axes=…, rng=…), {EXAMPLE}"
        ) from error
    # dtype and device are those of the weights that it replaces.
    replaced = [t for layer in layers.values() for t in stored_in(layer.weight).values()]
    dtype = np.result_type(np.float32, *(tensor.dtype for tensor in replaced))
    for _, tensor in whole.named_tensors():
        own = dtype if tensor.dtype.kind == "f" else tensor.dtype  # indices stay integers
        tensor.data = cast_and_move(tensor, own, device_of(replaced[0].data))
    return whole


@isolated
def decompress(model: Module) -> Any:
    """Return the dense model with the weights that the encodings decode to.

    Frozen parameters of layers that are not encoded stay frozen.

    >>> import tinyadtn as ta
    >>> decompress(compress(ta.models.fc2(rng=0), {"fc1": 1}, rng=0)).num_parameters
    203530
    """
    require_model("decompress", model)
    twin = model.copy()
    with no_grad():
        decoded = named_layers(with_tensors(twin))

    def change(path: str, weight: Any) -> Tensor:
        if isinstance(weight, Tensor):
            return weight
        values = decoded[path.removesuffix(".weight")].weight.data
        return Tensor(values.copy(), requires_grad=True)

    result = with_weights(twin, change)
    if model.config is not None:
        set_config(result, twin, {})
    return result
