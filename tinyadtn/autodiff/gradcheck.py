"""Is a gradient right? Three checks, each the sharpest for its class of function.

All of them weigh the output with a random cotangent g, never with ones: summing a softmax gives 1
whatever its gradient is, so a check through ``.sum()`` would pass with any formula.

- *linear* in an argument: the adjoint identity ⟨g, f(x)⟩ = ⟨vjp(g), x⟩ holds to rounding.
- *smooth*: the 5-point difference, whose error goes with step⁴.
- *piecewise* (relu, max): the central difference with a tiny step; keep away from kinks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import DTypeError
from .arrays import as_array
from .engine import Tensor

# method -> (points and weights of the difference quotient, step, tolerance), for float64
_METHODS = {
    "linear": ({1: 0.5, -1: -0.5}, 1.0, 1e-11),
    "smooth": ({1: 2 / 3, -1: -2 / 3, 2: -1 / 12, -2: 1 / 12}, 1e-3, 1e-7),
    "piecewise": ({1: 0.5, -1: -0.5}, 1e-6, 1e-5),
}


class GradientMismatchError(AssertionError):
    """A gradient that differs from what was measured; says where and by how much."""


def vjp(function: Callable[..., Tensor], arrays: Any, cotangent: Any, **options: Any) -> list:
    """The engine's dL/d(array) of every array, for dL/d(function(*arrays)) = cotangent."""
    inputs = [Tensor(np.array(a), requires_grad=True) for a in arrays]
    function(*inputs, **options).backward(cotangent)
    zeros = (np.zeros(x.shape, x.dtype) for x in inputs)
    return [z if x.grad is None else x.grad for x, z in zip(inputs, zeros)]


def numerical_vjp(
    function: Callable[..., Tensor],
    arrays: Any,
    cotangent: Any,
    argument: int,
    *,
    method: str = "smooth",
    step: float | None = None,
    **options: Any,
) -> np.ndarray:
    """dL/d(array number ``argument``), measured: one difference quotient for each of its elements.

    >>> import tinyadtn as ta
    >>> numerical_vjp(ta.exp, [np.array([0.0, 1.0])], np.ones(2), 0).round(6).tolist()
    [1.0, 2.718282]
    """
    weights, default, _ = _METHODS[method]
    step = default if step is None else step
    x = np.array(arrays[argument], dtype=np.float64)
    others = list(arrays)
    measured = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        h = step * max(1.0, abs(x[place])) if method == "smooth" else step
        for point, weight in weights.items():
            moved = x.copy()
            moved[place] += point * h
            others[argument] = moved
            value = function(*map(Tensor, others), **options).numpy()
            measured[place] += weight / h * np.sum(cotangent * value)
    return measured


def check_vjp(
    function: Callable[..., Tensor],
    *arrays: Any,
    method: str = "smooth",
    tolerance: float | None = None,
    seed: int = 0,
    **options: Any,
) -> float:
    """Compare the engine's gradients with measured ones; return the largest relative difference.

    Every argument must be float64. ``method`` is "smooth" (tolerance 1e-7), "piecewise" (1e-5) or
    "linear" (1e-11, with the adjoint identity on top); GradientMismatchError above the tolerance.

    >>> import tinyadtn as ta
    >>> check_vjp(ta.tanh, np.array([[0.3, -1.2, 2.0]])) < 1e-10
    True
    >>> from tinyadtn.autodiff.engine import op
    >>> @op
    ... def wrong(a):
    ...     return a**3, lambda g: g * 2 * a
    >>> check_vjp(wrong, np.array([1.0]))
    Traceback (most recent call last):
    tinyadtn.autodiff.gradcheck.GradientMismatchError: wrong, argument 0 at (0,): gradient ...
    """
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}, got {method!r}")
    arrays = tuple(map(as_array, arrays))
    for k, array in enumerate(arrays):
        if array.dtype != np.float64:
            raise DTypeError(
                f"argument {k} is {array.dtype}: difference quotients need float64 (float32 is "
                "wrong in the fourth digit)"
            )
    limit = _METHODS[method][2] if tolerance is None else tolerance
    name = getattr(function, "__name__", "function")
    value = function(*map(Tensor, arrays), **options).numpy()
    cotangent = np.asarray(np.random.default_rng(seed).normal(size=value.shape))
    cotangent.setflags(write=False)  # a VJP that changes it would change that of others
    gradients = vjp(function, arrays, cotangent, **options)
    worst = 0.0
    for k, gradient in enumerate(gradients):
        measured = numerical_vjp(function, arrays, cotangent, k, method=method, **options)
        difference = np.abs(gradient - measured)
        scale = max(1.0, np.abs(measured).max(initial=0.0))
        # A NaN is a difference too, and argmax finds it; `max` would let it pass in a comparison.
        if difference.size and not difference.max() <= min(limit * scale, 1e300):
            place = np.unravel_index(difference.argmax(), difference.shape)
            raise GradientMismatchError(
                f"{name}, argument {k} at {tuple(map(int, place))}: "
                f"gradient {gradient[place]:.12g}, measured {measured[place]:.12g}"
            )
        worst = max(worst, difference.max(initial=0.0) / scale)
        if method == "linear":
            worst = max(
                worst, _adjoint_error(name, k, cotangent, value, gradient, arrays[k], limit)
            )
    return float(worst)


def _adjoint_error(name, k, cotangent, value, gradient, array, limit) -> float:
    """How far ⟨g, f(x)⟩ and ⟨vjp(g), x⟩ are apart, relative to the sizes of what was summed."""
    forward, backward = np.sum(cotangent * value), np.sum(gradient * array)
    size = 1 + np.linalg.norm(cotangent) * np.linalg.norm(value)
    error = abs(forward - backward) / size
    if not error <= limit:
        raise GradientMismatchError(
            f"{name}, argument {k}: ⟨g, f(x)⟩ = {forward:.12g}, ⟨vjp(g), x⟩ = {backward:.12g}"
        )
    return error
