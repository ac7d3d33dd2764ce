"""Accuracy against the number of stored parameters: the trade-off that compression is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import ShapeError
from .style import Figure, new_figure, require_labelled, styles


@dataclass(frozen=True)
class Point:
    """Stored parameters (``numbers``), their accuracy (0 to 1), and its standard deviation."""

    numbers: int
    accuracy: float
    spread: float = 0.0

    def __str__(self) -> str:
        around = f" ± {100 * self.spread:.1f}" if self.spread else ""
        return f"{self.numbers:,}: {100 * self.accuracy:.1f}{around} %"

    __repr__ = __str__


def tradeoff(
    curves: Mapping[str, Sequence[Point]],
    levels: Mapping[str, Point] | None = None,
    *,
    xlabel: str = "stored parameters",
) -> Figure:
    """Draw test accuracy against stored parameters (log scale), with bars of a standard deviation.

    A curve has one or more points, sorted by the number of parameters. A level is a horizontal
    line, for a model whose parameters are not counted: a frozen layer stores none, and a dense
    network is only a reference. ``xlabel`` names the axis, such as "stored bytes of all weights".

    >>> tradeoff({"ADTN": [Point(164, 0.965, 0.002)]}, {"dense": Point(0, 0.982)}).get_label()
    'Test accuracy by stored parameters: ADTN 164: 96.5 ± 0.2 %; dense 98.2 %.'
    """
    levels = levels or {}
    require_labelled("tradeoff", curves)
    if not (curves or levels) or not all(curves.values()):
        raise ShapeError("tradeoff needs a point or more in every curve")
    said = [f"{label} {', '.join(map(str, points))}" for label, points in curves.items()]
    said += [f"{label} {str(level).partition(': ')[2]}" for label, level in levels.items()]
    figure = new_figure(
        6.4, 4.6, f"Test accuracy by {xlabel.partition(' of ')[0]}: {'; '.join(said)}."
    )
    axes = figure.add_subplot()
    available = styles(len(curves) + len(levels))
    for (label, points), style in zip(curves.items(), available):
        axes.errorbar(
            [point.numbers for point in points],
            [100 * point.accuracy for point in points],
            yerr=[100 * point.spread for point in points],
            label=label,
            capsize=3,
            **style,
        )
    for (label, level), style in zip(levels.items(), available):
        look = {"color": style["color"], "linestyle": style["linestyle"]}
        low, high = (100 * (level.accuracy + sign * level.spread) for sign in (-1, 1))
        axes.axhline(100 * level.accuracy, label=label, linewidth=1.2, **look)
        axes.axhspan(low, high, color=style["color"], alpha=0.12, linewidth=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set(xlabel=xlabel, ylabel="correct on the test split (%)")
    axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
