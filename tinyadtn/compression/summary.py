"""A model as a table: layer by layer, what comes out, what is stored, what it costs."""

from __future__ import annotations

from dataclasses import dataclass

from ..nn.parameters import Shape
from ..nn.sequential import Sequential
from ..tables import format_table
from .configure import image_of


@dataclass(frozen=True)
class LayerSummary:
    """One layer: the shape of its output for one image, trained numbers, multiply-adds."""

    name: str
    layer: str
    output_shape: Shape
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class ModelSummary:
    """What ``summary`` found; printing it gives a table."""

    rows: tuple[LayerSummary, ...]
    parameters: int
    multiply_adds: int

    def __str__(self) -> str:
        cells = [["", "layer", "output", "parameters", "multiply-adds"]]
        for row in self.rows:
            shape = "×".join(map(str, row.output_shape))
            numbers = [f"{n:,}" if n else "" for n in (row.parameters, row.multiply_adds)]
            cells.append([row.name, row.layer, shape, *numbers])
        cells.append(["total", "", "", f"{self.parameters:,}", f"{self.multiply_adds:,}"])
        return format_table(cells, left=2)


def summary(model: Sequential, image: Shape | None = None) -> ModelSummary:
    """Layers, output shapes, trained numbers and multiply-adds for one image.

    ``image`` is (c, h, w); what ``ta.models`` made knows it. Nothing is computed or allocated, so a
    model of shapes only (``rng=None``) will do. Multiply-adds are those of one image among many: of
    a weight that need not be decoded, those of the way through its factors (see ``decode_free``),
    and none for decoding the others. A tensor that several layers share is counted where it is
    first met.

    >>> from tinyadtn.nn.models import lenet5
    >>> print(summary(lenet5()))
             layer                           output  parameters  multiply-adds
    conv1    Conv2d(1, 6, (5, 5), padding=2)  6×28×28   156  117,600
    ...
    """
    if not isinstance(model, Sequential):
        raise TypeError(
            f"summary follows the layers of a Sequential, got {type(model).__name__}; "
            "ta.report takes any Module"
        )
    seen: set[int] = set()
    rows = []
    for name, layer, before, after in model.shapes(image_of(model, image)):
        new = [t for t in layer.parameters() if id(t) not in seen]
        seen.update(map(id, new))
        parameters = sum(t.size for t in new)
        rows.append(LayerSummary(name, repr(layer), after, parameters, layer.multiply_adds(before)))
    return ModelSummary(
        tuple(rows), sum(r.parameters for r in rows), sum(r.multiply_adds for r in rows)
    )
