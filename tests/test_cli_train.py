"""The command train: encoded layers, memory, stopping and resuming."""

import contextlib
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.cli import train_command
from tinyadtn.cli.main import main
from tinyadtn.cli.parser import build_parser
from tinyadtn.cli.recipes import recipe
from tinyadtn.files.state import read_state, write_state
from tinyadtn.nn.surgery import named_layers
from tinyadtn.training.plan import TrainingPlan
from tinyadtn.training.resume import planned


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("file", ["best.npz", "last.npz", "previous.npz"])
@pytest.mark.parametrize("resumed", [False, True])
def test_no_file_of_an_earlier_training_is_overwritten_unasked(file, resumed, tiny, capsys):
    train = ["train", "fc2", "--data", tiny, "--epochs", "1", "--quiet", "--out"]
    if resumed:
        assert main([*train, "first"]) == 0
        train = ["train", "fc2", "--resume", "first/last.npz", "--quiet", "--out"]
    Path("keep").mkdir()
    Path("keep", file).write_text("precious")
    capsys.readouterr()
    assert main([*train, "keep"]) == 2
    told = capsys.readouterr()
    assert f"keep holds an earlier run ({file})" in told.err and "--overwrite" in told.err
    assert Path("keep", file).read_text() == "precious" and len(list(Path("keep").iterdir())) == 1
    assert main([*train, "keep", "--overwrite"]) == 0


def test_train_says_what_it_will_take_before_it_starts(tiny, capsys):
    assert main(["train", "lenet5", "--data", tiny, "--epochs", "1", "--quiet", "--augment"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("lenet5, 61,706 trainable parameters, on Data(")
    assert "MiB of memory (images" in printed[1]
    assert printed[2] == (
        "1 epoch of 2 steps, peak learning rate 0.001 with adam; saves in runs/train every 5 "
        "minutes and after every epoch"
    )
    assert read_state("runs/train/last.npz")[1]["plan"]["augment"] is True


def test_train_says_which_classes_no_validation_image_has(tmp_path, capsys):
    images = np.random.default_rng(0).random((24, 12, 12), np.float32)
    labels = np.array(["cat", "dog"])[(np.arange(24) > 21).astype(int)]  # 2 dogs
    np.savez(tmp_path / "pets.npz", images=images, labels=labels)
    assert main(["train", "fc2", "--data", "pets.npz", "--epochs", "1", "--quiet"]) == 0
    says = r"of the \d+ validation images none is of dog: the validation accuracy"
    assert re.search(says, capsys.readouterr().out)


def test_train_encodes_layers_jointly(tiny):
    job = ["train", "fc2", "--data", tiny, "--encode", "fc1+fc2=2", "--epochs", "1", "--quiet"]
    assert main([*job, "--out", "both"]) == 0
    model = ta.load("both/last.npz")
    assert model.fc1.weight.whole is model.fc2.weight.whole
    assert main([*job[:4], "--out", "both", "--resume", "both/last.npz", "--quiet"]) == 0


def test_train_takes_encoded_layers_and_goes_on_with_them(tiny, capsys):
    train = ["train", "lenet5", "--data", tiny, "--quiet"]
    assert main([*train, "--epochs", "2", "--encode", "conv2=1", "fc*=2"]) == 0
    model = ta.load("runs/train/last.npz")
    layers = list(named_layers(model).values())
    assert isinstance(layers[0].weight, ta.Tensor)
    assert [layer.weight.label for layer in layers[1:]] == [
        "ADTN M=1", "ADTN M=2", "ADTN M=2", "ADTN M=2"
    ]  # fmt: skip
    capsys.readouterr()
    assert main([*train, "--resume", "runs/train/previous.npz", "--out", "runs/train"]) == 0
    assert f"lenet5, {model.num_parameters:,} trainable parameters" in capsys.readouterr().out


def test_train_takes_widths_of_hidden_layers(tiny, capsys):
    train = ["train", "lenet5", "--data", tiny, "--quiet", "--epochs", "1", "--overwrite"]
    for words, widths in [(["--widths", "9"], [9]), (["--widths"], [])]:
        assert main([*train, *words]) == 0
        assert ta.load("runs/train/last.npz").config["widths"] == widths
    assert main(["train", "lenet5", "--resume", "runs/train/last.npz", "--widths", "9"]) == 2
    assert "leave --encode and --widths out" in capsys.readouterr().err
    assert main(["train", "fc2", "--data", tiny, "--widths", "9", "8", "--out", "new"]) == 2
    assert "fc2 has one hidden layer, got 2 --widths" in capsys.readouterr().err
    assert main([*train[:1], "fc2", *train[2:], "--widths", "9"]) == 0
    assert ta.load("runs/train/last.npz").config["hidden"] == 9


def test_a_run_beyond_the_memory_is_refused_before_it_starts(tiny, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: 2**21)
    assert main(["train", "lenet5", "--data", tiny]) == 6
    assert "use a smaller batch" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_resumed_run_beyond_the_memory_is_refused_too(tiny, capsys, monkeypatch):
    assert main(["train", "lenet5", "--data", tiny, "--epochs", "1", "--quiet"]) == 0
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: 2**21)
    assert main(["train", "lenet5", "--resume", "runs/train/last.npz"]) == 6
    assert "use a smaller batch" in capsys.readouterr().err


def test_a_resumed_run_knows_its_data_and_refuses_another_network(tiny, capsys):
    assert main(["train", "fc2", "--data", tiny, "--epochs", "1", "--quiet"]) == 0
    again = ["--resume", "runs/train/last.npz", "--quiet"]
    capsys.readouterr()
    assert main(["train", "fc2", *again]) == 0
    assert f"Data({tiny}" in capsys.readouterr().out
    assert main(["evaluate", "runs/train/best.npz"]) == 0
    assert tiny in capsys.readouterr().out
    assert main(["train", *again]) == 0
    assert capsys.readouterr().out.startswith("fc2, 203,530 trainable parameters")
    for words in (["--data", tiny], [*again, "--widths", "3"]):
        with pytest.raises(SystemExit, match="2"):
            main(["train", *words])
        assert "tinyadtn train: error: name the NETWORK to train" in capsys.readouterr().err
    assert main(["train", "vgg16", *again]) == 2
    assert "holds fc2, not vgg16" in capsys.readouterr().err
    assert main(["train", "fc2", *again, "--encode", "fc1=1"]) == 2
    assert "leave --encode and --widths out" in capsys.readouterr().err


def test_weights_only_are_nothing_to_resume(tiny, capsys):
    ta.save("weights.npz", ta.models.fc2(rng=0))
    assert main(["train", "fc2", "--data", tiny, "--resume", "weights.npz"]) == 4
    assert "weights.npz: holds weights only, nothing to resume" in capsys.readouterr().err


def test_a_checkpoint_whose_plan_is_damaged_is_refused(tiny, capsys):
    train = ["train", "fc2", "--data", tiny]
    assert main([*train, "--epochs", "1", "--quiet"]) == 0
    arrays, meta = read_state("runs/train/last.npz")
    write_state("damaged.npz", arrays, meta | {"plan": {"epochs": 0}})
    capsys.readouterr()
    assert main([*train, "--resume", "damaged.npz"]) == 4
    assert "no training run to go on with (epochs must be above 0" in capsys.readouterr().err


def test_an_earlier_run_is_named_with_the_way_to_go_on(tiny, capsys):
    train = ["train", "fc2", "--data", tiny, "--epochs", "1", "--quiet"]
    assert main(train) == 0
    capsys.readouterr()
    assert main(train) == 2
    told = capsys.readouterr()
    assert "--resume runs/train/last.npz" in told.err and not told.out


def test_a_stopped_run_goes_on_where_it_was(tiny, capsys):
    whole = ["train", "fc2", "--data", tiny, "--epochs", "3", "--quiet", "--batch-size", "50"]
    assert main([*whole, "--out", "whole"]) == 0
    model, data = ta.models.fc2(rng=0), ta.load_data(tiny)
    run = ta.train(model, data, epochs=3, batch_size=50, out="part")
    for _ in range(5):  # stops inside the second epoch
        next(run)
    run.close()
    assert main(["train", "fc2", "--data", tiny, "--quiet", "--out", "part",
                 "--resume", "part/last.npz"]) == 0  # fmt: skip
    one, other = ta.load("whole/last.npz"), ta.load("part/last.npz")
    for (name, a), (_, b) in zip(one.named_tensors(), other.named_tensors(), strict=True):
        np.testing.assert_array_equal(a.data, b.data, err_msg=name)


def test_an_explosion_is_told_with_the_op_and_no_line_of_ours(tiny, capsys):
    """What ``detect_anomaly`` adds is the user's line; whoever runs a command has written none."""
    job = ["train", "fc2", "--data", tiny, "--epochs", "9", "--learning-rate", "1e30", "--quiet"]
    assert main(job) == 5
    error = capsys.readouterr().err
    assert "contract gave" in error and "values that are not finite" in error
    assert "called at" not in error and ".py" not in error


def test_sigint_saves_and_says_how_to_go_on(tiny, tmp_path):
    """A signal in the middle of training: the step ends, the state is saved, exit code 130."""
    program = (
        "import os, signal, sys\n"
        "import tinyadtn.cli.train_command as commands\n"
        "from tinyadtn.cli.main import main\n"
        "plain = commands.with_progress\n"
        "def with_signal(steps, *rest):\n"
        "    for k, step in enumerate(plain(steps, *rest)):\n"
        "        if k == 3:\n"
        "            os.kill(os.getpid(), signal.SIGTERM)\n"
        "        yield step\n"
        "commands.with_progress = with_signal\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    arguments = ["train", "fc2", "--data", tiny, "--epochs", "9", "--quiet", "--out", "run"]
    end = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert end.returncode == 130, end.stderr
    assert "--resume run/last.npz" in end.stdout
    assert ta.load(tmp_path / "run" / "last.npz").num_parameters == 203_530


def test_a_stopped_run_says_that_it_was_on_the_gpu(cuda, tiny, monkeypatch, capsys):
    stopped = threading.Event()
    stopped.set()
    monkeypatch.setattr(train_command, "interruption", lambda: contextlib.nullcontext(stopped))
    assert main(["train", "fc2", "--data", tiny, "--quiet", "--device", "cuda"]) == 130
    assert capsys.readouterr().out.endswith("--resume runs/train/last.npz --device cuda\n")
    assert main(["train", "fc2", "--data", tiny, "--quiet", "--out", "cpu"]) == 130
    assert capsys.readouterr().out.endswith("--resume cpu/last.npz\n")


@pytest.mark.parametrize(
    ("words", "rate"),
    [
        (["fc2"], 1e-3),
        (["fc2", "--encode", "fc1=1"], 0.03),
        (["fc2", "--encode", "fc1=1", "--learning-rate", "0.01"], 0.01),
    ],
)
def test_encoded_layers_have_a_default_rate_of_their_own(tiny, words, rate):
    assert main(["train", *words, "--data", tiny, "--epochs", "1", "--quiet"]) == 0
    assert planned("runs/train/last.npz")[0].learning_rate == rate


@pytest.mark.parametrize(
    ("words", "given", "added"),
    [
        (["vgg16"], {}, {"optimizer": "sgd", "learning_rate": 0.1, "epochs": 16, "augment": True}),
        (["vgg16"], {"optimizer": "sgd", "augment": False}, {"learning_rate": 0.1}),
        (["vgg16"], {"optimizer": "adam"}, {}),
        (["vgg16"], {"loss": len}, {"weight_decay": 5e-3}),
        (["alexnet"], {}, {}),
        (["alexnet", "--encode", "fc1=1"], {}, {}),
        (["lenet5", "--encode", "fc1=1"], {}, {"learning_rate": 0.03}),
    ],
)
def test_the_recipe_of_a_network_fills_what_is_not_given(words, given, added):
    options = build_parser().parse_args(["train", *words])
    images = np.random.default_rng(0).random((10, 3, 32, 32), np.float32)
    photos = ta.Split(images, np.arange(10))
    found = recipe(options, given, ta.Data(photos, photos, photos, range(10)))
    assert added.items() <= found.items() and not found.keys() & given.keys()
    assert bool(added) == bool(found)
    assert ("label_smoothing" in found) == (found.get("clip") == 5 and "loss" not in given)
    TrainingPlan(**{name: value for name, value in given.items() if name != "loss"} | found)


PARTS = """
import numpy as np
import tinyadtn as ta


class Heavy(ta.SGD):
    pass


def half(peak, steps):
    return lambda step: peak / 2


def likelihood(logits, labels):
    return -ta.softmax(logits)[np.arange(len(labels)), labels].mean()
"""


def test_train_takes_parts_of_the_user_and_goes_on_with_them(tiny, capsys, monkeypatch):
    Path("cli_parts.py").write_text(PARTS)
    own = ["--optimizer", "cli_parts:Heavy", "--schedule", "cli_parts:half"]
    own += ["--loss", "cli_parts:likelihood"]
    train = ["train", "fc2", "--data", tiny, "--quiet", "--epochs", "1"]
    try:
        assert main([*train, *own]) == 0
        options = build_parser().parse_args([*train, *own, "--out", "runs/train"])
        assert train_command._to_go_on(options).endswith("/last.npz " + " ".join(own))
        meta = read_state("runs/train/last.npz")[1]
        assert meta["plan"]["loss"] == "cli_parts:likelihood"
        assert meta["training"]["history"][0]["learning_rate"] == 1e-3 / 2
        assert (loss := meta["training"]["history"][0]["validation_loss"]) < 0
        assert f" %, loss {loss:.4f}\n" in capsys.readouterr().out
        resume = ["train", "fc2", "--resume", "runs/train/last.npz", "--quiet"]
        assert main(resume) == 4
        assert "--optimizer module:name" in capsys.readouterr().err
        assert main([*resume, *own[:4]]) == 4
        assert "--loss module:name" in capsys.readouterr().err
        assert main([*resume, *own]) == 0
    finally:
        sys.modules.pop("cli_parts", None)
    assert main([*train, "--overwrite", "--loss", "cli_parts:nothing"]) == 2
    assert "cli_parts:nothing cannot be imported" in capsys.readouterr().err
    assert main([*train, "--overwrite", "--optimizer", "adm"]) == 2
    assert "did you mean adam?" in capsys.readouterr().err
