"""Weights in safetensors files: our models come back, torch's tensors come in, damage is named."""

import json
import os
import sys

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import CheckpointError, SizeLimitError, TinyADTNError
from tinyadtn.exchange import safetensors_file

package = pytest.importorskip("safetensors", reason="pip install safetensors")
from safetensors import numpy as safetensors_numpy  # noqa: E402


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def models():
    dense = ta.models.lenet5(widths=(12,), rng=0)
    specs = {
        "dense": {},
        "ADTN": {"fc1": 2, "conv2": ta.Tucker.like(2)},
        "joint": {("fc1", "fc2"): 1},
        "indices": {"fc1": ta.Pruned.like(0.01), "fc2": ta.Quantized.like(4, of=1)},
    }
    yield from ((key, ta.compress(dense, spec, rng=1)) for key, spec in specs.items())
    yield "frozen", ta.freeze(dense, "conv*")
    double = ta.models.fc2(hidden=4)
    double.load_arrays({n: np.full(t.shape, 0.1) for n, t in double.named_tensors()})
    yield "float64", double


MODELS = list(models())


@pytest.mark.parametrize("model", [m for _, m in MODELS], ids=[n for n, _ in MODELS])
def test_a_model_comes_back(model, path):
    ta.save_safetensors(path, model)
    found = ta.load_safetensors(path)
    assert json.dumps(found.config) == json.dumps(model.config)
    before, after = model.arrays(), found.arrays()
    assert before.keys() == after.keys()
    for key, array in before.items():
        assert after[key].dtype == array.dtype
        assert np.array_equal(after[key], array), key
    assert found.num_parameters == model.num_parameters
    with package.safe_open(path, framework="numpy") as file:  # another program sees our names
        assert set(file.keys()) == before.keys()


def test_a_model_that_is_not_contiguous_and_one_of_its_own_kind(path):
    model = ta.Sequential(fc=ta.Linear(3, 2, rng=0))
    model.fc.weight.data = np.asfortranarray(model.fc.weight.data)
    ta.save_safetensors(path, model)
    with pytest.raises(CheckpointError, match=r"ta.load_safetensors\(path, into=model\)"):
        ta.load_safetensors(path)
    other = ta.Sequential(fc=ta.Linear(3, 2, rng=1))
    assert ta.load_safetensors(path, into=other) is other
    assert (other.fc.weight.data == model.fc.weight.data).all()


def test_a_state_of_torch(path):
    state = {"layers.0.weight": np.ones((2, 3), np.float16), "layers.0.bias": np.zeros(2)}
    path.write_bytes(safetensors_numpy.save(state, metadata={"format": "pt"}))
    model = ta.Sequential(fc=ta.Linear(3, 2, rng=0))
    ta.load_safetensors(path, into=model, names={"fc": "layers.0"})
    assert model(np.ones((1, 3))).data.tolist() == [[3, 3]]
    with pytest.raises(CheckpointError, match="does not describe a model"):
        ta.load_safetensors(path)
    with pytest.raises(CheckpointError, match=r"no tensor is called 'fc.weight'"):
        ta.load_safetensors(path, into=model)
    wide = ta.Sequential(fc=ta.Linear(4, 2, rng=0))
    with pytest.raises(CheckpointError, match=r"model.safetensors: fc.weight has shape \(2, 4\)"):
        ta.load_safetensors(path, into=wide, names={"fc": "layers.0"})


def test_our_file_under_other_names(path):
    ta.save_safetensors(path, ta.models.fc2(hidden=4, rng=0))
    model = ta.Sequential(
        flatten=ta.Flatten(), a=ta.Linear(784, 4), r=ta.ReLU(), b=ta.Linear(4, 10)
    )
    ta.load_safetensors(path, into=model, names={"a": "fc1", "b": "fc2"})
    assert (model.a.weight.data == ta.load_safetensors(path).fc1.weight.data).all()
    with pytest.raises(CheckpointError, match="into="):
        ta.load_safetensors(path, names={"a": "fc1"})


def test_a_type_that_numpy_does_not_have(path):
    header = json.dumps({"x": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(CheckpointError, match=r"x holds BF16.*convert"):
        ta.load_safetensors(path)


def damaged():
    whole = safetensors_numpy.save({"x": np.ones(8, np.float32)}, metadata={"tinyadtn": "{"})
    yield "its description cannot be read", whole
    yield "not a readable safetensors file", whole[:-1]
    yield "not a readable safetensors file", whole + b"more"
    yield "not a readable safetensors file", b"\xff" * 8 + whole
    yield "not a readable safetensors file", b""
    yield "not a readable safetensors file", b"PK\3\4 a zip, perhaps"
    for text in ('{"format": 2}', "[]", '{"format": 1, "config": 3}', '{"format": 1}'):
        yield "model.safetensors: ", safetensors_numpy.save({}, metadata={"tinyadtn": text})
    large = {"model": "fc2", "num_classes": 10, "image_size": 28, "channels": 1, "hidden": 10**9}
    text = json.dumps({"format": 1, "config": large})
    small = {"x": np.ones(3, np.float32)}
    yield "but the file holds fewer", safetensors_numpy.save(small, metadata={"tinyadtn": text})
    text = text[:-2] + "0" * 400 + "}}"
    yield "digits", safetensors_numpy.save(small, metadata={"tinyadtn": text})


@pytest.mark.parametrize(("words", "content"), list(damaged()))
def test_damage(words, content, path):
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=words):
        ta.load_safetensors(path)


def test_what_is_not_a_file(path, tmp_path):
    with pytest.raises(CheckpointError, match="there is no such file"):
        ta.load_safetensors(path)
    with pytest.raises(CheckpointError, match="not an ordinary file"):
        ta.load_safetensors(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)
        with pytest.raises(CheckpointError, match="not an ordinary file"):
            ta.load_safetensors(path)


def test_the_limits_of_checkpoints_hold(path, monkeypatch):
    ta.save_safetensors(path, ta.models.fc2(hidden=4, rng=0))
    monkeypatch.setattr(safetensors_file, "MOST_MEMBERS", 3)
    with pytest.raises(CheckpointError, match="4 arrays; at most 3"):
        ta.load_safetensors(path)
    monkeypatch.undo()
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: 1000)
    with pytest.raises(SizeLimitError, match="more memory"):
        ta.load_safetensors(path)
    monkeypatch.undo()
    with path.open("r+b") as file:
        file.truncate(2**33)
    with pytest.raises(CheckpointError, match=r"mostly holes|not a readable"):
        ta.load_safetensors(path)


def test_a_failed_write_keeps_the_old_file(path, monkeypatch):
    model = ta.models.fc2(hidden=4, rng=0)
    ta.save_safetensors(path, model)
    before = path.read_bytes()

    def fails(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="No space"):
        ta.save_safetensors(path, ta.models.fc2(hidden=4, rng=1))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_what_could_not_be_loaded_is_not_written(path):
    model = ta.compress(ta.models.fc2(rng=0), {"fc1": 1}, rng=0)
    with pytest.raises(TinyADTNError, match="has lost its encoding"), ta.decoded(model) as dense:
        ta.save_safetensors(path, dense)
    assert not path.exists()


def test_without_the_package(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(TinyADTNError, match=r"pip install safetensors$"):
        ta.save_safetensors(path, ta.models.fc2(rng=0))
    with pytest.raises(TinyADTNError, match=r"pip install safetensors$"):
        ta.load_safetensors(path)
