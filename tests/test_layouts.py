"""The bytes of an array may lie in any order: values and gradients are the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from op_table import ROWS
from test_ops import cotangent_for, gradients


def fortran(a):
    return np.asfortranarray(a)


def transposed(a):
    return np.ascontiguousarray(a.T).T


def reversed_(a):
    backwards = (slice(None, None, -1),) * a.ndim
    return np.ascontiguousarray(a[backwards])[backwards]


def every_second(a):
    roomy = np.full([2 * n for n in a.shape], np.nan, a.dtype)
    view = roomy[(slice(None, None, 2),) * a.ndim]
    view[...] = a
    return view


def stretched(a):
    """Stride 0 along the last axis; the values there are all the first one's."""
    return np.broadcast_to(a[..., :1], a.shape)


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def misaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)
    odd = raw[1:].view(a.dtype).reshape(a.shape) if a.size else a.copy()
    odd[...] = a
    assert not (a.size and odd.flags.aligned)
    return odd


def big_endian(a):
    return a.astype(a.dtype.newbyteorder(">"))


LAYOUTS = [
    fortran,
    transposed,
    reversed_,
    every_second,
    stretched,
    read_only,
    misaligned,
    big_endian,
]


def plain(a):
    """The same values as a fresh native C-ordered array."""
    return np.array(a, dtype=a.dtype.newbyteorder("="), order="C")


def test_the_layouts_are_what_their_names_say():
    a = np.arange(6.0).reshape(2, 3)
    assert transposed(a).flags.f_contiguous and not transposed(a).flags.c_contiguous
    assert fortran(a).flags.f_contiguous and reversed_(a).strides[0] < 0
    assert not every_second(a).flags.forc and stretched(a).strides[1] == 0
    assert not read_only(a).flags.writeable and not misaligned(a).flags.aligned
    assert not big_endian(a).dtype.isnative
    for layout in set(LAYOUTS) - {stretched}:
        np.testing.assert_array_equal(layout(a), a)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__.strip("_"))
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_layout_of_inputs_and_cotangent_does_not_matter(row, layout):
    arrays = [layout(a) for a in row.draw()]
    g = cotangent_for(row)
    g = layout(g) if g.ndim else g
    before = [plain(a) for a in [*arrays, g]]
    value, grads = gradients(row, arrays, g)
    expected_value, expected = gradients(row, before[:-1], before[-1])
    np.testing.assert_allclose(value.data, expected_value.data, rtol=1e-12, atol=1e-13)
    for a, b in zip(grads, expected):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
        assert a.dtype == np.float64 and a.dtype.isnative
    for a, b in zip([*arrays, g], before):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("row", ROWS, ids=str)
@given(data=st.data())
def test_each_array_may_lie_in_memory_as_it_likes(row, data):
    """Any mixture of layouts, of the cotangent too, in either precision."""
    dtype = data.draw(st.sampled_from([np.float64, np.float32]))
    seed = data.draw(st.integers(0, 9))
    layout = st.sampled_from(LAYOUTS)
    arrays = [data.draw(layout)(a) for a in row.draw(seed, dtype)]
    g = cotangent_for(row, seed).astype(dtype)
    g = data.draw(layout)(g) if g.ndim else g
    value, grads = gradients(row, arrays, g)
    expected_value, expected = gradients(row, [plain(a) for a in arrays], plain(g))
    tolerance = 1e-12 if dtype == np.float64 else 2e-5
    for a, b in zip([value.data, *grads], [expected_value.data, *expected]):
        assert a.dtype == dtype and a.dtype.isnative
        assert np.abs(a - b).max(initial=0) <= tolerance * (1 + np.abs(b).max(initial=0))
