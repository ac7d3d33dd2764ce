"""Checks of notebook 07: the gradient of a gate, and the scale of random gates."""

from __future__ import annotations

import numpy as np

from tinyadtn.teach import exercise


def _apply(state, gate, site):
    return (gate @ state.reshape(2**site, 4, -1)).reshape(-1)


def _right(gate, state, site, g):
    x = state.reshape(2**site, 4, -1)
    g = g.reshape(x.shape)
    return (g @ x.swapaxes(1, 2)).sum(axis=0), (gate.T @ g).reshape(-1)


def _transposed(gate, state, site, g):
    dgate, dstate = _right(gate, state, site, g)
    return dgate.T, dstate


def _gate_not_transposed(gate, state, site, g):
    return _right(gate, state, site, g)[0], _apply(g, gate, site)


def _first_block_only(gate, state, site, g):
    x, g_view = state.reshape(2**site, 4, -1), g.reshape(2**site, 4, -1)
    return g_view[0] @ x[0].T, _right(gate, state, site, g)[1]


def _passes_the_identity_alone(gate, state, site, g):
    dgate = gate * ((_apply(state, gate, site) @ g) / (gate * gate).sum())
    return dgate, state * ((_apply(state, gate, site) @ g) / (state @ state))


def _mean(gate, state, site, g):
    dgate, dstate = _right(gate, state, site, g)
    return dgate / 2**site, dstate


@exercise(
    "gate backward",
    hints=(
        "Reshape state and g to (2**site, 4, -1). Then it is `new = gate @ x`, as in notebook 03.",
        "g @ x.swapaxes(1, 2) has a 4 × 4 matrix for each setting of the sites before the gate.",
        "Sum those over the first axis for dL/d(gate); dL/d(state) is gate.T @ g, flattened.",
    ),
    wrong=(
        _transposed,
        _gate_not_transposed,
        _first_block_only,
        _passes_the_identity_alone,
        _mean,
    ),
)
def gate_backward(answer, rng):
    """⟨A, dA⟩ = ⟨new, g⟩ = ⟨state, dstate⟩, and the change along random directions."""
    for num_sites in (2, 3, 5, 8):
        for site in range(num_sites - 1):
            state, g = rng.normal(size=(2, 2**num_sites))
            gate = rng.normal(size=(4, 4))
            overlap = _apply(state, gate, site) @ g
            tried = f"Q = {num_sites}, site {site}"
            both = answer(gate, state, site, g)
            if both is None or len(both) != 2:
                yield f"{tried}: two gradients", True, None if both is None else False
            dgate, dstate = both
            yield f"{tried}, ⟨A, dA⟩ = ⟨new, g⟩", overlap, (gate * dgate).sum()
            yield f"{tried}, ⟨state, dstate⟩ = ⟨new, g⟩", overlap, (state * dstate).sum()
            turn, move = rng.normal(size=(4, 4)), rng.normal(size=state.size)
            along = _apply(state, turn, site) @ g
            yield f"{tried}, a random change of the gate", along, (turn * dgate).sum()
            along = _apply(move, gate, site) @ g
            yield f"{tried}, a random change of the state", along, (move * dstate).sum()


# --- gate std ------------------------------------------------------------------------------------


def _std(num_sites, depth, wanted, *, gates=None, relus=None, entries=None):
    gates = depth * (num_sites - 1) if gates is None else gates
    relus = depth - 1 if relus is None else relus
    without = 2.0 ** -(num_sites if entries is None else entries) * 2.0**-relus
    return 0.5 * (wanted**2 / without) ** (0.5 / gates)


def _root_mean_square(num_sites, depth, s):
    """√E T², by taking the expected square of every entry through the wall."""
    squares = np.zeros(2**num_sites)
    squares[0] = 1
    for column in range(2 * depth):
        if column and column % 2 == 0:
            squares = squares / 2
        for site in range(column % 2, num_sites - 1, 2):
            squares = _apply(squares, np.full((4, 4), s**2), site)
    return np.sqrt(squares.mean())


@exercise(
    "gate std",
    hints=(
        "Set the right-hand side equal to wanted**2 and bring all but (4s²) to the other side.",
        "(4s²)^(M(Q-1)) = wanted² · 2^Q · 2^(M-1).",
        "s = ½ · (wanted² · 2^Q · 2^(M-1)) ** (1 / (2·M·(Q-1))).",
    ),
    wrong=(
        lambda q, m, wanted: _std(q, m, wanted, relus=0),
        lambda q, m, wanted: _std(q, m, wanted, relus=m),
        lambda q, m, wanted: _std(q, m, wanted, gates=m * q),
        lambda q, m, wanted: _std(q, m, wanted, entries=0),
        lambda q, m, wanted: _std(q, m, wanted) ** 2,
    ),
)
def gate_std(answer, rng):
    """The expected square of T, entry by entry, is the one that is wanted."""
    for _ in range(15):
        num_sites, depth = int(rng.integers(2, 10)), int(rng.integers(1, 6))
        wanted = float(10 ** rng.uniform(-2, 1))
        s = answer(num_sites, depth, wanted)
        if s is None:
            yield "a number", 1.0, None
        got = _root_mean_square(num_sites, depth, s) / wanted
        yield f"Q = {num_sites}, M = {depth}: √E T² / wanted", 1.0, got
