"""Changes of a model: replace its weights, freeze parameters, find layers by name."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase as fnmatch
from types import MappingProxyType
from typing import Any

from ..autodiff.engine import Tensor
from ..errors import TinyADTNError
from .members import walk
from .module import Module, require_model
from .weights import decoded


def dense(weight: Any) -> Tensor:
    """Return the weight as a tensor, decoded if it is an encoding."""
    return weight if isinstance(weight, Tensor) else decoded(weight)


def with_weights(model: Module, change: Callable[[str, Any], Any]) -> Any:
    """Return a model that shares everything with this one except the weights.

    ``change(name, weight)`` returns the new weight of every layer.
    """
    return _rebuilt(
        model, "", lambda at, key, _: key == "weight" and isinstance(at, Module), change
    )


def with_changed(model: Module, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a model that shares everything with this one except its tensors, ``change(tensor)``.

    Unlike parameters, the new tensors may be results of ops.
    """
    return _rebuilt(model, "", lambda *at: isinstance(at[-1], Tensor), lambda _, t: change(t))


def _rebuilt(
    part: Any,
    path: str,
    chosen: Callable[[Any, Any, Any], bool],
    change: Callable[[str, Any], Any],
    above: Mapping[int, Any] = MappingProxyType({}),
) -> Any:
    """Return the part with ``change(path, child)`` for every child that is chosen.

    ``chosen`` gets the holder, the key and the child. ``above`` has what contains the part, and its
    replacement. A dict, list or tuple in which nothing is new stays the same object.
    """
    if not isinstance(part, (Module, dict, list, tuple)):
        return part
    if id(part) in above:
        return above[id(part)]
    twin: Any = copy.copy(part) if isinstance(part, Module) else part
    above = {**above, id(part): twin}

    def below(key: Any, child: Any) -> Any:
        inner = f"{path}.{key}" if path else str(key)
        if chosen(part, key, child):
            return change(inner, child)
        return _rebuilt(child, inner, chosen, change, above)

    if isinstance(part, Module):
        vars(twin).update({key: below(key, child) for key, child in vars(part).items()})
        return twin
    old = part if isinstance(part, dict) else dict(enumerate(part))
    new = {key: below(key, child) for key, child in old.items()}
    if all(new[key] is old[key] for key in old):
        return part
    if isinstance(part, dict):
        twin = copy.copy(part)
        twin.update(new)
        return twin
    return part._make(new.values()) if hasattr(part, "_make") else type(part)([*new.values()])


def with_tensors(
    model: Module, instead: Callable[[str, Any], Any] = lambda name, weight: None
) -> Any:
    """Return the model with a tensor for every weight; an encoding of several layers decodes once.

    If ``instead(name, weight)`` is not None, it replaces the weight.
    """
    wholes: dict[int, Tensor] = {}

    def change(name: str, weight: Any) -> Any:
        other = instead(name, weight)
        if other is not None:
            return other
        whole = getattr(weight, "whole", None)  # see ``joint``
        if whole is None:
            return dense(weight).detach()
        if id(whole) not in wholes:
            wholes[id(whole)] = dense(whole).detach()
        return weight.cut(wholes[id(whole)]).detach()

    return with_weights(model, change)


def freeze(model: Module, *patterns: str) -> Any:
    """Return a copy of the model in which some parameters are buffers: saved, but never trained.

    A pattern matches parameters ("*.bias") or modules with everything inside ("conv*", "fc1"). No
    gradients are computed for them. Running statistics of normalization layers still follow the
    data. The configuration stores what is frozen, so ``ta.load`` freezes it again. To train all
    parameters again, copy the values to a model that was not frozen:
    ``model.load_arrays(frozen.arrays())``. Parameters that several layers share, such as those of a
    joint encoding, are frozen for all of these layers if the pattern matches one. Raises
    TinyADTNError for a pattern that matches no trainable parameter, and without any pattern.

    >>> import tinyadtn as ta
    >>> model = freeze(ta.models.fc2(rng=0), "fc1")
    >>> [name for name, _ in model.named_parameters()]
    ['fc2.weight', 'fc2.bias']
    """
    require_model("freeze", model)
    if not patterns:
        raise TinyADTNError('freeze needs a pattern that says what; "*" freezes everything')
    trained = {id(tensor): name for name, tensor in model.named_parameters()}
    # A shared tensor has one name among the parameters, and one through each layer that holds it.
    paths = [(path, trained[id(p)]) for path, p, *_ in walk(model) if id(p) in trained]
    chosen: list[str] = []
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise TinyADTNError(
                'patterns are given one by one, such as freeze(model, "fc1", "*.bias"); '
                f"got {pattern!r}"
            )
        names = [n for path, n in paths if fnmatch(path, pattern) or fnmatch(path, f"{pattern}.*")]
        if not names:
            known = ", ".join(trained.values()) or "none"
            raise TinyADTNError(f"no trained parameter matches {pattern!r}; there is {known}")
        chosen += names
    return with_frozen(model.copy(), chosen)


def with_frozen(model: Module, names: Iterable[str]) -> Any:
    """Freeze these parameters of the model itself, add them to its configuration, return it."""
    tensors = dict(model.named_tensors())
    for name in names:
        tensors[name].requires_grad = False
    if model.config is not None:
        frozen = {*model.config.get("frozen", ()), *names}
        if frozen:
            model.config = {**model.config, "frozen": sorted(frozen)}
    return model


def named_layers(model: Module) -> dict[str, Any]:
    """Return the layers that have a weight, by name."""
    return {name: part for name, part in model.named_modules() if "weight" in vars(part)}


def layer_named(model: Module, name: str) -> Any:
    """Return the layer with that name; otherwise raise an error that lists the names."""
    layers = named_layers(model)
    if name not in layers:
        raise TinyADTNError(f"no layer {name!r} with a weight; there is {', '.join(layers)}")
    return layers[name]
