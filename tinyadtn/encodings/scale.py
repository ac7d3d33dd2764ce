"""The norm of an ADTN's weight, separate from its direction, and the scale of a new ADTN.

T is linear in every gate, so its norm depends on the product of all their norms. An optimizer that
shrinks every gate a little shrinks T to nothing, and all gradients with it. In the *normalized*
parametrization, the default, gates are directions, and the last gate A_G gives the norm::

    Â = c·A/‖A‖                        for every gate A
    T = L_M σ( … σ( L_1 |0…0⟩ ) )      from the gates Â
    W = scale · ‖A_G‖ · T/rms(T)       for M = 1 just scale · ‖A_G‖ · T, which has factors

c is the norm of an orthogonal gate. For a positively homogeneous σ, W ranges over the same weights
as in the plain parametrization, W = scale · T from the gates A, with as many parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..autodiff.arrays import Array, array_module
from ..autodiff.engine import Tensor, op
from ..autodiff.modes import isolated, no_grad
from ..decode_free.chain import LARGE, standard_deviation
from ..errors import NonFiniteError
from ..nn.parameters import Shape, he_std
from ..tensor_networks.starts import draw_gates
from ..tensor_networks.wall import Column

if TYPE_CHECKING:
    from .adtn import ADTN

BASIS = 256  # unit vectors per block in ``spread``


def unit_gates(columns: Sequence[Tensor], wall: Sequence[Column]) -> list[Tensor]:
    """Return every gate as c·A/‖A‖. c is √n for n×n gates, 1 for a fresh gate, which is a state."""
    return [
        with_norm(gates, 1.0 if column.fresh else math.sqrt(column.shape[-1]))
        for gates, column in zip(columns, wall)
    ]


@op
def with_norm(x: Array, norm: Array) -> tuple:
    """y[k] = norm · x[k]/‖x[k]‖ for every k. The gradient is orthogonal to x[k]; 0 stays 0."""
    rows, shape = x.reshape(len(x), -1), x.shape
    lengths = array_module(x).sqrt(_dots(rows, rows))
    lengths[lengths == 0] = math.inf
    factor = norm / lengths
    y = rows * factor  # the gradients need y, and not x

    def grad_x(g: Array) -> Array:
        g = g.reshape(y.shape)
        grad = y * (_dots(y, g) / -(norm * norm))
        grad += g
        grad *= factor
        return grad.reshape(shape)

    return y.reshape(shape), grad_x, lambda g: _dots(y, g.reshape(y.shape)).sum() / norm


def _dots(x: Array, y: Array) -> Array:
    """Σ_i x[k,i]·y[k,i], shape (k, 1)."""
    return (x[:, None, :] @ y[:, :, None])[:, 0]


@op
def norm_of_last(column: Array, *, scale: Array) -> tuple:
    """scale · ‖A_G‖ for the last gate A_G of a column, which is not 0."""
    gate = column[-1]
    norm = array_module(gate).sqrt((gate * gate).sum())

    def grad_column(g: Array) -> Array:
        share = array_module(g).zeros_like(column)
        share[-1] = gate * (g * scale / norm)
        return share

    return norm * scale, grad_column


def match_scale(weight: ADTN, rng: np.random.Generator) -> None:
    """Set ``weight.scale``. Draw new gates if the weight is zero, which ReLU can cause."""
    for _ in range(100):
        std = spread(weight)
        if std > 0:
            weight.scale = Tensor(np.float32(he_std(weight.shape) / std))
            return
        weight.columns = draw_gates(weight.wall, weight.start, rng)
    raise NonFiniteError(f"100 random starts of {weight!r} decode to zero; try leaky_relu")


@isolated
@no_grad()
def spread(weight: ADTN) -> float:
    """Return the standard deviation of the weight's entries.

    If the weight has factors it is never formed as a whole: the factors are applied to blocks of
    unit vectors, and each block gives some columns of the weight. For a large weight that is not
    cropped, the cores give the sums. For one that is, ``_estimated_spread`` does.
    """
    chain = weight.chain(BASIS)
    if chain is None:
        return float(weight.decode().numpy().std())
    cores = [core.data for core in weight.factors(chain)]
    matrices = chain.matrices(cores)
    if math.prod(weight.shape) > LARGE:
        if chain.into is None and chain.out is None:
            return standard_deviation([c.reshape(shape) for c, shape in zip(cores, chain.cores)])
        return _estimated_spread(weight.shape, lambda x: chain.apply(x, matrices)[0])
    total = square = 0.0
    inputs = math.prod(weight.shape[1:])
    for start in range(0, inputs, BASIS):
        count = min(BASIS, inputs - start)
        basis = np.eye(inputs, count, -start, dtype=matrices[0].dtype)
        columns = chain.apply(basis, matrices)[0].astype(np.float64)
        total, square = total + columns.sum(), square + (columns * columns).sum()
    count = math.prod(weight.shape)
    return math.sqrt(max(square / count - (total / count) ** 2, 0.0))


def _estimated_spread(shape: Shape, apply: Callable[[Array], Array]) -> float:
    """Estimate the standard deviation of W from W·z for 256 vectors z of random signs.

    The mean of ‖(W - μ)·z‖² is ‖W - μ‖², with the mean μ of all entries. The error for an
    ADTN is below 4 % (tested in ``test_larger_than_memory``).
    Source: Hutchinson, Commun. Stat. Simul. Comput. 19, 433 (1990).
    """
    inputs, count = math.prod(shape[1:]), math.prod(shape)
    signs = np.random.default_rng(0).integers(2, size=(inputs, BASIS), dtype=np.int8) * 2 - 1
    mean = apply(np.ones((inputs, 1), np.float32)).sum(dtype=np.float64) / count
    images = apply(signs.astype(np.float32)) - mean * signs.sum(axis=0, dtype=np.float64)
    return math.sqrt((images * images).sum() / BASIS / count)
