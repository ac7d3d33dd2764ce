"""Folders of pictures: modes, colours, sizes, damaged files."""

import shlex
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from own_data import NAMES, X, Y, same, some, write_pictures
from PIL import Image

import tinyadtn as ta
from tinyadtn.cli.main import main
from tinyadtn.data import picture_files
from tinyadtn.data.picture import read_digit
from tinyadtn.errors import DataFileError, SizeLimitError


@pytest.mark.parametrize("shape", [(6, 6), (6, 9, 3)])
@pytest.mark.parametrize("test", ["test", "Testing"])
def test_a_folder_of_pictures_for_each_class(shape, test, tmp_path):
    (images, labels), (others, rest) = some(36, shape), some(9, shape, 1)
    write_pictures(tmp_path / "train", images, NAMES[labels])
    write_pictures(tmp_path / test, others, NAMES[rest])
    (tmp_path / "train" / "cat" / ".hidden.png").write_text("no picture")
    (tmp_path / "train" / "cat" / "Thumbs.db").write_text("no picture")
    (tmp_path / "train" / ".thumbnails").mkdir()
    (tmp_path / "train" / ".thumbnails" / "1.png").write_text("no picture")
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


def test_a_palette_with_colours_makes_the_pictures_colour(tmp_path):
    images, labels = some(36, (6, 6, 3))
    write_pictures(tmp_path, images, labels, change=lambda p: p.quantize(64), ending=".gif")
    found = ta.load_data(tmp_path).train.images
    assert found.shape[1:] == (3, 6, 6) and (found[:, 0] != found[:, 1]).any()


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


@pytest.mark.parametrize("code", [0, 9, 65535])
def test_a_turn_that_no_camera_means_is_ignored(code, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = code
    image = np.uint8(np.arange(32).reshape(4, 8))
    for k in range(12):
        (tmp_path / str(k % 2)).mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / str(k % 2) / f"{k}.png", exif=exif)
    np.testing.assert_array_equal(
        ta.load_data(tmp_path).train.images[0, 0], np.float32(image) / 255
    )


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "I;16"])
def test_pictures_in_any_mode_are_turned(mode, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.repeat(np.uint8([[0, 255], [0, 0], [255, 255]]), 2, axis=1)  # 3 rows of 4 pixels
    deep = Image.fromarray(np.uint16(pixels) * 257)
    for k in range(12):
        picture = deep if mode == "I;16" else Image.fromarray(pixels).convert(mode)
        (tmp_path / str(k % 2)).mkdir(exist_ok=True)
        picture.save(tmp_path / str(k % 2) / f"{k}.png", exif=exif)
    images = ta.load_data(tmp_path).train.images
    np.testing.assert_array_equal(images[0, 0], np.rot90(pixels, -1) / 255)


def test_small_files_with_very_many_pixels_are_refused(tmp_path, monkeypatch):
    write_pictures(tmp_path, np.zeros((12, 2000, 2000), np.uint8), np.arange(12) % 2)
    with pytest.raises(DataFileError, match=r"nearly empty\. .*size=32.*Pillow.* load_data"):
        ta.load_data(tmp_path)
    assert ta.load_data(tmp_path, size=32).train.images.shape[1:] == (1, 32, 32)
    assert ta.load_data(tmp_path, size=2000).train.images.shape[2:] == (2000, 2000)  # was asked for
    write_pictures(tmp_path / "noise", X, Y)
    monkeypatch.setattr(picture_files, "EMPTY", 0)  # a picture with content may be of any size
    assert len(ta.load_data(tmp_path / "noise").train) == 28


def test_a_jpeg_of_very_many_scans_is_refused(tmp_path):
    """Each is a pass over all pixels, and takes 32 bytes."""
    write_pictures(tmp_path, X, Y, ending=".jpg", change=lambda p: p.resize((400, 400)))
    Image.new("L", (400, 400)).save(tmp_path / "0" / "many.jpg", progressive=True)
    content = (tmp_path / "0" / "many.jpg").read_bytes()
    assert len(ta.load_data(tmp_path).train) == 29  # as a progressive photo has them
    last = content[content.rindex(b"\xff\xda") : -2]
    comment = b"\xff\xfe\0\4\xff\xd9"  # what looks like the end is not always it
    for scans in (100, 101):
        more = last * (scans - content.count(b"\xff\xda"))
        (tmp_path / "0" / "many.jpg").write_bytes(content[:-2] + comment + more + content[-2:])
        if scans == 100:
            assert len(ta.load_data(tmp_path).train) == 29
    with pytest.raises(DataFileError, match=r"many\.jpg: .*more than 100 scans; save it again"):
        ta.load_data(tmp_path)


def test_folders_called_like_pictures_are_ignored(tmp_path):
    write_pictures(tmp_path, X, Y)
    (tmp_path / "0" / "old.png").mkdir()
    assert len(ta.load_data(tmp_path).train) == 28


@pytest.mark.parametrize("names", [("train", "training"), ("test", "testing"), ("val", "valid")])
def test_two_folders_of_one_split_are_not_guessed(names, tmp_path):
    for name in dict.fromkeys(("train", *names)):
        write_pictures(tmp_path / name, X, Y)
    with pytest.raises(DataFileError, match=f"{' and '.join(names)} may both be meant for "):
        ta.load_data(tmp_path)


def test_a_class_called_train_is_not_guessed(tmp_path):
    write_pictures(tmp_path, X, np.array(["bus", "car", "train"])[Y])
    with pytest.raises(DataFileError, match=r"train: each class needs a folder.*if train is a cla"):
        ta.load_data(tmp_path)


@pytest.mark.parametrize("ending", [".HEIC", ".tif", ".avif"])
def test_pictures_that_are_not_read_do_not_disappear(ending, tmp_path):
    write_pictures(tmp_path, X, Y)
    (tmp_path / "2" / f"more{ending}").write_bytes(b"a picture")
    with pytest.raises(DataFileError, match=rf"more\{ending}: this format is not read; save"):
        ta.load_data(tmp_path)


@pytest.mark.parametrize(
    ("ending", "format"), [(".jfif", "JPEG"), (".jpe", "JPEG"), (".pnm", "PPM")]
)
def test_rare_endings_of_the_formats_are_read(ending, format, tmp_path):
    write_pictures(tmp_path, X, Y)
    Image.fromarray(X[0]).save(tmp_path / "2" / f"more{ending}", format=format)
    assert len(ta.load_data(tmp_path).train) == 29


def test_a_folder_without_classes_says_what_is_in_it_and_what_is_needed(tmp_path):
    write_pictures(tmp_path / "all" / "pets", X, ["." for _ in Y])
    with pytest.raises(
        DataFileError, match=r"found 000\.png, .*, … in it\. Each class needs a fol"
    ):
        ta.load_data(tmp_path / "all" / "pets")
    with pytest.raises(DataFileError, match=r"found all in it$"):
        ta.load_data(tmp_path)


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


@pytest.mark.parametrize(
    ("ending", "options", "limit"),
    [(".png", {}, 15_000_000), (".webp", {}, 7_500_000), (".jpg", {}, 30_000_000),
     (".jpg", {"progressive": True}, 15_000_000)],
)  # fmt: skip
def test_the_largest_picture_depends_on_the_format(ending, options, limit, tmp_path, monkeypatch):
    monkeypatch.setattr(picture_files, "MAX_PIXELS", picture_files.MAX_PIXELS // 10_000)
    most = limit // 10_000
    for width in (most // 10, most // 10 + 1):
        Image.new("RGB", (width, 10)).save(tmp_path / f"{width}{ending}", **options)
    picture_files.read_picture_file(tmp_path / f"{most // 10}{ending}", lambda picture: None)
    with pytest.raises(DataFileError, match=f"{width}×10 pixels are more than {most:,};"):
        picture_files.read_picture_file(tmp_path / f"{width}{ending}", lambda picture: None)


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


def test_relative_paths_are_those_of_the_working_directory(tmp_path, monkeypatch):
    write_pictures(tmp_path / "data" / "pets", X, Y)
    monkeypatch.chdir(tmp_path / "data")
    assert ta.load_data("pets").name == "pets"
    monkeypatch.chdir(tmp_path / "data" / "pets")
    assert len(ta.load_data("../pets").train) == len(ta.load_data(Path("..") / "pets").train)


def test_the_command_that_scales_pictures_can_be_copied_from_the_message(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("my pets; 2")
    write_pictures(folder, X, Y)
    Image.new("L", (7, 9)).save(folder / str(Y[0]) / "other.png")
    with pytest.raises(DataFileError) as raised:
        ta.load_data(folder)
    words = shlex.split(str(raised.value).rpartition("or tinyadtn ")[2])
    assert (
        main([*words, "--quiet"]) == 0 and ta.load_data("pictures.npz").train.images.shape[3] == 32
    )
