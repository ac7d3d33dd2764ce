"""What every layer promises: the shape of its result, its refusals, its cost, its gradients."""

import math

import image_references as images
import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import ShapeError
from tinyadtn.nn import layers, norm_layers, pool_layers, sequential


def small_network():
    return ta.Sequential(
        conv1=ta.Conv2d(2, 3, 3, padding=1, rng=0),
        norm1=ta.BatchNorm2d(3),
        pool1=ta.MaxPool2d(2),
        flatten=ta.Flatten(),
        fc1=ta.Linear(3 * 4 * 4, 5, rng=1),
        dropout1=ta.Dropout(0.5),
    )


STRIDED = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2}
LAYERS = {  # a layer, and the shape of one input
    "Linear": (lambda: ta.Linear(6, 4, rng=0), (6,)),
    "Linear of an image": (lambda: ta.Linear((2, 3), 4, rng=0), (6,)),
    "Conv2d": (lambda: ta.Conv2d(4, 6, (3, 2), **STRIDED, rng=0), (4, 8, 9)),
    "Conv2d without bias": (lambda: ta.Conv2d(2, 3, 2, bias=False, rng=0), (2, 5, 4)),
    "Conv2d same": (lambda: ta.Conv2d(2, 3, (2, 5), padding="same", rng=0), (2, 5, 4)),
    "Conv2d sides": (lambda: ta.Conv2d(2, 3, 3, padding=((0, 2), (1, 0)), rng=0), (2, 5, 4)),
    "MaxPool2d ceil": (lambda: ta.MaxPool2d(3, stride=2, dilation=2, ceil_mode=True), (2, 8, 9)),
    "MaxPool2d": (lambda: ta.MaxPool2d(3, stride=2, padding=1), (2, 7, 8)),
    "AvgPool2d": (lambda: ta.AvgPool2d((3, 2)), (2, 7, 8)),
    "Flatten": (ta.Flatten, (2, 3, 4)),
    "ReLU": (ta.ReLU, (2, 3, 4)),
    "Normalize": (lambda: ta.Normalize(3), (3, 4, 5)),
    "BatchNorm2d": (lambda: ta.BatchNorm2d(3), (3, 4, 5)),
    "LocalResponseNorm": (ta.LocalResponseNorm, (3, 4, 5)),
    "LocalContrastNorm": (lambda: ta.LocalContrastNorm(3), (3, 4, 5)),
    "Dropout": (ta.Dropout, (3, 4)),
    "Sequential": (small_network, (2, 9, 8)),
}
EVERY_LAYER = pytest.mark.parametrize("name", LAYERS)


def batch_of(shape, n=2):
    return np.random.default_rng(0).normal(size=(n, *shape)).astype(np.float32)


def test_every_layer_is_listed_here():
    public = {
        name
        for module in (layers, norm_layers, pool_layers, sequential)
        for name, thing in vars(module).items()
        if isinstance(thing, type) and thing.__module__ == module.__name__
        if not name.startswith("_")
    }
    assert public == {type(make()).__name__ for make, _ in LAYERS.values()}
    assert all(hasattr(ta, name) for name in public)


@EVERY_LAYER
@pytest.mark.parametrize("training", [False, True])
def test_output_shape_is_what_forward_gives(name, training):
    make, shape = LAYERS[name]
    layer = make()
    y = layer(batch_of(shape, 3), training=training, rng=0)
    assert y.shape == (3, *layer.output_shape(shape))
    assert y.dtype == np.float32


@EVERY_LAYER
def test_every_parameter_gets_a_gradient_of_its_own_shape_and_type(name):
    make, shape = LAYERS[name]
    layer = make()
    x = ta.Tensor(batch_of(shape), requires_grad=True)
    y = layer(x, training=True, rng=0)
    y.backward(np.random.default_rng(1).normal(size=y.shape))
    for tensor in [x, *layer.parameters()]:
        assert tensor.grad.shape == tensor.shape and tensor.grad.dtype == np.float32
        assert np.isfinite(tensor.grad).all() and tensor.grad.any()


@EVERY_LAYER
def test_what_forward_refuses_output_shape_refuses_too(name):
    layer = LAYERS[name][0]()
    for other in [(5,), (7, 4, 5), (3, 4), (3, 4, 5, 6), (2, 1, 1)]:
        refused = []
        for call in (lambda o=other: layer.output_shape(o), lambda o=other: layer(batch_of(o))):
            try:
                call()
                refused.append(False)
            except ShapeError:
                refused.append(True)
        assert refused[0] == refused[1], f"{name} of {other}: output_shape, forward {refused}"


@EVERY_LAYER
def test_a_copy_computes_the_same(name):
    make, shape = LAYERS[name]
    layer, x = make(), batch_of(shape)
    np.testing.assert_array_equal(layer.copy()(x).data, layer(x).data)
    assert repr(layer.copy()) == repr(layer)


@pytest.mark.parametrize(
    ("make", "shape", "says"),
    [
        (lambda: ta.Linear(75, 4), (2, 3, 5, 5), r"got \(2, 3, 5, 5\); put Flatten\(\) before it$"),
        (lambda: ta.Linear(3, 4), (2, 3, 5, 5), r"Linear expects \(n, 3\), got \(2, 3, 5, 5\)$"),
        (lambda: ta.Conv2d(3, 4, 2), (2, 1, 5, 5), r"Conv2d expects 3 channels.*\(2, 1, 5, 5\)"),
        (lambda: ta.Conv2d(3, 4, 2), (3, 5, 5), r"3 channels.*\(3, 5, 5\)"),
        (lambda: ta.Conv2d(4, 4, 2, groups=2), (2, 2, 5, 5), "expects 4 channels"),
        (lambda: ta.Conv2d(3, 4, 6, rng=0), (2, 3, 5, 7), r"\(6, 6\).*\(5, 7\)"),
        (lambda: ta.MaxPool2d(4), (2, 3, 3, 9), r"\(4, 4\).*\(3, 9\)"),
        (lambda: ta.AvgPool2d(3, padding=2), (2, 3, 9, 9), "half"),
        (lambda: ta.Normalize(3), (2, 1, 4, 4), r"Normalize expects 3 channels.*\(2, 1, 4, 4\)"),
        (lambda: ta.BatchNorm2d(3), (2, 4, 4, 4), r"BatchNorm2d expects 3.*\(2, 4, 4, 4\)"),
        (lambda: ta.BatchNorm2d(3), (2, 3), r"\(n, c, h, w\).*\(2, 3\)"),
        (ta.LocalResponseNorm, (2, 3), r"\(2, 3\)"),
        (ta.LocalContrastNorm, (2, 3), r"\(2, 3\)"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused_with_the_numbers(make, shape, says):
    with pytest.raises(ShapeError, match=says):
        make()(np.ones(shape, np.float32))


WINDOW = "from 1 and padding from 0"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ta.Conv2d(0, 4, 3), "Conv2d needs.*1 or more, got 0, 4"),
        (lambda: ta.Conv2d(3, 0, 3), "Conv2d needs.*1 or more, got 3, 0"),
        (lambda: ta.Conv2d(3.0, 4, 3), "whole numbers.*got 3.0, 4"),
        (lambda: ta.Conv2d(3, 4, 0), WINDOW),
        (lambda: ta.Conv2d(3, 4, (3, -1)), WINDOW),
        (lambda: ta.Conv2d(3, 4, 3, stride=0), WINDOW),
        (lambda: ta.Conv2d(3, 4, 3, padding=-1), WINDOW),
        (lambda: ta.Conv2d(3, 4, 3, dilation=(1, 0)), WINDOW),
        (lambda: ta.Conv2d(3, 4, "3"), "one whole number or a pair"),
        (lambda: ta.Conv2d(3, 4, 3, stride=1.5), "one whole number or a pair"),
        (lambda: ta.Conv2d(3, 6, 3, groups=2), "2 groups do not divide 3 channels and 6 outputs"),
        (lambda: ta.Conv2d(4, 3, 3, groups=2), "2 groups do not divide 4 channels and 3 outputs"),
        (lambda: ta.Conv2d(4, 4, 3, groups=0), "groups must be a whole number from 1, got 0"),
        (lambda: ta.Conv2d(4, 4, 3, groups=1.0), "groups must be a whole number from 1, got 1.0"),
        (lambda: ta.Linear(2.5, 3), "whole numbers.*got 2.5, 3"),
        (lambda: ta.Normalize(0), "Normalize needs.*got 0"),
        (lambda: ta.BatchNorm2d(0), "BatchNorm2d needs.*got 0"),
        (lambda: ta.LocalResponseNorm(4), "odd size from 1, got 4"),
        (lambda: ta.LocalResponseNorm(2.5), "odd size from 1, got 2.5"),
        (lambda: ta.LocalContrastNorm(4), "odd size from 1, got 4"),
        *(
            (lambda pool=pool, kernel=kernel, options=options: pool(kernel, **options), says)
            for pool in (ta.MaxPool2d, ta.AvgPool2d)
            for kernel, options, says in [
                (0, {}, WINDOW),
                (2, {"stride": 0}, WINDOW),
                (2, {"padding": -1}, WINDOW),
                (2, {"padding": 2}, "padding 2 is more than half of the kernel 2"),
                (2.5, {}, "one whole number or a pair"),
            ]
        ),
    ],
)
def test_a_layer_that_fits_no_batch_is_refused_when_it_is_made(make, says):
    with pytest.raises(ShapeError, match=says):
        make()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ta.Dropout(1.5), "rate from 0 to below 1, got 1.5"),
        (lambda: ta.Dropout(-0.1), "got -0.1"),
        (lambda: ta.BatchNorm2d(3, momentum=7), "momentum from 0 to 1, got 7"),
        (lambda: ta.BatchNorm2d(3, momentum=-0.1), "momentum from 0 to 1, got -0.1"),
        (lambda: ta.BatchNorm2d(3, epsilon=-1e-5), "epsilon from 0, got -1e-05"),
        (lambda: ta.BatchNorm2d(3, epsilon=math.nan), "epsilon from 0, got nan"),
    ],
)
def test_a_number_out_of_its_range_is_refused_when_the_layer_is_made(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_a_width_may_be_a_number_of_numpy():
    assert ta.Linear(np.int64(4), np.int32(3), rng=0)(np.ones((2, 4))).shape == (2, 3)


def test_no_pool_is_the_other_one():
    assert not isinstance(ta.AvgPool2d(2), ta.MaxPool2d)
    assert not isinstance(ta.MaxPool2d(2), ta.AvgPool2d)


# --- what a layer costs --------------------------------------------------------------------------


def counted_multiply_adds(layer, shape):
    """Seven loops that do nothing but count."""
    o, c, kh, kw = layer.weight.shape
    (s, t), (u, v), (d, e) = (
        np.broadcast_to(k, 2) for k in (layer.stride, layer.padding, layer.dilation)
    )
    rows = images.outputs_along(shape[1], kh, s, u, d)
    columns = images.outputs_along(shape[2], kw, t, v, e)
    return sum(1 for _ in np.ndindex(o, rows, columns, c, kh, kw))


@pytest.mark.parametrize("name", ["Conv2d", "Conv2d without bias"])
def test_the_multiply_adds_of_a_convolution_are_those_of_its_loops(name):
    make, shape = LAYERS[name]
    assert make().multiply_adds(shape) == counted_multiply_adds(make(), shape)


def test_the_multiply_adds_of_a_network_are_those_of_its_layers():
    assert ta.Linear(6, 4).multiply_adds((6,)) == 24
    assert ta.MaxPool2d(2).multiply_adds((3, 4, 4)) == ta.BatchNorm2d(3).multiply_adds((3, 4, 4))
    assert small_network().multiply_adds((2, 9, 8)) == 3 * 9 * 8 * 2 * 9 + 48 * 5
