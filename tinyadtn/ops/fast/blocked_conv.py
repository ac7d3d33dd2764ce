"""The convolution of ``conv``, evaluated block by block: it takes less memory and stays in cache.

The columns of a whole batch are kh·kw times the images. Here im2col arranges some output rows of
some images at a time. The block is multiplied while it is still in the cache, and the next block
overwrites it. The value and grad_x of a block are parts of the result; its grad_weight is added to
that of the other blocks.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

from ...autodiff.arrays import Array, array_module
from ...autodiff.modes import fast
from ..windows import SlidingWindow, batch_first, batch_innermost, blocks, col2im, im2col
from .products import product
from .scratch import scratch


def applies(image: Array, window: SlidingWindow) -> bool:
    """Return whether the columns of ``image`` (c, h, w, n) are more than one block."""
    depth = len(image) * math.prod(window.kernel)
    several = itertools.islice(blocks(depth, window.outputs, image.shape[-1]), 2)
    return fast.get() and len(list(several)) > 1


def conv2d(image: Array, weight: Array, window: SlidingWindow, groups: int) -> tuple[Any, ...]:
    """Return what the op ``conv2d`` returns: its value and the gradients of x and of the weight.

    ``image`` is x as (c, h, w, n).
    """
    xp, (c, _, _, n), o = array_module(image), image.shape, len(weight)
    kernels = weight.reshape(groups, o // groups, -1)  # (g, o / g, cpq)
    depth = c * math.prod(window.kernel)
    parts = list(blocks(depth, window.outputs, n))

    def unfolded(rows: slice, images: slice) -> Any:
        lengths = rows.stop - rows.start, window.outputs[1], images.stop - images.start
        columns = scratch("columns", (c, *window.kernel, *lengths), image)
        im2col(image[..., images], window, rows.start, rows.stop, out=columns)
        return columns.reshape(groups, depth // groups, -1)  # (g, cpq, ijn)

    out = xp.empty((o, *window.outputs, n), xp.result_type(image, weight))
    for rows, images in parts:
        part, columns = out[:, rows, :, images], unfolded(rows, images)
        outputs = scratch("product", (groups, o // groups, columns.shape[-1]), out)
        part[...] = product(kernels, columns, out=outputs).reshape(part.shape)

    def grad_x(g: Array) -> Any:
        g, share = batch_innermost(g), xp.zeros(image.shape, g.dtype)
        for rows, images in parts:
            part = g[:, rows, :, images]
            columns = scratch("columns", (c, *window.kernel, *part.shape[1:]), g)
            product(
                kernels.swapaxes(1, 2),
                part.reshape(groups, o // groups, -1),
                out=columns.reshape(groups, depth // groups, -1),
            )
            col2im(columns, window, rows.start, rows.stop, share[..., images])
        return batch_first(share)

    def grad_weight(g: Array) -> Any:
        g, total = batch_innermost(g), xp.zeros((groups, depth // groups, o // groups), g.dtype)
        for rows, images in parts:
            part = g[:, rows, :, images].reshape(groups, o // groups, -1)
            share = scratch("product", total.shape, g)
            # The columns come first: BLAS takes half the time if the first factor has more rows.
            total += xp.matmul(unfolded(rows, images), part.swapaxes(1, 2), out=share)
        return total.swapaxes(1, 2).reshape(weight.shape)

    return batch_first(out), grad_x, grad_weight
