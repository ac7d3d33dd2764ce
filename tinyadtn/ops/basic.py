"""Arithmetic, elementwise functions and matmul: each a line of NumPy next to its gradients.

Every op takes arrays or Tensors by position and options by keyword, and returns a Tensor. Its
function on arrays returns the value and one function per array, which maps g = dL/d(result) to the
gradient of that array. Broadcasting follows NumPy; the engine sums over broadcast axes. If two
elements are equal, ``maximum`` and ``minimum`` give each half of the gradient; relu'(0) = abs'(0)
= 0. A NaN wins every comparison: it is the result, and it gets the gradient (as in ``max``, ``min``
and ``max_pool2d``). Integers are computed as in NumPy: in their dtype, in which they wrap around
(200 + 100 is 44 in uint8), or in float32 where results are fractional.

Values and gradients are accurate to a few units in the last place. A product or quotient can leave
the range of normal floating-point values (1e-38 to 3e38 in float32, 2e-308 to 2e308 in float64).
Then digits disappear, as everywhere in floating-point arithmetic.
"""

from __future__ import annotations

import math
from typing import Any

from ..autodiff.arrays import Array, array_module, as_float, asarray_like
from ..autodiff.engine import Tensor, op
from ..checks import require_number
from ..errors import DTypeError, ShapeError

# --- arithmetic ----------------------------------------------------------------------------------


@op
def add(a: Array, b: Array) -> Any:
    """c = a + b."""
    return a + b, lambda g: g, lambda g: g


@op
def subtract(a: Array, b: Array) -> Any:
    """c = a - b."""
    return a - b, lambda g: g, lambda g: -g


@op
def multiply(a: Array, b: Array) -> Any:
    """c = a · b, element by element."""
    return a * b, lambda g: g * b, lambda g: g * a


@op
def divide(a: Array, b: Array) -> Any:
    """c = a / b."""
    a, b = as_float(a), as_float(b)
    c = a / b
    return c, lambda g: g / b, lambda g: -g * c / b


@op
def negative(a: Array) -> Any:
    """c = -a."""
    return -a, lambda g: -g


@op
def power(a: Array, b: Array) -> Any:
    """c = a^b. If b = 0, the gradient of a is 0, also at a = 0.

    The gradient of a is computed from b - 1. If this is rounded (b = 1e-6, say), |b·ln a| + |ln a|
    units in the last place may be lost.
    """
    xp = array_module(a)
    if a.dtype.kind in "iu" and b.dtype.kind in "iu" and (b < 0).any():
        raise DTypeError(
            f"integers ({a.dtype}) to a negative power are fractions; write one of the two as a "
            "float: x ** -1.0"
        )
    c = a**b

    def grad_a(g: Array) -> Any:
        # b·a^(b-1). Where b is 0 the product is 0 for every a, so a is replaced by 1 there.
        return g * b * xp.where(b == 0, 1, a) ** (b - 1)

    def grad_b(g: Array) -> Any:
        # a^b·ln(a) goes to 0 with a. Where a < 0 the derivative does not exist: the result is NaN.
        return g * c * xp.log(xp.where((a == 0) & (b >= 0), 1, a))

    return c, grad_a, grad_b


# --- elementwise functions -----------------------------------------------------------------------


@op
def exp(a: Array) -> Any:
    """c = e^a."""
    c = array_module(a).exp(as_float(a))
    return c, lambda g: g * c


@op
def log(a: Array) -> Any:
    """c = ln a."""
    return array_module(a).log(as_float(a)), lambda g: g / a


@op
def expm1(a: Array) -> Any:
    """c = e^a - 1, with all digits near a = 0."""
    xp, a = array_module(a), as_float(a)
    return xp.expm1(a), lambda g: g * xp.exp(a)


@op
def log1p(a: Array) -> Any:
    """c = ln(1 + a), with all digits near a = 0."""
    a = as_float(a)
    return array_module(a).log1p(a), lambda g: g / (1 + a)


@op
def sqrt(a: Array) -> Any:
    """c = √a."""
    c = array_module(a).sqrt(as_float(a))
    return c, lambda g: g / (2 * c)


@op
def absolute(a: Array) -> Any:
    """c = |a|."""
    xp = array_module(a)
    return xp.abs(a), lambda g: g * xp.sign(a)


@op
def tanh(a: Array) -> Any:
    """c = tanh a."""
    xp, a = array_module(a), as_float(a)
    # 1 - c² would cancel
    return xp.tanh(a), lambda g: g * (4 * _bell(xp.exp(-2 * xp.abs(a))))


@op
def sigmoid(a: Array) -> Any:
    """c = 1 / (1 + e^-a). Only e^-|a| is computed, so nothing overflows or cancels.

    Below -87 in float32 (-708 in float64) c is subnormal or 0, and log(c) loses digits;
    ``log_softmax`` of (0, a) does not.
    """
    xp, a = array_module(a), as_float(a)
    e = xp.exp(-xp.abs(a))
    top = xp.maximum(e, a >= 0)  # e is at most 1: this is 1 where a >= 0, and e elsewhere
    return top / (1 + e), lambda g: g * _bell(e)


def _bell(e: Array) -> Any:
    """e / (1 + e)², with e = e^-|a|: the derivative of sigmoid."""
    return e / (1 + e) ** 2


@op
def relu(a: Array) -> Any:
    """c = max(a, 0)."""
    xp = array_module(a)
    zeros = xp.zeros(a.shape[-1:], a.dtype)  # up to NumPy 2.4, a Python 0 here takes twice the time
    c = xp.maximum(a, zeros)
    return c, lambda g: g * (c != 0)  # the same as a > 0, except that NaN gets its gradient


@op
def leaky_relu(a: Array, *, slope: float = 0.01) -> Any:
    """c = a where a > 0, slope · a elsewhere."""
    require_number("slope", slope)
    a = as_float(a)
    factor = array_module(a).where(a > 0, 1, slope).astype(a.dtype)
    return a * factor, lambda g: g * factor


@op
def maximum(a: Array, b: Array) -> Any:
    """c = the larger of a and b; NaN where either is NaN."""
    c = array_module(a).maximum(a, b)
    return c, lambda g: g * _won(a, b, c), lambda g: g * _won(b, a, c)


@op
def minimum(a: Array, b: Array) -> Any:
    """c = the smaller of a and b; NaN where either is NaN."""
    c = array_module(a).minimum(a, b)
    return c, lambda g: g * _won(a, b, c), lambda g: g * _won(b, a, c)


def _won(a: Array, b: Array, c: Array) -> Any:
    """1 where a is the result c, 1/2 where b is c, too. A NaN is always the result."""
    a_won, b_won = (a == c) | (a != a), (b == c) | (b != b)
    return a_won.astype(a.dtype) - (a_won & b_won).astype(a.dtype) / 2


@op
def clip(a: Array, *, min: float = -math.inf, max: float = math.inf) -> Any:
    """c = a, but ``min`` where a is smaller and ``max`` where a is larger.

    The gradient is g where min ≤ a ≤ max, and 0 elsewhere. For bounds that are arrays, write
    ``maximum`` and ``minimum``.
    """
    require_number("min", min)
    require_number("max", max)
    if not min <= max:
        raise ValueError(f"clip needs min <= max, got {min} and {max}")
    xp, a = array_module(a), as_float(a)
    inside = ~((a < float(min)) | (a > float(max)))
    return xp.clip(a, float(min), float(max)), lambda g: g * inside


@op
def _where(a: Array, b: Array, *, condition: Array) -> Any:
    xp, condition = array_module(a), asarray_like(condition, a)
    if condition.dtype.kind not in "biuf":
        raise DTypeError(f"where needs booleans as its condition, got {condition.dtype}")
    value = xp.where(condition, a, b)
    return value, lambda g: xp.where(condition, g, 0), lambda g: xp.where(condition, 0, g)


def where(condition: Array, a: Array, b: Array) -> Tensor:
    """c = a where the condition is true, b elsewhere. The condition (booleans) has no gradient.

    >>> import numpy as np
    >>> where(np.array([True, False]), [1.0, 2.0], 0.0).data
    array([1., 0.], dtype=float32)
    """
    return _where(a, b, condition=condition)


# --- products ------------------------------------------------------------------------------------


@op
def matmul(a: Array, b: Array) -> Any:
    """c = a @ b: vectors, matrices, and stacks of matrices that broadcast.

    BLAS adds the products: over an axis of 10⁶ equal ones, about 300 units in the last place are
    lost (``contract`` and ``conv2d`` multiply in the same way).

    >>> import numpy as np
    >>> matmul(np.ones((5, 2, 3)), np.ones((3, 4))).shape
    (5, 2, 4)
    """
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(f"matmul needs at least one axis each, got shapes {a.shape} and {b.shape}")
    # A vector is a matrix with one row (on the left) or one column (on the right).
    rows = a[None, :] if a.ndim == 1 else a
    columns = b[:, None] if b.ndim == 1 else b
    if rows.shape[-1] != columns.shape[-2]:
        raise ShapeError(
            f"matmul of {a.shape} and {b.shape}: {rows.shape[-1]} columns against "
            f"{columns.shape[-2]} rows"
        )
    inner = (rows @ columns).shape

    def grad_a(g: Array) -> Any:
        share = g.reshape(inner) @ columns.swapaxes(-1, -2)
        return share[..., 0, :] if a.ndim == 1 else share

    def grad_b(g: Array) -> Any:
        share = rows.swapaxes(-1, -2) @ g.reshape(inner)
        return share[..., 0] if b.ndim == 1 else share

    return a @ b, grad_a, grad_b
