"""The base class of every layer and network: a module, whose parameters can be found by name.

A module keeps its parameters as plain attributes; code that needs them walks ``vars(module)``.
There is neither a global mode nor hidden state: ``model(x, training=False, rng=None)``.
"""

from __future__ import annotations

import copy
import functools
import inspect
import math
import reprlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ..autodiff.arrays import as_array, asarray_like, device_of, to_device
from ..autodiff.engine import Tensor
from ..autodiff.shape_only import ShapeOnly
from ..errors import ShapeError, TinyADTNError, require_call
from ..ops.other_names import OF_MODULES, Elsewhere
from .members import (
    Holder,
    is_parameter,
    require_findable,
    require_no_parameter_in_class,
    walk,
    without_graphs,
)
from .parameters import Seed, Shape, checked_array


class Module(Holder):
    """A layer or network: an object with parameters.

    A *parameter* is a tensor that requires a gradient and was not computed from others. Parameters
    and other modules belong to this module if they are in an attribute, or in lists, tuples and
    dicts in an attribute. A parameter in any other object (a set, a deque, an array of objects,
    ``functools.partial``, ``__slots__``, an object that is not a Module) would be neither trained
    nor saved, so it raises TypeError. A function may hold a network that does not belong to the
    module: ``self.teacher = lambda: teacher``.

    ``forward`` may keep results in any place; they do not belong to the module. It cannot add
    parameters or modules: an optimizer that was made before would not train them.

    A *buffer* is a tensor that is saved and loaded but never trained. A tensor becomes a buffer if
    it is in an attribute, list, tuple or dict when ``__init__`` ends, or through
    ``register_buffer``. Any other tensor is neither.

    A name like ``fc1.weight.columns.0`` is the path to a tensor through attributes and lists.
    ``config`` describes how to build the module again (``ta.load`` does).

    ``module(x)`` takes x as it is, whatever its scale: ``ta.predict`` scales or rejects pixels of 0
    to 255, and a layer rejects only uint8.

    >>> import tinyadtn as ta
    >>> [name for name, _ in ta.models.fc2(rng=0).named_parameters()]
    ['fc1.weight', 'fc1.bias', 'fc2.weight', 'fc2.bias']
    """

    config: Any = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        require_no_parameter_in_class(cls)
        if inspect.isfunction(vars(cls).get("forward")):
            _require_keywords(cls)
        if "__init__" in vars(cls):
            cls.__init__ = _noting_members(cls.__init__)  # type: ignore[method-assign]

    def __call__(self, x: Any, training: bool = False, rng: Seed = None) -> Tensor:
        if self._members is None:  # there is no __init__, or a decorator replaced it
            _note_members(self)
        if not isinstance(x, Tensor):
            array, first = as_array(x), next(self.named_tensors(), None)
            # Images are copied to the device of the model.
            x = Tensor(array if first is None else asarray_like(array, first[1].data))
        elif is_parameter(x):
            x = x.reshape(x.shape)  # a result of an op, so that no module registers it as a buffer
        rng = None if rng is None else np.random.default_rng(rng)  # one stream for all layers
        result = self.forward(x, training=training, rng=rng)
        if result is None or isinstance(result, np.ndarray):
            raise TypeError(
                f"{type(self).__name__}.forward() must return a Tensor, got "
                + ("None: is a return missing?" if result is None else "an array, without a graph")
            )
        return result

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        """Return the module's function of x; ``module(x)`` calls it."""
        raise TypeError(f"{type(self).__name__} computes nothing: it has no forward()")

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of one result for one input of that shape, both without the batch axis.

        The default is the same shape. Raises ShapeError for an input that does not fit.
        """
        return shape

    def multiply_adds(self, shape: Shape) -> int:
        """Count the multiplications, each with an addition, for one input of that shape.

        Only those of weights count; elementwise functions (activations, pools) do not.
        """
        return 0

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield every parameter and buffer with its name, once, in the order of the attributes."""
        seen: set[int] = set()
        for name, part, holder, path in walk(self):
            if isinstance(part, Tensor) and id(part) not in seen:
                seen.add(id(part))
                holder._note(path)  # a parameter stays a member when it is frozen
                yield name, part

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """Yield every module inside this one with its name."""
        return ((name, part) for name, part, *_ in walk(self) if isinstance(part, Module))

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Yield every trainable parameter with its name."""
        return ((name, t) for name, t in self.named_tensors() if is_parameter(t))

    def parameters(self) -> list[Tensor]:
        """Return all trainable parameters, as a list of tensors."""
        require_findable(self)
        return [tensor for _, tensor in self.named_parameters()]

    @property
    def num_parameters(self) -> int:
        """The number of trainable parameters (entries, not tensors)."""
        return sum(math.prod(t.shape) for t in self.parameters())

    def arrays(self) -> dict[str, np.ndarray]:
        """Return copies of all parameters and buffers by name, as ``load_arrays`` takes them."""
        require_findable(self)
        found: dict[str, np.ndarray] = {}
        for name, tensor in self.named_tensors():
            if name in found:  # the keys 1 and "1" of a dict, for example
                raise TinyADTNError(f"two tensors are called {name}, so one would be lost: rename")
            found[name] = tensor.numpy().copy()
        return found

    def load_arrays(self, arrays: dict[str, Any]) -> None:
        """Set all parameters and buffers from arrays with the same names and shapes.

        Nothing is changed unless everything fits; the error names a missing or surplus array, or
        one of another shape. The values are converted to the dtype and the device of the model. A
        model of shapes only (``rng=None``) has no dtype yet: it becomes float64 as a whole if any
        of its weights without values gets a float64 array.
        """
        if not isinstance(arrays, Mapping):
            raise TypeError(
                "load_arrays takes a dict of arrays by name, such as other.arrays(); got "
                f"{type(arrays).__name__}"
            )
        loaded = {name: checked_array(name, array, "fiub") for name, array in arrays.items()}
        require_fitting(self, loaded)
        tensors = dict(self.named_tensors())
        double = any(
            isinstance(tensor.data, ShapeOnly) and loaded[name].dtype == np.float64
            for name, tensor in tensors.items()
        )
        new = []
        for name, tensor in tensors.items():
            dtype = np.float64 if double and tensor.dtype == np.float32 else tensor.dtype
            new.append(to_device(np.array(loaded[name], dtype), device_of(tensor.data)))
        # One call sets all arrays, so that Ctrl-C cannot set only some.
        list(map(_set_data, tensors.values(), new))

    def register_buffer(self, name: str, tensor: Tensor) -> None:
        """Register a tensor as a buffer, for an attribute that ``__init__`` does not assign."""
        setattr(self, name, tensor)
        self._note(name)

    def copy(self) -> Any:
        """Return a module with the same values that shares no memory with this one."""
        return copy.deepcopy(self)

    def _note(self, path: str) -> None:
        if self._members is not None and path not in self._members:
            vars(self)["_members"] = self._members | {path}

    def __setattr__(self, name: str, value: Any) -> None:
        replaces = isinstance(vars(self).get(name), (Tensor, Module))
        if replaces and name in (self._members or ()):
            _require_member(f"{type(self).__name__}.{name}", value)
        if self._members is not None:
            _reject_in_forward(self, name, value)
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, for copies and pickles, without the graph of stored results."""
        return without_graphs(vars(self))

    @reprlib.recursive_repr()
    def __repr__(self) -> str:
        inside = ", ".join(
            f"{name}={part!r}" for name, part in vars(self).items() if isinstance(part, Module)
        )
        return f"{type(self).__name__}({inside})"


for _name, _hint in OF_MODULES.items():
    setattr(Module, _name, Elsewhere(_name, f"; write {_hint}"))

_set_data: Any = Tensor.__dict__["_data"].__set__


# --- assigning, copying, loading ------------------------------------------------------------------


def _require_keywords(kind: type) -> None:
    """Raise TypeError if ``forward`` does not take the two options with which a call hands on."""
    parameters = inspect.signature(vars(kind)["forward"]).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if not takes_all and not {"training", "rng"} <= parameters.keys():
        raise TypeError(
            f"{kind.__name__}.forward must take training and rng: write "
            "def forward(self, x, *, training, rng)"
        )


def _noting_members(init: Callable[..., None]) -> Callable[..., None]:
    """Return the ``__init__`` of a module, extended to note tensors and modules in attributes."""

    @functools.wraps(init)
    def noting(self: Module, *arguments: Any, **options: Any) -> None:
        try:
            init(self, *arguments, **options)
        except TypeError as error:
            require_call(init, (self, *arguments), options, error, type(self).__name__)
            raise
        if type(self).__init__ is noting:  # and not the __init__ of a base class
            _note_members(self)

    return noting


def _note_members(module: Module) -> None:
    vars(module)["_members"] = None  # so that the walk finds buffers too
    inside = [(path, part) for _, part, holder, path in walk(module) if holder is module]
    noted = {path for path, part in inside if isinstance(part, Module) or part.node is None}
    # A list counts as a member, too, if it holds one.
    vars(module)["_members"] = frozenset(noted | {path.partition(".")[0] for path in noted})
    require_findable(module)


def _reject_in_forward(module: Module, name: str, value: Any) -> None:
    """Raise TypeError if ``forward`` assigns a parameter or module that is not there already."""
    parts = [value] if isinstance(value, (Tensor, Module)) else []
    if isinstance(value, (list, tuple, dict)):
        parts = [part for _, part, *_ in walk(value, holder=module)]
    parts = [part for part in parts if is_parameter(part) or isinstance(part, Module)]
    if not parts:
        return
    known = {id(part) for _, part, *_ in walk(module)} | {id(module)}
    for part in parts:
        if id(part) not in known and _in_forward(module):
            raise TypeError(
                f"{type(module).__name__}.{name}: forward() cannot add a parameter or layer, got a "
                f"{type(part).__name__}; an optimizer or a file made before would not have it. "
                "Create it in __init__"
            )


def _in_forward(module: Module) -> bool:
    """Return whether the module is being called, or a module that contains it."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code is Module.__call__.__code__:
            called = frame.f_locals["self"]
            if called is module or any(part is module for _, part in called.named_modules()):
                return True
        frame = frame.f_back
    return False


def _require_member(name: str, value: Any) -> None:
    """Raise TypeError for a value that cannot replace a tensor or module."""
    if value is not None and not isinstance(value, (Tensor, Module)):
        raise TypeError(
            f"{name} must be a Tensor or a Module, got {type(value).__name__}; write "
            "ta.Tensor(values, requires_grad=True), or change all values with load_arrays"
        )


def require_model(who: str, model: Any) -> None:
    """Raise TypeError, which says what to do, unless the model is a Module."""
    if isinstance(model, Module):
        return
    hint = ""
    if callable(model) and hasattr(model, "__name__"):
        hint = f"; call it first: {model.__name__}(rng=0)"
    elif hasattr(model, "state_dict"):
        hint = "; load the weights of a torch network into a model with ta.load_from_torch"
    raise TypeError(f"{who} needs a Module, got {type(model).__name__}{hint}")


def require_fitting(model: Module, arrays: dict[str, Any]) -> None:
    """Raise ShapeError for arrays with other names or shapes than those of the model."""
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
