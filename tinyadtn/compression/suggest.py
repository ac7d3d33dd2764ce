"""Suggest encodings of a weight that store at most a given number of parameters."""

from __future__ import annotations

import contextlib
import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..checks import to_builtin
from ..encodings.adtn import ADTN
from ..encodings.encoding import Cost, Encoding, Recipe, checked_shape
from ..encodings.frozen import Frozen
from ..encodings.low_rank import LowRank
from ..encodings.mixt import MixT
from ..encodings.tensor_train import Modes, TensorTrain, balanced
from ..encodings.tucker import Tucker
from ..errors import ShapeError, SizeLimitError
from ..tables import format_table
from ..tensor_networks.sites import Axes, assign_sites

Make = Callable[[int], "Suggestion"]  # size (depth, rank or bond dimension) -> encoding
SHALLOW = 4  # all ADTNs of depth 1 to SHALLOW are listed


@dataclass(frozen=True)
class Suggestion:
    """An encoding: ``recipe`` is for ``compress``, ``code`` is the Python code of the recipe."""

    label: str
    code: str
    recipe: Recipe
    stored: int
    cost: Cost


@dataclass(frozen=True)
class Suggestions:
    """Encodings that fit a budget; ``str`` gives a table."""

    shape: tuple[int, ...]
    rows: tuple[Suggestion, ...]

    def __str__(self) -> str:
        head = ["", "recipe", "stored", "ratio", "to decode", "to apply"]
        return format_table([head, *map(self._cells, self.rows)], left=2)

    __repr__ = __str__

    def _cells(self, row: Suggestion) -> list[str]:
        return [
            row.label,
            row.code,
            f"{row.stored:,}",
            f"{math.prod(self.shape) / row.stored:,.1f}×" if row.stored else "–",
            f"{row.cost.decode:,}",
            "–" if row.cost.apply is None else f"{row.cost.apply:,}",
        ]


def suggest(shape: Sequence[int], budget: int, *, axes: Axes = None) -> Suggestions:
    """Return encodings of a weight (o, i) or (o, c, kh, kw) with at most ``budget`` parameters.

    The table contains:

    - ADTNs of small depths and of the largest depth that fits;
    - low rank, tensor trains and MixT with 2 to 4 balanced modes, and Tucker for kernels, each the
      largest that fits and stores less than the dense weight;
    - frozen random weights, the control, which store nothing.

    The costs are multiply-adds: "to decode" the weight, and "to apply" it to one input vector (of a
    kernel to one patch) without forming it, where that is possible (see ``Cost``). ``axes`` is the
    structure of the axes (``layer.axes``) for ADTNs. Their recipes fix it, because an ADTN with the
    layer's own axes may store more. Nothing is allocated. If only the frozen encoding would fit,
    ShapeError names the smallest of the others.

    >>> choice = suggest((256, 784), 1_040, axes=(256, (28, 28)))  # print it: a table
    >>> for row in choice.rows:
    ...     print(row.label, row.stored, row.code)
    ADTN M=1 164 ta.ADTN.like(1, axes=(256, (28, 28)))
    ADTN M=2 436 ta.ADTN.like(2, axes=(256, (28, 28)))
    ADTN M=3 708 ta.ADTN.like(3, axes=(256, (28, 28)))
    ADTN M=4 980 ta.ADTN.like(4, axes=(256, (28, 28)))
    low rank r=1 1040 ta.LowRank.like(1)
    tensor train D=1 896 ta.TensorTrain.like(((16, 16), (28, 28)), (1,))
    tensor train D=3 912 ta.TensorTrain.like(((8, 8, 4), (7, 8, 14)), (3, 3))
    tensor train D=4 880 ta.TensorTrain.like(((4, 4, 4, 4), (4, 4, 7, 7)), (4, 4, 4))
    MixT w=1 896 ta.MixT.like(((16, 16), (28, 28)), 1)
    MixT w=1 176 ta.MixT.like(((8, 8, 4), (7, 8, 14)), 1)
    MixT w=1 88 ta.MixT.like(((4, 4, 4, 4), (4, 4, 7, 7)), 1)
    frozen 0 ta.Frozen.like()
    >>> import tinyadtn as ta
    >>> ta.compress(ta.models.fc2(rng=0), {"fc1": choice.rows[1].recipe}, rng=0).fc1.weight
    ADTN((256, 784), depth=2): 436 parameters for 200,704
    """
    shape = checked_shape("suggest", shape, 2)
    budget, axes = to_builtin(budget), to_builtin(axes)
    if not isinstance(budget, int):
        raise ShapeError(f"a budget is a whole number of stored numbers, got {budget!r}")
    most = min(budget, math.prod(shape) - 1)
    rows: list[Suggestion] = []
    smallest: list[Suggestion] = []
    for make, limit, shallow in _families(shape, axes, most):
        largest = bisect_right(range(1, limit + 1), False, key=partial(_exceeds, make, most))
        rows += map(make, sorted({*range(1, min(largest, shallow) + 1), largest} - {0}))
        if not largest:
            smallest.append(make(1))
    if not rows:
        least = min(smallest, key=lambda row: row.stored)
        raise ShapeError(
            f"no encoding of {shape} stores {most:,} parameters or fewer; the smallest is "
            f"{least.code} with {least.stored:,}"
        )
    return Suggestions(shape, (*rows, _suggestion(shape, Frozen)))


def _families(shape: tuple[int, ...], axes: Axes, most: int) -> Iterator[tuple[Make, int, int]]:
    """Yield per kind (function of a size, largest size to try, size up to which all are listed)."""
    o, c, *kernel = shape
    i, window = math.prod(shape[1:]), math.prod(kernel)

    def tucker(step: int) -> Suggestion:
        """Return Tucker with ranks in the ratio of the channels, as far as possible."""
        b = math.ceil(c * step / max(o, c))
        a = min(math.ceil(o * step / max(o, c)), b * window)
        return _suggestion(shape, Tucker, (a, min(b, a * window)))

    def train(modes: Modes, limits: list[int]) -> Make:
        return lambda bond: _suggestion(
            shape, TensorTrain, modes, tuple(min(bond, limit) for limit in limits)
        )

    if math.prod(shape) > 2:  # a gate needs two sites
        adtn = partial(_suggestion, shape, ADTN, axes=axes)
        layer = 16 * (len(assign_sites(shape, axes, 2, "interleaved").dims) - 1)
        with contextlib.suppress(SizeLimitError):  # the tensor exceeds the memory at any depth
            yield adtn, 1 + (most - adtn(1).stored) // layer, SHALLOW
    yield partial(_suggestion, shape, LowRank), min(o, i), 0
    for modes, limits in _chains(o, i):
        yield train(modes, limits), max(limits), 0
    for modes, limits in _chains(o, i):  # a window of all modes is the dense weight
        yield partial(_suggestion, shape, MixT, modes), len(limits), 0
    if kernel:
        yield tucker, max(o, c), 0


def _chains(o: int, i: int) -> Iterator[tuple[Modes, list[int]]]:
    """Yield (balanced modes, largest bonds) for 2, 3 and 4 cores of more than one entry."""
    for n in (2, 3, 4):
        modes = (balanced(o, n), balanced(i, n)[::-1])  # pairs large with small
        sizes = [p * q for p, q in zip(*modes)]
        if min(sizes) > 1:
            yield modes, [min(math.prod(sizes[:k]), math.prod(sizes[k:])) for k in range(1, n)]


def _exceeds(make: Make, most: int, size: int) -> bool:
    """Return whether an encoding of that size stores too much, or is too deep to train here."""
    try:
        return make(size).stored > most
    except SizeLimitError:
        return True


def _suggestion(shape: Any, kind: type[Encoding], *arguments: Any, **options: Any) -> Suggestion:
    """Return the encoding with these arguments, from its shapes alone."""
    recipe = kind.like(*arguments, **options)
    encoding = recipe(shape, rng=None)
    written = [*map(str, arguments), *(f"{name}={value}" for name, value in options.items())]
    code = f"ta.{kind.__name__}.like({', '.join(written)})"
    return Suggestion(encoding.label, code, recipe, encoding.num_parameters, encoding.cost())
