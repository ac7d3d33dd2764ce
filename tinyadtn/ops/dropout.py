"""Dropout: set random elements to 0 in training, so that no unit relies on a single other unit.

Dropout is a product with a random mask. ``multiply`` already has a gradient.
"""

from __future__ import annotations

import numpy as np

from ..autodiff.arrays import Array, array_module
from ..autodiff.engine import Tensor
from ..checks import require_number
from ..errors import GraphError, explained
from .arguments import float_tensor


@explained()
def dropout(x: Array, *, rate: float, rng: int | np.random.Generator | None) -> Tensor:
    """y = x / (1 - rate) with probability 1 - rate, else 0, so that the mean of y is x.

    Elements are drawn independently. ``rng`` is a seed or a generator. The same seed gives the same
    mask. Raises ValueError for a rate outside [0, 1) and GraphError without ``rng``.
    Source: Srivastava et al., JMLR 15, 1929 (2014).

    >>> float(dropout(np.ones(10_000), rate=0.2, rng=0).data.max())
    1.25
    """
    require_rate(rate)
    if rng is None:
        raise GraphError("dropout draws random numbers: call the model with rng= in training")
    x = float_tensor(x)
    keep = np.random.default_rng(rng).random(x.shape, np.float32) >= rate
    mask = array_module(x.data).asarray(keep / (1 - rate), x.dtype)
    return x * mask


def require_rate(rate: float) -> None:
    """Raise ValueError unless 0 <= rate < 1."""
    require_number("rate", rate)
    if not 0 <= rate < 1:
        raise ValueError(f"dropout needs a rate from 0 to below 1, got {rate}")
