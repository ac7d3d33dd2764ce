"""The cost of a matrix product, in multiply-adds of a large product: the unit of the rule."""

from __future__ import annotations

# The cost of a product, in multiply-adds of a large one (5 ps each: two cores, float32). Fitted to
# im2col and to matrix products from 8×16 to 4096×4096, in stacks of 1 to 4096. Nearly all of them
# agree within a factor of two. Only ratios matter, and those differ less between machines.
MOVED = 16  # a number read or written: memory and caches transfer about 12 per nanosecond
COPIED = 128  # a number copied to another place, as by im2col and indices: 0.6 nanoseconds
MATRIX = 2**14  # one more matrix in a stack of small ones
SMALL, SLOWER = 2**14, 2  # a matrix with fewer entries than this runs at half the speed
CALL = 2**18  # one more call of NumPy


def work(rows: int, inner: int, columns: int, stack: int = 1) -> int:
    """Estimate the cost of ``stack`` products (rows × inner) @ (inner × columns), in multiply-adds.

    The first factor is the same for all of them.

    >>> work(4096, 4096, 128) / work(4096, 4096, 1)  # one vector is limited by reading the matrix
    8.518...
    """
    moved = rows * inner + stack * columns * (rows + inner)
    slower = SLOWER if rows * inner < SMALL else 1
    return CALL + stack * (MATRIX + slower * rows * inner * columns) + MOVED * moved
