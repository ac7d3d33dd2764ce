"""Optimizers: how parameters change with their gradients. SGD with momentum, and Adam.

A schedule is a function of the step number alone, so a resumed run needs no state from it:

    optimizer.step(schedule(step))
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..autodiff.arrays import Array, array_module, asarray_like, to_numpy
from ..autodiff.engine import Tensor
from ..errors import explained
from .optim_checks import (
    FirstUpdate,
    checked_parameters,
    checked_state,
    is_own,
    read_only,
    require_as_before,
    require_betas,
    require_gradients,
    require_limits,
)

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
        self.parameters = checked_parameters(parameters)
        self.count = 0
        self.memory = [
            [array_module(p.data).zeros_like(p.data) for p in self.parameters] for _ in self.slots
        ]

    @property
    def lr(self) -> float:
        """Another name of ``learning_rate``, PyTorch's; setting it sets ``learning_rate``."""
        return self.learning_rate

    @lr.setter
    def lr(self, value: float) -> None:
        self.learning_rate = value

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
        require_gradients(self.parameters)
        require_as_before(self)
        first = FirstUpdate(self) if self.count == 0 and is_own(self, "update") else None
        shrink = self._clipping()
        self.count += 1
        for k, p in enumerate(self.parameters):
            if p.grad is None:
                continue
            if read_only(p.data):
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
        if first is not None:
            first.check(self, lr)

    def _require_options(self, learning_rate: float) -> None:
        """Raise ValueError for options that cannot be used; the caller may have changed them."""
        require_limits(learning_rate=learning_rate, weight_decay=self.weight_decay, clip=self.clip)

    def update(self, data: Array, gradient: Array, lr: float, *memory: Any) -> None:
        """Update some elements of a parameter and their state, in place.

        A large parameter comes in flat parts, so this must treat every element independently.
        """
        raise TypeError(f"{type(self).__name__} has no update(); write one, or use SGD or Adam")

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
        count, found = checked_state(self, state)
        memory = [
            [
                asarray_like(np.array(found[f"{slot}.{k}"], array.dtype), array)
                for k, array in enumerate(arrays)
            ]
            for slot, arrays in zip(self.slots, self.memory)
        ]
        # One call sets both, so that Ctrl-C cannot set only one.
        vars(self).update(count=count, memory=memory)


def _chunks(*arrays: Array) -> Iterator[tuple[Any, ...]]:
    """Yield the arrays, or the same flat part of each, one part after the other."""
    simple = array_module(arrays[0]) is np and all(a.flags.c_contiguous for a in arrays)
    if not simple or arrays[0].size <= CHUNK:
        yield arrays
        return
    flat = [a.reshape(-1) for a in arrays]
    for start in range(0, flat[0].size, CHUNK):
        yield tuple(a[start : start + CHUNK] for a in flat)


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
        require_betas(self.betas, self.epsilon)

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
