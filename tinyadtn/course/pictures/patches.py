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
    """All cells, drawn once; ``after(n)`` shows those that are known when the window is at n.

    A cell is 1 wide everywhere, so that an entry of the result stands below its column.
    """

    def __init__(self, image: np.ndarray, kernel: np.ndarray, pixel: tuple[int, int]) -> None:
        k, (h, w) = len(kernel), image.shape
        high, wide = h - k + 1, w - k + 1
        self.places = [(i, j) for i in range(high) for j in range(wide)]
        owner = np.arange(h * w).reshape(h, w)  # which pixel an entry of the matrix is a copy of
        owners = np.array([owner[i : i + k, j : j + k].ravel() for i, j in self.places]).T
        self.columns, self.marked = image.ravel()[owners], owners == owner[pixel]
        result, count = kernel.ravel() @ self.columns, np.arange(len(self.places))

        middle, right = w + 2, w + max(k, wide, k * k - w) + 4  # where the tables begin
        under, below = k + 1.7, max(h, k + 1.7 + high, k * k) + 1.7
        self.figure = new_figure(13.0, 13.0 * (below + 2.4) / (right + len(count) + 0.4), "")
        axes = self.figure.add_subplot()
        axes.set(xlim=(-0.2, right + len(count) + 0.2), ylim=(below + 1.3, -1.1), aspect="equal")
        axes.axis("off")
        shape, square = f"{k * k}×{len(count)}", (high, wide)
        image_owner = owner == owner[pixel]
        self.cells = [
            *_cells(axes, (0, 0), image, f"the image, {h}×{w}", marked=image_owner),
            *_cells(axes, (middle, 0), kernel, f"the kernel, {k}×{k}"),
            *_cells(
                axes,
                (middle, under),
                result.reshape(square),
                f"the result, {high}×{wide}",
                count.reshape(square),
            ),
            *_cells(
                axes,
                (right, 0),
                self.columns,
                f"the patches as columns, {shape}",
                count,
                marked=self.marked,
            ),
            *_cells(axes, (0, below), kernel.reshape(1, -1), "the kernel as a row"),
            *_cells(
                axes,
                (right, below),
                result[None],
                "one entry per column: the result as a row",
                count,
            ),
        ]
        between = (k * k + right) / 2, below + 0.5
        axes.text(*between, "× matrix =", ha="center", va="center", fontsize=12)
        self.outlines = [
            (_outline(axes, (k, k), VALUE), (0, 0)),
            (_outline(axes, (1, 1), ADJOINT), (middle, under)),
            (_outline(axes, (1, k * k), VALUE), (right, 0)),
            (_outline(axes, (1, 1), ADJOINT), (right, below)),
        ]

    def after(self, now: int) -> Any:
        """The figure with the window at place number ``now``."""
        for cell, text, first, marked in self.cells:
            text.set_visible(first <= now)
            cell.set_facecolor(PIXEL if marked and first <= now else "white")
        i, j = self.places[now]
        for (outline, (x, y)), (dx, dy) in zip(self.outlines, ((j, i), (j, i), (now, 0), (now, 0))):
            outline.set_xy((x + dx, y + dy))
        return self.figure


def _outline(axes: Any, size: tuple[int, int], colour: str) -> Any:
    style: dict[str, Any] = {"fill": False, "edgecolor": colour, "linewidth": 3, "zorder": 5}
    return axes.add_patch(Rectangle((0, 0), *size, clip_on=False, **style))


def _cells(
    axes: Any,
    corner: tuple[float, float],
    entries: np.ndarray,
    title: str,
    first: np.ndarray | int = 0,
    *,
    marked: np.ndarray | bool = False,
) -> Iterator[tuple[Any, Any, int, bool]]:
    """Draw a table; yield of each cell its box, its text, the step it is known from, its mark."""
    (left, top), (_, wide) = corner, entries.shape
    first, marked = (np.broadcast_to(array, entries.shape) for array in (first, marked))
    for i, j in np.ndindex(*entries.shape):
        x, y = left + j, top + i
        box = axes.add_patch(Rectangle((x, y), 1, 1, edgecolor="#888888", linewidth=0.7))
        middle = {"ha": "center", "va": "center", "fontsize": 11}
        text = axes.text(x + 0.5, y + 0.5, f"{entries[i, j]:g}", **middle)
        yield box, text, int(first[i, j]), bool(marked[i, j])
    axes.text(left + wide / 2, top - 0.25, title, ha="center", va="bottom", fontsize=12)
