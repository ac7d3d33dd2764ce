"""Sweeps as wholes: any executor, processes that are killed, and the same file in the end."""

import contextlib
import json
import multiprocessing
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

import tinyadtn as ta
from tinyadtn.errors import DeviceError, SizeLimitError, TinyADTNError
from tinyadtn.studies import run as sweep_run
from tinyadtn.studies import workers as sweep_workers
from tinyadtn.studies.results import ResultsFile
from tinyadtn.studies.spec import read_spec, run_key
from tinyadtn.studies.sweep import preview

# Programs that are started here find the same tinyadtn, wherever they run.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(ta.__file__).parents[1])}
ROWS = {
    "dense": {"learning_rate": 2e-3},
    "adtn": {"encode": {"fc1": {"each": [1, 2]}}},
    "wild": {"learning_rate": 1e30, "seeds": 1},
}


def spec_for(tiny, **common):
    return {
        "network": "fc2", "data": tiny, "epochs": 1, "batch_size": 50, "learning_rate": 1e-2,
        "seeds": 2, "rows": ROWS, **common,
    }  # fmt: skip


def slow_spec(tiny, seeds=6, epochs=30):
    """Runs of half a second and more, so that there is a middle in which to kill."""
    row = {"dense": {"seeds": seeds, "epochs": epochs, "batch_size": 5}}
    return {"network": {"name": "fc2", "hidden": 16}, "data": tiny, "rows": row}


def lines(path):
    """What is in the file, line by line: no run lost or done twice is seen here."""
    whole = path.read_bytes()
    return [json.loads(line) for line in whole[: whole.rfind(b"\n") + 1].splitlines()]


def keys(path):
    return sorted(run_key(line["config"], line["seed"]) for line in lines(path))


def planned(spec):
    return sorted(run.key for run in read_spec(spec).runs)


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def has_lines(path, count=1):
    return path.exists() and path.read_bytes().count(b"\n") >= count


class Patient(Executor):
    """Does everything at once, in the caller's own thread: as simple as an executor can be."""

    def __init__(self):
        self.calls = 0
        self.seeds = []

    def submit(self, function, /, *arguments, **options):
        self.calls += 1
        self.seeds.append(arguments[1])
        future = Future()
        try:
            future.set_result(function(*arguments, **options))
        except Exception as error:
            future.set_exception(error)
        return future


# --- any executor --------------------------------------------------------------------------------


def test_all_executors_give_the_same_results_and_failures_stop_nothing(tiny, tmp_path):
    spec, found = spec_for(tiny), {}
    executors = {"threads": ThreadPoolExecutor(3), "own": Patient(), "processes": None}
    for name, executor in executors.items():
        out = tmp_path / f"{name}.jsonl"
        options = {"workers": 2} if executor is None else {"executor": executor}
        records = ta.sweep(spec, out, show_progress=False, **options)
        assert [run_key(r["config"], r["seed"]) for r in records] == [
            run.key for run in read_spec(spec).runs
        ]
        assert keys(out) == planned(spec)
        assert Counter(r["status"] for r in records) == {"done": 6, "failed": 1}
        assert records[-1]["row"] == "wild" and "NonFiniteError" in records[-1]["error"]
        found[name] = [r.get("history") for r in records]
    assert found["threads"] == found["own"]
    # A BLAS with another number of threads rounds differently.
    for one, other in zip(found["threads"][:-1], found["processes"][:-1], strict=True):
        assert one[0]["loss"] == pytest.approx(other[0]["loss"], rel=1e-4)


def test_what_is_done_is_not_done_again(tiny, tmp_path):
    out, first, second, third = tmp_path / "r.jsonl", Patient(), Patient(), Patient()
    ta.sweep(spec_for(tiny), out, executor=first, rows=["a*"], show_progress=False)
    before = out.read_bytes()
    records = ta.sweep(spec_for(tiny), out, executor=second, show_progress=False)
    assert (first.calls, second.calls, len(records)) == (4, 3, 7)
    assert out.read_bytes().startswith(before)
    again = ta.sweep(spec_for(tiny), out, executor=third, show_progress=False)
    assert third.calls == 0 and again == records
    retried = ta.sweep(spec_for(tiny), out, executor=third, retry_failed=True, show_progress=False)
    assert third.calls == 1 and retried[-1]["status"] == "failed"
    assert len(lines(out)) == 8


def test_runs_that_begin_with_one_dense_network_are_done_one_after_another(tiny, tmp_path):
    fitted = {"dense": {"epochs": 1}, "encode": {"fc1": {"each": [1, 2, 3]}}, "epochs": 0}
    spec = spec_for(
        tiny, seeds=4, rows={"plain": {"seeds": 1}, "fitted": fitted, "last": {"clip": 1.0}}
    )
    sweep_run._trained_dense.cache_clear()
    out, executor = tmp_path / "r.jsonl", Patient()
    records = ta.sweep(spec, out, executor=executor, show_progress=False)
    assert executor.seeds == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 0, 1, 2, 3]
    assert sweep_run._trained_dense.cache_info().misses == 4  # of 12 runs
    assert [run_key(r["config"], r["seed"]) for r in records] == [
        run.key for run in read_spec(spec).runs
    ]


def test_results_on_other_data_of_the_same_name_are_refused_before_anything_runs(tiny, tmp_path):
    out, executor = tmp_path / "r.jsonl", Patient()
    sweep_run.loaded.cache_clear()
    ta.sweep(spec_for(tiny), out, executor=executor, rows=["wild"], show_progress=False)
    (first,) = lines(out)
    assert first["status"] == "failed" and first["data"]["name"] == tiny
    before, done = out.read_bytes(), executor.calls
    file = Path(tiny, "train-images-idx3-ubyte")
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    sweep_run.loaded.cache_clear()
    now = ta.load_data(tiny).identity()
    with pytest.raises(TinyADTNError) as refusal:
        ta.sweep(spec_for(tiny), out, executor=executor, show_progress=False)
    for data in (first["data"], now):
        assert f"(SHA-256 {data['all_sha256'][:8]}…)" in str(refusal.value)
    assert f"{out}: has runs on data {tiny}" in str(refusal.value) and "--out" in str(refusal.value)
    assert executor.calls == done and out.read_bytes() == before
    # Records of other data, and those from before data were recorded, are no reason to refuse.
    del first["data"]
    other = {**first, "seed": 7, "data": {"name": "other", "images": 1, "sha256": "…"}}
    out.write_text(json.dumps(first) + "\n" + json.dumps(other) + "\n")
    ta.sweep(spec_for(tiny), out, executor=executor, show_progress=False)
    assert executor.calls == done + 6 and lines(out)[-1]["data"] == now


@pytest.mark.parametrize("split", ["train", "t10k"])
def test_results_with_other_test_images_are_refused_and_old_ones_are_compared(
    split, tiny, tmp_path
):
    out, executor = tmp_path / "r.jsonl", Patient()
    spec = spec_for(tiny, epochs=0, rows={"dense": {}})
    ta.sweep(spec, out, executor=executor, show_progress=False)
    whole, old = out.read_text(), []
    for line in lines(out):  # as they were when only the training images had a hash
        del line["data"]["all_sha256"]
        old.append(json.dumps(line) + "\n")
    file = Path(tiny, f"{split}-images-idx3-ubyte")
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    for text, noticed in ((whole, True), ("".join(old), split == "train")):
        out.write_text(text)
        with (
            contextlib.nullcontext()
            if not noticed
            else pytest.raises(TinyADTNError, match=f"has runs on data {re.escape(tiny)}")
        ):
            ta.sweep(spec, out, executor=executor, show_progress=False)
    assert executor.calls == 2


def test_another_dense_network_of_the_same_name_is_refused(tiny, tmp_path):
    network, out = tmp_path / "dense.npz", tmp_path / "r.jsonl"
    spec = spec_for(tiny, epochs=0, rows={"dense": {"dense": str(network)}})
    ta.save(network, ta.models.fc2(rng=0))
    executor = Patient()
    records = ta.sweep(spec, out, executor=executor, show_progress=False)
    assert len({record["dense_sha256"] for record in records}) == 1
    before = out.read_bytes()
    ta.save(network, ta.models.fc2(rng=0))  # the same network in another file
    assert ta.sweep(spec, out, executor=executor, show_progress=False) == records
    ta.save(network, ta.models.fc2(rng=1))
    for seeds in (2, 3):
        with pytest.raises(
            TinyADTNError, match=r"has runs on dense .*dense.npz .*something else.*--out"
        ):
            ta.sweep({**spec, "seeds": seeds}, out, executor=executor, show_progress=False)
    assert out.read_bytes() == before and executor.calls == 2
    # Records from before the hash was stored count as done, and are not compared.
    old = [{k: v for k, v in line.items() if k != "dense_sha256"} for line in lines(out)]
    out.write_text("".join(json.dumps(line) + "\n" for line in old))
    records = ta.sweep(spec, out, executor=executor, show_progress=False)
    assert records == sorted(old, key=lambda line: line["seed"]) and executor.calls == 2


@pytest.mark.parametrize("kind", ["threads", "own", "fork", "spawn"])
def test_data_that_change_between_two_sweeps_of_one_process_are_the_new_ones(tiny, tmp_path, kind):
    """Also where the workers live longer than a sweep and remember what they read."""
    with contextlib.ExitStack() as stack:
        if kind in ("fork", "spawn"):
            context = multiprocessing.get_context(kind)
            executor = stack.enter_context(ProcessPoolExecutor(1, mp_context=context))
        else:
            executor = Patient() if kind == "own" else stack.enter_context(ThreadPoolExecutor(1))
        found = []
        for number in range(2):
            (record,) = ta.sweep(
                spec_for(tiny, seeds=1, rows={"dense": {}}), tmp_path / f"{number}.jsonl",
                executor=executor, show_progress=False,
            )  # fmt: skip
            assert record["status"] == "done", record
            assert record["data"]["sha256"] == ta.load_data(tiny).identity()["sha256"]
            found.append([epoch["loss"] for epoch in record["history"]])
            file = Path(tiny, "train-labels-idx1-ubyte")
            content = file.read_bytes()
            file.write_bytes(content[:8] + content[8:][::-1])
    assert found[0] != found[1]


def test_paths_in_a_spec_begin_at_its_folder(tiny, tmp_path, monkeypatch):
    folder, elsewhere = tmp_path / "study", tmp_path / "elsewhere"
    elsewhere.mkdir()
    Path(tiny).rename(tmp_path / "data")
    folder.mkdir()
    ta.save(folder / "dense.npz", ta.models.fc2(rng=0))
    (folder / "study.toml").write_text(
        "network = 'fc2'\ndata = '../data'\nepochs = 0\n[rows.a]\ndense = 'dense.npz'\n"
    )
    for place, path in ((elsewhere, "../study/study.toml"), (folder, "study.toml")):
        monkeypatch.chdir(place)
        (record,) = ta.sweep(path, tmp_path / f"{place.name}.jsonl", show_progress=False)
        assert record["status"] == "done"
        assert record["config"]["data"] == record["data"]["name"] == "../data"
        assert record["config"]["dense"] == "dense.npz"
    for name in ("dense.npz", "../data"):
        (folder / name).rename(tmp_path / "away")
        with pytest.raises(TinyADTNError, match=re.escape(f"study.toml: a: {folder / name}: ")):
            ta.sweep(folder / "study.toml", tmp_path / "r.jsonl", show_progress=False)
        (tmp_path / "away").rename(folder / name)


def test_a_results_file_that_is_replaced_while_a_sweep_runs_has_all_in_the_end(tiny, tmp_path):
    out, replaced = tmp_path / "r.jsonl", []

    class Replacing(ThreadPoolExecutor):
        def submit(self, function, /, *arguments, **options):
            def do():
                result = function(*arguments, **options)
                if not replaced and has_lines(out, 2):
                    (tmp_path / "other").write_text("")
                    (tmp_path / "other").replace(out)
                    replaced.append(True)
                return result

            return super().submit(do)

    with Replacing(1) as executor:
        ta.sweep(spec_for(tiny, seeds=3), out, executor=executor, show_progress=False)
    assert replaced and keys(out) == planned(spec_for(tiny, seeds=3))


def test_an_executor_in_trouble_is_told_from_a_run_that_fails(tiny, tmp_path):
    class Troubled(Patient):
        def submit(self, function, /, *arguments, **options):
            future = super().submit(function, *arguments, **options)
            if self.calls in (2, 3):
                future = Future()
                future.set_exception(ConnectionError("the cluster is away"))
            return future

    out = tmp_path / "r.jsonl"
    with pytest.raises(TinyADTNError, match=r"2 runs were not done.*ConnectionError.*goes on"):
        ta.sweep(spec_for(tiny), out, executor=Troubled(), show_progress=False)
    assert len(lines(out)) == 5
    ta.sweep(spec_for(tiny), out, executor=Patient(), show_progress=False)
    assert keys(out) == planned(spec_for(tiny))


def test_a_cluster_without_workers_is_waited_for_with_a_word(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_workers, "LOOK_SECONDS", 0.05)
    workers, waiting = {}, []

    class Empty(Patient):
        """Does nothing until there is a worker: as a Dask cluster does."""

        _client = SimpleNamespace(
            scheduler_info=lambda: {"workers": workers, "address": "tcp://here:1"}
        )

        def submit(self, function, /, *arguments, **options):
            future = Future()
            waiting.append((future, super().submit(function, *arguments, **options)))
            return future

    def warned(message, **_):
        workers["one"] = {}
        for future, done in waiting:
            future.set_result(done.result())
        words.append(message)

    words = []
    monkeypatch.setattr(sweep_workers.warnings, "warn", warned)
    out = tmp_path / "r.jsonl"
    records = ta.sweep(spec_for(tiny), out, executor=Empty(), rows=["wild"], show_progress=False)
    assert len(records) == 1
    assert words == [
        "this Dask cluster has no worker, so the sweep waits for one: start it with "
        "`dask worker tcp://here:1`"
    ]


def test_a_run_that_dask_gives_up_counts_as_failed(tiny, tmp_path):
    KilledWorker = type("KilledWorker", (Exception,), {})  # noqa: N806 - Dask need not be there

    class Deadly(Patient):
        def submit(self, function, /, *arguments, **options):
            future = Future()
            future.set_exception(KilledWorker("four of them"))
            return future

    records = ta.sweep(
        spec_for(tiny), tmp_path / "r.jsonl", executor=Deadly(), rows=["wild"], show_progress=False
    )
    assert [r["error"] for r in records] == ["KilledWorker: four of them"]


def test_a_sweep_on_the_gpu_has_one_worker_unless_more_are_asked_for(
    tiny, tmp_path, monkeypatch, cuda
):
    asked = []

    def on_processes(runs, device, workers, blas_threads):
        asked.append((device, workers))
        yield from ((run, sweep_run.run_one(run.config, run.seed, device)) for run in runs)

    monkeypatch.setattr(sys.modules["tinyadtn.studies.sweep"], "on_processes", on_processes)
    monkeypatch.setattr(sys.modules["tinyadtn.studies.sweep"], "cores", lambda: 5)
    ways = [("cpu", None), ("cuda", None), ("cuda", 3)]
    for device, workers in ways:
        out = tmp_path / f"{device}-{workers}.jsonl"
        records = ta.sweep(
            spec_for(tiny), out, rows=["adtn"], device=device, workers=workers, show_progress=False
        )
        assert [(r["status"], r["device"]) for r in records] == [("done", device)] * 4
    assert asked == [("cpu", 4), ("cuda", 1), ("cuda", 3)]


def test_an_executor_is_told_the_device_and_its_workers_say_whether_they_have_it(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "cupy", None)
    out, options = tmp_path / "r.jsonl", {"device": "cuda", "show_progress": False}
    with pytest.raises(DeviceError, match="needs CuPy"):
        ta.sweep(spec_for(tiny), out, **options)
    assert not out.exists()
    records = ta.sweep(spec_for(tiny), out, executor=Patient(), rows=["adtn"], **options)
    assert all(r["error"].startswith('DeviceError: device "cuda" needs CuPy') for r in records)


def test_settings_that_cannot_be(tiny, tmp_path, monkeypatch):
    out = tmp_path / "r.jsonl"
    with pytest.raises(TinyADTNError, match="an executor has workers of its own"):
        ta.sweep(spec_for(tiny), out, executor=Patient(), workers=2)
    with pytest.raises(TinyADTNError, match="name a file for the results"):
        ta.sweep(spec_for(tiny))
    bad = spec_for(tiny, rows={"fine": {}, "bad": {"encode": {"fc9": 1}}})
    with pytest.raises(TinyADTNError, match=r"spec: bad: no layer matches 'fc9'"):
        ta.sweep(bad, out, executor=Patient())
    # `tinyadtn.sweep` names the function, so the module is asked for by its name.
    monkeypatch.setattr(sys.modules["tinyadtn.studies.sweep"], "memory_limit", lambda: 30 * 2**20)
    with pytest.raises(
        SizeLimitError, match=r"7 workers may take .*use workers=\d, on .*--workers"
    ):
        ta.sweep(spec_for(tiny), out, workers=99)
    assert not out.exists()


def test_what_is_counted_is_a_layer_of_some_row(tiny, tmp_path):
    content = spec_for(tiny, count=["fc1", "nolayer"])
    with pytest.raises(TinyADTNError, match=r"count: no row has 'nolayer' \(there is fc1, fc2\)"):
        ta.sweep(content, tmp_path / "r.jsonl", executor=Patient())
    assert preview(read_spec(content, rows=["dense"]))  # another row may have it


@pytest.mark.parametrize("option", ["activation", "start"])
def test_an_error_of_any_kind_names_the_spec_the_row_and_the_layer(tiny, option):
    wall = {"encoding": "ADTN", option: "x"}
    content = spec_for(tiny, rows={"dense": {}, "odd": {"encode": {"fc1": wall}}})
    with pytest.raises(TinyADTNError, match=rf"spec: odd: fc1: {option} must be .* got 'x'"):
        preview(read_spec(content))


def test_two_sweeps_on_one_file_are_refused(tiny, tmp_path):
    out = tmp_path / "r.jsonl"
    with ResultsFile(out), pytest.raises(TinyADTNError, match="another sweep is writing"):
        ta.sweep(spec_for(tiny), out, executor=Patient(), show_progress=False)


def test_a_spec_from_a_file_has_its_results_beside_it(tiny, tmp_path, capsys):
    path = tmp_path / "study.toml"
    path.write_text(
        f'network = "fc2"\ndata = {json.dumps(tiny)}\nepochs = 1\nseeds = 2\n[rows.dense]\n'
    )
    ta.sweep(path, executor=Patient())
    assert ": validation" in capsys.readouterr().err
    out = tmp_path / "study.jsonl"
    out.write_bytes(out.read_bytes()[:-30])
    ta.sweep(path, executor=Patient(), show_progress=False)
    assert "its last line was torn" in capsys.readouterr().out
    assert len(keys(out)) == 2


# --- processes -----------------------------------------------------------------------------------


def test_workers_have_as_many_blas_threads_as_said_and_the_parent_keeps_its_own(tiny, tmp_path):
    before = os.environ.get("OPENBLAS_NUM_THREADS")
    for asked, expected in ((None, "1"), (2, "2")):
        out = tmp_path / f"{asked}.jsonl"
        (record,) = ta.sweep(
            spec_for(tiny), out, rows=["wild"], blas_threads=asked, show_progress=False
        )
        assert record["versions"]["blas_threads"] == expected
    assert os.environ.get("OPENBLAS_NUM_THREADS") == before


def test_workers_leave_ctrl_c_to_their_parent():
    with sweep_workers._pool(1, 1) as pool:
        assert pool.submit(signal.getsignal, signal.SIGINT).result() == signal.SIG_IGN


def test_a_worker_killed_in_the_middle_loses_no_run(tiny, tmp_path):
    spec, out, killed = slow_spec(tiny), tmp_path / "r.jsonl", []

    def kill_one():
        wait_until(lambda: has_lines(out))
        victim = multiprocessing.active_children()[0]
        killed.append(victim.pid)
        os.kill(victim.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    records = ta.sweep(spec, out, workers=2, show_progress=False)
    killer.join()
    assert killed and keys(out) == planned(spec)
    assert all(record["status"] == "done" for record in records)


def dies_with_seed_1(config, seed, device):
    """What stands in for ``run_one``: in the worker, where it is looked up by its name."""
    if seed == 1:
        os._exit(3)
    time.sleep(0.05)
    return {"status": "done", "validation": 0.5, "test": 0.5}


def test_a_run_that_takes_its_worker_with_it_every_time_counts_as_failed(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.setattr(sweep_workers, "run_one", dies_with_seed_1)
    out = tmp_path / "r.jsonl"
    records = ta.sweep(slow_spec(tiny, seeds=4), out, workers=2, show_progress=False)
    assert [record["status"] for record in records] == ["done", "failed", "done", "done"]
    assert "its process died twice" in records[1]["error"]
    assert len(lines(out)) == 4


def test_a_script_without_a_guard_is_told_what_to_do(tiny, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"import tinyadtn as ta\nta.sweep({spec_for(tiny)!r}, {str(tmp_path / 'r.jsonl')!r})\n"
    )
    end = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=120, env=ENVIRONMENT
    )
    assert end.returncode != 0
    assert 'call ta.sweep under `if __name__ == "__main__":`' in end.stderr


# --- kills and signals, from outside -------------------------------------------------------------


def children_of(pid):
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True).stdout
    pairs = [tuple(map(int, line.split())) for line in table.splitlines()]
    return [child for child, parent in pairs if parent == pid]


def is_alive(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        state = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True
        )
        return state.stdout.strip()[:1] not in ("", "Z")
    return False


@pytest.fixture
def study(tiny, tmp_path):
    """A spec in a file, and its results, of runs that take a while."""
    path = tmp_path / "study.toml"
    path.write_text(
        "network = {name = 'fc2', hidden = 16}\n"
        f"data = {json.dumps(tiny)}\nepochs = 30\nbatch_size = 5\nseeds = 6\n"
        "[rows.dense]\n"
    )
    return path, tmp_path / "study.jsonl"


def command(path):
    return [sys.executable, "-m", "tinyadtn", "sweep", str(path), "--workers", "2", "--quiet"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_sweep_that_is_stopped_goes_on_where_it_was(study, number):
    path, out = study
    process = subprocess.Popen(
        command(path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=ENVIRONMENT,
    )
    wait_until(lambda: has_lines(out) or process.poll() is not None)
    workers = children_of(process.pid)
    if number == signal.SIGINT:  # a terminal sends Ctrl-C to the workers, too
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    told, wrong = process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130), wrong
    wait_until(lambda: not any(map(is_alive, workers)), 20)  # nobody is left at work
    done = out.read_bytes()
    assert len(workers) >= 2 and 1 <= len(lines(out)) < 6
    if number != signal.SIGKILL:
        assert f"stopped: {len(lines(out))} of 6 runs are in {out}" in told
        assert f"sweep {shlex.quote(str(path))} --workers 2" in told
        assert "Traceback" not in wrong
    end = subprocess.run(
        command(path), capture_output=True, text=True, timeout=120, env=ENVIRONMENT
    )
    assert end.returncode == 0, end.stderr
    assert out.read_bytes().startswith(done[: done.rfind(b"\n") + 1])
    assert keys(out) == sorted(run.key for run in read_spec(path).runs)


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("", r"file or folder is empty; name one"),
        ("~/r.jsonl", r"^~/r\.jsonl: ~ is not replaced; give os\.path\.expanduser\('~/r\.jsonl'\)"),
    ],
)
def test_a_name_that_python_would_take_literally_is_rejected(out, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TinyADTNError, match=says):
        ta.sweep({"network": "fc2", "epochs": 1, "rows": {"dense": {}}}, out)
    assert list(tmp_path.iterdir()) == []
