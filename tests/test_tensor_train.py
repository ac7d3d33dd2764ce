"""TensorTrain: published counts, what the cores multiply to, TT-SVD, and what is refused."""

import math

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import ShapeError


def random(*shape):
    return np.random.default_rng(7).normal(size=shape)


# --- counts: Gao et al., Phys. Rev. Research 2, 023300 (2020) ------------------------------------

FC2 = ((4, 4, 4, 4), (4, 7, 7, 4)), ((1, 1, 10, 1), (4, 4, 4, 4))


@pytest.mark.parametrize(("bond", "total"), [(2, 1_024), (4, 1_760), (16, 15_584)])
def test_the_published_counts_of_fc2(bond, total):
    recipes = {"fc1": ta.TensorTrain.like(FC2[0], bond), "fc2": ta.TensorTrain.like(FC2[1], 4)}
    model = ta.compress(ta.models.fc2(), recipes, rng=None)
    _, fc2, both, _ = ta.report(model).rows
    assert fc2.counts.stored == 736
    assert both.counts.stored == total
    assert model.num_parameters == total + 256 + 10


def test_the_published_counts_of_lenet5():
    layers = [
        ((120, 400), ((2, 5, 6, 2), (2, 10, 10, 2)), 4, 1_792),
        ((84, 120), ((2, 3, 7, 2), (2, 5, 6, 2)), 4, 944),
        ((10, 84), ((1, 5, 2, 1), (2, 3, 7, 2)), 2, 124),
    ]
    counts = [ta.TensorTrain(shape, modes, bond).num_parameters for shape, modes, bond, _ in layers]
    assert counts == [stored for *_, stored in layers]
    assert sum(counts) == 2_860
    assert sum(math.prod(shape) for shape, *_ in layers) == 58_920


# --- the formula ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "modes", "ranks"),
    [
        ((6, 8), ((2, 3), (4, 2)), 5),
        ((12, 10), ((2, 3, 2), (5, 1, 2)), (4, 3)),
        ((4, 3, 2, 3), ((2, 2), (3, 6)), (3,)),
        ((5, 7), ((5,), (7,)), ()),
    ],
)
def test_every_entry_is_a_product_of_matrices(shape, modes, ranks):
    weight = ta.TensorTrain(shape, modes, ranks, rng=0)
    cores = [core.data.astype(np.float64) for core in weight.cores]
    matrix = weight.decode().numpy().reshape(shape[0], -1)
    for o in range(matrix.shape[0]):
        for i in range(matrix.shape[1]):
            rows, columns = np.unravel_index(o, modes[0]), np.unravel_index(i, modes[1])
            product = np.eye(1)
            for core, p, q in zip(cores, rows, columns):
                product = product @ core[:, p, q, :]
            assert matrix[o, i] == pytest.approx(product.item(), rel=1e-4, abs=1e-5)


def test_one_pair_of_modes_is_the_dense_matrix():
    target = random(5, 7)
    weight = ta.TensorTrain((5, 7), ((5,), (7,)), 1)
    assert weight.fit(target) == [pytest.approx(0, abs=1e-6)]
    np.testing.assert_allclose(weight.cores[0].data[0, ..., 0], target, rtol=1e-6)


# --- TT-SVD --------------------------------------------------------------------------------------

SHAPE, MODES = (12, 30), ((2, 3, 2), (3, 2, 5))
FULL = (6, 10)  # the largest bonds: min(6, 6·10) and min(36, 10)


def tails(target, ranks):
    """The squared relative error that each cut alone would cost: no train can do better."""
    o, i = MODES
    n = len(o)
    tensor = target.reshape(*o, *i).transpose([axis for k in range(n) for axis in (k, n + k)])
    found = []
    for k, rank in enumerate(ranks, start=1):
        unfolding = tensor.reshape(math.prod(o[:k]) * math.prod(i[:k]), -1)
        s = np.linalg.svd(unfolding, compute_uv=False)
        found.append((s[rank:] ** 2).sum() / (s**2).sum())
    return found


def test_full_bonds_are_exact():
    assert ta.TensorTrain(SHAPE, MODES, FULL).fit(random(*SHAPE)) == [pytest.approx(0, abs=1e-6)]


@pytest.mark.parametrize("ranks", [(1, 1), (2, 2), (5, 3), (6, 4), (3, 10)])
def test_tt_svd_lies_within_root_of_the_cuts_of_the_best(ranks):
    target = random(*SHAPE)
    (error,) = ta.TensorTrain(SHAPE, MODES, ranks).fit(target)
    costs = tails(target, ranks)
    assert max(costs) - 1e-6 <= error**2 <= sum(costs) + 1e-6
    assert error <= math.sqrt(len(ranks) * max(costs)) + 1e-6


@pytest.mark.parametrize(("ranks", "cut"), [((4, 10), 0), ((6, 7), 1)])
def test_a_single_cut_that_truncates_costs_its_tail(ranks, cut):
    target = random(*SHAPE)
    (error,) = ta.TensorTrain(SHAPE, MODES, ranks).fit(target)
    assert error**2 == pytest.approx(tails(target, ranks)[cut], rel=1e-5)


def test_a_train_is_recovered_with_its_own_bonds():
    target = ta.TensorTrain(SHAPE, MODES, (3, 2), rng=4).decode().numpy()
    assert ta.TensorTrain(SHAPE, MODES, (3, 2)).fit(target) == [pytest.approx(0, abs=1e-5)]
    assert ta.TensorTrain(SHAPE, MODES, (3, 1)).fit(target)[0] > 0.05


def test_costs_by_hand():
    cost = ta.TensorTrain((6, 20), ((2, 3), (4, 5)), 3).cost()
    # decoded: 2·4 rows and columns of 3, each by a core of 3·(3·5)
    assert cost.decode == 2 * 4 * 3 * 3 * 5
    # applied: sum over i₁ for each i₂, then over i₂ and the bond for each o₁
    assert cost.apply == 5 * (4 * 2 * 3) + 2 * (3 * 3 * 5)


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("modes", "ranks", "says"),
    [
        (((2, 3), (2, 4)), 7, r"bond 1 of \(7,\) must be from 1 to 4: .* 1·4 and 12·1"),
        (((2, 3), (2, 4)), 0, "must be from 1 to 4"),
        (((2, 3, 1), (2, 2, 2)), (4, 3), "bond 2 .* from 1 to 2"),
        (((2, 3, 1), (2, 2, 2)), (4,), "3 pairs of modes have 2 inner bonds"),
        (((2, 3), (2, 4)), "2", "one bond or a list"),
        (((2, 3), (2, 4)), (1.5,), "one bond or a list"),
        (((2, 3), (2, 2, 2)), 2, "2 out modes .* 3 in modes .* pad the shorter with 1s"),
        (((2, 2), (2, 4)), 2, r"multiply to 4 and 8; .*\(6, 8\) needs 6 and 8"),
        (((2, 3), (2, 0)), 2, "modes must be"),
        (((2, 3),), 2, "modes must be"),
        (6, 2, "modes must be"),
    ],
)
def test_what_cannot_be_is_refused(modes, ranks, says):
    with pytest.raises(ShapeError, match=says):
        ta.TensorTrain((6, 8), modes, ranks)


def test_a_bond_that_a_small_neighbour_cannot_carry_is_refused():
    """The middle bond could be 16 by the sizes on its two sides, but not behind a bond of 1."""
    modes = ((2, 2, 2, 2), (2, 2, 2, 2))
    assert ta.TensorTrain((16, 16), modes, (4, 16, 4)).label == "tensor train D=16"
    with pytest.raises(ShapeError, match=r"bond 2 of \(1, 16, 4\) must be from 1 to 4"):
        ta.TensorTrain((16, 16), modes, (1, 16, 4))


def test_a_vector_is_refused():
    with pytest.raises(ShapeError, match="2 axes or more"):
        ta.TensorTrain((6,), ((2, 3), (1, 1)), 2)
