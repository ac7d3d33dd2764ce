"""Tensor contraction in index notation, and its gradient.

``contract(x, w, pattern="ni,oi->no")`` multiplies, and sums over every letter that is not in the
result (here i). One rule covers every gradient: *the gradient of one operand is the contraction of
all others with dL/d(result), with the letters of the operand and of the result exchanged.* Linear
layers, convolutions and every gate of a tensor network are contractions, so this rule is most of
backpropagation.
"""

from __future__ import annotations

import functools
import math
import string
from dataclasses import dataclass
from typing import Any

from ..autodiff.arrays import Array, array_module, sum_over
from ..autodiff.engine import op
from ..errors import ShapeError


@op
def contract(*operands: Any, pattern: str) -> Any:
    """result[output letters] = sum over all other letters of the product of the operands.

    The pattern lists the letters of each operand, separated by commas, and after ``->`` those of
    the result; a letter stands for one axis length. As in ``numpy.einsum``, a letter that appears
    twice in one operand selects its diagonal, ``...`` stands for any number of axes (of equal
    lengths in all operands), and without ``->`` the result has the letters that appear once, in
    alphabetical order.

    >>> import numpy as np, tinyadtn as ta
    >>> x, w = np.ones((3, 4)), np.ones((2, 4))
    >>> ta.contract(x, w, pattern="ni,oi->no").shape
    (3, 2)
    >>> float(ta.contract(np.eye(3), pattern="ii").data)  # the trace
    3.0
    """
    inputs, output, repeats = _parse(pattern, tuple([x.shape for x in operands]))
    if repeats:
        return _on_diagonals(operands, inputs, output)

    def grad_of(k: int) -> Any:
        def grad_operand(g: Array) -> Any:
            others = [*operands[:k], *operands[k + 1 :]]
            letters, wanted = _exchanged(inputs, output, k)
            share = _contract([*others, g], letters, wanted)
            return _stretched(share, wanted, inputs[k], operands[k].shape)

        return grad_operand

    return _contract(list(operands), inputs, output), *map(grad_of, range(len(operands)))


def _on_diagonals(operands: tuple, inputs: tuple[str, ...], output: str) -> tuple:
    """Contract where a letter repeats in an operand: only the diagonal is read, and gets the g."""
    once = ["".join(dict.fromkeys(letters)) for letters in inputs]
    places = []
    for a, letters, own in zip(operands, inputs, once):
        lengths = dict(zip(letters, a.shape))
        grid = array_module(a).indices([lengths[letter] for letter in own])
        places.append((*[grid[own.index(letter)] for letter in letters], ...))
    diagonals = [a[place] for a, place in zip(operands, places)]
    value, *vjps = contract.__wrapped__(*diagonals, pattern=f"{','.join(once)}->{output}")

    def grad_of(k: int) -> Any:
        def grad_operand(g: Array) -> Any:
            share = array_module(g).zeros(operands[k].shape, g.dtype)
            share[places[k]] = vjps[k](g)
            return share

        return grad_operand

    return value, *map(grad_of, range(len(operands)))


def _contract(operands: list, inputs: tuple[str, ...], output: str) -> Any:
    """Contract the operands two at a time, from the left."""
    result, letters = operands[0], inputs[0]
    for operand, step in zip(operands[1:], _steps(inputs, output)):
        result, letters = _multiply(result, operand, step), step.result
    return _sum_and_reorder(result, letters, output)


@functools.lru_cache(maxsize=4096)
def _exchanged(inputs: tuple[str, ...], output: str, k: int) -> tuple[tuple[str, ...], str]:
    """Return the letters of a contraction for the gradient of operand k: its operands, its result.

    The operands are the others and g. Letters that only operand k has are left out. The operand was
    summed over them before any product, so its gradient is constant along them: see ``_stretched``.
    """
    letters = (*inputs[:k], *inputs[k + 1 :], output)
    return letters, "".join(a for a in inputs[k] if any(a in other for other in letters))


def _stretched(share: Array, letters: str, all_letters: str, shape: tuple[int, ...]) -> Any:
    """Repeat the values along every axis whose letter ``share`` does not have."""
    if letters == all_letters:
        return share
    lone = tuple(axis for axis, a in enumerate(all_letters) if a not in letters)
    xp = array_module(share)
    return xp.broadcast_to(xp.expand_dims(share, lone), shape)


@functools.lru_cache(maxsize=4096)
def _parse(pattern: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[tuple[str, ...], str, bool]:
    """Return the letters of every operand and of the result, and whether one repeats in an operand.

    Raises ShapeError if they do not fit.
    """
    inputs, output = _written_out(pattern, shapes)
    length: dict[str, int] = {}
    for letters, shape in zip([*inputs, output], [*shapes, None]):
        if not all(a.isascii() and a.isalpha() for a in letters):
            raise ShapeError(
                f"pattern {pattern!r}: only letters, commas, ... and -> are understood"
            )
        if shape is None and len(set(letters)) < len(letters):
            raise ShapeError(
                f"pattern {pattern!r}: a letter stands twice in the result; for a diagonal matrix, "
                'multiply by numpy.eye(n): "i,ij->ij"'
            )
        if shape is not None and len(shape) != len(letters):
            raise ShapeError(
                f"pattern {pattern!r}: {letters!r} needs {len(letters)} axes, got {shape}"
            )
        for a, n in zip(letters, shape or ()):
            if length.setdefault(a, n) != n:
                axis, advice = f"axis {a}", ""
                if a not in pattern:
                    axis, advice = 'an axis of "..."', "; stretch one: ta.broadcast_to"
                raise ShapeError(
                    f"pattern {pattern!r}: {axis} is {length[a]} and {n} (shapes {shapes}){advice}"
                )
    if not set(output) <= set(length):
        raise ShapeError(f"pattern {pattern!r}: the result has a letter that no operand has")
    return tuple(inputs), output, any(len(letters) > len(set(letters)) for letters in inputs)


def _written_out(pattern: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[list[str], str]:
    """Return the letters of the operands and of the result, with letters for ``...``."""
    left, arrow, output = pattern.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(shapes):
        raise ShapeError(f"pattern {pattern!r} is for {len(inputs)} operands, got {len(shapes)}")
    if not arrow:
        output = "..." * ("..." in left) + "".join(
            sorted(a for a in {*left} - {*",."} if left.count(a) == 1)
        )
    if ("..." in left) != ("..." in output):
        raise ShapeError(
            f'pattern {pattern!r}: write "..." in an operand and in the result, or letters instead '
            "for axes that are summed over"
        )
    extra = [len(s) - len(x) + 3 if "..." in x else 0 for x, s in zip(inputs, shapes)]
    most = max(0, *extra)
    names = "".join(a for a in string.ascii_letters if a not in left)[:most]
    inputs = [x.replace("...", names[most - max(n, 0) :], 1) for x, n in zip(inputs, extra)]
    return inputs, output.replace("...", names, 1)


@dataclass(frozen=True)
class _Product:
    """Two operands as one matrix product, (batch, rows, sum) @ (batch, sum, columns), in letters.

    If ``swapped``, the second operand has the rows. If the result begins with its letters, this
    avoids a transposition afterwards.
    """

    a: str
    b: str
    batch: str
    rows: str
    summed: str
    columns: str
    swapped: bool

    @property
    def result(self) -> str:
        return self.batch + self.rows + self.columns


@functools.lru_cache(maxsize=4096)
def _steps(inputs: tuple[str, ...], output: str) -> list[_Product]:
    """Return the products that contract all operands, from the left."""
    steps, letters = [], inputs[0]
    for k in range(1, len(inputs)):
        later = set(output).union(*inputs[k + 1 :])
        shared = set(letters) & set(inputs[k])
        first = next((a for a in output if a in letters + inputs[k] and a not in shared), "")
        swapped = first in inputs[k] and first != ""
        a, b = (inputs[k], letters) if swapped else (letters, inputs[k])
        batch = "".join(x for x in a if x in shared and x in later)
        rows = "".join(x for x in a if x in later and x not in shared)
        summed = "".join(x for x in a if x in shared and x not in later)
        columns = "".join(x for x in b if x in later and x not in shared)
        steps.append(_Product(a, b, batch, rows, summed, columns, swapped))
        letters = steps[-1].result
    return steps


def _sum_and_reorder(a: Array, letters: str, keep: str) -> Any:
    """Sum away the letters that are not kept, and put the others in the order of ``keep``."""
    if letters == keep:
        return a
    lone = tuple([axis for axis, letter in enumerate(letters) if letter not in keep])
    if lone:
        a = sum_over(a, lone)
        letters = "".join([letter for letter in letters if letter in keep])
    return a.transpose([letters.index(letter) for letter in keep])


def _multiply(a: Array, b: Array, step: _Product) -> Any:
    """Return the product of two operands."""
    if step.swapped:
        a, b = b, a
    a = _sum_and_reorder(a, step.a, step.batch + step.rows + step.summed)
    b = _sum_and_reorder(b, step.b, step.batch + step.summed + step.columns)
    if a.ndim == b.ndim == 2 and not step.batch and len(step.summed) == 1:
        return a @ b  # both are matrices already
    m, n = len(step.batch), len(step.batch) + len(step.rows)
    batch_shape, row_shape, sum_shape = a.shape[:m], a.shape[m:n], a.shape[n:]
    column_shape = b.shape[m + len(step.summed) :]
    count = math.prod(sum_shape)
    product = a.reshape(*batch_shape, math.prod(row_shape), count) @ b.reshape(
        *batch_shape, count, math.prod(column_shape)
    )
    return product.reshape((*batch_shape, *row_shape, *column_shape))
