"""What is said of results: means and spreads by hand, what is counted, what the picture shows."""

import statistics

import pytest

from tinyadtn.draw.scatter import Point, tradeoff
from tinyadtn.errors import ShapeError, TinyADTNError
from tinyadtn.studies.spec import read_spec
from tinyadtn.studies.sweep import preview
from tinyadtn.studies.table import counted, plot, preview_table, summaries, table

NETWORK = {"network": "fc2", "seeds": 2, "epochs": 1}
ROWS = {
    "dense": {},
    "adtn": {"encode": {"fc1": {"each": [1, 2]}}},
    "frozen": {"encode": {"fc1": "Frozen"}},
}
STORED = {
    "dense": {"stored": {"fc1": 200704, "fc2": 2560}, "encoded": [], "model": 203530},
    "adtn fc1=1": {"stored": {"fc1": 164, "fc2": 2560}, "encoded": ["fc1"], "model": 2990},
    "adtn fc1=2": {"stored": {"fc1": 436, "fc2": 2560}, "encoded": ["fc1"], "model": 3262},
    "frozen": {"stored": {"fc1": 0, "fc2": 2560}, "encoded": ["fc1"], "model": 2826},
}


@pytest.fixture
def spec():
    return read_spec({**NETWORK, "rows": ROWS})


def recorded(spec, accuracy=lambda run: 0.9 + run.seed / 100):
    """Records of all runs, with a test accuracy a point below that of validation."""
    return {
        run.key: {
            "row": run.row, "config": run.config, "seed": run.seed, "status": "done",
            "validation": accuracy(run) + 0.01, "test": accuracy(run),
            **STORED.get(run.method, STORED["adtn fc1=2"]),
        }
        for run in spec.runs
    }  # fmt: skip


def test_the_table_has_mean_and_standard_deviation_of_every_row(spec):
    records = recorded(spec)
    around = f"{100 * statistics.stdev([0.9, 0.91]):.2f}"
    assert around == "0.71"
    assert table(spec, records).splitlines() == [
        "            runs  encoded  whole model      validation            test",
        "dense          2        –      203,530  91.50 ± 0.71 %  90.50 ± 0.71 %",
        "adtn fc1=1     2      164        2,990  91.50 ± 0.71 %  90.50 ± 0.71 %",
        "adtn fc1=2     2      436        3,262  91.50 ± 0.71 %  90.50 ± 0.71 %",
        "frozen         2        0        2,826  91.50 ± 0.71 %  90.50 ± 0.71 %",
    ]


def test_the_table_says_what_is_missing_and_what_failed(spec):
    records = recorded(spec)
    dense, _, adtn, other, *rest = (run.key for run in spec.runs)
    records[dense] = {**records[dense], "status": "failed", "error": "…"}
    del records[adtn], records[other], records[rest[-1]]
    lines = table(spec, records).splitlines()
    assert lines[1].split()[1:5] == ["1", "of", "2,", "1"]
    assert lines[1].split()[-4:] == ["92.00", "%", "91.00", "%"]  # one run has no spread
    assert lines[2].split() == ["adtn", "fc1=1", "0", "of", "2", "–", "–"]
    assert "1 of 2" in lines[4] and "failed" not in lines[4]


def test_runs_that_end_near_chance_are_counted_and_their_rate_is_not_chosen():
    """Two of two at 2e-2 beat the mean of 4e-2, where one run is better and one collapsed."""
    rates = {"learning_rate": {"each": [0.02, 0.04]}}
    spec = read_spec({**NETWORK, "rows": {"adtn": {"encode": {"fc1": 1}, **rates}}})
    accuracies = {(0.02, 0): 0.6, (0.02, 1): 0.62, (0.04, 0): 0.98, (0.04, 1): 0.1135}
    records = recorded(spec, lambda run: accuracies[run.config["learning_rate"], run.seed])
    lines = table(spec, records).splitlines()
    assert lines[2].split()[2:6] == ["2,", "1", "near", "chance"]
    line = table(spec, records, best=True).splitlines()[1]
    assert line.endswith("0.02 of 0.02, 0.04 (2, 1 near chance)")
    hundred = {key: {**record, "classes": 100} for key, record in records.items()}
    assert "near chance" not in table(spec, hundred)


def test_the_order_of_records_and_other_runs_change_nothing(spec):
    records = recorded(spec)
    other = read_spec({**NETWORK, "epochs": 2, "rows": ROWS})
    mixed = {**recorded(other, lambda run: 0.1), **dict(reversed(records.items()))}
    assert table(spec, mixed) == table(spec, records)


def test_what_is_counted():
    numbers = {"stored": {"fc1+fc2": 436, "fc3": 850}, "encoded": ["fc1+fc2"], "model": 1500}
    assert counted(numbers, "encoded") == 436 and counted(numbers, "model") == 1500
    assert counted(numbers, ["fc2"]) == 436 and counted(numbers, ["fc1", "fc3"]) == 1286
    assert counted(numbers, ["conv1"]) is None
    assert counted(numbers, "bytes") == 4 * 436  # a record from before bytes were recorded
    assert counted({**numbers, "bytes": {"fc1+fc2": 109, "fc3": 850}}, "bytes") == 109


@pytest.mark.parametrize(
    ("count", "head", "numbers"),
    [
        ("encoded", ["encoded", "whole model"], ["–", "203,530"]),
        ("model", ["whole model"], ["203,530"]),
        (["fc1"], ["fc1", "whole model"], ["200,704", "203,530"]),
        (["fc1", "fc2"], ["fc1+fc2", "whole model"], ["203,264", "203,530"]),
    ],
)
def test_a_spec_says_what_to_count(count, head, numbers):
    spec = read_spec({**NETWORK, "count": count, "rows": ROWS})
    told = preview_table(spec, preview(spec), {}).splitlines()
    assert told[0].split("  ")[1:] and " ".join(head) in " ".join(told[0].split())
    assert told[1].split() == ["dense", "2", "0", *numbers, "203,530"]
    assert table(spec, recorded(spec)).splitlines()[1].split()[2:4] == [*numbers, "91.50"][:2]


def test_what_is_known_beforehand_is_what_is_recorded(spec):
    known = preview(spec)
    for label, stored in STORED.items():
        assert known[label].stored.items() >= stored.items()


def test_the_picture_has_a_curve_a_row_and_levels_for_what_stores_nothing(spec):
    pytest.importorskip("matplotlib")
    figure = plot(spec, recorded(spec))
    assert figure.get_label() == (
        "Test accuracy by stored parameters: adtn 164: 90.5 ± 0.7 %, 436: 90.5 ± 0.7 %; "
        "dense 90.5 ± 0.7 %; frozen 90.5 ± 0.7 %."
    )
    (axes,) = figure.axes
    assert axes.get_xlabel() == "stored parameters of the encoded weights"
    (bars,) = axes.containers
    segments = bars.lines[2][0].get_segments()
    assert [segment[:, 0].tolist() for segment in segments] == [[164, 164], [436, 436]]
    low, high = (90.5 - 0.70710678, 90.5 + 0.70710678)
    assert segments[0][:, 1].tolist() == pytest.approx([low, high])


def test_a_row_of_two_orders_is_two_curves():
    pytest.importorskip("matplotlib")
    wall = {
        "encoding": "ADTN",
        "depth": {"each": [1, 2]},
        "order": {"each": ["nested", "mirrored"]},
    }
    spec = read_spec({**NETWORK, "rows": {"wall": {"encode": {"fc1": wall}}}})
    records = recorded(spec)
    for run in spec.runs:
        depth = run.config["encode"]["fc1"]["depth"]
        records[run.key] |= STORED[f"adtn fc1={depth}"]
    del records[spec.runs[-1].key], records[spec.runs[-2].key]  # the last of four is not done
    told = plot(spec, records).get_label()
    assert "wall order=nested 164: 90.5" in told and "wall order=mirrored 164: 90.5" in told


def test_too_many_curves_are_refused_with_a_way_out():
    pytest.importorskip("matplotlib")
    spec = read_spec({**NETWORK, "rows": {f"a{k}": {"epochs": k + 1} for k in range(9)}})
    with pytest.raises(TinyADTNError, match=r"9 curves .* choose some with --rows"):
        plot(spec, recorded(spec))


def test_of_equal_numbers_the_best_on_validation_is_drawn(spec):
    pytest.importorskip("matplotlib")
    rates = {"each": [1e-3, 1e-2, 1e-1]}
    row = {"encode": {"fc1": 2}, "learning_rate": rates}
    spec = read_spec({**NETWORK, "count": "model", "rows": {"adtn": row}})
    records = recorded(
        spec, lambda run: {1e-3: 0.8, 1e-2: 0.9, 1e-1: 0.7}[run.config["learning_rate"]]
    )
    best = [r for r in records.values() if r["config"]["learning_rate"] == 1e-2]
    for record in best:  # best on validation, not on test
        record["test"] = 0.6
    assert (
        plot(spec, records).get_label() == "Test accuracy by stored parameters: adtn 3,262: 60.0 %."
    )
    assert [s.accuracies("test") for s in summaries(spec, records)] == [
        (0.8,) * 2,
        (0.6,) * 2,
        (0.7,) * 2,
    ]


# --- the best of several learning rates ----------------------------------------------------------

RATES = (1e-3, 1e-2, 1e-1)


def rates_spec(**more):
    """Three rates of two depths, with two seeds, beside rows that have one."""
    row = {"encode": {"fc1": {"each": [1, 2]}}, "learning_rate": {"each": list(RATES)}}
    rows = {"dense": {"learning_rate": 5e-3}, "adtn": row, **more}
    return read_spec({**NETWORK, "rows": rows})


def by_rate(spec, validation, test):
    """Records with these accuracies at each rate; of one seed a little above, of one below."""
    records = recorded(spec)
    for run in spec.runs:
        rate = run.config["learning_rate"]
        if rate in RATES:
            place, luck = RATES.index(rate), 0.01 * (2 * run.seed - 1)
            records[run.key]["validation"] = validation[place] + luck
            records[run.key]["test"] = test[place] + luck
    return records


def best(spec, records):
    """The lines of the table below its head, in words."""
    head, *rows = table(spec, records, best=True).splitlines()
    assert head.split()[-2:] == ["learning", "rate"]
    return [row.split() for row in rows]


def test_the_best_rate_is_chosen_by_the_mean_on_validation_and_never_on_test():
    spec = rates_spec()
    records = by_rate(spec, validation=(0.90, 0.92, 0.91), test=(0.95, 0.80, 0.95))
    assert table(spec, records, best=True).splitlines() == [
        "            runs  encoded  whole model      validation            test"
        "             learning rate",
        "dense          2        –      203,530  91.50 ± 0.71 %  90.50 ± 0.71 %"
        "                     0.005",
        "adtn fc1=1     2      164        2,990  92.00 ± 1.41 %  80.00 ± 1.41 %"
        "  0.01 of 0.001, 0.01, 0.1",
        "adtn fc1=2     2      436        3,262  92.00 ± 1.41 %  80.00 ± 1.41 %"
        "  0.01 of 0.001, 0.01, 0.1",
    ]
    for run in spec.runs:  # one lucky seed is not the mean
        if run.config["learning_rate"] == 1e-1 and run.seed == 1:
            records[run.key]["validation"] = 0.935
    assert best(spec, records)[1][-5:] == ["0.01", "of", "0.001,", "0.01,", "0.1"]
    assert len(table(spec, records).splitlines()) == 1 + 1 + 2 * 3


def test_of_equal_rates_the_smaller_one_is_best():
    spec = rates_spec()
    records = by_rate(spec, validation=(0.90, 0.92, 0.92), test=(0.5, 0.6, 0.7))
    assert [row[-5] for row in best(spec, records)[1:]] == ["0.01", "0.01"]
    first = [run.key for run in spec.runs if run.config["learning_rate"] == 1e-2]
    turned = {**{key: records[key] for key in first[::-1]}, **records}
    assert best(spec, turned) == best(spec, records)


def test_a_rate_with_runs_that_failed_or_are_missing_is_not_the_best():
    spec = rates_spec()
    records = by_rate(spec, validation=(0.90, 0.92, 0.99), test=(0.5, 0.6, 0.7))
    fast = [run.key for run in spec.runs if run.config["learning_rate"] == 1e-1]
    shallow, deep = fast[:2], fast[2:]
    records[shallow[0]] = {**records[shallow[0]], "status": "failed", "error": "NonFiniteError"}
    del records[deep[1]]
    one, two = best(spec, records)[1:]
    assert " ".join(one).endswith("0.01 of 0.001, 0.01, 0.1 (1 of 2, 1 failed)")
    assert " ".join(two).endswith("0.01 of 0.001, 0.01, 0.1 (1 of 2)")
    pytest.importorskip("matplotlib")
    assert "adtn 164: 60.0 ± 1.4 %" in plot(spec, records).get_label()
    # What has all its runs is missing: of the rest the one with most of them is best.
    for run in spec.runs:
        if run.config["learning_rate"] < 1e-1:
            records.pop(run.key)
    assert [" ".join(row[1:4]) for row in best(spec, records)[1:]] == ["fc1=1 1 of", "fc1=2 1 of"]
    nothing = best(spec, {})
    assert " ".join(nothing[1]) == (
        "adtn fc1=1 0 of 2 – – 0.001 of 0.001 (0 of 2), 0.01 (0 of 2), 0.1 (0 of 2)"
    )


def test_only_the_rate_may_differ_and_rows_of_other_names_count_too():
    spec = rates_spec(
        slow={"encode": {"fc1": 1}, "learning_rate": 1e-4},
        clipped={"encode": {"fc1": 1}, "learning_rate": 1e-2, "clip": 1.0},
        fitted={
            "encode": {"fc1": 1},
            "fit": {},
            "dense": {"learning_rate": {"each": [1e-3, 1e-2]}},
            "learning_rate": {"each": [1e-2, 1e-1]},
        },
    )
    records = by_rate(spec, validation=(0.90, 0.92, 0.91), test=(0.5, 0.6, 0.7))
    for run in spec.runs:
        if run.row == "slow":
            records[run.key]["validation"] = 0.97
    rows = [" ".join(row) for row in best(spec, records)]
    assert [row.split(" 2 ")[0] for row in rows] == [
        "dense", "slow", "adtn fc1=2", "clipped",
        "fitted dense.learning_rate=0.001", "fitted dense.learning_rate=0.01",
    ]  # fmt: skip
    assert rows[1].endswith("0.0001 of 0.0001, 0.001, 0.01, 0.1")
    assert rows[3].endswith(" % 0.01") and rows[4].endswith("0.01 of 0.01, 0.1")


def test_the_best_can_be_told_without_a_column_of_what_is_counted():
    spec = read_spec({**NETWORK, "count": "model", "rows": {"a": {"learning_rate": 1e-2}}})
    (row,) = best(spec, recorded(spec))
    assert " ".join(row) == "a 2 3,262 91.50 ± 0.71 % 90.50 ± 0.71 % 0.01"


def test_nothing_to_draw_is_refused(spec):
    with pytest.raises(TinyADTNError, match="nothing to draw"):
        plot(spec, {})
    with pytest.raises(ShapeError, match="a point or more"):
        tradeoff({"a": []})
    pytest.importorskip("matplotlib")
    with pytest.raises(ShapeError, match="9 curves"):
        tradeoff({str(k): [Point(1, 0.5)] for k in range(9)})
