"""Judging a model: loss, accuracy and probabilities against a few lines of NumPy."""

import math
import sys

import numpy as np
import pytest
from test_train import net, part, small_data, values

import tinyadtn as ta
from tinyadtn.errors import DataFileError, DTypeError, ShapeError, TinyADTNError


@pytest.fixture(scope="module")
def data():
    return small_data()


@pytest.mark.parametrize("batch_size", [1000, 64, 1])
def test_evaluation_by_hand(batch_size, data):
    model = net(3)
    w1, b1, w2, b2 = (p.data.astype(np.float64) for p in model.parameters())
    x = data.test.images.reshape(150, -1)
    logits = np.maximum(x @ w1.T + b1, 0) @ w2.T + b2
    losses = [math.log(sum(map(math.exp, z))) - z[k] for z, k in zip(logits, data.test.labels)]
    result = ta.evaluate(model, data.test, batch_size=batch_size)
    assert result.count == 150
    assert result.loss == pytest.approx(sum(losses) / 150, rel=1e-5)
    assert result.accuracy == pytest.approx((logits.argmax(1) == data.test.labels).mean())


def test_an_encoded_model_is_judged_as_its_dense_twin(data):
    model = ta.compress(net(), {"fc*": 2}, rng=0)
    assert ta.evaluate(model, data.test) == ta.evaluate(ta.decompress(model), data.test)


def test_judging_changes_nothing(data):
    model = net()
    before = values(model)
    ta.evaluate(model, data.test)
    ta.predict(model, data.test.images)
    assert values(model) == before
    assert all(p.grad is None for p in model.parameters())


def test_a_split_of_nothing_cannot_be_judged(data):
    with pytest.raises(TinyADTNError, match="no images"):
        ta.evaluate(net(), part(data.test, 0))


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_has_at_least_one_image(size, data):
    with pytest.raises(TinyADTNError, match="batch_size"):
        ta.evaluate(net(), data.test, batch_size=size)


@pytest.mark.parametrize("size", ["8", 2.5, None, True])
def test_a_batch_size_is_a_whole_number(size, data):
    with pytest.raises(ValueError, match="batch_size must be a whole number, got"):
        ta.evaluate(net(), data.test, batch_size=size)


def test_the_loss_may_be_given_by_its_name(data):
    model = net()
    named = ta.evaluate(model, data.test, loss="softmax_cross_entropy")
    assert named == ta.evaluate(model, data.test)
    with pytest.raises(ValueError, match="did you mean softmax_cross_entropy"):
        ta.evaluate(model, data.test, loss="softmax_crossentropy")


def test_a_list_of_no_images_is_rejected_and_an_empty_batch_has_no_rows(data):
    with pytest.raises(ShapeError, match=r"no images.*\(0, c, h, w\)"):
        ta.predict(net(), [])
    assert ta.predict(net(), data.test.images[:0]).shape == (0, 10)


@pytest.mark.parametrize("spec", [None, 1, 2], ids=["dense", "factors", "decoded"])
def test_a_model_called_with_bytes_is_rejected(spec, data):
    model = net() if spec is None else ta.compress(net(), {"fc1": spec}, rng=0)
    pixels = np.round(data.test.images * 255).astype(np.uint8)
    for images in (pixels, ta.Tensor(pixels)):
        with pytest.raises(DTypeError, match=r"divide them by 255.*ta\.predict"):
            model(images)
    with pytest.raises(DTypeError, match="divide them by 255"):
        ta.Conv2d(1, 2, 3, rng=0)(pixels)
    firsts = [ta.Normalize(1), ta.BatchNorm2d(1), ta.LocalResponseNorm(), ta.LocalContrastNorm()]
    for first in (*firsts, ta.AvgPool2d(2), ta.Dropout(0.5)):  # these would return floats
        with pytest.raises(DTypeError, match="divide them by 255"):
            ta.Sequential(first=first)(pixels, training=True, rng=0)
    assert model(np.ones_like(pixels, dtype=np.int64)).shape == (len(pixels), 10)


def test_a_network_that_diverged_is_never_right(data):
    model = net()
    model.load_arrays({name: a * np.nan for name, a in model.arrays().items()})
    assert ta.evaluate(model, data.test).accuracy == 0


def test_predictions_come_in_batches(data, monkeypatch):
    seen, model = [], net()
    monkeypatch.setattr(sys.modules["tinyadtn.training.evaluate"], "EVALUATION_BATCH", 64)

    class Watched(type(model)):
        def forward(self, x, **options):
            seen.append(len(x))
            return super().forward(x, **options)

    model.__class__ = Watched
    assert ta.predict(model, data.test.images).shape == (150, 10)
    assert seen == [64, 64, 22]


def test_predictions_are_probabilities(data):
    model = ta.compress(net(), {"fc1": 1}, rng=0)
    p = ta.predict(model, data.test.images)
    assert p.shape == (150, 10)
    np.testing.assert_allclose(p.sum(1), 1, rtol=0, atol=1e-5)
    assert (p > 0).all()
    logits = model(data.test.images).data
    np.testing.assert_array_equal(p.argmax(1), logits.argmax(1))
    np.testing.assert_allclose(
        np.log(p[:, 0] / p[:, 1]), logits[:, 0] - logits[:, 1], rtol=0, atol=1e-4
    )


def test_pixels_of_uint8_are_scaled_as_load_data_does(data):
    model, pixels = net(), np.round(data.test.images * 255).astype(np.uint8)
    expected = ta.predict(model, data.test.images)
    for given in (pixels, ta.Tensor(pixels)):
        np.testing.assert_array_equal(ta.predict(model, given), expected)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x * 255, "found 0 to 255"),
        (lambda x: 2 * x - 1, "found -1 to 1"),
        (lambda x: np.where(x > 0, np.nan, x), "nan"),
        (lambda x: np.round(x * 255).astype(np.int64), "int64"),
        (lambda x: x > 0, "bool"),
        (lambda x: x.transpose(0, 2, 3, 1), "n, h, w, c"),
    ],
)
def test_images_of_another_scale_or_order_are_refused(change, words, data):
    with pytest.raises(DataFileError, match=words):
        ta.predict(net(), change(data.test.images))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (lambda data: data.test, r"got Split; give split\.images"),
        (lambda data: data, r"got Data; give data\.test\.images"),
        (lambda data: (image for image in data.test.images), "got generator; give numpy.stack"),
        (lambda data: None, "got NoneType"),
    ],
)
def test_what_is_not_an_array_is_not_an_image(given, says, data):
    with pytest.raises(TypeError, match=says):
        ta.predict(net(), given(data))


def test_features_and_inputs_of_a_module_of_ones_own_may_be_any_numbers(data):
    features = np.random.default_rng(0).normal(size=(3, 512, 1, 1)).astype(np.float32)
    assert ta.predict(ta.models.head(rng=0), features).shape == (3, 10)
    own = ta.Sequential(flatten=ta.Flatten(), fc1=ta.Linear(784, 10, rng=0))
    assert ta.predict(own, data.test.images * 2 - 1).shape == (150, 10)
