"""Ctrl-C during a run: delayed while a state is changed, and a reason to save in the loop body."""

from __future__ import annotations

import atexit
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# SIGHUP: the terminal was closed. Windows does not have it.
STOPPING = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Run the block to its end; a signal that arrives inside it is handled right after it.

    Only signals with a Python handler raise exceptions inside a block, and only in the main thread.
    All other signals are left unchanged.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[tuple[int, Any]] = []
    before = {number: signal.getsignal(number) for number in STOPPING}
    held = {number: handler for number, handler in before.items() if callable(handler)}
    try:
        for number in held:
            signal.signal(number, lambda number, frame: arrived.append((number, frame)))
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
        for number, frame in arrived:
            held[number](number, frame)


_saves: list[Callable[[], None]] = []  # of the runs whose caller is in the body of the loop
_handlers: dict[int, Any] = {}  # the handlers that were there before ours


@contextmanager
def saved_if_interrupted(save: Callable[[], None]) -> Iterator[None]:
    """Call ``save`` if a signal interrupts the block, or if Python exits inside it.

    A generator that is interrupted in the body of its caller's loop is not closed as long as it has
    a name. After the save, the signal's own handler acts. Several runs may be in their body at
    once, so they share one handler.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    try:
        _saves.append(save)
        for number in STOPPING:
            handler = signal.getsignal(number)
            if callable(handler) and handler is not _save_all:
                _handlers[number] = handler
                signal.signal(number, _save_all)
        yield
    finally:
        if save in _saves:
            _saves.remove(save)
        if not _saves and threading.current_thread() is threading.main_thread():
            _put_back()


def _save_all(number: int, frame: Any) -> None:
    _put_back()  # a second signal does not wait for the disk
    try:
        _save_runs()
    finally:
        _handlers[number](number, frame)


@atexit.register
def _save_runs() -> None:
    for save in list(_saves):
        save()


def _put_back() -> None:
    for number, handler in _handlers.items():
        if signal.getsignal(number) is _save_all:  # else the caller has installed another
            signal.signal(number, handler)
