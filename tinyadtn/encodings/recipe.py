"""What stands for an encoding: a depth, a class, a recipe, or an encoding that is there."""

from __future__ import annotations

import functools
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError, TinyADTNError
from ..nn.parameters import Seed
from ..tensor_networks.sites import Axes
from .adtn import ADTN
from .encoding import Encoding, Recipe

Inner = Recipe | Encoding | int | None  # what ``of=`` takes
EXAMPLE = "such as ta.LowRank.like(8)"


def encoding_for(value: Any, shape: Sequence[int], axes: Axes, rng: Seed) -> Encoding:
    """Return what a depth (of an ADTN), a class or a recipe makes for this shape, or a copy.

    Raises TinyADTNError for anything else, and for a recipe that returns something else.
    Raises ShapeError for an encoding of another shape.
    """
    made = (
        value.copy() if isinstance(value, Encoding) else _recipe(value)(shape, axes=axes, rng=rng)
    )
    if not isinstance(made, Encoding):
        raise TinyADTNError(f"the recipe returned {type(made).__name__}, not an encoding")
    if not hasattr(made, "shape"):
        raise TinyADTNError(f"{type(made).__name__} has no shape; set it in __init__")
    if made.shape != (wanted := tuple(np.atleast_1d(shape).tolist())):
        raise ShapeError(f"the weight has shape {wanted}, the encoding is for {made.shape}")
    return made


def _recipe(value: Any) -> Recipe:
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return functools.partial(ADTN, depth=int(value))
    if isinstance(value, type) and issubclass(value, Encoding):
        return value.like()
    if not callable(value):
        raise TinyADTNError(f"{value!r} is not a depth, an encoding or a recipe, {EXAMPLE}")
    return value
