"""The chain's cores against the sum that they are, and the way back against their bilinearity."""

import itertools

import numpy as np
import pytest

from tinyadtn.tensor_networks.fast.fast_wall import tensor_and_backward
from tinyadtn.tensor_networks.fast.pair_cores import FirstLayer, multiply, pair_cores, right_end


@pytest.mark.parametrize("num_sites", [2, 3, 4, 5, 8, 9])
def test_cores_and_their_gradients(num_sites, rng):
    first = rng.normal(size=(num_sites // 2, 2, 2))
    second = rng.normal(size=((num_sites - 1) // 2, 4, 4))
    cores, backward = pair_cores(first, second)
    pairs, gates = first[: len(second)], second.reshape(-1, 2, 2, 2, 2)
    expected = np.einsum("kxi,kabiy->kxaby", pairs, gates).reshape(-1, 2, 4, 2)
    assert np.allclose(cores, expected, rtol=0, atol=1e-14)
    g = rng.normal(size=cores.shape)
    grad_pairs, grad_second = backward(g)
    assert grad_pairs.shape == pairs.shape and grad_second.shape == second.shape
    for moved in range(len(second)):  # linear in each gate: the change is the gradient times it
        change = np.zeros_like(pairs)
        change[moved] = rng.normal(size=(2, 2))
        moved_cores, _ = pair_cores(change, second)
        assert np.isclose((g * moved_cores).sum(), (grad_pairs * change).sum())
        change = np.zeros_like(second)
        change[moved] = rng.normal(size=(4, 4))
        moved_cores, _ = pair_cores(first, change)
        assert np.isclose((g * moved_cores).sum(), (grad_second * change).sum())


def test_the_chain_ends_in_a_pair_or_in_a_site_that_is_still_zero(rng):
    first = rng.normal(size=(3, 2, 2)).astype(np.float32)
    assert right_end(first, 6) is not first and np.array_equal(right_end(first, 6), first[2])
    end = right_end(first, 7)
    assert np.array_equal(end, [[1], [0]]) and end.dtype == np.float32


@pytest.mark.parametrize("num_sites", range(3, 10))
def test_any_cuts_give_the_tensor_and_its_gradients(num_sites, rng):
    """Spans of one site and of all sites, cut before even sites and before odd ones."""
    first = rng.normal(size=(num_sites // 2, 2, 2))
    second = rng.normal(size=((num_sites - 1) // 2, 4, 4))
    tensor, tensor_backward = tensor_and_backward([first, second], num_sites, "relu")
    g = rng.normal(size=tensor.shape)
    wanted = tensor_backward(g)
    every = tuple(range(1, num_sites))
    some = [tuple(np.flatnonzero(rng.integers(0, 2, num_sites - 1)) + 1) for _ in range(8)]
    for cuts in [(), every, *[(cut,) for cut in every], *some]:
        spans = list(zip([0, *cuts], [*cuts, num_sites]))
        layer = FirstLayer(first, second, num_sites)
        products, backwards = zip(*map(layer.product, spans))
        bonds = [1] + [4 - 2 * (cut % 2) for cut in cuts] + [1]
        shapes = [(a, -1, b) for a, b in itertools.pairwise(bonds)]
        cores = [product.reshape(shape) for product, shape in zip(products, shapes)]
        whole, whole_backward = multiply(cores)
        np.testing.assert_allclose(whole.ravel(), tensor, rtol=0, atol=1e-12)
        shares = [back(grad) for back, grad in zip(backwards, whole_backward(g))]
        for grad, expected in zip(layer.backward(spans, shares), wanted, strict=True):
            np.testing.assert_allclose(grad, expected, rtol=0, atol=1e-11)


def test_the_gradient_of_a_product_of_tensors_is_its_bilinear_form(rng):
    tensors = [rng.normal(size=shape) for shape in ((3, 2, 4), (4, 5, 1), (1, 2, 3))]
    product, backward = multiply(tensors)
    assert np.allclose(product.reshape(3, 2, 5, 2, 3), np.einsum("aib,bjc,ckd->aijkd", *tensors))
    g = rng.normal(size=product.shape)
    for k, grad in enumerate(backward(g)):
        change = rng.normal(size=grad.shape)
        moved, _ = multiply([*tensors[:k], change, *tensors[k + 1 :]])
        assert np.isclose((g * moved).sum(), (grad * change).sum())
