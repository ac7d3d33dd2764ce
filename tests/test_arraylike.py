"""A tensor as an array: printing, numbers, what may be assigned to it, copies and pickles."""

import copy
import math
import pickle

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.autodiff.shape_only import ShapeOnly
from tinyadtn.errors import DTypeError, GraphError, ShapeError


def leaf(*values, dtype=np.float64):
    return ta.Tensor(np.array(values, dtype), requires_grad=True)


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
        with pytest.raises(ShapeError, match=r"one element, got shape \(2,\)"):
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
    "what a VJP returns": lambda m: ta.op(lambda a: (a * 1, lambda g: m))(leaf(1.0, 2.0)).backward(
        np.ones(2)
    ),
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
def test_a_graph_is_not_copied(way):
    with pytest.raises(GraphError, match="multiply is a part of one"):
        COPIES[way]((leaf(1.0) * 2).node)


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


@pytest.mark.parametrize("compare", [np.array_equal, np.array_equiv, np.allclose, np.isclose])
def test_functions_of_numpy_that_compare_see_the_values_of_parameters(compare):
    x, values = leaf(1.0, 2.0), np.array([1.0, 2.0])
    for pair in [(x, x), (x, values), (values, x), (x, leaf(1.0, 2.0))]:
        assert np.all(compare(*pair))
    assert not np.all(compare(x, leaf(1.0, 3.0)))


def test_other_functions_of_numpy_are_as_before():
    x, constant = leaf(1.0, 2.0), ta.Tensor(np.array([1.0, 2.0]))
    with pytest.raises(GraphError, match="would lose this tensor's gradient"):
        np.where([True, False], x, 0)
    assert np.where([True, False], constant, 0).tolist() == [1, 0]
    assert np.shape(x) == (2,) and np.ndim(x) == 1
    assert np.transpose(x).requires_grad


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


def test_a_gradient_is_not_added_to_one_of_another_shape():
    """An array of shape (3,) and the next gradient, of shape (1,), were added."""
    w = ta.Tensor(np.ones(3), requires_grad=True)
    (w * w).sum().backward()
    w.data = np.full(1, 2.0)
    with pytest.raises(GraphError, match=r"gradient \(3,\) .* has shape \(1,\) now: set its grad"):
        (w * w).sum().backward()
    w.grad = None
    (w * w).sum().backward()
    np.testing.assert_array_equal(w.grad, [4.0])
