"""Where a derivative does not exist, the documented choice is made; NaN is never hidden."""

import numpy as np
import pytest

import tinyadtn as ta


def gradient(function, *arrays, cotangent=None):
    inputs = [ta.Tensor(np.array(a, float), requires_grad=True) for a in arrays]
    value = function(*inputs)
    value.backward(np.ones(value.shape) if cotangent is None else cotangent)
    return [x.grad.tolist() for x in inputs]


@pytest.mark.parametrize("function", [ta.max, ta.min])
def test_of_equals_the_first_takes_the_whole_gradient(function):
    assert gradient(function, [3.0, 3, 3]) == [[1, 0, 0]]
    x = [[1.0, 1], [1, 1], [1, 1]]
    assert gradient(lambda a: function(a, axis=0), x) == [[[1, 1], [0, 0], [0, 0]]]
    assert gradient(lambda a: function(a, axis=1), x) == [[[1, 0]] * 3]


@pytest.mark.parametrize("axis", [None, (0, 1), (1, 0), (-1, -2)])
def test_the_first_is_the_first_in_index_order_however_the_axes_are_written(axis):
    x = [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
    assert gradient(lambda a: ta.max(a, axis=axis), x) == [[[0, 1, 0], [0, 0, 0]]]


@pytest.mark.parametrize("function", [ta.maximum, ta.minimum])
def test_equals_share_half_and_half(function):
    assert gradient(function, [2.0, 0], [2.0, -0.0]) == [[0.5, 0.5], [0.5, 0.5]]
    assert gradient(function, [np.inf], [np.inf]) == [[0.5], [0.5]]


def test_maximum_of_an_array_with_itself_passes_the_gradient_once():
    x = ta.Tensor([1.0, 2.0], requires_grad=True)
    ta.maximum(x, x).backward(np.array([3.0, 5.0]))
    assert x.grad.tolist() == [3, 5]


def test_slopes_at_zero():
    assert gradient(ta.relu, [0.0, -0.0]) == [[0, 0]]
    assert gradient(ta.absolute, [0.0, -0.0]) == [[0, 0]]
    assert gradient(lambda a: ta.leaky_relu(a, slope=0.25), [0.0, -0.0]) == [[0.25, 0.25]]


def test_power_at_zero():
    assert gradient(lambda a: a**0, [0.0, 2.0, -3.0]) == [[0, 0, 0]]
    assert gradient(lambda a: a**1, [0.0, 2.0]) == [[1, 1]]
    assert gradient(lambda a: a**2, [0.0, -2.0]) == [[0, -4]]
    assert gradient(lambda b: 0.0**b, [0.0, 1.0, 2.0]) == [[0, 0, 0]]
    assert gradient(lambda a: a**0, [np.inf, -np.inf]) == [[0, 0]]


def test_power_of_a_negative_base():
    assert gradient(lambda a: a**3, [-2.0]) == [[12]]
    assert gradient(lambda a: a**-1, [-2.0]) == [[-0.25]]
    with pytest.warns(RuntimeWarning, match="invalid value"):
        assert np.isnan(gradient(lambda b: ta.power(-2.0, b), [3.0])[0][0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_where_takes_the_gradient_only_where_it_took_the_value(bad):
    taken = np.array([True, False])
    grads = gradient(lambda a, b: ta.where(taken, a, b), [1.0, bad], [bad, 2.0])
    assert grads == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    "function",
    [
        ta.relu,
        ta.leaky_relu,
        ta.absolute,
        ta.sigmoid,
        ta.tanh,
        ta.exp,
        ta.max,
        ta.min,
        ta.mean,
        ta.softmax,
        ta.log_softmax,
        lambda a: ta.maximum(a, 0),
        lambda a: ta.maximum(0, a),
        lambda a: ta.minimum(a, 0),
        lambda a: ta.minimum(0, a),
        lambda a: a * 0,
        lambda a: ta.contract(a, np.zeros(3), pattern="i,i->"),
        lambda a: ta.softmax_cross_entropy(a.reshape(1, 3), labels=[0]),
        lambda a: ta.mean_squared_error(a, np.zeros(3)),
    ],
)
def test_nan_is_never_hidden(function):
    assert np.isnan(function(ta.Tensor(np.array([1.0, np.nan, 2.0]))).data).any()


@pytest.mark.parametrize("function", [ta.softmax, ta.log_softmax, ta.sigmoid, ta.tanh])
@pytest.mark.parametrize("size", [80.0, 1e4])
def test_large_arguments_do_not_overflow(function, size):
    """filterwarnings = error: an overflow on the way would raise."""
    for dtype in (np.float32, np.float64):
        x = ta.Tensor(np.array([-size, 0, size], dtype), requires_grad=True)
        value = function(x)
        value.backward(np.array([1.0, 2, 3]))
        assert np.isfinite(value.data).all() and np.isfinite(x.grad).all()
