"""Pooling: the maximum or the mean of each window, with the gradient of both.

A pool goes through the cells of its window (see ``windows``). For one cell, the pixels that all
outputs read there are a strided slice of the image. So nothing loops over pixels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autodiff.arrays import Array, array_module, as_float, sum_over
from ..autodiff.engine import op
from ..errors import ShapeError
from .windows import (
    Padding,
    Size,
    SlidingWindow,
    batch_first,
    batch_innermost,
    sliding,
    window_over,
)


@op
def max_pool2d(
    x: Array,
    *,
    kernel: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Any:
    """y[n,c,i,j] = the largest x in the window at (i, j); windows may overlap. x is (n, c, h, w).

    The default ``stride`` is the size of the kernel; ``padding`` is as in ``conv2d``. Padding is
    never the maximum; among equal elements, the first in the window gets the gradient. With
    ``ceil_mode``, a last window may reach beyond the border, as in Caffe. Raises ShapeError for
    padding beyond half the kernel, because then a window could consist of padding only.

    >>> import numpy as np
    >>> max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), kernel=2).data.ravel()
    array([ 5.,  7., 13., 15.])
    """
    window = pool_window(x.shape, kernel, stride, padding, dilation, ceil_mode)
    xp = array_module(x)
    image = batch_innermost(as_float(x))
    out = xp.full((len(image), *window.outputs, len(x)), -math.inf, image.dtype)
    for _, outputs, inputs in window.cells(0, window.outputs[0]):
        xp.maximum(out[outputs], image[inputs], out=out[outputs])

    def grad_x(g: Array) -> Any:
        g, share = batch_innermost(g), xp.zeros(image.shape, g.dtype)
        undecided, apart = xp.ones(out.shape, bool), _apart(window)
        some_nan, finite = bool(xp.isnan(out).any()), bool(xp.isfinite(g).all())
        for _, outputs, inputs in window.cells(0, window.outputs[0]):
            pixels, part, into = image[inputs], g[outputs], share[inputs]
            won = pixels == out[outputs]
            if some_nan:
                won |= pixels != pixels  # a window with a NaN has the maximum NaN
            won &= undecided[outputs]
            undecided[outputs] ^= won
            # The product is much faster than `where`, but inf · 0 is not 0.
            if finite and apart:
                xp.multiply(part, won, out=into)
            else:
                into += part * won if finite else xp.where(won, part, 0)
        return batch_first(share)

    return batch_first(out), grad_x


@op
def avg_pool2d(
    x: Array,
    *,
    kernel: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Any:
    """y[n,c,i,j] = Σ x in the window at (i, j) / (kh·kw): zeros in the padding count as pixels.

    ``x`` is (n, c, h, w); the default ``stride`` is the size of the kernel. With ``ceil_mode``, a
    last window may reach beyond the padding; only its cells up to there are counted. Overlapping
    windows are summed cell by cell, with an error of up to kh·kw / 2 units in the last place.

    >>> import numpy as np
    >>> avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), kernel=2).data.ravel()
    array([ 2.5,  4.5, 10.5, 12.5])
    """
    window = pool_window(x.shape, kernel, stride, padding, dilation, ceil_mode)
    xp, image = array_module(x), batch_innermost(as_float(x))
    count = math.prod(window.kernel)
    shape, out = image.shape, xp.zeros((len(image), *window.outputs, len(x)), image.dtype)
    if count > 16 and _apart(window):
        out = _sums_of_blocks(image, window)
    else:
        for _, outputs, inputs in window.cells(0, window.outputs[0]):
            out[outputs] += image[inputs]
    if ceil_mode:
        rows, columns = (_cells_counted(window, axis) for axis in (0, 1))
        count = xp.asarray(np.outer(rows, columns)[:, :, None], out.dtype)
    out /= count

    def grad_x(g: Array) -> Any:
        g, share = batch_innermost(g) / count, xp.zeros(shape, g.dtype)
        for _, outputs, inputs in window.cells(0, window.outputs[0]):
            share[inputs] += g[outputs]
        return batch_first(share)

    return batch_first(out), grad_x


def _cells_counted(window: SlidingWindow, axis: int) -> Any:
    """Return how many cells of each window, along one axis, lie before the end of the padding."""
    end = window.image[axis] + (window.after or window.padding)[axis]
    return (_inputs(window, axis) < end).sum(axis=1)


def _inputs(window: SlidingWindow, axis: int) -> np.ndarray:
    """Return the input of each output (row) and cell (column) along one axis."""
    first = window.stride[axis] * np.arange(window.outputs[axis]) - window.padding[axis]
    return first[:, None] + window.dilation[axis] * np.arange(window.kernel[axis])


def _apart(window: SlidingWindow) -> bool:
    """Return whether no two windows overlap, and none reaches outside of the image."""
    return window.stride == window.kernel and window.dilation == (1, 1) and not window.padded


def _sums_of_blocks(image: Array, window: SlidingWindow) -> Any:
    """Σ of each window if they do not overlap: as accurate as ``sum``, for windows of any size."""
    (h, w), (kh, kw) = window.outputs, window.kernel
    shape = (len(image), h, kh, w, kw, image.shape[-1])
    return sum_over(image[:, : h * kh, : w * kw].reshape(shape), (2, 4))


def pool_window(
    shape: tuple[int, ...],
    kernel: Size,
    stride: Size | None,
    padding: Padding,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> SlidingWindow:
    """Return the window of a pool; ShapeError if it does not fit."""
    if len(shape) != 4:
        raise ShapeError(f"a pool takes images (n, c, h, w), got {shape}")
    require_pool(kernel, stride, padding, dilation)
    stride = kernel if stride is None else stride
    window = window_over(shape, kernel, stride, padding, dilation, ceil_mode)
    for axis, n in enumerate(window.image if dilation != 1 else ()):
        inputs = _inputs(window, axis)
        if not ((inputs >= 0) & (inputs < n)).any(axis=1).all():
            raise ShapeError(
                f"kernel {kernel} with dilation {dilation} and padding {padding}: a window of an "
                f"image {window.image} would read padding only"
            )
    return window


def require_pool(kernel: Size, stride: Size | None, padding: Padding, dilation: Size = 1) -> None:
    """Raise ShapeError for a pool that fits no image, or has windows that are padding only."""
    stride = kernel if stride is None else stride
    kernels, _, before, spread, after = sliding(kernel, stride, padding, dilation)
    for pad, size, step in zip(map(max, before, after), kernels, spread):
        if 2 * pad > step * (size - 1) + 1:
            raise ShapeError(f"padding {padding} is more than half of the kernel {kernel}")
