"""How much memory the machine, or the container, has, and how much a file may take of it."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinyadtn.errors import SizeLimitError
from tinyadtn.limits import ALWAYS, GROWTH, memory_limit, most_from, require_memory

MEMINFO = Path("/proc/meminfo")


@pytest.mark.skipif(not MEMINFO.exists(), reason="only Linux tells its memory there")
def test_the_memory_limit_is_not_beyond_the_machine(monkeypatch, tmp_path):
    monkeypatch.setattr("tinyadtn.limits.CONTAINER", tmp_path)
    total = int(MEMINFO.read_text().split()[1]) * 1024
    assert total / 2 < memory_limit() < total


@pytest.mark.parametrize("file", ["memory.max", "memory/memory.limit_in_bytes"])
def test_the_memory_limit_is_not_beyond_the_container(file, monkeypatch, tmp_path):
    monkeypatch.setattr("tinyadtn.limits.CONTAINER", tmp_path / "none")
    machine = memory_limit()
    (tmp_path / "memory").mkdir()
    (tmp_path / file).write_text("max\n")
    monkeypatch.setattr("tinyadtn.limits.CONTAINER", tmp_path)
    assert memory_limit() == machine
    (tmp_path / file).write_text("4000000\n")
    assert memory_limit() == 3_000_000


@pytest.mark.parametrize(
    ("entry", "file"),
    [("0::/job/step", "job/memory.max"), ("4:memory:/job", "memory/job/memory.limit_in_bytes")],
)
def test_the_memory_limit_is_not_beyond_a_job_of_a_cluster(entry, file, monkeypatch, tmp_path):
    """The limit may be that of a parent of the process's control group."""
    (tmp_path / "groups").write_text(f"9:name=systemd:/else\n{entry}\n")
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(f"{2**20}\n")
    monkeypatch.setattr("tinyadtn.limits.CONTAINER", tmp_path)
    monkeypatch.setattr("tinyadtn.limits.GROUPS", tmp_path / "groups")
    assert memory_limit() == 2**20 * 3 // 4


def test_a_process_that_may_not_read_its_control_groups_has_the_limit_of_the_machine(
    monkeypatch, tmp_path
):
    def reject(path, *_, **__):
        raise PermissionError(path)

    monkeypatch.setattr("tinyadtn.limits.CONTAINER", tmp_path)
    before = memory_limit()
    monkeypatch.setattr("tinyadtn.limits.GROUPS", tmp_path / "groups")
    (tmp_path / "groups").write_text("0::/job")
    monkeypatch.setattr(type(tmp_path), "read_text", reject)
    assert memory_limit() == before


def test_the_memory_limit_is_not_beyond_that_of_the_shell():
    resource = pytest.importorskip("resource")
    code = "from tinyadtn.limits import memory_limit; print(memory_limit())"
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32)),
    )
    assert int(found.stdout) <= 2**32 * 3 // 4


def test_what_does_not_fit_in_memory_is_refused_with_the_way_out(monkeypatch):
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: 3_000_000)
    require_memory("a weight", 3_000_000, "use less")
    says = r"^a weight needs 3,000,001 bytes, and 3,000,000 bytes, three quarters .*; use less$"
    with pytest.raises(SizeLimitError, match=says):
        require_memory("a weight", 3_000_001, "use less")


def most_of(path):
    with path.open("rb") as file:
        file.read(10)
        most = most_from(file.fileno())
        assert file.read(10) == path.read_bytes()[10:20]  # where it was before
        return most


@pytest.mark.parametrize("error", [None, AttributeError(), OSError(22, "Invalid argument")])
def test_a_file_may_become_so_many_times_its_size(tmp_path, monkeypatch, error):
    """Also where the system does not know of holes, or not how many blocks are written."""
    if error is not None:
        plain = os.lseek

        def lseek(handle, place, how):
            if how in (os.SEEK_DATA, os.SEEK_HOLE):
                raise error
            return plain(handle, place, how)

        monkeypatch.setattr(os, "lseek", lseek)
    for size in (20, 5000, 10**6):
        (tmp_path / "file").write_bytes(bytes(size))
        assert most_of(tmp_path / "file") == ALWAYS + GROWTH * size


def test_holes_do_not_count(tmp_path):
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(b"x" * 5000)
        file.seek(2**30)
        file.write(b"x" * 5000)
        file.truncate(2**31)
    if path.stat().st_blocks > 1000:
        pytest.skip("this file system has no holes")
    with path.open("rb") as file:
        most = most_from(file.fileno())
    assert ALWAYS + GROWTH * 10_000 <= most <= ALWAYS + GROWTH * 2**17


FAULTS = """
import resource, sys
import numpy as np
from tinyadtn.limits import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def use():
    return [np.ones(2**size) for size in (17, 19, 20, 21, 23)]
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc")
def test_freed_memory_is_kept_for_new_arrays():
    def faults(word):
        command = [sys.executable, "-c", FAULTS, word]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert faults("keep") < faults("return") / 10
