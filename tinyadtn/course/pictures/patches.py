"""Convolution as a matrix product: three patches, followed through the patch matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from tinyadtn.draw.style import ADJOINT, VALUE, new_figure

MARKS = ((VALUE, "-", "a"), (ADJOINT, "--", "b"), ("#882255", ":", "c"))


def patch_matrix(image: np.ndarray, kernel: np.ndarray, places: list[tuple[int, int]]) -> Any:
    """The image, its patches as columns, the kernel as a row times those, the result as an image.

    ``places`` are the upper left corners of three patches; each keeps its outline and letter all
    the way through.
    """
    k, (h, w) = len(kernel), image.shape
    high, wide = h - k + 1, w - k + 1
    patches = [image[i : i + k, j : j + k].ravel() for i in range(high) for j in range(wide)]
    columns = np.array(patches).T
    result = kernel.ravel() @ columns
    named = ", ".join(
        f"{letter} at row {i}, column {j}" for (_, _, letter), (i, j) in zip(MARKS, places)
    )
    figure = new_figure(
        13.0,
        7.2,
        f"A {h}×{w} image with three {k}×{k} patches outlined: {named}. Each patch, read row by "
        f"row, is one column of a {k * k}×{high * wide} matrix. The kernel, as a row of {k * k}, "
        f"times this matrix is a row of {high * wide} numbers, which is the {high}×{wide} result.",
    )
    grid = figure.add_gridspec(2, 3, width_ratios=(5.2, 3.2, 10.5), height_ratios=(k * k, 4.2))
    left, result_axes = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 0])
    matrix, row = figure.add_subplot(grid[0, 2]), figure.add_subplot(grid[1, 2])
    kernel_axes, as_row = figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1])

    _cells(left, image, f"the image, {h}×{w}")
    _cells(matrix, columns, f"its patches as columns, {k * k}×{high * wide}")
    _cells(kernel_axes, kernel, f"the kernel, {k}×{k}", grey=False)
    _cells(row, result[None, :], "kernel row × patch matrix: one number a column", grey=False)
    _cells(result_axes, result.reshape(high, wide), f"the result, {high}×{wide}", grey=False)
    _cells(as_row, kernel.reshape(1, -1), "the kernel as a row", grey=False, size=9)
    as_row.text(k * k / 2, 2.2, "times the matrix above  →", ha="center", fontsize=12)
    as_row.text(k * k / 2, 3.6, "←  read row by row", ha="center", fontsize=12)
    as_row.set_ylim(4.0, -1.5)
    for (colour, line, letter), (i, j) in zip(MARKS, places):
        number = i * wide + j
        style: dict[str, Any] = {
            "fill": False,
            "edgecolor": colour,
            "linestyle": line,
            "linewidth": 3.2,
        }
        inset = 0.06 * MARKS.index((colour, line, letter))
        for axes, corner, size in (
            (left, (j + inset, i + inset), (k - 2 * inset, k - 2 * inset)),
            (matrix, (number, 0), (1, k * k)),
            (row, (number, 0), (1, 1)),
            (result_axes, (j, i), (1, 1)),
        ):
            axes.add_patch(Rectangle(corner, *size, zorder=5, clip_on=False, **style))
        bold = {"color": colour, "fontsize": 15, "weight": "bold", "zorder": 6}
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        left.text(j + 0.12, i + 0.14, letter, va="top", bbox=paper, **bold)
        matrix.text(number + 0.5, k * k + 0.1, letter, ha="center", va="top", **bold)
    return figure


def _cells(
    axes: Any, numbers: np.ndarray, title: str, *, grey: bool = True, size: float = 11
) -> None:
    """A table of numbers, each in a cell, ink showing how large they are."""
    high, wide = numbers.shape
    top = max(1e-9, float(np.abs(numbers).max()))
    for i in range(high):
        for j in range(wide):
            ink = 0.75 * max(0.0, float(numbers[i, j])) / top if grey else 0.0
            shade = str(1 - 0.45 * ink)
            cell = Rectangle((j, i), 1, 1, facecolor=shade, edgecolor="#888888", linewidth=0.7)
            axes.add_patch(cell)
            axes.text(
                j + 0.5, i + 0.5, f"{numbers[i, j]:g}", ha="center", va="center", fontsize=size
            )
    axes.set(xlim=(-0.1, wide + 0.1), ylim=(high + 0.1, -0.1), aspect="equal")
    axes.set_title(title, fontsize=12)
    axes.axis("off")
