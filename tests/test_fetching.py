"""Fetching from mirrors, and archives: the known files come out, whatever else is in there."""

import gzip
import hashlib
import tarfile

import pytest
from data_files import tar_gz

from tinyadtn.data import fetching
from tinyadtn.data.fetching import fetch, unpack
from tinyadtn.errors import DataFileError

GOOD = [("set/a.bin", b"a" * 2000), ("set/readme.html", b"<html>"), ("set/b.bin", b"b" * 700)]
WANTED = ["set/a.bin", "set/b.bin"]


def of_type(name, kind, target="/etc/passwd"):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.fixture
def room(tmp_path):
    """room(content) unpacks an archive into an empty folder and gives what is there then."""
    folder = tmp_path / "outer" / "inner"
    folder.mkdir(parents=True)
    packed = tmp_path / "packed.tar.gz"

    def run(content):
        packed.write_bytes(content)
        for path in folder.iterdir():
            path.unlink()
        try:
            unpack(packed, WANTED, folder)
        finally:
            assert {path.name for path in tmp_path.iterdir()} == {"outer", "packed.tar.gz"}
            assert list(folder.parent.iterdir()) == [folder]
            assert all(path.is_file() and not path.is_symlink() for path in folder.iterdir())
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    return run


def test_the_known_files_come_out(room):
    assert room(tar_gz(GOOD)) == {"a.bin": b"a" * 2000, "b.bin": b"b" * 700}


def test_names_that_lead_elsewhere_are_passed_over(room, tmp_path):
    evil = [
        ("../evil", b"x"),
        ("set/../../evil", b"x"),
        (str(tmp_path / "evil"), b"x"),
        ("set/../set/a.bin", b"x"),
        ("/set/a.bin", b"x"),
        ("a.bin", b"x"),
        (of_type("set", tarfile.SYMTYPE, str(tmp_path)), b""),
    ]
    assert room(tar_gz(evil + GOOD)) == {"a.bin": b"a" * 2000, "b.bin": b"b" * 700}


KINDS = {
    "link": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE,
    "folder": tarfile.DIRTYPE,
    "pipe": tarfile.FIFOTYPE,
    "disk": tarfile.BLKTYPE,
    "terminal": tarfile.CHRTYPE,
}


@pytest.mark.parametrize("kind", KINDS)
def test_only_ordinary_files_count(room, kind):
    other = (of_type("set/a.bin", KINDS[kind]), b"")
    assert set(room(tar_gz([other, *GOOD]))) == {"a.bin", "b.bin"}
    assert set(room(tar_gz([other, GOOD[2]]))) == {"b.bin"}


# Mirrors: the first good copy is kept, every reason is reported, and nothing else stays behind.

RIGHT = hashlib.sha256(b"right").hexdigest()


def not_bad(part):
    if part.read_bytes() == b"bad":
        raise DataFileError("not what was expected")


@pytest.mark.parametrize("known_hash", [RIGHT, "md5:" + hashlib.md5(b"right").hexdigest()])
def test_the_first_good_copy_is_kept(tmp_path, mirror, empty_home, known_hash):
    mirror.files = {"/bad": b"bad", "/other": b"other", "/good": b"right", "/late": b"right"}
    urls = [f"{mirror.url}/{name}" for name in ("none", "bad", "other", "good", "late")]
    kept = []
    fetch("file", known_hash, urls, tmp_path, prepare=not_bad, keep=kept.append)
    assert mirror.asked == ["/none", "/bad", "/other", "/good"]
    assert list(tmp_path.iterdir()) == kept == [tmp_path / "file"]
    assert kept[0].read_bytes() == b"right"
    assert kept[0].stat().st_mode & 0o777 == 0o644  # for everybody who shares the cache
    fetch("file", known_hash, urls, tmp_path)
    assert len(mirror.asked) == 4  # it is there already


def test_a_prepared_copy_is_what_is_hashed_and_kept(tmp_path, mirror, empty_home):
    mirror.files = {"/file.gz": gzip.compress(b"right")}
    fetch("file", RIGHT, [f"{mirror.url}/file.gz"], tmp_path,
          prepare=lambda part: part.write_bytes(gzip.decompress(part.read_bytes())))  # fmt: skip
    assert (tmp_path / "file").read_bytes() == b"right"


def test_every_reason_is_reported_and_nothing_is_kept(tmp_path, mirror, empty_home):
    mirror.files = {"/bad": b"bad", "/other": b"other", "/page": b"<html>"}
    urls = [f"{mirror.url}/{name}" for name in ("none", "bad", "other", "page")]
    with pytest.raises(DataFileError) as caught:
        fetch("file", RIGHT, urls, tmp_path, prepare=not_bad)
    message = str(caught.value)
    assert message.startswith("file: no mirror served a good copy (")
    assert f"{urls[0]}: 404" in message
    assert f"{urls[1]}: not what was expected" in message
    assert f"{urls[2]}: SHA256 hash" in message and RIGHT in message
    assert hashlib.sha256(b"other").hexdigest() in message
    assert f"{urls[3]}: file: expected a data file, found a web page" in message
    assert str(tmp_path) in message and "\n" not in message
    assert list(tmp_path.iterdir()) == []


def test_a_mirror_is_asked_again_before_the_next(tmp_path, mirror, empty_home, monkeypatch):
    monkeypatch.setattr(fetching, "RETRIES", 1)
    monkeypatch.setattr("time.sleep", lambda _: None)
    mirror.files = {"/good": b"right"}
    fetch("file", RIGHT, [f"{mirror.url}/{name}" for name in ("none", "good")], tmp_path)
    assert mirror.asked == ["/none", "/none", "/good"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["prepare", "keep"])
def test_a_step_that_fails_leaves_no_half_file(tmp_path, mirror, empty_home, error, step):
    mirror.files = {"/good": b"right"}

    def fail(part):
        assert part.read_bytes() == b"right"
        raise error

    with pytest.raises((DataFileError, KeyboardInterrupt)) as caught:
        fetch("file", RIGHT, [f"{mirror.url}/good"], tmp_path, **{step: fail})
    if isinstance(error, OSError):
        assert "No space left on device" in str(caught.value)
    left = [path.read_bytes() for path in tmp_path.iterdir()]
    assert left == ([] if step == "prepare" else [b"right"])
