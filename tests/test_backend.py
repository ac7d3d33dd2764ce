"""Which arrays are welcome, and what number type a result has. The same on NumPy 1.26 and 2."""

import contextlib
import operator
import sys
import types

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.autodiff.arrays import array_module, as_array, to_device, to_numpy
from tinyadtn.autodiff.dtypes import to_common_dtype
from tinyadtn.errors import DeviceError, DTypeError, ShapeError, TinyADTNError

F32, F64 = np.float32, np.float64


@pytest.mark.parametrize("value", [2, 2.5, True, [1, 2], [[1.0], [2.0]], (1, 2), [], [True]])
def test_python_numbers_and_lists_become_float32(value):
    array = as_array(value)
    assert array.dtype == F32 and array.shape == np.shape(value)
    np.testing.assert_array_equal(array, np.asarray(value, F32))


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "bool", "int8", "int32", "int64", "uint8", "uint64"]
)
def test_arrays_keep_their_dtype_and_are_not_copied(dtype):
    array = np.zeros((2, 3), dtype)
    assert as_array(array) is array and ta.Tensor(array).data is array
    scalar = array.dtype.type(1)
    assert as_array(scalar).dtype == dtype and type(as_array(scalar)) is np.ndarray


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i4", ">u2"])
def test_foreign_byte_order_becomes_native(dtype):
    array = np.arange(3).astype(dtype)
    ours = as_array(array)
    assert ours.dtype.isnative and ours.dtype == array.dtype.newbyteorder("=")
    assert ours.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "value",
    [
        np.zeros(2, np.float16),
        np.zeros(2, np.complex64),
        np.zeros(2, np.longdouble),
        np.float16(1),
        np.array([None, 1]),
        np.array(["a"]),
        np.zeros(2, "datetime64[s]"),
        1j,
        [1j, 2],
        None,
        [1.0, None],
        "3",
        ["a", "b"],
        b"3",
        {},
        {1.0, 2.0},
        object(),
        len,
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'dtype', '')}",
)
def test_other_types_are_refused_with_a_sentence(value):
    if getattr(value, "dtype", None) == F64:
        pytest.skip("longdouble is float64 here")
    with pytest.raises(DTypeError, match="cannot"):
        as_array(value)
    with pytest.raises(DTypeError):
        ta.Tensor([1.0]) * value
    with pytest.raises(DTypeError):
        value * ta.Tensor([1.0])


def test_ragged_lists_are_a_matter_of_shape():
    with pytest.raises(ShapeError, match="regular"):
        as_array([[1, 2], [3]])


def test_a_list_of_tensors_is_refused_rather_than_stacked():
    x = ta.Tensor([1.0, 2.0])
    for bad in ([x, x], [x, ta.Tensor([1.0, 2.0], requires_grad=True)]):
        with pytest.raises(TinyADTNError):
            as_array(bad)
        with pytest.raises(TinyADTNError):
            ta.sum(bad)


def test_a_number_too_large_for_any_float_is_refused():
    with pytest.raises(TinyADTNError):
        as_array(10**400)


def test_foreign_arrays_are_refused_or_understood_never_half_used():
    """Anything may have a ``dtype``: a torch tensor, a pandas column."""

    class Foreign:
        dtype, shape = "torch.float64", (2,)

        def __init__(self, inside):
            self.inside = inside

        def __array__(self, dtype=None, copy=None):
            return self.inside if dtype is None else self.inside.astype(dtype)

    for inside in (np.array([0.1, 2.0]), np.array([1, 2])):
        with contextlib.suppress(DTypeError):
            ours = as_array(Foreign(inside))
            assert type(ours) is np.ndarray and ours.dtype == inside.dtype


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_a_matrix_multiplies_like_an_array():
    matrix = np.matrix([[1.0, 2.0], [3.0, 4.0]])
    assert (ta.Tensor(matrix) * matrix).data.tolist() == [[1, 4], [9, 16]]
    assert type(ta.Tensor(matrix).data) is np.ndarray


def test_a_mask_is_never_lost_in_silence():
    with pytest.raises(DTypeError, match=r"[Mm]ask"):
        as_array(np.ma.array([1.0, 2.0], mask=[True, False]))


# --- what a result's dtype is --------------------------------------------------------------------

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
TENSORS = {
    "f32": ta.Tensor(np.array([1.0, 2.0], F32)),
    "f64": ta.Tensor(np.array([1.0, 2.0], F64)),
    "f32 0-d": ta.Tensor(np.array(2.0, F32)),
    "f64 0-d": ta.Tensor(np.array(2.0, F64)),
}
OTHERS = {
    "bool": True,
    "int": 3,
    "int beyond int64": -(2**63) - 1,
    "float": 0.1,
    "np.float32": F32(0.1),
    "np.float64": np.sqrt(2),
    "np.int64": np.int64(3),
    "0-d f32": np.array(0.1, F32),
    "0-d f64": np.array(0.1, F64),
    "0-d int": np.array(3),
    "array of ints": np.array([1, 2]),
    "array of uint8": np.array([1, 2], np.uint8),
    "array of bools": np.array([True, True]),
    "list": [1.0, 2.0],
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("tensor", TENSORS)
@pytest.mark.parametrize("apply", OPERATORS, ids=lambda f: f.__name__)
def test_what_stands_beside_a_tensor_takes_its_dtype(apply, tensor, other):
    x, b = TENSORS[tensor], OTHERS[other]
    with np.errstate(all="ignore"):
        assert apply(x, b).dtype == x.dtype
        assert apply(b, x).dtype == x.dtype


@pytest.mark.parametrize("apply", OPERATORS, ids=lambda f: f.__name__)
def test_float64_arrays_promote(apply):
    x, b = TENSORS["f32"], np.array([1.0, 2.0])
    assert apply(x, b).dtype == apply(b, x).dtype == F64
    assert apply(x, TENSORS["f64"]).dtype == F64
    assert apply(TENSORS["f32 0-d"], TENSORS["f64"]).dtype == F64
    # 0-d tensors give way to axes, and among themselves promote.
    assert apply(x, TENSORS["f64 0-d"]).dtype == F32
    assert apply(TENSORS["f32 0-d"], TENSORS["f64 0-d"]).dtype == F64


def test_known_leaks_stay_closed():
    x = TENSORS["f32"]
    mask = np.array([True, False])
    assert (x * np.sqrt(2)).dtype == (x / mask.sum()).dtype == F32
    assert (x.sum() / mask.sum()).dtype == (x.mean() * np.float64(2)).dtype == F32
    w = ta.Tensor(np.ones(2, F32), requires_grad=True)
    (w * w).sum().backward(np.float64(1.0))
    assert w.grad.dtype == F32


@pytest.mark.parametrize(
    "function",
    [
        ta.relu,
        ta.leaky_relu,
        ta.sigmoid,
        ta.tanh,
        ta.exp,
        ta.log,
        ta.sqrt,
        ta.absolute,
        ta.negative,
        ta.sum,
        ta.mean,
        ta.max,
        ta.min,
        lambda x: x**2,
        lambda x: 2**x,
        lambda x: ta.maximum(x, 0),
        lambda x: ta.minimum(0, x),
        lambda x: ta.where(np.array(True), x, 0.0),
        lambda x: x.reshape(-1),
        lambda x: ta.contract(x.reshape(-1), x.reshape(-1), pattern="i,i->"),
    ],
)
@pytest.mark.parametrize("shape", [(), (2,)])
def test_functions_and_their_gradients_keep_float32(function, shape):
    x = ta.Tensor(np.ones(shape, F32), requires_grad=True)
    value = function(x)
    assert value.dtype == F32
    value.backward(np.ones(value.shape))
    assert x.grad.dtype == F32 and type(x.grad) is np.ndarray and x.grad.shape == shape


def test_numpy_scalars_alone_keep_their_dtype():
    """np.float64 is a Python float by inheritance; it is an array scalar all the same."""
    assert ta.exp(np.float64(2)).dtype == ta.exp(np.array(2.0)).dtype == F64
    assert ta.exp(np.float32(2)).dtype == F32
    assert ta.exp(2.0).dtype == F32


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
def test_integers_stay_what_they_are(dtype):
    x = ta.Tensor(np.array([0, 1, 1], dtype))
    assert x.dtype == dtype
    assert x[1:].dtype == x.reshape(3, 1).dtype == x.max().dtype == dtype
    assert ta.concatenate(x, x).dtype == dtype


@pytest.mark.parametrize("other", [1, np.int64(1), np.array(1)], ids=repr)
def test_a_number_beside_integers_is_weak(other):
    x = ta.Tensor(np.arange(3, dtype=np.int32))
    assert (x + other).dtype == (other * x).dtype == np.int32


@pytest.mark.parametrize("two", [2, np.int64(2), np.array(2)], ids=repr)
def test_a_number_beside_booleans_stays_a_number(two):
    x = ta.Tensor(np.array([True, False]))
    assert (x * two).data.tolist() == (two * x).data.tolist() == [2, 0]
    assert (x + two).data.tolist() == [3, 2]


@pytest.mark.parametrize("wrap", [int, np.int64, np.array], ids=lambda f: f.__name__)
def test_a_number_that_does_not_fit_never_wraps_around(wrap):
    x = ta.Tensor(np.array([1, 2], np.uint8))
    for function, expected in [
        (lambda: x + wrap(300), [301, 302]),
        (lambda: ta.maximum(x, wrap(-1)), [1, 2]),
        (lambda: ta.minimum(wrap(1000), x), [1, 2]),
    ]:
        with contextlib.suppress(TinyADTNError):
            assert function().data.tolist() == expected


def test_lists_are_as_exact_as_the_tensor_beside_them():
    x = ta.Tensor(np.array([1.0, 1.0]), requires_grad=True)
    y = x * [0.1, 0.2]
    assert y.data.tolist() == [0.1, 0.2]
    y.backward([0.5, 0.1])
    assert x.grad.tolist() == [0.5 * 0.1, 0.1 * 0.2]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64", "bool"])
@pytest.mark.parametrize(
    "function",
    [
        ta.exp,
        ta.sqrt,
        ta.tanh,
        ta.sigmoid,
        ta.softmax,
        ta.mean,
        lambda x: x / 255,
        lambda x: x * 0.5,
        lambda x: ta.softmax_cross_entropy(x.reshape(1, 2), labels=[0]),
    ],
)
def test_integers_in_a_float_function_become_float32_or_are_refused_by_name(function, dtype):
    """NumPy would answer with float16, float32 or float64, by the size of the integer."""
    x = ta.Tensor(np.array([1, 1], dtype))
    try:
        assert function(x).dtype == F32
    except DTypeError as error:
        assert dtype in str(error)


def test_only_floats_may_require_a_gradient():
    for data in (np.arange(3), np.array([True])):
        with pytest.raises(DTypeError, match=str(data.dtype)):
            ta.Tensor(data, requires_grad=True)


def test_settle_dtypes_leaves_agreeing_arrays_alone():
    a, b = np.ones(2, F32), np.ones((3, 2), F32)
    settled = to_common_dtype([a, b], [True, False])
    assert settled[0] is a and settled[1] is b


# --- where an array lives ------------------------------------------------------------------------


def test_numpy_is_the_module_of_numpy_arrays():
    a = np.zeros(2)
    assert array_module(a) is np and to_numpy(a) is a and to_device(a, "cpu") is a


def test_arrays_of_cupy_are_given_to_cupy(monkeypatch):
    class Array:
        def get(self):
            return np.ones(2)

    Array.__module__ = "cupy._core.core"
    cupy = types.ModuleType("cupy")
    cupy.asarray = lambda array: Array()
    cupy.cuda = types.SimpleNamespace(is_available=lambda: True)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    there = to_device(np.ones(2), "cuda")
    assert isinstance(there, Array) and array_module(there) is cupy
    assert to_device(there, "cpu").tolist() == [1, 1]


def test_without_cupy_the_device_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError, match=r"cupy-cuda12x"):
        to_device(np.ones(2), "cuda")
    with pytest.raises(DeviceError, match="tpu"):
        to_device(np.ones(2), "tpu")


def test_cupy_without_a_gpu_is_refused_in_words(monkeypatch):
    cupy = types.ModuleType("cupy")
    cupy.cuda = types.SimpleNamespace(is_available=lambda: False)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(DeviceError, match="nvidia-smi"):
        to_device(np.ones(2), "cuda")
