"""The graph of a computation in small multiples: adjoints arriving, one node a frame."""

from __future__ import annotations

from typing import Any

from matplotlib.patches import FancyBboxPatch, Rectangle

from tinyadtn.draw.style import ADJOINT, REFERENCE, VALUE, new_figure

WIDTH, HEIGHT = 1.9, 0.72  # of a node's box
COLUMN, ROW = 3.5, 1.55  # from node to node
SIGNS = {"add": "+", "multiply": "×", "negative": "−", "exp": "exp", "log": "ln", "relu": "relu"}


def graph_frames(root: Any, order: list[Any], names: dict[Any, str]) -> Any:
    """One frame for the values, one for the seed, then one for each node that passes adjoints on.

    A node has ``data``, ``parents``, ``slopes`` and ``op``. ``order`` is a topological order that
    ends in ``root``. Adjoints are computed here again, by the rule of the notebook.
    """
    places = _places(order)
    speakers = [node for node in reversed(order) if node.parents]
    adjoint = {root: 1.0}
    owed = {node: sum(node in child.parents for child in order) for node in order}
    frames: list[tuple[str, Any, dict, dict]] = [
        ("forward: every node has its value", None, {}, dict(owed)),
        ("backward: the last node starts with 1", None, dict(adjoint), dict(owed)),
    ]
    for node in speakers:
        for parent, slope in zip(node.parents, node.slopes):
            adjoint[parent] = adjoint.get(parent, 0.0) + slope * adjoint[node]
            owed[parent] -= 1
        frames.append((f"{names[node]} passes it on", node, dict(adjoint), dict(owed)))

    wide = 2
    high = -(-len(frames) // wide)
    span_x = max(x for x, _ in places.values()) + WIDTH
    span_y = max(y for _, y in places.values()) + HEIGHT
    figure = new_figure(
        12.0,
        high * (12.0 / wide) * (span_y + 1.0) / (span_x + 0.6) + 0.3 * high,
        f"A computation as a graph, in {len(frames)} frames. Values go from left to right; then "
        "adjoints come back from right to left, one node a frame: "
        + ", ".join(f"{names[n]} {adjoint[n]:g}" for n in order)
        + ".",
    )
    for number, (title, speaker, known, waiting) in enumerate(frames):
        axes = figure.add_subplot(high, wide, number + 1)
        axes.set_title(f"{number}  {title}", loc="left", fontsize=12)
        _frame(axes, order, places, names, speaker, known, waiting)
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


def _frame(axes, order, places, names, speaker, known, waiting) -> None:
    for node in order:
        for k, (parent, slope) in enumerate(zip(node.parents, node.slopes)):
            _edge(axes, places[parent], places[node], slope, k, loud=node is speaker)
    for node in order:
        x, y = places[node]
        complete = node in known and waiting[node] == 0
        box = FancyBboxPatch(
            (x, y),
            WIDTH,
            HEIGHT,
            boxstyle="round,pad=0,rounding_size=0.12",
            linewidth=2.6 if node is speaker else 1.2,
            edgecolor=ADJOINT if node is speaker else "black",
            facecolor="white",
            zorder=3,
        )
        axes.add_patch(box)
        if node in known:  # the right half, full once nothing more can come
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
            axes.text(
                x + 0.75 * WIDTH,
                y + HEIGHT / 2,
                f"{known[node]:.3g}",
                color="#8A3B00",
                weight="bold",
                ha="center",
                va="center",
                fontsize=11.5,
                zorder=5,
            )
        middle = [x + WIDTH / 2] * 2
        axes.plot(middle, [y, y + HEIGHT], color="black", linewidth=0.8, zorder=4)
        axes.text(
            x + WIDTH / 4,
            y + HEIGHT / 2,
            f"{node.data:.3g}",
            color=VALUE,
            ha="center",
            va="center",
            fontsize=11.5,
            zorder=5,
        )
        sign = SIGNS.get(node.op, node.op)
        label = names[node] + (f" = {sign}" if node.parents else "")
        axes.text(x, y + HEIGHT + 0.08, label, fontsize=11.5, va="bottom", zorder=5)


def _edge(axes, start, end, slope, k, *, loud: bool) -> None:
    """From parent to child; when the child speaks, the slope goes the other way."""
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
