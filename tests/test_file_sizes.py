"""No small file takes much time or memory: each is read by a process of its own, and measured."""

import gzip
import io
import json
import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import hostile_files
import numpy as np
import pytest
from data_files import NAMES, cifar_files, small_set, write_files, write_set
from memory_peak import OWN_PEAK

from tinyadtn.data.cifar import CIFAR10, CIFAR100
from tinyadtn.files.state import META

MIB = 2**20

# For each path prints what happened, how many seconds it took, and the growth of the peak in bytes.
READER = (
    OWN_PEAK
    + """
import json, sys, time
import tinyadtn as ta
from tinyadtn.errors import TinyADTNError

ta.load_data()  # what reading takes anyway
for path in sys.argv[2:]:
    reset_peak()
    before, start = peak(), time.process_time()
    try:
        {"load": ta.load, "load_data": ta.load_data}[sys.argv[1]](path)
        found = ["", "it was read"]
    except TinyADTNError as error:
        found = [type(error).__name__, str(error)]
    except BaseException as error:
        found = [type(error).__name__, f"{error!r:.300}"]
    print(json.dumps([*found, time.process_time() - start, peak() - before]))
"""
)
Result = tuple[Path, str, str, float, int]


def read_in_a_child(reader: str, paths: dict[str, Path]) -> dict[str, Result]:
    """{kind: (path, name of the error, its message, seconds, bytes)}."""
    command = [sys.executable, "-c", READER, reader, *paths.values()]
    child = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (child.returncode, child.stderr) == (0, ""), child.stderr
    lines = map(json.loads, child.stdout.splitlines())
    return {kind: (path, *line) for (kind, path), line in zip(paths.items(), lines, strict=True)}


def made(makers: dict, folder: Path, *arguments: object) -> dict[str, Path]:
    """Each file in a folder of its own."""
    paths = {}
    for number, (kind, make) in enumerate(makers.items()):
        (folder / str(number)).mkdir()
        paths[kind] = make(folder / str(number), *arguments)
    return paths


# --- data ----------------------------------------------------------------------------------------


def idx_folder(key: str, content: bytes, ending: str = ".gz") -> hostile_files.Maker:
    def make(folder: Path) -> Path:
        write_set(folder, small_set())
        (folder / f"{NAMES[key]}.gz").unlink()
        (folder / f"{NAMES[key]}{ending}").write_bytes(content)
        return folder

    return make


def images_header(count: int, size: int = 1024) -> bytes:
    return b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (count, size, size))


def longer(make: Callable[[Path], Path], name: str, size: int) -> hostile_files.Maker:
    """The file grows to ``size`` bytes by a hole, which takes no room on the disk."""

    def made(folder: Path) -> Path:
        path = make(folder)
        os.truncate(path / name if path.is_dir() else path, size)
        return path

    return made


def of_zeros(mebibytes: int) -> bytes:
    """Images of zeros in a gzip a thousand times smaller."""
    return gzip.compress(images_header(mebibytes)) + hostile_files.zeros_gz(mebibytes)


def batches_of_holes(folder: Path) -> Path:
    write_files(folder, cifar_files(CIFAR10))
    for name in CIFAR10.train:
        os.truncate(folder / name, 16_000 * CIFAR10.record)
    return folder


DATA = {
    "zeros in a gzip": idx_folder("train-images", of_zeros(512)),
    "zeros in a gzip, 60 MiB": idx_folder("train-images", of_zeros(60)),
    "zeros for labels": idx_folder(
        "train-labels", gzip.compress(b"\0\0\x08\x01\x10\0\0\0") + hostile_files.zeros_gz(256)
    ),
    "zeros behind a gzip": longer(
        idx_folder("train-images", gzip.compress(images_header(1, 100) + bytes(10**4))),
        f"{NAMES['train-images']}.gz",
        2**31,
    ),
    "a hole for a gzip": longer(
        idx_folder("train-images", b"\x1f\x8b"), f"{NAMES['train-images']}.gz", 2**31
    ),
    "a hole for images": longer(
        idx_folder("train-images", images_header(512), ""), NAMES["train-images"], 16 + 512 * MIB
    ),
    "a hole for labels": longer(
        idx_folder("t10k-labels", b"\0\0\x08\x01\x10\0\0\0", ""), NAMES["t10k-labels"], 8 + 2**28
    ),
    "CIFAR-10 of holes": batches_of_holes,
    "CIFAR-100 of holes": longer(
        lambda folder: write_files(folder, cifar_files(CIFAR100)),
        "train.bin",
        80_000 * CIFAR100.record,
    ),
    "names of a hole": longer(
        lambda folder: write_files(folder, cifar_files(CIFAR10)), CIFAR10.names, 2**31
    ),
}


def all_zeros(folder: Path) -> Path:
    """8 MiB, which any file may become: it is read, and then refused for other reasons."""
    write_set(folder, small_set())
    for split in ("train", "t10k"):
        (folder / f"{NAMES[split + '-images']}.gz").write_bytes(of_zeros(8))
        labels = gzip.compress(b"\0\0\x08\x01\0\0\0\x08" + bytes(8))
        (folder / f"{NAMES[split + '-labels']}.gz").write_bytes(labels)
    return folder


DATA["the most that zeros can take"] = all_zeros


@pytest.fixture(scope="module")
def data_results(tmp_path_factory):
    return read_in_a_child("load_data", made(DATA, tmp_path_factory.mktemp("data")))


@pytest.mark.parametrize("kind", DATA)
def test_a_small_file_of_data_takes_little(kind, data_results):
    folder, name, message, seconds, memory = data_results[kind]
    assert name == "DataFileError", message
    assert message.startswith(str(folder)) and "\n" not in message
    assert ("same images" if "most" in kind else "expected") in message
    assert seconds < 2 and memory < 200 * MIB, (seconds, memory / MIB)


# --- checkpoints and features --------------------------------------------------------------------


def sparse_member(name: str, mebibytes: int) -> Callable:
    """A sound file with one more member, of zeros that are a hole."""

    def make(folder: Path, good: hostile_files.Members) -> Path:
        path, size = folder / "m.npz", mebibytes * MIB
        header = hostile_files._npy(np.zeros(1, np.uint8))[:-1].replace(b"(1,),", b"(%d,)," % size)
        header = header.strip().ljust(127) + b"\n"
        checksum = zlib.crc32(header)
        for _ in range(mebibytes):
            checksum = zlib.crc32(bytes(MIB), checksum)
        with zipfile.ZipFile(path, "w") as archive:
            for key, content in good().items():
                archive.writestr(key, content)
            member = zipfile.ZipInfo(f"{name}.npy")
            member.header_offset = archive.fp.tell()
            member.CRC, member.compress_size = checksum, len(header) + size
            member.file_size = member.compress_size
            archive.fp.write(member.FileHeader() + header)
            archive.fp.seek(size, os.SEEK_CUR)
            archive.start_dir = archive.fp.tell()
            archive._didModify = True
            archive.filelist.append(member)
            archive.NameToInfo[member.filename] = member
        return path

    return make


def with_members(count: int) -> Callable:
    def make(folder: Path, good: hostile_files.Members) -> Path:
        small = hostile_files._npy(np.zeros(1, np.float32))
        members = good() | {f"more{k}.npy": small for k in range(count)}
        return hostile_files._zip(folder / "m.npz", members)

    return make


def with_text(text: str | bytes) -> Callable:
    """The description is this text."""

    def make(folder: Path, good: hostile_files.Members) -> Path:
        content = np.frombuffer(text.encode() if isinstance(text, str) else text, np.uint8)
        members = good() | {f"{META}.npy": hostile_files._npy(content)}
        return hostile_files._zip(folder / "m.npz", members)

    return make


def with_meta(**changes: str) -> Callable:
    """The description with other values, which are JSON already."""

    def make(folder: Path, good: hostile_files.Members) -> Path:
        description = json.loads(np.load(io.BytesIO(good()[f"{META}.npy"])).tobytes())
        marks = {key: f"<{key}>" for key in changes}
        text = json.dumps(description | marks)
        for key, value in changes.items():
            text = text.replace(f'"<{key}>"', value)
        return with_text(text)(folder, good)

    return make


def with_shape(shape: str) -> Callable:
    def make(folder: Path, good: hostile_files.Members) -> Path:
        text = "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }"
        header = b"\x93NUMPY\x01\0" + (len(text) + 1).to_bytes(2, "little") + text.encode() + b"\n"
        last = list(good())[-1]
        return hostile_files._zip(folder / "m.npz", good() | {last: header + bytes(8)})

    return make


LONG = "9" * 400
STATES = {
    "1 GiB of holes": sparse_member("more", 1024),
    "60,000 members": with_members(60_000),
    "70,000 members": with_members(70_000),  # more than fit in the count at the end of the file
    "a format of 400 digits": with_meta(format=LONG),
    "a configuration of 400 digits": with_meta(config=f'{{"model": "fc2", "hidden": {LONG}}}'),
    "400 digits deep inside": with_meta(training=f'{{"plan": {{"seed": [[{LONG}]]}}}}'),
    "a negative number of 5,000 digits": with_meta(more="-" + "9" * 5000),
    "hashes in a list": with_meta(sha256='[[1, "x"]]'),
    "hashes in a list of names": with_meta(sha256='[["fc1.weight", "x"]]'),
    "hashes that are text": with_meta(sha256='"x"'),
    "hashes that are a number": with_meta(sha256="3"),
    "no hashes": with_meta(sha256="null"),
    "hashes that are no text": with_meta(sha256='{"fc1.weight": [1], "fc1.bias": {}}'),
    "a list for a description": with_text("[]"),
    "a number for a description": with_text("3"),
    "text for a description": with_text('"format"'),
    "null for a description": with_text("null"),
    "a description that is not UTF-8": with_text(b"\xff\xfe{}"),
    "a description nested deeply": with_text('{"format": ' + "[" * 10**5),
    "a length of 400 digits": with_shape(f"({LONG},)"),
    "a length of 900 digits": with_shape(f"({'9' * 900},)"),
    "a length of 5,000 digits": with_shape(f"({'9' * 5000},)"),
    "a negative length": with_shape("(-5,)"),
    "a length that is a float": with_shape("(1e400,)"),
    "a header nested deeply": with_shape("(" * 450 + ")" * 450),
    "a header of minus signs": with_shape("(" + "-" * 900 + "1,)"),
    "a header of sums": with_shape("(" + "1+" * 450 + "1,)"),
    "a header of tildes": with_shape("(" + "~" * 900 + "1,)"),
}


@pytest.fixture(scope="module", params=["load", "load_data"])
def state_results(request, tmp_path_factory):
    good = {"load": hostile_files._good, "load_data": hostile_files._good_features}[request.param]
    members = good()
    paths = made(STATES, tmp_path_factory.mktemp("states"), lambda: dict(members))
    error = {"load": "CheckpointError", "load_data": "DataFileError"}[request.param]
    return error, read_in_a_child(request.param, paths)


@pytest.mark.parametrize("kind", STATES)
def test_a_small_state_takes_little(kind, state_results):
    error, results = state_results
    path, name, message, seconds, memory = results[kind]
    assert name == error, message
    assert message.startswith(f"{path}: ") and "\n" not in message and len(message) < 2000
    assert seconds < 2 and memory < 200 * MIB, (seconds, memory / MIB)


def test_the_sparse_file_is_as_it_should_be(tmp_path):
    """Were it not for its holes, it would be a sound file with one array more."""
    path = sparse_member("more", 2)(tmp_path, hostile_files._good)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert len(archive.read("more.npy")) == 128 + 2 * MIB
    assert np.load(path)["more"].nbytes == 2 * MIB


# --- no stderr -----------------------------------------------------------------------------------


def test_bars_and_downloads_work_without_stderr(tmp_path, mirror, empty_home):
    mirror.files = {"/file": b"right"}
    code = """
import hashlib, sys, pathlib
import tinyadtn as ta
from tinyadtn.data.fetching import fetch
from tinyadtn.progress import progress
assert sys.stderr is None
assert list(progress(range(3))) == [0, 1, 2]
fetch("file", hashlib.sha256(b"right").hexdigest(), [sys.argv[1]], pathlib.Path(sys.argv[2]))
rng = ta.load_data()
list(ta.train(ta.models.fc2(hidden=4, rng=0), rng, epochs=1))
print("done")
"""
    command = [sys.executable, "-c", code, f"{mirror.url}/file", str(tmp_path)]
    child = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", *command], stdout=subprocess.PIPE, text=True
    )
    assert (child.returncode, child.stdout) == (0, "done\n")
    assert (tmp_path / "file").read_bytes() == b"right"
