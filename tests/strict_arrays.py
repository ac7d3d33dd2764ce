"""A stand-in for CuPy on a machine without a GPU: arrays that refuse what CuPy refuses, and more.

Installed as ``sys.modules["cupy"]`` (the fixture ``cuda``), it is the module of "cuda" arrays. The
numbers lie in a NumPy array that nobody else gets to see:

- nothing becomes a NumPy array unless ``get()`` is called, and no function of NumPy takes these;
- operands and assigned values are arrays of this module, or numbers: NumPy arrays raise TypeError;
- results are arrays always, also those of one number, which only float(), int() and bool() open;
- there are the functions, methods and arguments written down here, and no others.

Where CuPy is more generous, this is not: CuPy takes lists and NumPy arrays as indices (and uploads
them every time), and is reached through ``numpy.exp(array)``; here both raise TypeError. CuPy wraps
an index that is out of bounds; here it raises IndexError. ``empty`` is filled with NaN, so that
what was never written shows. What it cannot tell is how CuPy rounds and how fast it is.

Each name and argument was looked up in CuPy 14.2 (``test_strict_arrays`` does it again where CuPy
is installed, for which no GPU is needed).
"""

from __future__ import annotations

import numbers
import types
from typing import Any

import numpy as np

cuda = types.SimpleNamespace(is_available=lambda: True)


class Traffic:
    """How many numbers went up and came down, one entry a transfer."""

    def __init__(self) -> None:
        self.up: list[int] = []
        self.down: list[int] = []

    def clear(self) -> None:
        self.up.clear()
        self.down.clear()


traffic = Traffic()


def _inside(value: Any) -> Any:
    """The operand as NumPy takes it: an array of this module, or a number."""
    if isinstance(value, ndarray):
        return value._ndarray__host
    if isinstance(value, (numbers.Number, np.generic)):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def _array_inside(value: Any) -> np.ndarray:
    if not isinstance(value, ndarray):
        raise TypeError(f"expected an array on the device, got {type(value)}")
    return value._ndarray__host


def _wrapped(result: Any) -> ndarray:
    """NumPy's result, where one number is an array too."""
    array = object.__new__(ndarray)
    array._ndarray__host = np.asarray(result)
    return array


def _index(index: Any) -> tuple:
    """An index in NumPy's words; a trailing Ellipsis makes even a single element a view."""
    parts = index if isinstance(index, tuple) else (index,)
    inside: list[Any] = []
    for part in parts:
        if isinstance(part, ndarray):
            inside.append(part._ndarray__host)
        elif isinstance(part, (bool, np.bool_)) or not (
            part is None or part is ... or isinstance(part, (slice, numbers.Integral))
        ):
            raise TypeError(f"an index on the device must lie there too, got {type(part)}")
        else:
            inside.append(part)
    if not any(isinstance(part, np.ndarray) or part is ... for part in inside):
        inside.append(...)
    if sum(isinstance(part, np.ndarray) and part.dtype == bool for part in inside) > 1:
        raise IndexError("CuPy takes one boolean array in an index, not more")
    return tuple(inside)


class _Flags:
    """There is no ``writeable``: CuPy's arrays cannot be made read-only."""

    def __init__(self, flags: Any) -> None:
        self.c_contiguous, self.f_contiguous = flags.c_contiguous, flags.f_contiguous
        self.owndata = flags.owndata


class ndarray:  # noqa: N801 - CuPy's name
    """An array on the device."""

    __module__ = "cupy"
    __array_ufunc__ = None  # CuPy has one; without it NumPy's functions refuse us altogether
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, *_: Any, **__: Any) -> None:
        raise TypeError("arrays are made by functions: asarray, zeros, …")

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Use .get()")

    def __array_function__(self, function: Any, *_: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} was given an array on the device")

    def get(self) -> np.ndarray:
        """A copy on the host: the one way down for more than one number."""
        traffic.down.append(self.size)
        return np.array(self.__host, order="C")

    shape = property(lambda self: self.__host.shape)
    dtype = property(lambda self: self.__host.dtype)
    ndim = property(lambda self: self.__host.ndim)
    size = property(lambda self: self.__host.size)
    strides = property(lambda self: self.__host.strides)
    nbytes = property(lambda self: self.__host.nbytes)
    flags = property(lambda self: _Flags(self.__host.flags))
    data = property(lambda self: object())  # a pointer into the device's memory

    # --- one number, brought down ----------------------------------------------------------------

    def item(self) -> Any:
        return self.get().item()

    def __float__(self) -> float:
        return float(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __bool__(self) -> bool:
        return bool(self.get())

    def tolist(self) -> Any:
        return self.get().tolist()

    def __repr__(self) -> str:
        return repr(self.get())

    def __format__(self, text: str) -> str:
        return format(self.get(), text)

    # --- elements --------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.__host)

    def __iter__(self) -> Any:
        return (self[k] for k in range(len(self)))

    def __getitem__(self, index: Any) -> ndarray:
        return _wrapped(self.__host[_index(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self.__host[_index(index)] = _inside(value)

    def take(self, indices: Any) -> ndarray:
        return _wrapped(self.__host.take(_array_inside(indices)))

    # --- shapes and types ------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> ndarray:
        return _wrapped(self.__host.reshape(_lengths(shape)))

    def ravel(self) -> ndarray:
        return _wrapped(self.__host.ravel())

    def transpose(self, *axes: Any) -> ndarray:
        return _wrapped(self.__host.transpose(_lengths(axes) if axes else None))

    T = property(transpose)

    def repeat(self, repeats: int, axis: int) -> ndarray:
        return _wrapped(self.__host.repeat(repeats, axis))

    def swapaxes(self, axis1: int, axis2: int) -> ndarray:
        return _wrapped(self.__host.swapaxes(axis1, axis2))

    def squeeze(self, axis: Any) -> ndarray:
        return _wrapped(self.__host.squeeze(axis))

    def astype(self, dtype: Any, *, copy: bool = True) -> ndarray:
        same = not copy and self.dtype == dtype
        return self if same else _wrapped(self.__host.astype(dtype))

    def copy(self, order: str = "C") -> ndarray:
        return _wrapped(self.__host.copy(order))

    def __deepcopy__(self, memo: Any) -> ndarray:
        return self.copy()

    # --- reductions ------------------------------------------------------------------------------

    def all(self) -> ndarray:
        return _wrapped(self.__host.all())

    def any(self) -> ndarray:
        return _wrapped(self.__host.any())

    def argmax(self, axis: Any = None) -> ndarray:
        return _wrapped(self.__host.argmax(axis=axis))

    def argmin(self, axis: Any = None) -> ndarray:
        return _wrapped(self.__host.argmin(axis=axis))

    def max(self, axis: Any = None, *, keepdims: bool = False) -> ndarray:
        return _wrapped(self.__host.max(axis=axis, keepdims=keepdims))

    def min(self, axis: Any = None, *, keepdims: bool = False) -> ndarray:
        return _wrapped(self.__host.min(axis=axis, keepdims=keepdims))

    def mean(self, axis: Any = None, *, keepdims: bool = False) -> ndarray:
        return _wrapped(self.__host.mean(axis=axis, keepdims=keepdims))

    def sum(self, axis: Any = None, *, keepdims: bool = False) -> ndarray:
        return _wrapped(self.__host.sum(axis=axis, keepdims=keepdims))

    def prod(self, axis: Any = None) -> ndarray:
        return _wrapped(self.__host.prod(axis=axis))

    def cumsum(self, axis: Any = None, dtype: Any = None) -> ndarray:
        return _wrapped(self.__host.cumsum(axis, dtype))

    def cumprod(self, axis: Any = None) -> ndarray:
        return _wrapped(self.__host.cumprod(axis))


def _lengths(arguments: tuple) -> Any:
    """``reshape(2, 3)`` or ``reshape((2, 3))``; an array is neither."""
    return arguments[0] if isinstance(arguments[0], (tuple, list)) else arguments


def _operator(name: str) -> Any:
    host_method = getattr(np.ndarray, name)

    def method(self: ndarray, *operands: Any) -> Any:
        # A type that NumPy's functions shall leave alone (a Tensor) answers for itself.
        if any(
            not isinstance(x, ndarray) and getattr(x, "__array_ufunc__", 0) is None
            for x in operands
        ):
            return NotImplemented
        result = host_method(self._ndarray__host, *map(_inside, operands))
        if name.startswith("__i") and name != "__invert__":
            return self
        return NotImplemented if result is NotImplemented else _wrapped(result)

    method.__name__ = name
    return method


_BINARY = ("add", "sub", "mul", "truediv", "pow", "and", "or", "xor")
for _name in (
    *(f"__{prefix}{name}__" for name in _BINARY for prefix in ("", "r", "i")),
    *("__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__"),
    *("__matmul__", "__neg__", "__invert__"),
):
    setattr(ndarray, _name, _operator(_name))


# --- the module's functions ----------------------------------------------------------------------


def asarray(a: Any, dtype: Any = None) -> ndarray:
    """An array that is here already is returned as it is; NumPy's, numbers and lists go up."""
    if isinstance(a, ndarray):
        return a if dtype is None or a.dtype == dtype else a.astype(dtype)
    return array(a, dtype)


def array(obj: Any, dtype: Any = None) -> ndarray:
    if isinstance(obj, ndarray):
        return _wrapped(np.array(obj._ndarray__host, dtype))
    values = np.array(obj, dtype)  # a list with one of these in it raises TypeError
    if values.dtype.kind not in "biuf":
        raise ValueError(f"Unsupported dtype {values.dtype}")
    traffic.up.append(values.size)
    return _wrapped(values)


def empty(shape: Any, dtype: Any = float) -> ndarray:
    values = np.empty(shape, dtype)
    values.fill(np.nan if values.dtype.kind == "f" else 99)
    return _wrapped(values)


def zeros(shape: Any, dtype: Any = float) -> ndarray:
    return _wrapped(np.zeros(shape, dtype))


def ones(shape: Any, dtype: Any = float) -> ndarray:
    return _wrapped(np.ones(shape, dtype))


def full(shape: Any, fill_value: Any, dtype: Any = None) -> ndarray:
    return _wrapped(np.full(shape, _inside(fill_value), dtype))


def eye(N: int, dtype: Any = float) -> ndarray:  # noqa: N803 - CuPy's name
    return _wrapped(np.eye(N, dtype=dtype))


def zeros_like(a: Any) -> ndarray:
    return _wrapped(np.zeros_like(_array_inside(a)))


def empty_like(prototype: Any) -> ndarray:
    return empty(prototype.shape, prototype.dtype)


def ones_like(a: Any) -> ndarray:
    return _wrapped(np.ones_like(_array_inside(a)))


def arange(start: int, stop: int | None = None) -> ndarray:
    return _wrapped(np.arange(start) if stop is None else np.arange(start, stop))


def indices(dimensions: Any) -> ndarray:
    return _wrapped(np.indices(dimensions))


def ascontiguousarray(a: Any) -> ndarray:
    return _wrapped(np.ascontiguousarray(_array_inside(a)))


def asfortranarray(a: Any) -> ndarray:
    return _wrapped(np.asfortranarray(_array_inside(a)))


def broadcast_to(array: Any, shape: Any) -> ndarray:
    return _wrapped(np.broadcast_to(_array_inside(array), shape))


def expand_dims(a: Any, axis: Any) -> ndarray:
    return _wrapped(np.expand_dims(_array_inside(a), axis))


def concatenate(tup: Any, axis: int = 0) -> ndarray:
    return _wrapped(np.concatenate([_array_inside(a) for a in tup], axis=axis))


def stack(tup: Any, axis: int = 0) -> ndarray:
    return _wrapped(np.stack([_array_inside(a) for a in tup], axis=axis))


def clip(a: Any, a_min: Any, a_max: Any) -> ndarray:
    return _wrapped(np.clip(_array_inside(a), _inside(a_min), _inside(a_max)))


def where(condition: Any, x: Any, y: Any) -> ndarray:
    return _wrapped(np.where(_array_inside(condition), _inside(x), _inside(y)))


def flatnonzero(a: Any) -> ndarray:
    return _wrapped(np.flatnonzero(_array_inside(a)))


def unpackbits(a: Any) -> ndarray:
    return _wrapped(np.unpackbits(_array_inside(a)))


def take_along_axis(a: Any, indices: Any, axis: int) -> ndarray:
    return _wrapped(np.take_along_axis(_array_inside(a), _array_inside(indices), axis))


def result_type(*arrays_and_dtypes: Any) -> np.dtype:
    return np.result_type(*(a.dtype if isinstance(a, ndarray) else a for a in arrays_and_dtypes))


def matmul(*args: Any, out: Any = None) -> ndarray:
    result = np.matmul(*map(_array_inside, args), out=None if out is None else _array_inside(out))
    return _wrapped(result) if out is None else out


def einsum(*operands: Any) -> ndarray:
    pattern, *arrays = operands
    return _wrapped(np.einsum(pattern, *map(_array_inside, arrays)))


class ufunc:  # noqa: N801 - CuPy's name
    """A function of each element; besides ``out`` it takes no options."""

    def __init__(self, function: np.ufunc) -> None:
        self._function = function

    def __call__(self, *operands: Any, out: Any = None) -> ndarray:
        if not any(isinstance(x, ndarray) for x in operands):
            raise TypeError("nothing of this is on the device")
        inside = [_inside(x) for x in operands]
        if out is None:
            return _wrapped(self._function(*inside))
        self._function(*inside, out=_array_inside(out))
        return out

    def at(self, a: Any, indices: Any, b: Any) -> None:
        if self._function is not np.add:
            raise NotImplementedError(f"{self._function.__name__}.at")
        self._function.at(_array_inside(a), _index(indices), _inside(b))


UFUNCS = (
    *(
        "abs",
        "add",
        "arctan",
        "arctan2",
        "cos",
        "exp",
        "expm1",
        "hypot",
        "isfinite",
        "isinf",
        "isnan",
        "rint",
    ),
    *("log", "log1p", "maximum", "minimum", "multiply", "sign", "sin", "sqrt", "subtract"),
    *("tan", "tanh"),
)
for _name in UFUNCS:
    globals()[_name] = ufunc(getattr(np, _name))
