"""An encoding inside another one: what ``of=`` takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError, TinyADTNError
from ..nn.parameters import Seed
from ..tensor_networks.sites import Axes
from .adtn import ADTN
from .encoding import Encoding, Recipe

Inner = Recipe | Encoding | int | None


def inner_encoding(of: Any, shape: Sequence[int], axes: Axes, rng: Seed) -> Encoding:
    """Return the encoding that a recipe or a depth makes for this shape, or a copy of an encoding.

    Raises ShapeError for an encoding of another shape.
    """
    if isinstance(of, Encoding):
        found: Any = of.copy()
    elif type(of) is int:
        found = ADTN(shape, of, axes=axes, rng=rng)
    elif callable(of):
        found = of(shape, axes=axes, rng=rng)
    else:
        raise TinyADTNError(f"of must be a recipe, a depth or an encoding, got {of!r}")
    if not isinstance(found, Encoding):
        raise TinyADTNError(f"the recipe {of!r} returned {type(found).__name__}, not an encoding")
    if found.shape != tuple(np.atleast_1d(shape)):
        raise ShapeError(f"the weight has shape {tuple(shape)}, the inner encoding {found.shape}")
    return found
