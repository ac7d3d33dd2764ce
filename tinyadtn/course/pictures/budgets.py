"""Accuracy against stored parameters, short and long runs in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from tinyadtn.course.player import Player, player
from tinyadtn.draw.style import REFERENCE, SERIES, SIGNED, VALUE, new_figure

FAMILIES = ("ADTN", "low rank", "tensor train", "layers removed", "dense", "ADTN, larger sites")
MARKS = dict(zip(FAMILIES, SERIES)) | {"dense": ("#000000", "-", "P")}  # a cross that can be hollow
TICKS = (40, 60, 80, 90, 95, 98, 99)

BEGINNINGS = {  # of the names of rows
    "ADTN": "ADTN",
    "larger sites": "ADTN, larger sites",
    "TT": "tensor train",
    "rank": "low rank",
    "low rank": "low rank",
    "removed": "layers removed",
    "dense": "dense",
}

Runs = Mapping[str, tuple[int, list[float]]]  # name -> parameters, percents


def accuracy(panels: Mapping[str, tuple[Runs, Runs]]) -> Figure:
    """Draw test accuracy (log scale of the error) against stored parameters, a panel per network.

    Each entry is (short runs, long runs). Marks are means, bars reach from the worst seed to the
    best; the grey lines are what frozen random weights reach.
    """
    told = [
        f"{title}: " + ", ".join(f"{n} {np.mean(p):.1f} %" for n, (_, p) in long.items())
        for title, (_, long) in panels.items()
    ]
    figure = new_figure(
        10.4,
        5.0,
        "Test accuracy against stored parameters, short and long runs. Long runs: "
        + "; ".join(told),
    )
    for axes, (title, (short, long)) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items()
    ):
        _panel(axes, title, short, long)
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=family)
        for family, (colour, _, marker) in MARKS.items()
        if any(
            _family(name) == family for pair in panels.values() for runs in pair for name in runs
        )
    ]
    plain: dict[str, Any] = {"color": REFERENCE, "marker": "o", "linestyle": ""}
    handles += [
        Line2D([], [], markerfacecolor="none", label="3,500 images", **plain),
        Line2D([], [], label="55,000 images", **plain),
        Line2D([], [], color=REFERENCE, linestyle="--", label="frozen, 3,500 images"),
        Line2D([], [], color=REFERENCE, label="frozen, 55,000 images"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False)
    return figure


def _family(name: str) -> str:
    return next((f for start, f in BEGINNINGS.items() if name.startswith(start)), "")


def _panel(axes: Any, title: str, short: Runs, long: Runs) -> None:
    for runs, filled in ((short, False), (long, True)):
        edge = 100 - np.mean(runs["frozen"][1])
        axes.axhline(edge, color=REFERENCE, linestyle="-" if filled else "--", linewidth=1.2)
        for family, (colour, line, marker) in MARKS.items():
            chosen = sorted(row for name, row in runs.items() if _family(name) == family)
            if chosen:
                _curve(axes, chosen, filled, color=colour, linestyle=line, marker=marker)
    for name, (stored, percents) in long.items():
        if _family(name) == "ADTN":
            place = stored, 100 - np.mean(percents)
            style = {"textcoords": "offset points", "ha": "center", "fontsize": 8}
            axes.annotate(name.split()[-1], place, (0, -15), **style)
    axes.set(
        xscale="log", yscale="log", xlabel="parameters stored for the encoded layers", title=title
    )
    axes.set_ylabel("test accuracy (%), logarithmic in the error")
    errors = [100 - p for runs in (short, long) for _, ps in runs.values() for p in ps]
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


# --- weights and accuracy over training ----------------------------------------------------------


def learning(history: Sequence[tuple[int, float, float, np.ndarray]], units: int = 12) -> Player:
    """Return a player over training: rows of the weight as images, and the accuracy so far.

    An entry is (step, loss, validation accuracy in %, weight); a row of the weight has 784 entries.
    """
    captions = [
        f"After step {step}: loss {loss:.2f}, validation accuracy {percent:.1f} %."
        for step, loss, percent, _ in history
    ]
    alt = f"The weights of {units} hidden units as images, and the accuracy, during training."
    return player(lambda k: _learning_frame(history, k, units), captions, alt=alt)


def _learning_frame(history: Sequence[Any], k: int, units: int) -> Figure:
    figure = new_figure(8.4, 3.4, "")
    left, right = figure.subfigures(1, 2, width_ratios=[1.25, 1])
    weight = history[k][3]
    scale = float(np.quantile(np.abs(weight[:units]), 0.98))
    for axes, row in zip(left.subplots(3, -(-units // 3)).ravel(), weight[:units]):
        style = {"cmap": SIGNED, "vmin": -scale, "vmax": scale}
        axes.imshow(row.reshape(28, 28), interpolation="nearest", **style)
        axes.set(xticks=[], yticks=[])
    left.suptitle(f"what {units} hidden units look for", fontsize=10)
    axes = right.subplots()
    steps, percents = [h[0] for h in history], [h[2] for h in history]
    axes.plot(steps, percents, color="#CCCCCC", linewidth=1.2)
    axes.plot(steps[: k + 1], percents[: k + 1], color=VALUE, marker="o", markersize=4)
    axes.axhline(10, color=REFERENCE, linewidth=1)
    axes.text(steps[-1], 11.5, "chance", ha="right", color=REFERENCE, fontsize=9)
    axes.set(xlabel="step", ylabel="validation accuracy (%)", ylim=(0, 100))
    axes.grid(alpha=0.3)
    return figure
