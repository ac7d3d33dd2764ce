"""Saving and loading: what goes in comes out, and a write that fails leaves the old file."""

import functools
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from memory_peak import peak_of

import tinyadtn as ta
from tinyadtn.errors import CheckpointError, GraphError, TinyADTNError
from tinyadtn.files.atomic import replacing
from tinyadtn.files.state import read_state, write_state
from tinyadtn.training.plan import TrainingPlan


def values(model):
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in model.arrays().items()}


def fc2(seed=0):
    return ta.models.fc2(hidden=6, image_size=4, rng=seed)


def child(code, *arguments):
    """A Python process that runs the code."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    pipe, root = subprocess.PIPE, Path(__file__).parent.parent
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=root)


# --- there and back ------------------------------------------------------------------------------


def test_a_model_comes_back_bit_for_bit(tmp_path):
    for model in (fc2(), ta.compress(fc2(), {"fc*": 2}, rng=1)):
        ta.save(tmp_path / "m.npz", model)
        again = ta.load(str(tmp_path / "m.npz"))
        assert values(again) == values(model)
        assert json.dumps(again.config) == json.dumps(model.config)
        x = np.random.default_rng(0).random((3, 1, 4, 4), np.float32)
        np.testing.assert_array_equal(again(x).data, model(x).data)


def test_saving_twice_gives_the_same_arrays_and_description(tmp_path):
    ta.save(tmp_path / "a.npz", fc2())
    ta.save(tmp_path / "b.npz", ta.load(tmp_path / "a.npz"))
    (one, meta), (two, other) = (read_state(tmp_path / name) for name in ("a.npz", "b.npz"))
    assert meta == other
    assert all(np.array_equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("encodings", [{}, {"fc1": 2}])
def test_double_precision_comes_back_double(tmp_path, encodings):
    model = fc2()
    model = ta.compress(model, encodings, rng=0) if encodings else model
    for _, tensor in model.named_tensors():
        tensor.data = tensor.data + np.float64(1) / 3
    ta.save(tmp_path / "m.npz", model)
    assert values(ta.load(tmp_path / "m.npz")) == values(model)


def test_numpy_alone_can_read_the_weights(tmp_path):
    model = fc2()
    ta.save(tmp_path / "m.npz", model)
    with np.load(tmp_path / "m.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["fc1.weight"], model.fc1.weight.data)


def test_a_module_of_ones_own_is_loaded_into_another(tmp_path):
    one, other = (ta.Sequential(a=ta.Linear(3, 2, rng=seed)) for seed in (0, 1))
    ta.save(tmp_path / "m.npz", one)
    with pytest.raises(CheckpointError, match=r"into=model"):
        ta.load(tmp_path / "m.npz")
    assert ta.load(tmp_path / "m.npz", into=other) is other
    assert values(other) == values(one)


class Own(ta.Encoding):
    """An encoding that the library does not know."""

    def __init__(self, shape, config, rng):
        self.shape, self.config = shape, config
        self.values = ta.Tensor(np.random.default_rng(rng).normal(size=shape), requires_grad=True)

    def decode(self):
        return self.values


@pytest.mark.parametrize("layers", ["fc1", ("fc1", "fc2")])
@pytest.mark.parametrize("config", [None, {"encoding": "Own"}])
def test_an_encoding_of_your_own_is_loaded_into_a_model(layers, config, tmp_path):
    one, other = (ta.compress(fc2(), {layers: Own.like(config)}, rng=rng) for rng in (0, 1))
    ta.save(tmp_path / "m.npz", one)
    with pytest.raises(CheckpointError, match=r"m\.npz: an encoding of your own .*into=model"):
        ta.load(tmp_path / "m.npz")
    assert values(ta.load(tmp_path / "m.npz", into=other)) == values(one)


class Odd(ta.Module):
    """A parameter of any name."""

    def __init__(self, name, value):
        setattr(self, name, ta.Tensor([value], requires_grad=True))


@pytest.mark.parametrize("name", ["meta", "file", "allow_pickle", "optimizer", "café"])
def test_a_parameter_may_have_any_name(name, tmp_path):
    ta.save(tmp_path / "m.npz", Odd(name, 1.0))
    again = ta.load(tmp_path / "m.npz", into=Odd(name, 2.0))
    assert values(again) == values(Odd(name, 1.0))


@pytest.mark.parametrize(
    "other",
    [
        lambda: ta.models.fc2(hidden=7, image_size=4, rng=0),
        lambda: ta.compress(fc2(), {"fc1": 1}, rng=0),
        lambda: ta.Sequential(fc1=ta.Linear(16, 6, rng=0)),
    ],
)
def test_weights_of_another_model_are_refused_and_change_nothing(other, tmp_path):
    ta.save(tmp_path / "m.npz", fc2())
    model = other()
    before = values(model)
    with pytest.raises(CheckpointError, match=r"m\.npz.*fc"):
        ta.load(tmp_path / "m.npz", into=model)
    assert values(model) == before


# --- writing whole or not at all -----------------------------------------------------------------


def fail(error):
    def raiser(*_, **__):
        raise error

    return raiser


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize(
    ("broken", "old"),
    [("fsync", True), ("fsync", False), ("replace", True), ("replace", False), ("chmod", True)],
)
def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    broken, error, old, tmp_path, monkeypatch
):
    path = tmp_path / "m.npz"
    if old:
        ta.save(path, fc2(0))
    before = path.read_bytes() if old else None
    with monkeypatch.context() as patch:
        if broken == "fsync":
            patch.setattr(os, "fsync", fail(error))
        else:  # whether it is called through os or through pathlib
            patch.setattr(os, broken, fail(error))
            patch.setattr(Path, broken, fail(error))
        with pytest.raises(type(error)):
            ta.save(path, fc2(1))
    assert [p.name for p in tmp_path.iterdir()] == (["m.npz"] if old else [])
    assert not old or path.read_bytes() == before


def test_a_block_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"half")
        _ = 1 / 0
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_data_is_on_the_disk_before_the_name_and_the_name_before_the_end(tmp_path, monkeypatch):
    path, order, fsync = tmp_path / "m.npz", [], os.fsync
    ta.save(path, fc2(0))
    old = path.stat().st_ino

    def note(handle):
        kind = "folder" if os.fstat(handle).st_ino == tmp_path.stat().st_ino else "file"
        order.append((kind, path.stat().st_ino == old))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", note)
    ta.save(path, fc2(1))
    assert order == [("file", True), ("folder", False)]


def test_the_mode_of_a_file_is_kept_and_a_new_one_follows_the_umask(tmp_path):
    path = tmp_path / "m.npz"
    before = os.umask(0o027)
    try:
        ta.save(path, fc2())
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
    path.chmod(0o604)
    ta.save(path, fc2())
    assert path.stat().st_mode & 0o777 == 0o604


@pytest.mark.parametrize("name", ["m.npz", "m[1].npz", "*.npz"])
def test_what_a_killed_writer_left_is_swept_and_nothing_else(name, tmp_path):
    stale = tmp_path / f".{name}.0123abcd.tmp"
    others = [f".{name}.mine.tmp", ".other.npz.0123abcd.tmp", "m.npz.tmp", ".m1.npz.0123abcd.tmp"]
    others = [tmp_path / other for other in others]
    for path in (stale, *others):
        path.write_bytes(b"half")
    ta.save(tmp_path / name, fc2())
    assert not stale.exists()
    assert all(path.exists() for path in others)


def test_a_file_system_without_links_keeps_the_old_file_as_a_copy(tmp_path, monkeypatch):
    path, keep = tmp_path / "last.npz", tmp_path / "previous.npz"
    write_state(path, {"a": np.zeros(3)}, {})
    monkeypatch.setattr(Path, "hardlink_to", fail(OSError(95, "Operation not supported")))
    for value in (1.0, 2.0):
        write_state(path, {"a": np.full(3, value)}, {}, keep=keep)
        assert read_state(path)[0]["a"].tolist() == [value] * 3
        assert read_state(keep)[0]["a"].tolist() == [value - 1] * 3
    assert {p.name for p in tmp_path.iterdir()} == {"last.npz", "previous.npz"}


@pytest.mark.parametrize("fault", ["replace", "killed"])
def test_keeping_the_old_file_leaves_no_third_name(fault, tmp_path, monkeypatch):
    """A rename that fails, and the state that a kill between the two renames leaves: then the kept
    file *is* the old one, and renaming one name of a file to another of it does nothing at all.
    """
    path, keep = tmp_path / "last.npz", tmp_path / "previous.npz"
    write_state(path, {"a": np.zeros(3)}, {})
    if fault == "killed":
        keep.hardlink_to(path)
        write_state(path, {"a": np.ones(3)}, {}, keep=keep)
        assert read_state(keep)[0]["a"].tolist() == [0, 0, 0]
        assert read_state(path)[0]["a"].tolist() == [1, 1, 1]
    else:
        with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
            patch.setattr(Path, "replace", fail(OSError(28, "full")))
            write_state(path, {"a": np.ones(3)}, {}, keep=keep)
        assert read_state(path)[0]["a"].tolist() == [0, 0, 0]
    assert {p.name for p in tmp_path.iterdir()} <= {"last.npz", "previous.npz"}


def test_a_full_disk_leaves_the_old_file(tmp_path):
    """A limit on the size of files stands for the disk: the write fails in the middle."""
    path = tmp_path / "m.npz"
    ta.save(path, fc2())
    before = path.read_bytes()
    process = child(
        """
        import resource, sys, tinyadtn as ta
        model = ta.models.fc2(rng=0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            ta.save(sys.argv[1], model)
        except OSError as error:
            print(type(error).__name__, error.errno)
        """,
        path,
    )
    out, err = process.communicate(timeout=60)
    assert out.startswith("OSError"), err
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writer_leaves_a_whole_file(tmp_path):
    """SIGKILL at times spread over many saves: the file that has the name is always complete."""
    path = tmp_path / "m.npz"
    process = child(
        """
        import itertools, sys, tinyadtn as ta
        models = [ta.models.fc2(hidden=64, rng=seed) for seed in (0, 1)]
        ta.save(sys.argv[1], models[0])
        print("ready", flush=True)
        for k in itertools.count():
            ta.save(sys.argv[1], models[k % 2])
        """,
        path,
    )
    known = [values(ta.models.fc2(hidden=64, rng=seed)) for seed in (0, 1)]
    try:
        assert process.stdout.readline() == "ready\n"
        for _ in range(20):  # readers, while it writes
            time.sleep(0.003)
            assert values(ta.load(path)) in known
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert values(ta.load(path)) in known
    ta.save(path, ta.models.fc2(hidden=64, rng=0))
    assert list(tmp_path.iterdir()) == [path]


def test_numbers_of_numpy_in_a_configuration_are_saved(tmp_path):
    labels = np.array([0, 3, 2])
    whole, rate = np.int64(2), np.float32(0.25)
    model = ta.models.head(labels.max() + 1, channels=whole, widths=[whole], rng=0)
    ta.save(tmp_path / "head.npz", model)
    assert ta.load(tmp_path / "head.npz").config == model.config
    plan = TrainingPlan(epochs=whole, seed=whole, learning_rate=rate, clip=rate)
    assert json.dumps(asdict(plan))
    assert plan.learning_rate == 0.25 and plan.seed == 2


def test_a_folder_that_is_not_there_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        ta.save(tmp_path / "no" / "m.npz", fc2())


def test_meta_comes_back_as_it_was(tmp_path):
    meta = {"kind": "training", "numbers": [0.1, 1e-300, 2**60], "text": "|0⟩", "none": None}
    write_state(tmp_path / "s.npz", {"a": np.arange(3)}, meta)
    arrays, again = read_state(tmp_path / "s.npz")
    assert {key: again[key] for key in meta} == meta
    np.testing.assert_array_equal(arrays["a"], np.arange(3))


def test_what_has_no_values_or_is_no_model_is_not_saved(tmp_path):
    with pytest.raises(GraphError, match="shapes only"):
        ta.save(tmp_path / "a.npz", ta.models.lenet5())
    with pytest.raises(TypeError, match=r"save\(path, model\) needs a Module, got str"):
        ta.save(ta.models.fc2(rng=0), "a.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("recipe", [ta.LowRank.like(8), 2], ids=["factors", "a tensor"])
def test_what_decoded_gave_is_not_saved(recipe, tmp_path):
    """``load`` would build the encodings, which the file does not have."""
    model = ta.compress(ta.models.fc2(rng=0), {"fc1": recipe}, rng=0)
    with (
        ta.decoded(model) as ready,
        pytest.raises(TinyADTNError, match=r"fc1 .*the model that decoded was given"),
    ):
        ta.save(tmp_path / "a.npz", ready)
    assert not list(tmp_path.iterdir())
    ta.save(tmp_path / "a.npz", model)
    ta.save(tmp_path / "b.npz", ta.decompress(model))
    assert ta.load(tmp_path / "b.npz").fc1.weight.shape == (256, 784)


# --- what is written can be loaded ---------------------------------------------------------------


def edited(change):
    model = ta.models.lenet5(rng=0)
    change(model)
    return model


def integers(model):
    model.fc3.bias = ta.Tensor(np.zeros(10, np.int64))


EDITED = {
    "a layer of another width": lambda model: setattr(model, "fc3", ta.Linear(84, 5, rng=0)),
    "another layer": lambda model: setattr(model, "extra", ta.Linear(10, 3, rng=0)),
    "a layer less": lambda model: delattr(model, "fc3"),
    "an encoding by hand": lambda model: setattr(model.fc3, "weight", ta.ADTN((10, 84), rng=0)),
    "a tensor more": lambda model: setattr(
        model, "temperature", ta.Tensor([1.0], requires_grad=True)
    ),
    "integers": integers,
    "a configuration of a newer kind": lambda model: setattr(
        model, "config", {**model.config, "dropout": 0.5}
    ),
    "no configuration for a file": lambda model: setattr(
        model, "config", {**model.config, "widths": (np.float32(1),)}
    ),
}


@pytest.mark.parametrize("kind", EDITED)
def test_a_model_that_its_configuration_does_not_describe_is_rejected_at_once(kind, tmp_path):
    """Not when it is loaded: then the training is over, and the model is gone."""
    model = edited(EDITED[kind])
    with pytest.raises(TinyADTNError, match=r"not the lenet5 .*model\.config = None .*into=model"):
        ta.save(tmp_path / "m.npz", model)
    assert not list(tmp_path.iterdir())
    model.config = None  # as the message says
    ta.save(tmp_path / "m.npz", model)
    again = edited(EDITED[kind])
    assert values(ta.load(tmp_path / "m.npz", into=again)) == values(model)


class Two(ta.Module):
    """Two tensors with one dotted name."""

    def __init__(self):
        self.a = {"b.c": ta.Linear(2, 2, rng=0), "b": {"c": ta.Linear(2, 2, rng=1)}}


@pytest.mark.parametrize(
    "name", ["/x", "..", "a/../b", "optimizer/x", "meta json", "x\0y", "\udc80"]
)
def test_a_name_that_no_file_can_hold_is_rejected_at_once(name, tmp_path):
    with pytest.raises(TinyADTNError, match="cannot be the name of an array in a file"):
        ta.save(tmp_path / "m.npz", Odd(name, 1.0))
    assert not list(tmp_path.iterdir())


def test_two_tensors_with_one_name_are_rejected(tmp_path):
    with pytest.raises(TinyADTNError, match=r"two tensors are called a\.b\.c\.weight"):
        ta.save(tmp_path / "m.npz", Two())


@pytest.mark.parametrize("config", [{"width": 3}, {"model": "mine"}, {"model": [1]}, 5, object()])
def test_a_configuration_of_ones_own_is_no_obstacle(config, tmp_path):
    """``config`` is a natural name for an attribute of a model."""
    model = ta.Sequential(fc1=ta.Linear(3, 2, rng=0))
    model.config = config
    ta.save(tmp_path / "m.npz", model)
    with pytest.raises(CheckpointError, match=r"not made by ta\.models.*into=model"):
        ta.load(tmp_path / "m.npz")
    other = ta.Sequential(fc1=ta.Linear(3, 2, rng=1))
    assert values(ta.load(tmp_path / "m.npz", into=other)) == values(model)


# --- what a file makes it build ------------------------------------------------------------------

WALL = {"encoding": "ADTN", "shape": [6, 16], "depth": 1}
LARGE = {
    "rng": {"model": "vgg16", "image_size": 32, "rng": 0},
    "rng and a size": {"model": "fc2", "hidden": 2**16, "rng": 0},
    "rng of an encoding": {"encodings": {"fc1": {**WALL, "shape": [2**13, 2**13], "rng": 0}}},
    "rng of frozen": {"encodings": {"fc1": {"encoding": "Frozen", "shape": [2**14] * 2, "rng": 0}}},
    "rng of a part": {"encodings": {"fc1": {"encoding": "Part", "whole": {**WALL, "rng": 0},
                                            "index": 0, "layers": {"fc1": [6, 16]}}}},
    "hidden": {"hidden": 10**9},
    "classes": {"num_classes": 10**9},
    "channels": {"model": "alexnet", "image_size": 32, "channels": 10**8},
    "pixels": {"image_size": 10**9},
    "widths": {"model": "lenet5", "image_size": 28, "widths": [10**8] * 3},
    "many widths": {"model": "head", "image_size": 1, "widths": [1] * 100_000},
    "depth": {"encodings": {"fc1": {**WALL, "depth": 10**5}}},
    "depths": {"encodings": {f"fc{k}": {**WALL, "depth": 3 + k % 2} for k in range(9)}},
    "wiring": {"encodings": {"fc1": {**WALL, "depth": 3, "wiring": [[[0, 1]]] * 10_000}}},
    "parts in parts": {"encodings": {"fc1": functools.reduce(
        lambda whole, _: {"encoding": "Part", "whole": whole, "index": 0, "layers": {}},
        range(200), WALL)}},
    "no number": {"encodings": {"fc1": {**WALL, "depth": "x"}}},
    "no entry": {"encodings": {"fc1": 5}},
    "no configuration": [1],
}  # fmt: skip


@pytest.mark.parametrize("kind", LARGE)
def test_a_configuration_builds_no_more_than_the_file_can_fill(kind, tmp_path, monkeypatch):
    """Whatever it says: nothing is drawn, and no more memory is taken than for the file itself."""

    def drawn(*_, **__):
        raise AssertionError("it drew random numbers")

    common = {"model": "fc2", "num_classes": 10, "image_size": 4, "channels": 1, "hidden": 6}
    config = LARGE[kind]
    if isinstance(config, dict):
        others = common if config.get("model", "fc2") == "fc2" else {}
        config = {**others, "channels": 1, "num_classes": 10, **config}
    write_state(tmp_path / "m.npz", fc2().arrays(), {"kind": "weights", "config": config})
    monkeypatch.setattr(np.random, "default_rng", drawn)

    def load():
        with pytest.raises(CheckpointError, match=r"m\.npz: "):
            ta.load(tmp_path / "m.npz")

    assert peak_of(load) < 2**24


def test_what_is_large_in_earnest_is_loaded(tmp_path):
    """The limits are those of the file: what it holds, it may describe."""
    deep = ta.ADTN.like(depth=40, wiring=[[(0, 1)], [(2, 3)], [(4, 5)]])
    for model in (
        ta.compress(ta.models.fc2(channels=2000, hidden=2, rng=None), {"fc1": 1}, rng=None),
        ta.compress(fc2(), {"fc1": deep}, rng=0),
        ta.compress(ta.models.head(channels=64, widths=[8] * 30, rng=0), {"fc*": 1}, rng=0),
        ta.compress(fc2(), {("fc1", "fc2"): 50}, rng=0),
    ):
        arrays = {name: np.zeros(t.shape, np.float32) for name, t in model.named_tensors()}
        write_state(tmp_path / "m.npz", arrays, {"kind": "weights", "config": model.config})
        assert ta.load(tmp_path / "m.npz").num_parameters == model.num_parameters
