"""Convolution and its gradients, as one matrix product of the columns that ``im2col`` makes.

``windows`` explains im2col and its adjoint col2im. Images are (n, c, h, w) for the caller and
(c, h, w, n) in memory. ``fast/`` holds two other ways to compute the same; skip them at first.
"""

from __future__ import annotations

import numbers
from typing import Any

from ..autodiff.arrays import Array, as_float
from ..autodiff.engine import op
from ..errors import ShapeError
from .fast import blocked_conv, winograd
from .windows import (
    Padding,
    Size,
    SlidingWindow,
    batch_first,
    batch_innermost,
    col2im,
    im2col,
    window_over,
)


@op
def conv2d(
    x: Array,
    weight: Array,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Any:
    """y[n,o,i,j] = Σ_cpq weight[o,c,p,q] · x[n, c, i·stride + p·dilation − padding, …].

    ``x`` is (n, c, h, w), ``weight`` (o, c / groups, kh, kw), the result (n, o, oh, ow). With
    groups, the g-th o / groups outputs read only the g-th c / groups channels. ``padding`` is one
    number, (vertical, horizontal), ((top, bottom), (left, right)), or "same": ⌈image / stride⌉
    outputs, as in TensorFlow (and in torch, where the stride must be 1). The kernel is not
    flipped, as everywhere in neural networks; mathematicians call this a cross-correlation.

    Large 3×3 convolutions in float32 on a CPU use Winograd's algorithm (``fast/winograd``). Its
    error is about 1e-5 of the largest output nearby. float64 always uses the sum.

    >>> import numpy as np
    >>> conv2d(np.ones((2, 3, 8, 9)), np.ones((4, 3, 3, 3)), padding=1, stride=2).shape
    (2, 4, 4, 5)
    """
    window = conv_window(x.shape, weight.shape, stride, padding, dilation, groups)
    image, weight = batch_innermost(as_float(x)), as_float(weight)  # image (c, h, w, n)
    if winograd.applies(image, weight, window, groups):
        return winograd.conv2d(image, weight, window)
    if blocked_conv.applies(image, window):
        return blocked_conv.conv2d(image, weight, window, groups)

    o, n = len(weight), len(x)
    kernels = weight.reshape(groups, o // groups, -1)  # (g, o / g, cpq)

    def columns() -> Any:  # computed twice, because they are kh·kw times the image
        return im2col(image, window).reshape(groups, kernels.shape[2], -1)  # (g, cpq, ijn)

    def matrix(g: Array) -> Any:
        return batch_innermost(g).reshape(groups, o // groups, -1)  # (g, o / g, ijn)

    def grad_weight(g: Array) -> Any:
        return (matrix(g) @ columns().swapaxes(1, 2)).reshape(weight.shape)

    y = kernels @ columns()  # (g, o / g, ijn)
    y = batch_first(y.reshape(o, *window.outputs, n))
    return y, lambda g: adjoint(g, weight, window, groups), grad_weight


def adjoint(g: Array, weight: Array, window: SlidingWindow, groups: int) -> Any:
    """Return dL/dx from g = dL/dy (n, o, oh, ow): every output adds to the inputs that it read."""
    o, c, n = len(weight), groups * weight.shape[1], len(g)
    kernels = weight.reshape(groups, o // groups, -1).swapaxes(1, 2)  # (g, cpq, o / g)
    columns = kernels @ batch_innermost(g).reshape(groups, o // groups, -1)  # (g, cpq, ijn)
    return batch_first(col2im(columns.reshape(c, *window.kernel, *window.outputs, n), window))


def conv_window(
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    stride: Size,
    padding: Padding,
    dilation: Size,
    groups: int,
) -> SlidingWindow:
    """Return the window of a convolution; ShapeError for channels or groups that do not fit."""
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
    """Raise ShapeError if the groups do not divide the channels and the outputs."""
    if not isinstance(groups, numbers.Integral) or groups < 1:
        raise ShapeError(f"groups must be a whole number from 1, got {groups!r}")
    if channels % groups or outputs % groups:
        raise ShapeError(f"{groups} groups do not divide {channels} channels and {outputs} outputs")
