"""Losses at the extremes, their labels, and accuracy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyadtn as ta
from tinyadtn.errors import DTypeError, ShapeError


def exact_cross_entropy(rows, labels):
    """With Python's exact integers and fsum: shifted by hand, term by term."""
    losses = []
    for row, label in zip(rows, labels):
        top = max(row)
        losses.append(math.log(math.fsum(math.exp(v - top) for v in row)) - (row[label] - top))
    return math.fsum(losses) / len(losses)


@given(
    rows=st.lists(
        st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3), min_size=1, max_size=4
    ),
    label=st.integers(0, 2),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_cross_entropy_of_any_logits_up_to_1e4(rows, label, dtype):
    labels = [(label + k) % 3 for k in range(len(rows))]
    logits = ta.Tensor(np.array(rows, dtype), requires_grad=True)
    loss = ta.softmax_cross_entropy(logits, labels=labels)
    exact = exact_cross_entropy(rows, labels)
    assert loss.dtype == dtype and loss.shape == ()
    assert loss.item() == pytest.approx(exact, rel=2e-6 if dtype == np.float32 else 1e-13, abs=1e-6)
    loss.backward()
    assert np.isfinite(logits.grad).all()
    np.testing.assert_allclose(logits.grad.sum(axis=1), 0, rtol=0, atol=1e-6)


def test_cross_entropy_near_the_limits_of_float32():
    logits = ta.Tensor(np.array([[1e38, -1e38], [1e38, 1e38]], np.float32), requires_grad=True)
    loss = ta.softmax_cross_entropy(logits, labels=[0, 0])
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2) / 2, rel=1e-6)
    assert logits.grad.tolist() == [[0, 0], [-0.25, 0.25]]


def test_gradient_is_softmax_minus_one_hot_over_n(rng):
    a, labels = rng.normal(size=(3, 4)), np.array([2, 0, 2])
    x = ta.Tensor(a, requires_grad=True)
    ta.softmax_cross_entropy(x, labels=labels).backward(np.array(6.0))
    expected = np.exp(a) / np.exp(a).sum(axis=1, keepdims=True) - np.eye(4)[labels]
    np.testing.assert_allclose(x.grad, 2 * expected, rtol=1e-12, atol=1e-15)


def test_backward_does_not_consume_what_forward_kept(rng):
    """A gradient function may be called twice; it must not write into its own memory."""
    from tinyadtn.ops.loss import softmax_cross_entropy

    plain = softmax_cross_entropy.__wrapped__
    _, grad = plain(rng.normal(size=(3, 4)), labels=np.array([0, 1, 2]))
    np.testing.assert_array_equal(grad(np.array(1.0)), grad(np.array(1.0)))


@pytest.mark.parametrize(
    "labels",
    [
        [2, 0, 1],
        (2, 0, 1),
        np.array([2, 0, 1], np.uint8),
        np.array([2, 0, 1], np.int16),
        ta.Tensor(np.array([2, 0, 1])),
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_labels_may_be_any_integers(labels, rng):
    logits = rng.normal(size=(3, 4))
    expected = exact_cross_entropy(logits.tolist(), [2, 0, 1])
    assert ta.softmax_cross_entropy(logits, labels=labels).item() == pytest.approx(expected)
    assert ta.accuracy(logits, labels) == np.mean(logits.argmax(axis=1) == [2, 0, 1])


@pytest.mark.parametrize(
    ("shape", "labels", "error", "words"),
    [
        ((2, 3), [0, 3], ShapeError, "0 … 2, got 0 … 3"),
        ((2, 3), [-1, 0], ShapeError, "got -1 … 0"),
        ((2, 3), [0], ShapeError, r"\(2, 3\) and \(1,\)"),
        ((2, 3), [[0, 1]], ShapeError, r"\(2, 3\) and \(1, 2\)"),
        ((3,), [0, 1, 2], ShapeError, r"\(3,\)"),
        ((2, 3, 1), [0, 1], ShapeError, r"\(2, 3, 1\)"),
        ((2, 3), [0.0, 1.0], DTypeError, "float64"),
        ((2, 3), [True, False], DTypeError, "bool"),
        ((0, 3), np.zeros(0, int), ShapeError, "empty batch"),
        ((2, 0), [0, 0], ShapeError, "labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused(shape, labels, error, words):
    for function in (
        lambda: ta.softmax_cross_entropy(np.zeros(shape), labels=labels),
        lambda: ta.accuracy(np.zeros(shape), labels),
    ):
        with pytest.raises(error, match=words):
            function()


def test_mean_squared_error_averages_over_everything():
    a, b = ta.Tensor([[1.0, 2.0]], requires_grad=True), ta.Tensor([[0.0, 5.0]], requires_grad=True)
    loss = ta.mean_squared_error(a, b)
    loss.backward()
    assert loss.item() == 5
    assert (a.grad.tolist(), b.grad.tolist()) == ([[1, -3]], [[-1, 3]])


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_mean_squared_error_of_whole_numbers(dtype):
    a, b = np.array([0, 0], dtype), np.array([1, 200], dtype)
    wanted = np.mean((a.astype(float) - b.astype(float)) ** 2)
    assert ta.mean_squared_error(a, b).item() == pytest.approx(wanted)


def test_accuracy_counts_rows_and_takes_the_first_of_equals():
    assert ta.accuracy([[1.0, 1.0], [0.0, 2.0], [3.0, 0.0], [0.0, 1.0]], [0, 1, 1, 0]) == 0.5
    assert isinstance(ta.accuracy(ta.Tensor([[1.0, 2.0]]), [1]), float)


@pytest.mark.parametrize("row", [[np.nan, np.nan], [np.nan, 1], [1, np.nan], [np.inf, np.nan]])
def test_a_row_with_nan_is_never_right(row):
    for label in (0, 1):
        assert ta.accuracy([row, [2, 1]], [label, 0]) == 0.5
