"""Dropout: in training, elements that are 0 at random."""

from __future__ import annotations

import numpy as np

from ..autodiff.arrays import Array, array_module
from ..autodiff.engine import Tensor
from ..errors import GraphError
from .norm import _float_tensor


def dropout(x: Array, *, rate: float, rng: int | np.random.Generator | None) -> Tensor:
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
