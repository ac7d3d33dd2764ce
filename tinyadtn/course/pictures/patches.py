"""Convolution as a matrix product: the window slides, and each patch becomes a column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from tinyadtn.course.player import player
from tinyadtn.draw.style import ADJOINT, VALUE, new_figure

PIXEL = "#F2C14E"  # the pixel that is followed, wherever a copy of it stands


def sliding_patches(image: np.ndarray, kernel: np.ndarray, pixel: tuple[int, int]) -> Any:
    """A player with one step for each place of the window; one pixel is marked in every copy."""
    k, (h, w) = len(kernel), image.shape
    board = Board(image, kernel, pixel)
    results = kernel.ravel() @ board.columns
    copies = np.cumsum(np.any(board.marked, axis=0))
    captions = [
        f"Window at row {i}, column {j}: its {k * k} pixels are column {n} of the matrix. "
        f"The kernel row times this column is {results[n]:g}. "
        f"Copies of the marked pixel so far: {copies[n]}."
        for n, (i, j) in enumerate(board.places)
    ]
    return player(
        board.after,
        captions,
        alt=f"A {k}×{k} window slides over a {h}×{w} image. Each patch becomes a column of a "
        f"{k * k}×{len(captions)} matrix. The kernel row times this matrix is the convolution.",
        pause=0.8,
    )


class Board:
    """All cells, drawn once; ``after(n)`` shows those that are known when the window is at n."""

    def __init__(self, image: np.ndarray, kernel: np.ndarray, pixel: tuple[int, int]) -> None:
        k, (h, w) = len(kernel), image.shape
        high, wide = h - k + 1, w - k + 1
        self.places = [(i, j) for i in range(high) for j in range(wide)]
        owner = np.arange(h * w).reshape(h, w)  # which pixel an entry of the matrix is a copy of
        owners = np.array([owner[i : i + k, j : j + k].ravel() for i, j in self.places]).T
        self.columns, self.marked = image.ravel()[owners], owners == owner[pixel]
        result, count = kernel.ravel() @ self.columns, np.arange(len(self.places))

        self.figure = new_figure(13.0, 5.6, "")
        grid = self.figure.add_gridspec(2, 3, width_ratios=(6, 4.2, 16), height_ratios=(9, 4.4))
        axes = [self.figure.add_subplot(grid[place]) for place in np.ndindex(2, 3)]
        axes[4].axis("off")
        axes[4].text(0.5, 0.5, "kernel row\n× matrix  →", ha="center", va="center", fontsize=12)
        shape = f"{k * k}×{len(self.places)}"
        self.cells = [
            *_cells(axes[0], image, f"the image, {h}×{w}", marked=owner == owner[pixel]),
            *_cells(axes[1], kernel, f"the kernel, {k}×{k}"),
            *_cells(
                axes[2], self.columns, f"patches as columns, {shape}", count, marked=self.marked
            ),
            *_cells(
                axes[3],
                result.reshape(high, wide),
                f"the result, {high}×{wide}",
                count.reshape(high, wide),
            ),
            *_cells(axes[5], result[None], "one entry per column, read as an image", count),
        ]
        self.outlines = [
            _outline(axes[0], (k, k), VALUE),
            _outline(axes[3], (1, 1), ADJOINT),
            _outline(axes[2], (1, k * k), VALUE),
            _outline(axes[5], (1, 1), ADJOINT),
        ]
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")  # the same places in every step, found once

    def after(self, now: int) -> Any:
        """The figure with the window at place number ``now``."""
        for cell, text, first, marked in self.cells:
            text.set_visible(first <= now)
            cell.set_facecolor(PIXEL if marked and first <= now else "white")
        i, j = self.places[now]
        for outline, corner in zip(self.outlines, ((j, i), (j, i), (now, 0), (now, 0))):
            outline.set_xy(corner)
        return self.figure


def _outline(axes: Any, size: tuple[int, int], colour: str) -> Any:
    style: dict[str, Any] = {"fill": False, "edgecolor": colour, "linewidth": 3, "zorder": 5}
    return axes.add_patch(Rectangle((0, 0), *size, clip_on=False, **style))


def _cells(
    axes: Any,
    entries: np.ndarray,
    title: str,
    first: np.ndarray | int = 0,
    *,
    marked: np.ndarray | bool = False,
) -> Iterator[tuple[Any, Any, int, bool]]:
    """Draw a table; yield of each cell its box, its text, the step it is known from, its mark."""
    high, wide = entries.shape
    first, marked = (np.broadcast_to(array, entries.shape) for array in (first, marked))
    for i, j in np.ndindex(high, wide):
        box = axes.add_patch(Rectangle((j, i), 1, 1, edgecolor="#888888", linewidth=0.7))
        middle = {"ha": "center", "va": "center", "fontsize": 11}
        text = axes.text(j + 0.5, i + 0.5, f"{entries[i, j]:g}", **middle)
        yield box, text, int(first[i, j]), bool(marked[i, j])
    axes.set(xlim=(-0.1, wide + 0.1), ylim=(high + 0.1, -0.1), aspect="equal")
    axes.set_title(title, fontsize=12)
    axes.axis("off")
