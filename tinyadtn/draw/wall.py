"""The brick wall of an ADTN, drawn gate by gate from the encoding itself."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..encodings.adtn import ADTN
from ..errors import TinyADTNError
from ..tensor_networks.wall import Column
from .style import FRESH_GATE, GATE, SIGMA, SITES, Figure, new_figure

LINE = 0.26  # inches from one site to the next, the unit of both axes
SLOT = 1.5  # units from one gate of a site to its next
WAIST = 0.12  # units: half the width of a gate at sites that pass through it
BOX: dict[str, Any] = {"edgecolor": "black", "zorder": 2}
MEANINGS = {  # colour and meaning of a gate by whether its sites are untouched
    True: (FRESH_GATE, "gate on |00⟩: stores one column"),
    False: (GATE, "gate: stores its whole matrix"),
}


def brick_wall(weight: ADTN) -> Figure:
    """Draw the ADTN in the order of contraction, left to right: a line per site, a box per gate.

    A box is narrow where sites pass between the two sites of its gate. The number in a box is the
    number of parameters that the gate stores. The name at the end of a line is the meaning of the
    site: ``row b4`` is bit 4, of value 2⁴, of the row index; ``d4`` is a digit, for sites with a
    dimension above 2. Nothing is contracted, so an ADTN without ``rng`` can be drawn too.

    >>> figure = brick_wall(ADTN((256, 784), depth=2, axes=(256, (28, 28))))
    >>> print(figure.get_suptitle())
    ADTN for a weight of shape (256, 784)
    Q = 18 sites, M = 2 layers, 436 parameters for 200,704
    """
    if not isinstance(weight, ADTN):
        raise TinyADTNError(f"only an ADTN has a brick wall to draw, got {type(weight).__name__}")
    plan = _plan(weight)
    title = (
        f"ADTN for a weight of shape {weight.shape}\n"
        f"Q = {weight.num_sites} sites, M = {weight.depth} layer{'s' * (weight.depth > 1)}, "
        f"{weight.num_parameters:,} parameters for {math.prod(weight.shape):,}"
    )
    width, height = LINE * (SLOT * plan.end + 6), LINE * (weight.num_sites + 2) + 0.9
    figure = new_figure(max(6.4, width), height, title.replace("\n", ": "))
    figure.suptitle(title, fontsize=11)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set(
        xlim=(-2, SLOT * plan.end + 3.5),
        ylim=(weight.num_sites - 0.3, -1.8),
        aspect="equal",
    )
    _draw_sites(axes, weight, SLOT * plan.end)
    for gate in plan.gates:
        _draw_gate(axes, gate)
    for slot in plan.sigmas:
        _draw_sigma(axes, SLOT * (slot + 0.5), weight)
    for number, middle in enumerate(plan.layers, start=1):
        axes.text(SLOT * middle, -0.8, f"layer {number}", ha="center", va="bottom", fontsize=9)
    handles, labels = axes.get_legend_handles_labels()
    meanings = dict(zip(labels, handles))  # each once
    place = {"loc": "outside lower center", "ncols": 3, "fontsize": 8, "frameon": False}
    figure.legend(meanings.values(), meanings.keys(), **place)
    return figure


# --- positions -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Gate:
    slot: int
    column: Column
    top: int
    bottom: int


@dataclass
class _Plan:
    """Gates, the slots of σ between layers, the middle of each layer, the number of slots."""

    gates: list[_Gate]
    sigmas: list[int]
    layers: list[float]
    end: int


def _plan(weight: ADTN) -> _Plan:
    """Put every gate into the first slot of its layer in which all lines that it covers are free.

    Gates on different sites commute, so their order does not matter. Gates that do not overlap are
    drawn in one slot, others in different slots.
    """
    plan = _Plan([], [], [], 0)
    for layer, columns in itertools.groupby(weight.wall, key=lambda column: column.layer):
        if layer > 1:
            plan.sigmas.append(plan.end)
            plan.end += 1
        start, free = plan.end, [plan.end] * weight.num_sites
        for column in columns:
            for pair in column.pairs:
                top, bottom = sorted(pair)
                slot = max(free[top : bottom + 1])
                free[top : bottom + 1] = [slot + 1] * (bottom + 1 - top)
                plan.gates.append(_Gate(slot, column, top, bottom))
        plan.end = max(free)
        plan.layers.append((start + plan.end) / 2)
    return plan


def site_names(weight: ADTN) -> list[tuple[str, str]]:
    """Return, for each line, the meaning of its site, as "row b4", and the colour of its axis.

    >>> [name for name, _ in site_names(ADTN((4, 6), order="output_first"))]
    ['out b1', 'out b0', 'in b2', 'in b1', 'in b0']
    """
    names = {}
    sites = weight.sites
    for k, (axis, group) in enumerate(zip(_axis_names(weight), sites.groups)):
        for place, site in enumerate(reversed(group)):  # a group begins with its highest bit
            letter = "b" if sites.dims[site] == 2 else "d"
            names[site] = (f"{axis} {letter}{place}", SITES[k % len(SITES)])
    return [names[site] for site in sites.order]


def _axis_names(weight: ADTN) -> Iterator[str]:
    """Yield one name for each axis with separate sites; a split input axis is an image."""
    whole = {2: ("out", "in"), 4: ("out", "in", "row", "col")}
    image = {2: ("row", "col"), 3: ("channel", "row", "col")}
    shape = weight.shape
    names = whole.get(len(shape), tuple(f"axis {k}" for k in range(len(shape))))
    for name, part in zip(names, weight.config["axes"] or shape):
        count = 1 if isinstance(part, int) else len(part)
        if count == 1:
            yield name
        elif name == "in" and len(shape) == 2 and count in image:
            yield from image[count]
        else:
            yield from (f"{name} {k}" for k in range(count))


# --- drawing -------------------------------------------------------------------------------------


def _draw_sites(axes: Any, weight: ADTN, end: float) -> None:
    for y, (name, colour) in enumerate(site_names(weight)):
        axes.plot([-0.2, end + 0.3], [y, y], color=colour, linewidth=1.3, zorder=1)
        axes.text(-0.35, y, "|0⟩", ha="right", va="center", fontsize=8)
        axes.text(end + 0.5, y, name, ha="left", va="center", fontsize=8, color=colour)
    kind = "bit" if set(weight.sites.dims) == {2} else "digit"
    axes.text(end + 0.5, -0.8, f"axis, {kind}", ha="left", va="bottom", fontsize=9)


def _draw_gate(axes: Any, gate: _Gate) -> None:
    """Draw a box on the gate's two sites, narrow where other sites pass between them."""
    from matplotlib.patches import Polygon

    x = SLOT * (gate.slot + 0.5)
    color, label = MEANINGS[gate.column.fresh]
    near = gate.bottom == gate.top + 1
    edge = [(0.5, gate.top - 0.3), (0.5, gate.bottom + 0.3)]  # half widths, from top to bottom
    if not near:
        upper, lower = gate.top + 0.3, gate.bottom - 0.3
        edge[1:1] = [(0.5, upper), (WAIST, upper), (WAIST, lower), (0.5, lower)]
    outline = [(x + half, y) for half, y in edge] + [(x - half, y) for half, y in reversed(edge)]
    axes.add_patch(Polygon(outline, facecolor=color, label=label, gid="gate", **BOX))
    for passing in range(gate.top + 1, gate.bottom):
        colour = axes.lines[passing].get_color()
        across = [x - 1.2 * WAIST, x + 1.2 * WAIST]
        axes.plot(across, [passing, passing], color=colour, linewidth=1.3, zorder=3)
    stored = str(math.prod(gate.column.shape[1:]))
    middle = gate.top + 0.5 if near else gate.top
    size = min(7.0, 24 / len(stored))  # five digits fit into a box
    axes.text(x, middle, stored, ha="center", va="center", fontsize=size, zorder=4)


def _draw_sigma(axes: Any, x: float, weight: ADTN) -> None:
    from matplotlib.patches import Rectangle

    box = (x - 0.35, -0.5), 0.7, weight.num_sites
    label = f"σ = {weight.activation}, on all entries"
    axes.add_patch(Rectangle(*box, facecolor=SIGMA, label=label, gid="sigma", **BOX))
    middle = (weight.num_sites - 1) / 2
    style = {"rotation": 90, "ha": "center", "va": "center", "fontsize": 8, "zorder": 4}
    axes.text(x, middle, weight.activation, **style)
