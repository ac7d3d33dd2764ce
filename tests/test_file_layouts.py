"""Folders of known sets, hostile files, and files of save_data."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from data_files import cifar_files, small_set, write_files, write_set
from own_data import NAMES, X, Y, same
from PIL import Image

import tinyadtn as ta
from tinyadtn.data.cifar import CIFAR10
from tinyadtn.data.saved_data import save_data
from tinyadtn.errors import DataFileError


@pytest.mark.parametrize("what", ["nothing", "pictures without classes", "other files"])
def test_a_folder_of_something_else_is_refused_with_the_layouts(what, tmp_path):
    if what == "pictures without classes":
        Image.fromarray(X[0]).save(tmp_path / "1.png")
    elif what == "other files":
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "notes.txt").write_text("words")
    with pytest.raises(DataFileError, match="a folder of pictures for each class, a CSV file"):
        ta.load_data(tmp_path)


def test_pickles_are_never_loaded(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"\x80\x04.")
    with pytest.raises(DataFileError, match="pickles, which are never loaded"):
        ta.load_data(tmp_path)
    np.save(tmp_path / "x.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(DataFileError, match=r"x\.npy holds pickled objects"):
        ta.load_data(tmp_path)
    np.savez(tmp_path / "own.npz", x=X, y=np.array(list("abc") * 12, object))
    with pytest.raises(DataFileError, match=r"y\.npy holds pickled objects.*dtype=str"):
        ta.load_data(tmp_path / "own.npz")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_npz_file_is_compressed_as_numpy_does_it_or_refused(method, tmp_path):
    np.savez(tmp_path / "own.npz", x=X, y=Y)
    with zipfile.ZipFile(tmp_path / "own.npz") as own:
        members = {name: own.read(name) for name in own.namelist()}
    with zipfile.ZipFile(tmp_path / "other.npz", "w", method) as other:
        for name, content in members.items():
            other.writestr(name, content)
    with pytest.raises(DataFileError, match=r"x\.npy is compressed by another .*savez_compressed"):
        ta.load_data(tmp_path / "other.npz")


def test_the_ending_may_be_in_capitals(tmp_path):
    np.savez(tmp_path / "own.npz", x=X, y=Y)
    same(ta.load_data((tmp_path / "own.npz").rename(tmp_path / "OWN.NPZ")), ta.load_data((X, Y)))
    for name, array in (("X", X), ("Y", Y)):
        with (tmp_path / f"{name}.NPY").open("wb") as file:
            np.save(file, array)
    (tmp_path / "._X.NPY").write_bytes(b"what macOS adds to an archive")
    same(ta.load_data(tmp_path), ta.load_data((X, Y)))


def test_a_folder_with_an_archive_of_arrays_names_it(tmp_path):
    np.savez(tmp_path / "mnist.npz", x=X, y=Y)
    with pytest.raises(DataFileError, match=r"found mnist\.npz in it\. Name .*mnist\.npz itself"):
        ta.load_data(tmp_path)


@pytest.mark.parametrize("place", [".", "raw", "MNIST/raw", "FashionMNIST/raw"])
@pytest.mark.parametrize("dotted", [False, True])
def test_the_folder_that_a_program_made_or_any_above_it(place, dotted, tmp_path):
    folder = write_set(tmp_path / "data" / place, small_set())
    if dotted:  # as Kaggle and some unpackers write it
        for path in list(folder.iterdir()):
            path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    expected = ta.load_data(folder)
    for each in (tmp_path / "data", folder.parent if "/" in place else folder):
        same(ta.load_data(each), expected)


def test_two_sets_below_one_folder_are_both_named(tmp_path):
    for name in ("MNIST", "FashionMNIST"):
        write_set(tmp_path / name / "raw", small_set())
    with pytest.raises(DataFileError, match=r"MNIST \(.*/MNIST/raw\) and .*FashionMNIST/raw"):
        ta.load_data(tmp_path)
    assert len(ta.load_data(tmp_path / "MNIST").train) == 22


def test_the_folder_above_cifars_is_found_too(tmp_path):
    folder = tmp_path / CIFAR10.folder
    write_files(folder, cifar_files(CIFAR10))
    same(ta.load_data(tmp_path), ta.load_data(folder))


def npy_header(shape, dtype="|u1"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


@pytest.mark.parametrize("kind", ["npy", "npz", "packed zeros", "members", "holes"])
def test_a_small_file_cannot_become_a_large_array(kind, tmp_path):
    path = tmp_path / "x.npz"
    if kind == "npy":
        path = tmp_path / "x.npy"
        path.write_bytes(npy_header((10**6, 100, 100)) + b"\0" * 100)
    elif kind == "holes":
        path = tmp_path / "x.npy"
        with path.open("wb") as file:
            file.write(npy_header((2**15, 2**15)))
            file.truncate(len(npy_header((2**15, 2**15))) + 2**30)
    elif kind == "members":
        with zipfile.ZipFile(path, "w") as archive:
            for k in range(11_000):
                archive.writestr(f"{k}.npy", b"")
    else:
        packing = zipfile.ZIP_DEFLATED if kind == "packed zeros" else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", packing) as archive:
            zeros = b"\0" * (2**28 if kind == "packed zeros" else 10)
            archive.writestr("x.npy", npy_header((2**14, 2**14)) + zeros)
    tracemalloc.start()
    with pytest.raises(DataFileError):
        ta.load_data(path.parent if path.suffix == ".npy" else path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**25


def test_images_that_compress_too_well_can_be_stored_plainly(tmp_path):
    images, labels = np.zeros((1000, 100, 100), np.uint8), np.arange(1000) % 3
    np.savez_compressed(tmp_path / "own.npz", x=images, y=labels)
    with pytest.raises(
        DataFileError, match=r"claim 10,\d+,\d+ bytes, .* write them with numpy\.savez"
    ):
        ta.load_data(tmp_path / "own.npz")
    np.savez(tmp_path / "own.npz", x=images, y=labels)
    assert ta.load_data(tmp_path / "own.npz").train.images.max() == 0


def test_images_that_were_saved_are_read_again_exactly(tmp_path):
    data = ta.load_data((X, NAMES[Y]))
    ta.save_data(tmp_path / "own.npz", data)
    again = ta.load_data(tmp_path / "own.npz")
    assert again.identity() == {**data.identity(), "name": str(tmp_path / "own.npz")}
    for split in ("train", "validation", "test"):
        one, other = getattr(data, split), getattr(again, split)
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)
    with zipfile.ZipFile(tmp_path / "own.npz") as archive:
        assert archive.getinfo("train/images.npy").file_size < 28 * 36 + 200  # a byte per pixel
    arrays = dict(np.load(tmp_path / "own.npz"))
    np.savez_compressed(tmp_path / "packed.npz", **arrays)  # as a careful owner of a disk does
    same(ta.load_data(tmp_path / "packed.npz"), data)
    floats = ta.load_data((np.random.default_rng(0).random(X.shape), Y))
    save_data(tmp_path / "own.npz", floats)
    same(ta.load_data(tmp_path / "own.npz"), floats)
