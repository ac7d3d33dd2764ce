"""Checks and conversions of arguments that several ops share."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

from ..autodiff.arrays import Array, as_array, as_float
from ..autodiff.engine import Tensor
from ..checks import require_number
from ..errors import ShapeError
from ..limits import require_memory


def axes_of(axis: int | tuple[int, ...] | None, ndim: int) -> tuple[int, ...]:
    """Return the axes counted from 0 (all for None); ShapeError for one that does not exist.

    >>> axes_of((0, -1), ndim=3)
    (0, 2)
    """
    if axis is None:
        return tuple(range(ndim))
    try:
        axes = [operator.index(k) for k in (axis if isinstance(axis, (tuple, list)) else [axis])]
    except TypeError:
        raise TypeError(
            f"axis must be a whole number, or some of them in a tuple; got {axis!r}"
        ) from None
    for k in axes:
        if not -ndim <= k < ndim:
            raise ShapeError(f"axis {k} does not exist in an array with {ndim} axes")
    if len({k % ndim for k in axes}) < len(axes):
        raise ShapeError(f"axis {axis} names one axis twice")
    return tuple(k % ndim for k in axes)


def axis_of(axis: int, ndim: int) -> int:
    """Return one axis counted from 0, for ops that take no more; otherwise as ``axes_of``."""
    if axis is None or isinstance(axis, (tuple, list)):
        raise TypeError(f"axis must be one whole number, got {axis!r}")
    return axes_of(axis, ndim)[0]


def shape_of(a: Array) -> tuple[int, ...]:
    """Return the shape of a tensor, an array or a nested list."""
    return (a if hasattr(a, "shape") else as_array(a)).shape


def float_tensor(x: Array) -> Tensor:
    """Return the value as a tensor; integers, which have no gradient, become float32."""
    x = x if isinstance(x, Tensor) else Tensor(x)
    return x if x.dtype.kind == "f" else Tensor(as_float(x.data))


def require_result_fits(what: str, shape: Sequence[int]) -> None:
    """Raise SizeLimitError if a result of this shape, which an option decides, is too large."""
    needed = 4 * math.prod(shape)
    if needed > 2**28:  # asking the system for its memory takes time
        require_memory(f"{what}, with a result {tuple(shape)},", needed, "make it smaller")


def require_images(x: Array, what: str) -> None:
    """Raise ShapeError unless x is (n, c, h, w)."""
    if x.ndim != 4:
        raise ShapeError(f"{what} takes images (n, c, h, w), got {x.shape}")


def require_epsilon(epsilon: float, what: str) -> None:
    """Raise ValueError for an ε that could leave a negative value under the square root."""
    require_number("epsilon", epsilon)
    if not 0 <= epsilon < math.inf:
        raise ValueError(f"{what} needs a finite epsilon from 0, got {epsilon}")
