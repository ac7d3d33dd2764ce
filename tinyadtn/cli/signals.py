"""Signals that stop a command: caught for as long as a block of code runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def interruption() -> Iterator[threading.Event]:
    """Yield an event that a stopping signal sets, so that the step can end; a second one kills."""
    event = threading.Event()

    def stop(number: int, _: Any) -> None:
        event.set()
        signal.signal(number, before[signal.Signals(number)])

    with handling(stop, signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as before:
        yield event


@contextmanager
def handling(handler: Any, *signals: signal.Signals) -> Iterator[dict[signal.Signals, Any]]:
    """Handle these signals, except those that are ignored already, as nohup arranges."""
    before = {n: old for n in signals if (old := signal.getsignal(n)) is not signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, handler)
        yield before
    finally:
        for number, old in before.items():
            signal.signal(number, old)
