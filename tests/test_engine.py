"""The engine: what backward computes, when a graph dies, and what it holds on to."""

import gc
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyadtn as ta
from tinyadtn.autodiff import engine
from tinyadtn.autodiff.engine import op
from tinyadtn.errors import GraphError, NonFiniteError, ShapeError


def leaf(*values, dtype=np.float64):
    return ta.Tensor(np.array(values, dtype), requires_grad=True)


# --- what backward computes ----------------------------------------------------------------------


@st.composite
def graphs(draw):
    """A list of steps: (operation, first source, second source), sources being earlier results."""
    steps = []
    for k in range(2, draw(st.integers(3, 14))):
        sources = st.integers(0, k - 1)
        steps.append((draw(st.sampled_from("+-*")), draw(sources), draw(sources)))
    return steps


def sum_over_paths(steps, values, target, source):
    """d(target)/d(source): the sum over all paths of the product of the slopes along the path."""
    if target == source:
        return 1.0
    if target < 2:
        return 0.0
    sign, i, j = steps[target - 2]
    slopes = {"+": (1, 1), "-": (1, -1), "*": (values[j], values[i])}[sign]
    return sum(slope * sum_over_paths(steps, values, k, source) for slope, k in zip(slopes, (i, j)))


@given(steps=graphs())
def test_random_graphs_against_the_sum_over_paths(steps):
    x, y = leaf(0.7), leaf(-1.3)
    results = [x, y]
    for sign, i, j in steps:
        a, b = results[i], results[j]
        results.append({"+": a + b, "-": a - b, "*": a * b}[sign])
    results[-1].backward(np.array([2.5]))
    values = [float(r.data[0]) for r in results]
    for k, source in enumerate((x, y)):
        expected = 2.5 * sum_over_paths(steps, values, len(values) - 1, k)
        found = 0.0 if source.grad is None else source.grad[0]
        assert found == pytest.approx(expected, rel=1e-10, abs=1e-10)


@given(counts=st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_gradients_accumulate_over_graphs_until_they_are_cleared(counts):
    x = leaf(1.0, 2.0)
    for n in counts:
        (x * n).backward(np.array([1.0, 10.0]))
    assert x.grad.tolist() == [sum(counts), 10 * sum(counts)]


def test_a_sum_of_gradients_is_a_new_array():
    """``+`` hands one array to both parents; a later ``+=`` for one would change the other's."""
    x, y = leaf(1.0, 1.0), leaf(1.0, 1.0)
    a, b = x * 1, y * 1
    w = a * 2
    z = a + b  # newer than w: a and b hold one array when the share through w comes to a
    (z + w).backward(np.ones(2))
    assert (x.grad.tolist(), y.grad.tolist()) == ([3, 3], [1, 1])


def test_a_gradient_that_someone_kept_or_uses_does_not_change():
    """.grad may be in a live graph of its own, where it is read-only."""
    x = leaf(1.0, 2.0)
    (x * 2).backward(np.ones(2))
    kept = x.grad
    other = leaf(1.0, 1.0) * kept
    (x * 3).backward(np.ones(2))
    assert x.grad.tolist() == [5, 5] and kept.tolist() == [2, 2]
    other.backward(np.ones(2))


def test_many_paths_cost_no_more_than_their_steps():
    """2^100 paths through 100 steps: who walks every path never comes back."""
    x = leaf(1.0)
    y = x
    for _ in range(100):
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**100


def test_two_graphs_that_share_a_leaf_only_may_go_in_any_order():
    x = leaf(3.0)
    first, second = x * x, x * 5
    second.backward(np.array([1.0]))
    first.backward(np.array([1.0]))
    assert x.grad.tolist() == [11]


def test_add_hands_one_array_to_both_and_neither_is_corrupted():
    x, y = leaf(1.0), leaf(1.0)
    z = x + y
    total = z + z + x
    total.backward(np.array([1.0]))
    assert (x.grad.tolist(), y.grad.tolist()) == ([3], [2])


def test_backward_of_a_single_number_starts_from_one():
    for shape in ((), (1,), (1, 1)):
        x = ta.Tensor(np.full(shape, 3.0), requires_grad=True)
        (x * x).backward()
        assert x.grad.shape == shape and x.grad.item() == 6
        assert type(x.grad) is np.ndarray


def test_gradient_of_a_0d_leaf_stays_an_array_when_it_accumulates():
    x = ta.Tensor(np.array(2.0), requires_grad=True)
    for _ in range(3):
        (x * 3.0).backward()
        assert type(x.grad) is np.ndarray and x.grad.shape == ()
    assert x.grad == 9


def test_the_seed_is_neither_kept_nor_changed():
    x, seed = leaf(1.0, 2.0), np.array([3.0, 4.0])
    (x + 0.0).backward(seed)
    seed[:] = 0
    assert x.grad.tolist() == [3, 4]
    x.grad[:] = 7
    assert seed.tolist() == [0, 0]


def address(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("joint", [False, True])
def test_a_new_gradient_is_handed_over_without_a_copy(joint):
    made = []

    @op(joint=joint)
    def double(a):
        def grad_a(g):
            share = 2 * g
            made.append(address(share))
            return [share] if joint else share

        return 2 * a, (lambda g: grad_a(g)) if joint else grad_a

    x = ta.Tensor(np.ones(6), requires_grad=True)
    double(x).backward(np.arange(6.0))
    assert made == [address(x.grad)]
    assert x.grad.tolist() == [0, 2, 4, 6, 8, 10]


# How an op may hand out numbers that are not the leaf's alone, or not as the leaf wants them.
SHARED = {
    "held by the op": lambda kept: kept,
    "a view of what the op holds": lambda kept: kept.reshape(6).reshape(2, 3),
    "a part of something larger": lambda kept: np.vstack([kept, kept])[:2],
    "the other way round in memory": lambda kept: np.asfortranarray(kept),
    "read-only": lambda kept: np.broadcast_to(kept.copy(), kept.shape),
    "with an owner that is read-only": lambda kept: np.frombuffer(kept.tobytes()).reshape(2, 3),
}


@pytest.mark.parametrize("name", SHARED)
def test_a_gradient_that_somebody_knows_or_that_lies_otherwise_is_copied(name):
    kept = np.arange(6.0).reshape(2, 3)

    @op
    def held(a):
        return a * kept, lambda g: SHARED[name](kept)

    x = ta.Tensor(np.ones((2, 3)), requires_grad=True)
    held(x).backward(np.ones((2, 3)))
    assert x.grad.flags.owndata and x.grad.flags.writeable and x.grad.flags.c_contiguous
    x.grad += 1
    np.testing.assert_array_equal(kept, np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(x.grad, kept + 1)


@pytest.mark.parametrize("same", [True, False])
def test_a_gradient_in_another_order_is_handed_over_if_its_leaf_lies_so(same):
    made = []

    @op
    def double(a):
        def grad_a(g):
            share = np.asfortranarray(2 * g)
            made.append(address(share))
            return share

        return 2 * a, grad_a

    data = np.ones((2, 3))
    x = ta.Tensor(np.asfortranarray(data) if same else data, requires_grad=True)
    double(x).backward(data)
    assert (made == [address(x.grad)]) == same
    assert x.grad.flags.f_contiguous == same


def test_one_array_for_two_leaves_is_copied_for_one_of_them_at_least():
    @op(joint=True)
    def both(a, b):
        return a + b, lambda g: [share := g * 1, share]

    x, y = leaf(1.0), leaf(1.0)
    both(x, y).backward()
    x.grad += 1
    assert (x.grad.tolist(), y.grad.tolist()) == ([2], [1])


def test_a_joint_op_computes_all_gradients_in_one_sweep():
    sweeps = []

    @op(joint=True)
    def product(a, b):
        def grads(g):
            sweeps.append(1)
            return [g * b, g * a]

        return a * b, grads

    x, y = leaf(2.0), leaf(5.0)
    product(x, y).backward()
    assert (x.grad.item(), y.grad.item(), len(sweeps)) == (5, 2, 1)


def test_a_gradient_nobody_asked_for_is_not_computed():
    @op
    def product(a, b):
        return a * b, lambda g: g * b, lambda g: pytest.fail("computed in vain")

    x = leaf(2.0)
    product(x, np.array([5.0])).backward()
    assert x.grad.item() == 5


# --- refusals ------------------------------------------------------------------------------------


def test_backward_needs_something_recorded():
    with pytest.raises(GraphError, match="requires_grad"):
        (ta.Tensor([1.0]) * 2).backward()


def test_backward_needs_a_gradient_of_the_right_shape():
    y = leaf(1.0, 2.0) * 1
    with pytest.raises(ShapeError, match=r"\(2,\) needs gradient"):
        y.backward()
    for wrong in (np.ones(3), np.ones((2, 1)), np.float64(1), [[1.0, 1.0]]):
        with pytest.raises(ShapeError, match=r"the tensor has \(2,\)"):
            y.backward(wrong)
    y.backward(np.ones(2))  # a refused call left the graph as it was


@pytest.mark.parametrize("through", ["itself", "a shared part", "a longer graph"])
def test_second_backward_is_refused_and_leaves_grad_alone(through):
    x = leaf(2.0)
    shared = x * 3
    loss = shared * shared
    again = {"itself": loss, "a shared part": shared + x, "a longer graph": (loss + x) * 2}[through]
    loss.backward()
    before = x.grad.copy()
    with pytest.raises(GraphError, match="freed"):
        again.backward()
    np.testing.assert_array_equal(x.grad, before)


# --- how long things live ------------------------------------------------------------------------

DEEP = 50_000


def test_a_deep_chain_needs_no_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(DEEP):
        y = y + x
    y.backward()
    assert x.grad.item() == DEEP + 1


def test_a_deep_chain_dropped_without_backward_needs_no_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(DEEP):
        y = y * x
    assert not x.data.flags.writeable
    del y
    assert x.data.flags.writeable


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def small_network(x, w, labels):
    hidden = ta.relu(x @ w)
    joined = ta.concatenate(hidden, ta.softmax(hidden), hidden[:, [0, 0]], axis=1)
    scores = ta.contract(joined, joined, pattern="ni,mi->nm") + ta.mean(hidden, axis=1)
    return hidden, ta.softmax_cross_entropy(scores, labels=labels) + hidden.max() * 0.1


@pytest.mark.parametrize("end", ["dropped", "backward"])
def test_every_intermediate_dies_with_the_loss(no_collector, rng, end):
    x, w = leaf(*rng.normal(size=(3, 4))), leaf(*rng.normal(size=(4, 2)))
    hidden, loss = small_network(x, w, [0, 1, 2])
    watched = [weakref.ref(thing) for thing in (hidden, hidden.data, loss, loss.data)]
    del hidden
    assert watched[1]() is not None, "the graph needs this array"
    if end == "backward":
        loss.backward()
        assert watched[1]() is None, "backward frees the graph while the loss is still there"
    del loss
    assert [ref() for ref in watched] == [None] * 4
    assert x.data.flags.writeable and w.data.flags.writeable


def test_no_reference_cycles(no_collector, rng):
    x, w = leaf(*rng.normal(size=(3, 4))), leaf(*rng.normal(size=(4, 2)))
    small_network(x, w, [0, 1, 2])[1].backward()  # warm the caches
    gc.collect()
    small_network(x, w, [0, 1, 2])[1].backward()
    small_network(x, w, [0, 1, 2])
    assert gc.collect() == 0


def test_leaves_hold_no_graph():
    x = leaf(1.0)
    before = sys.getrefcount(x)
    y = x * 2
    assert sys.getrefcount(x) > before
    del y
    assert sys.getrefcount(x) == before


# --- threads -------------------------------------------------------------------------------------


def test_threads_that_share_a_parameter_add_up_their_gradients(monkeypatch):
    """Both passes are on their way when neither has written its gradient of w yet."""
    set_gradient = engine._set_gradient
    slowly = lambda tensor, g: (time.sleep(0.05), set_gradient(tensor, g))  # noqa: E731
    monkeypatch.setattr(engine, "_set_gradient", slowly)
    w = leaf(1.0, 2.0)
    w.grad = np.array([10.0, 10.0])
    together = threading.Barrier(2)

    @op
    def meet(a):
        return a * 1, lambda g: together.wait(60) * 0 + g

    def work():
        earlier = meet(leaf(1.0, 1.0))
        (w * earlier).backward(np.ones(2))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert w.grad.tolist() == [12, 12] and w.data.flags.writeable


def test_an_earlier_gradient_that_overflows_the_sum_is_found():
    w = ta.Tensor(np.ones(1, np.float32), requires_grad=True)
    w.grad = np.full(1, 3e38, np.float32)
    with (
        ta.detect_anomaly(),
        np.errstate(over="ignore"),
        pytest.raises(NonFiniteError, match="an earlier one"),
    ):
        (w * np.float32(3e38)).backward()
    assert w.grad[0] == np.float32(3e38)
