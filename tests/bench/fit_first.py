"""The fits of fc1_activations.toml: how close they come, and the accuracy in training.

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
FITS = ("weights", "activations", "differences")
STARTS = ("random", *FITS, "weights at full norm")


def records(row: str) -> list[dict[str, Any]]:
    """The runs of a row, one for each seed."""
    return [record for record in read_records(FILE).values() if record["row"] == row]


def table() -> str:
    """What the fit is to, its relative error e, and the cosine √(1 - e²)."""
    rows = [["fitted to", "relative error", "cosine"]]
    for fit in FITS:
        error = statistics.fmean(run["fit_error"]["fc1"] for run in records(fit))
        rows.append([fit, f"{error:.3f}", f"{math.sqrt(1 - error**2):.2f}"])
    return format_markdown(rows)


def accuracies(start: str) -> dict[int, float]:
    """The mean validation accuracy in % after each epoch; after 0 epochs if it was measured."""
    epochs = list(zip(*(run["history"] for run in records(start))))
    found = {k: [e["validation_accuracy"] for e in epoch] for k, epoch in enumerate(epochs, 1)}
    before = [run["validation"] for run in records(f"{start}, before training")]
    found = {**({0: before} if before else {}), **found}
    return {k: 100 * statistics.fmean(shares) for k, shares in found.items()}


def picture() -> Any:
    curves = {start: accuracies(start) for start in STARTS}
    last = "; ".join(f"{start} {curve[max(curve)]:.1f} %" for start, curve in curves.items())
    figure = new_figure(
        6.4, 4.2, f"Validation accuracy by epoch for five initializations; after the last: {last}."
    )
    axes = figure.add_subplot()
    for (start, curve), style in zip(curves.items(), styles(len(STARTS))):
        label = start if start == "random" else f"fitted to {start}"
        axes.plot(list(curve), list(curve.values()), label=label, **style)
    axes.set(xlabel="epochs of training", ylabel="correct on the validation split (%)")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def main(words: Sequence[str]) -> None:
    if words[0] == "--table":
        print(table())
    else:
        save(picture(), words[1])


if __name__ == "__main__":
    main(sys.argv[1:])
