"""What all encodings have in common: they decode to a tensor of a weight's shape, and can count.

An encoding is a ``Weight`` (``nn.weights``): a layer lets it apply itself, and here that means to
decode and to multiply.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autodiff.arrays import to_numpy
from ..autodiff.engine import Tensor
from ..checks import to_builtin
from ..errors import NonFiniteError, ShapeError, SizeLimitError
from ..limits import memory_limit
from ..nn.weights import Weight

Recipe = Callable[..., "Encoding"]  # recipe(shape, axes=…, rng=…) encodes one layer


@dataclass(frozen=True)
class Counts:
    """How many numbers a weight takes under each way of counting.

    ``dense`` entries of the weight, ``padded`` entries of the tensor it is cropped from, ``stored``
    numbers that are trained and saved, ``live`` ones among them that can influence the weight, and
    ``full_gates``: what it would be if every gate stored its whole matrix.
    """

    dense: int
    padded: int
    stored: int
    live: int
    full_gates: int

    @property
    def ratio(self) -> float:
        """Dense numbers for each stored one; infinite where nothing is stored."""
        return self.dense / self.stored if self.stored else math.inf


@dataclass(frozen=True)
class Cost:
    """Multiply-adds: ``decode`` to decode the weight once, ``apply`` for one input vector.

    ``apply`` is what it takes to put a vector (of a convolution: the patch at one position)
    through the factors one by one, never decoding; None where there is no such route. ``build`` is
    what it takes to compute the factors first. Layers do whichever takes less for their batch, what
    is moved in memory included: see ``decode_free``.
    """

    decode: int
    apply: int | None
    build: int = 0


class Encoding(Weight):
    """Something with a ``shape`` that decodes to a tensor of that shape.

    One that can be brought close to a given weight has ``fit(target)``, which returns the relative
    errors ‖W - target‖ / ‖target‖ on the way: many where it iterates, one where it is a formula.
    """

    @classmethod
    def like(cls, *arguments: Any, **options: Any) -> Recipe:
        """A recipe: an encoding of this kind for whatever shape a layer has.

        >>> import tinyadtn as ta
        >>> ta.Frozen.like()((256, 784), rng=0).shape
        (256, 784)
        """
        make: Any = cls  # every encoding takes a shape first and rng by name
        return lambda shape, axes=None, rng=None: make(shape, *arguments, **options, rng=rng)

    def peak_bytes(self) -> int:
        """About how many bytes are held at once while a loss of the decoded weight trains it."""
        return 3 * 4 * math.prod(self.shape)  # decoded, with its gradient, and one on the way

    def counts(self) -> Counts:
        """How many numbers this takes: all that are stored, whether or not they are frozen now."""
        n, stored = math.prod(self.shape), sum(t.size for _, t in self.named_tensors())
        return Counts(dense=n, padded=n, stored=stored, live=stored, full_gates=stored)

    def cost(self) -> Cost:
        """Multiply-adds to use it."""
        return Cost(0, None)

    def __repr__(self) -> str:
        stored, dense = self.counts().stored, math.prod(self.shape)
        return (
            f"{type(self).__name__}({self.shape}): {self.label}, {stored:,} numbers for {dense:,}"
        )


def checked_shape(who: str, shape: Any, fewest: int) -> tuple[int, ...]:
    """The shape as a tuple, if it has enough axes, all of length 1 or more."""
    lengths = to_builtin(shape)
    if not isinstance(lengths, tuple) or not all(isinstance(n, int) and n > 0 for n in lengths):
        raise ShapeError(f"{who} needs a shape of lengths of 1 or more, got {shape!r}")
    if len(lengths) < fewest:
        axes = "1 axis" if fewest == 1 else f"{fewest} axes"
        instead = "LowRank" if fewest == 3 and len(lengths) == 2 else "an ADTN"
        way_out = f"; use {instead}" if fewest > 1 else ""
        raise ShapeError(f"{who} needs {axes} or more, got {lengths}{way_out}")
    return lengths


def check_size(encoding: Encoding) -> None:
    """SizeLimitError, before a number is drawn, for a weight that would not fit once decoded."""
    needed, limit = encoding.peak_bytes(), memory_limit()
    if needed > limit:
        raise SizeLimitError(
            f"a weight of shape {encoding.shape} has {math.prod(encoding.shape):,} numbers; to "
            f"train it takes about {needed / 2**30:,.1f} GiB, the limit here is "
            f"{limit / 2**30:,.1f} GiB (three quarters of the memory); use a smaller weight"
        )


def checked_target(encoding: Encoding, target: Any) -> tuple[np.ndarray, float]:
    """The weight to fit and its Euclidean norm; refused if it has another shape or no direction."""
    target = target.numpy() if isinstance(target, Tensor) else np.asarray(to_numpy(target))
    if target.shape != encoding.shape:
        raise ShapeError(
            f"the target has shape {target.shape}, this {type(encoding).__name__} {encoding.shape}"
        )
    norm = math.sqrt(float((target.astype(np.float64) ** 2).sum()))
    if not 0 < norm < math.inf:
        raise NonFiniteError(f"the target needs a finite norm above 0, it is {norm}")
    return target, norm
