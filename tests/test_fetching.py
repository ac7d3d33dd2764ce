"""Fetching from mirrors, and archives: the known files come out, whatever else is in there."""

import gzip
import hashlib
import tarfile
import tracemalloc

import pytest
from data_files import tar_gz
from hypothesis import given
from hypothesis import strategies as st

from tinyadtn.data import fetching
from tinyadtn.data.fetching import fetch, unpack
from tinyadtn.errors import DataFileError

MIB = 2**20
GOOD = [("set/a.bin", b"a" * 2000), ("set/readme.html", b"<html>"), ("set/b.bin", b"b" * 700)]
WANTED = {"set/a.bin": 2000, "set/b.bin": 1000}


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

    def run(content, wanted=WANTED):
        packed.write_bytes(content)
        try:
            unpack(packed, wanted, folder)
        finally:
            assert {path.name for path in tmp_path.iterdir()} == {"outer", "packed.tar.gz"}
            assert list(folder.parent.iterdir()) == [folder]
            assert all(path.is_file() and not path.is_symlink() for path in folder.iterdir())
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    return run


def refused(room, content, wanted=WANTED):
    with pytest.raises(DataFileError) as caught:
        room(content, wanted)
    assert "packed.tar.gz: expected " in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_known_files_come_out(room):
    assert room(tar_gz(GOOD)) == {"a.bin": b"a" * 2000, "b.bin": b"b" * 700}


def test_a_leading_dot_is_as_good(room):
    dotted = [(f"./{name}", content) for name, content in GOOD]
    assert set(room(tar_gz(dotted))) == {"a.bin", "b.bin"}


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
    assert "set/a.bin in it, found none" in refused(room, tar_gz([other, GOOD[2]]))


def test_the_first_of_two_wins(room):
    assert room(tar_gz([GOOD[0], ("set/a.bin", b"x"), GOOD[2]]))["a.bin"] == b"a" * 2000


def test_what_is_missing_is_named(room):
    assert "set/b.bin in it, found none" in refused(room, tar_gz(GOOD[:2]))
    assert "set/a.bin, set/b.bin in it" in refused(room, tar_gz([]))


def test_a_file_that_is_too_long_is_refused(room):
    message = refused(room, tar_gz([("set/a.bin", bytes(2001)), GOOD[2]]))
    assert "set/a.bin of at most 2,000 bytes, found 2,001" in message


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"\x1f\x8b", gzip.compress(b"<html>" * 200)],
    ids=["empty", "page", "start", "zipped page"],
)
def test_no_archive_is_refused(room, content):
    refused(room, content)


def test_an_archive_cut_anywhere_is_refused(room):
    content = tar_gz(GOOD)
    whole = len(gzip.decompress(content))
    for length in range(0, len(content) - 40, 7):
        refused(room, content[:length])
    # cut inside, and packed well: what gzip's checksum does not see
    for length in range(0, whole - 10240, 97):
        refused(room, gzip.compress(gzip.decompress(content)[:length]))


@given(flips=st.lists(st.tuples(st.integers(0, 5119), st.integers(0, 7)), min_size=1, max_size=4))
def test_flipped_bits_give_the_known_files_or_a_refusal(tmp_path_factory, flips):
    tmp_path = tmp_path_factory.mktemp("flip")
    content = bytearray(gzip.decompress(tar_gz(GOOD)))
    for byte, bit in flips:
        content[byte] ^= 1 << bit
    packed, folder = tmp_path / "packed.tar.gz", tmp_path / "inner"
    packed.write_bytes(gzip.compress(content))
    folder.mkdir()
    try:
        unpack(packed, WANTED, folder)
    except DataFileError:
        pass
    else:
        assert {path.name for path in folder.iterdir()} == {"a.bin", "b.bin"}
    assert {path.name for path in tmp_path.iterdir()} == {"packed.tar.gz", "inner"}
    assert {path.name for path in folder.iterdir()} <= {"a.bin", "b.bin"}
    assert all(path.stat().st_size <= 2000 for path in folder.iterdir())


def promise(kind, size, name="set/other"):
    """A tar header alone."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE], ids=str
)
def test_a_bomb_is_inflated_no_further_than_the_limits(room, monkeypatch, kind):
    # Half a gigabyte of zeros: a gzip may have many members, so one is enough to make.
    zeros = gzip.compress(bytes(MIB))
    bomb = gzip.compress(promise(kind, 2**29)) + zeros * 512
    inflated = []

    class Counted(gzip.GzipFile):
        def read(self, size=-1):
            chunk = super().read(size)
            inflated.append(len(chunk))
            return chunk

    monkeypatch.setattr(fetching.gzip, "open", Counted)
    tracemalloc.start()
    assert "unpacked, found more" in refused(room, bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(inflated) < sum(WANTED.values()) + fetching.MARGIN + 20_000
    assert peak < 8 * MIB


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
