"""No op loses digits: values and gradients against exact ones, at the edges of the number types.

Elementwise functions are compared with mpmath at 200 digits, gradients with its derivative. Sums of
products are compared with long doubles, relative to the sum of the absolute values: cancellation of
large terms is no fault of an op. What is documented to lose more has its bound here.
"""

import mpmath as mp
import numpy as np
import pytest
from op_table import ROWS, Row

import tinyadtn as ta

mp.mp.dps = 200
F32, F64 = np.float32, np.float64
BOTH = pytest.mark.parametrize("dtype", [F32, F64])

# name: (mpmath's function, the arguments as powers of 10 or plain numbers, per argument)
MIDDLE = [0.1, 0.5, 0.999, 1.0, 1.001, 1.5, 3.0, 7.0, 30.0]
SMALL = [1e-30, 1e-10, 1e-7, 1e-4, 1e-2]
LARGE = [80.0, 1e3, 1e7, 1e10, 1e15]
ANY = [s * x for x in (*SMALL, *MIDDLE, *LARGE) for s in (1, -1)]
POSITIVE = [*SMALL, *MIDDLE, *LARGE, 1e30]
TAILS = [s * x for x in (*SMALL, *MIDDLE, 10, 15, 18, 20, 40, 60, 80) for s in (1, -1)]
PAIRS = [(a, b) for a in ANY for b in (1e-10, -1e-3, 0.7, 1.001, -30.0, 1e7) if a != b]

EXACT = {
    "add": (lambda a, b: a + b, PAIRS),
    "subtract": (lambda a, b: a - b, PAIRS),
    "multiply": (lambda a, b: a * b, PAIRS),
    "divide": (lambda a, b: a / b, [p for p in PAIRS if abs(p[0]) < 1e11 and abs(p[1]) > 1e-5]),
    "negative": (lambda a: -a, [(a,) for a in ANY]),
    "power": (
        lambda a, b: a**b,
        [(a, b) for a in POSITIVE if 1e-8 <= a <= 1e8 for b in (-3, -0.5, 1e-6, 0.5, 2, 3)],
    ),
    "exp": (mp.exp, [(a,) for a in TAILS]),
    "log": (mp.log, [(a,) for a in POSITIVE]),
    "expm1": (mp.expm1, [(a,) for a in TAILS]),
    "log1p": (mp.log1p, [(a,) for a in ANY if a > -1]),
    "clip": (lambda a: a, [(a,) for a in ANY]),
    "sin": (mp.sin, [(a,) for a in ANY if abs(a) <= 1e7]),
    "cos": (mp.cos, [(a,) for a in ANY if abs(a) <= 1e7]),
    "tan": (mp.tan, [(a,) for a in ANY if abs(a) <= 1e3]),
    "arctan": (mp.atan, [(a,) for a in ANY]),
    "arctan2": (mp.atan2, [p for p in PAIRS if abs(p[0]) >= 1e-10]),
    "sqrt": (mp.sqrt, [(a,) for a in POSITIVE]),
    "absolute": (lambda a: mp.fabs(a), [(a,) for a in ANY]),
    "tanh": (mp.tanh, [(a,) for a in TAILS if abs(a) <= 40]),
    "sigmoid": (lambda a: 1 / (1 + mp.exp(-a)), [(a,) for a in TAILS]),
    "relu": (lambda a: max(a, mp.mpf(0)), [(a,) for a in ANY]),
    "leaky_relu": (lambda a: a if a > 0 else a * mp.mpf(0.01), [(a,) for a in ANY]),
    "maximum": (lambda a, b: max(a, b), PAIRS),
    "minimum": (lambda a, b: min(a, b), PAIRS),
}


def derivative(function, point, k):
    """Of argument k, by a symmetric quotient right to 40 digits."""
    h = (abs(point[k]) or 1) * mp.mpf(10) ** -20
    above, below = list(point), list(point)
    above[k] += h
    below[k] -= h
    return (function(*above) - function(*below)) / (2 * h)


@BOTH
@pytest.mark.parametrize("name", EXACT)
def test_elementwise_functions_are_right_to_the_last_digits(name, dtype):
    """float64 at the same points, and further out, where only float64 reaches."""
    function, points = EXACT[name]
    ulp, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).tiny)
    arrays = [np.array(column, dtype) for column in zip(*points)]
    inputs = [ta.Tensor(a, requires_grad=True) for a in arrays]
    value = getattr(ta, name)(*inputs)
    value.backward(np.ones(value.shape, dtype))
    for place in range(len(points)):
        point = [mp.mpf(float(a[place])) for a in arrays]
        exact = function(*point)
        found = mp.mpf(float(value.data[place]))
        assert abs(found - exact) <= 4 * ulp * abs(exact) + tiny, (name, point)
        for k, x in enumerate(inputs):
            exact = derivative(function, point, k)
            found = mp.mpf(float(x.grad[place]))
            assert abs(found - exact) <= 8 * ulp * abs(exact) + tiny, (name, k, point)


@BOTH
def test_a_power_loses_what_is_documented(dtype):
    for a in (1e-30, 1e-7, 0.3, 1 + 1e-4, 1e30):
        for b in (-0.1, -1e-6, 1e-6, 1e-3, 1.1, *((1e4 / 3, -1e5 / 7) if 1 < a < 2 else ())):
            x = ta.Tensor(np.array(a, dtype), requires_grad=True)
            exponent = np.array(b, dtype)
            ta.power(x, exponent).backward()
            point = mp.mpf(float(x.data)), mp.mpf(float(exponent))
            exact = point[1] * point[0] ** (point[1] - 1)
            lost = float(abs(mp.log(point[0])) * (1 + abs(point[1]))) + 4
            assert abs(x.grad.item() - exact) <= lost * np.finfo(dtype).eps * abs(exact)


def test_sigmoid_has_its_digits_in_both_tails():
    x = ta.Tensor(np.array([-10, -15, -18, -20, -80, 20, 80], F32), requires_grad=True)
    y = ta.sigmoid(x)
    np.testing.assert_allclose(y.data, 1 / (1 + np.exp(-x.data.astype(float))), rtol=3e-7)
    assert ta.sigmoid(ta.Tensor(np.array(-40.0))).item() == pytest.approx(4.248354e-18, rel=1e-6)
    z = ta.log(ta.sigmoid(x))
    np.testing.assert_allclose(z.data[:5], x.data[:5], rtol=1e-5)
    z.backward(np.ones(7))
    np.testing.assert_allclose(x.grad[:5], 1, rtol=1e-4)
    with np.errstate(all="raise", under="ignore"):
        for size in (1e3, 1e30):
            assert ta.sigmoid(ta.Tensor([-size, size])).data.tolist() == [0, 1]


@BOTH
@pytest.mark.parametrize("gap", [1e-30, 1e-8, 1.0, 10.0, 20.0, 60.0])
def test_a_loss_and_its_gradient_keep_their_digits_where_the_prediction_is_sure(gap, dtype):
    logits = np.array([[gap, 0.0, -1.0], [0.0, gap, 0.5]], dtype)
    for labels in ([0, 1], [1, 0], [2, 2]):
        x = ta.Tensor(logits, requires_grad=True)
        loss = ta.softmax_cross_entropy(x, labels=labels)
        loss.backward()
        exact, gradient = mp.mpf(0), np.zeros(logits.shape)
        for n, label in enumerate(labels):
            e = [mp.exp(mp.mpf(float(v))) for v in logits[n]]
            others = sum(e) - e[label]
            exact += mp.log1p(others / e[label]) / 2
            gradient[n] = [float(v / sum(e) / 2) for v in e]
            gradient[n, label] = float(-others / sum(e) / 2)
        ulp = np.finfo(dtype).eps
        assert abs(loss.item() - float(exact)) <= 8 * ulp * float(exact)
        np.testing.assert_allclose(x.grad, gradient, rtol=(8 + gap) * ulp)
    first = ta.log_softmax(ta.Tensor(logits)).data[0, 0]
    exact = -mp.log1p(
        mp.exp(-mp.mpf(float(logits[0, 0]))) + mp.exp(-1 - mp.mpf(float(logits[0, 0])))
    )
    assert abs(first - float(exact)) <= 8 * np.finfo(dtype).eps * abs(float(exact))


# What softmax and its relatives give: the value and, for a cotangent g, the gradient.


def exact_softmax(a, g):
    e = [mp.exp(v) for v in a]
    p = [v / sum(e) for v in e]
    return p, [p[i] * sum(p[k] * (g[i] - g[k]) for k in range(len(a))) for i in range(len(a))]


def exact_log_softmax(a, g):
    p, _ = exact_softmax(a, g)
    return [mp.log(v) for v in p], [
        sum(p[k] * g[i] - p[i] * g[k] for k in range(len(a))) for i in range(len(a))
    ]


SOFTMAXES = {"softmax": exact_softmax, "log_softmax": exact_log_softmax}
COTANGENTS = ([1, 0, 0], [0, 1, 0], [1, 1e-9, 0], [1, 1, 1e-12], [0.3, -0.7, 1.1], [1, 1, 1])


@BOTH
@pytest.mark.parametrize("g", COTANGENTS, ids=str)
@pytest.mark.parametrize("gap", [1e-6, 1.0, 10.0, 20.0, 40.0, 80.0])
@pytest.mark.parametrize("name", SOFTMAXES)
def test_softmax_and_its_gradient_keep_their_digits_where_one_is_sure(name, gap, g, dtype):
    """Relative to the terms p_k (g_i - g_k) that cannot be avoided: 1 - p cancels nowhere."""
    a, g = np.array([[0.0, gap, -1.0]], dtype), np.array([g], dtype)
    x = ta.Tensor(a, requires_grad=True)
    value = getattr(ta, name)(x)
    value.backward(g)
    logits, cotangent = ([mp.mpf(float(v)) for v in array[0]] for array in (a, g))
    exact, gradient = SOFTMAXES[name](logits, cotangent)
    p, _ = exact_softmax(logits, cotangent)
    tolerance = (16 + 2 * gap) * float(np.finfo(dtype).eps)
    for i in range(3):
        assert abs(float(value.data[0, i]) - exact[i]) <= tolerance * abs(exact[i])
        if name == "softmax":
            terms = [p[i] * p[k] * abs(cotangent[i] - cotangent[k]) for k in range(3)]
        else:
            terms = [
                p[k] * abs(cotangent[i]) + p[i] * abs(cotangent[k]) for k in range(3) if k != i
            ]
        found = mp.mpf(float(x.grad[0, i]))
        assert abs(found - gradient[i]) <= tolerance * sum(terms) + np.finfo(dtype).tiny


@BOTH
@pytest.mark.parametrize("index", [np.zeros(10**6, int), [[0, 1]] * 10**5], ids=["one", "two"])
def test_an_element_that_is_read_often_gets_an_accurate_sum(index, dtype):
    """The parts are added in float64: of 10⁶ equal terms, adding in float32 loses 1 %."""
    index = np.array(index)
    x = ta.Tensor(np.zeros(2, dtype), requires_grad=True)
    g = np.full(index.shape, 0.1, dtype)
    x[index].backward(g)
    count = (index == 0).sum()
    np.testing.assert_allclose(
        x.grad[0], count * float(g.flat[0]), rtol=1e-7 if dtype == F32 else 1e-10
    )


# --- sums ----------------------------------------------------------------------------------------

LONG = {
    "sum of columns": (lambda x: ta.sum(x, axis=0), (10**6, 3), 10**6),
    "sum of rows": (lambda x: ta.sum(x, axis=1), (3, 10**6), 10**6),
    "mean of columns": (lambda x: ta.mean(x, axis=0), (10**6, 3), 1),
    "all of a transpose": (lambda x: ta.sum(x.T), (1000, 999), 999_000),
    "all of a slice": (lambda x: ta.sum(x[:, ::2]), (1000, 1998), 999_000),
    "outer axes": (lambda x: ta.sum(x, axis=(0, 2)), (1000, 3, 100), 10**5),
    "middle axis": (lambda x: ta.sum(x, axis=1, keepdims=True), (2, 10**5, 3), 10**5),
    "contract": (lambda x: ta.contract(x, pattern="ab->b"), (10**6, 2), 10**6),
    "norm of columns": (lambda x: ta.norm(x, axis=0), (10**6, 3), 1000),
    "logsumexp of columns": (
        lambda x: ta.exp(ta.logsumexp(x * 0, axis=0) - np.log(10**6)) * x[0],
        (10**6, 3),
        1,
    ),
    "the last of a cumsum": (lambda x: ta.cumsum(x, axis=0)[-1], (10**6, 3), 10**6),
    "global average pool": (lambda x: ta.avg_pool2d(x, kernel=300), (2, 1, 300, 300), 1),
}


@BOTH
@pytest.mark.parametrize("name", LONG)
def test_long_sums_are_as_accurate_as_pairwise_ones(name, dtype):
    function, shape, count = LONG[name]
    a = np.full(shape, 0.1, dtype)
    tolerance = 16 * np.finfo(dtype).eps
    if name == "the last of a cumsum" and dtype == F64:
        tolerance = 1e-10  # added one by one, as documented
    np.testing.assert_allclose(
        function(ta.Tensor(a)).data, count * float(a.flat[0]), rtol=tolerance
    )


@BOTH
@pytest.mark.parametrize("offset", [1e2, 1e4, -1e6])
def test_a_variance_does_not_suffer_from_a_mean_that_is_rounded(offset, dtype):
    """The differences are as small as the spacing of the numbers around the mean, times ten."""
    spacing = abs(offset) * 10 * np.finfo(dtype).eps
    a = (offset + spacing * np.random.default_rng(0).normal(size=(1000, 2))).astype(dtype)
    wide = a.astype(np.longdouble) - offset
    exact = wide.var(axis=0)
    np.testing.assert_allclose(ta.var(a, axis=0).data, exact, rtol=32 * np.finfo(dtype).eps)
    x = ta.Tensor(a, requires_grad=True)
    ta.std(x, axis=0).backward(np.ones(2))
    gradient = (wide - wide.mean(axis=0)) / (1000 * np.sqrt(exact))
    error = 64 * np.finfo(dtype).eps * np.abs(gradient).max()
    np.testing.assert_allclose(x.grad, gradient, rtol=0, atol=error)


@BOTH
@pytest.mark.parametrize("shape", [(10**6, 3), (1000, 3), (17, 3), (3,), (100, 1000, 3)])
def test_the_gradient_of_what_was_broadcast_is_as_accurate_as_a_pairwise_sum(shape, dtype):
    bias = ta.Tensor(np.zeros(3, dtype), requires_grad=True)
    g = np.full(shape, 0.1, dtype)
    (bias + np.zeros(shape, dtype)).backward(g)
    exact = g.size // 3 * float(g.flat[0])
    np.testing.assert_allclose(bias.grad, exact, rtol=16 * np.finfo(dtype).eps)


@BOTH
def test_batch_statistics_of_many_pixels(dtype):
    seen = []
    x = np.full((200, 2, 50, 40), 0.1, dtype)
    x[::2] += dtype(0.25)
    ta.batch_norm(x, [1.0] * 2, [0.0] * 2, observe=lambda *moments: seen.extend(moments))
    np.testing.assert_allclose(
        seen[0], x.astype(np.longdouble).mean(), rtol=8 * np.finfo(dtype).eps
    )
    exact = x.astype(np.longdouble).var()
    np.testing.assert_allclose(seen[1], exact, rtol=32 * np.finfo(dtype).eps)


@BOTH
@pytest.mark.parametrize("name", ["prod", "log_softmax"])
def test_gradients_along_a_long_axis_keep_their_digits(name, dtype):
    rng, n = np.random.default_rng(0), 10**5
    a = (1 + 1e-4 * rng.normal(size=(2, n))).astype(dtype)
    x = ta.Tensor(a, requires_grad=True)
    value = getattr(ta, name)(x, axis=1)
    g = rng.normal(size=value.shape).astype(dtype)
    value.backward(g)
    wide, cotangent = a.astype(np.longdouble), g.astype(np.longdouble)
    if name == "prod":
        exact = wide.prod(axis=1)
        gradient = cotangent[:, None] * exact[:, None] / wide
    else:
        p = np.exp(wide) / np.exp(wide).sum(axis=1, keepdims=True)
        exact, gradient = np.log(p), cotangent - p * cotangent.sum(axis=1, keepdims=True)
    tolerance = 4 * np.finfo(dtype).eps
    if name == "prod" and dtype == F64:
        tolerance = n / 2 * np.finfo(dtype).eps  # multiplied one by one, as documented
    np.testing.assert_allclose(value.data, exact, rtol=tolerance)
    np.testing.assert_allclose(
        x.grad, gradient, rtol=0, atol=tolerance * float(np.abs(gradient).max())
    )


def test_a_product_of_float32_may_be_too_large_on_the_way():
    x = ta.Tensor([1e30, 1e30, 1e-30, 1e-30], requires_grad=True)
    value = ta.prod(x)
    value.backward()
    assert value.item() == pytest.approx(1)
    np.testing.assert_allclose(x.grad, [1e-30, 1e-30, 1e30, 1e30], rtol=1e-6)


# --- sums of products, and functions of sums -----------------------------------------------------


def in_long_doubles(row: Row, arrays):
    wide = np.asarray(row.reference(*[a.astype(np.longdouble) for a in arrays], **row.options))
    return wide.astype(np.longdouble)


SCALES = ("max", "min", "max_pool2d", "avg_pool2d", "norm", "std", "var")  # as linear ones do
OTHERS = [row for row in ROWS if row.name not in EXACT]


@BOTH
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("row", OTHERS, ids=str)
def test_other_ops_are_right_relative_to_the_largest_term(row, scale, dtype):
    """All are sums of products, or functions of sums; float64 has to agree with long doubles."""
    scale = scale if row.kind in ("linear", "additive") or row.name in SCALES else 1.0
    arrays = [a.astype(dtype) * (dtype(scale) if k == 0 else 1) for k, a in enumerate(row.draw())]
    exact = in_long_doubles(row, arrays)
    found = row(*arrays).data
    assert found.dtype == dtype
    error = np.abs(found - exact).max(initial=0)
    assert error <= 64 * np.finfo(dtype).eps * np.abs(exact).max(initial=0)


@BOTH
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("row", OTHERS, ids=str)
def test_other_gradients_are_right_relative_to_the_largest_term(row, scale, dtype):
    """In float32 against float64; in float64 the gradient check is the reference."""
    scales = row.kind in ("linear", "additive") or row.name in SCALES
    arrays = [a.astype(dtype) * (dtype(scale) if scales else 1) for a in row.draw()]
    grads = []
    for kind in (dtype, F64):
        inputs = [ta.Tensor(a.astype(kind), requires_grad=True) for a in arrays]
        value = row(*inputs)
        g = np.random.default_rng(1).normal(size=value.shape) * (1 if scales else scale)
        value.backward(g.astype(dtype))
        grads.append([x.grad for x in inputs])
    for rough, exact in zip(*grads):
        assert np.abs(rough - exact).max() <= 256 * np.finfo(dtype).eps * np.abs(exact).max()


# --- NaN -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("nan_first", [True, False])
@pytest.mark.parametrize("name", ["maximum", "minimum", "max", "min", "max_pool2d"])
def test_a_nan_wins_and_gets_the_gradient(name, nan_first):
    values = np.array([np.nan, 1.0] if nan_first else [1.0, np.nan])
    x = ta.Tensor(values, requires_grad=True)
    if name == "max_pool2d":
        y = ta.max_pool2d(x.reshape(1, 1, 1, 2), kernel=(1, 2)).sum()
    elif name in ("max", "min"):
        y = getattr(ta, name)(x)
    else:
        y = getattr(ta, name)(x[0], x[1])
    y.backward(3.0)
    assert np.isnan(y.data)
    assert x.grad.tolist() == ([3, 0] if nan_first else [0, 3])


@pytest.mark.parametrize("shape", [(2,), (2, 3)])
def test_a_nan_in_relu_gets_the_gradient(shape):
    x = ta.Tensor(np.full(shape, np.nan), requires_grad=True)
    ta.relu(x).backward(np.ones(shape))
    assert (x.grad == 1).all()


def test_two_nans_share_as_equals_do():
    x = ta.Tensor(np.array([np.nan, np.nan]), requires_grad=True)
    ta.maximum(x[0], x[1]).backward(3.0)
    assert x.grad.tolist() == [1.5, 1.5]
    x.grad = None
    ta.max(x).backward(3.0)
    assert x.grad.tolist() == [3, 0]


WITH_NAN = {
    "norm": ta.norm,
    "std": ta.std,
    "var": ta.var,
    "logsumexp": ta.logsumexp,
    "softmax": ta.softmax,
    "log_softmax": ta.log_softmax,
    "loss": lambda x: ta.softmax_cross_entropy(x.reshape(1, -1), labels=[0]),
    "smooth loss": lambda x: ta.softmax_cross_entropy(
        x.reshape(1, -1), labels=[1], label_smoothing=0.1
    ),
}


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", WITH_NAN)
def test_no_gradient_hides_a_number_that_is_not_finite(name, bad):
    """Each value depends on every element, and so does each gradient."""
    x = ta.Tensor(np.array([1.0, bad, 2.0]), requires_grad=True)
    y = WITH_NAN[name](x)
    y.backward(np.ones(y.shape))
    assert not np.isfinite(y.data).all()
    assert not np.isfinite(x.grad[1]) and not (np.isnan(bad) and np.isfinite(x.grad).any())


@pytest.mark.filterwarnings("ignore:invalid value")
def test_the_logarithm_of_infinite_sums():
    rows = np.array([[np.inf, 1.0], [np.inf, np.inf], [-np.inf, -np.inf], [-np.inf, 1.0]])
    x = ta.Tensor(rows, requires_grad=True)
    y = ta.logsumexp(x, axis=1)
    assert y.data.tolist() == [np.inf, np.inf, -np.inf, 1]
    y.backward(np.ones(4))
    np.testing.assert_array_equal(x.grad, [[np.nan] * 2, [np.nan] * 2, [0, 0], [0, 1]])


@BOTH
def test_the_angle_of_the_origin_has_no_gradient(dtype):
    a, b = (ta.Tensor(np.array(v, dtype), requires_grad=True) for v in ([0, 0, 3], [0, -0.0, 4]))
    ta.arctan2(a, b).backward(np.ones(3))
    np.testing.assert_allclose(a.grad, [0, 0, 4 / 25], rtol=1e-6)
    np.testing.assert_allclose(b.grad, [0, 0, -3 / 25], rtol=1e-6)
