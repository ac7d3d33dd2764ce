"""What is stored, in tables: the numbers of every weight, and of a model as a whole."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from .encodings import Counts
from .engine import Tensor
from .joint import by_encoding, whole_of
from .module import Module
from .npz import write_npz


@dataclass(frozen=True)
class Row:
    """One line of a report: a layer's weight, or a whole model with its biases."""

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
    """What each weight takes, dense and as stored; printing it gives a table."""

    rows: tuple[Row, ...]

    def __str__(self) -> str:
        head = ["", "encoding", "dense", "stored", "live", "ratio", "padding", "bytes on disk"]
        return format_table([head, *map(self._cells, self.rows)])

    @staticmethod
    def _cells(row: Row) -> list[str]:
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


def report(model: Module) -> Report:
    """Dense weights, stored and live numbers, ratio, padding and bytes, for each layer and in all.

    An encoding that several layers share has one row. The last row counts the whole model with its
    biases. Bytes are those of an uncompressed ``.npz`` file with the row's arrays.

    >>> import tinyadtn as ta
    >>> print(report(ta.compress(ta.models.fc2(rng=0), {"fc1": 2}, rng=0)))
                 encoding    dense  stored   live   ratio  padding  bytes on disk
    fc1.weight   ADTN M=2  200,704     436    436  460.3×     31 %          3,012
    fc2.weight      dense    2,560   2,560  2,560    1.0×      0 %         10,506
    whole model            203,530   3,262  3,262   62.4×     30 %         15,174
    """
    rows = []
    biases = sum(t.size for t in model.parameters())
    for name, weights in by_encoding(model).items():
        weight = whole_of(next(iter(weights.values())))
        if isinstance(weight, Tensor):
            n = weight.size
            counts, label, arrays = Counts(n, n, n, n, n), "dense", {"weight": weight.numpy()}
        else:
            counts, label, arrays = weight.counts(), weight.label, weight.arrays()
        counts = replace(counts, dense=sum(math.prod(w.shape) for w in weights.values()))
        biases -= counts.stored
        rows.append(Row(f"{name}.weight", label, counts, npz_bytes(arrays)))
    total = Counts(
        **{
            key: biases + sum(getattr(row.counts, key) for row in rows)
            for key in Counts.__annotations__
        }
    )
    return Report((*rows, Row("whole model", "", total, npz_bytes(model.arrays()))))


def npz_bytes(arrays: Mapping[str, Any]) -> int:
    """The size of an uncompressed ``.npz`` file with these arrays."""
    file = io.BytesIO()
    write_npz(file, arrays)
    return len(file.getvalue())


def format_table(rows: list[list[str]], *, left: int = 1) -> str:
    """Rows of text in columns: so many to the left, all others, numbers, to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if k < left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    )
