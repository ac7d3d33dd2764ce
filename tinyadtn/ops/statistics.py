"""Variance, standard deviation and Euclidean norm."""

from __future__ import annotations

import math
import numbers
from typing import Any

from ..autodiff.arrays import Array, array_module, as_float, sum_over
from ..autodiff.engine import Tensor, op
from ..checks import require_number
from ..errors import ShapeError, explained
from .arguments import axes_of, float_tensor
from .reductions import mean, sum


@explained()
def var(a: Array, *, axis: Any = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """c = Σ (a - mean a)² / (n - ddof) over the given axes, n being their number of elements.

    ``ddof=0`` is NumPy's default; torch's is 1, which gives the unbiased estimate of a sample.
    The squares of float32 elements above 1e19 overflow to inf, as in NumPy: convert to float64.

    >>> var([1.0, 3.0]).item(), var([1.0, 3.0], ddof=1).item()
    (1.0, 2.0)
    """
    centred, freedom = _centred(a, axis, ddof)
    return sum(centred * centred, axis=axis, keepdims=keepdims) / freedom


@explained()
def std(a: Array, *, axis: Any = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """c = √var(a). Where all elements are equal, the gradient is 0, as in torch.

    No square overflows. The sum of float32 elements near 3e38 does, as in NumPy, and gives inf or
    NaN: convert to float64.
    """
    centred, freedom = _centred(a, axis, ddof)
    return norm(centred, axis=axis, keepdims=keepdims) / math.sqrt(freedom)


def _centred(a: Array, axis: Any, ddof: int) -> tuple[Tensor, int]:
    """Return a - mean a, and n - ddof."""
    require_number("ddof", ddof, numbers.Integral)
    a = float_tensor(a)
    centred = a - mean(a, axis=axis, keepdims=True)
    centred = centred - mean(centred, axis=axis, keepdims=True)  # the first mean was rounded
    count = math.prod(a.shape[k] for k in axes_of(axis, a.ndim))
    if count <= ddof:
        raise ShapeError(
            f"a variance with ddof={ddof} needs more than {ddof} elements, got {count}"
        )
    return centred, count - ddof


@op
def norm(a: Array, *, axis: Any = None, keepdims: bool = False) -> Any:
    """c = √Σ a² over the given axes (all of them by default): the Euclidean or Frobenius norm.

    The elements are divided by the largest one first, so that no square overflows. The gradient
    of a zero vector, which does not exist, is 0.

    >>> norm([3.0, 4.0]).item()
    5.0
    """
    xp, a, axes = array_module(a), as_float(a), axes_of(axis, a.ndim)
    largest = xp.abs(a).max(axis=axes, keepdims=True)
    scale = xp.where((largest > 0) & xp.isfinite(largest), largest, 1)
    scaled = a / scale
    length = xp.sqrt(sum_over(scaled * scaled, axes, keepdims=True))
    direction = scaled / xp.where(length == 0, 1, length)
    c = scale * length
    return c if keepdims else c.squeeze(axes), lambda g: g.reshape(c.shape) * direction
