"""The stand-in for CuPy refuses what CuPy refuses, and offers nothing that CuPy has not."""

import copy
import inspect
import math
import operator
import re
import types

import numpy as np
import pytest
import strict_arrays as xp

HOST = np.arange(6.0).reshape(2, 3)


@pytest.fixture
def there():
    return xp.asarray(HOST)


# --- the border between host and device ----------------------------------------------------------


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        np.array,
        lambda a: np.array([a, a]),
        lambda a: np.asarray(a[0, 0]),
        lambda a: np.float32(a[0, 0]),
        lambda a: np.zeros((2, 3)).__setitem__(slice(None), a),
        memoryview,
    ],
)
def test_nothing_becomes_a_numpy_array_by_itself(there, convert):
    with pytest.raises(TypeError):
        convert(there)


@pytest.mark.parametrize(
    "function",
    [
        np.exp,
        np.sum,
        np.shape,
        np.argsort,
        np.isfinite,
        np.linalg.norm,
        lambda a: np.add(a, 1),
        lambda a: np.where(a, 1, 0),
        lambda a: np.concatenate([a, a]),
        lambda a: np.einsum("ij->ji", a),
        lambda a: np.add.at(np.zeros(3), [0], a[0, 0]),
        lambda a: np.maximum(HOST, 0, out=a),
        lambda a: np.testing.assert_array_equal(a, HOST),
    ],
)
def test_numpys_functions_refuse_it(there, function):
    with pytest.raises((TypeError, AssertionError)):
        function(there)


OPERATORS = [
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.matmul),
    *(operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne),
    *(operator.iadd, operator.isub, operator.imul, operator.itruediv),
]


@pytest.mark.parametrize("apply", OPERATORS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("other", [HOST.T, np.array(2.0), [1.0, 2.0, 3.0], None, "3"], ids=repr)
def test_operands_of_the_host_are_refused(there, apply, other):
    with pytest.raises(TypeError):
        apply(there, other)
    if isinstance(other, np.ndarray):
        with pytest.raises(TypeError):
            apply(other.copy(), there)


@pytest.mark.parametrize("apply", OPERATORS[:5] + OPERATORS[6:], ids=lambda f: f.__name__)
@pytest.mark.parametrize("number", [2, 0.5, True, np.float64(2), np.float32(0.5)], ids=repr)
def test_numbers_are_operands_on_either_side(there, apply, number):
    expected = apply(HOST.copy(), number)
    np.testing.assert_array_equal(apply(there.copy(), number).get(), expected)
    if not apply.__name__.startswith("i"):
        with np.errstate(divide="ignore"):
            reverse, expected = apply(number, there), apply(number, HOST)
        assert type(reverse) is xp.ndarray
        np.testing.assert_array_equal(reverse.get(), expected)


def test_an_array_of_the_host_is_assigned_only_after_it_went_up(there):
    for value in (np.zeros((2, 3)), np.array(0.0), [0.0, 0.0, 0.0]):
        with pytest.raises(TypeError):
            there[:] = value
    there[:] = xp.asarray(np.zeros((2, 3)))
    there[0] = 1
    assert there.tolist() == [[1, 1, 1], [0, 0, 0]]


def test_the_host_keeps_its_own_memory_and_get_gives_another():
    host = HOST.copy()
    there = xp.asarray(host)
    host += 1
    down = there.get()
    down += 1
    np.testing.assert_array_equal(there.get(), HOST)
    assert xp.asarray(there) is there


# --- indices -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "index",
    [np.array([0, 1]), [0, 1], (slice(None), [0]), np.array(True), True, 1.0, "a"],
    ids=repr,
)
def test_indices_of_the_host_are_refused(there, index):
    with pytest.raises(TypeError):
        there[index]
    with pytest.raises(TypeError):
        there[index] = 0


def test_indices_on_the_device_do_as_numpys_do(there):
    rows, mask = np.array([1, 0, 1]), HOST > 2
    for index, same in [
        (xp.asarray(rows), rows),
        ((slice(None), xp.asarray(rows)), (slice(None), rows)),
        ((xp.asarray(rows), xp.asarray(rows)), (rows, rows)),
        (xp.asarray(mask), mask),
        ((None, ..., 1), (None, ..., 1)),
        ((0, np.int64(2)), (0, 2)),
    ]:
        np.testing.assert_array_equal(there[index].get(), HOST[same])
    with pytest.raises(IndexError, match="boolean"):
        there[xp.asarray(mask[:, 0]), xp.asarray(mask[0])]
    with pytest.raises(TypeError):
        there.take(rows)


def test_a_single_element_is_a_view(there):
    there[1, 2] += 10
    element = there[0, 0]
    element += 5
    assert (there[1, 2].item(), there[0, 0].item()) == (15, 5)


def test_an_array_is_no_python_index():
    with pytest.raises(TypeError):
        range(xp.asarray(3))
    with pytest.raises(TypeError):
        [1, 2, 3][xp.asarray(1)]


# --- one number ----------------------------------------------------------------------------------


def test_reductions_give_arrays_that_open_by_name_only(there):
    for result in (
        there.sum(),
        there.mean(),
        there.max(),
        there.argmax(),
        there.any(),
        there[0, 0],
    ):
        assert type(result) is xp.ndarray
        assert result.shape == ()
    assert float(there.sum()) == there.sum().item() == 15 and int(there.argmax()) == 5
    assert bool(there.any()) and math.isfinite(there.sum())
    with pytest.raises(ValueError, match="ambiguous"):
        bool(there)
    with pytest.raises(TypeError):
        float(there)


def test_transfers_are_counted():
    xp.traffic.clear()
    there = xp.asarray(HOST)
    float(there.sum())
    there.get()
    assert (xp.traffic.up, xp.traffic.down) == ([6], [1, 6])


# --- what CuPy lacks -----------------------------------------------------------------------------


def test_what_cupy_lacks_is_missing(there):
    for call in (
        lambda: there.sum(where=there > 0),
        lambda: there.max(initial=0),
        lambda: there.item(0),
        lambda: xp.exp(there, where=there > 0),
        lambda: xp.maximum(HOST, there),
        lambda: xp.exp(HOST),
        lambda: xp.where(HOST > 0, there, there),
        lambda: xp.concatenate([there, HOST]),
        lambda: xp.ascontiguousarray(HOST),
        lambda: xp.add.at(there, np.array([0]), 1),
        lambda: xp.take_along_axis(there, np.zeros((2, 3), int), axis=1),
        lambda: there.transpose(np.array([1, 0])),
        lambda: hash(there),
        lambda: xp.ndarray((2, 3)),
    ):
        with pytest.raises(TypeError):
            call()
    for name in ("setflags", "ctypes", "__array_interface__", "__index__", "newbyteorder"):
        assert not hasattr(there, name)
    assert not hasattr(there.flags, "writeable")
    assert not hasattr(xp, "errstate") and not hasattr(xp, "ndindex")
    with pytest.raises(ValueError, match="dtype"):
        xp.asarray(np.array([1j]))


def test_what_was_never_written_shows():
    assert np.isnan(xp.empty((2, 2), np.float32).get()).all()


def test_a_copy_shares_nothing(there):
    for twin in (there.copy(), copy.deepcopy(there), xp.array(there), there.astype(np.float64)):
        twin += 1
    np.testing.assert_array_equal(there.get(), HOST)
    assert there.astype(np.float64, copy=False) is there


def test_everything_stands_in_cupy_under_that_name_with_these_arguments():
    """Needs CuPy, but no GPU: only names and signatures are read."""
    cupy = pytest.importorskip("cupy")
    for name, thing in vars(xp).items():
        if isinstance(thing, xp.ufunc):
            assert isinstance(getattr(cupy, name), cupy.ufunc), name
            assert "out=None" in getattr(cupy, name).__doc__, name
        elif inspect.isfunction(thing) and not name.startswith("_"):
            theirs = inspect.signature(getattr(cupy, name)).parameters
            assert inspect.signature(thing).parameters.keys() <= theirs.keys(), name
    for name, thing in vars(xp.ndarray).items():
        if isinstance(thing, types.FunctionType) and not name.startswith("_"):
            # Compiled methods tell their signature in the first line of their docstring.
            first = getattr(cupy.ndarray, name).__doc__.splitlines()[0]
            theirs = set(re.findall(r"(\w+)(?:=|,|\)| *$)", first))
            ours = set(inspect.signature(thing).parameters)
            assert ours <= theirs | {"self"}, f"{name}: {first}"
        elif name not in ("__module__", "__doc__", "__dict__", "__weakref__"):
            assert hasattr(cupy.ndarray, name), name
