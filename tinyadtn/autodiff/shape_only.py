"""The array of a model that is built for counting only: a shape and a dtype without values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from ..errors import GraphError


@dataclass(frozen=True, eq=False)
class ShapeOnly(np.lib.mixins.NDArrayOperatorsMixin):
    """The ``data`` of a tensor that has a shape and a dtype but no values: it takes no memory.

    torch calls such a tensor a meta tensor; jax has ``ShapeDtypeStruct``. Models that are built
    without ``rng`` consist of them. Any operation that needs values raises GraphError.

    >>> ShapeOnly((2**20, 2**20), np.dtype(np.float32)).nbytes
    4398046511104
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    device: str = "cpu"  # where loaded values will be placed

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: math.prod(self.shape))
    nbytes = property(lambda self: self.size * self.dtype.itemsize)

    def copy(self, order: str = "K") -> ShapeOnly:
        """Return the same object, because nothing can change it."""
        return self

    def _has_no_values(self, *_: Any, **__: Any) -> NoReturn:
        raise GraphError(
            f"a tensor of shape {self.shape} has no values: this model has shapes only; build it "
            "with rng=0, or load weights into it"
        )

    def __getattr__(self, name: str) -> Any:  # all other attributes of arrays
        if name.startswith("__"):
            raise AttributeError(name)
        self._has_no_values()

    __array__ = __array_ufunc__ = __array_function__ = _has_no_values
    __getitem__ = __setitem__ = __len__ = __bool__ = __float__ = _has_no_values
