"""Trigonometric functions and their inverses; angles are in radians."""

from __future__ import annotations

from typing import Any

from ..autodiff.arrays import Array, array_module, as_float
from ..autodiff.engine import op


@op
def sin(a: Array) -> Any:
    """c = sin a."""
    xp, a = array_module(a), as_float(a)
    return xp.sin(a), lambda g: g * xp.cos(a)


@op
def cos(a: Array) -> Any:
    """c = cos a."""
    xp, a = array_module(a), as_float(a)
    return xp.cos(a), lambda g: -g * xp.sin(a)


@op
def tan(a: Array) -> Any:
    """c = tan a."""
    c = array_module(a).tan(as_float(a))
    return c, lambda g: g * (1 + c * c)


@op
def arctan(a: Array) -> Any:
    """c = arctan a, from -π/2 to π/2."""
    a = as_float(a)
    return array_module(a).arctan(a), lambda g: g / (1 + a * a)


@op
def arctan2(a: Array, b: Array) -> Any:
    """c = the angle of the point (b, a), from -π to π: arctan(a / b) where b > 0.

    The gradient at the origin, which does not exist, is 0, as in torch.
    """
    xp, a, b = array_module(a), as_float(a), as_float(b)
    r = xp.hypot(a, b)  # b² alone could overflow
    r = xp.where(r == 0, 1, r)
    return xp.arctan2(a, b), lambda g: g * (b / r / r), lambda g: -g * (a / r / r)
