"""The graph of a computation: adjoints arrive, one node per frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.patches import FancyBboxPatch, Rectangle

from tinyadtn.course.player import player
from tinyadtn.draw.style import ADJOINT, REFERENCE, VALUE, new_figure

WIDTH, HEIGHT = 1.9, 0.72  # of a node's box
COLUMN, ROW = 3.5, 1.55  # from node to node
DARK = "#8A3B00"  # adjoints in writing
SIGNS = {"add": "+", "multiply": "×", "negative": "−", "exp": "exp", "log": "ln", "relu": "relu"}


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
    width = min(12.0, 0.85 * (span_x + 0.6))
    figure = new_figure(width, width * (span_y + 1.0) / (span_x + 0.6), moment.caption)
    axes = figure.add_subplot()
    for node in order:
        for k, (parent, slope) in enumerate(zip(node.parents, node.slopes)):
            _edge(axes, places[parent], places[node], slope, k, loud=node is moment.speaker)
    for node in order:
        _box(axes, node, places[node], moment)
        sign = SIGNS.get(node.op, node.op)
        label = names[node] + (f" = {sign}" if node.parents else "")
        x, y = places[node]
        axes.text(x, y + HEIGHT + 0.08, label, fontsize=11.5, va="bottom", zorder=5)
    axes.set(xlim=(-0.3, span_x + 0.3), ylim=(-0.5, span_y + 0.4), aspect="equal")
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


def _box(axes: Any, node: Any, place: tuple[float, float], moment: Moment) -> None:
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
    middle = {"ha": "center", "va": "center", "fontsize": 11.5, "zorder": 5}
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


def _edge(axes: Any, start: Any, end: Any, slope: float, k: int, *, loud: bool) -> None:
    """From parent to child; when the child passes its adjoint on, the arrow is turned."""
    tail = (start[0] + WIDTH, start[1] + HEIGHT / 2)
    head = (end[0], end[1] + HEIGHT * (0.7 - 0.4 * k))
    style = {"color": ADJOINT, "linewidth": 2.4} if loud else {"color": REFERENCE, "linewidth": 1.0}
    axes.annotate(
        "",
        xy=tail if loud else head,
        xytext=head if loud else tail,
        arrowprops={"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, **style},
        zorder=2,
    )
    if loud:
        far = min(0.45, 0.8 / (head[0] - tail[0]))
        axes.text(
            (1 - far) * head[0] + far * tail[0],
            (1 - far) * head[1] + far * tail[1] + (0.22 if abs(head[1] - tail[1]) < 0.4 else 0),
            f"× {slope:.3g}",
            ha="center",
            va="center",
            fontsize=11,
            zorder=6,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
        )
