"""What a save may replace: ordinary files, through links, from any number of threads at once."""

import errno
import os
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import SizeLimitError
from tinyadtn.files import npz
from tinyadtn.files.atomic import replacing
from tinyadtn.files.npz import read_npz
from tinyadtn.files.state import read_state, write_state


def write(path, value=1.0):
    write_state(path, {"a": np.full(300, value)}, {})


def value_in(path):
    (value,) = set(read_state(path)[0]["a"].tolist())
    return value


# What is not an ordinary file


def a_pipe(path):
    os.mkfifo(path)


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def a_device(path):
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root may make a device")


def a_loop(path):
    path.symlink_to(path)


def a_full_folder(path):
    path.mkdir()
    (path / "inside").write_bytes(b"mine")


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("make", [a_pipe, a_socket, a_device, a_loop, Path.mkdir, a_full_folder])
def test_what_is_not_an_ordinary_file_is_not_replaced(make, linked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    special, path = Path("special.npz"), Path("m.npz") if linked else Path("special.npz")
    make(special)
    if linked:
        path.symlink_to(special)
    before = special.lstat()
    is_folder = special.is_dir()
    for save in (lambda: ta.save(path, ta.models.fc2(hidden=4, rng=0)), lambda: write(path)):
        with pytest.raises(OSError, match="Is a folder" if is_folder else "not an ordinary") as e:
            save()
        assert e.value.filename == str(path)
        assert e.value.errno == (errno.EISDIR if is_folder else errno.EINVAL)
    after = special.lstat()
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)
    assert {p.name for p in Path().iterdir()} == {special.name, path.name}
    assert make is not a_full_folder or (special / "inside").read_bytes() == b"mine"


# Links


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("depth", [1, 3])
def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path, absolute, depth):
    (tmp_path / "disk").mkdir()
    (tmp_path / "links").mkdir()
    target = tmp_path / "disk" / "real.npz"
    write(target, 1.0)
    target.chmod(0o600)
    inode = target.stat().st_ino
    link, to = tmp_path / "links" / "m.npz", target
    for k in range(depth):
        name = link if k == depth - 1 else tmp_path / "links" / f"step-{k}"
        name.symlink_to(to if absolute else os.path.relpath(to, tmp_path / "links"))
        to = name
    pointed = link.readlink()
    write(link, 2.0)
    assert link.is_symlink() and link.readlink() == pointed
    assert not target.is_symlink() and value_in(target) == value_in(link) == 2.0
    assert target.stat().st_ino != inode  # replaced in one step, not written in its place
    assert target.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in (tmp_path / "disk").iterdir()] == ["real.npz"]
    assert len(list((tmp_path / "links").iterdir())) == depth


def test_a_write_through_a_link_that_fails_leaves_the_target(tmp_path):
    target, link = tmp_path / "real.npz", tmp_path / "m.npz"
    write(target, 1.0)
    link.symlink_to(target)
    with pytest.raises(ZeroDivisionError), replacing(link) as file:
        file.write(b"half")
        _ = 1 / 0
    assert value_in(link) == 1.0
    assert {p.name for p in tmp_path.iterdir()} == {"real.npz", "m.npz"}


def test_a_link_to_nothing_makes_its_target(tmp_path):
    link = tmp_path / "m.npz"
    link.symlink_to("later.npz")
    write(link, 2.0)
    assert link.is_symlink() and value_in(tmp_path / "later.npz") == 2.0
    (tmp_path / "lost.npz").symlink_to("no folder/later.npz")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        write(tmp_path / "lost.npz")


def test_a_link_among_the_folders(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to("disk")
    write(tmp_path / "runs" / "m.npz", 3.0)
    assert value_in(tmp_path / "disk" / "m.npz") == 3.0


# Several at once


def test_threads_that_save_to_one_path_all_succeed(tmp_path):
    path = tmp_path / "m.npz"
    mask = os.umask(0o027)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda k: write(path, float(k % 7)), range(400)))
        assert os.umask(0o027) == 0o027  # the umask belongs to the whole process
    finally:
        os.umask(mask)
    assert value_in(path) in range(7)
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_meets_whole_files_only_while_threads_write(tmp_path):
    path = tmp_path / "m.npz"
    write(path)
    with ThreadPoolExecutor(4) as pool:
        writes = [pool.submit(write, path, float(k)) for k in range(100)]
        while not all(w.done() for w in writes):
            assert value_in(path) in range(100)
        for w in writes:
            w.result()


def test_the_temporary_file_of_a_living_writer_is_not_swept(tmp_path):
    path = tmp_path / "m.npz"
    with replacing(path) as file:
        file.write(b"first")
        with replacing(path) as other:
            other.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_for_its_owner_alone_is_never_open_to_others(tmp_path):
    path = tmp_path / "m.npz"
    path.write_bytes(b"secret")
    path.chmod(0o600)
    with replacing(path) as file:
        assert Path(file.name).stat().st_mode & 0o777 == 0o600


# What the system refuses


def test_the_error_has_the_path(tmp_path, monkeypatch):
    path = tmp_path / "m.npz"
    with pytest.raises(OSError, match="No space") as caught, replacing(path):
        raise OSError(28, "No space left on device")
    assert caught.value.filename == str(path)
    long = tmp_path / ("x" * 300 + ".npz")
    with pytest.raises(OSError, match="name too long") as caught:
        write(long)
    assert caught.value.filename == str(long)

    def forbidden(self, *_):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(PermissionError) as caught:
        write(path)
    assert caught.value.filename == str(path)


def test_a_file_that_could_not_be_read_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "MOST_MEMBERS", 3)
    arrays = {str(k): np.zeros(2) for k in range(2)}
    write_state(tmp_path / "m.npz", arrays, {})
    assert len(read_npz(tmp_path / "m.npz")) == 3
    before = (tmp_path / "m.npz").read_bytes()
    with pytest.raises(SizeLimitError, match="4 arrays; one file holds at most 3"):
        write_state(tmp_path / "m.npz", {**arrays, "more": np.zeros(2)}, {})
    assert (tmp_path / "m.npz").read_bytes() == before


def test_files_of_the_user_that_look_like_temporary_ones_are_kept(tmp_path):
    names = [".m.npz.tmp", ".m.npz.backup.tmp", ".m.npz.my.copy.tmp", ".m.npz.link"]
    for name in names:
        (tmp_path / name).write_text("mine")
    write(tmp_path / "m.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "m.npz"])


def test_a_file_that_is_read_only_is_kept(tmp_path):
    """The system allows to replace it, and root may write to it."""
    path = tmp_path / "m.npz"
    write(path)
    path.chmod(0o444)
    with pytest.raises(PermissionError, match="Is read-only; make it writable") as caught:
        write(path, 2.0)
    assert caught.value.filename == str(path) and value_in(path) == 1.0
    path.chmod(0o644)
    write(path, 2.0)
    assert value_in(path) == 2.0


def _draw(path, model):
    ta.draw.save(ta.draw.sensitivity({"fc1": 0.1}), path)


def _save_data(path, model):
    ta.save_data(path, ta.load_data((np.zeros((60, 1, 8, 8), np.uint8), np.arange(60) % 3)))


WRITERS = {
    "ta.save": (ta.save, "a.npz"),
    "save_data": (_save_data, "a.npz"),
    "save_safetensors": (ta.save_safetensors, "a.safetensors"),
    "save_onnx": (ta.save_onnx, "a.onnx"),
    "draw.save": (_draw, "a.png"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_function_that_writes_replaces_ordinary_files_alone(name, tmp_path):
    write, file = WRITERS[name]
    if name.startswith("save_") and name != "save_data":
        pytest.importorskip(name.removeprefix("save_"))
    model, path = ta.models.fc2(hidden=2, rng=0), tmp_path / file
    path.write_text("old")
    write(path, model)
    content = path.read_bytes()
    assert content != b"old" and [p.name for p in tmp_path.iterdir()] == [file]
    link = tmp_path / f"link{path.suffix}"
    link.symlink_to(path)
    write(link, model)
    assert link.is_symlink() and path.stat().st_size == len(content)
    for number, make in enumerate((Path.mkdir, os.mkfifo)):
        there = tmp_path / f"there{number}{path.suffix}"
        make(there)
        kind = stat.S_IFMT(there.stat().st_mode)
        with pytest.raises(OSError, match=r"folder|ordinary"):
            write(there, model)
        assert stat.S_IFMT(there.stat().st_mode) == kind
