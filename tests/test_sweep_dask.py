"""A sweep on a real Dask cluster of this machine, one of whose workers is killed in the middle."""

import os
import signal
import threading

import pytest
from test_sweep import has_lines, keys, planned, slow_spec, wait_until

import tinyadtn as ta
from tinyadtn.cli.main import main
from tinyadtn.errors import TinyADTNError
from tinyadtn.studies.workers import dask_executor

distributed = pytest.importorskip("distributed", reason="Dask is not installed: no cluster to try")

# Dask warns of what is its own affair: a port that is taken, a worker that was killed.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        yield cluster


def test_a_worker_killed_in_the_middle_loses_no_run(cluster, tiny, tmp_path):
    spec, out, killed = slow_spec(tiny), tmp_path / "r.jsonl", []

    def kill_one():
        wait_until(lambda: has_lines(out))
        killed.append(cluster.workers[0].pid)
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    address = cluster.scheduler_address.replace("tcp://", "dask://")
    with dask_executor(address) as executor:
        records = ta.sweep(spec, out, executor=executor, show_progress=False)
    killer.join()
    assert killed and cluster.workers[0].pid != killed[0]  # there is another in its place
    assert keys(out) == planned(spec)
    assert all(record["status"] == "done" for record in records)


def test_the_command_line_uses_a_cluster_by_its_address(cluster, tiny, tmp_path, capsys):
    path = tmp_path / "study.toml"
    path.write_text(f"data = {tiny!r}\nnetwork = 'fc2'\nepochs = 1\nseeds = 3\n[rows.dense]\n")
    address = cluster.scheduler_address.replace("tcp://", "dask://")
    assert main(["sweep", str(path), "--executor", address, "--quiet"]) == 0
    assert len(keys(tmp_path / "study.jsonl")) == 3
    assert "203,530" in capsys.readouterr().out


def test_an_address_that_is_none_and_a_scheduler_that_is_not_there(monkeypatch):
    with pytest.raises(TinyADTNError, match="an executor is dask://HOST:PORT"), dask_executor("x"):
        pass
    monkeypatch.setattr("tinyadtn.studies.workers.PATIENCE", "0.2s")
    with pytest.raises(OSError), dask_executor("dask://127.0.0.1:9"):
        pass


def test_a_scheduler_without_workers_is_refused_with_a_word(monkeypatch, tiny, tmp_path, capsys):
    monkeypatch.setattr("tinyadtn.studies.workers.PATIENCE", "1s")
    with distributed.LocalCluster(n_workers=0, dashboard_address=None, silence_logs=50) as cluster:
        address = cluster.scheduler_address.replace("tcp://", "dask://")
        (tmp_path / "s.toml").write_text(f"data = {tiny!r}\nnetwork = 'fc2'\n[rows.a]\n")
        assert main(["sweep", str(tmp_path / "s.toml"), "--executor", address, "--quiet"]) == 2
    assert f"the Dask scheduler at {address} has no worker; start some" in capsys.readouterr().err


def test_an_executor_without_workers_warns_and_goes_on_once_there_is_one(
    monkeypatch, tiny, tmp_path
):
    monkeypatch.setattr("tinyadtn.studies.workers.LOOK_SECONDS", 0.5)
    with (
        distributed.LocalCluster(
            n_workers=0, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as cluster,
        cluster.get_client() as client,
    ):
        starter = threading.Timer(2, cluster.scale, [1])
        starter.start()
        with pytest.warns(UserWarning, match="this Dask cluster has no worker"):
            records = ta.sweep(
                {"network": "fc2", "data": tiny, "epochs": 1, "rows": {"a": {}}},
                tmp_path / "r.jsonl", executor=client.get_executor(pure=False),
                show_progress=False,
            )  # fmt: skip
        starter.join()
    assert [record["status"] for record in records] == ["done"]
