"""Transposed convolution: the adjoint of ``conv2d``, from small images to large ones."""

from __future__ import annotations

from typing import Any

from ..autodiff.arrays import Array, as_float
from ..autodiff.engine import op
from ..errors import ShapeError
from .arguments import require_result_fits
from .conv import adjoint, conv2d, conv_window
from .windows import Padding, Size, pair, sliding


@op(joint=True)
def conv_transpose2d(
    x: Array,
    weight: Array,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    output_padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Any:
    """Return dL/dx of ``conv2d`` with this weight, where dL/dy is the argument x.

    ``x`` is (n, o, oh, ow) and ``weight`` (o, c / groups, kh, kw); the result is (n, c, h, w) with
    h = (oh - 1)·stride - 2·padding + dilation·(kh - 1) + 1 + output_padding. Several h lead to one
    oh; ``output_padding``, below the stride, selects one. Options and shapes are those of torch.

    >>> import numpy as np
    >>> conv_transpose2d([[[[1.0, 2.0]]]], np.ones((1, 1, 1, 2)), stride=2).data.ravel().tolist()
    [1.0, 1.0, 2.0, 2.0]
    """
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != len(weight) or padding == "same":
        raise ShapeError(
            "conv_transpose2d takes x (n, o, oh, ow), weight (o, c, kh, kw) and a padding of "
            f"numbers, got {x.shape}, {weight.shape} and padding {padding!r}"
        )
    x = as_float(x)
    kernel, steps, before, spread, after = sliding(weight.shape[2:], stride, padding, dilation)
    axes = zip(x.shape[2:], steps, before, after, spread, kernel, pair(output_padding))
    h, w = ((n - 1) * s - p - q + d * (k - 1) + 1 + extra for n, s, p, q, d, k, extra in axes)
    shape = (len(x), weight.shape[1] * groups, h, w)
    window = conv_window(shape, weight.shape, stride, padding, dilation, groups)
    if min(h, w) < 1 or window.outputs != x.shape[2:]:
        raise ShapeError(
            f"conv_transpose2d of {x.shape} with padding {padding} is no image {shape[2:]}; "
            f"output_padding must be from 0 to below the stride, got {output_padding}"
        )

    require_result_fits("conv_transpose2d", shape)

    def gradients(g: Array) -> list:
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        y, _, grad_weight = conv2d.__wrapped__(g, weight, **options)  # on arrays, not recorded
        return [y, grad_weight(x)]

    return adjoint(x, weight, window, groups), gradients
