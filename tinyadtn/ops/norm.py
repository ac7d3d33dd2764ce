"""Batch normalization: each channel with mean 0 and variance 1, then scaled and shifted.

An image is laid out as a matrix (c, h·w·n), one channel per row: the statistics of a channel are
those of its row. A few channels at a time stay in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from ..autodiff.arrays import Array, array_module, as_array, as_float, asarray_like
from ..autodiff.engine import Tensor, op
from ..errors import ShapeError
from .windows import batch_first, batch_innermost

BLOCK = 2**17  # numbers of a few channels


def _channel_rows(x: Array) -> Any:
    """(n, c, h, w) as a matrix (c, h·w·n): a view, if the batch lies innermost in memory."""
    return batch_innermost(x).reshape(x.shape[1], -1)


def _from_channel_rows(rows: Array, shape: tuple[int, ...]) -> Any:
    n, c, h, w = shape
    return batch_first(rows.reshape(c, h, w, n))


def _blocks(rows: Array) -> Iterator[slice]:
    """Some channels at a time: what is computed from their rows is used while in the cache."""
    several = max(1, BLOCK // max(1, rows.shape[1]))
    return (slice(k, k + several) for k in range(0, len(rows), several))


def _require_images(x: Array, what: str) -> None:
    if x.ndim != 4:
        raise ShapeError(f"{what} takes images (n, c, h, w), got {x.shape}")


def require_epsilon(epsilon: float, what: str) -> None:
    """ValueError for an ε that could leave a negative number under the root."""
    if not 0 <= epsilon < math.inf:
        raise ValueError(f"{what} needs a finite epsilon from 0, got {epsilon}")


def _float_tensor(x: Array) -> Tensor:
    """The tensor; integers, which no gradient reaches, as float32."""
    x = x if isinstance(x, Tensor) else Tensor(x)
    return x if x.dtype.kind == "f" else Tensor(as_float(x.data))


def batch_statistics(x: Array) -> tuple[Any, Any]:
    """Mean and (biased) variance of every channel of an array (n, c, h, w): two arrays (c,).

    >>> import numpy as np
    >>> batch_statistics(np.array([1.0, 3.0]).reshape(2, 1, 1, 1))
    (array([2.]), array([1.]))
    """
    _require_images(x, "batch_norm")
    rows = _channel_rows(x)
    if rows.shape[1] == 0:
        raise ShapeError(f"an empty batch {x.shape} has no statistics")
    average = rows.mean(axis=1)
    variance = array_module(x).empty_like(average)
    for k in _blocks(rows):
        centred = rows[k] - average[k, None]
        variance[k] = (centred * centred).mean(axis=1)
    return average, variance


@op(joint=True)
def batch_norm(
    x: Array,
    scale: Array,
    shift: Array,
    *,
    mean: Array = None,
    variance: Array = None,
    epsilon: float = 1e-5,
    observe: Callable[[Any, Any], None] | None = None,
) -> Any:
    """y = scale · (x - mean) / √(variance + ε) + shift, channel by channel.

    ``x`` is (n, c, h, w), all else (c,). Without ``mean`` and ``variance`` those of the batch are
    taken, ``observe`` is told them, and the gradient knows that they depend on x; given, they are
    constants (evaluation). Source: Ioffe and Szegedy, arXiv 1502.03167.

    >>> import numpy as np
    >>> x = np.array([1.0, 3.0]).reshape(2, 1, 1, 1)
    >>> batch_norm(x, [1.0], [0.0], epsilon=0).data.ravel()
    array([-1.,  1.])
    """
    of_batch = mean is None
    x, scale, shift, mean, variance = _batch_norm_arrays(x, scale, shift, mean, variance, epsilon)
    if of_batch and observe is not None:
        observe(mean, variance)
    rows, shape, count, xp = _channel_rows(x), x.shape, x.size // x.shape[1], array_module(x)
    inverse = 1 / xp.sqrt(variance + x.dtype.type(epsilon))
    normal, value = xp.empty_like(rows), xp.empty_like(rows)  # x̂ and y
    for k in _blocks(rows):
        normal[k] = (rows[k] - mean[k, None]) * inverse[k, None]
        value[k] = normal[k] * scale[k, None] + shift[k, None]

    def gradients(g: Array) -> list:
        g, share = _channel_rows(g), xp.empty_like(rows)
        grad_scale, grad_shift = xp.empty_like(scale), xp.empty_like(scale)
        for k in _blocks(rows):
            grad_scale[k], grad_shift[k] = (g[k] * normal[k]).sum(axis=1), g[k].sum(axis=1)
            part = g[k]
            if of_batch:  # mean and variance depend on x: subtract what would change them
                part = part - (grad_shift[k] / count)[:, None]
                part -= normal[k] * (grad_scale[k] / count)[:, None]
            share[k] = part * (scale[k] * inverse[k])[:, None]
        return [_from_channel_rows(share, shape), grad_scale, grad_shift]

    return _from_channel_rows(value, shape), gradients


def _batch_norm_arrays(
    x: Array, scale: Array, shift: Array, mean: Array, variance: Array, epsilon: float
) -> tuple[Any, Any, Any, Any, Any]:
    """The arrays of ``batch_norm`` as floats, with the batch's statistics where none were given.

    ShapeError and ValueError for what does not fit.
    """
    _require_images(x, "batch_norm")
    require_epsilon(epsilon, "batch_norm")
    if (mean is None) != (variance is None):
        raise ShapeError("batch_norm takes mean and variance together, or neither")
    x, scale, shift = as_float(x), as_float(scale), as_float(shift)
    if mean is None:
        mean, variance = batch_statistics(x)
    else:
        mean, variance = asarray_like(as_array(mean), x), asarray_like(as_array(variance), x)
    constants = {"scale": scale, "shift": shift, "mean": mean, "variance": variance}
    for name, values in constants.items():
        if values.shape != (x.shape[1],):
            raise ShapeError(
                f"batch_norm of {x.shape} needs {x.shape[1]} numbers as {name}, got {values.shape}"
            )
    return x, scale, shift, mean, variance
