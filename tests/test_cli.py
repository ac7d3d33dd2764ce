"""The command line: exit codes, errors in one line, and the commands for a checkpoint."""

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.cli import data_commands
from tinyadtn.cli.main import build_parser, main
from tinyadtn.cli.terminal import program
from tinyadtn.compression.timing import HEAD

SHORT = ["--epochs", "1", "--dense-epochs", "1", "--fit-steps", "2", "--quiet"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_pictures_are_overwritten_only_if_asked_for(tiny, capsys):
    ta.save("small.npz", ta.compress(ta.models.fc2(rng=0), {"fc1": 1}, rng=0))
    Path("p").mkdir()
    Path("p/singular_values.png").write_text("precious")
    assert main(["draw", "small.npz", "--out", "p"]) == 2
    assert "p holds an earlier run (singular_values.png)" in capsys.readouterr().err
    assert [path.name for path in Path("p").iterdir()] == ["singular_values.png"]
    assert main(["draw", "small.npz", "--out", "p", "--overwrite"]) == 0
    assert Path("p/singular_values.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        (None, "dense.npz holds no ADTN, which draw needs; compress a model first"),
        (ta.TensorTrain.like(ranks=2), "which draw needs; its encodings are TensorTrain"),
    ],
)
def test_draw_says_what_a_file_without_adtns_holds(recipe, says, capsys):
    model = ta.models.fc2(rng=0)
    ta.save("dense.npz", model if recipe is None else ta.compress(model, {"fc1": recipe}, rng=0))
    assert main(["draw", "dense.npz"]) == 2
    assert says in capsys.readouterr().err


def test_sensitivity_of_a_compressed_network_names_the_file_to_give(capsys):
    ta.save("small.npz", ta.compress(ta.models.fc2(rng=0), {"fc1": 1}, rng=0))
    assert main(["sensitivity", "small.npz"]) == 2
    assert "compressed already; give the dense one (dense.npz" in capsys.readouterr().err


def test_a_home_that_the_shell_left_in_an_option_is_the_home(tiny, tmp_path, monkeypatch, capsys):
    """A shell replaces the ~ of ``--out ~/x``, and not that of ``--out=~/x``."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert main(["train", "fc2", "--data", tiny, "--epochs", "1", "--out=~/run", "--quiet"]) == 0
    assert (tmp_path / "home" / "run" / "best.npz").exists() and not Path("~").exists()


def test_the_next_command_works_although_the_folder_is_called_like_an_option(tiny, capsys):
    assert main(["train", "fc2", "--data", tiny, "--epochs", "1", "--out=-run", "--quiet"]) == 0
    words = shlex.split(capsys.readouterr().out.rpartition("Next: tinyadtn ")[2])
    assert words == ["evaluate", "./-run/best.npz"] and main(words) == 0


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


def test_predict_refuses_a_network_for_neither_grey_nor_colour_images(tmp_path, capsys):
    ta.save(tmp_path / "two.npz", ta.models.lenet5(channels=2, rng=0))
    assert main(["predict", "any.png", "--model", "two.npz"]) == 2
    assert "2 channels" in capsys.readouterr().err


def test_predict_says_how_to_make_the_network_that_it_takes_by_default(capsys):
    assert main(["predict", "any.png"]) == 4
    error = capsys.readouterr().err
    assert "runs/demo/fine-tuned.npz, the default of --model" in error
    assert "tinyadtn compress fc2 --out runs/demo" in error and "give --model" in error
    assert main(["predict", "any.png", "--model", "mine.npz"]) == 4
    assert "compress" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["evaluate", "missing.npz"], 4, "no such file"),
        (["train", "fc2", "--data", "nowhere"], 3, "nowhere"),
        (["data", "get", "nothing"], 3, "nothing"),
        (["data", "get", "mnst"], 3, "cifar100); did you mean mnist?"),
        (["report", "."], 4, "folder"),
        (["compress", "fc2", "--layers", "fc9", *SHORT], 2, "fc9"),
        (["compress", "fc2", "--depth", "100000", *SHORT], 6, "depth 100000"),
        (["compress", "fc2", "--site-dim", "1", *SHORT], 2, "dimension 2 or more, got 1"),
        (["train", "fc2", "--learning-rate", "1e30", "--epochs", "1", "--quiet"], 5, "epoch 1"),
        (["train", "fc2", "--out", "file/below"], 7, "file"),
        (["predict", "file", "--model", "dense.npz"], 3, "not a picture"),
        (["predict", "my folder", "--model", "dense.npz"], 7, "such as 'my folder/'*.png"),
        (["predict", "nowhere.png", "--model", "dense.npz"], 7, "nowhere.png: no such file"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(arguments, code, words, tmp_path, capsys):
    (tmp_path / "file").write_text("text")
    (tmp_path / "my folder").mkdir()
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
def test_usage_errors_exit_with_2_and_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    (error,) = capsys.readouterr().err.splitlines()
    command = "tinyadtn train" if arguments[:1] == ["train"] else "tinyadtn"
    assert error.startswith(command) and ": error: " in error
    assert re.search(r"\(options: tinyadtn( train| compress)? --help\)$", error)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["train", "fc2", "--lr", "0.1"], "--lr 0.1; did you mean --learning-rate?"),
        (["compress", "fc2", "--lr=0.1"], "--lr=0.1; did you mean --learning-rate?"),
        (["sensitivity", "x.npz", "--epoch-s=3"], "--epoch-s=3; did you mean --epochs?"),
        (["train", "fc2", "lenet5"], "lenet5"),
        (["data", "show", "x.npz", "--sizes", "8"], "--sizes 8; did you mean --size?"),
    ],
)
def test_an_unknown_option_gets_the_nearest_one_and_the_help_of_its_command(
    arguments, error, capsys
):
    with pytest.raises(SystemExit):
        main(arguments)
    command = "tinyadtn " + " ".join(arguments[: 1 + (arguments[0] == "data")])
    expected = f"{command}: error: unrecognized arguments: {error} (options: {command} --help)\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(("option", "least"), [("--epochs", 1), ("--batch-size", 1), ("--seed", 0)])
@pytest.mark.parametrize("text", ["1.5", "-1", "many", "9" * 19])
def test_a_whole_number_is_told_from_where_it_may_go_up(option, least, text, capsys):
    with pytest.raises(SystemExit):
        main(["train", "fc2", f"{option}={text}"])
    assert f"{option}: expected a whole number from {least} up, got '" in capsys.readouterr().err


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


def test_data_list_fits_into_a_terminal(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("TINYADTN_DATA", str(tmp_path))
    assert main(["data", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("mnist "))
    assert [line.strip() for line in lines[first : first + 3]] == [
        "mnist          70,000 handwritten digits, 11 MB",
        "55,000 train, 5,000 validation, 10,000 test",
        "not here; run: tinyadtn data get mnist",
    ]
    assert all(len(line) <= 80 for line in lines if "/" not in line)  # a path is as long as it is


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
    assert main([*export[:-1], f"there/SMALL.{ending.upper()}"]) == 0
    if ending == "safetensors":
        assert ta.load_safetensors(export[-1]).num_parameters == model.num_parameters


@pytest.mark.parametrize(
    "command",
    [["draw", "--out", "file"], ["compress", "fc2", "--out", "file"],
     ["sensitivity", "--out", "file/x.png"], ["sensitivity", "--out", "x.png", "--overwrite"],
     ["export", "--out", "x.onnx", "--overwrite"], ["features", "--out", "file/x.npz"]],
)  # fmt: skip
def test_what_cannot_be_written_is_found_before_the_work(command, tiny, capsys, monkeypatch):
    ta.save("small.npz", ta.compress(ta.models.fc2(hidden=4, rng=0), {"fc1": 1}, rng=0))
    Path("file").write_text("precious")
    Path("x.png").mkdir()
    Path("x.onnx").mkdir()
    for work in ("draw.brick_wall", "studies.experiment.run_experiment"):
        monkeypatch.setattr(f"tinyadtn.{work}", None)
    for work in ("sensitivity", "save_onnx", "features"):
        monkeypatch.setattr(f"tinyadtn.cli.checkpoint_commands.{work}", None)
    name, *words = command
    if name != "compress":
        words = ["small.npz", *words]
    assert main([name, *words, *(["--data", tiny] if name not in ("draw", "export") else [])]) in (
        2,
        7,
    )
    assert re.search("error: .*(s a file, not|is) a folder; ", capsys.readouterr().err)
    assert Path("file").read_text() == "precious"


def test_options_of_a_network_that_the_file_has_are_an_error(tiny, capsys):
    ta.save("small.npz", ta.models.fc2(hidden=4, rng=0))
    for words in (["--widths", "9"], ["--encode", "fc1=2"]):
        assert main(["evaluate", "small.npz", "--data", tiny, *words]) == 2
        assert "--widths and --encode go with --network" in capsys.readouterr().err


def test_report_explains_the_columns_of_times(capsys):
    ta.save("small.npz", ta.compress(ta.models.fc2(rng=0), {"fc1": 1}, rng=0))
    assert main(["report", "small.npz", "--timing"]) == 0
    text = capsys.readouterr().out
    for head in HEAD:
        assert f"\n{head}: " in text
    assert main(["report", "small.npz"]) == 0
    assert "\ndecode: " not in capsys.readouterr().out


def test_export_names_the_endings(tiny, capsys):
    ta.save("small.npz", ta.models.fc2(hidden=4, rng=0))
    assert main(["export", "small.npz", "--out", "small.h5"]) == 2
    assert ".onnx, .safetensors" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="there a script ends in .exe")
def test_a_command_to_copy_begins_with_the_shortest_name_that_works(tmp_path, monkeypatch):
    script = tmp_path / "tinyadtn"
    script.write_text("#!/bin/sh\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(script)])
    monkeypatch.setenv("PATH", "")
    assert program() == str(script)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program() == "tinyadtn"
