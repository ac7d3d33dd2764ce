"""Loss curves against chance, and the digits that a network misreads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinyadtn.draw.style import REFERENCE, new_figure, styles


def loss_curves(curves: Mapping[str, Sequence[float]], *, classes: int = 10) -> Any:
    """The loss of every step, smoothed, against the loss of equal probabilities."""
    figure = new_figure(7.5, 4.2, f"Loss by step, {_told(curves, classes)}")
    _curves(figure.add_subplot(), curves, classes)
    return figure


def curves_and_misread(
    curves: Mapping[str, Sequence[float]],
    images: np.ndarray,
    labels: Sequence[int],
    read: Sequence[int],
    *,
    classes: int = 10,
) -> Any:
    """Left the loss curves; right 25 images (n, h, w), "4→9" over each: it is a 4, read as a 9."""
    pairs = [f"{label}→{answer}" for label, answer in zip(labels, read)]
    figure = new_figure(
        13.0,
        5.4,
        f"Left: loss by step, {_told(curves, classes)} "
        f"Right: {len(pairs)} misread digits, true label and answer: {', '.join(pairs)}.",
    )
    left, right = figure.add_gridspec(1, 2, width_ratios=(1.2, 1.0))
    _curves(figure.add_subplot(left), curves, classes)
    cells = iter(right.subgridspec(5, 5))
    for image, pair in zip(images, pairs):
        axes = figure.add_subplot(next(cells))
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(pair, fontsize=11, pad=2)
        axes.set(xticks=[], yticks=[])
    return figure


def _told(curves: Mapping[str, Sequence[float]], classes: int) -> str:
    last = ", ".join(f"{label} {np.mean(losses[-20:]):.2f}" for label, losses in curves.items())
    return f"against ln {classes} = {math.log(classes):.2f}; at the end: {last}."


def _curves(axes: Any, curves: Mapping[str, Sequence[float]], classes: int) -> None:
    chance = math.log(classes)
    label = f"equal probabilities: ln {classes} = {chance:.2f}"
    axes.axhline(chance, color=REFERENCE, linewidth=1.2, label=label)
    top = 1.15 * chance
    for (label, losses), style in zip(curves.items(), styles(len(curves))):
        window = max(1, len(losses) // 40)
        smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
        top = max(top, 1.05 * float(smooth.max()))
        at = 1 + np.arange(len(smooth)) + (window - 1) / 2  # the first step is 1
        axes.plot(at, smooth, markevery=max(1, len(smooth) // 8), label=label, **style)
    axes.set(xlabel="step", ylabel="loss")
    axes.locator_params(axis="x", integer=True)
    axes.set_ylim(0, top)
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
