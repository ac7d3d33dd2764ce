"""What this machine has: how much memory may be planned with."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from .errors import SizeLimitError

CONTAINER = Path("/sys/fs/cgroup")  # where Linux says what a container may have


def require_memory(what: str, needed: int) -> None:
    """SizeLimitError for more bytes than this machine may plan with, before they are allocated.

    >>> require_memory("a padded image", 2**50)
    Traceback (most recent call last):
    tinyadtn.errors.SizeLimitError: a padded image takes 1,048,576.0 GiB, the limit here is ...
    """
    if needed > 2**28 and needed > memory_limit():  # to ask the system takes some time
        raise SizeLimitError(
            f"{what} takes {needed / 2**30:,.1f} GiB, the limit here is "
            f"{memory_limit() / 2**30:,.1f} GiB (three quarters of the memory)"
        )


def memory_limit() -> int:
    """Bytes that may be planned with: three quarters of what this machine, or container, has."""
    limits = []
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not every system tells
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for file in ("memory.max", "memory/memory.limit_in_bytes"):  # a container's, old and new
        with contextlib.suppress(ValueError, OSError):
            limits.append(int((CONTAINER / file).read_text()))
    return min(limits, default=10 * 2**30) * 3 // 4
