"""How much memory a call takes at its peak, above what was there before."""

import gc
import tracemalloc
from collections.abc import Callable


def peak_of(call: Callable[[], object]) -> int:
    """Bytes, of what Python and NumPy allocate."""
    gc.collect()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
