"""``decoded``: weights or factors that are computed once, and then used by many batches."""

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.decode_free.precomputed import PrecomputedFactors, route_of
from tinyadtn.errors import TinyADTNError


def test_decoded_has_factors_or_tensors_and_computes_each_once(monkeypatch):
    model = ta.models.lenet5(rng=0)
    spec = {
        "conv2": ta.Tucker.like((3, 2)),
        "fc1": ta.ADTN.like(1, order="output_first"),
        "fc2": 2,
        "fc3": ta.LowRank.like(1),
    }
    model = ta.compress(model, spec, rng=0)
    calls = []
    for kind in (ta.ADTN, ta.LowRank, ta.Tucker):
        for name in ("decode", "factors"):
            monkeypatch.setattr(kind, name, counted(getattr(kind, name), calls))
    x = np.random.default_rng(0).random((4, 1, 28, 28), np.float32)
    expected = model(x).data
    calls.clear()
    with ta.decoded(model) as ready:
        found = [ready(x).data for _ in range(3)]
    assert len(calls) == 4
    kinds = [type(layer.weight).__name__ for _, layer in ready.layers() if "weight" in vars(layer)]
    assert kinds == [
        "Tensor",
        "PrecomputedFactors",
        "PrecomputedFactors",
        "Tensor",
        "PrecomputedFactors",
    ]
    for logits in found:
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    assert not any(t.requires_grad for _, t in ready.fc1.weight.named_tensors())
    assert "ADTN M=1" in repr(ready.fc1)


def counted(method, calls):
    def wrapped(self, *arguments):
        calls.append(method.__qualname__)
        return method(self, *arguments)

    return wrapped


RECIPES = {
    "a wall": (ta.ADTN.like(1), "WallChain"),
    "a wall cut in two": (ta.ADTN.like(1, order="output_first"), "ConvChain"),
    "a decoded wall": (ta.ADTN.like(2), None),
    "low rank": (ta.LowRank.like(2), "ConvChain"),
    "tensor train": (ta.TensorTrain.like(((16, 16), (16, 144)), 2), "Chain"),
    "Tucker": (ta.Tucker.like((2, 2)), "ConvChain"),
}


@pytest.mark.parametrize(("recipe", "route"), RECIPES.values(), ids=RECIPES)
def test_what_is_precomputed_does_not_follow_updates(recipe, route):
    """An optimizer updates in place."""
    layer = ta.Conv2d(256, 256, 3, padding=1, rng=0)
    layer.weight = recipe((256, 256, 3, 3), rng=0)
    x = np.random.default_rng(0).random((2, 256, 5, 5), np.float32)
    with ta.decoded(layer) as ready:
        assert isinstance(ready.weight, ta.Tensor if route is None else PrecomputedFactors)
        assert route is None or type(ready.weight.route).__name__ == route
        before = ready(x).data
        for tensor in layer.weight.parameters():
            tensor.data *= 2
        np.testing.assert_array_equal(ready(x).data, before)


ROUTES = {
    "a chain": (ta.Linear(64, 64, rng=0), ta.LowRank.like(2), (2, 64)),
    "a row": (ta.Conv2d(64, 64, 3, padding=1, rng=0), ta.LowRank.like(2), (2, 64, 4, 4)),
    "patches": (ta.Conv2d(256, 256, 3, padding=1, rng=0), ta.ADTN.like(1), (2, 256, 4, 4)),
}


@pytest.fixture(params=ROUTES.values(), ids=ROUTES)
def encoded_layer(request):
    layer, recipe, shape = request.param
    layer = layer.copy()
    layer.weight = recipe(layer.weight.shape, rng=0)
    return layer, shape


def test_decoded_takes_what_it_gave(encoded_layer):
    layer, shape = encoded_layer
    x = np.random.default_rng(0).random(shape, np.float32)
    model = ta.Sequential(one=layer)
    with ta.decoded(model) as ready, ta.decoded(ready) as again:
        assert isinstance(ready.one.weight, PrecomputedFactors) and isinstance(
            again.one.weight, PrecomputedFactors
        )
        np.testing.assert_array_equal(again(x).data, ready(x).data)
        assert route_of(ready.one, 2, shape[1:]) is route_of(ready.one) is ready.one.weight.route
        assert ready.multiply_adds(shape[1:]) == model.multiply_adds(shape[1:])


def test_what_decoded_gave_can_be_judged():
    model = ta.compress(ta.models.fc2(rng=0), {"fc1": ta.LowRank.like(8)}, rng=0)
    images = np.random.default_rng(0).random((4, 1, 28, 28), np.float32)
    split = ta.Split(images, np.arange(4))
    with ta.decoded(model) as ready:
        np.testing.assert_array_equal(ta.predict(ready, images), ta.predict(model, images))
        assert ta.evaluate(ready, split) == ta.evaluate(model, split)


@pytest.mark.parametrize("ask", [ta.report, ta.decompress], ids=["report", "decompress"])
def test_what_needs_the_encoding_says_so(ask):
    model = ta.compress(ta.models.fc2(rng=0), {"fc1": ta.LowRank.like(8)}, rng=0)
    with (
        ta.decoded(model) as ready,
        pytest.raises(TinyADTNError, match="the model that decoded was given"),
    ):
        ask(ready)


def test_a_layer_by_itself_has_factors_too(encoded_layer):
    layer, _ = encoded_layer
    with ta.decoded(layer) as ready:
        assert isinstance(ready.weight, PrecomputedFactors)


@pytest.mark.parametrize("precomputed", [False, True])
def test_an_empty_batch_goes_through(encoded_layer, precomputed):
    layer, shape = encoded_layer
    x = ta.Tensor(np.zeros((0, *shape[1:]), np.float32), True)
    if precomputed:
        with ta.decoded(layer) as ready:
            assert ready(x).shape == (0, *layer.output_shape(shape[1:]))
        return
    y = layer(x)
    assert y.shape == (0, *layer.output_shape(shape[1:]))
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert all((t.grad == 0).all() for t in layer.parameters())


def test_an_empty_batch_is_no_missing_batch():
    layer = ta.Linear(300, 200)
    layer.weight = ta.LowRank((200, 300), 150)
    assert route_of(layer) is None and route_of(layer, 0) is not None


def test_multiply_adds_are_those_of_the_way_that_large_batches_take():
    layer = ta.Linear(4096, 4096)
    assert layer.multiply_adds((4096,)) == 4096 * 4096
    layer.weight = ta.ADTN((4096, 4096), order="output_first")
    assert layer.multiply_adds((4096,)) == 4 * (4096 + 4096)
    layer.weight = ta.ADTN((4096, 4096), 2)
    assert layer.multiply_adds((4096,)) == 4096 * 4096
    conv = ta.Conv2d(512, 512, 3, padding=1, stride=2)
    conv.weight = ta.ADTN((512, 512, 3, 3), order="output_first")
    assert conv.multiply_adds((512, 8, 8)) == 2 * (4608 + 512) * 16  # the cut is odd: rank 2
    conv.weight = ta.Tucker((512, 512, 3, 3), (64, 32))
    assert conv.multiply_adds((512, 8, 8)) == 512 * 32 * 64 + (9 * 32 * 64 + 64 * 512) * 16
