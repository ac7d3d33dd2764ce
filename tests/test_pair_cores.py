"""The chain's cores against the sum that they are, and the way back against their bilinearity."""

import numpy as np
import pytest

from tinyadtn.tensor_networks.fast.pair_cores import pair_cores, right_end


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
