"""The engine: what backward computes, when a graph dies, and what it holds on to."""

import copy
import gc
import math
import pickle
import sys
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyadtn as ta
from tinyadtn.autodiff.arrays import ShapeOnly
from tinyadtn.autodiff.engine import op, unbroadcast
from tinyadtn.errors import DTypeError, GraphError, ShapeError


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


@pytest.mark.parametrize(
    ("given_shape", "shape"),
    [((3, 2), (2, 3)), ((6,), (2, 3)), ((2,), (2, 3)), ((3,), (3, 1)), ((4, 3), (2, 3))],
)
def test_a_gradient_of_the_wrong_shape_is_refused_not_reshaped(given_shape, shape):
    """(3, 2) for (2, 3): a forgotten transposition, which would pass as wrong numbers."""
    with pytest.raises((GraphError, ShapeError)) as refusal:
        unbroadcast(np.ones(given_shape), shape)
    assert str(shape) in str(refusal.value) and str(given_shape) in str(refusal.value)


@pytest.mark.parametrize("joint", [False, True])
def test_an_op_that_lacks_a_gradient_is_refused_by_name(joint):
    @op(joint=joint)
    def forgetful(a, b):
        return (a * b, lambda g: g, *([lambda g: g] if joint else []))

    with pytest.raises(TypeError, match=r"forgetful must return .* for 2 arrays it returned"):
        forgetful(leaf(1.0), leaf(2.0))


@pytest.mark.parametrize(
    ("vjp", "said"),
    [
        (lambda g: None, "must be an array, its VJP returned None; is a return missing"),
        (lambda g: [1.0, 2.0], r"must be an array, .* returned \[1.0, 2.0\]"),
        (lambda g: 2.0, "must be an array, .* returned 2.0"),
        (ta.Tensor, "must be an array, .* returned Tensor"),
        (lambda g: np.ones((3, 1)), r"does not fit: .* \(3, 1\) .* \(2,\)"),
        (lambda g: np.ones(3), r"does not fit: .* \(3,\) for an input of shape \(2,\)"),
    ],
)
@pytest.mark.parametrize("joint", [False, True])
def test_a_gradient_that_is_none_is_refused_by_name(vjp, said, joint):
    @op(joint=joint)
    def careless(a, b):
        return a * b, *([lambda g: [g * b, vjp(g)]] if joint else [lambda g: g * b, vjp])

    for x, y in ((leaf(1.0, 2.0), leaf(1.0, 2.0)), (leaf(1.0, 2.0) * 1, leaf(1.0, 2.0) * 1)):
        with pytest.raises(GraphError, match=f"careless: the gradient of its argument 2 {said}"):
            careless(x, y).sum().backward()


@pytest.mark.parametrize("shares", [None, [1], np.ones(2)])
def test_a_joint_op_gives_a_list_of_all_gradients(shares):
    @op(joint=True)
    def careless(a, b):
        return a * b, lambda g: shares

    with pytest.raises(GraphError, match=r"careless is joint: .* list of 2 gradients, got "):
        careless(leaf(1.0, 2.0), leaf(1.0, 2.0)).sum().backward()


@pytest.mark.parametrize("value", [2.0, [2.0], None])
def test_a_value_that_is_no_array_is_refused_by_name(value):
    @op
    def careless(a):
        return value, lambda g: g

    with pytest.raises(TypeError, match="careless must return an array as its value, got "):
        careless(leaf(1.0))


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


def test_assignment_into_a_tensor_is_refused():
    x = leaf(1.0, 2.0)
    with pytest.raises(GraphError, match=r"ta\.where"):
        x[0] = 5.0


def test_numpy_may_not_take_a_gradient_away_in_silence():
    x = leaf(1.0, 2.0)
    with pytest.raises(GraphError, match="numpy"):
        np.asarray(x)
    assert np.asarray(x.detach()).tolist() == x.numpy().tolist() == [1, 2]
    for function in (np.exp, np.log, np.tanh, np.absolute, np.maximum):
        name, more = function.__name__, () if function is not np.maximum else (np.ones(2),)
        with pytest.raises(TypeError, match=rf"write ta\.{name}\(x\) for np\.{name}\(x\)"):
            function(x, *more)
    with pytest.raises(TypeError, match=r"NumPy knows no gradients: write np\.sinh\(x\.numpy"):
        np.sinh(x)
    with pytest.raises(TypeError, match=r"write a = a \+ x"):
        np.add(np.ones(2), x, out=np.ones(2))
    y = np.multiply(np.array([3.0, 4.0]), x)
    y.backward(np.ones(2))
    assert x.grad.tolist() == [3, 4]
    x.grad = None
    for function in (np.sum, np.mean, np.max, np.min):
        name = function.__name__.removeprefix("a")  # amax, once
        with pytest.raises(TypeError, match=rf"write ta\.{name}\(x\) for np\.{name}\(x\)"):
            function(x)


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


# --- the tensor as a thing -----------------------------------------------------------------------


def test_a_tensor_shows_what_it_is():
    x = ta.Tensor([[1.0, 2.0]], requires_grad=True)
    assert repr(x) == "Tensor([[1., 2.]], float32)"
    assert repr(x * 2) == "Tensor([[2., 4.]], float32, from multiply)"
    assert (x.shape, x.ndim, x.size, len(x)) == ((1, 2), 2, 2, 1)
    assert (x * 2)[0, 1].item() == 4.0


def test_one_number_is_a_float_and_is_formatted_as_one():
    loss = leaf(0.25, 1.0).sum()
    loss.backward()
    assert (float(loss), f"{loss:.3f}", f"{loss}") == (1.25, "1.250", str(loss))
    for ask in (float, ta.Tensor.item, "{:.3f}".format):
        with pytest.raises(ShapeError, match=r"a tensor \(2,\) is no single number"):
            ask(ta.Tensor([0.25, 1.0]))


@pytest.mark.parametrize("ask", [math.exp, float, math.floor, complex, math.sqrt])
def test_a_number_that_loses_a_gradient_comes_with_a_warning(ask):
    x = leaf(2.0)
    for tensor in (x, x * 1):
        with pytest.warns(UserWarning, match=r"lose the gradient .* ta\.exp\(x\).*x\.item\(\)"):
            assert ask(tensor) == ask(2.0)
    with ta.no_grad():
        ask(x)
    loss = x * x
    loss.backward()
    assert ask(loss) == ask(4.0) and ask(x.detach()) == ask(2.0)
    with pytest.raises(TypeError):
        int(x)  # neither int() nor an index reads a tensor
    with pytest.raises(TypeError):
        [1, 2][x]


# --- every door through which an array comes in --------------------------------------------------


def give_requires_grad(array):
    x = ta.Tensor(array)
    x.requires_grad = True
    return x


def give_data(array):
    x = leaf(0.0)
    x.data = array
    return x


DOORS = {
    "constructor": lambda array: ta.Tensor(array, requires_grad=True),
    "requires_grad": give_requires_grad,
    "data": give_data,
    "tensor": lambda array: ta.Tensor(ta.Tensor(array), requires_grad=True),
}


@pytest.mark.parametrize("door", DOORS)
def test_only_floats_require_a_gradient_at_every_door(door):
    for array in (np.arange(1, 4), np.array([True]), np.int64(3)):
        with pytest.raises(
            DTypeError, match=r"only floats can require a gradient, got (int64|bool)"
        ):
            DOORS[door](array)
    assert DOORS[door]([1, 2]).dtype == np.float32  # Python's numbers are floats everywhere


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("door", DOORS)
def test_a_parameter_owns_its_array_at_every_door(door, dtype):
    whole = np.zeros((2, 3), dtype)
    for w0 in (whole, whole[1], whole.T, np.asfortranarray(whole), whole[0, :1].reshape(())):
        a, b = DOORS[door](w0), DOORS[door](w0)
        assert a.data.strides == w0.strides or w0.base is not None
        (a - 1).sum().backward()
        ta.SGD([a], 0.1).step()
        assert a.data.any() and not w0.any() and not b.data.any()
        w0 += 0


def test_a_change_in_place_does_not_copy_a_parameter():
    x = leaf(1.0, 2.0)
    array = x.data
    x.data -= 1
    assert x.data is array and array.tolist() == [0, 1]
    x.requires_grad = True
    assert x.data is array


def test_an_array_that_is_assigned_without_a_gradient_is_shared():
    x, array = ta.Tensor([1.0]), np.zeros(3)
    x.data = array
    assert x.data is array
    x.data = ta.Tensor([5.0])
    assert type(x.data) is np.ndarray


def test_an_assigned_gradient_fits_its_tensor():
    x = ta.Tensor([1.0, 2.0], requires_grad=True)
    given = np.array([1, 2])
    for gradient in (given, [1.0, 2.0], ta.Tensor(given), given.astype(float)):
        x.grad = gradient
        assert x.grad.dtype == np.float32 and x.grad.tolist() == [1, 2]
        x.grad[0] = 5
        assert given[0] == 1
    for wrong in (0, np.ones(3), np.ones((2, 1))):
        with pytest.raises(ShapeError, match=r"\(2,\).*assign None to clear it"):
            x.grad = wrong
    array = x.grad
    x.grad *= 2
    assert x.grad is array
    x.grad = None
    assert x.grad is None


MASKED = np.ma.array([1.0, 2.0], mask=[True, False])
MASK_DOORS = {
    "tensor": ta.Tensor,
    "list": lambda m: ta.Tensor([m, m]),
    "list in a list": lambda m: ta.Tensor([[m]]),
    "argument": lambda m: leaf(1.0) * m,
    "left argument": lambda m: m * leaf(1.0),
    "list as argument": lambda m: leaf(1.0) * [m, m],
    "condition": lambda m: ta.where(m > 1, leaf(1.0), 0.0),
    "list as condition": lambda m: ta.where([np.ma.array([True], mask=[True])], leaf(1.0), 0.0),
    "labels": lambda m: ta.softmax_cross_entropy(np.eye(2), labels=m.astype(int)),
    "labels of accuracy": lambda m: ta.accuracy(np.eye(2), m.astype(int)),
    "logits of accuracy": lambda m: ta.accuracy(m, [0]),
    "index": lambda m: leaf(1.0, 2.0)[m.astype(int)],
    "index in a tuple": lambda m: leaf([1.0, 2.0])[0, m > 1],
    "statistics": lambda m: ta.batch_norm(
        np.ones((1, 2, 1, 1)), [1.0, 1.0], [0.0, 0.0], mean=m, variance=m
    ),
    "gradient": lambda m: (leaf(1.0, 2.0) * 1).backward(m),
    "data": give_data,
    "grad": lambda m: setattr(leaf(1.0, 2.0), "grad", m),
    "check_vjp": lambda m: ta.check_vjp(ta.exp, m),
}


@pytest.mark.parametrize("door", MASK_DOORS)
def test_a_mask_is_rejected_at_every_door(door):
    with pytest.raises(DTypeError, match=r"a masked array would lose its mask; fill it"):
        MASK_DOORS[door](MASKED)


# --- copies and pickles --------------------------------------------------------------------------

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {k}": lambda x, k=k: pickle.loads(pickle.dumps(x, k))
        for k in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
}


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_copy_has_the_same_values_in_memory_of_its_own(way, requires_grad):
    for values in (np.arange(6.0).reshape(2, 3), np.float32(2), np.asfortranarray(np.eye(3, 2))):
        x = ta.Tensor(values, requires_grad=requires_grad)
        if requires_grad:
            (x * 3).sum().backward()
        y = COPIES[way](x)
        assert (y.dtype, y.requires_grad, y.node) == (x.dtype, requires_grad, None)
        np.testing.assert_array_equal(y.data, x.data)
        assert y.data.flags.owndata and y.data.flags.writeable
        assert not np.shares_memory(x.data, y.data)
        assert y.grad is None


@pytest.mark.parametrize("way", COPIES)
def test_a_tensor_with_a_graph_is_not_copied(way):
    loss = (leaf(1.0) * 2).sum()
    for _ in range(2):
        with pytest.raises(GraphError, match=r"copied or pickled: take x\.detach\(\).*numpy"):
            COPIES[way](loss)
        if loss.node.vjps:
            loss.backward()
    assert COPIES[way](loss.detach()).item() == 2


@pytest.mark.parametrize("way", COPIES)
def test_a_shape_without_values_stays_one(way):
    for shape in ((1000, 1000), (1,), (3, 1)):
        model = ta.Linear(shape[-1], shape[0], rng=None)
        y = COPIES[way](model.weight)
        assert y.shape == model.weight.shape and isinstance(y.data, ShapeOnly)


def test_abs_is_the_op():
    x = leaf(-2.0, 3.0)
    abs(x).backward(np.ones(2))
    assert x.grad.tolist() == [-1, 1]


def test_comparisons_are_plain_booleans_and_hash_is_identity():
    x, y = leaf(1.0, 2.0), leaf(2.0, 2.0)
    for found, expected in [
        (x < y, [True, False]),
        (x <= 1.5, [True, False]),
        (x < 1.5, [True, False]),
        (np.array([1.0, 3.0]) >= x, [True, True]),
        (x == y, [False, True]),
        (x != y, [True, False]),
    ]:
        assert type(found) is np.ndarray and found.tolist() == expected
    assert len({x, y, x}) == 2


def test_iteration_goes_over_the_first_axis_and_0d_has_none():
    x = leaf([1.0, 2.0], [3.0, 4.0])
    rows = [row.data.tolist() for row in x]
    assert rows == [[1, 2], [3, 4]]
    first, second = x
    (first * second).backward(np.ones(2))
    assert x.grad.tolist() == [[3, 4], [1, 2]]
    with pytest.raises(TypeError):
        list(ta.Tensor(3.0))


def test_truth_is_that_of_the_number_inside():
    assert not ta.Tensor([0.0]) and not ta.Tensor(0.0) and ta.Tensor(2.0)
    with pytest.raises(ValueError, match="ambiguous"):
        bool(ta.Tensor([1.0, 1.0]))


def test_tensor_of_tensor_and_detach_are_cut_off():
    x = leaf(1.0)
    for cut in (ta.Tensor(x * 2), (x * 2).detach()):
        assert not cut.requires_grad and cut.node is None
