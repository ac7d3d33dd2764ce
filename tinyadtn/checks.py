"""Convert values from callers and files to plain Python numbers, or raise an error."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any


def to_builtin(value: Any) -> Any:
    """Convert integers and (nested) lists, NumPy's included, to Python's own, which JSON can store.

    >>> import numpy as np
    >>> to_builtin([np.int64(3), (4, np.arange(2))])
    (3, (4, (0, 1)))
    """
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value
    return tuple(map(to_builtin, value))


def require_number(name: str, value: Any, kind: type = numbers.Real) -> None:
    """Raise ValueError unless the value is a number of this kind, within the range of float64."""
    if not isinstance(value, kind) or isinstance(value, bool):
        wanted = "a whole number" if kind is numbers.Integral else "a number"
        raise ValueError(f"{name} must be {wanted}, got {value!r}")
    try:
        float(value)  # type: ignore[arg-type]
    except OverflowError:
        raise ValueError(f"{name} is a number of {len(str(value))} digits: too large") from None


def require_share(name: str, value: Any) -> None:
    """Raise ValueError unless the value is a number from 0 to 1."""
    require_number(name, value)
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be a share from 0 to 1, got {value}")
