"""Where the gates of an ADTN begin.

A deep wall multiplies many gates, and what it can learn depends on what it begins as. A *normal*
gate has entries N(0, 1/4). An *orthogonal* one, the default, keeps the norm of what it gets, so
that no depth makes it vanish or explode. Both leave the first weight a random one, to which every
site has contributed everywhere. *Near the identity*, all layers but the first hardly change what
they get: the deep wall begins as the shallow one that it contains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..autodiff.engine import Tensor
from ..nn.parameters import parameter
from .wall import Column

NEAR = 0.03  # how far, entry by entry, a gate near the identity is from it (standard deviation)


def draw_gates(wall: Sequence[Column], start: str, rng: np.random.Generator | None) -> list[Tensor]:
    """Random gates for every column of a wall; without ``rng``, only their shapes.

    A fresh gate is a state, not a matrix: its numbers are N(0, 1/4) whatever the start.
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
    """Random orthogonal matrices, all directions alike, from ones with independent normal entries.

    The signs of R's diagonal go to Q, or Q would prefer some (Mezzadri, arXiv math-ph/0609050).
    """
    q, r = np.linalg.qr(matrices.astype(np.float64))
    signs = np.sign(np.diagonal(r, axis1=-2, axis2=-1))
    return (q * signs[..., None, :]).astype(matrices.dtype)


def _near_identity(matrices: np.ndarray, layer: int) -> np.ndarray:
    if layer == 1:
        return _orthogonal(matrices, layer)
    identity = np.eye(matrices.shape[-1], dtype=matrices.dtype)
    return identity + matrices * matrices.dtype.type(2 * NEAR)  # the draws have a spread of 1/2


STARTS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "normal": _normal,
    "orthogonal": _orthogonal,
    "near_identity": _near_identity,
}
