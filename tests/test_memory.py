"""What a training run is said to take, against what it takes."""

import tracemalloc

import numpy as np
import pytest
from memory_peak import peak_of

import tinyadtn as ta
from tinyadtn.errors import SizeLimitError
from tinyadtn.training import memory
from tinyadtn.training.memory import check_memory, training_memory
from tinyadtn.training.plan import TrainingPlan


def images_and_labels(rng, count, shape):
    return rng.random((count, *shape), np.float32), np.arange(count) % 10


def small_data(rng, shape):
    return ta.load_data([images_and_labels(rng, n, shape) for n in (40, 12, 10)])


@pytest.mark.parametrize(
    ("network", "shape", "spec"),
    [
        ("lenet5", (1, 28, 28), {}),
        ("vgg16", (3, 32, 32), {}),
        ("alexnet", (3, 32, 32), {"fc1": 1, "fc2": 1}),
        ("fc2", (1, 28, 28), {"fc1": 2}),
    ],
)
def test_the_estimate_bounds_what_is_used_and_not_by_much(
    rng, tmp_path, network, shape, spec, monkeypatch
):
    monkeypatch.setattr(memory, "EVALUATION_BATCH", 12)  # there are no more images to judge
    data, plan = small_data(rng, shape), {"batch_size": 20, "learning_rate": 1e-4}
    model = getattr(ta.models, network)(rng=0)
    model = ta.compress(model, spec, rng=0) if spec else model
    told = training_memory(model, data, TrainingPlan(epochs=1, **plan))
    for _ in ta.train(model.copy(), data, epochs=1, out=tmp_path / "first", **plan):
        break  # what a first step imports, and the scratch memory that it leaves, is of no one run
    # A copy that is made inside: the weights count too.
    used = peak_of(lambda: list(ta.train(model.copy(), data, epochs=1, out=tmp_path, **plan)))
    assert used < told.total - told.images < 2.5 * used + 2**22


def test_the_state_of_a_users_optimizer_counts(rng):
    class Own(ta.Adam):
        """The state of Adam, without its name."""

    data = small_data(rng, (1, 28, 28))
    own, adam = (
        training_memory(ta.models.fc2(), data, TrainingPlan(optimizer=optimizer))
        for optimizer in (Own, "adam")
    )
    assert own == adam


def test_shapes_only_are_enough_to_tell(rng):
    data = small_data(rng, (3, 32, 32))
    tracemalloc.start()
    told = training_memory(ta.models.vgg16(), data, TrainingPlan(batch_size=128))
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert told.weights > 4 * 5 * 33_000_000


def test_a_run_beyond_the_memory_is_refused_with_the_numbers(rng, monkeypatch):
    data = small_data(rng, (3, 32, 32))
    told = training_memory(ta.models.vgg16(), data, TrainingPlan())
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: told.total)
    check_memory(told)
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: told.total - 1)
    with pytest.raises(SizeLimitError, match=r"takes about [\d.]+ GiB .* use a smaller batch"):
        check_memory(told)


def test_a_batch_holds_no_more_images_than_there_are(rng, monkeypatch):
    monkeypatch.setattr(memory, "EVALUATION_BATCH", 1)
    data, model = small_data(rng, (1, 28, 28)), ta.models.lenet5()
    told = [training_memory(model, data, TrainingPlan(batch_size=n)) for n in (39, 40, 10**6)]
    assert told[0].activations < told[1].activations == told[2].activations


def test_frozen_weights_are_held_too(rng):
    data, model = small_data(rng, (3, 32, 32)), ta.models.vgg16(rng=0)
    frozen = ta.freeze(model, "fc*", "conv*")
    told = training_memory(frozen, data, TrainingPlan()).weights
    assert 2 * 4 * 33_600_000 < told < training_memory(model, data, TrainingPlan()).weights / 2


def test_the_parts_are_named():
    assert str(memory.TrainingMemory(2**30, 2**31, 2**29)) == (
        "about 3.5 GiB of memory (images 1.0, weights and optimizer 2.0, activations 0.5)"
    )
    assert str(memory.TrainingMemory(2**20, 2**21, 2**28)) == (
        "about 259 MiB of memory (images 1, weights and optimizer 2, activations 256)"
    )
