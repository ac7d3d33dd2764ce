"""Dtype promotion: all arrays of one op get the same float dtype and the same device."""

from __future__ import annotations

import numpy as np

from ..errors import DeviceError, ShapeError
from .arrays import FLOAT32, FLOAT64, _cast, _from_python, array_module, as_array, asarray_like


def to_common_dtype(values: list, from_tensor: list[bool]) -> list:
    """Return the values as arrays of one dtype.

    Arrays with axes decide between float32 and float64. All other values adapt to them: Python
    numbers and lists, integers, 0-d arrays and NumPy scalars. Otherwise ``x * np.sqrt(2)`` would
    promote float32 to float64. If no float has axes, a 0-d tensor takes precedence over a 0-d
    array.
    """
    if not values:
        raise ShapeError("at least one array is needed")
    if (found := _already_common(values)) is not None:
        return found
    arrays = [as_array(v) if hasattr(v, "dtype") else None for v in values]
    agreed = _common_dtype(arrays, from_tensor, values)
    settled = [
        _from_python(v, agreed) if a is None else _cast(a, agreed) for a, v in zip(arrays, values)
    ]
    return _on_one_device(settled, from_tensor)


def _on_one_device(arrays: list, from_tensor: list[bool]) -> list:
    """Copy numbers, lists and NumPy arrays to the GPU if one array is there; tensors never move."""
    there = [a for a in arrays if array_module(a) is not np]
    if not there or len(there) == len(arrays):
        return arrays
    if any(is_tensor and array_module(a) is np for a, is_tensor in zip(arrays, from_tensor)):
        raise DeviceError(
            'a tensor on the CPU meets one on the GPU; move it: ta.to_device(tensor, "cuda")'
        )
    return [asarray_like(a, there[0]) for a in arrays]


def _already_common(values: list) -> list | None:
    """Handle the common case quickly: NumPy arrays of one float dtype, and Python numbers.

    Return None in any other case.
    """
    agreed = None
    for value in values:
        if type(value) is np.ndarray:
            dtype = value.dtype
            if (agreed is not None and dtype is not agreed) or (
                dtype is not FLOAT32 and dtype is not FLOAT64
            ):
                return None
            agreed = dtype
        elif type(value) is not float and type(value) is not int:
            return None
    if agreed is None:
        return None
    for k, value in enumerate(values):
        if type(value) is float:
            values[k] = np.array(value, agreed)
        elif type(value) is int:  # an int that is too large for the dtype needs an explanation
            values[k] = _from_python(value, agreed)
    return values


def _common_dtype(arrays: list, from_tensor: list[bool], values: list) -> np.dtype:
    known = [(a, t) for a, t in zip(arrays, from_tensor) if a is not None]
    floats = [(a, t) for a, t in known if a.dtype.kind == "f"]
    python_float = any(a is None and not isinstance(v, (bool, int)) for a, v in zip(arrays, values))
    if not floats and (python_float or not known):
        return np.dtype(np.float32)
    if not floats:
        with_axes = [a.dtype for a, _ in known if a.ndim > 0]
        agreed = np.result_type(*(with_axes or [a.dtype for a, _ in known]))
        of_python = [np.asarray(v) for a, v in zip(arrays, values) if a is None]
        counts = any(a.dtype.kind != "b" for a in [*of_python, *(a for a, _ in known)])
        return np.dtype(np.int64) if agreed.kind == "b" and counts else agreed
    with_axes = [a.dtype for a, _ in floats if a.ndim > 0]
    tensors = [a.dtype for a, is_tensor in floats if is_tensor]
    return np.result_type(*(with_axes or tensors or [a.dtype for a, _ in floats]))
