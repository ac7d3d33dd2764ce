"""A card of a data set: what to know before training on it."""

from __future__ import annotations

from dataclasses import dataclass

from ..tables import format_table, printable

MOST_CLASSES = 100  # lines of a printed card


@dataclass(frozen=True)
class DataCard:
    """Sizes, shape, classes, images per class and split, statistics and hash of a data set.

    ``mean`` and ``std`` are those of each channel of the training images; ``sha256`` covers the
    training images and labels, as ``Data.identity()`` does. ``print`` it, or read its fields.
    """

    name: str
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]  # images of each class, by split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sha256: str

    def __str__(self) -> str:
        sizes = ", ".join(f"{split} {sum(each):,}" for split, each in self.counts.items())
        lines = [
            ["name", printable(self.name)],
            ["images", f"{'×'.join(map(str, self.shape))}: {sizes}"],
            ["mean", _listed(self.mean)],
            ["std", _listed(self.std)],
            ["SHA-256", self.sha256],
        ]
        rows = [
            [printable(name), *(f"{each[k]:,}" for each in self.counts.values())]
            for k, name in enumerate(self.classes[:MOST_CLASSES])
        ]
        more = len(self.classes) - len(rows)
        table = format_table([["class", *self.counts], *rows])
        rest = f"\n… and {more:,} more classes" if more else ""
        return f"{format_table(lines, left=2)}\n\n{table}{rest}"

    __repr__ = __str__


def _listed(values: tuple[float, ...]) -> str:
    shown = "  ".join(f"{value:.4f}" for value in values[:4])
    return f"{shown}  … ({len(values)} channels)" if len(values) > 4 else shown
