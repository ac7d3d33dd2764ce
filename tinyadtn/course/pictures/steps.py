"""The error of difference quotients against the step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinyadtn.draw.style import REFERENCE, new_figure, styles

GUIDES = {  # of a curve: a step, the power of h there, and where it is written
    "forward": (1e-5, "h", (-14, 6)),
    "central": (1e-4, "h²", (10, -10)),
    "five points": (1e-2, "h⁴", (10, -10)),
}


def error_against_step(steps: np.ndarray, panels: Mapping[str, Mapping[str, np.ndarray]]) -> Any:
    """Relative error against h, both axes logarithmic: a panel for each number type.

    ``panels`` maps a number type's name to curves, {method: errors at the steps}. An error of 0 is
    drawn at the bottom of the picture, at 1e-17. Methods keep their colour in every panel.
    """
    best = "; ".join(
        f"{name}: " + ", ".join(f"{label} {errors.min():.0e}" for label, errors in curves.items())
        for name, curves in panels.items()
    )
    figure = new_figure(
        11.0,
        4.6,
        "Error of difference quotients against the step h. From the right every curve first falls "
        "with h, then rises again as rounding takes over; complex step never rises. Smallest "
        f"errors, {best}.",
    )
    methods = list(dict.fromkeys(label for curves in panels.values() for label in curves))
    look = dict(zip(methods, styles(len(methods))))
    all_axes = figure.subplots(1, len(panels), sharex=True, sharey=True)
    for axes, (name, curves) in zip(np.atleast_1d(all_axes), panels.items()):
        epsilon = np.finfo(name).eps
        for label, errors in curves.items():
            axes.loglog(steps, np.maximum(errors, 1e-17), label=label, **look[label])
        axes.axhline(epsilon, color=REFERENCE, linewidth=1)
        axes.annotate(
            f"spacing of {name} numbers",
            (steps.max(), epsilon),
            xytext=(2, -12 if name == "float64" else -34),  # below the complex step
            textcoords="offset points",
            ha="right",
            fontsize=9,
            color=REFERENCE,
        )
        if name == "float64":  # which power of h a line is
            for label, (step, power, offset) in GUIDES.items():
                at = int(np.argmin(abs(np.log10(steps / step))))
                place = (steps[at], curves[label][at])
                axes.annotate(power, place, offset, textcoords="offset points", fontsize=12)
        axes.annotate("ε / h", (1e-11, 1e-4) if name == "float64" else (1e-6, 0.4), fontsize=12)
        axes.set_title(name)
        axes.set(xlabel="step h", ylim=(3e-18, 10))
        axes.grid(alpha=0.3)
    first = np.atleast_1d(all_axes)[0]
    first.set_ylabel("relative error of the derivative")
    figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
