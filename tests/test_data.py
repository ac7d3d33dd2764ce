"""load_data and its splits: the fixed draws, arrays of every kind, and every refusal."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from data_files import write_set
from hypothesis import given
from hypothesis import strategies as st

from tinyadtn.data.loading import load_data
from tinyadtn.data.preprocess import channel_statistics, crop_and_flip
from tinyadtn.data.saved_data import save_features
from tinyadtn.data.splits import Data, Split
from tinyadtn.errors import DataFileError, DTypeError, ShapeError, SizeLimitError

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def digits():
    return load_data("mnist-5k")


def fresh(values):
    """The same values in other memory."""
    return np.array(values)


# The draw of a validation split


def numbered(count, start=0):
    """Images that carry their own number."""
    images = np.zeros((count, 2, 2), np.uint8)
    images[:, 0, 0] = np.arange(start, start + count)
    return images, np.arange(count) % 2


def test_the_draw_is_fixed():
    data = load_data((numbered(48), numbered(6, start=200)))
    drawn = np.rint(data.validation.images[:, 0, 0, 0] * 255).astype(int).tolist()
    kept = np.rint(data.train.images[:, 0, 0, 0] * 255).astype(int).tolist()
    assert drawn == DRAWN_FROM_48
    assert kept == [number for number in range(48) if number not in DRAWN_FROM_48]
    np.testing.assert_array_equal(data.train.labels, np.array(kept) % 2)
    np.testing.assert_array_equal(data.validation.labels, np.array(drawn) % 2)


DRAWN_FROM_48 = [15, 22, 27, 36]


@given(count=st.integers(2, 60))
def test_the_draw_is_a_twelfth_and_loses_nothing(count):
    data = load_data((numbered(count, start=30), numbered(3, start=200)))
    assert len(data.validation) == max(1, count // 12)
    both = np.concatenate([data.train.images, data.validation.images])[:, 0, 0, 0] * 255
    assert sorted(np.rint(both).astype(int)) == list(range(30, count + 30))


# Arrays


def pair(count=6, shape=(4, 5), seed=0, dtype=np.uint8):
    rng = np.random.default_rng(seed)
    if dtype == np.uint8:
        images = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    else:
        images = rng.random((count, *shape)).astype(dtype)
    return images, np.arange(count) % 3


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64, ">f4"])
@pytest.mark.parametrize("shape", [(4, 5), (1, 4, 5), (3, 4, 5)])
def test_arrays_of_every_kind(dtype, shape):
    pairs = {name: pair(6 + seed, shape, seed, dtype) for seed, name in enumerate(SPLITS)}
    data = load_data(pairs)
    for name in SPLITS:
        split, (images, labels) = getattr(data, name), pairs[name]
        scale = 255 if dtype == np.uint8 else 1
        expected = (images.astype(np.float64) / scale).reshape(len(images), -1, 4, 5)
        np.testing.assert_allclose(split.images, expected, rtol=1e-6)
        assert split.images.dtype == np.float32 and split.images.dtype.isnative
        np.testing.assert_array_equal(split.labels, labels)
        assert split.labels.dtype == np.int64
        assert not np.shares_memory(split.images, images)
        assert not np.shares_memory(split.labels, labels)
    assert data.classes == ("0", "1", "2")
    assert data.name == "arrays"


def test_pairs_in_order_are_the_same_as_pairs_by_name():
    train, validation, test = (pair(seed=seed) for seed in range(3))
    by_name = load_data({"test": test, "train": train, "validation": validation})
    for in_order in (load_data((train, validation, test)), load_data([train, validation, test])):
        for name in SPLITS:
            expected = getattr(by_name, name)
            np.testing.assert_array_equal(getattr(in_order, name).images, expected.images)
    np.testing.assert_array_equal(
        load_data((train, test)).test.images, load_data({"train": train, "test": test}).test.images
    )


def test_lists_are_arrays_too():
    train, test = ([[[0.0, 1.0]], [[1.0, 0.0]]], [0, 1]), ([[[0.5, 0.5]]], [1])
    assert load_data((train, test)).test.images.tolist() == [[[[0.5, 0.5]]]]


GOOD, OTHER = pair(seed=1), pair(seed=2)
IMAGES, LABELS = pair()
FLOATS = IMAGES / 255


def with_value(value):
    images = fresh(FLOATS)
    images[3, 2, 1] = value
    return images


BAD_PAIRS = {
    "no pair": (IMAGES, r"expected a pair \(images, labels\)"),
    "a number": (7, r"expected a pair \(images, labels\)"),
    "three arrays": ((IMAGES, LABELS, LABELS), r"expected a pair"),
    "ragged": (([[[1], [2, 3]]], [0]), r"expected a pair"),
    "one image": ((IMAGES[0], LABELS), r"\(n, c, h, w\), at least one, found \(4, 5\)"),
    "flat images": ((IMAGES.reshape(6, 20), LABELS), r"found \(6, 20\)"),
    "no images": ((IMAGES[:0], LABELS[:0]), r"at least one, found \(0, 1, 4, 5\)"),
    "five axes": ((IMAGES[..., None, None], LABELS), r"found \(6, 4, 5, 1, 1\)"),
    "too few labels": ((IMAGES, LABELS[:5]), r"6 images need as many labels, \(6,\), found \(5,\)"),
    "one-hot labels": ((IMAGES, np.eye(3)[LABELS]), r"found \(6, 3\)"),
    "float labels": ((IMAGES, LABELS * 1.0), r"expected integer labels, found float64"),
    "dates as labels": ((IMAGES, LABELS.astype("M8[s]")), r"integer labels, found datetime64"),
    "bool labels": ((IMAGES, LABELS > 0), r"expected integer labels, found bool"),
    "a negative label": ((IMAGES, LABELS - 1), r"from 0 to 999, found -1 to 1"),
    "a huge label": ((IMAGES, LABELS.astype(np.uint64) + 2**63), r"found 9223372036854775808 to"),
    "int64 pixels": (
        (IMAGES.astype(np.int64), LABELS),
        r"uint8 or floats in \[0, 1\], found int64",
    ),
    "bool pixels": ((IMAGES > 99, LABELS), r"uint8 or floats in \[0, 1\], found bool"),
    "complex pixels": ((FLOATS + 0j, LABELS), r"uint8 or floats in \[0, 1\], found complex128"),
    "objects": ((IMAGES.astype(object), LABELS), r"uint8 or floats in \[0, 1\], found object"),
    "floats up to 255": (
        (IMAGES * 1.0, LABELS),
        r"expected pixels in \[0, 1\], found .*scale them, or give uint8",
    ),
    "floats above 255": ((with_value(300.0), LABELS), r"found .* to 300; scale them$"),
    "below zero": ((with_value(-0.5), LABELS), r"found -0\.5 to"),
    "NaN": ((with_value(np.nan), LABELS), r"found nan to nan"),
    "infinity": ((with_value(np.inf), LABELS), r"found .* to inf"),
}


@pytest.mark.parametrize("fault", BAD_PAIRS)
@pytest.mark.parametrize("name", SPLITS)
def test_arrays_that_are_no_images_and_labels_are_refused(fault, name):
    bad, expected = BAD_PAIRS[fault]
    pairs = {"train": GOOD, "validation": OTHER, "test": pair(seed=3), name: bad}
    with pytest.raises(DataFileError, match=rf"^arrays: {name}: .*{expected}"):
        load_data(pairs)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ({}, "expected train, test"),
        ({"train": GOOD}, r"found \['train'\]"),
        ({"train": GOOD, "test": OTHER, "valid": OTHER}, "'valid'"),
        ({"train": GOOD, 3: OTHER}, "3"),
        ((GOOD, fresh(GOOD[0])), "test: expected a pair"),
        ((GOOD,), r"expected one of mnist-5k, mnist, .*, a folder, a \.npz or \.csv file, or"),
        ((GOOD,) * 4, "found tuple"),
        (IMAGES, "found ndarray"),
        (None, "found NoneType"),
        (5000, "found int"),
    ],
)
def test_other_things_than_splits_are_refused(pairs, expected):
    with pytest.raises(DataFileError, match=expected):
        load_data(pairs)


def test_splits_that_do_not_fit_together_are_refused():
    with pytest.raises(DataFileError, match=r"test images are \(1, 5, 4\), training images"):
        load_data((GOOD, pair(shape=(5, 4))))
    with pytest.raises(DataFileError, match="test has label 3, and there are 3 classes"):
        load_data((GOOD, (OTHER[0], OTHER[1] + 1)))
    with pytest.raises(DataFileError, match="train and test hold the same images"):
        load_data((GOOD, (fresh(GOOD[0]), OTHER[1])))
    with pytest.raises(DataFileError, match="train and validation hold the same images"):
        load_data((GOOD, GOOD, OTHER))


# The same answer for labels with gaps, wherever they come from


def labels_with(kind, count=52):
    """1 to 26 as in EMNIST's letters, three digits of ten, or a class that only the test has."""
    rows = np.arange(count)
    return {"letters": 1 + rows % 26, "three digits": np.array([0, 1, 7])[rows % 3]}[kind]


def through_a_folder(pairs, folder):
    arrays = {}
    for name, prefix in (("train", "train"), ("validation", "validation"), ("test", "t10k")):
        images, labels = pairs[name]
        arrays |= {f"{prefix}-images": images, f"{prefix}-labels": labels.astype(np.uint8)}
    return load_data(write_set(folder, arrays))


def through_a_features_file(pairs, folder):
    def split(name):
        images, labels = pairs[name]
        return Split(np.float32(images[:, None]), labels, features=True)

    classes = tuple(map(str, range(27)))
    origin = {"data": {}, "before": "fc1", "model": {}}
    save_features(folder / "f.npz", Data(*map(split, SPLITS), classes=classes, origin=origin))
    return load_data(folder / "f.npz")


DOORS = {
    "arrays by name": lambda pairs, folder: load_data(pairs),
    "arrays in order": lambda pairs, folder: load_data([pairs[name] for name in SPLITS]),
    "no validation": lambda pairs, folder: load_data((pairs["train"], pairs["test"])),
    "lists": lambda pairs, folder: load_data(
        {k: ((v[0] / 255).tolist(), v[1].tolist()) for k, v in pairs.items()}
    ),
    "a folder": through_a_folder,
    "a file of features": through_a_features_file,
}


@pytest.mark.parametrize("kind", ["letters", "three digits"])
@pytest.mark.parametrize("door", DOORS)
def test_labels_with_gaps_are_refused_through_every_door(door, kind, tmp_path):
    pairs = {name: (pair(52, seed=seed)[0], labels_with(kind)) for seed, name in enumerate(SPLITS)}
    gaps, first = {"letters": (1, 0), "three digits": (5, 2)}[kind]
    says = f"labels go to {labels_with(kind).max()} but {gaps} of the classes, such as {first}, "
    says += "has no image" if gaps == 1 else "have no image"
    with pytest.raises(DataFileError, match=says):
        DOORS[door](pairs, tmp_path)
    numbered = {
        name: (images, np.unique(labels, return_inverse=True)[1])
        for name, (images, labels) in pairs.items()
    }
    if door != "a file of features":  # which has 27 classes here
        data = DOORS[door](numbered, tmp_path / "right")
        assert len(data.classes) == {"letters": 26, "three digits": 3}[kind]


def test_a_class_whose_only_image_is_drawn_for_validation_is_no_gap(tmp_path):
    """What load_data gives can be written as features and read again."""
    images, labels = pair(48)
    labels = np.repeat([0, 1, 2, 3], [30, 1, 11, 6])  # of 48 in this order, number 30 is drawn
    data = load_data(((images, labels), pair(6, seed=1)))
    assert 1 not in data.train.labels and 1 in data.validation.labels
    origin = {"data": {}, "before": "fc1", "model": {}}
    save_features(tmp_path / "f.npz", replace(data, origin=origin))
    assert load_data(tmp_path / "f.npz").classes == data.classes


# Masks, memory maps, other layouts


def masked(values):
    return np.ma.masked_array(values, mask=np.arange(values.size).reshape(values.shape) == 1)


MASKED = {
    "images": lambda images, labels: (masked(images), labels),
    "labels": lambda images, labels: (images, masked(labels)),
    "nothing masked": lambda images, labels: (np.ma.masked_array(images), labels),
    "a list of masked images": lambda images, labels: ([masked(i) for i in images], labels),
    "a tuple of one masked image": lambda images, labels: (
        (*images[:-1], masked(images[-1])),
        labels,
    ),
    "a list of lists": lambda images, labels: ([[masked(r) for r in i] for i in images], labels),
    "a masked label in a list": lambda images, labels: (images, [*labels[:-1], np.ma.masked]),
    "both in one": lambda images, labels: np.ma.masked_array([images[:, 0, 0], labels]),
}


@pytest.mark.parametrize("kind", MASKED)
@pytest.mark.parametrize("name", SPLITS)
def test_masks_are_refused_as_they_would_be_lost(kind, name):
    pairs = {"train": GOOD, "validation": OTHER, "test": pair(seed=3)}
    pairs[name] = MASKED[kind](*pairs[name])
    with pytest.raises(DataFileError, match=rf"^arrays: {name}: .*lose its mask; fill it"):
        load_data(pairs)


def test_a_split_refuses_masks_too():
    images, labels = np.float32(GOOD[0][:, None]), GOOD[1]
    for parts in ((masked(images), labels), (images, masked(labels))):
        with pytest.raises(DTypeError, match="lose its mask; fill it"):
            Split(*parts)


@pytest.mark.parametrize("labels", [np.arange(20), np.arange(51), np.zeros((50, 1)), np.array(3)])
def test_a_split_needs_a_label_for_each_image(labels):
    with pytest.raises(ShapeError, match=r"images \(50, 1, 2, 2\) and labels \("):
        Split(np.zeros((50, 1, 2, 2), np.float32), labels)


class Named(np.ndarray):
    """A subclass of arrays, as other libraries have them."""


def mapped(array, folder):
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r+")


@pytest.mark.parametrize("kind", ["memory map", "subclass", "record array"])
def test_other_kinds_of_arrays_become_plain_ones(kind, tmp_path):
    images, labels = np.float32(GOOD[0] / 255), GOOD[1]
    make = {
        "memory map": lambda a: mapped(a, tmp_path),
        "subclass": lambda a: a.view(Named),
        "record array": lambda a: a.view(np.recarray),
    }[kind]
    loaded = load_data(((make(images), make(labels)), OTHER))
    expected = load_data(((images, labels), OTHER))
    source = make(images)
    data = load_data(((source, labels), OTHER))
    source[:] = 0  # what was loaded is of its own
    for found in (loaded, data):
        assert type(found.train.images) is type(found.train.labels) is np.ndarray
        np.testing.assert_array_equal(found.train.images, expected.train.images)
        np.testing.assert_array_equal(found.train.labels, expected.train.labels)
    split = Split(make(images[:, None]), make(labels))
    assert type(split.images) is type(split.labels) is np.ndarray
    np.testing.assert_array_equal(split.images[:, 0], images)


@pytest.mark.parametrize(
    ("images", "error", "says"),
    [
        (255 * np.random.default_rng(0).random((3, 1, 4, 4)), DataFileError, "found .* to 2"),
        (np.full((3, 1, 4, 4), -1.0), DataFileError, "found -1 to -1; scale them"),
        (np.full((3, 1, 4, 4), np.nan), DataFileError, "found nan to nan"),
        (np.full((3, 1, 4, 4), 9), DataFileError, r"int64.*images\.astype\(numpy\.uint8\)"),
        (np.ones((3, 8, 8, 3)), DataFileError, r"transpose\(0, 3, 1, 2\)"),
        (np.ma.masked_all((3, 1, 4, 4)), DTypeError, "mask"),
        ([np.ma.masked_all((1, 4, 4))] * 3, DTypeError, "mask"),
    ],
)
def test_a_split_takes_pixels_as_load_data_does(images, error, says):
    """So ``train``, ``evaluate`` and ``features`` never see any others."""
    with pytest.raises(error, match=says):
        Split(images, [0, 1, 2])


def test_a_split_of_bytes_is_scaled_and_features_stay_as_they_are():
    images = GOOD[0][:, None]
    np.testing.assert_array_equal(Split(images, GOOD[1]).images, np.float32(images) / 255)
    own = np.random.default_rng(0).normal(size=images.shape)
    assert Split(own, GOOD[1], features=True).images is own


def test_data_consist_of_splits(digits):
    with pytest.raises(TypeError, match=r"Split for test, got tuple; ta\.load_data makes"):
        Data(digits.train, digits.validation, GOOD, digits.classes)


def test_splits_are_pairs_of_images_and_labels_too():
    data = load_data((GOOD, OTHER))
    again = load_data((data.train, data.validation, data.test))
    assert again.identity() == data.identity() and load_data(again) is again
    assert load_data({"train": data.train, "test": OTHER}).test.images.shape == (6, 1, 4, 5)
    features = [Split(9 * s.images, s.labels, features=True) for s in (data.train, data.test)]
    assert load_data(features).train.images.max() > 1


@pytest.mark.parametrize("function", [channel_statistics, lambda x: crop_and_flip(x, 0)])
def test_the_two_operations_on_images_reject_masked_arrays(function):
    with pytest.raises(DTypeError, match="mask"):
        function(np.ma.masked_all((3, 1, 8, 8), np.float32))


CHANNELS_LAST = [(28, 28, 1), (32, 32, 3), (64, 48, 3), (5, 7, 4), (96, 96, 4)]


@pytest.mark.parametrize("shape", CHANNELS_LAST)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_channels_in_the_last_axis_are_recognized(shape, dtype):
    train, test = pair(6, shape, 1, dtype), pair(6, shape, 2, dtype)
    right = [(images.transpose(0, 3, 1, 2), labels) for images, labels in (train, test)]
    data = load_data(right)
    assert data.test.images.shape == (6, shape[2], *shape[:2])
    assert load_data((train, test)).identity() == data.identity()
    with pytest.raises(DataFileError, match=r"a Split of pixels .*look like"):
        Split(*train)
    assert Split(*train, features=True).images.shape == (6, *shape)  # they may have any shape


@pytest.mark.parametrize(
    "shape", [(3, 32, 32), (1, 28, 28), (4, 5, 3), (3, 32, 3), (16, 1, 1), (9, 128, 1), (2, 5, 5),
              (64, 4, 4), (1, 1, 1)]
)  # fmt: skip
def test_channels_in_the_first_axis_are_images(shape):
    assert load_data((pair(6, shape, 1), pair(6, shape, 2))).test.images.shape == (6, *shape)


def test_arrays_that_would_not_fit_in_memory_are_refused(monkeypatch):
    pixels = GOOD[0].size + OTHER[0].size
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: 4 * pixels)
    load_data((GOOD, OTHER))
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: 4 * pixels - 1)
    with pytest.raises(SizeLimitError, match=f"arrays needs {4 * pixels:,} bytes"):
        load_data((GOOD, OTHER))
    monkeypatch.undo()
    endless = np.broadcast_to(np.float32(0.5), (10**6, 1, 10**4, 10**4))  # one number
    with pytest.raises(SizeLimitError, match=r"arrays: train needs 372,529\.0 GiB"):
        load_data(((endless, np.zeros(10**6, int)), OTHER))


def test_data_say_what_they_are(digits):
    assert repr(digits.test) == "Split(1,000 images 1×28×28)"
    assert repr(digits) == (
        "Data(mnist-5k: train 3,500, validation 500, test 1,000; images 1×28×28; 10 classes)"
    )
    with pytest.raises(AttributeError):
        digits.train = digits.test
    with pytest.raises(AttributeError):
        digits.test.labels = digits.train.labels
    assert digits.test != load_data().test  # identity: comparing arrays would not be one answer
    assert isinstance(digits, Data)


def test_only_numpy_is_imported():
    code = "import sys, tinyadtn.data; print({'pooch', 'tqdm', 'requests'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


# --- every door has the same checks --------------------------------------------------------------

PIXELS = GOOD[0][:, None] if GOOD[0].ndim == 3 else GOOD[0]
COUNT = len(PIXELS)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (np.zeros(COUNT), "expected integer labels, found float64"),
        (np.zeros(COUNT, bool), "expected integer labels, found bool"),
        (["cat"] * COUNT, "expected integer labels, found <U3"),
        (np.full(COUNT, -1), "expected labels from 0 to 999, found -1 to -1"),
        (np.full(COUNT, 1000), "expected labels from 0 to 999, found 1000 to 1000"),
    ],
)
@pytest.mark.parametrize("features", [False, True])
def test_a_split_takes_integer_labels_alone(labels, says, features):
    with pytest.raises(DataFileError, match=f"a Split: {says}"):
        Split(np.float32(PIXELS / 255), labels, features)


def test_a_split_takes_images_of_four_axes_and_features_of_real_numbers():
    labels = np.zeros(COUNT, int)
    for images in (PIXELS[:, 0], PIXELS[:, 0, 0], PIXELS[:, 0, 0, 0]):
        with pytest.raises(ShapeError, match=r"a Split needs images \(n, c, h, w\), got"):
            Split(images, labels)
        assert len(Split(images, labels, features=True)) == COUNT
    for dtype in (complex, object, "U3"):
        with pytest.raises(DTypeError, match="features needs real numbers, got"):
            Split(PIXELS.astype(dtype), labels, features=True)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_data_need_a_name_for_each_label(part):
    splits = [Split(PIXELS, np.full(COUNT, 2 if k == part else 1)) for k in range(3)]
    assert Data(*splits, ["a", "b", "c"]).classes == ("a", "b", "c")
    with pytest.raises(DataFileError, match="has label 2, and there are 2 classes"):
        Data(*splits, ("a", "b"))
    for classes in ("abc", None, 3):
        with pytest.raises(TypeError, match="Data needs the names of the classes"):
            Data(*splits, classes)


def test_the_operations_on_images_take_whole_numbers_and_channels_first():
    with pytest.raises(DataFileError, match=r"crop_and_flip: images .* look like"):
        crop_and_flip(np.zeros((5, 28, 28, 3), np.float32), 0, padding=2)
    with pytest.raises(ValueError, match=r"padding must be a whole number, got 2\.5"):
        crop_and_flip(np.zeros((5, 1, 28, 28), np.float32), 0, padding=2.5)


def test_an_empty_path_is_not_the_folder_in_which_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", GOOD[0])
    np.save("y.npy", GOOD[1])
    with pytest.raises(DataFileError, match="the path is empty; name a file or a folder"):
        load_data("")


@pytest.mark.parametrize("kind", ["link", "long", "loop"])
def test_whatever_the_system_says_of_a_path_is_an_error_of_the_data(kind, tmp_path):
    path = tmp_path / "pets"
    if kind == "link":
        (path / "cat").mkdir(parents=True)
        (path / "cat" / "1.png").symlink_to(tmp_path / "nothing")
    elif kind == "loop":
        path.symlink_to(path)
    else:
        path = tmp_path / ("x" * 300)
    with pytest.raises(DataFileError) as caught:
        load_data(path)
    assert str(caught.value).startswith(str(path))


def test_pixels_that_are_not_finite_or_hardly_too_large_are_named():
    for value, says in ((np.nan, "nan to nan; replace"), (1.0000001, r"to 1\.0000001; scale")):
        images = np.full((6, 1, 4, 4), value, np.float32)
        with pytest.raises(DataFileError, match=says):
            load_data((images, np.zeros(6, int)))
