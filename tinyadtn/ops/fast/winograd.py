"""Winograd's convolution (optional reading): 3×3 kernels with a quarter of the multiplications.

**The idea in one dimension.** Two polynomials of degrees 2 and m − 1 have a product of degree
m + 1. Its values at m + 2 points determine it, and a value of the product is the product of the
values. That takes m + 2 multiplications instead of 3·m. So: *evaluate* both, multiply,
*interpolate*. Evaluation is a matrix whose row for the point a is (1, a, a², …), and interpolation
is the inverse of such a matrix. The point ∞ has the row (0, …, 0, 1), which selects the leading
coefficient.

A convolution layer does not multiply polynomials, it slides: y_i = Σ_k d_{i+k} w_k, m outputs of
the three weights w from a tile of m + 2 inputs d. That is the *transpose* of the product in one of
its two factors, and transposing reverses the order of the steps. With E_k the evaluation of k
coefficients and t = m + 2,

    y = E_mᵀ [ (E_3 w) ⊙ (E_t⁻ᵀ d) ].

**In two dimensions** rows and columns are treated alike: the matrices become Kronecker products,
and a 6×6 tile of the image gives 4×4 outputs with 36 multiplications instead of 144. The sum over
channels does not mix the 36 entries, so ⊙ becomes 36 products (o × c)(c × tiles), which take
most of the time. The three transformations are also matrix products. An image of 4×4 pixels is one
tile. One of 2×2 pixels has a tile of its own (``PAIR``): 9 multiplications for its 4 outputs.

**The gradients.** The gradient of the image is itself a convolution, of g with the kernel rotated
by 180° and its two channel axes exchanged. The gradient of the weight is the adjoint of each step,
in reverse order.

**The cost.** With the points 0, ±1, ±2, ∞ large terms cancel: in float32 the error is about 1e-5
of the largest output, compared with 1e-7 for the plain sum. So float64 always uses the sum. A very
large input affects its whole tile: outputs next to it get the same error even if they do not read
it. An infinity or a NaN affects 4×4 outputs instead of 3×3, and sums overflow at values 5,000 times
smaller.
Source: Winograd, "Arithmetic Complexity of Computations" (1980); Lavin and Gray, arXiv 1509.09308.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...autodiff.arrays import Array
from ...autodiff.modes import fast
from .. import windows
from ..windows import Pair, SlidingWindow, batch_first, batch_innermost, im2col
from .products import product
from .scratch import scratch

KERNEL_BLOCK = 2**22  # elements of transformed kernels at a time
LEAST_CHANNELS, LEAST_IMAGES = 32, 16  # below these, it saves no time


def evaluation(points: tuple[float, ...], count: int) -> np.ndarray:
    """E: the values of a polynomial with ``count`` coefficients at the points and at ∞.

    >>> evaluation((0.0, 1.0, -1.0), 3)
    array([[ 1.,  0.,  0.],
           [ 1.,  1.,  1.],
           [ 1., -1.,  1.],
           [ 0.,  0.,  1.]])
    """
    at_infinity = np.eye(count)[-1:]
    return np.concatenate([np.vander(points, count, increasing=True), at_infinity])


@dataclass(frozen=True)
class Tile:
    """m × m outputs of (m + 2)² inputs d: y = back [(kernel w) ⊙ (image d)].

    >>> tile = Tile.of(*transformations((0.0, 1.0, -1.0)))
    >>> d, w = np.arange(16.0), np.array([0, 0, 0, 0, 1, 2, 0, 0, 0])
    >>> (tile.back @ ((tile.kernel @ w) * (tile.image @ d))).tolist()  # d[1,1] + 2·d[1,2], …
    [17.0, 20.0, 29.0, 32.0]
    """

    image: np.ndarray  # (products, (m + 2)²)
    kernel: np.ndarray  # (products, 9)
    back: np.ndarray  # (m², products)

    @classmethod
    def of(cls, *matrices: Any, dtype: Any = np.float64) -> Tile:
        """Return the tile for the three matrices of one axis."""
        return cls(*(np.kron(matrix, matrix).astype(dtype) for matrix in matrices))

    @property
    def outputs(self) -> int:
        """m: the outputs along one axis."""
        return math.isqrt(len(self.back))

    @property
    def products(self) -> int:
        """The number of multiplications, for each pair of channels."""
        return len(self.kernel)

    def inputs(self, window: SlidingWindow) -> SlidingWindow:
        """Return the window of the inputs of each tile; they overlap by two."""
        return self._tiles(window.image, 2, window.padding, window.outputs)

    def places(self, window: SlidingWindow) -> SlidingWindow:
        """Return the window of the outputs of each tile; the last may reach beyond the border."""
        return self._tiles(window.outputs, 0, (0, 0), window.outputs)

    def _tiles(self, image: Pair, overlap: int, padding: Pair, outputs: Pair) -> SlidingWindow:
        m = self.outputs
        rows, columns = (-(-n // m) * m + overlap - length for n, length in zip(outputs, image))
        after = (rows - padding[0], columns - padding[1])
        size = (m + overlap, m + overlap)
        return SlidingWindow(image, size, (m, m), padding, after=after)


def transformations(points: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the three matrices of one axis: image (t × t), kernel (t × 3), back (m × t).

    >>> image, kernel, back = transformations((0.0, 1.0, -1.0))
    >>> d, w = np.arange(4.0), np.array([0.0, 1.0, 2.0])
    >>> (back @ ((kernel @ w) * (image @ d))).tolist()  # d[1] + 2·d[2], d[2] + 2·d[3]
    [5.0, 8.0]
    """
    t = len(points) + 1
    image = np.linalg.inv(evaluation(points, t)).T
    return image, evaluation(points, 3), evaluation(points, t - 2).T


# A map of 2×2 pixels: along one axis the padding is 0, and y₀ = w₁d₀ + w₂d₁, y₁ = w₀d₀ + w₁d₁.
# Both contain w₁(d₀ + d₁), so that three products are enough.
PAIR = (
    [[0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0]],
    [[1, -1, 0], [0, 1, 0], [0, -1, 1]],
    [[0, 1, 1], [1, 1, 0]],
)
FOUR = Tile.of(*transformations((0.0, 1.0, -1.0, 2.0, -2.0)), dtype=np.float32)  # m = 4
TWO = Tile.of(*PAIR, dtype=np.float32)  # m = 2


def applies(image: Array, weight: Array, window: SlidingWindow, groups: int) -> bool:
    """Return whether Winograd's algorithm can compute this convolution faster than the sum.

    ``image`` is (c, h, w, n).
    """
    plain = (window.kernel, window.stride, window.dilation, groups) == ((3, 3), (1, 1), (1, 1), 1)
    if not (fast.get() and plain) or max(*window.padding, *(window.after or (0, 0))) > 2:
        return False
    if type(image) is not np.ndarray or not image.dtype == weight.dtype == np.float32:
        return False
    if min(weight.shape[:2]) < LEAST_CHANNELS or image.shape[-1] < LEAST_IMAGES:
        return False
    return all(_saves(tile_of(w), w) for w in (window, _of_gradient(window)))


def tile_of(window: SlidingWindow) -> Tile:
    """Return the tile that suits the image."""
    return TWO if window.image == window.outputs == (2, 2) else FOUR


def _saves(tile: Tile, window: SlidingWindow) -> bool:
    """Return whether there are at most half as many multiplications."""
    tiles = math.prod(tile.places(window).outputs)
    return 2 * tile.products * tiles <= 9 * math.prod(window.outputs)


def _of_gradient(window: SlidingWindow) -> SlidingWindow:
    """Return the window of the convolution that is the gradient of the image."""
    (top, left), (bottom, right) = window.padding, window.after or window.padding
    before, after = (2 - top, 2 - left), (2 - bottom, 2 - right)
    return SlidingWindow(window.outputs, (3, 3), padding=before, after=after)


def conv2d(image: Array, weight: Array, window: SlidingWindow) -> tuple[Any, ...]:
    """Return what the op ``conv2d`` returns: its value and the gradients of x and of the weight.

    ``image`` is x as (c, h, w, n).
    """
    return (
        batch_first(convolve(image, weight, window)),
        lambda g: batch_first(grad_image(batch_innermost(g), weight, window)),
        lambda g: grad_weight(image, batch_innermost(g), window),
    )


def convolve(image: Array, weight: Array, window: SlidingWindow) -> Any:
    """y[o,i,j,n] = Σ_cpq weight[o,c,p,q] · image[c, i + p − padding, j + q − padding, n]."""
    (o, c), n, tile = weight.shape[:2], image.shape[-1], tile_of(window)
    out = np.empty((o, *window.outputs, n), image.dtype)

    @functools.lru_cache(maxsize=1)  # kept from block to block where all kernels are one part
    def kernels(start: int, stop: int) -> Any:
        part = weight[start:stop].reshape(-1, 9)
        return _product("kernels", tile.kernel, part.T).reshape(-1, stop - start, c)

    for rows, images in _blocks(tile, o, c, window, n):
        inputs = _cut(image[..., images], tile.inputs(window), rows)
        transformed = _product("transformed", tile.image, inputs).reshape(tile.products, c, -1)
        for start, stop in _kernel_parts(tile, o, c):
            products = _product("products", kernels(start, stop), transformed)
            results = _product("outputs", tile.back, products.reshape(tile.products, -1))
            places, part = tile.places(window), out[start:stop, ..., images]
            shape = (*places.kernel, stop - start, rows.stop - rows.start, places.outputs[1], -1)
            cells = results.reshape(shape)
            for cell, outputs, inputs in places.cells(rows.start, rows.stop):
                part[inputs] = cells[cell][outputs]
    return out


def grad_image(g: Array, weight: Array, window: SlidingWindow) -> Any:
    """dL/d(image) from g = dL/dy, both (…, n): a convolution with the kernel turned."""
    turned = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    return convolve(g, turned, _of_gradient(window))


def grad_weight(image: Array, g: Array, window: SlidingWindow) -> Any:
    """dL/d(weight) from g = dL/dy: the adjoint of each step, in reverse."""
    o, c, n, tile = len(g), len(image), image.shape[-1], tile_of(window)
    share, places = np.empty((o, c, 3, 3), g.dtype), tile.places(window)
    blocks = list(_blocks(tile, o, c, window, n))

    @functools.lru_cache(maxsize=1)  # kept for all kernels where all images are one block
    def transformed(k: int) -> Any:
        rows, images = blocks[k]
        inputs = _cut(image[..., images], tile.inputs(window), rows)
        results = _product("transformed", tile.image, inputs)
        return results.reshape(tile.products, c, -1).swapaxes(1, 2)

    for start, stop in _kernel_parts(tile, o, c):
        total = scratch("kernels", (tile.products, stop - start, c), g)
        for k, (rows, images) in enumerate(blocks):
            outputs = _cut(g[start:stop, ..., images], places, rows)
            products = _product("products", tile.back.T, outputs)
            products = products.reshape(tile.products, stop - start, -1)
            if k == 0:
                np.matmul(products, transformed(k), out=total)
            else:
                total += np.matmul(products, transformed(k), out=scratch("sum", total.shape, g))
        matrix = total.reshape(tile.products, -1).T @ tile.kernel
        share[start:stop] = matrix.reshape(-1, c, 3, 3)
    return share


def _cut(image: Array, tiles: SlidingWindow, rows: slice) -> Any:
    """Return the elements of some rows of tiles, as a matrix (cells of a tile, c · tiles · n)."""
    count = rows.stop - rows.start
    cut = scratch(
        "cut", (*tiles.kernel, len(image), count, tiles.outputs[1], image.shape[-1]), image
    )
    im2col(image, tiles, rows.start, rows.stop, out=cut.transpose(2, 0, 1, 3, 4, 5))
    return cut.reshape(math.prod(tiles.kernel), -1)


def _product(name: str, a: Array, b: Array) -> Any:
    """Return a @ b in the scratch memory of that name."""
    return product(a, b, out=scratch(name, (*a.shape[:-1], b.shape[-1]), b))


def _blocks(tile: Tile, o: int, c: int, window: SlidingWindow, n: int) -> Any:
    """Yield (rows of tiles, images): blocks of twice the usual size, or a quarter of the kernels'.

    Small blocks have few images, and then every copy is a loop over short runs.
    """
    size = max(2 * windows.BLOCK, tile.products * o * c // 4)
    return windows.blocks(tile.products * max(o, c), tile.places(window).outputs, n, size)


def _kernel_parts(tile: Tile, o: int, c: int) -> Iterator[tuple[int, int]]:
    """Kernels of some outputs at a time: transformed kernels have four times as many elements."""
    count = -(-tile.products * o * c // KERNEL_BLOCK)
    several = -(-o // count)
    return ((start, min(start + several, o)) for start in range(0, o, several))
