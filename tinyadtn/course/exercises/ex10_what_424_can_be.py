"""Checks of notebook 10: ADTNs that store a total, independent parameters, A·B, and an order."""

from __future__ import annotations

from functools import cache

import numpy as np

from tinyadtn import ADTN, independent_numbers
from tinyadtn.teach import exercise
from tinyadtn.teach.exercises import parts

# --- pairs storing -------------------------------------------------------------------------------


def _stored(q, m):
    return 16 * m * (q - 1) - 12 * (q // 2)


def _search(rule=_stored, *, depths=None, ordered=True, most=lambda q: q):
    def answer(total, most_sites):
        return [
            (m, q1, q2)
            for m in depths or range(1, 2 + total // 16)
            for q1 in range(2, most(most_sites) + 1)
            for q2 in range(q1 if ordered else 2, most(most_sites) + 1)
            if rule(q1, m) + rule(q2, m) == total
        ]

    return answer


@exercise(
    "pairs storing",
    hints=(
        "Three loops: the depth, Q1, and Q2 from Q1 on; keep what adds up to the total.",
        "An ADTN of depth M stores 16·M - 12 or more, so no depth is above total // 16 + 1.",
        "for depth …: for q1 in range(2, most_sites + 1): for q2 in range(q1, most_sites + 1): …",
    ),
    wrong=(
        _search(depths=(1,)),
        _search(ordered=False),  # each pair twice
        _search(most=lambda q: q - 1),
        _search(lambda q, m: 16 * m * (q - 1)),
        _search(lambda q, m: 16 * m * (q - 1) - 12 * m * (q // 2)),
        lambda total, most_sites: [],
    ),
)
def pairs_storing(answer, rng):
    """Totals that some pairs have, and one that none has."""
    totals = [424, 17]
    for _ in range(8):
        depth, q1, q2 = (int(n) for n in (rng.integers(1, 5), *rng.integers(2, 25, size=2)))
        totals.append(_stored(q1, depth) + _stored(q2, depth))
    totals.append(2 * _stored(12, 3))
    for total in totals:
        right = _search()(total, 24)
        got = answer(total, 24)
        got = [tuple(found) for found in got]
        expected = [f"the list does not have {found}" for found in got if found not in right]
        expected += [f"the list has {found}" for found in right if found not in got]
        expected += ["the list is sorted, and has each pair once"]
        yield f"total {total}, at most 24 sites: {expected[0]}", True, got == right


# --- independent parameters ----------------------------------------------------------------------


@cache
def _counted(num_sites: int) -> int:
    rows = num_sites // 2
    return independent_numbers(ADTN((2**rows, 2 ** (num_sites - rows)), 1, rng=0))


def _train(num_sites, *, gauge=4, first=3, bond=2):
    bits = [first] + [2] * ((num_sites - first - 1) // 2)
    bits.append(num_sites - sum(bits))
    bonds = [1, *[bond] * (len(bits) - 1), 1]
    entries = sum(a * 2**n * b for a, n, b in zip(bonds, bits, bonds[1:]))
    return entries - gauge * (len(bits) - 1)


@exercise(
    "independent parameters",
    hints=(
        "The bits of the cores: 3, then as many 2 as fit, and 3 or 2 at the end; they add up to Q.",
        "The end cores have one bond (2 · 2^bits entries), the middle ones two (4 · 2^bits).",
        "Subtract 4 for each bond. Q = 6: 16 + 16 − 4 = 28. Q = 8: 16 + 16 + 16 − 8 = 40.",
    ),
    wrong=(
        lambda q: _train(q, gauge=0),
        lambda q: _train(q, gauge=1),
        lambda q: _train(q, first=2),
        lambda q: _train(q, bond=4),
        lambda q: 16 * (q - 1) - 12 * (q // 2),  # stored
        lambda q: 6 * q - 8,  # right for even Q only
    ),
)
def independent_parameters(answer, rng):
    """The rank of the matrix of derivatives, as the library computes it."""
    for num_sites in (5, 6, 7, 8, 9, 10):
        yield f"Q = {num_sites}", _counted(num_sites), answer(num_sites)


# --- two factors ---------------------------------------------------------------------------------


def _factors(left, right, gate, *, first="as,px->apxs", second="xqst,tb->xsqb"):
    a = np.einsum(first, left, np.eye(2)).reshape(-1, 4)
    return a, np.einsum(second, gate, right).reshape(4, -1)


def _whole(left, right, gate):
    return np.einsum("pqst,as,tb->apqb", gate, left, right).reshape(2 * len(left), -1)


def _without_p(left, right, gate):
    later = np.einsum("xqst,tb->sxqb", gate, right)
    return np.repeat(left, 2, axis=0), later.reshape(2, -1)


@exercise(
    "two factors",
    hints=(
        "B has the axes p, s, q, b before the reshape: sum over t with np.einsum.",
        "A has the axes a, p, x, s before the reshape: left[a, s] times np.eye(2)[p, x].",
        'np.einsum("as,px->apxs", left, np.eye(2)) and np.einsum("xqst,tb->xsqb", G, right).',
    ),
    wrong=(
        lambda *given: _factors(*given, first="as,px->apsx"),  # in another order than the rows of B
        lambda *given: _factors(*given, first="as,px->paxs"),
        lambda *given: _factors(*given, second="xqts,tb->xsqb"),
        lambda *given: _factors(*given, second="qxst,tb->xsqb"),
        lambda *given: _factors(*given, second="xqst,tb->xsbq"),
        _without_p,
        lambda *given: (_whole(*given), np.eye(_whole(*given).shape[1])),
    ),
)
def two_factors(answer, rng):
    """The shapes, and the product, which is all that is asked for."""
    for rows, columns in ((1, 1), (1, 2), (2, 1), (3, 5), (8, 4)):
        left, right = rng.normal(size=(rows, 2)), rng.normal(size=(2, columns))
        gate = rng.normal(size=(2, 2, 2, 2))
        case = f"left of shape {left.shape} and right of shape {right.shape}"
        first, second = parts(answer(left, right, gate), 2)
        yield f"{case}: shape of A", str((2 * rows, 4)), str(np.shape(first))
        yield f"{case}: shape of B", str((4, 2 * columns)), str(np.shape(second))
        product = np.asarray(first) @ np.asarray(second)
        yield f"{case}: A @ B", _whole(left, right, gate), product


# --- order of rank 16 ----------------------------------------------------------------------------


def _rank(order, rng):
    """The rank of a random ADTN with this order, in double precision."""
    adtn = ADTN((64, 64), 1, order=order, normalized=False, rng=int(rng.integers(2**30)))
    for column in adtn.columns:
        column.data = column.data.astype(np.float64)
    values = np.linalg.svd(adtn.decode().data, compute_uv=False)
    return int((values > 1e-12 * values[0]).sum())


@exercise(
    "order of rank 16",
    hints=(
        "Outputs first has one border. How many has o o i i i i i i o o o o?",
        "At depth 1 a border at an even place multiplies the rank by 4, at an odd place by 2.",
        "Two borders at even places: two outputs, all six inputs, the other four outputs.",
    ),
    wrong=(
        list(range(12)),  # 4
        [k for pair in zip(range(6), range(6, 12)) for k in pair],  # 64
        [0, 1, 2, 6, 7, 8, 9, 10, 11, 3, 4, 5],  # two odd borders: 4
        [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11],  # five even borders: more than 16
        [0, 1, 6, 7, 8, 9, 10, 11, 2, 3, 4, 4],  # not an order
    ),
)
def order_of_rank_16(answer, rng):
    """The rank of a random ADTN with this order."""
    if callable(answer):
        yield "a list of the twelve sites", True, None
    order = [int(k) for k in answer]
    yield "each site from 0 to 11 once, sorted", list(range(12)), sorted(order)
    yield f"order {order}: the rank", 16, _rank(order, rng)
