"""One run: the same numbers as the loop that a reader would write by hand; failures are results."""

import copy
import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import SizeLimitError, TinyADTNError
from tinyadtn.studies import run as sweep_run
from tinyadtn.studies.run import check, run_one
from tinyadtn.studies.spec import read_spec

SHORT = {"epochs": 2, "batch_size": 50, "learning_rate": 1e-2}


def config_of(tiny, **row):
    row = {"network": "fc2", "data": tiny, **SHORT, **row}
    return read_spec({"rows": {"a": row}}).runs[0].config


def by_hand(model, data, seed, **plan):
    steps = ta.train(model, data, seed=seed, **{**SHORT, **plan})
    return [step.validation.accuracy for step in steps if step.validation]


def same(result, model, data, validation):
    assert result["status"] == "done", result
    assert [epoch["validation_accuracy"] for epoch in result["history"]] == validation
    assert result["validation"] == validation[-1]
    assert result["test"] == ta.evaluate(model, data.test).accuracy
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_a_run_is_what_the_loop_by_hand_gives(tiny):
    wall = {"depth": 2, "order": "output_first", "activation": "tanh", "start": "orthogonal"}
    config = config_of(tiny, encode={"fc1": {"encoding": "ADTN", **wall}}, clip=1.0)
    result = run_one(config, 3)
    data = ta.load_data(tiny)
    model = ta.compress(ta.models.fc2(rng=3), {"fc1": ta.ADTN.like(**wall)}, rng=3)
    same(result, model, data, by_hand(model, data, 3, clip=1.0))
    assert result["stored"] == {"fc1": 436, "fc2": 2560} and result["encoded"] == ["fc1"]
    assert result["model"] == result["trained"] == model.num_parameters
    assert result["versions"]["numpy"] == np.__version__ and result["seconds"] > 0


def test_fitted_first_then_trained_with_the_rest_as_it_was(tiny):
    dense = {"epochs": 3, "batch_size": 50, "learning_rate": 2e-3}
    config = config_of(
        tiny,
        dense=dense,
        encode={"fc1": 1, "fc2": {"encoding": "LowRank", "rank": 2}},
        fit={"steps": 5},
        train_others=False,
    )
    result = run_one(config, 1)
    data, original = ta.load_data(tiny), ta.models.fc2(rng=1)
    for _ in ta.train(original, data, seed=1, **dense):
        pass
    recipes = {"fc1": 1, "fc2": ta.LowRank.like(2)}
    model = ta.compress(original, recipes, rng=1, train_others=False)
    errors = ta.fit(model, original, steps=5, learning_rate=0.02, show_progress=False)
    assert result["fit_error"] == {name: each[-1] for name, each in errors.items()}
    same(result, model, data, by_hand(model, data, 1))
    assert result["trained"] == (164 + 256) + (2 * (256 + 10) + 10)


# --- what the runs of a worker share -------------------------------------------------------------

DENSE = {"epochs": 1, "batch_size": 50, "learning_rate": 2e-3}


@pytest.fixture
def trainings(monkeypatch):
    """The plans of all trainings; nothing is remembered from before."""
    plans, plain = [], sweep_run.train

    def train(model, data, **plan):
        plans.append(plan)
        return plain(model, data, **plan)

    monkeypatch.setattr(sweep_run, "train", train)
    forget()
    yield plans
    forget()


def forget():
    sweep_run._trained_dense.cache_clear()
    sweep_run.loaded.cache_clear()


def told(result):
    """All of a record but what no two runs have in common."""
    return {k: v for k, v in result.items() if k != "seconds"}


def test_a_shared_dense_network_is_bit_for_bit_one_that_was_trained_for_the_run(tiny, trainings):
    rows = [
        {},  # goes on with the dense network itself
        {"encode": {"fc1": 2}, "fit": {"steps": 5}},
        {"freeze": ["fc1.*"]},
        {"encode": {"fc2": {"encoding": "LowRank", "rank": 3}}, "fit": {}, "train_others": False},
    ]
    configs = [config_of(tiny, dense=DENSE, **row) for row in rows]
    alone = []
    for config in configs:
        forget()
        alone.append(told(run_one(config, 4)))
    assert len(trainings) == 2 * len(rows)
    forget()
    trainings.clear()
    shared = [told(run_one(config, 4)) for config in [*configs, *configs]]
    assert len(trainings) == 1 + 2 * len(rows)
    assert shared == [*alone, *alone]
    assert len({json.dumps(result["history"]) for result in alone}) == len(rows)


def test_a_dense_network_is_shared_by_data_network_plan_and_seed(tiny, trainings):
    def dense_trainings(seed=0, **row):
        trainings.clear()
        assert run_one(config_of(tiny, epochs=0, **{"dense": DENSE, **row}), seed)["status"]
        return len(trainings)

    assert [dense_trainings(), dense_trainings()] == [1, 0]
    assert [dense_trainings(seed=1), dense_trainings(seed=0)] == [1, 0]  # the last two are kept
    assert dense_trainings(dense={**DENSE, "clip": 1.0}) == 1
    assert dense_trainings(network={"name": "fc2", "hidden": 8}) == 1
    assert dense_trainings() == 1
    # The folder has other images now, and its name is no reason to take them for the same.
    file = Path(tiny, "train-images-idx3-ubyte")
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    assert dense_trainings() == 0
    sweep_run.loaded.cache_clear()
    assert dense_trainings() == 1


def test_the_time_of_a_run_has_no_dense_training_in_it(tiny, monkeypatch):
    now, plain = [0.0], sweep_run.train

    def train(model, data, **plan):
        now[0] += 100 if plan["epochs"] == DENSE["epochs"] else 7
        return plain(model, data, **plan)

    forget()
    monkeypatch.setattr(sweep_run, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(sweep_run, "train", train)
    config = config_of(tiny, dense=DENSE)
    assert [run_one(config, 0)["seconds"] for _ in range(2)] == [7, 7]
    assert now == [100 + 2 * 7]
    wild = run_one(config_of(tiny, dense={**DENSE, "learning_rate": 1e30}), 0)
    assert wild["status"] == "failed" and wild["seconds"] == 0


def test_a_run_without_a_whole_batch_is_rejected_beforehand(tiny):
    with pytest.raises(ValueError, match=r"drop_last leaves nothing .* images are less than one"):
        check(config_of(tiny, batch_size=10_000, drop_last=True))


def test_a_fit_of_what_has_none_is_rejected_before_the_dense_training(tiny):
    with pytest.raises(TinyADTNError, match="nothing to fit"):
        check(config_of(tiny, encode={"fc1": "Frozen"}, dense=DENSE, fit={}))


def test_the_memory_of_a_run_is_that_of_its_larger_training_and_of_what_is_remembered(tiny):
    dense = check(config_of(tiny, batch_size=200))
    small = check(config_of(tiny, encode={"fc1": 1}))
    both = check(config_of(tiny, encode={"fc1": 1}, dense={**DENSE, "batch_size": 200}))
    assert both.stored == small.stored
    assert both.memory.total == dense.memory.total + 2 * 4 * 203_530
    assert dense.memory.total > small.memory.total


def test_a_record_names_its_data_by_what_is_in_them(tiny):
    expected = ta.load_data(tiny).identity()
    for rate, status in ((1e-2, "done"), (1e30, "failed")):
        result = run_one(config_of(tiny, learning_rate=rate), 0)
        assert (result["status"], result["data"]) == (status, expected)
    assert check(config_of(tiny)).data == expected


def test_a_run_on_the_gpu_gives_the_same_and_is_there_all_the_way(cuda, tiny, tmp_path):
    ta.save(tmp_path / "dense.npz", ta.models.fc2(rng=5))
    fitted = {"encode": {"fc1": 2}, "fit": {"steps": 3}}
    for row in ({}, {"dense": DENSE, **fitted}, {"dense": str(tmp_path / "dense.npz"), **fitted}):
        config = config_of(tiny, **row)
        here = run_one(config, 0)
        if hasattr(cuda, "traffic"):
            cuda.traffic.clear()
        there = run_one(config, 0, "cuda")
        if hasattr(cuda, "traffic"):
            assert max(cuda.traffic.up) > 100 * 28 * 28  # a batch
        assert (here["device"], there["device"]) == ("cpu", "cuda")
        losses = [[epoch["loss"] for epoch in each["history"]] for each in (here, there)]
        assert losses[1] == pytest.approx(losses[0], abs=2e-3)
        assert there["stored"] == here["stored"] and there["status"] == "done"
        json.dumps(there, allow_nan=False)


# --- what a row may say --------------------------------------------------------------------------


def test_nothing_is_trained_at_0_epochs_and_a_dense_file_is_taken(tiny, tmp_path):
    data, original = ta.load_data(tiny), ta.models.fc2(rng=5)
    by_hand(original, data, 5)
    ta.save(tmp_path / "dense.npz", original)
    result = run_one(config_of(tiny, dense=str(tmp_path / "dense.npz"), epochs=0), 0)
    assert result["history"] == []
    assert result["test"] == ta.evaluate(original, data.test).accuracy
    assert result["validation"] == ta.evaluate(original, data.validation).accuracy
    other = config_of(tiny, network="lenet5", dense=str(tmp_path / "dense.npz"))
    with pytest.raises(TinyADTNError, match="the dense network is fc2"):
        check(other)


def test_networks_layers_joint_and_by_pattern_and_what_is_frozen(tiny):
    tucker = {"encoding": "Tucker", "ranks": [2, 2]}
    config = config_of(
        tiny, network="lenet5", encode={"conv2": tucker, "fc1+fc2": 1, "fc3": "Frozen"},
        freeze=["conv1", "*.bias"],
    )  # fmt: skip
    result = run_one(config, 0)
    model = ta.compress(
        ta.models.lenet5(rng=0),
        {"conv2": ta.Tucker.like([2, 2]), ("fc1", "fc2"): 1, "fc3": ta.Frozen.like()},
        rng=0,
    )
    model = ta.freeze(model, "conv1", "*.bias")
    data = ta.load_data(tiny)
    same(result, model, data, by_hand(model, data, 0))
    assert result["encoded"] == ["conv2", "fc1+fc2", "fc3"] and result["stored"]["fc3"] == 0
    one_by_one = {"fc1 fc2": 2}
    assert check(config_of(tiny, encode=one_by_one)) == check(config_of(tiny, encode={"fc*": 2}))
    small = check(config_of(tiny, network={"name": "fc2", "hidden": 2}))
    assert small.stored["model"] == 784 * 2 + 2 + 2 * 10 + 10


def test_every_knob_of_an_adtn_can_be_turned(tiny):
    knobs = [
        {"wiring": "butterfly"},
        {"wiring": [[[0, 1]], [[1, 2], [3, 4]]]},
        {"order": list(range(12))[::-1]},
        {"site_dim": 4},
        {"site_dim": [2] * 10 + [2, 2]},
        {"activation": "leaky_relu", "start": "orthogonal"},
        {"axes": [10, [16, 16]]},
    ]
    for knob in knobs:
        wall = {"encoding": "ADTN", "depth": 2, **knob}
        config = json.loads(json.dumps(config_of(tiny, encode={"fc2": wall})))
        shape = ta.ADTN((10, 256), 2, **knob)
        assert check(config).stored["stored"]["fc2"] == shape.counts().stored
        assert run_one(config, 0)["status"] == "done", knob


def test_the_test_split_is_judged_once_after_the_last_step(tiny, monkeypatch):
    data, seen = ta.load_data(tiny), []
    monkeypatch.setattr(sweep_run, "loaded", lambda _: (data, data.identity()))
    plain_train, plain_evaluate = sweep_run.train, sweep_run.evaluate

    def train(*arguments, **options):
        yield from plain_train(*arguments, **options)
        seen.append("trained")

    def evaluate(model, split):
        seen.append("test" if split is data.test else "other")
        return plain_evaluate(model, split)

    monkeypatch.setattr(sweep_run, "train", train)
    monkeypatch.setattr(sweep_run, "evaluate", evaluate)
    assert run_one(config_of(tiny), 0)["status"] == "done"
    assert seen == ["trained", "test"]


def test_what_goes_wrong_is_the_result(tiny, monkeypatch):
    wild = run_one(config_of(tiny, learning_rate=1e30), 0)
    assert wild["status"] == "failed" and wild["error"].startswith("NonFiniteError: epoch 1")
    assert "traceback" not in wild and wild["versions"] and "test" not in wild
    assert run_one(config_of("nowhere"), 0)["error"].startswith("DataFileError")

    def bug(*_):
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr(sweep_run, "evaluate", bug)
    ours = run_one(config_of(tiny), 0)
    assert ours["error"] == "ZeroDivisionError: a mistake of ours"
    assert "in bug" in ours["traceback"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"encode": {"fc9": 1}}, "no layer matches 'fc9'"),
        ({"encode": {"fc1": 1, "fc*": 2}}, "twice"),
        ({"encode": {"fc1": {"encoding": "LowRank", "rank": 999}}}, "rank from 1 to 256"),
        ({"encode": {"fc1": {"encoding": "ADTN", "order": "sideways"}}}, "sideways"),
        ({"encode": {"fc1": {"encoding": "ADTN", "depth": 10**6}}}, "depth 1000000"),
        ({"encode": {"fc1": {"encoding": "ADTN", "order": 3}}}, r"fc1: order must be .* got 3"),
        ({"encode": {"fc1": {"encoding": "ADTN", "order": ["x", 3]}}}, r"fc1: order must hold"),
        ({"encode": {"fc1": {"encoding": "ADTN", "site_dim": "x"}}}, r"fc1: site_dim must .* 'x'"),
        ({"encode": {"fc1": {"encoding": "ADTN", "site_dim": 2.5}}}, r"fc1: site_dim must .* 2.5"),
        ({"encode": {"fc1": {"encoding": "ADTN", "site_dim": ["x"] * 18}}}, r"fc1: .*site_dim is"),
        ({"encode": {"fc1": {"encoding": "ADTN", "axes": 3}}}, r"fc1: axes must be .* got 3"),
        ({"freeze": ["conv1"]}, "conv1"),
        ({"freeze": ["*"]}, "everything in this network is frozen"),
        ({"data": "nowhere"}, "nowhere"),
        ({"dense": "nowhere.npz"}, "nowhere.npz"),
    ],
)
def test_what_cannot_be_is_found_before_anything_runs(tiny, row, words):
    with pytest.raises(TinyADTNError, match=words):
        check(config_of(tiny, **row))


@pytest.mark.parametrize("hidden", [10**26, 10**400])
def test_a_layer_that_no_memory_holds_is_refused_by_its_size(tiny, hidden):
    with pytest.raises(SizeLimitError, match=r"weight of shape .* no machine addresses so many"):
        check(config_of(tiny, network={"name": "fc2", "hidden": hidden}))


# --- diverged at the end -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plan",
    [
        {"learning_rate": 1e38},  # parameters are finite, logits are not
        {"learning_rate": 1e60, "optimizer": "sgd"},
        {"learning_rate": 1e60, "encode": {"fc1": 1}, "optimizer": "sgd"},
        {"dense": {"epochs": 1, "batch_size": 500, "learning_rate": 1e38}, "learning_rate": 1e-3},
    ],
)
def test_a_run_that_diverges_at_its_last_update_is_not_done(tiny, plan):
    only = {"epochs": 1, "batch_size": 500, "schedule": "constant"}  # the only update is the last
    result = run_one(config_of(tiny, **{**only, **plan}), 0)
    assert result["status"] == "failed" and "test" not in result
    assert "diverged at its last update" in result["error"]
    assert "NonFiniteError" in result["error"]


def test_a_dense_file_that_is_not_finite_is_no_result(tiny, tmp_path):
    model = ta.models.fc2(rng=0)
    model.fc1.weight.data[0, 0] = np.nan
    ta.save(tmp_path / "nan.npz", model)
    result = run_one(config_of(tiny, dense=str(tmp_path / "nan.npz"), epochs=0), 0)
    assert result["status"] == "failed" and "NonFiniteError" in result["error"]


# --- known by content ----------------------------------------------------------------------------


def test_a_worker_that_remembers_other_data_reads_them_again_or_says_so(tiny):
    forget()
    config = config_of(tiny)
    old = run_one(config, 0)["data"]["all_sha256"]
    file = Path(tiny, "train-images-idx3-ubyte")
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    new = ta.load_data(tiny).identity()["all_sha256"]
    assert run_one({**config, "content": {"data": new}}, 0)["data"]["all_sha256"] == new
    gone = run_one({**config, "content": {"data": old}}, 0)
    assert gone["status"] == "failed" and "not the one that the sweep began with" in gone["error"]


def test_a_dense_network_that_is_replaced_before_its_run_is_noticed(tiny, tmp_path):
    path = tmp_path / "dense.npz"
    ta.save(path, ta.models.fc2(rng=5))
    config = config_of(tiny, dense=str(path), epochs=0)
    sha256 = check(config).dense_sha256
    expected = {**config, "content": {"dense": sha256}}
    assert run_one(expected, 0)["dense_sha256"] == sha256
    ta.save(path, ta.models.fc2(rng=6))
    assert run_one(expected, 0)["status"] == "failed"
    assert run_one(config, 0)["dense_sha256"] == check(config).dense_sha256 != sha256


def test_a_row_on_a_dense_file_is_previewed_as_one_on_a_new_network(tiny, tmp_path):
    ta.save(tmp_path / "dense.npz", ta.models.fc2(rng=5))
    row = {"encode": {"fc1": 2, "fc2": {"encoding": "LowRank", "rank": 2}}, "freeze": "fc2"}
    new = check(config_of(tiny, **row))
    known = check(config_of(tiny, dense=str(tmp_path / "dense.npz"), fit={"steps": 2}, **row))
    assert (known.stored, known.memory) == (new.stored, new.memory)
    assert new.dense_sha256 is None and known.dense_sha256 is not None


def test_what_a_worker_gets_and_gives_crosses_to_other_processes(tiny):
    (run,) = read_spec({"rows": {"a": {"network": "fc2", "data": tiny, "epochs": 0}}}).runs
    result = run_one(run.located, 0)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(run, protocol)) == run
        assert pickle.loads(pickle.dumps(result, protocol)) == result
        assert pickle.loads(pickle.dumps(run_one, protocol)) is run_one
    assert copy.deepcopy(run) == run
