"""Reading without trust: whatever is wrong with a file, CheckpointError and nothing worse."""

import copy
import io
import json
import pickle
import re
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import CheckpointError, DataFileError
from tinyadtn.files.state import META, read_state, write_state

A, B = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1.0, 2.0])
DESCRIPTION = f"{META}.npy"


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def text(content):
    """A text as an array file, the way the description is kept."""
    return npy(np.frombuffer(content.encode(), np.uint8))


def members(arrays=None, meta=None, **changes):
    """What is in a good checkpoint, file by file; ``changes`` replaces some of the files."""
    arrays = {"a": A, "b": B} if arrays is None else arrays
    with tempfile.TemporaryDirectory() as folder:
        write_state(f"{folder}/m.npz", arrays, {"kind": "weights", "config": None})
        with zipfile.ZipFile(f"{folder}/m.npz") as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    if meta is not None:
        good = json.loads(np.load(io.BytesIO(files[DESCRIPTION])).tobytes())
        files[DESCRIPTION] = text(json.dumps({**good, **meta}))
    return files | changes


def written(path, files, compression=zipfile.ZIP_STORED):
    """A zip file made by hand; ``files`` is a dictionary or a list of pairs."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, content)
    return path


def refused(path, says="", limit=2**26):
    """It is refused, in words that name the file, with little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as caught:
            read_state(path)
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()
    name, words = str(caught.value).split(": ", 1)
    assert name == str(path)
    assert re.search(says, words)


def test_what_these_tests_build_is_otherwise_a_good_checkpoint(tmp_path):
    arrays, _ = read_state(written(tmp_path / "m.npz", members()))
    assert {name: a.tobytes() for name, a in arrays.items()} == {"a": A.tobytes(), "b": B.tobytes()}


# --- not a checkpoint at all ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello, this is text\n" * 9,
        b"<!DOCTYPE html><html><body>404</body></html>",
        b"PK\x03\x04",
        b"PK\x05\x06" + bytes(18),
        npy(A),
        pickle.dumps({"a": 1}),
        bytes(range(256)) * 64,
    ],
)
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "m.npz"
    path.write_bytes(content)
    refused(path)


def test_an_npz_of_somebody_else_is_refused(tmp_path):
    np.savez(tmp_path / "m.npz", a=A)
    refused(tmp_path / "m.npz", "not written by tinyadtn")


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    refused(tmp_path, "folder")
    refused(tmp_path / "none.npz", "no such file")


# --- code in disguise ----------------------------------------------------------------------------


class Bomb:
    """Unpickling this writes a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("where", [DESCRIPTION, "a.npy"])
def test_no_pickle_runs(where, tmp_path):
    marker = tmp_path / "ran"
    file = io.BytesIO()
    np.save(file, np.array([Bomb(marker)] * 2, dtype=object), allow_pickle=True)
    pickle.loads(pickle.dumps(Bomb(marker)))  # the payload works …
    assert marker.exists()
    marker.unlink()
    for content, says in ((file.getvalue(), "pickled"), (pickle.dumps(Bomb(marker)), "")):
        refused(written(tmp_path / "m.npz", members(**{where: content})), says)
        assert not marker.exists()  # … and did not run


# --- damage --------------------------------------------------------------------------------------


def spec(array):
    return array.dtype.str, array.shape, array.tobytes()


def outcome(path):
    """What reading gives: the arrays, or None if it is refused."""
    try:
        arrays, _ = read_state(path)
    except CheckpointError:
        return None
    return {name: spec(a) for name, a in arrays.items()}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "m.npz"
    write_state(path, {"a": A, "b": B}, {"kind": "weights", "config": None})
    return path.read_bytes()


def test_a_truncated_file_is_refused(good, tmp_path):
    path = tmp_path / "m.npz"
    for length in range(0, len(good), 3):
        path.write_bytes(good[:length])
        assert outcome(path) is None, length


def test_no_flipped_byte_gives_another_model(good, tmp_path):
    """At every byte: refused, or (in a time stamp, say) the very same arrays."""
    path = tmp_path / "m.npz"
    right = {"a": spec(A), "b": spec(B)}
    survivors = 0
    for k in range(len(good)):
        flip = (0x01, 0x80, 0xFF)[k % 3]
        path.write_bytes(good[:k] + bytes([good[k] ^ flip]) + good[k + 1 :])
        result = outcome(path)
        assert result in (None, right), k
        survivors += result is not None
    assert survivors < len(good) / 3


def test_the_flags_of_a_member_are_not_trusted(good, tmp_path):
    """Encrypted, compressed in a strange way, …: the eight bytes from the flags on, every bit."""
    path = tmp_path / "m.npz"
    for start in (good.index(b"PK\x01\x02") + 8, good.index(b"PK\x03\x04") + 6):
        for k in range(start, start + 4):
            for bit in range(8):
                path.write_bytes(good[:k] + bytes([good[k] ^ (1 << bit)]) + good[k + 1 :])
                assert outcome(path) in (None, {"a": spec(A), "b": spec(B)}), (k, bit)


def test_noise_in_the_middle_is_refused(good, tmp_path):
    path, rng = tmp_path / "m.npz", np.random.default_rng(0)
    right = {"a": spec(A), "b": spec(B)}
    for _ in range(100):
        start, length = int(rng.integers(len(good))), int(rng.integers(4, 200))
        path.write_bytes((good[:start] + rng.bytes(length) + good[start + length :])[: len(good)])
        assert outcome(path) in (None, right)


# --- lies ----------------------------------------------------------------------------------------


def header(shape, dtype="<f4"):
    """The first bytes of an .npy file that promises such an array."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


A_BAD = r"a(\.npy)? (is damaged|is not as long|claims)"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"c.npy": npy(B)}, "extra: c"),
        ({"a.npy": npy(A.T.copy())}, A_BAD),
        ({"a.npy": npy(A.astype(np.float64))}, A_BAD),
        ({"a.npy": npy(A.astype(np.int32))}, A_BAD),
        ({"a.npy": npy(A.ravel())}, A_BAD),
        ({"a.npy": npy(A + 1)}, A_BAD),
        ({"a.npy": npy(A) + b"more"}, A_BAD),
        ({"a.npy": npy(A)[:-1]}, A_BAD),
        ({"a.npy": header((2**31,)) + bytes(24)}, A_BAD),
        ({"a.npy": header((2**60,)) + bytes(24)}, A_BAD),
        ({"a.npy": header((2**70, 0)) + bytes(24)}, ""),
        ({"a.npy": header((-1,)) + bytes(24)}, ""),
        ({"a.npy": header((-2, -3)) + bytes(24)}, ""),
        ({"a.npy": header((6,), "<f5") + bytes(24)}, ""),
        ({"a.npy": b"\x93NUMPY\x09\x00" + npy(A)[8:]}, ""),
        ({"a.npy": npy(A).replace(b"(2, 3)", b"(2, 3(")}, "no header"),
        ({"a.npy": npy(A).replace(b"(2, 3), ", b"(True,),")}, "no header"),
        ({"a.npy": npy(A)[:40]}, ""),
        ({"a.npy": b""}, ""),
        ({DESCRIPTION: header((2**33,), "|u1") + b"{}"}, ""),
        ({DESCRIPTION: text("{")}, "description"),
        ({DESCRIPTION: text("[1]")}, "description"),
        ({DESCRIPTION: text("[" * 10**5)}, "description"),
        ({DESCRIPTION: npy(np.array("{}"))}, ""),
        ({DESCRIPTION: npy(np.array([1.5]))}, ""),
        ({"../a.npy": npy(A)}, r"\.\./a"),
        ({"x/../../a.npy": npy(A)}, "refuses"),
        ({"/etc/a.npy": npy(A)}, "/etc/a"),
        ({"readme.txt": b"hello"}, r"readme\.txt"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(changes, says, tmp_path):
    refused(written(tmp_path / "m.npz", members(**changes)), says)


@pytest.mark.parametrize(
    ("meta", "says"),
    [
        ({"format": 2}, "format 2.*reads format 1"),
        ({"format": "1"}, "format"),
        ({"format": None}, "format"),
        ({"sha256": {}}, "missing or extra: a, b"),
        ({"sha256": {"a": "0" * 64, "b": "0" * 64}}, "damaged"),
        ({"sha256": {"a": None, "b": None}}, "damaged"),
        ({"sha256": 7}, "description"),
        ({"sha256": "ab"}, "description"),
        ({"sha256": None}, "description"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(meta, says, tmp_path):
    refused(written(tmp_path / "m.npz", members(meta=meta)), says)


def test_a_missing_array_is_refused(tmp_path):
    files = members()
    del files["b.npy"]
    refused(written(tmp_path / "m.npz", files), "missing or extra: b")


def test_a_name_that_stands_twice_is_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        written(tmp_path / "m.npz", [*members().items(), ("a.npy", npy(A + 1))])
    refused(tmp_path / "m.npz", "twice")


def test_a_bomb_is_refused_before_it_goes_off(tmp_path):
    """64 MiB of zeros in 64 KiB, all of it truthfully described."""
    files = members({"a": np.zeros(2**24, np.float32)})
    path = written(tmp_path / "m.npz", files, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**19
    refused(path, "packed", limit=2**22)


def test_a_bomb_in_the_description_is_refused(tmp_path):
    files = members(**{DESCRIPTION: text('{"x": "' + " " * 2**26 + '"}')})
    refused(written(tmp_path / "m.npz", files, zipfile.ZIP_DEFLATED), "packed", limit=2**22)


def test_members_that_share_their_bytes_are_refused(tmp_path):
    """A thousand names in the directory for one array: small on the disk, large once read."""
    big = np.zeros(2**18, np.float32)
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("a.npy", npy(big))
        for k in range(1000):
            twin = copy.copy(archive.getinfo("a.npy"))
            twin.filename = f"a{k}.npy"
            archive.filelist.append(twin)
            archive.NameToInfo[twin.filename] = twin
    refused(tmp_path / "m.npz", "more bytes than the file has", limit=2**22)


# --- good files with a bad model in them ----------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"model": "fc9"},
        {"model": "fc2", "layers": 3},
        {"model": "fc2", "hidden": -4},
        {"model": "fc2", "encodings": {"fc1": {"encoding": "Zip"}}},
        {"model": "fc2", "encodings": {"fc1": {"encoding": "ADTN", "shape": [2**30, 2**30]}}},
        {"model": "fc2", "hidden": 2**40},
        {"model": "fc2"},
        [],
        "fc2",
    ],
)
def test_a_model_that_cannot_be_built_is_refused(config, tmp_path):
    path = tmp_path / "m.npz"
    write_state(path, {"a": A, "b": B}, {"kind": "weights", "config": config})
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=r"m\.npz"):
            ta.load(path)
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["\x1b[31mred\nerror: forged", "x" * 60_000])
def test_what_a_file_says_is_short_and_safe_to_print(name, tmp_path):
    """Names from a file stand in the messages."""
    path = tmp_path / "m.npz"
    model = ta.models.fc2(hidden=4, rng=0)
    write_state(path, {**model.arrays(), name: A}, {"kind": "weights", "config": model.config})
    with pytest.raises(CheckpointError) as caught:
        ta.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.npy", npy(A))
    errors = [caught.value]
    for arrays in ({}, {"x": np.ones((6, 4, 4)), "y": [name] * 6, "class_names": ["a", "b"]}):
        if arrays:
            np.savez_compressed(path, **arrays)
        with pytest.raises(DataFileError) as found:
            ta.load_data(path)
        errors.append(found.value)
    for error in errors:
        assert str(error).isprintable() and len(str(error)) <= 2000
        assert name[:3] in str(error) or "\\x1b[31mred\\nerror: forged" in str(error)
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
