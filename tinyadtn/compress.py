"""A dense model becomes an encoded one, and back."""

from __future__ import annotations

import fnmatch
import inspect
import numbers
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .adtn import ADTN
from .encodings import Encoding, Frozen, Recipe
from .engine import Tensor
from .errors import ShapeError, TinyADTNError
from .factored import LowRank, Tucker
from .models import MODELS
from .modes import no_grad
from .module import Module, Seed, dense, layer_named, named_layers, with_weights
from .tensor_train import TensorTrain

ENCODINGS: dict[str, Callable[..., Encoding]] = {
    "ADTN": ADTN,
    "LowRank": LowRank,
    "TensorTrain": TensorTrain,
    "Tucker": Tucker,
    "Frozen": Frozen,
}


def compress(model: Module, spec: Mapping[str, int | Encoding | Recipe], *, rng: Seed) -> Any:
    """A new model in which the named layers' weights are encoded; the old one is left alone.

    ``spec`` maps a layer's name or a pattern ("fc*") to a depth (an ADTN of that depth), to an
    encoding, or to a recipe: ``recipe(shape, axes=…, rng=…)``, such as ``ADTN.like(depth=2)``.
    Everything else is copied. The encodings start at random; ``fit`` brings them near the old
    weights.

    >>> import tinyadtn as ta
    >>> small = compress(ta.models.fc2(rng=0), {"fc*": 2}, rng=0)
    >>> small.fc1.weight
    ADTN((256, 784), depth=2): 436 numbers for 200,704
    """
    rng = None if rng is None else np.random.default_rng(rng)
    layers = named_layers(model)
    chosen: dict[str, Encoding] = {}
    for pattern, wish in spec.items():
        names = fnmatch.filter(layers, pattern)
        if not names:
            raise TinyADTNError(f"no layer matches {pattern!r}; there is {', '.join(layers)}")
        for name in names:
            if name in chosen:
                raise TinyADTNError(f"{name} is named twice in {list(spec)}")
            chosen[name] = _encode(name, layers[name], wish, rng)
    return encoded(model.copy(), chosen)


def _encode(name: str, layer: Any, wish: Any, rng: Seed) -> Encoding:
    if isinstance(wish, numbers.Integral):
        wish = ADTN.like(depth=int(wish))
    if not isinstance(wish, Encoding):
        if not callable(wish):
            raise TinyADTNError(f"{name}: {wish!r} is no depth, encoding or recipe")
        wish = wish(tuple(layer.weight.shape), axes=layer.axes, rng=rng)
    if not isinstance(wish, Encoding):
        raise TinyADTNError(f"{name}: the recipe returned {type(wish).__name__}, not an encoding")
    _check_shape(name, layer, wish)
    return wish


def _check_shape(name: str, layer: Any, encoding: Encoding) -> None:
    if encoding.shape != tuple(layer.weight.shape):
        raise ShapeError(
            f"{name} has a weight of shape {layer.weight.shape}, the encoding is for "
            f"{encoding.shape}"
        )


def encoded(model: Module, weights: Mapping[str, Encoding]) -> Any:
    """The model with these weights, its configuration saying so."""

    def change(path: str, weight: Any) -> Any:
        return weights.get(path.removesuffix(".weight"), weight)

    result = with_weights(model, change)
    if model.config is not None:
        now = {name: weight.config for name, weight in weights.items()}
        result.config = {**model.config, "encodings": {**model.config.get("encodings", {}), **now}}
    return result


def decompress(model: Module) -> Any:
    """The ordinary dense model with the weights that the encodings decode to.

    >>> import tinyadtn as ta
    >>> decompress(compress(ta.models.fc2(rng=0), {"fc1": 1}, rng=0)).num_parameters
    203530
    """
    with no_grad():
        result = with_weights(
            model.copy(), lambda _, weight: Tensor(dense(weight).numpy().copy(), requires_grad=True)
        )
    if model.config is not None:
        result.config = {key: value for key, value in model.config.items() if key != "encodings"}
    return result


def fit(model: Module, dense_model: Module, **options: Any) -> dict[str, list[float]]:
    """Bring every encoded weight of ``model`` close to the dense weight of the same layer.

    Returns each layer's relative errors ‖W - target‖ / ‖target‖. An encoding that iterates gives
    one a step and takes the options of ``ADTN.fit`` (``steps``, ``learning_rate``, …); one whose
    best fit is a formula gives one error and needs no options. What has no fit, or is frozen, is
    left alone.

    >>> import tinyadtn as ta
    >>> model = ta.models.fc2(rng=0)
    >>> small = ta.compress(model, {"fc1": 1, "fc2": ta.LowRank.like(10)}, rng=0)
    >>> errors = ta.fit(small, model, steps=5, show_progress=False)
    >>> len(errors["fc1"]), len(errors["fc2"]), errors["fc2"][0] < 1e-5  # rank 10 is all of fc2
    (6, 1, True)
    """
    targets = named_layers(dense_model)
    fits = {
        name: layer.weight.fit
        for name, layer in named_layers(model).items()
        if hasattr(layer.weight, "fit") and layer.weight.parameters()
    }
    if not fits:
        raise TinyADTNError(
            "nothing to fit: the first model holds no encoding that can be (are the two swapped?)"
        )
    takes = {name: set(inspect.signature(method).parameters) for name, method in fits.items()}
    known = set(inspect.signature(ADTN.fit).parameters).union(*takes.values()) - {"self", "target"}
    if not options.keys() <= known:
        raise TypeError(f"fit takes {', '.join(sorted(known))}; got {', '.join(options)}")
    return {
        name: method(
            dense(targets[name].weight),
            **{k: v for k, v in {"label": f"fit {name}", **options}.items() if k in takes[name]},
        )
        for name, method in fits.items()
    }


def build(config: dict[str, Any]) -> Any:
    """The model that a configuration describes, with shapes only."""
    try:
        options = {k: v for k, v in config.items() if k not in ("model", "encodings")}
        model = MODELS[config["model"]](**options)
        weights = {}
        for name, entry in config.get("encodings", {}).items():
            arguments = {k: v for k, v in entry.items() if k != "encoding"}
            weights[name] = ENCODINGS[entry["encoding"]](**arguments)
            _check_shape(name, layer_named(model, name), weights[name])
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise TinyADTNError(f"this configuration describes no known model: {error!r}") from error
    return encoded(model, weights) if weights else model
