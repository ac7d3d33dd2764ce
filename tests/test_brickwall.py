"""The wall of gates against an oracle that writes every gate as a matrix on all sites."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyadtn.autodiff.engine import Tensor
from tinyadtn.errors import ShapeError
from tinyadtn.tensor_networks.fast.fast_wall import brick_wall_tensor
from tinyadtn.tensor_networks.gates import (
    ACTIVATIONS,
    apply_gate,
    contraction_steps,
    network_tensor,
)
from tinyadtn.tensor_networks.wall import build_wall
from tinyadtn.tensor_networks.wirings import WIRINGS, columns_of

SIGMA = {
    "relu": lambda x: np.where(x > 0, x, 0.0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "tanh": np.tanh,
    "identity": lambda x: x,
}


def on_all_sites(gate, pair, dims):
    """The gate as a matrix on the product of all sites: 0 where another site would change."""
    digits = np.array(np.unravel_index(np.arange(math.prod(dims)), dims))  # (Q, settings)
    i, j = pair
    own, others = digits[i] * dims[j] + digits[j], np.delete(digits, pair, axis=0)
    unchanged = (others[:, :, None] == others[:, None, :]).all(axis=0)
    return np.where(unchanged, gate[np.ix_(own, own)], 0)


def oracle(columns, wall, dims, activation):
    """T by multiplying matrices on all sites; the unknown columns of fresh gates are noise."""
    noise = np.random.default_rng(99)
    state = np.zeros(math.prod(dims))
    state[0] = 1
    layer = 1
    for column, gates in zip(wall, columns):
        if column.layer > layer:
            state, layer = SIGMA[activation](state), column.layer
        for gate, pair in zip(gates, column.pairs):
            size = dims[pair[0]] * dims[pair[1]]
            matrix = gate
            if column.fresh:
                matrix = noise.normal(size=(size, size))
                matrix[:, 0] = gate.ravel()
            state = on_all_sites(matrix, pair, dims) @ state
    return state


def random_columns(wall, rng, dtype=np.float64):
    return [
        Tensor(rng.normal(0, 0.5, column.shape).astype(dtype), requires_grad=True)
        for column in wall
    ]


def brick(num_sites, depth):
    return build_wall(WIRINGS["brick_wall"](num_sites), [2] * num_sites, depth)


# The dimensions of all sites, at most 256 settings, odd numbers of sites among them.
DIMS = [(2,) * num_sites for num_sites in range(2, 9)]
DIMS += [(4, 4), (4,) * 3, (4,) * 4, (2, 4, 2), (4, 2, 2, 4), (2, 3, 2, 4, 2), (3, 2, 2, 2, 2, 3)]
every_wall = pytest.mark.parametrize(
    ("wiring", "dims"), [*product(WIRINGS, DIMS)], ids=lambda value: "".join(map(str, value))
)


# --- which gates there are -----------------------------------------------------------------------


def test_only_the_first_column_of_the_first_layer_is_fresh():
    wall = brick(5, 2)
    assert [(column.layer, column.fresh, column.shape) for column in wall] == [
        (1, True, (2, 2, 2)),
        (1, False, (2, 4, 4)),
        (2, False, (2, 4, 4)),
        (2, False, (2, 4, 4)),
    ]


@pytest.mark.parametrize("wiring", ["staircase", "tree"])
def test_a_staircase_and_a_tree_have_one_fresh_gate(wiring):
    wall = build_wall(WIRINGS[wiring](8), [2] * 8, 2)
    assert [len(column.pairs) for column in wall if column.fresh] == [1]


def test_a_column_of_mixed_gates_becomes_one_column_a_kind():
    wall = build_wall([((0, 1),), ((1, 2), (3, 4))], [2, 2, 3, 2, 3], 1)
    assert [(column.pairs, column.fresh, column.shape) for column in wall] == [
        (((0, 1),), True, (1, 2, 2)),
        (((1, 2),), False, (1, 6, 6)),
        (((3, 4),), True, (1, 2, 3)),
    ]


@pytest.mark.parametrize("pairs", [((0, 1), (1, 2)), ((0, 0),), ((0, 4),), ((-1, 0),)])
def test_gates_of_a_column_need_different_sites_that_exist(pairs):
    with pytest.raises(ShapeError, match="0 … 3"):
        columns_of([pairs], 4)


# --- one gate ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dims", [(2, 2, 2, 2), (3, 3, 3), (2, 3, 4), (4, 2, 3, 2)])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_gate_on_any_two_sites_in_any_order_equals_its_big_matrix(dims, fresh, rng):
    for pair in np.ndindex(len(dims), len(dims)):
        if pair[0] == pair[1]:
            continue
        d = (dims[pair[0]], dims[pair[1]])
        matrix = rng.normal(size=(math.prod(d), math.prod(d)))
        state = rng.normal(size=dims)
        if fresh:  # the two sites are still in |0>
            rest = np.moveaxis(state, pair, (0, 1))
            rest[1:], rest[:, 1:] = 0, 0
        state = state.ravel()
        stored = matrix[:, 0].reshape(d) if fresh else matrix
        new = apply_gate(Tensor(state), Tensor(stored), pair, dims).data
        np.testing.assert_allclose(
            new, on_all_sites(matrix, pair, dims) @ state, rtol=0, atol=1e-13
        )


# --- whole walls ---------------------------------------------------------------------------------


@st.composite
def wirings(draw):
    """Site dimensions (at most 200 settings) and one to three columns of disjoint pairs."""
    dims = draw(
        st.lists(st.sampled_from([2, 2, 3, 4]), min_size=2, max_size=7).filter(
            lambda dims: math.prod(dims) <= 200
        )
    )
    columns = []
    for _ in range(draw(st.integers(1, 3))):
        sites = draw(st.permutations(range(len(dims))))
        gates = draw(st.integers(1, len(dims) // 2))
        columns.append(tuple((sites[2 * k], sites[2 * k + 1]) for k in range(gates)))
    return dims, columns


@given(wiring=wirings(), depth=st.integers(1, 3), activation=st.sampled_from(sorted(ACTIVATIONS)))
def test_any_wiring_equals_the_product_of_big_matrices(wiring, depth, activation):
    dims, pairs = wiring
    wall = build_wall(pairs, dims, depth)
    columns = random_columns(wall, np.random.default_rng(0))
    expected = oracle([c.data for c in columns], wall, dims, activation)
    value = network_tensor(columns, wall, dims, activation).data
    np.testing.assert_allclose(value, expected, rtol=1e-11, atol=1e-13)


@every_wall
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_every_wiring_equals_the_product_of_big_matrices(wiring, dims, activation, rng):
    for depth in (1, 2, 3):
        wall = build_wall(WIRINGS[wiring](len(dims)), dims, depth)
        columns = random_columns(wall, rng)
        expected = oracle([c.data for c in columns], wall, dims, activation)
        value = network_tensor(columns, wall, dims, activation).data
        np.testing.assert_allclose(value, expected, rtol=1e-11, atol=1e-13)


def from_matrices(wall, make):
    """Columns of gates that are the matrices make(d_i·d_j); a fresh one stores its first column."""
    columns = []
    for column in wall:
        gates = [make(math.prod(column.dims)) for _ in column.pairs]
        gates = [gate[:, 0].reshape(column.dims) if column.fresh else gate for gate in gates]
        columns.append(Tensor(np.array(gates)))
    return columns


@every_wall
def test_identity_gates_leave_all_sites_in_zero(wiring, dims):
    wall = build_wall(WIRINGS[wiring](len(dims)), dims, 3)
    value = network_tensor(from_matrices(wall, np.eye), wall, dims, "relu").data
    np.testing.assert_array_equal(value, np.eye(math.prod(dims))[0])


def orthogonal(wall, rng):
    return from_matrices(wall, lambda size: np.linalg.qr(rng.normal(size=(size, size)))[0])


@every_wall
def test_orthogonal_gates_keep_the_norm(wiring, dims, rng):
    wall = build_wall(WIRINGS[wiring](len(dims)), dims, 3)
    value = network_tensor(orthogonal(wall, rng), wall, dims, "identity").data
    assert abs(np.linalg.norm(value) - 1) < 1e-13


def test_gates_on_different_sites_commute(rng):
    dims, state = (2, 3, 2, 2, 3), Tensor(rng.normal(size=72))
    a, b = Tensor(rng.normal(size=(4, 4))), Tensor(rng.normal(size=(9, 9)))
    one = apply_gate(apply_gate(state, a, (0, 3), dims), b, (1, 4), dims).data
    other = apply_gate(apply_gate(state, b, (1, 4), dims), a, (0, 3), dims).data
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-13)


def marginal(state, sites, num_sites):
    """The reduced density matrix of some sites."""
    view = np.moveaxis(state.reshape([2] * num_sites), sites, range(len(sites)))
    matrix = view.reshape(2 ** len(sites), -1)
    return matrix @ matrix.T


@pytest.mark.parametrize(
    ("wiring", "depth", "column", "gate", "cone"),
    [
        ("brick_wall", 1, 0, 1, {1, 2, 3, 4}),  # (2,3), spread by (1,2) and (3,4)
        ("brick_wall", 1, 1, 0, {1, 2}),
        ("brick_wall", 2, 1, 0, {0, 1, 2, 3, 4}),  # (1,2); then (0,1), (2,3); then (1,2), (3,4)
        ("brick_wall", 2, 3, 2, {5, 6}),
        ("staircase", 1, 3, 0, {3, 4, 5, 6, 7}),  # all that come after it
        ("staircase", 1, 6, 0, {6, 7}),
        ("tree", 1, 1, 1, {4, 5, 6, 7}),  # its branch
        ("tree", 1, 2, 1, {2, 3}),
        ("butterfly", 1, 0, 1, set(range(8))),
        ("butterfly", 1, 1, 2, {0, 2, 4, 6}),  # (4,6), spread by (0,4) and (2,6)
        ("butterfly", 2, 5, 3, {3, 7}),
    ],
)
def test_a_gate_is_seen_in_its_light_cone_and_nowhere_else(wiring, depth, column, gate, cone, rng):
    """With orthogonal gates, what is measured outside the cone does not know the gate."""
    num_sites, wall = 8, build_wall(WIRINGS[wiring](8), [2] * 8, depth)
    columns = orthogonal(wall, rng)
    before = network_tensor(columns, wall, [2] * num_sites, "identity").data
    columns[column].data[gate] = orthogonal(wall, rng)[column].data[gate]
    after = network_tensor(columns, wall, [2] * num_sites, "identity").data
    for site in range(num_sites):
        change = np.abs(marginal(after, [site], 8) - marginal(before, [site], 8)).max()
        assert (change > 1e-6) == (site in cone), (site, change)
    outside = sorted(set(range(num_sites)) - cone)
    np.testing.assert_allclose(
        marginal(after, outside, 8), marginal(before, outside, 8), rtol=0, atol=1e-13
    )


# --- ranks ---------------------------------------------------------------------------------------


def cut_ranks(state, dims):
    ranks = []
    for cut in range(1, len(dims)):
        values = np.linalg.svd(state.reshape(math.prod(dims[:cut]), -1), compute_uv=False)
        ranks.append((values > 1e-10 * values[0]).sum())
    return ranks


@pytest.mark.parametrize("num_sites", [4, 7, 8, 11])
def test_depth_one_has_cut_ranks_2_4_2_4(num_sites, rng):
    wall, dims = brick(num_sites, 1), [2] * num_sites
    state = network_tensor(random_columns(wall, rng), wall, dims, "relu").data
    expected = [min(2 if cut % 2 else 4, 2 ** (num_sites - cut)) for cut in range(1, num_sites)]
    assert cut_ranks(state, dims) == expected


@pytest.mark.parametrize(
    ("wiring", "ranks"),
    [
        ("staircase", [2, 2, 2, 2, 2, 2, 2]),
        ("tree", [2, 2, 4, 2, 4, 2, 2]),  # a 4 where the cut is no branch: {0, 1} and {2}
        ("butterfly", [2, 4, 8, 16, 8, 4, 2]),  # all that the lengths allow
    ],
)
def test_depth_one_has_the_cut_ranks_of_its_wiring(wiring, ranks, rng):
    wall, dims = build_wall(WIRINGS[wiring](8), [2] * 8, 1), [2] * 8
    state = network_tensor(orthogonal(wall, rng), wall, dims, "relu").data
    assert cut_ranks(state, dims) == ranks


def smallest_cut(wall, dims, cut):
    """No rank exceeds it: the smallest product of the dimensions of all lines that join two sides.

    The ends of the sites belong to the side they are on, every gate to either: all are tried.
    """
    gates = [pair for column in wall for pair in column.pairs]
    sides = np.array(list(np.ndindex(*[2] * len(gates))))  # (choices, gates)
    lines, last = np.ones(len(sides)), {}
    for k, pair in enumerate(gates):
        for site in pair:
            if site in last:
                lines[sides[:, k] != sides[:, last[site]]] *= dims[site]
            last[site] = k
    for site, k in last.items():
        lines[sides[:, k] != int(site >= cut)] *= dims[site]
    return lines.min()


@every_wall
def test_depth_one_has_the_rank_of_the_smallest_cut(wiring, dims, rng):
    wall = build_wall(WIRINGS[wiring](len(dims)), dims, 1)
    state = network_tensor(orthogonal(wall, rng), wall, dims, "relu").data
    assert cut_ranks(state, dims) == [smallest_cut(wall, dims, cut) for cut in range(1, len(dims))]


def test_depth_two_with_relu_has_a_higher_rank_than_without(rng):
    wall = brick(12, 2)
    columns = random_columns(wall, rng)
    relu, linear = (
        cut_ranks(network_tensor(columns, wall, [2] * 12, sigma).data, [2] * 12)[5]
        for sigma in ("relu", "identity")
    )
    assert linear <= 16 < relu


# --- steps ---------------------------------------------------------------------------------------


def test_steps_show_the_state_after_every_column(rng):
    wall, dims = brick(4, 2), [2] * 4
    columns = random_columns(wall, rng)
    steps, arrays = list(contraction_steps(columns, wall, dims, "tanh")), [c.data for c in columns]
    np.testing.assert_array_equal(steps[0].state.data, np.eye(16)[0])
    np.testing.assert_allclose(
        steps[2].state.data, oracle(arrays[:2], wall[:2], dims, "tanh"), rtol=0, atol=1e-14
    )
    np.testing.assert_allclose(
        steps[3].state.data, np.tanh(steps[2].state.data), rtol=0, atol=1e-14
    )
    np.testing.assert_allclose(
        steps[-1].state.data, oracle(arrays, wall, dims, "tanh"), rtol=0, atol=1e-14
    )


# --- the fast schedule ---------------------------------------------------------------------------


def value_and_gradients(contract, columns, cotangent):
    for column in columns:
        column.grad = None
    value = contract(columns)
    value.backward(cotangent)
    return value.data, [column.grad for column in columns]


def compare_fast_with_plain(num_sites, depth, activation, dtype, tolerance):
    rng, wall = np.random.default_rng([num_sites, depth]), brick(num_sites, depth)
    columns = random_columns(wall, rng, dtype)
    cotangent = rng.normal(size=2**num_sites).astype(dtype)
    plain, plain_grads = value_and_gradients(
        lambda c: network_tensor(c, wall, [2] * num_sites, activation), columns, cotangent
    )
    fast, fast_grads = value_and_gradients(
        lambda c: brick_wall_tensor(*c, num_sites=num_sites, activation=activation),
        columns,
        cotangent,
    )
    for one, other in zip([fast, *fast_grads], [plain, *plain_grads], strict=True):
        assert one.dtype == other.dtype == dtype
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * np.abs(other).max())


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("num_sites", range(3, 14))
def test_fast_equals_plain_at_every_depth(num_sites, activation):
    for depth in (1, 2, 3, 4):
        compare_fast_with_plain(num_sites, depth, activation, np.float64, 1e-11)


@pytest.mark.parametrize("num_sites", [17, 18, 19, 20])
def test_fast_equals_plain_where_it_works_in_blocks(num_sites):
    compare_fast_with_plain(num_sites, 2, "relu", np.float64, 1e-11)


def test_fast_equals_plain_in_single_precision():
    compare_fast_with_plain(15, 3, "leaky_relu", np.float32, 2e-5)
