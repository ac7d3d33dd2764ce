"""Which array module an array belongs to, and which arrays are welcome.

The rest of the library never names CuPy: it asks ``array_module`` for ``xp`` and calls ``xp.exp``.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NoReturn

import numpy as np

from ..errors import DeviceError, DTypeError, GraphError, ShapeError

Array = Any  # numpy.ndarray, or cupy.ndarray on a GPU
FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)  # one object each, while native


@dataclass(frozen=True, eq=False)
class ShapeOnly(np.lib.mixins.NDArrayOperatorsMixin):
    """The ``data`` of a tensor that has a shape and a dtype, and no values: it takes no memory.

    torch calls such a tensor a meta tensor; jax has ``ShapeDtypeStruct``. Models that are built
    without ``rng`` consist of them. Whatever needs values raises GraphError.

    >>> ShapeOnly((2**20, 2**20), np.dtype(np.float32)).nbytes
    4398046511104
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    device: str = "cpu"  # where values will be put that are loaded

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: math.prod(self.shape))
    nbytes = property(lambda self: self.size * self.dtype.itemsize)

    def copy(self, order: str = "K") -> ShapeOnly:
        """The same object, because nothing can change it."""
        return self

    def _has_no_values(self, *_: Any, **__: Any) -> NoReturn:
        raise GraphError(
            f"a tensor of shape {self.shape} has no values: this model has shapes only; build it "
            "with rng=0, or load weights into it"
        )

    def __getattr__(self, name: str) -> Any:  # all else that arrays have
        if name.startswith("__"):
            raise AttributeError(name)
        self._has_no_values()

    __array__ = __array_ufunc__ = __array_function__ = _has_no_values
    __getitem__ = __setitem__ = __len__ = __bool__ = __float__ = _has_no_values


def array_module(array: Array) -> ModuleType:
    """The module (``xp``) that the array belongs to: NumPy, or CuPy for an array on a GPU.

    >>> array_module(np.zeros(2)).__name__
    'numpy'
    """
    if type(array) is np.ndarray:
        return np
    if type(array).__module__.partition(".")[0] == "cupy":
        return sys.modules["cupy"]
    return np


def to_numpy(array: Array) -> np.ndarray:
    """The same numbers in NumPy's hands; a NumPy array is returned as it is."""
    return np.asanyarray(array) if array_module(array) is np else array.get()


def to_device(array: Array, device: str) -> Any:
    """The array on ``"cpu"`` or ``"cuda"`` (CuPy); one already there is returned as it is."""
    if device == "cpu":
        return to_numpy(array)
    require_device(device)
    return sys.modules["cupy"].asarray(array)


def require_device(device: str) -> None:
    """DeviceError for a device that is not there, with what to do about it."""
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
    """Where the array lives: "cpu" or "cuda".

    >>> device_of(np.zeros(2))
    'cpu'
    """
    if isinstance(array, ShapeOnly):
        return array.device
    return "cpu" if array_module(array) is np else "cuda"


def asarray_like(value: Any, array: Array) -> Any:
    """The value as an array that can be computed with together with the other array.

    NumPy's arrays go up to the GPU; nothing comes down unasked: CuPy raises TypeError.

    >>> asarray_like([1, 2], np.zeros(2))
    array([1, 2])
    """
    return array_module(array).asarray(value)


def as_array(value: Any) -> Any:
    """The value as an array that tinyadtn computes with.

    Python numbers and lists become float32. Arrays keep float32, float64, integers and booleans;
    foreign byte orders become native. Anything else is refused.

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
            return as_array(np.array(value))
        return _from_python(value, np.dtype(np.float32))
    kind, size = value.dtype.kind, value.dtype.itemsize
    if kind in "iub" or (kind == "f" and size in (4, 8)):
        return value if value.dtype.isnative else value.astype(value.dtype.newbyteorder("="))
    raise DTypeError(
        f"an array of {value.dtype} cannot be used; convert it: array.astype(numpy.float32)"
    )


_SHARED = (np.ndarray, np.memmap)


def require_no_mask(value: Any) -> None:
    """DTypeError for a masked array, also in a list: its mask would be lost."""
    if isinstance(value, np.ma.MaskedArray):
        raise DTypeError("a masked array would lose its mask; fill it: array.filled(0)")
    if isinstance(value, (list, tuple)):
        for part in value:
            require_no_mask(part)


def differentiable(array: Array) -> Any:
    """The array, if it holds floats; DTypeError for all else."""
    if array.dtype.kind != "f":
        raise DTypeError(
            f"only floats can require a gradient, got {array.dtype}; convert the array: "
            "array.astype(numpy.float32)"
        )
    return array


def own_copy(array: Array) -> Any:
    """A copy in the same order in memory; a shape without values stays one."""
    return array.copy(order="K")


def sum_over(array: Array, axes: tuple[int, ...]) -> Any:
    """Σ over some axes, with an error that grows with the logarithm of the number of terms.

    NumPy adds pairwise along an axis that is contiguous in memory. Along any other it adds one
    term after another, which loses 1 % of 10⁶ equal terms in float32. So a long axis is summed in
    blocks of 16, then the totals of the blocks are.

    >>> thirds = np.full((3**12, 2), 1 / 3, np.float32)
    >>> bool((abs(sum_over(thirds, (0,)) / 3**11 - 1) < 1e-6).all())
    True
    """
    contiguous = len(axes) == array.ndim and (array.flags.c_contiguous or array.flags.f_contiguous)
    if contiguous or not axes or array.dtype.kind != "f":
        return array.sum(axis=axes)
    total = array
    for axis in sorted(axes, key=lambda k: abs(array.strides[k])):
        total = _sum_along(total, axis)
    return total.reshape([n for k, n in enumerate(array.shape) if k not in axes])


def _sum_along(array: Array, axis: int) -> Any:
    """Σ along one axis, which stays as an axis of length 1."""
    n = array.shape[axis]
    if n <= 16 or array.strides[axis] == array.dtype.itemsize:
        return array.sum(axis=axis, keepdims=True)
    shape, before, end = array.shape, (slice(None),) * axis, n - n % 16
    first, rest = (*before, slice(end)), (*before, slice(end, n))
    blocks = array[first].reshape(*shape[:axis], -1, 16, *shape[axis + 1 :])
    total = _sum_along(blocks.sum(axis=axis + 1), axis)
    return total + array[rest].sum(axis=axis, keepdims=True)


def as_float(array: Array) -> Any:
    """Integers as float32, for functions whose results are no integers; floats as they are."""
    return array if array.dtype.kind == "f" else array.astype(np.float32)


def _from_python(value: Any, dtype: np.dtype) -> np.ndarray:
    """A number or a nested list of numbers as an array of that type."""
    require_no_mask(value)
    if isinstance(value, (list, tuple)) and any(hasattr(part, "backward") for part in value):
        raise DTypeError(
            "cannot use a list of tensors as an array; join them, ta.concatenate(x, y), or add "
            "them, x + y"
        )
    try:
        raw = np.asarray(value)
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
    """The array in another type; an integer that would become another number is refused."""
    result = array.astype(dtype, copy=False)
    if dtype.kind != "f" and result.dtype != array.dtype and (result != array).any():
        raise DTypeError(f"{_shortened(array.tolist())} does not fit into {dtype}")
    return result


def _shortened(value: Any) -> str:
    text = repr(value)
    return f"{text[:60]}… ({type(value).__name__})" if len(text) > 60 else text
