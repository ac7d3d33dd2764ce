"""Is a gradient right? Three checks, each the sharpest for its class of function.

All of them weigh the output with a random cotangent g, never with ones: summing a softmax gives 1
whatever its gradient is, so a check through ``.sum()`` would pass with any formula.

- *linear* in an argument: the adjoint identity ⟨g, f(x)⟩ = ⟨vjp(g), x⟩ holds to rounding.
- *smooth*: the 5-point difference, whose error goes with step⁴. Where it disagrees, it is measured
  again with smaller steps: near a singularity of f (1/x at 0.05) only these are right.
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

    ``step`` is that of the quotient. For "smooth" it is relative to the element, if that is 0.1 or
    more.

    >>> import tinyadtn as ta
    >>> numerical_vjp(ta.exp, [np.array([0.0, 1.0])], np.ones(2), 0).round(6).tolist()
    [1.0, 2.718282]
    """
    x = np.asarray(arrays[argument], np.float64)
    measured = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        h = _METHODS[method][1] if step is None else step
        if method == "smooth":
            h *= max(0.1, abs(x[place]))
        measured[place] = _quotient(
            function, arrays, cotangent, argument, place, h, method, options
        )
    return measured


def _quotient(function, arrays, cotangent, argument, place, h, method, options) -> float:
    """The difference quotient for one element, with the step h."""
    x, others = np.array(arrays[argument], dtype=np.float64), list(arrays)
    difference: Any = 0.0  # of the values, before they are added up: what does not change cancels
    for point, weight in _METHODS[method][0].items():
        others[argument] = moved = x.copy()
        moved[place] += point * h
        with np.errstate(all="ignore"):  # the steps may lead out of the domain of f
            difference = difference + weight * function(*map(Tensor, others), **options).numpy()
    return float(np.sum(cotangent * difference)) / h


def check_vjp(
    function: Callable[..., Tensor],
    *arrays: Any,
    method: str = "smooth",
    tolerance: float | None = None,
    step: float | None = None,
    seed: int = 0,
    **options: Any,
) -> float:
    """Compare the engine's gradients with measured ones; return the largest relative difference.

    Every argument must be float64. ``method`` is "smooth" (tolerance 1e-7), "piecewise" (1e-5) or
    "linear" (1e-11, with the adjoint identity on top); GradientMismatchError above the tolerance.
    A difference is relative to the largest element of that gradient, or to what rounding leaves of
    the quotient, if that is more. ``step`` is that of the quotient. All other options go to the op;
    one that has such a name itself goes through a function: ``lambda x: f(x, step=2)``.

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
        measured = numerical_vjp(
            function, arrays, cotangent, k, method=method, step=step, **options
        )
        scale = max(_largest(gradient), _largest(measured))
        h = (_METHODS[method][1] if step is None else step) * (0.1 if method == "smooth" else 1)
        rounding = 16 * np.finfo(float).eps * np.abs(cotangent * value).sum() / h
        scale = max(scale, rounding / limit)
        if method == "smooth" and step is None:  # accused elements are measured again
            for place in zip(*np.nonzero(~(np.abs(gradient - measured) <= limit * scale))):
                size = abs(arrays[k][place]) or 1e-4
                for h in (1e-5, 1e-6, 1e-3 * size, 1e-4 * size):
                    again = _quotient(function, arrays, cotangent, k, place, h, method, options)
                    if abs(gradient[place] - again) <= limit * abs(again):
                        measured[place] = again
        difference = np.abs(gradient - measured)
        # A NaN is a difference too, and argmax finds it; `max` would let it pass in a comparison.
        if difference.size and not difference.max() <= min(limit * scale, 1e300):
            place = np.unravel_index(difference.argmax(), difference.shape)
            raise GradientMismatchError(
                f"{name}, argument {k} at {tuple(map(int, place))}: "
                f"gradient {gradient[place]:.12g}, measured {measured[place]:.12g}"
            )
        worst = max(worst, difference.max(initial=0.0) / (scale or 1.0))
        if method == "linear":
            worst = max(
                worst, _adjoint_error(name, k, cotangent, value, gradient, arrays[k], limit)
            )
    return float(worst)


def _largest(array: np.ndarray) -> float:
    """The largest absolute value, of those that are finite."""
    return float(np.abs(array[np.isfinite(array)]).max(initial=0.0))


def _adjoint_error(name, k, cotangent, value, gradient, array, limit) -> float:
    """How far ⟨g, f(x)⟩ and ⟨vjp(g), x⟩ are apart, relative to the sizes of what was summed."""
    forward, backward = np.sum(cotangent * value), np.sum(gradient * array)
    size = np.linalg.norm(cotangent) * np.linalg.norm(value)
    error = abs(forward - backward) / (size or 1.0)
    if not error <= limit:
        raise GradientMismatchError(
            f"{name}, argument {k}: ⟨g, f(x)⟩ = {forward:.12g}, ⟨vjp(g), x⟩ = {backward:.12g}"
        )
    return error
