"""The accuracy that a network loses if one layer is encoded, by hand."""

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import ShapeError, TinyADTNError


@pytest.fixture(scope="module")
def data():
    return ta.load_data()


@pytest.fixture(scope="module")
def trained(data):
    model = ta.models.fc2(rng=0)
    for _ in ta.train(model, data, epochs=2, seed=0):
        pass
    return model


def accuracy(model, data):
    return ta.evaluate(model, data.validation).accuracy


def test_each_layer_is_encoded_and_fitted_alone(trained, data):
    before = trained.arrays()
    found = ta.sensitivity(trained, data, ta.LowRank.like(2))
    assert found.dense == accuracy(trained, data)
    for row in found.rows:
        small = ta.compress(trained, {row.layer: ta.LowRank.like(2)}, rng=0)
        ta.fit(small, trained)
        assert row.accuracy == accuracy(small, data)
        assert row.drop == found.drops[row.layer] == found.dense - row.accuracy
    assert [(row.layer, row.encoding, row.counts.stored) for row in found.rows] == [
        ("fc1", "low rank r=2", 2 * (256 + 784)),
        ("fc2", "low rank r=2", 2 * (10 + 256)),
    ]
    assert found.drops["fc2"] > 0.1  # ten classes on a plane
    for name, array in trained.arrays().items():
        np.testing.assert_array_equal(array, before[name])


def test_without_a_fit_the_layer_is_random(trained, data):
    found = ta.sensitivity(trained, data, ta.LowRank.like(2), fit=False, layers="fc1")
    assert [row.layer for row in found.rows] == ["fc1"]
    assert found.drops["fc1"] > 0.5
    small = ta.compress(trained, {"fc1": ta.LowRank.like(2)}, rng=0)
    assert found.rows[0].accuracy == accuracy(small, data)
    frozen = ta.sensitivity(trained, data, ta.Frozen.like(), layers="fc1")
    assert frozen.drops["fc1"] > 0.5 and frozen.rows[0].counts.stored == 0


def test_the_reference_is_trained_as_long(trained, data):
    options = {"epochs": 1, "batch_size": 256, "seed": 3}
    found = ta.sensitivity(trained, data, ta.Pruned.like(0.02), layers="fc1", **options)
    dense = trained.copy()
    small = ta.compress(trained, {"fc1": ta.Pruned.like(0.02)}, rng=3)
    ta.fit(small, trained)
    for model in (dense, small):
        for _ in ta.train(model, data, **options):
            pass
    assert found.dense == accuracy(dense, data)
    assert found.rows[0].accuracy == accuracy(small, data)


def test_the_table_and_the_picture(trained, data):
    found = ta.sensitivity(trained, data, ta.Quantized.like(2))
    lines = str(found).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["none", "fc1", "fc2"]
    assert f"{256 * 784 // 4 + 4:,}" in lines[2]
    figure = ta.draw.sensitivity(found.drops)
    (axes,) = figure.axes
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == pytest.approx([100 * row.drop for row in found.rows])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["fc1", "fc2"]
    for drops in ({}, {"fc1": float("nan")}):
        with pytest.raises(ShapeError, match="finite"):
            ta.draw.sensitivity(drops)


def test_wrong_requests_name_the_layer(trained, data, monkeypatch):
    with pytest.raises(TinyADTNError, match=r"conv.*there is fc1, fc2"):
        ta.sensitivity(trained, data, 1, layers="conv*")
    with monkeypatch.context() as patched, pytest.raises(ShapeError, match="fc2: a 10×256 matrix"):
        patched.setattr("tinyadtn.studies.sensitivity.evaluate", None)  # before any work
        ta.sensitivity(trained, data, ta.LowRank.like(20))
    with pytest.raises(ShapeError, match=r"; it fits fc1, so choose by layers=… \(--layers …\)$"):
        ta.sensitivity(trained, data, ta.LowRank.like(20))
    with pytest.raises(ShapeError, match="fc1") as caught:
        ta.sensitivity(trained, data, ta.Tucker.like(2))
    assert "it fits" not in str(caught.value)
    with pytest.raises(TinyADTNError, match="decompress"):
        ta.sensitivity(ta.compress(trained, {"fc1": 1}, rng=0), data, 1)
    with pytest.raises(
        TypeError, match=r"needs Data with all splits, got Split; .*data.validation"
    ):
        ta.sensitivity(trained, data.test, 1)
    with pytest.raises(TypeError, match=r"needs a Module, got function; call it first: fc2"):
        ta.sensitivity(ta.models.fc2, data, 1)
