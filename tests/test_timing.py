"""Timing: which columns there are; what they hold is the machine's business."""

import re

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.cli.main import main
from tinyadtn.compression import timing
from tinyadtn.compression.timing import timings
from tinyadtn.errors import GraphError, SizeLimitError, TinyADTNError


@pytest.fixture(autouse=True)
def briefly(monkeypatch):
    monkeypatch.setattr(timing, "SECONDS", 0.0)


@pytest.fixture
def model():
    spec = {"conv2": ta.LowRank.like(2), "fc1": 1, "fc2": 2}
    return ta.compress(ta.models.lenet5(rng=0), spec, rng=0)


def test_every_encoded_layer_is_timed_and_the_decoded_one_says_so(model):
    rows = list(timings(model, 5))
    assert [row.name for row in rows] == ["conv2", "fc1", "fc2"]
    assert [row.decode_free is None for row in rows] == [False, False, True]
    assert all(min(row.dense, row.decode, row.cached) > 0 for row in rows)


def test_each_column_times_what_it_says(model, monkeypatch):
    """By what is called: a decoded layer decodes in no column but its own."""
    calls, monitored = [], []
    decode, factors = ta.ADTN.decode, ta.ADTN.factors
    monkeypatch.setattr(ta.ADTN, "decode", lambda self: calls.append("decode") or decode(self))
    monkeypatch.setattr(
        ta.ADTN, "factors", lambda self, *a: calls.append("factors") or factors(self, *a)
    )

    def watched(call):
        calls.clear()
        call()
        monitored.append(list(calls))
        return 1.0

    monkeypatch.setattr(timing, "_milliseconds", watched)
    row = list(timings(model, 5))[1]
    dense, decoded, cached, free = monitored[4:8]
    assert (dense, decoded, cached, free) == ([], ["decode"], [], ["factors"])
    assert row.cells() == ["fc1", "1.000", "1.000", "1.000", "1.000"]


def test_a_report_has_the_second_table_only_when_asked(model):
    plain, timed = str(ta.report(model)), str(ta.report(model, timing=True, batch_size=3))
    assert timed.startswith(plain + "\n\n")
    head, *rows = timed[len(plain) :].strip().splitlines()
    assert head.split() == ["ms,", "batch", "3", "dense", "decode", "cached", "decode-free"]
    assert [row.split()[0] for row in rows] == ["conv2", "fc1", "fc2"]
    assert rows[2].split()[-1] == "–"
    assert all(re.fullmatch(r"[\d.e+-]+", cell) for row in rows for cell in row.split()[1:4])


def test_the_command_line_times_a_checkpoint(model, tmp_path, capsys):
    ta.save(tmp_path / "model.npz", model)
    assert main(["report", str(tmp_path / "model.npz"), "--timing", "--batch-size", "2"]) == 0
    assert "ms, batch 2" in capsys.readouterr().out
    assert main(["report", str(tmp_path / "model.npz")]) == 0
    assert "ms, batch" not in capsys.readouterr().out


def test_a_network_in_a_network_is_timed_too():
    block = ta.Sequential(fc1=ta.Linear(6, 8, rng=0), fc2=ta.Linear(8, 8, rng=0))
    model = ta.Sequential(block=block, out=ta.Linear(8, 4, rng=0))
    for layer in (block.fc1, block.fc2, model.out):
        layer.weight = ta.LowRank(layer.weight.shape, 1, rng=0)
    rows = list(timings(model, 2, image=(6,)))
    assert [row.name for row in rows] == ["block.fc1", "block.fc2", "out"]
    assert "block.fc2" in str(ta.report(model, timing=True, image=(6,))).split("ms, batch")[1]


def test_without_an_encoded_layer_the_second_table_says_so():
    told = str(ta.report(ta.models.fc2(rng=0), timing=True))
    assert told.splitlines()[-1] == "no encoded layer of a Sequential to time"
    assert "to time" not in str(ta.report(ta.models.fc2(rng=0)))


def test_what_decoded_gave_is_not_timed(model):
    with (
        ta.decoded(model) as ready,
        pytest.raises(TinyADTNError, match="the model that decoded was given"),
    ):
        list(timings(ready, 2))


def test_a_batch_that_no_memory_holds_is_refused(monkeypatch):
    model = ta.compress(ta.models.fc2(hidden=16, rng=0), {"fc1": 1}, rng=0)
    monkeypatch.setattr(
        "tinyadtn.limits.memory_limit", lambda: 4 * 10 * (784 + 16)
    )  # floats, in and out
    assert len(list(timings(model, 10))) == 1
    with pytest.raises(SizeLimitError, match=r"fc1: a batch of 11 images .* time a smaller batch"):
        list(timings(model, 11))


def test_what_cannot_be_timed_is_said():
    model = ta.Sequential(fc1=ta.Linear(6, 4, rng=0))
    model.fc1.weight = ta.LowRank((4, 6), 1, rng=0)
    with pytest.raises(TinyADTNError, match=r"image=\(c, h, w\)"):
        list(timings(model, 2))
    assert [row.name for row in timings(model, 2, image=(6,))] == ["fc1"]
    with pytest.raises(TinyADTNError, match="1 image or more, got 0"):
        list(timings(model, 0, image=(6,)))
    model.fc1.weight = ta.LowRank((4, 6), 1)
    with pytest.raises(GraphError, match="shapes only"):
        list(timings(model, 2, image=(6,)))
    assert np.isfinite(model.fc1.bias.data).all()
