"""The committed studies: specs that can be read, and results that are theirs, all of them."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.studies.results import read_records
from tinyadtn.studies.spec import read_spec
from tinyadtn.studies.table import table

FOLDER = Path(__file__).parents[1] / "data" / "results"
sys.path.insert(0, str(FOLDER))

import variants  # noqa: E402 the encodings of two studies

STUDIES = sorted(FOLDER.glob("*.toml"))


def test_every_file_of_results_has_a_spec():
    assert STUDIES
    assert {path.stem for path in FOLDER.glob("*.jsonl")} <= {path.stem for path in STUDIES}


DONE = [path for path in STUDIES if path.with_suffix(".jsonl").exists()]
# Their page shows how many of the planned runs are done: "(6 of 20)".
GROWING = {"factored_stability"}


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


HEADS = [f"vgg16_{name}" for name in ("heads", "rates", "sgd_heads", "sgd_rates")]


@pytest.mark.parametrize("name", [*HEADS, "two_heads"])
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


@pytest.mark.parametrize("between", ["nothing", "skip", "centered"])
@pytest.mark.parametrize("shape, depth", [((32, 16), 2), ((16, 16), 3)])
def test_what_stands_between_the_layers_of_a_variant(shape, depth, between):
    weight = variants.Between(shape, depth, between, rng=0)
    state = np.eye(weight.sites.padded_size)[0]
    for layer in range(1, depth + 1):
        centered = state - state.mean() if between == "centered" else state
        new = layer_matrix(weight, layer) @ (np.maximum(centered, 0) if layer > 1 else state)
        state = state + new if between == "skip" and layer > 1 else new
    assert np.abs(state).max() > 0.1
    np.testing.assert_allclose(weight.contract().numpy(), state, rtol=1e-4, atol=1e-5)
    if between == "nothing":
        adtn = ta.ADTN(shape, depth, rng=0).contract().numpy()
        np.testing.assert_allclose(state, adtn, rtol=1e-4, atol=1e-5)


def layer_matrix(weight, layer):
    """L of a brick wall with sites of dimension 2, as a product of 1 ⊗ gate ⊗ 1."""
    size = weight.sites.padded_size
    matrix = np.eye(size)
    for column, gates in zip(weight.wall, weight.gates()):
        for (i, _), gate in zip(column.pairs, gates.numpy()):
            if column.layer == layer:
                square = np.zeros((4, 4))  # a gate of the first column has one column only
                square[:, : gate.size // 4] = gate.reshape(4, -1)
                after = np.eye(size // 2 ** (i + 2))
                matrix = np.kron(np.kron(np.eye(2**i), square), after) @ matrix
    return matrix


def test_a_learning_rate_per_layer_leaves_the_first_weight_and_scales_the_first_step():
    def turned(factor):
        weight = variants.LayerRates((32, 16), 3, factor, rng=0)
        start, before = weight.decode().numpy(), [c.numpy() for c in weight.gates()]
        (weight.decode() * np.ones((32, 16), np.float32)).sum().backward()
        ta.Adam(weight.parameters()).step(1e-4)
        moved = [np.abs(c.numpy() - old).max() for c, old in zip(weight.gates(), before)]
        return start, moved

    (start, plain), (same, moved) = turned(1.0), turned(4.0)
    np.testing.assert_allclose(same, start, rtol=1e-5, atol=1e-6)
    ratios = np.array(moved) / plain  # two columns in each of three TN layers
    np.testing.assert_allclose(ratios, [1, 1, 4, 4, 16, 16], rtol=0.1)


def test_an_averaged_weight_is_evaluated_with_the_mean_of_its_parameters():
    weight = variants.Averaged((4, 4), ta.Dense.like(), decay=0.75, rng=0)
    (parameter,) = weight.parameters()
    first = parameter.numpy().copy()
    weight.decode()  # the mean begins with the first parameters
    parameter.data = first + 4
    assert np.array_equal(weight.decode().numpy(), first + 4)
    with ta.no_grad():
        np.testing.assert_allclose(weight.decode().numpy(), first + 1, rtol=1e-5)


def test_a_fit_to_activations_reports_their_distance(monkeypatch):
    generator = np.random.default_rng(0)
    x, target = generator.normal(size=(50, 16)), generator.normal(size=(8, 16))
    x[:, 4:] = 0  # most pixels are always black
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    root = (vectors * np.sqrt(values.clip(0))).astype(np.float32)
    monkeypatch.setattr(variants, "square_root_of_moments", lambda centered: root)
    weight = variants.Fitted((8, 16), 2, rng=0)
    errors = weight.fit(target.astype(np.float32), steps=100)
    difference = (weight.decode().numpy() - target) @ x.T
    assert errors[-1] == pytest.approx(
        np.linalg.norm(difference) / np.linalg.norm(target @ x.T), rel=1e-3
    )
    full = variants.Fitted((8, 16), 2, "weights", rescale=True, rng=0)
    full.fit(target.astype(np.float32), steps=20)
    assert np.linalg.norm(full.decode().numpy()) == pytest.approx(np.linalg.norm(target), rel=1e-3)


def test_a_fit_to_differences_does_not_see_the_mean_image():
    images = ta.load_data("mnist-5k").train.images.reshape(-1, 784).astype(np.float64)
    for metric, x in (("activations", images), ("differences", images - images.mean(axis=0))):
        weight = variants.Fitted((2, 784), 1, metric, rng=0)
        target = np.random.default_rng(0).normal(size=(2, 784))
        (error,) = weight.fit(target.astype(np.float32), steps=0)
        distance = np.linalg.norm((weight.decode().numpy() - target) @ x.T)
        assert error == pytest.approx(distance / np.linalg.norm(target @ x.T), rel=1e-3)
