"""The initialization of the gates (the option ``start`` of an ADTN).

A deep ADTN multiplies many gates, so its training depends on their initialization. The entries
of a *normal* gate are N(0, 1/4). An *orthogonal* gate, the default, keeps the norm of the state, so
the state neither vanishes nor explodes at any depth. With both, the first decoded weight is random.
*Near the identity*, all TN layers except the first hardly change the state, so a deep ADTN begins
as an ADTN of depth 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..autodiff.engine import Tensor
from ..nn.parameters import parameter
from .wall import Column

NEAR = 0.03  # standard deviation of the entries of (gate - identity) for a gate near the identity


def draw_gates(wall: Sequence[Column], start: str, rng: np.random.Generator | None) -> list[Tensor]:
    """Return random gates for every column; without ``rng``, tensors that have a shape only.

    A fresh gate is a state, not a matrix: its entries are N(0, 1/4) for every ``start``.
    """
    columns = [parameter(column.shape, 0.5, rng) for column in wall]
    if rng is not None:
        for column, gates in zip(wall, columns):
            if not column.fresh:
                gates.data = STARTS[start](gates.data, column.layer)
    return columns


def _normal(matrices: np.ndarray, layer: int) -> np.ndarray:
    return matrices


def _orthogonal(matrices: np.ndarray, layer: int) -> np.ndarray:
    """Return uniformly distributed orthogonal matrices from matrices with normal entries.

    Without the signs of R's diagonal, Q would not be uniform (Mezzadri, arXiv math-ph/0609050).
    """
    q, r = np.linalg.qr(matrices.astype(np.float64))
    signs = np.sign(np.diagonal(r, axis1=-2, axis2=-1))
    return (q * signs[..., None, :]).astype(matrices.dtype)


def _near_identity(matrices: np.ndarray, layer: int) -> np.ndarray:
    if layer == 1:
        return _orthogonal(matrices, layer)
    identity = np.eye(matrices.shape[-1], dtype=matrices.dtype)
    return identity + matrices * matrices.dtype.type(2 * NEAR)  # the draws have std 1/2


STARTS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "normal": _normal,
    "orthogonal": _orthogonal,
    "near_identity": _near_identity,
}
