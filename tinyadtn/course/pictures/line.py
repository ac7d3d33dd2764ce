"""A line that gradient descent fits to points, and the loss on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinyadtn.draw.style import REFERENCE, new_figure, styles


def line_fit(
    xs: Sequence[float],
    ys: Sequence[float],
    path: Sequence[tuple[float, float, float]],
    *,
    steps: Sequence[int],
) -> Any:
    """Left the points and the lines after ``steps``; right the loss after every step.

    ``path`` holds (slope, height, loss) for each step, and step 0 is the start.
    """
    lines = [(f"step {k}", *path[k][:2]) for k in steps]
    figure = new_figure(
        11.0,
        4.2,
        f"Left: {len(xs)} points and the lines "
        + ", ".join(f"{name}: {slope:.2f} x + {height:.2f}" for name, slope, height in lines)
        + f". Right: the loss falls from {path[0][2]:.2f} to {path[-1][2]:.4f} "
        f"in {len(path) - 1} steps.",
    )
    left, right = figure.subplots(1, 2)
    left.plot(xs, ys, "o", color=REFERENCE, markersize=5, label="points")
    ends = (min(xs), max(xs))
    for (name, slope, height), style in zip(lines, styles(len(lines))):
        left.plot(ends, [slope * x + height for x in ends], label=name, **style)
    left.set(xlabel="x", ylabel="y")
    left.legend()
    right.semilogy([loss for *_, loss in path], color="black")
    for k, style in zip(steps, styles(len(steps))):
        right.plot(k, path[k][2], color=style["color"], marker=style["marker"], markersize=8)
    right.set(xlabel="step", ylabel="loss (logarithmic scale)")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure
