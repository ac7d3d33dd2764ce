"""LowRank and Tucker: what they multiply to, how close they come, and what they refuse."""

import math

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import NonFiniteError, ShapeError, SizeLimitError


def random(*shape):
    return np.random.default_rng(7).normal(size=shape)


def distance(weight, target):
    decoded = weight.decode().numpy().astype(np.float64)
    return np.linalg.norm(decoded - target) / np.linalg.norm(target)


# --- the formulas --------------------------------------------------------------------------------


def test_low_rank_is_a_product_of_two_matrices():
    weight = ta.LowRank((4, 3, 2), 2, rng=0)
    expected = (weight.left.data @ weight.right.data).reshape(4, 3, 2)
    np.testing.assert_allclose(weight.decode().numpy(), expected, rtol=1e-6)
    assert np.linalg.matrix_rank(weight.decode().numpy().reshape(4, 6), tol=1e-4) == 2


def test_tucker_entry_by_entry():
    weight = ta.Tucker((4, 3, 2, 5), (3, 2), rng=0)
    out, core, into = (t.data for t in (weight.out_factor, weight.core, weight.in_factor))
    expected = np.zeros((4, 3, 2, 5))
    for o, c, p, q, a, b in np.ndindex(4, 3, 2, 5, 3, 2):
        expected[o, c, p, q] += out[o, a] * core[a, b, p, q] * into[c, b]
    np.testing.assert_allclose(weight.decode().numpy(), expected, rtol=1e-4, atol=1e-5)


# --- the best fit --------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 6), (5, 9), (6, 4, 3, 3)])
def test_the_error_of_low_rank_is_the_tail_of_the_singular_values(shape):
    target = random(*shape)
    s = np.linalg.svd(target.reshape(shape[0], -1), compute_uv=False)
    for rank in range(1, min(shape[0], math.prod(shape[1:])) + 1):
        weight = ta.LowRank(shape, rank, rng=0)
        (error,) = weight.fit(target)
        tail = math.sqrt((s[rank:] ** 2).sum() / (s**2).sum())
        assert error == pytest.approx(tail, rel=1e-4, abs=1e-6)
        assert distance(weight, target) == pytest.approx(error, abs=1e-6)


def test_a_tensor_of_small_tucker_ranks_is_recovered():
    out, core, into = random(7, 3), random(3, 2, 3, 3), random(6, 2)
    target = np.einsum("oa,abpq,cb->ocpq", out, core, into)
    weight = ta.Tucker((7, 6, 3, 3), (3, 2), rng=0)
    assert weight.fit(target) == [pytest.approx(0, abs=1e-6)]
    assert ta.Tucker((7, 6, 3, 3), (3, 1), rng=0).fit(target)[0] > 0.05


def test_full_tucker_ranks_are_exact():
    target = random(5, 4, 3, 2)
    assert ta.Tucker((5, 4, 3, 2), (5, 4)).fit(target) == [pytest.approx(0, abs=1e-6)]


@pytest.mark.parametrize("ranks", [(3, 2), (1, 1), (6, 2), (2, 5)])
def test_tucker_lies_between_what_no_ranks_can_beat_and_twice_the_square(ranks):
    """Each unfolding's tail is a lower bound; the squares of both together an upper one."""
    target = random(7, 6, 3, 3)
    unfoldings = (target.reshape(7, -1), target.swapaxes(0, 1).reshape(6, -1))
    tails = [
        (np.linalg.svd(m, compute_uv=False)[rank:] ** 2).sum() / (target**2).sum()
        for m, rank in zip(unfoldings, ranks)
    ]
    (error,) = ta.Tucker((7, 6, 3, 3), ranks).fit(target)
    assert max(tails) - 1e-6 <= error**2 <= sum(tails) + 1e-6


def test_the_best_fit_cannot_be_improved_by_its_factors():
    """No gradient is left at the optimum."""
    target = random(8, 6)
    weight = ta.LowRank((8, 6), 3)
    weight.fit(target)
    (((weight.decode() - target.astype(np.float32)) ** 2).sum()).backward()
    assert max(np.abs(p.grad).max() for p in weight.parameters()) < 1e-4


def test_all_factors_have_entries_of_one_size():
    weight = ta.Tucker((8, 6, 3, 3), (4, 3), rng=0)
    weight.fit(random(8, 6, 3, 3))
    sizes = [float(np.sqrt((p.data**2).mean())) for p in weight.parameters()]
    np.testing.assert_allclose(sizes, sizes[0], rtol=1e-5)


def test_fit_gives_values_to_shapes_only():
    target = random(8, 6)
    assert ta.LowRank((8, 6), 6).fit(target) == [pytest.approx(0, abs=1e-6)]


@pytest.mark.parametrize("size", [1e-25, 1e25])
def test_the_size_of_the_target_does_not_matter(size):
    target = random(8, 6)
    weight = ta.LowRank((8, 6), 3, rng=0)
    assert weight.fit(target * size) == pytest.approx(ta.LowRank((8, 6), 3).fit(target), rel=1e-4)
    assert np.isfinite(weight.decode().numpy()).all()


def test_fit_keeps_double_precision():
    target = random(8, 6)
    weight = ta.LowRank((8, 6), 6, rng=0)
    for p in weight.parameters():
        p.data = p.data.astype(np.float64)
    assert weight.fit(ta.Tensor(target))[0] < 1e-14
    assert weight.left.dtype == np.float64


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_target_without_a_direction_is_refused(bad):
    weight = ta.LowRank((4, 4), 2, rng=0)
    before = weight.decode().numpy()
    target = np.zeros((4, 4))
    target[1, 2] = bad
    with pytest.raises(NonFiniteError, match="finite norm above 0"):
        weight.fit(target)
    np.testing.assert_array_equal(weight.decode().numpy(), before)


# --- cost ----------------------------------------------------------------------------------------


def test_costs_by_hand():
    assert ta.LowRank((10, 20), 3).cost() == ta.LowRank((10, 4, 5), 3).cost()
    assert ta.LowRank((10, 20), 3).cost().decode == 10 * 3 * 20
    assert ta.LowRank((10, 20), 3).cost().apply == 3 * 20 + 10 * 3
    cost = ta.Tucker((10, 8, 3, 3), (4, 2)).cost()
    assert cost.decode == 8 * 2 * 4 * 9 + 8 * 9 * 4 * 10
    assert cost.apply == 9 * 8 * 2 + 9 * 2 * 4 + 4 * 10


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ta.LowRank((6, 5), 0), "1 to 5, LowRank got 0"),
        (lambda: ta.LowRank((6, 5), 6), "6×5 matrix has a rank from 1 to 5, LowRank got 6"),
        (lambda: ta.LowRank((6, 5), 2.0), "got 2.0"),
        (lambda: ta.LowRank((6,), 2), r"2 axes or more, got \(6,\); use an ADTN"),
        (lambda: ta.LowRank((6, 0), 2), r"1 or more, got \(6, 0\)"),
        (lambda: ta.LowRank(6, 2), "1 or more, got 6"),
        (lambda: ta.Tucker((6, 5), 2), r"3 axes or more, got \(6, 5\); use LowRank"),
        (lambda: ta.Tucker((6, 5, 3, 3), (7, 2)), r"\(7, 2\).*min\(6, 2·9\)"),
        (lambda: ta.Tucker((6, 5, 3, 3), (2, 6)), r"\(2, 6\).*min\(5, 2·9\)"),
        (lambda: ta.Tucker((64, 64, 2, 2), (1, 5)), r"\(1, 5\).*min\(64, 1·4\)"),
        (lambda: ta.Tucker((6, 5, 3, 3), (0, 2)), r"\(0, 2\)"),
        (lambda: ta.Tucker((6, 5, 3, 3), 6), r"\(6, 6\)"),
        (lambda: ta.Tucker((6, 5, 3, 3), (2, 2, 2)), r"two ranks.*\(2, 2, 2\)"),
        (lambda: ta.Tucker((6, 5, 3, 3), "22"), "two ranks"),
    ],
)
def test_what_cannot_be_is_refused(make, says):
    with pytest.raises(ShapeError, match=says):
        make()


def test_integers_of_numpy_are_integers():
    assert ta.LowRank(np.array([6, 5]), np.int64(2)).config == ta.LowRank((6, 5), 2).config
    assert ta.Tucker((6, 5, 3, 3), np.array([2, 3])).ranks == (2, 3)


def test_a_weight_beyond_the_memory_is_refused():
    with pytest.raises(SizeLimitError, match=r"1,099,511,627,776 numbers.* GiB"):
        ta.LowRank((2**20, 2**20), 2, rng=0).decode()


@pytest.mark.parametrize("size", [1e-30, 3e37])
@pytest.mark.parametrize(
    "make",
    [
        lambda: ta.LowRank((16, 16), 3, rng=0),
        lambda: ta.TensorTrain((16, 16), ((4, 4), (4, 4)), ranks=3, rng=0),
    ],
    ids=["LowRank", "TensorTrain"],
)
def test_the_error_of_a_fit_is_right_at_the_ends_of_float32(make, size):
    """The norm of the second target is above the largest float32."""
    target = np.random.default_rng(0).normal(size=(16, 16))
    encoding = make()
    (error,) = encoding.fit((target * size).astype(np.float32))
    left = encoding.decode().numpy() / size - target
    assert error == pytest.approx(np.linalg.norm(left) / np.linalg.norm(target), rel=1e-3)
