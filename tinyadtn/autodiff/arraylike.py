"""The half of a Tensor that behaves like an array: shape, length, conversion, printing."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import DeviceError, GraphError, ShapeError
from .arrays import Array, as_array, device_of, differentiable, own_copy, to_numpy
from .modes import recording
from .op_methods import OpMethods
from .shape_only import ShapeOnly


def _rebuild(kind: Any, values: Array, requires_grad: bool) -> Any:
    """Return the tensor that ``__reduce__`` described, in its own memory."""
    return kind(values if requires_grad else own_copy(values), requires_grad)


class ArrayLike(OpMethods):
    """The array half of ``Tensor``; the other half, differentiation, is in ``engine``."""

    __slots__ = ()
    __array_ufunc__: Any = None  # see ops/operators

    _data: Any
    _grad: Any
    _requires_grad: bool
    node: Any

    shape: Any = property(lambda self: self._data.shape)
    dtype: Any = property(lambda self: self._data.dtype)
    ndim: Any = property(lambda self: self._data.ndim)
    size: Any = property(lambda self: self._data.size)

    @property
    def data(self) -> Any:
        """The array. If the tensor requires a gradient, an assigned array is copied."""
        return self._data

    @data.setter
    def data(self, values: Any) -> None:
        if values is not self._data:  # `x.data -= step` assigns the array that is there already
            array = as_array(values._data if isinstance(values, ArrayLike) else values)
            self._data = own_copy(differentiable(array)) if self._requires_grad else array

    @property
    def requires_grad(self) -> bool:
        """Whether backward computes a gradient; only tensors with a float dtype can have one."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, wish: bool) -> None:
        if not isinstance(wish, (bool, np.bool_)):  # Tensor(values, dtype), as in NumPy
            raise TypeError(
                f"requires_grad must be True or False, got {wish!r:.60}; values of another dtype: "
                "Tensor(numpy.array(values, dtype))"
            )
        if wish and not self._requires_grad:
            self._data = own_copy(differentiable(self._data))
        self._requires_grad = bool(wish)  # type: ignore[misc]  # a slot of Tensor

    @property
    def grad(self) -> Any:
        """dL/d(data), an array of this shape and dtype. None before backward; None clears it.

        A result of an op has one only after ``retain_grad()``; otherwise this issues a UserWarning.
        """
        if self._grad is None and self.node is not None and self.node.retained is None:
            warnings.warn(
                f"{self.node.name} computed this tensor, so backward() stores no gradient in it; "
                "call retain_grad() on it before backward()",
                stacklevel=2,
            )
        return self._grad

    @grad.setter
    def grad(self, values: Any) -> None:
        if values is None or values is self._grad:
            self._grad = values
            return
        array = as_array(values._data if isinstance(values, ArrayLike) else values)
        if array.shape != self.shape:
            raise ShapeError(
                f"a gradient of a tensor {self.shape} has its shape, got {array.shape}; "
                "assign None to clear it"
            )
        self._grad = own_copy(array.astype(self.dtype, copy=False))

    def retain_grad(self) -> None:
        """Make backward store dL/d(self) in ``.grad``, although this tensor is a result of an op.

        Does nothing for a tensor made with ``requires_grad=True``, which has a gradient anyway.
        Raises GraphError if the tensor requires no gradient, or if its graph was freed.

        >>> import tinyadtn as ta
        >>> x = ta.Tensor([1.0, 2.0], requires_grad=True)
        >>> y = x * 3
        >>> y.retain_grad()
        >>> (y * y).sum().backward()
        >>> y.grad
        array([ 6., 12.], dtype=float32)
        """
        if not self._requires_grad:
            raise GraphError("retain_grad() needs a tensor that requires a gradient")
        if self.node is not None:
            if self.node.vjps is None:
                raise GraphError("retain_grad() comes before backward(), which freed the graph")
            self.node.retained = weakref.ref(self)

    def item(self) -> float:
        """Return the only element as a Python number, as ``float(x)`` does."""
        if self.size != 1:
            raise ShapeError(
                f"item() needs a tensor with one element, got shape {self.shape}; "
                "use numpy() for the array"
            )
        return self._data.item()

    def numpy(self) -> np.ndarray:
        """Return the values as a NumPy array, without recording anything.

        It shares the memory of the tensor, so an optimizer changes it: keep a ``.copy()``.
        """
        return to_numpy(self._data)

    def detach(self) -> Any:
        """Return a tensor in the same memory that is not connected to the graph."""
        return type(self)(self._data)

    def __deepcopy__(self, memo: dict) -> Any:
        rebuild, values = self.__reduce__()
        return rebuild(*values)

    def __reduce__(self) -> tuple:
        """Describe how to copy and pickle a tensor: its values, without ``.grad`` and any graph."""
        if self.node is not None:
            raise GraphError(
                "only tensors that were not computed can be copied or pickled: take "
                "x.detach(), or its values with x.numpy()"
            )
        return _rebuild, (type(self), self._data, self._requires_grad)

    def __len__(self) -> int:
        return len(self._data)

    def __bool__(self) -> bool:
        return bool(self._data)

    def __float__(self) -> float:
        """Return the only element, as ``item()``, with a warning if its gradient could be lost.

        ``math.exp(x)`` calls ``float(x)``, and backward cannot go through that. So this issues a
        UserWarning if x requires a gradient and ``backward()`` has not freed its graph yet.
        """
        value = float(self.item())
        if self._requires_grad and recording.get() and (self.node is None or self.node.vjps):
            warnings.warn(
                "float(x), and functions of math, lose the gradient of x: compute with "
                "ta.exp(x) and the like, or write x.item() if only the number is needed",
                stacklevel=2,
            )
        return value

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
        if device_of(self._data) != "cpu":
            raise DeviceError("this tensor is on the GPU; say tensor.numpy() to copy it from there")
        return np.array(self._data, dtype=dtype)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise GraphError("a tensor is never changed in place; build a new one with ta.where")
