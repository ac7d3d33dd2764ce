"""A run stopped anywhere goes on, in this process or another, as if it had not been stopped."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_train import net, part, run, small_data, values

import tinyadtn as ta
from tinyadtn.errors import CheckpointError
from tinyadtn.files.state import read_state, write_state

TESTS = Path(__file__).parent
PLAN = {"batch_size": 64, "epochs": 3}  # 300 images: 5 steps an epoch, the last of 44

# What a child process does: build everything from nothing, train or go on, stop at a step.
CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from test_resume import *
out, stop, kind, resume = sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5] == "resume"
options = {"resume": f"{out}/last.npz"} if resume else KINDS[kind][1]
model = KINDS[kind][0]()
for step in ta.train(model, small_data(), out=out, save_minutes=0, **options):
    print(step.step, flush=True)
    if step.step == stop:
        break
"""


def encoded():
    return ta.compress(net(), {"fc1": 2}, rng=1)


def convolutional():
    """Running statistics, random masks and random crops: all that a step may draw or remember."""
    return ta.Sequential(
        pool=ta.MaxPool2d(4),
        conv1=ta.Conv2d(1, 4, 3, rng=2),
        norm1=ta.BatchNorm2d(4),
        relu1=ta.ReLU(),
        flatten=ta.Flatten(),
        dropout=ta.Dropout(0.3),
        fc1=ta.Linear((4, 5, 5), 10, rng=3),
    )


KINDS = {
    "adam": (net, PLAN | {"clip": 1.0}),
    "sgd": (net, PLAN | {"optimizer": "sgd", "schedule": "cosine", "weight_decay": 0.1}),
    "encoded": (encoded, PLAN | {"learning_rate": 1e-2}),
    "convolutional": (convolutional, PLAN | {"augment": True}),
    "whole batches": (net, PLAN | {"drop_last": True}),  # 4 steps an epoch
}


@pytest.fixture(scope="module")
def data():
    return small_data()


def child(out, stop, kind, what, hash_seed="0"):
    command = [sys.executable, "-c", CHILD, TESTS, out, str(stop), kind, what]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, cwd=TESTS.parent
    )


def same_state(one, other):
    """Weights, optimiser, history: all arrays bit for bit, all numbers equal."""
    (arrays, meta), (others, other_meta) = read_state(one), read_state(other)
    assert arrays.keys() == others.keys()
    assert any(name.startswith("optimizer/") for name in arrays)
    for name, array in arrays.items():
        assert array.dtype == others[name].dtype
        np.testing.assert_array_equal(array, others[name], err_msg=name)
    assert meta == other_meta


@pytest.fixture(scope="module")
def uninterrupted(data, tmp_path_factory):
    """For each kind of run: its folder and the losses of its steps."""
    runs = {}
    for kind, (make, plan) in KINDS.items():
        out = tmp_path_factory.mktemp(kind)
        runs[kind] = out, [s.loss for s in ta.train(make(), data, out=out, **plan)]
    return runs


def stop_after(steps, count):
    losses = []
    for step in steps:
        losses.append(step.loss)
        if len(losses) == count:
            break
    steps.close()
    return losses


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stop", [1, 4, 5, 6, 9, 14])
def test_a_stopped_run_goes_on_bit_for_bit(kind, stop, data, uninterrupted, tmp_path):
    make, plan = KINDS[kind]
    whole, losses = uninterrupted[kind]
    before = stop_after(ta.train(make(), data, out=tmp_path, **plan), stop)
    model = make()
    rest = [s.loss for s in ta.train(model, data, out=tmp_path, resume=tmp_path / "last.npz")]
    assert before + rest == losses
    same_state(tmp_path / "last.npz", whole / "last.npz")
    same_state(tmp_path / "best.npz", whole / "best.npz")
    assert values(model) == values(ta.load(whole / "last.npz", into=KINDS[kind][0]()))


def test_a_run_stopped_at_every_step_is_the_same_run(data, uninterrupted, tmp_path):
    make, plan = KINDS["adam"]
    stop_after(ta.train(make(), data, out=tmp_path, **plan), 1)
    for _ in range(14):
        stop_after(ta.train(make(), data, out=tmp_path, resume=tmp_path / "last.npz"), 1)
    same_state(tmp_path / "last.npz", uninterrupted["adam"][0] / "last.npz")


@pytest.mark.parametrize(("kind", "stop"), [("adam", 7), ("encoded", 3)])
def test_new_processes_go_on_bit_for_bit(kind, stop, uninterrupted, tmp_path):
    for what, at, seed in (("start", stop, "1"), ("resume", -1, "2")):
        process = child(tmp_path, at, kind, what, hash_seed=seed)
        assert process.communicate(timeout=120)[0].split()[-1] == ("15" if at < 0 else str(at))
        assert process.returncode == 0
    same_state(tmp_path / "last.npz", uninterrupted[kind][0] / "last.npz")


def test_a_killed_process_goes_on_bit_for_bit(uninterrupted, tmp_path):
    process = child(tmp_path, -1, "sgd", "start")
    for line in process.stdout:
        if int(line) >= 8:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    process = child(tmp_path, -1, "sgd", "resume")
    steps = process.communicate(timeout=120)[0].split()
    assert steps[-1] == "15" and int(steps[0]) >= 8
    same_state(tmp_path / "last.npz", uninterrupted["sgd"][0] / "last.npz")


@pytest.mark.parametrize("write", range(1, 7))
def test_a_run_that_ends_between_two_files_goes_on_with_both(
    write, data, uninterrupted, tmp_path, monkeypatch
):
    """At the end of an epoch two files are written: what if only the first ever is?"""
    make, plan = KINDS["adam"]
    written = []

    def dies(path, *rest, **options):
        if len(written) == write:
            raise KeyboardInterrupt  # nothing after it runs, as if the power were gone
        written.append(path)
        write_state(path, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr("tinyadtn.training.runs.write_state", dies)
        try:
            for _ in ta.train(make(), data, out=tmp_path, **plan):
                pass
        except KeyboardInterrupt:
            pass
    went_on = {"resume": tmp_path / "last.npz"}
    if not (tmp_path / "last.npz").exists():
        went_on = plan | {"overwrite": True}  # there may be a ``best.npz``, which nobody can resume
    for _ in ta.train(make(), data, out=tmp_path, **went_on):
        pass
    for file in ("last.npz", "best.npz"):
        same_state(tmp_path / file, uninterrupted["adam"][0] / file)


def test_runs_killed_at_random_moments_end_with_the_same_bits(tmp_path):
    """A few here; ``python tests/kill_runs.py 100`` is part of ``make test-deep``."""
    import kill_runs

    tally = kill_runs.survive(3, tmp_path)
    assert tally.differ == [] and tally.runs == 3 and tally.kills == 4


def test_the_previous_state_can_be_resumed_too(data, uninterrupted, tmp_path):
    make, plan = KINDS["adam"]
    stop_after(ta.train(make(), data, out=tmp_path, **plan), 12)
    resumed = ta.train(make(), data, out=tmp_path, resume=tmp_path / "previous.npz")
    assert next(resumed).step <= 12
    for _ in resumed:
        pass
    same_state(tmp_path / "last.npz", uninterrupted["adam"][0] / "last.npz")


def test_a_finished_run_has_nothing_left_to_do(data, uninterrupted):
    whole, _ = uninterrupted["adam"]
    model = net(5)
    assert list(ta.train(model, data, resume=whole / "last.npz")) == []
    assert values(model) == values(ta.load(whole / "last.npz"))


def test_a_model_of_shapes_only_can_be_resumed(data, uninterrupted, tmp_path):
    make, plan = KINDS["adam"]
    stop_after(ta.train(make(), data, out=tmp_path, **plan), 6)
    model = ta.models.fc2(hidden=8)
    for _ in ta.train(model, data, out=tmp_path, resume=tmp_path / "last.npz"):
        pass
    same_state(tmp_path / "last.npz", uninterrupted["adam"][0] / "last.npz")


# --- refusals ------------------------------------------------------------------------------------


@pytest.fixture
def stopped(data, tmp_path):
    """A state inside the second epoch."""
    stop_after(ta.train(net(), data, out=tmp_path, **KINDS["adam"][1]), 7)
    return tmp_path / "last.npz"


@pytest.mark.parametrize("split", ["validation", "test"])
def test_other_validation_or_test_images_are_refused_where_they_are_known(split, data, stopped):
    changed = replace(getattr(data, split), labels=getattr(data, split).labels[::-1].copy())
    other = replace(data, **{split: changed})
    refused(net(), other, stopped, "other validation or test images than these of")
    arrays, meta = read_state(stopped)
    del meta["data"]["all_sha256"]  # as in a file of an older version
    write_state(stopped, arrays, meta)
    assert len(list(ta.train(net(), other, resume=stopped))) == 8


def refused(model, data, path, says, **options):
    before = values(model)
    with pytest.raises(CheckpointError, match=says):
        ta.train(model, data, resume=path, **options)
    assert values(model) == before


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("epochs", 4),
        ("batch_size", 32),
        ("learning_rate", 0.1),
        ("seed", 1),
        ("optimizer", "sgd"),
        ("schedule", "constant"),
        ("weight_decay", 0.2),
        ("clip", None),
        ("momentum", 0.5),
        ("label_smoothing", 0.1),
        ("drop_last", True),
    ],
)
def test_another_plan_is_refused(option, value, stopped, data):
    refused(net(), data, stopped, rf"{option}=.*not {value}", **{option: value})


def test_the_same_plan_may_be_said_again(stopped, data):
    assert next(ta.train(net(), data, resume=stopped, epochs=3, batch_size=64)).step == 8


def test_a_plan_older_than_an_option_has_its_default(stopped, data):
    arrays, meta = read_state(stopped)
    del meta["plan"]["label_smoothing"], meta["plan"]["drop_last"]
    write_state(stopped, arrays, meta)
    same = {"label_smoothing": 0.0, "drop_last": False}
    assert next(ta.train(net(), data, resume=stopped, **same)).step == 8
    with pytest.raises(CheckpointError, match=r"planned with label_smoothing=0\.0, not 0\.1"):
        ta.train(net(), data, resume=stopped, label_smoothing=0.1)


def test_weights_only_are_refused(data, tmp_path):
    ta.save(tmp_path / "w.npz", net())
    refused(net(), data, tmp_path / "w.npz", "weights only")


def test_the_state_of_another_model_is_refused(stopped, data):
    shapes = r"run \(fc1\.weight has shape \(9, 784\), the array given has \(8, 784\)\)$"
    refused(ta.models.fc2(hidden=9, rng=0), data, stopped, shapes)
    refused(encoded(), data, stopped, r"for another model: missing .*unknown \['fc1\.weight'")


def test_other_data_are_refused(stopped, data):
    """Half the images are other epochs: the batches to come would be nobody's."""
    other = replace(data, train=part(data.train, 150))
    refused(net(), other, stopped, "300.*150")


def test_other_labels_on_the_same_images_are_other_data(stopped, data):
    labels = data.train.labels[::-1].copy()
    other = replace(data, train=ta.Split(data.train.images, labels), name="other")
    refused(
        net(), other, stopped, "the 300 images of mnist-5k .*, these are the 300 images of other"
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda arrays, meta: arrays.pop("optimizer/mean.0"),
        lambda arrays, meta: arrays.pop("optimizer/count"),
        lambda arrays, meta: arrays.update({"optimizer/mean.1": np.ones(1, np.float32)}),
        lambda arrays, meta: arrays.update({"optimizer/velocity.0": np.ones(1, np.float32)}),
        lambda arrays, meta: arrays.pop("fc1.bias"),
        lambda arrays, meta: meta.pop("plan"),
        lambda arrays, meta: meta.pop("training"),
        lambda arrays, meta: meta.pop("data"),
        lambda arrays, meta: meta["plan"].update(epochs=0),
        lambda arrays, meta: meta["plan"].update(knob=0),
        lambda arrays, meta: meta["plan"].update(optimizer="rmsprop"),
        lambda arrays, meta: meta["training"].pop("step"),
        lambda arrays, meta: meta["training"].update(knob=3),
        lambda arrays, meta: meta["training"]["history"].clear(),  # and two epochs were begun
        lambda arrays, meta: meta["training"].update(step=4),  # within the first, which is recorded
    ],
)
def test_a_state_that_lacks_something_is_refused_and_changes_nothing(damage, stopped, data):
    arrays, meta = read_state(stopped)
    damage(arrays, meta)
    write_state(stopped, arrays, meta)
    refused(net(3), data, stopped, r"last\.npz")


def test_a_folder_that_cannot_be_written_is_refused_before_the_model_changes(stopped, data):
    model = net(3)
    before = values(model)
    with pytest.raises(OSError, match=r"last\.npz"):
        ta.train(model, data, resume=stopped, out=stopped)  # a file, not a folder
    assert values(model) == before


def test_run_is_the_same_with_and_without_a_folder(data, tmp_path):
    one, other = net(), net()
    assert [s.loss for s in run(one, data)] == [s.loss for s in run(other, data, out=tmp_path)]
    assert values(one) == values(other)
