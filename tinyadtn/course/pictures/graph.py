"""The graph of a computation: adjoints arrive, one node per frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.patches import FancyBboxPatch, Rectangle

from tinyadtn.course.player import player
from tinyadtn.draw.style import ADJOINT, REFERENCE, VALUE, new_figure

WIDTH, HEIGHT = 1.9, 0.72  # of a node's box
COLUMN, ROW = 3.5, 1.55  # from node to node
BEND = 1.05  # of an arrow that passes a node
DARK = "#8A3B00"  # adjoints in writing
SIGNS = {"add": "+", "multiply": "×", "negative": "−", "log": "ln", "logarithm": "ln"}


@dataclass(frozen=True)
class Moment:
    """A frame: its caption, the node that passes its adjoint on, the adjoints so far."""

    caption: str
    speaker: Any
    adjoints: dict[Any, float]
    waiting: dict[Any, int]  # contributions that have not arrived yet


def adjoints_arriving(root: Any, order: list[Any], names: dict[Any, str]) -> Any:
    """A player: the values, the seed at the root, then one node after the other, backward.

    A node has ``data``, ``parents``, ``slopes`` and ``op``. ``order`` is a topological order that
    ends in ``root``. ``names`` are for the nodes that have one; the others are numbered. Adjoints
    are computed here again, by the rule of the notebook.
    """
    unnamed = [node for node in order if node not in names]
    names = {**names, **{node: f"v{k}" for k, node in enumerate(unnamed, start=1)}}
    moments = backward_moments(root, order, names)
    final = ", ".join(f"{names[node]} {moments[-1].adjoints[node]:.3g}" for node in order)
    return player(
        lambda k: draw_moment(moments[k], order, names),
        [moment.caption for moment in moments],
        alt="A computation as a graph, values from left to right. Adjoints arrive from right to "
        f"left, one node per frame: {final}.",
    )


def backward_moments(root: Any, order: list[Any], names: dict[Any, str]) -> list[Moment]:
    """What is known after each step of the backward pass."""
    waiting = dict.fromkeys(order, 0)
    for node in order:
        for parent in node.parents:
            waiting[parent] += 1
    adjoints = {root: 1.0}
    seed = f"Backward starts: the adjoint of {names[root]} is 1."
    moments = [
        Moment("Forward: every node has its value.", None, {}, dict(waiting)),
        Moment(seed, None, dict(adjoints), dict(waiting)),
    ]
    for node in (node for node in reversed(order) if node.parents):
        parts = []
        for parent, slope in zip(node.parents, node.slopes):
            adjoints[parent] = adjoints.get(parent, 0.0) + slope * adjoints[node]
            waiting[parent] -= 1
            parts.append(f"{adjoints[node]:.3g} × {slope:.3g} to {names[parent]}")
        caption = f"{names[node]} passes its adjoint on: {' and '.join(parts)}."
        moments.append(Moment(caption, node, dict(adjoints), dict(waiting)))
    return moments


def draw_moment(moment: Moment, order: list[Any], names: dict[Any, str]) -> Any:
    """The graph of one moment as a figure; all moments of a graph have the same size."""
    places = _places(order)
    span_x = max(x for x, _ in places.values()) + WIDTH
    span_y = max(y for _, y in places.values()) + HEIGHT
    edges = [
        (node, slope, k, places[parent], places[node])
        for node in order
        for k, (parent, slope) in enumerate(zip(node.parents, node.slopes))
    ]
    bends = [BEND * (end[0] - start[0] > 1.1 * COLUMN) for *_, start, end in edges]
    margin = 0.45 + 0.65 * (max(bends) > 0)
    width = min(12.0, 0.85 * (span_x + 0.6))
    font = 11.5 * width / (0.85 * (span_x + 0.6))
    height = width * (span_y + 2 * margin) / (span_x + 0.6)
    figure = new_figure(width, height, moment.caption)
    axes = figure.add_subplot()
    for (node, slope, k, start, end), bend in zip(edges, bends):
        up = 1 if start[1] >= span_y / 2 - HEIGHT else -1  # around the nodes between
        _edge(axes, start, end, slope, k, bend=up * bend, loud=node is moment.speaker, font=font)
    for node in order:
        _box(axes, node, places[node], moment, font)
        sign = SIGNS.get(node.op, node.op)
        label = names[node] + (f" = {sign}" if node.parents else "")
        x, y = places[node]
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        axes.text(x, y + HEIGHT + 0.1, label, fontsize=font, va="bottom", zorder=5, bbox=paper)
    axes.set(xlim=(-0.3, span_x + 0.3), ylim=(-margin, span_y + margin), aspect="equal")
    axes.axis("off")
    return figure


def _places(order: list[Any]) -> dict[Any, tuple[float, float]]:
    """Column: the longest way from an input. Row: the middle of the parents' rows."""
    column: dict[Any, int] = {}
    for node in order:
        column[node] = 1 + max((column[p] for p in node.parents), default=-1)
    columns = [[n for n in order if column[n] == c] for c in range(max(column.values()) + 1)]
    tallest = max(map(len, columns))
    places: dict[Any, tuple[float, float]] = {}
    for c, nodes in enumerate(columns):
        middle = (tallest - 1) / 2 * ROW
        for k, node in enumerate(nodes):
            y = middle + ((len(nodes) - 1) / 2 - k) * ROW
            if len(nodes) == 1 and len(node.parents) == 1:
                y = places[node.parents[0]][1]
            places[node] = (c * COLUMN, y)
    return places


def _box(axes: Any, node: Any, place: tuple[float, float], moment: Moment, font: float) -> None:
    """The value on the left; on the right the adjoint, shaded once it is complete."""
    x, y = place
    loud = node is moment.speaker
    box = FancyBboxPatch(
        (x, y),
        WIDTH,
        HEIGHT,
        boxstyle="round,pad=0,rounding_size=0.12",
        linewidth=2.6 if loud else 1.2,
        edgecolor=ADJOINT if loud else "black",
        facecolor="white",
        zorder=3,
    )
    axes.add_patch(box)
    middle = {"ha": "center", "va": "center", "fontsize": font, "zorder": 5}
    axes.text(x + WIDTH / 4, y + HEIGHT / 2, f"{node.data:.3g}", color=VALUE, **middle)
    if node in moment.adjoints:
        complete = moment.waiting[node] == 0
        half = Rectangle(
            (x + WIDTH / 2, y + 0.04),
            WIDTH / 2 - 0.04,
            HEIGHT - 0.08,
            facecolor="#F7C9A9" if complete else "white",
            edgecolor="none" if complete else "#F7C9A9",
            hatch=None if complete else "////",
            linewidth=0,
            zorder=3.5,
        )
        half.set_clip_path(box)
        axes.add_patch(half)
        written = f"{moment.adjoints[node]:.3g}"
        axes.text(x + 0.75 * WIDTH, y + HEIGHT / 2, written, color=DARK, weight="bold", **middle)
    axes.plot([x + WIDTH / 2] * 2, [y, y + HEIGHT], color="black", linewidth=0.8, zorder=4)


def _edge(
    axes: Any, start: Any, end: Any, slope: float, k: int, *, bend: float, loud: bool, font: float
) -> None:
    """From parent to child; when the child passes its adjoint on, the arrow is turned."""
    tail = np.array([start[0] + WIDTH, start[1] + HEIGHT / 2])
    head = np.array([end[0], end[1] + HEIGHT * (0.7 - 0.4 * k)])
    length = float(np.hypot(*(head - tail)))
    curve = f"arc3,rad={(1 if loud else -1) * 2 * bend / length}"
    style = {"color": ADJOINT, "linewidth": 2.4} if loud else {"color": REFERENCE, "linewidth": 1.0}
    axes.annotate(
        "",
        xy=tail if loud else head,
        xytext=head if loud else tail,
        arrowprops={
            **{"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "connectionstyle": curve},
            **style,
        },
        zorder=2,
    )
    if loud:
        far = ((1.0, 0.5)[k] if bend == 0 else 1.2) / length  # where the slope is written
        place = (1 - far) * head + far * tail + [0, 4 * far * (1 - far) * bend]
        place[1] += 0.22 * (abs(head[1] - tail[1]) < 0.4 and bend == 0)
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
        middle = {"ha": "center", "va": "center", "fontsize": font, "zorder": 6}
        axes.text(*place, f"× {slope:.3g}", bbox=paper, **middle)
