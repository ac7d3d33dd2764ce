"""Count how many of the parameters that an encoding stores are independent.

An ADTN has gauge freedom: between two gates one can insert an invertible matrix and its inverse,
and the weight stays the same. So whole families of parameters decode to one weight. The number of
independent parameters is the number of directions in which the weight can move when its parameters
move: the rank of the Jacobian J = dW/dθ. A tensor train has such freedom at each of its bonds, a
product of two factors at its inner index.
"""

from __future__ import annotations

import math

import numpy as np

from ..autodiff.engine import Tensor
from ..errors import NonFiniteError, TinyADTNError
from ..nn.parameters import Seed
from .encoding import Encoding

MORE = 16  # projections in addition to one per parameter
SAMPLE = 4096  # entries of the weight in a projection, at most
GAP = 100.0  # smallest ratio between the singular values that count and those of rounding


def independent_numbers(encoding: Encoding, *, rng: Seed = 0) -> int:
    """Return the rank of J = dW/dθ at the current parameters, with the decoded weight W.

    θ are all trainable parameters. That many parameters would be enough to describe all weights
    near this one that the encoding can reach. For generic values the rank is at most
    ``num_parameters``, and smaller if there is gauge freedom. With relu, W is piecewise smooth, and
    the result is valid for the piece that contains θ. The rank is that of random projections of J
    (``jacobian_spectrum``): the number of singular values above rounding.
    Raises TinyADTNError if no gap of at least 100 separates these from the others, because then
    float64 is not precise enough. Raises GraphError for an encoding without values.

    >>> from tinyadtn import LowRank
    >>> low = LowRank((20, 30), 2, rng=0)
    >>> low.num_parameters, independent_numbers(low)  # r (m + n), and r (m + n - r)
    (100, 96)
    """
    return clear_rank(jacobian_spectrum(encoding, rng=rng))


def clear_rank(values: np.ndarray) -> int:
    """Count the singular values above rounding, given the largest first; raise without a gap."""
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
    """Return the singular values of ΩJ in float64, largest first, one per trainable parameter.

    Each row of Ω weights entries of W with independent N(0, 1) values. There are 16 more rows than
    parameters (or as many rows as W has entries). If W has at most 4,096 entries, every row uses
    all of them: with probability 1 the rank of ΩJ is that of J. Otherwise each row draws 4,096
    entries. Then the rank can only come out too low, if some parameters change very few entries.
    Every row takes one decoding and its gradient.
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
