"""The training loop: what it yields, saves, refuses, and how a model is judged."""

import math
import os
import sys
from dataclasses import replace

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.data.splits import batches
from tinyadtn.errors import NonFiniteError, TinyADTNError
from tinyadtn.files.state import read_state
from tinyadtn.training.evaluate import Evaluation
from tinyadtn.training.train import TrainStep


def part(split, count):
    return ta.Split(split.images[:count], split.labels[:count])


def small_data(train=300, validation=100):
    """A few of the bundled digits, in an order that does not sort the classes."""
    data = ta.load_data("mnist-5k")
    rows = np.random.default_rng(0).permutation(len(data.train))[:train]
    return replace(
        data,
        train=ta.Split(data.train.images[rows], data.train.labels[rows]),
        validation=part(data.validation, validation),
        test=part(data.test, 150),
    )


@pytest.fixture(scope="module")
def data():
    return small_data()


def test_images_of_one_class_are_rejected_unless_the_loss_is_your_own(data):
    """The first images of a file that is sorted by class: their accuracy would be 100 %."""
    rows = np.flatnonzero(data.train.labels == 3)
    sorted_data = replace(data, train=ta.Split(data.train.images[rows], data.train.labels[rows]))
    with pytest.raises(
        TinyADTNError, match=r"training images have the label 3: .* several classes"
    ):
        ta.train(net(), sorted_data)
    next(ta.train(net(), sorted_data, loss=lambda logits, labels: (logits * logits).mean()))


def net(seed=0):
    return ta.models.fc2(hidden=8, rng=seed)


def values(model):
    return {name: a.tobytes() for name, a in model.arrays().items()}


def run(model, data, **options):
    return list(ta.train(model, data, **{"batch_size": 100, "epochs": 2, **options}))


# --- what it yields ------------------------------------------------------------------------------


def test_a_network_learns_digits():
    data, model = ta.load_data("mnist-5k"), ta.models.fc2(hidden=32, rng=0)
    before = ta.evaluate(model, data.test)
    losses = [s.loss for s in ta.train(model, data, epochs=3, learning_rate=5e-3, batch_size=64)]
    after = ta.evaluate(model, data.test)
    assert np.mean(losses[-20:]) < 0.35 < 2 < np.mean(losses[:3])
    assert before.accuracy < 0.3 < 0.85 < after.accuracy


def test_a_compressed_network_learns_digits():
    data = ta.load_data("mnist-5k")
    model = ta.compress(ta.models.fc2(hidden=32, rng=0), {"fc1": 2}, rng=0)
    losses = [s.loss for s in ta.train(model, data, epochs=3, learning_rate=1e-2, batch_size=64)]
    assert np.mean(losses[-20:]) < 0.7 * np.mean(losses[:3])


def test_every_step_says_where_it_is(data):
    steps = run(net(), data, batch_size=128, epochs=2)
    assert [s.step for s in steps] == [1, 2, 3, 4, 5, 6]  # 300 images: 128, 128, 44
    assert [s.epoch for s in steps] == [1, 1, 1, 2, 2, 2]
    assert {s.total for s in steps} == {6}
    assert [s.validation is not None for s in steps] == [False, False, True] * 2


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("one_cycle", ta.OneCycle(0.01, 6)),
        ("cosine", ta.Cosine(0.01, 6)),
        ("constant", lambda step: 0.01),
    ],
)
def test_the_rate_follows_the_schedule(schedule, expected, data):
    steps = run(net(), data, schedule=schedule, learning_rate=0.01)
    assert [s.learning_rate for s in steps] == [expected(k) for k in range(6)]


def test_the_first_loss_is_that_of_the_untouched_model_on_a_batch(data):
    model = net()
    before = model.copy()
    first = next(ta.train(model, data, batch_size=300, epochs=1))
    assert first.loss == pytest.approx(ta.evaluate(before, data.train).loss, rel=1e-5)


def test_validation_is_that_of_the_updated_model(data):
    model = net()
    for step in ta.train(model, data, epochs=1, batch_size=100):
        if step.validation:
            assert step.validation == ta.evaluate(model, data.validation)


def test_one_step_of_sgd_by_hand(data):
    model = net()
    w, b = (t.data.astype(np.float64) for t in (model.fc2.weight, model.fc2.bias))
    x = data.train.images.reshape(300, -1).astype(np.float64)
    hidden = np.maximum(x @ model.fc1.weight.data.T.astype(np.float64), 0)
    logits = hidden @ w.T + b
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    g = (p - np.eye(10)[data.train.labels]) / 300
    run(
        model, data, epochs=1, batch_size=300, optimizer="sgd", schedule="constant",
        learning_rate=0.1, weight_decay=0.5,
    )  # fmt: skip
    np.testing.assert_allclose(
        model.fc2.weight.data, 0.95 * w - 0.1 * g.T @ hidden, rtol=0, atol=1e-6
    )
    np.testing.assert_allclose(model.fc2.bias.data, b - 0.1 * g.sum(0), rtol=0, atol=1e-6)


def test_two_epochs_are_one_after_the_other(data):
    """No step knows the gradient of the one before: without momentum, two runs make one."""
    plan = {"batch_size": 300, "optimizer": "sgd", "schedule": "constant", "momentum": 0.0}
    whole, parts = net(), net()
    run(whole, data, epochs=2, learning_rate=0.5, **plan)
    for _ in range(2):
        run(parts, data, epochs=1, learning_rate=0.5, **plan)
    for name, array in whole.arrays().items():
        np.testing.assert_allclose(array, parts.arrays()[name], rtol=0, atol=1e-5)


def test_every_step_drops_others(data):
    """What a step draws follows from its number: no two alike, and the same in the same run."""

    class Draws(ta.Module):
        def __init__(self):
            self.fc = ta.Linear(784, 10, rng=0)
            self.drawn = []

        def forward(self, x, *, training, rng):
            if training:
                self.drawn.append(rng.random())
            return self.fc(x.reshape(len(x), 784))

    runs = [Draws() for _ in range(2)]
    for model in runs:
        run(model, data, batch_size=50)
    assert runs[0].drawn == runs[1].drawn
    assert len(set(runs[0].drawn)) == len(runs[0].drawn) == 12


def test_every_image_is_seen_once_an_epoch(data):
    class Watch(ta.Module):
        def __init__(self):
            self.fc = ta.Linear(784, 10, rng=0)
            self.seen = []

        def forward(self, x, *, training, rng):
            if training:
                self.seen += [row.tobytes() for row in x.data]
            return self.fc(x.reshape(len(x), 784))

    model = Watch()
    run(model, data, batch_size=70)
    everything = sorted(row.tobytes() for row in data.train.images)
    assert sorted(model.seen[:300]) == sorted(model.seen[300:]) == everything
    assert model.seen[:300] != model.seen[300:]


def test_seeds_decide_the_run(data):
    runs = []
    for seed in (1, 1, 2):
        model = net()
        losses = [s.loss for s in run(model, data, seed=seed)]
        runs.append((losses, values(model)))
    assert runs[0] == runs[1] != runs[2]


def test_gradients_from_before_do_not_count(data):
    clean, stained = net(), net()
    stained(data.train.images).sum().backward()
    run(clean, data)
    run(stained, data)
    assert values(clean) == values(stained)
    assert all(p.grad is None for p in stained.parameters())


# --- what it refuses -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"epochs": 0}, r"epochs must be above 0.* got 0"),
        ({"batch_size": -1}, r"batch_size must be above 0.* got -1"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": math.nan}, "learning_rate.*nan"),
        ({"learning_rate": math.inf}, "learning_rate.*inf"),
        ({"optimizer": "rmsprop"}, "adam, sgd, got 'rmsprop'"),
        ({"schedule": "step"}, "one_cycle, cosine, constant, got 'step'"),
        ({"learning_rate": "fast"}, "learning_rate must be a number.*'fast'"),
        ({"clip": 0.0}, "clip must be above 0, got 0.0"),
        ({"clip": -1}, "clip must be above 0, got -1"),
        ({"clip": "1"}, "clip must be a number.*'1'"),
        ({"weight_decay": -1.0}, "weight_decay must be 0 or more, got -1.0"),
        ({"momentum": -3}, "momentum must be from 0 to below 1, got -3"),
        ({"momentum": 1.0}, "momentum must be from 0 to below 1, got 1.0"),
        ({"momentum": None}, "momentum must be a number.*None"),
        ({"epochs": 1.5}, "epochs must be a whole number, got 1.5"),
        ({"epochs": "3"}, "epochs must be a whole number, got '3'"),
        ({"batch_size": 2.5}, "batch_size must be a whole number, got 2.5"),
        ({"seed": 0.5}, "seed must be a whole number, got 0.5"),
        ({"seed": None}, "seed must be a whole number, got None"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"save_minutes": "5"}, "save_minutes must be a number, got '5'"),
        ({"save_minutes": None}, "save_minutes must be a number, got None"),
        ({"save_minutes": math.nan}, "save_minutes must be 0 or more, got nan"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_at_the_call(options, says, data):
    with pytest.raises(ValueError, match=says):
        ta.train(net(), data, **options)


def test_data_of_another_kind_are_refused_at_the_call(data):
    with pytest.raises(TypeError, match="Data with all splits, got Split"):
        ta.train(net(), data.train)
    with pytest.raises(TypeError, match=r"one Split, as data\.test; got Data"):
        ta.evaluate(net(), data)


@pytest.mark.parametrize("resume", [None, "not_looked_at.npz"])
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("lr", r"'lr'; did you mean learning_rate\? \(it takes epochs, .* and save_minutes\)$"),
        ("batchsize", r"'batchsize'; did you mean batch_size\?"),
        ("criterion", r"'criterion'; did you mean loss\?"),
        ("zzz", r"'zzz' \(it takes epochs"),
    ],
)
def test_an_unknown_option_is_refused_at_the_call(name, hint, resume, data, tmp_path):
    with pytest.raises(TypeError, match=f"train has no option {hint}"):
        ta.train(net(), data, seed=1, resume=resume, out=tmp_path / "new", **{name: 0.1})
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_folder_that_cannot_be_written_is_refused_at_the_call(below, data, tmp_path):
    (tmp_path / "out").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="out"):
        ta.train(net(), data, out=tmp_path / "out" / below)


# --- numbers that are not finite -----------------------------------------------------------------


def test_an_explosion_stops_before_the_update(data, tmp_path):
    model, before = net(), None
    steps = ta.train(
        model, data, batch_size=100, epochs=5, optimizer="sgd", schedule="constant",
        learning_rate=1e25, out=tmp_path, save_minutes=0,
    )  # fmt: skip
    with pytest.raises(NonFiniteError) as caught:
        for _ in steps:
            before = values(model), {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert before is not None  # the first steps went through
    assert (values(model), {p.name: p.read_bytes() for p in tmp_path.iterdir()}) == before
    assert all(np.isfinite(a).all() for a in model.arrays().values())
    for path in tmp_path.iterdir():
        assert all(np.isfinite(a).all() for a in read_state(path)[0].values())
    text = str(caught.value)
    assert "epoch 1, step 2" in text  # numbered as the steps are
    assert "learning rate 1e+25" in text
    assert "contract gave" in text


def test_running_statistics_do_not_keep_the_numbers_of_a_bad_batch(data):
    model = ta.Sequential(
        norm=ta.BatchNorm2d(1), flatten=ta.Flatten(), fc=ta.Linear(784, 10, rng=0)
    )
    model.fc.weight.data[0, 0] = np.inf
    before = values(model)
    with pytest.raises(NonFiniteError):
        run(model, data)
    assert values(model) == before


def test_the_smaller_last_batch_may_be_left_out(data):
    model, sizes = net(), []
    model.forward = lambda x, **rest: (sizes.append(len(x)), type(model).forward(model, x, **rest))[
        1
    ]
    options = {"batch_size": 128, "epochs": 2, "drop_last": True}
    steps = list(ta.train(model, data, **options))
    assert [(s.epoch, s.step, s.total) for s in steps] == [
        (1, 1, 4),
        (1, 2, 4),
        (2, 3, 4),
        (2, 4, 4),
    ]
    assert [n for n in sizes if n != len(data.validation)] == [128] * 4
    assert steps[1].mean_loss == pytest.approx((steps[0].loss + steps[1].loss) / 2)
    by_hand, optimizer = net(), ta.Adam
    optimizer, schedule = ta.Adam(by_hand.parameters()), ta.OneCycle(1e-3, 4)
    order = [b for e in (0, 1) for b in list(batches(data.train, 128, seed=0, epoch=e))[:2]]
    for step, (images, labels) in enumerate(order):
        ta.softmax_cross_entropy(by_hand(images, training=True), labels=labels).backward()
        optimizer.step(schedule(step))
        optimizer.zero_grad()
    assert values(by_hand) == values(model)


def test_an_epoch_without_a_whole_batch_is_rejected_before_the_first_step(data):
    with pytest.raises(ValueError, match=r"300 images are less than one batch of 301; use a small"):
        ta.train(net(), data, batch_size=301, drop_last=True)
    whole = {"batch_size": 100, "epochs": 1}  # nothing to drop
    assert run(net(), data, **whole)[-1] == run(net(), data, **whole, drop_last=True)[-1]


def test_labels_are_smoothed_in_training_and_not_in_validation(data):
    images, labels = next(batches(data.train, len(data.train), seed=0, epoch=0))
    model = net()
    expected = ta.softmax_cross_entropy(model(images), labels=labels, label_smoothing=0.2).item()
    plan = {"epochs": 1, "batch_size": len(data.train), "label_smoothing": 0.2}
    (step,) = ta.train(model, data, **plan)
    assert step.loss == pytest.approx(expected, rel=1e-6)
    assert step.validation == ta.evaluate(model, data.validation)


def test_augmented_images_are_others_every_epoch_and_the_same_for_the_same_seed(data):
    class Watching(ta.Module):
        """Adds up the images of each batch, column by column."""

        def __init__(self):
            self.fc = ta.Linear(28, 10, rng=0)
            self.seen = []

        def forward(self, x, *, training, rng):
            if training:
                self.seen.append(x.data.sum(axis=(0, 1, 2)).tolist())
            return self.fc(x.sum(axis=(1, 2)))

    def columns(**plan):
        model = Watching()
        run(model, data, batch_size=300, epochs=2, **plan)
        return model.seen

    plain, augmented = columns(), columns(augment=True)
    np.testing.assert_allclose(plain[0], plain[1], rtol=1e-5)  # the same images, in another order
    assert np.abs(np.subtract(*augmented)).max() > 10
    assert augmented == columns(augment=True) != columns(augment=True, seed=1)


def test_the_first_bad_op_is_named_and_not_a_later_one(data):
    class Root(ta.Module):
        """The value of √0 is fine, its slope is not."""

        def __init__(self):
            self.fc = ta.Linear(784, 10, rng=0)
            self.fc.weight.data *= 0

        def forward(self, x, *, training, rng):
            return ta.sqrt(self.fc(x.reshape(len(x), 784)))

    model = Root()
    with pytest.raises(NonFiniteError, match=r"epoch 1, step 1.*gradient of sqrt"):
        run(model, data)
    assert not model.fc.weight.data.any()


def test_a_bad_parameter_is_found_in_the_forward_pass(data):
    model = net()
    model.fc1.bias.data[3] = np.nan
    with pytest.raises(NonFiniteError, match="loss is nan; add gave 100 of 800"):
        run(model, data)


def test_after_a_failure_a_smaller_rate_trains(data):
    model, fresh = net(), net()
    model.fc1.bias.data[3] = np.inf
    with pytest.raises(NonFiniteError):
        run(model, data)
    model.fc1.bias.data[3] = 0
    run(model, data)
    run(fresh, data)
    assert values(model) == values(fresh)


def test_parameters_that_an_update_made_infinite_are_not_saved(data, tmp_path):
    """The gradient is finite, the step is not; and the epoch ends right there."""
    run(net(), data, epochs=1, out=tmp_path)
    good = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    options = {"optimizer": "sgd", "schedule": "constant", "learning_rate": 1e39}
    with pytest.raises(NonFiniteError):
        run(net(), data, epochs=1, batch_size=300, out=tmp_path, overwrite=True, **options)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == good


# --- what it saves -------------------------------------------------------------------------------


def test_last_and_previous_are_the_last_two_epochs(data, tmp_path):
    states, model = {}, net()
    for step in ta.train(model, data, batch_size=100, epochs=3, out=tmp_path):
        if step.validation:
            states[step.epoch] = values(model)
    assert {p.name for p in tmp_path.iterdir()} == {"best.npz", "last.npz", "previous.npz"}
    assert values(ta.load(tmp_path / "last.npz")) == states[3]
    assert values(ta.load(tmp_path / "previous.npz")) == states[2]


def test_best_is_the_first_of_the_highest_accuracies(data, tmp_path, monkeypatch):
    accuracies = iter([0.2, 0.5, 0.5, 0.3])
    monkeypatch.setattr(
        sys.modules["tinyadtn.training.train"],
        "evaluate",
        lambda *_, **__: Evaluation(1.0, next(accuracies), 100),
    )
    states, model = {}, net()
    for step in ta.train(model, data, batch_size=100, epochs=4, out=tmp_path):
        if step.validation:
            states[step.epoch] = values(model)
    assert values(ta.load(tmp_path / "best.npz")) == states[2]


def test_the_history_has_an_entry_an_epoch(data, tmp_path):
    steps = run(net(), data, out=tmp_path)
    entries = read_state(tmp_path / "last.npz")[1]["training"]["history"]
    assert [entry["epoch"] for entry in entries] == [1, 2]
    for epoch, entry in enumerate(entries, 1):
        of_epoch = [s for s in steps if s.epoch == epoch]
        assert entry["loss"] == pytest.approx(np.mean([s.loss for s in of_epoch]))
        assert entry["validation_accuracy"] == of_epoch[-1].validation.accuracy
        assert entry["validation_loss"] == of_epoch[-1].validation.loss
        assert entry["learning_rate"] == of_epoch[-1].learning_rate


def leave(steps, at, how):
    for step in steps:
        if step.step == at:
            if how is None:
                return
            raise how


@pytest.mark.parametrize("how", [None, KeyboardInterrupt, ZeroDivisionError])
def test_leaving_the_loop_saves_the_state(how, data, tmp_path):
    model = net()
    steps = ta.train(model, data, batch_size=100, epochs=2, out=tmp_path)
    if how is None:
        leave(steps, 2, how)
    else:
        with pytest.raises(how):
            leave(steps, 2, how)
    steps.close()
    assert read_state(tmp_path / "last.npz")[1]["training"]["step"] == 2
    assert values(ta.load(tmp_path / "last.npz")) == values(model)


def test_leaving_at_the_end_of_an_epoch_keeps_the_one_before(data, tmp_path):
    leave(ta.train(net(), data, batch_size=100, epochs=4, out=tmp_path), 6, None)
    at = {p: read_state(tmp_path / f"{p}.npz")[1]["training"]["step"] for p in ("last", "previous")}
    assert at == {"last": 6, "previous": 3}


def test_without_out_nothing_is_written(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(net(), data)
    assert not list(tmp_path.iterdir())


def test_a_save_that_fails_leaves_the_last_good_states(data, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    steps = ta.train(net(), data, batch_size=100, epochs=4, out=tmp_path)
    for step in steps:
        if step.step == 6:
            break
    good = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(os, "fsync", fail)
        for _ in steps:
            pass
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == good


# --- an encoded weight that collapses ------------------------------------------------------------


@pytest.mark.parametrize(("factor", "what"), [(1e-9, "vanished"), (1e30, "overflowed")])
def test_a_weight_that_collapses_is_named_with_the_remedy(data, tmp_path, factor, what):
    """At the end of the epoch, or at once; the checkpoint of the epoch before is kept."""
    model = ta.compress(ta.models.fc2(rng=0), {"fc1": ta.ADTN.like(2, normalized=False)}, rng=0)
    kept = None
    with pytest.raises(NonFiniteError, match=rf"epoch 2.*of fc1 has {what}.*clip=1.0.*normalized"):
        for step in ta.train(model, data, epochs=3, out=tmp_path):
            if step.validation:
                kept = (tmp_path / "last.npz").read_bytes()
                model.fc1.weight.columns[-1].data *= np.float32(factor)
    assert (tmp_path / "last.npz").read_bytes() == kept


def test_a_parameter_that_forward_appends_to_a_list_is_named(data):
    class Grows(ta.Module):
        def __init__(self):
            self.fc, self.gains = ta.Linear(784, 10, rng=0), []

        def forward(self, x, *, training, rng):
            if not self.gains:
                self.gains.append(ta.Tensor(np.ones(10, np.float32), requires_grad=True))
            return self.fc(x.flatten(1)) * self.gains[0]

    with pytest.raises(TinyADTNError, match=r"gains\.0, of shape \(10,\), was added during"):
        list(ta.train(Grows(), data, epochs=1))


def test_a_layer_that_is_replaced_in_the_loop_is_named(data):
    """The optimizer has the parameters of the old layer, so the new one would stay as it is."""
    model = net()
    with pytest.raises(TinyADTNError, match=r"fc2\.weight, .* was replaced during .*load_arrays"):
        for step in ta.train(model, data, epochs=2):
            if step.step == 1:
                model.fc2 = ta.Linear(8, 10, rng=1)
    model, arrays = net(), net(seed=1).fc2.arrays()
    for step in ta.train(model, data, epochs=1):
        if step.step == 1:
            model.fc2.load_arrays(arrays)
            kept = model.fc2.weight.data.copy()
    assert (model.fc2.weight.data != kept).all()


@pytest.mark.parametrize("name", ["lr", "criterion", "loss_fn", "learning_rat"])
def test_an_option_of_another_name_names_ours(data, name):
    with pytest.raises(TypeError, match=r"did you mean (learning_rate|loss)\?"):
        ta.train(ta.models.fc2(rng=0), data, **{name: 1})


def test_a_step_shows_six_digits_and_keeps_all():
    step = TrainStep(1, 2, 3, 2.3346564769744873, 0.0011999999999999997)
    assert repr(step) == (
        "TrainStep(epoch=1, step=2, total=3, loss=2.33466, learning_rate=0.0012, mean_loss=None, "
        "validation=None)"
    )
    assert step.learning_rate == 0.0011999999999999997
