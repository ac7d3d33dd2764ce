"""Rows of a weight as pictures: what each hidden unit looks for in an image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from tinyadtn.draw.style import SIGNED, new_figure


def rows_as_images(weights: Mapping[str, np.ndarray], title: str) -> Figure:
    """One line of images for each weight (count, h, w), with its name in front."""
    count = max(map(len, weights.values()))
    told = f"{title}. One line each for {', '.join(weights).replace(chr(10), ', ')}."
    figure = new_figure(1.0 * count + 0.4, 1.1 * len(weights) + 0.4, told)
    grid = figure.subplots(len(weights), count, squeeze=False)
    for line, (name, images) in zip(grid, weights.items()):
        line[0].set_ylabel(name, fontsize=8)
        for axes, image in zip(line, images):
            scale = np.abs(image).max()
            axes.imshow(image, cmap=SIGNED, vmin=-scale, vmax=scale, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
    figure.suptitle(title, fontsize=10)
    return figure
