"""What a switch of the engine is: a ``with`` block and a decorator that set one variable.

``modes`` has the switches. You do not need this file to understand them: more than half of it is
for Ctrl-C, which must not leave a switch set, and for coroutines and generators.
"""

from __future__ import annotations

import functools
import inspect
import io
import operator
from collections import deque
from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar, copy_context
from itertools import islice
from typing import Any


class _Compiled:
    """A method that ``with`` finds as a compiled function, into which Ctrl-C cannot fall.

    Python raises KeyboardInterrupt between the lines of Python functions. In the first or last line
    of a switch, nothing would be recorded any more in that session.
    """

    def __init__(self, function: Callable[[Any], Callable]):
        self.function = function

    def __get__(self, switch: Any, kind: Any = None) -> Any:
        return self if switch is None else self.function(switch)

    def __call__(self, switch: Any, *exception: Any) -> Any:
        return self.function(switch)(*exception)  # as contextlib.ExitStack calls it


class _End(io.IOBase):
    """The end of a block: the compiled ``__exit__`` of a file calls ``close`` and nothing else."""

    closed: Any = True  # nothing is to be closed when the object is deleted


class Switch(ContextDecorator):
    """Set one variable for the length of a ``with`` block or of a decorated function.

    ``__enter__`` keeps what was there, sets the value, and returns the switch; ``__exit__`` sets
    back what was there. Both do it in compiled functions alone:

        self._before.append(self.variable.get())      self.variable.set(self._before.pop())
        self.variable.set(self.value)
        return self._inside()
    """

    variable: ContextVar[bool]
    value: bool

    def __init__(self, *given: Any) -> None:
        if given:
            raise TypeError(f"{type(self).__name__} takes nothing: write {type(self).__name__}()")
        self._before: list[bool] = []

    def _inside(self) -> Any:
        """Return what ``with switch as …`` assigns."""
        return self

    @_Compiled
    def __enter__(self) -> Callable:
        keep = functools.partial(self._before.append, self.variable.get())
        switch = functools.partial(self.variable.set, self.value)
        calls = map(operator.methodcaller("__call__"), [keep, switch, [self._inside()].pop])
        return functools.partial(next, islice(calls, 2, None))  # all three; returns the last result

    @_Compiled
    def __exit__(self) -> Callable:
        switch_back = map(self.variable.set, map(list.pop, [self._before]))
        end = _End()
        end.close = functools.partial(deque(maxlen=0).extend, switch_back)  # type: ignore
        return end.__exit__

    def _recreate_cm(self) -> Switch:
        return type(self)()  # each call of a decorated function restores its own earlier value

    def __call__(self, function: Any) -> Any:
        if isinstance(function, type) or inspect.isasyncgenfunction(function):
            what = "a class" if isinstance(function, type) else "an async generator"
            name = type(self).__name__
            raise TypeError(
                f"{name} cannot decorate {what}, {function.__qualname__}: write with {name}(): "
                "around the lines inside, or decorate the functions inside"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with self._recreate_cm():
                    return await function(*args, **kwargs)

            return awaited
        if not inspect.isgeneratorfunction(function):
            return super().__call__(function)

        # A generator runs in its caller's context, so this one gets a context of its own.
        @functools.wraps(function)
        def stepwise(*args: Any, **kwargs: Any) -> Any:
            context, generator = copy_context(), function(*args, **kwargs)
            context.run(self.variable.set, self.value)
            advance, what = generator.send, None
            while True:
                try:
                    item = context.run(advance, what)
                except StopIteration as end:
                    return end.value
                try:
                    advance, what = generator.send, (yield item)
                except BaseException as error:
                    advance, what = generator.throw, error

        return stepwise
