"""The committed studies: specs that can be read, and results that are theirs, all of them."""

import json
from pathlib import Path

import pytest

from tinyadtn.studies.results import read_records
from tinyadtn.studies.spec import read_spec
from tinyadtn.studies.table import table

FOLDER = Path(__file__).parents[1] / "data" / "results"
STUDIES = sorted(FOLDER.glob("*.toml"))


def test_every_file_of_results_has_a_spec():
    assert STUDIES
    assert {path.stem for path in FOLDER.glob("*.jsonl")} <= {path.stem for path in STUDIES}


DONE = [path for path in STUDIES if path.with_suffix(".jsonl").exists()]
# Their page shows how many of the planned runs are done: "(6 of 20)".
GROWING = {"fc1_stability", "lenet5_stability", "conv2_stability", "factored_stability"}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_spec_can_be_read(path):
    assert read_spec(path).runs


@pytest.mark.parametrize("path", DONE, ids=lambda path: path.stem)
def test_every_run_of_a_study_is_recorded(path):
    spec, records = read_spec(path), read_records(path.with_suffix(".jsonl"))
    missing = [(run.label, run.seed) for run in spec.runs if run.key not in records]
    assert path.stem in GROWING or (not missing and len(records) == len(spec.runs))
    diverged = [record for record in records.values() if record["status"] != "done"]
    assert path.stem.endswith("_stability") or not diverged  # those count diverged runs
    assert all(
        record["row"] == "plain" and record["error"].startswith("NonFiniteError")
        for record in diverged
    )
    lines = table(spec, records).splitlines()
    assert len(lines) == 1 + len({run.label for run in spec.runs})


@pytest.mark.parametrize("name", ["vgg16_heads", "vgg16_rates", "two_heads"])
def test_it_is_recorded_how_the_networks_behind_the_features_were_trained(name):
    trained = json.loads((FOLDER / "trained.json").read_text(encoding="utf-8"))
    known = {network["features"]["sha256"] for network in trained}
    records = read_records(FOLDER / f"{name}.jsonl").values()
    assert {record["features"]["model"]["sha256"] for record in records} <= known
    assert all(len(network["history"]) == network["plan"]["epochs"] for network in trained)


def test_the_spec_and_the_table_of_the_guide_are_the_files():
    guide = (FOLDER.parents[1] / "docs" / "sweeps.md").read_text(encoding="utf-8")
    path = FOLDER / "fc1_mnist-5k.toml"
    assert f"```toml\n{path.read_text(encoding='utf-8')}```" in guide
    assert table(read_spec(path), read_records(path.with_suffix(".jsonl"))) in guide
