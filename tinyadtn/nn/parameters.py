"""Parameters: tensors with random initial values, or with a shape only, for counting."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from ..autodiff.arrays import require_no_mask, to_device, to_numpy
from ..autodiff.engine import Tensor
from ..autodiff.shape_only import ShapeOnly
from ..errors import DTypeError, SizeLimitError

Seed = int | np.random.Generator | None
Shape = tuple[int, ...]


def parameter(shape: tuple[int, ...], std: float, rng: Seed) -> Tensor:
    """Return a trainable tensor with values N(0, std²); without ``rng``, a shape without values."""
    if math.prod(shape) > sys.maxsize // np.dtype(np.float64).itemsize:
        raise SizeLimitError(
            f"a weight of shape {str(shape)[:60]}: no machine addresses so many numbers; "
            "use a smaller layer"
        )
    if rng is None:
        values: Any = ShapeOnly(shape, np.dtype(np.float32))
    else:
        values = std * np.random.default_rng(rng).standard_normal(shape, dtype=np.float32)
    return Tensor(values, requires_grad=True)


def cast_and_move(tensor: Tensor, dtype: np.dtype, device: str) -> Any:
    """Return a copy of the tensor's data with that dtype on that device."""
    if isinstance(tensor.data, ShapeOnly):
        return ShapeOnly(tensor.shape, dtype, device)
    moved = to_device(tensor.data, device)
    return moved.astype(dtype, copy=moved is tensor.data)


def he_std(shape: tuple[int, ...]) -> float:
    """Return std = √(2 / fan_in), which preserves the size of the signal through relu layers.

    ``shape`` is (out, in, …); fan_in is the product of all lengths except the first.
    Source: He et al., "Delving Deep into Rectifiers", arXiv 1502.01852.
    """
    return math.sqrt(2 / math.prod(shape[1:]))


def checked_array(name: str, value: Any, kinds: str) -> np.ndarray:
    """Return the value as a NumPy array; DTypeError for a dtype of another kind, or for a mask.

    Python numbers and lists become float32. A torch tensor, for instance, keeps its dtype.
    """
    try:
        require_no_mask(value)
    except DTypeError as error:
        raise DTypeError(f"{name}: {error}") from error
    array = np.asarray(to_numpy(value))
    if array.dtype.kind not in kinds:
        raise DTypeError(f"{name}: cannot load an array of {array.dtype}")
    return array if hasattr(value, "dtype") else array.astype(np.float32, copy=False)
