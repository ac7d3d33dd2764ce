"""What a module accepts in its attributes, and what it rejects: parameters that would be missed."""

import collections
import functools
import threading
import types

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import DTypeError

X = np.random.default_rng(0).random((2, 5), np.float32)


def ones(*shape):
    return ta.Tensor(np.ones(shape, np.float32), requires_grad=True)


class Slotted:
    """An object without a dictionary."""

    __slots__ = ("y",)

    def __init__(self, y):
        self.y = y


def names(model):
    return [name for name, _ in model.named_tensors()]


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
    "object": lambda part: types.SimpleNamespace(x=part),
    "object with slots": Slotted,
    "UserList": lambda part: collections.UserList([part]),
    "UserDict": lambda part: collections.UserDict(a=part),
    "read-only dict": lambda part: types.MappingProxyType({"a": part}),
    "values of a dict": lambda part: {"a": part}.values(),
    "keys of a dict": lambda part: {part: "a"},
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


class LayerInSlots(ta.Module):
    __slots__ = ("fc",)

    def __init__(self):
        self.fc = ta.Linear(3, 2, rng=0)


def test_a_parameter_in_slots_is_rejected():
    with pytest.raises(TypeError, match=r"WithSlots.weight.*\(2, 3\) in __slots__"):
        WithSlots()
    with pytest.raises(TypeError, match=r"LayerInSlots.fc.*\(2,\) in __slots__"):
        LayerInSlots()


@pytest.mark.parametrize("place", [lambda part: part, lambda part: [part], *HIDING.values()])
@pytest.mark.parametrize("hidden", HIDDEN)
def test_a_parameter_of_the_class_is_rejected(hidden, place):
    class Mixin:
        weight = place(HIDDEN[hidden]())

    with pytest.raises(TypeError, match=r"Own.weight holds .* in the class.*in __init__"):

        class Own(Holding):
            weight = Mixin.weight

    with pytest.raises(TypeError, match=r"Mixed.weight holds .* in the class"):

        class Mixed(Mixin, Holding):
            pass


def test_other_attributes_of_a_class_may_be_anything():
    class Constants(Holding):
        config, constant, sizes = None, ta.Tensor(X), [1, 2]
        teacher = staticmethod(lambda: Holding(None))

    assert Constants(None).num_parameters == 18


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


@pytest.mark.parametrize("arrays", [None, [], ta.models.fc2()])
def test_load_arrays_takes_a_dict(arrays):
    with pytest.raises(TypeError, match=r"a dict of arrays by name, such as other\.arrays\(\)"):
        ta.models.fc2(rng=0).load_arrays(arrays)


def test_true_is_no_width():
    with pytest.raises(ta.errors.ShapeError, match="Linear needs whole numbers of 1 or more"):
        ta.Linear(3, True, rng=0)
