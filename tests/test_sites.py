"""Axes become sites: how many, in which order, and where each entry of the weight stands in T."""

import copy
import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyadtn.errors import ShapeError
from tinyadtn.tensor_networks.orders import ORDERS
from tinyadtn.tensor_networks.sites import assign_sites


def interleaved_by_fractions(lengths):
    """DESIGN's rule, exactly: sort all sites by (how many before it + 1/2) / sites of its axis."""
    totals = [math.ceil(math.log2(n)) for n in lengths]
    first = [sum(totals[:axis]) for axis in range(len(totals))]
    keyed = [
        (Fraction(2 * k + 1, 2 * total), axis, first[axis] + k)
        for axis, total in enumerate(totals)
        for k in range(total)
    ]
    return tuple(site for _, _, site in sorted(keyed))


def positions_by_digits(lengths, groups, dims, order):
    """Where each index of the weight stands in T: digit by digit, without NumPy."""
    places = []
    for index in product(*map(range, lengths)):
        digit = {}
        for number, group in zip(index, groups):
            for site in reversed(group):  # the last site of an axis is the least significant
                number, digit[site] = divmod(number, dims[site])
        place = 0
        for site in order:
            place = place * dims[site] + digit[site]
        places.append(place)
    return places


# --- how many sites ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "sites"),
    [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (28, 5), (784, 10), (1024, 10), (1025, 11)],
)
def test_an_axis_gets_as_many_bits_as_its_index_has(length, sites):
    assert len(assign_sites((8, length), None, 2, "output_first").dims) == 3 + sites


def test_sites_are_numbered_axis_by_axis():
    sites = assign_sites((6, 1, 4), None, 2, "output_first")
    assert sites.groups == ((0, 1, 2), (), (3, 4))
    assert sites.padded_size == 32


@pytest.mark.parametrize(
    ("length", "site_dim", "sites"),
    [(9, 3, 2), (10, 3, 3), (16, 4, 2), (17, 4, 3), (5, 7, 1)],
)
def test_larger_sites_are_fewer(length, site_dim, sites):
    assert len(assign_sites((site_dim, length), None, site_dim, "output_first").dims) == 1 + sites


def test_every_site_may_have_its_own_dimension():
    sites = assign_sites((6, 10), None, (2, 3, 5, 2), "interleaved")
    assert sites.dims == (2, 3, 5, 2)
    assert sites.groups == ((0, 1), (2, 3))
    assert sites.padded_size == 60


# --- the order -----------------------------------------------------------------------------------


def test_literal_order_of_the_fc2_weight():
    sites = assign_sites((256, 784), None, 2, "interleaved")
    assert sites.order == (8, 0, 9, 1, 10, 2, 11, 3, 12, 13, 4, 14, 5, 15, 6, 16, 7, 17)


def test_literal_order_of_the_fc2_weight_with_rows_and_columns():
    sites = assign_sites((256, 784), (256, (28, 28)), 2, "interleaved")
    assert sites.order == (0, 8, 13, 1, 9, 14, 2, 3, 10, 15, 4, 5, 11, 16, 6, 12, 17, 7)


def test_output_first_is_the_plain_order():
    assert assign_sites((256, 784), None, 2, "output_first").order == tuple(range(18))


@given(lengths=st.lists(st.integers(1, 600), min_size=2, max_size=5))
def test_interleaved_follows_the_rule_in_exact_fractions(lengths):
    expected = interleaved_by_fractions(lengths)
    if len(expected) >= 2:
        assert assign_sites(tuple(lengths), None, 2, "interleaved").order == expected


def test_nested_takes_the_parts_of_an_axis_one_after_the_other():
    sites = assign_sites((256, 784), (256, (28, 28)), 2, "nested")
    assert sites.order == assign_sites((256, 1024), None, 2, "interleaved").order


def test_literal_mirrored_order_of_the_fc2_weight_with_rows_and_columns():
    """Of the inputs: rows 8 … 12 from the finest digit, columns 13 … 17 from the coarsest."""
    sites = assign_sites((256, 784), (256, (28, 28)), 2, "mirrored")
    assert sites.order == (12, 0, 11, 1, 10, 2, 9, 3, 8, 13, 4, 14, 5, 15, 6, 16, 7, 17)


def test_mirrored_turns_every_second_part_counted_from_the_last():
    sites = assign_sites((2, 64), (2, (4, 4, 4)), 2, "mirrored")
    assert [site for site in sites.order if site] == [1, 2, 4, 3, 5, 6]


@given(shape=st.lists(st.integers(2, 600), min_size=2, max_size=5), dim=st.sampled_from([2, 3]))
def test_without_split_axes_nested_and_mirrored_are_interleaved(shape, dim):
    orders = {assign_sites(tuple(shape), None, dim, o).order for o in ORDERS if o != "output_first"}
    assert len(orders) == 1


def test_equal_axes_take_turns_and_the_earlier_goes_first():
    assert assign_sites((8, 8), None, 2, "interleaved").order == (0, 3, 1, 4, 2, 5)


def test_a_permutation_is_taken_as_it_is():
    assert assign_sites((4, 4), None, 2, [3, 0, 2, 1]).order == (3, 0, 2, 1)


def test_wall_dims_follow_the_order():
    assert assign_sites((6, 10), None, (2, 3, 5, 2), [2, 0, 3, 1]).wall_dims == (5, 2, 2, 3)


# --- the index -----------------------------------------------------------------------------------


@st.composite
def weights(draw):
    """A shape, how its axes are split, site dimensions and an order."""
    axes = draw(
        st.lists(
            st.lists(st.integers(1, 6), min_size=1, max_size=2), min_size=1, max_size=3
        ).filter(lambda axes: sum(n > 2 for part in axes for n in part) >= 2)
    )
    site_dim = draw(st.sampled_from([2, 3, 4]))
    shape = tuple(map(math.prod, axes))
    num_sites = len(assign_sites(shape, axes, site_dim, "output_first").dims)
    if num_sites < 2:
        site_dim = 2
        num_sites = len(assign_sites(shape, axes, 2, "output_first").dims)
    order = draw(st.sampled_from(list(ORDERS)) | st.permutations(range(num_sites)))
    return shape, axes, site_dim, order


@given(weight=weights())
def test_index_equals_the_digit_by_digit_place(weight):
    shape, axes, site_dim, order = weight
    sites = assign_sites(shape, axes, site_dim, order)
    lengths = [n for part in axes for n in part]
    expected = positions_by_digits(lengths, sites.groups, sites.dims, sites.order)
    index = np.arange(sites.padded_size) if sites.index is None else sites.index.ravel()
    assert index.tolist() == expected
    assert len(set(expected)) == math.prod(shape)  # no entry of T is used twice


def test_a_plain_power_of_two_needs_no_index():
    assert assign_sites((8, 16), None, 2, "output_first").index is None
    assert assign_sites((8, 16), None, 2, "interleaved").index is not None
    assert assign_sites((8, 15), None, 2, "output_first").index is not None


@given(weight=weights())
def test_kept_marks_what_the_crop_keeps(weight):
    shape, axes, site_dim, order = weight
    sites = assign_sites(shape, axes, site_dim, order)
    kept_of_t = np.ones(sites.wall_dims, bool)
    for places, mask in sites.kept():
        for setting in np.ndindex(*mask.shape):
            where = [slice(None)] * len(sites.dims)
            for place, digit in zip(places, setting):
                where[place] = digit
            kept_of_t[tuple(where)] &= mask[setting]
    index = np.arange(sites.padded_size) if sites.index is None else sites.index
    assert np.flatnonzero(kept_of_t).tolist() == sorted(index.ravel().tolist())


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (((256, 784), (256, (28, 27)), 2, "interleaved"), r"756.*784"),
        (((256, 784), (256,), 2, "interleaved"), r"256.*784"),
        (((4, 4), None, 2, "spiral"), "spiral"),
        (((4, 4), None, 2, [0, 1, 2]), r"0 … 3"),
        (((4, 4), None, 2, [0, 1, 2, 2]), r"\[0, 1, 2, 2\]"),
        (((4, 4), None, 2, [1, 2, 3, 4]), r"0 … 3"),
        (((4, 4), None, (2, 2, 2), "interleaved"), "3 entries"),
        (((4, 4), None, (2, 2, 2, 2, 2), "interleaved"), "5 entries.*4"),
        (((4, 4), None, 1, "interleaved"), "dimension 2 or more, got 1"),
        (((4, 4), None, 0, "interleaved"), "dimension 2 or more, got 0"),
        (((4, 4), None, (2, 2, 1, 2), "interleaved"), "dimension 2 or more, got 1"),
        (((4, 0), None, 2, "interleaved"), r"\(4, 0\)"),
        (((4, -2), None, 2, "interleaved"), r"\(4, -2\)"),
        (((1, 1), None, 2, "interleaved"), "0 sites"),
        (((2,), None, 2, "interleaved"), "1 sites"),
        (((4, 4), (4, (-2, -2)), 2, "interleaved"), r"1 or more, .* split as \(4, \(-2, -2\)\)"),
        (((4.0, 4), None, 2, "interleaved"), r"whole length of 1 or more, got \(4.0, 4\)$"),
        (((), None, 2, "interleaved"), "0 sites"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_numbers(arguments, says):
    with pytest.raises(ShapeError, match=says):
        assign_sites(*arguments)


def test_copies_share_what_never_changes_and_the_gpu_has_an_index_of_its_own(cuda):
    sites = assign_sites((5, 6), None, 2, "interleaved")
    assert copy.deepcopy(sites) is sites
    there = sites.index_like(cuda.zeros(1))
    assert sites.index_like(np.zeros(1)) is sites.index
    assert there is sites.index_like(cuda.zeros(1))
    assert type(there) is cuda.ndarray
    np.testing.assert_array_equal(there.get(), sites.index)
    whole = assign_sites((4, 8), None, 2, "output_first")
    assert whole.index_like(cuda.zeros(1)) is None
