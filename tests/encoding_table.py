"""One table of encodings, which drives every test that all of them must pass.

A row makes an encoding of one shape. "linear" is linear in each of its parameters alone; an ADTN of
depth 1 is so in every gate, but a parameter holds a column of gates: "smooth", as is a sum.
"rounded" is piecewise constant in its parameters, and trained with a straight-through estimator.
An encoding that ``compress`` can rebuild but that has no row fails a test.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tinyadtn as ta
from tinyadtn.encodings.joint import joint_shape


def part(index: int, recipe: Callable[..., Any], *others: tuple[int, ...]) -> Callable[..., Any]:
    """A recipe for one layer's part of an encoding of this layer and others."""

    def make(shape: Any, axes: Any = None, rng: Any = None) -> Any:
        shapes = list(others)
        shapes.insert(index, shape)
        whole = recipe(joint_shape(shapes), rng=rng)
        return ta.SharedWeight(whole, index, {f"fc{k}": s for k, s in enumerate(shapes)})

    return make


@dataclasses.dataclass(frozen=True)
class Row:
    """An encoding: ``recipe(shape, axes=…, rng=…)`` makes it; its label; its count, by hand."""

    recipe: Callable[..., Any]
    shape: tuple[int, ...]
    stored: int
    label: str
    kind: str = "linear"  # or "smooth" or "piecewise"; "fixed" has nothing to train
    axes: Any = None
    frozen: int = 0  # parameters that are stored and not trained
    start: float = 1e-5  # relative tolerance of the initial standard deviation
    bytes: int | None = None  # by hand, where it is not 4 per stored parameter

    def make(self, rng: Any = None) -> Any:
        return self.recipe(self.shape, axes=self.axes, rng=rng)

    def __str__(self) -> str:
        return f"{self.label} {self.shape}".replace(" ", "-")


ROWS = [
    # Q = 3 + 2 sites: 16·2·4 - 12·2
    Row(ta.ADTN.like(2), (5, 3), 104, "ADTN M=2", "piecewise"),
    # Q = 2 + 2 + 1 + 1 sites, one layer: 16·5 - 12·3
    Row(ta.ADTN.like(1), (4, 3, 2, 2), 44, "ADTN M=1", "smooth"),
    Row(ta.ADTN.like(1), (4, 9), 16 * 5 - 12 * 3, "ADTN M=1", "smooth", axes=(4, (3, 3))),
    Row(ta.ADTN.like(2, normalized=False), (5, 3), 104, "ADTN M=2", "piecewise"),
    Row(ta.ADTN.like(1, normalized=False), (4, 9), 16 * 5 - 12 * 3, "ADTN M=1", "smooth"),
    # every wiring, activation, start and order somewhere
    Row(
        ta.ADTN.like(2, activation="identity", order="output_first"),
        (5, 3),
        104,
        "ADTN M=2",
        "smooth",
    ),
    Row(
        ta.ADTN.like(2, activation="leaky_relu", wiring="staircase", start="normal"),
        (5, 3),
        16 * 2 * 4 - 12,
        "ADTN M=2 staircase",
        "piecewise",
    ),
    Row(
        ta.ADTN.like(2, activation="tanh", wiring="tree", order=(4, 0, 2, 1, 3)),
        (5, 3),
        16 * 2 * 4 - 12,
        "ADTN M=2 tree",
        "smooth",
    ),
    # B(5) = 5 bits that are 1 in 0 … 4
    Row(
        ta.ADTN.like(2, wiring="butterfly", start="orthogonal"),
        (5, 3),
        16 * 2 * 5 - 12 * 2,
        "ADTN M=2 butterfly",
        "piecewise",
    ),
    # 4 + 4 sites, the second axis in two parts
    Row(
        ta.ADTN.like(2, order="mirrored", start="near_identity"),
        (10, 12),
        16 * 2 * 7 - 12 * 4,
        "ADTN M=2",
        "piecewise",
        axes=(10, (3, 4)),
    ),
    *(
        Row(
            ta.ADTN.like(1, order=order),
            (2, 4),
            16 * 2 - 12,
            "ADTN M=1",
            "smooth",
            axes=(2, (2, 2)),
        )
        for order in ("interleaved", "nested")
    ),
    # sites of 4: 2 + 1 of them; a first gate of 4·4, three of 16·16
    Row(ta.ADTN.like(2, site_dim=4), (5, 3), 16 + 3 * 256, "ADTN M=2 d=4", "piecewise"),
    Row(
        ta.ADTN.like(1, wiring=[[(0, 2)], [(1, 2)]]),
        (4, 2),
        4 + 16,
        "ADTN M=1 own wiring",
        "smooth",
    ),
    Row(ta.Frozen, (4, 6), 0, "frozen", "fixed"),
    Row(ta.LowRank.like(1), (3, 4), 3 + 4, "low rank r=1"),
    Row(ta.LowRank.like(3), (6, 5), 3 * (6 + 5), "low rank r=3", axes=(6, 5)),
    Row(ta.LowRank.like(2), (4, 3, 2, 3), 2 * (4 + 18), "low rank r=2"),
    Row(ta.TensorTrain.like(((6,), (4,)), 1), (6, 4), 24, "tensor train D=1"),
    Row(
        ta.TensorTrain.like(((2, 3, 1), (1, 2, 4)), (2, 3)),
        (6, 8),
        2 * 1 * 2 + 2 * 3 * 2 * 3 + 3 * 1 * 4,
        "tensor train D=3",
        axes=(6, (2, 4)),
    ),
    Row(
        ta.TensorTrain.like(((2, 2), (3, 6)), 4),
        (4, 3, 2, 3),
        6 * 4 + 4 * 12,
        "tensor train D=4",
    ),
    Row(ta.Tucker.like((3, 2)), (5, 4, 3, 2), 15 + 36 + 8, "Tucker 3×2"),
    Row(ta.Tucker.like(2), (3, 4, 5), 6 + 20 + 8, "Tucker 2×2"),
    # windows of 2·3 outputs and 3·2 inputs, and of 3·2 and 2·4
    Row(
        ta.MixT.like(((2, 3, 2), (3, 2, 4)), 2),
        (12, 24),
        6 * 6 + 6 * 8,
        "MixT w=2",
        "smooth",
    ),
    Row(ta.MixT.like(((2, 2), (3, 6)), 1), (4, 3, 2, 3), 2 * 3 + 2 * 6, "MixT w=1", "smooth"),
    Row(ta.MixT.like(((6,), (4,)), 1), (6, 4), 24, "MixT w=1", "smooth"),
    Row(ta.Dense.like(), (5, 4, 2), 40, "all entries", start=0.5),
    # 24 entries: one bit for each in 3 bytes, or an index of one byte for each of 2
    Row(ta.Pruned.like(0.5), (6, 4), 12, "pruned 50 %", start=0.9, bytes=12 * 4 + 3),
    Row(ta.Pruned.like(0.1), (6, 4), 2, "pruned 10 %", start=0.9, bytes=2 * 4 + 2),
    Row(ta.Pruned.like(0.01), (20, 30, 1), 6, "pruned 1 %", start=0.9, bytes=6 * 4 + 6 * 2),
    # three bits each, and a scale for every array: 9·3/8 and 12·3/8 bytes, rounded up
    Row(
        ta.Quantized.like(3, of=ta.LowRank.like(3)),
        (3, 4),
        3 * 7,
        "low rank r=3, 3 bits",
        "rounded",
        start=0.5,
        bytes=4 + 4 + 5 + 4,
    ),
    Row(ta.Quantized.like(), (6, 5), 30, "all entries, 8 bits", "rounded", start=0.5, bytes=34),
    Row(
        ta.Quantized.like(16, of=1),
        (4, 9),
        16 * 5 - 12 * 3,
        "ADTN M=1, 16 bits",
        "rounded",
        axes=(4, (3, 3)),
        start=1e-2,
        bytes=2 * 44,
    ),
    Row(
        ta.Quantized.like(8, of=ta.Pruned.like(0.5)),
        (6, 4),
        12,
        "pruned 50 %, 8 bits",
        "rounded",
        start=0.9,
        bytes=12 + 4 + 3,
    ),
    Row(
        ta.Update.like(of=ta.LowRank.like(1)),
        (3, 4),
        12 + 7 + 1,
        "dense + low rank r=1",
        "smooth",
        frozen=12,
        start=0.9,
    ),
    Row(
        ta.Update.like(),
        (4, 9),
        36 + 44 + 1,
        "dense + ADTN M=1",
        "smooth",
        axes=(4, (3, 3)),
        frozen=36,
        start=0.9,
    ),
    Row(part(1, ta.LowRank.like(2), (7, 5)), (6, 5), 2 * (13 + 5), "low rank r=2"),
    Row(
        part(1, ta.ADTN.like(1), (3, 2), (5,)),  # 6 + 8 + 5 entries in 2^5
        (2, 4),
        16 * 4 - 12 * 2,
        "ADTN M=1",
        "smooth",
    ),
]
