"""The progress bar of all long loops: tqdm, imported only when a bar is shown."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

Item = TypeVar("Item")


def progress(
    items: Iterable[Item],
    *,
    total: int | None = None,
    initial: int = 0,
    label: str = "",
    note: Callable[[Item], str] | None = None,
    show: bool = True,
) -> Iterator[Item]:
    """Yield the items unchanged while a bar on stderr counts them.

    ``note(item)`` returns the few words after the bar (a loss, for example). Nothing is written
    without ``show``, or if stderr is closed or full.

    >>> sum(progress([1, 2, 3], show=False))
    6
    """
    if not show or sys.stderr is None:  # it was closed: 2>&-
        yield from items
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield from items
        return
    # On a terminal the bar moves ten times a second; in a log file a line now and then is enough.
    every = 0.1 if _is_terminal() else 5.0
    with tqdm(
        items,
        total=total,
        initial=initial,
        desc=label,
        mininterval=every,
        dynamic_ncols=True,
        file=_Stderr(),
    ) as bar:
        for item in items:  # counted here as it arrives: tqdm itself would wait for the next one
            if note is not None:
                bar.set_postfix_str(note(item), refresh=False)
            bar.update()
            yield item


def _is_terminal() -> bool:
    with suppress(AttributeError, OSError, ValueError):  # closed, or an object of the user's
        return sys.stderr.isatty()
    return False


class _Stderr:
    """stderr, except that a write that fails (a full disk) does not end the loop."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)
