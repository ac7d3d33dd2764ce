"""A file of features: what comes back is what was written, and nothing else is believed."""

import io
import json
import tracemalloc
import zipfile

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.data.saved_data import parse_data, save_features
from tinyadtn.data.splits import Data, Split
from tinyadtn.errors import CheckpointError, DataFileError, SizeLimitError, TinyADTNError
from tinyadtn.files.npz import read_npz
from tinyadtn.files.state import META, read_state, write_state

ORIGIN = {"data": {"name": "pictures"}, "before": "fc1", "model": {"config": None}}


def split(count, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, 6, 1, 1)).astype(np.float32)
    return Split(3 * values, np.arange(count) % 3, features=True)


def made(**changes):
    parts = {"train": split(9, 0), "validation": split(4, 1), "test": split(5, 2), **changes}
    return Data(**{"classes": ("a", "b", "ç"), "name": "made", "origin": ORIGIN, **parts})


@pytest.fixture
def path(tmp_path):
    save_features(tmp_path / "f.npz", made())
    return tmp_path / "f.npz"


def rewritten(path, meta=None, **arrays):
    """The same file with other arrays or another description; one that is None is left out."""
    found, description = read_state(path)
    new = {k: v for k, v in (found | arrays).items() if v is not None}
    write_state(path, new, {k: v for k, v in (description | (meta or {})).items() if v is not None})
    return path


def test_what_was_written_comes_back(path):
    found, original = ta.load_data(path), made()
    for name in ("train", "validation", "test"):
        one, other = getattr(found, name), getattr(original, name)
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)
        assert one.images.dtype == np.float32 and one.labels.dtype == np.int64
    assert found.classes == original.classes and found.origin == ORIGIN
    assert found.name == str(path)
    assert found.identity() == {**original.identity(), "name": str(path)}
    assert found.train.images.min() < 0 and found.train.images.max() > 1
    assert repr(found) == (f"Data({path}: train 9, validation 4, test 5; images 6×1×1; 3 classes)")


def test_it_is_read_by_name_or_path_and_only_by_its_ending(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    assert ta.load_data("f.npz").name == "f.npz"
    path.rename(path.with_suffix(".features"))
    with pytest.raises(DataFileError, match=r"neither a folder, nor a \.npz or \.csv file"):
        ta.load_data(path.with_suffix(".features"))


def test_it_is_whole_or_untouched(path, monkeypatch):
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tinyadtn.files.state.write_npz", full)
    with pytest.raises(OSError, match="No space"):
        save_features(path, made(test=split(3, 3)))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_images_are_no_features(tmp_path):
    with pytest.raises(
        TinyADTNError, match=r"holds images, not features: ta\.save_data writes them"
    ):
        save_features(tmp_path / "f.npz", made(origin=None))
    with pytest.raises(TinyADTNError, match=r"f\.bin: the name .* ends in \.npz"):
        save_features(tmp_path / "f.bin", made())
    assert not list(tmp_path.iterdir())


def test_it_is_no_model(path):
    with pytest.raises(CheckpointError, match=r"holds features, not a network; .*ta\.load_data"):
        ta.load(path)
    with pytest.raises(CheckpointError, match="holds features, not a network"):
        ta.load(path, into=ta.models.fc2(rng=0))


# --- what is refused -----------------------------------------------------------------------------


def refused(path, says):
    with pytest.raises(DataFileError, match=says) as caught:
        ta.load_data(path)
    assert str(caught.value).startswith(f"{path}: ")


NAN = np.array([[[[np.nan]]]] * 5, np.float32) * np.ones((1, 6, 1, 1), np.float32)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"test/labels": None}, "expected train/images, .*, found train/images"),
        ({"more": np.zeros(3)}, "found .*more"),
        ({"test/images": NAN}, "test: 30 of 30 features are not finite"),
        ({"test/images": np.zeros((5, 6, 1, 1))}, "test: expected features of float32.* float64"),
        ({"test/images": np.zeros((5, 6, 1, 1), np.uint8)}, "features of float32, found uint8"),
        ({"test/images": np.zeros((5, 6), np.float32)}, r"test: expected images .*\(5, 6\)"),
        ({"test/images": np.zeros((0, 6, 1, 1), np.float32)}, "at least one"),
        ({"test/images": np.zeros((5, 7, 1, 1), np.float32)}, r"test images are \(7, 1, 1\)"),
        ({"test/images": np.zeros((4, 6, 1, 1), np.float32)}, "4 images need as many labels"),
        ({"test/labels": np.zeros(5)}, "test: expected integer labels, found float64"),
        ({"test/labels": np.full(5, 3)}, "test has label 3, and there are"),
        ({"test/labels": np.full(5, -1)}, "labels from 0 to 999, found -1"),
        ({"test/images": split(9, 0).images, "test/labels": np.zeros(9, int)}, "the same images"),
    ],
)
def test_arrays_that_are_no_features_are_refused(path, arrays, says):
    refused(rewritten(path, **arrays), says)


@pytest.mark.parametrize(
    ("meta", "says"),
    [
        ({"kind": "weights"}, "holds the weights of a network, not features"),
        ({"kind": None}, "not features"),
        ({"classes": None}, "the names of the classes"),
        ({"classes": []}, "the names of the classes"),
        ({"classes": "abc"}, "the names of the classes"),
        ({"classes": ["a", 2, "c"]}, "the names of the classes"),
        ({"classes": ["a", "b"]}, "label 2"),
        ({"origin": None}, "what the features were computed from: data, before, model"),
        ({"origin": {}}, "what the features were computed from"),
        ({"origin": ["data", "before", "model"]}, "what the features were computed from"),
        ({"origin": {**ORIGIN, "more": 1}}, "what the features were computed from"),
    ],
)
def test_descriptions_that_tell_of_no_features_are_refused(path, meta, says):
    refused(rewritten(path, meta), says)


def test_a_checkpoint_is_refused_with_the_command_that_makes_features(tmp_path):
    ta.save(tmp_path / "m.npz", ta.models.fc2(hidden=4, rng=0))
    says = (
        r"weights .* made by: tinyadtn features MODEL\.npz --before LAYER .* --out FEATURES\.npz$"
    )
    refused(tmp_path / "m.npz", says)  # and not --out m.npz, which would replace the checkpoint


def test_a_changed_number_is_found(path):
    content = path.read_bytes()
    number = made().train.images[3, 2].tobytes()
    assert content.count(number) == 1
    path.write_bytes(content.replace(number, np.float32(1.5).tobytes()))
    refused(path, "Bad CRC|is damaged")


def test_a_changed_number_with_a_right_checksum_is_found(path):
    arrays, _ = read_state(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    file = io.BytesIO()
    np.save(file, arrays["train/images"] + np.float32(1))
    members["train/images.npy"] = file.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    refused(path, "train/images is damaged: it is not what was written")


def test_what_is_larger_than_the_memory_is_not_read(path, monkeypatch):
    size = path.stat().st_size
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: 2 * size)
    assert len(ta.load_data(path).train) == 9
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: 2 * size - 1)
    monkeypatch.setattr("tinyadtn.files.npz._read_array", lambda *_: pytest.fail("it was read"))
    with pytest.raises(SizeLimitError, match=rf"f\.npz needs {2 * size:,} bytes"):
        ta.load_data(path)


def test_the_reader_needs_little_more_than_what_it_gives(tmp_path):
    values = np.random.default_rng(0).normal(size=(4000, 512, 1, 1)).astype(np.float32)
    labels = np.arange(4000) % 3
    rows = {"train": slice(0, 3000), "validation": slice(3000, 3500), "test": slice(3500, 4000)}
    parts = {name: Split(values[some], labels[some], True) for name, some in rows.items()}
    save_features(tmp_path / "f.npz", made(**parts))
    tracemalloc.start()
    parse_data(tmp_path / "f.npz", read_npz(tmp_path / "f.npz"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * values.nbytes


def test_the_description_is_what_the_readme_of_a_result_needs(path):
    """Plain JSON in the file itself: data, layer and model can be read without this library."""
    with zipfile.ZipFile(path) as archive:
        text = np.load(io.BytesIO(archive.read(f"{META}.npy"))).tobytes()
    assert json.loads(text)["origin"] == ORIGIN
