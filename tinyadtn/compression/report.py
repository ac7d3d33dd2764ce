"""A table of stored parameters: one row per weight, the encoded weights, the whole model."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass, replace
from typing import Any

import numpy as np

from ..autodiff.engine import Tensor
from ..encodings.encoding import Counts, Encoding
from ..files.npz import write_npz
from ..nn.module import Module, require_model
from ..nn.parameters import Shape
from ..nn.sequential import Sequential
from ..tables import format_table
from .encoded_model import StoredWeight, stored_in, stored_weights
from .timing import HEAD, Timing, timings


@dataclass(frozen=True)
class ReportRow:
    """One line of a report: a layer's weight, a sum over weights, or a model with its biases."""

    name: str
    encoding: str
    counts: Counts
    bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Return all columns by name, for JSON."""
        return {
            "name": self.name,
            "encoding": self.encoding,
            **asdict(self.counts),
            "ratio": self.counts.ratio,
            "bytes": self.bytes,
        }


@dataclass(frozen=True)
class Report:
    """Parameters and bytes of every weight; ``str`` gives a table, or two if timings were made."""

    rows: tuple[ReportRow, ...]
    timings: tuple[Timing, ...] = ()
    batch_size: int | None = None

    def __str__(self) -> str:
        head = ["", "encoding", "dense", "stored", "live", "ratio", "padding", "bytes on disk"]
        cells = [head, *map(self._cells, self.rows)]
        if any(row.counts.stored_bytes != 4 * row.counts.stored for row in self.rows):
            numbers = [f"{row.counts.stored_bytes:,}" for row in self.rows]
            for line, number in zip(cells, ["stored bytes", *numbers]):
                line.insert(-1, number)
        table = format_table(cells)
        if self.batch_size is None:
            return table
        if not self.timings:
            return f"{table}\n\nno encoded layer of a Sequential to time"
        timed = [[f"ms, batch {self.batch_size}", *HEAD], *(row.cells() for row in self.timings)]
        return f"{table}\n\n{format_table(timed)}"

    __repr__ = __str__

    @staticmethod
    def _cells(row: ReportRow) -> list[str]:
        c = row.counts
        return [
            row.name,
            row.encoding,
            f"{c.dense:,}",
            f"{c.stored:,}",
            f"{c.live:,}",
            f"{c.ratio:,.1f}×" if c.stored else "–",
            f"{100 * (c.padded / c.dense - 1):.0f} %",
            f"{row.bytes:,}",
        ]


def report(
    model: Module, *, timing: bool = False, batch_size: int = 128, image: Shape | None = None
) -> Report:
    """Return a table of the dense, stored and effective parameters of each layer and the model.

    "live" counts the effective parameters, which can change the weight. "ratio" is dense / stored.
    "padding" is the excess of the padded tensor's entries over those of the weight. "bytes on disk"
    is the size of an uncompressed ``.npz`` file with the row's arrays. "stored bytes" is shown if
    an encoding rounds its parameters or stores places (``Quantized``, ``Pruned``): what is needed
    to use the weight, 4 bytes per parameter for all others. A file of a ``Quantized`` weight is
    larger, because it holds the parameters in float32, so that training can go on.

    An encoding that several layers share has one row. If two or more rows are encodings, the row
    "encoded weights" is their sum. The last row counts the whole model with its biases. ``timing``
    also measures the encoded layers of a ``Sequential``, each for one batch: see ``Timing`` for the
    columns. For a model that was not made by ``ta.models`` it needs the ``image`` shape (c, h, w).

    >>> import tinyadtn as ta
    >>> print(report(ta.compress(ta.models.fc2(rng=0), {"fc1": 2, "fc2": 2}, rng=0)))
                     encoding    dense  stored  live   ratio  padding  bytes on disk
    fc1.weight       ADTN M=2  200,704     436   436  460.3×     31 %          3,012
    fc2.weight       ADTN M=2    2,560     280   280    9.1×     60 %          2,388
    encoded weights            203,264     716   716  283.9×     31 %          5,598
    whole model                203,530     982   982  207.3×     31 %          7,158
    """
    require_model("report", model)
    weights = stored_weights(model)
    rows = [_row(weight) for weight in weights]
    tensors, frozen = dict(model.named_tensors()), (model.config or {}).get("frozen", ())
    encoded = [weight for weight in weights if isinstance(weight.storage, Encoding)]
    if len(encoded) > 1:
        inside = _ids(encoded)
        own = {name: tensor for name, tensor in tensors.items() if id(tensor) in inside}
        rows.append(_sum("encoded weights", map(_counts, encoded), own))
    # All other parameters, trainable or frozen, each counted once.
    inside = _ids(weights)
    biases = sum(
        tensor.size
        for name, tensor in tensors.items()
        if (tensor.requires_grad or name in frozen) and id(tensor) not in inside
    )
    counts = [*map(_counts, weights), Counts(*[biases] * 5)]
    rows.append(_sum("whole model", counts, tensors))
    timed: tuple[Timing, ...] = ()
    if timing and isinstance(model, Sequential):
        timed = tuple(timings(model, batch_size, image))
    return Report(tuple(rows), timed, batch_size if timing else None)


def _ids(weights: Iterable[StoredWeight]) -> set[int]:
    return {id(tensor) for weight in weights for tensor in stored_in(weight.storage).values()}


def _counts(weight: StoredWeight) -> Counts:
    storage, n = weight.storage, math.prod(weight.storage.shape)
    counts = Counts(n, n, n, n, n) if isinstance(storage, Tensor) else storage.counts()
    return replace(counts, dense=sum(math.prod(w.shape) for w in weight.weights.values()))


def _row(weight: StoredWeight) -> ReportRow:
    counts, tensors = _counts(weight), stored_in(weight.storage)
    label = weight.storage.label if isinstance(weight.storage, Encoding) else "dense"
    if counts.stored and not any(tensor.requires_grad for tensor in tensors.values()):
        label += ", frozen"
    return ReportRow(f"{weight.name}.weight", label, counts, npz_bytes(tensors))


def _sum(name: str, counts: Iterable[Counts], tensors: Mapping[str, Tensor]) -> ReportRow:
    total = Counts(*map(sum, zip(*map(astuple, counts))))
    return ReportRow(name, "", total, npz_bytes(tensors))


def npz_bytes(tensors: Mapping[str, Tensor]) -> int:
    """Return the size of an uncompressed ``.npz`` file with these tensors, without writing it."""
    file = io.BytesIO()
    # A file of elements without bytes (V0) has headers of the same length, and no content.
    write_npz(file, {name: np.empty(tensor.shape, "V0") for name, tensor in tensors.items()})
    return file.tell() + sum(tensor.size * tensor.dtype.itemsize for tensor in tensors.values())
