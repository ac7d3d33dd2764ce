"""Convolution: every geometry against seven loops, its parts against each other, and its memory.

The values are small whole numbers, so that sums of products are exact in any order: what should be
equal is equal to the last bit.
"""

import tracemalloc

import image_references as images
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tinyadtn as ta
from tinyadtn.errors import ShapeError
from tinyadtn.ops import conv, windows
from tinyadtn.ops.fast import blocked_conv
from tinyadtn.ops.windows import SlidingWindow, batch_innermost, col2im, im2col


@st.composite
def geometries(draw):
    """Image, kernel, stride, padding, dilation and padding after, each for both axes, that fit."""
    axes = []
    for _ in range(2):
        kernel, stride, dilation = (draw(st.integers(1, most)) for most in (4, 4, 3))
        padding, after = (draw(st.integers(0, kernel - 1)) for _ in range(2))
        least = max(1, dilation * (kernel - 1) + 1 - padding - after)
        axes.append((least + draw(st.integers(0, 6)), kernel, stride, padding, dilation, after))
    return SlidingWindow(*zip(*axes))


def whole_numbers(shape, seed):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float64)


def lies_batch_innermost(x):
    return x.data.transpose(1, 2, 3, 0).flags.c_contiguous


def conv_and_gradients(x, weight, g, **options):
    a, b = ta.Tensor(x, requires_grad=True), ta.Tensor(weight, requires_grad=True)
    y = ta.conv2d(a, b, **options)
    y.backward(g)
    return y.data, a.grad, b.grad


def options_of(window):
    padding = tuple(zip(window.padding, window.after or window.padding))
    return {"stride": window.stride, "padding": padding, "dilation": window.dilation}


# --- against the definition ----------------------------------------------------------------------


@given(
    window=geometries(),
    groups=st.integers(1, 3),
    widths=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    n=st.integers(1, 3),
    block=st.sampled_from([1, 40, 300, 2**19]),
)
@example(
    window=SlidingWindow((7, 9), (3, 2), (2, 3), (2, 1), (1, 2)),
    groups=3,
    widths=(2, 1),
    n=3,
    block=100,
)
@example(
    window=SlidingWindow((9, 5), (2, 4), (3, 1), (1, 3), (3, 1)),
    groups=2,
    widths=(1, 2),
    n=2,
    block=1,
)
@example(
    window=SlidingWindow((4, 11), (4, 3), (1, 4), (3, 0), (2, 3)),
    groups=1,
    widths=(2, 2),
    n=1,
    block=60,
)
@example(
    window=SlidingWindow((5, 6), (2, 2), (2, 2), (0, 0), (1, 1)),
    groups=1,
    widths=(1, 1),
    n=0,
    block=8,
)
def test_any_geometry_equals_seven_loops_and_both_gradients_are_its_adjoints(
    window, groups, widths, n, block
):
    c, o = widths
    x = whole_numbers((n, groups * c, *window.image), 0)
    weight = whole_numbers((groups * o, c, *window.kernel), 1)
    options = {**options_of(window), "groups": groups}
    expected = images.conv2d(x, weight, **options)
    g = whole_numbers(expected.shape, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "BLOCK", block)
        y, grad_x, grad_weight = conv_and_gradients(x, weight, g, **options)
    np.testing.assert_array_equal(y, expected)
    # ⟨g, f(x')⟩ = ⟨vjp(g), x'⟩ for every x', not only for the x at which the gradient was taken.
    for seed in range(3, 6):
        other_x, other_weight = whole_numbers(x.shape, seed), whole_numbers(weight.shape, seed)
        through_x = images.conv2d(other_x, weight, **options)
        through_weight = images.conv2d(x, other_weight, **options)
        assert np.vdot(g, through_x) == np.vdot(grad_x, other_x)
        assert np.vdot(g, through_weight) == np.vdot(grad_weight, other_weight)


def test_one_pixel_seen_by_many_outputs_gets_the_sum_of_their_gradients():
    x, weight = np.ones((1, 1, 3, 4)), np.ones((1, 1, 2, 2))
    _, grad_x, _ = conv_and_gradients(x, weight, np.ones((1, 1, 2, 3)))
    np.testing.assert_array_equal(grad_x[0, 0], [[1, 2, 2, 1], [2, 4, 4, 2], [1, 2, 2, 1]])


def test_a_group_sees_its_own_channels_alone():
    x = np.zeros((1, 4, 1, 1))
    x[0, :, 0, 0] = [1, 10, 100, 1000]
    y = ta.conv2d(x, np.ones((6, 2, 1, 1)), groups=2)
    np.testing.assert_array_equal(y.data.ravel(), [11, 11, 11, 1100, 1100, 1100])


def test_no_kernel_is_flipped():
    x, weight = np.zeros((1, 1, 1, 2)), np.array([[[[2.0, 3.0]]]])
    x[..., 0] = 1
    assert ta.conv2d(x, weight).item() == 2


@given(
    image=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 3),
)
def test_same_gives_as_many_outputs_as_strides_fit_into_the_image(image, kernel, stride, dilation):
    x, weight = whole_numbers((2, 2, *image), 0), whole_numbers((3, 2, *kernel), 1)
    options = {"stride": stride, "padding": "same", "dilation": dilation}
    y = ta.conv2d(x, weight, **options).data
    assert y.shape[2:] == tuple(-(-n // stride) for n in image)
    np.testing.assert_array_equal(y, images.conv2d(x, weight, **options))


@pytest.mark.parametrize("padding", [((0, 1), (1, 0)), ((2, 0), (1, 1)), "same"])
def test_large_3x3_convolutions_may_have_any_padding(padding):
    """In float32 these are computed by Winograd's algorithm."""
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=s).astype(np.float32) for s in ((16, 32, 8, 8), (32, 32, 3, 3)))
    g = rng.normal(size=ta.conv2d(x, w, padding=padding).shape).astype(np.float32)
    found = conv_and_gradients(x, w, g, padding=padding)
    exact = conv_and_gradients(*(a.astype(float) for a in (x, w, g)), padding=padding)
    for a, b in zip(found, exact):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4 * np.abs(b).max())


@given(window=geometries(), groups=st.integers(1, 2), n=st.integers(0, 2))
def test_a_transposed_convolution_is_the_gradient_of_the_image(window, groups, n):
    """From the outputs of a convolution to its image, and back by the same convolution."""
    weight = whole_numbers((3 * groups, 2, *window.kernel), 0)
    x = whole_numbers((n, 3 * groups, *window.outputs), 1)
    g = whole_numbers((n, 2 * groups, *window.image), 2)
    options = {**options_of(window), "groups": groups}
    _, grad_image, grad_weight = conv_and_gradients(g, weight, x, **options)
    # what the steps of the windows leave over at the end of the image
    options["output_padding"] = tuple(
        (n + pad + after - dilation * (kernel - 1) - 1) % stride
        for n, kernel, stride, pad, dilation, after in zip(
            window.image,
            window.kernel,
            window.stride,
            window.padding,
            window.dilation,
            window.after,
        )
    )
    a, b = ta.Tensor(x, requires_grad=True), ta.Tensor(weight, requires_grad=True)
    y = ta.conv_transpose2d(a, b, **options)
    np.testing.assert_array_equal(y.data, grad_image)
    y.backward(g)
    del options["output_padding"]
    np.testing.assert_array_equal(a.grad, images.conv2d(g, weight, **options))
    np.testing.assert_array_equal(b.grad, grad_weight)


# --- windows and their slices --------------------------------------------------------------------


@given(window=geometries(), data=st.data())
def test_the_slices_of_a_window_are_those_that_counting_finds(window, data):
    """For rows start … stop − 1: every (cell, output, input) whose input is a pixel, once."""
    counted = tuple(
        images.outputs_along(n, k, s, pad, d, after)
        for n, k, s, pad, d, after in zip(
            window.image,
            window.kernel,
            window.stride,
            window.padding,
            window.dilation,
            window.after,
        )
    )
    assert window.outputs == counted
    start = data.draw(st.integers(0, counted[0] - 1))
    stop = data.draw(st.integers(start + 1, counted[0]))
    expected = set()
    for p, q, i, j in np.ndindex(*window.kernel, stop - start, counted[1]):
        row = (start + i) * window.stride[0] + p * window.dilation[0] - window.padding[0]
        column = j * window.stride[1] + q * window.dilation[1] - window.padding[1]
        if 0 <= row < window.image[0] and 0 <= column < window.image[1]:
            expected.add((p, q, i, j, row, column))
    pixels = np.arange(np.prod(window.image)).reshape(1, *window.image, 1)
    places = np.arange((stop - start) * counted[1]).reshape(1, stop - start, counted[1], 1)
    found = []
    for (p, q), outputs, inputs in window.cells(start, stop):
        assert places[outputs].shape == pixels[inputs].shape
        for place, pixel in zip(places[outputs].ravel(), pixels[inputs].ravel()):
            found.append((p, q, *divmod(place, counted[1]), *divmod(pixel, window.image[1])))
    assert len(found) == len(expected)
    assert set(found) == expected


@given(window=geometries(), c=st.integers(1, 2), n=st.integers(0, 2), data=st.data())
def test_im2col_and_col2im_are_adjoint_on_any_rows(window, c, n, data):
    start = data.draw(st.integers(0, window.outputs[0] - 1))
    stop = data.draw(st.integers(start + 1, window.outputs[0]))
    image = whole_numbers((c, *window.image, n), 0)
    columns = im2col(image, window, start, stop)
    assert columns.shape == (c, *window.kernel, stop - start, window.outputs[1], n)
    g = whole_numbers(columns.shape, 1)
    back = whole_numbers(image.shape, 2)  # col2im adds to what is there
    before = back.copy()
    col2im(g, window, start, stop, back)
    assert np.vdot(columns, g) == np.vdot(image, back - before)


@given(window=geometries(), data=st.data())
def test_im2col_writes_into_any_array_of_its_shape_and_leaves_nothing_of_what_was_there(
    window, data
):
    start = data.draw(st.integers(0, window.outputs[0] - 1))
    stop = data.draw(st.integers(start + 1, window.outputs[0]))
    image = whole_numbers((2, *window.image, 3), 0)
    columns = im2col(image, window, start, stop)
    out = np.full(columns.shape[::-1], np.nan).T
    assert im2col(image, window, start, stop, out=out) is out
    np.testing.assert_array_equal(out, columns)


def test_the_rows_of_a_part_are_those_of_the_whole():
    window = SlidingWindow((7, 6), (3, 2), stride=(2, 1), padding=(2, 1))
    image = whole_numbers((2, 7, 6, 3), 0)
    whole = im2col(image, window, 0, window.outputs[0])
    parts = [im2col(image, window, i, i + 1) for i in range(window.outputs[0])]
    np.testing.assert_array_equal(np.concatenate(parts, axis=3), whole)


@pytest.mark.parametrize("size", [1.5, "3", (1, 2, 3), (1,), None, (2, 2.0)])
def test_a_size_is_a_whole_number_or_a_pair(size):
    with pytest.raises(ShapeError, match="one whole number or a pair"):
        windows.pair(size)


def test_a_size_may_be_a_number_of_numpy():
    x, weight = whole_numbers((1, 1, 5, 5), 0), whole_numbers((1, 1, 2, 2), 1)
    y = ta.conv2d(x, weight, stride=np.int64(2), padding=(np.int32(1), 0))
    np.testing.assert_array_equal(y.data, ta.conv2d(x, weight, stride=2, padding=(1, 0)).data)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, bool])
def test_whole_numbers_become_floats_and_do_not_wrap_around(dtype):
    """As in the other ops of images; in uint8, 200 + 200 is 144."""
    x = np.full((1, 1, 2, 2), 200).astype(dtype)
    y = ta.conv2d(x, np.ones((1, 1, 2, 2), dtype))
    assert y.dtype == np.float32 and y.item() == 4 * float(x.max())


# --- blocks and memory ---------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 7, 100, 200, 300, 400, 1000])
def test_many_blocks_compute_what_one_does(monkeypatch, block):
    x, weight = whole_numbers((5, 4, 7, 6), 0), whole_numbers((6, 2, 3, 2), 1)
    options = {"stride": (2, 1), "padding": (2, 1), "groups": 2}
    g = whole_numbers((5, 6, 5, 7), 2)
    calls = []
    for module in (conv, blocked_conv):
        monkeypatch.setattr(module, "im2col", lambda *a, **k: calls.append(a) or im2col(*a, **k))
    whole = conv_and_gradients(x, weight, g, **options)
    assert len(calls) == 2  # forward, and the gradient of the weight
    monkeypatch.setattr(windows, "BLOCK", block)
    parts = conv_and_gradients(x, weight, g, **options)
    assert len(calls) > 4
    for part, expected in zip(parts, whole):
        np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("block", [1, 7, 12, 20, 26, 100, 10**6])
@pytest.mark.parametrize("n", [0, 1, 5])
def test_blocks_cover_every_output_once_and_are_not_too_large(monkeypatch, block, n):
    monkeypatch.setattr(windows, "BLOCK", block)
    depth, outputs = 3, (7, 4)
    covered = np.zeros((7, n), int)
    for rows, pictures in windows.blocks(depth, outputs, n):
        covered[rows, pictures] += 1
        numbers = depth * 4 * (rows.stop - rows.start) * (pictures.stop - pictures.start)
        assert numbers <= max(2 * block, depth * 4)
    assert (covered == 1).all()


def test_the_unfolded_batch_never_exists():
    """25 times the images (80 MB) would be the whole of it; forward and backward need 4 times."""
    x = np.ones((256, 4, 28, 28), np.float32)
    layer = ta.Conv2d(4, 4, 5, padding=2, rng=0)
    given = ta.Tensor(x, requires_grad=True)
    tracemalloc.start()
    try:
        y = layer(given)
        kept, peak = tracemalloc.get_traced_memory()
        y.backward(x)
        _, backward_peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    block = 2 * windows.BLOCK * x.itemsize
    assert kept <= 3.1 * x.nbytes  # the images laid out anew, and the result without and with bias
    assert peak <= 4 * x.nbytes + 2 * block
    assert backward_peak <= 7 * x.nbytes + 2 * block


# --- the order in memory -------------------------------------------------------------------------


def test_the_batch_lies_innermost_behind_a_convolution_and_stays_there():
    x = ta.Tensor(whole_numbers((3, 2, 6, 7), 0), requires_grad=True)
    y = ta.Conv2d(2, 4, 3, rng=0)(x)
    assert lies_batch_innermost(y)
    for after in (
        ta.relu(y),
        y * 2 + 1,
        ta.Conv2d(4, 5, 2, rng=0)(y),
        ta.max_pool2d(y, kernel=2),
        ta.avg_pool2d(y, kernel=2, stride=1),
        ta.BatchNorm2d(4)(y, training=True),
        ta.BatchNorm2d(4)(y),
        ta.local_response_norm(y),
        ta.local_contrast_norm(y, size=3),
        ta.Normalize(4)(y),
    ):
        assert lies_batch_innermost(after)
        assert np.shares_memory(batch_innermost(after.data), after.data)  # so: no copy


def test_a_batch_in_the_usual_order_is_copied_and_not_changed():
    x, weight = whole_numbers((3, 2, 5, 5), 0), whole_numbers((4, 2, 3, 3), 1)
    before = x.copy()
    conv_and_gradients(x, weight, np.ones((3, 4, 5, 5)), padding=1)
    np.testing.assert_array_equal(x, before)
    assert not np.shares_memory(batch_innermost(x), x)
