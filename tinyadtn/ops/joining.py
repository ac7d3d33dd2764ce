"""Ops that join arrays and extend one: concatenate, stack, repeat, pad.

Each gradient cuts out of g what became of the array.
"""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from ..autodiff.arrays import Array, array_module, sum_over
from ..autodiff.dtypes import to_common_dtype
from ..autodiff.engine import Tensor, op
from ..checks import require_number
from ..errors import ShapeError, explained
from .arguments import axis_of, require_result_fits


@explained()
def concatenate(*arrays: Any, axis: int = 0) -> Tensor:
    """Join arrays (or one list of arrays) one after another along an axis."""
    return _concatenate(*_listed(arrays), axis=axis)


@explained()
def stack(*arrays: Any, axis: int = 0) -> Tensor:
    """Join arrays of one shape (or one list of them) along a new axis."""
    return _stack(*_listed(arrays), axis=axis)


def _listed(arrays: tuple) -> Any:
    """Return the arrays, which may be given as one list, as in NumPy."""
    listed = isinstance(arrays[0], (list, tuple)) if arrays else False
    if listed and len(arrays) == 2 and isinstance(arrays[1], int):
        raise TypeError(f"the axis is given by keyword: axis={arrays[1]}")
    return arrays[0] if listed and len(arrays) == 1 else arrays


@op
def _concatenate(*arrays: Array, axis: int) -> Any:
    xp, axis = array_module(arrays[0]), axis_of(axis, arrays[0].ndim)
    rest = {a.shape[:axis] + a.shape[axis + 1 :] for a in arrays}
    if len(rest) > 1 or len({a.ndim for a in arrays}) > 1:
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise ShapeError(f"concatenate along axis {axis}: the other axes differ in {shapes}")
    ends = np.cumsum([a.shape[axis] for a in arrays]).tolist()
    parts = map(slice, [0, *ends], ends)
    return xp.concatenate(arrays, axis=axis), *[_cut_out(axis, part) for part in parts]


@op
def _stack(*arrays: Array, axis: int) -> Any:
    axis = axis_of(axis, arrays[0].ndim + 1)
    value = array_module(arrays[0]).stack(arrays, axis)
    return value, *[_cut_out(axis, k) for k in range(len(arrays))]


def _cut_out(axis: int, part: int | slice) -> Any:
    """Return the function g -> g[…, part, …], with the part at this axis."""
    index = (slice(None),) * axis + (part,)
    return lambda g: g[index]


@op
def repeat(a: Array, *, repeats: int, axis: int) -> Any:
    """Write every element ``repeats`` times, one after another along an axis.

    >>> repeat([1.0, 2.0], repeats=2, axis=0).data
    array([1., 1., 2., 2.], dtype=float32)
    """
    axis = axis_of(axis, a.ndim)
    if not isinstance(repeats, numbers.Integral) or repeats < 0:
        raise ShapeError(f"repeats must be a whole number from 0, got {repeats!r}")
    require_result_fits("repeat", (*a.shape, repeats))
    split = (*a.shape[: axis + 1], repeats, *a.shape[axis + 1 :])
    return a.repeat(repeats, axis), lambda g: sum_over(g.reshape(split), (axis + 1,))


@op
def pad(a: Array, *, pad_width: Any, value: float = 0.0) -> Any:
    """Surround a with a constant value.

    ``pad_width`` is one number for all sides, or (before, after) for all axes, or one such pair per
    axis, as in NumPy.

    >>> pad([1.0, 2.0], pad_width=(0, 1)).data
    array([1., 2., 0.], dtype=float32)
    """
    require_number("value", value)
    if a.dtype.kind != "f":  # whole numbers, which may have no place for the value
        given = int(value) if float(value).is_integer() else value
        a, value = to_common_dtype([a, given], [True, False])
    pairs = np.broadcast_to(np.array(pad_width), (a.ndim, 2)).tolist()
    if not all(isinstance(n, int) and n >= 0 for pair in pairs for n in pair):
        raise ShapeError(f"pad_width must be whole numbers from 0, got {pad_width}")
    shape = [before + n + after for n, (before, after) in zip(a.shape, pairs)]
    inside = tuple(slice(before, before + n) for n, (before, _) in zip(a.shape, pairs))
    require_result_fits("pad", shape)
    c = array_module(a).full(shape, value, a.dtype)
    c[inside] = a
    return c, lambda g: g[inside]
