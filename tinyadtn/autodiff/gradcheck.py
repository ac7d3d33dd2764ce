"""Check gradients numerically: three methods, each the most accurate for its class of function.

All methods weight the output with a random cotangent g, never with ones. The sum of a softmax is
always 1, so a check through ``.sum()`` would pass with any formula for its gradient.

- *linear* in an argument: the adjoint identity ⟨g, f(x)⟩ = ⟨vjp(g), x⟩ holds up to rounding.
- *smooth*: the 5-point difference, with an error of order step⁴. If it disagrees, the element is
  measured again with smaller steps: near a singularity of f (1/x at 0.05) only these are right.
- *piecewise* (relu, max): the central difference with a tiny step; choose inputs away from kinks.
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
    """A gradient that differs from the measured one; the message has the place and the values."""


def vjp(function: Callable[..., Tensor], arrays: Any, cotangent: Any, **options: Any) -> list:
    """Return the engine's dL/d(array) of every array, for dL/d(function(*arrays)) = cotangent."""
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
    """Return dL/d(array number ``argument``), measured with one difference quotient per element.

    ``step`` is the step of the quotient. For "smooth" it is relative to the size of the element, if
    that is 0.1 or more.

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
    """Return the difference quotient for one element, with the step h."""
    x, others = np.array(arrays[argument], dtype=np.float64), list(arrays)
    difference: Any = 0.0  # of the values, before the sum: terms that do not change cancel exactly
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
    "linear" (1e-11, which also checks the adjoint identity). A difference is relative to the
    largest element of that gradient, or to the rounding error of the quotient if that is larger.
    ``step`` is the step of the quotient. All other options are passed to the op. If the op itself
    has an option with one of these names, wrap it: ``lambda x: f(x, step=2)``. Raises
    GradientMismatchError above the tolerance.

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
        if method == "smooth" and step is None:  # elements that disagree are measured again
            for place in zip(*np.nonzero(~(np.abs(gradient - measured) <= limit * scale))):
                size = abs(arrays[k][place]) or 1e-4
                for h in (1e-5, 1e-6, 1e-3 * size, 1e-4 * size):
                    again = _quotient(function, arrays, cotangent, k, place, h, method, options)
                    if abs(gradient[place] - again) <= limit * abs(again):
                        measured[place] = again
        difference = np.abs(gradient - measured)
        # A NaN is a difference too. argmax finds it, but a comparison with `max` would miss it.
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
    """Return the largest absolute value among the finite ones."""
    return float(np.abs(array[np.isfinite(array)]).max(initial=0.0))


def _adjoint_error(name, k, cotangent, value, gradient, array, limit) -> float:
    """Return |⟨g, f(x)⟩ - ⟨vjp(g), x⟩|, relative to the sizes of the terms in the sums."""
    forward, backward = np.sum(cotangent * value), np.sum(gradient * array)
    size = np.linalg.norm(cotangent) * np.linalg.norm(value)
    error = abs(forward - backward) / (size or 1.0)
    if not error <= limit:
        raise GradientMismatchError(
            f"{name}, argument {k}: ⟨g, f(x)⟩ = {forward:.12g}, ⟨vjp(g), x⟩ = {backward:.12g}"
        )
    return error
