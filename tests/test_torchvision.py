"""torchvision's AlexNet and VGG-16 come in by their names and shapes; torchvision is not needed."""

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import ShapeError

# From torchvision's documentation: the outputs of each convolution, "M" for a pool.
ALEXNET = [(64, 11), "M", (192, 5), "M", (384, 3), (256, 3), (256, 3), "M"]
VGG11 = [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]
VGG16 = [64, 64, "M", 128, 128, "M", *[256] * 3, "M", *[512] * 3, "M", *[512] * 3, "M"]


def features(table, batch_norm=False):
    """Shapes by name, as ``nn.Sequential`` numbers them."""
    shapes, number, channels = {}, 0, 3
    for row in table:
        if row == "M":
            number += 1
            continue
        width, kernel = row if isinstance(row, tuple) else (row, 3)
        shapes[f"features.{number}.weight"] = (width, channels, kernel, kernel)
        shapes[f"features.{number}.bias"] = (width,)
        if batch_norm:
            number += 1
            for part in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"features.{number}.{part}"] = (width,)
            shapes[f"features.{number}.num_batches_tracked"] = ()
        number, channels = number + 2, width
    return shapes


def classifier(numbers, lengths):
    shapes = {}
    for number, inputs, outputs in zip(numbers, lengths, lengths[1:]):
        shapes |= {f"classifier.{number}.weight": (outputs, inputs)}
        shapes |= {f"classifier.{number}.bias": (outputs,)}
    return shapes


def alexnet(*widths, classes=1000):
    return features(ALEXNET) | classifier((1, 4, 6), (256 * 6 * 6, *widths, classes))


def vgg16(*widths, classes=1000, batch_norm=False, pixels=7):
    lengths = (512 * pixels * pixels, *widths, classes)
    return features(VGG16, batch_norm) | classifier((0, 3, 6), lengths)


def constant(shapes):
    """Arrays of these shapes that take no memory."""
    return {name: np.broadcast_to(np.float32(0.5), shape) for name, shape in shapes.items()}


def drawn(shapes):
    rng = np.random.default_rng(0)
    state = {}
    for name, shape in shapes.items():
        fan_in = np.prod(shape[1:]) if len(shape) > 1 else 50
        state[name] = rng.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)
        layer, _, part = name.rpartition(".")
        if part == "running_var" or (part == "weight" and f"{layer}.running_var" in shapes):
            state[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
    return state


@pytest.mark.parametrize(
    ("shapes", "count"),
    [  # the counts that torchvision documents, "num_params" of its weights
        (alexnet(4096, 4096), 61_100_840),
        (vgg16(4096, 4096), 138_357_544),
        (vgg16(4096, 4096, batch_norm=True), 138_365_992),
    ],
    ids=["alexnet", "vgg16", "vgg16_bn"],
)
def test_the_published_networks_fit(shapes, count):
    model = ta.from_torchvision(constant(shapes))
    assert model.num_parameters == count
    assert model.output_shape((3, 224, 224)) == (1000,)
    np.testing.assert_allclose(model.normalize.mean.data, [0.485, 0.456, 0.406])
    assert (model.fc1.weight.data == 0.5).all()


def in_torch(torch, state, table, batch_norm, pool, dropout_first):
    """The network in torch, from torchvision's documentation."""
    nn = torch.nn
    layers = []
    for row in table:
        width, kernel = row if isinstance(row, tuple) else (row, 3)
        if row == "M":
            layers.append(nn.MaxPool2d(3 if dropout_first else 2, stride=2))
            continue
        options = {"padding": kernel // 2}
        if kernel == 11:
            options = {"stride": 4, "padding": 2}
        layers.append(nn.LazyConv2d(width, kernel, **options))
        if batch_norm:
            layers.append(nn.BatchNorm2d(width))
        layers.append(nn.ReLU())
    weights = [v for k, v in state.items() if k.startswith("classifier") and k.endswith("weight")]
    linear = [nn.Linear(*w.shape[::-1]) for w in weights]
    tail = [linear[0], nn.ReLU(), nn.Dropout(), linear[1], nn.ReLU(), nn.Dropout(), linear[2]]
    if dropout_first:
        tail = [nn.Dropout(), linear[0], nn.ReLU(), nn.Dropout(), linear[1], nn.ReLU(), linear[2]]
    whole = nn.ModuleDict({"features": nn.Sequential(*layers), "classifier": nn.Sequential(*tail)})
    whole["features"](torch.zeros(2, 3, 64, 64))  # the lazy layers learn their inputs
    whole.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    whole.eval()
    average = nn.AdaptiveAvgPool2d(pool)
    return lambda x: whole["classifier"](average(whole["features"](x)).flatten(1))


@pytest.mark.parametrize("name", ["alexnet", "vgg16_bn"])
def test_they_compute_what_torch_computes(name):
    torch = pytest.importorskip("torch")
    if name == "alexnet":
        state = drawn(alexnet(32, 24, classes=7))
        network = in_torch(torch, state, ALEXNET, False, 6, dropout_first=True)
    else:
        state = drawn(vgg16(32, 24, classes=7, batch_norm=True))
        network = in_torch(torch, state, VGG16, True, 7, dropout_first=False)
    images = np.random.default_rng(0).random((2, 3, 224, 224), np.float32)
    model = ta.from_torchvision(state)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    standard = (images - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    with torch.no_grad():
        expected = network(torch.tensor(standard.astype(np.float32))).numpy()
    np.testing.assert_allclose(
        model(images).data, expected, rtol=0, atol=1e-4 * abs(expected).max()
    )
    assert np.ptp(expected, axis=0).max() > 1e-3 * abs(expected).max()


def test_a_vgg16_for_small_images_and_for_files(tmp_path):
    state = drawn(vgg16(16, 8, classes=10, pixels=1))
    model = ta.from_torchvision(state)
    assert model.output_shape((3, 32, 32)) == (10,)
    ta.save(tmp_path / "vgg.npz", model)
    assert (ta.load(tmp_path / "vgg.npz").fc3.weight.data == state["classifier.6.weight"]).all()


def test_an_alexnet_is_compressed_saved_and_loaded(tmp_path):
    state = constant(alexnet(16, 8, classes=5))
    small = ta.compress(ta.from_torchvision(state), {"fc1": 1}, rng=0)
    ta.save(tmp_path / "small.npz", small)
    again = ta.compress(ta.from_torchvision(state), {"fc1": 1}, rng=1)
    ta.load(tmp_path / "small.npz", into=again)
    assert all((again.arrays()[name] == array).all() for name, array in small.arrays().items())
    assert "fc1" in str(ta.report(small))  # the image size is known


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (constant(features(VGG11) | classifier((0, 3, 6), (25088, 8, 8, 10))), "8 convolutions"),
        ({"layer1.0.conv1.weight": np.ones((64, 64, 1, 1))}, "none of torchvision's.*0 convol"),
        (constant(features(VGG16)), "0 linear layers"),
        ({"epoch": 3, "features.0.weight": "a text"}, "0 convolutions"),
        (constant(vgg16(8, 8, pixels=6)), r"fc1.weight has shape \(8, 25088\)"),
        (constant({**alexnet(8, 8), "features.0.weight": (64, 3, 7, 7)}), "conv1.weight has shape"),
        (constant({**vgg16(8, 8), "extra.weight": (3,)}), "no place for extra.weight"),
    ],
)
def test_other_networks_are_named(state, words):
    with pytest.raises(ShapeError, match=words):
        ta.from_torchvision(state)
