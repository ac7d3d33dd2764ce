"""Loss curves against chance, and the digits that a network misreads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinyadtn.draw.style import REFERENCE, new_figure, styles


def loss_curves(curves: Mapping[str, Sequence[float]], *, classes: int = 10) -> Any:
    """The loss of every step, smoothed, against the loss of equal probabilities.

    Each point is the mean over a window around its step. The window begins with the first step
    alone, so every curve starts where the loss starts.
    """
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
    ends = ", ".join(
        f"{label} from {each[0]:.2f} to {smoothed(each)[-1]:.2f}" for label, each in curves.items()
    )
    return f"against ln {classes} = {math.log(classes):.2f}: {ends}."


def smoothed(losses: Sequence[float]) -> np.ndarray:
    """The mean over a window of up to a fortieth of the steps around each step."""
    step, last = np.arange(len(losses)), len(losses) - 1
    reach = np.minimum(step, len(losses) // 80)  # the first loss stands alone
    low, high = step - reach, np.minimum(step + reach, last)
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    return (sums[high + 1] - sums[low]) / (high + 1 - low)


def _curves(axes: Any, curves: Mapping[str, Sequence[float]], classes: int) -> None:
    chance = math.log(classes)
    label = f"equal probabilities: ln {classes} = {chance:.2f}"
    axes.axhline(chance, color=REFERENCE, linewidth=1.2, label=label)
    top = 1.15 * chance
    for (label, losses), style in zip(curves.items(), styles(len(curves))):
        smooth = smoothed(losses)
        top = max(top, 1.05 * float(smooth.max()))
        at = np.arange(1, len(smooth) + 1)
        axes.plot(at, smooth, markevery=max(1, len(smooth) // 8), label=label, **style)
    many = max(map(len, curves.values())) >= 80
    axes.set(xlabel="step", ylabel="loss, smoothed" if many else "loss")
    axes.locator_params(axis="x", integer=True)
    axes.set_ylim(0, top)
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
