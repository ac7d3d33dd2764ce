"""How much memory a call takes at its peak, above what was there before."""

import tracemalloc
from collections.abc import Callable


def peak_of(call: Callable[[], object]) -> int:
    """Bytes, of what Python and NumPy allocate."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# For a process that measures itself. A child's ru_maxrss would begin with the peak of its parent.
OWN_PEAK = """
from contextlib import suppress
from pathlib import Path

def reset_peak():
    with suppress(OSError):  # Linux alone can forget a peak
        Path("/proc/self/clear_refs").write_text("5")

def peak():
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except OSError:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
"""
