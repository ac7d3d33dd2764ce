"""The cost of a matrix product, in multiply-adds of a large product: the unit of the rule."""

from __future__ import annotations

# Fitted to the faster side of 430 layers and batches on one thread, where a multiply-add of a large
# product takes about 12 ps (tests/bench/bench_routes.py). Only ratios matter.
MOVED = 16  # a number read or written
COPIED = 24  # a number copied to another place, as by im2col and indices
SPILLED = 8  # a number that waits in memory for the backward pass, not in cache
MATRIX = 2**13  # one more matrix in a stack of small ones
CALL = 2**17  # one more call of NumPy


def work(rows: int, inner: int, columns: int, stack: int = 1) -> int:
    """Estimate the cost of ``stack`` products (rows × inner) @ (inner × columns), in multiply-adds.

    The first factor is the same for all of them.

    >>> work(4096, 4096, 128) / work(4096, 4096, 1)  # one vector is limited by reading the matrix
    8.52...
    """
    moved = rows * inner + stack * columns * (rows + inner)
    return CALL + stack * (MATRIX + rows * inner * columns) + MOVED * moved
