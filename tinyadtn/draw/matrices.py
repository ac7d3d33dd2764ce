"""Weights as images, and the singular values of their unfoldings."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..autodiff.engine import Tensor
from ..autodiff.modes import isolated, no_grad
from ..encodings.adtn import ADTN
from ..errors import NonFiniteError, ShapeError, TinyADTNError
from .style import SIGNED, Figure, new_figure, require_labelled, styles

IMAGES = 8  # rows of each weight that are shown as images


def weights(arrays: Mapping[str, Any], *, image_shape: tuple[int, int] | None = None) -> Figure:
    """Draw weights of one shape side by side, as matrices (out, all other axes).

    All have one colour scale, symmetric around 0; the largest 0.5 % of all entries lie beyond its
    ends. With ``image_shape``, evenly spaced rows of each weight are shown as images below it.
    ShapeError if the shapes differ, or if a row does not have the size of an image.

    >>> figure = weights({"dense": np.eye(4), "fitted": np.ones((4, 4))}, image_shape=(2, 2))
    >>> figure.get_label()
    'Weights of shape 4 by 4 on one colour scale: dense, fitted.'
    """
    require_labelled("weights", arrays)
    matrices = {label: _matrix(label, array) for label, array in arrays.items()}
    shapes = {label: matrix.shape for label, matrix in matrices.items()}
    if len(set(shapes.values())) != 1:
        raise ShapeError(f"weights to compare need one shape, got {shapes or 'none'}")
    num_rows, num_columns = next(iter(shapes.values()))
    if image_shape is not None and math.prod(image_shape) != num_columns:
        raise ShapeError(f"a row of {num_columns} numbers makes no image of shape {image_shape}")
    scale = float(np.quantile(np.abs(list(matrices.values())), 0.995)) or 1.0
    style: dict[str, Any] = {"cmap": SIGNED, "vmin": -scale, "vmax": scale}
    columns = "input" if np.ndim(next(iter(arrays.values()))) == 2 else "input × kernel"

    width, heights = 3.2 * len(matrices) + 1.4, [3.0]  # inches
    if image_shape is not None:
        heights.append(0.9 * len(matrices))
    figure = new_figure(
        max(width, 6.4),
        sum(heights),
        f"Weights of shape {num_rows} by {num_columns} on one colour scale: {', '.join(matrices)}.",
    )
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    widths = [1.0] * len(matrices) + [0.05]  # the last one is for the colour bar
    above = grid[0].subgridspec(1, len(widths), width_ratios=widths)
    for k, (label, matrix) in enumerate(matrices.items()):
        axes = figure.add_subplot(above[k])
        mappable = axes.imshow(matrix, aspect="auto", **style)
        axes.set(xlabel=columns, ylabel="output")
        axes.set_title(label, fontsize=11)
    figure.colorbar(mappable, cax=figure.add_subplot(above[-1]), extend="both", label="weight")
    if image_shape is not None:
        rows = {label: matrix.reshape(-1, *image_shape) for label, matrix in matrices.items()}
        _rows_as_images(figure, grid[1], rows, style)
    return figure


def _rows_as_images(
    figure: Figure, place: Any, images: Mapping[str, np.ndarray], style: dict[str, Any]
) -> None:
    """Draw one line of images per weight, with the same outputs in the same columns."""
    count = len(next(iter(images.values())))
    chosen = np.unique(np.linspace(0, count - 1, min(IMAGES, count)).astype(int))
    cells = iter(place.subgridspec(len(images), len(chosen)))
    for line, (label, rows) in enumerate(images.items()):
        for k, row in enumerate(chosen):
            axes = figure.add_subplot(next(cells))
            axes.imshow(rows[row], **style)
            axes.set(xticks=[], yticks=[])
            if line == 0:
                axes.set_title(f"output {row}", fontsize=8, pad=3)
            if k == 0:
                axes.set_ylabel(label, fontsize=9, rotation=0, ha="right", va="center")


@isolated
def cut_spectrum(weight: ADTN, cut: int | None = None) -> np.ndarray:
    """Return the singular values of T between the first ``cut`` sites and the others, in float64.

    The number of nonzero values is the rank across the cut: 2, 4, 2, 4, … for a brick wall with
    M = 1, and more with depth and σ. The default cut is in the middle of the Q sites. Q = 24 gives
    a 4096 × 4096 matrix, which takes about a minute.

    >>> weight = ADTN((16, 16), depth=1, rng=0)
    >>> [int((cut_spectrum(weight, cut) > 1e-12).sum()) for cut in range(1, 8)]
    [2, 4, 2, 4, 2, 4, 2]
    """
    if not isinstance(weight, ADTN):
        raise TinyADTNError(f"only an ADTN has sites to cut between, got {type(weight).__name__}")
    cut = weight.num_sites // 2 if cut is None else cut
    if not 0 < cut < weight.num_sites:
        raise ShapeError(f"a cut leaves sites on both sides: 1 … {weight.num_sites - 1}, not {cut}")
    exact = copy.copy(weight)  # in float32, zeros would become 1e-8
    exact.columns = [Tensor(column.numpy().astype(np.float64)) for column in weight.columns]
    with no_grad():
        state = exact.contract().numpy()
    rows = math.prod(weight.sites.wall_dims[:cut])
    return np.linalg.svd(_matrix("T", state.reshape(rows, -1)), compute_uv=False)


def singular_values(spectra: Mapping[str, Any], *, title: str = "Singular values") -> Figure:
    """Draw singular values relative to the largest, both axes logarithmic, one curve per label.

    An entry is a weight, used as a matrix (out, all other axes), or singular values, as
    ``cut_spectrum`` returns them. Relative values below 100 machine epsilons of the dtype cannot be
    distinguished from 0 and are left out. The legend shows the number of the remaining values as
    the rank.

    >>> figure = singular_values({"dense": np.eye(4), "M = 1": np.array([2.0, 1.0])})
    >>> figure.get_label()
    'Singular values relative to the largest; dense: rank 4, M = 1: rank 2.'
    """
    require_labelled("singular_values", spectra)
    if not spectra:
        raise ShapeError("singular_values needs at least one matrix")
    curves = {label: _spectrum(label, array) for label, array in spectra.items()}
    labels = [f"{label}: rank {len(values)}" for label, values in curves.items()]
    figure = new_figure(6.4, 4.2, f"Singular values relative to the largest; {', '.join(labels)}.")
    axes = figure.add_subplot()
    for label, values, style in zip(labels, curves.values(), styles(len(curves))):
        numbers = np.arange(1, len(values) + 1)
        marked = np.unique(np.geomspace(1, len(values), 25).astype(int)) - 1
        axes.plot(numbers, values, label=label, markevery=list(marked), **style)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(
        title=title,
        xlabel="number of the singular value",
        ylabel="singular value / the largest",
        yscale="log",
    )
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _spectrum(label: str, array: Any) -> np.ndarray:
    """Return the nonzero singular values, relative to the largest."""
    values = _array(array)
    if values.ndim != 1:
        values = np.linalg.svd(_matrix(label, values), compute_uv=False)
    largest = values.max(initial=0)
    if not 0 < largest < math.inf:
        raise NonFiniteError(
            f"{label} needs a finite singular value above 0, the largest: {largest}"
        )
    relative = np.sort(values / largest)[::-1]
    return relative[relative > 100 * np.finfo(values.dtype).eps]


def _array(array: Any) -> np.ndarray:
    """Return a floating-point NumPy array of a Tensor, an array or a list."""
    array = array.numpy() if isinstance(array, Tensor) else np.asarray(array)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _matrix(label: str, array: Any) -> np.ndarray:
    """Return a weight as the matrix (out, all other axes)."""
    array = _array(array)
    if array.ndim < 2 or not array.size:
        raise ShapeError(f"{label} needs two axes or more and an entry, its shape is {array.shape}")
    if not np.isfinite(array).all():
        raise NonFiniteError(f"{label} holds NaN or infinity")
    return array.reshape(len(array), -1)
