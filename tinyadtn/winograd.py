"""Winograd's convolution, for the curious: 3×3 kernels with a quarter of the multiplications.

**The idea in one dimension.** Two polynomials of degrees 2 and m − 1 have a product of degree
m + 1. It is known once its values at m + 2 points are known, and a value of the product is the
product of the values: m + 2 multiplications where multiplying out takes 3·m. So: *evaluate* both,
multiply, *interpolate*. Evaluating is a matrix whose row for the point a is (1, a, a², …), and
interpolating is the inverse of one; the point ∞ has the row (0, …, 0, 1): it reads off the leading
coefficient.

A convolution layer does not multiply polynomials, it slides: y_i = Σ_k d_{i+k} w_k, m outputs of
the three weights w from a tile of m + 2 inputs d. That is the *transpose* of the product in one of
its two factors, and transposing turns the recipe around. With E_k the evaluation of k coefficients
and t = m + 2,

    y = E_mᵀ [ (E_3 w) ⊙ (E_t⁻ᵀ d) ].

**In two dimensions** rows and columns are treated alike: the matrices become Kronecker products,
and a 6×6 tile of the image gives 4×4 outputs with 36 multiplications where the definition takes
144. Between channels the 36 places never meet, so ⊙ becomes 36 matrix products (o × c)(c × tiles),
which is where the time is spent. The three transformations are matrix products too.

**The gradients.** The gradient of the image is itself a convolution, of g with the kernel turned by
180° and its two channel axes exchanged. That of the weight is the adjoint of each step, in reverse.

**The price.** With the points 0, ±1, ±2, ∞ the numbers grow and cancel: errors are some 1e-5 of
the largest output in float32, where summing gives 1e-7. So it is for float32 alone.
Source: Winograd, "Arithmetic Complexity of Computations" (1980); Lavin and Gray, arXiv 1509.09308.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .windows import Window, blocks, im2col

TILE = 4  # m: an axis of the output is cut into tiles of so many
POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)  # and ∞: m + 2 in all
LEAST_CHANNELS, LEAST_OUTPUTS, LEAST_IMAGES = 32, 8, 16  # below, transforming costs what it saves


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
    """For tiles in two dimensions: of the image (t² × t²), the kernel (t² × 9), and back (m² × t²).

    >>> image, kernel, back = transformations((0.0, 1.0, -1.0))
    >>> d, w = np.arange(16.0), np.array([0, 0, 0, 0, 1, 2, 0, 0, 0])
    >>> (back @ ((kernel @ w) * (image @ d))).tolist()  # d[1,1] + 2·d[1,2], and its neighbours
    [17.0, 20.0, 29.0, 32.0]
    """
    t = len(points) + 1
    image = np.linalg.inv(evaluation(points, t)).T
    kernel, back = evaluation(points, 3), evaluation(points, t - 2).T
    return np.kron(image, image), np.kron(kernel, kernel), np.kron(back, back)


IMAGE, KERNEL, BACK = (matrix.astype(np.float32) for matrix in transformations(POINTS))
CELLS = len(IMAGE)  # 36


def pays(image: Any, weight: Any, window: Window, groups: int) -> bool:
    """Whether this is a convolution that Winograd's way computes, and sooner than summing does.

    ``image`` is (c, h, w, n). Both the outputs and the image must consist of whole tiles, the image
    because its gradient is a convolution that has it as its output.
    """
    plain = (window.stride, window.dilation, groups) == ((1, 1), (1, 1), 1)
    if not plain or window.kernel != (3, 3) or max(window.padding) > 2:
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


def convolve(image: Any, weight: Any, window: Window) -> Any:
    """y[o,i,j,n] = Σ_cpq weight[o,c,p,q] · image[c, i + p − padding, j + q − padding, n]."""
    o, c = weight.shape[:2]
    kernels = (KERNEL @ weight.reshape(o * c, 9).T).reshape(CELLS, o, c)
    n = image.shape[-1]
    out = np.empty((o, *window.outputs, n), image.dtype)
    tiles = _tiles(window)
    for rows, images in _blocks(o, c, tiles, n):
        products = kernels @ _transformed(image[..., images], tiles, rows)
        outputs = (BACK @ products.reshape(CELLS, -1)).reshape(TILE, TILE, o, -1)
        part = out[:, rows.start * TILE : rows.stop * TILE, :, images]
        for a, b in np.ndindex(TILE, TILE):
            place = part[:, a::TILE, b::TILE]
            place[...] = outputs[a, b].reshape(place.shape)
    return out


def grad_image(g: Any, weight: Any, window: Window) -> Any:
    """dL/d(image) from g = dL/dy, both (…, n): a convolution with the kernel turned."""
    turned = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    padding = (2 - window.padding[0], 2 - window.padding[1])
    return convolve(g, turned, Window(window.outputs, (3, 3), padding=padding))


def grad_weight(image: Any, g: Any, window: Window) -> Any:
    """dL/d(weight) from g = dL/dy: the adjoint of each step, in reverse."""
    o, c, n = len(g), len(image), image.shape[-1]
    total = np.zeros((CELLS, o, c), g.dtype)
    tiles = _tiles(window)
    for rows, images in _blocks(o, c, tiles, n):
        part = g[:, rows.start * TILE : rows.stop * TILE, :, images]
        outputs = np.empty(
            (TILE, TILE, o, rows.stop - rows.start, *part[:, 0, ::TILE].shape[1:]), g.dtype
        )
        for a, b in np.ndindex(TILE, TILE):
            outputs[a, b] = part[:, a::TILE, b::TILE]
        products = (BACK.T @ outputs.reshape(TILE * TILE, -1)).reshape(CELLS, o, -1)
        total += products @ _transformed(image[..., images], tiles, rows).swapaxes(1, 2)
    return (total.reshape(CELLS, o * c).T @ KERNEL).reshape(o, c, 3, 3)


def _tiles(window: Window) -> Window:
    """The tiles that overlap by two: a window of 6×6 that goes on by 4."""
    size = TILE + 2
    return Window(window.image, (size, size), (TILE, TILE), window.padding)


def _transformed(image: Any, tiles: Window, rows: slice) -> Any:
    """The tiles of some rows of tiles, transformed: (36, c, tiles · n)."""
    c, n = len(image), image.shape[-1]
    cut = np.empty((*tiles.kernel, c, rows.stop - rows.start, tiles.outputs[1], n), image.dtype)
    im2col(image, tiles, rows.start, rows.stop, out=cut.transpose(2, 0, 1, 3, 4, 5))
    return (IMAGE @ cut.reshape(CELLS, -1)).reshape(CELLS, c, -1)


def _blocks(o: int, c: int, tiles: Window, n: int) -> Any:
    return blocks(CELLS * max(o, c), tiles.outputs, n)
