"""The user's own parts in a sweep: the example of the guide, and what is rejected."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import docs_pages
import pytest

import tinyadtn as ta
from tinyadtn.errors import TinyADTNError
from tinyadtn.studies.results import ResultsFile, read_records
from tinyadtn.studies.spec import read_spec
from tinyadtn.studies.sweep import preview

GUIDE = docs_pages.ROOT / "docs" / "sweeps.md"
PARTS = next(code for code in docs_pages.blocks(GUIDE, "python") if "class Hashed" in code)
SPEC = next(text for text in docs_pages.blocks(GUIDE, "toml") if "parts:" in text)
WRONG = """
import tinyadtn as ta


def no_rng(num_classes, image_size, *, channels):
    raise AssertionError("called")


def no_sequential(num_classes, image_size, *, channels, rng):
    return ta.Linear(4, 2)


class Raises(ta.Encoding):
    def __init__(self, shape, *, rng=None):
        raise RuntimeError("not today")


class TakesAList(ta.Encoding):
    def __init__(self, shape, sizes: "Sequence[int]", *, rng=None):
        self.shape = tuple(shape)
        self.values = ta.Tensor([0.0] * sum(sizes), requires_grad=True)


class NoShape(ta.Encoding):
    def __init__(self, shape, *, rng=None):
        self.values = ta.Tensor([0.0], requires_grad=True)


class Lion(ta.SGD):
    def __init__(self, parameters, learning_rate):
        super().__init__(parameters, learning_rate, momentum=0.0)


def half(peak, steps):
    return lambda step: peak / 2


def no_schedule(peak, steps):
    return peak


def no_labels(logits):
    return logits.mean()


def other_layers(num_classes, image_size, *, channels, rng):
    return ta.Sequential(fc1=ta.Linear(4, 2))
"""


@pytest.fixture
def study(tiny, tmp_path, monkeypatch):
    """The folder of the spec, which is not the current one; its modules are forgotten after."""
    before, path = set(sys.modules), list(sys.path)
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "parts.py").write_text(PARTS, encoding="utf-8")
    (folder / "wrong.py").write_text(WRONG, encoding="utf-8")
    (folder / "broken.py").write_text("1 +")
    (folder / "study.toml").write_text(f"data = {tiny!r}\n{SPEC}", encoding="utf-8")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    yield folder
    assert sys.path == path
    for name in set(sys.modules) - before:
        if name in ("parts", "wrong", "evil"):
            del sys.modules[name]


def row(text, study, tiny):
    (study / "one.toml").write_text(f"data = {tiny!r}\n[rows.a]\n{text}\n", encoding="utf-8")
    return read_spec(study / "one.toml")


def test_the_example_of_the_guide_gives_what_a_loop_by_hand_gives(study, tiny):
    records = ta.sweep(study / "study.toml", workers=2, show_progress=False)
    assert [record["status"] for record in records] == ["done"] * 5, records
    assert [record["stored"]["fc1"] for record in records] == [784 * 32, 200, 400, 364, 364]
    assert (
        records[4]["config"]["loss"] == "parts:focal"
        and records[3]["history"] != records[4]["history"]
    )
    assert records[1]["config"]["encode"]["fc1"] == {"encoding": "parts:Hashed", "size": 200}
    assert records[1]["config"]["network"] == {"name": "parts:two_layers", "width": 32}
    parts = {}
    exec(PARTS, parts)
    model = parts["two_layers"](10, 28, channels=1, rng=0, width=32)
    small = ta.compress(model, {"fc1": parts["Hashed"].like(200)}, rng=0)
    data = ta.load_data(tiny)
    for _ in ta.train(small, data, epochs=4, learning_rate=1e-2, seed=0):
        pass
    assert records[1]["test"] == ta.evaluate(small, data.test).accuracy
    # The runs are known again, and an executor in this process gives the same.
    assert set(read_records(study / "study.jsonl")) == {
        run.key for run in read_spec(study / "study.toml").runs
    }
    with ThreadPoolExecutor(1) as one:
        out = study / "again.jsonl"
        again = ta.sweep(study / "study.toml", out, executor=one, show_progress=False)
    assert [r["test"] for r in again] == [r["test"] for r in records]


def test_an_own_network_can_be_trained_before_here_or_come_from_a_file(study, tiny):
    network = "network = 'parts:two_layers'\nepochs = 0\n"
    parts = {}
    exec(PARTS, parts)
    model = parts["two_layers"](10, 28, channels=1, rng=3)
    ta.save(study / "dense.npz", model)
    spec = row(f"{network}dense = 'dense.npz'", study, tiny)
    with ThreadPoolExecutor(1) as one:
        (record,) = ta.sweep(spec, executor=one, show_progress=False)
        assert record["test"] == ta.evaluate(model, ta.load_data(tiny).test).accuracy
        rest = "dense = {epochs = 1}\nencode.fc1 = 'Frozen'"
        spec = row(network + rest, study, tiny)
        (record,) = ta.sweep(spec, executor=one, show_progress=False)
    assert record["status"] == "done" and record["stored"]["fc1"] == 0


def test_an_argument_that_is_annotated_as_a_sequence_takes_a_list(study, tiny):
    encode = "encode.fc1 = {encoding = 'wrong:TakesAList', sizes = [2, 3]}"
    (seen,) = preview(row(f"network = 'fc2'\n{encode}", study, tiny)).values()
    assert seen.stored["stored"]["fc1"] == 5


def test_an_own_encoding_inside_another_one_is_found_next_to_the_spec(study, tiny):
    encode = "encode.fc1 = {encoding = 'Quantized', of = {encoding = 'parts:Hashed', size = 50}}"
    spec = row(f"network = 'fc2'\nepochs = 1\n{encode}", study, tiny)
    (record,) = ta.sweep(spec, workers=1, show_progress=False)
    assert record["status"] == "done" and record["stored"]["fc1"] == 50, record
    assert record["config"]["encode"]["fc1"]["of"] == {"encoding": "parts:Hashed", "size": 50}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "network = 'parts:nothing'",
            r"network: parts:nothing cannot be imported .*AttributeError",
        ),
        ("network = 'nowhere:net'", "nowhere:net cannot be imported from .*ModuleNotFoundError"),
        ("network = 'broken:net'", "broken:net cannot be imported from .*SyntaxError"),
        ("network = ':net'", "cannot be imported"),
        ("network = 'parts:'", "cannot be imported"),
        ("network = 'parts:Hashed'", "must be a function of num_classes.* does not take"),
        ("network = 'os:system'", "must be a function of .* does not take num_classes"),
        ("network = {name = 'shutil:rmtree', path = '.'}", "must be a function of"),
        ("network = 'wrong:no_rng'", "does not take rng"),
        ("network = {name = 'parts:two_layers', widht = 3}", r"'widht'; did you mean width\?"),
        ("network = 'fc2'\nencode.fc1 = 'parts:Hashed'", "parts:Hashed needs size"),
        (
            "network = 'fc2'\nencode.fc1 = {encoding = 'parts:Hashed', sizes = 3}",
            r"encode.fc1: encoding .*'sizes'; did you mean size\?",
        ),
        ("network = 'fc2'\nencode.fc1 = 'parts:two_layers'", "must be a subclass of ta.Encoding"),
        ("network = 'fc2'\nencode.fc1 = 'os:system'", "must be a subclass of ta.Encoding"),
        ("network = 'fc2'\noptimizer = 'parts:Hash'", "parts:Hash cannot be imported"),
        (
            "network = 'fc2'\nloss = 'wrong:no_labels'",
            r"is called with \(logits, labels\): too many",
        ),
        (
            "network = 'fc2'\noptimizer = 'parts:focal'\nclip = 1",
            r"learning_rate, clip=…\): got an",
        ),
        ("network = 'fc2'\nloss = 'parts:focal'\nlabel_smoothing = 0.1", "smooth the labels in"),
        ("network = 'fc2'\ndense = {schedule = 'parts:no'}", "a: dense: parts:no cannot be"),
    ],
)
def test_what_is_no_part_is_refused_before_it_is_called(text, words, study, tiny):
    with pytest.raises(TinyADTNError, match=words) as refusal:
        row(text, study, tiny)
    assert str(refusal.value).startswith(f"{study / 'one.toml'}: rows.a: ")


def test_an_own_optimizer_and_schedule_are_found_next_to_the_spec(study, tiny, monkeypatch):
    text = """network = 'fc2'
optimizer = {each = ['sgd', 'wrong:Lion']}
schedule = 'wrong:half'
dense = {epochs = 1, optimizer = 'wrong:Lion', schedule = 'wrong:half'}
encode.fc1 = 1
epochs = 2"""
    first, second = ta.sweep(row(text, study, tiny), workers=1, show_progress=False)
    assert first["status"] == second["status"] == "done", (first, second)
    assert second["config"]["optimizer"] == second["config"]["dense"]["optimizer"] == "wrong:Lion"
    assert second["label"] == "a optimizer=wrong:Lion"
    assert second["history"][0]["learning_rate"] == 1e-3 / 2
    assert second["history"] != first["history"]


def test_a_schedule_that_is_wrong_is_named_before_the_first_run(study, tiny):
    with pytest.raises(
        TinyADTNError, match=r"a: TypeError: schedule wrong:no_schedule must return"
    ):
        preview(row("network = 'fc2'\nschedule = 'wrong:no_schedule'", study, tiny))


@pytest.mark.parametrize(
    ("kind", "words"),
    [("Raises", "a: RuntimeError: not today"), ("NoShape", "a: fc1: NoShape has no shape; set it")],
)
def test_an_encoding_that_cannot_be_made_is_named_before_the_first_run(kind, words, study, tiny):
    with pytest.raises(TinyADTNError, match=words):
        preview(row(f"network = 'fc2'\nencode.fc1 = 'wrong:{kind}'", study, tiny))


def test_what_a_function_returns_is_checked_before_the_first_run(study, tiny):
    with pytest.raises(TinyADTNError, match=r"a: .*no_sequential must return a ta\.Sequential"):
        preview(row("network = 'wrong:no_sequential'", study, tiny))
    with pytest.raises(TinyADTNError, match=r"a: .*fc1"):  # it does not take these images
        preview(row("network = 'wrong:other_layers'", study, tiny))


def test_another_module_of_the_same_name_is_not_taken_for_this_one(study, tiny, tmp_path):
    row("network = 'parts:two_layers'", study, tiny)
    other = tmp_path / "other"
    other.mkdir()
    (other / "parts.py").write_text(PARTS, encoding="utf-8")
    with pytest.raises(TinyADTNError, match=r"another module called parts .*rename the file"):
        row("network = 'parts:two_layers'", other, tiny)


def test_reading_results_imports_nothing(study, tiny, monkeypatch):
    monkeypatch.chdir(study)
    (study / "evil.py").write_text("open('was_here', 'w')")
    (run,) = row("network = 'parts:two_layers'", study, tiny).runs
    line = {
        "row": "a", "config": json.loads(json.dumps(run.config)), "seed": 0, "status": "done",
        "validation": 0.5, "test": 0.5, "model": 1, "stored": {}, "encoded": [],
    }  # fmt: skip
    line["config"]["network"]["name"] = line["config"]["optimizer"] = "evil:net"
    line["config"]["dense"] = {"epochs": 1, "loss": "evil:loss"}
    with ResultsFile(study / "r.jsonl") as file:
        file.append(line)
    assert len(read_records(study / "r.jsonl")) == 1
    assert "evil" not in sys.modules and not (study / "was_here").exists()


def test_results_with_own_parts_stay_valid_when_training_gets_a_new_option(study):
    runs = read_spec(study / "study.toml").runs
    lines = []
    for run in runs:
        config = {name: value for name, value in run.config.items() if name != "label_smoothing"}
        record = {"row": "a", "config": config, "seed": 0, "status": "failed", "error": "no"}
        lines.append(json.dumps(record) + "\n")
    (study / "older.jsonl").write_text("".join(lines), encoding="utf-8")
    assert set(read_records(study / "older.jsonl")) == {run.key for run in runs}
