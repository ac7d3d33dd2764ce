"""Shared by all pictures: the palette, new figures, and saving.

Every function of ``tinyadtn.draw`` returns a Matplotlib ``Figure``, without a window and without
global state. A notebook shows it, ``save`` writes it to a file, and ``figure.get_label()`` is its
description in words.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import ShapeError
from ..files.atomic import replacing

Figure = Any  # Matplotlib's, which is imported only when something is drawn
# Hues from Okabe and Ito and from Paul Tol, which colour-blind readers can distinguish. Lightness,
# line style or a word repeats the meaning of every colour, so the pictures can be printed in grey.
VALUE = "#0072B2"  # results of the forward pass
ADJOINT = "#D55E00"  # results of the backward pass
GATE = "#F2C14E"
FRESH_GATE = "#FFFFFF"  # a gate on untouched sites
SIGMA = "#D9D9D9"
REFERENCE = "#666666"  # chance and other references
SITES = ("#332288", "#117733", "#AA4499", "#8A6D1F")  # one per axis: output, rows, columns, …
SERIES = (  # colour, line style and marker of the curves
    (VALUE, "-", "o"),
    (ADJOINT, "--", "s"),
    ("#009E73", "-.", "^"),
    ("#AA4499", ":", "D"),
    ("#000000", "-", "x"),
    ("#E69F00", "--", "v"),
    ("#56B4E9", "-.", "P"),
    ("#8A6D1F", ":", "*"),
)
SIGNED = "cividis"  # lightness rises with the value, also in grey


def new_figure(width: float, height: float, description: str) -> Figure:
    """Return an empty figure (sizes in inches) with the description as its alternative text."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need Matplotlib: pip install matplotlib pillow") from error
    figure: Any = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    figure.set_label(description)
    figure._repr_png_ = partial(_notebook_image, figure)
    return figure


def styles(count: int) -> Iterator[dict[str, Any]]:
    """Yield colour, line style and marker of each curve; the first curve is drawn on top."""
    if count > len(SERIES):
        raise ShapeError(f"{count} curves in one picture: no more than {len(SERIES)} stay distinct")
    for k, (colour, line, marker) in enumerate(SERIES):
        style = {"color": colour, "linestyle": line, "marker": marker, "markersize": 5}
        yield {**style, "zorder": 3 - k / 100}


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write the figure as PNG with 150 dots per inch and its description as metadata.

    A file that is there is replaced, atomically: a full disk leaves the old one unchanged.
    ``OSError`` for a folder, a device or a pipe.
    """
    with replacing(Path(path)) as file:
        file.write(_png(figure))


def _png(figure: Figure) -> bytes:
    file, description = io.BytesIO(), str(figure.get_label())
    figure.savefig(file, dpi=150, format="png", metadata={"Description": description})
    return file.getvalue()


def _notebook_image(figure: Figure) -> tuple[bytes, dict[str, str]]:
    """Return the PNG and its alternative text."""
    return _png(figure), {"alt": str(figure.get_label())}


def require_labelled(who: str, value: Any) -> None:
    """Raise TypeError, which says what to do, unless the value is a dict with labels as keys."""
    if not isinstance(value, Mapping):
        raise TypeError(
            f'{who} needs a dict with a label for each, such as {{"fc1": …}}, got '
            f"{type(value).__name__}"
        )
