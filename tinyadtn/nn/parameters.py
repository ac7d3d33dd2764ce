"""Parameters: tensors with random initial values, or with a shape alone, for counting."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..autodiff.arrays import array_module, to_device
from ..autodiff.engine import Tensor
from ..errors import GraphError, SizeLimitError

Seed = int | np.random.Generator | None
Shape = tuple[int, ...]


def parameter(shape: tuple[int, ...], std: float, rng: Seed) -> Tensor:
    """A trainable tensor with values N(0, std²); without ``rng`` a shape that holds no memory."""
    if math.prod(shape) > sys.maxsize // np.dtype(np.float64).itemsize:
        raise SizeLimitError(
            f"a weight of shape {str(shape)[:60]}: no machine addresses so many numbers; "
            "use a smaller layer"
        )
    if rng is None:
        values = no_values(shape, np.dtype(np.float32), "cpu")
    else:
        values = std * np.random.default_rng(rng).standard_normal(shape, dtype=np.float32)
    return Tensor(values, requires_grad=True)


def no_values(shape: tuple[int, ...], dtype: np.dtype, device: str) -> Any:
    """A shape that holds no memory: a stride of 0 everywhere, one NaN seen from all places."""
    nan = to_device(np.array(np.nan, dtype), device)
    return array_module(nan).broadcast_to(nan, shape)


def cast_and_move(tensor: Tensor, dtype: np.dtype, device: str) -> Any:
    """The tensor's numbers in that type on that device, in memory of their own.

    What ``parameter`` made without ``rng`` has none, and stays so.
    """
    if has_no_values(tensor):
        return no_values(tensor.shape, dtype, device)
    moved = to_device(tensor.data, device)
    return moved.astype(dtype, copy=moved is tensor.data)


def he_std(shape: tuple[int, ...]) -> float:
    """std = √(2 / fan_in): keeps the size of the signal through relu layers.

    ``shape`` is (out, in, …), fan_in the product of all lengths but the first.
    Source: He et al., "Delving Deep into Rectifiers", arXiv 1502.01852.
    """
    return math.sqrt(2 / math.prod(shape[1:]))


def require_values(tensors: Iterable[Tensor]) -> None:
    """Refuse what ``parameter`` made without ``rng``: one place in memory for all entries."""
    if any(map(has_no_values, tensors)):
        raise GraphError("this model has shapes only; build it with rng=, or load weights into it")


def has_no_values(tensor: Tensor) -> bool:
    if any(tensor.data.strides) or not tensor.shape:
        return False
    return tensor.size > 1 or (tensor.size == 1 and bool(tensor.data != tensor.data))  # NaN
