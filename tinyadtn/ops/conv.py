"""Convolution and its gradients: patches of the image side by side, and one matrix product.

``im2col`` lays out the patch that each output sees (see ``windows``), the kernels are multiplied
with all patches at once, and ``col2im``, the adjoint of ``im2col``, brings gradients back to the
pixels. Images are (c, h, w, n) in memory; to the caller they are (n, c, h, w).

Two other schedules compute the same: ``blocked_conv`` takes a part of a large batch at a time, so
that patches stay in the cache, and ``winograd`` needs fewer multiplications.
"""

from __future__ import annotations

import numbers
from typing import Any

from ..autodiff.arrays import Array, array_module
from ..autodiff.engine import op
from ..errors import ShapeError
from .fast import blocked_conv, winograd
from .windows import Size, SlidingWindow, batch_first, batch_innermost, col2im, im2col, window_over


@op
def conv2d(
    x: Array,
    weight: Array,
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
    Large 3×3 convolutions in float32 on a CPU use Winograd's algorithm (``winograd``): there an
    error is some 1e-5 of the largest value nearby, not of the sum. float64 always sums.

    >>> import numpy as np
    >>> conv2d(np.ones((2, 3, 8, 9)), np.ones((4, 3, 3, 3)), padding=1, stride=2).shape
    (2, 4, 4, 5)
    """
    window = conv_window(x.shape, weight.shape, stride, padding, dilation, groups)
    image = batch_innermost(x)
    if winograd.applies(image, weight, window, groups):
        return winograd.conv2d(image, weight, window)
    if blocked_conv.applies(image, window):
        return blocked_conv.conv2d(image, weight, window, groups)
    (rows, _), o = window.outputs, weight.shape[0]
    kernels = weight.reshape(groups, o // groups, -1)  # (g, o, cpq)

    def patches() -> Any:  # laid out again for the gradient: cheaper than keeping them
        return im2col(image, window, 0, rows).reshape(groups, kernels.shape[2], -1)  # (g, cpq, ijn)

    out = (kernels @ patches()).reshape(o, *window.outputs, len(x))

    def grad_x(g: Array) -> Any:
        g = batch_innermost(g).reshape(groups, o // groups, -1)  # (g, o, ijn)
        columns = kernels.swapaxes(1, 2) @ g  # (g, cpq, ijn)
        share = array_module(g).zeros(image.shape, g.dtype)
        col2im(columns.reshape(len(image), *window.kernel, *out.shape[1:]), window, 0, rows, share)
        return batch_first(share)

    def grad_weight(g: Array) -> Any:
        g = batch_innermost(g).reshape(groups, o // groups, -1)  # (g, o, ijn)
        return (g @ patches().swapaxes(1, 2)).reshape(weight.shape)

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
