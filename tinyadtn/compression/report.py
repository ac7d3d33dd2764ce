"""A table of what a model stores: a row for each weight, the encoded weights, the whole model."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, astuple, dataclass, replace
from typing import Any

import numpy as np

from ..autodiff.engine import Tensor
from ..encodings.encoding import Counts
from ..encodings.joint import group_by_encoding, storage_of
from ..files.npz import write_npz
from ..nn.module import Module
from ..nn.parameters import Shape
from ..nn.sequential import Sequential
from ..tables import format_table
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
    weights = list(_stored_weights(model))
    encoded = [weight for weight in weights if weight.is_encoded]
    rows = [weight.row for weight in weights]
    if len(encoded) > 1:
        rows.append(_sum_of_encoded(model, encoded))
    rows.append(_whole_model(model, weights))
    timed: tuple[Timing, ...] = ()
    if timing and isinstance(model, Sequential):
        timed = tuple(timings(model, batch_size, image))
    return Report(tuple(rows), timed, batch_size if timing else None)


# --- the rows ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _StoredWeight:
    """A weight of a model (or the encoding that several layers share), its row and its arrays."""

    row: ReportRow
    tensors: Mapping[str, Tensor]
    is_encoded: bool


def _stored_weights(model: Module) -> Iterator[_StoredWeight]:
    for name, weights in group_by_encoding(model).items():
        weight = storage_of(next(iter(weights.values())))
        if isinstance(weight, Tensor):
            n = weight.size
            counts, label, tensors = Counts(n, n, n, n, n), "dense", {"weight": weight}
        else:
            counts, label, tensors = weight.counts(), weight.label, dict(weight.named_tensors())
        if counts.stored and not any(tensor.requires_grad for tensor in tensors.values()):
            label += ", frozen"
        counts = replace(counts, dense=sum(math.prod(w.shape) for w in weights.values()))
        row = ReportRow(f"{name}.weight", label, counts, npz_bytes(tensors))
        yield _StoredWeight(row, tensors, not isinstance(weight, Tensor))


def _sum_of_encoded(model: Module, encoded: Iterable[_StoredWeight]) -> ReportRow:
    inside = _identities(encoded)
    tensors = {name: tensor for name, tensor in model.named_tensors() if id(tensor) in inside}
    counts = _total(weight.row.counts for weight in encoded)
    return ReportRow("encoded weights", "", counts, npz_bytes(tensors))


def _whole_model(model: Module, weights: Iterable[_StoredWeight]) -> ReportRow:
    """All weights, and beyond them every parameter that is trained or frozen, each counted once."""
    tensors, inside = dict(model.named_tensors()), _identities(weights)
    frozen = (model.config or {}).get("frozen", ())
    others = {
        id(tensor): tensor.size
        for name, tensor in tensors.items()
        if (tensor.requires_grad or name in frozen) and id(tensor) not in inside
    }
    biases = sum(others.values())
    total = _total([*(weight.row.counts for weight in weights), Counts(*[biases] * 5)])
    return ReportRow("whole model", "", total, npz_bytes(tensors))


def _identities(weights: Iterable[_StoredWeight]) -> set[int]:
    return {id(tensor) for weight in weights for tensor in weight.tensors.values()}


def _total(counts: Iterable[Counts]) -> Counts:
    return Counts(*map(sum, zip(*map(astuple, counts))))


# --- bytes on disk -------------------------------------------------------------------------------


def npz_bytes(tensors: Mapping[str, Tensor]) -> int:
    """The size of an uncompressed ``.npz`` file with these tensors, which is written nowhere."""
    file = _Nowhere()
    # Zeros in place of the values: they take as many bytes, and a tensor may have a shape only.
    zeros = {k: np.broadcast_to(t.dtype.type(0), t.shape) for k, t in tensors.items()}
    write_npz(file, zeros)
    return file.length


class _Nowhere(io.RawIOBase):
    """A file that keeps nothing but its length."""

    length = position = 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.position = offset + (0, self.position, self.length)[whence]
        return self.position

    def write(self, data: Any) -> int:
        self.position += memoryview(data).nbytes
        self.length = max(self.length, self.position)
        return memoryview(data).nbytes
