"""Contractions of two arrays as chains: a node for each array, a leg for each letter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .legs import CORE, Diagram, draw

ADJOINT_CORE = "#F7C9A9"  # a node that is an adjoint


def chains(rows: Sequence[tuple[str, tuple[str, str], Sequence[str]]]) -> Any:
    """A chain for each row (title, names of the two nodes, the three letters from left to right).

    The letter in the middle is summed over; the outer two are the axes of the result. A node
    called G is an adjoint.
    """
    diagrams, told = [], []
    for title, (left, right), letters in rows:
        diagram = Diagram(title)
        for k, name in enumerate((left, right)):
            diagram.box(2 * k, 2 * k, 0, name, ADJOINT_CORE if name == "G" else CORE)
        for k, letter in enumerate(letters):
            diagram.bond(2 * k - 1.66, 2 * k - 0.34, 0, letter)
        diagrams.append(diagram)
        told.append(
            f"{title}: {left} has the legs {letters[0]} and {letters[1]}, "
            f"{right} has {letters[1]} and {letters[2]}; {letters[1]} is summed over"
        )
    figure = draw(*diagrams)
    figure.set_label(f"Contractions as chains. {'. '.join(told)}.")
    return figure
