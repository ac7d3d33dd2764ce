"""Judging a model: loss, accuracy and probabilities against a few lines of NumPy."""

import math
import sys

import numpy as np
import pytest
from test_train import net, part, small_data, values

import tinyadtn as ta
from tinyadtn.errors import TinyADTNError


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
