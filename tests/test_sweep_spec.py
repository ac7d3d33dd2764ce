"""What a spec may say, what becomes of it, and what is refused with which words."""

import json
import os
import time

import pytest
from memory_peak import peak_of

import tinyadtn as ta
from tinyadtn.compression.configure import ENCODINGS
from tinyadtn.errors import SizeLimitError, TinyADTNError
from tinyadtn.studies.configuration import configuration
from tinyadtn.studies.results import _key_of
from tinyadtn.studies.run import check, encoded
from tinyadtn.studies.spec import DOTTED, read_spec
from tinyadtn.studies.sweep import preview

NEEDS = {
    "LowRank": {"rank": 2},
    "Tucker": {"ranks": 2},
    "TensorTrain": {"ranks": 2, "modes": [[2, 5], [16, 16]]},
    "MixT": {"width": 1, "modes": [[2, 5], [16, 16]]},
    "Pruned": {"density": 0.1},
}


SHORT_ORDER = {"encoding": "ADTN", "order": list(range(17))}


def spec_of(text, tmp_path, **options):
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    return read_spec(path, **options)


def labels(spec):
    return list(dict.fromkeys(run.label for run in spec.runs))


def test_rows_take_what_is_common_and_each_multiplies(tmp_path):
    spec = spec_of(
        """
        network = "fc2"
        epochs = 4
        learning_rate = {each = [1e-2, 2e-2]}
        seeds = [3, 5]

        [rows.dense]
        learning_rate = 2e-3

        [rows.adtn]
        encode.fc1 = {encoding = "ADTN", depth = {each = [1, 2, 4]}, order = "output_first"}
        """,
        tmp_path,
    )
    assert labels(spec) == ["dense"] + [
        f"adtn learning_rate={rate} depth={depth}" for rate in (0.01, 0.02) for depth in (1, 2, 4)
    ]
    assert len(spec.runs) == 14 and {run.seed for run in spec.runs} == {3, 5}
    assert len({run.key for run in spec.runs}) == 14
    dense, last = spec.runs[0].config, spec.runs[-1].config
    assert dense["learning_rate"] == 2e-3 and "encode" not in dense
    assert (last["learning_rate"], last["encode"]["fc1"]["depth"]) == (2e-2, 4)
    assert last["encode"]["fc1"]["order"] == "output_first"
    assert last["network"] == {"name": "fc2", "hidden": 256}


def test_a_configuration_names_every_default_and_is_plain_json():
    row = {"network": "fc2", "encode": {"fc1": 2}, "learning_rate": 1, "clip": 2}
    (run,) = read_spec({"rows": {"a": row}}).runs
    assert run.config == {
        "data": "mnist-5k",
        "network": {"name": "fc2", "hidden": 256},
        "encode": {
            "fc1": {
                "encoding": "ADTN", "depth": 2, "activation": "relu", "wiring": "brick_wall",
                "order": "mirrored", "site_dim": 2, "start": "orthogonal", "normalized": True,
            }
        },
        "epochs": 10, "batch_size": 128, "optimizer": "adam", "learning_rate": 1.0,
        "schedule": "one_cycle", "loss": "softmax_cross_entropy", "momentum": 0.9,
        "weight_decay": 0.0, "clip": 2.0, "label_smoothing": 0.0, "augment": False,
        "drop_last": False,
    }  # fmt: skip
    assert isinstance(run.config["learning_rate"], float)
    assert json.loads(json.dumps(run.config)) == run.config


def test_the_same_run_written_in_two_ways_is_the_same_run():
    ways = [
        {"encode": {"fc1": 2}, "epochs": 10},
        {"encode": {"fc1": {"encoding": "ADTN", "depth": 2}}, "learning_rate": 1e-3, "clip": None},
        {"encode": {" fc1 ": {"depth": 2, "order": "mirrored", "encoding": "ADTN"}}},
    ]
    specs = [read_spec({"network": "fc2", "rows": {"a": way}}) for way in ways]
    assert len({spec.runs[0].key for spec in specs}) == 1
    other = read_spec({"network": "fc2", "rows": {"a": {"encode": {"fc1": 3}}}})
    assert other.runs[0].key != specs[0].runs[0].key


def test_an_empty_table_asks_for_the_defaults():
    row = {"network": "fc2", "encode": {"fc1": 2}, "dense": {}, "fit": {}}
    config = configuration("row", row)
    assert config["dense"]["epochs"] == 10 and config["fit"]["steps"] > 0


def test_every_encoding_can_be_written():
    for kind in ENCODINGS.keys() - {"Part"}:
        needs = NEEDS.get(kind, {})
        row = {"network": "fc2", "encode": {"fc2": {"encoding": kind, **needs}}}
        (run,) = read_spec({"rows": {"a": row}}).runs
        assert run.config["encode"]["fc2"].items() >= {"encoding": kind, **needs}.items()


def test_an_encoding_inside_another_is_written_out():
    inner = {"encoding": "LowRank", "rank": {"each": [1, 2]}}
    entry = {"encoding": "Quantized", "bits": 4, "of": inner}
    spec = read_spec({"network": "fc2", "rows": {"a": {"encode": {"fc1": entry}}}})
    assert labels(spec) == ["a rank=1", "a rank=2"]
    assert spec.runs[1].config["encode"]["fc1"]["of"] == {"encoding": "LowRank", "rank": 2}
    twice = {"encoding": "Update", "of": {"encoding": "Quantized", "of": 3}}
    (run,) = read_spec({"network": "fc2", "rows": {"a": {"encode": {"fc1": twice}}}}).runs
    assert run.config["encode"]["fc1"]["of"]["of"]["depth"] == 3
    for wrong, says in (
        ({"encoding": "LowRnk"}, "LowRank"),
        ({"encoding": "LowRank"}, "needs rank"),
    ):
        with pytest.raises(TinyADTNError, match=rf"encode\.fc1\.of.*{says}"):
            row = {"encode": {"fc1": {"encoding": "Update", "of": wrong}}}
            read_spec({"network": "fc2", "rows": {"a": row}})


def test_labels_say_as_much_of_the_way_as_is_needed():
    encode = {
        "fc1": {"encoding": "ADTN", "depth": {"each": [1, 2]}},
        "fc2": {"encoding": "ADTN", "depth": {"each": [1]}},
    }
    spec = read_spec({"network": "fc2", "rows": {"a": {"encode": encode}}})
    assert labels(spec) == ["a fc1.depth=1 fc2.depth=1", "a fc1.depth=2 fc2.depth=1"]
    spec = read_spec({"rows": {"a": {"network": {"each": ["fc2", {"name": "fc2", "hidden": 4}]}}}})
    assert labels(spec) == ["a network=fc2", "a network={name=fc2, hidden=4}"]
    rates = {"each": [0.1, 0.10000001]}
    spec = read_spec({"network": "fc2", "rows": {"a": {"learning_rate": rates}}})
    assert labels(spec) == ["a learning_rate=0.1", "a learning_rate=0.10000001"]


def test_the_order_of_the_sites_may_be_written_out(tmp_path):
    backwards, mixed = list(range(18))[::-1], [*range(1, 18, 2), *range(0, 18, 2)]
    spec = spec_of(
        f"""
        network = "fc2"
        [rows.backwards]
        encode.fc1 = {{encoding = "ADTN", depth = 2, order = {backwards}}}
        [rows.several]
        encode.fc1.encoding = "ADTN"
        encode.fc1.order = {{each = ["output_first", {backwards}, {mixed}]}}
        """,
        tmp_path,
    )
    orders = [run.config["encode"]["fc1"]["order"] for run in spec.runs]
    assert orders == [backwards, "output_first", backwards, mixed]
    assert labels(spec) == [
        "backwards", "several order=output_first", f"several order={backwards}",
        f"several order={mixed}",
    ]  # fmt: skip
    for run, order in zip(spec.runs, orders):
        line = {"config": json.loads(json.dumps(run.config)), "seed": run.seed}
        assert _key_of(line) == run.key
        wall = encoded(ta.models.fc2(), line["config"], None).fc1.weight
        assert wall.options()["order"] == (order if order == "output_first" else tuple(order))
    with pytest.raises(TinyADTNError, match="order must hold each of 0 … 17 once"):
        content = {"network": "fc2", "rows": {"a": {"encode": {"fc1": SHORT_ORDER}}}}
        check(read_spec(content).runs[0].config)


def test_each_may_hold_what_holds_each():
    inner = [{"encoding": "ADTN", "depth": {"each": [1, 2]}}, "Frozen"]
    spec = read_spec({"network": "fc2", "rows": {"a": {"encode": {"fc1": {"each": inner}}}}})
    assert [run.config["encode"]["fc1"].get("depth") for run in spec.runs] == [1, 2, None]


def test_rows_can_be_chosen_by_pattern():
    content = {"network": "fc2", "rows": {"mpo": {}, "adtn-1": {"epochs": 1}, "adtn-2": {}}}
    with pytest.raises(TinyADTNError, match="the same run twice"):
        read_spec(content)
    assert [run.row for run in read_spec(content, rows=["adtn-*"]).runs] == ["adtn-1", "adtn-2"]
    with pytest.raises(TinyADTNError, match=r"no row is called 'lowrank' \(there is mpo, adtn-1"):
        read_spec(content, rows=["adtn-*", "lowrank"])
    with pytest.raises(TinyADTNError, match=r"'adtn_1'; did you mean adtn-1\?"):
        read_spec(content, rows=["adtn_1"])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("learnig_rate = 1", r"rows.a: unknown 'learnig_rate'; did you mean learning_rate\?"),
        ("encode.fc1 = {encoding = 'ADT'}", r"encode.fc1: .* 'ADT'; did you mean ADTN\?"),
        ("encode.fc1 = {depth = 2}", "encode.fc1: encoding is missing"),
        ("encode.fc1 = {encoding = 'ADTN', dept = 2}", r"'dept'; did you mean depth\?"),
        ("encode.fc1 = {encoding = 'LowRank', depth = 2}", "LowRank: unknown 'depth'"),
        ("encode.fc1 = {encoding = 'LowRank', rank = 2, axes = [1]}", "unknown 'axes'"),
        ("encode.fc1 = 'LowRank'", "LowRank needs rank"),
        ("encode.fc1 = 'Part'", "encoding cannot be 'Part'"),
        ("encode.fc1 = {encoding = ['ADTN']}", "encoding cannot be"),
        (
            "encode.fc1 = {encoding = 'ADTN', depth = [1, 2]}",
            r"fc1: encoding ADTN: depth .*\{each = \[1, 2\]\}",
        ),
        ("encode.fc1 = {encoding = 'LowRank', rank = [1]}", r"rank is one value.*\{each = \[1\]\}"),
        ("encode.fc1 = {encoding = 'ADTN', order = ['a']}", r"order .*\{each = \['a'\]\}"),
        ("encode = 'fc1'", "encode: expected a table"),
        ("network = 'lenet'", r"network cannot be 'lenet'; did you mean lenet5\?"),
        ("network = ['fc2', 'lenet5']", r"write \{each = \['fc2', 'lenet5'\]\}"),
        ("network = {name = 'fc2', hiden = 3}", r"network fc2: .*did you mean hidden\?"),
        ("network = {name = 'lenet5', hidden = 3}", "network lenet5: unknown 'hidden'"),
        ("learning_rate = [1e-3, 2e-3]", r"write \{each = \[0.001, 0.002\]\}"),
        ("learning_rate = 'fast'", "rows.a: learning_rate must be a number"),
        ("epochs = -1", "rows.a: epochs must be above 0"),
        ("epochs = 2.5", "epochs must be a whole number"),
        ("schedule = 'onecycle'", r"schedule must be one of one_cycle.*did you mean one_cycle\?"),
        (
            "optimizer = 'lion'",
            r"one of adam, sgd, got 'lion' \(or a class .*; module:name in a sweep",
        ),
        ("loss = ['focal']", "loss is one value, got"),
        ("augment = 1", "rows.a: augment must be True or False, got 1"),
        ("data = 5", "data: expected text"),
        ("data = 2026-01-01", "data: expected text"),
        ("fit = {steps = 3}", "it needs encode, and dense"),
        ("encode.fc1 = 1\nfit = {}", "it needs encode, and dense"),
        ("dense = {epoch = 3}", r"dense: unknown 'epoch'; did you mean epochs\?"),
        ("encode.fc1 = 1\ndense = {}\nfit = {step = 3}", r"fit: .*did you mean steps\?"),
        ("seeds = 0", "seeds is how many, or a list"),
        ("seeds = []", "seeds is how many, or a list"),
        ("seeds = -3", "seeds is how many, or a list"),
        ("seeds = [1, 1]", "seeds is how many, or a list"),
        ("seeds = true", "seeds is how many, or a list"),
        ("seeds = [-1]", "seeds is how many, or a list"),
        ("epochs = {each = []}", "each stands alone and has a list of one value or more"),
        ("epochs = {each = 3}", "each stands alone and has a list"),
        ("epochs = {each = [1], other = 2}", "each stands alone"),
        ("epochs = {each = [2, 2]}", "the same run twice, with seed 0: a epochs=2"),
        ("epoch = 2026-01-01", "unknown 'epoch'"),
        ("learning_rate = 1" + "0" * 400, "too large"),
        ("optimizer = {a = 1}", "rows.a: optimizer must be one of adam, sgd, got"),
        ("learning_rate = true", "rows.a: learning_rate must be a number, got True"),
        ("epochs = true", "rows.a: epochs must be a whole number, got True"),
        (
            "encode.fc1 = 1\ndense = {epochs = 1}\nfit = {steps = 'x'}",
            "fit: steps must be a whole number",
        ),
        (
            "encode.fc1 = 1\ndense = {epochs = 1}\nfit = {steps = -1}",
            "fit: steps must be 0 or more",
        ),
        (
            "encode.fc1 = 1\ndense = {epochs = 1}\nfit = {steps = true}",
            "fit: steps must be a whole number",
        ),
        ("encode.fc1 = 1\ndense = {epochs = 1}\nfit = {steps = [2]}", r"write \{each = \[2\]\}"),
        (
            "encode.fc1 = 1\ndense = {epochs = 1}\nfit = {learning_rate = 'q'}",
            "learning_rate must be a num",
        ),
        ("encode.fc1 = 1\ndense = {epochs = 1}\nfit = {learning_rate = 0}", "number above 0"),
        ("encode.fc1 = 1\ndense = {epochs = 1}\nfit = {learning_rate = inf}", "number above 0"),
        ("encode.fc1 = 1\ndense = {epochs = 1}\nfit = {learning_rate = true}", "must be a number"),
        (
            "encode.fc1 = 1\ndense = {epochs = 1}\nfit = {learning_rate = 1" + "0" * 400 + "}",
            "too large",
        ),
        ("encode.'' = 1", "encode: '' names no layer"),
        ("encode.' ' = 1", "encode: ' ' names no layer"),
        ("encode.'fc1 fc1' = 1", "encode: 'fc1' is named twice"),
        ("encode.fc1 = 1\nencode.' fc1' = 2", "encode: 'fc1' is named twice"),
        ("encode.fc1 = 1\nencode.'fc2 fc1' = 2", "encode: 'fc1' is named twice"),
        ("network = {name = 'fc2', hidden = nan}", "not JSON compliant"),
        ("dense = 0", "dense: expected a table"),
    ],
)
def test_refusals_name_the_place_and_the_way_out(row, words, tmp_path):
    common = "" if "network" in row else 'network = "fc2"\n'
    with pytest.raises(TinyADTNError, match=words) as refusal:
        spec_of(f"{common}[rows.a]\n{row}", tmp_path)
    assert str(refusal.value).startswith(str(tmp_path / "study.toml"))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("freeze = [3]", "a: patterns are given one by one.* got 3"),
        ("freeze = []", "a: freeze needs a pattern"),
        ("freeze = ''", "a: no trained parameter matches ''"),
        ("train_others = false", "a: everything in this network is frozen"),
        ("dense = ''", "a: .*is a folder"),
    ],
)
def test_what_a_constructor_refuses_is_found_before_the_first_run(row, words, tmp_path):
    with pytest.raises(TinyADTNError, match=words) as refusal:
        preview(spec_of(f'network = "fc2"\n[rows.a]\n{row}', tmp_path))
    assert str(refusal.value).startswith(str(tmp_path / "study.toml"))


def test_a_layer_that_is_counted_twice_counts_once_and_one_without_a_name_is_refused():
    spec = read_spec({"network": "fc2", "count": ["fc1", "fc1"], "rows": {"a": {}}})
    assert spec.count == ["fc1"]
    with pytest.raises(TinyADTNError, match="count: no row has ''"):
        preview(read_spec({"network": "fc2", "count": [""], "rows": {"a": {}}}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a sweep of 0 runs: rows are tables"),
        ("rows = 3", "rows are tables"),
        ("[rows]\na = 3", "rows are tables"),
        ("[row.a]", r"unknown 'row'; did you mean rows\?"),
        ("count = 'all'\nnetwork='fc2'\n[rows.a]", "count must be"),
        ("count = []\nnetwork='fc2'\n[rows.a]", "count must be"),
        ("[rows.a]", "network is missing"),
        ("epochs = ", "not TOML: Invalid value"),
        ("epochs = " + "9" * 5000, "not TOML: .*digits"),
        ("a = " + "[" * 5000, "nested more than"),
        ("[rows" + ".a" * 5000 + "]", "nested more than"),
        ("[rows.a]\nencode" + ".each" * 200 + " = 1", "nested more than"),
        ("[rows.a]\nnetwork='fc2'\n[rows.b]\nnetwork='fc2'", "with seed 0: a and b"),
        (
            "network='fc2'\n[rows.a]\nepochs={each=[1]}\n[rows.'a epochs=1']\nepochs=2",
            "two different rows are called 'a epochs=1'",
        ),
    ],
)
def test_refusals_of_a_spec_as_a_whole(text, words, tmp_path):
    with pytest.raises(TinyADTNError, match=words):
        spec_of(text, tmp_path)


@pytest.mark.parametrize(
    "row",
    [
        "seeds = 100_001",
        "seeds = 1" + "0" * 400,
        "\n".join(
            f"{name} = {{each = {list(range(1, 60))}}}"
            for name in ("epochs", "batch_size", "learning_rate", "clip")
        ),
        f"seeds = {list(range(100_001))}",
        "seeds = 317\nepochs = {each = [" + "1," * 317 + "]}",
        "epochs = {each = [{each = [" + "1, " * 60_000 + "]}, {each = [" + "1, " * 60_000 + "]}]}",
    ],
)
def test_more_runs_than_anyone_does_are_refused_before_they_are_made(row, tmp_path, monkeypatch):
    monkeypatch.setattr("tinyadtn.studies.spec.configuration", None)  # it would fail if called
    with pytest.raises(SizeLimitError, match="at most 100,000 runs"):
        spec_of(f'network = "fc2"\n[rows.a]\n{row}\n', tmp_path)


def test_the_runs_of_all_rows_count_together(tmp_path):
    text = 'network = "fc2"\n[rows.a]\nseeds = 50_001\n[rows.b]\nseeds = 50_001\nepochs = 3\n'
    with pytest.raises(SizeLimitError, match="at most 100,000 runs"):
        spec_of(text, tmp_path)
    assert len(spec_of(text, tmp_path, rows=["a"]).runs) == 50_001


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
def test_what_has_no_end_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(TinyADTNError, match=f"{path}: is no ordinary file"):
            read_spec(path)


def test_a_file_that_is_too_long_is_not_read(tmp_path):
    with (tmp_path / "long.toml").open("wb") as file:
        file.truncate(2**40)  # a hole: it takes no place on the disk
    with pytest.raises(SizeLimitError, match="1,099,511,627,776 bytes; a spec has at most"):
        read_spec(tmp_path / "long.toml")


@pytest.mark.parametrize(
    "text",
    ["{key} = 1", "[{key}]", "[rows.a]\nepochs = {{{key} = 1}}", "[[ {key} ]]", "{quoted}=1"],
)
def test_a_key_of_very_many_parts_takes_little(text, tmp_path):
    """Parsed, 40 kB of it would take 1.5 GiB."""
    key, quoted = " . ".join(["a"] * 20_000), ".".join(["'a'", '"b"'] * 10_000)
    seconds = time.process_time()

    def read():
        with pytest.raises(TinyADTNError, match="nested more than 30 deep"):
            spec_of(text.format(key=key, quoted=quoted), tmp_path)

    assert peak_of(read) < 2**22
    assert time.process_time() - seconds < 2


@pytest.mark.parametrize("text", ["a" * 10**6, "a." * 25 + "\n" * 10**6, '"' * 10**6, " ." * 10**6])
def test_the_search_for_such_keys_is_fast(text):
    seconds = time.process_time()
    assert DOTTED.search(text) is None
    assert time.process_time() - seconds < 2


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "picture.toml").write_bytes(b"\x89PNG\xff")
    with pytest.raises(TinyADTNError, match="not TOML: 'utf-8' codec can't decode"):
        read_spec(tmp_path / "picture.toml")
    with pytest.raises(FileNotFoundError):
        read_spec(tmp_path / "nowhere.toml")
