"""The first TN layer of a brick wall as a matrix product state: one core per pair of gates.

A first-column gate a_k is a state of two sites, and a second-column gate B_k joins it to the next
one (pictures in ``fast_wall`` and ``decode_free/wall_chain``). The gates of a column are stacked:
``first`` is (⌊Q/2⌋, 2, 2), ``second`` is (⌊(Q−1)/2⌋, 4, 4).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...autodiff.arrays import array_module


def pair_cores(
    first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]]:
    """core_k[x, o₁o₂, y] = Σ_i a_k[x, i] B_k[o₁o₂, i y], a view, and its backward function.

    The backward function takes the gradient of the cores. It returns the gradient of those a_k that
    are followed by a B_k, ``first[: len(second)]``, and the gradient of ``second``.
    """
    pairs, gates = first[: len(second)], second.reshape(-1, 4, 2, 2)  # (k, x, i), (k, o, i, y)
    # For all k at once: (k, 1, x, i) @ (k, o, i, y) = (k, o, x, y).
    cores = (pairs[:, None] @ gates).transpose(0, 2, 1, 3)

    def backward(grad_cores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        by_gate = grad_cores.transpose(0, 2, 1, 3)  # (k, o, x, y)
        grad_gates = pairs.swapaxes(1, 2)[:, None] @ by_gate
        return (by_gate @ gates.swapaxes(2, 3)).sum(axis=1), grad_gates.reshape(second.shape)

    return cores, backward


def right_end(first: np.ndarray, num_sites: int) -> np.ndarray:
    """Return the last tensor of the chain, (2, 2) or (2, 1).

    Q even: the last pair has no second-column gate after it. Q odd: the last site is still |0⟩.
    """
    return first[-1] if num_sites % 2 == 0 else array_module(first).eye(2, dtype=first.dtype)[:, :1]
