"""What holds for every op: one test for each promise, one row of the table for each case."""

import numpy as np
import pytest
from op_refusals import REFUSED
from op_table import BOTH, ROWS, STRETCHED, first_positive

import tinyadtn as ta
from tinyadtn.autodiff.gradcheck import check_vjp
from tinyadtn.errors import DTypeError, GraphError, ShapeError

EVERY_OP = pytest.mark.parametrize("row", ROWS, ids=str)
BREAKS_AT_INFINITY = {
    *("softmax", "log_softmax", "softmax_cross_entropy", "binary_cross_entropy_with_logits"),
    *("tanh", "sin", "cos"),
}
METHOD = {"linear": "linear", "additive": "smooth", "smooth": "smooth", "piecewise": "piecewise"}


def cotangent_for(row, seed=1):
    shape = np.shape(row.reference(*row.draw(), **row.options))
    return np.asarray(np.random.default_rng(seed).normal(size=shape))


def gradients(row, arrays, cotangent):
    """The value and the gradient of every argument."""
    inputs = [ta.Tensor(a, requires_grad=True) for a in arrays]
    value = row(*inputs)
    value.backward(cotangent)
    return value, [x.grad for x in inputs]


def test_the_rows_cannot_hide_a_transposition():
    for row in ROWS:
        for shape in row.shapes if row.case != "diagonal" else ():
            assert len(set(shape)) == len(shape), f"{row}: {shape} has two equal lengths"


@EVERY_OP
def test_forward_equals_the_reference(row):
    arrays = row.draw()
    expected = row.reference(*arrays, **row.options)
    value = row(*arrays)
    assert value.shape == np.shape(expected)
    np.testing.assert_allclose(value.data, expected, rtol=1e-12, atol=1e-12)


@EVERY_OP
def test_forward_in_float32_stays_float32(row):
    value = row(*row.draw(dtype=np.float32))
    expected = row.reference(*row.draw(), **row.options)
    assert value.dtype == np.float32
    np.testing.assert_allclose(value.data, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


@EVERY_OP
def test_gradient_agrees_with_difference_quotients(row):
    check_vjp(row, *row.draw(), method=METHOD[row.kind])


@pytest.mark.parametrize("row", [r for r in ROWS if r.kind in ("linear", "additive")], ids=str)
def test_adjoint_identity(row):
    """⟨g, f(x)⟩ = ⟨vjp(g), x⟩, for each argument or (additive) for all of them together."""
    arrays, g = row.draw(), cotangent_for(row)
    value, grads = gradients(row, arrays, g)
    forward = np.vdot(g, value.data)
    backward = [np.vdot(grad, a) for grad, a in zip(grads, arrays)]
    scale = np.linalg.norm(g) * np.linalg.norm(value.data)
    for product in backward if row.kind == "linear" else [sum(backward)]:
        assert abs(product - forward) <= 1e-11 * scale


@EVERY_OP
def test_float32_gradient_is_close_to_the_float64_one(row):
    g = cotangent_for(row)
    _, exact = gradients(row, row.draw(), g)
    _, rough = gradients(row, row.draw(dtype=np.float32), g)
    for a, b in zip(rough, exact):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4 * np.abs(b).max())


@pytest.mark.parametrize("row", [row for row in ROWS if len(row.shapes) > 1], ids=str)
@pytest.mark.parametrize("narrow", [0, 1])
def test_mixed_dtypes_promote_and_each_gradient_is_cast_back(row, narrow):
    arrays, g = row.draw(), cotangent_for(row)
    arrays[narrow] = arrays[narrow].astype(np.float32)
    value, grads = gradients(row, arrays, g)
    wide_value, wide = gradients(row, [a.astype(np.float64) for a in arrays], g)
    assert value.dtype == np.float64
    np.testing.assert_allclose(value.data, wide_value.data, rtol=1e-12, atol=1e-12)
    for k, (a, b) in enumerate(zip(grads, wide)):
        assert a.dtype == arrays[k].dtype
        np.testing.assert_allclose(
            a, b, rtol=0, atol=(1e-6 if k == narrow else 1e-12) * np.abs(b).max()
        )


@EVERY_OP
def test_arguments_without_requires_grad_are_skipped(row):
    """Each argument alone as the only leaf: its gradient is the same, the others get none."""
    arrays, g = row.draw(), cotangent_for(row)
    _, together = gradients(row, arrays, g)
    for k, expected in enumerate(together):
        inputs = [ta.Tensor(a, requires_grad=j == k) for j, a in enumerate(arrays)]
        row(*inputs).backward(g)
        np.testing.assert_array_equal(inputs[k].grad, expected)
        assert all(x.grad is None for x in inputs if x is not inputs[k])


@EVERY_OP
def test_nothing_given_is_changed(row):
    arrays, g = row.draw(), cotangent_for(row)
    before = [a.copy() for a in [*arrays, g]]
    gradients(row, arrays, g)
    for a, b in zip([*arrays, g], before):
        np.testing.assert_array_equal(a, b)


@EVERY_OP
def test_gradients_own_their_buffers(row):
    arrays, g = row.draw(), cotangent_for(row)
    value, grads = gradients(row, arrays, g)
    others = [*arrays, g, value.data, *(o for o in row.options.values() if np.ndim(o))]
    for k, grad in enumerate(grads):
        assert type(grad) is np.ndarray and grad.flags.writeable
        for other in [*others, *grads[:k]]:
            assert not np.shares_memory(grad, np.asarray(other))
        grad += 1  # the true test of ownership: nobody notices


@pytest.mark.parametrize("row", [r for r in ROWS if r.shapes in (BOTH, STRETCHED)], ids=str)
def test_same_array_in_both_places(row):
    """f(x, x): the gradient is the sum of the gradients of both places."""
    a = first_positive(np.random.default_rng(0), (2, 3), 0)
    x = ta.Tensor(a, requires_grad=True)
    value = row(x, x)
    g = np.asarray(np.random.default_rng(1).normal(size=value.shape))
    value.backward(g)
    _, separate = gradients(row, [a, a.copy()], g)
    np.testing.assert_allclose(x.grad, separate[0] + separate[1], rtol=1e-13)


def test_a_matrix_times_its_own_transpose(rng):
    a, g = rng.normal(size=(2, 3)), rng.normal(size=(2, 2))
    x = ta.Tensor(a, requires_grad=True)
    (x @ x.T).backward(g)
    np.testing.assert_allclose(x.grad, (g + g.T) @ a, rtol=1e-13)


@pytest.mark.parametrize("row", [row for row in ROWS if row.empty], ids=str)
def test_zero_size_arrays(row):
    arrays = row.draw(shapes=row.empty)
    expected = row.reference(*arrays, **row.options)
    cotangent = np.ones(np.shape(expected))
    value, grads = gradients(row, arrays, cotangent)
    np.testing.assert_array_equal(value.data, expected)
    assert [g.shape for g in grads] == [a.shape for a in arrays]


@EVERY_OP
@pytest.mark.filterwarnings("ignore:invalid value|Mean of empty|divide by zero")  # the reference's
def test_a_zero_in_any_place_is_computed_or_refused(row):
    """Never a number that the reference does not have, and never NumPy's own words."""
    for k, shape in enumerate(row.shapes):
        for axis in range(len(shape)):
            shapes = [list(s) for s in row.shapes]
            shapes[k][axis] = 0
            arrays = [np.zeros(s) for s in shapes]
            try:
                value = row(*arrays)
            except (ShapeError, IndexError):
                continue
            assert value.shape == np.shape(row.reference(*arrays, **row.options))
            _, grads = gradients(row, arrays, np.ones(value.shape))
            assert [g.shape for g in grads] == [a.shape for a in arrays]
            assert value.size or not any(g.any() for g in grads)


@EVERY_OP
@pytest.mark.parametrize("intruder", [np.nan, np.inf, -np.inf])
@pytest.mark.filterwarnings("ignore:invalid value|divide by zero|overflow:RuntimeWarning")
def test_what_is_not_finite_goes_where_numpy_says(row, intruder):
    for k in range(len(row.shapes)):
        arrays = row.draw()
        arrays[k].flat[0] = intruder
        value = row(*arrays).data
        expected = row.reference(*arrays, **row.options)
        if row.name in BREAKS_AT_INFINITY:
            # The textbook formula breaks at infinity, so only NaN can be compared.
            if np.isnan(intruder):
                np.testing.assert_array_equal(np.isnan(value), np.isnan(expected))
        elif row.name in ("contract", "conv2d", "conv_transpose2d"):
            # inf - inf depends on the order of summation: inf or NaN, but never a number.
            np.testing.assert_array_equal(np.isfinite(value), np.isfinite(expected))
        else:
            np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("function", "arguments", "options", "error", "words"),
    [case[1:] for case in REFUSED],
    ids=[f"{case[0]}{k}" for k, case in enumerate(REFUSED)],
)
def test_what_does_not_fit_is_refused(function, arguments, options, error, words):
    with pytest.raises(error, match=words):
        function(*arguments, **options)


SCALAR = ta.Tensor(0.5, requires_grad=True)
IMAGES = ta.Tensor(np.ones((2, 1, 2, 2)), requires_grad=True)
LOST = {
    "leaky_relu": lambda o: ta.leaky_relu([1.0, -1.0], slope=o),
    "clip": lambda o: ta.clip([1.0, -1.0], min=o),
    "pad": lambda o: ta.pad([1.0], pad_width=1, value=o),
    "where": lambda o: ta.where(o, [1.0], [2.0]),
    "soft labels": lambda o: ta.binary_cross_entropy_with_logits([0.1], labels=o.reshape(1)),
    "batch_norm": lambda o: ta.batch_norm(IMAGES, [1.0], [0.0], mean=o.reshape(1), variance=[1.0]),
    "index": lambda o: IMAGES[o],
    "in a tuple": lambda o: IMAGES[0, o],
}


@pytest.mark.parametrize("call", LOST.values(), ids=LOST)
def test_an_option_that_requires_a_gradient_is_rejected_because_it_would_get_none(call):
    with pytest.raises(GraphError, match=r"option has no gradient.*x\.detach\(\)"):
        call(SCALAR)


def test_a_constant_option_may_be_a_tensor():
    labels = ta.Tensor([[0.5]], requires_grad=True)
    for given in (labels.detach(), labels.numpy()):
        ta.binary_cross_entropy_with_logits([[0.1]], labels=given)
    with ta.no_grad():
        ta.binary_cross_entropy_with_logits([[0.1]], labels=labels)


@pytest.mark.parametrize("start", [3, -4, 1.0, None])
def test_flatten_begins_at_an_axis(start):
    with pytest.raises((ShapeError, TypeError), match="axis"):
        ta.Tensor(np.zeros((2, 3, 4))).flatten(start)


def test_whole_numbers_are_padded_with_the_value_and_not_with_what_is_left_of_it():
    labels = np.array([7, 8], np.uint8)
    assert ta.pad(labels, pad_width=1).data.tolist() == [0, 7, 8, 0]
    assert ta.pad(labels, pad_width=1).dtype == np.uint8
    assert ta.pad(labels, pad_width=1, value=0.5).data.tolist() == [0.5, 7, 8, 0.5]
    assert ta.pad(np.array([True]), pad_width=1, value=7).data.tolist() == [7, 1, 7]
    for value in (-1, 300):
        with pytest.raises(DTypeError, match=f"{value} does not fit into uint8"):
            ta.pad(labels, pad_width=1, value=value)


def test_leaky_relu_of_whole_numbers_keeps_its_slope():
    np.testing.assert_allclose(ta.leaky_relu(np.array([-100, 3])).data, [-1, 3])


def test_an_empty_list_picks_nothing():
    x = ta.Tensor(np.ones((3, 2)), requires_grad=True)
    x[[]].sum().backward()
    assert x[[]].shape == (0, 2)
    np.testing.assert_array_equal(x.grad, np.zeros((3, 2)))


# --- single ops ----------------------------------------------------------------------------------


def gradient_of(function, *arrays, g=1.0):
    inputs = [ta.Tensor(a, requires_grad=True) for a in arrays]
    value = function(*inputs)
    value.backward(np.full(value.shape, g))
    return [x.grad.tolist() for x in inputs]


@pytest.mark.parametrize(
    ("a", "expected"),
    [
        ([2.0, 3.0], [3, 2]),
        ([0.0, 3.0, 5.0], [15, 0, 0]),
        ([0.0, 3.0, 0.0], [0, 0, 0]),
        ([7.0], [1]),
    ],
)
def test_the_gradient_of_a_product_is_the_product_of_the_others(a, expected):
    assert gradient_of(ta.prod, a) == [expected]


def test_where_nothing_varies_the_gradients_of_std_and_norm_are_zero():
    assert gradient_of(ta.std, [2.0, 2.0, 2.0]) == gradient_of(ta.norm, [0.0, 0.0, 0.0])
    assert gradient_of(ta.norm, [0.0, 0.0, 0.0]) == [[0, 0, 0]]


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_no_square_of_a_norm_overflows_or_vanishes(scale):
    x = ta.Tensor([3 * scale, 4 * scale], requires_grad=True)
    value = ta.norm(x)
    value.backward()
    assert value.item() == pytest.approx(5 * scale)
    np.testing.assert_allclose(x.grad, [0.6, 0.8], rtol=1e-6)


def test_clip_passes_the_gradient_at_its_bounds_and_a_nan():
    x = ta.Tensor([-3.0, -1.0, 0.0, 1.0, 3.0, np.nan], requires_grad=True)
    y = ta.clip(x, min=-1, max=1)
    y.backward(np.ones(6))
    np.testing.assert_array_equal(y.data, [-1, -1, 0, 1, 1, np.nan])
    assert x.grad.tolist() == [0, 1, 1, 1, 0, 1]


def test_logsumexp_of_nothing_but_minus_infinity():
    x = ta.Tensor([[-np.inf, -np.inf], [-np.inf, 0.0]], requires_grad=True)
    y = ta.logsumexp(x, axis=1)
    assert y.data.tolist() == [-np.inf, 0]
    y.sum().backward()
    assert x.grad.tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gap", [1e-8, 1.0, 20.0, 80.0])
def test_binary_cross_entropy_keeps_its_digits_where_the_prediction_is_sure(gap, dtype):
    """Against softmax_cross_entropy of (0, a), which is the same with two logits."""
    for a, label in [(gap, 1), (gap, 0), (-gap, 1), (-gap, 0)]:
        x, y = (ta.Tensor(np.array([[v]], dtype), requires_grad=True) for v in (a, a))
        loss = ta.binary_cross_entropy_with_logits(x, labels=[[label]])
        both = ta.concatenate(np.zeros((1, 1), dtype), y, axis=1)
        expected = ta.softmax_cross_entropy(both, labels=[label])
        loss.backward()
        expected.backward()
        ulp = np.finfo(dtype).eps
        np.testing.assert_allclose(loss.data, expected.data, rtol=8 * ulp)
        np.testing.assert_allclose(x.grad, y.grad, rtol=(8 + gap) * ulp)


def test_arrays_to_join_may_be_given_as_a_list():
    x, y = ta.Tensor([1.0, 2.0], requires_grad=True), np.array([3.0, 4.0])
    for function in (ta.concatenate, ta.stack):
        x.grad = None
        value = function([x, y])
        np.testing.assert_array_equal(value.data, function(x, y).data)
        value.sum().backward()
        assert x.grad.tolist() == [1, 1]
    np.testing.assert_array_equal(ta.concatenate(([1, 2], [3.0])).data, [1, 2, 3])
    assert ta.stack([y, y], axis=1).shape == (2, 2)


def test_integers_become_floats_where_results_are_fractional():
    a = np.array([[0, 1], [2, 3]])
    for function in (ta.std, ta.var, ta.norm, ta.logsumexp, ta.sin, ta.log1p, ta.arctan, ta.clip):
        assert function(a).dtype == np.float32
    assert ta.prod(a).dtype == ta.cumsum(a, axis=0).dtype == ta.stack(a, a).dtype == a.dtype


@pytest.mark.parametrize("condition", ["yes", None, np.array(["a", ""]), np.array([1, None])])
def test_a_condition_is_boolean_or_a_number(condition):
    with pytest.raises(DTypeError, match=r"where needs booleans as its condition, got (<U|object)"):
        ta.where(condition, np.ones(2), np.zeros(2))
    assert ta.where([1, 0], np.ones(2), np.zeros(2)).data.tolist() == [1, 0]
