"""Pooling: who wins a window, what overlapping windows add up to, and that padding never wins."""

import image_references as images
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tinyadtn as ta
from tinyadtn.ops.windows import SlidingWindow


@st.composite
def pools(draw):
    """A window that fits, with padding at most half the kernel, and reads a pixel everywhere."""
    axes = []
    for _ in range(2):
        kernel, stride, dilation = (draw(st.integers(1, most)) for most in (4, 5, 2))
        size = dilation * (kernel - 1) + 1
        padding, after = (draw(st.integers(0, size // 2)) for _ in range(2))
        least = max(dilation, size - padding - after)
        axes.append((least + draw(st.integers(0, 5)), kernel, stride, padding, dilation, after))
    return SlidingWindow(*zip(*axes), draw(st.booleans()))


def options_of(window):
    return {
        "kernel": window.kernel,
        "stride": window.stride,
        "padding": tuple(zip(window.padding, window.after or window.padding)),
        "dilation": window.dilation,
        "ceil_mode": window.ceil_mode,
    }


def few_values(shape, seed):
    """Whole numbers from few, so that most windows hold equals."""
    return np.random.default_rng(seed).integers(-1, 2, shape).astype(np.float64)


def gradient_of(pool, x, g, **options):
    a = ta.Tensor(x, requires_grad=True)
    y = pool(a, **options)
    y.backward(g)
    return y.data, a.grad


def winners_take(x, g, window):
    """Window by window: the first of the largest takes all; a NaN is larger than every number."""
    share = np.zeros_like(x)
    for m, c, i, j in np.ndindex(g.shape):
        best = None
        for p, q in np.ndindex(*window.kernel):
            row = i * window.stride[0] + p * window.dilation[0] - window.padding[0]
            column = j * window.stride[1] + q * window.dilation[1] - window.padding[1]
            if not (0 <= row < window.image[0] and 0 <= column < window.image[1]):
                continue
            value = x[m, c, row, column]
            if best is None or value > best[0] or (np.isnan(value) and not np.isnan(best[0])):
                best = (value, row, column)
        share[m, c, best[1], best[2]] += g[m, c, i, j]
    return share


@given(window=pools(), n=st.integers(1, 2), special=st.sampled_from([0, np.nan, -np.inf, np.inf]))
@example(window=SlidingWindow((7, 9), (3, 2), (2, 1), (1, 1)), n=2, special=0)
@example(window=SlidingWindow((5, 8), (4, 3), (1, 2), (2, 0)), n=1, special=np.nan)
@example(window=SlidingWindow((6, 5), (2, 3), (2, 3), (0, 1)), n=0, special=0)
def test_max_pool_of_any_geometry_equals_its_definition(window, n, special):
    x = few_values((n, 2, *window.image), 0)
    x[np.random.default_rng(1).random(x.shape) < 0.3] = special
    expected = images.max_pool2d(x, **options_of(window))
    g = np.random.default_rng(2).integers(1, 9, expected.shape).astype(np.float64)
    y, grad = gradient_of(ta.max_pool2d, x, g, **options_of(window))
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(grad, winners_take(x, g, window))


@given(window=pools(), n=st.integers(1, 2))
@example(window=SlidingWindow((7, 9), (3, 2), (2, 1), (1, 1)), n=2)
@example(window=SlidingWindow((6, 5), (2, 3), (2, 3), (0, 1)), n=0)
def test_avg_pool_of_any_geometry_equals_its_definition(window, n):
    x = few_values((n, 2, *window.image), 0)
    expected = images.avg_pool2d(x, **options_of(window))
    g = np.random.default_rng(1).normal(size=expected.shape)
    y, grad = gradient_of(ta.avg_pool2d, x, g, **options_of(window))
    np.testing.assert_allclose(y, expected, rtol=1e-14)
    for seed in range(3):
        other = np.random.default_rng(seed).normal(size=x.shape)
        through = np.vdot(g, images.avg_pool2d(other, **options_of(window)))
        assert abs(through - np.vdot(grad, other)) <= 1e-13 * (1 + np.linalg.norm(g))


def test_of_equals_the_first_of_each_window_wins_and_overlapping_windows_add_up():
    """AlexNet's 3/2: the middle column is seen by both windows, and is first in the second one."""
    x = np.zeros((1, 1, 3, 5))
    _, grad = gradient_of(ta.max_pool2d, x, np.array([[[[3.0, 5.0]]]]), kernel=3, stride=2)
    np.testing.assert_array_equal(grad[0, 0], [[3, 0, 5, 0, 0], [0] * 5, [0] * 5])
    x[0, 0, 1, 2] = 1  # now it wins both
    _, grad = gradient_of(ta.max_pool2d, x, np.array([[[[3.0, 5.0]]]]), kernel=3, stride=2)
    assert grad[0, 0, 1, 2] == grad.sum() == 8


def test_the_first_is_the_first_row_by_row():
    x = np.array([[[[0.0, 1.0], [1.0, 1.0]]]])
    _, grad = gradient_of(ta.max_pool2d, x, np.ones((1, 1, 1, 1)), kernel=2)
    np.testing.assert_array_equal(grad[0, 0], [[0, 1], [0, 0]])


def test_a_nan_wins_and_the_first_of_them_takes_the_gradient():
    x = np.array([[[[9.0, np.nan, np.nan, np.inf]]]])
    y, grad = gradient_of(ta.max_pool2d, x, np.full((1, 1, 1, 1), 7.0), kernel=(1, 4))
    assert np.isnan(y).all()
    np.testing.assert_array_equal(grad.ravel(), [0, 7, 0, 0])


@pytest.mark.parametrize("value", [-np.inf, -1e300, -5.0])
def test_padding_never_wins(value):
    """Not even against minus infinity, which it equals inside: the pixel gets the gradient."""
    x = np.full((1, 1, 2, 2), value)
    y, grad = gradient_of(
        ta.max_pool2d, x, np.ones((1, 1, 2, 2)), kernel=(3, 2), stride=(1, 2), padding=(1, 1)
    )
    assert (y == value).all()
    np.testing.assert_array_equal(grad[0, 0], [[2, 2], [0, 0]])


def test_an_infinite_gradient_goes_to_the_winner_and_makes_no_nan_of_the_others():
    x = np.array([[[[1.0, 2.0]]]])
    _, grad = gradient_of(ta.max_pool2d, x, np.full((1, 1, 1, 1), np.inf), kernel=(1, 2))
    np.testing.assert_array_equal(grad.ravel(), [0, np.inf])


def test_the_mean_counts_the_padding():
    y, grad = gradient_of(
        ta.avg_pool2d, np.full((1, 1, 2, 2), 4.0), np.ones((1, 1, 2, 2)), kernel=2, padding=1
    )
    np.testing.assert_array_equal(y, np.ones((1, 1, 2, 2)))
    np.testing.assert_array_equal(grad, np.full((1, 1, 2, 2), 0.25))


@pytest.mark.parametrize("pool", [ta.max_pool2d, ta.avg_pool2d])
def test_the_stride_is_the_kernel_unless_given(pool):
    x = few_values((2, 3, 9, 8), 0)
    np.testing.assert_array_equal(
        pool(x, kernel=(3, 2)).data, pool(x, kernel=(3, 2), stride=(3, 2)).data
    )
    assert pool(x, kernel=(3, 2), stride=1).shape == (2, 3, 7, 7)


@pytest.mark.parametrize("pool", [ta.max_pool2d, ta.avg_pool2d])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_pixels_that_are_integers_are_taken_as_float32(pool, dtype):
    x = np.arange(16).reshape(1, 1, 4, 4).astype(dtype)
    y = pool(x, kernel=2, stride=2)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.data, pool(x.astype(np.float32), kernel=2, stride=2).data)
