"""Accuracy against stored numbers, short and long runs in one picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from tinyadtn.draw.style import REFERENCE, SERIES, new_figure

FAMILIES = ("ADTN", "low rank", "tensor train", "smaller dense", "dense", "ADTN, larger sites")
MARKS = dict(zip(FAMILIES, SERIES)) | {"dense": ("#000000", "-", "P")}  # a cross that can be hollow
TICKS = (40, 60, 80, 90, 95, 98, 99)

Runs = Mapping[str, tuple[str, int, list[float]]]  # name -> family, numbers stored, percents


def accuracy(panels: Mapping[str, tuple[Runs, Runs]]) -> Figure:
    """A panel a network: test accuracy (on a scale of log error) against the numbers stored.

    Each entry is (short runs, long runs). Marks are means, bars reach from the worst seed to the
    best; the grey lines are what frozen random weights reach.
    """
    told = [
        f"{title}: " + ", ".join(f"{n} {np.mean(p):.1f} %" for n, (_, _, p) in long.items())
        for title, (_, long) in panels.items()
    ]
    figure = new_figure(
        10.4,
        5.0,
        "Test accuracy against numbers stored, short and long runs. Long runs: " + "; ".join(told),
    )
    for axes, (title, (short, long)) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items()
    ):
        _panel(axes, title, short, long)
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=family)
        for family, (colour, _, marker) in MARKS.items()
    ]
    plain: dict[str, Any] = {"color": REFERENCE, "marker": "o", "linestyle": ""}
    handles += [
        Line2D([], [], markerfacecolor="none", label="3,500 images", **plain),
        Line2D([], [], label="55,000 images", **plain),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _panel(axes: Any, title: str, short: Runs, long: Runs) -> None:
    for runs, filled in ((short, False), (long, True)):
        edge, size = 100 - np.mean(runs["frozen"][2]), "55,000" if filled else "3,500"
        axes.axhline(edge, color=REFERENCE, linestyle="-" if filled else "--", linewidth=1.2)
        style = {"color": REFERENCE, "fontsize": 8, "va": "top", "ha": "right"}
        axes.text(3.7e5, edge * 1.03, f"frozen, {size} images", **style)
        for family, (colour, line, marker) in MARKS.items():
            chosen = sorted(row[1:] for row in runs.values() if row[0] == family)
            if chosen:
                _curve(axes, chosen, filled, color=colour, linestyle=line, marker=marker)
    for name, (family, stored, percents) in long.items():
        if family == "ADTN":
            place = stored, 100 - np.mean(percents)
            axes.annotate(
                name.split()[-1], place, (0, 9), textcoords="offset points", ha="center", fontsize=8
            )
    axes.set(
        xscale="log", yscale="log", xlabel="numbers stored for the encoded layers", title=title
    )
    axes.set_ylabel("test accuracy (%)")
    errors = [100 - p for runs in (short, long) for _, _, ps in runs.values() for p in ps]
    axes.set_ylim(max(errors) * 1.15, min(errors) * 0.8)
    axes.yaxis.set_major_locator(FixedLocator([100 - tick for tick in TICKS]))
    axes.yaxis.set_major_formatter(lambda error, _: f"{100 - error:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator([100, 1000, 10_000, 100_000]))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlim(60, 4e5)
    axes.grid(alpha=0.3)


def _curve(axes: Any, rows: list[tuple[int, list[float]]], filled: bool, **style: Any) -> None:
    numbers = [stored for stored, _ in rows]
    means = [100 - np.mean(percents) for _, percents in rows]
    worse = [100 - min(p) - m for (_, p), m in zip(rows, means)]
    better = [m - (100 - max(p)) for (_, p), m in zip(rows, means)]
    face = style["color"] if filled else "white"
    axes.errorbar(
        numbers, means, [better, worse], capsize=3, markerfacecolor=face, linewidth=1.2, **style
    )
