"""Named sets, fetched from a server on this machine: whole and right, or not at all."""

import gzip
import hashlib
import re
from pathlib import Path

import pytest
from data_files import (
    NAMES,
    Mirror,
    cifar_archive,
    cifar_files,
    hashes,
    idx_bytes,
    small_set,
    tar_gz,
    write_files,
    write_set,
)

from tinyadtn.data import fetching
from tinyadtn.data.catalogue import BUNDLED, KNOWN, CifarSet, IdxSet, download
from tinyadtn.data.cifar import CIFAR10, CIFAR100
from tinyadtn.data.loading import load_data
from tinyadtn.errors import DataFileError

pytestmark = pytest.mark.usefixtures("empty_home")


@pytest.fixture
def served(monkeypatch, mirror):
    """served(mirrors) declares the set "tiny" with the hashes of ``small_set()``."""

    def declare(*mirrors):
        source = IdxSet("a test", hashes(small_set()), mirrors)
        monkeypatch.setitem(KNOWN, "tiny", source)

    return declare


def test_download_then_load(mirror, served, empty_home):
    served(mirror.serve("good", small_set()))
    assert download("tiny") == empty_home / "tiny"
    assert len(load_data("tiny").test) == 6
    assert sorted(path.name for path in (empty_home / "tiny").iterdir()) == sorted(
        NAMES[key] for key in small_set()
    )


def test_what_is_there_and_good_is_not_fetched_again(mirror, served, empty_home):
    served(mirror.serve("good", small_set()))
    folder = download("tiny")
    mirror.asked.clear()
    download("tiny")
    assert mirror.asked == []
    damaged = folder / "t10k-labels-idx1-ubyte"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    download("tiny")
    assert mirror.asked == ["/good/t10k-labels-idx1-ubyte.gz"]
    load_data("tiny")


def test_packed_files_in_the_cache_are_as_good(mirror, served, empty_home):
    served(mirror.serve("good", small_set()))
    folder = write_set(empty_home / "tiny", small_set())
    download("tiny")
    assert mirror.asked == []
    damaged = folder / "t10k-labels-idx1-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    download("tiny")
    assert mirror.asked == ["/good/t10k-labels-idx1-ubyte.gz"]
    load_data("tiny")


def test_the_next_mirror_is_tried(mirror, served):
    good = mirror.serve("good", small_set())
    served(f"{mirror.url}/empty/", mirror.serve("other", small_set(seed=1)), good)
    download("tiny")
    load_data("tiny")
    assert len(mirror.asked) == 3 + 2 + 3 + 2  # both seeds have the same labels


def test_a_mirror_that_unpacks_on_the_way_is_as_good(mirror, served):
    served(mirror.serve("good", small_set()))
    mirror.files = {path: gzip.decompress(content) for path, content in mirror.files.items()}
    download("tiny")
    load_data("tiny")


BAD_ANSWERS = {
    "wrong digits": gzip.compress(idx_bytes(small_set(seed=1)["train-images"])),
    "half a file": gzip.compress(idx_bytes(small_set()["train-images"]))[:100],
    "a web page": b"<html>Please log in</html>",
    "nothing": b"",
}


@pytest.mark.parametrize("answer", BAD_ANSWERS)
def test_a_wrong_answer_is_refused_and_leaves_nothing(mirror, served, empty_home, answer):
    served(mirror.serve("bad", small_set()))
    mirror.files["/bad/train-images-idx3-ubyte.gz"] = BAD_ANSWERS[answer]
    with pytest.raises(DataFileError, match="no mirror served a good copy"):
        download("tiny")
    assert list((empty_home / "tiny").iterdir()) == []


def test_when_all_mirrors_fail_each_reason_is_told(mirror, served, empty_home):
    closed = Mirror()
    closed.close()
    other = mirror.serve("other", small_set(seed=1))
    served(f"{closed.url}/", f"{mirror.url}/empty/", other)
    with pytest.raises(DataFileError) as caught:
        download("tiny")
    message = str(caught.value)
    assert "\n" not in message
    first = "train-images-idx3-ubyte.gz"
    reasons = message.split(f"{closed.url}/{first}: ")[1].split("; ")
    assert "refused" in reasons[0]
    assert reasons[1].startswith(f"{mirror.url}/empty/{first}: 404")
    assert reasons[2].startswith(f"{other}{first}: SHA256 hash")
    assert str(empty_home / "tiny") in message
    assert list((empty_home / "tiny").iterdir()) == []


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_download_that_breaks_off_leaves_nothing(mirror, served, empty_home, monkeypatch, fault):
    served(mirror.serve("good", small_set()))

    def download_half(url, path):
        Path(path).write_bytes(b"the first half")
        raise fault

    monkeypatch.setattr(fetching, "_download", download_half)
    with pytest.raises((DataFileError, KeyboardInterrupt)) as caught:
        download("tiny")
    if isinstance(fault, OSError):
        assert "No space left on device" in str(caught.value)
    assert list((empty_home / "tiny").iterdir()) == []


def test_a_good_file_is_never_replaced_by_a_wrong_one(mirror, served, empty_home):
    good = mirror.serve("good", small_set())
    served(good)
    folder = download("tiny")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "t10k-labels-idx1-ubyte").unlink()
    mirror.files = dict.fromkeys(mirror.files, b"<html>")
    with pytest.raises(DataFileError):
        download("tiny")
    del before["t10k-labels-idx1-ubyte"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_bundled_and_unknown_sets_are_not_downloaded(no_network):
    assert download("mnist-5k") == BUNDLED / "mnist-5k"
    with pytest.raises(DataFileError, match=r"cifar11: .*mnist-5k, mnist"):
        download("cifar11")


def test_every_mirror_is_a_folder_and_cifar_and_mnist_are_fetched_over_tls():
    for name, source in KNOWN.items():
        tls = "https" if name != "fashion-mnist" else "https?"  # its hashes are those of all bytes
        assert all(re.fullmatch(rf"{tls}://[A-Za-z0-9./~-]+/", url) for url in source.mirrors)
    assert [len(source.mirrors) for source in KNOWN.values()] == [0, 2, 2, 1, 1]


# CIFAR: an archive, of which the publisher gives the MD5


@pytest.fixture(params=[CIFAR10, CIFAR100], ids=lambda layout: layout.title)
def layout(request):
    return request.param


@pytest.fixture
def colours(monkeypatch, mirror, layout):
    """colours(content, …) serves an archive from each of some mirrors; the first one's MD5 counts.

    It declares the set "colours" of 200 training and 100 test images.
    """

    def declare(*contents):
        for k, content in enumerate(contents):
            mirror.files[f"/{k}/set.tar.gz"] = content
        urls = tuple(f"{mirror.url}/{k}/" for k in range(len(contents)))
        md5 = hashlib.md5(contents[0]).hexdigest()
        made = CifarSet("a test", layout, "set.tar.gz", md5, urls, counts=(200, 100), validation=20)
        monkeypatch.setitem(KNOWN, "colours", made)

    return declare


def test_an_archive_is_fetched_and_loaded(mirror, colours, empty_home, layout):
    files = cifar_files(layout)
    colours(cifar_archive(layout, files))
    assert download("colours") == empty_home / "colours"
    assert {path.name: path.read_bytes() for path in (empty_home / "colours").iterdir()} == files
    data = load_data("colours")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [180, 20, 100]
    assert mirror.asked == ["/0/set.tar.gz"]


def test_an_archive_is_fetched_again_only_where_something_is_wrong(
    mirror, colours, empty_home, layout
):
    files = cifar_files(layout)
    colours(cifar_archive(layout, files))
    folder = download("colours")
    mirror.asked.clear()
    download("colours")
    assert mirror.asked == []
    for name in files:
        (folder / name).write_bytes(files[name][:-20])
        download("colours")
        assert (folder / name).read_bytes() == files[name]
    assert mirror.asked == ["/0/set.tar.gz"] * len(files)


def test_an_archive_that_is_there_already_is_unpacked_and_stays(
    mirror, colours, empty_home, layout
):
    files = cifar_files(layout)
    packed = cifar_archive(layout, files)
    colours(packed)
    folder = write_files(empty_home / "colours", {"set.tar.gz": packed})
    assert len(load_data(download("colours")).test) == 100
    assert mirror.asked == []
    assert (folder / "set.tar.gz").read_bytes() == packed
    assert {path.name for path in folder.iterdir()} == {*files, "set.tar.gz"}


def test_the_next_mirror_is_tried_for_an_archive(monkeypatch, mirror, colours, empty_home, layout):
    good = cifar_archive(layout, cifar_files(layout))
    colours(good, b"<html>", cifar_archive(layout, cifar_files(layout, seed=5)), good)
    del mirror.files["/0/set.tar.gz"]
    download("colours")
    assert mirror.asked == [f"/{k}/set.tar.gz" for k in range(4)]
    assert len(load_data("colours").test) == 100


def test_an_archive_with_another_md5_is_not_unpacked(mirror, colours, empty_home, layout):
    other = cifar_archive(layout, cifar_files(layout, seed=5))
    colours(cifar_archive(layout, cifar_files(layout)))
    mirror.files["/0/set.tar.gz"] = other
    with pytest.raises(DataFileError) as caught:
        download("colours")
    assert KNOWN["colours"].md5 in str(caught.value)
    assert f"put a copy into {empty_home / 'colours'}, unpacked" in str(caught.value)
    assert hashlib.md5(other).hexdigest() in str(caught.value)
    assert list((empty_home / "colours").iterdir()) == []


def faulty(layout, fault):
    files = cifar_files(layout)
    if fault == "a file is missing":
        del files[layout.test[0]]
    elif fault == "a file is too long":
        files[layout.test[0]] += bytes(layout.record)
    elif fault == "a file is too short":
        files[layout.test[0]] = files[layout.test[0]][: -layout.record]
    elif fault == "a label is wrong":
        files[layout.test[0]] = b"\xff" * layout.record + files[layout.test[0]][layout.record :]
    elif fault == "no folder":
        return tar_gz(list(files.items()))
    return cifar_archive(layout, files)


@pytest.mark.parametrize(
    "fault",
    [
        "a file is missing",
        "a file is too long",
        "a file is too short",
        "a label is wrong",
        "no folder",
    ],
)
def test_what_has_the_md5_is_still_not_believed(mirror, colours, empty_home, layout, fault):
    colours(faulty(layout, fault))
    with pytest.raises(DataFileError, match="no mirror served a good copy"):
        download("colours")
    assert list((empty_home / "colours").iterdir()) == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_unpacking_that_breaks_off_leaves_what_was_there(
    mirror, colours, empty_home, monkeypatch, layout, error
):
    files = cifar_files(layout)
    colours(cifar_archive(layout, files))
    older = files | {layout.names: b"nothing"}
    folder = write_files(empty_home / "colours", older)

    def unpack_half(archive, names, room):
        (room / layout.names).write_bytes(files[layout.names][:9])
        raise error

    monkeypatch.setattr(fetching, "unpack", unpack_half)
    with pytest.raises((DataFileError, KeyboardInterrupt)):
        download("colours")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == older


def test_what_the_publishers_say():
    """The sums on https://www.cs.toronto.edu/~kriz/cifar.html, and how many images there are."""
    ten, hundred = KNOWN["cifar10"], KNOWN["cifar100"]
    assert ten.mirrors[0] + ten.archive == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    assert hundred.archive == "cifar-100-binary.tar.gz"
    assert ten.md5 == "c32a1d4ab5d03f1284b67883e8d87530"
    assert hundred.md5 == "03b5dce01913d631647c71ecec9e9cb8"
    for source in (ten, hundred):
        assert (source.counts, source.validation) == ((50_000, 10_000), 5_000)
