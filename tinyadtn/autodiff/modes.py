"""Switches: record ops, look for NaN, protect arrays, take fast paths."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

from .switch import Switch

# A ContextVar rather than a global: every thread and every asyncio task has its own setting.
recording: ContextVar[bool] = ContextVar("recording", default=True)
looking_for_nan: ContextVar[bool] = ContextVar("looking_for_nan", default=False)
protecting: ContextVar[bool] = ContextVar("protecting", default=True)
fast: ContextVar[bool] = ContextVar("fast", default=True)

F = TypeVar("F", bound=Callable)


def isolated(function: F) -> F:
    """Decorate a function so that no switch which it sets outlives its call.

    A debugger may interrupt at the end of a ``with no_grad()`` block, before the switch is set
    back, and so may Ctrl-C in Python 3.10. Then nothing would be recorded any more in that session.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return copy_context().run(function, *args, **kwargs)

    return call  # type: ignore[return-value]


class no_grad(Switch):  # noqa: N801 - it reads as a statement
    """Switch recording off: results need no gradient, and no memory is kept for one.

    A ``with`` block, or a decorator of functions, coroutines and generators.

    >>> import tinyadtn as ta
    >>> x = ta.Tensor([1.0, 2.0], requires_grad=True)
    >>> with no_grad():
    ...     (x * 2).requires_grad
    False
    """

    variable, value = recording, False


class detect_anomaly(Switch):  # noqa: N801
    """Make the first op whose result or gradient is NaN or infinite raise NonFiniteError.

    The error names the op and the line of your code that called it. For a gradient this is the line
    of the forward pass, so put both passes inside the block. It also finds arrays that were changed
    between the two passes through a view that existed before: ``backward`` raises GraphError. Every
    op checks all its values and copies its inputs, which is slow: use it to find a fault, not for
    training.

    >>> import numpy as np, tinyadtn as ta
    >>> with detect_anomaly(), np.errstate(divide="ignore"):
    ...     ta.log(ta.Tensor([1.0, 0.0]))
    Traceback (most recent call last):
    tinyadtn.errors.NonFiniteError: log gave 1 of 2 values that are not finite, called at ...
    """

    variable, value = looking_for_nan, True


class unprotected(Switch):  # noqa: N801
    """Leave arrays that a graph needs writeable: mistakes are not detected, and ops cost less.

    ``x * x`` takes half the time for ten entries, and about the same time for a million.
    """

    variable, value = protecting, False


class by_definition(Switch):  # noqa: N801
    """Take no fast path: every gate, patch and weight is computed as its definition says.

    The values are the same up to rounding, and slower: an ADTN gate by gate, a convolution as one
    product over all patches, a compressed weight decoded. With a breakpoint in
    ``tensor_networks.gates.apply_gate`` you can then follow an ADTN through a network.

    >>> import tinyadtn as ta
    >>> weight = ta.ADTN((16, 16), depth=2, rng=0)
    >>> with by_definition():
    ...     plain = weight.decode().data
    >>> bool(abs(weight.decode().data - plain).max() < 1e-6)
    True
    """

    variable, value = fast, False
