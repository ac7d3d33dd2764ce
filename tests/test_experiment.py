"""The main job on few digits: what each candidate is, and how it was trained."""

import errno
import re

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import TinyADTNError
from tinyadtn.studies import experiment, experiment_files
from tinyadtn.studies import run as sweep_run
from tinyadtn.studies.networks import build_for


@pytest.fixture(scope="module")
def data():
    whole = ta.load_data("mnist-5k")
    parts = (whole.train, whole.validation, whole.test)
    return ta.load_data([(part.images[:200], part.labels[:200]) for part in parts])


def settings(**changes):
    few = {"epochs": 2, "dense_epochs": 1, "fit_steps": 3}
    return experiment.Settings("fc2", {"fc1 fc2": 2}, **{**few, **changes})


def test_every_training_is_clipped_and_has_its_own_rate(data, monkeypatch):
    plans = []

    def train(model, data, **plan):
        plans.append(plan)
        return ta.train(model, data, **plan)

    monkeypatch.setattr(sweep_run, "train", train)
    experiment.run_experiment(data, settings(clip=0.5), show_progress=False)
    assert [plan["clip"] for plan in plans] == [0.5] * 4
    assert [plan["learning_rate"] for plan in plans] == [2e-3, 3e-2, 3e-2, 3e-2]
    assert [plan["epochs"] for plan in plans] == [1, 2, 2, 2]


def test_every_progress_bar_of_a_training_says_how_far_the_whole_experiment_is(data, capsys):
    experiment.run_experiment(data, settings(seeds=2, epochs=1))
    bars = re.findall(r"([a-z- ]+ \(\d+ of 10\)): +100", capsys.readouterr().err)
    numbered = zip([1, 3, 4, 5, 6, 8, 9, 10], ["dense", "fine-tuned", "random start", "frozen"] * 2)
    assert bars == [f"{row} ({k} of 10)" for k, row in numbered]


def test_the_control_trains_everything_but_the_encoded_weights(data):
    models, _ = experiment.run_experiment(data, settings(), show_progress=False)
    control, start = models["frozen"], build_for(data, "fc2", 0)
    assert [name for name, _ in control.named_parameters()] == ["fc1.bias", "fc2.bias"]
    assert np.any(control.fc1.bias.data != start.fc1.bias.data)
    assert models["fine-tuned"].num_parameters == 436 + 280 + 256 + 10


def test_a_network_trained_before_is_used_and_left_as_it_was(data):
    dense = ta.models.fc2(rng=7)
    before = dense.arrays()
    models, records = experiment.run_experiment(
        data, settings(), trained=dense, show_progress=False
    )
    assert models["dense"] is dense and not records[0]["history"]
    for name, array in dense.arrays().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
    row = next(r for r in experiment.accuracy_table(records).splitlines() if "dense" in r)
    assert row.split()[2] == "–"  # no epochs of its own


@pytest.mark.parametrize("spec", [{"fc1": 1}, {"fc2": ta.LowRank.like(2)}, {("fc1", "fc2"): 1}])
def test_a_network_that_is_encoded_in_any_way_is_not_compressed_again(data, spec):
    small = ta.compress(ta.models.fc2(rng=0), spec, rng=0)
    with pytest.raises(TinyADTNError, match="compressed already; name a dense one"):
        experiment.check(data, settings(), small)


@pytest.mark.parametrize("trained", [None, ta.models.fc2(rng=7)], ids=["new", "trained before"])
def test_all_candidates_live_on_the_device(cuda, data, trained):
    there = settings(device="cuda", epochs=1)
    models, _ = experiment.run_experiment(data, there, trained=trained, show_progress=False)
    assert list(models) == list(there.configurations())
    for name, model in models.items():
        assert {type(t.data) for _, t in model.named_tensors()} == {cuda.ndarray}, name


def test_a_file_that_cannot_be_written_costs_no_other(data, tmp_path, monkeypatch):
    """Compressed networks are small: they find place where the dense one does not."""
    chosen = settings(epochs=1)
    outcomes = experiment.run_experiment(data, chosen, show_progress=False)
    plain = experiment_files.save_with

    def full(path, model, about):
        if path.name in ("dense.npz", "random-start.npz"):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        plain(path, model, about)

    monkeypatch.setattr(experiment_files, "save_with", full)
    with pytest.raises(OSError, match="No space left") as error:
        list(experiment_files.write_all(tmp_path, data, chosen, *outcomes))
    assert error.value.filename == str(tmp_path / "random-start.npz")
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"gates.npz", "results.json", "fine-tuned.npz"}
    assert ta.load(tmp_path / "fine-tuned.npz").num_parameters == 436 + 280 + 256 + 10


def test_the_rows_are_those_of_a_sweep_and_give_its_results(data, monkeypatch):
    """``fine-tuned`` continues with the fit of ``fitted only``, which a sweep does once more."""
    chosen = settings()
    models, records = experiment.run_experiment(data, chosen, show_progress=False)
    monkeypatch.setattr(sweep_run, "loaded", lambda _: (data, data.identity()))
    sweep_run._trained_dense.cache_clear()
    for record, (row, config) in zip(records, chosen.configurations().items(), strict=True):
        result = {"row": row, "seed": 0, **sweep_run.run_one(config, 0)}
        assert result["status"] == "done", result
        assert {name: result[name] for name in record} == record
    encoded = [models[row].fc1.weight.arrays() for row in ("fitted only", "fine-tuned")]
    assert any((encoded[0][name] != array).any() for name, array in encoded[1].items())


def test_layers_can_be_encoded_jointly(data, tmp_path):
    chosen = experiment.Settings("fc2", {"fc1+fc2": 1}, 1, 1, 2)
    outcomes = experiment.run_experiment(data, chosen, show_progress=False)
    files = list(experiment_files.write_all(tmp_path, data, chosen, *outcomes))
    assert {"gates.npz", "weights.png", "brick_wall.png"} < set(files)
    assert ta.load(tmp_path / "fine-tuned.npz").fc1.weight.whole.depth == 1
