"""Data as users have them: arrays under any usual name, their labels, and what is rejected."""

import re

import numpy as np
import pytest
from own_data import NAMES, X_TEST, Y_TEST, X, Y, same, some

import tinyadtn as ta
from tinyadtn.errors import DataFileError, DTypeError


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
    ("trainX", "trainY", "testX", "testY"),
    ("XTrain", "yTrain", "XTest", "yTest"),
    ("X_TRAIN", "Y_TRAIN", "X_TEST", "Y_TEST"),
    ("imagesTrain", "labelsTrain", "imagesTest", "labelsTest"),
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


def test_arrays_in_fortran_order_are_read_as_they_were(tmp_path):
    np.savez(tmp_path / "own.npz", x=np.asfortranarray(X), y=Y)
    same(ta.load_data(tmp_path / "own.npz"), ta.load_data((X, Y)))


def test_of_two_names_the_more_usual_one_counts():
    arrays = {"data": X ^ 1, "x": X, "target": (Y + 1) % 3, "y": Y}
    same(ta.load_data(arrays), ta.load_data((X, Y)))


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
        (
            {"a": X, "b": Y},
            r"found a, b; rename them, or in Python pass the two: ta.load_data\(\(images,",
        ),
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
        (X > 127, "found bool; give .* if they are bytes, or floats in"),
        (np.uint16(X) * 257, "found uint16; give"),
        (X.astype(np.int8), "found int8; give"),
        (np.int64(X) * 300, "found int64; give"),
        (X // 128, r"largest value of these is 1; .*images\.astype\(numpy\.float32\)"),
        (X // 16, r"largest value of these is 15; .*images\.astype\(numpy\.float32\) / 15"),
        (X.astype(complex), "found complex128; give"),
    ],
)
def test_advice_for_a_dtype_changes_no_pixel(images, says):
    with pytest.raises(DataFileError, match=says):
        ta.load_data((images, Y))
    with pytest.raises(DataFileError, match=says):
        ta.Split(images[:, None], Y)


@pytest.mark.parametrize("split", ["train", "test"])
def test_splits_of_different_scales_are_rejected(split):
    floats = X.astype(np.float32) / 255
    pairs = {"train": (floats, Y), "test": (X_TEST.astype(np.float32) / 255, Y_TEST)}
    pairs[split] = (pairs[split][0] / 255, pairs[split][1])
    with pytest.raises(
        DataFileError, match=rf"largest pixel of {split} is 0\.0039.*in the same way"
    ):
        ta.load_data(pairs)
    ta.load_data({"train": (X, Y), "test": (X_TEST.astype(np.float32) / 255, Y_TEST)})


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


def strings(values):
    kind = getattr(np.dtypes, "StringDType", None)  # since NumPy 2
    return np.array(values, kind() if kind else object)


@pytest.mark.parametrize(
    "make",
    [list, np.array, lambda x: np.array(x, object), lambda x: np.array(x).astype("S"),
     lambda x: np.array(x)[:, None], strings],
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


@pytest.mark.parametrize("kind", ["bytes", "list", "npz"])
def test_names_of_classes_may_be_bytes_or_a_list(kind, tmp_path):
    arrays = {
        "x": X,
        "y": Y,
        "class_names": NAMES.tolist() if kind == "list" else NAMES.astype("S"),
    }
    source = arrays
    if kind == "npz":
        np.savez(source := tmp_path / "own.npz", **arrays)
    assert ta.load_data(source).classes == tuple(NAMES)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("cat", r"class_names: expected a name for each class, .* found \(\)"),
        ([["cat"], ["dog"], ["hen"]], r"expected a name for each class, .* found \(3, 1\)"),
        ([], r"expected a name for each class"),
        (["cat", "dog"], "train has label 2, and there are 2 classes; do the"),
        (["cat", "cat", "hen"], "two classes are called 'cat'; rename"),
        (["cat", "", "hen"], "the name of a class is empty"),
        (["cat", " ", "hen"], "the name of a class is empty"),
        (range(1001), "1,001 different names of classes"),
        (np.ma.array(["cat", "dog", "hen"], mask=[0, 0, 1]), "mask"),
    ],
)
@pytest.mark.parametrize("kind", ["dict", "npz"])
def test_names_of_classes_that_are_none_are_refused(kind, names, says, tmp_path):
    arrays = {"x": X, "y": Y, "class_names": names}
    source = arrays
    if kind == "npz" and says != "mask":  # a file has no masks
        np.savez(source := tmp_path / "own.npz", **arrays)
    with pytest.raises((DataFileError, DTypeError), match=says):
        ta.load_data(source)


@pytest.mark.parametrize(
    ("train", "test", "says"),
    [
        (NAMES[Y], np.array(["fox"] * 9), "test has the label 'fox', .*cat, dog, hen"),
        (NAMES[Y], Y_TEST, "test needs names of classes"),
        (Y, NAMES[Y_TEST], "test: expected integer labels"),
        (np.array([f"image {k}" for k in range(36)]), NAMES[Y_TEST], "test has the label"),
        (
            np.where(Y == 1, "", NAMES[Y]),
            NAMES[Y_TEST],
            "a label .* is empty; leave out the images",
        ),
    ],
)
def test_names_that_do_not_fit_together_are_refused(train, test, says):
    with pytest.raises(DataFileError, match=says):
        ta.load_data(((X, train), (X_TEST, test)))


def test_labels_that_are_not_among_the_names_of_classes_are_refused():
    with pytest.raises(DataFileError, match=r"'hen', which is not one of the classes \(cat, dog\)"):
        ta.load_data({"x": X, "y": NAMES[Y], "class_names": ["cat", "dog"]})


def test_more_names_than_there_can_be_classes_are_refused():
    images = np.zeros((1001, 2, 2), np.uint8)
    with pytest.raises(DataFileError, match="1,001 different names"):
        ta.load_data((images, [f"photo {k}" for k in range(1001)]))


def test_masked_arrays_are_refused():
    with pytest.raises(DataFileError, match="mask"):
        ta.load_data((X, np.ma.masked_equal(Y, 1)))
    with pytest.raises(DataFileError, match="mask"):
        ta.load_data({"x": np.ma.masked_equal(X, 1), "y": Y})


# --- the card, and networks for data of any size -------------------------------------------------


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


@pytest.mark.parametrize("name", ["fc2", "lenet5"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 20, 20), (1, 64, 64)])
def test_networks_take_data_of_any_size_and_colour(name, shape, tmp_path):
    from tinyadtn.studies.networks import build_for

    data = ta.load_data(some(18, shape))
    model = build_for(data, name, 0)
    assert len(list(ta.train(model, data, epochs=1))) == 1
    assert ta.predict(model, data.test.images).shape == (3, 3)


@pytest.mark.parametrize("name", ["alexnet", "zfnet", "vgg16"])
def test_networks_for_one_size_say_what_to_do_with_others(name):
    from tinyadtn.studies.networks import build_for

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


def test_dicts_in_a_dict_are_refused():
    with pytest.raises(DataFileError, match=r"train is a dict; give a pair \(images, labels\)"):
        ta.load_data(
            {"train": {"image": X, "label": Y}, "test": {"image": X_TEST, "label": Y_TEST}}
        )


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
