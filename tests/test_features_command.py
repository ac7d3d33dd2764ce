"""`tinyadtn features`: from a trained network to heads that are trained on what it computes."""

import json
from pathlib import Path

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.cli.main import main
from tinyadtn.files.state import read_state


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def trained(tiny):
    """A training checkpoint of LeNet-5, which names its data."""
    model, data = ta.models.lenet5(rng=0), ta.load_data(tiny)
    for _ in ta.train(model, data, out="lenet", epochs=1, batch_size=100):
        pass
    return "lenet/last.npz"


@pytest.fixture
def made(trained):
    assert main(["features", trained, "--out", "runs/f.npz", "--quiet"]) == 0
    return "runs/f.npz"


def test_the_file_is_what_the_function_gives_and_says_what_to_do_next(trained, tiny, capsys):
    assert main(["features", trained, "--before", "fc2", "--out", "f.npz", "--quiet"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert "f.npz, 0.2 MiB: Data(" in told.out and "images 120×1×1" in told.out
    assert told.out.endswith("\nNext: tinyadtn train head --data f.npz --widths 84\n")
    expected = ta.features(ta.load(trained), "fc2", ta.load_data(tiny), show_progress=False)
    found = ta.load_data("f.npz")
    assert found.identity() == {**expected.identity(), "name": "f.npz"}
    assert found.origin == expected.origin
    assert found.origin["data"]["name"] == tiny  # as the checkpoint says: no --data was given


@pytest.mark.parametrize("before", ["conv2", "fc1", "fc3"])
def test_the_head_that_comes_next_is_what_was_left_out(before, trained, capsys):
    assert main(["features", trained, "--before", before, "--out", "f.npz", "--quiet"]) == 0
    words = capsys.readouterr().out.rpartition("Next: tinyadtn ")[2].split()
    assert main([*words, "--epochs", "1", "--quiet", "--out", "head"]) == 0
    arrays = ta.load(trained).arrays()
    left_out = [a.shape[0] for n, a in arrays.items() if n >= before and n.startswith("fc")]
    head = ta.load("head/best.npz").arrays().values()
    assert [a.shape[0] for a in head] == left_out


def test_a_head_is_trained_resumed_judged_and_reported_on_it(made, capsys):
    encode = ["--encode", "fc1=1", "fc2=1"]
    words = ["train", "head", "--data", made, "--epochs", "2", "--quiet", "--out", "head"]
    assert main([*words, *encode]) == 0
    model = ta.load("head/best.npz")
    assert f"head, {model.num_parameters:,} trainable parameters" in capsys.readouterr().out
    config = model.config
    assert config["channels"] == 400 and config["image_size"] == 1
    assert config["widths"] == [4096, 4096]
    state = read_state("head/last.npz")[1]
    assert state["data"]["name"] == made
    assert state["data"]["origin"] == ta.load_data(made).origin
    assert main(["train", "head", "--resume", "head/last.npz", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "head/best.npz"]) == 0
    assert capsys.readouterr().out.startswith(f"test of {made}, 200 images: accuracy")
    assert main(["report", "head/best.npz"]) == 0
    assert "encoded weights" in capsys.readouterr().out
    assert main(["train", "head", "--data", made, "--augment", "--out", "other"]) == 2
    assert "these are features: leave it out" in capsys.readouterr().err
    assert main(["evaluate", made, "--data", made]) == 4
    assert "holds features, not a network" in capsys.readouterr().err


def test_a_sweep_compares_heads_on_it(made):
    Path("heads.toml").write_text(
        f'data = "{made}"\nepochs = 1\nbatch_size = 50\n'
        '[rows.small]\nnetwork = {name = "head", widths = {each = [[8, 4], []]}}\n'
        '[rows.wall]\nnetwork = "head"\nencode."fc1 fc2" = {encoding = "ADTN", depth = 1}\n'
    )
    assert main(["sweep", "heads.toml", "--workers", "1", "--quiet"]) == 0
    records = [json.loads(line) for line in Path("heads.jsonl").read_text().splitlines()]
    by_label = {record["label"]: record for record in records}
    assert by_label["small widths=[8, 4]"]["stored"] == {"fc1": 3200, "fc2": 32, "fc3": 40}
    assert by_label["small widths=[]"]["stored"] == {"fc1": 4000}
    assert by_label["wall"]["encoded"] == ["fc1", "fc2"]
    origin = ta.load_data(made).origin
    assert all(record["features"] == origin for record in records)


def test_compress_does_its_whole_job_on_it_without_pictures_of_digits(made, capsys):
    short = ["--epochs", "1", "--dense-epochs", "1", "--fit-steps", "2", "--quiet"]
    words = ["compress", "head", "--data", made, "--layers", "fc1", "--depth", "1", "--out", "c"]
    assert main([*words, *short]) == 0
    assert "digit" not in capsys.readouterr().out
    assert (Path("c") / "curves.png").exists() and not list(Path("c").glob("digit*"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--before", "fc4"], "no layer 'fc4'; did you mean fc"),
        (["--before", "conv1"], "conv1 is the first layer"),
        (["--out", "deep/f.bin"], "f.bin: the name of a file of data ends in .npz"),
    ],
)
def test_what_cannot_be_leaves_nothing_behind(trained, words, says, capsys):
    before = sorted(Path().rglob("*"))
    assert main(["features", trained, "--out", "deep/f.npz", "--quiet", *words]) == 2
    told = capsys.readouterr()
    assert says in told.err and told.err.count("\n") == 1 and told.out == ""
    assert sorted(Path().rglob("*")) == before


def test_images_of_another_kind_are_refused(trained, made, capsys):
    assert main(["features", trained, "--data", made, "--out", "g.npz", "--quiet"]) == 2
    assert "conv1: Conv2d expects 1 channels" in capsys.readouterr().err
    assert not Path("g.npz").exists()


def test_what_is_there_is_overwritten_only_if_asked_for(trained, capsys):
    Path("f.npz").write_text("precious")
    words = ["features", trained, "--out", "f.npz", "--quiet"]
    assert main(words) == 2
    assert "f.npz is there already; name another file, or add --overwrite" in (
        capsys.readouterr().err
    )
    assert Path("f.npz").read_text() == "precious"
    assert main([*words, "--overwrite"]) == 0
    assert ta.load_data("f.npz").train.images.shape == (184, 400, 1, 1)


@pytest.mark.parametrize("out", ["lenet/last.npz", "lenet/../lenet/last.npz"])
def test_the_model_itself_is_never_overwritten(trained, out, capsys):
    before = Path(trained).read_bytes()
    assert main(["features", trained, "--out", out, "--overwrite", "--quiet"]) == 2
    assert "would replace its source lenet/last.npz; name another file\n" in capsys.readouterr().err
    assert Path(trained).read_bytes() == before


def test_the_device_is_cuda_all_the_way(cuda, trained, capsys):
    words = ["features", trained, "--quiet", "--out"]
    assert main([*words, "host.npz"]) == 0
    assert main([*words, "gpu.npz", "--device", "cuda"]) == 0
    host, gpu = ta.load_data("host.npz"), ta.load_data("gpu.npz")
    np.testing.assert_allclose(gpu.test.images, host.test.images, rtol=1e-4, atol=1e-5)
    assert gpu.origin["model"] == host.origin["model"]
