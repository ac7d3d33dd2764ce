"""Stage (a): bringing the decoded weight close to a given one."""

import contextlib
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from test_interrupts import Interrupter

import tinyadtn as ta
from tinyadtn.autodiff.modes import recording
from tinyadtn.errors import DTypeError, NonFiniteError, ShapeError, TinyADTNError


def distance(weight, target):
    """‖W - target‖ / ‖target‖ in float64."""
    decoded = weight.decode().numpy().astype(np.float64)
    return np.linalg.norm(decoded - target) / np.linalg.norm(target)


def fit(weight, target, **options):
    return weight.fit(target, show_progress=False, **options)


def smooth_target(shape):
    rows, columns = (np.linspace(0, 3, n) for n in shape)
    return np.sin(rows[:, None] + columns) * 0.3


@pytest.mark.parametrize(("shape", "depth"), [((16, 16), 1), ((12, 20), 2)])
def test_fit_reaches_what_it_returns(shape, depth):
    target = smooth_target(shape)
    weight = ta.ADTN(shape, depth, activation="leaky_relu", rng=0)
    errors = fit(weight, target, steps=60)
    assert len(errors) == 61
    assert errors[-1] < 0.7 * errors[0]
    assert errors[-1] == pytest.approx(distance(weight, target), rel=1e-3)


def test_the_errors_on_the_way_are_those_of_the_best_scale():
    """Before any step: √(1 - cos²) of the random start, computed by hand."""
    target = smooth_target((16, 16))
    weight = ta.ADTN((16, 16), rng=3)
    w = weight.decode().numpy().astype(np.float64)
    cosine = np.vdot(w, target) / (np.linalg.norm(w) * np.linalg.norm(target))
    errors = fit(weight, target, steps=0)
    assert errors == [pytest.approx(math.sqrt(1 - cosine**2), rel=1e-5)]
    assert distance(weight, target) == pytest.approx(errors[0], rel=1e-5)


@pytest.mark.parametrize("call", [1, 2, 20, 21])
def test_an_interrupted_fit_leaves_its_last_whole_step(call, monkeypatch):
    """Interrupted before or inside an update, which has changed some gates by then."""
    target = smooth_target((16, 16))
    errors = fit(ta.ADTN((16, 16), 2, rng=0), target, steps=20)
    gates = len(ta.ADTN((16, 16), 2, rng=0).parameters())
    update, calls = ta.Adam.update, []

    def interrupted(self, *arguments):
        calls.append(arguments)
        if len(calls) == call:
            raise KeyboardInterrupt
        update(self, *arguments)

    monkeypatch.setattr(ta.Adam, "update", interrupted)
    weight = ta.ADTN((16, 16), 2, rng=0)
    with pytest.raises(KeyboardInterrupt) as stopped:
        fit(weight, target, steps=20)
    whole = (call - 1) // gates
    assert distance(weight, target) == pytest.approx(errors[whole], rel=1e-4)
    assert all(p.grad is None and p.data.flags.writeable for p in weight.parameters())
    del stopped


def test_an_interrupt_at_the_end_of_a_fit_leaves_the_scale_that_is_best():
    target = smooth_target((16, 16))
    fit(ta.ADTN((16, 16), 2, rng=0), target, steps=2)  # fills caches
    with Interrupter() as count:
        errors = fit(ta.ADTN((16, 16), 2, rng=0), target, steps=2)
    for line in range(count.lines - 60, count.lines):
        weight = ta.ADTN((16, 16), 2, rng=0)
        with contextlib.suppress(KeyboardInterrupt), Interrupter(line):
            fit(weight, target, steps=2)
        assert distance(weight, target) == pytest.approx(errors[-1], rel=1e-4), line


CLOSED = {
    "LowRank": lambda: ta.LowRank((6, 8), 2, rng=0),
    "TensorTrain": lambda: ta.TensorTrain((6, 8), ((2, 3), (4, 2)), ranks=2, rng=0),
    "MixT": lambda: ta.MixT((8, 8), ((2, 4), (4, 2)), width=2, rng=0),
    "Update": lambda: trained_update((6, 8)),
    "Pruned": lambda: ta.Pruned((6, 8), 0.5, rng=0),
}


@pytest.mark.parametrize("make", CLOSED.values(), ids=list(CLOSED))
def test_an_interrupted_fit_in_closed_form_changes_all_arrays_or_none(make):
    weight = make()
    target = smooth_target(weight.shape)
    states = [contents(weight)]
    with Interrupter() as count:
        weight.fit(target)
    states.append(contents(weight))
    lines = range(1, count.lines + 1)
    for line in {*random.Random(0).sample(lines, min(200, len(lines))), *lines[-100:]}:
        weight = make()
        with contextlib.suppress(KeyboardInterrupt), Interrupter(line):
            weight.fit(target)
        assert contents(weight) in states and recording.get(), line


def trained_update(shape):
    """Return a weight whose gain is not 0 any more."""
    weight = ta.Update(shape, of=ta.LowRank.like(2), rng=0)
    weight.load_arrays({**weight.arrays(), "gain": np.ones(1)})
    return weight


def contents(weight):
    return {name: array.tobytes() for name, array in weight.arrays().items()}


def test_no_other_scale_is_better():
    target = smooth_target((16, 16))
    weight = ta.ADTN((16, 16), rng=0)
    fit(weight, target, steps=20)
    best, scale = distance(weight, target), weight.scale.data
    for factor in (0.98, 1.02, -1):
        weight.scale = ta.Tensor(np.float32(scale * factor))
        assert distance(weight, target) > best


def test_fit_then_train_ends_where_training_alone_does():
    """LeNet-5 over 5 seeds. Plain ADTNs collapsed after a fit, and stayed at chance, 10 %."""
    whole = ta.load_data("mnist-5k")
    data = replace(whole, train=some(whole.train, 1280), validation=some(whole.validation, 500))
    alone, fitted = [], []
    for seed in range(5):
        dense = ta.models.lenet5(rng=seed)
        trained(dense, data, 4, 3e-3, seed)
        for found, first in ((alone, False), (fitted, True)):
            small = ta.compress(dense, {"fc1": 2}, rng=seed)
            if first:
                ta.fit(small, dense, steps=100, show_progress=False)
                size, full = (np.linalg.norm(dense_weight(m)) for m in (small, dense))
                assert size < 0.3 * full  # the target is nearly random for 384 parameters
            found.append(trained(small, data, 5, 1e-2, seed))
    print(alone, fitted)
    assert min(fitted) > 0.8
    assert np.mean(fitted) > np.mean(alone) - 0.02


def dense_weight(model):
    return ta.decompress(model).fc1.weight.numpy()


def some(split, count):
    rows = np.random.default_rng(0).permutation(len(split))[:count]
    return ta.Split(split.images[rows], split.labels[rows])


def trained(model, data, epochs, learning_rate, seed):
    """The validation accuracy after training."""
    plan = {"epochs": epochs, "batch_size": 64, "learning_rate": learning_rate, "seed": seed}
    *_, last = ta.train(model, data, **plan)
    return last.validation.accuracy


def test_a_depth_one_target_is_recovered():
    target = ta.ADTN((32, 32), 1, rng=7).decode().numpy()
    weight = ta.ADTN((32, 32), 1, rng=1)
    assert fit(weight, target, steps=600)[-1] < 0.05


def test_more_depth_fits_better():
    target = np.random.default_rng(0).normal(size=(16, 16))
    shallow, deep = (
        fit(ta.ADTN((16, 16), depth, activation="identity", rng=0), target, steps=200)[-1]
        for depth in (1, 4)
    )
    assert deep < shallow - 0.03


def test_fit_changes_values_and_nothing_else():
    target = smooth_target((16, 12))
    before = target.copy()
    weight = ta.ADTN((16, 12), 2, rng=0)
    columns, shapes = list(weight.columns), [c.shape for c in weight.columns]
    fit(weight, target, steps=5)
    assert [c.shape for c in weight.columns] == shapes
    assert all(one is other for one, other in zip(weight.columns, columns))
    assert all(c.grad is None and c.requires_grad for c in weight.columns)
    assert weight.scale.dtype == weight.columns[0].dtype == np.float32
    assert not weight.scale.requires_grad
    np.testing.assert_array_equal(target, before)


def test_a_tensor_is_a_target_too():
    target = smooth_target((16, 12)).astype(np.float32)
    one, other = (ta.ADTN((16, 12), rng=0) for _ in range(2))
    assert fit(one, target, steps=5) == fit(other, ta.Tensor(target), steps=5)


@pytest.mark.parametrize("size", [1e-25, 1e25])
def test_the_size_of_the_target_does_not_matter(size):
    target = smooth_target((16, 16))
    plain, scaled = ta.ADTN((16, 16), rng=0), ta.ADTN((16, 16), rng=0)
    assert fit(plain, target, steps=10) == pytest.approx(fit(scaled, target * size, steps=10))
    assert distance(scaled, target * size) == pytest.approx(distance(plain, target), rel=1e-4)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, -np.inf])
def test_a_target_without_a_direction_is_refused(bad):
    weight = ta.ADTN((4, 4), rng=0)
    before = weight.decode().data
    target = np.zeros((4, 4))
    target[1, 2] = bad
    with pytest.raises(NonFiniteError, match="finite norm above 0"):
        fit(weight, target, steps=3)
    np.testing.assert_array_equal(weight.decode().data, before)


def test_a_target_of_another_shape_is_refused():
    with pytest.raises(ShapeError, match=r"\(4, 8\).*\(8, 4\)"):
        fit(ta.ADTN((8, 4), rng=0), np.ones((4, 8)))


def test_a_weight_that_is_zero_cannot_be_fitted():
    weight = ta.ADTN((4, 4), rng=0)
    for column in weight.columns:
        column.data = np.zeros_like(column.data)
    with pytest.raises(NonFiniteError, match="zero"):
        fit(weight, np.ones((4, 4)), steps=3)


def test_every_encoded_layer_is_fitted_to_its_dense_twin():
    dense = ta.models.fc2(hidden=16, image_size=8, rng=0)
    small = ta.compress(dense, {"fc*": 1}, rng=1)
    errors = ta.fit(small, dense, steps=30, show_progress=False)
    assert sorted(errors) == ["fc1", "fc2"]
    for name, layer in (("fc1", small.fc1), ("fc2", small.fc2)):
        target = getattr(dense, name).weight.numpy()
        assert errors[name][-1] == pytest.approx(distance(layer.weight, target), rel=1e-3)
        assert errors[name][-1] < errors[name][0]


def test_fit_leaves_dense_and_frozen_layers_alone():
    dense = ta.models.fc2(hidden=16, image_size=8, rng=0)
    small = ta.compress(dense, {"fc1": 1}, rng=1)
    mixed = ta.compress(small, {"fc2": ta.Frozen((10, 16), rng=0)}, rng=1)
    frozen = mixed.fc2.weight.decode().numpy().copy()
    assert list(ta.fit(mixed, dense, steps=2, show_progress=False)) == ["fc1"]
    np.testing.assert_array_equal(mixed.fc2.weight.decode().numpy(), frozen)


# --- a mixture -----------------------------------------------------------------------------------


def mixture():
    dense = ta.models.fc2(hidden=16, image_size=8, rng=0)
    return dense, ta.compress(dense, {"fc1": 1, "fc2": ta.LowRank.like(4)}, rng=1)


def test_options_go_to_those_that_iterate():
    dense, small = mixture()
    errors = ta.fit(small, dense, steps=3, learning_rate=0.01, show_progress=False)
    assert {name: len(found) for name, found in errors.items()} == {"fc1": 4, "fc2": 1}
    for name, layer in (("fc1", small.fc1), ("fc2", small.fc2)):
        target = getattr(dense, name).weight.numpy()
        assert errors[name][-1] == pytest.approx(distance(layer.weight, target), rel=1e-3)


def test_options_that_nobody_takes_are_refused():
    dense, small = mixture()
    before = small.fc1.weight.decode().numpy()
    with pytest.raises(TypeError, match=r"fit takes .*learning_rate.*steps; got step"):
        ta.fit(small, dense, step=3)
    np.testing.assert_array_equal(small.fc1.weight.decode().numpy(), before)


def test_formulas_take_the_options_of_a_mixture_too():
    dense = ta.models.fc2(hidden=16, image_size=8, rng=0)
    small = ta.compress(dense, {"fc*": ta.LowRank.like(4)}, rng=None)
    assert all(len(e) == 1 for e in ta.fit(small, dense, steps=3, show_progress=False).values())


def test_nothing_to_fit_is_said():
    dense, small = mixture()
    with pytest.raises(TinyADTNError, match="are the two swapped"):
        ta.fit(dense, small)


@pytest.mark.parametrize("kind", [ta.ADTN, ta.LowRank])
def test_a_target_whose_mask_would_be_lost_is_rejected(kind):
    options = {"rng": 0} if kind is ta.ADTN else {"rank": 2, "rng": 0}
    masked = np.ma.masked_array(np.ones((16, 16)), np.eye(16))
    with pytest.raises(DTypeError, match="would lose its mask"):
        kind((16, 16), **options).fit(masked)
    with pytest.raises(DTypeError, match="complex128"):
        kind((16, 16), **options).fit(np.ones((16, 16), complex))
