"""The page of notebook 00 as a graph: boxes for arrays, arrows for what computes them."""

from __future__ import annotations

from typing import Any

from matplotlib.patches import FancyBboxPatch

from tinyadtn.draw.style import ADJOINT, VALUE, new_figure

BOXES = (  # name, shape, place
    ("gates", "436 parameters", (0, 0)),
    ("W1", "256×784", (1, 0)),
    ("images", "n×784", (1, 1)),
    ("hidden", "n×256", (2, 0)),
    ("W2, b2", "2,570 parameters", (2, 1)),
    ("logits", "n×10", (3, 0)),
    ("labels", "n", (3, 1)),
    ("loss", "one number", (4, 0)),
)
ARROWS = (  # from, to, the function of the page
    ("gates", "W1", "decode"),
    ("W1", "hidden", "contract\n+ b1, relu"),
    ("images", "hidden", ""),
    ("hidden", "logits", "contract\n+ b2"),
    ("W2, b2", "logits", ""),
    ("logits", "loss", "softmax_\ncross_entropy"),
    ("labels", "loss", ""),
)
TRAINED = ("gates", "W2, b2")
WIDTH, HEIGHT, COLUMN, ROW = 1.5, 0.7, 2.6, 1.25


def page_graph() -> Any:
    """FC-2 with an ADTN as the weight of fc1, forward in blue and backward in orange."""
    steps = "; ".join(f"{a} to {b}" + (f" by {f}" if f else "") for a, b, f in ARROWS)
    description = f"A graph of the page: {steps}. Gradients go back along the same arrows to "
    figure = new_figure(12.5, 2.9, description.replace("\n", " ") + " and ".join(TRAINED) + ".")
    axes = figure.add_subplot()
    places = {name: (x * COLUMN, y * ROW) for name, _, (x, y) in BOXES}
    for name, shape, _ in BOXES:
        _box(axes, places[name], name, shape)
    for start, end, label in ARROWS:
        _arrows(axes, places[start], places[end], label, back=start not in ("images", "labels"))
    axes.set(xlim=(-0.1, 4 * COLUMN + WIDTH + 0.1), ylim=(-0.65, ROW + HEIGHT + 0.1))
    axes.set_aspect("equal")
    axes.axis("off")
    return figure


def _box(axes: Any, place: tuple[float, float], name: str, shape: str) -> None:
    x, y = place
    style = "round,pad=0,rounding_size=0.1"
    width = 2.4 if name in TRAINED else 1.0
    box = FancyBboxPatch((x, y), WIDTH, HEIGHT, boxstyle=style, facecolor="white", linewidth=width)
    axes.add_patch(box)
    middle = {"ha": "center", "va": "center"}
    axes.text(x + WIDTH / 2, y + 0.46, name, fontsize=12, weight="bold", **middle)
    axes.text(x + WIDTH / 2, y + 0.2, shape, fontsize=9.5, **middle)


def _arrows(
    axes: Any, start: tuple[float, float], end: tuple[float, float], label: str, *, back: bool
) -> None:
    """A blue arrow from start to end, and next to it an orange one in the opposite direction."""
    if start[1] == end[1]:  # from right side to left side
        tail, head = (start[0] + WIDTH, start[1] + 0.45), (end[0], end[1] + 0.45)
        shift = (0, -0.2)
    else:  # from the lower side to the upper side
        tail, head = (start[0] + 0.8 * WIDTH, start[1]), (end[0] + 0.3 * WIDTH, end[1] + HEIGHT)
        shift = (-0.4, 0)
    arrow = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "linewidth": 1.6}
    axes.annotate("", xy=head, xytext=tail, arrowprops={**arrow, "color": VALUE})
    if back:
        low_head, low_tail = ((x + shift[0], y + shift[1]) for x, y in (head, tail))
        axes.annotate("", xy=low_tail, xytext=low_head, arrowprops={**arrow, "color": ADJOINT})
    if label:
        middle = ((tail[0] + head[0]) / 2, tail[1] - 0.3)
        axes.text(*middle, label, ha="center", va="top", fontsize=9.5, family="monospace")
