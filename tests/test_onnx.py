"""An exported network computes what ours does, according to the reference evaluator of ONNX."""

import itertools
import re
import sys

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import SizeLimitError, TinyADTNError
from tinyadtn.exchange import onnx_file

onnx = pytest.importorskip("onnx", reason="pip install onnx")
from onnx.reference import ReferenceEvaluator  # noqa: E402


@pytest.fixture
def path(tmp_path):
    return tmp_path / "network.onnx"


def drawn(model, dtype=np.float32):
    """Set every parameter and buffer to random values, none of them at its start of 0 or 1."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, tensor in model.named_tensors():
        fan_in = np.prod(tensor.shape[1:]) if name.endswith("weight") else 25
        arrays[name] = rng.normal(0, np.sqrt(2 / fan_in), tensor.shape).astype(dtype)
        if name.endswith(("scale", "std", "running_variance")):
            arrays[name] = rng.uniform(0.5, 1.5, tensor.shape).astype(dtype)
    model.load_arrays(arrays)
    return model


def require_same(path, model, shape, tolerance=1e-5):
    images = np.random.default_rng(1).random((3, *shape))
    images = images.astype(model.parameters()[0].dtype if model.parameters() else np.float32)
    (found,) = ReferenceEvaluator(str(path)).run(["logits"], {"images": images})
    expected = model(images).numpy()
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, atol=tolerance * abs(expected).max(), rtol=0)
    assert np.ptp(expected, axis=0).max() > 1e-3 * abs(expected).max()  # the images matter


NETWORKS = {
    "FC-2": (ta.models.fc2, {}, {"fc1": 2}, (1, 28, 28)),
    "LeNet-5": (ta.models.lenet5, {}, {"conv2": ta.Tucker.like(3), "fc1": 1}, (1, 28, 28)),
    "AlexNet": (ta.models.alexnet, {"widths": (8,), "groups": 2}, {}, (3, 32, 32)),
    "ZFNet": (ta.models.zfnet, {"widths": (8,)}, {}, (3, 32, 32)),
    "VGG-16": (ta.models.vgg16, {"widths": (16, 8)}, {("fc1", "fc2"): 1}, (3, 32, 32)),
    "head": (ta.models.head, {"widths": (8,)}, {"fc1": ta.LowRank.like(2)}, (512, 1, 1)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network(name, path):
    make, options, spec, shape = NETWORKS[name]
    model = ta.compress(drawn(make(**options)), spec, rng=0)
    ta.save_onnx(path, model)
    require_same(path, model, shape, 1e-4)


LAYERS = {
    "same": ta.Conv2d(4, 6, 4, padding="same", stride=2, rng=0),
    "one side": ta.Conv2d(4, 6, (2, 3), padding=((1, 0), (0, 2)), rng=0),
    "groups": ta.Conv2d(4, 6, 3, groups=2, dilation=2, padding=1, bias=False, rng=0),
    "max": ta.MaxPool2d(3, stride=2, padding=1),
    "max, ceil": ta.MaxPool2d(3, stride=2, ceil_mode=True),
    "max, dilated": ta.MaxPool2d(2, stride=2, dilation=3),
    "mean": ta.AvgPool2d((2, 3), stride=2, padding=(1, 0)),
    "mean, ceil": ta.AvgPool2d(3, stride=2, ceil_mode=True),
    "linear": ta.Sequential(flatten=ta.Flatten(), fc=ta.Linear(480, 2, bias=False, rng=0)),
    "called logits": ta.Sequential(logits=ta.ReLU(), images=ta.Dropout()),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_and_their_options(name, path):
    model = ta.Sequential(layer=LAYERS[name])
    ta.save_onnx(path, model, (4, 12, 10))
    require_same(path, model, (4, 12, 10))


POOLS = list(
    itertools.product(
        (ta.MaxPool2d, ta.AvgPool2d),
        (2, 3),
        (1, 2, 3, 4),
        (0, 1, ((0, 1), (1, 0)), ((1, 0), (0, 1))),
        (False, True),
        ((5, 6), (7, 4), (8, 9)),
    )
)


@pytest.mark.parametrize("part", range(4))
def test_pools_of_any_options(part, path):
    """Programs differ in the last windows of ceil_mode: a quarter of all cases, drawn once."""
    drawn = np.random.default_rng(0).permutation(len(POOLS))[part::16]
    for kind, kernel, stride, padding, ceil_mode, size in (POOLS[k] for k in drawn):
        pool = kind(kernel, stride=stride, padding=padding, ceil_mode=ceil_mode)
        model = ta.Sequential(pool=pool)
        ta.save_onnx(path, model, (2, *size))
        require_same(path, model, (2, *size))


def test_float64(path):
    model = drawn(ta.models.zfnet(widths=(8,)), np.float64)
    ta.save_onnx(path, model)
    require_same(path, model, (3, 32, 32), 1e-9)


def test_the_file_names_input_output_and_weights(path):
    ta.save_onnx(path, ta.models.lenet5(num_classes=7, rng=0))
    graph = onnx.load(path).graph
    (images,), (logits,) = graph.input, graph.output
    assert images.name == "images" and logits.name == "logits"

    def shape(value):
        return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]

    assert shape(images) == ["n", 1, 28, 28] and shape(logits) == ["n", 7]
    assert {"conv1.weight", "fc3.bias"} < {constant.name for constant in graph.initializer}


class Own(ta.Module):
    def forward(self, x, *, training, rng):
        return x


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (ta.Sequential(a=ta.Sequential(own=Own())), "a.own: Own has no counterpart"),
        (Own(), "needs a Sequential"),
        (ta.models.fc2(), "shapes only"),
        (ta.Sequential(fc=ta.Linear(3, 2, rng=0)), "fc: Linear expects"),
    ],
)
def test_what_cannot_be_exported(model, words, path):
    with pytest.raises(TinyADTNError, match=words):
        ta.save_onnx(path, model, (1, 28, 28))
    assert not path.exists()


def test_more_than_a_file_can_hold(path, monkeypatch):
    monkeypatch.setattr(onnx_file, "LARGEST", 1000)
    with pytest.raises(SizeLimitError, match="814,120 bytes, an ONNX file holds 1,000"):
        ta.save_onnx(path, ta.models.fc2(rng=0))


def test_the_image_must_be_known(path):
    with pytest.raises(TinyADTNError, match="image="):
        ta.save_onnx(path, ta.Sequential(fc=ta.Linear(3, 2, rng=0)))


def test_without_the_package(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(TinyADTNError, match=rf"{re.escape(sys.executable)} -m pip install onnx$"):
        ta.save_onnx(path, ta.models.fc2(rng=0))
