"""Three switches of the engine: record ops, look for NaN, protect arrays."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

# A ContextVar rather than a global: every thread and every asyncio task has its own setting.
recording: ContextVar[bool] = ContextVar("recording", default=True)
looking_for_nan: ContextVar[bool] = ContextVar("looking_for_nan", default=False)
protecting: ContextVar[bool] = ContextVar("protecting", default=True)


F = TypeVar("F", bound=Callable)


def isolated(function: F) -> F:
    """Decorate a function so that no switch which it sets outlives its call.

    Ctrl-C may fall into the end of a ``with no_grad()`` block, before it sets back what was there.
    Without this, nothing would be recorded any more in that session.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return copy_context().run(function, *args, **kwargs)

    return call  # type: ignore[return-value]


class _Switch(ContextDecorator):
    """Set one variable for the length of a ``with`` block or of a decorated function."""

    variable: ContextVar[bool]
    value: bool

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> _Switch:
        self._before.append(self.variable.get())
        self.variable.set(self.value)
        return self

    def __exit__(self, *exception: object) -> None:
        self.variable.set(self._before.pop())

    def _recreate_cm(self) -> _Switch:
        return type(self)()  # each call of a decorated function restores its own earlier value

    def __call__(self, function: Any) -> Any:
        if not inspect.isgeneratorfunction(function):
            return super().__call__(function)

        # A generator runs in its caller's context, so the switch must be off at every yield.
        @functools.wraps(function)
        def stepwise(*args: Any, **kwargs: Any) -> Any:
            generator, sent, thrown = function(*args, **kwargs), None, None
            while True:
                try:
                    with type(self)():
                        item = generator.send(sent) if thrown is None else generator.throw(thrown)
                except StopIteration as end:
                    return end.value
                sent = thrown = None
                try:
                    sent = yield item
                except BaseException as error:
                    thrown = error

        return stepwise


class no_grad(_Switch):  # noqa: N801 - it reads as a statement
    """Switch recording off: results need no gradient, and no memory is kept for one.

    A ``with`` block, or a decorator of functions and generators.

    >>> import tinyadtn as ta
    >>> x = ta.Tensor([1.0, 2.0], requires_grad=True)
    >>> with no_grad():
    ...     (x * 2).requires_grad
    False
    """

    variable, value = recording, False


class detect_anomaly(_Switch):  # noqa: N801
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


class unprotected(_Switch):  # noqa: N801
    """Leave arrays that a graph needs writeable: a little faster, but mistakes are not detected."""

    variable, value = protecting, False
