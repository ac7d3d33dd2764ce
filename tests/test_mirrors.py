"""Fetching: the first good copy is kept, every reason is told, and nothing else stays behind."""

import hashlib

import pytest

from tinyadtn.data.mirrors import check_md5, fetch
from tinyadtn.errors import DataFileError

pytestmark = pytest.mark.usefixtures("empty_home")


def keep_if(expected, target):
    def accept(part):
        if part.read_bytes() != expected:
            raise DataFileError("not what was expected")
        part.replace(target)

    return accept


def test_the_first_good_copy_is_kept(tmp_path, mirror):
    mirror.files = {"/bad/file": b"other", "/good/file": b"right", "/late/file": b"right"}
    places = [f"{mirror.url}/{name}/" for name in ("none", "bad", "good", "late")]
    fetch("file", places, tmp_path, keep_if(b"right", tmp_path / "kept"))
    assert mirror.asked == ["/none/file", "/bad/file", "/good/file"]
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_bytes() == b"right"


def test_every_reason_is_told_and_nothing_is_kept(tmp_path, mirror):
    mirror.files = {"/bad/file": b"other"}
    places = [f"{mirror.url}/none/", f"{mirror.url}/bad/"]
    with pytest.raises(DataFileError) as caught:
        fetch("file", places, tmp_path, keep_if(b"right", tmp_path / "kept"))
    message = str(caught.value)
    assert message.startswith("file: no mirror served a good copy (")
    assert f"{places[0]}: 404" in message
    assert f"{places[1]}: not what was expected" in message
    assert str(tmp_path) in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_goes_wrong_on_the_way_to_its_place_leaves_nothing(tmp_path, mirror, error):
    mirror.files = {"/good/file": b"right"}

    def accept(part):
        assert part.read_bytes() == b"right"
        raise error

    with pytest.raises((DataFileError, KeyboardInterrupt)) as caught:
        fetch("file", [f"{mirror.url}/good/"], tmp_path, accept)
    if isinstance(error, OSError):
        assert "No space left on device" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [0, 5, 16, 17, 2**20 + 16, 3 * 2**20 + 1])
def test_the_md5_is_that_of_the_whole_file(tmp_path, length, rng):
    path = tmp_path / "file"
    content = rng.bytes(length)
    path.write_bytes(content)
    check_md5(path, hashlib.md5(content).hexdigest())
    other = hashlib.md5(content + b"x").hexdigest()
    with pytest.raises(DataFileError, match=f"{path}: expected MD5 {other}, found "):
        check_md5(path, other)


def test_a_web_page_is_called_one(tmp_path):
    (tmp_path / "file").write_bytes(b"<html>")
    with pytest.raises(DataFileError, match="a web page"):
        check_md5(tmp_path / "file", "0" * 32)
    with pytest.raises(DataFileError, match="no such file"):
        check_md5(tmp_path / "missing", "0" * 32)
