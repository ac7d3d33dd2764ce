"""Normalization by the neighborhood: over channels (AlexNet), or over pixels (local contrast).

Older networks use these instead of batch normalization. You can skip them at first.
"""

from __future__ import annotations

import numbers
from typing import Any

from ..autodiff.arrays import Array, array_module, as_float
from ..autodiff.engine import Tensor, op
from ..checks import require_number
from ..errors import ShapeError
from ..limits import require_memory
from .arguments import float_tensor, require_epsilon, require_images
from .basic import maximum, sqrt
from .conv import conv2d
from .reductions import mean
from .windows import channel_rows, from_channel_rows


def require_odd(size: int, what: str) -> None:
    """Raise ShapeError for a neighborhood that has no middle element."""
    if not isinstance(size, numbers.Integral) or size < 1 or size % 2 == 0:
        raise ShapeError(f"{what} needs an odd size from 1, got {size!r}")


def require_response(size: int, k: float, alpha: float, beta: float) -> None:
    """Raise an error for options that ``local_response_norm`` cannot use."""
    require_odd(size, "local_response_norm")
    for name, value in (("k", k), ("alpha", alpha), ("beta", beta)):
        require_number(name, value)


@op
def local_response_norm(
    x: Array, *, size: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75
) -> Any:
    """y_c = x_c / (k + α Σ x_j²)^β, the sum over the ``size`` channels j around channel c.

    ``x`` is (n, c, h, w). Channels before the first and after the last count as 0. The defaults
    are those of AlexNet (Krizhevsky et al., NeurIPS 2012), where α is not divided by ``size``.
    Raises ShapeError for an even size, which has no middle. The power is computed as
    e^(-β ln(…)), so about β·|ln(…)| units in the last place may be lost.

    If x² overflows (|x| above 1.8e19 in float32), y is 0, as in torch, so that
    ``detect_anomaly`` finds no infinity. The true y is small there: 2e-7 for a single x of 2e19.

    >>> import numpy as np
    >>> local_response_norm(np.full((1, 1, 1, 1), 3.0), size=1, k=1, alpha=1 / 3, beta=0.5).item()
    1.5
    """
    require_images(x, "local_response_norm")
    require_response(size, k, alpha, beta)
    x = as_float(x)
    rows, shape, xp, number = channel_rows(x), x.shape, array_module(x), x.dtype.type
    base = number(alpha) * _sum_of_neighbours(rows * rows, size) + number(k)
    power = xp.exp(number(-beta) * xp.log(base))  # base^-β, much faster than by `**`

    def grad_x(g: Array) -> Any:
        g = channel_rows(g)
        # x_c is in its own numerator, and in the sum of each neighboring channel.
        through_sums = _sum_of_neighbours(g * rows * power / base, size)
        share = g * power - number(2 * alpha * beta) * rows * through_sums
        return from_channel_rows(share, shape)

    return from_channel_rows(rows * power, shape), grad_x


def _sum_of_neighbours(rows: Array, size: int) -> Any:
    """total[c] = Σ rows[j] over |j - c| ≤ size // 2."""
    total = rows.copy()
    for distance in range(1, min(size // 2, len(rows) - 1) + 1):
        total[distance:] += rows[:-distance]
        total[:-distance] += rows[distance:]
    return total


def local_contrast_norm(x: Array, *, size: int = 9, epsilon: float = 1e-8) -> Tensor:
    """v = x - local mean;  y = v / max(σ, mean of σ over the image), σ² = local mean of v².

    ``x`` is (n, c, h, w). A local mean runs over all channels and a window of ``size`` by ``size``
    pixels, weighted by a Gaussian with standard deviation size / 4; at the border the
    weights of the pixels inside the image are scaled to sum to 1. ε is added to σ², because √ has
    no derivative at 0.
    Source: Jarrett et al., ICCV 2009; the width of the Gaussian is our choice.

    >>> import numpy as np
    >>> bool(local_contrast_norm(np.ones((1, 2, 5, 5))).numpy().any())  # no contrast, nothing left
    False
    """
    x = float_tensor(x)
    require_images(x, "local_contrast_norm")
    require_odd(size, "local_contrast_norm")
    require_epsilon(epsilon, "local_contrast_norm")
    require_memory(f"a Gaussian of {size} by {size} pixels", 8 * int(size) ** 2, "use less")
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
