"""CSV files of images: layouts that are read, and files that are rejected."""

import tracemalloc

import numpy as np
import pytest
from own_data import NAMES, X_TEST, Y_TEST, X, Y, same, some, write_csv

import tinyadtn as ta
from tinyadtn.errors import DataFileError, SizeLimitError


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


@pytest.mark.parametrize("index", [False, True])
def test_the_columns_that_pandas_only_numbers_are_no_image(index, tmp_path):
    rows = [",".join(map(str, range(37)))]  # DataFrame(array).to_csv(path, index=index)
    rows += [",".join(map(str, (y, *x.ravel()))) for x, y in zip(X, Y)]
    numbers = ["", *map(str, range(len(X)))]
    rows = [f"{number},{row}" for number, row in zip(numbers, rows)] if index else rows
    (tmp_path / "own.csv").write_text("\n".join(rows))
    same(ta.load_data(tmp_path / "own.csv"), ta.load_data((X, Y)))


def test_labels_as_numpy_writes_them_are_the_numbers(tmp_path):
    labels = np.arange(72) % 12
    images, _ = some(72)
    np.savetxt(tmp_path / "own.csv", np.c_[labels, images.reshape(72, -1)], delimiter=",")
    data = ta.load_data(tmp_path / "own.csv")
    same(data, ta.load_data((images, labels)))
    assert data.classes == tuple(map(str, range(12)))


def test_one_long_label_does_not_make_every_label_long(tmp_path):
    """As NumPy's text, each label would take four bytes for each character of the longest one."""
    path = write_csv(tmp_path / "own.csv", X, ["x" * 10**6, *["short"] * 35])
    tracemalloc.start()
    ta.load_data(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6


def test_a_file_without_labels_says_so(tmp_path):
    rows = ["pixel" + ",pixel".join(map(str, range(36)))]
    rows += [",".join(map(str, x.ravel())) for x in X]
    (tmp_path / "test.csv").write_text("\n".join(rows))
    with pytest.raises(DataFileError, match="36 numbers in a line, so it has pixels and no label"):
        ta.load_data(tmp_path / "test.csv")


def test_numbers_of_lines_that_pandas_wrote_twice_are_left_out(tmp_path):
    path = write_csv(tmp_path / "own.csv", X, Y)
    head, *lines = path.read_text().splitlines()
    rows = [",Unnamed: 0," + head, *(f"{k},{k},{line}" for k, line in enumerate(lines))]
    path.write_text("\n".join(rows))
    same(ta.load_data(path), ta.load_data((X, Y)))


def test_a_folder_may_have_a_csv_file_for_each_split(tmp_path):
    write_csv(tmp_path / "mnist_train.csv", X, Y)
    same(ta.load_data(tmp_path), ta.load_data((X, Y)))
    write_csv(tmp_path / "mnist_test.csv", X_TEST, Y_TEST)
    expected = ta.load_data(((X, Y), (X_TEST, Y_TEST)))
    same(ta.load_data(str(tmp_path)), expected)
    write_csv(tmp_path / "more.csv", X, Y)
    with pytest.raises(DataFileError, match="one for each split"):
        ta.load_data(tmp_path)


@pytest.mark.parametrize("name", ["digits.csv", "DIGITS.CSV"])
def test_the_only_csv_file_of_a_folder_may_have_any_name(name, tmp_path):
    write_csv(tmp_path / name, X, Y)
    same(ta.load_data(tmp_path), ta.load_data((X, Y)))


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
        ("label,a,b,c,d\n1,2,3,4,5\n1,2,nan,4,5\n", "a pixel that is nan in image 2"),
        ("label,a,b,c,d\n1,2,3,4,5\n1,2,1e400,4,5\n", "a pixel that is inf in image 2"),
        ("label,a,b,c,d,e\n1,2,3,4,5,6\n", "5 pixels in a line"),
        (
            "id,label,a,b,c,d\n9,1,3,4,5,6\n",
            "square number; the columns after the label are id, a,",
        ),
        ("label|a|b|c|d\n1|2|3|4|5\n", "separated by commas, semicolons or tabs"),
        ("0,9,2,3,1\n0,8,2,3,2\n", "the same label, '0', in the first column"),
        ("label,y,c,d,e\n1,2,3,4,5\n", "2 columns of labels"),
        ("\x80\x81,1,2,3,4\n", r"not UTF-8 \(byte 0x80\); save it as CSV in UTF-8"),
        ("label,a,b,c,d\nK\xe4se,2,3,4,5\n", r"not UTF-8 \(byte 0xe4\)"),
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


def test_an_image_without_a_label_is_refused(tmp_path):
    for labels in (Y, NAMES[Y]):
        path = write_csv(tmp_path / "own.csv", X, np.where(Y == 2, "", labels))
        with pytest.raises(
            DataFileError, match=r"a label .* is empty; leave out the images without"
        ):
            ta.load_data(path)


def test_reading_stops_when_there_are_more_labels_than_classes_can_be(tmp_path):
    path = write_csv(tmp_path / "own.csv", np.zeros((1002, 2, 2), int), range(1002))
    with pytest.raises(DataFileError, match="found more than 1,000 different labels"):
        ta.load_data(path)


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


def test_a_table_of_files_asks_for_the_folder_of_pictures(tmp_path):
    path = tmp_path / "names.csv"
    path.write_text("file,label\na.png,cat\nb.png,dog\n", encoding="utf-8")
    with pytest.raises(DataFileError, match=r"'a.png' \(give the folder of the pictures.* line 2"):
        ta.load_data(path)
