"""Pictures from anywhere become digits as MNIST has them."""

import subprocess
import sys

import numpy as np
import pytest
from memory_peak import OWN_PEAK, peak_of

from tinyadtn.data.picture import load_picture, read_digit
from tinyadtn.errors import DataFileError, SizeLimitError

Image = pytest.importorskip("PIL.Image")


def bar(height=480, width=640):
    """A slim upright bar, ink 1 on 0, off to one side."""
    ink = np.zeros((height, width))
    ink[40:440, 100:160] = 1
    return ink


def written(path, levels):
    Image.fromarray(np.uint8(255 * levels)).save(path)
    return path


def test_a_picture_of_the_right_size_is_taken_as_it_is(tmp_path):
    levels = np.pad(np.random.default_rng(0).uniform(0, 0.4, (24, 24)), 2)
    levels[10:20, 10:20] = 1
    read = read_digit(written(tmp_path / "digit.png", levels))
    assert read.shape == (1, 28, 28) and read.dtype == np.float32
    np.testing.assert_allclose(read[0], levels, rtol=0, atol=1 / 255)


def test_the_public_function_reads_a_picture_or_ink(tmp_path):
    file = written(tmp_path / "bar.png", 1 - bar())
    np.testing.assert_array_equal(load_picture(file, ink=True), read_digit(file))
    plain = load_picture(file, size=24)
    assert plain.shape == (1, 24, 24) and plain.dtype == np.float32 and plain[0, 12, 12] == 1
    colour = load_picture(file, size=24, channels=3)
    np.testing.assert_array_equal(colour, np.repeat(plain, 3, axis=0))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"channels": 2}, r"1 channel \(grey\) or 3 \(colour\), got channels=2"),
        ({"channels": 3, "ink": True}, "ink=True is for grey pictures"),
        ({"size": 0}, "size must be 1 or more, got 0"),
        ({"size": 28.0}, "size must be a whole number"),
        ({"channels": "1"}, "got channels='1'"),
    ],
)
def test_what_no_picture_can_be_is_rejected(options, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        load_picture(written(tmp_path / "bar.png", bar()), **options)


def test_a_size_that_would_not_fit_in_memory_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: 5 * 3 * 24**2 - 1)
    file = written(tmp_path / "bar.png", bar())
    with pytest.raises(SizeLimitError, match="; use a smaller size"):
        load_picture(file, size=24, channels=3)
    load_picture(file, size=24)


@pytest.mark.parametrize("paper", [False, True])
def test_another_size_is_cut_scaled_and_centred(tmp_path, paper):
    levels = 1 - bar() if paper else bar()
    (read,) = read_digit(written(tmp_path / "bar.png", levels))
    rows, columns = np.flatnonzero(read.any(axis=1)), np.flatnonzero(read.any(axis=0))
    assert len(rows) == 20 and len(columns) == 3  # 400 by 60 pixels, the longer side becomes 20
    assert abs(rows.mean() - 13.5) <= 0.5 and abs(columns.mean() - 13.5) <= 0.5
    assert read.max() > 0.99


def test_transparent_paper_is_white(tmp_path):
    pixels = np.zeros((480, 640, 4), np.uint8)  # black everywhere, opaque only where the ink is
    pixels[..., 3] = np.uint8(255 * bar())
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    written(tmp_path / "opaque.png", 1 - bar())
    np.testing.assert_allclose(
        read_digit(tmp_path / "clear.png"),
        read_digit(tmp_path / "opaque.png"),
        rtol=0,
        atol=0.01,
    )


def test_sixteen_bits_are_not_cut_off(tmp_path):
    Image.fromarray(np.uint16(65535 * (0.2 + 0.6 * bar(28, 28)[:, :28]))).save(
        tmp_path / "deep.png"
    )
    with pytest.raises(DataFileError, match="nothing"):  # no ink in these 28 columns, all 0.2
        read_digit(tmp_path / "deep.png")
    levels = np.full((28, 28), 0.01)
    levels[5:20, 12:15] = 0.8
    Image.fromarray(np.uint16(65535 * levels)).save(tmp_path / "deep.png")
    np.testing.assert_allclose(read_digit(tmp_path / "deep.png")[0], levels, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("paper", "ink"), [(0.6, 0.1), (0.4, 0.05), (0.45, 0.9), (0.9, 0.5)])
def test_grey_paper_is_taken_away(tmp_path, paper, ink):
    """Whatever the paper and the ink, the digit read is the same."""
    grey = read_digit(written(tmp_path / "grey.png", paper + (ink - paper) * bar()))
    black = read_digit(written(tmp_path / "black.png", bar()))
    np.testing.assert_allclose(grey, black, rtol=0, atol=0.02)


def test_a_rotated_photograph_is_turned_upright(tmp_path):
    upright = Image.fromarray(np.uint8(255 * bar()))
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn a quarter clockwise to see it upright"
    upright.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_allclose(
        read_digit(tmp_path / "turned.png"), read_digit(written(tmp_path / "a.png", bar()))
    )


def test_a_truncated_picture_is_refused(tmp_path):
    whole = written(tmp_path / "whole.png", np.random.default_rng(0).uniform(size=(64, 64)))
    (tmp_path / "half.png").write_bytes(whole.read_bytes()[:600])
    with pytest.raises(DataFileError, match=r"half\.png"):
        read_digit(tmp_path / "half.png")


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_blank_picture_is_refused(tmp_path, level):
    with pytest.raises(DataFileError, match="shows nothing"):
        read_digit(written(tmp_path / "blank.png", np.full((50, 50), level)))


def test_a_text_is_no_picture(tmp_path):
    (tmp_path / "text.png").write_text("a digit")
    with pytest.raises(DataFileError, match=r"text\.png: not a picture .* \(the formats are BMP,"):
        read_digit(tmp_path / "text.png")


@pytest.mark.parametrize("bit", range(8))
def test_a_length_that_is_damaged_makes_no_room_for_what_is_not_there(tmp_path, bit):
    """One bit in a picture of 80 bytes: the length of its pixels becomes 16 MiB to 2 GiB."""
    path = tmp_path / "digit.png"
    content = bytearray(written(path, np.pad(np.ones((12, 4)), ((8, 8), (12, 12)))).read_bytes())
    content[content.index(b"IDAT") - 4] ^= 1 << bit
    path.write_bytes(content)
    found = []
    assert peak_of(lambda: found.append(read_digit(path))) < 2**22
    assert found[0].shape == (1, 28, 28)


def test_a_file_too_large_for_a_picture_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(DataFileError, match="more than 33,554,432 bytes"):
        read_digit(path)


def test_postscript_is_rejected_and_nothing_runs_it(tmp_path, monkeypatch):
    """Pillow hands PostScript to Ghostscript, whatever the file's name: a file must run nothing."""
    from PIL import EpsImagePlugin

    ran = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **k: ran.append(a))
    path = tmp_path / "digit.png"
    path.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n%%EndComments\nshowpage\n%%EOF\n"
    )
    with pytest.raises(DataFileError, match="not a picture"):
        read_digit(path)
    assert not ran


@pytest.mark.parametrize("format", ["DDS", "TIFF", "PCX", "ICO"])
def test_only_the_common_formats_are_opened(format, tmp_path):
    path = tmp_path / "digit.png"
    Image.new("RGB", (32, 32), "white").save(path, format=format)
    with pytest.raises(DataFileError, match=r"not a picture .* BMP, GIF, JPEG, PNG, PPM, WEBP"):
        read_digit(path)


# --- how bright a pixel is, whatever the file calls it -------------------------------------------


def test_every_mode_has_its_own_scale(tmp_path):
    """One bar in every kind of pixel that the formats have: it reads as the same digit."""
    grey = np.uint8(255 * bar())
    expected = read_digit(written(tmp_path / "grey.png", bar()))
    picture = Image.fromarray(grey)
    for kind in ("1.png", "P.png", "LA.png", "RGBA.png", "CMYK.jpg", "RGB.webp", "P.gif", "L.bmp"):
        name = f"picture-{kind}"
        picture.convert(kind.partition(".")[0]).save(tmp_path / name)
        np.testing.assert_allclose(read_digit(tmp_path / name), expected, rtol=0, atol=0.02)
    for most in (15, 255, 1000, 65535):  # portable grey maps of any depth
        levels = np.round(most * bar()).astype(">u2" if most > 255 else np.uint8)
        content = b"P5\n640 480\n%d\n" % most + levels.tobytes()
        (tmp_path / "m.pgm").write_bytes(content)
        np.testing.assert_allclose(read_digit(tmp_path / "m.pgm"), expected, rtol=0, atol=1e-6)
    Image.fromarray(np.uint16(65535 * (1 - bar()))).save(tmp_path / "w.png", transparency=65535)
    np.testing.assert_allclose(read_digit(tmp_path / "w.png"), expected, rtol=0, atol=0.01)


def test_floats_of_an_unknown_scale_are_rejected(tmp_path):
    (tmp_path / "f.pfm").write_bytes(b"Pf\n28 28\n-1.0\n" + np.ones(784, "<f4").tobytes())
    with pytest.raises(DataFileError, match="floats, whose scale is not known"):
        read_digit(tmp_path / "f.pfm")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "JPEG"])
def test_a_large_photo_is_read_like_a_small_one(mode, tmp_path):
    large = Image.fromarray(np.uint8(255 * bar())).resize((4000, 3000), Image.Resampling.NEAREST)
    path = tmp_path / ("large.jpg" if mode == "JPEG" else "large.png")
    large.convert("RGB" if mode == "JPEG" else mode).save(path)
    small = read_digit(written(tmp_path / "small.png", bar()))
    np.testing.assert_allclose(read_digit(path), small, rtol=0, atol=0.02)


# --- what a small file takes ---------------------------------------------------------------------

MEASURED = (
    OWN_PEAK
    + """
import sys, time
from tinyadtn.data.picture import read_digit, read_picture
from tinyadtn.errors import DataFileError, SizeLimitError
from PIL import Image
Image.preinit()
for read in (read_digit, lambda path: read_picture(path, 32, 3)):
    reset_peak()
    before, start = peak(), time.process_time()
    try:
        read(sys.argv[1])
        said = "read"
    except DataFileError as error:
        said = str(error)
    print((peak() - before) / 2**20, time.process_time() - start, ascii(said)[1:-1])
"""
)
HOSTILE = {
    "grey beyond the limit": ("PNG", "L", (8192, 8192), {}),
    "colours": ("PNG", "RGB", (4096, 3600), {}),
    "transparent": ("PNG", "RGBA", (4096, 3600), {}),
    "grey and transparent": ("PNG", "LA", (4096, 3600), {}),
    "sixteen bits": ("PNG", "I;16", (4096, 3600), {}),
    "palette": ("GIF", "P", (4096, 3600), {}),
    "progressive": ("JPEG", "RGB", (4096, 3600), {"progressive": True}),
    "photo": ("JPEG", "RGB", (6000, 4500), {}),
    "thin, beyond the limit": ("PNG", "L", (1, 14_900_000), {}),
    "webp": ("WEBP", "RGB", (4096, 1800), {"lossless": True}),
    "transparent webp": ("WEBP", "RGBA", (4096, 1800), {"lossless": True}),
    "webp beyond the limit": ("WEBP", "RGB", (16383, 1000), {"lossless": True}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_picture_takes_more_than_200_mib_or_two_seconds(kind, tmp_path):
    format, mode, size, options = HOSTILE[kind]
    path = tmp_path / "picture.png"
    Image.new(mode, size).save(path, format=format, **options)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path)], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:  # of read_digit and of read_picture
        mebibytes, seconds, said = line.split(" ", 2)
        assert (
            "more than" in said if "beyond" in kind else "shows nothing" in said or said == "read"
        )
        assert float(mebibytes) < 200 and float(seconds) < 2


@pytest.mark.parametrize("error", [IndexError, TypeError, KeyError, OverflowError, RuntimeError])
def test_whatever_pillows_reader_raises_is_an_error_of_the_file(error, tmp_path, monkeypatch):
    def fails(self):
        raise error("tile")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fails)
    with pytest.raises(DataFileError, match=r"bar\.png: not a picture that can be read .*tile"):
        read_digit(written(tmp_path / "bar.png", bar()))


@pytest.mark.parametrize("format", ["BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP"])
def test_a_damaged_picture_is_read_or_refused(format, tmp_path):
    """Bytes changed at random places: a digit, or the error of a data file."""
    path, rng = tmp_path / "digit", np.random.default_rng(0)
    Image.fromarray(np.uint8(255 * bar(60, 80)[:, :80])).save(path, format=format)
    content = path.read_bytes()
    for _ in range(300):
        damaged = bytearray(content)
        for place in rng.integers(0, min(len(content), 200), rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            assert read_digit(path).shape == (1, 28, 28)
        except DataFileError as error:
            assert str(path) in str(error)
