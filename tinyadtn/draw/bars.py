"""Bars: how much accuracy each layer of a network loses when it is encoded."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..errors import ShapeError
from .style import VALUE, Figure, new_figure, require_labelled


def sensitivity(drops: Mapping[str, float]) -> Figure:
    """Draw the drop of the accuracy for each layer, in percentage points, the first layer on top.

    ``drops`` are shares, as in ``ta.sensitivity(...).drops``.

    >>> sensitivity({"fc1": 0.021, "fc2": -0.001}).get_label()
    'Drop of the accuracy if one layer is encoded: fc1 2.1, fc2 -0.1 points.'
    """
    require_labelled("sensitivity", drops)
    if not drops or not all(map(math.isfinite, drops.values())):
        raise ShapeError(f"sensitivity draws one finite drop or more, got {dict(drops)}")
    said = ", ".join(f"{layer} {100 * drop:.1f}" for layer, drop in drops.items())
    figure = new_figure(
        5.6, 1.2 + 0.3 * len(drops), f"Drop of the accuracy if one layer is encoded: {said} points."
    )
    axes = figure.add_subplot()
    bars = axes.barh([*drops], [100 * drop for drop in drops.values()], color=VALUE)
    axes.bar_label(bars, fmt="{:.1f}", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set(xlabel="drop of the accuracy (percentage points)", ylabel="encoded layer")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    return figure
