"""The networks: their layers' names, shapes and counts, and how they are built again."""

import json

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.compression.configure import build
from tinyadtn.errors import ShapeError, TinyADTNError
from tinyadtn.nn.models import MODELS
from tinyadtn.nn.surgery import named_layers


def test_fc2_is_the_network_of_the_paper():
    model = ta.models.fc2(rng=0)
    assert list(named_layers(model)) == ["fc1", "fc2"]
    assert model.fc1.weight.shape == (256, 784)
    assert model.fc2.weight.shape == (10, 256)
    assert model.num_parameters == 784 * 256 + 256 + 256 * 10 + 10 == 203_530


def test_fc2_computes_its_formula(rng):
    model = ta.models.fc2(hidden=12, image_size=5, num_classes=3, rng=0)
    model.fc1.bias.data[:] = rng.normal(size=12)
    model.fc2.bias.data[:] = rng.normal(size=3)
    x = rng.random((4, 1, 5, 5))
    w1, b1, w2, b2 = (p.data.astype(np.float64) for p in model.parameters())
    hidden = np.where((h := x.reshape(4, 25) @ w1.T + b1) > 0, h, 0)
    np.testing.assert_allclose(model(x).data, hidden @ w2.T + b2, rtol=1e-6, atol=1e-6)
    assert (h < 0).any()


def test_the_layers_have_different_starts():
    model = ta.models.fc2(hidden=784, num_classes=784, rng=0)
    assert np.abs(model.fc1.weight.data - model.fc2.weight.data).max() > 0.01


@pytest.mark.parametrize("name", MODELS)
def test_seeds_decide_the_weights(name):
    one, same, other = (MODELS[name](rng=seed).arrays() for seed in (1, 1, 2))
    assert all(np.array_equal(one[k], same[k]) for k in one)
    assert any(not np.array_equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("name", MODELS)
def test_the_configuration_builds_the_model_again(name):
    model = MODELS[name](rng=0)
    again = build(json.loads(json.dumps(model.config)))
    assert again.config == model.config
    assert {n: t.shape for n, t in again.named_tensors()} == {
        n: t.shape for n, t in model.named_tensors()
    }


def test_options_are_part_of_the_configuration():
    options = {"num_classes": 7, "image_size": 16, "channels": 3, "hidden": 20}
    again = build(ta.models.fc2(**options).config)
    assert again.fc1.weight.shape == (20, 3 * 16 * 16)
    assert again.fc2.weight.shape == (7, 20)
    assert again.fc1.axes == (20, (3, 16, 16))


def test_one_channel_needs_no_axis():
    assert ta.models.fc2().fc1.axes == (256, (28, 28))


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"model": "fc3"},
        {"model": "fc2", "depth": 3},
        {"model": "fc2", "image_size": "28"},
        {"model": "fc2", "hidden": 0},
        {"model": "fc2", "encodings": {"fc1": {"encoding": "Zip"}}},
        {"model": "fc2", "encodings": {"fc1": {"encoding": "ADTN"}}},
        {"model": "fc2", "encodings": {"fc1": {}}},
        {"model": "fc2", "encodings": {"fc1": None}},
        {
            "model": "fc2",
            "encodings": {"fc1": {"encoding": "ADTN", "shape": [256, 784], "depth": 0}},
        },
        {
            "model": "fc2",
            "encodings": {"fc1": {"encoding": "ADTN", "shape": [256, 784], "knob": 1}},
        },
        {
            "model": "fc2",
            "encodings": {"fc1": {"encoding": "ADTN", "shape": [256, 784], "activation": "gelu"}},
        },
        {"model": "fc2", "encodings": {"fc1": {"encoding": "ADTN", "shape": [256, 785]}}},
        {"model": "fc2", "encodings": {"fc9": {"encoding": "ADTN", "shape": [256, 784]}}},
        {"model": "fc2", "encodings": [1, 2]},
        ["fc2"],
    ],
)
def test_a_configuration_of_nothing_known_is_refused(config):
    with pytest.raises(TinyADTNError):
        build(config)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ta.models.alexnet(groups=3), "conv2: 3 groups do not divide 96 channels"),
        (lambda: ta.models.alexnet(groups=0), "conv2: groups must be a whole number"),
        (lambda: ta.models.fc2(hidden=0), "fc1: Linear needs .* got .*0"),
        (lambda: ta.models.vgg16(0), "num_classes must be .*1 or more, got 0"),
        (lambda: ta.models.lenet5(2.5), "num_classes must be a whole number.* got 2.5"),
        (lambda: ta.models.zfnet(channels=0), "channels must be .*1 or more, got 0"),
        (lambda: ta.models.fc2(image_size=0), "image_size must be .*1 or more, got 0"),
    ],
)
def test_a_network_that_cannot_be_says_where(make, says):
    with pytest.raises(ShapeError, match=f"^{says}"):
        make()


def test_shapes_only_need_no_memory():
    model = ta.models.fc2(image_size=2**11, hidden=2**17)
    assert model.fc1.weight.shape == (2**17, 2**22)  # two terabytes, had they been drawn


@pytest.mark.parametrize(
    ("widths", "layers"),
    [
        ((), ["flatten", "fc1"]),
        ((7,), ["flatten", "fc1", "relu_fc1", "dropout1", "fc2"]),
        (
            [7, 5],
            ["flatten", "fc1", "relu_fc1", "dropout1", "fc2", "relu_fc2", "dropout2", "fc3"],
        ),
    ],
)
def test_a_head_has_a_linear_layer_for_each_width_and_one_for_the_classes(widths, layers):
    model = ta.models.head(3, widths=widths, rng=0)
    assert [name for name, _ in model.layers()] == layers
    outputs = [layer.weight.shape[0] for layer in named_layers(model).values()]
    assert outputs == [*widths, 3]
    again = build(json.loads(json.dumps(model.config)))
    assert again.config == model.config and model.config["widths"] == list(widths)
    assert repr(again) == repr(model)


@pytest.mark.parametrize("name", ["alexnet", "zfnet", "vgg16"])
@pytest.mark.parametrize("widths", [(), (6, 4)])
def test_the_hidden_linear_layers_of_a_network_have_the_widths_it_is_given(name, widths):
    whole, model = MODELS[name](rng=0), MODELS[name](widths=widths, rng=0)
    outputs = [layer.weight.shape[0] for layer in named_layers(whole).values()]
    convolutions = outputs[:-3]
    assert [layer.weight.shape[0] for layer in named_layers(model).values()] == [
        *convolutions,
        *widths,
        10,
    ]
    assert build(json.loads(json.dumps(model.config))).config == model.config
    last = f"conv{'5_3' if name == 'vgg16' else 5}"  # the same start, whatever stands behind it
    assert (getattr(model, last).weight.data == getattr(whole, last).weight.data).all()


def test_a_head_is_told_of_rows_and_columns_where_features_have_them():
    assert ta.models.head(channels=512, widths=(8,)).fc1.axes == (8, 512)
    assert ta.models.head(10, 4, channels=64, widths=(8,)).fc1.axes == (8, (64, 4, 4))


@pytest.mark.parametrize(
    ("widths", "says"),
    [
        (4096, "widths must be a list, a number for each hidden linear layer, got 4096"),
        ("4096", "widths must be a list, .* got '4096'"),
        ({8: 8}, "widths must be a list"),
        ((8, 0), "fc2: Linear needs whole numbers of 1 or more, got 8, 0"),
        ((2.5,), "fc1: Linear needs whole numbers"),
        (("8",), "fc1: Linear needs whole numbers"),
    ],
)
def test_widths_that_are_none_are_refused(widths, says):
    for make in (ta.models.head, ta.models.alexnet, ta.models.zfnet, ta.models.vgg16):
        with pytest.raises(ShapeError, match=says):
            make(widths=widths)


@pytest.mark.parametrize(("name", "near"), [("resnet18", ""), ("vgg", "; did you mean vgg16[?]")])
def test_an_unknown_network_names_those_that_there_are(name, near):
    with pytest.raises(AttributeError, match=rf"^no network '{name}'{near} \(there is fc2, lenet5"):
        getattr(ta.models, name)
