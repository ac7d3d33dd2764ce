"""What every layer and every network is: a module, with parameters that can be found by name.

A module keeps its parameters as plain attributes; whoever wants them walks ``vars(module)``. There
is no global mode and no hidden state: ``model(x, training=False, rng=None)``.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase as fnmatch
from typing import Any

import numpy as np

from .backend import array_module, beside, to_device, to_numpy
from .engine import Tensor
from .errors import DTypeError, GraphError, ShapeError, SizeLimitError, TinyADTNError

Seed = int | np.random.Generator | None
Shape = tuple[int, ...]


class Module:
    """Anything with parameters.

    A tensor that requires a gradient is a parameter, one that does not is a buffer: saved and
    loaded, never trained. A name like ``fc1.weight.columns.0`` is the way to it through attributes
    and lists. ``config`` says how to build the module again (``ta.load`` does).

    >>> import tinyadtn as ta
    >>> [name for name, _ in ta.models.fc2(rng=0).named_parameters()]
    ['fc1.weight', 'fc1.bias', 'fc2.weight', 'fc2.bias']
    """

    config: Any = None

    def __call__(self, x: Any, training: bool = False, rng: Seed = None) -> Tensor:
        if not isinstance(x, Tensor):
            x = Tensor(x)
            first = next(self.named_tensors(), None)
            if first is not None:  # images follow the model to its device
                x.data = beside(x.data, first[1].data)
        return self.forward(x, training=training, rng=rng)

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        """The module's function; what ``module(x)`` calls."""
        raise TypeError(f"{type(self).__name__} computes nothing: it has no forward()")

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of one result, for one input of that shape: both without the batch axis.

        ShapeError for an input that does not fit. The same shape, unless a module says otherwise.
        """
        return shape

    def multiply_adds(self, shape: Shape) -> int:
        """How many multiplications, each with an addition, one input of that shape takes.

        Those of weights alone; what is done once a number (activations, pools) is not counted.
        """
        return 0

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every parameter and buffer with its name, once each, in the order of the attributes."""
        seen: set[int] = set()
        for name, part in _walk(self):
            if isinstance(part, Tensor) and id(part) not in seen:
                seen.add(id(part))
                yield name, part

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """Every module inside this one with its name."""
        return ((name, part) for name, part in _walk(self) if isinstance(part, Module))

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """What training changes, with names."""
        return ((name, t) for name, t in self.named_tensors() if t.requires_grad)

    def parameters(self) -> list[Tensor]:
        """What training changes."""
        return [tensor for _, tensor in self.named_parameters()]

    @property
    def num_parameters(self) -> int:
        """How many numbers training changes."""
        return sum(math.prod(t.shape) for t in self.parameters())

    def arrays(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers by name, as ``load_arrays`` takes them."""
        return {name: tensor.numpy().copy() for name, tensor in self.named_tensors()}

    def load_arrays(self, arrays: dict[str, Any]) -> None:
        """Take the values of all parameters and buffers from arrays with the same names and shapes.

        Nothing is changed unless everything fits; a missing, surplus or misshapen array is named.
        Numbers keep the type and the device that the model has. A model of shapes only
        (``rng=None``) has no type yet: it becomes float64 as a whole if any weight that it lacks
        comes in float64.
        """
        # What is no array yet but can be one, a torch tensor for instance.
        foreign = {
            k for k, a in arrays.items() if array_module(a) is np and hasattr(a, "__array__")
        }
        arrays = {k: np.asarray(a) if k in foreign else to_numpy(a) for k, a in arrays.items()}
        require_fitting(self, arrays)
        tensors = dict(self.named_tensors())
        for name in tensors:
            dtype = getattr(arrays[name], "dtype", np.asarray(arrays[name]).dtype)
            if dtype.kind not in "fiub":
                raise DTypeError(f"{name}: cannot load an array of {dtype}")
        double = any(
            getattr(arrays[name], "dtype", None) == np.float64
            for name, tensor in tensors.items()
            if has_no_values(tensor)
        )
        for name, tensor in tensors.items():
            dtype = np.float64 if double and tensor.dtype == np.float32 else tensor.dtype
            tensor.data = array_module(tensor.data).array(arrays[name], dtype=dtype)

    def copy(self) -> Any:
        """A module with the same values and nothing in common."""
        return copy.deepcopy(self)

    def __repr__(self) -> str:
        inside = ", ".join(
            f"{name}={part!r}" for name, part in vars(self).items() if isinstance(part, Module)
        )
        return f"{type(self).__name__}({inside})"


def _walk(part: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every Tensor and Module below a module, dict, list or tuple, with its dotted name.

    Of the tensors in a dict the parameters alone: values that a forward pass keeps are none.
    """
    if isinstance(part, Module):
        inside: Any = vars(part).items()
    elif isinstance(part, dict):
        inside = [(k, v) for k, v in part.items() if not isinstance(v, Tensor) or _is_leaf(v)]
    elif isinstance(part, (list, tuple)):
        inside = enumerate(part)
    else:
        return
    for key, child in inside:
        path = f"{name}.{key}" if name else str(key)
        if isinstance(child, (Tensor, Module)):
            yield path, child
        yield from _walk(child, path)


def _is_leaf(tensor: Tensor) -> bool:
    return tensor.requires_grad and tensor.node is None


# --- weights -------------------------------------------------------------------------------------


def parameter(shape: tuple[int, ...], std: float, rng: Seed) -> Tensor:
    """A trainable tensor with values N(0, std²); without ``rng`` a shape that holds no memory."""
    if math.prod(shape) > sys.maxsize // np.dtype(np.float64).itemsize:
        raise SizeLimitError(
            f"a weight of shape {str(shape)[:60]}: no machine addresses so many numbers; "
            "use a smaller layer"
        )
    if rng is None:
        values = no_values(shape, np.dtype(np.float32), "cpu")
    else:
        values = std * np.random.default_rng(rng).standard_normal(shape, dtype=np.float32)
    return Tensor(values, requires_grad=True)


def no_values(shape: tuple[int, ...], dtype: np.dtype, device: str) -> Any:
    """A shape that holds no memory: a stride of 0 everywhere, one NaN seen from all places."""
    nan = to_device(np.array(np.nan, dtype), device)
    return array_module(nan).broadcast_to(nan, shape)


def settled(tensor: Tensor, dtype: np.dtype, device: str) -> Any:
    """The tensor's numbers in that type on that device, in memory of their own.

    What ``parameter`` made without ``rng`` has none, and stays so.
    """
    if has_no_values(tensor):
        return no_values(tensor.shape, dtype, device)
    moved = to_device(tensor.data, device)
    return moved.astype(dtype, copy=moved is tensor.data)


def he_std(shape: tuple[int, ...]) -> float:
    """std = √(2 / fan_in): keeps the size of the signal through relu layers.

    ``shape`` is (out, in, …), fan_in the product of all lengths but the first.
    Source: He et al., "Delving Deep into Rectifiers", arXiv 1502.01852.
    """
    return math.sqrt(2 / math.prod(shape[1:]))


def dense(weight: Any) -> Tensor:
    """The weight as a tensor, decoded if it is an encoding: all that a layer has to know."""
    tensor = weight if isinstance(weight, Tensor) else weight.decode()
    require_values([tensor])
    return tensor


def require_values(tensors: Iterable[Tensor]) -> None:
    """Refuse what ``parameter`` made without ``rng``: one place in memory for all entries."""
    if any(map(has_no_values, tensors)):
        raise GraphError("this model has shapes only; build it with rng=, or load weights into it")


def require_fitting(model: Module, arrays: dict[str, Any]) -> None:
    """ShapeError for arrays of other names or shapes than the model's own."""
    tensors = dict(model.named_tensors())
    missing, surplus = tensors.keys() - arrays.keys(), arrays.keys() - tensors.keys()
    if missing or surplus:
        raise ShapeError(
            f"these arrays are for another model: missing {sorted(missing) or 'none'}, "
            f"unknown {sorted(surplus) or 'none'}"
        )
    for name, tensor in tensors.items():
        if np.shape(arrays[name]) != tensor.shape:
            raise ShapeError(
                f"{name} has shape {tensor.shape}, the array given has {np.shape(arrays[name])}"
            )


def has_no_values(tensor: Tensor) -> bool:
    if any(tensor.data.strides) or not tensor.shape:
        return False
    return tensor.size > 1 or (tensor.size == 1 and bool(tensor.data != tensor.data))  # NaN


# --- models as wholes ----------------------------------------------------------------------------


def with_weights(model: Module, change: Callable[[str, Any], Any]) -> Any:
    """A model that shares everything with this one, but for the weights.

    ``change(name, weight)`` is asked about the weight of every layer.
    """
    return _rebuilt(model, "", change)


def _rebuilt(part: Any, path: str, change: Callable[[str, Any], Any]) -> Any:
    def below(key: Any, child: Any) -> Any:
        inner = f"{path}.{key}" if path else str(key)
        is_weight = key == "weight" and isinstance(part, Module)
        return change(inner, child) if is_weight else _rebuilt(child, inner, change)

    if isinstance(part, Module):
        twin: Any = copy.copy(part)
        vars(twin).update({key: below(key, child) for key, child in vars(part).items()})
        return twin
    if isinstance(part, dict) and any(isinstance(child, Module) for _, child in _walk(part)):
        twin = copy.copy(part)
        twin.update({key: below(key, child) for key, child in part.items()})
        return twin
    if isinstance(part, (list, tuple)):
        return type(part)(below(key, child) for key, child in enumerate(part))
    return part


def with_tensors(
    model: Module, instead: Callable[[str, Any], Any] = lambda name, weight: None
) -> Any:
    """The model with a tensor for every weight; what layers hold parts of is decoded once.

    Or with what ``instead(name, weight)`` has for it, if that is not None.
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
    """A copy of the model in which some parameters are buffers: saved and loaded, never trained.

    A pattern names parameters ("*.bias") or modules with all that is in them ("conv*", "fc1").
    Nothing computes their gradients. Running statistics of normalisation layers still follow the
    data. The configuration remembers what is frozen, so ``ta.load`` does. To train everything
    again, give the values to a model that was not frozen: ``model.load_arrays(frozen.arrays())``.
    Numbers that several layers share, such as those of a joint encoding, are frozen for all of
    them through any of them. TinyADTNError for a pattern that names nothing trained, and for none.

    >>> import tinyadtn as ta
    >>> model = freeze(ta.models.fc2(rng=0), "fc1")
    >>> [name for name, _ in model.named_parameters()]
    ['fc2.weight', 'fc2.bias']
    """
    if not patterns:
        raise TinyADTNError('freeze needs a pattern that says what; "*" freezes everything')
    trained = {id(tensor): name for name, tensor in model.named_parameters()}
    # What is shared has one name among the parameters, and one through each layer that holds it.
    ways = [(way, trained[id(part)]) for way, part in _walk(model) if id(part) in trained]
    chosen: list[str] = []
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise TinyADTNError(
                'patterns are given one by one, such as freeze(model, "fc1", "*.bias"); '
                f"got {pattern!r}"
            )
        names = [n for way, n in ways if fnmatch(way, pattern) or fnmatch(way, f"{pattern}.*")]
        if not names:
            known = ", ".join(trained.values()) or "none"
            raise TinyADTNError(f"no trained parameter matches {pattern!r}; there is {known}")
        chosen += names
    return with_frozen(model.copy(), chosen)


def with_frozen(model: Module, names: Iterable[str]) -> Any:
    """The model itself, with these parameters frozen and the configuration saying so."""
    tensors = dict(model.named_tensors())
    for name in names:
        tensors[name].requires_grad = False
    if model.config is not None:
        frozen = {*model.config.get("frozen", ()), *names}
        if frozen:
            model.config = {**model.config, "frozen": sorted(frozen)}
    return model


def named_layers(model: Module) -> dict[str, Any]:
    """The layers that have a weight, by name."""
    return {name: part for name, part in model.named_modules() if "weight" in vars(part)}


def layer_named(model: Module, name: str) -> Any:
    """The layer with that name; otherwise an error that lists the names there are."""
    layers = named_layers(model)
    if name not in layers:
        raise TinyADTNError(f"no layer {name!r} with a weight; there is {', '.join(layers)}")
    return layers[name]
