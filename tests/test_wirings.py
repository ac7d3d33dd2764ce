"""Which gates a wiring has: literal columns, what any number of sites must keep, the picture."""

import re

import pytest

from tinyadtn.tensor_networks import wirings
from tinyadtn.tensor_networks.wirings import WIRINGS, brick_wall, butterfly, staircase, tree

SIZES = range(2, 41)


def gates_of(wiring, num_sites):
    return [pair for column in WIRINGS[wiring](num_sites) for pair in column]


@pytest.mark.parametrize(
    ("wiring", "num_sites", "columns"),
    [
        (brick_wall, 2, [((0, 1),), ()]),
        (brick_wall, 3, [((0, 1),), ((1, 2),)]),
        (brick_wall, 4, [((0, 1), (2, 3)), ((1, 2),)]),
        (brick_wall, 5, [((0, 1), (2, 3)), ((1, 2), (3, 4))]),
        (brick_wall, 6, [((0, 1), (2, 3), (4, 5)), ((1, 2), (3, 4))]),
        (staircase, 2, [((0, 1),)]),
        (staircase, 4, [((0, 1),), ((1, 2),), ((2, 3),)]),
        (tree, 2, [((0, 1),)]),
        (tree, 3, [((0, 2),), ((0, 1),)]),
        (tree, 5, [((0, 4),), ((0, 2),), ((0, 1), (2, 3))]),
        (tree, 7, [((0, 4),), ((0, 2), (4, 6)), ((0, 1), (2, 3), (4, 5))]),
        (tree, 9, [((0, 8),), ((0, 4),), ((0, 2), (4, 6)), ((0, 1), (2, 3), (4, 5), (6, 7))]),
        (butterfly, 2, [((0, 1),)]),
        (butterfly, 3, [((0, 1),), ((0, 2),)]),
        (butterfly, 5, [((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 4),)]),
        (
            butterfly,
            7,
            [((0, 1), (2, 3), (4, 5)), ((0, 2), (1, 3), (4, 6)), ((0, 4), (1, 5), (2, 6))],
        ),
    ],
)
def test_literal_columns(wiring, num_sites, columns):
    assert wiring(num_sites) == columns


@pytest.mark.parametrize("wiring", WIRINGS)
def test_every_site_is_reached_and_no_two_gates_of_a_column_share_one(wiring):
    for num_sites in SIZES:
        for column in WIRINGS[wiring](num_sites):
            sites = [site for pair in column for site in pair]
            assert len(set(sites)) == len(sites)
        pairs = gates_of(wiring, num_sites)
        assert len(set(pairs)) == len(pairs)
        assert all(0 <= i < j < num_sites for i, j in pairs)
        joined = {0}  # no part of the sites is left to itself
        for _ in range(num_sites):
            joined |= {site for pair in pairs if joined & set(pair) for site in pair}
        assert joined == set(range(num_sites))


@pytest.mark.parametrize("wiring", ["staircase", "tree"])
def test_every_gate_but_the_first_meets_one_fresh_site(wiring):
    for num_sites in SIZES:
        (first, *others), touched = gates_of(wiring, num_sites), set()
        touched |= set(first)
        for pair in others:
            assert len(touched & set(pair)) == 1
            touched |= set(pair)
        assert len(others) == num_sites - 2


def test_a_tree_is_as_deep_as_the_number_of_sites_has_bits():
    for num_sites in SIZES:
        assert 2 ** (len(tree(num_sites)) - 1) < num_sites <= 2 ** len(tree(num_sites))


def test_a_butterfly_has_every_pair_that_differs_in_one_bit():
    for num_sites in SIZES:
        columns = [
            {(i, j) for i in range(num_sites) for j in range(i, num_sites) if i ^ j == 2**k}
            for k in range(len(butterfly(num_sites)))
        ]
        assert [set(column) for column in butterfly(num_sites)] == columns
        assert 2 ** len(columns) >= num_sites


@pytest.mark.parametrize("num_sites", [2, 4, 8, 32])
def test_one_butterfly_lets_every_site_act_on_every_other(num_sites):
    reached = {site: {site} for site in range(num_sites)}  # which starts a site depends on
    for i, j in gates_of("butterfly", num_sites):
        reached[i] = reached[j] = reached[i] | reached[j]
    assert all(sources == set(range(num_sites)) for sources in reached.values())


def test_the_picture_is_true():
    """Every letter of the table in the docstring is a gate, and every gate a letter."""
    lines = re.findall(r"^ +(\d) {6,}(\S.*)$", wirings.__doc__, re.MULTILINE)
    rows = [line.split() for _, line in lines]
    assert [number for number, _ in lines] == list("01234567")
    columns = []
    for place in range(len(rows[0])):
        letters = [row[place] for row in rows]
        sites = {
            a: [k for k, b in enumerate(letters) if a == b] for a in sorted({*letters} - {"·"})
        }
        columns.append(tuple(tuple(pair) for pair in sites.values()))
    assert columns == [column for wiring in WIRINGS.values() for column in wiring(8)]
