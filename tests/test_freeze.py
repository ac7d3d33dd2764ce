"""What is frozen: saved and loaded like all else, computed with, never trained."""

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import CheckpointError, TinyADTNError
from tinyadtn.files.state import read_state, write_state

X = np.random.default_rng(5).random((3, 1, 8, 8), np.float32)


def dense(**options):
    return ta.models.fc2(**{"hidden": 16, "image_size": 8, "rng": 0, **options})


def trained(model):
    return [name for name, _ in model.named_parameters()]


def values(model):
    return {name: array.tobytes() for name, array in model.arrays().items()}


ALL = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["fc1"], ["fc2.weight", "fc2.bias"]),
        (["fc*"], []),
        (["*.bias"], ["fc1.weight", "fc2.weight"]),
        (["fc1.weight", "fc2"], ["fc1.bias"]),
        (["fc1", "fc*"], []),
    ],
)
def test_patterns_name_parameters_and_modules(patterns, left):
    model = dense()
    frozen = ta.freeze(model, *patterns)
    assert trained(frozen) == left
    assert frozen.config.get("frozen", []) == sorted(set(ALL) - set(left))
    assert trained(model) == ALL  # the old one is left alone
    assert "frozen" not in model.config
    assert values(frozen) == values(model)


def test_a_name_is_no_prefix():
    model = ta.Sequential(fc1=ta.Linear(2, 2, rng=0), fc10=ta.Linear(2, 2, rng=0))
    assert trained(ta.freeze(model, "fc1")) == ["fc10.weight", "fc10.bias"]


@pytest.mark.parametrize("pattern", ["fc3", "fc1.weigh", "relu1", ""])
def test_a_pattern_that_names_nothing_is_refused(pattern):
    with pytest.raises(TinyADTNError, match=r"no trained parameter matches .*fc1\.weight, fc1\.b"):
        ta.freeze(dense(), pattern)


def test_no_pattern_is_refused():
    with pytest.raises(TinyADTNError, match=r'says what; "\*" freezes everything'):
        ta.freeze(dense())


@pytest.mark.parametrize("pattern", [["fc1"], ("fc1", "fc2"), 3, None])
def test_what_is_no_pattern_is_refused(pattern):
    with pytest.raises(TinyADTNError, match=r'such as freeze\(model, "fc1", .*; got .*'):
        ta.freeze(dense(), pattern)


@pytest.mark.parametrize(
    "pattern", ["fc1.weight", "fc2.weight", "fc2.*.columns.*", "fc2.weight.whole"]
)
def test_the_numbers_of_a_joint_encoding_are_frozen_through_any_of_its_layers(pattern, tmp_path):
    model = dense(hidden=64, num_classes=64)
    joint = ta.compress(model, {("fc1", "fc2"): 1}, rng=0)
    frozen = ta.freeze(joint, pattern)
    assert trained(frozen) == ["fc1.bias", "fc2.bias"]
    ta.save(tmp_path / "m.npz", frozen)
    assert trained(ta.load(tmp_path / "m.npz")) == trained(frozen)


def test_a_layer_of_a_joint_encoding_is_frozen_whole():
    model = dense(hidden=64, num_classes=64)
    frozen = ta.freeze(ta.compress(model, {("fc1", "fc2"): 1}, rng=0), "fc2")
    assert trained(frozen) == ["fc1.bias"]


def test_no_gradient_is_computed_and_training_changes_nothing():
    model = ta.freeze(dense(image_size=28), "fc1")
    before = values(model)
    data = ta.load_data("mnist-5k")
    for _ in ta.train(model, data, epochs=1, batch_size=500):
        pass
    assert model.fc1.weight.grad is None
    changed = {name for name, array in values(model).items() if array != before[name]}
    assert changed == {"fc2.weight", "fc2.bias"}


def test_what_lies_before_is_not_differentiated_at_all():
    model = ta.freeze(dense(), "fc1", "fc2.weight")
    assert not model.fc1(X.reshape(3, -1)).requires_grad
    model(X).sum().backward()
    assert np.abs(model.fc2.bias.grad).max() > 0


def test_gates_and_cores_can_be_frozen():
    small = ta.compress(dense(), {"fc1": 2, "fc2": ta.LowRank.like(3)}, rng=0)
    frozen = ta.freeze(small, "fc*.weight")
    assert trained(frozen) == ["fc1.bias", "fc2.bias"]
    np.testing.assert_array_equal(frozen(X).data, small(X).data)
    with pytest.raises(TinyADTNError, match="nothing to fit"):
        ta.fit(frozen, dense())


# --- it stays so ---------------------------------------------------------------------------------


def test_copies_and_decoded_models_stay_frozen():
    frozen = ta.freeze(ta.compress(dense(), {"fc2": 1}, rng=0), "fc1")
    assert trained(frozen.copy()) == trained(frozen)
    with ta.decoded(frozen) as decoded:
        np.testing.assert_array_equal(decoded(X).data, frozen(X).data)


def test_a_file_remembers(tmp_path):
    frozen = ta.freeze(ta.compress(dense(), {"fc2": 1}, rng=0), "fc1", "fc2.bias")
    ta.save(tmp_path / "m.npz", frozen)
    again = ta.load(tmp_path / "m.npz")
    assert trained(again) == trained(frozen) == ["fc2.weight.columns.0", "fc2.weight.columns.1"]
    assert values(again) == values(frozen)
    assert again.config == frozen.config


def test_a_run_of_a_frozen_model_goes_on_from_a_file(tmp_path):
    data, plan = ta.load_data("mnist-5k"), {"epochs": 1, "batch_size": 1000}
    whole = ta.freeze(dense(image_size=28), "fc1")
    halves = whole.copy()
    for _ in ta.train(whole, data, **plan):
        pass
    for _ in ta.train(halves, data, out=tmp_path, **plan):
        break
    again = ta.load(tmp_path / "last.npz")
    for _ in ta.train(again, data, resume=tmp_path / "last.npz"):
        pass
    assert values(again) == values(whole)


def test_a_file_that_freezes_what_is_not_there_is_refused(tmp_path):
    ta.save(tmp_path / "m.npz", dense())
    arrays, meta = read_state(tmp_path / "m.npz")
    meta["config"]["frozen"] = ["fc3.weight"]
    write_state(tmp_path / "m.npz", arrays, meta)
    with pytest.raises(CheckpointError, match=r"fc3\.weight"):
        ta.load(tmp_path / "m.npz")


def test_the_way_back_is_a_model_that_was_not_frozen():
    frozen = ta.freeze(dense(), "fc1")
    free = dense(rng=None)
    free.load_arrays(frozen.arrays())
    assert trained(free) == ALL
    assert values(free) == values(frozen)


def test_a_layer_that_is_encoded_later_is_trained():
    frozen = ta.freeze(dense(), "fc1", "fc2")
    small = ta.compress(frozen, {"fc1": 1}, rng=0)
    assert trained(small) == ["fc1.weight.columns.0", "fc1.weight.columns.1"]
    assert small.config["frozen"] == ["fc1.bias", "fc2.bias", "fc2.weight"]
    assert frozen.config["frozen"] == sorted(ALL)


def test_what_is_left_of_a_frozen_joint_encoding_stays_frozen(tmp_path):
    model = dense(hidden=64, num_classes=64)
    joint = ta.freeze(ta.compress(model, {("fc1", "fc2"): 1}, rng=0), "fc1.weight")
    again = ta.compress(joint, {"fc1": 1}, rng=0)
    assert again.fc2.weight.parameters() == []
    ta.save(tmp_path / "m.npz", again)
    assert trained(ta.load(tmp_path / "m.npz")) == trained(again)


def test_decompress_frees_what_was_encoded_and_nothing_else():
    small = ta.freeze(ta.compress(dense(), {"fc1": 1}, rng=0), "fc1", "fc2.weight")
    plain = ta.decompress(small)
    assert trained(plain) == ["fc1.weight", "fc2.bias"]
    assert plain.config == {**dense().config, "frozen": ["fc1.bias", "fc2.weight"]}
    assert trained(small) == ["fc2.bias"]


# --- compress and report -------------------------------------------------------------------------


def test_compress_can_freeze_the_other_layers(tmp_path):
    small = ta.compress(dense(), {"fc1": 1}, rng=0, train_others=False)
    assert trained(small) == ["fc1.weight.columns.0", "fc1.weight.columns.1", "fc1.bias"]
    free = ta.compress(dense(), {"fc1": 1}, rng=0)
    assert values(free) == values(small)
    assert trained(free)[-2:] == ["fc2.weight", "fc2.bias"]
    ta.save(tmp_path / "m.npz", small)
    assert trained(ta.load(tmp_path / "m.npz")) == trained(small)


def test_what_was_encoded_before_is_no_other_layer():
    once = ta.compress(dense(), {"fc1": 1}, rng=0)
    twice = ta.compress(once, {"fc2": 1}, rng=0, train_others=False)
    assert trained(twice) == trained(ta.compress(once, {"fc2": 1}, rng=0))


def test_the_report_counts_frozen_numbers_as_stored():
    """They have to be kept; ``num_parameters`` is what is trained."""
    small = ta.compress(dense(), {"fc1": 1}, rng=0)
    frozen = ta.freeze(small, "*")
    before, after = ta.report(small).rows, ta.report(frozen).rows
    assert [row.encoding for row in after] == ["ADTN M=1, frozen", "dense, frozen", ""]
    assert [row.counts for row in after] == [row.counts for row in before]
    assert [row.bytes for row in after] == [row.bytes for row in before]
    assert frozen.num_parameters == 0
