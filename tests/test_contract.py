"""Contraction: every pattern is computed right or refused, and the one sentence about gradients."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from memory_peak import peak_of
from test_ops import gradients

import tinyadtn as ta
from tinyadtn.errors import ShapeError, TinyADTNError

LENGTHS = {"a": 2, "b": 3, "c": 1, "d": 4, "E": 2}


def arrays_for(pattern, lengths=None, seed=0):
    lengths = LENGTHS if lengths is None else lengths
    rng = np.random.default_rng(seed)
    operands = pattern.partition("->")[0].split(",")
    return [np.asarray(rng.normal(size=[lengths[x] for x in letters])) for letters in operands]


@st.composite
def patterns(draw, letters="abcdE"):
    """Operands, with letters that may repeat, and a result, which may be left out."""
    some = st.lists(st.sampled_from(letters), max_size=4).map("".join)
    inputs = draw(st.lists(some, min_size=1, max_size=4))
    present = sorted(set("".join(inputs)))
    kept = draw(st.lists(st.sampled_from(present), unique=True)) if present else []
    return ",".join(inputs) + draw(st.sampled_from(["->" + "".join(kept), ""]))


@given(
    pattern=patterns(),
    lengths=st.fixed_dictionaries({x: st.integers(0, 3) for x in LENGTHS}),
)
def test_every_understood_pattern_equals_einsum(pattern, lengths):
    arrays = arrays_for(pattern, lengths)
    expected = np.asarray(np.einsum(pattern, *arrays))
    value = ta.contract(*arrays, pattern=pattern)
    assert value.shape == expected.shape
    np.testing.assert_allclose(value.data, expected, rtol=1e-11, atol=1e-11)


@given(
    pattern=patterns(),
    lengths=st.fixed_dictionaries({x: st.integers(0, 3) for x in LENGTHS}),
)
def test_every_gradient_is_the_adjoint_of_einsum(pattern, lengths):
    """⟨g, f(…, d, …)⟩ = ⟨grad, d⟩ for a random direction d in place of each operand."""
    arrays, directions = arrays_for(pattern, lengths), arrays_for(pattern, lengths, seed=1)
    g = np.asarray(np.random.default_rng(2).normal(size=np.shape(np.einsum(pattern, *arrays))))
    _, grads = gradients(lambda *x: ta.contract(*x, pattern=pattern), arrays, g)
    for k, direction in enumerate(directions):
        moved = [*arrays[:k], direction, *arrays[k + 1 :]]
        forward = np.vdot(g, np.einsum(pattern, *moved))
        assert abs(forward - np.vdot(grads[k], direction)) <= 1e-10 * (1 + abs(forward))


@given(
    pattern=patterns()
    | st.text("ab,->. 1", max_size=8)
    | st.tuples(patterns(), st.integers(0, 12), st.sampled_from("ab,->.")).map(
        lambda t: t[0][: t[1]] + t[2] + t[0][t[1] :]
    ),
)
def test_right_or_refused_never_wrong(pattern):
    """Damaged patterns too: whatever contract accepts, einsum accepts, with the same answer."""
    left = pattern.replace(" ", "").partition("->")[0]
    assume(all(x in LENGTHS or x == "," for x in left))
    arrays = arrays_for(pattern.replace(" ", ""))
    try:
        value = ta.contract(*arrays, pattern=pattern)
    except ShapeError:
        return
    np.testing.assert_allclose(value.data, np.einsum(pattern, *arrays), rtol=1e-11, atol=1e-11)


@given(
    pattern=st.sampled_from(
        ["...", "...a", "a...b", "...a,a...", "...ab,...bc", "ab,...b,...", "a,...", "...aba"]
    ).flatmap(
        lambda left: st.sampled_from([left, left + "->...", left + "->a...", left + "->..."])
    ),
    more=st.lists(st.integers(0, 3), max_size=3).map(tuple),
)
def test_an_ellipsis_stands_for_any_axes_also_for_none(pattern, more):
    left = pattern.partition("->")[0].replace("...", "E")
    lengths = {**{x: (n,) for x, n in LENGTHS.items()}, "E": more}
    rng = np.random.default_rng(0)
    arrays = [
        np.asarray(rng.normal(size=sum((lengths[x] for x in letters), ())))
        for letters in left.split(",")
    ]
    if "a" not in left and "->a" in pattern:
        return
    expected = np.asarray(np.einsum(pattern, *arrays))
    g = np.asarray(rng.normal(size=expected.shape))
    value, grads = gradients(lambda *x: ta.contract(*x, pattern=pattern), arrays, g)
    np.testing.assert_allclose(value.data, expected, rtol=1e-11, atol=1e-11)
    for grad, array in zip(grads, arrays):  # linear in each operand
        assert abs(np.vdot(grad, array) - np.vdot(g, expected)) <= 1e-10 * (1 + np.abs(g).sum())


def test_an_ellipsis_may_stand_for_fewer_axes_in_one_operand_counted_from_the_right(rng):
    a, b = rng.normal(size=(5, 2, 3, 4)), rng.normal(size=(2, 4, 3))
    value, grads = gradients(
        lambda *x: ta.contract(*x, pattern="...ij,...jk"), [a, b], np.ones((5, 2, 3, 3))
    )
    np.testing.assert_allclose(value.data, a @ b, rtol=1e-13)
    np.testing.assert_allclose(grads[1], a.sum(axis=(0, 2))[:, :, None] * np.ones(3), rtol=1e-13)


@given(pattern=patterns(), axis=st.integers(0, 3), change=st.sampled_from([-1, 1, "axis"]))
def test_a_wrong_shape_is_refused(pattern, axis, change):
    inputs = pattern.partition("->")[0].split(",")
    arrays = arrays_for(pattern)
    if change == "axis":
        arrays[0] = arrays[0][None]
    else:
        assume(axis < len(inputs[0]) and inputs[0][axis] in "".join(inputs[1:]))
        shape = list(arrays[0].shape)
        shape[axis] += change
        arrays[0] = np.ones(shape)
    with pytest.raises(ShapeError, match="pattern"):
        ta.contract(*arrays, pattern=pattern)


@pytest.mark.parametrize(
    "pattern", ["i,i->", "ij,ij->", "ij,ji->", "i,ij,j->", "ij->", ",i->", ",->"]
)
def test_contraction_to_a_single_number(pattern, rng):
    arrays = [rng.normal(size=[3] * len(x)) for x in pattern.partition("->")[0].split(",")]
    value, grads = gradients(lambda *x: ta.contract(*x, pattern=pattern), arrays, np.array(2.0))
    assert value.shape == ()
    np.testing.assert_allclose(value.item(), np.einsum(pattern, *arrays), rtol=1e-13)
    for grad, array in zip(grads, arrays):
        if "," in pattern:
            np.testing.assert_allclose(np.vdot(grad, array), 2 * value.item(), rtol=1e-12)


def test_linear_layer_gradients_are_the_textbook_products(rng):
    x, w, g = rng.normal(size=(5, 3)), rng.normal(size=(4, 3)), rng.normal(size=(5, 4))
    _, (dx, dw) = gradients(lambda x, w: ta.contract(x, w, pattern="ni,oi->no"), [x, w], g)
    np.testing.assert_allclose(dx, g @ w, rtol=1e-13)
    np.testing.assert_allclose(dw, g.T @ x, rtol=1e-13)


def test_one_array_in_both_places(rng):
    a, g = rng.normal(size=(2, 3)), rng.normal(size=(2, 2))
    x = ta.Tensor(a, requires_grad=True)
    ta.contract(x, x, pattern="ik,jk->ij").backward(g)
    np.testing.assert_allclose(x.grad, (g + g.T) @ a, rtol=1e-13)


def test_a_tensor_train_of_many_axes(rng):
    """Eight cores with bond 3: 2^8 entries, against products of matrices."""
    bonds = "ABCDEFGHI"
    cores = [rng.normal(size=(1 if k == 0 else 3, 2, 1 if k == 7 else 3)) for k in range(8)]
    pattern = ",".join(f"{bonds[k]}{'abcdefgh'[k]}{bonds[k + 1]}" for k in range(8)) + "->abcdefgh"
    full = ta.contract(*cores, pattern=pattern).data
    for place in [(0,) * 8, (1, 0, 1, 1, 0, 0, 1, 0), (1,) * 8]:
        product = np.eye(1)
        for core, index in zip(cores, place):
            product = product @ core[:, index]
        np.testing.assert_allclose(full[place], product.sum(), rtol=1e-12)


@pytest.mark.parametrize("pattern", ["ab,bc,cd->ad", "ab,bc,cd,de->ae", "ab,cb,cd,ed->ae"])
def test_the_gradients_of_a_chain_are_as_cheap_as_the_chain(pattern, rng):
    """Their largest product has as many entries as that of the forward pass, not n⁴."""
    n = 30
    matrices = [ta.Tensor(rng.normal(size=(n, n)), requires_grad=True) for _ in pattern.split(",")]
    result = ta.contract(*matrices, pattern=pattern).sum()
    assert peak_of(result.backward) < 20 * matrices[0].data.nbytes


def test_spaces_are_allowed_and_no_operand_is_refused(rng):
    a = rng.normal(size=(2, 3))
    np.testing.assert_array_equal(ta.contract(a, pattern=" i j -> j i ").data, a.T)
    with pytest.raises(TinyADTNError):
        ta.contract(pattern="->")


def test_patterns_do_not_remember_other_shapes():
    """The parsed pattern is cached: another shape must be judged anew."""
    for n in (2, 3, 2):
        assert ta.contract(np.ones((n, 4)), np.ones(4), pattern="ij,j->i").shape == (n,)
    with pytest.raises(ShapeError, match="axis j is 4 and 5"):
        ta.contract(np.ones((2, 4)), np.ones(5), pattern="ij,j->i")
