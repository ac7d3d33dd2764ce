"""What a product of matrices takes, in multiply-adds of a large one: the unit of the rule."""

from __future__ import annotations

# What a product takes, in multiply-adds of a large one (5 ps each: two cores, float32). Fitted to
# products of matrices from 8×16 to 4096×4096 in stacks of 1 to 4096, each told to within a factor
# of two, nearly all; and to im2col. Only ratios matter, and those differ less between machines.
MOVED = 16  # a number read or written: memory and caches give about 12 a nanosecond
COPIED = 128  # a number put in another place, as im2col and indices do: 0.6 nanoseconds
MATRIX = 2**14  # one more matrix in a stack of small ones
SMALL, SLOWER = 2**14, 2  # a matrix of fewer entries than this keeps the cores half busy
CALL = 2**18  # one more call of NumPy


def work(rows: int, inner: int, columns: int, stack: int = 1) -> int:
    """How long ``stack`` products (rows × inner) @ (inner × columns) take, in multiply-adds.

    The first factor is the same for all of them.

    >>> work(4096, 4096, 128) / work(4096, 4096, 1)  # a vector waits for the matrix's numbers
    8.518...
    """
    moved = rows * inner + stack * columns * (rows + inner)
    slower = SLOWER if rows * inner < SMALL else 1
    return CALL + stack * (MATRIX + slower * rows * inner * columns) + MOVED * moved
