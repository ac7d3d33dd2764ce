"""Normalisation and dropout: what keeps the numbers inside a deep network in hand.

Statistics of a channel run over its whole row once the image is laid out as (c, h·w·n): every
function here works on that matrix, one channel a row.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .backend import array_module, as_array, as_float, beside
from .conv import conv2d
from .engine import Tensor, op
from .errors import GraphError, ShapeError
from .ops import maximum, mean, sqrt
from .windows import batch_first, batch_innermost

BLOCK = 2**17  # numbers of a few channels


def _channel_rows(x: Any) -> Any:
    """(n, c, h, w) as a matrix (c, h·w·n): a view, if the batch lies innermost in memory."""
    return batch_innermost(x).reshape(x.shape[1], -1)


def _from_channel_rows(rows: Any, shape: tuple[int, ...]) -> Any:
    n, c, h, w = shape
    return batch_first(rows.reshape(c, h, w, n))


def _blocks(rows: Any) -> Iterator[slice]:
    """Some channels at a time: what is computed from their rows is used while in the cache."""
    several = max(1, BLOCK // max(1, rows.shape[1]))
    return (slice(k, k + several) for k in range(0, len(rows), several))


def _require_images(x: Any, what: str) -> None:
    if x.ndim != 4:
        raise ShapeError(f"{what} takes images (n, c, h, w), got {x.shape}")


def require_odd(size: int, what: str) -> None:
    """ShapeError for a neighbourhood that has no middle."""
    if not isinstance(size, numbers.Integral) or size < 1 or size % 2 == 0:
        raise ShapeError(f"{what} needs an odd size from 1, got {size!r}")


def require_epsilon(epsilon: float, what: str) -> None:
    """ValueError for an ε that could leave a negative number under the root."""
    if not 0 <= epsilon < math.inf:
        raise ValueError(f"{what} needs a finite epsilon from 0, got {epsilon}")


def _float_tensor(x: Any) -> Tensor:
    """The tensor; integers, which no gradient reaches, as float32."""
    x = x if isinstance(x, Tensor) else Tensor(x)
    return x if x.dtype.kind == "f" else Tensor(as_float(x.data))


# --- batch normalisation -------------------------------------------------------------------------


def batch_statistics(x: Any) -> tuple[Any, Any]:
    """Mean and (biased) variance of every channel of an array (n, c, h, w): two arrays (c,).

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
    x: Any,
    scale: Any,
    shift: Any,
    *,
    mean: Any = None,
    variance: Any = None,
    epsilon: float = 1e-5,
    observe: Callable[[Any, Any], None] | None = None,
) -> Any:
    """y = scale · (x - mean) / √(variance + ε) + shift, channel by channel.

    ``x`` is (n, c, h, w), all else (c,). Without ``mean`` and ``variance`` those of the batch are
    taken, ``observe`` is told them, and the gradient knows that they depend on x; given, they are
    constants (evaluation). Source: Ioffe and Szegedy, arXiv 1502.03167.

    >>> x = np.array([1.0, 3.0]).reshape(2, 1, 1, 1)
    >>> batch_norm(x, [1.0], [0.0], epsilon=0).data.ravel()
    array([-1.,  1.])
    """
    _require_images(x, "batch_norm")
    require_epsilon(epsilon, "batch_norm")
    if (mean is None) != (variance is None):
        raise ShapeError("batch_norm takes mean and variance together, or neither")
    of_batch = mean is None
    x, scale, shift = as_float(x), as_float(scale), as_float(shift)
    if of_batch:
        mean, variance = batch_statistics(x)
        if observe is not None:
            observe(mean, variance)
    else:
        mean, variance = beside(as_array(mean), x), beside(as_array(variance), x)
    constants = {"scale": scale, "shift": shift, "mean": mean, "variance": variance}
    for name, values in constants.items():
        if values.shape != (x.shape[1],):
            raise ShapeError(
                f"batch_norm of {x.shape} needs {x.shape[1]} numbers as {name}, got {values.shape}"
            )
    rows, shape, count, xp = _channel_rows(x), x.shape, x.size // x.shape[1], array_module(x)
    inverse = 1 / xp.sqrt(variance + x.dtype.type(epsilon))
    normal, value = xp.empty_like(rows), xp.empty_like(rows)  # x̂ and y
    for k in _blocks(rows):
        normal[k] = (rows[k] - mean[k, None]) * inverse[k, None]
        value[k] = normal[k] * scale[k, None] + shift[k, None]

    def gradients(g: Any) -> list:
        g, share = _channel_rows(g), xp.empty_like(rows)
        grad_scale, grad_shift = xp.empty_like(scale), xp.empty_like(scale)
        for k in _blocks(rows):
            grad_scale[k], grad_shift[k] = (g[k] * normal[k]).sum(axis=1), g[k].sum(axis=1)
            part = g[k]
            if of_batch:  # mean and variance move with x: take away what would move them
                part = part - (grad_shift[k] / count)[:, None]
                part -= normal[k] * (grad_scale[k] / count)[:, None]
            share[k] = part * (scale[k] * inverse[k])[:, None]
        return [_from_channel_rows(share, shape), grad_scale, grad_shift]

    return _from_channel_rows(value, shape), gradients


# --- normalisation by the neighbourhood ----------------------------------------------------------


@op
def local_response_norm(
    x: Any, *, size: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75
) -> Any:
    """y_c = x_c / (k + α Σ x_j²)^β, the sum over the ``size`` channels j around channel c.

    ``x`` is (n, c, h, w). At the first and the last channels the neighbours that are missing count
    as 0. The defaults are those of AlexNet (Krizhevsky et al., NeurIPS 2012), where α is not
    divided by ``size``. ShapeError for an even size, which has no middle.

    Where x² overflows (|x| above 1.8e19 in float32) y is 0, as torch's is, and no infinity is left
    for ``detect_anomaly`` to find. The true y is small there: 2e-7 for a lone x of 2e19.

    >>> local_response_norm(np.full((1, 1, 1, 1), 3.0), size=1, k=1, alpha=1 / 3, beta=0.5).item()
    1.5
    """
    _require_images(x, "local_response_norm")
    require_odd(size, "local_response_norm")
    x = as_float(x)
    rows, shape, xp, number = _channel_rows(x), x.shape, array_module(x), x.dtype.type
    base = number(alpha) * _sum_of_neighbours(rows * rows, size) + number(k)
    power = xp.exp(number(-beta) * xp.log(base))  # base^-β, much sooner than by `**`

    def grad_x(g: Any) -> Any:
        g = _channel_rows(g)
        # x_c stands in its own numerator, and in the sum of each of its neighbours.
        through_sums = _sum_of_neighbours(g * rows * power / base, size)
        share = g * power - number(2 * alpha * beta) * rows * through_sums
        return _from_channel_rows(share, shape)

    return _from_channel_rows(rows * power, shape), grad_x


def _sum_of_neighbours(rows: Any, size: int) -> Any:
    """total[c] = Σ rows[j] over |j - c| ≤ size // 2."""
    total = rows.copy()
    for distance in range(1, min(size // 2, len(rows) - 1) + 1):
        total[distance:] += rows[:-distance]
        total[:-distance] += rows[distance:]
    return total


def local_contrast_norm(x: Any, *, size: int = 9, epsilon: float = 1e-8) -> Tensor:
    """v = x - local mean;  y = v / max(σ, mean of σ over the image), σ² = local mean of v².

    ``x`` is (n, c, h, w). A local mean runs over all channels and a window of ``size`` by ``size``
    pixels, weighted by a Gaussian with standard deviation size / 4; at the border the pixels that
    there are share the whole weight. ε is added to σ², whose root has no slope at 0.
    Source: Jarrett et al., ICCV 2009; the width of the Gaussian is our choice.

    >>> bool(local_contrast_norm(np.ones((1, 2, 5, 5))).numpy().any())  # no contrast, nothing left
    False
    """
    x = _float_tensor(x)
    _require_images(x, "local_contrast_norm")
    require_odd(size, "local_contrast_norm")
    require_epsilon(epsilon, "local_contrast_norm")
    xp = array_module(x.data)
    distance = xp.arange(size) - size // 2
    profile = xp.exp(-0.5 * (4 * distance / size) ** 2)
    window = (profile[:, None] * profile).astype(x.dtype)[None, None]
    inside = conv2d(xp.ones((1, 1, *x.shape[2:]), x.dtype), window, padding=size // 2).data

    def local_mean(values: Tensor) -> Tensor:  # (n, c, h, w) -> (n, 1, h, w)
        return conv2d(mean(values, axis=1, keepdims=True), window, padding=size // 2) / inside

    v = x - local_mean(x)
    spread = sqrt(local_mean(v * v) + epsilon)
    return v / maximum(spread, mean(spread, axis=(1, 2, 3), keepdims=True))


# --- dropout -------------------------------------------------------------------------------------


def dropout(x: Any, *, rate: float, rng: int | np.random.Generator | None) -> Tensor:
    """y = x / (1 - rate) with probability 1 - rate, else 0: so that the mean of y is x.

    Each element is drawn by itself. ``rng`` is a seed or a generator; the same seed, the same mask.
    Source: Srivastava et al., JMLR 15, 1929 (2014).

    >>> float(dropout(np.ones(10_000), rate=0.2, rng=0).data.max())
    1.25
    """
    require_rate(rate)
    if rng is None:
        raise GraphError("dropout draws random numbers: call the model with rng= in training")
    x = _float_tensor(x)
    keep = np.random.default_rng(rng).random(x.shape, np.float32) >= rate
    mask = array_module(x.data).asarray(keep / (1 - rate), x.dtype)
    return x * mask


def require_rate(rate: float) -> None:
    """ValueError for what is no probability, or leaves nothing at all."""
    if not 0 <= rate < 1:
        raise ValueError(f"dropout needs a rate from 0 to below 1, got {rate}")
