"""Contractions of two arrays as chains: a node for each array, a leg for each letter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.patches import Circle

from tinyadtn.draw.style import ADJOINT, VALUE, new_figure

RADIUS, LEG = 0.32, 1.3


def chains(rows: Sequence[tuple[str, tuple[str, str], Sequence[str]]]) -> Any:
    """A chain for each row (title, names of the two nodes, the three letters from left to right).

    The letter in the middle is summed over; the outer two are the axes of the result. A node
    called G is an adjoint.
    """
    told = [
        f"{title}: {left} has the legs {legs[0]} and {legs[1]}, "
        f"{right} has {legs[1]} and {legs[2]}; {legs[1]} is summed over"
        for title, (left, right), legs in rows
    ]
    figure = new_figure(3.6 * len(rows), 1.5, "Contractions as chains. " + ". ".join(told) + ".")
    for axes, (title, names, letters) in zip(figure.subplots(1, len(rows), squeeze=False)[0], rows):
        for k, letter in enumerate(letters):
            axes.plot([(k - 0.5) * LEG, (k + 0.5) * LEG], [0, 0], color="black", linewidth=1.6)
            open_leg = (-0.2, 0.0, 0.2)[k] * LEG
            axes.text(k * LEG + open_leg, 0.16, letter, ha="center", fontsize=15, style="italic")
        for k, name in enumerate(names):
            edge = ADJOINT if name == "G" else VALUE
            place = ((k + 0.5) * LEG, 0)
            axes.add_patch(
                Circle(place, RADIUS, facecolor="white", edgecolor=edge, linewidth=2, zorder=3)
            )
            axes.text(*place, name, ha="center", va="center", fontsize=14, color=edge, zorder=5)
        axes.set_title(title, fontsize=12)
        axes.set(xlim=(-0.7 * LEG, 2.7 * LEG), ylim=(-0.45, 0.55), aspect="equal")
        axes.axis("off")
    return figure
