"""A weight of factors that fit into memory may itself be larger than the memory."""

import tracemalloc

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.compression.configure import build_encoding
from tinyadtn.decode_free.chain import standard_deviation
from tinyadtn.encodings import scale
from tinyadtn.errors import SizeLimitError
from tinyadtn.nn.parameters import he_std

N = 2**16  # N² entries: 16 GiB in float32, 48 GiB to train
MODES = ((16,) * 4,) * 2
HUGE = {
    "TensorTrain": lambda rng: ta.TensorTrain((N, N), MODES, 4, rng=rng),
    "LowRank": lambda rng: ta.LowRank((N, N), 2, rng=rng),
    "ADTN": lambda rng: ta.ADTN((N, N), rng=rng),
    "cropped ADTN": lambda rng: ta.ADTN((N - 1, N - 1), rng=rng),
    "output_first ADTN": lambda rng: ta.ADTN((N, N), order="output_first", rng=rng),
}
SMALLER = {  # 2^22 entries, beyond a limit of 2^24 bytes
    "TensorTrain": lambda: ta.TensorTrain((2048, 2048), ((32, 64), (64, 32)), 4, rng=0),
    "LowRank": lambda: ta.LowRank((2048, 2048), 2, rng=0),
    "ADTN": lambda: ta.ADTN((2048, 2048), rng=0),
    "cropped ADTN": lambda: ta.ADTN((1500, 2000), rng=0),
}


def network(weight):
    layer = ta.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight = weight
    return ta.Sequential(fc1=layer)


@pytest.fixture
def no_memory(monkeypatch):
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: 2**24)


@pytest.mark.parametrize("kind", HUGE)
def test_it_trains_and_is_saved_and_reported(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: 2**34)
    tracemalloc.start()
    try:
        model = network(HUGE[kind](0))
        x = np.random.default_rng(1).standard_normal((4, model.fc1.weight.shape[1]), np.float32)
        optimizer, losses = ta.Adam(model.parameters()), []
        for _ in range(5):
            y = model(x)
            loss = (y * y).mean()
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step(1e-4)
        assert losses[-1] < losses[0]
        weight = model.fc1.weight
        with pytest.raises(SizeLimitError, match=r"65,?53[56], 65,?53[56].*use a smaller"):
            weight.decode()
        stored = ta.report(model).rows[0].counts
        assert (stored.stored, stored.dense) == (weight.num_parameters, weight.shape[0] ** 2)
        work = ta.summary(model, weight.shape[1:]).multiply_adds
        assert work == weight.cost().apply < N * N / 50
        ta.save(tmp_path / "m.npz", model)
        again = ta.load(tmp_path / "m.npz", into=network(build_encoding(weight.config, {})))
        np.testing.assert_array_equal(again(x).numpy(), model(x).numpy())
        with ta.decoded(model) as ready:
            np.testing.assert_allclose(ready(x).numpy(), model(x).numpy(), rtol=1e-3, atol=1e-4)
        assert tracemalloc.get_traced_memory()[1] < 2**30
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", HUGE)
def test_the_start_is_spread_like_a_dense_one(kind):
    """The mean square of W·z is fan_in · std², for random vectors z."""
    weight = HUGE[kind](0)
    z = np.random.default_rng(2).standard_normal((64, weight.shape[1]), np.float32)
    y = network(weight)(z).numpy().astype(np.float64)
    std = np.sqrt((y * y).mean() / weight.shape[1])
    assert std == pytest.approx(he_std(weight.shape), rel=0.3)


@pytest.mark.parametrize("kind", SMALLER)
def test_layers_never_decode_it_and_compute_the_same(kind, no_memory, monkeypatch):
    weight = SMALLER[kind]()
    x = np.random.default_rng(1).standard_normal((2, weight.shape[1]), np.float32)
    g = np.random.default_rng(2).standard_normal((2, weight.shape[0]), np.float32)
    y = network(weight)(x)
    y.backward(g)
    with pytest.raises(SizeLimitError):
        weight.decode()
    free = [p.grad.copy() for p in weight.parameters()]
    monkeypatch.undo()
    for p in weight.parameters():
        p.grad = None
    decoded = weight.decode()
    np.testing.assert_allclose(y.numpy(), x @ decoded.numpy().T, rtol=1e-3, atol=1e-4)
    decoded.backward(g.T @ x)
    for found, parameter in zip(free, weight.parameters()):
        scale_of = np.abs(parameter.grad).max()
        np.testing.assert_allclose(found, parameter.grad, rtol=1e-2, atol=1e-4 * scale_of)


def kernel():
    layer = ta.Conv2d(512, 512, 3, padding=1, bias=False)
    layer.weight = ta.Tucker((512, 512, 3, 3), (500, 500), rng=0)
    return ta.Sequential(conv1=layer)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: network(ta.LowRank((2048, 2048), 1200, rng=0)), (2, 2048)),
        (kernel, (1, 512, 2, 2)),
    ],
    ids=["LowRank", "Tucker"],
)
def test_factors_that_cost_more_than_the_weight_are_used_if_it_does_not_fit(
    make, shape, monkeypatch
):
    """For a large batch, ``decoded`` would compute the weight once."""
    model = make()
    x = np.random.default_rng(1).standard_normal(shape, np.float32)
    with ta.decoded(model) as ready:
        assert isinstance(next(ready.layers())[1].weight, ta.Tensor)
        plain = ready(x).numpy()
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: 2**24)
    with ta.decoded(model) as ready:
        found = ready(x).numpy()
    for y in (found, model(x).numpy()):
        np.testing.assert_allclose(y, plain, rtol=1e-3, atol=1e-3)


def test_factors_that_do_not_fit_are_refused_before_they_are_drawn(no_memory):
    with pytest.raises(SizeLimitError, match=r"2,097,152 parameters.*smaller ranks"):
        ta.LowRank((2**19, 2**19), 2, rng=0)
    with pytest.raises(SizeLimitError, match="a smaller weight"):
        ta.ADTN((2**19, 2**19), rng=0)


@pytest.mark.parametrize(
    "weight",
    [
        ta.LowRank((30, 40), 3, rng=0),
        ta.TensorTrain((24, 30), ((2, 3, 4), (5, 2, 3)), 3, rng=1),
        ta.Tucker((8, 6, 3, 2), (4, 3), rng=2),
    ],
    ids=str,
)
def test_the_standard_deviation_of_the_cores_is_that_of_the_weight(weight):
    for k, factor in enumerate(weight.parameters()):
        factor.data += 0.1 * k + 0.05  # a mean that is not 0
    std = weight.decode().numpy().astype(np.float64).std()
    assert standard_deviation(weight.as_cores()) == pytest.approx(std, rel=1e-6)


@pytest.mark.parametrize(("shape", "error"), [((64, 64), 1e-5), ((50, 70), 0.04)])
def test_the_spread_of_a_large_adtn_is_that_of_its_entries(shape, error, monkeypatch):
    weight = ta.ADTN(shape, rng=3)
    std = weight.decode().numpy().std()
    assert scale.spread(weight) == pytest.approx(std, rel=1e-5)
    monkeypatch.setattr(scale, "LARGE", 0)
    assert scale.spread(weight) == pytest.approx(std, rel=error)


@pytest.mark.parametrize("mean", [0, 3, 100])
def test_the_estimate_is_as_good_for_any_mean(mean):
    weight = (mean + np.random.default_rng(0).standard_normal((400, 60))).astype(np.float32)
    found = scale._estimated_spread(weight.shape, lambda x: weight @ x)
    assert found == pytest.approx(weight.std(), rel=0.02)
