"""The gradient of a decoded weight: slopes, a law that every gate obeys, and the padding."""

from itertools import product

import numpy as np
import pytest
from test_encodings import KINDS, NAMED, adtn
from test_sites import positions_by_digits

import tinyadtn as ta
from tinyadtn.tensor_networks.wirings import WIRINGS


def gradients(weight, cotangent):
    for column in weight.columns:
        column.grad = None
    weight.decode().backward(cotangent)
    return [column.grad for column in weight.columns]


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "identity", "tanh"])
@pytest.mark.parametrize(
    ("shape", "options"),
    [KINDS[k] for k in (1, 3, 5, 8, 12, 15, 18, 21)] + NAMED + [((9, 11), {"depth": 3})],
)
def test_the_gradient_is_the_slope(shape, options, activation, normalized):
    """⟨dA, D⟩ against the central difference along random directions D of each column."""
    weight = adtn(shape, options, activation, normalized=normalized)
    rng, h = np.random.default_rng(1), 1e-6
    cotangent = rng.normal(size=shape)
    grads = gradients(weight, cotangent)
    for column, grad in zip(weight.columns, grads):
        middle, direction = column.data, rng.normal(size=column.shape)
        values = []
        for sign in (1, -1):
            column.data = middle + sign * h * direction
            values.append(np.vdot(cotangent, weight.decode().data))
        column.data = middle
        slope = (values[0] - values[1]) / (2 * h)
        assert np.vdot(grad, direction) == pytest.approx(slope, rel=2e-6, abs=2e-8)


def gate_products(weight, cotangent):
    """|⟨A_k, dA_k⟩ - ⟨T, dT⟩| over its scale, for every gate."""
    grads = gradients(weight, cotangent)
    value = weight.decode().data
    whole = np.vdot(value, cotangent)
    size = np.linalg.norm(value) * np.linalg.norm(cotangent)
    for column, grad in zip(weight.columns, grads):
        for a, da in zip(column.data, grad):
            yield abs(np.vdot(a, da) - whole) / (np.linalg.norm(a) * np.linalg.norm(da) + size)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "identity"])
@pytest.mark.parametrize(
    ("shape", "options"), [*KINDS, ((12, 30), {"depth": 4}), ((64, 50), {"depth": 3})]
)
def test_every_gate_carries_the_whole_product(shape, options, activation):
    """⟨A_k, dA_k⟩ = ⟨T, dT⟩, because T scales with each gate."""
    weight = adtn(shape, options, activation)
    cotangent = np.random.default_rng(2).normal(size=shape)
    assert max(gate_products(weight, cotangent)) <= 1e-12


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "identity", "tanh"])
@pytest.mark.parametrize(
    ("shape", "options"), [*KINDS, ((12, 30), {"depth": 4}), ((64, 50), {"depth": 3})]
)
def test_the_norms_of_normalized_gates_are_gauge(shape, options, activation):
    """⟨A_k, dA_k⟩ = 0 for every gate but the last, which carries ⟨W, dW⟩; tanh changes nothing."""
    weight = adtn(shape, options, activation, normalized=True)
    cotangent = np.random.default_rng(2).normal(size=shape)
    grads, value = gradients(weight, cotangent), weight.decode().data
    found = [np.vdot(a, da) for c, g in zip(weight.columns, grads) for a, da in zip(c.data, g)]
    size = np.linalg.norm(value) * np.linalg.norm(cotangent)
    np.testing.assert_allclose(found[:-1], 0, rtol=0, atol=1e-12 * size)
    assert found[-1] == pytest.approx(np.vdot(value, cotangent), rel=0, abs=1e-12 * size)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "identity"])
@pytest.mark.parametrize(("shape", "options"), [KINDS[k] for k in (0, 2, 5, 9, 14, 17)])
def test_both_parametrizations_reach_the_same_weights(shape, options, activation):
    """The plain weight of any gates is the normalized one, once the last gate has its norm."""
    plain, twin = (adtn(shape, options, activation, normalized=n) for n in (False, True))
    rng = np.random.default_rng(4)
    for column, other in zip(plain.columns, twin.columns):
        column.data = rng.normal(0, 0.7, size=column.shape)
        other.data = column.data.copy()
    wanted, found = plain.decode().data, twin.decode().data
    twin.columns[-1].data[-1] *= np.linalg.norm(wanted) / np.linalg.norm(found)
    close = 1e-12 * np.abs(wanted).max()
    np.testing.assert_allclose(twin.decode().data, wanted, rtol=0, atol=close)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_no_gate_can_make_a_normalized_weight_vanish(depth):
    """Gates 1,000 times smaller or larger change W by the factor of the last gate alone."""
    weight = ta.ADTN((32, 40), depth, rng=0)
    before = weight.decode().numpy()
    for factor in (1e-3, 1e6, 1e-3):
        for column in weight.columns:
            column.data *= np.float32(factor)
        after = weight.decode().numpy() / np.linalg.norm(weight.columns[-1].data[-1]) * 2
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-5 * np.abs(before).max())


@pytest.mark.parametrize("site_dim", [2, 4, (2, 4, 4, 2)])
@pytest.mark.parametrize("wiring", WIRINGS)
def test_tanh_breaks_the_law(wiring, site_dim):
    """Gates before the tanh carry less; those after it still carry all."""
    weight = adtn((8, 8), {"depth": 2, "wiring": wiring, "site_dim": site_dim}, "tanh")
    off = list(gate_products(weight, np.random.default_rng(2).normal(size=(8, 8))))
    first = len(off) // 2  # as many gates in either layer
    assert min(off[:first]) > 1e-6 > 1e-12 >= max(off[first:])
    shallow = adtn((8, 8), {"wiring": wiring, "site_dim": site_dim}, "tanh")
    assert max(gate_products(shallow, np.random.default_rng(2).normal(size=(8, 8)))) <= 1e-12


@pytest.mark.parametrize("shape", [(5, 3), (9, 17), (6, 3, 3, 3)])
def test_the_padding_has_no_gradient(shape):
    """T's gradient, seen through the gates: noise in the padding of T must not reach them."""
    weight = adtn(shape, {"depth": 1})
    sites, cotangent = weight.sites, np.random.default_rng(3).normal(size=shape)
    expected = np.zeros(sites.padded_size)
    places = positions_by_digits(shape, sites.groups, sites.dims, sites.order)
    expected[places] = cotangent.ravel() * float(weight.scale.data)
    decoded = gradients(weight, cotangent)
    for column in weight.columns:
        column.grad = None
    weight.contract().backward(expected)
    for column, grad in zip(weight.columns, decoded):
        np.testing.assert_allclose(column.grad, grad, rtol=0, atol=1e-13 * np.abs(grad).max())


def test_fast_and_plain_decode_the_same():
    """The same wiring by name (fast) and as a list of pairs (gate by gate)."""
    for num_sites, depth in product((2, 3, 6, 9), (1, 2, 3)):
        shape = (2, 2 ** (num_sites - 1) - (num_sites > 2))
        pairs = [[(k, k + 1) for k in range(first, num_sites - 1, 2)] for first in (0, 1)]
        fast = ta.ADTN(shape, depth, activation="leaky_relu", rng=0)
        plain = ta.ADTN(shape, depth, activation="leaky_relu", wiring=pairs, rng=0)
        np.testing.assert_allclose(fast.decode().data, plain.decode().data, rtol=0, atol=2e-6)
