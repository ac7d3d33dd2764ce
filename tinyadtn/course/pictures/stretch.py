"""Broadcasting and its adjoint: a small array is stretched; adjoints are summed back."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from tinyadtn.draw.style import ADJOINT, VALUE, new_figure

BANDS = ("#FFFFFF", "#D9D9D9", "#F0F0F0", "#BFBFBF")  # which cells belong together


def stretch_and_sum(smalls: list[np.ndarray], gradient: np.ndarray) -> Any:
    """A row for each small array: it, stretched to the gradient's shape, the gradient, summed.

    Cells with the same shade are copies of one number, so their adjoints meet in one number.
    """
    rows, columns = gradient.shape
    results = [_sum_back(gradient, small.shape) for small in smalls]
    figure = new_figure(
        12.0,
        2.45 * len(smalls),
        "Broadcasting, forward: "
        + ", ".join(f"shape {small.shape} is copied" for small in smalls)
        + f" to {gradient.shape}. Backward: the adjoints of all copies of a number are summed: "
        + "; ".join(str(np.round(result, 2).tolist()) for result in results)
        + ".",
    )
    for line, (small, result) in enumerate(zip(smalls, results)):
        owner = np.broadcast_to(np.arange(small.size).reshape(small.shape), gradient.shape)
        panels = (
            (f"a value {small.shape}", small, np.arange(small.size).reshape(small.shape), VALUE),
            (
                f"stretched to {gradient.shape}",
                np.broadcast_to(small, (rows, columns)),
                owner,
                VALUE,
            ),
            (f"adjoint {gradient.shape}", gradient, owner, ADJOINT),
            (
                f"summed to {small.shape}",
                result,
                np.arange(small.size).reshape(small.shape),
                ADJOINT,
            ),
        )
        for k, (title, numbers, shades, colour) in enumerate(panels):
            axes = figure.add_subplot(len(smalls), 4, 4 * line + k + 1)
            _grid(axes, np.asarray(numbers), np.asarray(shades), colour, (rows, columns))
            axes.set_title(title, fontsize=12, color=colour)
            word = {0: "copy  →", 1: "· · ·", 2: "sum  →"}.get(k, "")
            axes.text(
                1.04, 0.5, word, transform=axes.transAxes, fontsize=12, ha="left", va="center"
            )
    return figure


def _sum_back(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    out = np.zeros(shape)
    view = np.broadcast_to(np.arange(out.size).reshape(shape), gradient.shape)
    np.add.at(out.reshape(-1), view, gradient)
    return out


def _grid(axes, numbers, shades, colour, room) -> None:
    """The numbers as cells, in the middle of as much room as the stretched array takes."""
    table = np.atleast_2d(numbers)
    kinds = np.atleast_2d(shades)
    high, wide = table.shape
    left, bottom = (room[1] - wide) / 2, (room[0] - high) / 2
    for i in range(high):
        for j in range(wide):
            x, y = left + j, bottom + high - 1 - i
            band = BANDS[int(kinds[i, j]) % len(BANDS)] if shades.size > 1 else BANDS[0]
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor=band, edgecolor=colour, linewidth=1.4))
            axes.text(
                x + 0.5,
                y + 0.5,
                f"{table[i, j]:g}",
                ha="center",
                va="center",
                fontsize=13,
                color=colour if colour == VALUE else "#8A3B00",
                weight="normal" if colour == VALUE else "bold",
            )
    axes.set(xlim=(-0.1, room[1] + 0.1), ylim=(-0.1, room[0] + 0.1), aspect="equal")
    axes.axis("off")
