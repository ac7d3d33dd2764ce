"""ADTNs of any shape, depth, wiring, sites, order and activation: what holds for all of them."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import tinyadtn as ta
from tinyadtn.tensor_networks.gates import ACTIVATIONS, network_tensor
from tinyadtn.tensor_networks.orders import ORDERS
from tinyadtn.tensor_networks.starts import STARTS
from tinyadtn.tensor_networks.wirings import WIRINGS

HOMOGENEOUS = sorted(set(ACTIVATIONS) - {"tanh"})


@st.composite
def walls(draw, activations=tuple(ACTIVATIONS), wirings=tuple(WIRINGS), normalized=(True, False)):
    """An ADTN in float64, small enough for an oracle that looks at every number."""
    shape = draw(
        st.lists(st.integers(1, 9), min_size=1, max_size=3)
        .map(tuple)
        .filter(lambda s: 4 < math.prod(s) <= 200)
    )
    options = {
        "depth": draw(st.integers(1, 4)),
        "activation": draw(st.sampled_from(activations)),
        "wiring": draw(st.sampled_from(wirings)),
        "site_dim": draw(st.sampled_from([2, 2, 3, 4])),
        "start": draw(st.sampled_from(list(STARTS))),
        "normalized": draw(st.sampled_from(normalized)),
    }
    order = draw(st.sampled_from([*ORDERS, "permuted"]))
    try:
        sites = ta.ADTN(shape, **options).num_sites
    except ta.errors.ShapeError:  # one site: no gate fits
        shape, sites = (5, 3), ta.ADTN((5, 3), **options).num_sites
    order = draw(st.permutations(range(sites))) if order == "permuted" else order
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    weight = ta.ADTN(shape, **options, order=order)
    shapes = {name: t.shape for name, t in weight.named_tensors()}
    weight.load_arrays({n: np.asarray(rng.normal(0, 0.7, size=s)) for n, s in shapes.items()})
    return weight, rng


@given(wall=walls(activations=HOMOGENEOUS, normalized=(False,)))
def test_every_gate_times_its_gradient_is_the_weight_times_its_gradient(wall):
    """⟨A_k, ∂L/∂A_k⟩ = ⟨T, ∂L/∂T⟩: T scales with each gate."""
    weight, rng = wall
    cotangent = rng.normal(size=weight.shape)
    decoded = weight.decode()
    decoded.backward(cotangent)
    right = np.vdot(decoded.data, cotangent)
    sizes = np.linalg.norm(decoded.data) * np.linalg.norm(cotangent)
    for column in weight.columns:
        for gate, gradient in zip(column.data, column.grad):
            room = 1e-12 * (np.linalg.norm(gate) * np.linalg.norm(gradient) + sizes)
            assert abs(np.vdot(gate, gradient) - right) <= room


@given(wall=walls())
def test_the_gradient_points_where_the_weight_grows(wall):
    """The slope along a random direction, by a central difference; away from kinks it must agree.

    A kink within the step shows as two one-sided slopes that differ: then nothing is asked.
    """
    weight, rng = wall
    cotangent = rng.normal(size=weight.shape)
    directions = [rng.normal(size=column.shape) for column in weight.columns]
    weight.decode().backward(cotangent)
    slope = sum(np.vdot(c.grad, d) for c, d in zip(weight.columns, directions))
    values, step = {}, 1e-6
    start = [column.data.copy() for column in weight.columns]
    for k in (-1, 0, 1):
        for column, at, direction in zip(weight.columns, start, directions):
            column.data = at + k * step * direction
        values[k] = np.vdot(weight.decode().data, cotangent)
    one_sided = (values[1] - values[0]) / step, (values[0] - values[-1]) / step
    size = sum(
        np.linalg.norm(c.grad) * np.linalg.norm(d) for c, d in zip(weight.columns, directions)
    )
    if abs(one_sided[0] - one_sided[1]) < 1e-3 * size:
        assert abs(sum(one_sided) / 2 - slope) <= 2e-3 * size + 1e-9


@given(wall=walls(wirings=("brick_wall",)))
def test_the_fast_contraction_is_the_plain_one(wall):
    weight, rng = wall
    cotangent = rng.normal(size=weight.sites.padded_size)
    found = []
    plain = network_tensor(weight.gates(), weight.wall, weight.sites.wall_dims, weight.activation)
    for tensor in (weight.contract(), plain):
        value = tensor.data.copy()
        tensor.backward(cotangent)
        found.append([value, *(column.grad for column in weight.columns)])
        for column in weight.columns:
            column.grad = None
    for fast, slow in zip(*found):
        assert np.abs(fast - slow).max() <= 1e-11 * (1 + np.abs(slow).max())


@given(wall=walls())
def test_every_entry_stands_where_the_sites_say(wall):
    """decode() picks from T; the padding gets no gradient, what is kept gets its own."""
    weight, _ = wall
    tensor = weight.contract().data
    index = weight.sites.index
    kept = np.arange(tensor.size).reshape(weight.shape) if index is None else index
    assert len(set(kept.ravel().tolist())) == math.prod(weight.shape)  # no entry twice
    expected = tensor[kept] * weight.amplitude().data
    if weight.normalized and weight.depth > 1:
        expected /= max(math.sqrt((tensor[kept] ** 2).mean()), np.finfo(float).tiny)
    np.testing.assert_allclose(weight.decode().data, expected, rtol=1e-12, atol=0)


@given(wall=walls())
def test_counts_are_numbers_that_are_there(wall):
    weight, _ = wall
    counts = weight.counts()
    assert counts.stored == sum(column.size for column in weight.columns) == weight.num_parameters
    assert 0 < counts.live <= counts.stored <= counts.full_gates
    assert counts.dense == math.prod(weight.shape) <= counts.padded


@given(wall=walls())
def test_steps_end_in_the_contraction(wall):
    weight, _ = wall
    *_, last = weight.steps()
    np.testing.assert_allclose(last.state.data, weight.contract().data, rtol=1e-11, atol=1e-11)
