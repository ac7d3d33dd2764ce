"""Convolution and pooling, and their gradients: a window slides over the image (see ``windows``).

Images are (c, h, w, n) in memory and (n, c, h, w) to whoever looks.
"""

from __future__ import annotations

import math
import numbers
from typing import Any

from . import winograd
from .backend import array_module, as_float
from .engine import op
from .errors import ShapeError
from .scratch import scratch
from .windows import (
    Size,
    Window,
    batch_first,
    batch_innermost,
    blocks,
    col2im,
    im2col,
    sliding,
    window_over,
)

# --- convolution ---------------------------------------------------------------------------------


@op
def conv2d(
    x: Any,
    weight: Any,
    *,
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Any:
    """y[n,o,i,j] = Σ_cpq weight[o,c,p,q] · x[n, c, i·stride + p·dilation − padding, …].

    ``x`` is (n, c, h, w), ``weight`` (o, c / groups, kh, kw), the result (n, o, oh, ow). With
    groups, channel c is seen by the outputs of its own group alone: the g-th c / groups channels by
    the g-th o / groups outputs. No kernel is flipped: it is what networks call a convolution.
    Large 3×3 convolutions in float32 on a CPU go Winograd's way (``winograd``), where an error is
    some 1e-5 of the largest number nearby, not of the sum; float64 always sums.

    >>> import numpy as np
    >>> conv2d(np.ones((2, 3, 8, 9)), np.ones((4, 3, 3, 3)), padding=1, stride=2).shape
    (2, 4, 4, 5)
    """
    window = conv_window(x.shape, weight.shape, stride, padding, dilation, groups)
    image = batch_innermost(x)
    if winograd.pays(image, weight, window, groups):
        return (
            batch_first(winograd.convolve(image, weight, window)),
            lambda g: batch_first(winograd.grad_image(batch_innermost(g), weight, window)),
            lambda g: winograd.grad_weight(image, batch_innermost(g), window),
        )
    xp, (n, c, *_), o = array_module(x), x.shape, weight.shape[0]
    kernels = weight.reshape(groups, o // groups, -1)  # (g, o, cpq)
    depth = c * math.prod(window.kernel)
    parts = list(blocks(depth, window.outputs, n))
    out = xp.empty((o, *window.outputs, n), xp.result_type(x, weight))

    def unfolded(rows: slice, images: slice) -> Any:
        lengths = rows.stop - rows.start, window.outputs[1], images.stop - images.start
        columns = scratch("columns", (c, *window.kernel, *lengths), image)
        im2col(image[..., images], window, rows.start, rows.stop, out=columns)
        return columns.reshape(groups, depth // groups, -1)  # (g, cpq, ijn)

    for rows, images in parts:
        product = kernels @ unfolded(rows, images)
        part = out[:, rows, :, images]
        part[...] = product.reshape(part.shape)

    def grad_x(g: Any) -> Any:
        g, share = batch_innermost(g), xp.zeros(image.shape, g.dtype)
        for rows, images in parts:
            part = g[:, rows, :, images]
            columns = scratch("columns", (c, *window.kernel, *part.shape[1:]), g)
            xp.matmul(
                kernels.swapaxes(1, 2),
                part.reshape(groups, o // groups, -1),
                out=columns.reshape(groups, depth // groups, -1),
            )
            col2im(columns, window, rows.start, rows.stop, share[..., images])
        return batch_first(share)

    def grad_weight(g: Any) -> Any:
        g, share = batch_innermost(g), xp.zeros(kernels.shape, g.dtype)
        for rows, images in parts:
            part = g[:, rows, :, images].reshape(groups, o // groups, -1)
            product = scratch("product", kernels.shape, g)
            share += xp.matmul(part, unfolded(rows, images).swapaxes(1, 2), out=product)
        return share.reshape(weight.shape)

    return batch_first(out), grad_x, grad_weight


def conv_window(
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    stride: Size,
    padding: Size,
    dilation: Size,
    groups: int,
) -> Window:
    """The window of a convolution; ShapeError for channels or groups that do not fit."""
    if len(x_shape) != 4 or len(weight_shape) != 4:
        raise ShapeError(
            f"conv2d takes x (n, c, h, w) and weight (o, c, kh, kw), got {x_shape}, {weight_shape}"
        )
    c = x_shape[1]
    if not (c and weight_shape[0]):
        raise ShapeError(
            f"conv2d needs a channel and an output or more, got {x_shape}, {weight_shape}"
        )
    require_groups(groups, c, weight_shape[0])
    if weight_shape[1] != c // groups:
        raise ShapeError(
            f"conv2d expects {weight_shape[1] * groups} channels, got {c} (input {x_shape})"
        )
    return window_over(x_shape, weight_shape[2:], stride, padding, dilation)


def require_groups(groups: int, channels: int, outputs: int) -> None:
    """ShapeError where the groups are no equal parts of the channels and of the outputs."""
    if not isinstance(groups, numbers.Integral) or groups < 1:
        raise ShapeError(f"groups must be a whole number from 1, got {groups!r}")
    if channels % groups or outputs % groups:
        raise ShapeError(f"{groups} groups do not divide {channels} channels and {outputs} outputs")


# --- pooling -------------------------------------------------------------------------------------


@op
def max_pool2d(x: Any, *, kernel: Size, stride: Size | None = None, padding: Size = 0) -> Any:
    """y[n,c,i,j] = the largest x in the window at (i, j); windows may overlap. x is (n, c, h, w).

    ``stride`` is the kernel's size unless given. Padding never wins; of equals, the first in the
    window gets the gradient. ShapeError for padding beyond half the kernel, for then a window could
    lie in the padding altogether.

    >>> import numpy as np
    >>> max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), kernel=2).data.ravel()
    array([ 5.,  7., 13., 15.])
    """
    window, xp = pool_window(x.shape, kernel, stride, padding), array_module(x)
    image = batch_innermost(as_float(x))
    out = xp.full((len(image), *window.outputs, len(x)), -math.inf, image.dtype)
    for _, outputs, inputs in window.cells(0, window.outputs[0]):
        xp.maximum(out[outputs], image[inputs], out=out[outputs])

    def grad_x(g: Any) -> Any:
        g, share = batch_innermost(g), xp.zeros(image.shape, g.dtype)
        undecided = xp.ones(out.shape, bool)
        some_nan, finite = bool(xp.isnan(out).any()), bool(xp.isfinite(g).all())
        for _, outputs, inputs in window.cells(0, window.outputs[0]):
            seen, part = image[inputs], g[outputs]
            won = seen == out[outputs]
            if some_nan:
                won |= seen != seen  # a NaN wins, and is the only one to
            won &= undecided[outputs]
            undecided[outputs] ^= won
            # The product is much sooner there than `where`, but inf · 0 is no 0.
            share[inputs] += part * won if finite else xp.where(won, part, 0)
        return batch_first(share)

    return batch_first(out), grad_x


@op
def avg_pool2d(x: Any, *, kernel: Size, stride: Size | None = None, padding: Size = 0) -> Any:
    """y[n,c,i,j] = Σ x in the window at (i, j) / (kh·kw): zeros in the padding count as pixels.

    ``x`` is (n, c, h, w); ``stride`` is the kernel's size unless given.

    >>> import numpy as np
    >>> avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), kernel=2).data.ravel()
    array([ 2.5,  4.5, 10.5, 12.5])
    """
    window, xp = pool_window(x.shape, kernel, stride, padding), array_module(x)
    image, count = batch_innermost(as_float(x)), math.prod(window.kernel)
    shape, out = image.shape, xp.zeros((len(image), *window.outputs, len(x)), image.dtype)
    for _, outputs, inputs in window.cells(0, window.outputs[0]):
        out[outputs] += image[inputs]
    out /= count

    def grad_x(g: Any) -> Any:
        g, share = batch_innermost(g) / count, xp.zeros(shape, g.dtype)
        for _, outputs, inputs in window.cells(0, window.outputs[0]):
            share[inputs] += g[outputs]
        return batch_first(share)

    return batch_first(out), grad_x


def pool_window(shape: tuple[int, ...], kernel: Size, stride: Size | None, padding: Size) -> Window:
    """The window of a pool; ShapeError where it does not fit."""
    if len(shape) != 4:
        raise ShapeError(f"a pool takes images (n, c, h, w), got {shape}")
    require_pool(kernel, stride, padding)
    return window_over(shape, kernel, kernel if stride is None else stride, padding)


def require_pool(kernel: Size, stride: Size | None, padding: Size) -> None:
    """ShapeError for a pool that fits no image, or could lie in the padding altogether."""
    kernels, _, paddings, _ = sliding(kernel, kernel if stride is None else stride, padding)
    if any(2 * pad > size for pad, size in zip(paddings, kernels)):
        raise ShapeError(f"padding {padding} is more than half of the kernel {kernel}")
