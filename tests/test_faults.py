"""Faults from outside, put in front of the command line: what the user sees, and what is left.

Every hostile file ends in one ``error:`` line that names it and in the documented exit code; it
changes nothing on the disk, runs nothing, and takes little memory.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import hostile_files
import numpy as np
import pytest
from data_files import idx_bytes
from memory_peak import peak_of
from shell import words_of
from test_resume import same_state

import tinyadtn as ta
from tinyadtn.cli.main import main
from tinyadtn.files.state import read_state

MIB = 2**20
ROOT = Path(__file__).parents[1]
CHECKPOINT_COMMANDS = {
    "evaluate": ["evaluate", "{}", "--data", "mnist-5k"],
    "report": ["report", "{}"],
    "draw": ["draw", "{}", "--out", "pictures"],
    "train": ["train", "fc2", "--resume", "{}", "--data", "mnist-5k", "--quiet"],
    "compress": ["compress", "fc2", "--dense", "{}", "--out", "out", "--quiet"],
    "predict": ["predict", "digit.png", "--model", "{}"],
    "features": ["features", "{}", "--data", "mnist-5k", "--out", "made.npz", "--quiet"],
    "export": ["export", "{}", "--out", "made.safetensors"],
}
DATA_COMMANDS = {
    "train": ["train", "fc2", "--data", "{}", "--out", "out", "--quiet"],
    "compress": ["compress", "fc2", "--data", "{}", "--out", "out", "--quiet"],
    "evaluate": ["evaluate", "good.npz", "--data", "{}"],
    "features": ["features", "good.npz", "--data", "{}", "--out", "made.npz", "--quiet"],
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with a sound checkpoint, and beside it a folder for the hostile file."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    ta.save("good.npz", ta.models.fc2(hidden=4, rng=0))
    (tmp_path / "hostile").mkdir()
    return tmp_path


def contents(folder):
    """Every file below, by name, with what tells that it is the same."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        found[str(path)] = status.st_mode, status.st_size, status.st_mtime_ns
    return found


def refused(arguments, code, path, capsys, place):
    """One line on stderr that names the file, that exit code, and nothing else whatever."""
    before = contents(place)
    capsys.readouterr()
    ends = []
    peak = peak_of(lambda: ends.append(main([a.format(path) for a in arguments])))
    told = capsys.readouterr()
    assert (ends, told.out) == ([code], ""), told
    lines = told.err.strip().split("\n")
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    assert str(path)[:200] in lines[0] or path.name in lines[0]
    assert contents(place) == before
    assert not list(place.rglob("marker*")) and not Path("/tmp/marker.npy").exists()
    assert peak < 64 * MIB


@pytest.mark.parametrize("command", CHECKPOINT_COMMANDS)
@pytest.mark.parametrize("kind", hostile_files.CHECKPOINTS)
def test_a_hostile_checkpoint_is_refused_by_every_command(kind, command, place, capsys):
    path = hostile_files.CHECKPOINTS[kind](place / "hostile")
    code = 7 if kind in ("a loop of links", "a name too long") else 4  # the system's own refusals
    refused(CHECKPOINT_COMMANDS[command], code, path, capsys, place)


@pytest.mark.parametrize("command", DATA_COMMANDS)
@pytest.mark.parametrize("kind", hostile_files.DATA)
def test_hostile_data_are_refused_by_every_command(kind, command, place, capsys):
    path = hostile_files.DATA[kind](place / "hostile")
    refused(DATA_COMMANDS[command], 3, path, capsys, place)


@pytest.mark.parametrize("kind", hostile_files.PICTURES)
def test_a_hostile_picture_is_refused(kind, place, capsys):
    path = hostile_files.PICTURES[kind](place / "hostile")
    code = 7 if kind in ("nothing there", "a folder") else 3  # the system's own refusals
    refused(["predict", "{}", "--model", "good.npz"], code, path, capsys, place)


@pytest.mark.parametrize("command", CHECKPOINT_COMMANDS)
def test_a_device_is_no_checkpoint(command, place, capsys):
    """It is not opened: who reads /dev/zero to its end takes all the memory there is."""
    assert main([a.format("/dev/null") for a in CHECKPOINT_COMMANDS[command]]) == 4
    assert capsys.readouterr().err.startswith("error: /dev/null: is not an ordinary file")


@pytest.mark.parametrize("name", ["two\nlines.npz", "\x1b[2Jcleared.npz", "bell\x07.npz"])
def test_a_name_cannot_command_the_terminal(name, place, capsys):
    assert main(["report", name]) == 4
    assert main(["train", "fc2", "--data", name]) == 3
    error = capsys.readouterr().err
    assert error.count("\n") == 2 and all(c.isprintable() or c == "\n" for c in error)
    with pytest.raises(SystemExit):
        main(["report", "m.npz", name])
    error = capsys.readouterr().err
    assert all(c.isprintable() or c == "\n" for c in error)


def test_the_payloads_would_work(place):
    """Were anything unpickled, it would be seen."""
    import pickle

    pickle.loads((hostile_files.CHECKPOINTS["a pickle"](place / "hostile")).read_bytes())
    assert list(place.rglob("marker"))


@pytest.mark.parametrize("table", ["CHECKPOINTS", "DATA", "PICTURES"])
def test_the_hostile_files_differ_in_what_is_wrong_with_them(table, place, capsys):
    """What a maker starts from is sound: without its fault it would be taken."""
    if table == "CHECKPOINTS":
        path = hostile_files._changed()(place / "hostile")
        assert main(["report", str(path)]) == 0
    elif table == "DATA":
        for k, make in enumerate((hostile_files._idx(), hostile_files._cifar(ta_cifar10()))):
            folder = place / f"sound{k}"
            folder.mkdir()
            assert len(ta.load_data(make(folder)).train) > 0
        (place / "features").mkdir()
        made = hostile_files._changed(hostile_files._good_features)(place / "features")
        assert len(ta.load_data(made).train) > 0
    else:
        rows = b"".join(b"\0" + bytes(255 * (8 < k < 20) for k in range(28)) for _ in range(28))
        path = place / "sound.png"
        path.write_bytes(hostile_files._png(28, 28, rows))
        assert main(["predict", str(path), "--model", "good.npz"]) == 0


def ta_cifar10():
    from tinyadtn.data.cifar import CIFAR10

    return CIFAR10


# --- a run, and what may happen to it ------------------------------------------------------------


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder of IDX files with few enough digits for a run of a second."""
    data, folder = ta.load_data("mnist-5k"), tmp_path_factory.mktemp("digits")
    for split, name in ((data.train, "train"), (data.test, "t10k")):
        images = np.uint8(255 * split.images[:200, 0] + 0.5)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx_bytes(np.uint8(split.labels[:200])))
    return str(folder)


def plan(digits, *, epochs=3):
    return ["train", "fc2", "--data", digits, "--batch-size", "50", "--epochs", str(epochs),
            "--quiet"]  # fmt: skip


@pytest.fixture(scope="module")
def uninterrupted(digits, tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert main([*plan(digits), "--out", str(out)]) == 0
    return out


def stopped_run(digits, out, steps=6):
    """A run of the same plan, left inside its second epoch."""
    model, data = ta.models.fc2(rng=0), ta.load_data(digits)
    run = ta.train(model, data, epochs=3, batch_size=50, out=out)
    for _ in range(steps):
        next(run)
    run.close()


def child(arguments, cwd, before=""):
    """The command line in a process of its own; ``before`` is run first."""
    code = f"import sys\n{before}\nfrom tinyadtn.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, env=environment,
    )  # fmt: skip
    CHILDREN.append(process)
    return process


CHILDREN: list[subprocess.Popen] = []


@pytest.fixture(autouse=True)
def no_child_is_left_behind():
    yield
    while CHILDREN:
        with CHILDREN.pop() as process:  # which closes its pipes and waits for it
            process.kill()


def goes_on_to_the_same_bits(digits, out, uninterrupted):
    assert main([*plan(digits)[:4], "--quiet", "--resume", str(out / "last.npz")]) == 0
    for file in ("last.npz", "best.npz"):
        same_state(out / file, uninterrupted / file)


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_disk_that_fills_up_costs_no_checkpoint(digits, uninterrupted, tmp_path):
    """A limit on the size of files stands for the disk: the write breaks off in the middle."""
    out = tmp_path / "run"
    stopped_run(digits, out)
    before = bytes_of(out)
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))"
    again = [*plan(digits)[:4], "--quiet", "--resume", str(out / "last.npz")]
    process = child(again, tmp_path, limit)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 7
    assert re.fullmatch(r"error: .*/run/(last|best)\.npz: file too large\n", err), err
    assert bytes_of(out) == before  # no half-written file either
    goes_on_to_the_same_bits(digits, out, uninterrupted)


@pytest.mark.parametrize(
    ("broken", "number"), [("fsync", 28), ("fsync", 5), ("replace", 28), ("write", 28)]
)
def test_a_system_call_that_fails_costs_no_checkpoint(
    broken, number, digits, uninterrupted, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "run"
    stopped_run(digits, out)
    before = bytes_of(out)
    with monkeypatch.context() as patch:

        def fails(*_, **__):
            raise OSError(number, os.strerror(number))

        where = {"fsync": ("os.fsync",), "replace": ("os.replace", "pathlib.Path.replace"),
                 "write": ("tinyadtn.files.state.write_npz",)}[broken]  # fmt: skip
        for name in where:
            patch.setattr(name, fails)
        assert main([*plan(digits)[:4], "--quiet", "--resume", str(out / "last.npz")]) == 7
    error = capsys.readouterr().err.strip().split("\n")
    assert len(error) == 1 and error[0].startswith("error: ") and ".npz" in error[0]
    assert os.strerror(number).lower() in error[0]
    assert bytes_of(out) == before
    goes_on_to_the_same_bits(digits, out, uninterrupted)


def test_output_that_nobody_can_take_is_an_error_of_output(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tinyadtn", "data", "list"], stdout=full,
            stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment, check=False,
        )  # fmt: skip
    assert done.returncode == 7
    assert done.stderr == "error: stdout: no space left on device\n"


def test_a_reader_that_has_seen_enough_gets_no_traceback(tmp_path):
    process = child(["data", "list"], tmp_path, "import time; time.sleep(0.3)")
    process.stdout.close()
    process.wait(60)
    assert process.returncode == 7
    assert process.stderr.read() == ""
    process.stderr.close()


def test_memory_that_runs_out_is_told_in_one_line(digits, tmp_path):
    """RLIMIT_AS: the address space ends a little above what the imports took."""
    before = (
        "import resource, tinyadtn.cli, tinyadtn as ta\n"
        "ta.models.fc2(rng=0)(ta.Tensor([[[[0.0] * 28] * 28]]))\n"  # whatever BLAS keeps
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "room = pages * resource.getpagesize() + 12 * 2**20\n"
        "resource.setrlimit(resource.RLIMIT_AS, (room, room))"
    )
    process = child(["train", "fc2", "--out", "run", "--quiet"], tmp_path, before)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 6, err
    assert err.startswith("error: ") and err.count("\n") == 1 and "allocate" in err
    assert not out or "Traceback" not in out


def test_a_weight_of_2_to_the_40_takes_no_memory_and_no_time():
    """In a child whose address space could never hold it; the hang guard is 20 times the goal."""
    code = (
        "import resource, time, tinyadtn as ta\n"
        "from tinyadtn.errors import SizeLimitError\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "room = pages * resource.getpagesize() + 2**22\n"
        "resource.setrlimit(resource.RLIMIT_AS, (room, room))\n"
        "start = time.perf_counter()\n"
        "try:\n"
        "    ta.ADTN((2**20, 2**20), depth=3, rng=0)\n"
        "except SizeLimitError as error:\n"
        "    print(time.perf_counter() - start < 0.2, '1,099,511,627,776' in str(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout == "True True\n"


@pytest.mark.parametrize("where", ["file", "file/below", "/proc/run", "/dev/null/run"])
@pytest.mark.parametrize("command", ["train", "compress"])
def test_a_folder_that_cannot_be_written_is_refused_before_training(
    command, where, digits, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("in the way")

    def trained(*_, **__):
        raise AssertionError("it trained before it looked at the folder")

    monkeypatch.setattr(sys.modules["tinyadtn.training.train"], "_update", trained)
    assert main([command, "fc2", "--data", digits, "--out", where, "--quiet"]) == 7
    told = capsys.readouterr()
    assert told.err.startswith("error: ") and told.err.count("\n") == 1 and told.out == ""
    assert bytes_of(tmp_path) == {"file": b"in the way"}


def test_numbers_that_explode_leave_the_last_finite_state(digits, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    job = [*plan(digits, epochs=9), "--out", "run", "--optimizer", "sgd", "--schedule", "constant",
           "--learning-rate", "1e15", "--save-minutes", "1e-9"]  # fmt: skip
    assert main(job) == 5
    error = capsys.readouterr().err
    assert re.search(r"^error: epoch \d, step \d+, learning rate 1e\+15: .* gave ", error)
    assert error.count("\n") == 1
    files = sorted(path.name for path in Path("run").iterdir())
    assert files and set(files) <= {"last.npz", "previous.npz", "best.npz"}
    for file in files:
        for array in read_state(Path("run") / file)[0].values():
            assert np.isfinite(array).all()


# --- signals -------------------------------------------------------------------------------------

# Says when training has begun, and keeps it from ending before the signal comes.
SLOWLY = """
import time, tinyadtn.cli.train_command as commands
plain = commands.with_progress
def slowly(steps, *rest):
    for step in plain(steps, *rest):
        print("step", step.step, flush=True)
        time.sleep(0.05)
        yield step
commands.with_progress = slowly
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_step_saves_and_tells_how_to_go_on(
    number, digits, uninterrupted, tmp_path
):
    process = child([*plan(digits), "--out", "my run"], tmp_path, SLOWLY)
    for line in process.stdout:
        if line == "step 5\n":
            process.send_signal(number)
            break
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err == ""
    command = re.search(r"stopped and saved; go on with\n  tinyadtn (.*)\n", out).group(1)
    out = tmp_path / "my run"
    stopped_at = read_state(out / "last.npz")[1]["training"]["step"]
    assert 5 <= stopped_at < 12
    here = Path.cwd()
    try:
        os.chdir(tmp_path)
        assert main([*words_of(command), "--quiet"]) == 0  # what it printed is what works
    finally:
        os.chdir(here)
    for file in ("last.npz", "best.npz"):
        same_state(out / file, uninterrupted / file)


def test_the_bar_ends_before_the_text_of_an_interrupted_run(digits, tmp_path):
    shown = [word for word in plan(digits) if word != "--quiet"]
    process = child([*shown, "--out", "run"], tmp_path, "sys.stderr = sys.stdout" + SLOWLY)
    for line in process.stdout:
        if line.endswith("step 5\n"):  # which may follow the bar
            process.send_signal(signal.SIGINT)
            break
    out, _ = process.communicate(timeout=60)
    bar, text = out.split("stopped and saved; go on with\n")
    assert "fc2:" in bar and bar.endswith("\n") and "fc2:" not in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_the_caller_ignores_stops_nothing(number, digits, uninterrupted, tmp_path):
    """A job in the background of a shell ignores SIGINT, one under nohup SIGHUP."""
    ignored = f"import signal\nsignal.signal({int(number)}, signal.SIG_IGN)\n{SLOWLY}"
    process = child([*plan(digits), "--out", "run"], tmp_path, ignored)
    for line in process.stdout:
        if line in ("step 3\n", "step 4\n", "step 5\n"):
            process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 0
    same_state(tmp_path / "run" / "last.npz", uninterrupted / "last.npz")


def test_a_second_signal_stops_at_once(digits, tmp_path):
    """A step that never ends is left; the last checkpoint is what it was."""
    hang = (
        "import time, tinyadtn.cli.main\n"
        "t = sys.modules['tinyadtn.training.train']\n"  # the package's attribute is the function
        "plain = t._update\n"
        "def update(run, *rest):\n"
        "    if run.state.step == 5:\n"
        "        print('hangs', flush=True)\n"
        "        while True: time.sleep(0.01)\n"
        "    return plain(run, *rest)\n"
        "t._update = update"
    )
    process = child([*plan(digits), "--out", "run"], tmp_path, hang)
    for line in process.stdout:
        if line == "hangs\n":
            break
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert process.poll() is None  # the first only asks
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err == "interrupted\n"
    assert read_state(tmp_path / "run" / "last.npz")[1]["training"]["step"] in (4, 5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_compress_says_that_nothing_was_saved(number, digits, tmp_path):
    begin = (
        "import time, tinyadtn.studies.experiment as e\n"
        "def hang(*_, **__):\n"
        "    print('begun', flush=True)\n"
        "    while True: time.sleep(0.01)\n"
        "e.trained_and_evaluated = hang"
    )
    process = child(["compress", "fc2", "--data", digits, "--out", "run"], tmp_path, begin)
    for line in process.stdout:
        if line == "begun\n":
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err == "interrupted\n"
    assert "nothing was saved" in out and bytes_of(tmp_path / "run") == {}
