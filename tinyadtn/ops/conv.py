"""Convolution and pooling, and their gradients: a window slides over the image (see ``windows``).

Images are (c, h, w, n) in memory and (n, c, h, w) to whoever looks.
"""

from __future__ import annotations

import math
import numbers
from typing import Any

from ..autodiff.arrays import array_module
from ..autodiff.engine import op
from ..errors import ShapeError
from .fast import winograd
from .fast.scratch import scratch
from .windows import (
    Size,
    SlidingWindow,
    batch_first,
    batch_innermost,
    blocks,
    col2im,
    im2col,
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
    if winograd.applies(image, weight, window, groups):
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
) -> SlidingWindow:
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
