"""How many of the numbers that an encoding stores are independent.

Between two gates of a wall an invertible matrix and its inverse can be put, and the weight stays
the same: whole families of numbers decode to one weight. What counts is how many directions the
weight can move in when its numbers move: the rank of the Jacobian J = dW/dθ. A tensor train has
such freedom at each of its bonds, a product of two factors at its inner index.
"""

from __future__ import annotations

import math

import numpy as np

from ..autodiff.engine import Tensor
from ..errors import NonFiniteError, TinyADTNError
from ..nn.parameters import Seed
from .encoding import Encoding

MORE = 16  # projections beyond as many as there are numbers
SAMPLE = 4096  # entries of the weight in a projection, at most
GAP = 100.0  # between what counts and what is rounding, at least


def independent_numbers(encoding: Encoding, *, rng: Seed = 0) -> int:
    """The rank of J = dW/dθ, W the decoded weight and θ all trained numbers, at their values now.

    As many numbers would do to describe all weights near this one that the encoding can reach. At
    generic values it is no more than ``num_parameters``, and less wherever there is gauge freedom.
    With relu it holds for the piece, of a W that is piecewise smooth, on which θ is. The rank is
    that of random projections of J (``jacobian_spectrum``): singular values above rounding.
    Raises TinyADTNError where no gap of at least 100 tells these from the others, for then float64
    cannot say. GraphError for an encoding without values.

    >>> from tinyadtn import LowRank
    >>> low = LowRank((20, 30), 2, rng=0)
    >>> low.num_parameters, independent_numbers(low)  # r (m + n), and r (m + n - r)
    (100, 96)
    """
    return clear_rank(jacobian_spectrum(encoding, rng=rng))


def clear_rank(values: np.ndarray) -> int:
    """How many singular values, the largest first, are above rounding, if a gap says so."""
    if not values.size or values[0] == 0:
        return 0
    rounding = len(values) * np.finfo(np.float64).eps * values[0]
    count = int((values > rounding).sum())
    if count < len(values) and values[count - 1] < GAP * values[count]:
        raise TinyADTNError(
            f"no clear rank: of {len(values)} singular values {count} are above rounding, but "
            f"from {values[count - 1] / values[0]:.0e} to {values[count] / values[0]:.0e} of the "
            f"largest is no gap of {GAP:.0f}. Try other values, or fewer layers"
        )
    return count


def jacobian_spectrum(encoding: Encoding, *, rng: Seed = 0) -> np.ndarray:
    """Singular values of ΩJ, the largest first, in float64: as many as there are trained numbers.

    Each row of Ω weighs entries of W with independent N(0, 1), and there are 16 more of them than
    numbers (or as many as W has entries). Up to 4,096 entries are all weighed: with probability 1
    the rank of ΩJ is that of J. Of more, each row draws 4,096: the rank could only come out too
    low, where some numbers move very few entries. Takes a decoding and its gradient for every row.
    """
    exact = encoding.copy()
    parameters = [tensor for tensor in exact.parameters() if tensor.requires_grad]
    for tensor in parameters:
        tensor.data = tensor.numpy().astype(np.float64)
    entries, count = math.prod(exact.shape), sum(tensor.size for tensor in parameters)
    if not count:
        return np.zeros(0)
    random = np.random.default_rng(rng)
    few, everywhere = entries <= SAMPLE, np.arange(min(entries, SAMPLE))
    rows = np.empty((min(entries, count + MORE), count))
    for row in rows:
        weights = np.zeros(entries)
        places = everywhere if few else random.integers(entries, size=SAMPLE)
        weights[places] = random.normal(size=places.size)
        exact.decode().backward(weights.reshape(exact.shape))
        row[:] = np.concatenate([_taken(tensor) for tensor in parameters])
    if not np.isfinite(rows).all():
        raise NonFiniteError("the gradient of the decoded weight is not finite")
    values = np.linalg.svd(rows, compute_uv=False)
    return np.concatenate([values, np.zeros(count - len(values))])


def _taken(tensor: Tensor) -> np.ndarray:
    gradient = np.zeros(tensor.shape) if tensor.grad is None else tensor.grad
    tensor.grad = None
    return gradient.ravel()
