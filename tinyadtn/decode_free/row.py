"""A convolution through the factors of its kernel: a row of smaller convolutions, or by patches.

A kernel of low rank, W = A·B, is r filters (the rows of B) and then a 1×1 convolution (A). A Tucker
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
from ..ops.fast.winograd import LEAST_CHANNELS
from ..ops.shapes import broadcast_to
from ..ops.windows import batch_first, batch_innermost, col2im, im2col
from .chain import Chain
from .cost import CALL, COPIED, work
from .few_filters import few_filters_conv2d

WINOGRAD = 0.7  # of the cost of the sum, for a 3×3 kernel with as many channels as Winograd needs
AGAIN = 1.5  # the backward pass of patches computes the states again
BLOCK = 2**21  # floats of the patches that go through a chain at the same time
Kernel = tuple[int, ...]  # (filters, channels, rows, columns)


@dataclass(frozen=True)
class ConvChain:
    """Kernels applied one after another, without their entries; only ``sliding`` has a window.

    ``sliding`` is the index of the kernel that slides; all others are 1×1. With groups, every group
    goes through the same kernels except the last, which has the outputs of all groups. ``chain`` is
    the chain of two cores that the kernels were made from, if there is one.
    """

    kernels: tuple[Kernel, ...]
    sliding: int
    chain: Chain | None = None

    @classmethod
    def of(cls, chain: Chain, shape: Sequence[int]) -> ConvChain | None:
        """Return filters and a 1×1 convolution, if the chain has that form for a kernel's shape.

        >>> ConvChain.of(Chain(((1, 8, 1, 2), (2, 1, 27, 1))), (8, 3, 3, 3)).kernels
        ((2, 3, 3, 3), (8, 2, 1, 1))
        """
        o, c, p, q = shape
        rank = chain.rank
        return None if rank is None else cls(((rank, c, p, q), (o, rank, 1, 1)), 0, chain)

    @property
    def build_work(self) -> int:
        """The cost of computing the factors."""
        return 0 if self.chain is None else self.chain.build_work

    def kernels_of(self, cores: Sequence[Tensor]) -> list[Tensor]:
        """Return the cores of the chain as the kernels, in the order of its steps."""
        assert self.chain is not None
        matrices = self.chain.matrices(cores)
        return [matrices[step[0]].reshape(k) for step, k in zip(self.chain.steps, self.kernels)]

    def _with_pixels(
        self, in_pixels: int, out_pixels: int, groups: int
    ) -> Iterator[tuple[Kernel, int, int]]:
        """Yield each kernel as one group uses it, with the pixels before it and after it."""
        for k, (filters, *rest) in enumerate(self.kernels):
            filters //= groups if k == len(self.kernels) - 1 else 1
            before = in_pixels if k <= self.sliding else out_pixels
            after = out_pixels if k >= self.sliding else in_pixels
            yield (filters, *rest), before, after

    def multiply_adds(self, in_pixels: int, out_pixels: int, groups: int = 1) -> int:
        """Count the multiply-adds for that many pixels before and after."""
        kernels = self._with_pixels(in_pixels, out_pixels, groups)
        return groups * sum(math.prod(kernel) * after for kernel, _, after in kernels)

    def work(self, in_pixels: int, out_pixels: int, groups: int = 1) -> int:
        """Estimate the cost with memory traffic, in multiply-adds of a large product."""
        return groups * sum(
            few_work(kernel, before, after) if is_few(kernel) else conv_work(kernel, after)
            for kernel, before, after in self._with_pixels(in_pixels, out_pixels, groups)
        )

    def floats(self, in_pixels: int, out_pixels: int, groups: int = 1) -> int:
        """Count the floats that training keeps between kernels: products, sums, a gradient."""
        return groups * sum(
            kernel[0] * (math.prod(kernel[2:]) * before + 2 * after)
            for kernel, before, after in self._with_pixels(in_pixels, out_pixels, groups)
        )

    def apply(self, x: Tensor, kernels: Sequence[Tensor], geometry: Geometry) -> Tensor:
        """Apply the convolutions in turn."""
        groups = geometry.groups
        for k, kernel in enumerate(kernels):
            options = vars(geometry) if k == self.sliding else {"groups": groups}
            if groups > 1 and k < len(kernels) - 1:
                wide = broadcast_to(kernel, shape=(groups, *kernel.shape))
                kernel = wide.reshape(groups * kernel.shape[0], *kernel.shape[1:])
            convolve = few_filters_conv2d if is_few(self.kernels[k]) else conv2d
            x = convolve(x, kernel, **options)
        return x


def is_few(kernel: Kernel) -> bool:
    """Return whether ``few_filters_conv2d`` is cheaper: fewer filters than channels, a window."""
    return kernel[0] < kernel[1] and math.prod(kernel[2:]) > 1


def few_work(kernel: Kernel, in_pixels: int, out_pixels: int) -> int:
    """Estimate the cost of ``few_filters_conv2d``: pixels by cells, then sums of the products."""
    filters, channels, *window = kernel
    cells = math.prod(window)
    shifts = 2 * cells * CALL + COPIED * cells * filters * out_pixels
    return work(cells * filters, channels, in_pixels) + shifts


def conv_work(kernel: Kernel, out_pixels: int) -> int:
    """Estimate the cost of ``conv2d``: arrange the patches, then multiply."""
    product = work(kernel[0], math.prod(kernel[1:]), out_pixels)
    if kernel[2:] == (3, 3) and min(kernel[:2]) >= LEAST_CHANNELS:
        product = round(WINOGRAD * product)
    return unfold_work(kernel, out_pixels) + product


def unfold_work(kernel: Kernel, out_pixels: int) -> int:
    """Estimate the cost of arranging the patches."""
    return math.prod(kernel[2:]) * (2 * CALL + COPIED * kernel[1] * out_pixels)


# --- a chain and patches -------------------------------------------------------------------------


def patches_work(chain: Chain, kernel: Kernel, out_pixels: int) -> int:
    """Estimate the cost of ``patches_through``: arrange the patches, then pass them in blocks."""
    batch = max(1, min(out_pixels, BLOCK // chain.widest))
    count = -(-out_pixels // batch)
    return count * (unfold_work(kernel, batch) + round(AGAIN * chain.work(batch)))


@op(joint=True)
def patches_through(
    x: Array, *cores: Array, chain: Chain, shape: Sequence[int], geometry: Geometry
) -> Any:
    """y = conv2d(x, W), with the kernel W of that shape that the chain's cores form; no groups.

    The patches of some output rows of some images go through at a time, so that they stay in cache.
    The backward pass arranges them again.
    """
    window = conv_window(x.shape, tuple(shape), **vars(geometry))
    xp, outputs = array_module(x), shape[0]
    image, matrices = batch_innermost(x), chain.matrices(cores)
    height, width = window.outputs
    several = max(1, BLOCK // (chain.widest * width))  # output rows, each of one image
    step = max(1, several // max(1, len(x)))
    parts = [
        (slice(i, min(i + step, height)), slice(k, k + several))
        for i in range(0, height, step)
        for k in range(0, len(x), several)
    ]

    def unfolded(rows: slice, images: slice) -> Any:
        patches = im2col(image[..., images], window, rows.start, rows.stop)
        return patches.reshape(math.prod(shape[1:]), -1)

    out = xp.empty((outputs, *window.outputs, len(x)), xp.result_type(x, *cores))
    for rows, images in parts:
        product, _ = chain.apply(unfolded(rows, images), matrices)
        part = out[:, rows, :, images]
        part[...] = product.reshape(part.shape)

    def backward(g: Array) -> list[Any]:
        g, share = batch_innermost(g), xp.zeros(image.shape, g.dtype)
        totals = [xp.zeros_like(matrix) for matrix in matrices]
        for rows, images in parts:
            _, states = chain.apply(unfolded(rows, images), matrices)
            part = g[:, rows, :, images]
            columns, grads = chain.pull_back(part.reshape(outputs, -1), states, matrices)
            for total, grad in zip(totals, grads):
                total += grad
            columns = columns.reshape(*shape[1:], *part.shape[1:])
            col2im(columns, window, rows.start, rows.stop, share[..., images])
        grad_cores = [c.reshape(a.shape) for c, a in zip(chain.cores_of(totals), cores)]
        return [batch_first(share), *grad_cores]

    return batch_first(out), backward
