"""The operators and methods that ``ops/operators`` gives to Tensor, for type checkers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

Method = Callable[..., Any]


class OpMethods:
    """The base class of ``ArrayLike``, without any attribute when the program runs."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(self, data: Any, requires_grad: bool = False) -> None: ...

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
        __abs__: Method
        __getitem__: Method
        __pos__: Method
        sum: Method
        mean: Method
        max: Method
        min: Method
        prod: Method
        var: Method
        std: Method
        norm: Method
        logsumexp: Method
        exp: Method
        log: Method
        sqrt: Method
        sin: Method
        cos: Method
        abs: Method
        tanh: Method
        sigmoid: Method
        relu: Method
        clip: Method
        softmax: Method
        log_softmax: Method
        cumsum: Method
        reshape: Method
        transpose: Method
        flatten: Method
        squeeze: Method
        expand_dims: Method
        T: Any
