"""The bundled digits: their splits and values, and how the files were made; the full sets."""

import csv
import gzip
import hashlib
import re
import tracemalloc

import numpy as np
import pytest

from tinyadtn.data.catalogue import BUNDLED, locate
from tinyadtn.data.loading import load_data
from tinyadtn.errors import DataFileError

README = BUNDLED / "README.md"
SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def digits():
    return load_data("mnist-5k")


def test_mnist_5k_is_balanced_and_scaled(digits):
    assert digits.name == "mnist-5k"
    assert digits.classes == tuple("0123456789")
    for name, count in (("train", 350), ("validation", 50), ("test", 100)):
        split = getattr(digits, name)
        assert len(split) == 10 * count
        assert split.images.shape == (10 * count, 1, 28, 28)
        assert split.images.dtype == np.float32
        assert split.labels.dtype == np.int64
        assert np.bincount(split.labels).tolist() == [count] * 10
        assert split.images.min() == 0
        assert split.images.max() == 1


def test_no_digit_is_in_two_splits(digits):
    images = [image.tobytes() for name in SPLITS for image in getattr(digits, name).images]
    assert len(set(images)) == 5000


def test_any_first_hundred_shows_every_digit(digits):
    for name in SPLITS:
        assert set(getattr(digits, name).labels[:100]) == set(range(10))


def test_pixels_are_the_bytes_of_the_file_over_255(digits):
    payload = gzip.decompress((BUNDLED / "mnist-5k/t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    expected = np.array([byte / 255 for byte in payload], np.float32)
    np.testing.assert_array_equal(digits.test.images.ravel(), expected)


def test_the_default_is_the_bundled_set_and_each_load_is_its_own(digits):
    other = load_data()
    assert repr(other) == repr(digits)
    other.train.images[:] = 0
    assert load_data().train.images.any()


def test_loading_is_small():
    tracemalloc.start()
    load_data("mnist-5k")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 * 2**20  # 16 MB of float32 pixels, 4 MB of bytes


def test_the_hashes_in_the_readme_are_those_of_the_files():
    rows = re.findall(r"\| `(\S+)` \| ([0-9a-f]{64}) \|", README.read_text("utf-8"))
    assert len(rows) == 6
    for name, sha256 in rows:
        packed = (BUNDLED / "mnist-5k" / name).read_bytes()
        assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == sha256
        assert packed[4:8] == bytes(4), "a time in the gzip: its bytes could not be made again"


def test_the_licence_is_stated():
    text = (BUNDLED / "mnist-5k" / "LICENSE").read_text("utf-8")
    for words in (
        "Yann LeCun and Corinna Cortes",
        "Attribution-ShareAlike 3.0",
        "https://creativecommons.org/licenses/by-sa/3.0/legalcode",
        "Changes",
    ):
        assert words in text


@pytest.fixture(scope="module")
def official():
    """The bytes of MNIST's training files, read by hand."""
    try:
        folder = locate("mnist")
    except DataFileError:
        pytest.skip("full MNIST is not on this machine: run `tinyadtn data get mnist`")
    contents = []
    for kind in ("images-idx3", "labels-idx1"):
        content = next(folder.glob(f"train-{kind}-ubyte*")).read_bytes()
        contents.append(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
    images, labels = contents
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(60000, 784)
    return pixels, np.frombuffer(labels, np.uint8, offset=8)


def test_the_recipe_in_the_readme_makes_the_files(official, tmp_path, monkeypatch):
    images, labels = official
    monkeypatch.chdir(tmp_path)
    with gzip.open("mnist_5k.csv.gz", "wt", newline="") as file:
        writer = csv.writer(file)
        for digit in range(10):
            for row in np.flatnonzero(labels == digit)[:500]:
                writer.writerow([*images[row].tolist(), digit])
    (recipe,) = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    exec(compile(recipe, str(README), "exec"), {})
    made = sorted(tmp_path.glob("*-ubyte.gz"))
    assert len(made) == 6
    for path in made:
        bundled = (BUNDLED / "mnist-5k" / path.name).read_bytes()
        assert gzip.decompress(path.read_bytes()) == gzip.decompress(bundled)


def test_full_mnist(official):
    images, labels = official
    data = load_data("mnist")
    assert [len(getattr(data, name)) for name in SPLITS] == [55_000, 5_000, 10_000]
    assert data.classes == tuple("0123456789")
    together = np.concatenate([data.train.labels, data.validation.labels])
    assert np.bincount(together).tolist() == np.bincount(labels).tolist()
    # In the order of the file, none lost: walking through it meets the next of one or the other.
    pixels = {"train": iter(data.train.images), "validation": iter(data.validation.images)}
    heads = {name: next(rows) for name, rows in pixels.items()}
    for image in images[:500].reshape(-1, 1, 28, 28) / np.float32(255):
        (name,) = [name for name in heads if np.array_equal(heads[name], image)]
        heads[name] = next(pixels[name])


def test_full_fashion_mnist():
    try:
        locate("fashion-mnist")
    except DataFileError:
        pytest.skip("Fashion-MNIST is not here: run `tinyadtn data get fashion-mnist`")
    data = load_data("fashion-mnist")
    assert [len(getattr(data, name)) for name in SPLITS] == [55_000, 5_000, 10_000]
    assert (data.classes[0], data.classes[9]) == ("T-shirt/top", "Ankle boot")
    assert np.bincount(data.test.labels).tolist() == [1000] * 10
