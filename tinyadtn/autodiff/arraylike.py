"""What a Tensor has in common with an array: a shape, a length, a way to print itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DeviceError, GraphError, ShapeError
from .arrays import ShapeOnly, device_of, to_numpy

Method = Callable[..., Any]


class ArrayLike:
    """The everyday half of ``Tensor``; the other half, differentiation, is in ``engine``."""

    __slots__ = ()
    __array_ufunc__ = None  # so that NumPy leaves `array * tensor` to Tensor.__rmul__

    data: Any
    requires_grad: bool
    node: Any

    shape: Any = property(lambda self: self.data.shape)
    dtype: Any = property(lambda self: self.data.dtype)
    ndim: Any = property(lambda self: self.data.ndim)
    size: Any = property(lambda self: self.data.size)

    def item(self) -> float:
        """The one number inside, as a Python number; ``float(x)`` is the same."""
        if self.size != 1:
            raise ShapeError(f"a tensor {self.shape} is no single number; numpy() gives all of it")
        return self.data.item()

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array; nothing is recorded."""
        return to_numpy(self.data)

    def detach(self) -> Any:
        """The same values, cut off from the graph."""
        return type(self)(self.data)

    def __deepcopy__(self, memo: dict) -> Any:
        if self.node is not None:
            raise GraphError("only tensors that were not computed can be copied; detach() it first")
        return type(self)(self.data.copy(), self.requires_grad)

    def __len__(self) -> int:
        return len(self.data)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __float__(self) -> float:
        return float(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __iter__(self) -> Iterator[Any]:
        if self.ndim == 0:
            raise TypeError("a single number cannot be iterated over")
        return (self[k] for k in range(len(self)))

    def __repr__(self) -> str:
        if isinstance(self.data, ShapeOnly):
            return f"Tensor(shape {self.shape} without values, {self.dtype})"
        history = f", from {self.node.name}" if self.node else ""
        return f"Tensor({np.array2string(self.numpy(), separator=', ')}, {self.dtype}{history})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.requires_grad:
            raise GraphError(
                "NumPy would lose this tensor's gradient; say tensor.numpy() to allow it"
            )
        if device_of(self.data) != "cpu":
            raise DeviceError("this tensor is on the GPU; say tensor.numpy() to copy it from there")
        return np.array(self.data, dtype=dtype)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise GraphError("a tensor is never changed in place; build a new one with ta.where")

    if TYPE_CHECKING:  # given by the engine and by ops.py; written down for type checkers

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
        sum: Method
        mean: Method
        max: Method
        min: Method
        reshape: Method
        transpose: Method
        T: Any
