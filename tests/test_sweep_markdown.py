"""The table of a sweep in Markdown, and one with an option's values side by side."""

import pytest
from test_sweep_table import NETWORK, ROWS, STORED, recorded

from tinyadtn.errors import TinyADTNError
from tinyadtn.studies.spec import read_spec
from tinyadtn.studies.table import pivot_table, table

DEPTHS = {"encode": {"fc1": {"encoding": "ADTN", "depth": {"each": [1, 2]}}}}


def spec_of(rows, **options):
    return read_spec({**NETWORK, **options, "rows": rows})


def cells(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def test_the_same_cells_as_the_plain_table():
    spec = spec_of(ROWS)
    records = recorded(spec)
    head, rule, *rows = cells(table(spec, records, markdown=True))
    plain = table(spec, records).splitlines()
    assert head == ["", "runs", "encoded", "whole model", "validation", "test"]
    assert rule == ["---", *["---:"] * 5]
    assert [" ".join(row).split() for row in rows] == [line.split() for line in plain[1:]]


def test_a_bar_in_a_name_does_not_end_its_cell():
    spec = spec_of({"a|b": {}, "plain": {"batch_size": 50}})
    _, _, barred, plain = table(spec, recorded(spec), markdown=True).splitlines()
    assert barred.startswith(r"| a\|b | 2 |")
    assert barred.replace(r"\|", "").count("|") == plain.count("|")


def test_digits_after_the_point():
    spec = spec_of({"dense": {}})
    _, _, row = cells(table(spec, recorded(spec), digits=0, markdown=True))
    assert row[-2:] == ["92 ± 1 %", "90 ± 1 %"]


def test_one_option_side_by_side():
    spec = spec_of({"dense": {}, "wall": DEPTHS, "deep": {"encode": {"fc1": 3}}})
    records = recorded(spec, lambda run: 0.9 + run.seed / 100 + len(run.row) / 1000)
    records[spec.runs[2].key] |= STORED["adtn fc1=1"]
    assert cells(pivot_table(spec, records, "depth", digits=1)) == [
        ["", "depth 1", "depth 2", "depth 3", "–"],
        ["---", "---:", "---:", "---:", "---:"],
        ["dense", "", "", "", "91.0 ± 0.7"],
        ["wall", "164: 90.9 ± 0.7", "436: 90.9 ± 0.7", "", ""],
        ["deep", "", "", "436: 90.9 ± 0.7", ""],
    ]
    validation = cells(pivot_table(spec, records, "depth", digits=1, split="validation"))
    assert validation[2][-1] == "92.0 ± 0.7"
    del records[spec.runs[0].key]
    assert cells(pivot_table(spec, records, "depth", digits=1))[2][-1] == "91.5 (1 of 2)"
    nothing = cells(pivot_table(spec, {}, "depth"))
    assert nothing[3] == ["wall", "–", "(0 of 2)", "(0 of 2)", "", ""]


def test_values_stand_by_size_and_what_failed_is_told():
    wild = {"encode": {"fc1": 1}, "batch_size": 50, "epochs": {"each": [16, 8]}}
    spec = spec_of({"a": {"encode": {"fc1": 1}, "epochs": {"each": [2, 16]}}, "wild": wild})
    records = recorded(spec)
    for run in spec.runs[4:]:
        records[run.key] = {**records[run.key], "status": "failed", "error": "NonFiniteError"}
    head, _, a, wild = cells(pivot_table(spec, records, "epochs", digits=0))
    assert head[-3:] == ["epochs 2", "epochs 8", "epochs 16"]
    assert a[-2] == "" and wild[-3:] == ["", *["(0 of 2, 2 failed)"] * 2]


def test_what_is_chosen_whole_and_a_network_by_its_name():
    spec = spec_of(
        {"a": {"network": {"each": ["fc2", "lenet5"]}}, "b": {"encode": {"fc1": {"each": [1, 2]}}}}
    )
    heads = cells(pivot_table(spec, recorded(spec), "network"))[0]
    assert heads[-2:] == ["network fc2", "network lenet5"]
    heads = cells(pivot_table(spec_of(ROWS), recorded(spec_of(ROWS)), "fc1"))[0]
    assert heads[1:] == ["fc1 1", "fc1 2", "fc1 {encoding=Frozen}", "–"]


def test_the_best_rate_of_a_cell_is_chosen_on_validation():
    spec = spec_of({"wall": {**DEPTHS, "learning_rate": {"each": [1e-3, 1e-2]}}})
    records = recorded(spec, lambda run: run.config["learning_rate"] * 50)
    rates = cells(pivot_table(spec, records, "depth", digits=0))
    assert [row[0] for row in rates[2:]] == [f"wall learning_rate={x}" for x in (0.001, 0.01)]
    _, _, row = cells(pivot_table(spec, records, "depth", best=True, digits=0))
    assert row == ["wall", "436", "50 ± 0", "50 ± 0"]  # one number for both, in its own column


def test_two_rows_in_one_cell_are_refused():
    wall = {"encoding": "ADTN", "depth": {"each": [1, 2]}}
    layers = {"encode": {"fc1": wall, "fc2": wall, "fc3": wall}}
    spec = spec_of({"wall": layers}, network="lenet5")  # 1, 1, 2 and 1, 2, 2 are both "1, 2"
    with pytest.raises(TinyADTNError, match="differ in more than depth"):
        pivot_table(spec, recorded(spec), "depth")


def test_the_rate_of_the_dense_network_is_not_the_one_that_best_chooses():
    dense = {"epochs": 1, "learning_rate": {"each": [1e-3, 1e-2]}}
    spec = spec_of({"wall": {**DEPTHS, "dense": dense}})
    rows = cells(pivot_table(spec, recorded(spec), "depth", best=True))[2:]
    assert [row[0] for row in rows] == [f"wall dense.learning_rate={x}" for x in (0.001, 0.01)]


@pytest.mark.parametrize(
    "key, message",
    [
        ("depht", r"no two of its rows differ in it; did you mean depth\? \(it varies depth\)"),
        ("epochs", r"no two of its rows differ in it.*\(it varies depth\)"),
    ],
)
def test_an_option_that_nothing_varies_is_refused(key, message):
    spec = spec_of({"wall": DEPTHS})
    with pytest.raises(TinyADTNError, match=message):
        pivot_table(spec, recorded(spec), key)
