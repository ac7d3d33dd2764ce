"""What this machine has: how much memory may be planned with."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

CONTAINER = Path("/sys/fs/cgroup")  # where Linux says what a container may have


def memory_limit() -> int:
    """Bytes that may be planned with: three quarters of what this machine, or container, has."""
    limits = []
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not every system tells
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for file in ("memory.max", "memory/memory.limit_in_bytes"):  # a container's, old and new
        with contextlib.suppress(ValueError, OSError):
            limits.append(int((CONTAINER / file).read_text()))
    return min(limits, default=10 * 2**30) * 3 // 4
