"""Data as people have them: arrays, .npz, .npy, CSV, folders of pictures; what is refused."""

import csv
import io
import re
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from data_files import cifar_files, small_set, write_files, write_set
from PIL import Image

import tinyadtn as ta
from tinyadtn.cli.picture import read_digit
from tinyadtn.data.cifar import CIFAR10
from tinyadtn.data.saved_data import save_data
from tinyadtn.errors import DataFileError, SizeLimitError

NAMES = np.array(["dog", "cat", "hen"])


def some(count, shape=(6, 6), seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8), np.arange(count) % 3


X, Y = some(36)
X_TEST, Y_TEST = some(9, seed=1)


def same(data, expected):
    assert data.identity()["sha256"] == expected.identity()["sha256"]
    np.testing.assert_array_equal(data.test.images, expected.test.images)
    np.testing.assert_array_equal(data.test.labels, expected.test.labels)


@pytest.fixture
def expected():
    return ta.load_data(((X, Y), (X_TEST, Y_TEST)))


# --- arrays under the names that people give them ------------------------------------------------

SPELLINGS = [
    ("x_train", "y_train", "x_test", "y_test"),
    ("X_train", "y_train", "X_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("images", "labels", "test_images", "test_labels"),
    ("train/data", "train/target", "testing-x", "testing-y"),
    ("images_train", "labels_train", "t10k-images", "t10k-labels"),
]


@pytest.mark.parametrize("names", SPELLINGS)
@pytest.mark.parametrize("kind", ["dict", "npz", "packed npz", "npy"])
def test_the_usual_names_are_understood(kind, names, expected, tmp_path):
    arrays = dict(zip(names, (X, Y, X_TEST, Y_TEST)))
    source = arrays
    if "npz" in kind:
        source = tmp_path / "own.npz"
        (np.savez_compressed if kind == "packed npz" else np.savez)(source, **arrays)
    elif kind == "npy":
        source = tmp_path
        for name, array in arrays.items():
            if "/" in name:
                pytest.skip("no file is called so")
            np.save(tmp_path / f"{name}.npy", array)
    same(ta.load_data(source), expected)


def test_a_validation_split_is_understood_too():
    arrays = {"x_train": X, "y_train": Y, "x_val": X_TEST, "y_val": Y_TEST}
    arrays |= {"x_test": X[:3] ^ 1, "y_test": Y[:3]}
    data = ta.load_data(arrays)
    assert [len(getattr(data, s)) for s in ("train", "validation", "test")] == [36, 9, 3]


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x_train": X}, "train has images only: expected arrays called x_train, y_train"),
        ({"x": X, "y": Y, "y_test": Y}, "test has labels only"),
        ({"a": X, "b": Y}, "found a, b; rename them"),
        ({"x": X, "X": X, "y": Y}, "x and X may both be meant; leave one out"),
        ({"x": X, "y": Y[:5]}, "36 images need as many labels"),
        ({"x": X, "y": np.eye(3)[Y]}, r"labels\.argmax\(axis=1\)"),
        ({"x": X.reshape(36, 4, 9)[:, :, :0], "y": Y}, "at least one"),
        ({"x": X.reshape(36, 36)[:, :35], "y": Y}, r"images\.reshape\(-1, c, h, w\)"),
        ({"x": np.float32(X), "y": Y}, r"found 0 to 255; scale them|found .* to 255; scale them"),
        ({"x": X.astype(int), "y": Y}, r"images\.astype\(numpy\.uint8\)"),
        ({"x": X, "y": Y / 2}, r"labels\.astype\(int\)"),
    ],
)
def test_arrays_that_are_no_data_set_are_refused_with_the_way_out(arrays, says, tmp_path):
    with pytest.raises(DataFileError, match=says):
        ta.load_data(arrays)
    np.savez(tmp_path / "own.npz", **{f"{k}_" if k == "X" else k: v for k, v in arrays.items()})
    with pytest.raises(DataFileError, match=r"own\.npz: ") as caught:
        ta.load_data(tmp_path / "own.npz")
    assert re.search(says.replace("x and X", "x and X_"), str(caught.value))


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (X > 127, r"found bool from 0 to 1; give images\.astype\(numpy\.float32\)"),
        (np.uint16(X) * 257, "found uint16 from 0 to 65535; give images / 65535"),
        (X.astype(np.int8), "found int8 from -128 to 127; give floats"),
        (np.int64(X) * 300, "found int64 from 0 to 76500; give floats"),
        (X // 128, r"largest value of these is 1; .*images\.astype\(numpy\.float32\)"),
        (X.astype(complex), "found complex128$"),
    ],
)
def test_advice_for_a_dtype_changes_no_pixel(images, says):
    with pytest.raises(DataFileError, match=says):
        ta.load_data((images, Y))
    with pytest.raises(DataFileError, match=says):
        ta.Split(images[:, None], Y)


@pytest.mark.parametrize(
    ("shape", "channels"),
    [((28, 28, 2), None), ((28, 28, 5), None), ((20, 30, 2), None), ((2, 28, 28), 2),
     ((5, 7, 9), 5), ((8, 4, 4), 8), ((6, 40, 1), 6)],
)  # fmt: skip
def test_unusual_numbers_of_channels_come_first_or_are_refused(shape, channels):
    images, labels = some(36, shape)
    if channels:
        assert ta.load_data((images, labels)).train.images.shape[1:] == shape
        return
    says = rf"would have {shape[0]} channels.*images\.transpose\(0, 3, 1, 2\)"
    with pytest.raises(DataFileError, match=says):
        ta.load_data((images, labels))
    with pytest.raises(DataFileError, match=says):
        ta.Split(images, labels)


def test_one_pair_is_divided_and_each_class_keeps_its_share():
    data = ta.load_data((X, Y))
    assert [len(data.train), len(data.validation), len(data.test)] == [28, 2, 6]
    assert np.bincount(data.test.labels).tolist() == [2, 2, 2]
    rows = [i.tobytes() for s in (data.train, data.validation, data.test) for i in s.images]
    assert sorted(rows) == sorted((np.float32(x) / 255).tobytes() for x in X)
    same(ta.load_data({"images": X, "labels": Y}), data)
    same(ta.load_data(ta.Split(X[:, None], Y)), data)
    with pytest.raises(DataFileError, match="no class has 6 images"):
        ta.load_data((X[:15], Y[:15]))


@pytest.mark.parametrize("shape", [(5, 7), (3, 8, 9), (1, 6, 6), (16, 16, 3), (12, 11, 1)])
def test_any_size_and_colour(shape):
    images, labels = some(36, shape)
    found = ta.load_data((images, labels)).train.images.shape[1:]
    last = len(shape) == 3 and shape[2] in (1, 3) and shape[0] > 4
    assert found == ((shape[2], *shape[:2]) if last else shape if len(shape) == 3 else (1, *shape))


def test_rows_of_pixels_are_square_grey_images(expected):
    same(ta.load_data(((X.reshape(36, 36), Y), (X_TEST.reshape(9, 36), Y_TEST))), expected)


@pytest.mark.parametrize("counts", [(60, 60, 60), (240, 24, 24), (13, 120, 48)])
def test_each_class_keeps_its_share_of_the_validation_split(counts):
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], counts))
    data = ta.load_data(((some(len(labels))[0], labels), (X_TEST, Y_TEST)))
    drawn = np.bincount(data.validation.labels, minlength=3)
    assert drawn.sum() == sum(counts) // 12
    assert np.abs(drawn - np.array(counts) / 12).max() <= 1
    assert (np.bincount(data.train.labels) + drawn).tolist() == list(counts)


# --- labels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [list, np.array, lambda x: np.array(x, object), lambda x: np.array(x).astype("S"),
     lambda x: np.array(x)[:, None]],
)  # fmt: skip
def test_labels_may_be_names(make):
    data = ta.load_data(((X, make(list(NAMES[Y]))), (X_TEST, make(list(NAMES[Y_TEST])))))
    assert data.classes == ("cat", "dog", "hen")
    np.testing.assert_array_equal(np.array(data.classes)[data.test.labels], NAMES[Y_TEST])
    assert data.identity()["classes"] == ["cat", "dog", "hen"]


def test_names_that_are_numbers_are_in_the_order_of_numbers():
    data = ta.load_data((X, np.array(["10", "9", "2"])[Y]))
    assert data.classes == ("2", "9", "10")


def test_names_may_come_with_the_file(tmp_path):
    np.savez(tmp_path / "own.npz", x=X, y=Y, class_names=NAMES)
    assert ta.load_data(tmp_path / "own.npz").classes == tuple(NAMES)
    np.savez(tmp_path / "own.npz", x=X, y=NAMES[Y], class_names=NAMES)
    data = ta.load_data(tmp_path / "own.npz")
    assert data.classes == tuple(NAMES)
    same(data, ta.load_data((X, Y)))


@pytest.mark.parametrize(
    ("train", "test", "says"),
    [
        (NAMES[Y], np.array(["fox"] * 9), "test has the label 'fox', .*cat, dog, hen"),
        (NAMES[Y], Y_TEST, "test needs names of classes"),
        (Y, NAMES[Y_TEST], "test: expected integer labels"),
        (np.array([f"image {k}" for k in range(36)]), NAMES[Y_TEST], "test has the label"),
    ],
)
def test_names_that_do_not_fit_together_are_refused(train, test, says):
    with pytest.raises(DataFileError, match=says):
        ta.load_data(((X, train), (X_TEST, test)))


def test_more_names_than_there_can_be_classes_are_refused():
    images = np.zeros((1001, 2, 2), np.uint8)
    with pytest.raises(DataFileError, match="1,001 different names"):
        ta.load_data((images, [f"photo {k}" for k in range(1001)]))


def test_masked_arrays_are_refused():
    with pytest.raises(DataFileError, match="mask"):
        ta.load_data((X, np.ma.masked_equal(Y, 1)))
    with pytest.raises(DataFileError, match="mask"):
        ta.load_data({"x": np.ma.masked_equal(X, 1), "y": Y})


# --- CSV -----------------------------------------------------------------------------------------


def write_csv(path, images, labels, *, head=True, delimiter=",", column=0, encoding="utf-8"):
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=delimiter)
        names = [f"pixel{k}" for k in range(images[0].size)]
        if head:
            writer.writerow([*names[:column], "label", *names[column:]])
        for image, label in zip(images, labels):
            row = image.ravel().tolist()
            writer.writerow([*row[:column], label, *row[column:]])
    return path


@pytest.mark.parametrize(
    "options",
    [{}, {"head": False}, {"delimiter": ";"}, {"delimiter": "\t"}, {"column": 36}, {"column": 5},
     {"encoding": "utf-8-sig"}],
)  # fmt: skip
def test_a_csv_file_has_an_image_in_every_line(options, tmp_path):
    path = write_csv(tmp_path / "own.csv", X, Y, **options)
    same(ta.load_data(path), ta.load_data((X, Y)))


def test_the_columns_that_pandas_writes(tmp_path):
    rows = [",label," + ",".join(map(str, range(36)))]  # the numbers of the lines have no name
    rows += [f"{k},{y}," + ",".join(map(str, x.ravel())) for k, (x, y) in enumerate(zip(X, Y))]
    (tmp_path / "own.csv").write_text("\n".join(rows))
    same(ta.load_data(tmp_path / "own.csv"), ta.load_data((X, Y)))


def test_a_folder_may_have_a_csv_file_for_each_split(expected, tmp_path):
    write_csv(tmp_path / "mnist_train.csv", X, Y)
    same(ta.load_data(tmp_path), ta.load_data((X, Y)))
    write_csv(tmp_path / "mnist_test.csv", X_TEST, Y_TEST)
    same(ta.load_data(str(tmp_path)), expected)
    write_csv(tmp_path / "more.csv", X, Y)
    with pytest.raises(DataFileError, match="one for each split"):
        ta.load_data(tmp_path)


def test_labels_and_pixels_of_a_csv_file(tmp_path):
    path = write_csv(tmp_path / "own.csv", X, NAMES[Y])
    assert ta.load_data(path).classes == ("cat", "dog", "hen")
    floats = np.round(X / 255, 4)
    data = ta.load_data(write_csv(path, floats, Y))
    same(data, ta.load_data((floats, Y)))
    same(ta.load_data(write_csv(path, X, Y * 1.0)), ta.load_data((X, Y)))
    huge = np.array(["9" * 5000, "1", "2"])
    assert ta.load_data(write_csv(path, X, huge[Y])).classes == ("1", "2", "9" * 5000)
    with pytest.raises(DataFileError, match="found 0 to 16; scale them"):
        ta.load_data(write_csv(path, np.minimum(X, 16) * (X > 0) * 1.0, Y))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a CSV file with a label"),
        ("label\n1\n2\n", "columns"),
        ("label,a,b,c,d\n", "0 lines"),
        (
            "label,a,b,c,d\n1,2,3,4,5\n1,2,3\n",
            "found 3 columns in line 3, and 5 in the lines before",
        ),
        ("label,a,b,c,d\n1,2,three,4,5\n", "found 'three', .* in line 2, column 3"),
        ("1,2,3,4,5\n2,1,3,4,cat\n", "found 'cat', .* in line 2, column 5"),
        ("label,a,b,c,d\n1,2,3,4,5\n1,2,,4,5\n", "a missing value in line 3, column 3"),
        ("label,a,b,c,d\n1,2,3,4,5\n1,2,nan,4,5\n", "a missing pixel, nan, in image 2"),
        ("label,a,b,c,d,e\n1,2,3,4,5,6\n", "5 pixels in a line"),
        ("0,9,2,3,1\n0,8,2,3,2\n", "the same label, '0', in the first column"),
        ("label,y,c,d,e\n1,2,3,4,5\n", "2 columns of labels"),
        ("\x80\x81,1,2,3,4\n", "another one"),
        ("<!DOCTYPE html>\n<html></html>\n", "a CSV file"),
    ],
)
def test_what_is_no_csv_file_of_images_is_refused(text, says, tmp_path):
    path = tmp_path / "own.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataFileError, match=says) as caught:
        ta.load_data(path)
    told = str(caught.value)
    assert told.startswith(f"{path}: ")
    assert "The label is read from the column called label" in told and ".npz file" in told
    assert "data get" not in told  # which would fetch another file


def test_a_csv_file_takes_a_bounded_multiple_of_its_size(tmp_path, monkeypatch):
    path = write_csv(tmp_path / "own.csv", *some(900, (28, 28)))
    size = path.stat().st_size
    tracemalloc.start()
    ta.load_data(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * size
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: 8 * size - 1)
    with pytest.raises(SizeLimitError, match=r"own\.csv needs"):
        ta.load_data(path)


# --- folders of pictures -------------------------------------------------------------------------


def write_pictures(folder, images, labels, *, ending=".png", change=lambda picture: picture):
    for k, (image, label) in enumerate(zip(images, labels)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        change(Image.fromarray(image)).save(place / f"{k:03}{ending}")


@pytest.mark.parametrize("shape", [(6, 6), (6, 9, 3)])
@pytest.mark.parametrize("test", ["test", "Testing"])
def test_a_folder_of_pictures_for_each_class(shape, test, tmp_path):
    (images, labels), (others, rest) = some(36, shape), some(9, shape, 1)
    write_pictures(tmp_path / "train", images, NAMES[labels])
    write_pictures(tmp_path / test, others, NAMES[rest])
    (tmp_path / "train" / "cat" / ".hidden.png").write_text("no picture")
    (tmp_path / "train" / "cat" / "Thumbs.db").write_text("no picture")
    (tmp_path / ".git").mkdir()
    data = ta.load_data(tmp_path)
    assert data.classes == ("cat", "dog", "hen") and data.name == str(tmp_path)
    first = lambda a: a.transpose(0, 3, 1, 2) if a.ndim == 4 else a[:, None]  # noqa: E731
    same(data, ta.load_data({"train": sorted_as(first(images), NAMES[labels]),
                             "test": sorted_as(first(others), NAMES[rest])}))  # fmt: skip


def sorted_as(images, labels):
    """In the order in which the files are read: class by class."""
    order = np.argsort(labels, kind="stable")
    return images[order], labels[order]


def test_one_folder_of_classes_is_divided(tmp_path):
    write_pictures(tmp_path, X, Y)
    data = ta.load_data(tmp_path)
    assert data.classes == ("0", "1", "2")
    assert [len(data.train), len(data.validation), len(data.test)] == [28, 2, 6]


def turned(picture):
    """Stored upside down, with the mark that says so."""
    picture = picture.rotate(180)
    picture.getexif()[0x0112] = 3
    return picture


GREY = {
    "bits": lambda p: p.convert("1"),
    "palette": lambda p: p.convert("P", palette=Image.Palette.ADAPTIVE),
    "alpha": lambda p: p.convert("LA"),
    "16 bits": lambda p: Image.fromarray(np.uint16(np.asarray(p)) * 257),
}


@pytest.mark.parametrize("mode", GREY)
def test_grey_pictures_in_any_mode_have_one_channel(mode, tmp_path):
    bright = np.where(X > 127, 255, 0).astype(np.uint8)
    write_pictures(tmp_path, bright, Y, change=GREY[mode])
    data = ta.load_data(tmp_path)
    assert data.train.images.shape[1:] == (1, 6, 6)
    assert {*np.unique(data.train.images)} == {0, 1}


def test_a_colour_among_grey_pictures_makes_all_of_them_colour(tmp_path):
    write_pictures(tmp_path, X, Y)
    Image.new("RGB", (6, 6), (0, 0, 255)).save(tmp_path / "0" / "sky.png")
    images = ta.load_data(tmp_path).train.images
    assert images.shape[1:] == (3, 6, 6)
    assert any((image == np.array([0, 0, 1])[:, None, None]).all() for image in images)


def test_what_is_transparent_is_white(tmp_path):
    write_pictures(tmp_path, X, Y, change=lambda p: Image.new("RGBA", p.size, (0, 0, 0, 0)))
    assert (ta.load_data(tmp_path).train.images == 1).all()


def test_photos_are_turned_as_their_camera_says(tmp_path):
    image = np.zeros((16, 32), np.uint8)
    image[:8] = 255
    for k in range(12):
        picture = Image.fromarray(image).transpose(Image.Transpose.ROTATE_90)
        exif = picture.getexif()
        exif[0x0112] = 6  # turn by 90 degrees to the right
        (tmp_path / str(k % 2)).mkdir(exist_ok=True)
        picture.save(tmp_path / str(k % 2) / f"{k}.jpg", exif=exif, quality=100)
    images = ta.load_data(tmp_path).train.images
    assert images.shape[1:] == (1, 16, 32)
    np.testing.assert_allclose(images[0, 0], image / 255, rtol=0, atol=0.1)


def test_pictures_of_different_sizes_are_refused_and_can_be_scaled(tmp_path):
    write_pictures(tmp_path, X, Y)
    Image.new("L", (40, 20), 255).save(tmp_path / "0" / "wide.png")
    with pytest.raises(DataFileError, match=r"wide\.png: has 40×20 pixels.*size=32.*data import"):
        ta.load_data(tmp_path)
    data = ta.load_data(tmp_path, size=12)
    assert data.train.images.shape[1:] == (1, 12, 12)


def test_a_size_is_for_pictures_alone(tmp_path):
    with pytest.raises(DataFileError, match=r"size=12 is for a folder of pictures.* 6×6 pixels"):
        ta.load_data((X, Y), size=12)
    with pytest.raises(ValueError, match="size must be 1 or more, got 0"):
        ta.load_data(tmp_path, size=0)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "not a picture"), (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a picture"), (None, "truncated")],
)
def test_a_broken_picture_is_named(content, says, tmp_path):
    write_pictures(tmp_path, *some(12, (40, 40)))
    good = (tmp_path / "1" / "001.png").read_bytes()
    (tmp_path / "1" / "bad.png").write_bytes(good[:-40] if content is None else content)
    with pytest.raises(DataFileError, match=rf"bad\.png: .*{says}"):
        ta.load_data(tmp_path)


def test_pixels_that_are_floats_have_no_known_scale(tmp_path):
    write_pictures(tmp_path, X, Y)
    (tmp_path / "1" / "floats.ppm").write_bytes(b"Pf\n6 6\n-1.0\n" + np.ones(36, "<f4").tobytes())
    with pytest.raises(DataFileError, match=r"floats\.ppm: .*floats, whose scale is not known"):
        ta.load_data(tmp_path)
    with pytest.raises(DataFileError, match="floats, whose scale is not known"):
        read_digit(tmp_path / "1" / "floats.ppm")


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path):
    write_pictures(tmp_path, X, Y)
    Image.new("1", (8192, 8192)).save(tmp_path / "0" / "huge.png")
    tracemalloc.start()
    with pytest.raises(DataFileError, match=r"huge\.png: .*67|huge\.png: .*8192×8192"):
        ta.load_data(tmp_path, size=32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


def test_pictures_that_would_not_fit_in_memory_are_refused(tmp_path, monkeypatch):
    write_pictures(tmp_path, X, Y)
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: 5 * X.size - 1)
    with pytest.raises(SizeLimitError, match="give fewer pictures"):
        ta.load_data(tmp_path)


def test_without_pillow_the_message_says_what_to_install(tmp_path, monkeypatch):
    write_pictures(tmp_path, X, Y)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install pillow"):
        ta.load_data(tmp_path)


@pytest.mark.parametrize("what", ["nothing", "pictures without classes", "other files"])
def test_a_folder_of_something_else_is_refused_with_the_layouts(what, tmp_path):
    if what == "pictures without classes":
        Image.fromarray(X[0]).save(tmp_path / "1.png")
    elif what == "other files":
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "notes.txt").write_text("words")
    with pytest.raises(DataFileError, match="a folder of pictures for each class, a CSV file"):
        ta.load_data(tmp_path)


def test_pickles_are_never_loaded(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"\x80\x04.")
    with pytest.raises(DataFileError, match="pickles, which are never loaded"):
        ta.load_data(tmp_path)
    np.save(tmp_path / "x.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(DataFileError, match=r"x\.npy holds pickled objects"):
        ta.load_data(tmp_path)
    np.savez(tmp_path / "own.npz", x=X, y=np.array(list("abc") * 12, object))
    with pytest.raises(DataFileError, match=r"y\.npy holds pickled objects"):
        ta.load_data(tmp_path / "own.npz")


# --- folders of well-known sets ------------------------------------------------------------------


@pytest.mark.parametrize("place", [".", "raw", "MNIST/raw", "FashionMNIST/raw"])
@pytest.mark.parametrize("dotted", [False, True])
def test_the_folder_that_a_program_made_or_any_above_it(place, dotted, tmp_path):
    folder = write_set(tmp_path / "data" / place, small_set())
    if dotted:  # as Kaggle and some unpackers write it
        for path in list(folder.iterdir()):
            path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    expected = ta.load_data(folder)
    for each in (tmp_path / "data", folder.parent if "/" in place else folder):
        same(ta.load_data(each), expected)


def test_two_sets_below_one_folder_are_both_named(tmp_path):
    for name in ("MNIST", "FashionMNIST"):
        write_set(tmp_path / name / "raw", small_set())
    with pytest.raises(DataFileError, match=r"MNIST \(.*/MNIST/raw\) and .*FashionMNIST/raw"):
        ta.load_data(tmp_path)
    assert len(ta.load_data(tmp_path / "MNIST").train) == 22


def test_the_folder_above_cifars_is_found_too(tmp_path):
    folder = tmp_path / CIFAR10.folder
    write_files(folder, cifar_files(CIFAR10))
    same(ta.load_data(tmp_path), ta.load_data(folder))


# --- hostile files -------------------------------------------------------------------------------


def npy_header(shape, dtype="|u1"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


@pytest.mark.parametrize("kind", ["npy", "npz", "packed zeros", "members", "holes"])
def test_a_small_file_cannot_become_a_large_array(kind, tmp_path):
    path = tmp_path / "x.npz"
    if kind == "npy":
        path = tmp_path / "x.npy"
        path.write_bytes(npy_header((10**6, 100, 100)) + b"\0" * 100)
    elif kind == "holes":
        path = tmp_path / "x.npy"
        with path.open("wb") as file:
            file.write(npy_header((2**15, 2**15)))
            file.truncate(len(npy_header((2**15, 2**15))) + 2**30)
    elif kind == "members":
        with zipfile.ZipFile(path, "w") as archive:
            for k in range(11_000):
                archive.writestr(f"{k}.npy", b"")
    else:
        packing = zipfile.ZIP_DEFLATED if kind == "packed zeros" else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", packing) as archive:
            zeros = b"\0" * (2**28 if kind == "packed zeros" else 10)
            archive.writestr("x.npy", npy_header((2**14, 2**14)) + zeros)
    tracemalloc.start()
    with pytest.raises(DataFileError):
        ta.load_data(path.parent if path.suffix == ".npy" else path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**25


# --- prepared once -------------------------------------------------------------------------------


def test_images_that_were_saved_are_read_again_exactly(tmp_path):
    data = ta.load_data((X, NAMES[Y]))
    ta.save_data(tmp_path / "own.npz", data)
    again = ta.load_data(tmp_path / "own.npz")
    assert again.identity() == {**data.identity(), "name": str(tmp_path / "own.npz")}
    for split in ("train", "validation", "test"):
        one, other = getattr(data, split), getattr(again, split)
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)
    with zipfile.ZipFile(tmp_path / "own.npz") as archive:
        assert archive.getinfo("train/images.npy").file_size < 28 * 36 + 200  # a byte per pixel
    arrays = dict(np.load(tmp_path / "own.npz"))
    np.savez_compressed(tmp_path / "packed.npz", **arrays)  # as a careful owner of a disk does
    same(ta.load_data(tmp_path / "packed.npz"), data)
    floats = ta.load_data((np.random.default_rng(0).random(X.shape), Y))
    save_data(tmp_path / "own.npz", floats)
    same(ta.load_data(tmp_path / "own.npz"), floats)


def test_the_card_says_what_there_is():
    images, labels = some(36, (3, 4, 5))
    data = ta.load_data((images, NAMES[labels]))
    card = data.card()
    assert card.shape == (3, 4, 5) and card.classes == ("cat", "dog", "hen")
    assert card.counts["test"] == (2, 2, 2)
    np.testing.assert_allclose(card.mean, data.train.images.mean(axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(card.std, data.train.images.std(axis=(0, 2, 3)), rtol=1e-4)
    text = str(card)
    for word in ("3×4×5: train 28, validation 2, test 6", "cat", data.identity()["sha256"]):
        assert word in text
    many = ta.Data(data.train, data.validation, data.test, tuple(f"c\x1b{k}" for k in range(300)))
    assert "… and 200 more classes" in str(many.card()) and "\x1b" not in str(many.card())


def test_relative_paths_are_those_of_the_working_directory(tmp_path, monkeypatch):
    write_pictures(tmp_path / "data" / "pets", X, Y)
    monkeypatch.chdir(tmp_path / "data")
    assert ta.load_data("pets").name == "pets"
    monkeypatch.chdir(tmp_path / "data" / "pets")
    assert len(ta.load_data("../pets").train) == len(ta.load_data(Path("..") / "pets").train)


@pytest.mark.parametrize("name", ["fc2", "lenet5"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 20, 20), (1, 64, 64)])
def test_networks_take_data_of_any_size_and_colour(name, shape, tmp_path):
    from tinyadtn.studies.experiment import build_for

    data = ta.load_data(some(18, shape))
    model = build_for(data, name, 0)
    assert len(list(ta.train(model, data, epochs=1))) == 1
    assert ta.predict(model, data.test.images).shape == (3, 3)


@pytest.mark.parametrize("name", ["alexnet", "zfnet", "vgg16"])
def test_networks_for_one_size_say_what_to_do_with_others(name):
    from tinyadtn.studies.experiment import build_for

    data = ta.load_data(some(18, (3, 40, 40)))
    with pytest.raises(ta.errors.ShapeError, match=r"28, 32, 224 .* not 40.*data import .*--size"):
        build_for(data, name, None)


# --- arguments of other types --------------------------------------------------------------------


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("shape", [(6, 6), (3, 6, 6), (6, 6, 3)])
def test_images_may_be_a_list(kind, shape):
    images, labels = some(36, shape)
    same(ta.load_data((kind(images), labels.tolist())), ta.load_data((images, labels)))
    two = {"train": (kind(images), labels), "test": (kind(X_TEST), Y_TEST)}
    if shape == (6, 6):
        same(ta.load_data(two), ta.load_data(((X, Y), (X_TEST, Y_TEST))))


def test_two_images_are_not_taken_for_a_pair():
    with pytest.raises(DataFileError, match="no class has 6 images"):
        ta.load_data(([X[0], X[1]], [0, 1]))
    column = Y[:, None]
    same(ta.load_data(((X, column), (X_TEST, Y_TEST))), ta.load_data(((X, Y), (X_TEST, Y_TEST))))


def test_images_of_different_shapes_are_named():
    images = [*X[:5], np.zeros((7, 8), np.uint8), *X[6:]]
    says = r"^arrays: train: image 5 has the shape \(7, 8\), image 0 has \(6, 6\).*numpy\.stack"
    with pytest.raises(DataFileError, match=says):
        ta.load_data((images, Y))


def test_a_dataset_of_torch_is_refused_with_what_to_do():
    class Dataset:
        def __getitem__(self, k):
            return X[k], Y[k]

        def __len__(self):
            return len(X)

    with pytest.raises(DataFileError, match=r"found Dataset; from a torch Dataset .*np\.stack"):
        ta.load_data(Dataset())


def test_arguments_of_another_type_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(TypeError, match=r"size must be a whole number of pixels.* got '32'"):
        ta.load_data(tmp_path, size="32")
    with pytest.raises(TypeError, match=r"save_data needs Data, got tuple; give ta\.load_data"):
        ta.save_data(tmp_path / "own.npz", (X, Y))
    with pytest.raises(TypeError, match=r"batches needs a Split, as data\.train, got tuple"):
        ta.batches((X, Y), 10, seed=0, epoch=1)
