"""The fast schedule against gate-by-gate and dense contraction, differences and conservation."""

import tracemalloc

import numpy as np
import pytest

from tinyadtn.tensor_networks.fast import wall_windows
from tinyadtn.tensor_networks.fast.fast_wall import peak_floats, tensor_and_backward

SIGMA = {  # value and derivative
    "identity": (lambda x: x, np.ones_like),
    "leaky_relu": (lambda x: np.where(x > 0, x, x / 100), lambda x: np.where(x > 0, 1, 0.01)),
    "relu": (lambda x: np.where(x > 0, x, 0), lambda x: np.where(x > 0, 1, 0)),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
}
HOMOGENEOUS = ["identity", "leaky_relu", "relu"]


def random_wall(num_sites, depth, dtype=np.float64, seed=0):
    rng = np.random.default_rng([seed, num_sites, depth])
    counts = [num_sites // 2, (num_sites - 1) // 2] * depth
    shapes = [(k, 4, 4) if i else (k, 2, 2) for i, k in enumerate(counts)]
    columns = [rng.normal(0, 0.6, shape).astype(dtype) for shape in shapes]
    return columns, rng.normal(size=2**num_sites).astype(dtype)


def full_gates(columns):
    """Every column as (k, 4, 4): a first gate is the column for input 00."""
    first = np.zeros((len(columns[0]), 4, 4), columns[0].dtype)
    first[:, :, 0] = columns[0].reshape(-1, 4)
    return [first, *columns[1:]]


def gate_by_gate(columns, num_sites, activation):
    """T and a function of dL/dT that returns the gradients: one gate at a time, nothing clever."""
    sigma, slope = SIGMA[activation]
    gates = full_gates(columns)
    state = np.zeros(2**num_sites, columns[0].dtype)
    state[0] = 1
    tape = []
    for c, column in enumerate(gates):
        for k, gate in enumerate(column):
            state = state.reshape(2 ** (2 * k + c % 2), 4, -1)
            tape.append((c, k, state))
            state = np.einsum("pq,aqb->apb", gate, state).reshape(-1)
        if c % 2 and c < len(gates) - 1:
            tape.append((None, None, state))
            state = sigma(state).astype(state.dtype)

    def backward(g):
        grads = [np.zeros_like(column) for column in gates]
        for c, k, x in reversed(tape):
            if c is None:
                g = (g.reshape(-1) * slope(x)).astype(x.dtype)
                continue
            g = g.reshape(x.shape)
            grads[c][k] = np.tensordot(g, x, ((0, 2), (0, 2)))
            g = np.einsum("pq,apb->aqb", gates[c][k], g)
        grads[0] = grads[0][:, :, 0].reshape(columns[0].shape)
        return grads

    return state, backward


def assert_close(got, wanted, tolerance):
    assert got.shape == wanted.shape and got.dtype == wanted.dtype
    if wanted.size:
        assert np.abs(got - wanted).max() <= tolerance * np.abs(wanted).max()


@pytest.mark.parametrize("activation", SIGMA)
@pytest.mark.parametrize("num_sites", range(2, 17))
def test_value_and_gradients_equal_gate_by_gate(num_sites, activation):
    for depth in range(1, 5):
        columns, g = random_wall(num_sites, depth)
        expected, expected_backward = gate_by_gate(columns, num_sites, activation)
        tensor, backward = tensor_and_backward(columns, num_sites, activation)
        assert_close(tensor, expected, 1e-11)
        expected_grads = expected_backward(g)
        for grad, wanted in zip(backward(g), expected_grads, strict=True):
            assert_close(grad, wanted, 1e-11)


@pytest.mark.parametrize("block_sites", [6, 9, 11])
@pytest.mark.parametrize("num_sites", range(11, 17))
def test_walls_of_many_small_blocks_equal_gate_by_gate(num_sites, block_sites, monkeypatch):
    monkeypatch.setattr(wall_windows, "BLOCK_SITES", block_sites)
    monkeypatch.setattr(wall_windows, "TAIL_SITES", 9)
    monkeypatch.setattr(wall_windows, "SLAB", 8)
    assert len(wall_windows.window_spans(num_sites)) == 2
    for activation in SIGMA:
        columns, g = random_wall(num_sites, 3)
        expected, expected_backward = gate_by_gate(columns, num_sites, activation)
        tensor, backward = tensor_and_backward(columns, num_sites, activation)
        assert_close(tensor, expected, 1e-11)
        for grad, wanted in zip(backward(g), expected_backward(g), strict=True):
            assert_close(grad, wanted, 1e-11)


@pytest.mark.parametrize("num_sites", [18, 19])
def test_walls_too_large_for_one_block_equal_gate_by_gate(num_sites):
    assert len(wall_windows.window_spans(num_sites)) == 2
    columns, g = random_wall(num_sites, 2)
    expected, expected_backward = gate_by_gate(columns, num_sites, "relu")
    tensor, backward = tensor_and_backward(columns, num_sites, "relu")
    assert_close(tensor, expected, 1e-11)
    for grad, wanted in zip(backward(g), expected_backward(g), strict=True):
        assert_close(grad, wanted, 1e-11)


def wall_away_from_kinks(num_sites, depth, activation):
    """A float32 wall in which rounding moves no number across 0, where relu's slope jumps.

    The larger a wall, the closer to 0 its smallest number, so such walls must be looked for.
    """
    for seed in range(50):
        columns, g = random_wall(num_sites, depth, np.float32, seed)
        wide = [column.astype(np.float64) for column in columns]
        before = [gate_by_gate(wide[: 2 * m], num_sites, activation)[0] for m in range(1, depth)]
        if activation in ("identity", "tanh") or all(
            np.abs(state[state != 0]).min() > 1e-6 * np.abs(state).max() for state in before
        ):
            return columns, wide, g
    raise AssertionError("every one of 50 walls has a number too close to 0")


@pytest.mark.parametrize(
    ("activation", "num_sites"),
    [(name, q) for name in SIGMA for q in (2, 3, 8, 13, 16) if q < 16 or "relu" not in name],
)
def test_float32_stays_float32_and_near_float64(num_sites, activation):
    for depth in range(1, 5):
        columns, wide, g = wall_away_from_kinks(num_sites, depth, activation)
        tensor, backward = tensor_and_backward(columns, num_sites, activation)
        assert tensor.dtype == np.float32
        exact, exact_backward = gate_by_gate(wide, num_sites, activation)
        assert_close(tensor.astype(np.float64), exact, 1e-4)
        for grad, wanted in zip(backward(g), exact_backward(g), strict=True):
            assert grad.dtype == np.float32
            assert_close(grad.astype(np.float64), wanted, 1e-4)


@pytest.mark.parametrize("num_sites", range(2, 9))
def test_equals_dense_kronecker_products(num_sites):
    columns, _ = random_wall(num_sites, 3)
    state = np.eye(2**num_sites)[0]
    for c, column in enumerate(full_gates(columns)):
        idle = (num_sites - c % 2) % 2  # a site without a gate at the right end
        matrix = np.eye(1 + c % 2)
        for gate in column:
            matrix = np.kron(matrix, gate)
        state = np.kron(matrix, np.eye(1 + idle)) @ state
        if c in (1, 3):
            state = np.maximum(state, 0)
    assert_close(tensor_and_backward(columns, num_sites, "relu")[0], state, 1e-12)


@pytest.mark.parametrize("activation", SIGMA)
@pytest.mark.parametrize("num_sites", [2, 5, 9])
def test_gradients_equal_central_differences(num_sites, activation):
    columns, g = random_wall(num_sites, 2)
    _, backward = tensor_and_backward(columns, num_sites, activation)
    step, rng = 1e-6, np.random.default_rng(1)
    for c, grad in enumerate(backward(g)):
        for index in rng.permutation(grad.size)[:12]:
            values = []
            for sign in (1, -1):
                moved = [column.copy() for column in columns]
                moved[c].reshape(-1)[index] += sign * step
                values.append(tensor_and_backward(moved, num_sites, activation)[0] @ g)
            slope = (values[0] - values[1]) / (2 * step)
            assert abs(grad.reshape(-1)[index] - slope) <= 1e-5 * np.abs(grad).max()


@pytest.mark.parametrize("activation", HOMOGENEOUS)
@pytest.mark.parametrize(
    ("num_sites", "depth"), [(2, 3), (7, 4), (8, 1), (12, 2), (15, 3), (18, 2)]
)
def test_every_gate_conserves_the_product_with_its_gradient(num_sites, depth, activation):
    columns, g = random_wall(num_sites, depth)
    tensor, backward = tensor_and_backward(columns, num_sites, activation)
    inside, norm = tensor @ g, np.linalg.norm(tensor) * np.linalg.norm(g)
    for column, grads in zip(columns, backward(g), strict=True):
        for gate, grad in zip(column, grads, strict=True):
            size = np.linalg.norm(gate) * np.linalg.norm(grad)
            assert abs((gate * grad).sum() - inside) <= 1e-12 * (size + norm)


@pytest.mark.parametrize("num_sites", range(1, 27))
def test_windows_hold_every_gate_once_and_never_before_one_it_waits_for(num_sites):
    done = set()
    spans = [span for part in wall_windows.window_spans(num_sites) for span in part]
    for start, stop in spans:
        window = wall_windows.GateWindow(start, stop, [np.zeros((num_sites, 4, 4))] * 2, 1, 1)
        assert stop - start <= 7
        for column, k, inside in window.gates:
            site = start + inside
            assert site == 2 * k + column
            if column:
                assert (0, site - 1) in done
                assert (0, site + 1) in done or site + 2 == num_sites
            assert (column, site) not in done
            done.add((column, site))
    assert done == {(site % 2, site) for site in range(num_sites - 1)}


@pytest.mark.parametrize(("num_sites", "depth"), [(10, 1), (10, 3), (18, 2)])
def test_inputs_cotangent_and_tensor_are_left_alone(num_sites, depth):
    columns, g = random_wall(num_sites, depth)
    for array in (*columns, g):
        array.flags.writeable = False
    tensor, backward = tensor_and_backward(columns, num_sites, "relu")
    before = tensor.copy()
    grads = backward(g[::-1][::-1])
    np.testing.assert_array_equal(tensor, before)
    again, backward = tensor_and_backward(columns, num_sites, "relu")
    again[...] = np.nan  # whoever owns T may overwrite it before backward
    strided = np.repeat(g, 2)[::2]
    for grad, wanted in zip(backward(strided), grads, strict=True):
        assert_close(grad, wanted, 1e-13)
    arrays = [*columns, *grads, g, tensor]
    for i, array in enumerate(arrays):
        assert not any(np.shares_memory(array, other) for other in arrays[:i])


def test_relu_has_slope_zero_at_zero():
    columns, g = random_wall(6, 2)
    columns[1][...] = 0  # every number before the activation is zero
    for activation, factor in [("relu", 0.0), ("leaky_relu", 0.01)]:
        exact = gate_by_gate(columns, 6, "identity")[1](g)[1] * factor
        np.testing.assert_allclose(
            tensor_and_backward(columns, 6, activation)[1](g)[1], exact, rtol=0, atol=1e-14
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("num_sites", "depth"), [(6, 2), (12, 1), (14, 3), (17, 2), (19, 2)])
def test_memory_stays_within_the_bound(num_sites, depth, dtype):
    columns, g = random_wall(num_sites, depth, dtype)
    for activation in SIGMA:
        tensor_and_backward(columns, num_sites, activation)[1](g)
        tracemalloc.start()
        tensor, backward = tensor_and_backward(columns, num_sites, activation)
        backward(g)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        bound = peak_floats(num_sites, depth) * tensor.itemsize + 2**16  # Python's own objects
        assert tensor.nbytes < peak <= bound


def test_the_bound_for_deep_walls_counts_two_states_a_layer():
    assert peak_floats(24, 3) < 5.2 * 2**24
    assert peak_floats(24, 1) < 1.01 * 2**24
