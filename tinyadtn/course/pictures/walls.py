"""The brick wall as it builds a tensor: its contraction as a film, and the reach of one gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from tinyadtn.course.player import Player, player
from tinyadtn.draw.style import (
    ADJOINT,
    FRESH_GATE,
    GATE,
    REFERENCE,
    SIGMA,
    SIGNED,
    VALUE,
    new_figure,
)

CONE = "#DCE6EE"  # light enough that lines and gates on it stay readable in grey


def _facts(matrix: np.ndarray) -> str:
    values = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    rank = int((values > 1e-6 * values[0]).sum())
    return f"{np.count_nonzero(matrix):,} of {matrix.size:,} entries are not 0, rank {rank}"


def light_cone(
    num_sites: int,
    depth: int,
    gate: tuple[int, int, int],
    before: Sequence[np.ndarray],
    after: Sequence[np.ndarray],
) -> Figure:
    """A wall with time upward, the cone of one gate shaded; below every cut, its singular values.

    ``gate`` is (layer, column, first site), layers from 1, columns 0 and 1. ``before`` and
    ``after`` hold the singular values at the cuts 1 … Q-1, before and after it was changed.
    """
    cone = _cone(num_sites, depth, gate)
    left, right = cone[-1]
    figure = new_figure(
        8.2,
        7.4,
        f"A brick wall of {num_sites} sites and {depth} layers. The light cone of one gate of "
        f"layer {gate[0]} widens upward to sites {left} to {right}. Below, singular values of T "
        "at every cut before and after it is changed: they differ only at cuts inside the cone.",
    )
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.15, 1])
    _wall(above, num_sites, depth, gate, cone)
    _spectra(below, num_sites, before, after)
    for axes in (above, below):
        axes.axvspan(left - 0.4, right + 0.4, color=CONE, alpha=0.45, zorder=0, linewidth=0)
    style = {"ha": "center", "fontsize": 9, "transform": below.get_xaxis_transform()}
    below.text((left + right) / 2, 0.01, "inside the cone: changed", **style)
    below.text(right + 1.9, 0.01, "outside: the same", **style)
    below.set_xlim(-0.9, num_sites + 0.6)
    return figure


def _cone(num_sites: int, depth: int, gate: tuple[int, int, int]) -> list[tuple[int, int]]:
    """For every column from the gate's on, the first and last site that it can reach."""
    layer, column, site = gate
    left, right = site, site + 1
    cone = [(left, right)]
    for k in range(2 * (layer - 1) + column + 1, 2 * depth):
        starts = range(k % 2, num_sites - 1, 2)
        touching = [s for s in starts if s <= right and s + 1 >= left]
        left, right = min([left, *touching]), max([right, *(s + 1 for s in touching)])
        cone.append((left, right))
    return cone


def _wall(
    axes: Any, num_sites: int, depth: int, chosen: tuple[int, int, int], cone: list[tuple[int, int]]
) -> None:
    top = 2 * depth
    first = 2 * (chosen[0] - 1) + chosen[1]
    edge = [(a, b, first + k + dy) for k, (a, b) in enumerate(cone) for dy in (-0.42, 0.42)]
    edge.append((*cone[-1], top - 0.1))
    outline = [(a - 0.4, y) for a, _, y in edge] + [(b + 0.4, y) for _, b, y in reversed(edge)]
    axes.add_patch(Polygon(outline, facecolor=CONE, edgecolor=VALUE, linewidth=1.2, zorder=1))
    _lines(axes, num_sites, top - 0.1)
    for _, k, site in (element for element in elements(num_sites, depth) if element[0] == "gate"):
        mine = (k // 2 + 1, k % 2, site) == tuple(chosen)
        colour = ADJOINT if mine else FRESH_GATE if k == 0 else GATE
        _box(axes, site - 0.25, 1.5, k, "changed" if mine else "4" if k == 0 else "16", colour)
    for layer in range(depth):
        axes.text(num_sites - 0.3, 2 * layer + 0.5, f"layer {layer + 1}", va="center", fontsize=9)
    axes.text(-0.55, top - 0.02, "site", ha="right", va="bottom", fontsize=9)
    axes.set(ylim=(-1.4, top + 0.45), yticks=[])
    axes.tick_params(bottom=False, labelbottom=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _lines(axes: Any, num_sites: int, top: float) -> None:
    """Draw a line for each site, from |0⟩ up to its number."""
    for site in range(num_sites):
        axes.plot([site, site], [-0.75, top], color=REFERENCE, linewidth=1.2, zorder=2)
        axes.text(site, -0.85, "|0⟩", ha="center", va="top", fontsize=9)
        axes.text(site, top + 0.05, f"{site}", ha="center", va="bottom", fontsize=9)


def _box(
    axes: Any, x: float, width: float, y: float, text: str, colour: str, edge: str = "black"
) -> None:
    """Draw a box from x on, with its middle at the height y."""
    shape = Rectangle((x, y - 0.3), width, 0.6, facecolor=colour, edgecolor=edge, zorder=3)
    axes.add_patch(shape)
    style = {"ha": "center", "va": "center", "fontsize": 8, "zorder": 4}
    axes.text(x + width / 2, y, text, color=edge, **style)


def _spectra(axes: Any, num_sites: int, before: Sequence, after: Sequence) -> None:
    for k, (old, new) in enumerate(zip(before, after)):
        x = k + 0.5  # cut k + 1 lies between the sites k and k + 1
        kept = [values[values > 1e-10 * values[0]] for values in (old, new)]
        axes.axvline(x, color=REFERENCE, linewidth=0.6, linestyle=":", zorder=1)
        style = {"linestyle": "", "markersize": 5}
        axes.plot(np.full(len(kept[0]), x - 0.09), kept[0], color=VALUE, marker="o", **style)
        hollow = {"markerfacecolor": "none", "markeredgewidth": 1.3, **style}
        axes.plot(np.full(len(kept[1]), x + 0.09), kept[1], color=ADJOINT, marker="s", **hollow)
        axes.text(x, 1.5, f"{len(kept[0])}", ha="center", fontsize=9)
    axes.text(-0.15, 1.5, "rank", ha="right", fontsize=9)
    axes.plot([], [], color=VALUE, marker="o", label="before", **style)
    axes.plot([], [], color=ADJOINT, marker="s", label="after the change", **hollow)
    axes.legend(loc="lower left", fontsize=9, frameon=False)
    axes.set(yscale="log", ylabel="singular values at the cut")
    axes.set_ylim(top=3.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("cut between neighbouring sites")
    axes.set_xticks(
        [k + 0.5 for k in range(num_sites - 1)], [f"{k}|{k + 1}" for k in range(num_sites - 1)]
    )


# --- the contraction as a film -------------------------------------------------------------------

Element = tuple[str, int, int]  # ("gate", column, site) or ("relu", column, 0)


def elements(num_sites: int, depth: int) -> list[Element]:
    """Return the gates and the ReLUs of a brick wall in the order of contraction."""
    found: list[Element] = []
    for k in range(2 * depth):
        if k > 0 and k % 2 == 0:
            found.append(("relu", k, 0))
        found += [("gate", k, site) for site in range(k % 2, num_sites - 1, 2)]
    return found


def film(
    num_sites: int, depth: int, matrices: Sequence[np.ndarray], *, backward: bool = False
) -> Player:
    """Return a player: left the brick wall, right the matrix after each gate and each ReLU.

    ``matrices`` has one for the start and one for each element, in the order of contraction; or,
    with ``backward``, dL/dT first and then the gradient before each element, the last one first.
    """
    order = elements(num_sites, depth)
    order = order[::-1] if backward else order
    captions = [_caption(None, matrices[0], backward)]
    captions += [_caption(e, m, backward) for e, m in zip(order, matrices[1:], strict=True)]
    what = "The gradient flows back through" if backward else "The state grows while we contract"
    alt = f"{what} a brick wall of {num_sites} sites and {depth} layers."
    return player(
        lambda k: _film_frame(num_sites, order, k, matrices[k], backward), captions, alt=alt
    )


def _caption(element: Element | None, matrix: np.ndarray, backward: bool) -> str:
    fact = _facts(matrix)
    if element is None:
        return f"dL/dT arrives: {fact}." if backward else f"The start |0…0⟩: {fact}."
    kind, column, site = element
    place = f"layer {column // 2 + 1}, column {column % 2 + 1}"
    if kind == "relu":
        name = f"ReLU after layer {column // 2}"
        return f"{name} stops where it was 0: {fact}." if backward else f"{name}: {fact}."
    name = f"The gate on sites {site} and {site + 1} ({place})"
    return f"{name} gets its gradient; passed on: {fact}." if backward else f"{name}: {fact}."


def _film_frame(
    num_sites: int, order: Sequence[Element], step: int, matrix: np.ndarray, backward: bool
) -> Figure:
    figure = new_figure(8.0, 3.9, "")
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
    loud = ADJOINT if backward else VALUE
    columns = 1 + max(column for _, column, _ in order)
    top = columns + columns // 2 - 1
    _lines(left, num_sites, top)
    for number, (kind, column, site) in enumerate(order, start=1):
        y = column + column // 2 - (kind == "relu")
        x0, width = (-0.3, num_sites - 0.4) if kind == "relu" else (site - 0.25, 1.5)
        done = SIGMA if kind == "relu" else FRESH_GATE if column == 0 else GATE
        colour = loud if number == step else done if number < step else "#F4F4F4"
        edge = "black" if number <= step else "#BBBBBB"
        _box(left, x0, width, y, "ReLU" if kind == "relu" else "", colour, edge)
    left.set(xlim=(-0.8, num_sites - 0.2), ylim=(-1.5, top + 0.6))
    left.set_axis_off()
    _show_matrix(right, matrix)
    right.set_title("dL/d(state)" if backward else "state, as a matrix", fontsize=10)
    right.set_xlabel("white: 0    dark: negative    bright: positive", fontsize=9)
    return figure


def _show_matrix(axes: Any, matrix: np.ndarray) -> None:
    """Show the sign and the square root of the size of each entry; zeros are white."""
    root = np.sign(matrix) * np.sqrt(np.abs(matrix))
    nonzero = np.abs(root[root != 0])
    scale = float(np.quantile(nonzero, 0.98)) if nonzero.size else 1.0
    shown = np.ma.masked_equal(root, 0)
    axes.imshow(shown, cmap=SIGNED, vmin=-scale, vmax=scale, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
