"""Hypothesis damages files: what is read is what was written, or it is refused, within bounds.

A file is a good one with a few changes: bits flipped, bytes cut, doubled, or overwritten by the
numbers that parsers trip over. Anything but the reader's own error, or its own content, fails.
"""

import gzip

import hostile_files
import numpy as np
import pytest
from data_files import cifar_files, idx_bytes, write_files
from hypothesis import given
from hypothesis import strategies as st
from memory_peak import peak_of

from tinyadtn.data.cifar import CIFAR10, read_cifar
from tinyadtn.data.idx import read_idx
from tinyadtn.data.picture import read_digit, read_picture
from tinyadtn.errors import CheckpointError, DataFileError
from tinyadtn.files.state import read_state, write_state

MIB = 2**20
NASTY = [b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0", bytes(4), b"\xff" * 8, b"PK\x01\x02",
         b"\x1f\x8b\x08", b"\x93NUMPY", b"<html>", b"../", b"(9999999999,)", b"\n"]  # fmt: skip
PLACES = st.floats(0, 1, exclude_max=True)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), PLACES, st.integers(0, 7)),
        st.tuples(st.just("cut"), PLACES, st.integers(1, 64)),
        st.tuples(st.just("double"), PLACES, st.integers(1, 64)),
        st.tuples(st.just("write"), PLACES, st.sampled_from(NASTY)),
        st.tuples(st.just("end"), PLACES, st.just(None)),
    ),
    min_size=1,
    max_size=3,
)


def damaged(content, changes):
    for kind, share, what in changes:
        at = int(share * len(content))
        if kind == "flip" and content:
            content = content[:at] + bytes([content[at] ^ (1 << what)]) + content[at + 1 :]
        elif kind == "cut":
            content = content[:at] + content[at + what :]
        elif kind == "double":
            content = content[: at + what] + content[at:]
        elif kind == "write":
            content = content[:at] + what + content[at + len(what) :]
        elif kind == "end":
            content = content[:at]
    return content


def outcome(read, refusal):
    """What reading gives, None where it is refused; never much memory."""
    found = []

    def attempt():
        try:
            found.append(read())
        except refusal as error:
            assert str(error)
            found.append(None)

    assert peak_of(attempt) < 64 * MIB
    return found[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


ARRAYS = {"fc1.weight": np.arange(30, dtype=np.float32).reshape(5, 6), "count": np.array(3)}


@pytest.fixture(scope="module")
def checkpoint(folder):
    write_state(folder / "good.npz", ARRAYS, {"kind": "weights", "config": {"model": "fc2"}})
    return (folder / "good.npz").read_bytes()


@given(changes=CHANGES)
def test_a_damaged_checkpoint_is_itself_or_refused(folder, checkpoint, changes):
    path = folder / "m.npz"
    path.write_bytes(damaged(checkpoint, changes))
    found = outcome(lambda: read_state(path), CheckpointError)
    if found is not None:
        arrays, _ = found
        assert arrays.keys() == ARRAYS.keys()
        for name, array in arrays.items():
            assert array.dtype == ARRAYS[name].dtype and array.shape == ARRAYS[name].shape
            assert array.tobytes() == ARRAYS[name].tobytes()


IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 5), dtype=np.uint8)


@given(changes=CHANGES)
def test_a_damaged_gzip_of_images_is_itself_or_refused(folder, changes):
    path = folder / "images.gz"
    path.write_bytes(damaged(gzip.compress(idx_bytes(IMAGES)), changes))
    found = outcome(lambda: read_idx(path), DataFileError)
    if found is not None:
        # Without its checksum, which a change may take along with the gzip's magic, a file of
        # plain bytes says nothing of what they should be; but how many there are is counted.
        plain = path.read_bytes()[:2] != b"\x1f\x8b"
        assert plain or np.array_equal(found, IMAGES)


@given(changes=CHANGES)
def test_a_damaged_gzip_inside_is_what_it_says_or_refused(folder, changes):
    """The damage is under the checksum: then the header and the bytes must agree."""
    path, content = folder / "inside.gz", damaged(idx_bytes(IMAGES), changes)
    path.write_bytes(gzip.compress(content))
    found = outcome(lambda: read_idx(path), DataFileError)
    if found is not None:
        assert content == idx_bytes(found)


@given(content=st.binary(max_size=200), pack=st.sampled_from([bytes, gzip.compress]))
def test_any_bytes_are_an_array_as_they_say_or_refused(folder, content, pack):
    path = folder / "any"
    path.write_bytes(pack(content))
    found = outcome(lambda: read_idx(path), DataFileError)
    if found is not None and pack is gzip.compress:
        assert content == idx_bytes(found)


FILES = cifar_files(CIFAR10, (50, 10))


@given(name=st.sampled_from(sorted(FILES)), changes=CHANGES)
def test_damaged_records_are_whole_ones_or_refused(tmp_path_factory, name, changes):
    folder = write_files(tmp_path_factory.getbasetemp() / "cifar", FILES)
    (folder / name).write_bytes(damaged(FILES[name], changes))
    found = outcome(lambda: read_cifar(folder, CIFAR10), DataFileError)
    if found is not None:
        pairs, classes = found
        assert len(set(classes)) == 10
        assert all(len(images) == len(labels) > 0 for images, labels in pairs.values())
        assert all(labels.max() < 10 for _, labels in pairs.values())


@pytest.mark.parametrize("read", [read_digit, lambda path: read_picture(path, 28, 1)])
@given(changes=CHANGES)
def test_a_damaged_picture_is_a_picture_or_refused(folder, read, changes):
    rows = b"".join(b"\0" + bytes(255 * (8 < k < 20) for k in range(28)) for _ in range(28))
    path = folder / "digit.png"
    path.write_bytes(damaged(hostile_files._png(28, 28, rows), changes))
    found = outcome(lambda: read(path), DataFileError)
    if found is not None:
        assert found.shape == (1, 28, 28) and 0 <= found.min() <= found.max() <= 1


def test_what_is_damaged_is_read_when_it_is_not(folder, checkpoint):
    path = folder / "sound"
    path.write_bytes(damaged(checkpoint, []))
    assert read_state(path)[0].keys() == ARRAYS.keys()
    path.write_bytes(gzip.compress(idx_bytes(IMAGES)))
    np.testing.assert_array_equal(read_idx(path), IMAGES)
    assert damaged(b"abc", [("flip", 0.0, 0)]) == b"`bc"
