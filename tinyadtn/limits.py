"""Memory: how much may be used, how large a file may become, and keeping what was freed."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
from pathlib import Path

from .errors import SizeLimitError

CONTAINER = Path("/sys/fs/cgroup")  # where Linux lists the limits of a container
GROUPS = Path("/proc/self/cgroup")
ALWAYS = 8 * 2**20  # bytes that any file may become
TRIM_THRESHOLD, MMAP_MAX = -1, -4  # of glibc's mallopt
GROWTH = 50  # times its size on disk: images compress to a fifth, zeros to a thousandth


def memory_limit() -> int:
    """Return the bytes that may be used: three quarters of what the system allows this process.

    That is the smallest limit of the machine, of ``ulimit -v``, and of a container or a job of a
    cluster.
    """
    limits = []
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not every system reports it
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with contextlib.suppress(ImportError):  # Windows
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        limits += [limit] if limit != resource.RLIM_INFINITY else []
    for file in _limit_files(CONTAINER, GROUPS):
        with contextlib.suppress(ValueError, OSError):  # "max" is no limit
            limits.append(int(file.read_text()))
    return min(limits, default=10 * 2**30) * 3 // 4


@functools.cache
def _limit_files(container: Path, groups: Path) -> list[Path]:
    """Return the files with the limits of this process: of its control groups and their parents."""
    lines, found = [], []
    with contextlib.suppress(OSError):  # no Linux, or a process that may not read it
        lines = groups.read_text().splitlines()
    for root, file in ((container, "memory.max"), (container / "memory", "memory.limit_in_bytes")):
        for line in ("::", *lines):  # number, controllers, path of the group
            folder = root / line.split(":", 2)[2].lstrip("/")
            found += [part / file for part in (folder, *folder.parents) if (part / file).is_file()]
    return list(dict.fromkeys(found))


def fits_memory(needed: int) -> bool:
    """Return whether ``needed`` bytes are within `memory_limit`."""
    return needed <= memory_limit()


def require_memory(what: str, needed: int, advice: str) -> None:
    """Raise ``SizeLimitError`` if ``needed`` bytes exceed `memory_limit`, before they are used.

    >>> require_memory("a weight", 2**62, "use a smaller layer")
    Traceback (most recent call last):
    tinyadtn.errors.SizeLimitError: a weight needs 4,294,967,296.0 GiB, and ... GiB, three ...
    """
    limit = memory_limit()
    if needed > limit:
        raise SizeLimitError(
            f"{what} needs {_size(needed)}, and {_size(limit)}, three quarters of the memory here, "
            f"are available; {advice}"
        )


def _size(count: int) -> str:
    return f"{count:,} bytes" if count < 2**24 else f"{count / 2**30:,.1f} GiB"


def most_from(handle: int) -> int:
    """Return how many bytes the content of an open file may take: `GROWTH` times its own, `ALWAYS`.

    A few kB that claim to hold gigabytes (zeros in a gzip, holes in a file) are a mistake or an
    attack. Holes do not count if the system reports them.
    """
    return ALWAYS + GROWTH * _stored_bytes(handle)


def _stored_bytes(handle: int) -> int:
    # The number of blocks would be shorter, but some systems (ZFS) update it seconds later.
    size, place = os.fstat(handle).st_size, os.lseek(handle, 0, os.SEEK_CUR)
    stored = end = 0
    try:
        while end < size:
            start = os.lseek(handle, end, os.SEEK_DATA)
            end = os.lseek(handle, start, os.SEEK_HOLE)
            stored += end - start
    except AttributeError:  # Windows
        return size
    except OSError as error:
        if error.errno != errno.ENXIO:  # which means that a hole is all that is left
            return size
    finally:
        os.lseek(handle, place, os.SEEK_SET)
    return stored


def keep_freed_memory() -> None:
    """Let the C library keep the memory of freed arrays for new ones, instead of returning it.

    Otherwise the arrays of a training step often get new pages from the system, which fills them
    with zeros first, which can take a third of the time of a step
    (``tests/bench/bench_freed_memory.py``). It holds for the whole process, so only programs call
    this, and not ``import tinyadtn``. Other C libraries than glibc are left as they are.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_MAX, 0)  # no array gets pages of its own, which free() would return
        mallopt(TRIM_THRESHOLD, 2**30)
