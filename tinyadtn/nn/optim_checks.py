"""What an optimizer checks: its options, its parameters, and the updates of a user's own class.

You do not need this file to understand ``optim``.
"""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autodiff.arrays import Array, device_of
from ..autodiff.engine import Tensor
from ..autodiff.options import leaves
from ..checks import require_number
from ..errors import GraphError, ShapeError, TinyADTNError
from .parameters import checked_array

if TYPE_CHECKING:
    from .optim import Optimizer

LIMITS = {  # option: it must be 0 or more and below this, in words
    "learning_rate": (math.inf, "0 or more and finite"),
    "momentum": (1, "from 0 to below 1"),
    "weight_decay": (math.inf, "0 or more"),
}


def require_limits(*, clip: float | None = None, **options: float) -> None:
    """Raise ValueError for options that are not numbers, or that would prevent learning."""
    for name, value in options.items():
        require_number(name, value)
        most, words = LIMITS[name]
        if not 0 <= value < most:
            raise ValueError(f"{name} must be {words}, got {value}")
    rate, decay = options.get("learning_rate", 0), options.get("weight_decay", 0)
    if rate * decay > 1:
        raise ValueError(
            f"weight_decay {decay} times learning_rate {rate} must be at most 1: above it, every "
            "step changes the sign of the parameters"
        )
    if clip is not None:
        require_number("clip", clip)
        if not clip > 0:
            raise ValueError(f"clip must be above 0, got {clip}")


def require_betas(betas: Any, epsilon: float) -> None:
    """Raise ValueError for options of Adam that cannot be used."""
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise ValueError(f"betas must be two numbers, such as (0.9, 0.999), got {betas!r}")
    for name, value in (("betas", betas[0]), ("betas", betas[1]), ("epsilon", epsilon)):
        require_number(name, value)
    if not all(0 <= beta < 1 for beta in betas) or not 0 <= epsilon < math.inf:
        raise ValueError(
            f"betas must be from 0 to below 1, and epsilon 0 or more and finite, got {betas} "
            f"and {epsilon}"
        )


def checked_parameters(parameters: Any) -> list[Tensor]:
    """Return the parameters as a list, if an optimizer can update each of them."""
    advice = "an optimizer takes a list of tensors, such as model.parameters()"
    if isinstance(parameters, Tensor) or not isinstance(parameters, Iterable):
        raise TypeError(f"{advice}; got one {type(parameters).__name__}")
    tensors = list(parameters)
    if not tensors:
        raise TinyADTNError(f"{advice}; got none: is the model frozen, or a generator used up?")
    places: dict[int, int] = {}
    for k, p in enumerate(tensors):
        if not isinstance(p, Tensor):
            raise TypeError(f"{advice}; parameter {k} is a {type(p).__name__}")
        which = f"parameter {k}, of shape {p.shape},"
        if p.node is not None:
            raise GraphError(
                f"{which} is not a leaf: {p.node.name} computed it, and an update would be lost. "
                "Give the tensors that it was computed from, or make a leaf of its values: "
                "ta.Tensor(x.numpy(), requires_grad=True)"
            )
        if not p.requires_grad:
            raise GraphError(
                f"{which} requires no gradient, so nothing would update it; make it with "
                "requires_grad=True, or leave it out"
            )
        if id(p) in places:
            raise TinyADTNError(f"{which} is parameter {places[id(p)]} once more; give it once")
        places[id(p)] = k
    return tensors


def read_only(array: Array) -> bool:
    """Return whether the array is read-only, because a graph needs it; never for CuPy's arrays."""
    return not getattr(array.flags, "writeable", True)


def require_gradients(parameters: Sequence[Tensor]) -> None:
    """Raise GraphError if no parameter has a gradient."""
    if all(p.grad is None for p in parameters):
        raise GraphError(
            "no parameter has a gradient: call backward() on the loss before the optimizer's step"
        )


def require_as_before(optimizer: Optimizer) -> None:
    """Raise an error for a parameter whose array no longer fits its gradient or its state."""
    parameters, memory = optimizer.parameters, optimizer.memory
    for slot, arrays in zip(optimizer.slots, memory):
        if len(arrays) != len(parameters):
            raise TinyADTNError(
                f"{slot} has arrays for {len(arrays)} parameters, and there are "
                f"{len(parameters)} now: nothing was changed; make a new optimizer"
            )
    for k, p in enumerate(parameters):
        if p.grad is not None and p.grad.shape != p.shape:
            raise ShapeError(
                f"parameter {k} has shape {p.shape}, its gradient {p.grad.shape}: nothing was "
                "changed"
            )
        for state in (arrays[k] for arrays in memory):
            if _described(p.data) != _described(state):
                now, before = ("{} {} on {}".format(*_described(a)) for a in (p.data, state))
                raise ShapeError(
                    f"parameter {k} is {now} now, and was {before} when the optimizer was made: "
                    "nothing was changed; make a new optimizer"
                )


def _described(array: Array) -> tuple:
    """Return what an array and its state have in common."""
    return array.shape, array.dtype, device_of(array)


def checked_state(optimizer: Optimizer, state: Any) -> tuple[int, dict[str, np.ndarray]]:
    """Return the count and the arrays of a saved state, if they are for this optimizer."""
    now = optimizer.state()
    if not isinstance(state, dict):
        raise TypeError(f"a state is a dict, as state() returns it; got {type(state).__name__}")
    if now.keys() != state.keys() or any(np.shape(now[k]) != np.shape(state[k]) for k in now):
        raise ShapeError(
            f"this state is for another optimizer or model: {sorted(state)} with shapes "
            f"{[np.shape(a) for a in state.values()]}"
        )
    count = np.asarray(state["count"])
    if count.dtype.kind not in "iu" or count < 0:
        raise ValueError(f"count must be a whole number from 0 up, got {state['count']}")
    found = {k: checked_array(k, array, "f") for k, array in state.items() if k != "count"}
    return int(count), found


# --- an optimizer that a user wrote --------------------------------------------------------------


def is_own(optimizer: Optimizer, method: str) -> bool:
    """Return whether a user wrote this method of the optimizer."""
    return getattr(type(optimizer), method).__module__ != f"{__package__}.optim"


class FirstUpdate:
    """What a user's optimizer is before its first step; ``check`` compares with what it is after.

    It must change parameters and slots in place, and have no state that would not be saved.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.unsaved = _unsaved(optimizer)
        self.data = [p.data.copy() for p in optimizer.parameters]

    def check(self, optimizer: Optimizer, learning_rate: float) -> None:
        """Raise an error, or warn, if the first step was without effect or cannot be resumed."""
        name, found = type(optimizer).__name__, _unsaved(optimizer)
        if changed := [key for key, value in found.items() if self.unsaved.get(key) != value]:
            arrays = [key for key in changed if any(type(v) is bytes for v in found[key])]
            lost = (
                f"{name}.{(arrays or changed)[0]} is state that state() does not "
                "return, so that a resumed run would begin without it"
            )
            if arrays:
                raise TinyADTNError(f"{lost}: name its arrays in slots")
            warnings.warn(f"{lost}; self.count has the number of the step", stacklevel=3)
        gradients = [p.grad for p in optimizer.parameters if p.grad is not None]
        if learning_rate > 0 and any(gradient.any() for gradient in gradients):
            self._require_changes(optimizer, f"{name}.update")

    def _require_changes(self, optimizer: Optimizer, name: str) -> None:
        slots = zip(optimizer.slots, optimizer.memory)
        zero = [slot for slot, arrays in slots if not any(array.any() for array in arrays)]
        same = all((p.data == old).all() for p, old in zip(optimizer.parameters, self.data))
        if same and len(zero) == len(optimizer.slots):
            raise TinyADTNError(
                f"{name} changed nothing: write data -= change; data = data - change makes a new "
                "array, which is lost"
            )
        if same:  # such as an optimizer that updates at every other step
            warnings.warn(
                f"the first {name} changed no parameter: write data -= change; "
                "data = data - change makes a new array, which is lost",
                stacklevel=4,
            )
        for slot in zero:
            warnings.warn(
                f"{name} left {slot} at zero: write {slot}[...] = new; {slot} = new makes a new "
                "array, which is lost",
                stacklevel=4,
            )


def _unsaved(optimizer: Optimizer) -> dict[str, list[Any]]:
    """Return the arrays (their bytes) and numbers that ``state`` does not return, by name."""
    if is_own(optimizer, "state"):
        return {}
    found: dict[str, list[Any]] = {}
    for name in sorted(vars(optimizer).keys() - {"parameters", "memory", "count"}):
        for value in leaves(vars(optimizer)[name]):
            if isinstance(value, (np.ndarray, numbers.Number)):
                kept = value.tobytes() if isinstance(value, np.ndarray) else value
                found.setdefault(name, []).append(kept)
    return found
