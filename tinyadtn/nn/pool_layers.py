"""Pooling layers: one number for each window of an image, its maximum or its mean."""

from __future__ import annotations

from typing import Any

from ..autodiff.engine import Tensor
from ..ops.pool import avg_pool2d, max_pool2d, pool_window, require_pool
from ..ops.windows import Padding, Size
from .module import Module
from .parameters import Seed, Shape
from .weights import reject_bytes


class _Pool2d(Module):
    """The options and the shapes that all pools share."""

    def __init__(
        self,
        kernel: Size,
        *,
        stride: Size | None = None,
        padding: Padding = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
    ):
        require_pool(kernel, stride, padding, dilation)
        self.kernel, self.stride, self.padding = kernel, stride, padding
        self.dilation, self.ceil_mode = dilation, ceil_mode

    def __repr__(self) -> str:
        stride = self.kernel if self.stride is None else self.stride
        usual = {"padding": 0, "dilation": 1, "ceil_mode": False}
        said = "".join(f", {k}={v!r}" for k, v in self._options().items() if v != usual.get(k, v))
        return f"{type(self).__name__}({self.kernel}, stride={stride}{said})"

    def output_shape(self, shape: Shape) -> Shape:
        return (shape[0], *pool_window((1, *shape), **self._options()).outputs)

    def _options(self) -> dict[str, Any]:
        names = ("kernel", "stride", "padding", "dilation", "ceil_mode")
        return {name: getattr(self, name) for name in names}


class MaxPool2d(_Pool2d):
    """The largest value of each window: see ``max_pool2d``.

    >>> MaxPool2d(3, stride=2).output_shape((96, 55, 55))
    (96, 27, 27)
    """

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        """Return the maximum of each window, (n, c, oh, ow), for x (n, c, h, w)."""
        return max_pool2d(x, **self._options())


class AvgPool2d(_Pool2d):
    """The mean of each window: see ``avg_pool2d``."""

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        """Return the mean of each window, (n, c, oh, ow), for x (n, c, h, w)."""
        reject_bytes(x)
        return avg_pool2d(x, **self._options())
