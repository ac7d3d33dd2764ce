"""Folders and named sets: found where they should be, recognised, and checked."""

import gzip
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_files import (
    NAMES,
    cifar_files,
    hashes,
    idx_bytes,
    small_set,
    write_files,
    write_set,
)

from tinyadtn.data import catalogue as sources
from tinyadtn.data.catalogue import BUNDLED, KNOWN, CifarSet, IdxSet, available, download, locate
from tinyadtn.data.cifar import CIFAR10, CIFAR100
from tinyadtn.data.loading import load_data
from tinyadtn.errors import DataFileError

pytestmark = pytest.mark.usefixtures("empty_home")


# Folders


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), ("", bytes)])
def test_a_folder_of_files_named_as_mnists(tmp_path, ending, pack):
    arrays = small_set(validation=7)
    folder = write_set(tmp_path / "mine", arrays, ending=ending, pack=pack)
    for source in (folder, str(folder)):
        data = load_data(source)
        for split, prefix in ((data.train, "train"), (data.validation, "validation")):
            expected = arrays[f"{prefix}-images"][:, None].astype(np.float64) / 255
            np.testing.assert_allclose(split.images, expected, rtol=1e-7)
            np.testing.assert_array_equal(split.labels, arrays[f"{prefix}-labels"])
        assert len(data.test) == 6
        assert data.classes == ("0", "1", "2")
        assert data.name == str(folder)


def test_without_validation_files_every_twelfth_training_image_is_drawn(tmp_path):
    data = load_data(write_set(tmp_path / "mine", small_set(train=24)))
    assert (len(data.train), len(data.validation), len(data.test)) == (22, 2, 6)


def test_a_path_is_a_folder_even_where_a_set_has_that_name(tmp_path, monkeypatch):
    write_set(tmp_path / "mnist", small_set())
    monkeypatch.chdir(tmp_path)
    assert len(load_data(Path("mnist")).test) == 6
    assert len(load_data("./mnist").test) == 6


def broken(change):
    """A folder's refusal after ``change(arrays)``."""

    def message(folder):
        arrays = small_set(validation=7)
        change(arrays)
        with pytest.raises(DataFileError) as caught:
            load_data(write_set(folder / "mine", arrays))
        assert str(folder / "mine") in str(caught.value)
        return str(caught.value)

    return message


def swap(arrays):
    arrays["train-images"], arrays["train-labels"] = (
        arrays["train-labels"],
        arrays["train-images"],
    )


BROKEN = {
    "a file is missing": (
        lambda a: a.pop("t10k-labels"),
        "t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz",
    ),
    "labels of validation are missing": (
        lambda a: a.pop("validation-labels"),
        "validation-labels-idx1-ubyte",
    ),
    "fewer labels than images": (
        lambda a: a.update({"t10k-labels": a["t10k-labels"][:4]}),
        "6 images need as many labels, (6,), found (4,)",
    ),
    "images and labels swapped": (swap, "swapped"),
    "images flattened": (
        lambda a: a.update({"t10k-images": a["t10k-images"].reshape(6, 20)}),
        "expected images (n, h, w), found an array (6, 20)",
    ),
    "train given as test": (
        lambda a: a.update({"t10k-" + k: a["train-" + k] for k in ("images", "labels")}),
        "train and test hold the same images",
    ),
    "validation given as test": (
        lambda a: a.update({"t10k-" + k: a["validation-" + k] for k in ("images", "labels")}),
        "validation and test hold the same images",
    ),
    "a damaged label": (
        lambda a: a["train-labels"].__setitem__(0, 255),
        "labels go to 255 but 252 of the classes, such as 3,",
    ),
    "test labels of another set": (
        lambda a: a["t10k-labels"].__setitem__(0, 7),
        "test has label 7, and there are 3 classes",
    ),
    "test images of another set": (
        lambda a: a.update({"t10k-images": np.zeros((6, 5, 4), np.uint8)}),
        "test images are (1, 5, 4), training images (1, 4, 5)",
    ),
    "no test image": (
        lambda a: a.update(
            {"t10k-images": np.zeros((0, 4, 5), np.uint8), "t10k-labels": np.zeros(0, np.uint8)}
        ),
        "at least one, found (0, 1, 4, 5)",
    ),
    "no training image": (
        lambda a: a.update(
            {"train-images": np.zeros((0, 4, 5), np.uint8), "train-labels": np.zeros(0, np.uint8)}
        ),
        "at least one, found (0, 1, 4, 5)",
    ),
    "images without pixels": (
        lambda a: a.update({"train-images": np.zeros((24, 0, 5), np.uint8)}),
        "at least one, found (24, 1, 0, 5)",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_folders_that_do_not_fit_together_are_refused(tmp_path, fault):
    change, expected = BROKEN[fault]
    assert expected in broken(change)(tmp_path)


def test_a_damaged_file_in_a_folder_is_refused(tmp_path):
    folder = write_set(tmp_path / "mine", small_set())
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataFileError, match=r"t10k-images-idx3-ubyte\.gz: expected a whole gzip"):
        load_data(folder)


def test_one_training_image_leaves_none_for_validation(tmp_path):
    with pytest.raises(DataFileError, match="one training image"):
        load_data(write_set(tmp_path / "mine", small_set(train=1, test=1)))


def test_neither_a_folder_nor_a_name(tmp_path):
    with pytest.raises(DataFileError, match=r"mnsit: neither a folder, nor .*mnist-5k, mnist"):
        load_data("mnsit")
    for slip in ("mnist5k", "MNIST-5k"):
        with pytest.raises(DataFileError, match=r"did you mean mnist-5k\?"):
            load_data(slip)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataFileError, match=r"neither a folder.*cifar100\); .* name the folder$"):
        load_data(tmp_path / "file")


# Names and places that other programs give


KAGGLE = {key: name.replace("-idx", ".idx") for key, name in NAMES.items()}


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), ("", bytes)])
def test_names_with_a_dot_as_kaggle_has_them(tmp_path, ending, pack):
    arrays = small_set(validation=7)
    folder = write_files(
        tmp_path / "mine",
        {KAGGLE[key] + ending: pack(idx_bytes(values)) for key, values in arrays.items()},
    )
    expected = load_data(write_set(tmp_path / "other", arrays))
    for _ in range(2):
        data = load_data(folder)
        for split in ("train", "validation", "test"):
            one, other = getattr(data, split), getattr(expected, split)
            np.testing.assert_array_equal(one.images, other.images)
            np.testing.assert_array_equal(one.labels, other.labels)
        for name in NAMES.values():  # Kaggle's archive has these folders next to the files
            (folder / name).mkdir(exist_ok=True)


def test_a_folder_in_place_of_a_file_is_called_one(tmp_path):
    folder = write_set(tmp_path / "mine", small_set())
    path = folder / "train-images-idx3-ubyte"
    path.with_name(f"{path.name}.gz").unlink()
    path.mkdir()
    with pytest.raises(DataFileError, match=r"train-images-idx3-ubyte: expected .* found a folder"):
        load_data(folder)


@pytest.mark.parametrize("set_name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_the_folders_of_torchvision(tmp_path, set_name):
    root = tmp_path / "data"
    raw = write_set(root / set_name / "raw", small_set())
    write_set(raw, small_set(), ending="", pack=bytes)  # it keeps both
    (root / set_name / "processed").mkdir()
    for folder in (root, root / set_name, raw):
        data = load_data(folder)
        assert (len(data.train), len(data.test), data.name) == (22, 6, str(folder))


def test_two_sets_below_one_root_are_named(tmp_path):
    for name in ("MNIST", "FashionMNIST"):
        write_set(tmp_path / name / "raw", small_set())
    with pytest.raises(DataFileError) as caught:
        load_data(tmp_path)
    for name in ("MNIST", "FashionMNIST"):
        assert f"MNIST ({tmp_path / name / 'raw'})" in str(caught.value)
    assert len(load_data(tmp_path / "MNIST").test) == 6


def test_a_folder_of_its_own_files_is_not_searched_further(tmp_path):
    write_set(tmp_path, small_set(test=9))
    write_set(tmp_path / "MNIST" / "raw", small_set())
    assert len(load_data(tmp_path).test) == 9


@pytest.mark.parametrize("inner", ["", "MNIST", "MNIST/raw"])
def test_a_known_set_is_found_where_torchvision_puts_it(tmp_path, monkeypatch, inner):
    arrays = small_set()
    known = replace(KNOWN["mnist"], sha256=hashes(arrays))
    monkeypatch.setitem(KNOWN, "mnist", known)
    raw = write_set(tmp_path / "MNIST" / "raw", arrays)
    write_set(tmp_path / "FashionMNIST" / "raw", small_set(seed=1))
    monkeypatch.setenv("TINYADTN_DATA", str(tmp_path / inner))
    assert locate("mnist") == raw
    assert len(load_data("mnist").test) == 6


@pytest.mark.parametrize("name", ["mine.npz", "x_train.npz"])
def test_no_advice_would_overwrite_a_file_of_other_arrays(tmp_path, name):
    path = tmp_path / name
    np.savez(path, features=np.zeros((4, 2, 2)), y_train=np.arange(4))
    content = path.read_bytes()
    with pytest.raises(DataFileError) as caught:
        load_data(path)
    assert str(caught.value).startswith(f"{path}: ")
    advice = str(caught.value).removeprefix(f"{path}: ")
    assert name not in advice
    assert "x_train" in advice
    assert path.read_bytes() == content


# No home


def test_without_a_home_only_the_cache_is_missing(tmp_path, monkeypatch, tiny):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    assert len(load_data("mnist-5k").test) == 1000
    says = "no home folder to keep data in; set XDG_CACHE_HOME or TINYADTN_DATA"
    for call in (lambda: load_data("mnist"), lambda: download("mnist"), sources.cache_folder):
        with pytest.raises(DataFileError, match=says):
            call()
    assert {row[0]: row[2] for row in available()}["mnist"].startswith("not here; run: ")
    monkeypatch.setenv("TINYADTN_DATA", str(write_set(tmp_path / "mine", tiny)))
    assert len(load_data("tiny").test) == 6


# Named sets: where they are looked for


@pytest.fixture
def tiny(monkeypatch):
    """A named set of our own that is checked and fetched like MNIST."""
    arrays = small_set()
    monkeypatch.setitem(KNOWN, "tiny", IdxSet("a test", hashes(arrays), ("http://nowhere/",)))
    return arrays


def test_search_order(tmp_path, monkeypatch, empty_home, tiny, no_network):
    write_set(empty_home / "tiny", tiny)
    assert locate("tiny") == empty_home / "tiny"
    monkeypatch.setenv("TINYADTN_DATA", str(tmp_path / "empty"))
    assert locate("tiny") == empty_home / "tiny"
    monkeypatch.setenv("TINYADTN_DATA", str(tmp_path / "mine"))
    write_set(tmp_path / "mine" / "tiny", tiny)
    assert locate("tiny") == tmp_path / "mine" / "tiny"
    write_set(tmp_path / "mine", tiny)
    assert locate("tiny") == tmp_path / "mine"
    assert load_data("tiny").name == "tiny"


def test_without_xdg_the_cache_is_in_the_home(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert sources.cache_folder() == tmp_path / ".cache" / "tinyadtn"


def test_missing_says_where_it_looked_and_what_to_run(tmp_path, monkeypatch, no_network):
    monkeypatch.setenv("TINYADTN_DATA", str(tmp_path / "mine"))
    with pytest.raises(DataFileError) as caught:
        load_data("mnist")
    message = str(caught.value)
    for place in (tmp_path / "mine", tmp_path / "mine/mnist", tmp_path / "cache/tinyadtn/mnist"):
        assert re.search(rf"{re.escape(str(place))}[,.]", message)
    assert "tinyadtn data get mnist" in message
    assert "TINYADTN_DATA" in message
    assert "\n" not in message
    assert not (tmp_path / "cache").exists()


def test_other_files_under_a_known_name_are_refused_with_both_hashes(tmp_path, monkeypatch):
    arrays = small_set()
    monkeypatch.setenv("TINYADTN_DATA", str(write_set(tmp_path / "mine", arrays)))
    with pytest.raises(DataFileError) as caught:
        load_data("mnist")
    assert KNOWN["mnist"].sha256["train-images"] in str(caught.value)
    assert hashes(arrays)["train-images"] in str(caught.value)


def test_every_file_of_a_known_set_is_hashed(tmp_path, monkeypatch, tiny):
    monkeypatch.setenv("TINYADTN_DATA", str(tmp_path / "mine"))
    for key in tiny:
        changed = {**tiny, key: tiny[key].copy()}
        changed[key].flat[0] ^= 1
        write_set(tmp_path / "mine", changed)
        with pytest.raises(DataFileError, match=f"{NAMES[key]}.*SHA-256"):
            load_data("tiny")


def test_the_draw_of_a_known_set_ignores_stray_validation_files(tmp_path, monkeypatch, tiny):
    write_set(tmp_path / "mine", {**tiny, **small_set(seed=1, validation=9)} | tiny)
    monkeypatch.setenv("TINYADTN_DATA", str(tmp_path / "mine"))
    assert len(load_data("tiny").validation) == 2


def test_available_has_a_row_for_each_set(tmp_path, monkeypatch, no_network, tiny, empty_home):
    write_set(empty_home / "tiny", tiny)
    rows = {name: (description, where) for name, description, where in available()}
    assert list(rows) == ["mnist-5k", "mnist", "fashion-mnist", "cifar10", "cifar100", "tiny"]
    assert rows["mnist-5k"][1] == str(BUNDLED / "mnist-5k")
    assert rows["mnist"][1] == "not here; run: tinyadtn data get mnist"
    assert rows["cifar100"][1] == "not here; run: tinyadtn data get cifar100"
    assert rows["tiny"] == ("a test", str(empty_home / "tiny"))


def test_available_does_not_call_other_files_a_set(monkeypatch, no_network, tiny, tmp_path):
    folder = write_set(tmp_path / "mine", tiny)
    write_files(folder, {"data_batch_1.bin": bytes(3073)})
    monkeypatch.setenv("TINYADTN_DATA", str(folder))
    rows = {name: where for name, _, where in available()}
    assert rows["tiny"] == str(folder)
    for name in ("mnist", "fashion-mnist", "cifar10"):
        expected = f"not here (other files in {folder}); run: tinyadtn data get {name}"
        assert rows[name] == expected or (name == "fashion-mnist" and DEBIANS.is_dir())


# Several sets in reach

DEBIANS = Path("/usr/share/datasets/fashion-mnist")


def test_a_folder_with_another_sets_files_does_not_hide_the_right_one(
    tmp_path, monkeypatch, tiny, empty_home
):
    other = {**tiny, "t10k-labels": tiny["t10k-labels"][::-1].copy()}
    monkeypatch.setenv("TINYADTN_DATA", str(write_set(tmp_path / "mine", other)))
    assert locate("tiny") == tmp_path / "mine"  # to be refused with the hashes
    write_set(empty_home / "tiny", tiny)
    assert locate("tiny") == empty_home / "tiny"
    assert len(load_data("tiny").test) == 6


def test_where_debian_puts_fashion_mnist_is_the_last_place(
    tmp_path, monkeypatch, empty_home, no_network
):
    fashion = KNOWN["fashion-mnist"]
    assert fashion.elsewhere == (DEBIANS,)
    arrays = small_set()
    debians = write_set(tmp_path / "debian", arrays)
    ours = IdxSet("a test", hashes(arrays), fashion.mirrors, tuple("abc"), (debians,))
    monkeypatch.setitem(KNOWN, "clothes", ours)
    assert locate("clothes") == debians
    assert load_data("clothes").classes == ("a", "b", "c")
    write_set(empty_home / "clothes", arrays)
    assert locate("clothes") == empty_home / "clothes"
    monkeypatch.setitem(KNOWN, "clothes", IdxSet("a test", hashes(arrays), fashion.mirrors))
    assert locate("clothes") == empty_home / "clothes"


# CIFAR


@pytest.fixture(params=[CIFAR10, CIFAR100], ids=lambda layout: layout.title)
def layout(request, monkeypatch):
    """A layout, in which the set "colours" is known, of 200 training and 100 test images."""
    made = CifarSet(
        "a test",
        request.param,
        "a.tar.gz",
        "",
        ("http://nowhere/",),
        counts=(200, 100),
        validation=30,
    )
    monkeypatch.setitem(KNOWN, "colours", made)
    return request.param


def test_search_order_of_cifar(tmp_path, monkeypatch, empty_home, layout, no_network):
    mine, files = tmp_path / "mine", cifar_files(layout)
    monkeypatch.setenv("TINYADTN_DATA", str(mine))
    with pytest.raises(DataFileError) as caught:
        load_data("colours")
    places = [place / last for place in (empty_home / "colours", mine / "colours", mine)
              for last in (layout.folder, "")]  # fmt: skip
    for place in places:
        assert re.search(rf"{re.escape(str(place))}[,.]", str(caught.value))
    for place in places:  # from the last resort to the first choice
        write_files(place, files)
        assert locate("colours") == place
    assert load_data("colours").name == "colours"


def test_a_named_cifar_set_has_names_and_its_own_number_to_validate_on(
    monkeypatch, layout, empty_home
):
    files = cifar_files(layout)
    write_files(empty_home / "colours", files)
    data = load_data("colours")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [170, 30, 100]
    assert data.classes == tuple(files[layout.names].decode().split("\n")[: layout.labels[-1]])


def test_a_named_cifar_set_must_be_whole(empty_home, layout):
    files = cifar_files(layout)
    files[layout.train[0]] = files[layout.train[0]][layout.record :]
    folder = write_files(empty_home / "colours", files)
    assert locate("colours") == folder
    with pytest.raises(DataFileError, match=rf"{layout.train[0]}: expected .* records of"):
        load_data("colours")
    assert len(load_data(folder).test) == 100


def test_a_folder_in_no_layout_and_one_in_two(tmp_path):
    with pytest.raises(DataFileError) as caught:
        load_data(tmp_path)
    for name in ("train-images-idx3-ubyte", "data_batch_1.bin", "train.bin"):
        assert name in str(caught.value)
    assert str(caught.value).endswith("found nothing in it")
    write_files(tmp_path, cifar_files(CIFAR10))
    assert len(load_data(tmp_path).classes) == 10
    write_set(tmp_path, small_set())
    with pytest.raises(DataFileError, match="found those of CIFAR-10 and MNIST"):
        load_data(tmp_path)
    write_files(tmp_path, cifar_files(CIFAR100))
    with pytest.raises(DataFileError, match="those of CIFAR-10 and CIFAR-100 and MNIST"):
        load_data(tmp_path)
