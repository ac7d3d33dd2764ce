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
    after = window.after or window.padding
    y = ta.conv2d(x, w, padding=tuple(zip(window.padding, after)))
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


POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)
WINDOWS = {
    "8, padding 1": SlidingWindow((8, 8), (3, 3), padding=(1, 1)),
    "8x12, padding 1": SlidingWindow((8, 12), (3, 3), padding=(1, 1)),
    "16x8, padding 1": SlidingWindow((16, 8), (3, 3), padding=(1, 1)),
    "7, padding 1": SlidingWindow((7, 7), (3, 3), padding=(1, 1)),
    "6x11, padding on each side": SlidingWindow((6, 11), (3, 3), padding=(0, 2), after=(1, 0)),
    "4, padding 1": SlidingWindow((4, 4), (3, 3), padding=(1, 1)),
    "2, padding 1": SlidingWindow((2, 2), (3, 3), padding=(1, 1)),
}


# --- the algebra ---------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [(0, 1), (0, 1, -1), (0, 1, -1, 2, -2), (0, 1, -1, 2, -2, 0.5)])
def test_any_points_compute_what_sliding_does(points):
    tile = winograd.Tile.of(*winograd.transformations(tuple(map(float, points))))
    t, m = len(points) + 1, len(points) - 1
    rng = np.random.default_rng(0)
    d, w = rng.normal(size=(t, t)), rng.normal(size=(3, 3))
    y = tile.back @ ((tile.kernel @ w.ravel()) * (tile.image @ d.ravel()))
    slid = [(d[i : i + 3, j : j + 3] * w).sum() for i, j in np.ndindex(m, m)]
    np.testing.assert_allclose(y, slid, rtol=1e-11, atol=1e-11)


def test_two_pixels_of_an_axis_need_three_products():
    image, kernel, back = map(np.array, winograd.PAIR)
    w, d = np.array([2.0, 3.0, 5.0]), np.array([0.0, 7.0, 11.0, 0.0])  # padding, two pixels, …
    np.testing.assert_array_equal(back @ ((kernel @ w) * (image @ d)), np.convolve(d, w[::-1])[2:4])


@pytest.fixture
def in_double(monkeypatch):
    """The matrices in float64, so that nothing but a mistake can differ."""
    for name, matrices in {"FOUR": winograd.transformations(POINTS), "TWO": winograd.PAIR}.items():
        monkeypatch.setattr(winograd, name, winograd.Tile.of(*matrices))


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
@pytest.mark.parametrize("outputs", [(12, 8), (9, 7)])  # whole tiles, and not
def test_each_padding(in_double, padding, outputs):
    image = tuple(n + 2 - 2 * pad for n, pad in zip(outputs, padding))
    window = SlidingWindow(image, (3, 3), padding=padding)
    assert window.outputs == outputs
    x, weight, g = arrays(2, 3, window, 2, np.float64)
    assert max(distances(winograds(x, weight, g, window), plain(x, weight, g, window))) < 1e-11


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
    "five pixels: the second tile has one of them": {"size": 5},
    "one pixel": {"size": 1},
    "two pixels, and outputs of another size": {"size": 2, "padding": 2},
    "another kernel": {"kernel": 5, "padding": 2},
    "a stride": {"stride": 2, "size": 15},
    "dilation": {"dilation": 2, "padding": 2},
    "groups": {"groups": 2, "c": 64, "o": 64},
    "no padding: five outputs": {"size": 7, "padding": 0},
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


@pytest.mark.parametrize("size", [8, 7, 6, 4, 3, 2])
def test_the_usual_layer_of_a_deep_network_is_computed_this_way(monkeypatch, size):
    assert chosen(monkeypatch, **{**USUAL, "size": size}) == [
        "convolve",
        "grad_image",
        "convolve",
        "grad_weight",
    ]


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
