"""Replace a model's dense weights by encodings (``compress``), and decode them (``decompress``).

``compress`` takes three steps: it resolves the spec into layers, encodes these, and freezes the
other parameters if asked to.
"""

from __future__ import annotations

import fnmatch
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..autodiff.arrays import device_of
from ..autodiff.engine import Tensor
from ..autodiff.modes import no_grad
from ..encodings.adtn import ADTN
from ..encodings.encoding import Encoding, Recipe
from ..encodings.joint import SharedWeight, joint_axes, joint_shape
from ..errors import TinyADTNError
from ..nn.module import Module
from ..nn.parameters import Seed, cast_and_move
from ..nn.sequential import naming
from ..nn.surgery import named_layers, with_frozen, with_tensors, with_weights
from ..tensor_networks.sites import Axes
from .configure import check_shape, encoded, set_config

# By the name of a layer, a pattern, or a tuple of these.
Spec = Mapping[Any, "int | Encoding | Recipe"]


def compress(
    model: Module,
    spec: Spec,
    *,
    rng: Seed,
    train_others: bool = True,
) -> Any:
    """A new model in which the named layers' weights are encoded; the old one is left alone.

    ``spec`` maps a layer's name or a pattern ("fc*") to a depth (an ADTN of that depth), to an
    encoding, or to a recipe: ``recipe(shape, axes=…, rng=…)``, such as ``ADTN.like(depth=2)``.
    A tuple of names or patterns is encoded jointly: its weights are parts of a single encoding,
    of all their outputs, (Σ o, c, kh, kw), if the inputs are the same, and else of one vector.
    Everything else is copied; with ``train_others=False`` all that is not part of an encoded layer
    is frozen (see ``freeze``). The encodings start at random, in the number type of the weights
    that they replace; ``fit`` brings them near these.

    >>> import tinyadtn as ta
    >>> small = compress(ta.models.fc2(rng=0), {"fc*": 2}, rng=0)
    >>> small.fc1.weight
    ADTN((256, 784), depth=2): 436 numbers for 200,704
    >>> joint = compress(ta.models.fc2(rng=0), {("fc1", "fc2"): 2}, rng=0)
    >>> joint.fc1.weight.whole
    ADTN((203264,), depth=2): 436 numbers for 203,264
    """
    rng = None if rng is None else np.random.default_rng(rng)
    layers = named_layers(model)
    weights: dict[str, Encoding] = {}
    for key, names in _resolve(spec, layers).items():
        encode = _encode_jointly if isinstance(key, tuple) else _encode_each
        weights |= encode({name: layers[name] for name in names}, spec[key], rng)
    small = encoded(model.copy(), weights)
    return small if train_others else _freeze_others(small)


# --- which layers --------------------------------------------------------------------------------


def _resolve(spec: Any, layers: Mapping[str, Any]) -> dict[Any, list[str]]:
    """Return, for each key of the spec, the names of its layers; no layer is in two keys."""
    _check_spec(spec)
    resolved: dict[Any, list[str]] = {}
    for key in spec:
        patterns = key if isinstance(key, tuple) else (key,)
        names = [name for pattern in patterns for name in _matching(layers, pattern)]
        for name in names:
            if names.count(name) > 1 or any(name in earlier for earlier in resolved.values()):
                raise TinyADTNError(f"{name} is named twice in {list(spec)}")
            others = [n for n, layer in layers.items() if layer is layers[name] and n != name]
            if others:
                raise TinyADTNError(
                    f"{name} and {', '.join(others)} are one layer: encoding it under one name "
                    "would part them; give each a layer of its own"
                )
        resolved[key] = names
    return resolved


def _check_spec(spec: Any) -> None:
    if not isinstance(spec, Mapping):
        raise TinyADTNError(
            f'compress takes what to put in the place of which layer, such as {{"fc1": 2}}; '
            f"got {spec!r}"
        )
    for key in spec:
        if not all(isinstance(name, str) for name in (key if isinstance(key, tuple) else (key,))):
            raise TinyADTNError(f"a layer has a name, a pattern or a tuple of these; got {key!r}")
        if key == ():
            raise TinyADTNError("an empty tuple names no layers; name two or more")


def _matching(layers: Mapping[str, Any], pattern: str) -> list[str]:
    names = fnmatch.filter(layers, pattern)
    if not names:
        raise TinyADTNError(f"no layer matches {pattern!r}; there is {', '.join(layers)}")
    return names


# --- encoding them -------------------------------------------------------------------------------


def _encode_each(layers: Mapping[str, Any], value: Any, rng: Seed) -> dict[str, Encoding]:
    """An encoding for each layer's weight."""
    encodings = {}
    for name, layer in layers.items():
        shape, axes = tuple(layer.weight.shape), getattr(layer, "axes", None)
        encodings[name] = _encode(name, shape, axes, value, rng)
        _cast_and_move(encodings[name], [layer.weight])
    return encodings


def _encode_jointly(layers: Mapping[str, Any], value: Any, rng: Seed) -> dict[str, Encoding]:
    """One encoding for the weights of all these layers; each layer gets its part."""
    if len(layers) < 2:
        raise TinyADTNError(f"{', '.join(layers)} alone is not joint; name it without a tuple")
    shapes = {name: tuple(layer.weight.shape) for name, layer in layers.items()}
    shape = joint_shape(list(shapes.values()))
    axes = [getattr(layer, "axes", None) for layer in layers.values()]
    whole = _encode("+".join(layers), shape, joint_axes(list(shapes.values()), axes), value, rng)
    _cast_and_move(whole, [layer.weight for layer in layers.values()])
    return {name: SharedWeight(whole, k, shapes) for k, name in enumerate(layers)}


def _encode(name: str, shape: tuple[int, ...], axes: Axes, value: Any, rng: Seed) -> Encoding:
    """The encoding of one weight, from a depth, an encoding or a recipe."""
    if isinstance(value, Encoding):
        encoding = value.copy()  # nothing is shared with the caller, nor between layers
    else:
        recipe = ADTN.like(depth=int(value)) if isinstance(value, numbers.Integral) else value
        if not callable(recipe):
            raise TinyADTNError(f"{name}: {value!r} is no depth, encoding or recipe")
        encoding = _call_recipe(name, recipe, shape, axes, rng)
    if not isinstance(encoding, Encoding):
        raise TinyADTNError(
            f"{name}: the recipe returned {type(encoding).__name__}, not an encoding"
        )
    check_shape(name, shape, encoding)
    return encoding


def _call_recipe(name: str, recipe: Recipe, shape: tuple[int, ...], axes: Axes, rng: Seed) -> Any:
    try:
        with naming(name):
            return recipe(shape, axes=axes, rng=rng)
    except (TypeError, ValueError) as error:
        if isinstance(error, TinyADTNError):
            raise
        if isinstance(error, ValueError):
            raise ValueError(f"{name}: {error}") from error
        raise TinyADTNError(
            f"{recipe!r} is no recipe(shape, axes=…, rng=…): {error}; an encoding that needs more "
            "than a shape gives one by like(), such as ta.LowRank.like(8)"
        ) from error


def _cast_and_move(encoding: Encoding, weights: Sequence[Any]) -> None:
    """Give the encoding the number type and the device of the weights that it replaces."""
    tensors = [tensor for weight in weights for tensor in _stored(weight)]
    dtype = np.result_type(np.float32, *(tensor.dtype for tensor in tensors))
    for _, tensor in encoding.named_tensors():
        tensor.data = cast_and_move(tensor, dtype, device_of(tensors[0].data))


def _stored(weight: Any) -> list[Tensor]:
    return [weight] if isinstance(weight, Tensor) else [t for _, t in weight.named_tensors()]


# --- freezing the rest ---------------------------------------------------------------------------


def _freeze_others(model: Module) -> Any:
    """The model with only the encoded layers (their biases included) left trainable."""
    kept = [n for n, layer in named_layers(model).items() if isinstance(layer.weight, Encoding)]
    inside = tuple(f"{name}." for name in kept)
    return with_frozen(
        model, [name for name, _ in model.named_parameters() if not name.startswith(inside)]
    )


# --- and back ------------------------------------------------------------------------------------


def decompress(model: Module) -> Any:
    """The ordinary dense model with the weights that the encodings decode to.

    What is frozen in it and was not encoded stays frozen.

    >>> import tinyadtn as ta
    >>> decompress(compress(ta.models.fc2(rng=0), {"fc1": 1}, rng=0)).num_parameters
    203530
    """
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
