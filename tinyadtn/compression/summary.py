"""A model as a table: output shape, parameters and multiply-adds of each layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..autodiff.engine import Tensor
from ..autodiff.modes import isolated, no_grad
from ..nn.module import Module
from ..nn.parameters import Shape
from ..nn.sequential import Sequential, naming
from ..nn.surgery import with_weights
from ..tables import format_table
from .encoded_model import image_of


@dataclass(frozen=True)
class LayerSummary:
    """One layer: output shape, trainable parameters and multiply-adds for one image."""

    name: str
    layer: str
    output_shape: Shape
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class ModelSummary:
    """The result of ``summary``; ``str`` gives a table."""

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

    __repr__ = __str__


def summary(model: Sequential, image: Shape | None = None) -> ModelSummary:
    """Return the layers with output shapes, trainable parameters and multiply-adds for one image.

    ``image`` is (c, h, w); for a model of ``ta.models`` it is known. Nothing is computed or
    allocated, so the model may have shapes only (``rng=None``). The multiply-adds are those of one
    image in a large batch: for a weight that is applied without forming it, the products with its
    factors (see ``decode_free``); decoding other weights is not counted. A tensor that several
    layers share is counted at the first of them.

    The ``forward`` of a custom module with layers inside is run once on zeros. Its layers are
    counted as often as it calls them; products that it computes itself are not counted.

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
    shape = image_of(model, image)
    seen: set[int] = set()
    rows = []
    for name, layer in model.layers():
        with naming(name):
            shape, multiply_adds = _through(layer, shape)
        new = [t for t in layer.parameters() if id(t) not in seen]
        seen.update(map(id, new))
        parameters = sum(t.size for t in new)
        rows.append(LayerSummary(name, repr(layer), shape, parameters, multiply_adds))
    return ModelSummary(
        tuple(rows), sum(r.parameters for r in rows), sum(r.multiply_adds for r in rows)
    )


@isolated
def _through(layer: Module, shape: Shape) -> tuple[Shape, int]:
    """Return the shape of the output for one input of shape ``shape``, and the multiply-adds."""
    if not any(_is_composed(part) for part in [layer, *dict(layer.named_modules()).values()]):
        return layer.output_shape(shape), layer.multiply_adds(shape)
    counted: list[int] = []
    traced = with_weights(layer, lambda name, weight: weight)  # new modules with the same tensors
    for part in dict(traced.named_modules()).values():
        if type(part).multiply_adds not in (Module.multiply_adds, Sequential.multiply_adds):
            part.__dict__["forward"] = partial(_count, part, counted)  # replaces the method
    with no_grad():
        output = traced(np.zeros((1, *shape), np.float32))
    return output.shape[1:], sum(counted)


def _is_composed(part: Module) -> bool:
    """Return whether a module has layers inside and does not define ``multiply_adds``."""
    says_nothing = type(part).multiply_adds is Module.multiply_adds
    return says_nothing and any("weight" in vars(inner) for _, inner in part.named_modules())


def _count(layer: Module, counted: list[int], x: Tensor, **_: Any) -> Tensor:
    """Replace a layer's forward: count the multiply-adds and return zeros of the output's shape."""
    shape = x.shape[1:]
    counted.append(layer.multiply_adds(shape))
    return Tensor(np.zeros((len(x), *layer.output_shape(shape)), x.dtype))
