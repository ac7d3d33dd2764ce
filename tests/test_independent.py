"""How many numbers are independent: counts known by hand, and what must not change them."""

import json
from pathlib import Path

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.encodings.independent import independent_numbers, jacobian_spectrum
from tinyadtn.errors import GraphError, NonFiniteError, TinyADTNError


def train_of_bond_2(groups):
    """A tensor train of bond 2 over groups of so many bits: its numbers, less 2×2 at each bond."""
    bonds = [1, *[2] * (len(groups) - 1), 1]
    numbers = sum(a * 2**bits * b for a, bits, b in zip(bonds, groups, bonds[1:]))
    return numbers - 4 * (len(groups) - 1)


@pytest.mark.parametrize("m, n, r", [(8, 9, 1), (20, 30, 2), (6, 5, 5)])
def test_a_product_of_two_factors(m, n, r):
    assert independent_numbers(ta.LowRank((m, n), r, rng=0)) == r * (m + n - r)


@pytest.mark.parametrize("bonds", [(2, 2, 2), (1, 3, 2), (4, 4, 4)])
def test_a_tensor_train(bonds):
    train = ta.TensorTrain((48, 36), ((2, 4, 3, 2), (2, 3, 3, 2)), bonds, rng=0)
    assert independent_numbers(train) == train.num_parameters - sum(r * r for r in bonds)


def test_tucker():
    tucker = ta.Tucker((16, 8, 3, 3), (4, 3), rng=0)
    assert independent_numbers(tucker) == tucker.num_parameters - 4 * 4 - 3 * 3


@pytest.mark.parametrize(
    "shape, groups", [((16, 16), (3, 2, 3)), ((16, 32), (3, 2, 2, 2)), ((64, 64), (3, 2, 2, 2, 3))]
)
@pytest.mark.parametrize("order", ["output_first", "mirrored"])
def test_a_wall_of_one_layer_is_a_tensor_train_of_bond_2(shape, groups, order):
    wall = ta.ADTN(shape, 1, order=order, rng=0)
    assert independent_numbers(wall) == train_of_bond_2(groups) < wall.num_parameters


def test_frozen_and_one_pair_of_sites():
    assert independent_numbers(ta.Frozen((4, 5), rng=0)) == 0
    assert jacobian_spectrum(ta.Frozen((4, 5), rng=0)).shape == (0,)
    assert independent_numbers(ta.ADTN((2, 2), 1, rng=0)) == 4


def test_a_small_weight_has_its_rank_whatever_is_drawn():
    """Each projection weighs all entries of a small weight: a draw could miss one for good."""
    wall = ta.ADTN((2, 2), 1, rng=0)
    assert {independent_numbers(wall, rng=seed) for seed in range(200)} == {4}


def test_one_gate_after_another_on_the_same_pair():
    """W = A B |00⟩: of B's column and A's matrix, W's four entries are all that can move."""
    wall = ta.ADTN((2, 2), wiring=[[(0, 1)], [(0, 1)]], rng=0)
    assert wall.num_parameters == 4 + 16 and independent_numbers(wall) == 4


def test_more_numbers_than_entries():
    wall = ta.ADTN((4, 4), 3, activation="identity", rng=0)
    assert wall.num_parameters > 16 and independent_numbers(wall) == 16
    assert len(jacobian_spectrum(wall)) == wall.num_parameters


def test_depth_and_relu_add_independent_numbers():
    by_depth = [independent_numbers(ta.ADTN((32, 32), m, rng=0)) for m in (1, 2, 3)]
    assert by_depth == sorted(set(by_depth))
    bent = independent_numbers(ta.ADTN((32, 32), 2, rng=0))
    assert independent_numbers(ta.ADTN((32, 32), 2, activation="identity", rng=0)) < bent


def test_the_jacobian_itself_has_that_rank():
    wall = ta.ADTN((8, 8), 2, rng=3)
    rows = []
    for k in range(64):
        exact = wall.copy()
        for column in exact.columns:
            column.data = column.data.astype(np.float64)
        exact.decode().backward(np.eye(64)[k].reshape(8, 8))
        rows.append(np.concatenate([column.grad.ravel() for column in exact.columns]))
    assert independent_numbers(wall) == np.linalg.matrix_rank(np.array(rows))


def test_neither_the_draw_nor_the_scale_changes_it_and_nothing_is_changed():
    wall = ta.ADTN((16, 32), 2, rng=0)
    before = [column.data.copy() for column in wall.columns]
    counts = {independent_numbers(wall, rng=seed) for seed in range(3)}
    wall.scale.data = np.float32(1e-6)
    assert {*counts, independent_numbers(wall)} == {
        independent_numbers(ta.ADTN((16, 32), 2, rng=0))
    }
    for column, data in zip(wall.columns, before):
        assert column.grad is None and column.data.dtype == np.float32
        np.testing.assert_array_equal(column.data, data)


def test_without_values_not_finite_or_fading():
    with pytest.raises(GraphError, match="shapes only"):
        independent_numbers(ta.ADTN((16, 16)))
    wall = ta.ADTN((16, 16), 2, rng=0)
    wall.columns[0].data[0] = np.inf
    with pytest.raises(NonFiniteError), np.errstate(all="ignore"):
        independent_numbers(wall)
    fading = ta.LowRank((30, 30), 8, rng=0)
    sizes = np.logspace(0, -16, 8, dtype=np.float32)  # evenly: no gap anywhere
    for tensor in fading.parameters():
        tensor.data = tensor.data * (sizes if tensor.shape[1] == 8 else sizes[:, None])
    with pytest.raises(TinyADTNError, match="no clear rank: of 480 singular values"):
        independent_numbers(fading)


def test_the_measured_walls_of_one_layer_are_trains_of_bond_2():
    path = Path(__file__).parents[1] / "data" / "results" / "independent.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    found = {row["stored"]: row["independent"] for row in rows if row["encoding"] == "M=1"}
    assert found == {
        164: train_of_bond_2([3, *[2] * 6, 3]),  # 18 sites
        200: train_of_bond_2([3, *[2] * 9]),  # 21
        224: train_of_bond_2([3, *[2] * 9, 3]),  # 24
    }
    assert found[200] + found[224] == 252
    (large,) = [row for row in rows if "all sites" in row["encoding"]]
    # Five cores of bond 4, for 7, 4·4, 4·4, 4·4 and 7 entries, less 4×4 at each bond.
    assert large["independent"] == 7 * 4 + 3 * (4 * 16 * 4) + 7 * 4 - 4 * 4**2 < large["stored"]
    for row in rows:
        assert row["kept"] > 1e-10 and (row["dropped"] or 0) < 1e-14
