"""The convolution of ``conv``, a block at a time: some output rows of some images.

The patches of a whole batch do not fit into the cache: im2col writes kh·kw times the image to
memory, and the product reads it again. So a block is unfolded into memory that is reused
(``scratch``), multiplied while it is in the cache, and forgotten. The gradient of the weight
unfolds it once more, which is cheaper than keeping it.
"""

from __future__ import annotations

import math
from typing import Any

from ...autodiff.arrays import Array, array_module
from ..windows import SlidingWindow, batch_first, batch_innermost, blocks, col2im, im2col
from .scratch import scratch


def applies(image: Array, window: SlidingWindow) -> bool:
    """Whether the patches of the image (c, h, w, n) are more than one block."""
    depth = len(image) * math.prod(window.kernel)
    parts = blocks(depth, window.outputs, image.shape[-1])
    return next(parts, None) is not None and next(parts, None) is not None


def conv2d(image: Array, weight: Array, window: SlidingWindow, groups: int) -> tuple[Any, Any, Any]:
    """The value of ``conv.conv2d`` and its two VJPs, for an image (c, h, w, n)."""
    xp, (c, *_, n), o = array_module(image), image.shape, weight.shape[0]
    kernels = weight.reshape(groups, o // groups, -1)  # (g, o, cpq)
    depth = c * math.prod(window.kernel)
    parts = list(blocks(depth, window.outputs, n))
    out = xp.empty((o, *window.outputs, n), xp.result_type(image, weight))

    def unfolded(rows: slice, images: slice) -> Array:
        lengths = rows.stop - rows.start, window.outputs[1], images.stop - images.start
        columns = scratch("columns", (c, *window.kernel, *lengths), image)
        im2col(image[..., images], window, rows.start, rows.stop, out=columns)
        return columns.reshape(groups, depth // groups, -1)  # (g, cpq, ijn)

    for rows, images in parts:
        product = kernels @ unfolded(rows, images)
        part = out[:, rows, :, images]
        part[...] = product.reshape(part.shape)

    def grad_x(g: Array) -> Array:
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

    def grad_weight(g: Array) -> Array:
        g, share = batch_innermost(g), xp.zeros(weight.shape, g.dtype)
        total = share.reshape(kernels.shape)
        for rows, images in parts:
            part = g[:, rows, :, images].reshape(groups, o // groups, -1)
            product = scratch("product", kernels.shape, g)
            total += xp.matmul(part, unfolded(rows, images).swapaxes(1, 2), out=product)
        return share

    return batch_first(out), grad_x, grad_weight
