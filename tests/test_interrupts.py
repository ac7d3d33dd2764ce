"""Ctrl-C at any point of a training run: a usable model, a saved state, nothing read-only."""

import gc
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from test_resume import KINDS, same_state
from test_train import net, small_data, values

import tinyadtn as ta
from tinyadtn.errors import TinyADTNError
from tinyadtn.files.state import read_state
from tinyadtn.training.interrupts import STOPPING, interrupts_held

PACKAGE = str(Path(ta.__file__).parent)


@pytest.fixture(scope="module")
def data():
    return small_data()


class Interrupter:
    """Sends SIGINT to this process at the k-th line of the package that runs."""

    def __init__(self, at=None):
        self.at, self.lines = at, 0

    def __call__(self, frame, event, _):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.at:
                signal.raise_signal(signal.SIGINT)
        return self

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self)
        return self

    def __exit__(self, *_):
        sys.settrace(self.before)


def arrays_of(model, optimizer_arrays=()):
    return [t.data for _, t in model.named_tensors()]


@pytest.mark.parametrize("kind", ["adam", "encoded", "convolutional"])
def test_ctrl_c_at_any_line_of_the_package_costs_nothing(kind, data, tmp_path):
    make, plan = KINDS[kind]
    plan = plan | {"epochs": 2, "batch_size": 150}
    for name in ("first", "whole"):  # the first run fills caches
        with Interrupter() as count:
            for _ in ta.train(make(), data, out=tmp_path / name, **plan):
                pass
    begins = Interrupter()
    with begins:
        ta.train(make(), data, **plan)
    rng = random.Random(kind)
    stopped_at = set()
    for number in range(14):
        out, model = tmp_path / str(number), make()
        steps = ta.train(model, data, out=out, **plan)
        # ``caught`` keeps the traceback alive, as a notebook does: with it live the frames of ops.
        with pytest.raises(KeyboardInterrupt) as caught:  # noqa: SIM117
            with Interrupter(rng.randrange(1, count.lines - begins.lines - 50)):
                for _ in steps:
                    pass
        assert all(a.flags.writeable and np.isfinite(a).all() for a in arrays_of(model))
        assert all(p.grad is None for p in model.parameters()) and caught.tb
        resumed = plan
        if (out / "last.npz").exists():
            state = read_state(out / "last.npz")[1]["training"]
            stopped_at.add(state["step"])
            assert values(ta.load(out / "last.npz", into=make())) == values(model)
            resumed = {"resume": out / "last.npz"}
        else:  # nothing was there to be saved
            assert values(model) == values(make())
        for _ in ta.train(make(), data, out=out, **resumed):
            pass
        same_state(out / "last.npz", tmp_path / "whole" / "last.npz")
        same_state(out / "best.npz", tmp_path / "whole" / "best.npz")
    assert len(stopped_at) > 1


def test_an_interrupt_in_validation_repeats_the_validation_only(data, tmp_path, monkeypatch):
    plan = {"batch_size": 100, "epochs": 2}
    whole = list(ta.train(net(), data, out=tmp_path / "whole", **plan))

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    seen = []
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sys.modules["tinyadtn.training.train"], "evaluate", interrupted)
        seen += ta.train(net(), data, out=tmp_path / "run", **plan)
    last = tmp_path / "run" / "last.npz"
    assert read_state(last)[1]["training"]["step"] == 3
    rest = list(ta.train(net(), data, out=tmp_path / "run", resume=last))
    assert rest == whole[2:]
    same_state(last, tmp_path / "whole" / "last.npz")


def interrupt():
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("leave", [interrupt, lambda: signal.raise_signal(signal.SIGTERM)])
def test_ctrl_c_in_the_body_of_the_loop_saves_a_run_that_has_a_name(leave, data, tmp_path):
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        model = net()
        steps = ta.train(model, data, out=tmp_path, batch_size=100, epochs=2)
        with pytest.raises(KeyboardInterrupt):
            for step in steps:
                if step.step == 2:
                    leave()
        state = tmp_path / "last.npz"  # before ``steps`` is closed
        assert read_state(state)[1]["training"]["step"] == 2
        assert values(ta.load(state, into=net())) == values(model)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
        assert [s.step for s in steps] == [3, 4, 5, 6]  # and it can go on
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ctrl_c_saves_every_run_whose_caller_is_in_the_body(data, tmp_path):
    runs = [ta.train(net(), data, out=tmp_path / n, batch_size=100, epochs=2) for n in "ab"]
    with pytest.raises(KeyboardInterrupt):
        for one, other in zip(*runs):
            if one.step == other.step == 3:
                interrupt()
    for name in "ab":
        assert read_state(tmp_path / name / "last.npz")[1]["training"]["step"] == 3
    del runs, one, other
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_that_the_caller_installs_in_the_body_stays(data, tmp_path):
    calls = []
    try:
        steps = ta.train(net(), data, out=tmp_path, batch_size=100, epochs=1)
        next(steps)
        signal.signal(signal.SIGINT, lambda *_: calls.append(1))
        interrupt()
        list(steps)
        interrupt()
        assert calls == [1, 1]
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_save_that_fails_does_not_hide_the_interrupt(data, tmp_path, monkeypatch):
    steps = ta.train(net(), data, out=tmp_path, batch_size=100, epochs=1)
    next(steps)
    with monkeypatch.context() as patch:
        patch.setattr("tinyadtn.training.runs.write_state", lambda *_, **__: 1 / 0)
        with pytest.raises(KeyboardInterrupt):
            interrupt()
    steps.close()
    assert (tmp_path / "last.npz").exists()


@pytest.mark.parametrize("how", ["raise KeyboardInterrupt", "1 / 0", "break"])
def test_a_script_that_ends_in_the_body_saves_its_run(how, tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_train import *\n"
        "steps = ta.train(net(), small_data(), epochs=1, batch_size=100, out=sys.argv[2])\n"
        f"for step in steps: {how}\n"
    )
    words = [sys.executable, "-c", code, Path(__file__).parent, tmp_path]
    subprocess.run(words, cwd=Path(PACKAGE).parent, stderr=subprocess.DEVNULL, timeout=120)
    assert read_state(tmp_path / "last.npz")[1]["training"]["step"] == 1


def test_a_signal_is_held_back_until_the_block_ends():
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        signal.raise_signal(signal.SIGINT)
        done.append(1)
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_signals_that_are_ignored_or_not_pythons_stay_so():
    before = {number: signal.getsignal(number) for number in STOPPING}
    try:
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        with interrupts_held():
            signal.raise_signal(STOPPING[0])
            assert {signal.getsignal(n) for n in STOPPING} == {signal.SIG_IGN}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_in_another_thread_there_is_nothing_to_hold_back(data):
    model, losses = net(), []

    def work():
        losses.extend(s.loss for s in ta.train(model, data, batch_size=100, epochs=1))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert losses == [s.loss for s in ta.train(net(), data, batch_size=100, epochs=1)]


def test_an_error_in_the_model_leaves_what_there_was(data):
    class Breaks(ta.Module):
        def __init__(self):
            self.norm, self.fc, self.count = ta.BatchNorm2d(1), ta.Linear(784, 10, rng=0), 0

        def forward(self, x, *, training, rng):
            self.count += 1
            out = self.fc(self.norm(x, training=training).reshape(len(x), 784))
            return out if self.count < 2 else out.reshape(7, 7)

    model = Breaks()
    steps = ta.train(model, data, batch_size=100, epochs=1)
    next(steps)
    before = values(model)
    with pytest.raises(ta.errors.ShapeError):
        next(steps)
    assert values(model) == before
    assert all(p.grad is None for p in model.parameters())


# --- one folder, one run -------------------------------------------------------------------------


@pytest.mark.parametrize("left", [("last.npz", "best.npz"), ("best.npz",), ("previous.npz",)])
def test_an_earlier_run_is_not_overwritten_unasked(left, data, tmp_path):
    for _ in ta.train(net(), data, epochs=1, out=tmp_path):
        pass
    (tmp_path / "previous.npz").write_bytes(b"an older one")
    for name in {"last.npz", "best.npz", "previous.npz"} - set(left):
        (tmp_path / name).unlink()
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(TinyADTNError, match=r"holds an earlier run .*overwrite=True.*resume="):
        ta.train(net(), data, epochs=1, out=tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    assert len(list(ta.train(net(), data, epochs=1, out=tmp_path, overwrite=True))) == 3


def test_resuming_elsewhere_does_not_overwrite_the_run_there(data, tmp_path):
    for name in ("one", "other"):
        for _ in ta.train(net(), data, epochs=1, out=tmp_path / name):
            pass
    with pytest.raises(TinyADTNError, match=r"other holds an earlier run"):
        ta.train(net(), data, out=tmp_path / "other", resume=tmp_path / "one" / "last.npz")


def test_a_folder_in_which_another_process_trains_is_rejected(data, tmp_path):
    pytest.importorskip("fcntl")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_train import *\n"
        "steps = ta.train(net(), small_data(), epochs=1, out=sys.argv[2])\n"
        "next(steps); print('trains', flush=True); input()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, Path(__file__).parent, tmp_path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(PACKAGE).parent,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "trains\n"
        with pytest.raises(TinyADTNError, match="another training run is writing to it"):
            ta.train(net(), data, epochs=1, out=tmp_path, overwrite=True)
    finally:
        process.communicate("\n", timeout=60)
    assert len(list(ta.train(net(), data, epochs=1, out=tmp_path, overwrite=True))) == 3


def test_a_run_that_lives_on_in_a_traceback_does_not_write_over_the_next(data, tmp_path):
    """As in a notebook: the cell was interrupted in the loop's body, then its run is resumed."""
    plan = {"batch_size": 100, "epochs": 2}
    abandoned = ta.train(net(), data, out=tmp_path, save_minutes=0, **plan)
    next(abandoned)
    next(abandoned)
    for _ in ta.train(net(), data, out=tmp_path, resume=tmp_path / "last.npz"):
        pass
    done = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    abandoned.close()
    gc.collect()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == done
    late = ta.train(net(), data, out=tmp_path, overwrite=True, **plan)
    next(late)
    newer = ta.train(net(), data, out=tmp_path, overwrite=True, **plan)
    with pytest.raises(TinyADTNError, match="a newer training run"):
        next(late)
    assert len(list(newer)) == 6


def test_of_two_runs_in_one_folder_the_older_one_stops_before_its_next_step(data, tmp_path):
    plan = {"batch_size": 100, "epochs": 1}
    model = net()
    older = ta.train(model, data, out=tmp_path, **plan)
    newer = ta.train(net(), data, out=tmp_path, **plan)
    assert len(list(newer)) == 3
    with pytest.raises(TinyADTNError, match="has taken this folder; name a folder of its own"):
        next(older)
    assert values(model) == values(net())


def test_the_files_of_the_user_stay(data, tmp_path):
    (tmp_path / ".writable").write_text("mine")
    list(ta.train(net(), data, epochs=1, out=tmp_path))
    assert (tmp_path / ".writable").read_text() == "mine"
    assert {p.name for p in tmp_path.iterdir()} == {".writable", "best.npz", "last.npz"}


# --- the loss of an epoch ------------------------------------------------------------------------


def test_the_mean_loss_is_over_images_not_over_batches(data):
    """With 301 images in batches of 300, the last one must not count as much as all others."""
    few = ta.Split(data.train.images[:201], data.train.labels[:201])
    data = ta.Data(few, data.validation, data.test, data.classes, data.name)
    options = {"batch_size": 200, "optimizer": "sgd", "learning_rate": 1e-9, "momentum": 0.0}
    model = net()
    last = list(ta.train(model, data, epochs=1, **options))[-1]
    assert last.mean_loss == pytest.approx(ta.evaluate(model, few).loss, rel=1e-5)


def test_a_state_with_a_sum_over_batches_still_goes_on(data, tmp_path):
    """As they were written before the sum was over images."""
    from tinyadtn.files.state import write_state

    plan = {"batch_size": 100, "epochs": 1}
    whole = list(ta.train(net(), data, out=tmp_path / "whole", **plan))
    for step in ta.train(net(), data, out=tmp_path / "run", **plan):
        if step.step == 2:
            break
    path = tmp_path / "run" / "last.npz"
    arrays, meta = read_state(path)
    meta["training"]["epoch_loss"] = sum(s.loss for s in whole[:2])
    del meta["training"]["loss"], meta["training"]["loss_sum"]
    write_state(path, arrays, meta)
    rest = list(ta.train(net(), data, resume=path))
    assert [s.loss for s in rest] == [whole[2].loss]
    assert rest[0].mean_loss == pytest.approx(whole[2].mean_loss)


def test_an_update_that_makes_a_parameter_infinite_is_reported_without_a_folder_too(data):
    options = {"optimizer": "sgd", "schedule": "constant", "learning_rate": 1e39}
    with pytest.raises(
        ta.errors.NonFiniteError, match=r"last update: .*fc1\.weight.* is not finite"
    ):
        list(ta.train(net(), data, epochs=1, batch_size=300, **options))


def test_an_empty_name_of_a_folder_is_rejected(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TinyADTNError, match=r"folder is empty.*or \. for this one"):
        ta.train(net(), data, epochs=1, out="")
    with pytest.raises(
        TinyADTNError, match=r"^~/runs: ~ is not replaced; give os\.path\.expanduser"
    ):
        ta.train(net(), data, epochs=1, out="~/runs")
    assert list(tmp_path.iterdir()) == []
    next(ta.train(net(), data, epochs=1, out="."))
    assert list(tmp_path.iterdir())
