"""The five networks against what was published: counts, names, widths, kernels, feature maps."""

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import ShapeError
from tinyadtn.nn.models import MODELS
from tinyadtn.nn.surgery import named_layers
from tinyadtn.training.memory import training_memory
from tinyadtn.training.plan import TrainingPlan

FIVE_CONVOLUTIONS = [*(f"conv{k}" for k in range(1, 6)), "fc1", "fc2", "fc3"]
BLOCKS = [(1, 2), (2, 2), (3, 3), (4, 3), (5, 3)]
THIRTEEN_CONVOLUTIONS = [f"conv{block}_{k}" for block, n in BLOCKS for k in range(1, n + 1)]


def kinds(model):
    return [type(layer).__name__ for _, layer in model.layers()]


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("fc2", {}, 203_530),
        ("lenet5", {"image_size": 28}, 61_706),
        ("lenet5", {"image_size": 32}, 61_706),
        ("alexnet", {"num_classes": 1000, "image_size": 224, "groups": 2}, 60_965_224),
        ("alexnet", {"num_classes": 1000, "image_size": 224}, 62_378_344),
        ("zfnet", {"num_classes": 1000, "image_size": 224}, 62_357_608),
        ("vgg16", {"num_classes": 1000, "image_size": 224}, 138_357_544),
    ],
)
def test_the_parameters_are_as_many_as_published(name, options, count):
    assert MODELS[name](**options).num_parameters == count


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("fc2", ["fc1", "fc2"]),
        ("lenet5", ["conv1", "conv2", "fc1", "fc2", "fc3"]),
        ("alexnet", FIVE_CONVOLUTIONS),
        ("zfnet", FIVE_CONVOLUTIONS),
        ("vgg16", [*THIRTEEN_CONVOLUTIONS, "fc1", "fc2", "fc3"]),
        ("head", ["fc1", "fc2", "fc3"]),
    ],
)
def test_the_layers_have_the_names_that_a_compression_refers_to(name, layers):
    assert list(named_layers(MODELS[name]())) == layers


ALEXNET_224 = {"conv1": 55, "pool1": 27, "conv2": 27, "pool2": 13, "conv5": 13, "pool5": 6}
ALEXNET_32 = {"conv1": 32, "pool1": 15, "conv2": 15, "pool2": 7, "conv5": 7, "pool5": 3}
ZFNET_224 = {"conv1": 110, "pool1": 55, "conv2": 26, "pool2": 13, "conv5": 13, "pool5": 6}
VGG_224 = {"conv1_2": 224, "pool1": 112, "pool2": 56, "pool3": 28, "pool4": 14, "pool5": 7}
VGG_32 = {"conv1_1": 32, "pool1": 16, "pool2": 8, "pool3": 4, "conv4_3": 4, "pool4": 2, "pool5": 1}
LENET = {"conv1": 28, "pool1": 14, "conv2": 10, "pool2": 5}


@pytest.mark.parametrize(
    ("name", "size", "sides"),
    [
        ("lenet5", 28, LENET),
        ("lenet5", 32, LENET),
        ("alexnet", 224, ALEXNET_224),
        ("alexnet", 32, ALEXNET_32),
        ("alexnet", 28, ALEXNET_32),
        ("zfnet", 224, ZFNET_224),
        ("zfnet", 32, ALEXNET_32),
        ("zfnet", 28, ALEXNET_32),
        ("vgg16", 224, VGG_224),
        ("vgg16", 32, VGG_32),
        ("vgg16", 28, VGG_32),
    ],
)
def test_the_feature_maps_have_the_sizes_of_the_paper(name, size, sides):
    model = MODELS[name](image_size=size)
    shape = (model.config["channels"], size, size)
    maps = {layer: after[1:] for layer, _, _, after in model.shapes(shape)}
    assert {layer: maps[layer] for layer in sides} == {k: (n, n) for k, n in sides.items()}


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("lenet5", [6, 16, 120, 84, 10]),
        ("alexnet", [96, 256, 384, 384, 256, 4096, 4096, 10]),
        ("zfnet", [96, 256, 384, 384, 256, 4096, 4096, 10]),
        ("vgg16", [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6 + [4096] * 2 + [10]),
        ("head", [4096, 4096, 10]),
    ],
)
def test_the_layers_have_the_widths_of_the_paper(name, widths):
    layers = named_layers(MODELS[name]()).values()
    assert [layer.weight.shape[0] for layer in layers] == widths


@pytest.mark.parametrize(
    ("name", "size", "kernels"),
    [
        ("lenet5", 28, [5, 5]),
        ("lenet5", 32, [5, 5]),
        ("alexnet", 224, [11, 5, 3, 3, 3]),
        ("alexnet", 32, [3, 5, 3, 3, 3]),
        ("zfnet", 224, [7, 5, 3, 3, 3]),
        ("zfnet", 32, [5, 5, 3, 3, 3]),
        ("vgg16", 224, [3] * 13),
        ("vgg16", 32, [3] * 13),
    ],
)
def test_the_kernels_have_the_sizes_of_the_paper(name, size, kernels):
    weights = [layer.weight for layer in named_layers(MODELS[name](image_size=size)).values()]
    assert [w.shape[2:] for w in weights if len(w.shape) == 4] == [(k, k) for k in kernels]


@pytest.mark.parametrize("size", [32, 224])
@pytest.mark.parametrize(
    ("name", "kind"), [("alexnet", "LocalResponseNorm"), ("zfnet", "LocalContrastNorm")]
)
def test_alexnet_normalises_the_response_and_zfnet_the_contrast_twice(name, kind, size):
    model = MODELS[name](image_size=size)
    assert [n for n, layer in model.layers() if type(layer).__name__ == kind] == ["norm1", "norm2"]
    order = [n for n, _ in model.layers() if n in ("conv1", "norm1", "conv2", "norm2", "conv3")]
    assert order == ["conv1", "norm1", "conv2", "norm2", "conv3"]


def test_alexnet_in_groups_separates_three_convolutions():
    model = ta.models.alexnet(groups=2)
    groups = {n: part.groups for n, part in named_layers(model).items() if n.startswith("conv")}
    assert groups == {"conv1": 1, "conv2": 2, "conv3": 1, "conv4": 2, "conv5": 2}
    assert model.conv2.weight.shape == (256, 48, 5, 5)


@pytest.mark.parametrize(
    ("size", "wish", "count"),
    [(32, None, 13), (28, None, 13), (224, None, 0), (32, False, 0), (224, True, 13)],
)
def test_vgg_normalises_its_batches_unless_it_is_the_original(size, wish, count):
    model = ta.models.vgg16(image_size=size, batch_norm=wish)
    assert kinds(model).count("BatchNorm2d") == count
    assert model.config["batch_norm"] is bool(count)


@pytest.mark.parametrize("name", ["alexnet", "zfnet", "vgg16"])
def test_the_large_networks_normalise_their_images_and_drop_behind_two_linear_layers(name):
    model = MODELS[name]()
    order = [layer for layer, _ in model.layers()]
    assert order[0] == "normalize"
    assert order[order.index("flatten") :] == [
        *("flatten", "fc1", "relu_fc1", "dropout1", "fc2", "relu_fc2", "dropout2", "fc3")
    ]
    assert model.dropout1.rate == model.dropout2.rate == 0.5
    tail = {n: repr(part) for n, part in model.layers() if n in order[order.index("flatten") :]}
    arriving = model.fc1.weight.shape[1]
    assert {n: repr(part) for n, part in ta.models.head(channels=arriving).layers()} == tail


def test_every_convolution_has_a_relu_behind_it_before_the_next_one():
    for name in MODELS:
        weights = 0
        for kind in kinds(MODELS[name]()):
            weights = 0 if kind == "ReLU" else weights + (kind in ("Conv2d", "Linear"))
            assert weights <= 1, name
        assert weights == 1, f"{name} ends with logits"


@pytest.mark.parametrize("name", ["alexnet", "zfnet", "vgg16"])
@pytest.mark.parametrize("size", [16, 31, 33, 227])
def test_an_image_size_without_a_geometry_is_refused(name, size):
    with pytest.raises(ShapeError, match=rf"28, 32.* pixels a side, not {size}"):
        MODELS[name](image_size=size)


@pytest.mark.parametrize(
    ("size", "pixels"), [(12, 1), (28, 5), (31, 5), (32, 5), (64, 13), (224, 53)]
)
def test_lenet_takes_any_size_that_leaves_a_pixel(size, pixels):
    assert ta.models.lenet5(image_size=size).fc1.weight.shape == (120, 16 * pixels**2)


@pytest.mark.parametrize("size", [1, 8, 11])
def test_an_image_that_is_too_small_for_lenet_is_refused(size):
    with pytest.raises(ShapeError, match=f"^lenet5 needs images of 12 pixels .*, not {size}; take"):
        ta.models.lenet5(3, size, rng=0)


def test_linear_layers_know_the_image_in_front_of_them_where_that_takes_no_more_sites():
    assert ta.models.lenet5().fc1.axes == (120, 400)  # 9 sites, not 4 + 3 + 3
    assert ta.models.fc2(channels=3, image_size=12).fc1.axes == (256, 432)
    assert ta.models.fc2(channels=3, image_size=32).fc1.axes == (256, (3, 32, 32))
    assert ta.models.alexnet().fc1.axes == (4096, (256, 3, 3))
    assert ta.models.vgg16().fc1.axes == (4096, 512)  # one pixel is no structure
    assert ta.models.vgg16(image_size=224).fc1.axes == (4096, (512, 7, 7))
    assert ta.models.lenet5().fc2.axes == (84, 120)


# --- computing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fc2", {}),
        ("lenet5", {}),
        ("lenet5", {"image_size": 32, "channels": 3}),
        ("alexnet", {"num_classes": 7, "groups": 2}),
        ("zfnet", {"image_size": 28, "channels": 1}),
        ("vgg16", {"image_size": 28, "channels": 1, "num_classes": 100}),
    ],
)
def test_every_layer_gives_the_shape_that_it_promised(name, options):
    model = MODELS[name](**options, rng=0)
    size, channels = model.config["image_size"], model.config["channels"]
    x = ta.Tensor(np.random.default_rng(0).random((1, channels, size, size), np.float32))
    with ta.no_grad():
        for layer, part, before, after in list(model.shapes(x.shape[1:])):
            assert x.shape[1:] == before, layer
            x = part(x)
            assert x.shape[1:] == after and x.dtype == np.float32, layer
    assert x.shape == (1, model.config["num_classes"])
    assert np.isfinite(x.data).all() and 0.01 < x.data.std() < 100


def test_a_network_comes_back_from_its_file_with_its_statistics(tmp_path):
    """VGG-16 with every weight encoded, so that the file is small."""
    model = ta.models.vgg16(num_classes=3, image_size=28, channels=1, rng=0)
    model = ta.compress(model, {"conv*": 1, "fc*": 1}, rng=0)
    rng = np.random.default_rng(0)
    buffers = [name for name, t in model.named_tensors() if "running" in name or "normal" in name]
    assert len(buffers) == 2 * 13 + 2
    for name, tensor in model.named_tensors():
        if name in buffers:
            tensor.data = rng.uniform(1, 2, tensor.shape).astype(np.float32)
    ta.save(tmp_path / "vgg.npz", model)
    again = ta.load(tmp_path / "vgg.npz")
    assert again.config == model.config
    assert repr(again) == repr(model)
    ours, theirs = model.arrays(), again.arrays()
    assert list(ours) == list(theirs) and set(buffers) <= set(ours)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "zfnet", "vgg16"])
def test_the_options_are_part_of_the_configuration(name):
    options = {"num_classes": 7, "image_size": 28, "channels": 2}
    extra = {"alexnet": {"groups": 2}, "vgg16": {"batch_norm": False}}.get(name, {})
    extra |= {"widths": [16, 8]}
    model = MODELS[name](**options, **extra)
    assert model.config == {"model": name, **options, **extra}
    assert model.output_shape((2, 28, 28)) == (7,)
    again = ta.compress(model, {"fc3": 1}, rng=0)
    assert {k: v for k, v in again.config.items() if k != "encodings"} == model.config


OTHER = np.random.default_rng(0).integers(0, 255, (60, 8, 8), dtype=np.uint8), np.arange(60) % 3


@pytest.mark.parametrize(
    "use",
    [
        lambda model, data: next(ta.train(model, data)),
        lambda model, data: ta.evaluate(model, data.test),
        lambda model, data: ta.predict(model, data.test.images),
        lambda model, data: ta.predict(ta.compress(model, {"fc1": 2}, rng=0), data.test.images),
        lambda model, data: ta.features(model, "fc2", data, show_progress=False),
        lambda model, data: training_memory(model, data, TrainingPlan()),
    ],
)
def test_a_network_for_other_images_names_both_sizes(use):
    with pytest.raises(ShapeError, match=r"^fc1: .* fc2 takes 1×28×28, and these are 1×8×8: build"):
        use(ta.models.fc2(rng=0), ta.load_data(OTHER))


def test_grey_pictures_for_a_colour_network_are_named():
    with pytest.raises(ShapeError, match=r"3×28×28, .* 1×28×28: .*size=28, channels=3\)$"):
        ta.predict(ta.models.fc2(channels=3, rng=0), np.zeros((2, 1, 28, 28)))


def test_other_errors_of_shapes_say_nothing_of_images():
    rows = np.zeros((2, 784))  # an image each, without height and width
    assert ta.models.head(channels=784, widths=(), rng=0)(rows).shape == (2, 10)
    assert ta.models.fc2(rng=0)(rows).shape == (2, 10)
    own = ta.Sequential(fc1=ta.Linear(4, 3, rng=0))
    with pytest.raises(ShapeError, match=r"^fc1: Linear expects \(n, 4\), got \(2, 5\)$"):
        own(np.zeros((2, 5)))
