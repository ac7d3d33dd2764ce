"""How the size of a weight, and the work to use it, are counted."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """The size of a weight under each way of counting.

    ``dense``: entries of the weight. ``padded``: entries of the tensor that it is cropped from.
    ``stored``: parameters that are saved, and trained unless they are frozen. ``live``: effective
    parameters, the stored ones that can change the weight. ``full_gates``: parameters if every gate
    stored its whole matrix. ``stored_bytes``: the bytes needed to use the weight, by default 4 per
    stored parameter (float32).
    """

    dense: int
    padded: int
    stored: int
    live: int
    full_gates: int
    stored_bytes: int = -1  # the default

    def __post_init__(self) -> None:
        if self.stored_bytes < 0:
            object.__setattr__(self, "stored_bytes", 4 * self.stored)

    @property
    def ratio(self) -> float:
        """Dense entries per stored parameter; infinite if nothing is stored."""
        return self.dense / self.stored if self.stored else math.inf


@dataclass(frozen=True)
class Cost:
    """Multiply-adds: ``decode`` to decode the weight once, ``apply`` for one input vector.

    ``apply`` is the cost of passing a vector (for a convolution: the patch at one position) through
    the factors one after another, without forming W. It is None if there is no such route.
    ``build`` is the cost of computing the factors first. Layers take the cheaper route for their
    batch, with memory traffic included: see ``decode_free``.
    """

    decode: int
    apply: int | None
    build: int = 0
