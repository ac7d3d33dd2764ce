"""retain_grad: the gradient of a result, which backward does not keep otherwise."""

import gc
import weakref

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.autodiff.engine import op
from tinyadtn.errors import GraphError


def leaf(*values):
    return ta.Tensor(np.array(values), requires_grad=True)


def test_results_get_the_gradient_that_a_leaf_in_their_place_would_get(rng):
    a, b = leaf(*rng.normal(size=4)), leaf(*rng.normal(size=4))

    def rest(y):
        z = ta.tanh(y)
        return (z * y + z.sum() * b).sum()

    y = a * b
    y.retain_grad()
    loss = rest(y)
    loss.retain_grad()
    loss.backward()
    twin = leaf(*y.data)
    rest(twin).backward()
    np.testing.assert_array_equal(y.grad, twin.grad)
    assert loss.grad == 1 and loss.grad.shape == ()


def test_it_changes_no_other_gradient():
    found = []
    for keep in (False, True):
        x = leaf(1.0, 2.0)
        y = x * x
        z = y + x
        if keep:
            y.retain_grad(), z.retain_grad()
        (z * y).sum().backward()
        found.append(x.grad)
    np.testing.assert_array_equal(*found)


def test_the_gradient_accumulates_and_owns_its_memory():
    x = leaf(1.0, 2.0)
    y = x * 1.0
    y.retain_grad()
    y.grad = np.array([10.0, 20.0])
    before, seed = y.grad, np.array([1.0, 3.0])
    y.backward(seed)
    assert y.grad.tolist() == [11, 23] and before.tolist() == [10, 20]
    z = x + 0.0
    z.retain_grad()
    x.grad = None
    z.backward(seed)
    seed[0] = 7
    x.grad[0] = 8
    assert z.grad.tolist() == [1, 3] and z.grad.flags.writeable


def test_a_leaf_has_its_gradient_anyway():
    x = leaf(1.0)
    x.retain_grad()
    (x * 3).backward()
    assert x.grad.tolist() == [3]


def test_an_error_on_the_way_back_stores_nothing():
    @op
    def broken(a):
        return a * 1, lambda g: 1 / 0

    y = broken(leaf(1.0))
    y.retain_grad()
    with pytest.raises(ZeroDivisionError):
        y.backward()
    assert y.grad is None


def test_what_has_no_gradient_is_rejected():
    with pytest.raises(GraphError, match="requires a gradient"):
        ta.Tensor([1.0]).retain_grad()
    with ta.no_grad(), pytest.raises(GraphError, match="requires a gradient"):
        (leaf(1.0) * 2).retain_grad()
    y = leaf(1.0) * 2
    y.backward()
    with pytest.raises(GraphError, match=r"comes before backward\(\)"):
        y.retain_grad()


def test_a_result_without_it_says_how_to_get_its_gradient():
    y = leaf(1.0) * 2
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"multiply computed.*call retain_grad\(\)"):
            assert y.grad is None
        y.backward() if y.node.vjps else None
    z = leaf(1.0) * 2
    z.retain_grad()
    assert z.grad is None
    assert ta.Tensor([1.0]).grad is None and leaf(1.0).grad is None


def test_it_keeps_nothing_alive():
    gc.disable()
    try:
        x = leaf(1.0)
        y = x * 2
        y.retain_grad()
        gone, z = weakref.ref(y), y * 3
        del y
        assert gone() is None
        z.backward()
        assert x.grad.tolist() == [6]
    finally:
        gc.enable()
