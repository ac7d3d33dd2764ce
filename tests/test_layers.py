"""Layers: what they compute, how they start, and what they refuse."""

import math

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import ShapeError
from tinyadtn.module import he_std


def two_layers():
    return ta.Sequential(fc1=ta.Linear(6, 8, rng=0), relu1=ta.ReLU(), fc2=ta.Linear(8, 3, rng=1))


@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_a_matrix_product(bias, rng):
    layer = ta.Linear(5, 3, bias=bias, rng=0)
    x = rng.normal(size=(4, 5)).astype(np.float32)
    expected = np.array(
        [[sum(w * v for w, v in zip(row, xs)) for row in layer.weight.data] for xs in x]
    )
    if bias:
        layer.bias.data[:] = [1, 2, 3]
        expected += [1, 2, 3]
    np.testing.assert_allclose(layer(x).data, expected, rtol=1e-5, atol=1e-6)


def test_linear_starts_as_he_says():
    layer = ta.Linear(800, 600, rng=0)
    assert layer.weight.data.std() == pytest.approx(math.sqrt(2 / 800), rel=0.01)
    assert abs(layer.weight.data.mean()) < 1e-3
    assert not layer.bias.data.any()
    assert he_std((7, 3, 2, 5)) == math.sqrt(2 / 30)


def test_linear_knows_the_structure_of_its_input():
    layer = ta.Linear((28, 28), 256, rng=0)
    assert layer.weight.shape == (256, 784)
    assert layer.axes == (256, (28, 28))
    assert ta.Linear(784, 256).axes == (256, 784)


@pytest.mark.parametrize("shape", [(2, 5), (4,), (2, 4, 1), (2, 4, 4)])
def test_linear_refuses_other_inputs_with_the_numbers(shape):
    with pytest.raises(ShapeError, match=rf"\(n, 4\), got \({shape[0]},"):
        ta.Linear(4, 3, rng=0)(np.ones(shape, np.float32))


@pytest.mark.parametrize(("inside", "outside"), [(0, 3), (3, 0), (-2, 3), ((2, 0), 3)])
def test_a_layer_without_width_is_refused(inside, outside):
    with pytest.raises(ShapeError, match="1 or more"):
        ta.Linear(inside, outside, rng=0)


def test_sequential_says_which_layer_refused():
    with pytest.raises(ShapeError, match=r"fc1: Linear expects \(n, 6\), got \(2, 5\)"):
        two_layers()(np.ones((2, 5), np.float32))


def test_sequential_lists_its_layers_when_one_is_missing():
    with pytest.raises(AttributeError, match="no layer 'fc7'; there is fc1, relu1, fc2"):
        _ = two_layers().fc7


def test_flatten_keeps_rows():
    x = np.arange(24.0).reshape(2, 3, 2, 2)
    np.testing.assert_array_equal(ta.Flatten()(x).data, x.reshape(2, 12))
    assert ta.Flatten()(np.ones((0, 3, 2, 2))).shape == (0, 12)
