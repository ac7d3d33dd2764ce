"""Sensitivity: how much accuracy a network loses if one of its layers is encoded."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..compression.compress import compress
from ..compression.fitting import fit as fit_encodings
from ..compression.report import report
from ..data.splits import Data
from ..encodings.encoding import Counts, Encoding, Recipe
from ..errors import ShapeError, TinyADTNError
from ..nn.module import Module, require_model
from ..nn.surgery import named_layers
from ..tables import format_table
from ..training.evaluate import evaluate
from ..training.train import train


@dataclass(frozen=True)
class LayerSensitivity:
    """One layer encoded, the others dense: parameters of the layer and validation accuracy.

    ``drop`` is the accuracy of the dense network minus this one, both shares from 0 to 1.
    """

    layer: str
    encoding: str
    counts: Counts
    accuracy: float
    drop: float


@dataclass(frozen=True)
class Sensitivity:
    """The result of ``sensitivity``; ``str`` gives a table, ``drops`` is for the picture."""

    dense: float  # the accuracy of the dense network
    rows: tuple[LayerSensitivity, ...]

    @property
    def drops(self) -> dict[str, float]:
        """The drop of the accuracy by layer, for ``ta.draw.sensitivity``."""
        return {row.layer: row.drop for row in self.rows}

    def __str__(self) -> str:
        head = ["", "encoding", "dense", "stored", "stored bytes", "accuracy", "drop (points)"]
        return format_table([head, *self._cells()], left=2)

    __repr__ = __str__

    def _cells(self) -> Iterator[list[str]]:
        yield ["none", "", "", "", "", f"{100 * self.dense:.2f} %", ""]
        for row in self.rows:
            numbers = [row.counts.dense, row.counts.stored, row.counts.stored_bytes]
            shares = [f"{100 * row.accuracy:.2f} %", f"{100 * row.drop:.2f}"]
            yield [row.layer, row.encoding, *(f"{n:,}" for n in numbers), *shares]


def sensitivity(
    model: Module,
    data: Data,
    recipe: int | Recipe,
    *,
    layers: str = "*",
    fit: bool = True,
    epochs: int = 0,
    seed: int = 0,
    **training: Any,
) -> Sensitivity:
    """Encode one layer of a trained network at a time, and return the drop of its accuracy.

    ``recipe`` is what ``compress`` takes for a layer: a depth of an ADTN, or a recipe for any
    shape. ``layers`` is a pattern of names. Each encoding is fitted to the layer's weight (unless
    ``fit=False``, or if it has no fit). Then the network is trained for ``epochs`` epochs with the
    options of ``train``, and so is the dense network, the reference. Accuracies are those of the
    validation images, because they are for choosing what to encode. ``model`` does not change.
    Raises TinyADTNError if no layer matches, or if the network is compressed already; ShapeError,
    before anything is trained, if a layer is too small for the encoding.

    >>> import tinyadtn as ta
    >>> model, data = ta.models.fc2(rng=0), ta.load_data()
    >>> result = sensitivity(model, data, ta.LowRank.like(10))
    >>> [row.layer for row in result.rows], round(result.drops["fc2"], 3)  # rank 10 is all of fc2
    (['fc1', 'fc2'], 0.0)
    """
    require_model("sensitivity", model)
    if not isinstance(data, Data):
        raise TypeError(
            f"sensitivity needs Data with all splits, got {type(data).__name__}; pass what "
            "ta.load_data returns, because the accuracy is that of data.validation"
        )
    known = named_layers(model)
    if any(isinstance(layer.weight, Encoding) for layer in known.values()):
        raise TinyADTNError(
            "the network is compressed already; give the dense one (dense.npz of `tinyadtn "
            "compress`), or make it dense with ta.decompress"
        )
    names = fnmatch.filter(known, layers)
    try:
        compress(model, {layers: recipe}, rng=seed)  # raises before anything is trained
    except ShapeError as error:
        fitting = ", ".join(name for name in names if _takes(model, name, recipe))
        hint = f"; it fits {fitting}, so choose by layers=… (--layers …)" if fitting else ""
        raise ShapeError(f"{error}{hint}") from error

    def accuracy(network: Any) -> float:
        if epochs:
            for _ in train(network, data, epochs=epochs, seed=seed, **training):
                pass
        return evaluate(network, data.validation).accuracy

    dense, rows = accuracy(model.copy()), []
    for name in names:
        small = compress(model, {name: recipe}, rng=seed)
        if fit and hasattr(named_layers(small)[name].weight, "fit"):
            fit_encodings(small, model, show_progress=False)
        (row,) = (row for row in report(small).rows if row.name == f"{name}.weight")
        found = accuracy(small)
        rows.append(LayerSensitivity(name, row.encoding, row.counts, found, dense - found))
    return Sensitivity(dense, tuple(rows))


def _takes(model: Module, layer: str, recipe: int | Recipe) -> bool:
    try:
        compress(model, {layer: recipe}, rng=0)
    except ShapeError:
        return False
    return True
