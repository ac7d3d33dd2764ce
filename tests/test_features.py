"""Features: the numbers that a layer receives, of every image, as in evaluation."""

import hashlib
import json
import sys

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.data.splits import Data, Split
from tinyadtn.errors import NonFiniteError, ShapeError, SizeLimitError, TinyADTNError
from tinyadtn.training.features import features

SPLITS = ("train", "validation", "test")
module = sys.modules["tinyadtn.training.features"]  # the file; ta.features is the function in it


def images(count, seed, channels=3, size=8):
    rng = np.random.default_rng(seed)
    pixels = rng.random((count, channels, size, size), np.float32)
    return Split(pixels, rng.integers(0, 4, count))


@pytest.fixture
def data():
    return Data(images(40, 0), images(7, 1), images(9, 2), ("a", "b", "c", "d"), "pictures")


def network(seed=0, **more):
    """A small one with all that a VGG-16 has; its statistics have seen a batch."""
    rng = np.random.default_rng(seed)
    model = ta.Sequential(
        normalize=ta.Normalize(3),
        conv1=ta.Conv2d(3, 6, 3, padding=1, rng=rng),
        norm1=ta.BatchNorm2d(6),
        relu1=ta.ReLU(),
        pool1=ta.MaxPool2d(2),
        drop=ta.Dropout(0.5),
        flatten=ta.Flatten(),
        fc1=ta.Linear(96, 5, rng=rng),
        fc2=ta.Linear(5, 4, rng=rng),
        **more,
    )
    model.norm1.running_mean.data[:] = rng.normal(size=6)
    return model


def received(model, before, pixels):
    """By hand, one image at a time, through the layers as they are."""
    rows = []
    for image in pixels:
        x = ta.Tensor(image[None])
        for name, layer in model.layers():
            if name == before:
                break
            x = layer(x)
        rows.append(x.numpy()[0])
    return np.array(rows)


@pytest.mark.parametrize(
    ("before", "shape"),
    [
        ("conv1", (3, 8, 8)),
        ("norm1", (6, 8, 8)),
        ("flatten", (6, 4, 4)),
        ("fc1", (96, 1, 1)),
        ("fc2", (5, 1, 1)),
    ],
)
def test_they_are_what_the_layer_receives_in_evaluation(data, before, shape):
    model = network()
    made = features(model, before, data, show_progress=False)
    for name in SPLITS:
        split, original = getattr(made, name), getattr(data, name)
        expected = received(model, before, original.images)
        assert split.images.shape == (len(original), *shape)
        assert split.images.dtype == np.float32
        found = split.images.reshape(expected.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(split.labels, original.labels)
    assert made.classes == data.classes


def test_they_keep_their_values_beyond_0_and_1(data):
    made = features(network(), "relu1", data, show_progress=False).train.images
    assert made.min() < 0 and made.max() > 1


def test_the_rest_of_the_network_on_them_says_what_the_whole_says(data):
    """Whether they are taken before Flatten or behind it: the rest begins with one."""
    model = network()
    whole = ta.evaluate(model, data.test)
    for before in ("fc1", "flatten"):
        made = features(model, before, data, show_progress=False)
        rest = ta.Sequential(flatten=ta.Flatten(), fc1=model.fc1, fc2=model.fc2)
        found = ta.evaluate(rest, made.test)
        assert found.accuracy == whole.accuracy
        assert found.loss == pytest.approx(whole.loss, rel=1e-5)


def test_the_batches_meet_where_they_end(data, monkeypatch):
    whole = features(network(), "fc1", data, show_progress=False)
    monkeypatch.setattr(module, "EVALUATION_BATCH", 3)  # 40 = 13 · 3 + 1, 7 = 2 · 3 + 1, 9 = 3 · 3
    pieces = features(network(), "fc1", data, show_progress=False)
    for name in SPLITS:
        np.testing.assert_allclose(
            getattr(pieces, name).images, getattr(whole, name).images, rtol=1e-5, atol=1e-6
        )


def test_the_model_and_the_data_are_left_alone(data):
    model = network()
    before = model.arrays()
    before, pixels = {k: v.copy() for k, v in before.items()}, data.train.images.copy()
    made = features(model, "fc1", data, show_progress=False)
    assert all(np.array_equal(before[k], v) for k, v in model.arrays().items())
    assert np.array_equal(pixels, data.train.images)
    made.train.images[:] = 0  # no graph protects them
    assert all(p.grad is None for p in model.parameters())


def test_encoded_layers_are_computed_once(data, monkeypatch):
    model = ta.compress(network(), {"conv1": 2, "fc1": ta.Frozen}, rng=0)
    decodes = []
    plain = ta.ADTN.decode
    monkeypatch.setattr(ta.ADTN, "decode", lambda self: decodes.append(1) or plain(self))
    monkeypatch.setattr(module, "EVALUATION_BATCH", 5)
    made = features(model, "fc2", data, show_progress=False)
    assert len(decodes) == 1
    monkeypatch.undo()
    expected = received(model, "fc2", data.test.images)
    np.testing.assert_allclose(
        made.test.images.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5
    )


def test_their_identity_tells_data_layer_and_weights(data):
    model = network()
    made = features(model, "fc1", data, show_progress=False)
    assert made.name == "pictures before fc1"
    assert made.origin == {
        "data": data.identity(),
        "before": "fc1",
        "model": {"config": None, "sha256": made.origin["model"]["sha256"]},
    }
    assert made.identity()["origin"] == made.origin
    assert "origin" not in data.identity()
    json.dumps(made.identity(), allow_nan=False)
    same, head, other = network(), network(), network()
    head.fc1.weight.data[0, 0] += 1  # takes no part
    other.norm1.running_mean.data[0] += 1
    for changed, equal in ((same, True), (head, True), (other, False)):
        again = features(changed, "fc1", data, show_progress=False)
        assert (again.origin == made.origin) is equal
        assert (again.identity() == made.identity()) is equal


def test_the_digest_of_the_weights_is_over_names_types_shapes_and_bytes(data):
    model = ta.Sequential(flatten=ta.Flatten(), fc1=ta.Linear(192, 5, rng=0), fc2=ta.ReLU())
    digest = hashlib.sha256()
    for name, array in (("fc1.weight", model.fc1.weight.data), ("fc1.bias", model.fc1.bias.data)):
        digest.update(f"{name} <f4 {array.shape}".encode() + array.tobytes())
    made = features(model, "fc2", data, show_progress=False)
    assert made.origin["model"]["sha256"] == digest.hexdigest()


def test_the_configuration_of_a_known_network_is_told():
    data = ta.load_data("mnist-5k")
    train, validation, test = (
        Split(split.images[:6], split.labels[:6])
        for split in (data.train, data.validation, data.test)
    )
    few = Data(train, validation, test, data.classes)
    model = ta.models.lenet5(rng=0)
    made = features(model, "fc1", few, show_progress=False)
    assert made.origin["model"]["config"] == model.config
    assert made.train.images.shape == (6, 400, 1, 1)


def test_a_bar_is_shown_unless_it_is_not(data, capsys):
    features(network(), "fc1", data)
    assert "features before fc1" in capsys.readouterr().err
    features(network(), "fc1", data, show_progress=False)
    assert capsys.readouterr().err == ""


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "says"),
    [
        ("fc11", r"no layer 'fc11'; did you mean fc1\? \(there is normalize, conv1, .*, fc2\)"),
        ("weight", r"no layer 'weight' \(there is"),
        ("fc1.weight", r"no layer 'fc1\.weight'"),
        (None, "no layer None"),
        (7, "no layer 7"),
        ("normalize", "normalize is the first layer: what it receives are the images"),
    ],
)
def test_a_layer_that_it_does_not_have_is_refused(data, before, says):
    with pytest.raises(TinyADTNError, match=says):
        features(network(), before, data)


def test_what_is_no_sequential_says_nothing_of_before(data):
    with pytest.raises(TypeError, match=r"of a Sequential .* got Linear"):
        features(ta.Linear(4, 4, rng=0), "fc1", data)
    with pytest.raises(TypeError, match="got NoneType"):
        features(None, "fc1", data)


def test_what_is_no_data_is_refused(data):
    with pytest.raises(TypeError, match="all splits, got Split"):
        features(network(), "fc1", data.train)


def test_images_that_the_layers_do_not_take_are_refused():
    grey = Data(images(4, 0, 1), images(4, 1, 1), images(4, 2, 1), ("a", "b", "c", "d"))
    with pytest.raises(ShapeError, match=r"normalize: Normalize expects 3 channels"):
        features(network(), "fc1", grey)
    small = Data(images(4, 0, size=4), images(4, 1, size=4), images(4, 2, size=4), tuple("abcd"))
    with pytest.raises(ShapeError, match=r"fc1: Linear expects \(n, 96\), got \(1, 24\)"):
        features(network(), "fc2", small)


def test_a_model_of_shapes_only_makes_none(data):
    model = ta.models.fc2(4, 8, channels=3)
    with pytest.raises(TinyADTNError, match="shapes only"):
        features(model, "relu_fc1", data)


def test_more_than_the_memory_is_refused_before_the_work_begins(data, monkeypatch):
    needed = 4 * 56 * 6 * 8 * 8  # bytes of all 56 images
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: needed - 1)
    monkeypatch.setattr(module, "progress", lambda *_, **__: pytest.fail("it began"))
    with pytest.raises(SizeLimitError, match=r"before norm1, 6×8×8 numbers for each of 56"):
        features(network(), "norm1", data)
    monkeypatch.undo()
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: needed)
    features(network(), "norm1", data, show_progress=False)


def test_features_that_are_not_finite_are_named(data, monkeypatch):
    monkeypatch.setattr(module, "EVALUATION_BATCH", 4)
    data.validation.images[5] = np.inf
    with pytest.raises(NonFiniteError, match="fc1 are not finite, of validation images 4 to 6"):
        features(network(), "fc1", data, show_progress=False)


def test_features_are_not_cropped_and_mirrored(data):
    made = features(network(), "flatten", data, show_progress=False)
    head = ta.Sequential(flatten=ta.Flatten(), fc1=ta.Linear(96, 4, rng=0))
    with pytest.raises(TinyADTNError, match=r"augment .* these are features: leave it out"):
        ta.train(head, made, augment=True)
    assert next(ta.train(head, made)).step == 1


# --- a head --------------------------------------------------------------------------------------


def test_a_head_on_features_is_the_network_of_them_from_there_on():
    """Its weights are the network's, by the same names; so are its answers."""
    rng = np.random.default_rng(0)
    pixels = [rng.random((n, 1, 28, 28), np.float32) for n in (5, 3, 4)]
    data = Data(*(Split(p, np.arange(len(p))) for p in pixels), tuple("0123456789"), "noise")
    vgg = ta.models.vgg16(10, 28, channels=1, rng=0)
    made = features(vgg, "fc1", data, show_progress=False)
    assert made.train.images.shape == (5, 512, 1, 1)
    head = ta.models.head()
    own = {name for name, _ in head.named_tensors()}
    head.load_arrays({name: array for name, array in vgg.arrays().items() if name in own})
    whole, rest = (ta.evaluate(m, d.test).loss for m, d in ((vgg, data), (head, made)))
    assert rest == pytest.approx(whole, rel=1e-5)
