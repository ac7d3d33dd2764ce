"""Tensor contraction in index notation, and its gradient.

``contract(x, w, pattern="ni,oi->no")`` multiplies, and sums over every letter that is not in the
result (here i). One rule covers every gradient: *the gradient of one operand is the contraction of
all others with dL/d(result), with the letters of the operand and of the result exchanged.* Linear
layers, convolutions and every gate of a tensor network are contractions, so this rule is most of
backpropagation.
"""

from __future__ import annotations

import math
from typing import Any

from ..autodiff.arrays import Array, array_module, sum_over
from ..autodiff.engine import op
from .patterns import Product, exchanged, parse, steps_of


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
    inputs, output, repeats = parse(pattern, tuple([x.shape for x in operands]))
    if repeats:
        return _on_diagonals(operands, inputs, output)

    *products, result = _products(operands, inputs, output)

    def grad_of(k: int) -> Any:
        def grad_operand(g: Array) -> Any:
            # From the last operand back to k, then what the forward pass had before k: as in
            # backpropagation, no product is larger than those of the forward pass.
            others = [g, *operands[:k:-1], *products[:k][-1:]]
            letters, wanted = exchanged(inputs, output, k)
            share = _products(others, letters, wanted)[-1]
            return _stretched(share, wanted, inputs[k], operands[k].shape)

        return grad_operand

    return result, *map(grad_of, range(len(operands)))


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


def _products(operands: Any, inputs: tuple[str, ...], output: str) -> list:
    """Multiply from the left: the first operand, its product with the second, …, the result."""
    products, letters = [operands[0]], inputs[0]
    for operand, step in zip(operands[1:], steps_of(inputs, output)):
        products.append(_multiply(products[-1], operand, step))
        letters = step.result
    products[-1] = _sum_and_reorder(products[-1], letters, output)
    return products


def _stretched(share: Array, letters: str, all_letters: str, shape: tuple[int, ...]) -> Any:
    """Repeat the values along every axis whose letter ``share`` does not have."""
    if letters == all_letters:
        return share
    lone = tuple(axis for axis, a in enumerate(all_letters) if a not in letters)
    xp = array_module(share)
    return xp.broadcast_to(xp.expand_dims(share, lone), shape)


def _sum_and_reorder(a: Array, letters: str, keep: str) -> Any:
    """Sum away the letters that are not kept, and put the others in the order of ``keep``."""
    if letters == keep:
        return a
    lone = tuple([axis for axis, letter in enumerate(letters) if letter not in keep])
    if lone:
        a = sum_over(a, lone)
        letters = "".join([letter for letter in letters if letter in keep])
    return a.transpose([letters.index(letter) for letter in keep])


def _multiply(a: Array, b: Array, step: Product) -> Any:
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
