"""A convolution as a row of smaller ones, and a chain that takes an image's patches as its batch.

A weight of low rank, W = A·B, is r filters (the rows of B) and then a 1×1 convolution (A). A Tucker
kernel is a 1×1 convolution, a small one, and a 1×1. A chain of any other form still maps vectors to
vectors: the patches of the image are the vectors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..autodiff.arrays import Array, array_module
from ..autodiff.engine import Tensor, op
from ..nn.weights import Geometry
from ..ops.conv import conv2d, conv_window
from ..ops.shapes import broadcast_to
from ..ops.windows import batch_first, batch_innermost, col2im, im2col
from .chain import Chain
from .cost import CALL, COPIED, work
from .few_filters import few_filters_conv2d

BLOCK = 2**22  # numbers that patches become at once on their way through a chain
Kernel = tuple[int, int, int, int]  # (filters, channels, rows, columns)


@dataclass(frozen=True)
class ConvChain:
    """Kernels one behind the other, without their numbers; that at ``sliding`` has the window.

    All others are 1×1. With groups, every group goes through the same kernels but the last, which
    has the outputs of all groups. ``chain`` is the chain of two cores that this is another form of.
    """

    kernels: tuple[Kernel, ...]
    sliding: int
    chain: Chain | None = None

    @classmethod
    def of(cls, chain: Chain, shape: Sequence[int]) -> ConvChain | None:
        """Filters and a 1×1 convolution, if that is what the chain is for a kernel of this shape.

        >>> ConvChain.of(Chain(((1, 8, 1, 2), (2, 1, 27, 1))), (8, 3, 3, 3)).kernels
        ((2, 3, 3, 3), (8, 2, 1, 1))
        """
        o, c, p, q = shape
        rank = chain.rank
        return None if rank is None else cls(((rank, c, p, q), (o, rank, 1, 1)), 0, chain)

    def kernels_of(self, cores: Sequence[Tensor]) -> list[Tensor]:
        """The two cores of the chain as the two kernels."""
        into, out = self.kernels
        if self.chain is None or self.chain.from_right:
            last, first = cores
        else:
            first, last = (core.reshape(-1, size).T for core, size in zip(cores, (into[0], out[0])))
        return [first.reshape(into), last.reshape(out)]

    def _with_pixels(
        self, in_pixels: int, out_pixels: int, groups: int
    ) -> Iterator[tuple[Sequence[int], int, int]]:
        """Each kernel as one group uses it, with the pixels before it and after it."""
        for k, (filters, *rest) in enumerate(self.kernels):
            filters //= groups if k == len(self.kernels) - 1 else 1
            before, after = (
                in_pixels if k <= self.sliding else out_pixels,
                out_pixels if k >= self.sliding else in_pixels,
            )
            yield (filters, *rest), before, after

    def multiply_adds(self, in_pixels: int, out_pixels: int, groups: int = 1) -> int:
        """For so many pixels that the window sees and makes."""
        kernels = self._with_pixels(in_pixels, out_pixels, groups)
        return groups * sum(math.prod(kernel) * after for kernel, _, after in kernels)

    def work(self, in_pixels: int, out_pixels: int, groups: int = 1) -> int:
        """The same with all that is moved, in multiply-adds of a large product."""
        return groups * sum(
            few_work(kernel, before, after) if is_few(kernel) else patch_work(kernel, after)
            for kernel, before, after in self._with_pixels(in_pixels, out_pixels, groups)
        )

    def floats(self, in_pixels: int, out_pixels: int, groups: int = 1) -> int:
        """Numbers that training holds between the kernels: products, their sums, a gradient."""
        return groups * sum(
            kernel[0] * (math.prod(kernel[2:]) * before + 2 * after)
            for kernel, before, after in self._with_pixels(in_pixels, out_pixels, groups)
        )

    def apply(self, x: Tensor, kernels: Sequence[Tensor], bias: Any, geometry: Geometry) -> Tensor:
        """The convolutions in turn; the last adds the bias."""
        groups = geometry.groups
        for k, kernel in enumerate(kernels):
            options = vars(geometry) if k == self.sliding else {"groups": groups}
            last = k == len(kernels) - 1
            if not last and groups > 1:
                wide = broadcast_to(kernel, shape=(groups, *kernel.shape))
                kernel = wide.reshape(groups * kernel.shape[0], *kernel.shape[1:])
            added = () if bias is None or not last else (bias,)
            if is_few((kernel.shape[0] // groups, *kernel.shape[1:])):
                x = few_filters_conv2d(x, kernel, *added, **options)
            else:
                x = conv2d(x, kernel, **options)
                x = x if not added else x + bias.reshape(-1, 1, 1)
        return x


def is_few(kernel: Sequence[int]) -> bool:
    """Fewer filters than channels, or nothing to shift: ``few_filters_conv2d`` moves less."""
    return kernel[0] < kernel[1] or tuple(kernel[2:]) == (1, 1)


def few_work(kernel: Sequence[int], in_pixels: int, out_pixels: int) -> int:
    """Of ``few_filters_conv2d``: every pixel by every cell, then each product to its output."""
    filters, channels, *window = kernel
    cells = math.prod(window)
    shifts = 0 if cells == 1 else 2 * cells * CALL + COPIED * cells * filters * out_pixels
    return work(cells * filters, channels, in_pixels) + shifts


def patch_work(kernel: Sequence[int], out_pixels: int) -> int:
    """Of ``conv2d``: patches laid out, then multiplied."""
    filters, channels, *window = kernel
    return unfold_work(kernel, out_pixels) + work(filters, channels * math.prod(window), out_pixels)


def unfold_work(kernel: Sequence[int], out_pixels: int) -> int:
    """Of laying out the patches."""
    cells = math.prod(kernel[2:])
    return 2 * cells * CALL + COPIED * cells * kernel[1] * out_pixels


# --- a chain and patches -------------------------------------------------------------------------


def patches_work(chain: Chain, kernel: Sequence[int], out_pixels: int) -> int:
    """Of ``patches_through``: patches laid out, then put through, so many at a time."""
    batch = max(1, min(out_pixels, BLOCK // chain.widest))
    return unfold_work(kernel, out_pixels) + chain.work(batch) * out_pixels // batch


@op(joint=True)
def patches_through(
    x: Array,
    *arrays: Array,
    chain: Chain,
    kernel: tuple[int, int],
    biased: bool,
    geometry: Geometry,
) -> Any:
    """y = conv2d(x, weight) (+ bias) for the weight that the chain's cores make; no groups.

    Patches go through a few output pixels at a time and are laid out again on the way back.
    """
    cores = arrays[:-1] if biased else arrays
    outputs = len(chain.out) if chain.out is not None else math.prod(c[1] for c in chain.cores)
    shape = (outputs, x.shape[1], *kernel)
    window = conv_window(x.shape, shape, *vars(geometry).values())
    image, matrices = batch_innermost(x), chain.matrices(cores)
    xp, n = array_module(x), x.shape[0]
    (height, width), step = window.outputs, max(1, BLOCK // (chain.widest * window.outputs[1]))
    blocks = [
        (row, slice(first, first + step)) for row in range(height) for first in range(0, n, step)
    ]

    def unfolded(row: int, images: slice) -> Any:
        columns = im2col(image[..., images], window, row, row + 1)
        return columns.reshape(math.prod(shape[1:]), -1)

    out = xp.empty((outputs, height, width, n), xp.result_type(x, *cores))
    for row, images in blocks:
        part, _ = chain.apply(unfolded(row, images), matrices)
        out[:, row, :, images] = part.reshape(outputs, width, -1)
    if biased:
        out += arrays[-1].reshape(-1, 1, 1, 1)

    def backward(g: Array) -> list[Any]:
        g, share = batch_innermost(g), xp.zeros(image.shape, g.dtype)
        totals = [xp.zeros_like(matrix) for matrix in matrices]
        for row, images in blocks:
            _, states = chain.apply(unfolded(row, images), matrices)
            part = g[:, row, :, images].reshape(outputs, -1)
            columns, grads = chain.pull_back(part, states, matrices)
            for total, grad in zip(totals, grads):
                total += grad
            columns = columns.reshape(*shape[1:], 1, width, -1)
            col2im(columns, window, row, row + 1, share[..., images])
        shaped = [c.reshape(a.shape) for c, a in zip(chain.cores_of(totals), cores)]
        return [batch_first(share), *shaped, *([g.sum(axis=(1, 2, 3))] if biased else [])]

    return batch_first(out), backward
