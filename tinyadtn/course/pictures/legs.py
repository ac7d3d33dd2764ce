"""Tensor networks as nodes and legs: a box is a tensor, a line is an index.

A line between two boxes is summed over. A line with a free end is an index of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from tinyadtn.draw.style import ADJOINT, FRESH_GATE, GATE, SIGMA, new_figure

CORE = "#BFD9EC"  # a tensor that is stored


@dataclass
class Diagram:
    """A drawing in units of sites: boxes (x0, x1, y, text, colour), lines, and labels."""

    title: str
    boxes: list[tuple[float, float, float, str, str]] = field(default_factory=list)
    lines: list[tuple[float, float, float, float]] = field(default_factory=list)
    labels: list[tuple[float, float, str]] = field(default_factory=list)
    cut: float | None = None  # the place of a dashed vertical line

    def box(self, x0: float, x1: float, y: float, text: str, colour: str = CORE) -> None:
        self.boxes.append((x0, x1, y, text, colour))

    def leg(self, x: float, y0: float, y1: float, text: str = "") -> None:
        """Draw a vertical line; a text stands at its far end."""
        self.lines.append((x, y0, x, y1))
        self.labels.append((x, y1 + (0.25 if y1 > y0 else -0.25), text))

    def bond(self, x0: float, x1: float, y: float, text: str) -> None:
        """Draw a horizontal line with its size above it."""
        self.lines.append((x0, y, x1, y))
        self.labels.append(((x0 + x1) / 2, y + 0.22, text))


def draw(*diagrams: Diagram) -> Figure:
    """Draw the diagrams next to each other, at one scale."""
    spans = [_span(diagram) for diagram in diagrams]
    widths = [right - left for left, right, _, _ in spans]
    low, high = min(s[2] for s in spans), max(s[3] for s in spans)
    scale = min(0.45, 9.6 / (sum(widths) + len(widths)))
    figure = new_figure(
        scale * (sum(widths) + len(widths)) + 0.4,
        scale * (high - low) + 0.6,
        "Nodes and legs: " + "; ".join(diagram.title.replace("\n", " ") for diagram in diagrams),
    )
    panels = figure.subplots(1, len(diagrams), width_ratios=widths, squeeze=False)[0]
    for axes, diagram, (left, right, _, _) in zip(panels, diagrams, spans):
        axes.set(xlim=(left, right), ylim=(low, high), aspect="equal")
        axes.set_title(diagram.title, fontsize=10)
        axes.set_axis_off()
        _draw(axes, diagram, low, high)
    return figure


def _span(diagram: Diagram) -> tuple[float, float, float, float]:
    xs = [x for x0, x1, _, _, _ in diagram.boxes for x in (x0, x1)]
    xs += [x for x0, _, x1, _ in diagram.lines for x in (x0, x1)]
    ys = [y for _, _, y, _, _ in diagram.boxes] + [y for _, y, _ in diagram.labels]
    return min(xs) - 0.9, max(xs) + 0.9, min(ys) - 0.7, max(ys) + 0.6


def _draw(axes: Any, diagram: Diagram, low: float, high: float) -> None:
    for x0, y0, x1, y1 in diagram.lines:
        axes.plot([x0, x1], [y0, y1], color="black", linewidth=1.4, zorder=1)
    for x0, x1, y, text, colour in diagram.boxes:
        shape: Any = {
            "boxstyle": "round,pad=0,rounding_size=0.18",
            "edgecolor": "black",
            "zorder": 2,
        }
        corner, width = (x0 - 0.34, y - 0.32), x1 - x0 + 0.68
        axes.add_patch(FancyBboxPatch(corner, width, 0.64, facecolor=colour, **shape))
        axes.text((x0 + x1) / 2, y, text, ha="center", va="center", fontsize=9, zorder=3)
    for x, y, text in diagram.labels:
        axes.text(x, y, text, ha="center", va="center", fontsize=9)
    if diagram.cut is not None:
        style = {"color": ADJOINT, "linestyle": "--", "linewidth": 1.4, "zorder": 0.5}
        axes.plot([diagram.cut] * 2, [low + 0.3, high - 0.3], **style)


# --- the objects of the course -------------------------------------------------------------------


def whole(num_sites: int) -> Diagram:
    """Return one tensor that stores every entry."""
    entries = "·".join("2" * num_sites)
    diagram = Diagram(f"stored whole: {entries} = {2**num_sites} entries")
    diagram.box(0, num_sites - 1, 0, "T")
    for site in range(num_sites):
        diagram.leg(site, 0.3, 1, f"$b_{site}$")
    return diagram


def product(num_sites: int) -> Diagram:
    """Return a vector of two entries at each site, and no bond."""
    diagram = Diagram(f"product: {2 * num_sites} parameters")
    for site in range(num_sites):
        diagram.box(site, site, 0, f"$v_{site}$")
        diagram.leg(site, 0.3, 1, f"$b_{site}$")
    return diagram


def cut(num_sites: int, place: int) -> Diagram:
    """Return two tensors, joined by one bond that the cut crosses."""
    diagram = Diagram("cut: two halves and one bond", cut=place)
    diagram.box(0, place - 1, 0, "left")
    diagram.box(place + 1, num_sites, 0, "right")
    diagram.bond(place - 0.66, place + 0.66, 0, "")
    diagram.labels.append((place - 0.25, 0.25, "r"))
    for site in range(num_sites):
        diagram.leg(site + (site >= place), 0.3, 1, f"$b_{site}$")
    return diagram


def train(sizes: Sequence[tuple[int, int]]) -> Diagram:
    """Return a tensor train of a matrix: each core has an output leg up, an input leg down."""
    diagram = Diagram(f"tensor train, {len(sizes)} cores")
    for k, (out_size, in_size) in enumerate(sizes):
        diagram.box(1.7 * k, 1.7 * k, 0, f"$C_{k + 1}$")
        diagram.leg(1.7 * k, 0.3, 1, f"{out_size}")
        diagram.leg(1.7 * k, -0.3, -1, f"{in_size}")
        if k:
            diagram.bond(1.7 * k - 1.36, 1.7 * k - 0.34, 0, "D")
    return diagram


def gate(num_sites: int, site: int) -> Diagram:
    """Return a gate on two sites of a state; the other legs pass it by."""
    diagram = Diagram(f"a gate on sites {site} and {site + 1} of {num_sites}")
    diagram.box(0, num_sites - 1, 0, "state", "#FFFFFF")
    for k in range(num_sites):
        diagram.leg(k, 0.3, 2.1, f"{k}")
    diagram.box(site, site + 1, 1.2, "G", GATE)
    return diagram


def brick_wall(num_sites: int, depth: int) -> Diagram:
    """Return |0…0⟩ at the bottom, and above it ``depth`` TN layers with ReLU between them."""
    diagram = Diagram(f"brick wall: {num_sites} sites, M = {depth}")
    y = 1.0
    for k in range(2 * depth):
        if k > 0 and k % 2 == 0:
            diagram.box(0, num_sites - 1, y, "ReLU on all entries", SIGMA)
            y += 0.95
        for site in range(k % 2, num_sites - 1, 2):
            fresh = k == 0
            diagram.box(site, site + 1, y, "4" if fresh else "16", FRESH_GATE if fresh else GATE)
        y += 0.95
    for site in range(num_sites):
        diagram.box(site, site, 0, "|0⟩", "#FFFFFF")
        diagram.leg(site, 0.3, y - 0.2, f"{site}")
    return diagram


def two_halves(left: int, right: int) -> Diagram:
    """Return an ADTN of depth 1 with the outputs first, cut in two: one gate is across."""
    diagram = Diagram("the same network, cut: W = A·B", cut=left - 0.5)
    diagram.box(0, left - 1, 0, "left half: vector $l$")
    diagram.box(left, left + right - 1, 0, "right half: vector $r$")
    diagram.box(left - 1, left, 1.2, "G", GATE)
    for k in range(left + right):
        diagram.leg(k, 0.3, 2.1)
    diagram.labels += [(left - 1.25, 0.62, "s"), (left + 0.25, 0.62, "t")]
    diagram.labels += [(left - 1, 2.35, "p"), (left, 2.35, "q")]
    diagram.labels += [((left - 2) / 2, 2.35, "outputs a"), (left + right / 2, 2.35, "inputs b")]
    return diagram


def gauge() -> Diagram:
    """Return a bond between two cores, before and after a matrix and its inverse are put on it."""
    diagram = Diagram("X and X⁻¹ on a bond")
    for x, text, colour in ((0, "A", CORE), (1.5, "X", GATE), (3, "X⁻¹", GATE), (4.5, "B", CORE)):
        diagram.box(x, x, 0, text, colour)
        if x:
            diagram.bond(x - 1.16, x - 0.34, 0, "")
    diagram.leg(0, 0.3, 1)
    diagram.leg(4.5, 0.3, 1)
    diagram.labels += [(0.75, -0.75, "new A"), (3.75, -0.75, "new B")]
    return diagram


def cores(bits: Sequence[int]) -> Diagram:
    """Return a tensor train of bond 2 whose cores hold these numbers of bits."""
    diagram, x = Diagram(f"Q = {sum(bits)}: cores of {', '.join(map(str, bits))} bits"), 0.0
    for k, count in enumerate(bits):
        diagram.box(x, x + count - 1, 0, f"$C_{k + 1}$")
        for bit in range(count):
            diagram.leg(x + bit, 0.3, 1)
        if k:
            diagram.bond(x - 1.16, x - 0.34, 0, "2")
        x += count + 0.5
    return diagram


def rank_four(left: int, right: int) -> Diagram:
    """Return A and B of an ADTN of depth 1 with the outputs first: the bond has two lines."""
    diagram = Diagram("W = A·B: two lines of size 2 join them, so the rank is 4")
    diagram.box(0, left - 1, 0, "A: left half, and p")
    diagram.box(left + 0.9, left + right - 0.1, 0, "B: right half, and G")
    for y, text in ((0.16, "x"), (-0.16, "s")):
        diagram.bond(left - 0.66, left + 0.56, y, "")
        diagram.labels.append((left - 0.05, y + (0.2 if y > 0 else -0.22), text))
    for k in range(left):
        diagram.leg(k, 0.3, 1, "p" if k == left - 1 else "")
    for k in range(right):
        diagram.leg(left + 0.9 + k, 0.3, 1, "q" if k == 0 else "")
    diagram.labels.append(((left - 2) / 2, 1.25, "outputs a"))
    diagram.labels.append((left + 0.9 + right / 2, 1.25, "inputs b"))
    return diagram
