"""Tensor contraction in index notation, and its gradient.

``contract(x, w, pattern="ni,oi->no")`` multiplies, and sums over every letter that the result does
not have (here i). One sentence covers every gradient: *the gradient of one operand is the
contraction of all the others with dL/d(result), where that operand's letters and the result's
letters have changed places.* Linear layers, convolutions and every gate of a tensor network are
contractions, so this sentence is most of backpropagation.
"""

from __future__ import annotations

import functools
import math
from typing import Any

from .backend import array_module
from .engine import op
from .errors import ShapeError


@op
def contract(*operands: Any, pattern: str) -> Any:
    """result[output letters] = sum over all other letters of the product of the operands.

    Every operand's letters stand between commas, the result's behind ``->``; each letter is one
    axis length. A letter twice in one operand (a diagonal) and ``...`` are refused: ShapeError.

    >>> import numpy as np, tinyadtn as ta
    >>> x, w = np.ones((3, 4)), np.ones((2, 4))
    >>> ta.contract(x, w, pattern="ni,oi->no").shape
    (3, 2)
    """
    inputs, output = _parse(pattern, tuple(x.shape for x in operands))

    def grad_of(k: int) -> Any:
        others = [j for j in range(len(operands)) if j != k]

        def grad_operand(g: Any) -> Any:
            known = [*(inputs[j] for j in others), output]
            # A letter that only this operand had was summed on its own: its gradient is constant.
            letters = "".join(a for a in inputs[k] if any(a in other for other in known))
            share = _contract([*(operands[j] for j in others), g], known, letters)
            lone = tuple(axis for axis, a in enumerate(inputs[k]) if a not in letters)
            xp = array_module(g)
            return xp.broadcast_to(xp.expand_dims(share, lone), operands[k].shape)

        return grad_operand

    return _contract(list(operands), inputs, output), *map(grad_of, range(len(operands)))


@functools.lru_cache(maxsize=4096)
def _parse(pattern: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[list[str], str]:
    """The letters of every operand and of the result; whatever does not fit is refused."""
    left, arrow, output = pattern.replace(" ", "").partition("->")
    inputs = left.split(",")
    if not arrow:
        raise ShapeError(f'pattern {pattern!r} has no "->"; write the result, as in "ni,oi->no"')
    if len(inputs) != len(shapes):
        raise ShapeError(f"pattern {pattern!r} is for {len(inputs)} operands, got {len(shapes)}")
    length: dict[str, int] = {}
    for letters, shape in zip([*inputs, output], [*shapes, None]):
        if not all(a.isascii() and a.isalpha() for a in letters):
            raise ShapeError(f"pattern {pattern!r}: only letters, commas and -> are understood")
        if len(set(letters)) < len(letters):
            raise ShapeError(f"pattern {pattern!r}: a letter stands twice in {letters!r}")
        if shape is not None and len(shape) != len(letters):
            raise ShapeError(
                f"pattern {pattern!r}: {letters!r} needs {len(letters)} axes, got {shape}"
            )
        for a, n in zip(letters, shape or ()):
            if length.setdefault(a, n) != n:
                raise ShapeError(
                    f"pattern {pattern!r}: axis {a} is {length[a]} and {n} (shapes {shapes})"
                )
    if not set(output) <= set(length):
        raise ShapeError(f"pattern {pattern!r}: the result has a letter that no operand has")
    return inputs, output


def _contract(operands: list, inputs: list[str], output: str) -> Any:
    """Contract the operands two at a time, from the left."""
    result, letters = operands[0], inputs[0]
    for k in range(1, len(operands)):
        later = set(output).union(*inputs[k + 1 :])
        keep = "".join(a for a in dict.fromkeys(letters + inputs[k]) if a in later)
        result, letters = _pair(result, letters, operands[k], inputs[k], keep)
    return _only(result, letters, output)


def _only(a: Any, letters: str, keep: str) -> Any:
    """Sum away the letters that are not kept, and put the others in the order of ``keep``."""
    lone = tuple(axis for axis, letter in enumerate(letters) if letter not in keep)
    if lone:
        a = a.sum(axis=lone)
        letters = "".join(letter for letter in letters if letter in keep)
    return a.transpose([letters.index(letter) for letter in keep])


def _pair(a: Any, a_letters: str, b: Any, b_letters: str, output: str) -> tuple[Any, str]:
    """Two operands as one matrix product: (batch, rows, sum) @ (batch, sum, columns)."""
    shared = set(a_letters) & set(b_letters)
    batch = "".join(x for x in a_letters if x in shared and x in output)
    summed = "".join(x for x in a_letters if x in shared and x not in output)
    rows = "".join(x for x in a_letters if x in output and x not in shared)
    columns = "".join(x for x in b_letters if x in output and x not in shared)
    a = _only(a, a_letters, batch + rows + summed)
    b = _only(b, b_letters, batch + summed + columns)
    m, n = len(batch), len(batch) + len(rows)
    batch_shape, row_shape, sum_shape = a.shape[:m], a.shape[m:n], a.shape[n:]
    column_shape = b.shape[m + len(summed) :]
    count = math.prod(sum_shape)
    product = a.reshape(*batch_shape, math.prod(row_shape), count) @ b.reshape(
        *batch_shape, count, math.prod(column_shape)
    )
    return product.reshape((*batch_shape, *row_shape, *column_shape)), batch + rows + columns
