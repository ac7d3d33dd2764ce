"""Convolution and pooling: a window slides over the image, and each of its cells is a slice.

A kernel cell (p, q) meets the output (i, j) at the input (i·stride + p·dilation − padding, …). For
one cell and all outputs together these inputs are a strided slice of the image. So a pool is a
maximum of kh·kw slices, and a convolution is a matrix product once the slices lie one above the
other (``im2col``). The adjoint of taking slices is adding to slices (``col2im``): that is the whole
gradient. Outputs whose input lies in the padding are left out of the slice, so nothing is padded.

Shapes are (n, c, h, w) to whoever looks; in memory the batch lies innermost, (c, h, w, n). A slice
is then made of runs over the whole batch, and all images share every product. NumPy's elementwise
functions keep that order, so it is established once, by the first convolution.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .backend import array_module, as_float
from .engine import op
from .errors import ShapeError

Pair = tuple[int, int]
Size = int | Pair
BLOCK = 2**19  # numbers that im2col lays out at once: they are multiplied while still in the cache


@dataclass(frozen=True)
class Window:
    """How a window slides along the two axes of an image: every field is a (vertical, horizontal).

    >>> Window((28, 28), kernel=(5, 5), padding=(2, 2)).outputs
    (28, 28)
    """

    image: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    @property
    def outputs(self) -> tuple[int, int]:
        """⌊(image + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1."""
        rows, columns = (
            (n + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
            for n, kernel, stride, pad, dilation in zip(
                self.image, self.kernel, self.stride, self.padding, self.dilation
            )
        )
        return rows, columns

    def cells(self, start: int, stop: int) -> Iterator[tuple[tuple, tuple, tuple]]:
        """For each kernel cell: itself, its outputs in rows start … stop − 1, and their inputs.

        Outputs and inputs are two slices of equal lengths, for arrays that end in … h, w, n.
        """
        columns = [self._slices(1, q, 0, self.outputs[1]) for q in range(self.kernel[1])]
        for p in range(self.kernel[0]):
            out_rows, in_rows = self._slices(0, p, start, stop)
            for q, (out_columns, in_columns) in enumerate(columns):
                every = slice(None)
                yield (
                    (p, q),
                    (every, out_rows, out_columns, every),
                    (every, in_rows, in_columns, every),
                )

    def _slices(self, axis: int, cell: int, start: int, stop: int) -> tuple[slice, slice]:
        """Along one axis: which of the outputs start … stop − 1 have an input, and those inputs."""
        stride = self.stride[axis]
        offset = cell * self.dilation[axis] - self.padding[axis]  # input = output · stride + offset
        first = max(start, -(offset // stride))  # the first output whose input is ≥ 0
        last = min(stop, (self.image[axis] - 1 - offset) // stride + 1)
        if last <= first:
            return slice(0, 0), slice(0, 0)
        inputs = slice(first * stride + offset, (last - 1) * stride + offset + 1, stride)
        return slice(first - start, last - start), inputs


def window_over(
    shape: tuple[int, ...],
    kernel: Size,
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
) -> Window:
    """The window for images of shape (…, h, w); ShapeError where it does not fit even once.

    >>> window_over((3, 224, 224), kernel=11, stride=4, padding=2).outputs
    (55, 55)
    """
    window = Window((shape[-2], shape[-1]), *sliding(kernel, stride, padding, dilation))
    if min(window.outputs) < 1:
        raise ShapeError(
            f"a kernel of {window.kernel} with dilation {window.dilation} does not fit into an "
            f"image of {window.image} with padding {window.padding}"
        )
    return window


def sliding(kernel: Size, stride: Size = 1, padding: Size = 0, dilation: Size = 1) -> list[Pair]:
    """The four as pairs; ShapeError for those that slide over no image, whatever its size.

    >>> sliding(3, stride=(2, 1))
    [(3, 3), (2, 1), (0, 0), (1, 1)]
    """
    pairs = [pair(kernel), pair(stride), pair(padding), pair(dilation)]
    if min(*pairs[0], *pairs[1], *pairs[3]) < 1 or min(pairs[2]) < 0:
        raise ShapeError(
            f"a window needs kernel, stride and dilation from 1 and padding from 0, got {kernel}, "
            f"{stride}, {dilation} and {padding}"
        )
    return pairs


def pair(size: Size) -> Pair:
    """One number for both axes, or a number for each."""
    both = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(both) != 2 or not all(isinstance(n, numbers.Integral) for n in both):
        raise ShapeError(f"expected one whole number or a pair of them, got {size!r}")
    return int(both[0]), int(both[1])


def batch_innermost(x: Any) -> Any:
    """(n, c, h, w) as a contiguous (c, h, w, n): a copy, unless it lies so in memory already."""
    return array_module(x).ascontiguousarray(x.transpose(1, 2, 3, 0))


def batch_first(x: Any) -> Any:
    """(c, h, w, n) seen as (n, c, h, w)."""
    return x.transpose(3, 0, 1, 2)


# --- convolution ---------------------------------------------------------------------------------


def im2col(image: Any, window: Window, start: int, stop: int) -> Any:
    """columns[c,p,q,i,j,n] = image[c, input of cell (p, q) at output (i, j), n]; 0 in the padding.

    ``image`` is (c, h, w, n), i runs over the output rows start … stop − 1.

    >>> import numpy as np
    >>> image = np.arange(9.0).reshape(1, 3, 3, 1)
    >>> im2col(image, Window((3, 3), kernel=(2, 2)), 0, 2).reshape(4, 4)
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.],
           [3., 4., 6., 7.],
           [4., 5., 7., 8.]])
    """
    c, n = image.shape[0], image.shape[-1]
    shape = (c, *window.kernel, stop - start, window.outputs[1], n)
    xp = array_module(image)
    make = xp.empty if window.padding == (0, 0) else xp.zeros  # what lies in the padding stays 0
    columns = make(shape, image.dtype)
    for (p, q), outputs, inputs in window.cells(start, stop):
        columns[:, p, q][outputs] = image[inputs]
    return columns


def col2im(columns: Any, window: Window, start: int, stop: int, image: Any) -> None:
    """The adjoint of ``im2col``: what was copied from a place is added to that place of ``image``.

    An input that several outputs saw gets the sum.
    """
    for (p, q), outputs, inputs in window.cells(start, stop):
        image[inputs] += columns[:, p, q][outputs]


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

    >>> import numpy as np
    >>> conv2d(np.ones((2, 3, 8, 9)), np.ones((4, 3, 3, 3)), padding=1, stride=2).shape
    (2, 4, 4, 5)
    """
    window = conv_window(x.shape, weight.shape, stride, padding, dilation, groups)
    xp, (n, c, *_), o = array_module(x), x.shape, weight.shape[0]
    image = batch_innermost(x)
    kernels = weight.reshape(groups, o // groups, -1)  # (g, o, cpq)
    depth = c * math.prod(window.kernel)
    blocks = list(_blocks(depth, window.outputs, n))
    out = xp.empty((o, *window.outputs, n), xp.result_type(x, weight))

    def unfolded(rows: slice, images: slice) -> Any:
        columns = im2col(image[..., images], window, rows.start, rows.stop)
        return columns.reshape(groups, depth // groups, -1)  # (g, cpq, ijn)

    for rows, images in blocks:
        product = kernels @ unfolded(rows, images)
        part = out[:, rows, :, images]
        part[...] = product.reshape(part.shape)

    def grad_x(g: Any) -> Any:
        g, share = batch_innermost(g), xp.zeros(image.shape, g.dtype)
        for rows, images in blocks:
            part = g[:, rows, :, images]
            columns = kernels.swapaxes(1, 2) @ part.reshape(groups, o // groups, -1)
            columns = columns.reshape(c, *window.kernel, *part.shape[1:])
            col2im(columns, window, rows.start, rows.stop, share[..., images])
        return batch_first(share)

    def grad_weight(g: Any) -> Any:
        g, share = batch_innermost(g), xp.zeros(kernels.shape, g.dtype)
        for rows, images in blocks:
            part = g[:, rows, :, images].reshape(groups, o // groups, -1)
            share += part @ unfolded(rows, images).swapaxes(1, 2)
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


def _blocks(depth: int, outputs: tuple[int, int], n: int) -> Iterator[tuple[slice, slice]]:
    """(output rows, images) of blocks with about BLOCK numbers each, or one row of one image."""
    row = max(1, depth * outputs[1])  # numbers that im2col makes of one output row of one image
    images = max(1, min(n, 2 * BLOCK // row))
    rows = max(1, BLOCK // (row * images))
    for first in range(0, n, images):
        for start in range(0, outputs[0], rows):
            yield slice(start, min(start + rows, outputs[0])), slice(first, min(first + images, n))


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
        for _, outputs, inputs in window.cells(0, window.outputs[0]):
            seen = image[inputs]
            won = (seen == out[outputs]) | (seen != seen)  # a NaN wins, and is the only one to
            won &= undecided[outputs]
            undecided[outputs] ^= won
            share[inputs] += xp.where(won, g[outputs], 0)
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
