"""The scale of a new ADTN: its decoded weight gets the standard deviation of a dense one.

Random gates decode to a tensor of some size. One factor that is not trained, ``ADTN.scale``, brings
its entries to the standard deviation √(2/fan_in) of a dense initialization.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..autodiff.engine import Tensor
from ..autodiff.modes import no_grad
from ..errors import NonFiniteError
from ..nn.parameters import he_std
from ..tensor_networks.starts import draw_gates

if TYPE_CHECKING:
    from .adtn import ADTN

BASIS = 256  # unit vectors per block in ``spread``


def match_scale(weight: ADTN, rng: np.random.Generator) -> None:
    """Set ``weight.scale``. Draw new gates if the weight is zero, which ReLU can cause."""
    for _ in range(100):
        std = spread(weight)
        if std > 0:
            weight.scale = Tensor(np.float32(he_std(weight.shape) / std))
            return
        weight.columns = draw_gates(weight.wall, weight.start, rng)
    raise NonFiniteError(f"100 random starts of {weight!r} decode to zero; try leaky_relu")


@no_grad()
def spread(weight: ADTN) -> float:
    """Return the standard deviation of the weight's entries.

    If the weight has factors it is never formed as a whole: the factors are applied to blocks of
    unit vectors, and each block gives some columns of the weight.
    """
    chain = weight.chain(BASIS)
    if chain is None:
        return float(weight.decode().numpy().std())
    matrices = chain.matrices([core.data for core in weight.factors(chain)])
    total = square = 0.0
    inputs = math.prod(weight.shape[1:])
    for start in range(0, inputs, BASIS):
        count = min(BASIS, inputs - start)
        basis = np.eye(inputs, count, -start, dtype=matrices[0].dtype)
        columns = chain.apply(basis, matrices)[0].astype(np.float64)
        total, square = total + columns.sum(), square + (columns * columns).sum()
    count = math.prod(weight.shape)
    return math.sqrt(max(square / count - (total / count) ** 2, 0.0))
