"""Mistakes in an op that a user wrote, and NumPy's errors about shapes, as errors of tinyadtn."""

from __future__ import annotations

import dis
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import GraphError, ShapeError
from .arrays import Array


def require_value_and_vjps(value: Any, vjps: list, arrays: list, name: str, joint: bool) -> None:
    """Raise TypeError unless an op returned an array and a function for each array."""
    if len(vjps) != (1 if joint else len(arrays)) or not all(map(callable, vjps)):
        others = [type(vjp).__name__ for vjp in vjps if not callable(vjp)]
        raise TypeError(
            f"{name} must return its value and "
            f"{'one function for all gradients' if joint else 'a function for each array'}: "
            f"for {len(arrays)} arrays it returned {len(vjps)} things behind the value"
            + (f", of which {', '.join(others)} cannot be called" if others else "")
        )
    if not hasattr(getattr(value, "dtype", None), "kind"):  # torch's dtypes have none
        raise TypeError(f"{name} must return an array as its value, got {shown(value)}")


# NumPy raises a plain ValueError if shapes do not fit; these are the words of its messages.
_SHAPES = re.compile(
    "could not be broadcast|could not broadcast|cannot broadcast|core dimension|cannot reshape"
    "|not aligned|shape mismatch|must match exactly|must have (the )?same|zero-size array"
    "|axes don't match|an empty sequence|cannot be squeezed"
)


def error_about_shapes(error: ValueError, name: str, arrays: Sequence[Array]) -> ShapeError | None:
    """Return an error of NumPy about shapes as one that names the function and the shapes.

    None for any other error, and for one that a ``raise`` statement of the function raised.
    """
    if not (_is_about_shapes(error) and _numpy_raised(error)):
        return None
    return ShapeError(f"{name} of shapes {', '.join(str(a.shape) for a in arrays)}: {error}")


def _is_about_shapes(error: ValueError) -> bool:
    """Return whether the error has the words of NumPy's errors about shapes."""
    if isinstance(error, IndexError):  # NumPy's AxisError is both
        return True
    return type(error) is ValueError and _SHAPES.search(str(error)) is not None


def _numpy_raised(error: ValueError) -> bool:
    """Return whether NumPy raised the error, and not a ``raise`` statement of the op itself."""
    place: Any = error.__traceback__
    while place.tb_next is not None:
        place = place.tb_next
    module = str(place.tb_frame.f_globals.get("__name__")).partition(".")[0]
    raised = place.tb_frame.f_code.co_code[place.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    return module in ("numpy", "cupy") or not raised


def reading(function: Callable, name: str, of_forward: bool) -> Callable:
    """Return a user's function, called with arrays that are read-only, because others need them."""
    into = "an argument" if of_forward else "g, or into an array of the forward pass"
    a = "a" if of_forward else "g"

    def call(*arrays: Array, **options: Any) -> Any:
        try:
            return function(*map(_read_only, arrays), **options)
        except ValueError as error:
            if found := error_about_shapes(error, name, arrays):
                raise found from error
            if "read-only" not in str(error):
                raise
            raise GraphError(
                f"{name} writes into {into}, which others need; compute a new array: {a} * 2 "
                f"instead of {a} *= 2"
            ) from error

    return call


def _read_only(array: Array) -> Any:
    """Return a view that cannot be written; an array on a GPU stays as it is."""
    if type(array) is np.ndarray:
        array = array.view()
        array.setflags(write=False)
    return array


def shown(value: Any) -> str:
    """Return a value as text, with a hint if it is None."""
    return f"{value!r:.60}" + ("; is a return missing?" if value is None else "")
