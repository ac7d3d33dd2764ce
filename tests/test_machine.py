"""What the machine, or the container, is said to have."""

from pathlib import Path

import pytest

from tinyadtn.limits import memory_limit

MEMINFO = Path("/proc/meminfo")


@pytest.mark.skipif(not MEMINFO.exists(), reason="only Linux tells its memory there")
def test_the_memory_limit_is_not_beyond_the_machine(monkeypatch, tmp_path):
    monkeypatch.setattr("tinyadtn.limits.CONTAINER", tmp_path)
    total = int(MEMINFO.read_text().split()[1]) * 1024
    assert total / 2 < memory_limit() < total


@pytest.mark.parametrize("file", ["memory.max", "memory/memory.limit_in_bytes"])
def test_the_memory_limit_is_not_beyond_the_container(file, monkeypatch, tmp_path):
    monkeypatch.setattr("tinyadtn.limits.CONTAINER", tmp_path)
    machine = memory_limit()
    (tmp_path / "memory").mkdir()
    (tmp_path / file).write_text("max\n")
    assert memory_limit() == machine
    (tmp_path / file).write_text("4000000\n")
    assert memory_limit() == 3_000_000
