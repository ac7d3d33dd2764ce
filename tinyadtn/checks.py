"""Values from callers and files as plain Python numbers, or an error with what was expected."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any


def to_builtin(value: Any) -> Any:
    """Integers and (nested) lists of NumPy's or anyone's as Python's own, fit for a JSON file.

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
    """ValueError for what is no number of this kind, or one beyond the range of float64."""
    if not isinstance(value, kind) or isinstance(value, bool):
        wanted = "a whole number" if kind is numbers.Integral else "a number"
        raise ValueError(f"{name} must be {wanted}, got {value!r}")
    try:
        float(value)  # type: ignore[arg-type]
    except OverflowError:
        raise ValueError(f"{name} is a number of {len(str(value))} digits: too large") from None
