"""Checks of notebook 08: depths within a budget, and what decoding costs."""

from __future__ import annotations

import itertools
import math

from tinyadtn import ADTN
from tinyadtn.teach import exercise


def _stored(sites, depths):
    return sum(16 * m * (q - 1) - 12 * (q // 2) for q, m in zip(sites, depths))


def _deepen(order, price=_stored):
    """Deepen the layers one after the other, each as far as it goes."""

    def answer(sites, budget):
        depths = [1] * len(sites)
        for k in order(sites):
            while price(sites, [m + (j == k) for j, m in enumerate(depths)]) <= budget:
                depths[k] += 1
        return depths

    return answer


def _level(sites, budget):
    depth = 1
    while _stored(sites, [depth + 1] * len(sites)) <= budget:
        depth += 1
    return [depth] * len(sites)


def _one_too_deep(sites, budget):
    depths = _deepen(lambda s: range(len(s)))(sites, budget)
    return [depths[0] + 1, *depths[1:]]


@exercise(
    "spend",
    hints=(
        "One more layer of depth on Q sites costs 16·(Q - 1), whatever the depth is by then.",
        "Filling up one layer after the other can leave a rest that another mixture would use.",
        "There are few mixtures: try them all, keep those within the budget, take the largest sum.",
    ),
    wrong=(
        _deepen(lambda sites: range(len(sites))),
        _deepen(lambda sites: sorted(range(len(sites)), key=lambda k: sites[k])),
        _level,
        _one_too_deep,
        _deepen(
            lambda sites: range(len(sites)),
            lambda sites, depths: sum(16 * m * (q - 1) for q, m in zip(sites, depths)),
        ),
    ),
)
def spend(answer, rng):
    """No other mixture of depths stores more within the budget."""
    problems = [((16, 14, 11), 600), ((18, 12), 1_000)]
    for _ in range(12):
        sites = tuple(int(q) for q in rng.integers(8, 19, size=rng.integers(2, 4)))
        least = _stored(sites, [1] * len(sites))
        problems.append((sites, least + int(rng.integers(0, 1_500))))
    for sites, budget in problems:
        ranges = [range(1, 3 + budget // (16 * (q - 1))) for q in sites]
        sums = (_stored(sites, depths) for depths in itertools.product(*ranges))
        right = max(total for total in sums if total <= budget)
        depths = answer(sites, budget)
        if depths is None:
            yield f"sites {sites}", right, None
        whole = len(depths) == len(sites) and all(m == int(m) and m >= 1 for m in depths)
        yield f"sites {sites}: one whole depth of 1 or more for each", True, whole
        yield f"sites {sites}, budget {budget}: numbers stored", right, _stored(sites, depths)


# --- bill ----------------------------------------------------------------------------------------


def _bill(q, m, o, i, *, first=1, size=None, bytes_each=4, per_first=4):
    fresh = q // 2
    others = m * (q - 1) - fresh
    size = 2**q if size is None else size
    return (
        bytes_each * (per_first * fresh + 16 * others),
        size * (first * fresh + 4 * others),
        o * i,
    )


@exercise(
    "bill",
    hints=(
        "Gates of the very first column: Q // 2. All others: M·(Q - 1) - Q // 2.",
        "Bytes: 4 for each stored number; 4 numbers a first gate, 16 any other.",
        "Decode: 2**Q · (first + 4·others). One image: outputs · inputs.",
    ),
    wrong=(
        lambda q, m, o, i: _bill(q, m, o, i, first=4),
        lambda q, m, o, i: _bill(q, m, o, i, size=o * i),  # T is padded to 2^Q
        lambda q, m, o, i: _bill(q, m, o, i, bytes_each=1),
        lambda q, m, o, i: _bill(q, m, o, i, per_first=16),
        lambda q, m, o, i: (*_bill(q, m, o, i)[:2], 2**q),
    ),
)
def bill(answer, rng):
    """Against the columns of a wall, one by one."""
    for _ in range(12):
        outputs, inputs = (int(n) for n in rng.integers(3, 500, size=2))
        depth = int(rng.integers(1, 5))
        wall = ADTN((outputs, inputs), depth)
        terms = sum(len(c.pairs) * (1 if c.fresh else 4) for c in wall.wall)
        decode = wall.sites.padded_size * terms
        right = 4 * wall.num_parameters, decode, math.prod(wall.shape)
        got = answer(wall.num_sites, depth, outputs, inputs)
        yield f"({outputs}, {inputs}), M = {depth}", right, got
