"""Folders and named sets: found where they should be, checked, and fetched without a mess."""

import gzip
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tinyadtn import sources
from tinyadtn.data import load_data
from tinyadtn.errors import DataFileError
from tinyadtn.sources import BUNDLED, KNOWN, Source, available, download, locate

NAMES = {
    "train-images": "train-images-idx3-ubyte",
    "train-labels": "train-labels-idx1-ubyte",
    "validation-images": "validation-images-idx3-ubyte",
    "validation-labels": "validation-labels-idx1-ubyte",
    "t10k-images": "t10k-images-idx3-ubyte",
    "t10k-labels": "t10k-labels-idx1-ubyte",
}


def idx_bytes(values):
    lengths = b"".join(length.to_bytes(4, "big") for length in values.shape)
    return bytes([0, 0, 8, values.ndim]) + lengths + values.tobytes()


def small_set(seed=0, *, train=24, test=6, validation=0):
    """{file: array}, three classes, every image different."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for prefix, count in (("train", train), ("validation", validation), ("t10k", test)):
        if count:
            arrays[f"{prefix}-images"] = rng.integers(0, 256, (count, 4, 5), dtype=np.uint8)
            arrays[f"{prefix}-labels"] = (np.arange(count) % 3).astype(np.uint8)
    return arrays


def write_set(folder, arrays, *, ending=".gz", pack=gzip.compress):
    folder.mkdir(parents=True, exist_ok=True)
    for key, values in arrays.items():
        (folder / (NAMES[key] + ending)).write_bytes(pack(idx_bytes(values)))
    return folder


def hashes(arrays):
    return {key: hashlib.sha256(idx_bytes(values)).hexdigest() for key, values in arrays.items()}


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    """No test sees the machine's own data, and none reaches past this machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TINYADTN_DATA", raising=False)
    for variable in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    return tmp_path / "cache" / "tinyadtn"


# Folders


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), ("", bytes)])
def test_a_folder_of_files_named_as_mnists(tmp_path, ending, pack):
    arrays = small_set(validation=7)
    folder = write_set(tmp_path / "mine", arrays, ending=ending, pack=pack)
    for source in (folder, str(folder)):
        data = load_data(source)
        for split, prefix in ((data.train, "train"), (data.validation, "validation")):
            expected = arrays[f"{prefix}-images"][:, None].astype(np.float64) / 255
            np.testing.assert_allclose(split.images, expected, rtol=1e-7)
            np.testing.assert_array_equal(split.labels, arrays[f"{prefix}-labels"])
        assert len(data.test) == 6
        assert data.classes == ("0", "1", "2")
        assert data.name == str(folder)


def test_without_validation_files_every_twelfth_training_image_is_drawn(tmp_path):
    data = load_data(write_set(tmp_path / "mine", small_set(train=24)))
    assert (len(data.train), len(data.validation), len(data.test)) == (22, 2, 6)


def test_a_path_is_a_folder_even_where_a_set_has_that_name(tmp_path, monkeypatch):
    write_set(tmp_path / "mnist", small_set())
    monkeypatch.chdir(tmp_path)
    assert len(load_data(Path("mnist")).test) == 6
    assert len(load_data("./mnist").test) == 6


def broken(change):
    """A folder's refusal after ``change(arrays)``."""

    def message(folder):
        arrays = small_set(validation=7)
        change(arrays)
        with pytest.raises(DataFileError) as caught:
            load_data(write_set(folder / "mine", arrays))
        assert str(folder / "mine") in str(caught.value)
        return str(caught.value)

    return message


def swap(arrays):
    arrays["train-images"], arrays["train-labels"] = (
        arrays["train-labels"],
        arrays["train-images"],
    )


BROKEN = {
    "a file is missing": (
        lambda a: a.pop("t10k-labels"),
        "t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz",
    ),
    "labels of validation are missing": (
        lambda a: a.pop("validation-labels"),
        "validation-labels-idx1-ubyte",
    ),
    "fewer labels than images": (
        lambda a: a.update({"t10k-labels": a["t10k-labels"][:4]}),
        "6 images need as many labels, (6,), found (4,)",
    ),
    "images and labels swapped": (swap, "swapped"),
    "images flattened": (
        lambda a: a.update({"t10k-images": a["t10k-images"].reshape(6, 20)}),
        "expected images (n, h, w), found an array (6, 20)",
    ),
    "train given as test": (
        lambda a: a.update({"t10k-" + k: a["train-" + k] for k in ("images", "labels")}),
        "train and test hold the same images",
    ),
    "validation given as test": (
        lambda a: a.update({"t10k-" + k: a["validation-" + k] for k in ("images", "labels")}),
        "validation and test hold the same images",
    ),
    "a damaged label": (
        lambda a: a["train-labels"].__setitem__(0, 255),
        "labels go to 255 but 252 of the classes, such as 3,",
    ),
    "test labels of another set": (
        lambda a: a["t10k-labels"].__setitem__(0, 7),
        "test has label 7, training only 0 to 2",
    ),
    "test images of another set": (
        lambda a: a.update({"t10k-images": np.zeros((6, 5, 4), np.uint8)}),
        "test images are (1, 5, 4), training images (1, 4, 5)",
    ),
    "no test image": (
        lambda a: a.update(
            {"t10k-images": np.zeros((0, 4, 5), np.uint8), "t10k-labels": np.zeros(0, np.uint8)}
        ),
        "at least one, found (0, 1, 4, 5)",
    ),
    "no training image": (
        lambda a: a.update(
            {"train-images": np.zeros((0, 4, 5), np.uint8), "train-labels": np.zeros(0, np.uint8)}
        ),
        "at least one, found (0, 1, 4, 5)",
    ),
    "images without pixels": (
        lambda a: a.update({"train-images": np.zeros((24, 0, 5), np.uint8)}),
        "at least one, found (24, 1, 0, 5)",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_folders_that_do_not_fit_together_are_refused(tmp_path, fault):
    change, expected = BROKEN[fault]
    assert expected in broken(change)(tmp_path)


def test_a_damaged_file_in_a_folder_is_refused(tmp_path):
    folder = write_set(tmp_path / "mine", small_set())
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataFileError, match=r"t10k-images-idx3-ubyte\.gz: expected a whole gzip"):
        load_data(folder)


def test_one_training_image_leaves_none_for_validation(tmp_path):
    with pytest.raises(DataFileError, match="one training image"):
        load_data(write_set(tmp_path / "mine", small_set(train=1, test=1)))


def test_neither_a_folder_nor_a_name(tmp_path):
    with pytest.raises(DataFileError, match=r"mnsit: neither a folder nor .*mnist-5k, mnist"):
        load_data("mnsit")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataFileError, match="neither a folder"):
        load_data(tmp_path / "file")


# Named sets: where they are looked for


@pytest.fixture
def tiny(monkeypatch):
    """A named set of our own that is checked and fetched like MNIST."""
    arrays = small_set()
    monkeypatch.setitem(KNOWN, "tiny", Source("a test", hashes(arrays), ("http://nowhere/",)))
    return arrays


@pytest.fixture
def no_network(monkeypatch):
    def fetch(url, path):
        raise AssertionError(f"{url} was asked for")

    monkeypatch.setattr(sources, "_fetch", fetch)


def test_search_order(tmp_path, monkeypatch, empty_home, tiny, no_network):
    write_set(empty_home / "tiny", tiny)
    assert locate("tiny") == empty_home / "tiny"
    monkeypatch.setenv("TINYADTN_DATA", str(tmp_path / "empty"))
    assert locate("tiny") == empty_home / "tiny"
    monkeypatch.setenv("TINYADTN_DATA", str(tmp_path / "mine"))
    write_set(tmp_path / "mine" / "tiny", tiny)
    assert locate("tiny") == tmp_path / "mine" / "tiny"
    write_set(tmp_path / "mine", tiny)
    assert locate("tiny") == tmp_path / "mine"
    assert load_data("tiny").name == "tiny"


def test_without_xdg_the_cache_is_in_the_home(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert sources.cache_folder() == tmp_path / ".cache" / "tinyadtn"


def test_missing_says_where_it_looked_and_what_to_run(tmp_path, monkeypatch, no_network):
    monkeypatch.setenv("TINYADTN_DATA", str(tmp_path / "mine"))
    with pytest.raises(DataFileError) as caught:
        load_data("mnist")
    message = str(caught.value)
    for place in (tmp_path / "mine", tmp_path / "mine/mnist", tmp_path / "cache/tinyadtn/mnist"):
        assert re.search(rf"{re.escape(str(place))}[,.]", message)
    assert "tinyadtn data get mnist" in message
    assert "TINYADTN_DATA" in message
    assert "\n" not in message
    assert not (tmp_path / "cache").exists()


def test_other_files_under_a_known_name_are_refused_with_both_hashes(tmp_path, monkeypatch):
    arrays = small_set()
    monkeypatch.setenv("TINYADTN_DATA", str(write_set(tmp_path / "mine", arrays)))
    with pytest.raises(DataFileError) as caught:
        load_data("mnist")
    assert KNOWN["mnist"].sha256["train-images"] in str(caught.value)
    assert hashes(arrays)["train-images"] in str(caught.value)


def test_every_file_of_a_known_set_is_hashed(tmp_path, monkeypatch, tiny):
    monkeypatch.setenv("TINYADTN_DATA", str(tmp_path / "mine"))
    for key in tiny:
        changed = {**tiny, key: tiny[key].copy()}
        changed[key].flat[0] ^= 1
        write_set(tmp_path / "mine", changed)
        with pytest.raises(DataFileError, match=f"{NAMES[key]}.*SHA-256"):
            load_data("tiny")


def test_the_draw_of_a_known_set_ignores_stray_validation_files(tmp_path, monkeypatch, tiny):
    write_set(tmp_path / "mine", {**tiny, **small_set(seed=1, validation=9)} | tiny)
    monkeypatch.setenv("TINYADTN_DATA", str(tmp_path / "mine"))
    assert len(load_data("tiny").validation) == 2


def test_available_has_a_row_for_each_set(tmp_path, monkeypatch, no_network, tiny, empty_home):
    write_set(empty_home / "tiny", tiny)
    rows = {name: (description, where) for name, description, where in available()}
    assert list(rows) == ["mnist-5k", "mnist", "tiny"]
    assert rows["mnist-5k"][1] == str(BUNDLED / "mnist-5k")
    assert rows["mnist"][1] == "not here; run: tinyadtn data get mnist"
    assert rows["tiny"] == ("a test", str(empty_home / "tiny"))


# Downloads, from a server on this machine


class Mirror:
    """Serves ``files`` {path: bytes} and keeps a list of what was asked for."""

    def __init__(self):
        self.files, self.asked = {}, []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                mirror.asked.append(self.path)
                content = mirror.files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def serve(self, folder, arrays):
        for key, values in arrays.items():
            path = f"/{folder}/{NAMES[key]}.gz"
            self.files[path] = gzip.compress(idx_bytes(values))
        return f"{self.url}/{folder}/"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def mirror():
    mirror = Mirror()
    yield mirror
    mirror.close()


@pytest.fixture
def served(monkeypatch, mirror):
    """served(mirrors) declares the set "tiny" with the hashes of ``small_set()``."""

    def declare(*mirrors):
        source = Source("a test", hashes(small_set()), mirrors)
        monkeypatch.setitem(KNOWN, "tiny", source)

    return declare


def test_download_then_load(mirror, served, empty_home):
    served(mirror.serve("good", small_set()))
    assert download("tiny") == empty_home / "tiny"
    assert len(load_data("tiny").test) == 6
    assert sorted(path.name for path in (empty_home / "tiny").iterdir()) == sorted(
        f"{NAMES[key]}.gz" for key in small_set()
    )


def test_what_is_there_and_good_is_not_fetched_again(mirror, served, empty_home):
    served(mirror.serve("good", small_set()))
    folder = download("tiny")
    mirror.asked.clear()
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
    reasons = message.split(f"{closed.url}/: ")[1].split("; ")
    assert "refused" in reasons[0]
    assert reasons[1].startswith(f"{mirror.url}/empty/: 404")
    assert reasons[2].startswith(f"{other}: ") and "SHA-256" in reasons[2]
    assert str(empty_home / "tiny") in message
    assert list((empty_home / "tiny").iterdir()) == []


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_download_that_breaks_off_leaves_nothing(mirror, served, empty_home, monkeypatch, fault):
    served(mirror.serve("good", small_set()))

    def fetch(url, path):
        Path(path).write_bytes(b"the first half")
        raise fault

    monkeypatch.setattr(sources, "_fetch", fetch)
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
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    mirror.files = dict.fromkeys(mirror.files, b"<html>")
    with pytest.raises(DataFileError):
        download("tiny")
    del before["t10k-labels-idx1-ubyte.gz"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_bundled_and_unknown_sets_are_not_downloaded(no_network):
    assert download("mnist-5k") == BUNDLED / "mnist-5k"
    with pytest.raises(DataFileError, match=r"cifar11: .*mnist-5k, mnist"):
        download("cifar11")


def test_mnist_is_fetched_over_tls_from_two_places():
    assert len(KNOWN["mnist"].mirrors) == 2
    assert all(re.fullmatch(r"https://[a-z0-9./-]+/", url) for url in KNOWN["mnist"].mirrors)
