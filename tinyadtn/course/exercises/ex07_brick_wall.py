"""Checks of notebook 07: a gate, what is stored, the largest rank, and gates for the identity."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np

from tinyadtn import ADTN
from tinyadtn.teach import exercise
from tinyadtn.teach.exercises import parts

# --- apply gate ----------------------------------------------------------------------------------


def _from_the_right(state, gate, site):
    num_sites = state.size.bit_length() - 1
    return (gate @ state.reshape(2 ** (num_sites - 2 - site), 4, -1)).reshape(-1)


def _on_the_whole(state, gate, site):
    rest = state.size // 2**site // 4
    return np.kron(np.kron(np.eye(2**site), gate), np.eye(rest)) @ state


@exercise(
    "apply gate",
    hints=(
        "The sites before the gate have 2**site settings, the gate's two have 4. And the rest?",
        "state.reshape(2**site, 4, -1) has the gate's two sites as its middle axis.",
        "`gate @ x` multiplies the last two axes of x, once for every setting of the first.",
    ),
    wrong=(
        lambda state, gate, site: (gate.T @ state.reshape(2**site, 4, -1)).reshape(-1),
        lambda state, gate, site: (gate @ state.reshape(4, -1)).reshape(-1),
        lambda state, gate, site: gate @ state.reshape(2**site, 4, -1),
        _from_the_right,
        _on_the_whole,
    ),
)
def apply_gate(answer, rng):
    """The new entries one by one, from the definition; then memory; then 20 sites."""
    for num_sites in (2, 3, 4, 6):
        for site in range(num_sites - 1):
            state, gate = rng.normal(size=2**num_sites), rng.normal(size=(4, 4))
            axes = state.reshape([2] * num_sites)
            right = np.tensordot(gate.reshape(2, 2, 2, 2), axes, ((2, 3), (site, site + 1)))
            right = np.moveaxis(right, (0, 1), (site, site + 1)).ravel()
            kept = state.copy()
            got = answer(state, gate, site)
            yield f"Q = {num_sites}, site {site}", right, got
            yield "the state that was given, afterwards", kept, state
    state, gate = rng.normal(size=2**10), rng.normal(size=(4, 4))
    tracemalloc.start()
    answer(state, gate, 4)
    held = tracemalloc.get_traced_memory()[1] / state.nbytes
    tracemalloc.stop()
    most = "at most that of 20 states"
    used = most if held <= 20 else f"that of {held:,.0f} states"
    yield "Q = 10, memory in use (for Q = 20 it would be gigabytes)", most, used
    num_sites, site = 20, int(rng.integers(19))
    state = np.zeros(2**num_sites)
    state[0] = 1
    right = np.zeros((2**site, 4, 2 ** (num_sites - 2 - site)))
    right[0, :, 0] = gate[:, 0]
    yield f"Q = 20, site {site}, from |00…0⟩", right.ravel(), answer(state, gate, site)


# --- three counts --------------------------------------------------------------------------------


def _counts(stored):
    return lambda q, m: (stored(q, m), stored(q, m) - 8 * (q % 2), 16 * m * (q - 1))


@exercise(
    "three counts",
    hints=(
        "A TN layer on Q sites has Q - 1 gates, in its two columns together.",
        "The very first column has Q // 2 gates, which store 12 parameters less than the others.",
        "stored = 16·M·(Q - 1) - 12·(Q // 2); if Q is odd, 8 of them are not effective.",
    ),
    wrong=(
        _counts(lambda q, m: 16 * m * (q - 1) - 12 * m * (q // 2)),  # in every layer
        _counts(lambda q, m: 16 * m * (q - 1) - 12 * ((q + 1) // 2)),
        _counts(lambda q, m: 16 * m * q - 12 * (q // 2)),
        lambda q, m: (16 * m * (q - 1) - 12 * (q // 2),) * 2 + (16 * m * (q - 1),),  # all effective
        lambda q, m: 16 * m * (q - 1) - 12 * (q // 2),  # one of the three
    ),
)
def three_counts(answer, rng):
    """The counts of the library, which traces the parameters that can change the weight."""
    for num_sites in (2, 3, *sorted(rng.integers(4, 23, size=10))):
        depth = int(rng.integers(1, 5))
        rows = int(rng.integers(1, num_sites))
        counts = ADTN((2**rows, 2 ** int(num_sites - rows)), depth).counts()
        right = counts.stored, counts.live, counts.full_gates
        yield f"Q = {num_sites}, M = {depth}", right, answer(int(num_sites), depth)


# --- rank bound ----------------------------------------------------------------------------------

PRIME = 1073741789  # below 2^30: a sum of four products fits 64 bits


def _rank_of_a_random_wall(num_sites, depth, cut, rng):
    """Exact: random gates of whole numbers modulo a prime, so the rank has no rounding error."""
    state = np.zeros(2**num_sites, np.int64)
    state[0] = 1
    for k in range(2 * depth):
        for site in range(k % 2, num_sites - 1, 2):
            gate = rng.integers(PRIME, size=(4, 4))
            view = state.reshape(2**site, 1, 4, -1)
            state = (gate[:, :, None] * view % PRIME).sum(2).reshape(-1) % PRIME
    matrix = state.reshape(2**cut, -1)
    rank = 0
    for column in range(matrix.shape[1]):
        below: Any = np.flatnonzero(matrix[rank:, column]) if rank < len(matrix) else ()
        if len(below):
            matrix[[rank, rank + below[0]]] = matrix[[rank + below[0], rank]]
            matrix[rank] = matrix[rank] * pow(int(matrix[rank, column]), -1, PRIME) % PRIME
            rest = matrix[rank + 1 :]
            rest -= rest[:, column, None] * matrix[rank] % PRIME
            rest %= PRIME
            rank += 1
    return rank


@exercise(
    "rank bound",
    hints=(
        "Is a gate of the first columns, on (0,1), (2,3), …, across an odd cut or an even one?",
        "Odd cuts are crossed by one gate of each first column, even ones by one of each second.",
        "Odd: 2 · 4**(depth - 1); even: 4**depth; and never above 2**cut or 2**(num_sites - cut).",
    ),
    wrong=(
        lambda q, m, cut: 2 * 4 ** (m - 1) if cut % 2 else 4**m,  # no end to it
        lambda q, m, cut: min(4**m if cut % 2 else 2 * 4 ** (m - 1), 2**cut, 2 ** (q - cut)),
        lambda q, m, cut: min(4**m, 2**cut, 2 ** (q - cut)),
        lambda q, m, cut: min(2**m if cut % 2 else 4**m, 2**cut, 2 ** (q - cut)),
        lambda q, m, cut: min(2 if cut % 2 else 4, 2**cut, 2 ** (q - cut)),  # of one layer
    ),
)
def rank_bound(answer, rng):
    """The rank of random brick walls, which reach the bound."""
    for num_sites in (2, 3, 3, 4, 4, 5, 6, 7, 8, 9, 9):
        depth, cut = int(rng.integers(1, 4)), int(rng.integers(1, num_sites))
        right = _rank_of_a_random_wall(num_sites, depth, cut, rng)
        yield f"Q = {num_sites}, M = {depth}, cut {cut}", right, answer(num_sites, depth, cut)
    for depth, cut in ((1, 5), (1, 6), (2, 5), (2, 6)):  # far from both ends
        right = _rank_of_a_random_wall(12, depth, cut, rng)
        yield f"Q = 12, M = {depth}, cut {cut}", right, answer(12, depth, cut)


# --- identity gates ------------------------------------------------------------------------------

EQUAL, SWAP = np.eye(2), np.eye(4)[[0, 2, 1, 3]]


@exercise(
    "identity gates",
    hints=(
        "The first column joins sites 0 and 1, and sites 2 and 3. You need 0 with 2, and 1 with 3.",
        "Let both first gates answer (1, 0, 0, 1): then b0 = b1 and b2 = b3.",
        "The gate on sites 1 and 2 exchanges their bits: it swaps the indices 01 and 10.",
    ),
    wrong=(
        lambda: [np.array([EQUAL, EQUAL]), np.eye(4)[None]],  # rank 1
        lambda: [np.array([EQUAL, EQUAL]), np.diag([1.0, 0, 0, 1])[None]],  # all four bits equal
        lambda: [np.array([EQUAL[::-1], EQUAL]), SWAP[None]],
        lambda: [np.array([EQUAL, EQUAL]), 2 * SWAP[None]],
        lambda: [np.array([np.ones((2, 2)), EQUAL]), SWAP[None]],
    ),
)
def identity_gates(answer, rng):
    """T from the gates, as a 4 × 4 matrix."""
    first, second = parts(answer(), 2)
    yield "the shape of the first column", "(2, 2, 2)", str(np.shape(first))
    yield "the shape of the second column", "(1, 4, 4)", str(np.shape(second))
    state = np.kron(np.ravel(first[0]), np.ravel(first[1]))
    got = (np.asarray(second[0]) @ state.reshape(2, 4, 2)).reshape(4, 4)
    yield "T as a matrix", np.eye(4), got
