"""Random crops and flips: against one image at a time, and what they must leave alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyadtn as ta
from tinyadtn.data.preprocess import crop_and_flip
from tinyadtn.errors import ShapeError


def one_by_one(images, seed, padding):
    """The same draws, pixel by pixel: where a pixel of the result comes from."""
    n, _, h, w = images.shape
    rng = np.random.default_rng(seed)
    tops, lefts = rng.integers(0, 2 * padding + 1, (2, n))
    mirrored = rng.random(n) < 0.5
    result = np.zeros_like(images)
    for k in range(n):
        for i in range(h):
            for j in range(w):
                row = i + tops[k] - padding
                column = (w - 1 - j if mirrored[k] else j) + lefts[k] - padding
                if 0 <= row < h and 0 <= column < w:
                    result[k, :, i, j] = images[k, :, row, column]
    return result


@given(
    n=st.integers(0, 5),
    c=st.integers(1, 3),
    h=st.integers(1, 6),
    w=st.integers(1, 6),
    seed=st.integers(0, 999),
    dtype=st.sampled_from([np.float32, np.float64, np.uint8]),
    data=st.data(),
)
def test_it_is_what_a_plain_loop_does(n, c, h, w, seed, dtype, data):
    padding = data.draw(st.integers(0, min(h, w) - 1))
    images = (255 * np.random.default_rng(seed).random((n, c, h, w))).astype(dtype)
    before = images.copy()
    result = crop_and_flip(images, seed, padding=padding)
    np.testing.assert_array_equal(result, one_by_one(images, seed, padding))
    np.testing.assert_array_equal(images, before)
    assert result.dtype == dtype and result.flags.c_contiguous
    assert not np.shares_memory(result, images)


def test_a_seed_and_its_generator_are_the_same_and_a_generator_goes_on(rng):
    images = rng.random((20, 3, 8, 8), dtype=np.float32)
    generator = np.random.default_rng(3)
    first, second = crop_and_flip(images, generator), crop_and_flip(images, generator)
    np.testing.assert_array_equal(first, crop_and_flip(images, 3))
    assert (first != second).any()
    assert (first != crop_and_flip(images, 4)).any()


def test_every_place_and_both_ways_are_drawn_alike():
    # One bright pixel in the middle: where it lands tells the draw, up to the mirror.
    images = np.zeros((20_000, 1, 3, 3), np.float32)
    images[:, 0, 1, 1] = 1
    result = crop_and_flip(images, 0, padding=1)
    np.testing.assert_allclose(result.mean(axis=0)[0], 1 / 9, rtol=0, atol=0.01)
    images[:, 0, 1] = [1, 2, 3]
    flat = crop_and_flip(images, 0, padding=0)
    mirrored = flat[:, 0, 1, 0] == 3
    assert abs(mirrored.mean() - 0.5) < 0.015
    np.testing.assert_array_equal(flat[~mirrored], images[~mirrored])
    np.testing.assert_array_equal(flat[mirrored], images[mirrored][..., ::-1])


def test_the_draws_are_independent():
    # Up, left and mirrored, each a coin: all eight combinations come up alike.
    images = np.zeros((16_000, 1, 5, 5), np.float32)
    images[:, 0, 2, 1:4] = [1, 2, 3]
    result = crop_and_flip(images, 1, padding=1)
    rows = (result[:, 0].max(axis=2).argmax(axis=1)) - 2
    mirrored = np.array([r[r > 0][0] == 3 for r in result[np.arange(16_000), 0, rows + 2]])
    middle = (result[:, 0] == 2).any(axis=1).argmax(axis=1) - 2
    for row in (-1, 0, 1):
        for column in (-1, 0, 1):
            for way in (True, False):
                share = ((rows == row) & (middle == column) & (mirrored == way)).mean()
                assert abs(share - 1 / 18) < 0.01


@pytest.mark.parametrize("layout", ["fortran", "reversed", "read-only", "broadcast"])
def test_images_in_any_layout(rng, layout):
    images = rng.random((4, 3, 6, 5), dtype=np.float32)
    if layout == "fortran":
        images = np.asfortranarray(images)
    elif layout == "reversed":
        images = images[::-1, :, ::-1, ::-1]
    elif layout == "read-only":
        images.flags.writeable = False
    else:
        images = np.broadcast_to(images[:1], images.shape)
    np.testing.assert_array_equal(crop_and_flip(images, 5, padding=2), one_by_one(images, 5, 2))


def test_other_shapes_and_paddings_are_refused(rng):
    images = rng.random((2, 3, 8, 6), dtype=np.float32)
    with pytest.raises(ShapeError, match=r"\(n, c, h, w\), got \(3, 8, 6\)"):
        crop_and_flip(images[0], 0)
    for padding in (-1, 6, 40):
        with pytest.raises(ShapeError, match=rf"from 0 to 5, .*\(3, 8, 6\).*, got {padding}$"):
            crop_and_flip(images, 0, padding=padding)
    with pytest.raises(TypeError, match="needs rng"):
        crop_and_flip(images, None)


def test_it_has_a_public_name():
    assert ta.crop_and_flip is crop_and_flip
