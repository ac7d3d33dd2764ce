"""Batch normalization and its gradient.

An image batch is seen as a matrix (c, h·w·n) with one channel per row, so that the statistics of a
channel run over its row. Read ``batch_norm`` first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..autodiff.arrays import Array, array_module, as_array, as_float, asarray_like
from ..autodiff.engine import op
from ..errors import ShapeError
from .arguments import require_epsilon, require_images
from .windows import channel_rows, from_channel_rows

BLOCK = 2**17  # elements of the channels that are normalized together, so that they stay in cache


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

    ``x`` is (n, c, h, w), all other arrays are (c,). By default, mean and variance are those of the
    batch: ``observe`` is called with them, and the gradient takes into account that they depend on
    x. If the caller gives ``mean`` and ``variance``, they are constants (evaluation). The mean is
    rounded: if it is r times the standard deviation, y has an error of about r units in the last
    place of 1.
    Source: Ioffe and Szegedy, arXiv 1502.03167.

    >>> import numpy as np
    >>> x = np.array([1.0, 3.0]).reshape(2, 1, 1, 1)
    >>> batch_norm(x, [1.0], [0.0], epsilon=0).data.ravel()
    array([-1.,  1.])
    """
    of_batch = mean is None
    x, scale, shift, mean, variance = _checked(x, scale, shift, mean, variance, epsilon, observe)
    rows, xp, shape = channel_rows(x), array_module(x), x.shape  # (c, m) with m = h·w·n
    m = rows.shape[1]
    inverse = 1 / xp.sqrt(variance + x.dtype.type(epsilon))

    def normalize(
        x: Array, mean: Array, inverse: Array, scale: Array, shift: Array
    ) -> tuple[Any, ...]:
        normal = (x - mean) * inverse  # x̂
        return scale * normal + shift, normal

    def normalize_vjp(g: Array, normal: Array, factor: Array) -> tuple[Any, ...]:
        grad_scale = (g * normal).sum(axis=1, keepdims=True)
        grad_shift = g.sum(axis=1, keepdims=True)
        if of_batch:  # mean and variance depend on x: g - mean(g) - x̂ · mean(g · x̂)
            g = g - grad_shift / m
            g -= normal * (grad_scale / m)
        return factor * g, grad_scale, grad_shift

    vectors = (mean, inverse, scale, shift)
    y, normal = _by_channels(normalize, rows, *vectors, dtype=x.dtype)

    def gradients(g: Array) -> list:
        arrays = (channel_rows(g), normal, scale * inverse)
        grad_x, grad_scale, grad_shift = _by_channels(normalize_vjp, *arrays, dtype=normal.dtype)
        return [from_channel_rows(grad_x, shape), grad_scale[:, 0], grad_shift[:, 0]]

    return from_channel_rows(y, shape), gradients


def batch_statistics(x: Array) -> tuple[Any, Any]:
    """Return the mean and the (biased) variance of each channel of x (n, c, h, w): two arrays (c,).

    >>> import numpy as np
    >>> batch_statistics(np.array([1.0, 3.0]).reshape(2, 1, 1, 1))
    (array([2.]), array([1.]))
    """
    require_images(x, "batch_norm")
    rows = channel_rows(x)
    if rows.shape[1] == 0:
        raise ShapeError(f"an empty batch {x.shape} has no statistics")
    average = rows.mean(axis=1)

    def variance(x: Array, average: Array) -> tuple[Any]:
        centred = x - average
        return ((centred * centred).mean(axis=1),)

    return average, *_by_channels(variance, rows, average, dtype=average.dtype)


def _by_channels(
    function: Callable[..., tuple[Any, ...]], rows: Array, *others: Array, dtype: Any
) -> list[Any]:
    """Return the results of ``function(rows, *others)``, evaluated for a few channels at a time.

    The blocks are small enough to stay in cache between operations. The first axis of every array
    is the channel; a vector (c,) is passed to the function as a column (c, 1). Results get that
    ``dtype``.
    """
    columns = [a[:, None] if a.ndim == 1 else a for a in others]
    if rows.size <= BLOCK:
        return [part.astype(dtype, copy=False) for part in function(rows, *columns)]
    results: list[Any] = []
    for k in _blocks(rows):
        parts = function(rows[k], *[a[k] for a in columns])
        if not results:
            xp = array_module(rows)
            results = [xp.empty((len(rows), *part.shape[1:]), dtype) for part in parts]
        for result, part in zip(results, parts):
            result[k] = part
    return results


def _blocks(rows: Array) -> Iterator[slice]:
    """Yield some channels at a time: about BLOCK elements, or one channel."""
    several = max(1, BLOCK // max(1, rows.shape[1]))
    return (slice(k, k + several) for k in range(0, len(rows), several))


def _checked(
    x: Array,
    scale: Array,
    shift: Array,
    mean: Array,
    variance: Array,
    epsilon: float,
    observe: Callable[[Any, Any], None] | None,
) -> tuple[Any, ...]:
    """Return the five arrays of ``batch_norm`` as floats; the batch's statistics are the default.

    Raises ShapeError if they do not fit.
    """
    require_images(x, "batch_norm")
    require_epsilon(epsilon, "batch_norm")
    if (mean is None) != (variance is None):
        raise ShapeError("batch_norm takes mean and variance together, or neither")
    x, scale, shift = as_float(x), as_float(scale), as_float(shift)
    if mean is None:
        mean, variance = batch_statistics(x)
        if observe is not None:
            observe(mean, variance)
    else:
        mean, variance = asarray_like(as_array(mean), x), asarray_like(as_array(variance), x)
    vectors = {"scale": scale, "shift": shift, "mean": mean, "variance": variance}
    for name, values in vectors.items():
        if values.shape != (x.shape[1],):
            raise ShapeError(
                f"batch_norm of {x.shape} needs {x.shape[1]} numbers as {name}, got {values.shape}"
            )
    return x, scale, shift, mean, variance
