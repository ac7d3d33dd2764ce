"""Checkpoints that somebody edited, hashes and all: refused as what they are, never believed."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from test_resume import stop_after
from test_train import small_data

import tinyadtn as ta
from tinyadtn.cli.main import main
from tinyadtn.errors import DTypeError
from tinyadtn.files.state import read_state, write_state
from tinyadtn.training.plan import TrainingPlan
from tinyadtn.training.runs import RunState

HUGE = 10**400  # an int that JSON can say and float64 cannot
ENTRY = {
    "epoch": 1,
    "loss": 2.0,
    "learning_rate": 1e-3,
    "validation_loss": 2.0,
    "validation_accuracy": 0.5,
}


def at(value, *place):
    """Edit the description: ``value`` at ``meta[place[0]][place[1]]…``."""

    def edit(arrays, meta):
        for name in place[:-1]:
            meta = meta[name]
        meta[place[-1]] = value

    return edit


def array(name, make):
    """Edit one array."""

    def edit(arrays, meta):
        arrays[name] = np.asarray(make(arrays[name]))

    return edit


ODD = {
    "step": [1.5, "x", None, True, -1, 7, 10**12, HUGE, [1]],
    "history": ["x", {}, None, [1], [None], [{}], [ENTRY | {"loss": "x"}], [ENTRY | {"more": 1}]],
    "best": ["x", None, [], float("nan"), float("inf"), 1.5, -0.5, HUGE],
    "loss": ["x", None, [], float("nan"), float("inf"), HUGE, True],
    "loss_sum": ["x", None, [], float("nan"), float("inf"), HUGE, True],
}
ODD_PLAN = {
    "learning_rate": [HUGE, "x", None, True, float("nan"), float("inf"), -1.0],
    "weight_decay": [HUGE, "x", None, float("nan"), -1.0],
    "momentum": [HUGE, "x", None, float("nan"), 1.0],
    "clip": [HUGE, "x", True, float("nan"), 0.0],
    "label_smoothing": [HUGE, "x", None, True, float("nan"), -0.1, 1.5],
    "epochs": [HUGE, 1.5, True, "x", None, 0],
    "batch_size": [HUGE, 1.5, True, "x", None, -1],
    "seed": [-1, 1.5, True, "x", None],
    "augment": ["x", "", 0, 1, None, []],
    "drop_last": ["x", "", 0, 1, None, []],
    "optimizer": [["adam"], {"a": 1}, None, 1, "rmsprop"],
    "schedule": [["cosine"], {}, None, 1, "x"],
    "loss": [["softmax_cross_entropy"], {}, None, 1, "x", "parts:focal"],
}
ODD_ARRAYS = {
    "optimizer/count": [lambda a: -1, lambda a: 1e300, lambda a: True, lambda a: 2.0],
    "optimizer/mean.0": [
        lambda a: a.astype(np.complex64),
        lambda a: a.astype(np.int32),
        lambda a: a > 0,
        lambda a: a.astype([("x", np.float32)]),
        lambda a: a.astype(str),
    ],
    "fc1.weight": [
        lambda a: a.astype(np.complex64),
        lambda a: a.astype(np.int32),
        lambda a: a > 0,
        lambda a: a.astype([("x", np.float32)]),
    ],
}
EDITS = {
    **{f"{k}={v!r:.60}": at(v, "training", k) for k, odd in ODD.items() for v in odd},
    **{f"{k}={v!r:.60}": at(v, "plan", k) for k, odd in ODD_PLAN.items() for v in odd},
    **{f"{k} {n}": array(k, m) for k, makers in ODD_ARRAYS.items() for n, m in enumerate(makers)},
    **{f"{k}={v!r}": at(v, k) for k in ("plan", "training", "data") for v in (None, [], "x", 1)},
    "data.name=1": at(1, "data", "name"),
    "data.name=NUL": at("a\0b", "data", "name"),
    "data.sha256=1": at(1, "data", "sha256"),
    "data.images=x": at({"name": "mnist-5k", "sha256": "0", "images": "x"}, "data"),
}


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """A run of two steps out of six, as the command line would resume it."""
    folder = tmp_path_factory.mktemp("sound")
    model = ta.models.fc2(hidden=4, rng=0)
    stop_after(ta.train(model, small_data(), out=folder, epochs=2, batch_size=100), 2)
    return read_state(folder / "last.npz")


@pytest.fixture
def resume(state, tmp_path, monkeypatch, capsys):
    """Edit the state, resume it: the exit code and what was printed."""
    monkeypatch.setattr("tinyadtn.cli.train_command.load_data", lambda source: small_data())

    def run(edit):
        arrays, meta = dict(state[0]), json.loads(json.dumps(state[1]))
        edit(arrays, meta)
        write_state(tmp_path / "last.npz", arrays, meta)
        code = main(["train", "fc2", "--quiet", "--resume", str(tmp_path / "last.npz")])
        return code, capsys.readouterr()

    return run


def test_unedited_it_goes_on(resume):
    assert resume(lambda arrays, meta: None)[0] == 0


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_state_is_refused_in_one_line(name, resume, tmp_path):
    code, told = resume(EDITS[name])
    assert (code, told.out) == (4, "")
    assert told.err.startswith(f"error: {tmp_path / 'last.npz'}: ") and told.err.count("\n") == 1


@pytest.mark.parametrize("what", ["int32", "bool"])
def test_weights_that_are_no_floats_are_not_loaded(what, state, tmp_path):
    arrays = {k: a for k, a in state[0].items() if not k.startswith("optimizer/")}
    arrays["fc1.weight"] = arrays["fc1.weight"].astype(what)
    write_state(tmp_path / "w.npz", arrays, {"kind": "weights", "config": state[1]["config"]})
    with pytest.raises(ta.errors.CheckpointError, match=f"fc1.weight holds {what}"):
        ta.load(tmp_path / "w.npz")


@pytest.mark.parametrize(("count", "fits"), [(0, True), (3, True), (-1, False)])
def test_an_optimiser_counts_from_zero(count, fits):
    adam = ta.Adam([ta.Tensor([1.0, 2.0], requires_grad=True)])
    state = adam.state() | {"count": count}
    if fits:
        adam.load_state(state)
        assert adam.count == count
    else:
        with pytest.raises(ValueError, match=r"count.*-1"):
            adam.load_state(state)


def test_an_optimiser_remembers_floats_only_and_a_refused_state_changes_nothing():
    adam = ta.Adam([ta.Tensor([1.0, 2.0], requires_grad=True)])
    state = adam.state() | {"count": 5, "square.0": np.array([1j, 2])}
    with pytest.raises(DTypeError, match=r"square\.0.*complex128"):
        adam.load_state(state)
    assert adam.count == 0


def test_a_plan_and_a_state_refuse_what_no_run_has():
    for name, odd in ODD_PLAN.items():
        for value in odd:
            with pytest.raises(ValueError, match=name):
                TrainingPlan(**{name: value})
    for name, odd in ODD.items():
        for value in odd:
            if value not in (7, 10**12, HUGE) or name != "step":  # how many there are is the plan's
                with pytest.raises(ValueError, match=name):
                    RunState.from_file({**asdict(RunState()), name: value}, 100)
