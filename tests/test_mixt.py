"""MixT: a mean of dense gates on windows of modes, against Kronecker products."""

import functools
import itertools
import math

import numpy as np
import pytest

import tinyadtn as ta

CASES = [
    ((6, 4), ((2, 3), (2, 2)), 1),
    ((12, 24), ((2, 3, 2), (3, 2, 4)), 2),
    ((12, 24), ((2, 3, 2), (3, 2, 4)), 1),
    ((16, 16), ((2,) * 4,) * 2, 2),
    ((4, 3, 2, 3), ((1, 4), (3, 6)), 1),
    ((6, 4), ((6,), (4,)), 1),
]


def kronecker(weight):
    """The mean of I ⊗ … ⊗ G ⊗ … ⊗ I, with rectangular identities."""
    out, into = weight.modes
    total = 0
    for k, gate in enumerate(weight.gates):
        eyes = [np.eye(o, i) for o, i in zip(out, into)]
        eyes[k : k + weight.width] = [gate.numpy()]
        total = total + functools.reduce(np.kron, eyes)
    return total / len(weight.gates)


@pytest.mark.parametrize(("shape", "modes", "width"), CASES)
def test_it_is_a_mean_of_kronecker_products(shape, modes, width):
    weight = ta.MixT(shape, modes, width, rng=0)
    matrix = weight.decode().numpy().reshape(shape[0], -1)
    np.testing.assert_allclose(matrix, kronecker(weight), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("shape", "modes", "width"), [case for case in CASES if len(case[0]) == 2])
def test_a_layer_never_forms_it_and_computes_the_same(shape, modes, width, monkeypatch):
    weight = ta.MixT(shape, modes, width, rng=0)
    for parameter in weight.parameters():
        parameter.data = parameter.data.astype(np.float64)
    matrix = weight.decode().numpy()
    monkeypatch.setattr(ta.MixT, "decode", None)
    random = np.random.default_rng(1)
    x, bias = (
        ta.Tensor(random.normal(size=(5, shape[1])), requires_grad=True),
        ta.Tensor(random.normal(size=shape[0])),
    )
    y = weight.linear(x, bias)
    np.testing.assert_allclose(y.numpy(), x.numpy() @ matrix.T + bias.numpy(), rtol=1e-12)

    def apply(x, *gates):
        twin = weight.copy()
        twin.gates = list(gates)
        return twin.linear(x, None)

    ta.check_vjp(apply, x.numpy(), *(gate.numpy() for gate in weight.gates))


@pytest.mark.parametrize(("shape", "modes", "width"), CASES)
def test_fit_is_least_squares(shape, modes, width):
    weight = ta.MixT(shape, modes, width, rng=0)
    target = np.random.default_rng(2).normal(size=shape)
    errors = weight.fit(target)
    columns = []
    for gate in weight.gates:
        for k in range(gate.size):
            for other in weight.gates:
                other.data = np.zeros_like(other.data)
            gate.data.flat[k] = 1
            columns.append(weight.decode().numpy().ravel())
    best, *_ = np.linalg.lstsq(np.transpose(columns).astype(np.float64), target.ravel(), rcond=None)
    left = np.transpose(columns) @ best - target.ravel()
    assert errors[-1] == pytest.approx(np.linalg.norm(left) / np.linalg.norm(target), rel=1e-4)
    assert all(later <= earlier * (1 + 1e-12) for earlier, later in itertools.pairwise(errors))


def test_the_multiply_adds_are_counted():
    weight = ta.MixT((16, 16), ((2,) * 4,) * 2, 2)
    assert weight.cost().apply == weight.linear_multiply_adds() == 3 * 4 * 16
    assert weight.num_parameters == 3 * 16


def test_one_window_of_all_modes_is_the_dense_weight():
    weight = ta.MixT((6, 4), ((2, 3), (2, 2)), 2, rng=0)
    np.testing.assert_array_equal(weight.decode().numpy(), weight.gates[0].numpy())


def test_it_may_be_larger_than_the_memory():
    weight = ta.MixT((2**16, 2**16), ((16,) * 4,) * 2, 1, rng=0)
    x = np.random.default_rng(3).standard_normal((16, 2**16), np.float32)
    layer = ta.Linear(2**16, 2**16, bias=False)
    layer.weight = weight
    y = layer(x)
    assert float(np.std(y.numpy())) == pytest.approx(math.sqrt(2), rel=0.3)
    with ta.decoded(ta.Sequential(fc1=layer)) as ready:
        np.testing.assert_array_equal(ready(x).numpy(), y.numpy())
