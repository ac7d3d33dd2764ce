"""What the command line does not say: numbers that are none, and names that command a terminal."""

import os
import shlex
import shutil
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shell import words_of

import tinyadtn as ta
from tinyadtn.cli import train_command
from tinyadtn.cli.main import main

SHORT = ["--epochs", "1", "--dense-epochs", "1", "--fit-steps", "2", "--quiet"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def digit(in_a_folder_of_its_own):
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 12:16] = 255
    Image.fromarray(pixels).save("digit.png")
    return "digit.png"


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("command", ["evaluate", "predict", "draw", "compress"])
def test_weights_that_are_not_finite_are_named_and_nothing_is_told_of_them(
    command, number, tiny, digit, capsys
):
    model = ta.compress(ta.models.fc2(hidden=16, rng=0), {"fc1": 1}, rng=0)
    model.fc2.bias.data[3] = number
    ta.save("bad.npz", model)
    words = {
        "evaluate": ["evaluate", "bad.npz", "--data", tiny],
        "predict": ["predict", digit, "--model", "bad.npz"],
        "draw": ["draw", "bad.npz"],
        "compress": ["compress", "fc2", "--data", tiny, "--dense", "bad.npz", *SHORT],
    }
    assert main(words[command]) == 5
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    assert told.err.startswith("error: bad.npz: fc2.bias holds 1 of 10 values that are not finite")


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_answers_that_overflow_are_not_told_as_answers(command, tiny, digit, capsys):
    model = ta.models.fc2(hidden=16, rng=0)
    model.fc2.weight.data[:] *= 1e38
    model.fc1.weight.data[:] *= 1e3
    ta.save("large.npz", model)
    words = {
        "evaluate": ["evaluate", "large.npz", "--data", tiny],
        "predict": ["predict", digit, "--model", "large.npz"],
    }
    assert main(words[command]) == 5
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("error: large.npz: ")


def test_no_name_commands_the_terminal_on_stdout_either(tiny, digit, capsys):
    ta.save("m.npz", ta.models.fc2(rng=0))
    shutil.copytree(tiny, "dig\x1b[31mits")
    shutil.copy(digit, "p\x1b[2J.png")
    assert main(["evaluate", "m.npz", "--data", "dig\x1b[31mits"]) == 0
    assert main(["predict", "p\x1b[2J.png", "--model", "m.npz"]) == 0
    assert main(["train", "fc2", "--data", "dig\x1b[31mits", "--epochs", "1", "--quiet",
                 "--out", "out\x1b[1m"]) == 0  # fmt: skip
    told = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in told)
    assert "dig\\x1b[31mits" in told and "p\\x1b[2J.png: " in told and "out\\x1b[1m" in told


@pytest.mark.parametrize("name", ["plain", "two words", "it's", "$HOME; ls", "esc\x1b[2J'\\", "é"])
def test_the_command_that_goes_on_can_be_typed_whatever_the_names(name, tiny, monkeypatch, capsys):
    """Read by a shell, word by word, it is the command that was given, and none of it is lost."""
    try:
        shutil.copytree(tiny, f"data {name}")
    except UnicodeEncodeError:
        pytest.skip("a name that files of this system cannot have")
    stopped = threading.Event()
    stopped.set()
    monkeypatch.setattr(train_command, "interruption", lambda: nullcontext(stopped))
    options = ["--data", f"data {name}", "--out", f"out {name}"]
    assert main(["train", "fc2", *options, "--save-minutes", "0.5", "--quiet"]) == 130
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.isprintable()
    assert words_of(line) == ["tinyadtn", "train", "fc2", *options,
                     "--resume", f"out {name}/last.npz", "--save-minutes", "0.5"]  # fmt: skip


def test_what_is_the_default_is_not_said_again(tiny, monkeypatch, capsys):
    stopped = threading.Event()
    stopped.set()
    monkeypatch.setattr(train_command, "interruption", lambda: nullcontext(stopped))
    assert main(["train", "fc2", "--data", tiny, "--quiet"]) == 130
    assert "--save-minutes" not in capsys.readouterr().out.splitlines()[-1]


def test_what_was_trained_is_written_before_it_is_told(tiny):
    """Whoever reads stdout may stop before the end: no training is lost by it."""
    words = [sys.executable, "-m", "tinyadtn", "compress", "fc2", "--data", tiny, *SHORT]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*words, "--out", "kept"], env=environment, stdout=subprocess.PIPE
    ) as run:
        assert b"fc2 on" in run.stdout.readline()
        run.stdout.close()
    assert run.returncode == 7
    assert Path("kept/fine-tuned.npz").exists()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("words", [["compress", "--help"], ["report", "model.npz"]], ids=" ".join)
def test_a_terminal_with_few_characters_shows_what_it_can(words, encoding):
    ta.save("model.npz", ta.compress(ta.models.fc2(hidden=16, rng=0), {"fc1": 1}, rng=0))
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "tinyadtn", *words]
    done = subprocess.run(command, env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout) > 200


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("train fc2 --epochs 1 --out run", 0),
        ("evaluate missing.npz", 4),
        ("train fc2 --epochs 0", 2),
        ("train fc2 --epochs 1 --learning-rate 1e30 --out run", 5),
    ],
)
def test_a_stream_that_is_closed_changes_nothing_else(words, code, closed):
    command = f"{shlex.quote(sys.executable)} -m tinyadtn {words} {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.returncode == code
    assert "Traceback" not in done.stderr and "Traceback" not in done.stdout
    assert ("error: " in done.stderr) == (code != 0 and "2>" not in closed)
    assert Path("run/best.npz").exists() == (code == 0)


@pytest.mark.parametrize("words", ["data list", "data get mnist", "train fc2 --data mnist"])
def test_a_user_without_a_home_gets_no_traceback(words):
    """A container may run as a number that no list of users knows."""
    program = (
        "import os, pwd, sys\n"
        "def unknown(*_): raise KeyError('uid not found')\n"
        "pwd.getpwuid = pwd.getpwnam = unknown\n"
        "from tinyadtn.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    dropped = ("HOME", "XDG_CACHE_HOME", "TINYADTN_DATA")
    environment = {k: v for k, v in os.environ.items() if k not in dropped}
    environment |= {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", program, *words.split()],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode in (0, 3, 7) and "Traceback" not in done.stderr
    assert done.returncode == 0 or done.stderr.splitlines()[-1].startswith("error: ")


# --- streams that are full or closed --------------------------------------------------------------

STREAMS = [">/dev/full", "2>/dev/full", ">/dev/full 2>&1", ">&-", "2>&-", "<&- >&- 2>&-"]
FULL = {">/dev/full", ">/dev/full 2>&1"}  # where the output is lost


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("streams", STREAMS)
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("data list", 0),
        ("train fc2 --data {tiny} --epochs 2", 0),
        ("train --help", 0),
        ("train nope", 2),
        ("evaluate nowhere.npz", 4),
    ],
)
def test_full_and_closed_streams_give_an_exit_code_and_no_traceback(words, code, streams, tiny):
    typed = words.format(tiny=shlex.quote(tiny))
    line = f"exec {shlex.quote(sys.executable)} -m tinyadtn {typed} {streams}"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    environment["PYTHONPATH"] = str(Path(ta.__file__).parents[1])
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=environment)
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    lost = code == 0 and streams in FULL
    assert done.returncode == (7 if lost else code)
    if lost and "2>&1" not in streams:
        assert done.stderr.endswith("error: stdout: no space left on device\n")
    if words.startswith("train fc2"):
        assert Path("runs/train/last.npz").exists()


def test_a_terminal_of_ascii_alone_gets_question_marks(tiny):
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = [sys.executable, "-m", "tinyadtn", "train", "fc2", "--data", tiny, "--epochs", "1"]
    done = subprocess.run(
        words,
        capture_output=True,
        env=environment | {"PYTHONPATH": str(Path(ta.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    assert b"images 1?28?28" in done.stdout
