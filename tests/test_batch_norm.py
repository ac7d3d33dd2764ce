"""The layer BatchNorm2d: statistics that follow the batches, and that nothing else disturbs."""

import numpy as np
import pytest
from test_layer_shapes import small_network

import tinyadtn as ta
from tinyadtn.errors import ShapeError
from tinyadtn.ops import norm


def batches_of(n, shape=(4, 3, 5, 2)):
    rng = np.random.default_rng(0)
    scale, offset = np.array([1.0, 3, 0.2]), np.array([0.0, -4, 10])
    for _ in range(n):
        x = rng.normal(size=shape) * scale.reshape(3, 1, 1) + offset.reshape(3, 1, 1)
        yield x.astype(np.float32)


def running(layer):
    return layer.running_mean.data.copy(), layer.running_variance.data.copy()


@pytest.mark.parametrize("momentum", [0.1, 0.25, 1.0, 0.0])
def test_running_statistics_follow_the_batches(momentum):
    """(1 − momentum) · running + momentum · batch, from 0 and 1, the variance unbiased."""
    layer = ta.BatchNorm2d(3, momentum=momentum)
    mean, variance = np.zeros(3), np.ones(3)
    for x in batches_of(3):
        layer(x, training=True)
        x = x.astype(np.float64)
        mean = (1 - momentum) * mean + momentum * x.mean(axis=(0, 2, 3))
        variance = (1 - momentum) * variance + momentum * x.var(axis=(0, 2, 3), ddof=1)
        np.testing.assert_allclose(layer.running_mean.data, mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(layer.running_variance.data, variance, rtol=1e-5)
    assert {b.dtype for b in running(layer)} == {np.dtype(np.float32)}


def test_the_unbiased_variance_shows_in_a_small_batch():
    layer = ta.BatchNorm2d(1, momentum=1.0)
    y = layer(np.array([1.0, 3.0], np.float32).reshape(2, 1, 1, 1), training=True)
    assert layer.running_variance.item() == 2  # Σ (x − 2)² / (2 − 1)
    np.testing.assert_allclose(y.data.ravel(), [-1, 1], rtol=0, atol=1e-5)  # normalised with 2 / 2


def test_training_normalises_by_the_batch_and_not_by_what_was_before():
    layer, (x,) = ta.BatchNorm2d(3), batches_of(1)
    layer.running_mean.data = np.full(3, 100, np.float32)
    y = layer(x, training=True).data
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, rtol=0, atol=1e-5)
    np.testing.assert_allclose(y.var(axis=(0, 2, 3)), 1, rtol=0, atol=1e-3)


def test_outside_training_the_buffers_are_used_and_not_touched():
    layer, (x,) = ta.BatchNorm2d(3, epsilon=0.5), batches_of(1)
    rng = np.random.default_rng(1)
    layer.load_arrays({name: rng.uniform(1, 2, 3) for name in layer.arrays()})
    before = {name: array.tobytes() for name, array in layer.arrays().items()}
    scale, shift, mean, variance = (
        layer.arrays()[name].reshape(3, 1, 1)
        for name in ("scale", "shift", "running_mean", "running_variance")
    )
    expected = scale * (x - mean) / np.sqrt(variance + 0.5) + shift
    np.testing.assert_allclose(layer(x).data, expected, rtol=1e-5, atol=1e-6)
    assert {name: array.tobytes() for name, array in layer.arrays().items()} == before
    one_by_one = np.concatenate([layer(x[k : k + 1]).data for k in range(len(x))])
    np.testing.assert_allclose(layer(x).data, one_by_one, rtol=1e-6)


def test_a_long_training_makes_both_ways_agree():
    layer = ta.BatchNorm2d(3)
    for x in batches_of(100, (16, 3, 4, 4)):
        y = layer(x, training=True).data
    np.testing.assert_allclose(layer(x).data, y, rtol=0, atol=0.5)
    np.testing.assert_allclose(layer.running_mean.data, [0, -4, 10], rtol=0, atol=0.1)
    np.testing.assert_allclose(layer.running_variance.data, [1, 9, 0.04], rtol=0.1)


def test_a_graph_that_waits_for_backward_is_not_disturbed_by_a_later_training_step():
    first, second = batches_of(2)
    layer = ta.BatchNorm2d(3)

    def gradients(disturb):
        twin = layer.copy()
        x = ta.Tensor(first, requires_grad=True)
        y = twin(x)  # with the running statistics as constants
        if disturb:
            twin(second, training=True)
        y.backward(second)
        return [x.grad, twin.scale.grad, twin.shift.grad]

    for disturbed, quiet in zip(gradients(True), gradients(False)):
        np.testing.assert_array_equal(disturbed, quiet)


def test_two_training_steps_may_wait_for_one_backward():
    layer = ta.BatchNorm2d(3)
    first, second = batches_of(2)
    loss = (layer(first, training=True) * second + layer(second, training=True) * first).sum()
    loss.backward()
    alone = ta.BatchNorm2d(3)
    for x, g in ((first, second), (second, first)):
        alone(x, training=True).backward(g)
    np.testing.assert_allclose(layer.scale.grad, alone.scale.grad, rtol=1e-4)


def test_statistics_are_buffers_and_scale_and_shift_are_parameters():
    layer = ta.BatchNorm2d(3)
    assert list(layer.arrays()) == ["scale", "shift", "running_mean", "running_variance"]
    assert [name for name, _ in layer.named_parameters()] == ["scale", "shift"]
    assert layer.num_parameters == 6
    y = layer(ta.Tensor(next(batches_of(1)), requires_grad=True), training=True)
    y.sum().backward()
    assert layer.running_mean.grad is None and layer.running_variance.grad is None


def test_statistics_are_saved_and_come_back(tmp_path):
    net = small_network()
    net(np.random.default_rng(0).normal(5, 2, (4, 2, 9, 8)), training=True, rng=0)
    ta.save(tmp_path / "net.npz", net)
    again = ta.load(tmp_path / "net.npz", into=small_network())
    np.testing.assert_array_equal(again.norm1.running_mean.data, net.norm1.running_mean.data)
    np.testing.assert_array_equal(
        again.norm1.running_variance.data, net.norm1.running_variance.data
    )
    assert net.norm1.running_mean.data.any()
    x = np.ones((1, 2, 9, 8), np.float32)
    np.testing.assert_array_equal(again(x).data, net(x).data)


def test_a_copy_has_statistics_of_its_own():
    layer, (x,) = ta.BatchNorm2d(3), batches_of(1)
    before = running(layer)
    layer.copy()(x, training=True)
    np.testing.assert_array_equal(running(layer), before)


def test_double_precision_images_keep_theirs_and_the_statistics_stay_single():
    layer, (x,) = ta.BatchNorm2d(3), batches_of(1)
    x = x.astype(np.float64)
    assert layer(x, training=True).dtype == np.float64
    assert layer(x).dtype == np.float64
    assert {b.dtype for b in running(layer)} == {np.dtype(np.float32)}


def test_one_number_a_channel_has_no_variance():
    layer = ta.BatchNorm2d(3)
    before = running(layer)
    for shape in ((1, 3, 1, 1), (0, 3, 4, 4)):
        with pytest.raises(ShapeError, match="no variance"):
            layer(np.ones(shape, np.float32), training=True)
    np.testing.assert_array_equal(running(layer), before)
    assert layer(np.ones((1, 3, 1, 1), np.float32)).shape == (1, 3, 1, 1)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("block", [1, 40, 80, 119])
def test_some_channels_at_a_time_give_the_bits_of_all_at_once(monkeypatch, block, training):
    """40 numbers a channel: blocks of one, one, two and two of the three channels."""

    def computed():
        layer, (batch,) = ta.BatchNorm2d(3), batches_of(1)
        x = ta.Tensor(batch, requires_grad=True)
        y = layer(x, training=training)
        y.backward(np.cos(batch))
        return [y.data, x.grad, layer.scale.grad, layer.shift.grad, *running(layer)]

    whole = computed()
    monkeypatch.setattr(norm, "BLOCK", block)
    for part, expected in zip(computed(), whole, strict=True):
        np.testing.assert_array_equal(part, expected)
