"""The table of a model: counts that can be checked by hand, and nothing computed for them."""

import tracemalloc

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.decode_free.precomputed import route_of
from tinyadtn.errors import ShapeError, TinyADTNError
from tinyadtn.nn.models import MODELS


def test_the_numbers_of_lenet_are_those_of_pencil_and_paper():
    rows = {row.name: row for row in ta.summary(ta.models.lenet5()).rows}
    expected = {  # output, parameters, multiply-adds
        "conv1": ((6, 28, 28), 6 * 25 + 6, 6 * 25 * 784),
        "pool1": ((6, 14, 14), 0, 0),
        "conv2": ((16, 10, 10), 16 * 150 + 16, 16 * 150 * 100),
        "flatten": ((400,), 0, 0),
        "fc1": ((120,), 120 * 401, 120 * 400),
        "fc2": ((84,), 84 * 121, 84 * 120),
        "fc3": ((10,), 10 * 85, 10 * 84),
    }
    for name, numbers in expected.items():
        row = rows[name]
        assert (row.output_shape, row.parameters, row.multiply_adds) == numbers


def test_the_numbers_of_vgg_are_those_that_are_quoted_everywhere():
    found = ta.summary(ta.models.vgg16(num_classes=1000, image_size=224))
    assert found.parameters == 138_357_544
    assert found.multiply_adds == 15_470_264_320
    rows = {row.name: row for row in found.rows}
    assert rows["conv1_1"].multiply_adds == 224**2 * 64 * 27
    assert rows["fc1"].parameters == 4096 * (25_088 + 1)
    assert sum(row.multiply_adds for row in found.rows if row.name.startswith("fc")) == 123_633_664


@pytest.mark.parametrize("name", MODELS)
def test_the_totals_are_the_sums_and_what_the_model_itself_says(name):
    model = MODELS[name]()
    size, channels = model.config["image_size"], model.config["channels"]
    found = ta.summary(model)
    assert found.parameters == sum(row.parameters for row in found.rows) == model.num_parameters
    assert found.multiply_adds == sum(row.multiply_adds for row in found.rows)
    assert found.multiply_adds == model.multiply_adds((channels, size, size))
    assert [row.name for row in found.rows] == [layer for layer, _ in model.layers()]


def test_groups_divide_the_work_of_a_convolution():
    whole, halves = (
        {r.name: r.multiply_adds for r in ta.summary(ta.models.alexnet(groups=g)).rows}
        for g in (1, 2)
    )
    assert whole["conv2"] == 2 * halves["conv2"] == 15 * 15 * 256 * 96 * 25
    assert whole["conv3"] == halves["conv3"]


def test_a_summary_of_138_million_parameters_allocates_nothing():
    tracemalloc.start()
    try:
        text = str(ta.summary(ta.models.vgg16(num_classes=1000, image_size=224)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "138,357,544" in text
    assert peak < 2**20


def test_the_table_shows_every_layer_and_the_totals():
    lines = str(ta.summary(ta.models.lenet5())).splitlines()
    assert lines[0].split() == ["layer", "output", "parameters", "multiply-adds"]
    assert lines[1].startswith("conv1     Conv2d(1, 6, (5, 5), padding=2)   6×28×28  ")
    assert lines[1].split()[-2:] == ["156", "117,600"]
    assert lines[2].split() == ["relu1", "ReLU()", "6×28×28"]  # no numbers where there are none
    assert lines[-1].split() == ["total", "61,706", "416,520"]
    assert len(lines) == 2 + len(list(ta.models.lenet5().layers()))


def test_an_encoded_layer_shows_what_it_stores_and_costs_what_its_way_costs():
    model = ta.models.vgg16()
    dense = {row.name: row for row in ta.summary(model).rows}
    small = ta.compress(model, {"fc1": 1, "fc2": 1, "conv5_1": 2}, rng=0)
    found = ta.summary(small)
    rows = {row.name: row for row in found.rows}
    assert rows["fc1"].parameters == 200 + 4096
    assert rows["fc2"].parameters == 224 + 4096
    assert rows["fc1"].layer == "Linear(512, 4096, ADTN M=1)"
    assert rows["fc3"] == dense["fc3"]
    assert dense["fc1"].multiply_adds == 2**21
    assert rows["fc1"].multiply_adds == route_of(small.fc1).multiply_adds < 2**18  # never decoded
    assert rows["conv5_1"].multiply_adds == dense["conv5_1"].multiply_adds
    assert found.parameters == small.num_parameters


def test_a_model_without_a_configuration_is_told_its_images():
    model = ta.Sequential(conv1=ta.Conv2d(3, 4, 3), flatten=ta.Flatten(), fc1=ta.Linear(144, 5))
    with pytest.raises(TinyADTNError, match=r"image=\(c, h, w\)"):
        ta.summary(model)
    found = ta.summary(model, (3, 8, 8))
    assert found == ta.summary(model, image=(3, 8, 8))
    assert [row.output_shape for row in found.rows] == [(4, 6, 6), (144,), (5,)]
    assert found.multiply_adds == 36 * 4 * 27 + 144 * 5
    assert found.parameters == 4 * 27 + 4 + 144 * 5 + 5


@pytest.mark.parametrize("image", [None, (3, 8, 8)])
def test_what_is_no_row_of_layers_is_refused(image):
    with pytest.raises(TypeError, match=r"a Sequential, got Linear; ta\.report takes any Module"):
        ta.summary(ta.Linear(3, 4), image)


def test_other_images_than_the_models_own_are_refused_by_the_layer_that_cannot_take_them():
    with pytest.raises(ShapeError, match=r"^conv1: Conv2d expects 1 channels"):
        ta.summary(ta.models.lenet5(), (3, 28, 28))
    with pytest.raises(ShapeError, match=r"^fc1: Linear expects \(n, 400\), got \(n, 576\)"):
        ta.summary(ta.models.lenet5(), (1, 32, 32))


def test_what_two_layers_share_is_counted_where_it_is_first_met():
    model = ta.Sequential(fc1=ta.Linear(4, 4, rng=0), fc2=ta.Linear(4, 4, rng=1))
    model.fc2.weight = model.fc1.weight
    found = ta.summary(model, (4,))
    assert [row.parameters for row in found.rows] == [20, 4]
    assert found.parameters == model.num_parameters == 24


def test_buffers_are_not_trained_and_not_counted():
    model = ta.Sequential(normalize=ta.Normalize(3), norm1=ta.BatchNorm2d(3))
    assert [row.parameters for row in ta.summary(model, (3, 4, 4)).rows] == [0, 6]


def test_a_summary_changes_nothing(rng):
    model = ta.models.lenet5(rng=0)
    before = {name: array.tobytes() for name, array in model.arrays().items()}
    ta.summary(model)
    assert {name: array.tobytes() for name, array in model.arrays().items()} == before
    assert model(rng.random((1, 1, 28, 28), np.float32)).shape == (1, 10)


# --- modules of one's own around layers ----------------------------------------------------------


class Residual(ta.Module):
    """y = x + f(x)."""

    def __init__(self, **layers):
        self.inside = ta.Sequential(**layers)

    def forward(self, x, *, training, rng):
        return x + self.inside(x, training=training, rng=rng)


STRIDED = {"stride": 2, "padding": 1}


class Twice(ta.Module):
    """Layers in a list, one of them called twice; the shape of the output is not the input's."""

    def __init__(self, rng):
        self.layers = [
            ta.Conv2d(3, 8, 3, padding=1, rng=rng),
            ta.Conv2d(8, 8, 3, **STRIDED, rng=rng),
        ]

    def forward(self, x, *, training, rng):
        for layer in (*self.layers, self.layers[1]):
            x = ta.relu(layer(x))
        return x


@pytest.mark.parametrize("rng", [None, 0])
def test_layers_inside_a_module_of_ones_own_are_counted(rng):
    block = Residual(flat=ta.Linear(784, 784, rng=rng))
    model = ta.Sequential(flatten=ta.Flatten(), block=block, fc=ta.Linear(784, 10, rng=rng))
    found = ta.summary(model, (1, 28, 28))
    assert [row.multiply_adds for row in found.rows] == [0, 784 * 784, 7_840]
    assert found.multiply_adds == 622_496


@pytest.mark.parametrize("rng", [None, 0])
def test_a_layer_is_counted_as_often_as_it_is_called_and_the_shape_is_followed(rng):
    model = ta.Sequential(
        body=ta.Sequential(own=Twice(rng), pool=ta.MaxPool2d(2)),
        flatten=ta.Flatten(),
        fc=ta.Linear(8 * 2 * 2, 10, rng=rng),
    )
    found = ta.summary(model, (3, 16, 16))
    first, second, third = 256 * 8 * 3 * 9, 64 * 8 * 8 * 9, 16 * 8 * 8 * 9
    assert [row.multiply_adds for row in found.rows] == [first + second + third, 0, 320]
    assert [row.output_shape for row in found.rows] == [(8, 2, 2), (32,), (10,)]
    assert found.parameters == model.num_parameters


def test_an_encoded_layer_inside_costs_what_its_way_costs():
    plain = ta.Sequential(fc1=ta.Linear(512, 512, rng=0))
    own = ta.Sequential(block=Residual(fc1=ta.Linear(512, 512, rng=0)))
    expected = ta.summary(ta.compress(plain, {"fc1": 1}, rng=0), (512,)).multiply_adds
    small = ta.compress(own, {"block.inside.fc1": 1}, rng=0)
    assert ta.summary(small, (512,)).multiply_adds == expected < 512**2
    before = {name: array.tobytes() for name, array in small.arrays().items()}
    assert small(np.ones((2, 512), np.float32)).shape == (2, 512)  # and it is what it was
    assert {name: array.tobytes() for name, array in small.arrays().items()} == before


def test_a_module_that_says_what_it_costs_is_believed():
    class Said(Residual):
        def multiply_adds(self, shape):
            return 7

    assert ta.summary(ta.Sequential(own=Said(fc=ta.Linear(4, 4))), (4,)).multiply_adds == 7


def test_a_shape_that_a_layer_inside_does_not_take_is_named():
    model = ta.Sequential(block=Residual(fc=ta.Linear(5, 5, rng=0)))
    with pytest.raises(ShapeError, match=r"^block: fc: Linear expects \(n, 5\), got \(n, 4\)"):
        ta.summary(model, (4,))


@pytest.mark.parametrize(
    "use", [ta.summary, lambda m, image: ta.report(m, timing=True, image=image)]
)
def test_an_image_that_is_not_a_shape_is_rejected(use):
    small = ta.compress(ta.models.fc2(rng=0), {"fc1": 1}, rng=0)
    with pytest.raises(ShapeError, match=r"\(c, h, w\) of one image, got 28$"):
        use(small, 28)
