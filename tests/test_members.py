"""What belongs to a module: parameters and buffers do, and what forward passes leave does not."""

import abc
import collections
import contextlib
import copy
import dataclasses
import functools
import multiprocessing
import pickle
import threading
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import TinyADTNError
from tinyadtn.nn.surgery import dense

X = np.random.default_rng(0).random((2, 5), np.float32)


def ones(*shape):
    return ta.Tensor(np.ones(shape, np.float32), requires_grad=True)


class Pair(NamedTuple):
    """Two tensors that a forward pass keeps."""

    x: Any
    y: Any


@dataclasses.dataclass
class Record:
    """An object that is not a module."""

    x: Any
    y: Any


class Slotted:
    """An object without a dictionary."""

    __slots__ = ("y",)

    def __init__(self, y):
        self.y = y


class Keeping(ta.Module):
    """A parameter, an encoded layer, running statistics, and every place to keep something."""

    def __init__(self, where=""):
        self.where = where
        self.first = None  # before the parameters, so that its name would come first
        self.weight = ones(5, 3)
        self.fc = ta.Linear(3, 3, rng=0)
        self.fc.weight = ta.ADTN((3, 3), rng=0)
        self.mean = ta.Tensor(np.zeros(3, np.float32))
        self.state = {"gain": ones(3), "mean": ta.Tensor(np.zeros(3, np.float32))}
        self.kept_list, self.kept_dict, self.kept_tuple = [], {}, ()
        self.counter = collections.Counter()

    def forward(self, x, *, training, rng):
        y = (x @ self.weight) * self.state["gain"]
        if training:
            batch = y.mean(axis=0).detach()
            self.mean = 0.9 * self.mean + 0.1 * batch
            self.state["mean"] = ta.Tensor(0.9 * self.state["mean"].data + 0.1 * batch.data)
        getattr(self, f"keep_{self.where}", lambda x, y: None)(x, y)
        self.counter.update(["calls"])
        return self.fc(y)

    def keep_attribute(self, x, y):
        self.out = y

    def keep_list(self, x, y):
        self.kept_list.append(y)

    def keep_dict(self, x, y):
        self.kept_dict["last"] = y

    def keep_dict_of_members(self, x, y):
        self.state["out"] = y

    def keep_tuple(self, x, y):
        self.kept_tuple = Pair(x, y)

    def keep_nested(self, x, y):
        self.kept_dict["last"] = [(x, {"y": y})]

    def keep_input(self, x, y):
        self.x = x

    def keep_inputs(self, x, y):
        self.kept_list.append(x)

    def keep_logits_without_graph(self, x, y):
        with ta.no_grad():
            self.logits = self.fc(y)

    def keep_parameter(self, x, y):
        self.first = self.weight

    def keep_decoded(self, x, y):
        self.first = dense(self.fc.weight)

    def keep_decoded_without_graph(self, x, y):
        with ta.no_grad():
            self.first = [dense(self.fc.weight)]

    def keep_deque(self, x, y):
        self.first = collections.deque([x, (y,)], maxlen=3)

    def keep_set(self, x, y):
        self.first = {x, y}

    def keep_frozenset(self, x, y):
        self.first = frozenset([y])

    def keep_partial(self, x, y):
        self.first = functools.partial(ta.add, x, b=y)

    def keep_array_of_objects(self, x, y):
        self.first = np.array([None, [x, y]], dtype=object)

    def keep_object(self, x, y):
        self.first = Record(x, [y])

    def keep_object_with_slots(self, x, y):
        self.first = collections.deque([Slotted(y)])

    def keep_mapping(self, x, y):
        self.first = collections.UserDict(x=x, y=y)

    def keep_list_in_itself(self, x, y):
        self.first = [y]
        self.first.append(self.first)

    def keep_itself(self, x, y):
        self.first = (self, y)

    def keep_members_in_a_deque(self, x, y):
        self.first = collections.deque([self.weight, self.fc, y])

    def keep_cores(self, x, y):
        self.first = list(getattr(self.fc.weight, "columns", ()))


PLACES = [name.removeprefix("keep_") for name in vars(Keeping) if name.startswith("keep_")]
NAMES = [
    "weight",
    "fc.weight.scale",
    "fc.weight.columns.0",
    "fc.weight.columns.1",
    "fc.bias",
    "mean",
    "state.gain",
    "state.mean",
]
BATCHES = {
    "array": lambda: X,
    "tensor": lambda: ta.Tensor(X),
    "tensor that requires a gradient": lambda: ta.Tensor(X, requires_grad=True),
}


def names(model):
    return [name for name, _ in model.named_tensors()]


def used(where, batch="array", recorded=True):
    """A model after three forward passes."""
    model = Keeping(where)
    with contextlib.nullcontext() if recorded else ta.no_grad():
        for _ in range(3):
            model(BATCHES[batch](), training=True)
    return model


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "no_grad"])
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("where", PLACES)
def test_what_a_forward_pass_keeps_belongs_to_no_model(where, batch, recorded):
    new, model = Keeping(where), used(where, batch, recorded)
    assert names(new) == names(model)
    assert sorted(names(model)) == sorted(NAMES)
    assert model.num_parameters == new.num_parameters == 15 + 3 + 3 + (2 * 4 + 16)


every_place = pytest.mark.parametrize("where", PLACES)
COPIES = {
    "copy": lambda model: model.copy(),
    "copy.copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "to_device": lambda model: ta.to_device(model, "cpu"),
    **{f"pickle {n}": lambda m, n=n: pickle.loads(pickle.dumps(m, n)) for n in range(2, 6)},
}


@every_place
@pytest.mark.parametrize("again", COPIES.values(), ids=COPIES)
def test_a_model_that_was_used_is_copied(where, again):
    model = used(where)
    twin = again(model)
    assert names(twin) == names(model)
    for name, array in model.arrays().items():
        np.testing.assert_array_equal(twin.arrays()[name], array)
    np.testing.assert_array_equal(twin(X).data, model(X).data)
    assert names(twin) == names(model)


@every_place
def test_a_model_that_was_used_is_saved_and_loaded(tmp_path, where):
    model, new = used(where), Keeping(where)
    ta.save(tmp_path / "model.npz", model)
    ta.load(tmp_path / "model.npz", into=new)
    np.testing.assert_array_equal(new(X).data, model(X).data)
    ta.load(tmp_path / "model.npz", into=model)


@every_place
def test_a_model_that_was_used_is_frozen_and_still_saved_whole(where):
    frozen = ta.freeze(used(where), "weight", "fc", "state.gain")
    assert sorted(names(frozen)) == sorted(NAMES)
    assert frozen.num_parameters == 0
    frozen(X, training=True)
    assert sorted(names(frozen.copy())) == sorted(NAMES)


@every_place
def test_a_model_that_was_used_is_compressed_and_decompressed(where):
    model = used(where)
    model.fc.weight = dense(model.fc.weight).detach()
    small = ta.compress(model, {"fc": ta.LowRank.like(1)}, rng=0)
    small(X)  # a kept list of cores would hold those of the replaced weight until then
    assert small.num_parameters == 15 + 3 + 3 + (3 + 3)
    assert sorted(names(ta.decompress(small))) == sorted(
        ["fc.weight", *(name for name in NAMES if not name.startswith("fc.weight."))]
    )
    with ta.decoded(small) as ready:
        ready(X)


@every_place
def test_a_model_that_keeps_things_is_trained(where):
    model = Keeping(where)
    optimizer = ta.Adam(model.parameters(), 0.01)
    losses = []
    for _ in range(30):
        loss = ta.mean_squared_error(model(X, training=True), np.zeros((2, 3), np.float32))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert [id(p) for p in model.parameters()] == [id(p) for p in optimizer.parameters]


def test_the_gradient_of_an_input_still_arrives():
    x = ta.Tensor(X, requires_grad=True)
    layer = ta.Linear(5, 3, rng=0)
    layer(x).sum().backward()
    np.testing.assert_allclose(x.grad, np.broadcast_to(layer.weight.data.sum(0), X.shape), 1e-6)


def test_a_parameter_that_no_longer_requires_a_gradient_is_a_buffer():
    model = Keeping()
    for parameter in model.parameters():
        parameter.requires_grad = False
    assert sorted(model.arrays()) == sorted(NAMES)
    assert model.num_parameters == 0


def test_a_parameter_that_is_computed_from_others_is_none():
    model = Keeping()
    model.weight = model.weight * 2
    assert "weight" not in dict(model.named_parameters())
    assert "weight" in model.arrays()


def test_parameters_and_buffers_that_come_after_init():
    model = Keeping()
    model.extra = ones(2)
    model.more = [ones(2), ta.Tensor(X)]
    model.register_buffer("limit", ta.Tensor(np.float32(3)))
    late = ["extra", "limit", "more.0"]
    assert sorted(names(model)) == sorted([*NAMES, *late])
    frozen = ta.freeze(model, "extra", "more")
    assert sorted(names(frozen)) == sorted([*NAMES, *late])


def test_modules_may_be_abstract():
    class Frame(ta.Module, abc.ABC):
        @abc.abstractmethod
        def forward(self, x, *, training, rng): ...

    class Twice(Frame):
        def forward(self, x, *, training, rng):
            return 2 * x

    assert Twice()(X).data.max() <= 2
    with pytest.raises(TypeError, match="abstract"):
        Frame()


def test_a_module_may_contain_itself():
    model = Keeping()
    model.me = model
    model.fc.owner = model
    model.rest = [model, {"again": model}]
    model.rest.append(model.rest)
    assert sorted(names(model)) == sorted(NAMES)
    assert repr(model).count("Keeping") == 1
    for name in COPIES.keys() - {"copy.copy"}:  # which shares fc, and so its owner
        twin = COPIES[name](model)
        assert sorted(names(twin)) == sorted(NAMES)
        assert twin.me is twin and twin.fc.owner is twin
    small = ta.compress(ta.Sequential(inner=model), {"inner.fc": ta.LowRank.like(1)}, rng=0)
    assert small.inner.me is small.inner and small.inner.fc.owner is small.inner
    ta.freeze(model, "fc")


# --- processes and threads -----------------------------------------------------------------------


def output(model):
    return model(X).data


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_model_goes_to_another_process_and_comes_back(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    model = used("nested")
    with multiprocessing.get_context(method).Pool(1) as pool:
        found, twin = pool.apply_async(answer, (model,)).get(timeout=120)
    np.testing.assert_array_equal(found, output(model))
    np.testing.assert_array_equal(output(twin), output(model))


def answer(model):
    return output(model), model


def test_threads_share_a_model():
    model, found = used("attribute"), [None] * 8
    expected = output(model)

    def work(k):
        for _ in range(20):
            model.num_parameters  # noqa: B018
            found[k] = output(model)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for one in found:
        np.testing.assert_array_equal(one, expected)


@pytest.mark.parametrize("nested", [False, True])
def test_two_tensors_of_one_name_are_rejected_before_one_is_lost(nested):
    """A training run saves arrays() without save()."""
    module = ta.Linear(2, 2, rng=0)
    module.parts = {"a.b": ones(1), "a": {"b": ones(2)}} if nested else {1: ones(1), "1": ones(2)}
    with pytest.raises(TinyADTNError, match="two tensors are called parts"):
        module.arrays()
