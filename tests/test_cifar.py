"""CIFAR's binary layouts: what is read comes back exactly, and nothing else is believed."""

import os

import numpy as np
import pytest
from data_files import CLASS_NAMES, cifar_files, cifar_records, write_files
from hypothesis import given
from hypothesis import strategies as st
from memory_peak import peak_of

from tinyadtn.data import cifar
from tinyadtn.data.catalogue import locate
from tinyadtn.data.cifar import CIFAR10, CIFAR100, read_cifar
from tinyadtn.data.loading import load_data
from tinyadtn.errors import DataFileError

MIB = 2**20
LAYOUTS = pytest.mark.parametrize("layout", [CIFAR10, CIFAR100], ids=lambda layout: layout.title)
COUNTS = (200, 100)


def refused(folder, layout, counts=None, name=""):
    """The message, after a check that it says which file, what was expected and what was found."""
    with pytest.raises(DataFileError) as caught:
        read_cifar(folder, layout, counts)
    message = str(caught.value)
    assert message.startswith(f"{folder / name}: expected ")
    assert ", found " in message
    assert "Put a good copy in its place" in message
    assert "\n" not in message
    return message


def unpacked(content, layout):
    """(images as nested lists, labels): the format's description, followed byte by byte."""
    images, labels = [], []
    for start in range(0, len(content), 3072 + len(layout.labels)):
        pixels = iter(content[start + len(layout.labels) : start + len(layout.labels) + 3072])
        labels.append(content[start + len(layout.labels) - 1])
        images.append([[[next(pixels) for _ in range(32)] for _ in range(32)] for _ in range(3)])
    return images, labels


# What is right comes back


@LAYOUTS
def test_every_byte_comes_back(tmp_path, layout):
    files = cifar_files(layout, (10, 7))
    pairs, classes = read_cifar(write_files(tmp_path, files), layout)
    assert classes == tuple(CLASS_NAMES[layout])
    for split, names in (("train", layout.train), ("test", layout.test)):
        images, labels = unpacked(b"".join(files[name] for name in names), layout)
        np.testing.assert_array_equal(pairs[split][0], images)
        np.testing.assert_array_equal(pairs[split][1], labels)
        assert pairs[split][0].dtype == np.uint8


def test_the_layouts_are_the_published_ones():
    assert (CIFAR10.record, CIFAR100.record) == (3073, 3074)
    assert CIFAR10.train == tuple(f"data_batch_{k}.bin" for k in (1, 2, 3, 4, 5))
    assert (CIFAR10.test, CIFAR10.names) == (("test_batch.bin",), "batches.meta.txt")
    assert (CIFAR100.train, CIFAR100.test) == (("train.bin",), ("test.bin",))
    assert CIFAR100.names == "fine_label_names.txt"


@given(sizes=st.lists(st.integers(1, 4), min_size=6, max_size=6), seed=st.integers(0, 99))
def test_any_number_of_records_in_each_file(tmp_path_factory, sizes, seed):
    files = cifar_files(CIFAR10, (50, 10), seed)
    names = CIFAR10.train + CIFAR10.test
    records = {name: cifar_records(CIFAR10, n, 9, first=n) for name, n in zip(names, sizes)}
    for k, rows in enumerate(records.values()):
        rows[:, 1:] ^= np.uint8(k + 1)  # so that no two files hold the same images
    files |= {name: rows.tobytes() for name, rows in records.items()}
    pairs, _ = read_cifar(write_files(tmp_path_factory.mktemp("c"), files), CIFAR10)
    together = np.concatenate([records[name] for name in CIFAR10.train])
    np.testing.assert_array_equal(pairs["train"][0].reshape(-1, 3072), together[:, 1:])
    np.testing.assert_array_equal(pairs["train"][1], together[:, 0])
    assert len(pairs["test"][1]) == sizes[-1]


@LAYOUTS
def test_a_folder_is_recognised_and_loaded(tmp_path, layout):
    files = cifar_files(layout, (120, 20))
    for source in (write_files(tmp_path / "mine", files), str(tmp_path / "mine")):
        data = load_data(source)
        assert [len(split) for split in (data.train, data.validation, data.test)] == [110, 10, 20]
        assert data.classes == tuple(CLASS_NAMES[layout])
        images, labels = unpacked(files[layout.test[0]], layout)
        expected = np.array(images, np.float32) / np.float32(255)
        np.testing.assert_array_equal(data.test.images, expected)
        np.testing.assert_array_equal(data.test.labels, labels)
        assert data.test.images.dtype == np.float32 and data.test.images.flags.c_contiguous
        assert data.test.labels.dtype == np.int64
        assert data.name == str(tmp_path / "mine")


def test_a_class_that_has_a_name_may_lack_images(tmp_path):
    files = cifar_files(CIFAR100, (20, 10))
    files["test.bin"] = cifar_records(CIFAR100, 10, first=90).tobytes()
    data = load_data(write_files(tmp_path, files))
    assert data.test.labels.tolist() == list(range(90, 100))
    assert len(data.classes) == 100


def test_loading_takes_five_bytes_a_pixel_at_most_and_four_in_the_end(tmp_path):
    folder = write_files(tmp_path, cifar_files(CIFAR10, (3000, 600)))
    kept = []
    pixels = 3600 * 3072
    assert peak_of(lambda: kept.append(load_data(folder))) < 5 * pixels + 4 * MIB
    (data,) = kept
    for split in (data.train, data.validation, data.test):
        assert split.images.base is None and split.labels.base is None  # no bytes are held on to
    assert sum(s.images.nbytes for s in (data.train, data.validation, data.test)) == 4 * pixels


def test_full_cifar10():
    try:
        folder = locate("cifar10")
    except DataFileError:
        pytest.skip("CIFAR-10 is not on this machine: run `tinyadtn data get cifar10`")
    pairs, classes = read_cifar(folder, CIFAR10, (50_000, 10_000))
    assert classes[0] == "airplane" and classes[9] == "truck"
    assert {split: len(labels) for split, (_, labels) in pairs.items()} == {
        "train": 50_000,
        "test": 10_000,
    }


# What is damaged, or something else, is refused


@LAYOUTS
def test_every_file_must_be_there(tmp_path, layout):
    files = cifar_files(layout)
    for name in files:
        folder = write_files(tmp_path / name, {k: v for k, v in files.items() if k != name})
        assert "found no such file" in refused(folder, layout, name=name)
        (folder / name).mkdir()
        assert "found a folder" in refused(folder, layout, name=name)


@LAYOUTS
def test_a_file_cut_anywhere_is_refused(tmp_path, layout, rng):
    files = cifar_files(layout)
    folder = write_files(tmp_path, files)
    name = layout.test[0]
    for length in {0, 1, layout.record - 1, *rng.integers(0, len(files[name]), 50).tolist()}:
        (folder / name).write_bytes(files[name][:length])
        if length == 0 or length % layout.record:
            assert f"size {length:,}," in refused(folder, layout, name=name)
        assert f"(size {length:,}, " in refused(folder, layout, COUNTS, name)


@LAYOUTS
@pytest.mark.parametrize("split", [0, 1])
def test_a_record_too_many_is_refused_where_the_number_is_known(tmp_path, layout, split):
    files = cifar_files(layout)
    name = layout.train[-1] if split == 0 else layout.test[0]
    files[name] += files[name][: layout.record]
    folder = write_files(tmp_path, files)
    each = COUNTS[0] // len(layout.train) if split == 0 else COUNTS[1]
    message = refused(folder, layout, COUNTS, name)
    assert f"expected {each:,} records of {layout.record:,} bytes" in message
    assert f"{each + 1:,}.00 records" in message


@LAYOUTS
def test_labels_that_do_not_exist_are_refused(tmp_path, layout):
    for column, values in enumerate(layout.labels):
        for value in (values, 255):
            files = cifar_files(layout, (20, 10))
            damaged = bytearray(files[layout.test[0]])
            damaged[7 * layout.record + column] = value
            folder = write_files(tmp_path, files | {layout.test[0]: bytes(damaged)})
            message = refused(folder, layout, name=layout.test[0])
            assert f"labels from 0 to {values - 1} in byte {column} of each record" in message
            assert f"found {value} in record 7." in message


@LAYOUTS
def test_where_the_numbers_are_known_every_changed_label_is_refused(tmp_path, layout, rng):
    files = cifar_files(layout)
    names = layout.train + layout.test
    for row in rng.integers(0, COUNTS[1] // len(names), 20).tolist():
        name = names[row % len(names)]
        damaged = bytearray(files[name])
        place = row * layout.record + len(layout.labels) - 1
        damaged[place] = (damaged[place] + 1) % layout.labels[-1]
        folder = write_files(tmp_path, files | {name: bytes(damaged)})
        assert "images of each class, found" in refused(folder, layout, COUNTS)
        read_cifar(folder, layout)  # nothing says that it is wrong


@LAYOUTS
def test_the_same_images_twice_are_refused(tmp_path, layout):
    files = cifar_files(layout, (50, 10))
    one, other = layout.train[-1], layout.test[0]
    relabelled = np.frombuffer(files[one], np.uint8).reshape(-1, layout.record).copy()
    relabelled[:, : len(layout.labels)] = 0
    for content in (files[one], relabelled.tobytes()):
        folder = write_files(tmp_path, files | {other: content})
        assert f"other images than in {one}, found the same" in refused(folder, layout, name=other)


def test_the_other_layouts_files_are_refused(tmp_path):
    files10, files100 = cifar_files(CIFAR10), cifar_files(CIFAR100)
    folder = write_files(tmp_path / "10", files10 | {"data_batch_1.bin": files100["train.bin"]})
    assert "whole records of 3,073 bytes" in refused(folder, CIFAR10, name="data_batch_1.bin")
    folder = write_files(tmp_path / "100", files100 | {"train.bin": files10["test_batch.bin"]})
    assert "whole records of 3,074 bytes" in refused(folder, CIFAR100, name="train.bin")
    names = {"fine_label_names.txt": files10["batches.meta.txt"]}
    folder = write_files(tmp_path / "names", files100 | names)
    message = refused(folder, CIFAR100, name="fine_label_names.txt")
    assert "100 classes, one a line, found 10 different ones" in message


HOSTILE = {
    "empty": (b"", "an empty file"),
    "web page": (b"<!DOCTYPE html><title>404</title>", "a web page"),
    "one byte": (b"\0", "the bytes 00"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(99), "the bytes 89 50 4e 47"),
    "the packed archive": (b"\x1f\x8b\x08\0" + bytes(3073), "the bytes 1f 8b 08 00"),
    "a long web page": (b"<html>" + bytes(3073 * 40), "a web page"),
    "ones": (b"\xff" * 3073, "255 in record 0"),
    "ten thousand wrong labels": (b"\x0a" * 3073 * 10_000, "10 in record 0"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_in_little_memory(tmp_path, kind):
    content, found = HOSTILE[kind]
    folder = write_files(tmp_path, cifar_files(CIFAR10, (20, 10)) | {"data_batch_3.bin": content})
    assert found in refused(folder, CIFAR10, name="data_batch_3.bin")
    most = 4 * MIB + len(content)
    assert peak_of(lambda: refused(folder, CIFAR10, name="data_batch_3.bin")) < most


@LAYOUTS
def test_a_file_of_holes_is_refused_by_its_size(tmp_path, layout):
    # A terabyte that takes no room on the disk: reading it would take minutes.
    folder = write_files(tmp_path, cifar_files(layout))
    for records in (2**40 // layout.record, 2**28 // layout.record):
        os.truncate(folder / layout.train[0], records * layout.record)
        message = refused(folder, layout, name=layout.train[0])
        assert f"bytes, found {records * layout.record:,}, mostly holes" in message
        assert peak_of(lambda: refused(folder, layout, name=layout.train[0])) < MIB
        refused(folder, layout, COUNTS, layout.train[0])


def test_a_pipe_is_refused(tmp_path):
    folder = write_files(tmp_path, cifar_files(CIFAR10))
    (folder / "data_batch_2.bin").unlink()
    os.mkfifo(folder / "data_batch_2.bin")  # opening one that nobody writes to waits for ever
    assert "not an ordinary file" in refused(folder, CIFAR10, name="data_batch_2.bin")


def test_a_file_that_changes_under_our_eyes_is_refused(tmp_path, monkeypatch):
    """The loop must not wait for bytes that never come."""
    folder = write_files(tmp_path, cifar_files(CIFAR10, (5000, 100)))

    def then_cut(*arguments):  # called between the first look at the size and the reading
        os.truncate(folder / "data_batch_1.bin", 300 * CIFAR10.record)

    monkeypatch.setattr(cifar, "require_memory", then_cut)
    assert "does it change?" in refused(folder, CIFAR10, name="data_batch_1.bin")


# Names of classes

GOOD_NAMES = CLASS_NAMES[CIFAR10]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "\n", "\n\n"])
def test_names_in_any_of_the_usual_line_ends(tmp_path, ending, last):
    files = cifar_files(CIFAR10)
    files["batches.meta.txt"] = (ending.join(GOOD_NAMES) + last).encode()
    assert read_cifar(write_files(tmp_path, files), CIFAR10)[1] == tuple(GOOD_NAMES)


BAD_NAMES = {
    "empty": (b"", "an empty file"),
    "web page": (b"<html>\n" * 10, "a web page"),
    "too few": (b"cat\ndog\n", "2 different ones"),
    "too many": ("\n".join([*GOOD_NAMES, "one more"]).encode(), "11 different ones"),
    "one twice": ("\n".join([*GOOD_NAMES[:9], GOOD_NAMES[0]]).encode(), "9 different ones"),
    "colours for a terminal": ("\n".join([*GOOD_NAMES[:9], "\x1b[31m"]).encode(), "not plain text"),
    "not ASCII": ("\n".join([*GOOD_NAMES[:9], "Käse"]).encode(), "not plain text"),
    "endless": (b"a\n" * 10**6, "different ones"),
}


@pytest.mark.parametrize("fault", BAD_NAMES)
def test_other_things_than_names_are_refused(tmp_path, fault):
    content, found = BAD_NAMES[fault]
    folder = write_files(tmp_path, cifar_files(CIFAR10) | {"batches.meta.txt": content})
    assert found in refused(folder, CIFAR10, name="batches.meta.txt")
    assert peak_of(lambda: refused(folder, CIFAR10, name="batches.meta.txt")) < 2 * MIB
