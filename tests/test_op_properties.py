"""Hypothesis looks for shapes, axes and indices that break an op.

Hypothesis draws the shapes and flags, which it can shrink; the values come from a seeded generator.
"""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from test_ops import gradients

import tinyadtn as ta

SIDES = st.integers(0, 3)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
PAIRS = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=3)
OPERATORS = {
    "+": (operator.add, np.add),
    "-": (operator.sub, np.subtract),
    "*": (operator.mul, np.multiply),
    "/": (operator.truediv, np.divide),
    "**": (operator.pow, np.power),
    "maximum": (ta.maximum, np.maximum),
    "minimum": (ta.minimum, np.minimum),
}


def values(shape, seed=0):
    return np.asarray(np.random.default_rng(seed).uniform(0.5, 2, size=shape))


def summed_over_broadcast_axes(full, shape):
    """The adjoint of broadcasting, element by element."""
    result = np.zeros(shape)
    for place in np.ndindex(full.shape):
        own = place[full.ndim - len(shape) :]
        result[tuple(0 if n == 1 else i for i, n in zip(own, shape))] += full[place]
    return result


@pytest.mark.parametrize("sign", OPERATORS)
@given(shapes=PAIRS)
def test_every_broadcastable_pair(sign, shapes):
    function, reference = OPERATORS[sign]
    a, b = (values(shape, k) for k, shape in enumerate(shapes.input_shapes))
    g = values(shapes.result_shape, 7)
    x, y = ta.Tensor(a, requires_grad=True), ta.Tensor(b, requires_grad=True)
    result = function(x, y)
    np.testing.assert_allclose(result.data, reference(a, b), rtol=1e-14)
    result.backward(g)
    # The same op without broadcasting, summed by hand, is the oracle of its gradient.
    wide = [np.array(np.broadcast_to(v, g.shape)) for v in (a, b)]
    p, q = (ta.Tensor(v, requires_grad=True) for v in wide)
    function(p, q).backward(g)
    np.testing.assert_allclose(x.grad, summed_over_broadcast_axes(p.grad, a.shape), rtol=1e-12)
    np.testing.assert_allclose(y.grad, summed_over_broadcast_axes(q.grad, b.shape), rtol=1e-12)


@pytest.mark.parametrize("sign", ["+", "-", "*", "/", "**"])
@given(shapes=PAIRS, kind=st.sampled_from(["array", "list", "number", "scalar"]))
def test_reflected_operators(sign, shapes, kind):
    """Something that is no tensor may stand on either side; the tensor's gradient is the same."""
    function, _ = OPERATORS[sign]
    a, b = (values(shape, k) for k, shape in enumerate(shapes.input_shapes))
    if kind == "list" and not b.size:
        return  # an empty list has lost its shape
    if kind in ("number", "scalar"):
        b = b.flat[0] if b.size else np.float64(2.0)
        b = float(b) if kind == "number" else b
    other, b = (b.tolist() if kind == "list" else b), np.asarray(b)
    for flip in (False, True):
        x, y = ta.Tensor(a, requires_grad=True), ta.Tensor(a, requires_grad=True)
        left = function(other, x) if flip else function(x, other)
        right = function(ta.Tensor(b), y) if flip else function(y, ta.Tensor(b))
        assert isinstance(left, ta.Tensor) and left.dtype == np.float64
        np.testing.assert_allclose(left.data, right.data, rtol=1e-12)
        g = values(left.shape, 5)
        left.backward(g)
        right.backward(g)
        np.testing.assert_allclose(x.grad, y.grad, rtol=1e-12)


@given(data=st.data(), shape=SHAPES, keepdims=st.booleans())
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min"])
def test_reductions_over_any_axes(name, data, shape, keepdims):
    axes = st.integers(-len(shape), len(shape) - 1) if shape else st.nothing()
    many = st.lists(axes, unique_by=lambda k: k % len(shape)).map(tuple)
    axis = data.draw(st.none() | axes | many)
    a = values(shape)
    order = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    counted = int(np.prod([shape[k] for k in order]))
    if counted == 0 and name != "sum":
        with pytest.raises(ta.errors.ShapeError, match="no elements"):
            getattr(ta, name)(a, axis=axis, keepdims=keepdims)
        return
    x = ta.Tensor(a, requires_grad=True)
    result = getattr(x, name)(axis=axis, keepdims=keepdims)
    expected = getattr(np, name)(a, axis=axis, keepdims=keepdims)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result.data, expected, rtol=1e-13)
    g = values(result.shape, 3)
    result.backward(g)
    spread = g.reshape([1 if k in {j % a.ndim for j in order} else n for k, n in enumerate(shape)])
    if name == "sum":
        np.testing.assert_allclose(x.grad, spread + 0 * a, rtol=1e-13)
    elif name == "mean":
        np.testing.assert_allclose(x.grad, spread / counted + 0 * a, rtol=1e-13)
    else:  # no two values are equal: the winner, and nobody else
        winner = a == getattr(np, name)(a, axis=axis, keepdims=True)
        np.testing.assert_allclose(x.grad, np.where(winner, spread, 0), rtol=1e-13)


@given(data=st.data(), shape=hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
def test_basic_indexing(data, shape):
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
    check_indexing(shape, index)


@given(data=st.data(), shape=hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
def test_integer_indexing_with_repetitions(data, shape):
    result = hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=6)
    index = data.draw(hnp.integer_array_indices(shape, result_shape=result))
    check_indexing(shape, index)


@given(data=st.data(), shape=hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
def test_boolean_and_mixed_indexing(data, shape):
    mask = data.draw(hnp.arrays(bool, shape[:1]))
    rest = data.draw(hnp.basic_indices(shape[1:], allow_ellipsis=False)) if shape[1:] else ()
    check_indexing(shape, (mask, *(rest if isinstance(rest, tuple) else (rest,))))
    check_indexing(shape, (None, [0, -1, 0]))


def check_indexing(shape, index):
    """The oracle numbers the elements: the index then says where every gradient belongs."""
    a = values(shape)
    x = ta.Tensor(a, requires_grad=True)
    result = x[index]
    np.testing.assert_array_equal(result.data, a[index])
    g = values(result.shape, 3)
    result.backward(g)
    came_from = np.asarray(np.arange(a.size).reshape(shape)[index])
    expected = np.zeros(a.size)
    for place, share in zip(came_from.ravel(), g.ravel()):
        expected[place] += share
    np.testing.assert_allclose(x.grad, expected.reshape(shape), rtol=1e-13)


@given(
    batch=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, min_side=0, max_side=3),
    sides=st.tuples(SIDES, SIDES, SIDES),
    flat=st.sampled_from(["", "left", "right", "both"]),
)
def test_matmul_of_every_kind(batch, sides, flat):
    (n, k, m), (p, q) = sides, batch.input_shapes
    a = values((k,) if flat in ("left", "both") else (*p, n, k))
    b = values((k,) if flat in ("right", "both") else (*q, k, m), 1)
    expected = np.matmul(a, b)
    g = values(expected.shape, 2)
    value, (da, db) = gradients(ta.matmul, [a, b], g)
    np.testing.assert_allclose(value.data, expected, rtol=1e-13)
    # The oracle writes vectors as matrices, and multiplies and sums element by element.
    left = a[None, :] if a.ndim == 1 else a
    right = b[:, None] if b.ndim == 1 else b
    wide = g[..., None] if b.ndim == 1 else g
    wide = wide[..., None, :] if a.ndim == 1 else wide
    full = left[..., :, :, None] * 1.0, right[..., None, :, :] * 1.0, wide[..., :, None, :]
    da_wide = (full[1] * full[2]).sum(axis=-1)
    db_wide = (full[0] * full[2]).sum(axis=-3)
    np.testing.assert_allclose(da, summed_over_broadcast_axes(da_wide, left.shape).reshape(a.shape))
    np.testing.assert_allclose(
        db, summed_over_broadcast_axes(db_wide, right.shape).reshape(b.shape)
    )


@given(shape=SHAPES.filter(lambda s: 0 not in s), data=st.data())
def test_reshape_transpose_and_concatenate_undo_themselves(shape, data):
    a = values(shape)
    axes = data.draw(st.permutations(range(len(shape))))
    x = ta.Tensor(a, requires_grad=True)
    there = x.transpose(*axes) if axes else x.transpose()
    np.testing.assert_array_equal(there.data, np.transpose(a, axes))
    back = there.reshape(-1).reshape(there.shape).transpose(*np.argsort(axes).tolist())
    twice = ta.concatenate(*(back.reshape(1, *shape) for _ in range(2)))
    g = values(twice.shape, 4)
    twice.backward(g)
    np.testing.assert_array_equal(twice.data, np.stack([a, a]))
    np.testing.assert_allclose(x.grad, g[0] + g[1], rtol=1e-14)
