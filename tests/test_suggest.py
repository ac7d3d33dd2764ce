"""Suggestions: within the budget, as large as fits, and what they say is what compress makes."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyadtn as ta
from tinyadtn.compression.configure import ENCODINGS
from tinyadtn.encodings.tensor_train import balanced
from tinyadtn.errors import ShapeError

CASES = [
    ((256, 784), 3_000, (256, (28, 28))),
    ((10, 84), 300, None),
    ((64, 3, 3, 3), 500, None),
    ((32, 16, 3, 3), 1_000, None),
    ((16, 400), 10**9, (16, (16, 5, 5))),
    ((7, 11), 60, None),
]
cases = pytest.mark.parametrize(("shape", "budget", "axes"), CASES)


class Layer(ta.Module):
    """A layer with a weight of any shape, of which there is only the shape."""

    def __init__(self, shape, axes):
        self.weight = ta.Tensor(np.broadcast_to(np.float32(np.nan), shape), requires_grad=True)
        self.axes = axes


def named(rows, word):
    return [row for row in rows if word in row.code]


@cases
def test_every_row_is_what_compress_makes_of_it(shape, budget, axes):
    model = ta.Sequential(conv1=Layer(shape, axes))
    for row in ta.suggest(shape, budget, axes=axes).rows:
        weight = ta.compress(model, {"conv1": row.recipe}, rng=None).conv1.weight
        assert (weight.label, weight.num_parameters) == (row.label, row.stored)
        assert row.cost == weight.cost()
        written = eval(row.code, {"ta": ta})(shape, axes=axes)
        assert written.config == weight.config


STRUCTURES = {
    (256, 784): [None, (256, 784), (256, (28, 28)), ((16, 16), (7, 112))],
    (120, 400): [None, (120, (16, 5, 5)), ((5, 24), 400), (120, (25, 16))],
    (12, 6, 3, 3): [None, (12, (2, 3), 3, 3), ((3, 2, 2), 6, 3, 3)],
}
structures = st.sampled_from(sorted(STRUCTURES)).flatmap(
    lambda shape: st.tuples(
        st.just(shape), st.sampled_from(STRUCTURES[shape]), st.sampled_from(STRUCTURES[shape])
    )
)


@given(case=structures, budget=st.integers(100, 1_000))
def test_a_row_keeps_to_its_number_whatever_structure_the_layer_has(case, budget):
    shape, asked, layers = case
    model = ta.Sequential(fc1=Layer(shape, layers))
    for row in ta.suggest(shape, budget, axes=asked).rows:
        for recipe in (row.recipe, eval(row.code, {"ta": ta})):
            weight = ta.compress(model, {"fc1": recipe}, rng=None).fc1.weight
            assert weight.num_parameters == row.stored <= budget


def test_the_code_says_which_structure_was_counted():
    axes = (256, [28, np.int64(28)])
    assert named(ta.suggest((256, 784), 300, axes=axes).rows, "ADTN")[0].code == (
        "ta.ADTN.like(1, axes=(256, (28, 28)))"
    )
    assert named(ta.suggest((256, 784), 300).rows, "ADTN")[0].code == "ta.ADTN.like(1, axes=None)"


@cases
def test_every_row_is_within_the_budget_and_below_dense(shape, budget, axes):
    rows = ta.suggest(shape, budget, axes=axes).rows
    assert all(row.stored <= budget and row.stored < math.prod(shape) for row in rows)


@cases
def test_every_kind_is_there_and_the_next_larger_would_not_fit(shape, budget, axes):
    rows = ta.suggest(shape, budget, axes=axes).rows
    kinds = {row.code.split(".")[1] for row in rows}
    other = {"Part", "Dense", "Pruned", "Quantized", "Update"}  # these save bytes or training
    assert kinds == set(ENCODINGS) - other - ({"Tucker"} if len(shape) == 2 else set())
    most = min(budget, math.prod(shape) - 1)
    deepest, rank = named(rows, "ADTN")[-1].label, named(rows, "LowRank")[-1].label
    depth, rank = int(deepest.partition("=")[2]), int(rank.partition("=")[2])
    assert ta.ADTN(shape, depth + 1, axes=axes).num_parameters > most
    o, i = shape[0], math.prod(shape[1:])
    assert rank == most // (o + i)
    for row in named(rows, "Train"):
        config = row.recipe(shape).config
        larger = [bond + 1 for bond in config["ranks"]]
        try:
            assert ta.TensorTrain(shape, config["modes"], larger).num_parameters > most
        except ShapeError:  # some bonds are at their limit
            assert max(config["ranks"]) > min(config["ranks"]) or len(larger) == 1
    for row in named(rows, "MixT"):
        config = row.recipe(shape).config
        modes, width = config["modes"], config["width"] + 1
        whole = width == len(modes[0])
        assert whole or ta.MixT(shape, modes, width).num_parameters > most
    for row in named(rows, "Tucker"):
        (o, c, *kernel), (a, b) = shape, row.recipe(shape).ranks
        assert (a + 1) * o + (a + 1) * (b + 1) * math.prod(kernel) + (b + 1) * c > most


def test_shallow_walls_are_all_there():
    rows = named(ta.suggest((256, 784), 3_000, axes=(256, (28, 28))).rows, "ADTN")
    assert [row.label for row in rows] == [f"ADTN M={m}" for m in (1, 2, 3, 4, 11)]


def test_a_budget_may_be_just_enough():
    rows = ta.suggest((256, 784), 164, axes=(256, (28, 28))).rows
    assert (rows[0].label, rows[0].stored) == ("ADTN M=1", 164)
    assert not named(ta.suggest((256, 784), 163, axes=(256, (28, 28))).rows, "ADTN")


@pytest.mark.parametrize(
    ("shape", "budget", "says"),
    [
        ((256, 784), 87, r"256, 784\) stores 87 .*smallest is ta.TensorTrain.like.* with 88"),
        ((3, 2), 4, r"smallest is ta.LowRank.like\(1\) with 5"),
        ((256, 784), -1, r"stores -1 "),
        ((1, 1), 100, r"stores 0 .*LowRank.like\(1\) with 2"),
        ((5,), 100, "2 axes or more"),
        ((256, 784), 99.5, "whole number of stored numbers, got 99.5"),
    ],
)
def test_what_no_encoding_meets_is_refused(shape, budget, says):
    with pytest.raises(ShapeError, match=says):
        ta.suggest(shape, budget)


def test_axes_of_another_shape_are_refused():
    with pytest.raises(ShapeError, match="multiply"):
        ta.suggest((256, 784), 1_000, axes=(256, (28, 27)))


def test_nothing_is_allocated():
    tracemalloc.start()
    try:
        ta.suggest((4096, 4096), 2_000)
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


def test_a_wall_beyond_the_memory_is_left_out(monkeypatch):
    """Except depth 1, which layers apply through its factors."""
    before = ta.suggest((256, 784), 3_000).rows
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: 2_500_000)
    after = ta.suggest((256, 784), 3_000).rows
    assert [row.code for row in after] == [
        row.code for row in before if "ADTN" not in row.code or "like(1," in row.code
    ]


def test_the_table():
    lines = str(ta.suggest((10, 84), 300)).splitlines()
    assert lines[0].split() == ["recipe", "stored", "ratio", "to", "decode", "to", "apply"]
    low_rank, frozen = (line.split() for line in (lines[3], lines[-1]))
    assert low_rank == ["low", "rank", "r=3", "ta.LowRank.like(3)", "282", "3.0×", "2,520", "282"]
    assert frozen == ["frozen", "ta.Frozen.like()", "0", "–", "0", "–"]


@pytest.mark.parametrize(
    ("length", "count", "factors"),
    [
        (256, 4, (4, 4, 4, 4)),
        (784, 3, (14, 8, 7)),
        (400, 2, (20, 20)),
        (13, 2, (13, 1)),
        (1, 2, (1, 1)),
    ],
)
def test_balanced_factors(length, count, factors):
    assert balanced(length, count) == factors
