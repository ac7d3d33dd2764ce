"""Checks of notebook 08: the gradient of a gate, the best scale, and a wrong gradient."""

from __future__ import annotations

import numpy as np

from tinyadtn.teach import exercise
from tinyadtn.teach.exercises import parts


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


def _not_added(gate, state, site, g):
    x = state.reshape(2**site, 4, -1)
    return g.reshape(x.shape) @ x.swapaxes(1, 2), _right(gate, state, site, g)[1]


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
        _not_added,
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
            dgate, dstate = parts(answer(gate, state, site, g), 2)
            yield f"{tried}: shape of dL/d(gate)", "(4, 4)", str(np.shape(dgate))
            yield f"{tried}: shape of dL/d(state)", str(state.shape), str(np.shape(dstate))
            yield f"{tried}, ⟨A, dA⟩ = ⟨new, g⟩", overlap, (gate * dgate).sum()
            yield f"{tried}, ⟨state, dstate⟩ = ⟨new, g⟩", overlap, (state * dstate).sum()
            turn, move = rng.normal(size=(4, 4)), rng.normal(size=state.size)
            along = _apply(state, turn, site) @ g
            yield f"{tried}, a random change of the gate", along, (turn * dgate).sum()
            along = _apply(move, gate, site) @ g
            yield f"{tried}, a random change of the state", along, (move * dstate).sum()


# --- best scale ----------------------------------------------------------------------------------


def _best(t, w):
    c = (t * w).sum() / (t * t).sum()
    return c, np.linalg.norm(c * t - w) / np.linalg.norm(w)


def _with(c):
    return lambda t, w: (c(t, w), np.linalg.norm(c(t, w) * t - w) / np.linalg.norm(w))


@exercise(
    "best scale",
    hints=(
        "‖cT−W‖² = c²⟨T, T⟩ − 2c⟨T, W⟩ + ⟨W, W⟩. Set its derivative by c to zero.",
        "c = ⟨T, W⟩ / ⟨T, T⟩, where ⟨T, W⟩ is (T * W).sum().",
        "Then compute np.linalg.norm(c * T - W) / np.linalg.norm(W).",
    ),
    wrong=(
        _with(lambda t, w: np.linalg.norm(w) / np.linalg.norm(t)),  # the same norm
        _with(lambda t, w: (t * w).sum() / (w * w).sum()),
        _with(lambda t, w: abs((t * w).sum()) / (t * t).sum()),  # the sign is lost
        lambda t, w: (_best(t, w)[0], np.linalg.norm(_best(t, w)[0] * t - w)),  # not relative
        lambda t, w: (_best(t, w)[0], _best(t, w)[1] ** 2),
    ),
)
def best_scale(answer, rng):
    """From two entries by hand to matrices of any size and norm."""
    cases = [(np.array([1.0, 0.0]), np.array([3.0, 4.0]))]
    cases += [(np.array([-2.0, 0.0]), np.array([3.0, 4.0]))]
    for shape in ((2, 3), (4, 4), (16, 20)):
        cases.append((10 ** rng.uniform(-3, 3) * rng.normal(size=shape), rng.normal(size=shape)))
    for t, w in cases:
        c, error = parts(answer(t, w), 2)
        case = f"T = {t}, W = {w}" if t.size == 2 else f"random T and W of shape {t.shape}"
        right = _best(t, w)
        yield f"{case}: c", right[0], c
        yield f"{case}: relative error", right[1], error


# --- wrong gate ----------------------------------------------------------------------------------


def _forward_backward(num_sites, depth, rng):
    """Gates of a brick wall with ReLU, their gradients, T and dL/dT."""
    counts = [num_sites // 2, (num_sites - 1) // 2] * depth
    columns = [rng.normal(size=(n, 4, 4)) for n in counts]
    state = np.eye(1, 2**num_sites)[0]
    tape: list[tuple[int, int | None, np.ndarray]] = []
    for k, column in enumerate(columns):
        if k > 0 and k % 2 == 0:
            tape.append((k, None, state))
            state = np.maximum(state, 0)
        for j, gate in enumerate(column):
            tape.append((k, j, state))
            state = _apply(state, gate, 2 * j + k % 2)
    g = dt = rng.normal(size=state.size)
    grads = [np.zeros_like(column) for column in columns]
    for k, j, before in reversed(tape):
        if j is None:
            g = g * (before > 0)
        else:
            grads[k][j], g = _right(columns[k][j], before, 2 * j + k % 2, g)
    return columns, grads, state, dt


def _extreme(size, choose):
    def answer(columns, grads, t, dt):
        found = {
            (k, j): size(a, da)
            for k, (column, grad) in enumerate(zip(columns, grads))
            for j, (a, da) in enumerate(zip(column, grad))
        }
        return choose(found, key=found.get)

    return answer


@exercise(
    "wrong gate",
    hints=(
        "The right gradients fulfil an equation that has the same right side for every gate.",
        "Compute (A * dA).sum() for every gate and compare it with (T * dT).sum().",
        "Return the (k, j) with the largest difference.",
    ),
    wrong=(
        _extreme(lambda a, da: np.abs(da).max(), max),
        _extreme(lambda a, da: np.abs(da).max(), min),
        _extreme(lambda a, da: (a * da).sum(), max),
        _extreme(lambda a, da: (a * da).sum(), min),
        lambda columns, grads, t, dt: (0, 0),
    ),
)
def wrong_gate(answer, rng):
    """One gradient of each network is scaled, transposed or without its sign."""
    spoil = (lambda d: d.T, lambda d: 0.9 * d, lambda d: -d, lambda d: 1.1 * d, lambda d: d[::-1])
    for trial in range(20):
        num_sites, depth = 3 + trial // 5, 1 + trial % 3
        columns, grads, t, dt = _forward_backward(num_sites, depth, rng)
        if abs(t @ dt) < 1e-9:  # the ReLU has left nothing
            continue
        k = int(rng.integers(len(columns)))
        j = int(rng.integers(len(columns[k])))
        grads[k][j] = spoil[trial % len(spoil)](grads[k][j])
        yield f"Q = {num_sites}, M = {depth}", (k, j), answer(columns, grads, t, dt)
