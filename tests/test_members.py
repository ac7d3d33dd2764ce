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
from tinyadtn.errors import DTypeError
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


# --- parameters where the walk does not look ------------------------------------------------------


class Holding(ta.Module):
    def __init__(self, thing):
        self.fc = ta.Linear(5, 3, rng=0)
        self.thing = thing

    def forward(self, x, *, training, rng):
        return self.fc(x)


class WithSlots(ta.Module):
    __slots__ = ("weight",)

    def __init__(self):
        self.weight = ones(2, 3)


def filled(array, part):
    array[0] = part
    return array


HIDING = {
    "set": lambda part: {part},
    "frozenset": lambda part: frozenset([part]),
    "deque": lambda part: collections.deque([part]),
    "array of objects": lambda part: filled(np.empty(2, dtype=object), part),
    "partial": lambda part: functools.partial(print, part),
    "partial, by keyword": lambda part: functools.partial(print, end=part),
    "object": lambda part: Record(part, 1),
    "object with slots": Slotted,
    "UserList": lambda part: collections.UserList([part]),
    "UserDict": lambda part: collections.UserDict(a=part),
    "deque in a list": lambda part: [{"a": collections.deque([part])}],
    "list in a set's object": lambda part: {Slotted([part])},
}
HIDDEN = {"parameter": lambda: ones(2, 3), "layer": lambda: ta.Linear(3, 2, rng=0)}


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("place", HIDING)
def test_a_parameter_that_would_be_missed_is_rejected(place, hidden):
    thing = HIDING[place](HIDDEN[hidden]())
    says = r"Holding.thing holds a parameter of shape \(2, 3\).*neither trained nor saved"
    with pytest.raises(TypeError, match=says.replace(r"\(2, 3\)", r"\(2, 3\)|\(2,\)")):
        Holding(thing)
    model = Holding(None)
    model.thing = thing
    for use in (model.parameters, model.arrays, lambda: model.num_parameters):
        with pytest.raises(TypeError, match="neither trained nor saved"):
            use()
    with pytest.raises(TypeError, match="neither trained nor saved"):
        ta.Sequential(inner=model)


def test_a_parameter_in_slots_is_rejected():
    with pytest.raises(TypeError, match=r"WithSlots.weight.*\(2, 3\) in __slots__"):
        WithSlots()


@pytest.mark.parametrize("place", HIDING)
def test_members_buffers_and_other_objects_may_be_anywhere(place):
    """The walk finds the member in its attribute; other tensors are not parameters."""
    model = Holding(None)
    for part in (model.fc.weight, model.fc, ta.Tensor(X), 3, threading.Lock()):
        model.thing = HIDING[place](part)
        assert model.num_parameters == 18 and names(model) == ["fc.weight", "fc.bias"]


def test_an_optimizer_may_be_an_attribute_and_a_function_holds_what_does_not_belong():
    model, teacher = Holding(None), Holding(None)
    model.optimizer = ta.Adam(model.parameters())
    model.teacher = lambda: teacher
    assert model.num_parameters == 18


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


# --- forward adds nothing ------------------------------------------------------------------------


class Lazy(ta.Module):
    """It tries to create a part at its first call."""

    def __init__(self, make, inside=False):
        self.fc = ta.Linear(5, 3, rng=0)
        self.inner = ta.Linear(3, 3, rng=0)
        self.layers = [ta.ReLU()]
        self.make, self.late, self.inside = make, None, inside

    def forward(self, x, *, training, rng):
        (self.inner if self.inside else self).late = self.make(self)
        return self.inner(self.fc(x))


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda self: ones(3),
        lambda self: ta.Linear(3, 3, rng=0),
        lambda self: [ta.Linear(3, 3, rng=0)],
        lambda self: {"a": (1, ones(3))},
        lambda self: ta.ReLU(),
    ],
)
def test_forward_cannot_add_parameters_or_layers(make, inside):
    model = Lazy(make, inside)
    with pytest.raises(TypeError, match=r"late: forward\(\) cannot add.*in __init__"):
        model(X)
    before = model.num_parameters
    model.late = make(model)  # outside of forward it is a member like any other
    assert model.num_parameters >= before and model.late is not None


def test_forward_may_keep_members_and_build_modules_that_it_does_not_keep():
    def temporary(self):
        other = ta.Linear(3, 3, rng=0)
        other.bias = ones(3)
        return other(ta.Tensor(X[:, :3]))

    for make in (lambda self: self.fc, lambda self: self.layers, lambda self: self, temporary):
        model = Lazy(make)
        before = names(model)
        model(X)
        assert names(model) == before


# --- doors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (lambda: ta.Linear(4, 3, rng=0), "weight", np.ones((3, 4))),
        (lambda: ta.Linear(4, 3, rng=0), "weight", [[1.0] * 4] * 3),
        (lambda: ta.Linear(4, 3, rng=0), "weight", np.ma.ones((3, 4))),
        (lambda: ta.Linear(4, 3, rng=0), "bias", 0.0),
        (lambda: ta.Linear(4, 3), "weight", np.ones((3, 4))),
        (lambda: ta.Conv2d(1, 1, 3, rng=0), "weight", np.float32(1)),
        (lambda: ta.BatchNorm2d(3), "running_mean", np.ones(3)),
        (lambda: ta.Normalize(3), "mean", np.ones(3)),
        (lambda: ta.ADTN((4, 4), rng=0), "scale", 2.0),
        (lambda: ta.models.fc2(rng=0), "fc1", np.ones((256, 784))),
        (lambda: ta.models.fc2(rng=0), "relu_fc1", ta.relu),
    ],
)
def test_only_tensors_and_modules_take_their_place(owner, name, value):
    module = owner()
    before = getattr(module, name)
    with pytest.raises(TypeError, match=rf"{name} must be a Tensor or a Module, got .*ta\.Tensor"):
        setattr(module, name, value)
    assert getattr(module, name) is before


def test_a_layer_may_lose_its_bias_and_get_one():
    layer = ta.Linear(5, 3, rng=0)
    layer.bias = None
    assert names(layer) == ["weight"]
    layer.bias = ones(3)
    assert layer.num_parameters == 18


def test_masks_do_not_get_lost_at_the_doors_of_a_module():
    model, masked = ta.Linear(5, 3, rng=0), np.ma.masked_equal(np.zeros(3, np.float32), 0)
    with pytest.raises(DTypeError, match="mask"):
        model(np.ma.masked_less(X, 0.5))
    before = model.arrays()
    with pytest.raises(DTypeError, match=r"bias: a masked array would lose its mask"):
        model.load_arrays({**before, "bias": masked})
    np.testing.assert_array_equal(model.bias.data, before["bias"])


def test_subclasses_of_arrays_are_loaded_as_plain_copies(tmp_path):
    mapped = np.memmap(tmp_path / "bias", np.float32, "w+", shape=(3,))
    mapped[:] = 1, 2, 3
    model = ta.Linear(5, 3, rng=0)
    model.load_arrays({**model.arrays(), "bias": mapped})
    assert type(model.bias.data) is np.ndarray
    assert not np.shares_memory(model.bias.data, mapped)
    np.testing.assert_array_equal(model(X).data, model(X.view(np.recarray)).data)


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
