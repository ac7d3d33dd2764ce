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
most of the time. The three transformations are also matrix products.

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
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...autodiff.arrays import Array
from ..windows import SlidingWindow, batch_first, batch_innermost, blocks, im2col
from .scratch import scratch

TILE = 4  # m: outputs per tile along one axis
POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)  # and ∞: m + 2 in all
KERNEL_BLOCK = 2**22  # elements of transformed kernels at a time
LEAST_CHANNELS, LEAST_OUTPUTS, LEAST_IMAGES = 32, 8, 16  # below these, it saves no time


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


def transformations(points: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return three matrices for 2-D tiles: image (t² × t²), kernel (t² × 9), back (m² × t²).

    >>> image, kernel, back = transformations((0.0, 1.0, -1.0))
    >>> d, w = np.arange(16.0), np.array([0, 0, 0, 0, 1, 2, 0, 0, 0])
    >>> (back @ ((kernel @ w) * (image @ d))).tolist()  # d[1,1] + 2·d[1,2], and its neighbors
    [17.0, 20.0, 29.0, 32.0]
    """
    t = len(points) + 1
    image = np.linalg.inv(evaluation(points, t)).T
    kernel, back = evaluation(points, 3), evaluation(points, t - 2).T
    return np.kron(image, image), np.kron(kernel, kernel), np.kron(back, back)


IMAGE, KERNEL, BACK = (matrix.astype(np.float32) for matrix in transformations(POINTS))
CELLS = len(IMAGE)  # 36


def applies(image: Array, weight: Array, window: SlidingWindow, groups: int) -> bool:
    """Return whether Winograd's algorithm can compute this convolution faster than the sum.

    ``image`` is (c, h, w, n). Both the outputs and the image must consist of whole tiles. The image
    is included because its gradient is a convolution whose output has the image's shape.
    """
    plain = (window.stride, window.dilation, groups) == ((1, 1), (1, 1), 1)
    if not plain or window.kernel != (3, 3) or max(window.padding) > 2:
        return False
    if window.after != window.padding:
        return False
    if type(image) is not np.ndarray or not image.dtype == weight.dtype == np.float32:
        return False
    lengths = (*window.image, *window.outputs)
    return (
        min(weight.shape[:2]) >= LEAST_CHANNELS
        and image.shape[-1] >= LEAST_IMAGES
        and min(lengths) >= LEAST_OUTPUTS
        and not any(length % TILE for length in lengths)
    )


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
    o, c = weight.shape[:2]
    out = np.empty((o, *window.outputs, image.shape[-1]), image.dtype)

    @functools.lru_cache(maxsize=1)  # kept from block to block where all kernels are one part
    def kernels(start: int, stop: int) -> Any:
        part = weight[start:stop].reshape(-1, 9)
        return _product("kernels", KERNEL, part.T).reshape(CELLS, stop - start, c)

    tiles = _tiles(window)
    for rows, images in _blocks(o, c, tiles, image.shape[-1]):
        transformed = _transformed(image[..., images], tiles, rows)
        for start, stop in _kernel_parts(o, c):
            products = _product("products", kernels(start, stop), transformed)
            outputs = _product("outputs", BACK, products.reshape(CELLS, -1))
            part = out[start:stop, rows.start * TILE : rows.stop * TILE, :, images]
            _tiled(part)[...] = outputs.reshape(_tiled(part).shape)
    return out


def grad_image(g: Array, weight: Array, window: SlidingWindow) -> Any:
    """dL/d(image) from g = dL/dy, both (…, n): a convolution with the kernel turned."""
    turned = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    padding = (2 - window.padding[0], 2 - window.padding[1])
    return convolve(g, turned, SlidingWindow(window.outputs, (3, 3), padding=padding))


def grad_weight(image: Array, g: Array, window: SlidingWindow) -> Any:
    """dL/d(weight) from g = dL/dy: the adjoint of each step, in reverse."""
    o, c, n = len(g), len(image), image.shape[-1]
    tiles, share = _tiles(window), np.empty((o, c, 3, 3), g.dtype)
    for start, stop in _kernel_parts(o, c):
        total = scratch("kernels", (CELLS, stop - start, c), g)
        total[...] = 0
        for rows, images in _blocks(o, c, tiles, n):
            part = _tiled(g[start:stop, rows.start * TILE : rows.stop * TILE, :, images])
            outputs = scratch("outputs", part.shape, g)
            outputs[...] = part
            products = _product("products", BACK.T, outputs.reshape(TILE * TILE, -1))
            products = products.reshape(CELLS, stop - start, -1)
            transformed = _transformed(image[..., images], tiles, rows)
            total += _product("sum", products, transformed.swapaxes(1, 2))
        share[start:stop] = (total.reshape(CELLS, -1).T @ KERNEL).reshape(-1, c, 3, 3)
    return share


def _product(name: str, a: Array, b: Array) -> Any:
    """Return a @ b in the scratch memory of that name."""
    return np.matmul(a, b, out=scratch(name, (*a.shape[:-1], b.shape[-1]), b))


def _tiled(outputs: Any) -> Any:
    """Return (o, h, w, n) as (4, 4, o, tiles, tiles, n): a view."""
    o, h, w, n = outputs.shape
    return outputs.reshape(o, h // TILE, TILE, w // TILE, TILE, n).transpose(2, 4, 0, 1, 3, 5)


def _tiles(window: SlidingWindow) -> SlidingWindow:
    """Return the window of the tiles: 6×6 with stride 4, so that tiles overlap by two."""
    size = TILE + 2
    return SlidingWindow(window.image, (size, size), (TILE, TILE), window.padding)


def _transformed(image: Array, tiles: SlidingWindow, rows: slice) -> Any:
    """Return the transformed tiles of some rows of tiles: (36, c, tiles · n)."""
    c, n = len(image), image.shape[-1]
    shape = (*tiles.kernel, c, rows.stop - rows.start, tiles.outputs[1], n)
    cut = scratch("cut", shape, image)
    im2col(image, tiles, rows.start, rows.stop, out=cut.transpose(2, 0, 1, 3, 4, 5))
    return _product("transformed", IMAGE, cut.reshape(CELLS, -1)).reshape(CELLS, c, -1)


def _blocks(o: int, c: int, tiles: SlidingWindow, n: int) -> Any:
    return blocks(CELLS * max(o, c), tiles.outputs, n)


def _kernel_parts(o: int, c: int) -> Iterator[tuple[int, int]]:
    """Kernels of some outputs at a time: transformed kernels have four times as many elements."""
    count = -(-CELLS * o * c // KERNEL_BLOCK)
    several = -(-o // count)
    return ((start, min(start + several, o)) for start in range(0, o, several))
