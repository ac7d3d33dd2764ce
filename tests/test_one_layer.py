"""A wall of depth 1 in the order of the weight's axes: the same weight as T with entries picked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyadtn as ta
from tinyadtn.tensor_networks.fast import one_layer

ORDERS = ["output_first", "interleaved", "nested", "mirrored"]


def picked(weight):
    """The definition: contract T, put its entries in order, multiply by the factor."""
    index, tensor = weight.sites.index, weight.contract()
    picked = tensor if index is None else tensor[index]
    return picked.reshape(weight.shape) * weight.amplitude()


def value_and_gradients(weight, decode, cotangent):
    for column in weight.columns:
        column.grad = None
    result = decode(weight)
    result.backward(cotangent)
    return [result.data, *(column.grad for column in weight.columns)]


def assert_same(weight):
    cotangent = np.random.default_rng(1).normal(size=weight.shape)
    fast = value_and_gradients(weight, ta.ADTN.decode, cotangent)
    for got, wanted in zip(fast, value_and_gradients(weight, picked, cotangent)):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12 * (1 + np.abs(wanted).max()))


def in_float64(weight):
    weight.columns = [ta.Tensor(c.data.astype(float), requires_grad=True) for c in weight.columns]
    weight.scale = ta.Tensor(float(weight.scale.data))
    return weight


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=4).filter(lambda s: np.prod(s) > 4),
    st.sampled_from(ORDERS),
    st.booleans(),
)
def test_it_is_the_tensor_with_its_entries_in_order(shape, order, normalized):
    weight = ta.ADTN(shape, order=order, normalized=normalized, rng=0)
    if weight.num_sites > 2:
        assert one_layer.applies(weight.sites)
    assert_same(in_float64(weight))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((256, 784), (256, (28, 28))),
        ((10, 84), None),
        ((84, 120), None),  # the inputs are cropped after the product
        ((16, 6, 5, 5), None),
        ((32, 32, 3, 3), None),
        ((64, 3, 11, 11), (64, 3, 11, 11)),
        ((128,), None),
        ((512, 512), None),
    ],
)
def test_layers_of_the_networks(shape, axes, order):
    assert_same(in_float64(ta.ADTN(shape, axes=axes, order=order, rng=0)))


def test_the_tensor_is_not_contracted(monkeypatch):
    """The test above would also pass if decode took the slow path."""
    weight = ta.ADTN((84, 120), rng=0)
    monkeypatch.setattr(ta.ADTN, "contract", None)
    assert weight.decode().shape == (84, 120)


def test_an_order_that_alternates_more_often_takes_the_other_path():
    order = (0, 8, 2, 9, 1, 10, 3, 11, 4, 12, 6, 13, 5, 14, 7, 15)
    turned = ta.ADTN(
        (256, 256), order=(4, 8, 0, 9, 1, 10, 5, 11, 2, 12, 6, 13, 3, 14, 7, 15), rng=0
    )
    assert not one_layer.applies(turned.sites)
    assert_same(in_float64(turned))
    assert one_layer.applies(ta.ADTN((256, 256), order=order, rng=0).sites)


def test_the_estimate_of_memory_is_a_few_times_the_weight():
    floats = one_layer.peak_floats(ta.ADTN((1024, 1024), rng=None).sites)
    assert 2 * 2**20 < floats < 4 * 2**20
