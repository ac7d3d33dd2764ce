"""The array modules (NumPy, CuPy), and the conversion of values to arrays.

Other files never name CuPy: they ask ``array_module`` for ``xp`` and call ``xp.exp``.
"""

from __future__ import annotations

import math
import sys
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import DeviceError, DTypeError, ShapeError
from .shape_only import ShapeOnly

Array = Any  # numpy.ndarray, or cupy.ndarray on a GPU
FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)  # one object each, while native


def array_module(array: Array) -> ModuleType:
    """Return the module (``xp``) of the array: NumPy, or CuPy for an array on a GPU.

    >>> array_module(np.zeros(2)).__name__
    'numpy'
    """
    if type(array) is np.ndarray:
        return np
    if str(type(array).__module__).partition(".")[0] == "cupy":
        return sys.modules["cupy"]
    return np


def to_numpy(array: Array) -> np.ndarray:
    """Return the same values as a NumPy array; a NumPy array is returned as it is."""
    return np.asanyarray(array) if array_module(array) is np else array.get()


def to_device(array: Array, device: str) -> Any:
    """Return the array on ``"cpu"`` or ``"cuda"`` (CuPy), unchanged if it is already there."""
    if device == "cpu":
        return to_numpy(array)
    require_device(device)
    return sys.modules["cupy"].asarray(array)


def require_device(device: str) -> None:
    """Raise DeviceError, with advice, if the device is not available."""
    if device == "cpu":
        return
    if device != "cuda":
        raise DeviceError(f'device must be "cpu" or "cuda", got {device!r}')
    try:
        import cupy
    except ImportError as error:
        raise DeviceError('device "cuda" needs CuPy: pip install cupy-cuda12x') from error
    if not cupy.cuda.is_available():
        raise DeviceError(
            'device "cuda": CuPy finds no NVIDIA GPU here, or a driver too old for it; '
            'use "cpu", or see what nvidia-smi says'
        )


def device_of(array: Array) -> str:
    """Return the device of the array: "cpu" or "cuda".

    >>> device_of(np.zeros(2))
    'cpu'
    """
    if isinstance(array, ShapeOnly):
        return array.device
    return "cpu" if array_module(array) is np else "cuda"


def asarray_like(value: Any, array: Array) -> Any:
    """Return the value as an array of the same module, so that both can be used in one operation.

    NumPy arrays are copied to the GPU. Nothing is copied back implicitly: CuPy raises TypeError.

    >>> asarray_like([1, 2], np.zeros(2))
    array([1, 2])
    """
    return array_module(array).asarray(value)


def as_array(value: Any) -> Any:
    """Return the value as an array that tinyadtn computes with.

    Python numbers and lists become float32. Arrays keep float32, float64, integers and booleans;
    the byte order becomes native. Any other dtype raises DTypeError.

    >>> as_array([1, 2]).dtype, as_array(np.arange(3)).dtype.kind
    (dtype('float32'), 'i')
    """
    if type(value) is np.ndarray and (value.dtype is FLOAT32 or value.dtype is FLOAT64):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        require_no_mask(value)
        # The guard cannot see who writes into the memory of a subclass, except np.memmap.
        value = np.asarray(value) if type(value) in _SHARED else np.array(value)
    elif isinstance(value, ShapeOnly):
        return value
    elif array_module(value) is np:
        if hasattr(value, "__array__"):  # a torch tensor, a pandas column, …
            return as_array(new_array(value))
        return _from_python(value, np.dtype(np.float32))
    kind, size = value.dtype.kind, value.dtype.itemsize
    if kind in "iub" or (kind == "f" and size in (4, 8)):
        return value if value.dtype.isnative else value.astype(value.dtype.newbyteorder("="))
    raise DTypeError(
        f"an array of {value.dtype} cannot be used; convert it: array.astype(numpy.float32)"
    )


_SHARED = (np.ndarray, np.memmap)


def new_array(value: Any) -> Any:
    """Return the value, which is not an array, as an array in its own memory.

    ``np.array(value)`` is shorter, but it issues a DeprecationWarning for a torch tensor.
    """
    array = np.asarray(value)
    return array if isinstance(value, (int, float, list, tuple)) else array.copy()


def require_no_mask(value: Any) -> None:
    """Raise DTypeError for a masked array, also in a list: its mask would be lost."""
    masked = sys.modules.get("numpy.ma")  # without it, which takes a MiB, there is no masked array
    if masked and isinstance(value, masked.MaskedArray):
        raise DTypeError("a masked array would lose its mask; fill it: array.filled(0)")
    if isinstance(value, (list, tuple)):
        for part in value:
            require_no_mask(part)


def differentiable(array: Array) -> Any:
    """Return the array if it holds floats; otherwise raise DTypeError."""
    if array.dtype.kind != "f":
        raise DTypeError(
            f"only floats can require a gradient, got {array.dtype}; convert the array: "
            "array.astype(numpy.float32)"
        )
    return array


def own_copy(array: Array) -> Any:
    """Return a copy in the same memory order; an array without values stays as it is."""
    return array.copy(order="K")


def sum_over(array: Array, axes: tuple[int, ...], keepdims: bool = False) -> Any:
    """Return Σ over some axes, with an error that grows with the log of the number of terms.

    NumPy adds pairwise along an axis that is contiguous in memory. Along any other axis it adds one
    term after another, which loses 1 % of 10⁶ equal terms in float32. So a long axis is summed in
    blocks of 16, and then the totals of the blocks are summed.

    >>> thirds = np.full((3**12, 2), 1 / 3, np.float32)
    >>> bool((abs(sum_over(thirds, (0,)) / 3**11 - 1) < 1e-6).all())
    True
    """
    whole = len(axes) == array.ndim and array.flags.c_contiguous
    if whole or math.prod([array.shape[k] for k in axes]) <= 16 or array.dtype.kind != "f":
        return array.sum(axis=axes, keepdims=keepdims)
    inner, stride = [], array.dtype.itemsize  # axes that together are contiguous
    for axis in sorted(axes, key=lambda k: abs(array.strides[k])):
        if array.strides[axis] == stride:
            inner.append(axis)
            stride *= array.shape[axis]
    if len(inner) == len(axes):
        return array.sum(axis=axes, keepdims=keepdims)
    total = array.sum(axis=tuple(inner), keepdims=True) if inner else array
    for axis in axes:
        if axis not in inner:
            total = _sum_along(total, axis)
    return total if keepdims else total.squeeze(axes)


def _sum_along(array: Array, axis: int) -> Any:
    """Return Σ along one axis, which stays as an axis of length 1."""
    n = array.shape[axis]
    if n <= 16:
        return array.sum(axis=axis, keepdims=True)
    shape, before, end = array.shape, (slice(None),) * axis, n - n % 16
    first, rest = (*before, slice(end)), (*before, slice(end, n))
    blocks = array[first].reshape(*shape[:axis], -1, 16, *shape[axis + 1 :])
    total = _sum_along(blocks.sum(axis=axis + 1), axis)
    if end < n:
        total += array[rest].sum(axis=axis, keepdims=True)
    return total


def as_float(array: Array) -> Any:
    """Return integers as float32, for functions with fractional results; floats are unchanged."""
    return array if array.dtype.kind == "f" else array.astype(np.float32)


def _from_python(value: Any, dtype: np.dtype) -> np.ndarray:
    """Return a number or a nested list of numbers as an array of that dtype."""
    require_no_mask(value)
    if isinstance(value, (list, tuple)) and any(hasattr(part, "backward") for part in value):
        raise DTypeError(
            "cannot use a list of tensors as an array; join them, ta.stack(x, y) or "
            "ta.concatenate(x, y), or add them, x + y"
        )
    try:
        raw = new_array(value)
        if raw.dtype.kind not in "biuf" and not isinstance(
            value, int
        ):  # an int may be beyond int64
            raise DTypeError(f"cannot make an array of numbers of {_shortened(value)}")
        return _cast(raw, dtype)
    except DTypeError:
        raise
    except ValueError as error:
        raise ShapeError(f"this nested list is not a regular array: {error}") from error
    except (TypeError, OverflowError) as error:
        raise DTypeError(f"cannot make an array of {_shortened(value)}: {error}") from error


def _cast(array: Array, dtype: np.dtype) -> Any:
    """Return the array in another dtype; raise if an integer cannot be represented in it."""
    result = array.astype(dtype, copy=False)
    if dtype.kind != "f" and result.dtype != array.dtype and (result != array).any():
        raise DTypeError(f"{_shortened(array.tolist())} does not fit into {dtype}")
    return result


def _shortened(value: Any) -> str:
    text = repr(value)
    return f"{text[:60]}… ({type(value).__name__})" if len(text) > 60 else text
