"""Files that are damaged, something else, or made to do harm: by name, how each is made.

A maker writes into an empty folder and returns the path to hand over. ``marker`` is a file that
exists afterwards if anything in the folder was executed.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from data_files import (
    NAMES,
    cifar_files,
    idx_bytes,
    small_set,
    write_files,
    write_set,
)

import tinyadtn as ta
from tinyadtn.data.cifar import CIFAR10, CIFAR100
from tinyadtn.files.state import META

MIB = 2**20
WEB_PAGE = b"<!DOCTYPE html><html><title>503</title>" + b"<p>try again later</p>" * 99
Maker = Callable[[Path], Path]
Members = Callable[[], dict[str, bytes]]


class Bomb:
    """Unpickling this writes a file."""

    def __init__(self, marker: Path):
        self.marker = str(marker)

    def __reduce__(self) -> Any:
        return Path.touch, (Path(self.marker),)


def zeros_gz(mebibytes: int) -> bytes:
    """That many MiB of zeros, a thousandth of it when packed."""
    return gzip.compress(bytes(MIB)) * mebibytes


# --- checkpoints ---------------------------------------------------------------------------------


def _good() -> dict[str, bytes]:
    """The members of a small sound checkpoint."""
    return _members(lambda path: ta.save(path, ta.models.fc2(hidden=4, rng=0)))


def _members(write: Callable[[Path], None]) -> dict[str, bytes]:
    file = io.BytesIO()
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"tinyadtn-good-{os.getpid()}.npz"
    try:
        write(path)
        file.write(path.read_bytes())
    finally:
        path.unlink(missing_ok=True)
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _good_features() -> dict[str, bytes]:
    """The members of a small sound file of features."""
    rng = np.random.default_rng(0)
    splits = [
        ta.Split(rng.normal(size=(n, 5, 1, 1)).astype(np.float32), np.arange(n) % 3, features=True)
        for n in (9, 4, 6)
    ]
    origin = {"data": {}, "before": "fc1", "model": {}}
    made = ta.Data(*splits, classes=("a", "b", "c"), origin=origin)
    return _members(lambda path: ta.save_features(path, made))


def _zip(path: Path, members: Any, packing: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, content)
    return path


def _raw(content: bytes) -> Maker:
    def make(folder: Path) -> Path:
        path = folder / "m.npz"
        path.write_bytes(content)
        return path

    return make


def _changed(good: Members = _good, **changes: Any) -> Maker:
    """A sound checkpoint, or another file, with other members; one that is None is left out."""

    def make(folder: Path) -> Path:
        new = {k: v(folder) if callable(v) else v for k, v in changes.items()}
        members = {k: v for k, v in (good() | new).items() if v is not None}
        return _zip(folder / "m.npz", members)

    return make


def _meta(good: Members = _good, **changes: Any) -> Maker:
    """The same whose description says something else."""

    def make(folder: Path) -> Path:
        members = good()
        description = json.loads(np.load(io.BytesIO(members[f"{META}.npy"])).tobytes())
        text = np.frombuffer(json.dumps(description | changes).encode(), np.uint8)
        return _zip(folder / "m.npz", members | {f"{META}.npy": _npy(text)})

    return make


def _npy(array: Any, pickled: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=pickled)
    return file.getvalue()


def _lying_header(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return file.getvalue() + bytes(64)


def _objects(folder: Path) -> bytes:
    return _npy(np.array([Bomb(folder / "marker")], dtype=object), pickled=True)


def _bare_pickle(folder: Path) -> Path:
    path = folder / "m.npz"
    path.write_bytes(pickle.dumps(Bomb(folder / "marker")))
    return path


def _packed(good: Members = _good) -> Maker:
    return lambda folder: _zip(folder / "m.npz", good(), zipfile.ZIP_DEFLATED)


def _bomb_npz(good: Members = _good) -> Maker:
    """256 MiB of zeros in a member that packs them a thousandfold."""

    def make(folder: Path) -> Path:
        path = folder / "m.npz"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in good().items():
                archive.writestr(name, content)
            with archive.open("fc9.weight.npy", "w") as member:
                for _ in range(256):
                    member.write(bytes(MIB))
        return path

    return make


def _doubled(folder: Path) -> Path:
    import warnings

    members = list(_good().items())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _zip(folder / "m.npz", [*members, members[-1]])


def _cut(share: float, good: Members = _good) -> Maker:
    def make(folder: Path) -> Path:
        path = _zip(folder / "m.npz", good())
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        return path

    return make


def _flipped(good: Members = _good) -> Maker:
    def make(folder: Path) -> Path:
        path = _zip(folder / "m.npz", good())
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 0x40
        path.write_bytes(content)
        return path

    return make


def _pipe(folder: Path, name: str = "pipe") -> Path:
    os.mkfifo(folder / name)
    return folder / name


def _loop(folder: Path, name: str = "loop") -> Path:
    (folder / name).symlink_to(folder / name)
    return folder / name


CHECKPOINTS: dict[str, Maker] = {
    "nothing there": lambda folder: folder / "m.npz",
    "empty": _raw(b""),
    "web page": _raw(WEB_PAGE),
    "text": _raw(b"fc1.weight = 3\n" * 50),
    "noise": _raw(np.random.default_rng(0).bytes(5000)),
    "zip of nothing": _raw(b"PK\x05\x06" + bytes(18)),
    "an array alone": _raw(_npy(np.zeros(3))),
    "a gzip bomb": _raw(zeros_gz(64)),
    "a packed bomb": _bomb_npz(),
    "packed": _packed(),
    "a pickle": _bare_pickle,
    "pickled objects as a weight": _changed(**{"fc1.weight.npy": _objects}),
    "pickled objects as the description": _changed(**{f"{META}.npy": _objects}),
    "pickled objects beside it": _changed(**{"more.npy": _objects}),
    "a way out": _changed(**{"../../marker.npy": _npy(np.zeros(1))}),
    "an absolute way": _changed(**{"/tmp/marker.npy": _npy(np.zeros(1))}),
    "a name twice": _doubled,
    "an array missing": _changed(**{"fc2.bias.npy": None}),
    "an array more": _changed(**{"fc3.bias.npy": _npy(np.zeros(3))}),
    "another array": _changed(**{"fc2.bias.npy": _npy(np.zeros(10, np.float32))}),
    "another shape": _changed(**{"fc2.bias.npy": _npy(np.zeros(11, np.float32))}),
    "a promise of 4 TiB": _changed(**{"fc2.bias.npy": _lying_header((2**40,))}),
    "a promise beyond 64 bits": _changed(**{"fc2.bias.npy": _lying_header((2**40, 2**40))}),
    "a negative promise": _changed(**{"fc2.bias.npy": _lying_header((-1,))}),
    "no description": _changed(**{f"{META}.npy": None}),
    "a description of brackets": _changed(
        **{f"{META}.npy": _npy(np.frombuffer(b"[" * 10**5, np.uint8))}
    ),
    "a newer format": _meta(format=2),
    "no configuration": _meta(config=None),
    "another network": _meta(config={"model": "lenet5"}),
    "a network that is not known": _meta(config={"model": "__import__"}),
    "a network of 4 TiB": _meta(config={"model": "fc2", "hidden": 2**40}),
    "an encoding that is none": _meta(
        config={"model": "fc2", "hidden": 4, "encodings": {"fc1": {"encoding": "os.system"}}}
    ),
    "cut in half": _cut(0.5),
    "the last byte missing": _cut(0.999),
    "a bit flipped": _flipped(),
    "a folder": lambda folder: folder,
    "a pipe": _pipe,
    "a loop of links": _loop,
    "a device without an end": lambda folder: Path("/dev/zero"),
    "a device without a start": lambda folder: Path("/dev/null"),
    "a name too long": lambda folder: folder / ("x" * 300),
}


# --- folders of data -----------------------------------------------------------------------------


def _idx(change: Callable[[Path, dict], None] | None = None, **pixels: Any) -> Maker:
    def make(folder: Path) -> Path:
        arrays = small_set(**pixels)
        write_set(folder, arrays)
        if change is not None:
            change(folder, arrays)
        return folder

    return make


def _file(folder: Path, key: str) -> Path:
    return folder / f"{NAMES[key]}.gz"


def _put(key: str, content: bytes) -> Callable[[Path, dict], None]:
    return lambda folder, _: _file(folder, key).write_bytes(content) and None


def _swap(one: str, other: str) -> Callable[[Path, dict], None]:
    def change(folder: Path, _: dict) -> None:
        a, b = _file(folder, one), _file(folder, other)
        first = a.read_bytes()
        a.write_bytes(b.read_bytes())
        b.write_bytes(first)

    return change


def _with_array(key: str, values: Callable[[np.ndarray], np.ndarray]) -> Any:
    def change(folder: Path, arrays: dict) -> None:
        _file(folder, key).write_bytes(gzip.compress(idx_bytes(values(arrays[key]))))

    return change


def _train_as_test(folder: Path, arrays: dict) -> None:
    for part in ("images", "labels"):
        content = gzip.compress(idx_bytes(arrays[f"train-{part}"]))
        _file(folder, f"t10k-{part}").write_bytes(content)


def _spoiled(key: str, spoil: Callable[[bytes], bytes]) -> Any:
    def change(folder: Path, _: dict) -> None:
        path = _file(folder, key)
        path.write_bytes(spoil(path.read_bytes()))

    return change


def _wrong_checksum(content: bytes) -> bytes:
    checksum, length = struct.unpack("<II", content[-8:])
    return content[:-8] + struct.pack("<II", checksum ^ 1, length)


def _as_pipe(folder: Path, _: dict) -> None:
    _file(folder, "train-images").unlink()
    os.mkfifo(_file(folder, "train-images"))


def _as_folder(folder: Path, _: dict) -> None:
    _file(folder, "train-images").unlink()
    _file(folder, "train-images").mkdir()


def _cifar(layout: Any, change: Callable[[dict], None] | None = None) -> Maker:
    def make(folder: Path) -> Path:
        files = cifar_files(layout)
        if change is not None:
            change(files)
        return write_files(folder, files)

    return make


def _label(files: dict) -> None:
    content = bytearray(files["data_batch_1.bin"])
    content[0] = 10
    files["data_batch_1.bin"] = bytes(content)


FIRST = "data_batch_1.bin"
HEADER = idx_bytes(np.zeros((24, 4, 5), np.uint8))[:16]
DATA: dict[str, Maker] = {
    "nothing there": lambda folder: folder / "none",
    "an empty folder": lambda folder: folder,
    "a file": _raw(b"hello"),
    "a pipe": _pipe,
    "a device": lambda folder: Path("/dev/zero"),
    "a web page for images": _idx(_put("train-images", WEB_PAGE)),
    "a packed web page": _idx(_put("train-images", gzip.compress(WEB_PAGE))),
    "an empty file": _idx(_put("train-labels", b"")),
    "an empty gzip": _idx(_put("train-labels", gzip.compress(b""))),
    "a bomb behind a small promise": _idx(
        _put("train-images", gzip.compress(HEADER) + zeros_gz(512))
    ),
    "a bomb behind a large promise": _idx(
        _put("train-images", gzip.compress(HEADER[:4] + b"\xff" * 12) + zeros_gz(512))
    ),
    "a bomb of nothing else": _idx(_put("t10k-labels", zeros_gz(512))),
    "a promise that wraps to nothing": _idx(
        _put("train-images", HEADER[:4] + struct.pack(">III", 2**31, 2**31, 4))
    ),
    "half a file": _idx(_spoiled("train-images", lambda c: c[: len(c) // 2])),
    "a wrong checksum": _idx(_spoiled("train-images", _wrong_checksum)),
    "a flipped bit": _idx(_spoiled("train-images", lambda c: c[:40] + bytes([c[40] ^ 4]) + c[41:])),
    "bytes behind the end": _idx(_spoiled("t10k-images", lambda c: c + b"more")),
    "a pickle": _idx(_put("train-images", pickle.dumps(Bomb(Path("marker"))))),
    "images and labels swapped": _idx(_swap("train-images", "train-labels")),
    "the splits' labels swapped": _idx(_swap("train-labels", "t10k-labels")),
    "train used as test": _idx(_train_as_test),
    "labels of 300 classes": _idx(_with_array("train-labels", lambda a: a + np.uint8(250))),
    "a label too few": _idx(_with_array("train-labels", lambda a: a[:-1])),
    "a label that training lacks": _idx(_with_array("t10k-labels", lambda a: a + np.uint8(3))),
    "test images of another size": _idx(
        _with_array("t10k-images", lambda a: np.ascontiguousarray(a[:, :3]))
    ),
    "no test images": _idx(lambda folder, _: _file(folder, "t10k-images").unlink()),
    "a pipe among the files": _idx(_as_pipe),
    "a folder among the files": _idx(_as_folder),
    "one image": _idx(train=1),
    "two layouts": lambda folder: _cifar(CIFAR10)(_idx()(folder)),
    "CIFAR, a batch missing": _cifar(CIFAR10, lambda files: files.pop(FIRST) and None),
    "CIFAR, half a record": _cifar(
        CIFAR10, lambda files: files.update({FIRST: files[FIRST][:-100]})
    ),
    "CIFAR, a web page": _cifar(CIFAR10, lambda files: files.update({FIRST: WEB_PAGE})),
    "CIFAR, an empty batch": _cifar(CIFAR10, lambda files: files.update({FIRST: b""})),
    "CIFAR, a label of 10": _cifar(CIFAR10, _label),
    "CIFAR, the same batch twice": _cifar(
        CIFAR10, lambda files: files.update({"data_batch_2.bin": files[FIRST]})
    ),
    "CIFAR, train used as test": _cifar(
        CIFAR10, lambda files: files.update({"test_batch.bin": files[FIRST]})
    ),
    "CIFAR, no names": _cifar(CIFAR10, lambda files: files.pop(CIFAR10.names) and None),
    "CIFAR, names of a web page": _cifar(
        CIFAR10, lambda files: files.update({CIFAR10.names: WEB_PAGE})
    ),
    "CIFAR, names without an end": _cifar(
        CIFAR10, lambda files: files.update({CIFAR10.names: b"x" * 2**20})
    ),
    "features, nothing there": lambda folder: folder / "m.npz",
    "features, a folder": lambda folder: (folder / "m.npz").mkdir() or folder / "m.npz",
    "features, a pipe": lambda folder: _pipe(folder, "m.npz"),
    "features, a loop of links": lambda folder: _loop(folder, "m.npz"),
    "features, a name too long": lambda folder: folder / ("x" * 300 + ".npz"),
    "features, an empty file": _raw(b""),
    "features, a web page": _raw(WEB_PAGE),
    "features, a pickle": _bare_pickle,
    "features, a checkpoint": _changed(),
    "features, pickled objects": _changed(_good_features, **{"train/images.npy": _objects}),
    "features, a way out": _changed(_good_features, **{"../../marker.npy": _npy(np.zeros(1))}),
    "features, a packed bomb": _bomb_npz(_good_features),
    "features, a promise of 4 TiB": _changed(
        _good_features, **{"train/images.npy": _lying_header((2**40,))}
    ),
    "features, labels missing": _changed(_good_features, **{"test/labels.npy": None}),
    "features, other labels": _changed(_good_features, **{"test/labels.npy": _npy(np.zeros(6))}),
    "features, cut in half": _cut(0.5, _good_features),
    "features, a bit flipped": _flipped(_good_features),
    "features, a newer format": _meta(_good_features, format=2),
    "features, of unknown origin": _meta(_good_features, origin=None),
    "features, a class too few": _meta(_good_features, classes=["a", "b"]),
    "CIFAR-100 named as CIFAR-10": lambda folder: write_files(
        folder, {FIRST: cifar_files(CIFAR100)["train.bin"]}
    ),
}


# --- pictures ------------------------------------------------------------------------------------


def _png(width: int, height: int, rows: bytes = b"") -> bytes:
    """A PNG of so many grey pixels, in so many bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


PICTURES: dict[str, Maker] = {
    "nothing there": lambda folder: folder / "p.png",
    "empty": _raw(b""),
    "web page": _raw(WEB_PAGE),
    "noise": _raw(np.random.default_rng(1).bytes(5000)),
    "half a picture": _raw(_png(28, 28, bytes(29 * 28))[:40]),
    "fewer rows than it says": _raw(_png(28, 28, bytes(29 * 3))),
    "a bomb": _raw(_png(30_000, 30_000, bytes(30_001 * 40))),
    "a bomb below Pillow's limit": _raw(_png(9_000, 9_000, bytes(9_001 * 9_000))),
    "a picture of no height": _raw(_png(28, 0)),
    "nothing to see": _raw(_png(28, 28, bytes(29 * 28))),
    "a drawing that would run": _raw(
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'></svg>"
    ),
    "PostScript": _raw(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n"),
    "a pickle": _bare_pickle,
    "a checkpoint": lambda folder: _zip(folder / "m.npz", _good()),
    "a folder": lambda folder: folder,
    "a pipe": _pipe,
    "a device without an end": lambda folder: Path("/dev/zero"),
    "a loop of links": _loop,
}
