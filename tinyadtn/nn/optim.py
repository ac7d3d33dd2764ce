"""Optimizers: how parameters change with their gradients. SGD with momentum, and Adam.

A schedule is a function of the step number alone, so a resumed run needs no state from it:

    optimizer.step(schedule(step))
"""

from __future__ import annotations

import math
import numbers
import warnings
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..autodiff.arrays import Array, array_module, asarray_like, device_of, to_numpy
from ..autodiff.engine import Tensor
from ..autodiff.options import leaves
from ..checks import require_number
from ..errors import GraphError, ShapeError, TinyADTNError, explained
from .parameters import checked_array

CHUNK = 2**16  # elements of a parameter that are updated at a time, so that they stay in cache


class Optimizer:
    """The base class of all optimizers: parameters, clipping, and state that can be saved.

    ``weight_decay`` λ shrinks every parameter by lr·λ per step, separately from the gradient
    (decoupled, as in AdamW, arXiv 1711.05101). ``clip`` is the largest norm of all gradients
    together. Parameters are updated in place. A tensor that requires a gradient owns its array, so
    the arrays that the caller made it from do not change.

    Copy or pickle an optimizer together with its model, ``copy.deepcopy((model, optimizer))``: the
    copy of an optimizer alone updates copies of the parameters.

    A subclass writes ``update``. It names in ``slots`` the state arrays of each parameter, which
    begin with zeros, are saved, and are passed to ``update`` behind the learning rate.

    Raises TypeError for anything except tensors. Raises GraphError for a tensor that was computed
    or requires no gradient. Raises TinyADTNError if a tensor occurs twice, or if there is none.
    """

    slots: tuple[str, ...] = ()  # the names of the state arrays of each parameter

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float,
        *,
        weight_decay: float = 0.0,
        clip: float | None = None,
    ):
        if isinstance(self.slots, str):
            raise TypeError(f"{type(self).__name__}.slots must be a tuple, got {self.slots!r}")
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clip = clip
        self._require_options(learning_rate)
        self.parameters = _checked(parameters)
        self.count = 0
        self._used: list[Any] = []  # weak references to the gradients of the last step
        self.memory = [
            [array_module(p.data).zeros_like(p.data) for p in self.parameters] for _ in self.slots
        ]

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes for copies and pickles, without references to gradients in use."""
        return {**vars(self), "_used": []}

    def zero_grad(self) -> None:
        """Clear the gradients."""
        for p in self.parameters:
            p.grad = None

    def step(self, learning_rate: float | None = None) -> None:
        """Update every parameter that has a gradient, in place.

        An array that a graph still needs, that of a notebook cell that failed, for instance, is
        read-only: the parameter then gets a copy, and the graph keeps the old array.
        """
        lr = self.learning_rate if learning_rate is None else learning_rate
        self._require_options(lr)
        if self._waiting():
            raise GraphError(
                "no parameter has a new gradient: call backward() on the loss before the "
                "optimizer's step"
            )
        self._require_as_before()
        self._used = [weakref.ref(p.grad) for p in self.parameters if type(p.grad) is np.ndarray]
        unsaved = self._unsaved() if self.count == 0 else {}
        of_user = type(self).update.__module__ != __name__
        before = [p.data.copy() for p in self.parameters] if of_user and self.count == 0 else []
        shrink = self._clipping()
        self.count += 1
        for k, p in enumerate(self.parameters):
            if p.grad is None:
                continue
            if _read_only(p.data):
                p.data = p.data[...]  # a tensor copies what is assigned to it
            memory = (arrays[k] for arrays in self.memory)
            for data, gradient, *remembered in _chunks(p.data, p.grad, *memory):
                if shrink != 1:
                    gradient = gradient * p.dtype.type(shrink)
                if self.weight_decay:
                    data *= p.dtype.type(1 - lr * self.weight_decay)
                result: Any = self.update(data, gradient, lr, *remembered)  # type: ignore[func-returns-value]
                if result is not None:
                    raise TypeError(
                        f"{type(self).__name__}.update must change data in place and return "
                        "nothing: data -= change"
                    )
        if self.count == 1 and self._unsaved() != unsaved:
            found = self._unsaved()
            changed = [name for name, value in found.items() if unsaved.get(name) != value]
            arrays = [name for name in changed if any(type(v) is bytes for v in found[name])]
            lost = (
                f"{type(self).__name__}.{(arrays or changed)[0]} is state that state() does not "
                "return, so that a resumed run would begin without it"
            )
            if arrays:
                raise TinyADTNError(f"{lost}: name its arrays in slots")
            warnings.warn(f"{lost}; self.count has the number of the step", stacklevel=2)
        if before and lr > 0 and any(p.grad is not None and p.grad.any() for p in self.parameters):
            self._require_changes(before)

    def _require_options(self, learning_rate: float) -> None:
        """Raise ValueError for options that cannot be used; the caller may have changed them."""
        require_limits(learning_rate=learning_rate, weight_decay=self.weight_decay, clip=self.clip)

    def update(self, data: Array, gradient: Array, lr: float, *memory: Any) -> None:
        """Update some elements of a parameter and their state, in place.

        A large parameter comes in flat parts, so this must treat every element independently.
        """
        raise TypeError(f"{type(self).__name__} has no update(); write one, or use SGD or Adam")

    def _unsaved(self) -> dict[str, list[Any]]:
        """Return the arrays (their bytes) and numbers that ``state`` does not return, by name."""
        if type(self).state is not Optimizer.state:
            return {}
        found: dict[str, list[Any]] = {}
        for name in sorted(vars(self).keys() - {"parameters", "memory", "count", "_used"}):
            for value in leaves(vars(self)[name]):
                if isinstance(value, (np.ndarray, numbers.Number)):
                    kept = value.tobytes() if isinstance(value, np.ndarray) else value
                    found.setdefault(name, []).append(kept)
        return found

    def _require_changes(self, before: list[Array]) -> None:
        """Raise an error, or warn, if the first ``update`` of a subclass was without effect."""
        name = f"{type(self).__name__}.update"
        zero = [s for s, a in zip(self.slots, self.memory) if not any(array.any() for array in a)]
        same = all((p.data == old).all() for p, old in zip(self.parameters, before))
        if same and len(zero) == len(self.slots):
            raise TinyADTNError(
                f"{name} changed nothing: write data -= change; data = data - change makes a new "
                "array, which is lost"
            )
        for slot in zero:
            warnings.warn(
                f"{name} left {slot} at zero: write {slot}[...] = new; {slot} = new makes a new "
                "array, which is lost",
                stacklevel=3,
            )

    def _waiting(self) -> bool:
        """Return whether there is no gradient, or only old ones while a graph needs parameters."""
        if all(p.grad is None for p in self.parameters):
            return True
        if not any(_read_only(p.data) for p in self.parameters):
            return False
        old = [gradient() for gradient in self._used]
        return all(any(p.grad is g for g in (None, *old)) for p in self.parameters)

    def _require_as_before(self) -> None:
        """Raise an error for a parameter whose array no longer fits its gradient or its state."""
        for slot, arrays in zip(self.slots, self.memory):
            if len(arrays) != len(self.parameters):
                raise TinyADTNError(
                    f"{slot} has arrays for {len(arrays)} parameters, and there are "
                    f"{len(self.parameters)} now: nothing was changed; make a new optimizer"
                )
        for k, p in enumerate(self.parameters):
            if p.grad is not None and p.grad.shape != p.shape:
                raise ShapeError(
                    f"parameter {k} has shape {p.shape}, its gradient {p.grad.shape}: nothing was "
                    "changed"
                )
            for state in (arrays[k] for arrays in self.memory):
                if (
                    p.shape != state.shape
                    or p.dtype != state.dtype
                    or device_of(p.data) != device_of(state)
                ):
                    raise ShapeError(
                        f"parameter {k} is {_described(p.data)} now, and was {_described(state)} "
                        "when the optimizer was made: nothing was changed; make a new optimizer"
                    )

    def _clipping(self) -> float:
        if self.clip is None:
            return 1.0
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = math.sqrt(sum(float((g * g).sum()) for g in gradients))
        if norm == math.inf:  # squares of float32 overflow above 1e19
            norm = math.sqrt(sum(float((g.astype(np.float64) ** 2).sum()) for g in gradients))
        return min(1.0, self.clip / norm) if norm > 0 else 1.0

    def state(self) -> dict[str, Any]:
        """Return the whole state as NumPy arrays by name; ``load_state`` takes it back."""
        arrays = {
            f"{slot}.{k}": to_numpy(array).copy()
            for slot, arrays in zip(self.slots, self.memory)
            for k, array in enumerate(arrays)
        }
        return {"count": self.count, **arrays}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from a saved state; nothing is changed unless everything fits."""
        now = self.state()
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
        memory = [
            [
                asarray_like(np.array(found[f"{slot}.{k}"], array.dtype), array)
                for k, array in enumerate(arrays)
            ]
            for slot, arrays in zip(self.slots, self.memory)
        ]
        # One call sets both, so that Ctrl-C cannot set only one.
        vars(self).update(count=int(count), memory=memory)


def _checked(parameters: Any) -> list[Tensor]:
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


def _described(array: Array) -> str:
    return f"{array.shape} {array.dtype} on {device_of(array)}"


def _read_only(array: Array) -> bool:
    """Return whether the array is read-only, because a graph needs it; never for CuPy's arrays."""
    return not getattr(array.flags, "writeable", True)


def _chunks(*arrays: Array) -> Iterator[tuple[Any, ...]]:
    """Yield the arrays, or the same flat part of each, one part after the other."""
    simple = array_module(arrays[0]) is np and all(a.flags.c_contiguous for a in arrays)
    if not simple or arrays[0].size <= CHUNK:
        yield arrays
        return
    flat = [a.reshape(-1) for a in arrays]
    for start in range(0, flat[0].size, CHUNK):
        yield tuple(a[start : start + CHUNK] for a in flat)


def require_limits(
    *,
    learning_rate: float = 0.0,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    clip: float | None = None,
) -> None:
    """Raise ValueError for options that are not numbers, or that would prevent learning."""
    require_number("learning_rate", learning_rate)
    require_number("momentum", momentum)
    require_number("weight_decay", weight_decay)
    if clip is not None:
        require_number("clip", clip)
    if not 0 <= learning_rate < math.inf:
        raise ValueError(f"learning_rate must be 0 or more and finite, got {learning_rate}")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum must be from 0 to below 1, got {momentum}")
    if not 0 <= weight_decay < math.inf:
        raise ValueError(f"weight_decay must be 0 or more, got {weight_decay}")
    if clip is not None and not clip > 0:
        raise ValueError(f"clip must be above 0, got {clip}")


class SGD(Optimizer):
    """v ← μ·v + g;  p ← p - lr·v   (μ = momentum).

    >>> w = Tensor([1.0], requires_grad=True)
    >>> (w * w).backward()
    >>> SGD([w], learning_rate=0.25).step()
    >>> w.data
    array([0.5], dtype=float32)
    """

    slots = ("velocity",)

    @explained()
    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float,
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        clip: float | None = None,
    ):
        self.momentum = momentum
        super().__init__(parameters, learning_rate, weight_decay=weight_decay, clip=clip)

    def _require_options(self, learning_rate: float) -> None:
        super()._require_options(learning_rate)
        require_limits(momentum=self.momentum)

    def update(self, data: Array, gradient: Array, lr: float, *memory: Any) -> None:
        """v ← μ·v + g;  p ← p - lr·v, in place."""
        (velocity,) = memory
        velocity *= data.dtype.type(self.momentum)
        velocity += gradient
        data -= data.dtype.type(lr) * velocity


class Adam(Optimizer):
    """m ← β₁·m + (1-β₁)·g;  v ← β₂·v + (1-β₂)·g²;  p ← p - lr·m̂ / (√v̂ + ε).

    m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ) correct for the initial zeros; t counts steps from 1.
    Source: Kingma and Ba, arXiv 1412.6980.

    >>> w = Tensor([1.0, -3.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> Adam([w], learning_rate=0.5).step()  # the first step is lr, whatever the gradient's size
    >>> w.data
    array([ 0.5, -2.5], dtype=float32)
    """

    slots = ("mean", "square")

    @explained()
    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        clip: float | None = None,
    ):
        self.betas, self.epsilon = betas, epsilon
        super().__init__(parameters, learning_rate, weight_decay=weight_decay, clip=clip)

    def _require_options(self, learning_rate: float) -> None:
        super()._require_options(learning_rate)
        betas, epsilon = self.betas, self.epsilon
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ValueError(f"betas must be two numbers, such as (0.9, 0.999), got {betas!r}")
        for name, value in (("betas", betas[0]), ("betas", betas[1]), ("epsilon", epsilon)):
            require_number(name, value)
        if not all(0 <= beta < 1 for beta in betas) or not 0 <= epsilon < math.inf:
            raise ValueError(
                f"betas must be from 0 to below 1, and epsilon 0 or more and finite, got {betas} "
                f"and {epsilon}"
            )

    def update(self, data: Array, gradient: Array, lr: float, *memory: Any) -> None:
        """Update m and v, then p ← p - lr·m̂ / (√v̂ + ε), in place."""
        (mean, square), (beta1, beta2), number = memory, self.betas, data.dtype.type
        mean += number(1 - beta1) * (gradient - mean)
        square += number(1 - beta2) * (gradient * gradient - square)
        # lr·m̂ / (√v̂ + ε), with both corrections combined into two scalars.
        correction = math.sqrt(1 - beta2**self.count)
        rate = number(lr * correction / (1 - beta1**self.count))
        denominator = array_module(square).sqrt(square)
        denominator += number(self.epsilon * correction)
        data -= rate * mean / denominator
