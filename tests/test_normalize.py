"""Means and spreads of channels: against NumPy in float64, in little memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyadtn as ta
from tinyadtn.data import preprocess as normalize
from tinyadtn.data.preprocess import channel_statistics
from tinyadtn.errors import DataFileError, DTypeError, ShapeError

MIB = 2**20
shapes = st.tuples(st.integers(1, 30), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6))


def by_numpy(images):
    images = images.astype(np.float64)
    return images.mean(axis=(0, 2, 3)), images.std(axis=(0, 2, 3))


@given(
    shape=shapes,
    seed=st.integers(0, 999),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
    chunk=st.integers(1, 500),
)
def test_it_is_what_numpy_computes_however_it_is_cut(shape, seed, dtype, chunk):
    rng = np.random.default_rng(seed)
    images = (rng.random(shape) * rng.random((1, shape[1], 1, 1))).astype(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(normalize, "CHUNK", chunk)
        mean, std = channel_statistics(images)
    expected_mean, expected_std = by_numpy(images)
    expected_std[images.min(axis=(0, 2, 3)) == images.max(axis=(0, 2, 3))] = 1
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-6)
    np.testing.assert_allclose(std, expected_std, rtol=1e-6)
    assert mean.dtype == std.dtype == np.float32
    assert mean.shape == std.shape == (shape[1],)


def test_a_small_spread_about_a_large_mean_is_not_lost():
    rng = np.random.default_rng(0)
    images = 1 - 1e-9 * rng.random((3000, 2, 32, 32))  # Σ x² - N·mean² would give rounding alone
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(std, by_numpy(images)[1], rtol=1e-6)
    assert (std > 0).all() and (mean == 1).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])  # a mean of float64 is rounded
@pytest.mark.parametrize("value", [0, 0.1, 1 / 3, 1])
def test_a_channel_of_equal_pixels_has_std_one(value, dtype, rng):
    images = rng.random((400, 3, 32, 32), dtype=dtype)
    images[:, 1] = value
    mean, std = channel_statistics(images)
    assert std[1] == 1 and mean[1] == np.float32(value)
    assert (std[[0, 2]] < 0.5).all()
    assert (channel_statistics(images[:1, :, :1, :1])[1] == 1).all()


def test_a_spread_too_small_for_float32_is_none():
    images = np.zeros((2, 1, 1, 1))
    images[0] = 1e-200
    assert channel_statistics(images)[1].tolist() == [1]


def test_normalised_images_have_mean_zero_and_std_one():
    train = ta.load_data("mnist-5k").train
    mean, std = ta.channel_statistics(train.images)
    images = (train.images - mean[:, None, None]) / std[:, None, None]
    assert abs(images.mean(dtype=np.float64)) < 1e-6
    assert abs(images.std(dtype=np.float64) - 1) < 1e-6


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_pixel_that_is_not_finite_is_rejected(value, rng):
    """A mean that is NaN would make every image of a Normalize layer NaN."""
    images = rng.random((9, 2, 4, 4), dtype=np.float32)
    images[3, 1, 2, 2] = value
    with pytest.raises(DataFileError, match="pixels must be finite"):
        channel_statistics(images)


def test_memory_does_not_grow_with_the_images(rng):
    image = rng.random((1, 3, 32, 32), dtype=np.float32)
    images = np.broadcast_to(image, (8_000, 3, 32, 32))  # a hundred MB, did it exist
    tracemalloc.start()
    mean, _ = channel_statistics(images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * MIB
    np.testing.assert_allclose(mean, by_numpy(image)[0], rtol=1e-6)


def test_other_things_are_refused(rng):
    images = rng.random((2, 3, 8, 6), dtype=np.float32)
    for wrong in (images[0], images[:0], images[:, :0], images[..., None]):
        with pytest.raises(ShapeError, match=r"at least one pixel, got \("):
            channel_statistics(wrong)
    with pytest.raises(DTypeError, match="got uint8; divide bytes by 255"):
        channel_statistics(images.astype(np.uint8))
