"""The graph of a computation: adjoints arrive, one node per frame."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path

from tinyadtn.course.player import player
from tinyadtn.draw.style import ADJOINT, REFERENCE, VALUE, new_figure

WIDTH, HEIGHT = 1.9, 0.72  # of a node's box
COLUMN, ROW, LANE = 3.5, 1.55, 0.95  # from node to node, and from an arrow to what it passes
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
    places, ways = _places(order)
    span_x = max(x for x, _ in places.values()) + WIDTH
    span_y = max(y for _, y in places.values()) + HEIGHT
    width = min(12.0, 0.85 * (span_x + 0.6))
    font = 11.5 * width / (0.85 * (span_x + 0.6))
    height = width * (span_y + 0.9) / (span_x + 0.6)
    figure = new_figure(width, height, moment.caption)
    axes = figure.add_subplot()
    for (node, k), way in ways.items():
        _edge(axes, [places[stop] for stop in way], node.slopes[k], k, node is moment.speaker, font)
    for node in order:
        _box(axes, node, places[node], moment, font)
        sign = SIGNS.get(node.op, node.op)
        label = names[node] + (f" = {sign}" if node.parents else "")
        x, y = places[node]
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        axes.text(x, y + HEIGHT + 0.1, label, fontsize=font, va="bottom", zorder=5, bbox=paper)
    axes.set(xlim=(-0.3, span_x + 0.3), ylim=(-0.3, span_y + 0.6), aspect="equal")
    axes.axis("off")
    return figure


def _places(order: list[Any]) -> tuple[dict[Any, tuple[float, float]], dict[Any, list[Any]]]:
    """Where each stop stands, and the stops of each arrow (node, k) from its k-th parent to it.

    A stop is a node, or a place (node, k, column) where an arrow passes a column. A node's column
    is the longest way from an input. In a column, all stand near the stops before them.
    """
    column: dict[Any, int] = {}
    for node in order:
        column[node] = 1 + max((column[p] for p in node.parents), default=-1)
    columns: list[list[Any]] = [[] for _ in range(1 + max(column.values()))]
    ways: dict[Any, list[Any]] = {}
    for node in order:
        columns[column[node]].append(node)
        for k, parent in enumerate(node.parents):
            passed = [(node, k, c) for c in range(column[parent] + 1, column[node])]
            ways[node, k] = [parent, *passed, node]
            for stop in passed:
                columns[stop[2]].append(stop)
    before: dict[Any, list[Any]] = {}
    for way in ways.values():
        for first, second in pairwise(way):
            before.setdefault(second, []).append(first)
    height: dict[Any, float] = {}
    for stops in columns:
        wish = {s: float(np.mean([height[b] for b in before.get(s, [])] or [0.0])) for s in stops}
        stops.sort(key=lambda stop: -wish[stop])
        at = [0.0]
        for pair in pairwise(stops):
            at.append(at[-1] - (LANE if any(isinstance(stop, tuple) for stop in pair) else ROW))
        shift = np.mean(list(wish.values())) - np.mean(at)
        height.update(zip(stops, np.add(at, shift)))
    lowest = min(height.values())
    places = {s: (c * COLUMN, height[s] - lowest) for c, stops in enumerate(columns) for s in stops}
    return places, ways


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
    axes: Any, stops: list[tuple[float, float]], slope: float, k: int, loud: bool, font: float
) -> None:
    """From parent to child; when the child passes its adjoint on, the arrow is turned."""
    middles = np.add(stops, [0, HEIGHT / 2])
    middles[-1, 1] += HEIGHT * (0.2 - 0.4 * k)
    points = [np.add(middles[0], [WIDTH, 0])]
    for place in middles[1:]:  # level where the arrow leaves a column and where it enters the next
        half = [(place[0] - points[-1][0]) / 2, 0]
        bend = [points[-1] + half, place - half, place]
        points += [*bend, *(np.add(place, [f * WIDTH, 0]) for f in (1 / 3, 2 / 3, 1))]
    points = points[:-3]  # the way through the child's box
    color, linewidth = (ADJOINT, 2.4) if loud else (REFERENCE, 1.0)
    path = Path(points[::-1] if loud else points, [Path.MOVETO] + [Path.CURVE4] * (len(points) - 1))
    arrow = FancyArrowPatch(path=path, arrowstyle="-|>", mutation_scale=10, zorder=2)
    arrow.set(color=color, linewidth=linewidth)
    axes.add_patch(arrow)
    if loud:  # the slope is written on the last bend, the two of a node apart from each other
        t = (0.72, 0.3)[k]
        weights = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
        middle = {"ha": "center", "va": "center", "fontsize": font, "zorder": 6}
        axes.text(*np.dot(weights, points[-4:]), f"× {slope:.3g}", bbox=paper, **middle)
