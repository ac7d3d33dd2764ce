"""Training curves: loss and validation accuracy of runs, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..errors import ShapeError
from .style import REFERENCE, Figure, new_figure, require_labelled, styles


def training_curves(
    histories: Mapping[str, Sequence[Mapping[str, float]]], *, classes: int = 10
) -> Figure:
    """Draw training loss and validation accuracy against the epoch, one curve per label.

    A history has one entry per epoch with epoch, loss and validation_accuracy, as a checkpoint
    stores them. The grey line is chance: the loss ln(classes) of equal class probabilities.

    >>> history = [{"epoch": 1, "loss": 0.7, "validation_accuracy": 0.9}]
    >>> training_curves({"dense": history}).get_label()
    'Training loss and validation accuracy by epoch; after the last: dense 0.7, 90.0 %.'
    """
    require_labelled("training_curves", histories)
    if not histories or not all(histories.values()):
        empty = [label for label, history in histories.items() if not history]
        raise ShapeError(f"training_curves needs an epoch or more each; none in {empty or 'all'}")
    last = [
        f"{label} {history[-1]['loss']:.3g}, {100 * history[-1]['validation_accuracy']:.1f} %"
        for label, history in histories.items()
    ]
    figure = new_figure(
        9.0,
        3.8,
        "Training loss and validation accuracy by epoch; after the last: " + "; ".join(last) + ".",
    )
    from matplotlib.ticker import MaxNLocator

    left, right = figure.subplots(1, 2)
    left.set(title="Training loss", xlabel="epoch", ylabel="cross-entropy (nats)")
    right.set(title="Validation accuracy", xlabel="epoch", ylabel="correct (%)")
    chance = f"chance: ln {classes} = {math.log(classes):.2f}"
    left.axhline(math.log(classes), color=REFERENCE, linewidth=1, label=chance)
    for (label, history), style in zip(histories.items(), styles(len(histories))):
        epochs = [entry["epoch"] for entry in history]
        style["markevery"] = math.ceil(len(epochs) / 20)
        left.plot(epochs, [entry["loss"] for entry in history], label=label, **style)
        accuracy = [100 * entry["validation_accuracy"] for entry in history]
        right.plot(epochs, accuracy, label=label, **style)
    losses = [entry["loss"] for history in histories.values() for entry in history]
    if 0 < 10 * min(losses) < math.log(classes):
        left.set_yscale("log")
        left.yaxis.set_major_formatter("{x:g}")
    for axes in (left, right):
        start, end = axes.xaxis.get_data_interval()
        axes.set_xlim(start - 0.5, end + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
