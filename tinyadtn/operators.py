"""The operators and methods that ops.py gives to Tensor, written down for type checkers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

Method = Callable[..., Any]


class Operators:
    """What every Tensor has once ``tinyadtn.ops`` is imported; nothing of it exists here."""

    __slots__ = ()

    if TYPE_CHECKING:
        __add__: Method
        __radd__: Method
        __sub__: Method
        __rsub__: Method
        __mul__: Method
        __rmul__: Method
        __truediv__: Method
        __rtruediv__: Method
        __pow__: Method
        __rpow__: Method
        __matmul__: Method
        __rmatmul__: Method
        __neg__: Method
        __getitem__: Method
        sum: Method
        mean: Method
        max: Method
        min: Method
        reshape: Method
        transpose: Method
        T: Any
