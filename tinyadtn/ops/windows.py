"""A window that slides over an image: where its cells are, and the image arranged cell by cell.

A kernel cell (p, q) meets the output (i, j) at the input (i·stride + p·dilation − padding, …). For
one cell and all outputs together these inputs are a strided slice of the image. So a pool is a
maximum of kh·kw slices, and a convolution is a matrix product after the slices are stacked
(``im2col``). The adjoint of taking slices is adding to slices (``col2im``): that is the whole
gradient. Outputs whose input lies in the padding are left out of the slice, so nothing is padded.

Shapes are (n, c, h, w) for the caller; in memory the batch axis is innermost, (c, h, w, n). Then a
slice consists of contiguous runs over the whole batch, and one product serves all images. NumPy's
elementwise functions keep this memory order, so only the first convolution has to copy.
"""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..autodiff.arrays import Array, array_module
from ..errors import ShapeError
from ..limits import require_memory

Pair = tuple[int, int]
Cell = tuple[Pair, tuple[slice, ...], tuple[slice, ...]]
ALL = slice(None)
Size = int | Pair
BLOCK = 2**19  # elements that im2col copies at a time, so that they are multiplied while in cache


@dataclass(frozen=True)
class SlidingWindow:
    """How a window slides along the two axes of an image: every field is (vertical, horizontal).

    >>> SlidingWindow((28, 28), kernel=(5, 5), padding=(2, 2)).outputs
    (28, 28)
    """

    image: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    @functools.cached_property
    def outputs(self) -> tuple[int, int]:
        """⌊(image + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1."""
        rows, columns = (
            (n + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
            for n, kernel, stride, pad, dilation in zip(
                self.image, self.kernel, self.stride, self.padding, self.dilation
            )
        )
        return rows, columns

    def cells(self, start: int, stop: int) -> tuple[Cell, ...]:
        """Return each kernel cell with its outputs in rows start … stop − 1, and their inputs.

        Outputs and inputs are two slices of equal lengths, for arrays that end in … h, w, n.
        """
        return _cells(self, start, stop)

    def _slices(self, axis: int, cell: int, start: int, stop: int) -> tuple[slice, slice]:
        """Return the outputs start … stop − 1 of one axis that have an input, and those inputs."""
        stride = self.stride[axis]
        offset = cell * self.dilation[axis] - self.padding[axis]  # input = output · stride + offset
        first = max(start, -(offset // stride))  # the first output whose input is ≥ 0
        last = min(stop, (self.image[axis] - 1 - offset) // stride + 1)
        if last <= first:
            return slice(0, 0), slice(0, 0)
        inputs = slice(first * stride + offset, (last - 1) * stride + offset + 1, stride)
        return slice(first - start, last - start), inputs


@functools.lru_cache(maxsize=4096)  # a small network needs the same few in every step
def _cells(window: SlidingWindow, start: int, stop: int) -> tuple[Cell, ...]:
    columns = [window._slices(1, q, 0, window.outputs[1]) for q in range(window.kernel[1])]
    cells = []
    for p in range(window.kernel[0]):
        out_rows, in_rows = window._slices(0, p, start, stop)
        for q, (out_columns, in_columns) in enumerate(columns):
            outputs = (ALL, out_rows, out_columns, ALL)
            cells.append(((p, q), outputs, (ALL, in_rows, in_columns, ALL)))
    return tuple(cells)


def window_over(
    shape: tuple[int, ...],
    kernel: Size,
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
) -> SlidingWindow:
    """Return the window for images of shape (…, h, w); ShapeError if it does not fit once.

    >>> window_over((3, 224, 224), kernel=11, stride=4, padding=2).outputs
    (55, 55)
    """
    window = SlidingWindow((shape[-2], shape[-1]), *sliding(kernel, stride, padding, dilation))
    if min(window.outputs) < 1:
        raise ShapeError(
            f"a kernel of {window.kernel} with dilation {window.dilation} does not fit into an "
            f"image of {window.image} with padding {window.padding}"
        )
    outputs, cells = math.prod(window.outputs), math.prod(window.kernel)
    leading = math.prod(shape[:-2])
    needed = 4 * outputs * leading + 200 * cells
    if needed > 2**28:  # asking the system for its memory takes time
        require_memory(
            f"a window of {window.kernel} on an image of {window.image}, padding "
            f"{window.padding}, {window.outputs} outputs of each of {leading} channels and images,",
            needed,
            "use less padding or fewer images",
        )
    return window


def sliding(kernel: Size, stride: Size = 1, padding: Size = 0, dilation: Size = 1) -> list[Pair]:
    """Return the four as pairs; ShapeError for those that fit no image of any size.

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
    """Return (vertical, horizontal) from one number for both axes, or from two."""
    both = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(both) != 2 or not all(isinstance(n, numbers.Integral) for n in both):
        raise ShapeError(f"expected one whole number or a pair of them, got {size!r}")
    return int(both[0]), int(both[1])


def batch_innermost(x: Array) -> Any:
    """Return (n, c, h, w) as a contiguous (c, h, w, n): a copy, unless memory has that order."""
    return array_module(x).ascontiguousarray(x.transpose(1, 2, 3, 0))


def batch_first(x: Array) -> Any:
    """Return (c, h, w, n) as (n, c, h, w): a view."""
    return x.transpose(3, 0, 1, 2)


def channel_rows(x: Array) -> Any:
    """Return (n, c, h, w) as a matrix (c, h·w·n): a view, if the batch is innermost in memory."""
    return batch_innermost(x).reshape(x.shape[1], -1)


def from_channel_rows(rows: Array, shape: tuple[int, ...]) -> Any:
    """Return the adjoint of ``channel_rows``, and its inverse: (c, h·w·n) as (n, c, h, w)."""
    n, c, h, w = shape
    return batch_first(rows.reshape(c, h, w, n))


def im2col(
    image: Array, window: SlidingWindow, start: int = 0, stop: int | None = None, out: Any = None
) -> Any:
    """columns[c,p,q,i,j,n] = image[c, input of cell (p, q) at output (i, j), n]; 0 in the padding.

    ``image`` is (c, h, w, n). The index i runs over the output rows start … stop − 1, which are all
    output rows by default. ``out`` is an array of that shape to write into.

    >>> import numpy as np
    >>> image = np.arange(9.0).reshape(1, 3, 3, 1)
    >>> im2col(image, SlidingWindow((3, 3), kernel=(2, 2))).reshape(4, 4)
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.],
           [3., 4., 6., 7.],
           [4., 5., 7., 8.]])
    """
    stop = window.outputs[0] if stop is None else stop
    if out is None:
        shape = (len(image), *window.kernel, stop - start, window.outputs[1], image.shape[-1])
        out = array_module(image).empty(shape, image.dtype)
    for (p, q), outputs, inputs in window.cells(start, stop):
        cell = out[:, p, q]
        cell[outputs] = image[inputs]
        if window.padding != (0, 0):
            _clear_outside(cell, outputs)
    return out


def _clear_outside(cell: Array, inside: tuple) -> None:
    """Set to 0 the output rows and columns whose input lies in the padding."""
    _, rows, columns, _ = inside
    if rows.stop - rows.start < cell.shape[1]:
        cell[:, : rows.start] = cell[:, rows.stop :] = 0
    if columns.stop - columns.start < cell.shape[2]:
        cell[:, :, : columns.start] = cell[:, :, columns.stop :] = 0


def col2im(
    columns: Array,
    window: SlidingWindow,
    start: int = 0,
    stop: int | None = None,
    image: Any = None,
) -> Any:
    """Add to every input what ``im2col`` copied from it: the adjoint of ``im2col``.

    An input that several outputs have read gets the sum. ``columns`` is (c, kh, kw, rows, ow, n)
    for the output rows start … stop − 1. The result is added to ``image`` (c, h, w, n), which is 0
    by default, and ``image`` is returned.
    """
    stop = window.outputs[0] if stop is None else stop
    if image is None:
        shape = (len(columns), *window.image, columns.shape[-1])
        image = array_module(columns).zeros(shape, columns.dtype)
    for (p, q), outputs, inputs in window.cells(start, stop):
        image[inputs] += columns[:, p, q][outputs]
    return image


def blocks(depth: int, outputs: tuple[int, int], n: int) -> Iterator[tuple[slice, slice]]:
    """Return (output rows, images) of blocks: about BLOCK elements each, at least one row."""
    row = max(1, depth * outputs[1])  # elements that im2col makes of one output row of one image
    images = max(1, min(n, 2 * BLOCK // row))
    rows = max(1, BLOCK // (row * images))
    for first in range(0, n, images):
        for start in range(0, outputs[0], rows):
            yield slice(start, min(start + rows, outputs[0])), slice(first, min(first + images, n))
