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
Padding = int | str | tuple[Any, Any]  # one number, (vertical, horizontal), or sides: see `sides`
BLOCK = 2**19  # elements that im2col copies at a time, so that they are multiplied while in cache


@dataclass(frozen=True)
class SlidingWindow:
    """How a window slides along the two axes of an image: every pair is (vertical, horizontal).

    ``padding`` is that at the top and on the left; ``after`` is that at the bottom and on the
    right, by default the same. ``ceil_mode`` adds a last window that reaches beyond the padding,
    if it begins inside.

    >>> SlidingWindow((28, 28), kernel=(5, 5), padding=(2, 2)).outputs
    (28, 28)
    """

    image: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    after: tuple[int, int] | None = None
    ceil_mode: bool = False

    @functools.cached_property
    def outputs(self) -> tuple[int, int]:
        """⌊(image + padding + after − dilation·(kernel − 1) − 1) / stride⌋ + 1, or ⌈…⌉ + 1."""
        return self._outputs(0), self._outputs(1)

    def _outputs(self, axis: int) -> int:
        inside, stride = self.image[axis] + self.padding[axis], self.stride[axis]
        end = inside + (self.after or self.padding)[axis]
        steps, rest = divmod(end - self.dilation[axis] * (self.kernel[axis] - 1) - 1, stride)
        if self.ceil_mode and rest and (steps + 1) * stride < inside:
            steps += 1
        return steps + 1

    @property
    def padded(self) -> bool:
        """Whether a window may reach outside of the image."""
        return self.ceil_mode or max(*self.padding, *(self.after or self.padding)) > 0

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
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> SlidingWindow:
    """Return the window for images of shape (…, h, w); ShapeError if it does not fit once.

    ``padding="same"`` gives ⌈image / stride⌉ outputs: the padding at the top and on the left is
    half of what is needed, rounded down; the other half is at the bottom and on the right.

    >>> window_over((3, 224, 224), kernel=11, stride=4, padding=2).outputs
    (55, 55)
    """
    kernel, stride, before, dilation, after = sliding(kernel, stride, padding, dilation)
    image = (shape[-2], shape[-1])
    if padding == "same":
        before, after = _same(image, kernel, stride, dilation)
    window = SlidingWindow(image, kernel, stride, before, dilation, after, ceil_mode)
    if min(window.outputs) < 1:
        raise ShapeError(
            f"a kernel of {kernel} with dilation {dilation} does not fit into an "
            f"image of {image} with padding {padding}"
        )
    outputs, cells = math.prod(window.outputs), math.prod(window.kernel)
    leading = math.prod(shape[:-2])
    needed = 4 * outputs * leading + 200 * cells
    if needed > 2**28:  # asking the system for its memory takes time
        require_memory(
            f"a window of {kernel} on an image of {image}, padding "
            f"{padding}, {window.outputs} outputs of each of {leading} channels and images,",
            needed,
            "use less padding or fewer images",
        )
    return window


def _same(image: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """Return the padding, before and after, with which there are ⌈image / stride⌉ outputs."""
    top, left = (
        max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
        for n, k, s, d in zip(image, kernel, stride, dilation)
    )
    return (top // 2, left // 2), (top - top // 2, left - left // 2)


def sliding(kernel: Size, stride: Size = 1, padding: Padding = 0, dilation: Size = 1) -> list[Pair]:
    """Return kernel, stride, padding before, dilation and padding after as pairs.

    Raises ShapeError for those that fit no image of any size. For ``padding="same"``, which
    depends on the image, both paddings are 0.

    >>> sliding(3, stride=(2, 1), padding=((0, 1), (2, 2)))
    [(3, 3), (2, 1), (0, 2), (1, 1), (1, 2)]
    """
    before, after = sides(padding)
    pairs = [pair(kernel), pair(stride), before, pair(dilation), after]
    if min(*pairs[0], *pairs[1], *pairs[3]) < 1 or min(*before, *after) < 0:
        raise ShapeError(
            f"a window needs kernel, stride and dilation from 1 and padding from 0, got {kernel}, "
            f"{stride}, {dilation} and {padding}"
        )
    return pairs


def sides(padding: Padding) -> tuple[Pair, Pair]:
    """Return the padding as (top, left) and (bottom, right).

    It is one number, (vertical, horizontal), or ((top, bottom), (left, right)).
    """
    if isinstance(padding, str):
        if padding != "same":
            raise ShapeError(f'padding must be numbers or "same", got {padding!r}')
        padding = 0
    if isinstance(padding, (tuple, list)) and len(padding) == 2:
        (top, bottom), (left, right) = map(pair, padding)
        return (top, left), (bottom, right)
    return pair(padding), pair(padding)


def pair(size: Size) -> Pair:
    """Return (vertical, horizontal) from one number for both axes, or from two."""
    if type(size) is int:
        return size, size
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
        if window.padded:
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


def blocks(
    depth: int, outputs: tuple[int, int], n: int, size: int | None = None
) -> Iterator[tuple[slice, slice]]:
    """Return (output rows, images) of blocks: about ``size`` elements each, at least one row.

    ``depth`` is the number of elements of one output of one image. The size is BLOCK by default.
    """
    size = BLOCK if size is None else size
    row = max(1, depth * outputs[1])  # elements that im2col makes of one output row of one image
    most = max(1, min(n, 2 * size // row))
    equal = math.ceil(n / max(1, math.ceil(n / most)))  # images, if all blocks have as many
    images = max(1, equal if equal == n or most < 16 else math.ceil(equal / 16) * 16)
    rows = max(1, size // (row * images))
    for first in range(0, n, images):
        for start in range(0, outputs[0], rows):
            yield slice(start, min(start + rows, outputs[0])), slice(first, min(first + images, n))
