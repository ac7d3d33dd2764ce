"""A claim as a ladder: what each rung needs, what was checked, and what was not."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from tinyadtn.draw.style import ADJOINT, REFERENCE, VALUE, new_figure

# Colour, sign and word say the same: any one of them is enough.
STATES = {
    "holds": (VALUE, "✓"),
    "does not hold in our runs": (ADJOINT, "✗"),
    "not tested": ("#FFFFFF", "?"),
}
COLUMNS = (  # name, place, letters in a line
    ("claim", 0.0, 19),
    ("what must be true", 1.95, 23),
    ("checked", 4.15, 25),
    ("not checked", 6.45, 25),
)

Runs = Mapping[str, Sequence[float]]  # name -> test accuracy of each run in %


class Rung(NamedTuple):
    """One claim, what it needs, and how far it was tested; ``state`` is a key of STATES."""

    claim: str
    must_be_true: str
    checked: str
    not_checked: str
    state: str


def claim_of_2023(claim: Mapping[str, float], lenet: Runs, heads: Runs, whole: Runs) -> list[Rung]:
    """Return the claim of arXiv 2305.06058 as rungs from the ground up, with our measurements."""
    once = f"VGG-16 once: 424 {whole['424'][0]:.2f} %, dense {whole['dense'][0]:.2f} %"
    lenet_means = f"{_mean(lenet['ADTN, 2,192']):.1f} %, dense {_mean(lenet['dense']):.1f} %"
    controls = f"frozen {_mean(heads['frozen']):.1f} %, removed {_mean(heads['removed']):.1f} %"
    return [
        Rung(
            "424 parameters are stored",
            "a counting rule that gives 424 for these two shapes",
            "notebook 10: only one of three rules does",
            "whether the authors count so; the 632 of version 1",
            "holds",
        ),
        Rung(
            "… for about $10^7$ weights",
            "they decode to both layers",
            "rank 4 each with outputs first",
            "the order of the sites",
            "holds",
        ),
        Rung(
            "the network learns with them",
            "accuracy far above chance",
            once,
            "more than one run",
            "holds",
        ),
        Rung(
            "no accuracy is lost",
            "not significantly below dense, both tuned, several seeds",
            f"LeNet-5: {lenet_means}",
            "VGG-16 with seeds",
            "does not hold in our runs",
        ),
        Rung(
            f"accuracy improves, {claim['before']} to {claim['after']} %",
            "a verdict over seeds against a well-trained baseline",
            "nothing: two figures carry no verdict",
            "Gao et al. report 93.13 % dense",
            "not tested",
        ),
        Rung(
            "… because of the ADTNs",
            "frozen or missing layers do worse",
            f"heads: {_mean(heads['ADTN, 424']):.1f} %, {controls}",
            "a VGG-16 as good as the paper's",
            "does not hold in our runs",
        ),
    ]


def _mean(percents: Sequence[float]) -> float:
    return sum(percents) / len(percents)


def ladder(*rungs: Sequence[str]) -> Figure:
    """Draw rungs from the ground up: (claim, what must be true, checked, not checked, state)."""
    told = "; ".join(f"{claim} ({state})" for claim, *_, state in rungs).replace("$10^7$", "10^7")
    figure = new_figure(9.6, len(rungs) + 0.7, f"A ladder of claims, from below: {told}.")
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set(xlim=(-1.3, 8.6), ylim=(-0.55, len(rungs) + 0.1))
    for x in (-1.12, -0.28):  # the rails
        axes.plot([x, x], [-0.55, len(rungs) - 0.4], color=REFERENCE, linewidth=5, zorder=1)
    for height, (*texts, state) in enumerate(rungs):
        _rung(axes, height, state)
        for (name, x, letters), text in zip(COLUMNS, texts):
            weight = "bold" if name == "claim" else "normal"
            style = {"fontsize": 9.5, "linespacing": 1.25, "fontweight": weight}
            lines = textwrap.fill(text.replace(" %", "\N{NO-BREAK SPACE}%"), letters)
            axes.text(x, height, lines, va="center", **style)
        if height:
            line = {"color": REFERENCE, "linewidth": 0.5, "alpha": 0.5}
            axes.plot([0, 8.6], [height - 0.5] * 2, **line)
    for name, x, _ in COLUMNS:
        style = {"fontsize": 10, "color": REFERENCE, "style": "italic"}
        axes.text(x, len(rungs) - 0.35, name, **style)
    return figure


def _rung(axes: Any, height: int, state: str) -> None:
    colour, sign = STATES[state]
    box = FancyBboxPatch(
        (-1.04, height - 0.2),
        0.68,
        0.4,
        boxstyle="round,pad=0.06,rounding_size=0.08",
        facecolor=colour,
        edgecolor="black",
        linestyle="--" if state == "not tested" else "-",
        zorder=2,
    )
    axes.add_patch(box)
    light = state == "not tested"
    style = {"ha": "center", "va": "center", "color": "black" if light else "white", "zorder": 3}
    axes.text(-0.7, height + 0.1, sign, fontsize=12, **style)
    axes.text(-0.7, height - 0.09, textwrap.fill(state, 14), fontsize=7, **style)


def seeds(runs: Mapping[str, Sequence[float]], verdict: Callable[[Any, Any], int]) -> Figure:
    """Draw a dot per run and a bar at each mean; print whether neighbours differ significantly."""
    told = ", ".join(f"{name} {_mean(percents):.2f} %" for name, percents in runs.items())
    figure = new_figure(8.4, 0.55 * len(runs) + 1.0, f"Test accuracy of single runs: {told}.")
    axes = figure.add_subplot()
    for y, percents in enumerate(runs.values()):
        axes.plot(percents, [y] * len(percents), color=VALUE, marker="o", linestyle="", alpha=0.8)
        axes.plot([_mean(percents)] * 2, [y - 0.25, y + 0.25], color="black", linewidth=1.5)
    right = max(map(max, runs.values())) + 0.12
    rows = list(runs.values())
    for y, (above, below) in enumerate(itertools.pairwise(rows)):
        apart = verdict(above, below) != 0
        word, style = ("differ", {}) if apart else ("not significant", {"style": "italic"})
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        axes.text(right, y + 0.5, word, va="center", fontsize=9, bbox=paper, **style)
        line = {"linestyle": "-" if apart else ":", "linewidth": 0.8}
        axes.axhline(y + 0.5, color=REFERENCE, **line)
    axes.set_yticks(range(len(runs)), list(runs))
    axes.set(xlabel="test accuracy (%), one dot per seed", xlim=(None, right + 0.45))
    axes.set_ylim(len(runs) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    return figure
