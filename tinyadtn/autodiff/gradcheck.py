"""Check gradients numerically: three methods, each the most accurate for its class of function.

All methods weight the output with a random cotangent g, never with ones. The sum of a softmax is
always 1, so a check through ``.sum()`` would pass with any formula for its gradient.

- *linear* in an argument: the adjoint identity ⟨g, f(x)⟩ = ⟨vjp(g), x⟩ holds up to rounding.
- *smooth*: the 5-point difference, with an error of order step⁴. An element that disagrees is
  measured again with many steps: near a singularity of f (1/x at 0.05) only small ones are right.
- *piecewise* (relu, max): the central difference with a tiny step; choose inputs away from kinks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..checks import require_number
from ..errors import DTypeError, GradientMismatchError
from .arrays import as_array
from .engine import Tensor

# method -> (points and weights of the difference quotient, step, tolerance), for float64
_METHODS = {
    "linear": ({1: 0.5, -1: -0.5}, 1.0, 1e-11),
    "smooth": ({1: 2 / 3, -1: -2 / 3, 2: -1 / 12, -2: 1 / 12}, 1e-3, 1e-7),
    "piecewise": ({1: 0.5, -1: -0.5}, 1e-6, 1e-5),
}


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
    _require_options(method, step)
    probe = _Probe(function, arrays, cotangent, argument, method, options)
    measured = np.zeros(probe.x.shape)
    for place in np.ndindex(measured.shape):
        measured[place] = probe.quotient(place, probe.usual_step(place, step)).value
    return measured


class _Quotient(NamedTuple):
    """A difference quotient, and how far it can be trusted.

    ``rounding`` is the error from the rounding of the outputs that changed, and ``changed`` is True
    for these. ``hidden`` is what the others may contribute: changes below their rounding error.
    """

    value: float
    rounding: float
    hidden: float
    changed: np.ndarray


class _Probe:
    """Difference quotients of dL = ⟨cotangent, function⟩ for the elements of one argument."""

    def __init__(self, function, arrays, cotangent, argument, method, options) -> None:
        self.function, self.arrays, self.cotangent = function, list(arrays), cotangent
        self.argument, self.method, self.options = argument, method, options
        self.x = np.array(arrays[argument], dtype=np.float64)

    def usual_step(self, place: tuple, step: float | None) -> float:
        """Return the step for an element; ``step`` is the caller's, or None."""
        h = _METHODS[self.method][1] if step is None else step
        return h * max(0.1, abs(self.x[place])) if self.method == "smooth" else h

    def quotient(self, place: tuple, h: float) -> _Quotient:
        """Return the difference quotient for one element with the step h."""
        weights = _METHODS[self.method][0]
        inputs, values = list(self.arrays), []
        for point in weights:
            inputs[self.argument] = moved = self.x.copy()
            moved[place] += point * h
            with np.errstate(all="ignore"):  # the steps may lead out of the domain of f
                values.append(self.function(*map(Tensor, inputs), **self.options).numpy())
        with np.errstate(all="ignore"):
            # the differences before the sum: outputs that do not change cancel exactly
            difference = sum(w * v for w, v in zip(weights.values(), values))
            changed = np.any([v != values[0] for v in values], axis=0)
            sizes = np.abs(self.cotangent) * np.max(np.abs(values), axis=0)
            epsilon = 16 * np.finfo(float).eps
            noise = sizes[changed].sum() / h if changed.any() else sizes.sum()
            value = float(np.sum(self.cotangent * difference)) / h
            hidden = float(epsilon * sizes[~changed].sum() / h)
            return _Quotient(value, float(epsilon * noise), hidden, changed)

    def of_outputs(self, chosen: np.ndarray) -> _Probe:
        """Return a probe of only those outputs for which ``chosen`` is True."""
        cotangent = np.where(chosen, self.cotangent, 0.0)
        given = self.function, self.arrays, cotangent, self.argument, self.method, self.options
        return _Probe(*given)

    def gradient(self, place: tuple) -> float:
        """Return the engine's gradient for one element."""
        gradients = vjp(self.function, self.arrays, self.cotangent, **self.options)
        return float(gradients[self.argument][place])

    def best_quotient(self, place: tuple) -> tuple[float, float]:
        """Return the quotient with the smallest relative error over many steps, and its error.

        Near a singularity only small steps are right, and where f cancels only large ones. The
        error is estimated from the spread of three quotients with consecutive steps.
        """
        size = abs(self.x[place])
        ladders = [[self.usual_step(place, None) * 4.0**-k for k in range(20)]]
        if 0 < size < 0.1:
            ladders.append([1e-2 * size * 4.0**-k for k in range(8)])
        smallest, best = float("inf"), (float("nan"), float("inf"))
        for steps in ladders:
            found = [self.quotient(place, h) for h in steps if self.x[place] + h != self.x[place]]
            for three in zip(found, found[1:], found[2:]):
                quotients = [q.value for q in three]
                error = 4 * (max(quotients) - min(quotients)) + three[1].rounding
                if quotients[1] != 0 and error / abs(quotients[1]) < smallest:  # NaN is not
                    smallest, best = error / abs(quotients[1]), (quotients[1], error)
        return best


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
    "linear" (1e-11, which also checks the adjoint identity). A difference is relative to that
    element of the gradient, or to the rounding error of its quotient if that is larger. ``step`` is
    the step of the quotient. All other options are passed to the op. If the op itself has an option
    with one of these names, wrap it: ``lambda x: f(x, step=2)``. Raises GradientMismatchError above
    the tolerance.

    >>> import tinyadtn as ta
    >>> check_vjp(ta.tanh, np.array([[0.3, -1.2, 2.0]])) < 1e-9
    True
    >>> from tinyadtn.autodiff.engine import op
    >>> @op
    ... def wrong(a):
    ...     return a**3, lambda g: g * 2 * a
    >>> check_vjp(wrong, np.array([1.0]))
    Traceback (most recent call last):
    tinyadtn.errors.GradientMismatchError: wrong, argument 1 at (0,): gradient ...
    """
    _require_options(method, step, tolerance)
    arrays = tuple(map(_as_doubles, arrays))
    for k, array in enumerate(arrays, 1):
        if array.dtype != np.float64:
            raise DTypeError(
                f"argument {k} is {array.dtype}: difference quotients need float64 (float32 is "
                "wrong in the fourth digit); give x.astype(float)"
            )
    limit = _METHODS[method][2] if tolerance is None else tolerance
    name = getattr(function, "__name__", "function")
    output = function(*map(Tensor, arrays), **options)
    if not isinstance(output, Tensor):
        raise TypeError(f"{name} must return a Tensor, got a {type(output).__name__}")
    value = output.numpy()
    again = function(*map(Tensor, arrays), **options).numpy()
    if again.shape != value.shape or not np.allclose(value, again, equal_nan=True):
        raise ValueError(
            f"{name} gave two results for the same arguments: if it draws random numbers, give it "
            "a seed, which draws the same ones in every call, and not a generator"
        )
    cotangent = np.asarray(np.random.default_rng(seed).normal(size=value.shape))
    cotangent.setflags(write=False)  # a VJP that changes it would change that of others
    gradients = vjp(function, arrays, cotangent, **options)
    worst = 0.0
    for k, gradient in enumerate(gradients):
        probe = _Probe(function, arrays, cotangent, k, method, options)
        worst = max(worst, _largest_difference(name, probe, gradient, limit, step))
        if method == "linear":
            worst = max(
                worst, _adjoint_error(name, k, cotangent, value, gradient, arrays[k], limit)
            )
    return float(worst)


def _as_doubles(argument: Any) -> Any:
    """Return an argument as an array: that of a tensor, and numbers without a dtype as float64."""
    if isinstance(argument, Tensor):
        return argument.data
    array = as_array(argument)
    if hasattr(argument, "dtype") or array.dtype.kind not in "fiu":
        return array
    return np.asarray(argument, np.float64)


def _largest_difference(
    name: str, probe: _Probe, gradient: np.ndarray, limit: float, step: float | None
) -> float:
    """Return the largest relative difference of one gradient; GradientMismatchError above limit."""
    worst, suspects = 0.0, []
    whole = np.abs(gradient[np.isfinite(gradient)]).max(initial=0.0)
    for place in np.ndindex(gradient.shape):
        measured = probe.quotient(place, probe.usual_step(place, step))
        relative = _relative(gradient[place], measured.value, measured.rounding / limit)
        if relative > limit:
            suspects.append((relative, place, measured))
        else:
            worst = max(worst, relative)
    for relative, place, measured in sorted(suspects, key=lambda suspect: -suspect[0]):
        at, expected = probe, float(gradient[place])
        if abs(expected - measured.value) <= measured.hidden:
            at = probe.of_outputs(measured.changed)
            expected = at.gradient(place)
            visible = at.quotient(place, at.usual_step(place, step))
            relative = _relative(expected, visible.value, visible.rounding / limit)
        if relative > limit and step is None and probe.method == "smooth":
            again, error = at.best_quotient(place)
            if error <= max(1e-3 * abs(again), limit * whole):  # else this measured nothing
                relative = _relative(expected, again, error / limit)
        if relative > limit:
            raise GradientMismatchError(
                f"{name}, argument {probe.argument + 1} at {tuple(map(int, place))}: "
                f"gradient {gradient[place]:.12g}, measured {measured.value:.12g}"
            )
        worst = max(worst, relative)
    return worst


def _relative(gradient: float, measured: float, floor: float) -> float:
    """Return the difference relative to the larger value; infinite unless both are finite."""
    difference = abs(gradient - measured)
    if not np.isfinite(difference):
        return float("inf")
    return float(difference / (max(abs(gradient), abs(measured), floor) or 1.0))


def _require_options(method: str, step: float | None, tolerance: float | None = None) -> None:
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}, got {method!r}")
    for name, value in (("step", step), ("tolerance", tolerance)):
        if value is not None:
            require_number(name, value)
            if not 0 < value < float("inf"):
                raise ValueError(f"{name} must be above 0 and finite, got {value}")


def _adjoint_error(name, k, cotangent, value, gradient, array, limit) -> float:
    """Return |⟨g, f(x)⟩ - ⟨vjp(g), x⟩|, relative to the sizes of the terms in the sums."""
    forward, backward = np.sum(cotangent * value), np.sum(gradient * array)
    size = np.linalg.norm(cotangent) * np.linalg.norm(value)
    error = abs(forward - backward) / (size or 1.0)
    if not error <= limit:
        raise GradientMismatchError(
            f"{name}, argument {k + 1}: ⟨g, f(x)⟩ = {forward:.12g}, ⟨vjp(g), x⟩ = {backward:.12g}"
        )
    return error
