"""A table of what a model stores: a row for each weight, the encoded weights, the whole model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass, replace
from typing import Any

import numpy as np

from ..autodiff.engine import Tensor
from ..encodings.encoding import Counts, Encoding
from ..encodings.joint import group_by_encoding, storage_of
from ..files.npz import write_npz
from ..nn.module import Module
from ..nn.parameters import Shape
from ..nn.sequential import Sequential
from ..tables import format_table
from .configure import stored_in
from .timing import HEAD, Timing, timings


@dataclass(frozen=True)
class ReportRow:
    """One line of a report: a layer's weight, a sum over weights, or a model with its biases."""

    name: str
    encoding: str
    counts: Counts
    bytes: int

    def as_dict(self) -> dict[str, Any]:
        """The numbers by name."""
        return {
            "name": self.name,
            "encoding": self.encoding,
            **asdict(self.counts),
            "ratio": self.counts.ratio,
            "bytes": self.bytes,
        }


@dataclass(frozen=True)
class Report:
    """What each weight takes, dense and as stored; printing it gives a table, or two if timed."""

    rows: tuple[ReportRow, ...]
    timings: tuple[Timing, ...] = ()
    batch_size: int | None = None

    def __str__(self) -> str:
        head = ["", "encoding", "dense", "stored", "live", "ratio", "padding", "bytes on disk"]
        table = format_table([head, *map(self._cells, self.rows)])
        if self.batch_size is None:
            return table
        if not self.timings:
            return f"{table}\n\nno encoded layer of a Sequential to time"
        timed = [[f"ms, batch {self.batch_size}", *HEAD], *(row.cells() for row in self.timings)]
        return f"{table}\n\n{format_table(timed)}"

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
    """Dense weights, stored and live numbers, ratio, padding and bytes, for each layer and in all.

    An encoding that several layers share has one row. Two rows of encodings or more have their sum
    in a row of its own, "encoded weights". The last row counts the whole model with its biases.
    Bytes are those of an uncompressed ``.npz`` file with the row's arrays. ``timing`` measures the
    encoded layers of a ``Sequential`` too, each for a batch: see ``Timing`` for the columns. It
    needs to know the ``image`` (c, h, w) that a model takes which ``ta.models`` did not make.

    >>> import tinyadtn as ta
    >>> print(report(ta.compress(ta.models.fc2(rng=0), {"fc1": 2, "fc2": 2}, rng=0)))
                     encoding    dense  stored  live   ratio  padding  bytes on disk
    fc1.weight       ADTN M=2  200,704     436   436  460.3×     31 %          3,012
    fc2.weight       ADTN M=2    2,560     280   280    9.1×     60 %          2,388
    encoded weights            203,264     716   716  283.9×     31 %          5,598
    whole model                203,530     982   982  207.3×     31 %          7,158
    """
    if not isinstance(model, Module):
        raise TypeError(f"report needs a Module, got {type(model).__name__}")
    weights = [_StoredWeight(*group) for group in group_by_encoding(model).items()]
    encoded = [weight for weight in weights if isinstance(weight.storage, Encoding)]
    rows = [weight.row() for weight in weights]
    if len(encoded) > 1:
        inside = {id(tensor) for weight in encoded for tensor in weight.tensors.values()}
        own = {name: tensor for name, tensor in model.named_tensors() if id(tensor) in inside}
        rows.append(_sum("encoded weights", [weight.counts for weight in encoded], own))
    # Beyond the weights every parameter that is trained or frozen, each counted once.
    inside = {id(tensor) for weight in weights for tensor in weight.tensors.values()}
    tensors, frozen = dict(model.named_tensors()), (model.config or {}).get("frozen", ())
    biases = sum(
        tensor.size
        for name, tensor in tensors.items()
        if (tensor.requires_grad or name in frozen) and id(tensor) not in inside
    )
    counts = [*(weight.counts for weight in weights), Counts(*[biases] * 5)]
    rows.append(_sum("whole model", counts, tensors))
    timed: tuple[Timing, ...] = ()
    if timing and isinstance(model, Sequential):
        timed = tuple(timings(model, batch_size, image))
    return Report(tuple(rows), timed, batch_size if timing else None)


class _StoredWeight:
    """What stores the weights of one layer, or of several that share it: its tensors and counts."""

    def __init__(self, name: str, weights: Mapping[str, Any]):
        self.name, self.storage = name, storage_of(next(iter(weights.values())))
        self.tensors, n = stored_in(self.storage), math.prod(self.storage.shape)
        dense = isinstance(self.storage, Tensor)
        counts = Counts(n, n, n, n, n) if dense else self.storage.counts()
        size = sum(math.prod(weight.shape) for weight in weights.values())
        self.counts = replace(counts, dense=size)

    def row(self) -> ReportRow:
        label = self.storage.label if isinstance(self.storage, Encoding) else "dense"
        if self.counts.stored and not any(t.requires_grad for t in self.tensors.values()):
            label += ", frozen"
        return ReportRow(f"{self.name}.weight", label, self.counts, npz_bytes(self.tensors))


def _sum(name: str, counts: Iterable[Counts], tensors: Mapping[str, Tensor]) -> ReportRow:
    total = Counts(*map(sum, zip(*map(astuple, counts))))
    return ReportRow(name, "", total, npz_bytes(tensors))


def npz_bytes(tensors: Mapping[str, Tensor]) -> int:
    """The size of an uncompressed ``.npz`` file with these tensors, which is written nowhere."""
    file = _Nowhere()
    # Zeros in place of the values: they take as many bytes, and a tensor may have a shape only.
    zeros = {k: np.broadcast_to(t.dtype.type(0), t.shape) for k, t in tensors.items()}
    write_npz(file, zeros)
    return file.length


class _Nowhere:
    """A file that keeps nothing but its length."""

    length = position = 0

    def tell(self) -> int:
        return self.position

    def seek(self, position: int) -> None:
        self.position = position

    def write(self, data: Any) -> None:
        self.position += memoryview(data).nbytes
        self.length = max(self.length, self.position)

    def flush(self) -> None:
        """Nothing waits to be written."""
