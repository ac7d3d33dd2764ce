"""What is missing from a matrix if only some of its singular values are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from tinyadtn.draw.style import REFERENCE, new_figure, styles


def missing(curves: Mapping[str, Any]) -> Figure:
    """Draw the relative error against the number of singular values kept, one curve per matrix."""
    last = ", ".join(f"{name} {curve[16]:.2g}" for name, curve in curves.items())
    figure = new_figure(
        7.6, 4.0, f"Relative error against the number of singular values kept. At 16: {last}."
    )
    axes = figure.add_subplot()
    for (name, curve), style in zip(curves.items(), styles(len(curves))):
        axes.plot(range(len(curve)), curve, markevery=16, label=name, **style)
    axes.axhline(0.5, color=REFERENCE, linewidth=1)
    axes.text(len(curve), 0.51, "one half", ha="right", va="bottom", color=REFERENCE, fontsize=9)
    axes.set(xlabel="singular values kept (the rank)", ylabel="relative error", ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure
