"""Winograd's convolution against the plain one, which is its oracle; and when it is chosen."""

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.ops import conv, windows
from tinyadtn.ops.fast import winograd
from tinyadtn.ops.windows import SlidingWindow


def arrays(c, o, window, n, dtype):
    """Image and g as (…, n), and a weight."""
    rng = np.random.default_rng([c, o, n])
    shapes = (c, *window.image, n), (o, c, 3, 3), (o, *window.outputs, n)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def plain(image, weight, g, window):
    """Result and both gradients of the plain convolution, in float64."""
    image, weight = image.astype(np.float64), weight.astype(np.float64)
    x = ta.Tensor(windows.batch_first(image), requires_grad=True)
    w = ta.Tensor(weight, requires_grad=True)
    y = ta.conv2d(x, w, padding=window.padding)
    y.backward(windows.batch_first(g.astype(np.float64)))
    return [*map(windows.batch_innermost, (y.data, x.grad)), w.grad]


def winograds(image, weight, g, window):
    return [
        winograd.convolve(image, weight, window),
        winograd.grad_image(g, weight, window),
        winograd.grad_weight(image, g, window),
    ]


def distances(found, wanted):
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape
        yield np.abs(a - b).max() / np.abs(b).max()


WINDOWS = {
    "8, padding 1": SlidingWindow((8, 8), (3, 3), padding=(1, 1)),
    "8x12, padding 1": SlidingWindow((8, 12), (3, 3), padding=(1, 1)),
    "16x8, padding 1": SlidingWindow((16, 8), (3, 3), padding=(1, 1)),
}


# --- the algebra ---------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [(0, 1), (0, 1, -1), (0, 1, -1, 2, -2), (0, 1, -1, 2, -2, 0.5)])
def test_any_points_compute_what_sliding_does(points):
    image, kernel, back = winograd.transformations(tuple(map(float, points)))
    t, m = len(points) + 1, len(points) - 1
    rng = np.random.default_rng(0)
    d, w = rng.normal(size=(t, t)), rng.normal(size=(3, 3))
    y = back @ ((kernel @ w.ravel()) * (image @ d.ravel()))
    slid = [(d[i : i + 3, j : j + 3] * w).sum() for i, j in np.ndindex(m, m)]
    np.testing.assert_allclose(y, slid, rtol=1e-11, atol=1e-11)


@pytest.fixture
def in_double(monkeypatch):
    """The matrices in float64, so that nothing but a mistake can differ."""
    matrices = winograd.transformations(winograd.POINTS)
    for name, matrix in zip(("IMAGE", "KERNEL", "BACK"), matrices):
        monkeypatch.setattr(winograd, name, matrix)


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("block", [1, 36 * 20, 2**19])
@pytest.mark.parametrize("kernel_block", [36 * 3, 2**22])  # two parts of one output, or one of two
@pytest.mark.parametrize("n", [1, 5])
def test_in_double_precision_it_is_the_plain_convolution(
    in_double, monkeypatch, name, block, kernel_block, n
):
    monkeypatch.setattr(windows, "BLOCK", block)
    monkeypatch.setattr(winograd, "KERNEL_BLOCK", kernel_block)
    image, weight, g = arrays(3, 2, WINDOWS[name], n, np.float64)
    found = winograds(image, weight, g, WINDOWS[name])
    wanted = plain(image, weight, g, WINDOWS[name])
    assert max(distances(found, wanted)) < 1e-11


@pytest.mark.parametrize("padding", [(0, 0), (2, 2), (0, 2), (2, 1)])
def test_each_padding_that_leaves_whole_tiles(in_double, padding):
    outputs = (12, 8)
    image = tuple(n + 2 - 2 * pad for n, pad in zip(outputs, padding))
    window = SlidingWindow(image, (3, 3), padding=padding)
    assert window.outputs == outputs
    x, weight, g = arrays(2, 3, window, 2, np.float64)
    y, _, grad_weight = plain(x, weight, g, window)
    assert max(distances([winograd.convolve(x, weight, window)], [y])) < 1e-11
    assert max(distances([winograd.grad_weight(x, g, window)], [grad_weight])) < 1e-11


# --- single precision ----------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [(32, 32), (64, 48), (40, 256)])
@pytest.mark.parametrize("name", WINDOWS)
def test_errors_in_single_precision_stay_far_below_one_in_ten_thousand(channels, name):
    """Of the largest number of the array; summing plainly leaves some 1e-6."""
    image, weight, g = arrays(*channels, WINDOWS[name], 16, np.float32)
    found = winograds(image, weight, g, WINDOWS[name])
    assert {a.dtype for a in found} == {np.dtype(np.float32)}
    assert max(distances(found, plain(image, weight, g, WINDOWS[name]))) < 4e-5


# --- when it is chosen ---------------------------------------------------------------------------

USUAL = {"c": 32, "o": 32, "size": 8, "n": 16, "kernel": 3, "dtype": np.float32}
OTHERS = {
    "double precision": {"dtype": np.float64},
    "few channels in": {"c": 16},
    "few channels out": {"o": 16},
    "few images": {"n": 8},
    "a small map": {"size": 4},
    "no whole tiles": {"size": 14},
    "another kernel": {"kernel": 5, "padding": 2},
    "a stride": {"stride": 2, "size": 15},
    "dilation": {"dilation": 2, "padding": 2},
    "groups": {"groups": 2, "c": 64, "o": 64},
    "no padding: the outputs are no whole tiles": {"padding": 0},
    "much padding": {"padding": 3},
}


def chosen(monkeypatch, *, c, o, size, n, kernel, dtype, groups=1, **options):
    """Which of the fast functions a convolution and its gradients call."""
    calls = []
    for name in ("convolve", "grad_image", "grad_weight"):
        function = getattr(winograd, name)
        monkeypatch.setattr(
            winograd,
            name,
            lambda *a, name=name, function=function: calls.append(name) or function(*a),
        )
    x = ta.Tensor(np.ones((n, c, size, size), dtype), requires_grad=True)
    w = ta.Tensor(np.ones((o, c // groups, kernel, kernel), dtype), requires_grad=True)
    y = ta.conv2d(x, w, groups=groups, **{"padding": 1, **options})
    y.backward(np.ones(y.shape, dtype))
    return calls


def test_the_usual_layer_of_a_deep_network_is_computed_this_way(monkeypatch):
    assert chosen(monkeypatch, **USUAL) == ["convolve", "grad_image", "convolve", "grad_weight"]


@pytest.mark.parametrize("name", OTHERS)
def test_what_it_cannot_do_or_not_sooner_is_computed_plainly(monkeypatch, name):
    assert chosen(monkeypatch, **{**USUAL, **OTHERS[name]}) == []


def test_through_the_op_it_is_the_plain_convolution(monkeypatch):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(20, 32, 8, 8)), rng.normal(size=(48, 32, 3, 3))
    g = rng.normal(size=(20, 48, 8, 8))

    def gradients():
        a, b = (ta.Tensor(v.astype(np.float32), requires_grad=True) for v in (x, w))
        y = ta.conv2d(a, b, padding=1)
        y.backward(g.astype(np.float32))
        return y.data, a.grad, b.grad

    fast = gradients()
    monkeypatch.setattr(conv.winograd, "applies", lambda *a: False)
    slow = gradients()
    assert 0 < max(distances(fast, slow)) < 4e-5
