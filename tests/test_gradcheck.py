"""The gradient checker finds planted bugs and raises no false alarm."""

import numpy as np
import pytest
from op_table import ROWS

import tinyadtn as ta
from tinyadtn.autodiff.engine import op, unbroadcast
from tinyadtn.autodiff.gradcheck import check_vjp, numerical_vjp, vjp
from tinyadtn.errors import DTypeError, GradientMismatchError, GraphError, ShapeError, TinyADTNError

RNG = np.random.default_rng(5)
A, B = RNG.normal(size=(2, 3)), RNG.normal(size=(2, 3))
SQUARE, OTHER = RNG.normal(size=(3, 3)), RNG.normal(size=(3, 3))
POSITIVE = np.abs(A) + 0.5
TIES = np.array([[0.5, 0.2, -0.3], [0.1, 0.9, 0.4]])


def wrong(forward, *grads):
    """An op with the gradient functions ``grads(g, *arrays)``."""

    @op
    def planted(*arrays):
        return forward(*arrays), *(lambda g, f=f: f(g, *arrays) for f in grads)

    return planted


def softmax(a):
    e = np.exp(a - a.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# name: (method, forward, wrong gradients, arrays)
PLANTED = {
    "missing term of a product": (
        "smooth",
        lambda a: a * np.exp(a),
        [lambda g, a: g * np.exp(a)],
        [A],
    ),
    "wrong sign": ("linear", lambda a, b: a - b, [lambda g, a, b: g, lambda g, a, b: g], [A, B]),
    "off by two": ("smooth", lambda a: a**2, [lambda g, a: g * a], [A]),
    "transposed": (
        "linear",
        lambda a, b: a @ b,
        [lambda g, a, b: (g @ b.T).T, lambda g, a, b: a.T @ g],
        [SQUARE, OTHER],
    ),
    "operands swapped": (
        "linear",
        lambda a, b: a @ b,
        [lambda g, a, b: b @ g, lambda g, a, b: a.T @ g],
        [SQUARE, OTHER],
    ),
    "kept broadcast axis": (
        "linear",
        lambda a: a.sum(axis=0),
        [lambda g, a: np.broadcast_to(g / len(a), a.shape)],
        [A],
    ),
    "first row of a broadcast instead of the sum": (
        "linear",
        lambda a, b: a * b,
        [lambda g, a, b: g * b, lambda g, a, b: (g * a)[:1]],
        [A, B[:1]],
    ),
    "every tie the full gradient": (
        "piecewise",
        lambda a: a.max(axis=1),
        [lambda g, a: np.ones_like(a) * g[:, None]],
        [TIES],
    ),
    "softmax that .sum() would hide": (
        "smooth",
        softmax,
        [lambda g, a: softmax(a) * (g - g.mean(axis=-1, keepdims=True))],
        [A],
    ),
    "softmax without its second term": (
        "smooth",
        softmax,
        [lambda g, a: softmax(a) * (1 - softmax(a)) * g],
        [A],
    ),
    "nan": ("smooth", lambda a: a**2, [lambda g, a: np.where(a > 0, 2 * a * g, np.nan)], [A]),
    "infinite": ("smooth", lambda a: a**2, [lambda g, a: np.full_like(a, np.inf)], [A]),
    "one element of many": (
        "smooth",
        np.tanh,
        [lambda g, a: g * (1 - np.tanh(a) ** 2) * (np.arange(6).reshape(2, 3) != 4)],
        [A],
    ),
    "zero": ("smooth", np.sqrt, [lambda g, a: 0 * g], [POSITIVE]),
    "relu that passes everything": (
        "piecewise",
        lambda a: np.maximum(a, 0),
        [lambda g, a: g],
        [TIES],
    ),
    "= for += in repeated indices": (
        "linear",
        lambda a: a[[0, 1, 0]],
        [lambda g, a: np.stack([g[2], g[1]])],
        [A],
    ),
    "height and width swapped": (
        "linear",
        lambda a: a.reshape(3, 3)[::-1],
        [lambda g, a: g[:, ::-1].reshape(a.shape)],
        [SQUARE],
    ),
    "only the last of two arguments": (
        "smooth",
        lambda a, b: a * b**2,
        [lambda g, a, b: g * b**2, lambda g, a, b: g * a * b],
        [A, B],
    ),
    "slightly off": ("smooth", np.exp, [lambda g, a: g * np.exp(a) * (1 + 1e-6)], [A]),
    "ignores the cotangent": ("smooth", np.exp, [lambda g, a: np.exp(a)], [A]),
}


@pytest.mark.parametrize("name", PLANTED)
def test_every_planted_bug_is_found(name):
    method, forward, grads, arrays = PLANTED[name]
    with pytest.raises((GradientMismatchError, TinyADTNError), match=r"planted|shape"):
        check_vjp(wrong(forward, *grads), *arrays, method=method)


def test_the_sum_would_hide_what_the_checker_finds():
    """The reason for a random cotangent, as a fact: with ones, this wrong softmax is 'right'."""
    _, forward, grads, (a,) = PLANTED["softmax that .sum() would hide"]
    gradient = vjp(wrong(forward, *grads), [a], np.ones_like(a))[0]
    np.testing.assert_allclose(gradient, 0, rtol=0, atol=1e-15)


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("seed", [11, 12])
def test_no_false_alarm(row, seed):
    method = {"additive": "smooth"}.get(row.kind, row.kind)
    worst = check_vjp(row, *row.draw(seed=seed), method=method, seed=seed)
    assert 0 <= worst <= {"linear": 1e-11, "smooth": 1e-7, "piecewise": 1e-5}[method]


def test_an_infinite_measurement_is_no_agreement():
    step_to_infinity = wrong(lambda a: np.where(a > 1, np.inf, a), lambda g, a: 7 * g)
    with np.errstate(all="ignore"), pytest.raises(GradientMismatchError):
        check_vjp(step_to_infinity, np.array([1.0, 0.0]), method="piecewise")


def test_a_gradient_of_the_wrong_shape_is_found():
    flipped = wrong(lambda a: a * 2, lambda g, a: 2 * g.T)
    with pytest.raises((GradientMismatchError, GraphError, ShapeError)):
        check_vjp(flipped, A)
    with pytest.raises((GraphError, ShapeError)):
        unbroadcast(np.ones((3, 2)), (2, 3))


def test_a_gradient_function_that_changes_what_it_is_given_is_found():
    @ta.op
    def twice(a):
        def grad_a(g):
            g *= 2
            return g

        return 2 * a, grad_a

    with pytest.raises(GraphError, match="twice writes into g"):
        check_vjp(twice, A)


def test_a_cut_graph_is_found():
    with pytest.raises((GradientMismatchError, GraphError)):
        check_vjp(lambda a: ta.exp(a.detach() if isinstance(a, ta.Tensor) else a), A)


def test_an_argument_that_was_cut_off_is_found():
    def half(a, b):
        return ta.multiply(a, b.detach() if isinstance(b, ta.Tensor) else b)

    with pytest.raises(GradientMismatchError, match="half, argument 2"):
        check_vjp(half, A, B, method="linear")


def test_the_message_says_where_and_by_how_much():
    off = wrong(lambda a: a * 1, lambda g, a: g * (1 + (np.arange(6).reshape(2, 3) == 5)))
    with pytest.raises(
        GradientMismatchError, match=r"argument 1 at \(1, 2\): gradient .* measured"
    ):
        check_vjp(off, A, method="linear")


@pytest.mark.parametrize(
    "function",
    [ta.exp, lambda a: ta.multiply(a, a), lambda a: ta.add(a, 1.0), ta.relu],
    ids=["exp", "square", "affine", "relu"],
)
def test_a_function_that_is_not_linear_fails_as_linear(function):
    """Of a square and of an affine function the difference is exact: the adjoint tells."""
    with pytest.raises(GradientMismatchError):
        check_vjp(function, A, method="linear")


def test_a_function_may_be_written_with_operators_and_methods():
    assert check_vjp(lambda a, b: (a * b + 1 / (a * a + 1)).sum(axis=0) @ b.T, A, B) < 1e-9
    measured = numerical_vjp(lambda a: a.reshape(6) * 2, [A], np.ones(6), 0, method="linear")
    np.testing.assert_allclose(measured, 2)


@pytest.mark.parametrize("size", [1e-9, 1e-30, 1.0, 1e9, 1e200])
def test_a_difference_is_relative_however_small_the_gradient_is(size):
    zero = wrong(lambda a: size * a**3, lambda g, a: 0 * g)
    with pytest.raises(GradientMismatchError):
        check_vjp(zero, A)
    nearly = wrong(lambda a: size * a**3, lambda g, a: 1.0001 * size * 3 * a**2 * g)
    worst = check_vjp(nearly, A, tolerance=1e-2)
    assert 0.5e-4 < worst < 1e-4 * 1.01
    right = wrong(lambda a: size * a**3, lambda g, a: size * 3 * a**2 * g)
    assert check_vjp(right, A) < 1e-9
    with pytest.raises(GradientMismatchError):
        check_vjp(wrong(lambda a: size * a, lambda g, a: 0 * g), A, method="linear")


NEAR_SINGULARITIES = {
    "1/x": (lambda x: 1 / x, (0.05, 1e-3, -1e-6, 1e-12)),
    "sqrt": (ta.sqrt, (0.01, 1e-4, 1e-6, 1e-9)),
    "log": (ta.log, (0.01, 1e-5, 1e-9)),
    "power": (lambda x: x**-3, (0.05, 1e-3, 0.2)),
    "1/(1-x)": (lambda x: 1 / (1 - x), (0.99, 0.999, 1.001, 0.999999, 1 - 1e-9)),
    "sqrt(1-x)": (lambda x: ta.sqrt(1 - x), (0.99, 0.999999, 1 - 1e-8, 1 - 1e-10)),
    "log(2-x)": (lambda x: ta.log(2 - x), (1.999, 1.9999999)),
    "(x-3)^-2": (lambda x: (x - 3) ** -2, (3.001, 2.99999)),
}


@pytest.mark.parametrize("name", NEAR_SINGULARITIES)
def test_a_right_gradient_near_a_singularity_is_not_accused(name):
    function, points = NEAR_SINGULARITIES[name]
    for x in points:
        assert check_vjp(function, np.array([x])) < 1e-7
        right = vjp(function, [np.array([x])], np.ones(1))[0]
        for share in (0.5 * right, 1.01 * right):
            off = wrong(lambda a: function(ta.Tensor(a)).data, lambda g, a, s=share: s * g)
            with pytest.raises(GradientMismatchError):
                check_vjp(off, np.array([x]))


# name: (a function with gradients of very different sizes, where they are)
UNEVEN = {
    "square": (lambda a: a**2, lambda a: 2 * a, [1e-6, 1.0, 1e3]),
    "exp": (np.exp, np.exp, [-30.0, 0.0, 10.0]),
    "reciprocal": (lambda a: 1 / a, lambda a: -1 / a**2, [1e4, 1e-4, 1.0]),
    "scaled": (lambda a: a * [1e-9, 1.0, 1e6], lambda a: np.array([1e-9, 1.0, 1e6]), [1.0, 2, 3]),
}


@pytest.mark.parametrize("method", ["smooth", "piecewise", "linear"])
@pytest.mark.parametrize("name", UNEVEN)
def test_every_element_is_compared_with_its_own_size(name, method):
    value, slope, points = UNEVEN[name]
    if method == "linear" and name != "scaled":
        pytest.skip("not linear")
    if method == "piecewise" and name != "scaled":
        points = [max(abs(p), 0.5) * np.sign(p) for p in points]  # its step is absolute
    x = np.array(points)
    check_vjp(wrong(value, lambda g, a: g * slope(a)), x, method=method)
    for k in range(3):
        off = wrong(value, lambda g, a, k=k: g * slope(a) * (1 + 1e-3 * (np.arange(3) == k)))
        with pytest.raises(GradientMismatchError, match=rf"at \({k},\)"):
            check_vjp(off, x, method=method)


def test_a_small_element_is_compared_through_the_outputs_that_it_changes():
    """Softmax gives the last element 6.8e-27; a part of that comes from outputs near 1."""
    x = np.array([[0.0, 30.0, -30.0]])
    assert check_vjp(ta.softmax, x) < 1e-7

    def grad(g, a):
        p = softmax(a)
        share = p * (g - (g * p).sum(axis=-1, keepdims=True))
        share[0, 2] *= 1.01
        return share

    with pytest.raises(GradientMismatchError, match=r"at \(0, 2\)"):
        check_vjp(wrong(softmax, grad), x)
    leaking = wrong(lambda a: a**2, lambda g, a: 2 * a * g + 1e-5 * np.roll(g, 1))
    with pytest.raises(GradientMismatchError):
        check_vjp(leaking, np.array([1.0, 2.0, 3.0]))


@pytest.mark.parametrize(("digits", "factor"), [(4, 1.003), (6, 1.003), (7, 1.001)])
def test_a_wrong_gradient_is_found_although_no_quotient_is_accurate(digits, factor):
    """The values are rounded, so quotients differ by 0.3 % and more, and cannot excuse anything."""
    rounded = wrong(lambda a: np.round(a, digits), lambda g, a: factor * g)
    with pytest.raises(GradientMismatchError):
        check_vjp(rounded, np.array([1.7]))


def test_a_right_gradient_that_is_tiny_next_to_others_is_not_accused():
    """Its quotient is wrong with the usual step, and only 5 % accurate with the best one."""
    tiny = wrong(
        lambda a: a[0] + 5e-15 / (1 - a[1]),
        lambda g, a: g * np.array([1.0, 5e-15 / (1 - a[1]) ** 2]),
    )
    assert check_vjp(tiny, np.array([1.0, 1 - 2e-3 / 1.002 - 1e-8])) < 1e-7


def test_a_single_number_is_checked():
    for x in (0.05, -3.0):
        assert check_vjp(lambda a: 1 / a, np.array(x)) < 1e-7
        with pytest.raises(GradientMismatchError, match=r"argument 1 at \(\)"):
            check_vjp(wrong(np.exp, lambda g, a: g), np.array(x))
    assert check_vjp(lambda a, b: (a * b).sum(), np.array(2.0), np.ones((2, 2))) < 1e-9
    assert numerical_vjp(ta.exp, [np.array(0.0)], np.array(2.0), 0) == pytest.approx(2)


@pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf, "a", True, [0.1]], ids=str)
@pytest.mark.parametrize("option", ["step", "tolerance"])
def test_a_step_and_a_tolerance_are_numbers_above_0(option, value):
    with pytest.raises(ValueError, match=f"{option} must be"):
        check_vjp(ta.exp, A, **{option: value})
    if option == "step":
        with pytest.raises(ValueError, match="step must be"):
            numerical_vjp(ta.exp, [A], np.ones(A.shape), 0, step=value)


def test_a_function_of_arrays_is_rejected():
    with pytest.raises(TypeError, match="must return a Tensor, got a ndarray"):
        check_vjp(lambda a: a.numpy(), A)


def test_a_function_that_is_constant_up_to_rounding_is_not_accused():
    check_vjp(lambda a: a - a + 1e3, A)
    check_vjp(lambda a: ta.softmax(a).sum(axis=1) * 1e5, A)


def test_the_step_is_that_of_the_check():
    seen = []

    @ta.op
    def square(a):
        seen.append(float(a[0]))
        return a * a, lambda g: 2 * a * g

    check_vjp(square, np.array([2.0]), step=0.25)
    assert {round(x, 6) for x in seen} == {1.0, 1.5, 2.0, 2.5, 3.0}

    @ta.op
    def scaled(a, *, step):
        return a * step, lambda g: g * step

    check_vjp(lambda a: scaled(a, step=3.0), np.array([2.0]), method="linear", step=0.5)


def test_the_tolerance_may_be_set():
    nearly = wrong(np.exp, lambda g, a: g * np.exp(a) * (1 + 1e-6))
    assert check_vjp(nearly, A, tolerance=1e-4) > 1e-8


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_only_float64_can_be_measured(dtype):
    with pytest.raises(DTypeError, match=f"argument 2 is {dtype}"):
        check_vjp(ta.add, A, np.ones(A.shape, dtype))


def test_numbers_without_a_dtype_are_measured_in_float64():
    assert check_vjp(ta.multiply, [0.1, 2], 3) < 1e-9
    assert check_vjp(ta.exp, ta.Tensor(A)) == check_vjp(ta.exp, A)
    assert check_vjp(ta.exp, ta.Tensor(A, requires_grad=True)) == check_vjp(ta.exp, A)
    with pytest.raises(DTypeError, match=r"argument 1 is float32: .*; give x\.astype\(float\)$"):
        check_vjp(ta.exp, ta.Tensor(A.astype(np.float32)))


def test_the_error_of_a_wrong_gradient_is_one_of_the_package():
    with pytest.raises(TinyADTNError, match="argument 1"):
        check_vjp(wrong(np.exp, lambda g, a: g), A)


def test_unknown_methods_are_refused():
    with pytest.raises(ValueError, match="linear, smooth, piecewise"):
        check_vjp(ta.exp, A, method="forward")


def test_nothing_given_is_changed_and_zero_sizes_pass():
    a = A.copy()
    check_vjp(ta.exp, a)
    np.testing.assert_array_equal(a, A)
    assert check_vjp(ta.exp, np.zeros((0, 3))) == 0


def test_measured_gradient_of_a_known_function():
    g = np.array([1.0, 10.0, 100.0])
    x = np.array([0.5, 1.0, 2.0])
    np.testing.assert_allclose(numerical_vjp(ta.log, [x], g, 0), g / x, rtol=1e-9)


def test_a_function_that_draws_other_numbers_in_every_call_is_named():
    """Its gradient is right for the numbers that it drew, and no quotient can measure that."""
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"two results for the same arguments.* give it a seed"):
        check_vjp(lambda x: ta.dropout(x, rate=0.5, rng=generator), np.ones(5))
    check_vjp(lambda x: ta.dropout(x, rate=0.5, rng=0), np.ones(5), method="linear")
    with np.errstate(invalid="ignore"), pytest.raises(GradientMismatchError, match="nan"):
        check_vjp(ta.sqrt, -np.ones(2))
