"""How thorough the property tests are, and where every test finds its random numbers."""

import os
import signal
import sys

import numpy as np
import pytest
import strict_arrays
from data_files import Mirror, idx_bytes
from hypothesis import HealthCheck, settings
from hypothesis.database import InMemoryExampleDatabase

import tinyadtn as ta
from tinyadtn.data import fetching

# In the background of a shell (`nohup make test &`) SIGINT is ignored, and children inherit that.
# A handler of Python's, even one that does nothing, is not inherited: they get the default.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

if not os.access(".", os.W_OK):  # a read-only tree has no place for Hypothesis' examples
    settings.register_profile("default", database=InMemoryExampleDatabase())
    settings.load_profile("default")

SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile(
    "ci",
    max_examples=60,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=SLOW_IS_FINE,
)
settings.register_profile(
    "deep", max_examples=1000, deadline=None, suppress_health_check=SLOW_IS_FINE
)
settings.load_profile(
    os.environ.get("TINYADTN_HYPOTHESIS") or ("ci" if os.environ.get("CI") else "dev")
)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that every test starts afresh, so that no test depends on another."""
    return np.random.default_rng(20240607)


@pytest.fixture
def empty_home(tmp_path, monkeypatch):
    """No test sees the machine's own data, and none reaches past this machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TINYADTN_DATA", raising=False)
    monkeypatch.setattr(fetching, "RETRIES", 0)  # pooch waits a second before each
    for variable in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    return tmp_path / "cache" / "tinyadtn"


@pytest.fixture
def mirror():
    """A server on this machine."""
    mirror = Mirror()
    yield mirror
    mirror.close()


@pytest.fixture
def no_network(monkeypatch):
    """Whatever asks for a download fails the test."""

    def download(url, path):
        raise AssertionError(f"{url} was asked for")

    monkeypatch.setattr(fetching, "_download", download)


@pytest.fixture
def tiny(tmp_path):
    """A folder of IDX files with few enough digits for a test."""
    data = ta.load_data("mnist-5k")
    folder = tmp_path / "digits"
    folder.mkdir()
    for split, name in ((data.train, "train"), (data.test, "t10k")):
        images = np.uint8(255 * split.images[:200, 0] + 0.5)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx_bytes(np.uint8(split.labels[:200])))
    return str(folder)


@pytest.fixture
def cuda(monkeypatch):
    """The module behind device "cuda": a strict stand-in, or CuPy itself with TINYADTN_GPU=1."""
    if os.environ.get("TINYADTN_GPU"):
        import cupy

        return cupy
    strict_arrays.traffic.clear()
    monkeypatch.setitem(sys.modules, "cupy", strict_arrays)
    return strict_arrays
