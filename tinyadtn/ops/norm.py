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
    x, scale, shift, *constants = _checked(x, scale, shift, mean, variance, epsilon)
    rows, xp, shape = channel_rows(x), array_module(x), x.shape  # (c, m) with m = h·w·n
    m = rows.shape[1]

    def normalize(x: Array, scale: Array, shift: Array, *constants: Array, out: Any) -> tuple:
        mean, variance = constants or _moments(x, out)
        inverse = 1 / xp.sqrt(variance + x.dtype.type(epsilon))
        xp.subtract(x, mean, out=out)
        out *= scale * inverse
        out += shift
        return mean, variance, inverse

    y, *moments = _by_channels(normalize, rows, scale, shift, *constants)
    if observe is not None and of_batch:
        observe(*moments[:2])

    def normalize_vjp(
        g: Array, x: Array, scale: Array, mean: Array, _: Array, inverse: Array, out: Any
    ) -> tuple[Any, ...]:
        centred = x - mean  # x̂ = centred · inverse
        grad_scale = xp.multiply(g, centred, out=out).sum(axis=1, keepdims=True) * inverse
        grad_shift = g.sum(axis=1, keepdims=True)
        if of_batch:  # mean and variance depend on x: g - x̂ · mean(g · x̂) - mean(g)
            centred *= inverse * grad_scale / m
            g = xp.subtract(g, centred, out=out)
            g -= grad_shift / m
        xp.multiply(g, scale * inverse, out=out)
        return grad_scale, grad_shift

    def gradients(g: Array) -> list:
        arrays = (channel_rows(g), rows, scale, *moments)
        grad_x, *others = _by_channels(normalize_vjp, *arrays)
        return [from_channel_rows(grad_x, shape), *others]

    return from_channel_rows(y, shape), gradients


def _moments(rows: Array, work: Any) -> tuple[Any, Any]:
    """Return the mean and the variance of each row, as columns; ``work`` is overwritten."""
    mean = rows.mean(axis=1, keepdims=True)
    work = array_module(rows).subtract(rows, mean, out=work)
    work *= work
    return mean, work.mean(axis=1, keepdims=True)


def _by_channels(function: Callable[..., tuple], rows: Array, *others: Array) -> list[Any]:
    """Return ``out`` and the results of ``function(rows, *others, out=out)``, all vectors (c,).

    The function is called for a few channels at a time, with blocks that stay in cache. The first
    axis of every array is the channel; a vector (c,) is passed to the function as a column (c, 1).
    """
    xp = array_module(rows)
    out = xp.empty_like(rows)
    columns = [a[:, None] if a.ndim == 1 else a for a in others]
    parts = [function(rows[k], *[a[k] for a in columns], out=out[k]) for k in _blocks(rows)]
    return [out, *(xp.concatenate(vectors)[:, 0] for vectors in zip(*parts))]


def _blocks(rows: Array) -> Iterator[slice]:
    """Yield some channels at a time: about BLOCK elements, or one channel."""
    several = max(1, BLOCK // max(1, rows.shape[1]))
    return (slice(k, k + several) for k in range(0, max(1, len(rows)), several))


def _checked(
    x: Array, scale: Array, shift: Array, mean: Array, variance: Array, epsilon: float
) -> list[Any]:
    """Return the arrays of ``batch_norm`` as floats; without mean and variance if they are None.

    Raises ShapeError if they do not fit.
    """
    require_images(x, "batch_norm")
    require_epsilon(epsilon, "batch_norm")
    if (mean is None) != (variance is None):
        raise ShapeError("batch_norm takes mean and variance together, or neither")
    x = as_float(x)
    vectors = {"scale": as_float(scale), "shift": as_float(shift)}
    if mean is None:
        if x.size == 0:
            raise ShapeError(f"an empty batch {x.shape} has no statistics")
    else:
        vectors["mean"] = asarray_like(as_array(mean), x)
        vectors["variance"] = asarray_like(as_array(variance), x)
    for name, values in vectors.items():
        if values.shape != (x.shape[1],):
            raise ShapeError(
                f"batch_norm of {x.shape} needs {x.shape[1]} numbers as {name}, got {values.shape}"
            )
    return [x, *vectors.values()]
