"""Checks of notebook 06: a rank for a budget, a core by SVD, two orders, a small tensor train."""

from __future__ import annotations

import math

import numpy as np

from tinyadtn import TensorTrain
from tinyadtn.teach import exercise
from tinyadtn.teach.exercises import parts

# --- largest rank --------------------------------------------------------------------------------


@exercise(
    "largest rank",
    hints=(
        "One more rank costs one more column of the first factor and one more row of the second.",
        "So rank r costs r · (rows + columns). How often does that fit into the budget?",
        "budget // (rows + columns), and never more than the smaller side of the matrix.",
    ),
    wrong=(
        lambda rows, columns, budget: budget // (rows + columns),  # more than any matrix has
        lambda rows, columns, budget: max(1, min(budget // (rows + columns), rows, columns)),
        lambda rows, columns, budget: min(round(budget / (rows + columns)), rows, columns),
        lambda rows, columns, budget: min(budget // max(rows, columns), rows, columns),
        lambda rows, columns, budget: min((budget - 1) // (rows + columns), rows, columns),
    ),
)
def largest_rank(answer, rng):
    """The largest r of all that fit, found by trying; small matrices first."""
    cases = [(2, 3, 4), (2, 3, 5), (2, 3, 9), (2, 3, 100)]
    for _ in range(20):
        rows, columns = (int(n) for n in rng.integers(2, 60, size=2))
        cases.append((rows, columns, int(rng.integers(0, 2 * rows * columns))))
    for rows, columns, budget in cases:
        fits = [r for r in range(min(rows, columns) + 1) if r * (rows + columns) <= budget]
        yield f"{rows} × {columns}, budget {budget}", max(fits), answer(rows, columns, budget)


# --- split core ----------------------------------------------------------------------------------


def _split(rest, bond, *, values_left=False, drop_last=True, scaled=True):
    left, n, right = rest.shape
    u, s, v = np.linalg.svd(rest.reshape(left * n, right), full_matrices=False)
    kept = slice(None, bond) if drop_last else slice(-bond, None)
    u, s, v = u[:, kept], s[kept], v[kept]
    s = s if scaled else np.ones_like(s)
    u, v = (u * s, v) if values_left else (u, s[:, None] * v)
    return u.reshape(left, n, -1), v


def _always_the_bond(rest, bond):  # as if every matrix had so many singular values
    core, later = _split(rest, bond)
    return core.reshape(*rest.shape[:2], bond), later


def _matrix_core(rest, bond):
    core, later = _split(rest, bond)
    return core.reshape(-1, core.shape[-1]), later


@exercise(
    "split core",
    hints=(
        "rest.reshape(left * n, right) is a matrix: its SVD has u, s and v.",
        "Keep u[:, :bond], s[:bond] and v[:bond].",
        "The core is u[:, :bond].reshape(left, n, -1); the rest is s[:bond, None] * v[:bond].",
    ),
    wrong=(
        lambda rest, bond: _split(rest, bond, values_left=True),
        lambda rest, bond: _split(rest, bond, drop_last=False),  # the smallest values
        lambda rest, bond: _split(rest, bond, scaled=False),
        lambda rest, bond: _split(rest, max(rest.shape)),  # no bond at all
        _always_the_bond,
        _matrix_core,
    ),
)
def split_core(answer, rng):
    """Orthonormal columns, a bond that is kept, and the best product of that rank."""
    for left, n, right, bond in ((1, 2, 2, 1), (1, 2, 4, 2), (1, 2, 3, 5), (2, 3, 5, 2)):
        rest = rng.normal(size=(left, n, right))
        case = f"a rest of shape {rest.shape}, bond {bond}"
        core, later = parts(answer(rest.copy(), bond), 2)
        size = min(bond, left * n, right)
        yield f"{case}: shape of the core", str((left, n, size)), str(np.shape(core))
        yield f"{case}: shape of the new rest", str((size, right)), str(np.shape(later))
        columns = np.reshape(core, (left * n, size))
        yield f"{case}: columns of the core, times each other", np.eye(size), columns.T @ columns
        first, second = _split(rest, bond)
        best = np.einsum("lnd,dr->lnr", first, second)
        yield f"{case}: core times rest", best, np.einsum("lnd,dr->lnr", core, later)


# --- contraction order ---------------------------------------------------------------------------


@exercise(
    "contraction order",
    hints=(
        "AB costs a · b · c. It has a rows and c columns: what does its product with C cost?",
        "(AB)C is the product AB, and then one of a × c and c × d: add both costs.",
        "A(BC) is the product BC, b · c · d, and then one of a × b and b × d.",
    ),
    wrong=(
        lambda a, b, c, d: (b * c * d + a * b * d, a * b * c + a * c * d),  # exchanged
        lambda a, b, c, d: (a * b * c, b * c * d),  # the first product alone
        lambda a, b, c, d: (a * b * c + b * c * d,) * 2,  # as if the order did not matter
        lambda a, b, c, d: (a * b * c * d,) * 2,  # all at once
        lambda a, b, c, d: (a * c + a * d, b * d + a * d),  # entries of the results
        lambda a, b, c, d: (a * b * c * a * c * d, b * c * d * a * b * d),  # multiplied, not added
        lambda a, b, c, d: (a * b * c + a * c * d, b * c * d + a * c * d),
        lambda a, b, c, d: (2 * (a * b * c + a * c * d), 2 * (b * c * d + a * b * d)),
    ),
)
def multiply_adds(answer, rng):
    """One product after the other, by the shapes alone; small matrices first."""

    def product(first, second):
        (rows, inner), (_, columns) = first, second
        return rows * inner * columns, (rows, columns)

    for a, b, c, d in [(1, 1, 1, 2), (2, 3, 4, 1), *rng.integers(1, 30, size=(20, 4)).tolist()]:
        case = f"A {a} × {b}, B {b} × {c}, C {c} × {d}"
        left_first, right_first = parts(answer(a, b, c, d), 2)
        cost, left = product((a, b), (b, c))
        yield f"{case}: (AB)C", cost + product(left, (c, d))[0], left_first
        cost, right = product((b, c), (c, d))
        yield f"{case}: A(BC)", cost + product((a, b), right)[0], right_first


# --- bell train ----------------------------------------------------------------------------------


@exercise(
    "bell train",
    hints=(
        "The bell is smooth, so the low bits of row and column hardly matter: use more cores.",
        "Split 64 as 4·4·4 for rows and for columns, or as six factors of 2.",
        "A core in the middle has D · (out · in) · D parameters. Try bonds 2, 3 and 4.",
    ),
    wrong=(
        ((8, 8), (8, 8), 2),  # 0.096
        ((8, 8), (8, 8), 4),  # too many parameters
        ((4, 4, 4), (4, 4, 4), 2),
        ((2,) * 6, (2,) * 6, 3),  # 0.017
        ((4, 4), (4, 4), 2),  # not 64
    ),
)
def bell_train(answer, rng):
    """The tensor train of the library, fitted to the bell."""
    if callable(answer):
        yield "a tuple such as (8, 8), (8, 8), 2", True, None
    out_modes, in_modes, bond = parts(answer, 3)
    case = f"modes {out_modes} and {in_modes}"
    products = math.prod(out_modes), math.prod(in_modes)
    yield f"{case}: their products", (64, 64), products
    x = np.linspace(0, 1, 64)
    bell = np.exp(-((x[:, None] - x) ** 2) / (2 * 0.1**2))
    train = TensorTrain(bell.shape, (out_modes, in_modes), bond, rng=0)
    error = float(train.fit(bell)[-1])
    size = train.num_parameters
    yield f"{size} parameters: at most 300", True, size <= 300
    yield f"a relative error of {error:.4f}: below 0.01", True, error < 0.01
