"""How the gates of an ADTN begin: what each start promises, and what that does to a deep wall."""

import math

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.tensor_networks.starts import NEAR, STARTS
from tinyadtn.tensor_networks.wirings import WIRINGS


@pytest.mark.parametrize("site_dim", [2, 3, 4, (2, 4, 2, 4, 4, 4, 2, 2)])
@pytest.mark.parametrize("wiring", WIRINGS)
def test_an_orthogonal_start_keeps_the_norm(wiring, site_dim):
    """All gates but the fresh ones keep the norm of what they get; the scale is matched as ever."""
    options = {"activation": "identity", "wiring": wiring, "site_dim": site_dim}
    deep = ta.ADTN((64, 64), 5, start="orthogonal", **options, rng=0)
    norms = [np.linalg.norm(step.state.numpy()) for step in deep.steps()]
    last_fresh = max(k for k, column in enumerate(deep.wall) if column.fresh)
    assert last_fresh < 4
    np.testing.assert_allclose(norms[last_fresh + 1 :], norms[-1], rtol=1e-4)
    assert deep.decode().numpy().std() == pytest.approx(math.sqrt(2 / 64), rel=1e-5)
    assert deep.num_parameters == ta.ADTN((64, 64), 5, **options).num_parameters


def test_orthogonal_gates_have_no_favourite_direction():
    gates = np.concatenate(
        [c.data for c in ta.ADTN((256, 784), 8, start="orthogonal", rng=0).columns[1:]]
    )
    np.testing.assert_allclose(
        gates @ gates.swapaxes(1, 2), np.broadcast_to(np.eye(4), gates.shape), rtol=0, atol=1e-5
    )
    # 127 gates: a share of signs outside 0.5 ± 0.2 has a chance below 1e-5 for each of 17 shares.
    assert np.all(np.abs((gates > 0).mean(axis=0) - 0.5) < 0.2)
    assert abs((np.linalg.det(gates) > 0).mean() - 0.5) < 0.2


def test_near_the_identity_a_deep_wall_begins_as_its_first_layer():
    """T has hardly turned; of an orthogonal start nothing is left of what the first layer made."""

    def likeness(start):
        wall = ta.ADTN((64, 64), 4, start=start, activation="identity", rng=0)
        first, last = (
            next(s.state.numpy().ravel() for s in wall.steps() if s.name.startswith(name))
            for name in ("layer 1: gates on (1", "layer 4: gates on (1")
        )
        return abs(first @ last) / np.linalg.norm(first) / np.linalg.norm(last)

    assert likeness("near_identity") > 0.9 > 0.2 > likeness("orthogonal")


def test_near_the_identity_starts_with_gates_of_that_spread():
    wall = ta.ADTN((256, 784), 8, start="near_identity", rng=0)
    for column, gates in zip(wall.wall, wall.columns):
        if column.layer == 1:
            continue
        apart = gates.data - np.eye(4)
        assert abs(apart.mean()) < 4 * NEAR / math.sqrt(apart.size)
        assert apart.std() == pytest.approx(NEAR, rel=0.25)
    orthogonal = wall.columns[1].data
    np.testing.assert_allclose(
        orthogonal @ orthogonal.swapaxes(1, 2),
        np.broadcast_to(np.eye(4), orthogonal.shape),
        rtol=0,
        atol=1e-5,
    )


@pytest.mark.parametrize("start", STARTS)
def test_every_start_is_spread_like_a_dense_one_and_depends_on_its_seed_alone(start):
    walls = [ta.ADTN((64, 64), 3, start=start, rng=seed) for seed in (0, 0, 1)]
    weights = [wall.decode().numpy() for wall in walls]
    assert weights[0].std() == pytest.approx(math.sqrt(2 / 64), rel=1e-4)
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_an_unknown_start_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="normal, orthogonal, near_identity, got 'zero'"):
        ta.ADTN((4, 4), start="zero")
