"""The base class of all encodings: they decode to a tensor of the weight's shape, and can count.

An encoding is a ``Weight`` (``nn.weights``): a layer lets it apply itself, and by default that
means to decode and to multiply.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..checks import to_builtin
from ..errors import ShapeError, TinyADTNError, nearest
from ..limits import require_memory
from ..nn.parameters import Seed, Shape
from ..nn.weights import Weight

Recipe = Callable[..., "Encoding"]  # recipe(shape, axes=…, rng=…) encodes one layer


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


class Encoding(Weight):
    """An object with a ``shape`` that decodes to a tensor of that shape.

    An encoding that can approximate a given weight has ``fit(target)``. It returns the relative
    errors ‖W - target‖ / ‖target‖: one for each iteration, or a single one for a closed form.
    """

    __array_ufunc__: Any = None  # ``array @ encoding`` is for ``__rmatmul__``
    takes_axes = False  # whether ``like`` passes the axes of the layer to the constructor

    @classmethod
    def like(cls, *arguments: Any, **options: Any) -> Recipe:
        """Return a recipe, which makes an encoding of this kind for any shape that a layer has.

        >>> import tinyadtn as ta
        >>> ta.Frozen.like()((256, 784), rng=0).shape
        (256, 784)
        """
        require_arguments(cls, arguments, options)
        return functools.partial(_make_like, cls, arguments, options)

    def describe(self, encoding: str, **options: Any) -> None:
        """Set ``config``, from which files build it again: its name, its shape and the options."""
        self.config = {"encoding": encoding, "shape": list(self.shape), **options}

    def counts(self) -> Counts:
        """Count the parameters: all that are stored, whether or not they are frozen now."""
        n, stored = math.prod(self.shape), sum(t.size for _, t in self.named_tensors())
        return Counts(dense=n, padded=n, stored=stored, live=stored, full_gates=stored)

    def cost(self) -> Cost:
        """Count the multiply-adds to use the encoding."""
        return Cost(0, None)

    def __matmul__(self, other: Any) -> Any:
        raise TypeError(
            f"{type(self).__name__} is not an array: multiply with encoding.decode(), or apply the "
            "layer whose weight it is"
        )

    __rmatmul__ = __matmul__

    def __repr__(self) -> str:
        stored, dense = self.counts().stored, math.prod(self.shape)
        size = f"{stored:,} parameters for {dense:,}"
        return f"{type(self).__name__}({self.shape}): {self.label}, {size}"


def checked_shape(who: str, shape: Any, fewest: int) -> tuple[int, ...]:
    """Return the shape as a tuple; ShapeError for too few axes or a length below 1."""
    lengths = to_builtin(shape)
    if not isinstance(lengths, tuple) or not all(isinstance(n, int) and n > 0 for n in lengths):
        raise ShapeError(f"{who} needs a shape of lengths of 1 or more, got {shape!r}")
    if len(lengths) < fewest:
        axes = "1 axis" if fewest == 1 else f"{fewest} axes"
        instead = "LowRank" if fewest == 3 and len(lengths) == 2 else "an ADTN"
        way_out = f"; use {instead}" if fewest > 1 else ""
        raise ShapeError(f"{who} needs {axes} or more, got {lengths}{way_out}")
    return lengths


def require_arguments(kind: Any, arguments: Any, options: Any) -> None:
    """Raise TinyADTNError unless the encoding can be made with these, a shape and ``rng``."""
    signature = inspect.signature(kind)
    try:
        if "rng" in options:
            raise TypeError("a recipe gets rng from its caller, such as ta.compress(…, rng=0)")
        signature.bind((), *arguments, **options, rng=None)
    except TypeError as error:
        takes = signature.parameters.values()
        if "rng" not in signature.parameters and all(p.kind is not p.VAR_KEYWORD for p in takes):
            raise TinyADTNError(
                f"{kind.__name__}.__init__ must take rng: write def __init__(self, shape, …, *, "
                "rng=None)"
            ) from error
        names = [n for n in [*signature.parameters][1:] if n not in ("axes", "rng")]
        hints = [nearest(name, names) for name in options if name not in signature.parameters]
        given = ", ".join([*map(repr, arguments), *(f"{k}={v!r}" for k, v in options.items())])
        raise TinyADTNError(
            f"{kind.__name__}.like({given}): {error}{''.join(hints)} "
            f"({kind.__name__} takes {', '.join(names) or 'no options'})"
        ) from error


def _make_like(
    kind: Any, arguments: Any, options: Any, shape: Shape, axes: Any = None, rng: Seed = None
) -> Any:
    """Make what ``like`` describes. It is a function of the module, because these can be pickled.

    Every encoding takes a shape first and ``rng`` by keyword, and some take axes.
    """
    if kind.takes_axes:
        options = {"axes": axes, **options}
    return kind(shape, *arguments, **options, rng=rng)


def check_size(encoding: Encoding) -> None:
    """Raise SizeLimitError, before anything is allocated, if the decoded weight does not fit."""
    if not encoding.fits():
        require_memory(
            f"a weight of shape {encoding.shape} = {math.prod(encoding.shape):,} numbers; to "
            "decode and train it",
            encoding.peak_bytes(),
            "use a smaller weight",
        )
