"""The command sensitivity: the table of the function, its picture, and the next command."""

import shlex
from pathlib import Path

import pytest

import tinyadtn as ta
from tinyadtn.cli.main import main


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def trained(tiny):
    """A training checkpoint of FC-2, which names its data."""
    model, data = ta.models.fc2(hidden=16, rng=0), ta.load_data(tiny)
    for _ in ta.train(model, data, out="dense", epochs=2, batch_size=50, learning_rate=1e-2):
        pass
    return "dense/last.npz"


def test_the_table_is_that_of_the_function_and_the_next_command_works(trained, tiny, capsys):
    assert (
        main(["sensitivity", trained, "--encode", "LowRank:rank=3", "--out", "new/drop.png"]) == 0
    )
    printed = capsys.readouterr().out
    expected = ta.sensitivity(ta.load(trained), ta.load_data(tiny), ta.LowRank.like(3))
    assert printed.startswith(f"{expected}\n") and "\nnew/drop.png\n" in printed
    assert Path("new/drop.png").read_bytes().startswith(b"\x89PNG")
    best = min(expected.drops, key=expected.drops.get)
    last = printed.splitlines()[-1]
    there = shlex.quote(tiny)
    train = f"Next: tinyadtn train fc2 --widths 16 --data {there}"
    assert last == f"{train} --encode {best}=LowRank:rank=3"
    assert main([*shlex.split(last)[2:], "--epochs", "1", "--quiet"]) == 0


@pytest.mark.parametrize("widths", [["16", "12"], []])
def test_widths_of_ones_own_stay_in_the_next_command(tiny, widths, capsys):
    train = ["train", "lenet5", "--widths", *widths, "--data", tiny, "--epochs", "1", "--quiet"]
    assert main(train) == 0
    capsys.readouterr()
    assert main(["report", "runs/train/last.npz"]) == 0
    said = shlex.split(capsys.readouterr().out.splitlines()[-1])[2:]
    dense = "runs/train/last.npz"
    if widths:
        assert said == ["compress", "lenet5", "--widths", *widths, "--dense", dense, "--data", tiny]
        assert main([*said, "--epochs", "1", "--fit-steps", "1", "--quiet"]) == 0
    else:  # compress encodes fc1 and fc2, which is not there
        assert said == ["sensitivity", dense]
    assert main(["sensitivity", dense, "--encode", "LowRank:rank=2", "--layers", "fc1"]) == 0
    words = shlex.split(capsys.readouterr().out.splitlines()[-1])[2:]
    assert words == [*train[:-3], "--encode", "fc1=LowRank:rank=2"]


def test_layers_and_epochs_reach_the_function(trained, tiny, capsys):
    words = ["--layers", "fc1", "--epochs", "1", "--learning-rate", "0.01"]
    assert main(["sensitivity", trained, *words]) == 0
    expected = ta.sensitivity(
        ta.load(trained), ta.load_data(tiny), 2, layers="fc1", epochs=1, learning_rate=0.01
    )
    assert capsys.readouterr().out.startswith(f"{expected}\n")


def test_nothing_is_overwritten_unasked(trained, capsys):
    words = ["sensitivity", trained, "--encode", "LowRank:rank=3", "--out", "drop.png"]
    Path("drop.png").write_text("precious")
    assert main(words) == 2
    assert "drop.png is there already; name another file" in capsys.readouterr().err
    assert Path("drop.png").read_text() == "precious"
    assert main([*words, "--overwrite"]) == 0
    assert main([*words[:-1], "drop.pdf"]) == 2
    assert "a file that ends in .png; got drop.pdf" in capsys.readouterr().err


def test_an_encoding_that_is_none_is_an_error_of_usage(trained, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["sensitivity", trained, "--encode", "LowRank:ranks=3"])
    assert caught.value.code == 2
    assert "did you mean rank?" in " ".join(capsys.readouterr().err.split())
    assert main(["sensitivity", trained, "--encode", "Tucker:ranks=2"]) == 2
    assert capsys.readouterr().err.startswith("error: fc1")
