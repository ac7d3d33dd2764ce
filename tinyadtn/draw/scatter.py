"""Accuracy against the number of stored parameters: the trade-off that compression is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import ShapeError
from .style import Figure, new_figure, styles


@dataclass(frozen=True)
class Point:
    """So many stored numbers reach this accuracy, a share; ``spread`` is its standard deviation."""

    numbers: int
    accuracy: float
    spread: float = 0.0

    def __str__(self) -> str:
        around = f" ± {100 * self.spread:.1f}" if self.spread else ""
        return f"{self.numbers:,}: {100 * self.accuracy:.1f}{around} %"


def tradeoff(
    curves: Mapping[str, Sequence[Point]],
    levels: Mapping[str, Point] | None = None,
    *,
    xlabel: str = "stored numbers",
) -> Figure:
    """Test accuracy against stored numbers (logarithmic), with bars of one standard deviation.

    A curve has one point or more, from few numbers to many. A level is drawn from side to side,
    for what stores nothing, or is not counted: a frozen layer, a dense network.

    >>> tradeoff({"ADTN": [Point(164, 0.965, 0.002)]}, {"dense": Point(0, 0.982)}).get_label()
    'Test accuracy by stored numbers: ADTN 164: 96.5 ± 0.2 %; dense 98.2 %.'
    """
    levels = levels or {}
    if not (curves or levels) or not all(curves.values()):
        raise ShapeError("tradeoff needs a point or more in every curve")
    said = [f"{label} {', '.join(map(str, points))}" for label, points in curves.items()]
    said += [f"{label} {str(level).partition(': ')[2]}" for label, level in levels.items()]
    figure = new_figure(6.4, 4.6, f"Test accuracy by stored numbers: {'; '.join(said)}.")
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
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set(xlabel=xlabel, ylabel="correct on the test split (%)")
    axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
