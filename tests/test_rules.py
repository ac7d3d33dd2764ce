"""What an op of one's own may receive and return, and the errors for everything else."""

import collections
import functools

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.autodiff.engine import op, unbroadcast
from tinyadtn.errors import DTypeError, GraphError, ShapeError


def leaf(*values, dtype=np.float64):
    return ta.Tensor(np.array(values, dtype), requires_grad=True)


# --- errors of the op itself, and NumPy's --------------------------------------------------------

OWN_WORDS = [
    "shape mismatch: the masks of the two halves differ",
    "all boards must have the same number of rows",
    "an empty sequence has no last note",
]


@pytest.mark.parametrize("words", OWN_WORDS)
@pytest.mark.parametrize("depth", ["in the op", "in a function that it calls", "raised again"])
def test_an_error_that_an_op_raises_itself_stays_as_it_is(words, depth):
    def check():
        raise ValueError(words)

    @op
    def picky(a):
        if depth == "in the op":
            raise ValueError(words)
        try:
            check()
        except ValueError:
            raise

    with pytest.raises(ValueError, match=f"^{words}$") as found:
        picky(leaf(1.0))
    assert type(found.value) is ValueError


SHAPE_FAULTS = {
    "an operator": lambda a: a + np.ones(7),
    "a function": lambda a: np.concatenate([a, np.ones((2, 2))]),
    "a function that NumPy writes in Python": lambda a: np.stack([a, np.ones(7)]),
    "a method": lambda a: a.reshape(7),
    "an assignment": lambda a: a.copy().__setitem__(slice(None), np.ones(7)),
}


@pytest.mark.parametrize("fault", SHAPE_FAULTS)
@pytest.mark.parametrize("handled", [False, True])
def test_an_error_of_numpy_about_shapes_is_a_shape_error(fault, handled):
    @op
    def broken(a):
        try:
            return SHAPE_FAULTS[fault](a), lambda g: g
        except ValueError:
            if handled:
                raise
            raise

    with pytest.raises(ShapeError, match=r"broken of shapes \(3,\): "):
        broken(leaf(1.0, 2, 3))


# --- values and gradients that are not real numbers ----------------------------------------------


@pytest.mark.parametrize("dtype", [complex, np.int64, bool, object, "U3"])
def test_a_value_that_is_not_of_floats_is_refused_by_name(dtype):
    @op
    def odd(a):
        return a.astype(dtype), lambda g: g

    with pytest.raises(DTypeError, match="odd must return floats for floats, it returned"):
        odd(leaf(1.0, 2))


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("dtype", [complex, object])
def test_a_gradient_that_is_not_real_is_refused_by_name(dtype, joint):
    @op(joint=joint)
    def odd(a):
        return a * 2, lambda g: [g.astype(dtype)] if joint else g.astype(dtype)

    x = leaf(1.0, 2)
    with pytest.raises(GraphError, match="odd: the gradient of its argument 1 must be real"):
        odd(x).sum().backward()
    assert x.grad is None


def test_a_gradient_of_booleans_or_other_floats_is_converted():
    @op
    def step(a):
        return a * 1, lambda g: g > 0

    x = leaf(1.0, 2)
    step(x).sum().backward()
    assert x.grad.dtype == np.float64 and x.grad.tolist() == [1, 1]


# --- a VJP that writes into what it gets ----------------------------------------------------------


def write_g(a, g):
    g *= 2
    return g


def write_through_out(a, g):
    return np.multiply(g, 2, out=g)


def write_a_view(a, g):
    g.reshape(-1)[0] = 0
    return g


def write_the_input(a, g):
    a *= 0
    return g


WRITERS = [write_g, write_through_out, write_a_view, write_the_input]


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("write", WRITERS, ids=lambda f: f.__name__)
def test_a_vjp_that_writes_is_refused_by_name(write, joint):
    @op(joint=joint)
    def writer(a):
        return a * 2, lambda g: [write(a, g)] if joint else write(a, g)

    x, y = leaf(1.0, 2), leaf(3.0, 4)
    z = x + y
    with pytest.raises(GraphError, match=r"a VJP of writer writes into g.*g \* 2 instead"):
        (writer(z) + z).sum().backward()
    assert x.grad is None and y.grad is None
    with pytest.raises(GraphError, match="a VJP of writer writes"):
        ta.check_vjp(writer, np.array([1.0, 2]))


def test_other_errors_of_a_vjp_stay_as_they_are():
    @op
    def broken(a):
        def vjp(g):
            raise ValueError("out of luck")

        return a * 1, vjp

    with pytest.raises(ValueError, match="out of luck"):
        broken(leaf(1.0)).backward()


def test_a_vjp_whose_shapes_do_not_fit_is_named():
    @op
    def product(a, b):
        return a @ b, lambda g: g @ b, lambda g: a.T @ g  # the first lacks .T

    x, w = leaf(*np.ones((2, 3))), leaf(*np.ones((3, 4)))
    with pytest.raises(ShapeError, match=r"a VJP of product of shapes \(2, 4\): matmul"):
        product(x, w).sum().backward()


# --- an op that writes into its arguments ---------------------------------------------------------


def scale_in_place(a):
    a *= 2
    return a


def write_through_a_view(a):
    a.reshape(-1)[0] = 0
    return a.copy()


@pytest.mark.parametrize("write", [scale_in_place, write_through_a_view])
def test_an_op_that_writes_into_an_argument_is_refused_by_name(write):
    """Also where no gradient is needed: the array may be the caller's."""

    @op
    def writer(a):
        return write(a), lambda g: g * 2

    x, array = leaf(1.0, 2), np.array([1.0, 2])
    for argument in (x, x + 1, array):
        with pytest.raises(GraphError, match=r"^writer writes into an argument, .* a \* 2 instead"):
            writer(argument)
    assert x.data.tolist() == array.tolist() == [1, 2] and array.flags.writeable


@pytest.mark.parametrize("view_of", [lambda a: a, lambda a: a[::-1], lambda a: a.reshape(1, 2)])
def test_a_result_that_is_a_view_of_an_argument_can_be_written_as_before(view_of):
    @op
    def same(a):
        return view_of(a), lambda g: view_of(g).reshape(2)

    array = np.array([1.0, 2])
    same(array).numpy()[...] = 5
    assert array.tolist() == [5, 5]
    array.setflags(write=False)
    assert not same(array).numpy().flags.writeable


# --- gradients and values of the wrong shape or type ----------------------------------------------


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


def test_an_op_that_returns_a_gradient_itself_is_told_what_cannot_be_called():
    @op
    def eager(a):
        return a * 2, np.full_like(a, 2)

    with pytest.raises(TypeError, match=r"of which ndarray cannot be called"):
        eager(leaf(1.0))


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


class OfAnotherLibrary:
    dtype = "float32"


@pytest.mark.parametrize("value", [2.0, [2.0], None, OfAnotherLibrary()])
def test_a_value_that_is_no_array_is_refused_by_name(value):
    @op
    def careless(a):
        return value, lambda g: g

    with pytest.raises(TypeError, match="careless must return an array as its value, got "):
        careless(leaf(1.0))


@pytest.mark.parametrize("kind", [list, collections.deque, collections.UserList])
def test_a_list_that_changes_after_the_call_does_not_change_the_gradient(kind):
    @op
    def scaled(a, *, factors):
        return a * factors[0], lambda g: g * factors[0]

    x, factors = ta.Tensor([1.0, 2.0], requires_grad=True), kind([3.0, 4.0])
    loss = scaled(x, factors=factors).sum()
    factors[0] = 100.0
    loss.backward()
    np.testing.assert_array_equal(x.grad, [3, 3])


def test_an_array_in_a_deque_is_protected_as_in_a_list():
    @op
    def scaled(a, *, factors):
        return a * factors[0], lambda g: g * factors[0]

    x, factor = leaf(1.0, 2), np.array([3.0, 4])
    y = scaled(x, factors=collections.deque([factor], maxlen=1))
    with pytest.raises(ValueError, match="read-only"):
        factor[0] = 9
    y.sum().backward()
    assert x.grad.tolist() == [3, 4] and factor.flags.writeable


def test_a_partial_function_and_a_callable_object_become_ops():
    def scaled(a, *, by):
        return a * by, lambda g: g * by

    class Doubled:
        def __call__(self, a):
            return scaled(a, by=2)

    for function in (functools.partial(scaled, by=2), Doubled()):
        x = ta.Tensor([1.0, 2.0], requires_grad=True)
        ta.op(function)(x).backward([1.0, 3.0])
        assert x.grad.tolist() == [2, 6]
    for wrong in (True, "double"):
        with pytest.raises(TypeError, match="op decorates a function, got"):
            ta.op(wrong)


def test_backward_of_what_no_grad_computed_says_why():
    x = ta.Tensor([1.0], requires_grad=True)
    with ta.no_grad():
        loss = x * 2
    with pytest.raises(GraphError, match=r"nothing to differentiate: .* under no_grad\(\)"):
        loss.backward()
