"""What belongs to a module: the walk over attributes that finds parameters, buffers and layers.

``Module`` explains the rule. ``walk`` follows it. ``tensors_in`` also looks into every other object
that can hold a tensor; with it, ``require_findable`` raises an error for a parameter that the walk
would miss, and ``without_graphs`` prepares copies and pickles.
"""

from __future__ import annotations

import collections
import copy
import functools
import types
from collections.abc import Iterable, Iterator, MappingView
from typing import Any

import numpy as np

from ..autodiff.engine import Tensor


class Holder:
    """The base class of ``Module``: an object whose attributes the walk goes through."""

    _members: frozenset[str] | None = None  # such as "columns.0"; None until ``__init__`` ends


_WALKED = (Tensor, dict, list, tuple, Holder)


def walk(
    part: Any, name: str = "", holder: Any = None, path: str = "", above: tuple[int, ...] = ()
) -> Iterator[tuple[str, Any, Any, str]]:
    """Yield every parameter, buffer and module below a module, dict, list or tuple.

    Each comes with its dotted name, the module that holds it, and the name from there. Members of a
    module come first, because another attribute may hold one of their tensors again. An object that
    contains itself is entered once.
    """
    above = (*above, id(part))
    inside = [(key, child) for key, child in _items(part) if isinstance(child, _WALKED)]
    if isinstance(part, Holder):
        holder, path, members = part, "", part._members or ()
        inside.sort(key=lambda item: item[0] not in members)
    for key, child in inside:
        if id(child) in above:
            continue
        child_name = f"{name}.{key}" if name else str(key)
        child_path = f"{path}.{key}" if path else str(key)
        if isinstance(child, Tensor):
            if is_parameter(child) or holder._members is None or child_path in holder._members:
                yield child_name, child, holder, child_path
            continue
        if isinstance(child, Holder):
            yield child_name, child, holder, child_path
        yield from walk(child, child_name, holder, child_path, above)


def is_parameter(tensor: Any) -> bool:
    """Return whether the tensor requires a gradient and was not computed from others."""
    return isinstance(tensor, Tensor) and tensor.requires_grad and tensor.node is None


def _items(part: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(part, dict):
        return part.items()
    return vars(part).items() if isinstance(part, Holder) else enumerate(part)


# --- objects that the walk does not enter --------------------------------------------------------

_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic, np.random.Generator)
_ATOMS = frozenset(_PLAIN)
_ITERABLE: Any = (list, tuple, set, frozenset, collections.deque, MappingView)
_CODE = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)


def tensors_in(
    part: Any, seen: dict[int, Any] | None = None, *, into_modules: bool = True
) -> Iterator[Tensor]:
    """Yield every tensor inside an object: in its attributes, its slots and its items.

    ``seen`` collects the objects by id; those that it has are not entered again. Functions and
    classes are never entered.
    """
    seen = {} if seen is None else seen
    waiting = [part]
    while waiting:
        part = waiting.pop()
        if isinstance(part, (*_PLAIN, *_CODE)) or id(part) in seen:
            continue
        seen[id(part)] = part
        if isinstance(part, Tensor):
            yield part
        elif into_modules or not isinstance(part, Holder):
            waiting.extend(_inside(part))


def _inside(part: Any) -> list[Any]:
    if isinstance(part, np.ndarray):
        return list(part.flat) if part.dtype.hasobject else []
    found = [*getattr(part, "__dict__", {}).values(), *_slots(part).values()]
    if isinstance(part, functools.partial):
        found += [*part.args, *part.keywords.values()]
    elif isinstance(part, (dict, types.MappingProxyType)):
        found += [*part.keys(), *part.values()]
    elif isinstance(part, _ITERABLE):
        found += part
    return [x for x in found if type(x) not in _ATOMS]  # quick, for long lists of numbers


def _slots(part: Any) -> dict[str, Any]:
    """Return what the ``__slots__`` of an object hold."""
    found = {}
    for kind in type(part).__mro__[:-1]:
        for name, slot in vars(kind).items():
            if isinstance(slot, types.MemberDescriptorType):
                found[name] = getattr(part, name, None)
    return found


def require_no_parameter_in_class(kind: type) -> None:
    """Raise TypeError for a parameter in an attribute of a class, where the walk does not look."""
    for base in kind.__mro__:
        for name, part in vars(base).items():
            if any(map(is_parameter, tensors_in(part))):
                raise TypeError(
                    f"{kind.__name__}.{name} holds a parameter in the class, where it would be "
                    "neither trained nor saved. Assign it in __init__: each model has its own"
                )


def require_findable(module: Holder) -> None:
    """Raise TypeError for a parameter, in an object inside the module, that the walk would miss."""
    known = {id(part) for _, part, *_ in walk(module)}
    for tensor in tensors_in(module):
        if is_parameter(tensor) and id(tensor) not in known:
            raise TypeError(_hidden(module, tensor))


def _hidden(module: Holder, tensor: Tensor) -> str:
    """Return the message for a parameter that the walk misses, with the attribute that holds it."""
    modules = [module, *(part for _, part, *_ in walk(module) if isinstance(part, Holder))]
    seen: dict[int, Any] = {id(part): part for part in modules}
    holder, name, part = next(
        (holder, name, part)
        for holder in modules
        for name, part in {**vars(holder), **_slots(holder)}.items()
        if any(inside is tensor for inside in tensors_in(part, seen))
    )
    where = "__slots__" if name in _slots(holder) else f"a {type(part).__name__}"
    return (
        f"{type(holder).__name__}.{name} holds a parameter of shape {tensor.shape} in {where}, "
        "where it would be neither trained nor saved. Parameters and layers must be in attributes "
        "of a Module, or in lists, tuples and dicts"
    )


def without_graphs(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return attributes in which each computed tensor is replaced by its values.

    An attribute that holds one, at any depth, becomes a copy. Its other tensors, and modules, are
    the same objects.
    """
    computed = [
        name
        for name, part in attributes.items()
        if any(tensor.node is not None for tensor in tensors_in(part, into_modules=False))
    ]
    same: dict[int, Any] = {}  # what deepcopy does not copy
    for name in computed:
        seen: dict[int, Any] = {}
        for tensor in tensors_in(attributes[name], seen, into_modules=False):
            same[id(tensor)] = tensor if tensor.node is None else tensor.detach()
        same |= {id(x): x for x in seen.values() if isinstance(x, Holder)}
    return attributes | {name: copy.deepcopy(attributes[name], same) for name in computed}
