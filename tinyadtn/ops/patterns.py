"""The letters of a contraction: what a pattern means, and the matrix products that compute it.

Nothing is computed here. Every result depends on the pattern and the shapes alone, so it is cached.
"""

from __future__ import annotations

import functools
import string
from dataclasses import dataclass

from ..errors import ShapeError


@functools.lru_cache(maxsize=4096)
def parse(pattern: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[tuple[str, ...], str, bool]:
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


@functools.lru_cache(maxsize=4096)
def exchanged(inputs: tuple[str, ...], output: str, k: int) -> tuple[tuple[str, ...], str]:
    """Return the letters of a contraction for the gradient of operand k: its operands, its result.

    Its operands are g, those after k from the last one, and the product of those before k. Letters
    that only operand k has are left out. The operand was summed over them before any product, so
    its gradient is constant along them: see ``_stretched``.
    """
    before = [inputs[0], *[step.result for step in steps_of(inputs, output)]][:k][-1:]
    letters = (output, *inputs[:k:-1], *before)
    return letters, "".join(a for a in inputs[k] if any(a in other for other in letters))


@dataclass(frozen=True)
class Product:
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
def steps_of(inputs: tuple[str, ...], output: str) -> list[Product]:
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
        steps.append(Product(a, b, batch, rows, summed, columns, swapped))
        letters = steps[-1].result
    return steps
