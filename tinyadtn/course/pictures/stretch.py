"""Broadcasting and its adjoint: a small array is stretched; adjoints are summed back."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from tinyadtn.autodiff.engine import unbroadcast
from tinyadtn.draw.style import ADJOINT, VALUE, new_figure

BANDS = ("#FFFFFF", "#D9D9D9", "#F0F0F0", "#BFBFBF")  # which cells belong together


def stretch_and_sum(smalls: list[np.ndarray], gradient: np.ndarray) -> Any:
    """A row for each small array: it, stretched to the gradient's shape, the gradient, summed.

    Cells with the same shade are copies of one number, so their adjoints meet in one number.
    """
    results = [unbroadcast(gradient, small.shape) for small in smalls]
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
        number = np.arange(small.size).reshape(small.shape)
        numbers = np.broadcast_to(number, gradient.shape)  # which number a cell is a copy of
        stretched = np.broadcast_to(small, gradient.shape)
        panels = (
            (f"a value {small.shape}", small, number, VALUE, "copy  →"),
            (f"stretched to {gradient.shape}", stretched, numbers, VALUE, "· · ·"),
            (f"adjoint {gradient.shape}", gradient, numbers, ADJOINT, "sum  →"),
            (f"summed to {small.shape}", result, number, ADJOINT, ""),
        )
        for k, (title, entries, shades, colour, word) in enumerate(panels, start=1):
            axes = figure.add_subplot(len(smalls), 4, 4 * line + k)
            _grid(axes, np.atleast_2d(entries), np.atleast_2d(shades), colour, gradient.shape)
            axes.set_title(title, fontsize=12, color=colour)
            axes.text(1.04, 0.5, word, transform=axes.transAxes, fontsize=12, va="center")
    return figure


def _grid(axes: Any, entries: np.ndarray, shades: np.ndarray, colour: str, room: Any) -> None:
    """The entries as cells, in the middle of as much room as the stretched array takes."""
    high, wide = entries.shape
    left, bottom = (room[1] - wide) / 2, (room[0] - high) / 2
    ink = {"color": VALUE} if colour == VALUE else {"color": "#8A3B00", "weight": "bold"}
    style = {"ha": "center", "va": "center", "fontsize": 13, **ink}
    for i, j in np.ndindex(high, wide):
        x, y = left + j, bottom + high - 1 - i
        band = BANDS[shades[i, j] % len(BANDS)]
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=band, edgecolor=colour, linewidth=1.4))
        axes.text(x + 0.5, y + 0.5, f"{entries[i, j]:g}", **style)
    axes.set(xlim=(-0.1, room[1] + 0.1), ylim=(-0.1, room[0] + 0.1), aspect="equal")
    axes.axis("off")
