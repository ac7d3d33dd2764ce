"""The command compress: its files, its settings, a full disk."""

import json
import shlex
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn import draw
from tinyadtn.cli.main import main
from tinyadtn.files.state import read_state
from tinyadtn.studies import experiment, experiment_files


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shares_of(results, seed=0):
    """{row: accuracy on the test split} in results.json."""
    return {run["row"]: run["test"] for run in results["runs"] if run["seed"] == seed}


SHORT = ["--epochs", "1", "--dense-epochs", "1", "--fit-steps", "2", "--quiet"]


def test_compress_does_the_whole_job(tiny, tmp_path, capsys):
    assert main(["compress", "fc2", "--data", tiny, "--seeds", "2", *SHORT]) == 0
    printed = capsys.readouterr().out
    for word in ("fc1.weight", "whole model", "fitted only", "random start", "frozen", "±"):
        assert word in printed
    folder = tmp_path / "runs" / "compress-fc2"
    results = json.loads((folder / "results.json").read_text())
    assert [run["seed"] for run in results["runs"]] == [0] * 5 + [1] * 5
    assert results["settings"]["epochs"] == 1
    rows = {"dense", "fitted only", "fine-tuned", "random start", "frozen"}
    assert shares_of(results).keys() == shares_of(results, 1).keys() == rows
    assert all(0 <= run["test"] <= 1 for run in results["runs"])
    for picture in ("curves", "weights", "brick_wall", "singular_values"):
        assert (folder / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "gates.npz").stat().st_size < 10_000
    # A dense network that was trained before can be taken instead.
    dense = str(folder / "dense.npz")
    assert (
        main(["compress", "fc2", "--data", tiny, "--dense", dense, "--out", "again", *SHORT]) == 0
    )
    again = json.loads((tmp_path / "again" / "results.json").read_text())
    assert shares_of(results)["fine-tuned"] == shares_of(again)["fine-tuned"]
    # The numbers printed are those of the checkpoint that was saved.
    small, data = ta.load(folder / "fine-tuned.npz"), ta.load_data(tiny)
    measured = ta.evaluate(small, data.test).accuracy
    assert measured == shares_of(results)["fine-tuned"]


def test_compress_takes_any_encoding(tiny, tmp_path, capsys):
    job = ["compress", "fc2", "--data", tiny, *SHORT]
    encode = ["--encode", "fc1=Quantized:bits=8,of=TensorTrain(ranks=2)", "fc2=LowRank:rank=3"]
    assert main([*job, *encode, "--out", "out"]) == 0
    small = ta.load("out/fine-tuned.npz")
    assert small.fc1.weight.label == "tensor train D=2, 8 bits"
    assert small.fc2.weight.rank == 3
    printed = capsys.readouterr().out
    assert "random, untrained weights in fc1, fc2." in printed and "gates" not in printed
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"curves.png", "weights.png", "results.json"} < names
    assert not {"gates.npz", "brick_wall.png", "singular_values.png"} & names
    runs = {run["row"]: run for run in json.loads(Path("out/results.json").read_text())["runs"]}
    assert runs["fine-tuned"]["fit_error"].keys() == {"fc1", "fc2"}
    assert main([*job, "--encode", "fc1=1", "fc2=LowRank:rank=3", "--out", "both"]) == 0
    assert Path("both/gates.npz").exists() and Path("both/brick_wall.png").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--encode", "fc1=Frozen"], "Frozen is the control that compress adds"),
        (["--encode", "fc1=1", "fc1=2"], "--encode names fc1 twice"),
        (["--encode", "fc1=1", "--layers", "fc2"], "--layers goes without --encode"),
        (["--encode", "fc1=1", "--site-dim", "4"], "--site-dim goes without --encode"),
        (["--layers", "fc1", "fc1"], "--layers names one twice"),
    ],
)
def test_what_compress_cannot_encode_is_named_before_it_trains(words, says, tiny, capsys):
    assert main(["compress", "fc2", "--data", tiny, *SHORT, *words]) == 2
    assert says in capsys.readouterr().err and not Path("runs").exists()


def test_compress_takes_every_knob_of_an_adtn(tiny):
    knobs = {
        "depth": 3,
        "activation": "leaky_relu",
        "start": "orthogonal",
        "order": "output_first",
        "wiring": "butterfly",
        "site_dim": 4,
    }
    asked = [word for name, value in knobs.items()
             for word in (f"--{name.replace('_', '-')}", str(value))]  # fmt: skip
    job = ["compress", "fc2", "--data", tiny, "--layers", "fc2", "--out", "out"]
    assert main([*job, *asked, *SHORT]) == 0
    config = ta.load("out/fine-tuned.npz").fc2.weight.config
    assert {name: config[name] for name in knobs} == knobs


def stopped_at(row, monkeypatch):
    """Press Ctrl-C at the beginning of the training of a row."""
    plain = experiment.trained_and_evaluated

    def stop(model, config, seed, data, label):
        if label.startswith(row):
            raise KeyboardInterrupt
        return plain(model, config, seed, data, label)

    monkeypatch.setattr(experiment, "trained_and_evaluated", stop)


def test_ctrl_c_keeps_the_dense_network_and_prints_the_command_that_goes_on(
    tiny, monkeypatch, capsys
):
    epochs = ["--epochs", "1", "--dense-epochs", "2", "--fit-steps", "2", "--layers", "fc1"]
    job = ["compress", "fc2", "--data", tiny, *epochs]
    assert main([*job, "--out", "whole"]) == 0
    with monkeypatch.context() as patch:
        stopped_at("fine-tuned", patch)
        assert main([*job, "--out", "my run", "--batch-size", "64"]) == 130
        assert main([*job, "--out", "my run", "--overwrite"]) == 130
    goes_on = capsys.readouterr().out.rpartition("tinyadtn ")[2]
    assert [path.name for path in Path("my run").iterdir()] == ["dense.npz"]
    assert main(shlex.split(goes_on)) == 0
    whole, parts = (ta.load(f"{folder}/fine-tuned.npz").arrays() for folder in ("whole", "my run"))
    assert whole.keys() == parts.keys()
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize("more", [["--seeds", "2"], ["--dense", "mine.npz"]])
def test_ctrl_c_says_so_if_nothing_can_go_on(more, tiny, monkeypatch, capsys):
    ta.save("mine.npz", ta.models.fc2(rng=0))
    stopped_at("fine-tuned", monkeypatch)
    job = ["compress", "fc2", "--data", tiny, "--epochs", "1", "--dense-epochs", "1"]
    assert main([*job, "--fit-steps", "2", "--out", "run", *more]) == 130
    assert "nothing was saved" in capsys.readouterr().out and not list(Path("run").iterdir())


def test_an_earlier_run_is_not_overwritten_unasked(tiny, tmp_path, capsys):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "results.json").write_text("precious")
    assert main(["compress", "fc2", "--data", tiny, "--out", "old", *SHORT]) == 2
    assert "holds an earlier run" in capsys.readouterr().err
    assert (tmp_path / "old" / "results.json").read_text() == "precious"


@pytest.mark.parametrize(
    "file",
    ["results.json", "dense.npz", "fine-tuned.npz", "random-start.npz", "gates.npz", "curves.png",
     "weights.png", "brick_wall.png", "singular_values.png", "digit-0.png"],
)  # fmt: skip
def test_no_file_that_compress_writes_is_overwritten_unasked(file, tiny, capsys):
    Path("keep").mkdir()
    Path("keep", file).write_text("precious")
    job = ["compress", "fc2", "--data", tiny, "--layers", "fc2", "--out", "keep", *SHORT]
    assert main(job) == 2
    assert f"keep holds an earlier run ({file})" in capsys.readouterr().err
    assert Path("keep", file).read_text() == "precious"


def test_compress_names_every_file_that_it_writes(tiny):
    """So that the test above knows them all, and what is there may be overwritten if asked for."""
    job = ["compress", "fc2", "--data", tiny, "--layers", "fc2", "--out", "c", *SHORT]
    assert main(job) == 0
    assert {path.name for path in Path("c").iterdir()} == set(experiment_files.FILES)
    assert main(job) == 2
    assert main([*job, "--overwrite"]) == 0


def test_a_full_disk_costs_no_network_that_there_is_room_for(tiny, capsys):
    """A limit on the size of files stands for the disk: the dense network is larger than that."""
    limit = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
        "from tinyadtn.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    job = ["compress", "fc2", "--data", tiny, "--out", "full", *SHORT]
    done = subprocess.run([sys.executable, "-c", limit, *job], capture_output=True, text=True)
    assert done.returncode == 7, done.stderr
    assert done.stderr == "error: full/dense.npz: file too large\n"
    assert "What it achieves" in done.stdout  # what was measured is printed in any case
    for name in ("fine-tuned", "random-start"):
        assert ta.load(f"full/{name}.npz").num_parameters == 982
    assert {path.name for path in Path("full").iterdir()} == {
        "fine-tuned.npz", "random-start.npz", "gates.npz", "results.json"
    }  # fmt: skip


def test_a_disk_without_room_is_noticed_before_training(tiny, monkeypatch, capsys):
    def no_training(*_, **__):
        raise AssertionError("trained before it looked at the disk")

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("tinyadtn.studies.run.train", no_training)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(10**9, 10**9, 10**6))
    assert main(["compress", "fc2", "--data", tiny, "--out", "full", *SHORT]) == 7
    assert capsys.readouterr().err == "error: full: no space left on device\n"


def test_what_compress_writes_names_its_data(tiny, tmp_path, capsys):
    """``evaluate`` and ``features`` then use these, and not the default."""
    assert main(["compress", "fc2", "--data", tiny, "--layers", "fc2", "--out", "c", *SHORT]) == 0
    results = shares_of(json.loads(Path("c/results.json").read_text()))
    for file, name in (("dense", "dense"), ("fine-tuned", "fine-tuned"),
                       ("random-start", "random start")):  # fmt: skip
        assert read_state(f"c/{file}.npz")[1]["data"] == ta.load_data(tiny).identity()
        capsys.readouterr()
        assert main(["evaluate", f"c/{file}.npz"]) == 0
        assert f"test of {tiny}, 200 images: accuracy {100 * results[name]:.2f} %" in (
            capsys.readouterr().out
        )
    made = ["features", "c/dense.npz", "--before", "fc2", "--out", "f.npz", "--quiet"]
    assert main(made) == 0
    assert ta.load_data("f.npz").origin["data"]["name"] == tiny


@pytest.fixture
def three(tmp_path):
    """Colour images of three classes, as a file of features would hold them."""
    rng = np.random.default_rng(0)
    split = [(rng.random((n, 3, 28, 28), np.float32), np.arange(n) % 3) for n in (60, 30, 30)]
    return ta.load_data(split)


def test_curves_know_the_number_of_classes_and_colours_are_no_digits(three, tmp_path, monkeypatch):
    drawn = []
    plain = draw.training_curves
    monkeypatch.setattr(draw, "training_curves", lambda *a, **k: drawn.append(k) or plain(*a, **k))
    settings = experiment.Settings("fc2", {"fc1": 1}, 1, 1, 2)
    outcomes = experiment.run_experiment(three, settings, show_progress=False)
    files = list(experiment_files.write_all(tmp_path, three, settings, *outcomes))
    assert drawn == [{"classes": 3}]
    assert {path.name for path in tmp_path.iterdir()} == set(files)
    assert "curves.png" in files and not list(tmp_path.glob("digit*"))


def test_the_digits_that_compress_writes_are_those_of_the_data(tmp_path):
    from PIL import Image

    levels = np.arange(784).reshape(1, 1, 28, 28) % 256
    images = np.repeat(np.float32(levels / 255), 4, axis=0)
    labels = np.arange(4) % 2
    data = ta.load_data([(images / 2, labels), (images, labels), (images / 3, labels)])
    list(experiment_files._write_digits(tmp_path, data))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "digit-0.png")), levels[0, 0])


def test_compress_draws_layers_that_see_no_picture(tiny, tmp_path):
    layers = ["--layers", "conv2", "fc1", "--out", "lenet"]
    assert main(["compress", "lenet5", "--data", tiny, *layers, *SHORT]) == 0
    assert (tmp_path / "lenet" / "weights.png").exists()
    layers = ["--layers", "fc1", "conv2", "--out", "other"]
    assert main(["compress", "lenet5", "--data", tiny, *layers, *SHORT]) == 0
    assert (tmp_path / "other" / "weights.png").exists()


def test_compress_refuses_bad_settings_before_the_first_step(monkeypatch, capsys):
    def no_training(*_, **__):
        raise AssertionError("trained before it looked at the settings")

    monkeypatch.setattr("tinyadtn.studies.run.train", no_training)
    assert main(["compress", "fc2", "--layers", "fc9"]) == 2
    assert main(["compress", "fc2", "--depth", "100000"]) == 6
    ta.save("fc2.npz", ta.models.fc2(rng=0))
    capsys.readouterr()
    assert main(["compress", "lenet5", "--dense", "fc2.npz"]) == 2
    assert "the dense network is fc2 (num_classes=10" in capsys.readouterr().err


def test_a_compression_on_the_gpu_is_the_whole_job(cuda, tiny, tmp_path, capsys):
    whole = ["compress", "fc2", "--data", tiny, "--device", "cuda", "--out", "gpu", *SHORT]
    assert main(whole) == 0
    results = json.loads((tmp_path / "gpu" / "results.json").read_text())
    assert results["settings"]["device"] == "cuda"
    model = ta.load("gpu/fine-tuned.npz")
    assert all(type(t.data) is np.ndarray for _, t in model.named_tensors())
    digit = ["predict", "gpu/digit-0.png", "--model", "gpu/fine-tuned.npz"]
    capsys.readouterr()
    assert main(digit) == 0
    expected = capsys.readouterr().out
    if hasattr(cuda, "traffic"):
        cuda.traffic.clear()
    assert main([*digit, "--device", "cuda"]) == 0
    assert capsys.readouterr().out == expected
    if hasattr(cuda, "traffic"):
        assert 28 * 28 in cuda.traffic.up
