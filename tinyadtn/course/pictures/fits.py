"""How an ADTN is fitted, and how close it and its rivals come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from tinyadtn.draw.style import ADJOINT, REFERENCE, VALUE, new_figure, styles

FAMILIES = ("ADTN", "low rank", "tensor train")


def two_ways(by_distance: Mapping[str, Any], by_angle: Mapping[str, Any]) -> Figure:
    """Draw ‖T‖ and the error of the best multiple of T, by step, for the two losses."""
    figure = new_figure(
        8.6,
        3.3,
        "Two fits by step. Left: the norm of T; minimizing the distance shrinks it from 1 to "
        f"{by_distance['norm'].min():.3f}. Right: the error of T scaled at its best: the distance "
        f"ends at {by_distance['best'][-1]:.3f}, the angle at {by_angle['best'][-1]:.3f}.",
    )
    left, right = figure.subplots(1, 2)
    for axes, key in ((left, "norm"), (right, "best")):
        axes.plot(by_distance[key], color=ADJOINT, linestyle="--", label="minimize ‖T − W‖²")
        axes.plot(by_angle[key], color=VALUE, label="minimize 1 − cos²")
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
    left.axhline(1, color=REFERENCE, linewidth=1)
    left.text(len(by_angle["norm"]), 1.1, "‖W‖ = 1", color=REFERENCE, ha="right", fontsize=9)
    left.set(yscale="log", ylabel="‖T‖", title="the size of T")
    right.set(ylabel="relative error", title="the error of the best multiple of T")
    right.legend(fontsize=9)
    return figure


def race(
    races: Mapping[str, Mapping[str, Any]], size: int, depths: Sequence[int] = (1, 2, 4)
) -> Figure:
    """Draw relative error against parameters, a panel per target; the grey line is √(1 − n/N).

    ``depths`` are those of the ADTNs; the first and the last are named.
    """
    ends = [
        f"{target}: " + ", ".join(f"{f} {np.mean(found[f][-1][1]):.3f}" for f in FAMILIES)
        for target, found in races.items()
    ]
    figure = new_figure(
        10.2,
        4.4,
        "Relative error against parameters stored: low rank, tensor train and ADTN. Error of the "
        f"largest of each: {'; '.join(ends)}.",
    )
    panels = figure.subplots(1, len(races), sharex=True)
    counts = np.geomspace(50, 9000, 50)
    for axes, (target, found) in zip(panels, races.items()):
        for family, style in zip(FAMILIES, styles(len(FAMILIES))):
            numbers = [n for n, _ in found[family]]
            means = [np.mean(errors) for _, errors in found[family]]
            spread = [[m - min(e), max(e) - m] for m, (_, e) in zip(means, found[family])]
            axes.errorbar(numbers, means, np.transpose(spread), label=family, capsize=3, **style)
        floor = np.sqrt(1 - counts / size)
        axes.plot(counts, floor, color=REFERENCE, linewidth=1, label="nothing learned: √(1 − n/N)")
        axes.set(xscale="log", xlabel="parameters stored, n", title=target)
        axes.xaxis.set_major_locator(FixedLocator([100, 1000]))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("‖T − W‖ / ‖W‖")
    panels[-1].set_yscale("log")
    panels[-1].set_title(f"{list(races)[-1]} (log scale)")
    walls = list(races.values())[-1]["ADTN"]
    for k, (numbers, errors) in ((depths[0], walls[0]), (depths[-1], walls[-1])):
        panels[-1].annotate(
            f"M={k}", (numbers, np.mean(errors)), (7, 3), textcoords="offset points", fontsize=8
        )
    limits = [min(np.min(e) for f in FAMILIES for _, e in found[f]) for found in races.values()]
    for axes in panels[:-1]:
        axes.set_ylim(min(limits[:-1]) - 0.02, 1.01)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False
    )
    return figure
