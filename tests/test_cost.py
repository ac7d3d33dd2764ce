"""The study of what an encoding costs: its file, its page, and that each column is what it says."""

import json
import re
import sys
from pathlib import Path

import pytest

import tinyadtn as ta

sys.path.insert(0, str(Path(__file__).parent / "bench"))

import bench_cost
import cost_table

RESULTS = json.loads(bench_cost.FILE.read_text(encoding="utf-8"))
PAGE = bench_cost.FILE.with_name("cost.md").read_text(encoding="utf-8")
NETWORKS = list(bench_cost.NETWORKS)


def rows(network):
    return {row["encoding"]: row for row in RESULTS["networks"][network]["rows"]}


def ratio(row, what):
    return row["times"][what]["times_dense"]


def without(network, *kinds):
    return [row for name, row in rows(network).items() if not name.startswith(kinds)]


# --- the file and the page -----------------------------------------------------------------------


def test_the_tables_of_the_page_are_the_file():
    assert cost_table.tables(RESULTS) in PAGE


@pytest.mark.parametrize("network", NETWORKS)
def test_what_is_counted_is_what_the_library_counts_today(network):
    assert list(rows(network)) == ["dense", *bench_cost.recipes(network)]
    for encoding, row in rows(network).items():
        model = bench_cost.model_of(network, encoding, rng=None)
        for key, value in bench_cost.counted(model).items():
            assert row[key] == value, (encoding, key)
        assert row["layers"] == json.loads(json.dumps(bench_cost.config_of(model)))
        assert row["chosen"]["batch 128"] == bench_cost.chosen(model, 128)


def test_the_counts_by_hand():
    vgg, fc2 = rows("VGG-16"), rows("FC-2")
    assert vgg["ADTN M=1"]["stored"] == 424
    assert vgg["dense"]["apply"] == vgg["dense"]["stored"] == 512 * 4096 + 4096 * 4096
    assert fc2["low rank r=1"]["apply"] == fc2["low rank r=1"]["stored"] == 256 + 784
    assert fc2["low rank r=1"]["decode"] == 256 * 784
    for network in NETWORKS:
        assert rows(network)["ADTN M=4"]["apply"] is None  # relu: no product
        assert rows(network)["ADTN M=1, output first"]["apply"] is not None


def test_a_ratio_is_that_of_the_medians_more_or_less():
    for network in NETWORKS:
        dense = rows(network)["dense"]["times"]
        for row in rows(network).values():
            for what, time in row["times"].items():
                same = dense.get(what) or dense[re.sub("decode.*", "at hand", what)]
                assert 0.4 < time["times_dense"] / (time["ms"] / same["ms"]) < 2.5, what
                low, high = time["quartiles"]
                assert low <= time["ms"] <= high


# --- what the page says beside its tables --------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS)
def test_decoding_for_one_image_never_pays(network):
    for row in without(network, "dense", "frozen"):
        assert ratio(row, "batch 1, decoded") > 1, row["encoding"]


@pytest.mark.parametrize("network", NETWORKS)
def test_depth_with_an_activation_has_the_longest_and_largest_step(network):
    deep = rows(network)["ADTN M=4"]
    for row in rows(network).values():
        assert ratio(row, "batch 128, step") <= ratio(deep, "batch 128, step"), row["encoding"]
        assert row["peak_bytes"] <= deep["peak_bytes"], row["encoding"]
    assert ratio(deep, "batch 128, step") > 1


def test_fewer_multiply_adds_need_not_be_less_time():
    dense, wall = (rows("FC-2")[name] for name in ("dense", "ADTN M=1"))
    assert wall["build"] + wall["apply"] < dense["apply"] / 2
    assert ratio(wall, "batch 1, decode-free") > 1


def test_in_large_layers_all_that_has_factors_wins_everywhere():
    for row in without("VGG-16", "dense", "frozen", "ADTN M=4"):
        said = {what: ratio(row, what) for what in row["times"] if "decoded" not in what}
        assert len(said) == 5
        assert max(said.values()) < 1, (row["encoding"], said)
        assert row["peak_bytes"] < rows("VGG-16")["dense"]["peak_bytes"] / 3


@pytest.mark.parametrize("network", NETWORKS)
def test_a_frozen_layer_saves_a_step_and_no_file(network):
    frozen, dense = rows(network)["frozen"], rows(network)["dense"]
    assert frozen["stored"] == 0
    assert frozen["npz_bytes"] >= dense["npz_bytes"]
    assert ratio(frozen, "batch 128, step") < 1
    assert frozen["peak_bytes"] < dense["peak_bytes"] / 2


def test_headers_are_half_of_a_small_file():
    shares = {
        n: 4 * rows(n)["ADTN M=1"]["stored"] / rows(n)["ADTN M=1"]["npz_bytes"] for n in NETWORKS
    }
    assert max(shares["FC-2"], shares["LeNet-5"]) < 0.5 < shares["VGG-16"]


# --- how it is measured --------------------------------------------------------------------------


def test_each_way_does_what_it_says(monkeypatch):
    """By what is called, also where the layer itself would choose another way."""
    calls = []
    decode, factors = ta.ADTN.decode, ta.ADTN.factors
    monkeypatch.setattr(ta.ADTN, "decode", lambda self: calls.append("decode") or decode(self))
    monkeypatch.setattr(
        ta.ADTN, "factors", lambda self, *a: calls.append("factors") or factors(self, *a)
    )
    model = bench_cost.model_of("LeNet-5", "ADTN M=1, output first")
    x = bench_cost.images_for("LeNet-5", 3)
    called, results = {}, []
    with ta.no_grad():
        for way, side in bench_cost.inference_sides(model, x).items():
            calls.clear()
            results.append(side().data)
            called[way] = list(calls)
    assert called == {"decoded": ["decode"] * 3, "at hand": [], "decode-free": ["factors"] * 3}
    assert all(abs(result - results[0]).max() < 1e-4 for result in results)


def test_what_cannot_go_around_decoding_has_two_ways():
    model = bench_cost.model_of("FC-2", "ADTN M=4")
    x = bench_cost.images_for("FC-2", 2)
    assert list(bench_cost.inference_sides(model, x)) == ["decoded", "at hand"]
    assert bench_cost.chosen(model, 2) == {"fc1": "decoded"}


def test_a_training_step_changes_every_trained_number():
    model = bench_cost.model_of("FC-2", "low rank r=1")
    before = {name: p.data.copy() for name, p in model.named_parameters()}
    bench_cost.training_side(model, bench_cost.images_for("FC-2", 128))()
    assert before
    assert all((p.data != before[name]).any() for name, p in model.named_parameters())


def test_the_peak_of_a_dense_step_is_weight_gradient_and_adams_two_and_not_much_more():
    weights = 4 * rows("FC-2")["dense"]["stored"]
    assert 4 * weights < bench_cost.peak_of_a_step("FC-2", "dense") < 7 * weights


# --- the table -----------------------------------------------------------------------------------


def test_digits():
    assert [cost_table.digits(x) for x in (0.01234, 1.2, 99.96, 1234.5)] == [
        *("0.0123", "1.20", "100", "1,234")
    ]


def test_slower_is_told_and_bold():
    row = {"ms": 2.0, "times_dense": 1.5, "rounds": 9}
    cell = cost_table._time(
        {"encoding": "frozen", "times": {"batch 128, step": row}}, "batch 128, step", 1
    )
    assert cell == "**2.00 (1.50×)**"
    found = dict(cost_table.slower_than_dense(RESULTS))
    assert NETWORKS[-1] == "VGG-16"
    assert "ADTN M=4" in found["a training step, batch 128"][-1]
    assert not any("dense" in said for told in found.values() for said in told)


def test_a_choice_that_is_the_slower_one_is_told():
    times = {"batch 1, decoded": {"ms": 3.0}, "batch 1, decode-free": {"ms": 2.0}}
    row = {
        "encoding": "E",
        "times": times,
        "chosen": {"batch 1": {"a": "decoded"}, "batch 128": {}},
    }
    told = {"networks": {"N": {"rows": [row]}}}
    assert list(cost_table.slower_choices(told)) == ["N, E, batch 1 (decoded, 1.50×)"]
    row["chosen"]["batch 1"]["a"] = "decode-free"
    assert list(cost_table.slower_choices(told)) == []
    row["chosen"]["batch 1"] |= {"b": "decoded"}  # one and the other: neither column is theirs
    assert list(cost_table.slower_choices(told)) == []
