"""The activations σ between TN layers: one table, ``ACTIVATIONS``, from name to functions.

Every activation is written twice. ``op`` is the differentiable function on Tensors that defines it.
The other two do the same in place on plain arrays, for the blocks of ``fast/wall_windows``: they
allocate no second array of the block's size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..autodiff.engine import Tensor
from ..ops.basic import leaky_relu, relu, tanh


@dataclass(frozen=True)
class Activation:
    """σ on Tensors, and σ and its derivative in place; ``xp`` is the arrays' module.

    The derivative is computed from y = σ(x), so that x need not be kept.

    >>> import numpy as np
    >>> y = ACTIVATIONS["tanh"].in_place(np.array([-1.0, 0.0, 1.0]), np)
    >>> ACTIVATIONS["tanh"].times_derivative(np.ones(3), y, np).round(3)  # 1 - tanh²
    array([0.42, 1.  , 0.42])
    """

    op: Callable[[Tensor], Tensor]
    in_place: Callable[[Any, Any], Any]  # (x, xp): x becomes σ(x)
    times_derivative: Callable[[Any, Any, Any], Any]  # (g, y, xp): g = dL/dy becomes dL/dx


ACTIVATIONS = {
    "relu": Activation(
        op=relu,
        in_place=lambda x, xp: xp.maximum(x, 0, out=x),
        times_derivative=lambda g, y, xp: xp.multiply(g, y > 0, out=g),
    ),
    "leaky_relu": Activation(
        op=leaky_relu,
        in_place=lambda x, xp: xp.maximum(x, 0.01 * x, out=x),
        times_derivative=lambda g, y, xp: xp.multiply(
            g, xp.where(y > 0, g.dtype.type(1), g.dtype.type(0.01)), out=g
        ),
    ),
    "tanh": Activation(
        op=tanh,
        in_place=lambda x, xp: xp.tanh(x, out=x),
        times_derivative=lambda g, y, xp: xp.multiply(g, 1 - y * y, out=g),
    ),
    "identity": Activation(
        op=lambda state: state,
        in_place=lambda x, xp: x,
        times_derivative=lambda g, y, xp: g,
    ),
}
