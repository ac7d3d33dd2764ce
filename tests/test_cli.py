"""The command line: what it prints, which exit code it gives, what it leaves on the disk."""

import contextlib
import json
import subprocess
import sys
import threading
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn import draw
from tinyadtn.cli import commands, data_commands
from tinyadtn.cli.main import build_parser, main
from tinyadtn.files.state import read_state, write_state
from tinyadtn.nn.surgery import named_layers
from tinyadtn.studies import experiment, experiment_files
from tinyadtn.training.runs import planned

SHORT = ["--epochs", "1", "--dense-epochs", "1", "--fit-steps", "2", "--quiet"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_compress_does_the_whole_job(tiny, tmp_path, capsys):
    assert main(["compress", "fc2", "--data", tiny, "--seeds", "2", *SHORT]) == 0
    printed = capsys.readouterr().out
    for word in ("fc1.weight", "whole model", "fitted only", "random start", "frozen", "±"):
        assert word in printed
    folder = tmp_path / "runs" / "compress-fc2"
    results = json.loads((folder / "results.json").read_text())
    assert [outcome["seed"] for outcome in results["outcomes"]] == [0, 1]
    assert results["settings"]["epochs"] == 1
    for outcome in results["outcomes"]:
        assert set(outcome["test_accuracy"]) == {
            "dense", "fitted only", "fine-tuned", "random start", "frozen"
        }  # fmt: skip
        assert all(0 <= share <= 1 for share in outcome["test_accuracy"].values())
    for picture in ("curves", "weights", "brick_wall", "singular_values"):
        assert (folder / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "gates.npz").stat().st_size < 10_000
    # A dense network that was trained before can be taken instead.
    dense = str(folder / "dense.npz")
    assert (
        main(["compress", "fc2", "--data", tiny, "--dense", dense, "--out", "again", *SHORT]) == 0
    )
    again = json.loads((tmp_path / "again" / "results.json").read_text())
    same = [r["outcomes"][0]["test_accuracy"]["fine-tuned"] for r in (results, again)]
    assert same[0] == same[1]
    # The numbers printed are those of the checkpoint that was saved.
    small, data = ta.load(folder / "fine-tuned.npz"), ta.load_data(tiny)
    measured = ta.evaluate(small, data.test).accuracy
    assert measured == results["outcomes"][0]["test_accuracy"]["fine-tuned"]


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


def test_an_earlier_run_is_not_overwritten_unasked(tiny, tmp_path, capsys):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "results.json").write_text("precious")
    assert main(["compress", "fc2", "--data", tiny, "--out", "old", *SHORT]) == 2
    assert "holds an earlier run" in capsys.readouterr().err
    assert (tmp_path / "old" / "results.json").read_text() == "precious"


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
    names = {*experiment_files.FILES, *(f"{name}.png" for name in experiment_files.PICTURES)}
    assert {path.name for path in Path("c").iterdir()} == names
    assert main(job) == 2
    assert main([*job, "--overwrite"]) == 0


def test_pictures_are_overwritten_only_if_asked_for(tiny, capsys):
    ta.save("small.npz", ta.compress(ta.models.fc2(rng=0), {"fc1": 1}, rng=0))
    Path("p").mkdir()
    Path("p/singular_values.png").write_text("precious")
    assert main(["draw", "small.npz", "--out", "p"]) == 2
    assert "p holds an earlier run (singular_values.png)" in capsys.readouterr().err
    assert [path.name for path in Path("p").iterdir()] == ["singular_values.png"]
    assert main(["draw", "small.npz", "--out", "p", "--overwrite"]) == 0
    assert Path("p/singular_values.png").read_bytes().startswith(b"\x89PNG")


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
    results = json.loads(Path("c/results.json").read_text())["outcomes"][0]["test_accuracy"]
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
    settings = experiment.Settings("fc2", ("fc1",), {"depth": 1}, 1, 1, 2)
    outcomes = experiment.run_experiment(three, settings, show_progress=False)
    files = experiment_files.write_all(tmp_path, three, settings, outcomes)
    assert drawn == [{"classes": 3}]
    assert "digit-*.png" not in files and not list(tmp_path.glob("digit*"))


def test_the_digits_that_compress_writes_are_those_of_the_data(tmp_path):
    from PIL import Image

    levels = np.arange(784).reshape(1, 1, 28, 28) % 256
    images = np.repeat(np.float32(levels / 255), 4, axis=0)
    labels = np.arange(4) % 2
    data = ta.load_data([(images / 2, labels), (images, labels), (images / 3, labels)])
    experiment_files._write_digits(tmp_path, data)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "digit-0.png")), levels[0, 0])


def test_train_evaluate_report_draw_predict(tiny, tmp_path, capsys):
    from PIL import Image

    assert main(["train", "fc2", "--data", tiny, "--epochs", "2", "--quiet"]) == 0
    assert "validation accuracy" in capsys.readouterr().out
    dense = "runs/train/best.npz"
    assert main(["evaluate", dense, "--data", tiny, "--split", "validation"]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert main(["report", dense]) == 0
    assert "203,530" in capsys.readouterr().out
    assert main(["draw", dense]) == 2  # there is no brick wall in a dense model
    ta.save("small.npz", ta.compress(ta.load(dense), {"fc1": 2}, rng=0))
    assert main(["draw", "small.npz", "--out", "pictures"]) == 0
    assert (tmp_path / "pictures" / "fc1_brick_wall.png").exists()

    split = ta.load_data(tiny).test
    for name, pixels in (("digit.png", split.images[0, 0]), ("paper.png", 1 - split.images[0, 0])):
        Image.fromarray(np.uint8(255 * pixels)).save(name)
    capsys.readouterr()
    assert main(["predict", "digit.png", "paper.png", "--model", dense, "--ink"]) == 0
    answers = [line for line in capsys.readouterr().out.splitlines() if ".png: " in line]
    expected = ta.predict(ta.load(dense), split.images[:1]).argmax()
    assert [answer.split(": ")[1] for answer in answers] == [str(expected)] * 2


def test_an_error_without_words_is_told_by_its_name(capsys, monkeypatch):
    def out_of_memory(options):
        raise MemoryError

    monkeypatch.setattr(data_commands, "list_data", out_of_memory)
    assert main(["data", "list"]) == 6
    assert capsys.readouterr().err == "error: MemoryError\n"


def test_train_says_what_it_will_take_before_it_starts(tiny, capsys):
    assert main(["train", "lenet5", "--data", tiny, "--epochs", "1", "--quiet", "--augment"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("lenet5, 61,706 trainable parameters, on Data(")
    assert "GiB of memory (images" in printed[1]
    assert printed[2] == (
        "1 epoch of 2 steps, peak learning rate 0.001; saves in runs/train every 5 minutes and "
        "after every epoch"
    )
    assert read_state("runs/train/last.npz")[1]["plan"]["augment"] is True


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
    assert main(["train", "vgg16", *again]) == 2
    assert "holds fc2, not vgg16" in capsys.readouterr().err
    assert main(["train", "fc2", *again, "--encode", "fc1=1"]) == 2
    assert "leave --encode out" in capsys.readouterr().err


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


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "fc2", "--encode", "fc1=1", "fc1=2"],
        ["compress", "fc2", "--layers", "fc1", "fc1"],
    ],
)
def test_a_layer_named_twice_is_refused(arguments, capsys):
    assert main(arguments) == 2
    assert "twice" in capsys.readouterr().err


def test_compress_draws_layers_that_see_no_picture(tiny, tmp_path):
    layers = ["--layers", "conv2", "fc1", "--out", "lenet"]
    assert main(["compress", "lenet5", "--data", tiny, *layers, *SHORT]) == 0
    assert (tmp_path / "lenet" / "weights.png").exists()
    layers = ["--layers", "fc1", "conv2", "--out", "other"]
    assert main(["compress", "lenet5", "--data", tiny, *layers, *SHORT]) == 0
    assert (tmp_path / "other" / "weights.png").exists()


def test_predict_refuses_a_network_for_neither_grey_nor_colour_images(tmp_path, capsys):
    ta.save(tmp_path / "two.npz", ta.models.lenet5(channels=2, rng=0))
    assert main(["predict", "any.png", "--model", "two.npz"]) == 2
    assert "2 channels" in capsys.readouterr().err


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


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["evaluate", "missing.npz"], 4, "no such file"),
        (["train", "fc2", "--data", "nowhere"], 3, "nowhere"),
        (["data", "get", "nothing"], 3, "nothing"),
        (["report", "."], 4, "folder"),
        (["compress", "fc2", "--layers", "fc9", *SHORT], 2, "fc9"),
        (["compress", "fc2", "--depth", "100000", *SHORT], 6, "depth 100000"),
        (["compress", "fc2", "--site-dim", "1", *SHORT], 2, "dimension 2 or more, got 1"),
        (["train", "fc2", "--learning-rate", "1e30", "--epochs", "1", "--quiet"], 5, "epoch 1"),
        (["train", "fc2", "--out", "file/below"], 7, "file"),
        (["predict", "file", "--model", "dense.npz"], 3, "not a picture"),
        (["predict", "nowhere.png", "--model", "dense.npz"], 7, "nowhere.png: no such file"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(arguments, code, words, tmp_path, capsys):
    (tmp_path / "file").write_text("text")
    ta.save("dense.npz", ta.models.fc2(rng=0))
    assert main(arguments) == code
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and words in error and "\n" not in error


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["train"],
        ["train", "fc2", "--epochs", "0"],
        ["train", "fc2", "--seed", "-1"],
        ["train", "fc2", "--learning-rate", "nan"],
        ["compress", "fc2", "--order", "sideways"],
        ["compress", "fc2", "--wiring", "ladder"],
        ["compress", "fc2", "--site-dim", "0"],
    ],
)
def test_usage_errors_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "least"), [("--epochs", 1), ("--batch-size", 1), ("--seed", 0)])
@pytest.mark.parametrize("text", ["1.5", "-1", "many", "9" * 19])
def test_a_whole_number_is_told_from_where_it_may_go_up(option, least, text, capsys):
    with pytest.raises(SystemExit):
        main(["train", "fc2", f"{option}={text}"])
    assert f"{option}: expected a whole number from {least} up, got '" in capsys.readouterr().err


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


def test_an_explosion_is_told_with_the_op_and_no_line_of_ours(tiny, capsys):
    """What ``detect_anomaly`` adds is the user's line; whoever runs a command has written none."""
    job = ["train", "fc2", "--data", tiny, "--epochs", "9", "--learning-rate", "1e30", "--quiet"]
    assert main(job) == 5
    error = capsys.readouterr().err
    assert "contract gave" in error and "values that are not finite" in error
    assert "called at" not in error and ".py" not in error


def test_debug_shows_the_traceback():
    with pytest.raises(ta.errors.CheckpointError):
        main(["evaluate", "missing.npz", "--debug"])


def test_every_command_has_help(capsys):
    for command in ("train", "compress", "evaluate", "predict", "report", "draw", "data",
                    "sweep"):  # fmt: skip
        with pytest.raises(SystemExit) as end:
            build_parser().parse_args([command, "--help"])
        assert end.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: tinyadtn {command}")


def test_data_list(capsys):
    assert main(["data", "list"]) == 0
    assert "mnist-5k" in capsys.readouterr().out


def test_sigint_saves_and_says_how_to_go_on(tiny, tmp_path):
    """A signal in the middle of training: the step ends, the state is saved, exit code 130."""
    program = (
        "import os, signal, sys\n"
        "import tinyadtn.cli.commands as commands\n"
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


# --- on a GPU ------------------------------------------------------------------------------------


def test_the_device_is_cuda_all_the_way(cuda, tiny, capsys):
    def run(*command, device="cuda", images=100):
        cuda.traffic.clear()
        assert main([*command, "--data", tiny, "--device", device]) == 0
        assert (max(cuda.traffic.up, default=0) >= images * 28 * 28) == (device == "cuda")
        return [line for line in capsys.readouterr().out.splitlines() if "loss" in line][-1]

    if not hasattr(cuda, "traffic"):
        pytest.skip("CuPy does not count transfers")
    run("train", "fc2", "--encode", "fc1=1", "--epochs", "1", "--quiet")
    trained = "runs/train/last.npz"
    accuracy, _, loss = run("evaluate", trained).rpartition("loss")
    here, _, loss_here = run("evaluate", trained, device="cpu").rpartition("loss")
    assert accuracy == here and float(loss) == pytest.approx(float(loss_here), abs=2e-4)
    run("train", "fc2", "--resume", trained, "--quiet", images=16)  # it is done: it only validates


def test_a_stopped_run_says_that_it_was_on_the_gpu(cuda, tiny, monkeypatch, capsys):
    stopped = threading.Event()
    stopped.set()
    monkeypatch.setattr(commands, "interruption", lambda: contextlib.nullcontext(stopped))
    assert main(["train", "fc2", "--data", tiny, "--quiet", "--device", "cuda"]) == 130
    assert capsys.readouterr().out.endswith("--resume runs/train/last.npz --device cuda\n")
    assert main(["train", "fc2", "--data", tiny, "--quiet", "--out", "cpu"]) == 130
    assert capsys.readouterr().out.endswith("--resume cpu/last.npz\n")


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


@pytest.mark.parametrize(
    "command",
    [["train", "fc2"], ["compress", "fc2"], ["evaluate", "none.npz"], ["predict", "none.png"]],
    ids=lambda command: command[0],
)
def test_without_cupy_the_device_is_refused_in_one_line(command, monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert main([*command, "--device", "cuda"]) == 2
    printed = capsys.readouterr()
    assert printed.err == 'error: device "cuda" needs CuPy: pip install cupy-cuda12x\n'
    assert printed.out == "" and not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["onnx", "safetensors"])
def test_export_writes_what_the_ending_names(tiny, capsys, ending):
    pytest.importorskip(ending)
    model = ta.compress(ta.models.fc2(hidden=4, rng=0), {"fc1": 1}, rng=0)
    ta.save("small.npz", model)
    export = ["export", "small.npz", "--out", f"there/small.{ending}"]
    assert main(export) == 0
    assert main(export) == 2 and "--overwrite" in capsys.readouterr().err
    assert main([*export, "--overwrite"]) == 0
    if ending == "safetensors":
        assert ta.load_safetensors(export[-1]).num_parameters == model.num_parameters


def test_export_names_the_endings(tiny, capsys):
    ta.save("small.npz", ta.models.fc2(hidden=4, rng=0))
    assert main(["export", "small.npz", "--out", "small.h5"]) == 2
    assert ".onnx, .safetensors" in capsys.readouterr().err


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
