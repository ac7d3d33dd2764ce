"""Delay Ctrl-C while a state is changed, so that it stays consistent."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
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
