"""IDX files: what is read comes back exactly, and nothing else is believed."""

import gzip
import hashlib
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_peak import peak_of

from tinyadtn.data import idx
from tinyadtn.data.idx import check_hash, read_idx, unpack_idx
from tinyadtn.errors import DataFileError, SizeLimitError
from tinyadtn.limits import ALWAYS, GROWTH

MIB = 2**20
shapes = st.lists(st.integers(0, 5), min_size=1, max_size=3).map(tuple)


def idx_bytes(shape, payload, *, kind=8):
    """An IDX file written by hand, with whatever payload."""
    lengths = b"".join(length.to_bytes(4, "big") for length in shape)
    return bytes([0, 0, kind, len(shape)]) + lengths + payload


SMALL = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
SMALL_BYTES = idx_bytes((2, 3, 4), bytes(range(24)))


def write(folder, content, name="some-file"):
    path = folder / name
    path.write_bytes(content)
    return path


def refused(path):
    """The message, after a check that it says which file, what was expected and what was found."""
    with pytest.raises(DataFileError) as caught:
        read_idx(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: expected ")
    assert ", found " in message
    assert "Put a good copy in its place" in message
    assert "\n" not in message
    return message


# What is right comes back


@given(shape=shapes, seed=st.integers(0, 99), pack=st.sampled_from([bytes, gzip.compress]))
def test_any_array_comes_back(tmp_path_factory, shape, seed, pack):
    values = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(pack(idx_bytes(shape, values.tobytes())))
    read = read_idx(path)
    assert read.dtype == np.uint8 and read.shape == shape
    np.testing.assert_array_equal(read, values)
    assert read.flags.writeable


def test_path_as_text_and_gzip_by_content_not_by_name(tmp_path):
    path = write(tmp_path, gzip.compress(SMALL_BYTES), "no-ending")
    np.testing.assert_array_equal(read_idx(str(path)), SMALL)
    path = write(tmp_path, SMALL_BYTES, "unpacked-by-the-server.gz")
    np.testing.assert_array_equal(read_idx(path), SMALL)


def test_a_payload_longer_than_one_chunk(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, 3 * idx.CHUNK + 5, dtype=np.uint8)
    path = write(tmp_path, gzip.compress(idx_bytes(values.shape, values.tobytes()), 1))
    np.testing.assert_array_equal(read_idx(path), values)


@given(shape=shapes, seed=st.integers(0, 99))
def test_the_hash_is_that_of_the_unpacked_file(tmp_path_factory, shape, seed):
    values = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    content = idx_bytes(shape, values.tobytes())
    sha256 = hashlib.sha256(content).hexdigest()
    for level in (1, 9):
        path = tmp_path_factory.mktemp("idx") / "file"
        path.write_bytes(gzip.compress(content, level))
        check_hash(path, read_idx(path), sha256)
        with pytest.raises(DataFileError, match=f"SHA-256 {'0' * 64}, found {sha256}"):
            check_hash(path, read_idx(path), "0" * 64)
        unpack_idx(path)
        assert path.read_bytes() == content


# What is damaged is refused


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_every_truncation_is_refused(tmp_path, pack):
    content = pack(SMALL_BYTES)
    for length in range(len(content)):
        refused(write(tmp_path, content[:length]))


def test_every_flipped_bit_of_a_gzip_is_refused_or_harmless(tmp_path):
    content = gzip.compress(SMALL_BYTES)
    read = []
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path = write(tmp_path, bytes(flipped))
        try:
            values = read_idx(path)
        except DataFileError:
            continue
        np.testing.assert_array_equal(values, SMALL)
        read.append(bit // 8)
    # What says nothing about the payload: gzip's flags, time, level and system, and the bits that
    # fill up the last byte before the checksum and the length.
    assert set(read) <= {*range(3, 10), len(content) - 9}


def test_every_flipped_bit_of_a_plain_header_is_refused(tmp_path):
    for bit in range(8 * 16):
        flipped = bytearray(SMALL_BYTES)
        flipped[bit // 8] ^= 1 << bit % 8
        refused(write(tmp_path, bytes(flipped)))


@pytest.mark.parametrize(
    "content",
    [
        SMALL_BYTES + b"\0",
        gzip.compress(SMALL_BYTES + b"\0"),
        gzip.compress(SMALL_BYTES) + b"garbage",
        gzip.compress(SMALL_BYTES) + gzip.compress(b"more"),
    ],
    ids=["plain", "inside the gzip", "after the gzip", "a second gzip member"],
)
def test_trailing_bytes_are_refused(tmp_path, content):
    refused(write(tmp_path, content))


def test_a_wrong_checksum_is_refused(tmp_path):
    content = bytearray(gzip.compress(SMALL_BYTES))
    content[-5] ^= 1  # the CRC: an exact-length read of the payload would never look at it
    assert "CRC" in refused(write(tmp_path, bytes(content)))


# What is something else is refused, within bounds

HOSTILE = {
    "empty": (b"", "an empty file"),
    "empty gzip": (gzip.compress(b""), "an empty file"),
    "one byte": (b"\0", "the bytes 00"),
    "text": (b"hello world", "the bytes 68 65 6c 6c"),
    "web page": (b"<!DOCTYPE html><title>404</title>", "a web page"),
    "web page after a blank line": (b"\n\n<html>", "a web page"),
    "zipped web page": (gzip.compress(b"<html>"), "a web page"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(99), "the bytes 89 50 4e 47"),
    "array of NumPy": (b"\x93NUMPY\1\0" + bytes(99), "the bytes 93 4e 55 4d"),
    "gzip in gzip": (gzip.compress(gzip.compress(SMALL_BYTES)), "the bytes 1f 8b 08"),
    "only gzip's magic": (b"\x1f\x8b", "a damaged one"),
    "zeros": (bytes(1000), "IDX type 0x00"),
    "float32": (idx_bytes((2,), bytes(8), kind=0x0D), "IDX type 0x0d"),
    "no axes": (idx_bytes((), b"\7"), "0 axes"),
    "four axes": (idx_bytes((1, 1, 1, 1), b"\7"), "4 axes"),
    "255 axes": (idx_bytes((1,) * 255, b"\7"), "255 axes"),
    "header cut": (idx_bytes((2, 3, 4), b"")[:-1], "the end of the file"),
    "a promise of a little more than any file may hold": (
        idx_bytes((ALWAYS + 100 * GROWTH * 1024,), b""),
        f"promises ({ALWAYS + 100 * GROWTH * 1024},)",
    ),
    # 2^96 elements, and a product that is 0 modulo 2^64: a 64-bit product would believe these.
    "a promise past 64 bits": (idx_bytes((2**32 - 1,) * 3, b""), "promises"),
    "a promise that wraps to nothing": (idx_bytes((2**31, 2**31, 4), b""), "promises"),
    "nothing, in too many rows": (idx_bytes((0, 2**32 - 1, 2**32 - 1), b""), "promises (0, "),
    "too many rows of nothing": (idx_bytes((2**32 - 1, 2**32 - 1, 0), b""), "promises (429"),
    "a promise within the limit": (idx_bytes((8, 1024, 1024), bytes(99)), "found 99."),
    "a zipped promise": (gzip.compress(idx_bytes((8, 1024, 1024), bytes(99))), "found 99."),
    "a promise of 256 MiB": (idx_bytes((256, 1024, 1024), bytes(99)), "promises (256, 1024, 1024)"),
    "zeros that pack to a thousandth": (
        gzip.compress(idx_bytes((256, 1024, 1024), b"")) + gzip.compress(bytes(MIB)) * 256,
        "a header that promises (256, 1024, 1024)",
    ),
    "zeros behind a gzip": (gzip.compress(SMALL_BYTES) + bytes(2 * MIB), "found more"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_in_little_memory(tmp_path, kind):
    content, found = HOSTILE[kind]
    path = write(tmp_path, content)
    assert found in refused(path)
    assert peak_of(lambda: refused(path)) < 4 * MIB


@pytest.mark.parametrize(("promised", "members"), [(10, 60), (16 * MIB, 240)])
def test_a_bomb_is_inflated_no_further_than_its_promise(tmp_path, monkeypatch, promised, members):
    # A gzip may have many members, so one MiB of zeros is enough to make.
    zeros = gzip.compress(bytes(MIB))
    path = write(tmp_path, gzip.compress(idx_bytes((promised,), b"")) + zeros * members)
    assert path.stat().st_size < MIB // 2
    inflated = []

    class Counted(gzip.GzipFile):
        def read(self, size=-1):
            chunk = super().read(size)
            inflated.append(len(chunk))
            return chunk

    monkeypatch.setattr(idx.gzip, "GzipFile", Counted)
    assert peak_of(lambda: refused(path)) < 8 * MIB + 1.2 * promised
    assert sum(inflated) == 8 + promised + 1
    assert "found more" in refused(path)


def test_a_file_of_holes_is_refused_before_it_is_read(tmp_path):
    path = write(tmp_path, idx_bytes((256, 1024, 1024), b""))
    os.truncate(path, 16 + 256 * MIB)  # takes no room on the disk
    assert f"found {16 + 256 * MIB:,}, mostly holes" in refused(path)
    assert peak_of(lambda: refused(path)) < MIB


def test_what_is_larger_than_the_memory_is_not_read(tmp_path, monkeypatch):
    path = write(tmp_path, SMALL_BYTES)
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: 5 * 24)
    np.testing.assert_array_equal(read_idx(path), SMALL)
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: 5 * 24 - 1)
    with pytest.raises(
        SizeLimitError, match=r"some-file needs 120 bytes, and 119 bytes, three quarters"
    ):
        read_idx(path)


def test_no_file_a_folder_a_pipe(tmp_path):
    assert "no such file" in refused(tmp_path / "missing")
    assert "a folder" in refused(tmp_path)
    assert "no such file" in refused(write(tmp_path, b"") / "inside-a-file")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")  # opening one that nobody writes to would wait for ever
        assert "not an ordinary file" in refused(tmp_path / "pipe")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    refused(loop)
    refused(tmp_path / ("x" * 300))


def test_what_the_system_refuses_is_told(tmp_path, monkeypatch):
    path = write(tmp_path, SMALL_BYTES)

    def forbidden(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", forbidden)
    assert "Permission denied" in refused(path)
