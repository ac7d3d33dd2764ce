"""The guard and memory that NumPy does not own: pickles, buffers, views, objects like arrays."""

import array as python_arrays
import collections
import contextlib
import ctypes
import mmap
import pickle
from multiprocessing import shared_memory

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import tinyadtn as ta


def leaf(array):
    return ta.Tensor(array, requires_grad=True)


# --- memory that NumPy does not own --------------------------------------------------------------


def pickled(protocol):
    def make(a, folder):
        return pickle.loads(pickle.dumps(a, protocol))

    return make


def out_of_band(kind):
    def make(a, folder):
        buffers = []
        data = pickle.dumps(a, 5, buffer_callback=buffers.append)
        return pickle.loads(data, buffers=[kind(b) for b in buffers])

    return make


def mapped(mode):
    def make(a, folder):
        a.tofile(folder / "array")
        return np.memmap(folder / "array", a.dtype, mode, shape=a.shape)

    return make


def from_mmap(a, folder):
    memory = mmap.mmap(-1, a.nbytes)
    memory[:] = a.tobytes()
    return np.frombuffer(memory, a.dtype).reshape(a.shape)


def from_ctypes(a, folder):
    memory = (ctypes.c_double * a.size)(*a.ravel())
    return np.ctypeslib.as_array(memory).reshape(a.shape)


def from_shared_memory(a, folder):
    name = shared_memory.SharedMemory(create=True, size=a.nbytes)
    array = np.ndarray(a.shape, a.dtype, buffer=name.buf)
    array[...] = a
    name.unlink()
    _kept.append(name)
    return array


def from_torch(a, folder):
    return pytest.importorskip("torch").from_numpy(a.copy()).clone().numpy()


_kept: list = []
SOURCES = {
    **{f"pickle {protocol}": pickled(protocol) for protocol in (2, 3, 4, 5)},
    "pickle, buffers": out_of_band(lambda b: b),
    "pickle, bytearrays": out_of_band(bytearray),
    "as_strided": lambda a, folder: as_strided(a.copy(), a.shape, a.strides),
    "view of as_strided": lambda a, folder: as_strided(a.copy(), a.shape, a.strides)[:, :],
    "bytearray": lambda a, folder: np.frombuffer(bytearray(a.tobytes())).reshape(a.shape),
    "memoryview": lambda a, folder: np.asarray(memoryview(a.copy())),
    "strided memoryview": lambda a, folder: np.asarray(memoryview(np.repeat(a, 2, 0))[::2]),
    "mmap": from_mmap,
    "ctypes": from_ctypes,
    "shared memory": from_shared_memory,
    "memmap r+": mapped("r+"),
    "memmap c": mapped("c"),
    "view of a memmap": lambda a, folder: mapped("r+")(a, folder)[:],
    "subclass": lambda a, folder: a.copy().view(Subclass),
    "matrix view": lambda a, folder: a.copy().view(Subclass)[:],
    "torch": from_torch,
    "Fortran order": lambda a, folder: np.asfortranarray(a),
    "view of a view": lambda a, folder: np.repeat(a, 2, 0)[::2][:, ::-1][:, ::-1],
    "negative strides": lambda a, folder: a[::-1].copy()[::-1],
    "pickled, in Fortran order": lambda a, folder: pickled(4)(np.asfortranarray(a), folder),
}
USES = {
    "factor": lambda x, a: x * a,
    "tensor": lambda x, a: x * ta.Tensor(a),
    "view": lambda x, a: x * ta.Tensor(a).reshape(-1).reshape(a.shape),
    "option": lambda x, a: options(x, factor=a),
    "option in a dict": lambda x, a: options(x, factor={"key": [(a,)]}),
}


class Subclass(np.ndarray):
    pass


@ta.op
def options(x, *, factor):
    if isinstance(factor, dict):
        factor = factor["key"][0][0]
    return x * factor, lambda g: np.asarray(g * factor)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("source", SOURCES)
def test_memory_of_every_source_is_guarded_and_given_back(source, use, tmp_path):
    """What NumPy can make read-only it rejects to write; of the rest a change is noticed."""
    values = np.arange(1.0, 7).reshape(3, 2)
    a = SOURCES[source](values, tmp_path)
    assert a.flags.writeable
    for end in ("backward", "dropped", "changed"):
        x = leaf(np.ones((3, 2)))
        y = USES[use](x, a)
        if end == "backward":
            y.backward(np.ones((3, 2)))
            np.testing.assert_array_equal(x.grad, values)
        if end == "changed" and use == "view" and isinstance(a.base, np.ndarray):
            continue  # a view that was there before still writes: NumPy does not report it
        if end == "changed":
            try:
                a[0, 0] = 9
            except ValueError:
                y.backward(np.ones((3, 2)))
            else:
                with contextlib.suppress(ta.errors.GraphError):
                    y.backward(np.ones((3, 2)))
            assert x.grad is None or x.grad[0, 0] == 1
        del y
        assert a.flags.writeable
        a[0, 0] = 1


@pytest.mark.parametrize("source", SOURCES)
def test_a_parameter_of_any_memory_owns_a_copy(source, tmp_path):
    a = SOURCES[source](np.arange(1.0, 7).reshape(3, 2), tmp_path)
    x = leaf(a)
    (x * x).backward(np.ones((3, 2)))
    np.testing.assert_array_equal(x.grad, 2 * a)
    x.data[0, 0] = 9
    assert a[0, 0] == 1 and a.flags.writeable and x.data.flags.owndata


# --- objects that are not arrays and share their memory ------------------------------------------


class WithInterface:
    def __init__(self, values):
        self.values, self.__array_interface__ = values, values.__array_interface__


class WithArray:
    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values


class OldWithArray(WithArray):
    def __array__(self, dtype=None):  # like torch's: np.array() of it issues a DeprecationWarning
        return self.values


FOREIGN = {
    "memoryview": memoryview,
    "interface": WithInterface,
    "array method": WithArray,
    "array method without copy": OldWithArray,
    "ctypes": lambda a: np.ctypeslib.as_ctypes(a),
    "torch": lambda a: pytest.importorskip("torch").from_numpy(a),
}
# name: (values, the op that takes them)
TAKERS = {
    "factor": ([1.0, 2, 4], lambda x, a: x * a),
    "factor, on the left": ([1.0, 2, 4], lambda x, a: ta.multiply(a, x)),
    "tensor": ([1.0, 2, 4], lambda x, a: x * ta.Tensor(a)),
    "index": ([0, 1], lambda x, a: x[a]),
    "index in a tuple": ([0, 1], lambda x, a: x[:, a]),
    "index in a list": ([0, 1], lambda x, a: x[[a]]),
    "mask": ([True, False], lambda x, a: x[a]),
    "condition": ([True, False, False], lambda x, a: ta.where(a, x, 0.0)),
    "labels": ([0, 1], lambda x, a: ta.softmax_cross_entropy(x, labels=a)),
    "option of one's own": ([1.0, 2, 4], lambda x, a: options(x, factor=a)),
    "in a dict": ([1.0, 2, 4], lambda x, a: options(x, factor={"key": [(a,)]})),
}


def gradient_of(use, given, change=lambda: None):
    x = leaf(np.arange(6.0).reshape(2, 3))
    y = use(x, given)
    change()
    y.backward(np.arange(1.0, y.size + 1).reshape(y.shape))
    return x.grad


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("kind", FOREIGN)
def test_an_object_that_shares_its_memory_is_copied(kind, taker):
    values, use = TAKERS[taker]
    if kind == "ctypes" and values[0] is True:
        pytest.skip("ctypes has no bool of NumPy's")
    values = np.array(values)
    before = gradient_of(use, FOREIGN[kind](values.copy()))
    given = FOREIGN[kind](values)

    def change():
        values[:] = values[::-1].copy()

    np.testing.assert_array_equal(gradient_of(use, given, change), before)


SEQUENCES = {
    "list": list,
    "array": lambda values: python_arrays.array("q", values),
    "deque": collections.deque,
    "UserList": collections.UserList,
}


@pytest.mark.parametrize("taker", ["index", "index in a tuple", "labels"])
@pytest.mark.parametrize("kind", SEQUENCES)
def test_a_sequence_is_copied(kind, taker):
    values, use = TAKERS[taker]
    before = gradient_of(use, np.array(values))
    given = SEQUENCES[kind](values)
    np.testing.assert_array_equal(gradient_of(use, given, lambda: given.reverse()), before)


def test_a_list_or_dict_of_arrays_may_be_refilled():
    """The arrays inside are read-only, and the op has its own list of them."""
    for kind in (lambda a: [(a,)], lambda a: collections.UserList([(a,)])):
        factor = {"key": kind(np.array([1.0, 2, 4]))}
        x = leaf(np.ones(3))
        y = options(x, factor=factor)
        factor["key"] = [(np.zeros(3),)]
        y.backward(np.ones(3))
        assert x.grad.tolist() == [1, 2, 4]


def test_a_0d_array_from_a_pickle():
    a = pickle.loads(pickle.dumps(np.array(3.0), 2))
    x = leaf(2.0)
    (x * a).backward()
    assert x.grad == 3 and a.flags.writeable


def test_an_op_of_ones_own_may_return_strided_windows():
    @ta.op
    def windows(a):
        def grad_a(g):
            share = np.zeros(a.shape)
            np.add.at(share, np.arange(3)[:, None] + np.arange(2), g)
            return share

        return as_strided(a, (3, 2), (8, 8)), grad_a

    for keep in (False, True):
        x = leaf(np.arange(4.0))
        y = windows(x)
        z = y * y
        if not keep:
            del y
        z.backward(np.ones((3, 2)))
        assert x.grad.tolist() == [0, 4, 8, 6] and x.data.flags.writeable
        assert not keep or not y.data.flags.writeable  # an op gets its arguments read-only


def test_a_model_from_a_pickle_computes_gradients():
    model = pickle.loads(pickle.dumps(ta.models.fc2(rng=0), 4))
    model(np.ones((1, 1, 28, 28), np.float32)).sum().backward()
    for parameter in model.parameters():
        assert parameter.grad is not None and parameter.data.flags.writeable
