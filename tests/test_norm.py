"""Normalisation and dropout: what must hold beyond the formula, which the table of ops checks."""

import image_references as images
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyadtn as ta
from tinyadtn.errors import GraphError, ShapeError

SHAPES = st.tuples(st.integers(2, 4), st.integers(1, 4), st.integers(1, 4), st.integers(2, 4))


def pixels(shape, seed=0):
    return np.random.default_rng(seed).normal(3, 2, size=shape)


def gradients_of(function, *arrays, seed=7):
    """The value, the gradients, and the cotangent they are for."""
    inputs = [ta.Tensor(a, requires_grad=True) for a in arrays]
    y = function(*inputs)
    g = np.random.default_rng(seed).normal(size=y.shape)
    y.backward(g)
    return y.data, [x.grad for x in inputs], g


# --- batch normalisation -------------------------------------------------------------------------


@given(shape=SHAPES)
def test_every_channel_has_mean_shift_and_variance_scale_squared(shape):
    scale, shift = pixels(shape[1:2], 1), pixels(shape[1:2], 2)
    y = ta.batch_norm(pixels(shape), scale, shift, epsilon=0).data
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), shift, rtol=0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=(0, 2, 3)), scale**2, rtol=1e-9)


@given(shape=SHAPES)
def test_the_gradient_in_training_moves_neither_mean_nor_variance(shape):
    """It sums to 0 in every channel, and is orthogonal to x̂: the directions normalised away."""
    x, scale, shift = pixels(shape), pixels(shape[1:2], 1), pixels(shape[1:2], 2)
    y, (grad, grad_scale, grad_shift), g = gradients_of(
        lambda *a: ta.batch_norm(*a, epsilon=0), x, scale, shift
    )
    normal = (y - shift[:, None, None]) / scale[:, None, None]
    size = np.abs(grad).max() * x.size + 1e-300
    assert np.abs(grad.sum(axis=(0, 2, 3))).max() <= 1e-11 * size
    assert np.abs((grad * normal).sum(axis=(0, 2, 3))).max() <= 1e-11 * size
    np.testing.assert_allclose(grad_shift, g.sum(axis=(0, 2, 3)), rtol=0, atol=1e-12)
    np.testing.assert_allclose(grad_scale, (g * normal).sum(axis=(0, 2, 3)), rtol=0, atol=1e-10)


def test_given_moments_are_constants_and_the_gradient_is_the_plain_factor():
    x, scale, shift = pixels((2, 3, 2, 2)), pixels(3, 1), pixels(3, 2)
    variance = np.array([0.25, 1.0, 4.0])
    _, (grad, *_), g = gradients_of(
        lambda *a: ta.batch_norm(*a, mean=np.zeros(3), variance=variance, epsilon=0),
        x,
        scale,
        shift,
    )
    factor = (scale / np.sqrt(variance))[:, None, None]
    np.testing.assert_allclose(grad, g * factor, rtol=1e-13)


def test_the_observer_is_told_the_moments_of_the_batch_and_only_of_a_batch():
    x, ones, told = pixels((3, 2, 4, 5)), np.ones(2), []
    ta.batch_norm(x, ones, ones, observe=lambda *moments: told.append(moments))
    ((mean, variance),) = told
    np.testing.assert_allclose(mean, x.mean(axis=(0, 2, 3)), rtol=1e-13)
    np.testing.assert_allclose(variance, x.var(axis=(0, 2, 3)), rtol=1e-13)
    ta.batch_norm(x, ones, ones, mean=mean, variance=variance, observe=lambda *m: told.append(m))
    assert len(told) == 1


@pytest.mark.parametrize("factor", [1e-3, 0.5, 1e3])
def test_the_size_and_the_offset_of_a_channel_do_not_matter(factor):
    x, ones = pixels((2, 3, 4, 4)), np.ones(3)
    expected = ta.batch_norm(x, ones, ones, epsilon=0).data
    y = ta.batch_norm(factor * x + 5, ones, ones, epsilon=0).data
    np.testing.assert_allclose(y, expected, rtol=1e-9)


def test_a_constant_channel_becomes_the_shift():
    y = ta.batch_norm(np.full((2, 2, 3, 3), 4.0), np.ones(2), np.array([1.0, -2.0])).data
    np.testing.assert_array_equal(y[0, :, 0, 0], [1, -2])
    assert np.ptp(y, axis=(0, 2, 3)).max() == 0


def test_a_large_offset_costs_no_digits_of_the_variance():
    """The variance is that of what is left without the mean, not a difference of large squares."""
    x = pixels((4, 1, 8, 8)).astype(np.float32) + np.float32(1e4)
    seen = []
    ta.batch_norm(
        x, np.ones(1, x.dtype), np.zeros(1, x.dtype), observe=lambda *moments: seen.extend(moments)
    )
    variance = seen[1]
    assert variance.dtype == np.float32
    np.testing.assert_allclose(variance, x.astype(np.float64).var(axis=(0, 2, 3)), rtol=1e-4)


def test_moments_may_be_lists_and_tensors():
    x, ones = pixels((2, 2, 3, 3)), np.ones(2)
    expected = images.batch_norm(x, ones, ones, np.array([1.0, 2]), np.array([3.0, 4]))
    for kind in (list, ta.Tensor):
        y = ta.batch_norm(x, ones, ones, mean=kind([1.0, 2]), variance=kind([3.0, 4]))
        np.testing.assert_allclose(y.data, expected, rtol=1e-6)


# --- normalisation by the neighbourhood ----------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 5, 7, 9, 101])
@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_local_response_of_any_size_and_number_of_channels(size, channels):
    x = pixels((2, channels, 2, 3))
    options = {"size": size, "k": 1.5, "alpha": 0.2, "beta": 0.6}
    y = ta.local_response_norm(x, **options)
    np.testing.assert_allclose(y.data, images.local_response_norm(x, **options), rtol=1e-12)
    assert ta.check_vjp(lambda a: ta.local_response_norm(a, **options), x) < 1e-7


def test_local_response_of_size_one_is_every_channel_by_itself():
    x = pixels((2, 4, 3, 2))
    y = ta.local_response_norm(x, size=1, k=1, alpha=2, beta=0.5)
    np.testing.assert_allclose(y.data, x / np.sqrt(1 + 2 * x * x), rtol=1e-13)


def test_local_response_has_the_numbers_of_alexnet_unless_told_otherwise():
    x = 30 * pixels((1, 8, 2, 2))
    y = ta.local_response_norm(x).data
    expected = x[:, 4] / (2 + 1e-4 * (x[:, 2:7] ** 2).sum(axis=1)) ** 0.75
    np.testing.assert_allclose(y[:, 4], expected, rtol=1e-13)


def test_a_constant_added_to_an_image_leaves_no_trace_in_its_local_contrast():
    """Not even at the border, where the pixels that are there share the whole weight."""
    x = pixels((2, 3, 8, 7))
    y = ta.local_contrast_norm(x, size=5).data
    np.testing.assert_allclose(ta.local_contrast_norm(x + 10, size=5).data, y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [1e-2, 7.0, 1e4])
def test_brightness_scales_out_of_the_local_contrast(factor):
    x = pixels((2, 3, 8, 7))
    y = ta.local_contrast_norm(x, size=5, epsilon=1e-30).data
    scaled = ta.local_contrast_norm(factor * x, size=5, epsilon=1e-30).data
    np.testing.assert_allclose(scaled, y, rtol=1e-9, atol=1e-12)


def test_images_do_not_meet_in_local_contrast():
    x = pixels((3, 2, 6, 5)) * np.array([1.0, 10, 100]).reshape(3, 1, 1, 1)
    y = ta.local_contrast_norm(x, size=3).data
    alone = [ta.local_contrast_norm(x[k : k + 1], size=3).data[0] for k in range(3)]
    np.testing.assert_allclose(y, alone, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 0.5])
def test_an_image_without_contrast_becomes_zero_with_a_finite_gradient(dtype, value):
    x = np.full((2, 2, 6, 6), value, dtype)
    y, (grad,), _ = gradients_of(lambda a: ta.local_contrast_norm(a, size=3), x)
    assert np.abs(y).max() <= 1e-2 and (value or not y.any())
    assert np.isfinite(grad).all() and grad.any()


@pytest.mark.parametrize("size", [9, 15])
def test_a_window_larger_than_the_image_sees_what_there_is(size):
    x = pixels((1, 2, 4, 3))
    y = ta.local_contrast_norm(x, size=size)
    np.testing.assert_allclose(y.data, images.local_contrast_norm(x, size), rtol=1e-11)


# --- dropout -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean_and_drops_at_its_rate(rate):
    y = ta.dropout(np.ones(200_000), rate=rate, rng=0).data
    deviation = np.sqrt(rate * (1 - rate) / y.size)
    assert abs((y == 0).mean() - rate) < 5 * deviation
    np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-12)
    assert abs(y.mean() - 1) < 5 * deviation / (1 - rate)


def test_every_element_is_dropped_by_itself():
    dropped = ta.dropout(np.ones((8, 6, 5, 4)), rate=0.5, rng=0).data == 0
    for axis in range(4):
        along = dropped.mean(axis=tuple({0, 1, 2, 3} - {axis}))
        assert ((along > 0.2) & (along < 0.8)).all()
        assert (np.diff(dropped.astype(int), axis=axis) != 0).any()


def test_the_same_seed_is_the_same_mask_and_a_generator_goes_on():
    x = np.ones(100)
    one, same, other = (ta.dropout(x, rate=0.5, rng=seed).data for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    rng = np.random.default_rng(1)
    first, second = (ta.dropout(x, rate=0.5, rng=rng).data for _ in range(2))
    np.testing.assert_array_equal(first, one)
    assert (second != one).any()


def test_the_mask_does_not_depend_on_the_float_type():
    masks = [ta.dropout(np.ones(99, t), rate=0.3, rng=0).data != 0 for t in ("f4", "f8")]
    np.testing.assert_array_equal(*masks)


def test_the_gradient_goes_where_the_value_went():
    y, (grad,), g = gradients_of(lambda a: ta.dropout(a, rate=0.4, rng=3), np.ones((5, 7)))
    np.testing.assert_allclose(grad, g * y, rtol=1e-15)
    assert (y == 0).any() and (y != 0).any()


def test_dropout_of_nothing_is_the_identity():
    x = pixels((3, 4))
    np.testing.assert_array_equal(ta.dropout(x, rate=0, rng=0).data, x)


@pytest.mark.parametrize("rate", [1.0, -0.1, 1.5, np.nan])
def test_a_rate_is_from_zero_to_below_one(rate):
    with pytest.raises(ValueError, match="from 0 to below 1"):
        ta.dropout(np.ones(3), rate=rate, rng=0)


def test_dropout_draws_no_numbers_from_nowhere():
    with pytest.raises(GraphError, match="with rng= in training"):
        ta.dropout(np.ones(3), rate=0.5, rng=None)


# --- pixels that are integers --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: ta.local_response_norm(x, alpha=0.1),
        lambda x: ta.local_contrast_norm(x, size=3),
        lambda x: ta.dropout(x, rate=0.3, rng=0),
        lambda x: ta.batch_norm(x, np.ones(2, int), np.zeros(2, int), epsilon=0.5),
    ],
    ids=["local_response_norm", "local_contrast_norm", "dropout", "batch_norm"],
)
def test_pixels_that_are_integers_are_taken_as_float32(function, dtype):
    x = np.random.default_rng(0).integers(0, 256, (2, 2, 5, 4)).astype(dtype)
    y = function(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.data, function(x.astype(np.float32)).data, rtol=1e-6)


def test_an_empty_batch_has_no_statistics_but_can_be_normalised_by_given_ones():
    empty, ones = np.zeros((0, 2, 3, 3)), np.ones(2)
    with pytest.raises(ShapeError, match="an empty batch"):
        ta.batch_norm(empty, ones, ones)
    assert ta.batch_norm(empty, ones, ones, mean=ones, variance=ones).shape == (0, 2, 3, 3)


def test_a_response_whose_square_overflows_is_zero_and_nearly_so_in_truth():
    """The one place where an overflow is hidden: the sum is infinite, and stands below."""
    x = np.full((1, 1, 1, 1), 2e19, np.float32)
    assert ta.local_response_norm(x / 2).item() > 0
    with np.errstate(over="ignore"):
        tensor = ta.Tensor(x, requires_grad=True)
        y = ta.local_response_norm(tensor)
        y.backward(np.ones_like(x))
    assert y.item() == 0 and tensor.grad.item() == 0
    assert 1e-7 < ta.local_response_norm(x.astype(np.float64)).item() < 3e-7
