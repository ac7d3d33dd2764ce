"""What every layer and every network is: a module, with parameters that can be found by name.

A module keeps its parameters as plain attributes; whoever wants them walks ``vars(module)``. There
is no global mode and no hidden state: ``model(x, training=False, rng=None)``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..autodiff.arrays import (
    ShapeOnly,
    array_module,
    asarray_like,
    device_of,
    to_device,
    to_numpy,
)
from ..autodiff.engine import Tensor
from ..errors import DTypeError, ShapeError
from .parameters import Seed, Shape


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
                x.data = asarray_like(x.data, first[1].data)
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
        arrays = _loadable(self, arrays)
        tensors = dict(self.named_tensors())
        double = any(
            getattr(arrays[name], "dtype", None) == np.float64
            for name, tensor in tensors.items()
            if isinstance(tensor.data, ShapeOnly)
        )
        for name, tensor in tensors.items():
            dtype = np.float64 if double and tensor.dtype == np.float32 else tensor.dtype
            tensor.data = to_device(np.array(arrays[name], dtype=dtype), device_of(tensor.data))

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


def _loadable(model: Module, arrays: dict[str, Any]) -> dict[str, Any]:
    """The arrays in NumPy; an error unless they have the model's names and shapes, and numbers."""
    # Values that are not arrays yet but can be, a torch tensor for instance.
    foreign = {k for k, a in arrays.items() if array_module(a) is np and hasattr(a, "__array__")}
    arrays = {k: np.asarray(a) if k in foreign else to_numpy(a) for k, a in arrays.items()}
    require_fitting(model, arrays)
    for name, _ in model.named_tensors():
        dtype = getattr(arrays[name], "dtype", np.asarray(arrays[name]).dtype)
        if dtype.kind not in "fiub":
            raise DTypeError(f"{name}: cannot load an array of {dtype}")
    return arrays


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
