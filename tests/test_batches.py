"""Batches of a split: every row once, in an order that seed and epoch determine."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyadtn.data.loading import load_data
from tinyadtn.data.splits import Split, batches
from tinyadtn.errors import ShapeError


@pytest.fixture(scope="module")
def digits():
    return load_data("mnist-5k")


def numbered_split(count):
    rows = np.arange(count)
    return Split(
        np.tile(rows[:, None, None, None], (1, 1, 2, 2)).astype(np.float32), rows, features=True
    )


@given(
    count=st.integers(0, 40),
    size=st.integers(1, 45),
    seed=st.integers(0, 2**64),
    epoch=st.integers(0, 10**6),
    skip=st.integers(0, 50),
)
def test_batches_cover_each_row_once_and_can_start_anywhere(count, size, seed, epoch, skip):
    split = numbered_split(count)
    whole = list(batches(split, size, seed=seed, epoch=epoch))
    assert sorted(label for _, labels in whole for label in labels) == list(range(count))
    lengths = [len(labels) for _, labels in whole]
    assert lengths == [size] * (count // size) + [count % size] * (count % size > 0)
    for images, labels in whole:
        assert images.shape == (len(labels), 1, 2, 2)
        assert images.dtype == np.float32
        np.testing.assert_array_equal(images[:, 0, 1, 1], labels)
    resumed = list(batches(split, size, seed=seed, epoch=epoch, skip=skip))
    assert [labels.tolist() for _, labels in resumed] == [
        labels.tolist() for _, labels in whole[skip:]
    ]


def order(seed, epoch, count=12, size=5):
    return [
        row
        for _, labels in batches(numbered_split(count), size, seed=seed, epoch=epoch)
        for row in labels.tolist()
    ]


def test_the_order_follows_from_seed_and_epoch_alone():
    expected = order(3, 4)
    np.random.seed(0)  # noqa: NPY002, nobody else's generator matters
    assert order(3, 4) == expected
    assert order(3, 4, size=1) == expected
    orders = {tuple(order(seed, epoch, count=30)) for seed in range(8) for epoch in range(8)}
    assert len(orders) == 64
    assert tuple(range(30)) not in orders


def test_the_order_is_the_one_that_old_checkpoints_mean():
    assert order(0, 0) == ORDER_0_0
    assert order(7, 2) == ORDER_7_2


ORDER_0_0 = [10, 5, 8, 0, 2, 11, 1, 6, 3, 7, 9, 4]


ORDER_7_2 = [8, 1, 6, 3, 11, 5, 0, 10, 7, 9, 4, 2]


def test_batches_own_their_memory(digits):
    images, labels = next(batches(digits.test, 10, seed=0, epoch=0))
    assert not np.shares_memory(images, digits.test.images)
    assert not np.shares_memory(labels, digits.test.labels)
    assert images.flags.c_contiguous


def test_batches_hold_one_batch_at_a_time(digits):
    tracemalloc.start()
    for _ in batches(digits.train, 100, seed=0, epoch=0):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * digits.train.images[:100].nbytes


@pytest.mark.parametrize(("size", "skip"), [(0, 0), (-1, 0), (10, -1)])
def test_sizes_are_checked_at_the_call(digits, size, skip):
    with pytest.raises(ShapeError, match=f"got size {size} and skip {skip}"):
        batches(digits.test, size, seed=0, epoch=0, skip=skip)


@pytest.mark.parametrize(("size", "skip"), [(2.5, 0), ("3", 0), (None, 0), (True, 0), (3, 1.5)])
def test_sizes_are_whole_numbers(digits, size, skip):
    with pytest.raises(ValueError, match="must be a whole number, got"):
        batches(digits.test, size, seed=0, epoch=0, skip=skip)
