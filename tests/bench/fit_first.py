"""The fits of fc1_activations.toml: how close they come, and what training makes of them.

python tests/bench/fit_first.py --table         # the relative errors of the fits
python tests/bench/fit_first.py --plot FILE     # accuracy before training and after each epoch
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinyadtn.draw.style import new_figure, save, styles
from tinyadtn.studies.results import read_records
from tinyadtn.tables import format_markdown

FILE = Path(__file__).parents[2] / "data" / "results" / "fc1_activations.jsonl"
STARTS = ("random", "weights", "weights at full norm", "activations")
PANELS = ("all trained", "others frozen")


def records(row: str, depth: int = 2) -> list[dict[str, Any]]:
    """The runs of a row, one for each seed."""
    found = read_records(FILE).values()
    return [r for r in found if r["row"] == row and r["config"]["encode"]["fc1"]["depth"] == depth]


def table() -> str:
    """What the fit is to, the depth, the relative error e, and cos = √(1 - e²)."""
    rows = [["fitted to", "M", "relative error", "cosine"]]
    for start in ("weights", "activations"):
        for depth in (2, 4):
            runs = records(f"{start}, before training", depth)
            error = statistics.fmean(run["fit_error"]["fc1"] for run in runs)
            rows.append([start, str(depth), f"{error:.3f}", f"{math.sqrt(1 - error**2):.2f}"])
    return format_markdown(rows)


def wrong(start: str, panel: str) -> list[float]:
    """The mean validation error in %, before training and after each epoch."""
    before = [run["validation"] for run in records(f"{start}, before training")]
    runs = [run["history"] for run in records(f"{start}, {panel}")]
    epochs = [[entry["validation_accuracy"] for entry in epoch] for epoch in zip(*runs)]
    return [100 * (1 - statistics.fmean(shares)) for shares in (before, *epochs)]


def picture() -> Any:
    figure = new_figure(
        7.2,
        3.8,
        "Validation error before training and after one and two epochs, for four initializations "
        "of an ADTN of depth 2, with the other layers frozen and with all layers trained.",
    )
    for axes, panel in zip(figure.subplots(1, 2, sharey=True), PANELS):
        for start, style in zip(STARTS, styles(len(STARTS))):
            if records(f"{start}, {panel}"):
                axes.plot(wrong(start, panel), label=start, **style)
        axes.set(title=panel, xlabel="epochs of training", yscale="log", xticks=(0, 1, 2))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.3, which="both")
    figure.axes[0].set(ylabel="wrong on the validation split (%)")
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=4)
    return figure


def main(words: Sequence[str]) -> None:
    if words[0] == "--table":
        print(table())
    else:
        save(picture(), words[1])


if __name__ == "__main__":
    main(sys.argv[1:])
