"""Layers: what they compute, how they start, what they pass on and what they refuse."""

import copy
import math
import pickle
import re

import image_references as images
import numpy as np
import pytest
from test_layer_shapes import STRIDED, batch_of, small_network

import tinyadtn as ta
from tinyadtn.errors import GraphError, ShapeError, TinyADTNError
from tinyadtn.nn.parameters import he_std


def two_layers():
    return ta.Sequential(fc1=ta.Linear(6, 8, rng=0), relu1=ta.ReLU(), fc2=ta.Linear(8, 3, rng=1))


@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_a_matrix_product(bias, rng):
    layer = ta.Linear(5, 3, bias=bias, rng=0)
    x = rng.normal(size=(4, 5)).astype(np.float32)
    expected = np.array(
        [[sum(w * v for w, v in zip(row, xs)) for row in layer.weight.data] for xs in x]
    )
    if bias:
        layer.bias.data[:] = [1, 2, 3]
        expected += [1, 2, 3]
    np.testing.assert_allclose(layer(x).data, expected, rtol=1e-5, atol=1e-6)


def test_linear_starts_as_he_says():
    layer = ta.Linear(800, 600, rng=0)
    assert layer.weight.data.std() == pytest.approx(math.sqrt(2 / 800), rel=0.01)
    assert abs(layer.weight.data.mean()) < 1e-3
    assert not layer.bias.data.any()
    assert he_std((7, 3, 2, 5)) == math.sqrt(2 / 30)


def test_linear_knows_the_structure_of_its_input():
    layer = ta.Linear((28, 28), 256, rng=0)
    assert layer.weight.shape == (256, 784)
    assert layer.axes == (256, (28, 28))
    assert ta.Linear(784, 256).axes == (256, 784)


@pytest.mark.parametrize("shape", [(2, 5), (4,), (2, 4, 1), (2, 4, 4)])
def test_linear_refuses_other_inputs_with_the_numbers(shape):
    with pytest.raises(ShapeError, match=rf"\(n, 4\), got \({shape[0]}[,)]"):
        ta.Linear(4, 3, rng=0)(np.ones(shape, np.float32))


@pytest.mark.parametrize(("inside", "outside"), [(0, 3), (3, 0), (-2, 3), ((2, 0), 3)])
def test_a_layer_without_width_is_refused(inside, outside):
    with pytest.raises(ShapeError, match="1 or more"):
        ta.Linear(inside, outside, rng=0)


def test_sequential_says_which_layer_refused():
    with pytest.raises(ShapeError, match=r"fc1: Linear expects \(n, 6\), got \(2, 5\)"):
        two_layers()(np.ones((2, 5), np.float32))


def test_sequential_lists_its_layers_when_one_is_missing():
    with pytest.raises(AttributeError, match="no layer 'fc7'; there is fc1, relu1, fc2"):
        _ = two_layers().fc7
    with pytest.raises(AttributeError, match=r"no layer 'eval'; .*; write model\(images\)"):
        _ = two_layers().eval()


@pytest.mark.parametrize(
    "name", ["forward", "layers", "config", "shapes", "weight", "num_parameters", "__class__"]
)
def test_sequential_refuses_names_that_mean_something_else(name):
    with pytest.raises(TinyADTNError, match=f"{name!r}.*another name"):
        ta.Sequential(fc1=ta.Linear(4, 3), **{name: ta.ReLU()})


def test_sequential_refuses_a_name_that_looks_like_a_path():
    with pytest.raises(TinyADTNError, match=r"'block\.fc1'.*another name"):
        ta.Sequential(**{"block.fc1": ta.Linear(4, 3)})


def test_sequential_asks_for_names():
    with pytest.raises(TypeError, match=r"names: Sequential\(fc1=.*; got Linear, ReLU without"):
        ta.Sequential(ta.Linear(4, 3), ta.ReLU())


@pytest.mark.parametrize("part", [ta.relu, ta.ReLU, None])
def test_sequential_refuses_what_is_no_layer(part):
    with pytest.raises(TypeError, match="act is no layer"):
        ta.Sequential(fc1=ta.Linear(4, 3), act=part)


@pytest.mark.parametrize("value", [None, "0.5", True, ta.Tensor(0.5), 1j], ids=repr)
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda v: ta.Dropout(v), "rate"),
        (lambda v: ta.BatchNorm2d(2, momentum=v), "momentum"),
        (lambda v: ta.BatchNorm2d(2, epsilon=v), "epsilon"),
        (lambda v: ta.LocalResponseNorm(k=v), "k"),
        (lambda v: ta.LocalResponseNorm(alpha=v), "alpha"),
        (lambda v: ta.LocalResponseNorm(beta=v), "beta"),
    ],
    ids=["rate", "momentum", "epsilon", "k", "alpha", "beta"],
)
def test_a_layer_rejects_options_that_are_not_numbers(make, name, value):
    with pytest.raises(ValueError, match=f"{name} must be a number"):
        make(value)


def test_flatten_keeps_rows():
    x = np.arange(24.0).reshape(2, 3, 2, 2)
    np.testing.assert_array_equal(ta.Flatten()(x).data, x.reshape(2, 12))
    assert ta.Flatten()(np.ones((0, 3, 2, 2))).shape == (0, 12)


# --- convolutions, pools, normalisation ----------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_layer_is_the_op_and_a_bias_for_each_channel(bias):
    layer = ta.Conv2d(4, 6, (3, 2), **STRIDED, bias=bias, rng=0)
    x = batch_of((4, 8, 9))
    expected = images.conv2d(x, layer.weight.data, **STRIDED)
    if bias:
        layer.bias.data[:] = np.arange(6)
        expected += np.arange(6).reshape(6, 1, 1)
    np.testing.assert_allclose(layer(x).data, expected, rtol=1e-5, atol=1e-5)
    assert (layer.bias is not None) == bias


def test_a_convolution_starts_as_he_says():
    layer = ta.Conv2d(64, 96, (5, 3), groups=2, rng=0)
    assert layer.weight.shape == layer.axes == (96, 32, 5, 3)
    assert layer.weight.data.std() == pytest.approx(math.sqrt(2 / (32 * 15)), rel=0.01)
    assert not layer.bias.data.any()


def test_a_layer_shows_what_is_unusual_about_it():
    assert repr(ta.Conv2d(3, 8, 5)) == "Conv2d(3, 8, (5, 5))"
    strided = "Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)"
    assert repr(ta.Conv2d(4, 6, (3, 2), **STRIDED)) == strided
    assert repr(ta.MaxPool2d(3, stride=2, padding=1)) == "MaxPool2d(3, stride=2, padding=1)"
    same, pool = ta.Conv2d(3, 8, 5, padding="same"), ta.AvgPool2d(3, dilation=2, ceil_mode=True)
    assert repr(same) == "Conv2d(3, 8, (5, 5), padding='same')"
    assert repr(pool) == "AvgPool2d(3, stride=3, dilation=2, ceil_mode=True)"
    assert repr(ta.AvgPool2d((3, 2))) == "AvgPool2d((3, 2), stride=(3, 2))"
    assert repr(ta.Normalize(3)) == "Normalize(3)"
    assert repr(ta.BatchNorm2d(3)) == "BatchNorm2d(3)"
    assert repr(ta.Dropout(0.25)) == "Dropout(0.25)"
    assert repr(ta.LocalResponseNorm(3)) == "LocalResponseNorm(3)"
    assert repr(ta.LocalContrastNorm(3)) == "LocalContrastNorm(3)"
    encoded = ta.compress(ta.Sequential(conv1=ta.Conv2d(4, 8, 3, rng=0)), {"conv1": 1}, rng=0)
    assert repr(encoded.conv1).startswith("Conv2d(4, 8, (3, 3), ADTN M=1)")


def test_an_encoded_convolution_computes_with_the_decoded_weight():
    layer, x = ta.Conv2d(4, 8, 3, groups=2, rng=0), batch_of((4, 6, 5))
    model = ta.compress(ta.Sequential(conv1=layer), {"conv1": 2}, rng=0)
    weight = model.conv1.weight.decode().data
    expected = ta.conv2d(x, weight, groups=2).data
    np.testing.assert_allclose(model(x).data, expected, rtol=1e-6)


@pytest.mark.parametrize("padding", ["same", ((0, 2), (1, 0))])
@pytest.mark.parametrize(
    "encoding",
    [1, ta.LowRank.like(2), ta.TensorTrain.like(((4, 8), (16, 12)), 2), ta.Tucker.like(2)],
    ids=["ADTN", "LowRank", "TensorTrain", "Tucker"],
)
def test_every_encoding_of_a_convolution_takes_every_padding(encoding, padding):
    layer, x = ta.Conv2d(16, 32, (4, 3), padding=padding, rng=0), batch_of((16, 9, 8))
    model = ta.compress(ta.Sequential(conv1=layer), {"conv1": encoding}, rng=0)
    weight = model.conv1.weight.decode().data
    expected = ta.conv2d(x, weight, padding=padding).data
    with ta.decoded(model) as ready:
        for network in (model, ready):
            y = network(x).data
            np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_pools_pass_on_kernel_stride_and_padding():
    x, options = batch_of((2, 7, 8)), {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 1)}
    for layer, reference in ((ta.MaxPool2d, images.max_pool2d), (ta.AvgPool2d, images.avg_pool2d)):
        y = layer((3, 2), stride=(2, 1), padding=(1, 1))(x)
        np.testing.assert_allclose(y.data, reference(x, **options), rtol=1e-6)
        more = {**options, "dilation": 2, "ceil_mode": True}
        np.testing.assert_allclose(layer(**more)(x).data, reference(x, **more), rtol=0, atol=1e-6)


def test_normalisation_layers_pass_on_their_options():
    x = 10 * batch_of((6, 5, 4))
    options = {"size": 3, "k": 1.5, "alpha": 0.2, "beta": 0.6}
    expected = images.local_response_norm(x, **options)
    np.testing.assert_allclose(
        ta.LocalResponseNorm(3, k=1.5, alpha=0.2, beta=0.6)(x).data, expected, rtol=1e-5
    )
    expected = images.local_contrast_norm(x.astype(np.float64), 5)
    np.testing.assert_allclose(ta.LocalContrastNorm(5)(x).data, expected, rtol=1e-4, atol=1e-5)


def test_normalize_takes_away_the_mean_and_divides_by_the_deviation_of_each_channel():
    layer, x = ta.Normalize(2), batch_of((2, 3, 4))
    np.testing.assert_array_equal(layer(x).data, x)  # 0 and 1 until it is told
    layer.load_arrays({"mean": [1.0, -2.0], "std": [0.5, 4.0]})
    np.testing.assert_allclose(layer(x).data[:, 0], (x[:, 0] - 1) / 0.5, rtol=1e-6)
    np.testing.assert_allclose(layer(x).data[:, 1], (x[:, 1] + 2) / 4, rtol=1e-6)
    assert layer.num_parameters == 0 and list(layer.arrays()) == ["mean", "std"]


def test_dropout_acts_in_training_alone():
    layer, x = ta.Dropout(0.5), batch_of((40,))
    np.testing.assert_array_equal(layer(x).data, x)
    np.testing.assert_array_equal(layer(x, rng=0).data, x)
    np.testing.assert_array_equal(ta.Dropout(0)(x, training=True).data, x)  # and needs no rng
    expected = ta.dropout(x, rate=0.5, rng=3).data
    np.testing.assert_array_equal(layer(x, training=True, rng=3).data, expected)
    with pytest.raises(GraphError, match="rng="):
        layer(x, training=True)


# --- rows of layers ------------------------------------------------------------------------------


def test_a_network_lists_the_shapes_on_the_way():
    listed = [(name, before, after) for name, _, before, after in small_network().shapes((2, 9, 8))]
    assert listed == [
        ("conv1", (2, 9, 8), (3, 9, 8)),
        ("norm1", (3, 9, 8), (3, 9, 8)),
        ("pool1", (3, 9, 8), (3, 4, 4)),
        ("flatten", (3, 4, 4), (48,)),
        ("fc1", (48,), (5,)),
        ("dropout1", (5,), (5,)),
    ]
    assert ta.Sequential().output_shape((2, 3)) == (2, 3)


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ((1, 9, 8), r"^conv1: Conv2d expects 2 channels"),
        ((2, 12, 8), r"^fc1: Linear expects \(n, 48\)"),
    ],
)
def test_a_network_says_which_layer_refused_before_anything_is_computed_too(shape, says):
    with pytest.raises(ShapeError, match=says):
        small_network().output_shape(shape)
    with pytest.raises(ShapeError, match=says):
        small_network()(batch_of(shape))


def test_two_dropouts_of_a_network_draw_different_masks_from_one_stream():
    net, x = ta.Sequential(a=ta.Dropout(0.5), b=ta.Dropout(0.5)), np.ones((1, 2000), np.float32)
    kept = (net(x, training=True, rng=0).data != 0).mean()
    assert abs(kept - 0.25) < 0.05  # one mask twice would keep a half
    again = net(x, training=True, rng=0).data
    np.testing.assert_array_equal(again, net(x, training=True, rng=0).data)


def test_two_dropouts_of_an_own_module_draw_different_masks_from_one_seed():
    class Two(ta.Module):
        def __init__(self):
            self.a, self.b = ta.Dropout(0.5), ta.Dropout(0.5)

        def forward(self, x, *, training, rng):
            return ta.stack(self.a(x, training, rng), self.b(x, training, rng))

    first, second = Two()(np.ones((1, 2000)), training=True, rng=0).data
    assert abs((first == second).mean() - 0.5) < 0.05  # one mask twice would agree everywhere
    np.testing.assert_array_equal(first, ta.Dropout(0.5)(np.ones((1, 2000)), True, 0).data)


def test_one_number_per_channel_has_no_variance():
    layer = ta.BatchNorm2d(3)
    with pytest.raises(ShapeError, match=r"BatchNorm2d needs 2 or more numbers.*\(1, 3, 1, 1\)"):
        layer(np.ones((1, 3, 1, 1), np.float32), training=True)
    np.testing.assert_array_equal(layer.running_mean.data, 0)
    assert layer(np.ones((1, 3, 1, 1), np.float32)).shape == (1, 3, 1, 1)
    assert layer(np.ones((1, 3, 1, 2), np.float32), training=True).shape == (1, 3, 1, 2)


@pytest.mark.parametrize(
    "layer",
    [
        ta.Conv2d(3, 4, 3, stride=2, padding=1, rng=0),
        ta.Sequential(flatten=ta.Flatten(), fc=ta.Linear(3 * 8 * 8, 2, rng=0), relu=ta.ReLU()),
        ta.MaxPool2d(2),
        ta.AvgPool2d(3, stride=2),
        ta.BatchNorm2d(3),
        ta.Normalize(3),
        ta.LocalResponseNorm(3),
        ta.LocalContrastNorm(3),
        ta.Dropout(0.5),
    ],
    ids=repr,
)
@pytest.mark.parametrize(
    "again",
    [
        copy.copy,
        copy.deepcopy,
        *(lambda layer, n=n: pickle.loads(pickle.dumps(layer, n)) for n in range(2, 6)),
    ],
    ids=["copy", "deepcopy", "2", "3", "4", "5"],
)
def test_layers_are_copied_and_pickled_after_use(layer, again):
    x = np.random.default_rng(0).random((2, 3, 8, 8), np.float32)
    layer(x, training=True, rng=0)
    twin = again(layer)
    assert repr(twin) == repr(layer)
    with ta.no_grad():
        for training in (False, True):
            expected = layer.copy()(x, training=training, rng=1).data
            np.testing.assert_array_equal(twin(x, training=training, rng=1).data, expected)


@pytest.mark.parametrize("shape", [(2, 1), (4, 2), (1, 2), (1, 1, 2), (1,), ()])
def test_a_bias_of_another_shape_does_not_broadcast(shape):
    """(2, 1) did for a batch of one, with a result of two rows, and for a batch of two."""
    bias = ta.Tensor(np.ones(shape, np.float32), requires_grad=True)
    for layer, image in ((ta.Linear(3, 2, rng=0), (3,)), (ta.Conv2d(3, 2, 1, rng=0), (3, 4, 4))):
        layer.bias = bias
        for n in (1, 2, 4):
            with pytest.raises(ShapeError, match=rf"bias \(out,\) .* and {re.escape(str(shape))}"):
                layer(np.ones((n, *image), np.float32))
        small = ta.compress(ta.Sequential(layer=layer), {"layer": ta.LowRank.like(1)}, rng=0)
        with pytest.raises(ShapeError, match=r"layer: .* and a bias \(out,\)"):
            small(np.ones((1, *image), np.float32))


@pytest.mark.parametrize(
    "weight", [None, ta.Tensor(np.ones(3)), ta.Linear(3, 2, rng=0), ta.Tensor(np.ones((2, 3, 1)))]
)
def test_a_weight_that_cannot_be_one_is_named(weight):
    for layer, image in ((ta.Linear(3, 2, rng=0), (3,)), (ta.Conv2d(3, 2, 1, rng=0), (3, 4, 4))):
        layer.weight = weight
        with pytest.raises(ShapeError, match=f"{type(layer).__name__} needs a weight with . axes"):
            layer(np.ones((1, *image), np.float32))
