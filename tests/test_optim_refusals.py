"""What an optimizer rejects: parameters, hyperparameters, steps, and subclasses."""

import math

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import GraphError, ShapeError, TinyADTNError
from tinyadtn.nn.optim import Optimizer

# --- what an optimizer takes ---------------------------------------------------------------------


def leaf(*values):
    return ta.Tensor(np.array(values, np.float32), requires_grad=True)


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": -1.0},
        {"learning_rate": math.nan},
        {"learning_rate": math.inf},
        {"clip": 0.0},
        {"clip": -1.0},
        {"weight_decay": -0.1},
        {"weight_decay": 11.0},  # times 0.1: each step would change the signs
        {"momentum": -0.1},
        {"momentum": 1.0},
    ],
)
def test_options_that_undo_learning_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ta.SGD([ta.Tensor([1.0], requires_grad=True)], **{"learning_rate": 0.1, **options})


def test_a_decay_that_makes_parameters_zero_is_the_limit():
    w = ta.Tensor([1.0], requires_grad=True)
    w.grad = np.zeros(1, np.float32)
    ta.SGD([w], 0.125, weight_decay=8.0).step()
    assert w.data == 0


def test_a_learning_rate_set_by_torchs_name_is_used():
    w = ta.Tensor([1.0], requires_grad=True)
    optimizer = ta.SGD([w], 0.1)
    optimizer.lr = 0.5
    w.grad = np.ones(1, np.float32)
    optimizer.step()
    assert w.data == 0.5 and optimizer.lr == optimizer.learning_rate == 0.5


def test_the_frame_alone_is_no_optimiser():
    w = ta.Tensor([1.0], requires_grad=True)
    w.grad = np.ones(1, np.float32)
    with pytest.raises(TypeError, match=r"Optimizer has no update.*SGD or Adam"):
        Optimizer([w], 0.1).step()


def test_a_gradient_of_another_shape_is_refused_before_anything_changes():
    first, second = (
        ta.Tensor(np.ones(3), requires_grad=True),
        ta.Tensor(np.ones(4), requires_grad=True),
    )
    optimizer = ta.Adam([first, second])
    second.data = np.ones(1)
    first.grad, second.grad = np.ones(3), np.ones(1)
    second.data = np.ones(4)
    with pytest.raises(ShapeError, match=r"parameter 1 has shape \(4,\), its gradient \(1,\)"):
        optimizer.step()
    assert (first.data == 1).all() and optimizer.count == 0


def twice(w):
    return [w, w]


MODEL = ta.Sequential(fc1=ta.Linear(3, 2, rng=0))
WRONG = {
    "a result": (lambda: [leaf(1, 2) * 0.1], GraphError, "not a leaf: multiply computed it"),
    "a result among leaves": (lambda: [leaf(1), leaf(1, 2).T], GraphError, "parameter 1.*leaf"),
    "no gradient": (lambda: [ta.Tensor([1.0])], GraphError, "requires no gradient"),
    "frozen": (
        lambda: [t for _, t in ta.freeze(MODEL, "*").named_tensors()],
        GraphError,
        "parameter 0, of shape .2, 3., requires no gradient",
    ),
    "all frozen": (lambda: ta.freeze(MODEL, "*").parameters(), TinyADTNError, "none: is the model"),
    "integers": (lambda: [ta.Tensor(np.arange(3))], GraphError, "requires no gradient"),
    "twice": (lambda: twice(leaf(1)), TinyADTNError, "parameter 1.* is parameter 0 once more"),
    "arrays": (lambda: [np.ones(3)], TypeError, "parameter 0 is a ndarray"),
    "an array": (lambda: np.ones(3), TypeError, "model.parameters.*parameter 0 is a float64"),
    "numbers": (lambda: [leaf(1), 2.0], TypeError, "parameter 1 is a float"),
    "none": (lambda: [], TinyADTNError, "model.parameters.*; got none"),
    "None": (lambda: None, TypeError, "got one NoneType"),
    "a generator used up": (lambda: iter(()), TinyADTNError, "a generator used up"),
    "a tensor": (lambda: leaf(1, 2), TypeError, "model.parameters.*; got one Tensor"),
    "a model": (lambda: MODEL, TypeError, "model.parameters.*; got one Sequential"),
    "a method": (lambda: MODEL.parameters, TypeError, "model.parameters.*; got one method"),
    "names and tensors": (MODEL.named_parameters, TypeError, "parameter 0 is a tuple"),
    "arrays by name": (MODEL.arrays, TypeError, "parameter 0 is a str"),
    "shapes only": (lambda: ta.Linear(3, 2).parameters(), GraphError, "build it with rng=0, or"),
}


@pytest.mark.parametrize("make", [lambda p: ta.SGD(p, 0.1), ta.Adam], ids=["SGD", "Adam"])
@pytest.mark.parametrize(("given", "error", "says"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_trained_is_refused_at_once(make, given, error, says):
    with pytest.raises(error, match=says):
        make(given())


@pytest.mark.parametrize("kind", [list, tuple, iter, lambda ps: (p for p in ps)])
def test_any_collection_of_leaves_is_taken(kind):
    w = leaf(1, 2)
    optimizer = ta.SGD(kind([w]), 0.5)
    (w * w).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(w.data, [0, 0])


# --- numbers that no optimizer can use -----------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"betas": (1.0, 0.9)},
        {"betas": (0.9, 1.0)},
        {"betas": (math.nan, 0.9)},
        {"betas": (-0.1, 0.9)},
        {"epsilon": -1.0},
        {"epsilon": math.nan},
    ],
)
def test_adam_rejects_options_that_divide_by_zero(options):
    with pytest.raises(ValueError, match="betas must be from 0 to below 1, and epsilon 0 or more"):
        ta.Adam([leaf(1, 2)], **options)


@pytest.mark.parametrize("rate", [math.nan, math.inf, -1.0])
def test_a_step_rejects_a_learning_rate_that_the_constructor_rejects(rate):
    w = leaf(1, 2)
    optimizer = ta.SGD([w], 0.1)
    (w * w).sum().backward()
    with pytest.raises(ValueError, match="learning_rate must be 0 or more and finite"):
        optimizer.step(rate)
    assert w.data.tolist() == [1, 2]


# name: (options that replace good ones, what the error says)
HYPERPARAMETERS = {
    "a text": ({"learning_rate": "a"}, "learning_rate must be a number, got 'a'"),
    "None": ({"learning_rate": None}, "learning_rate must be a number, got None"),
    "a bool": ({"learning_rate": True}, "learning_rate must be a number, got True"),
    "a tensor": ({"learning_rate": ta.Tensor(0.1)}, "learning_rate must be a number"),
    "complex": ({"learning_rate": 1j}, "learning_rate must be a number"),
    "a text as decay": ({"weight_decay": "0"}, "weight_decay must be a number"),
    "nan as decay": ({"weight_decay": math.nan}, "weight_decay must be 0 or more"),
    "infinite decay": ({"weight_decay": math.inf}, "weight_decay must be 0 or more"),
    "a text as clip": ({"clip": "1"}, "clip must be a number"),
    "a bool as clip": ({"clip": True}, "clip must be a number, got True"),
    "nan as clip": ({"clip": math.nan}, "clip must be above 0"),
}


@pytest.mark.parametrize("make", [ta.SGD, ta.Adam])
@pytest.mark.parametrize(("options", "says"), HYPERPARAMETERS.values(), ids=HYPERPARAMETERS)
def test_hyperparameters_of_any_other_type_are_rejected(make, options, says):
    with pytest.raises(ValueError, match=says):
        make([leaf(1, 2)], **{"learning_rate": 0.1, **options})


@pytest.mark.parametrize("momentum", ["a", None, True, math.nan, [0.9]])
def test_a_momentum_of_any_other_type_is_rejected(momentum):
    with pytest.raises(ValueError, match="momentum must be"):
        ta.SGD([leaf(1, 2)], 0.1, momentum=momentum)


@pytest.mark.parametrize(
    "options",
    [
        {"betas": 0.9},
        {"betas": (0.9,)},
        {"betas": "ab"},
        {"betas": ("a", 0.9)},
        {"betas": (True, 0.9)},
        {"epsilon": "a"},
        {"epsilon": None},
        {"epsilon": True},
    ],
    ids=str,
)
def test_adam_rejects_options_of_any_other_type(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        ta.Adam([leaf(1, 2)], **options)


@pytest.mark.parametrize("rate", ["a", True, [0.1]])
def test_a_step_rejects_a_learning_rate_of_any_other_type(rate):
    w = leaf(1, 2)
    optimizer = ta.Adam([w])
    (w * w).sum().backward()
    with pytest.raises(ValueError, match="learning_rate must be a number"):
        optimizer.step(rate)
    assert w.data.tolist() == [1, 2] and optimizer.count == 0


def test_numbers_of_numpy_are_hyperparameters():
    ta.SGD([leaf(1)], np.float32(0.1), momentum=np.float64(0.9), clip=np.int64(1))


# --- steps without gradients, and parameters that got other arrays --------------------------------


@pytest.mark.parametrize("make", [lambda p: ta.SGD(p, 0.1), ta.Adam], ids=["SGD", "Adam"])
def test_a_step_without_any_gradient_is_rejected_and_not_counted(make):
    w = leaf(1, 2)
    optimizer = make([w])

    def before_backward():
        pass

    def after_zero_grad():
        (w * w).sum().backward()
        optimizer.zero_grad()

    def under_no_grad():
        with ta.no_grad():
            (w * w).sum()

    for prepare in (before_backward, after_zero_grad, under_no_grad):
        prepare()
        with pytest.raises(GraphError, match=r"no parameter has a gradient: call backward\(\)"):
            optimizer.step()
        assert optimizer.count == 0 and w.data.tolist() == [1, 2]


OTHER_ARRAYS = {
    "another shape": lambda a: a.reshape(2, 1),
    "another length": lambda a: np.ones(3, a.dtype),
    "another dtype": lambda a: a.astype(np.float64),
}


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("other", OTHER_ARRAYS)
@pytest.mark.parametrize("make", [lambda p: ta.SGD(p, 0.1), ta.Adam], ids=["SGD", "Adam"])
def test_a_parameter_with_an_array_that_does_not_fit_the_state_is_rejected(make, other, steps):
    v, w = leaf(3, 4), leaf(1, 2)
    optimizer = make([v, w])

    def differentiate():
        optimizer.zero_grad()
        ((v * v).sum() + (w * w).sum()).backward()

    for _ in range(steps):
        differentiate()
        optimizer.step()
    w.data = OTHER_ARRAYS[other](w.data)
    differentiate()
    before = v.data.copy(), w.data.copy()
    with pytest.raises(ShapeError, match=r"parameter 1 is \(.*and was \(2,\).*new optimizer"):
        optimizer.step()
    np.testing.assert_array_equal(v.data, before[0])
    np.testing.assert_array_equal(w.data, before[1])
    assert optimizer.count == steps


def test_a_parameter_on_another_device_than_its_state_is_rejected(cuda):
    w = leaf(1, 2)
    optimizer = ta.SGD([w], 0.1)
    there = ta.to_device(leaf(3, 4), "cuda")
    w.data, w.grad = there.data, there.data
    with pytest.raises(ShapeError, match=r"float32 on cuda now, and was \(2,\) float32 on cpu"):
        optimizer.step()
    assert optimizer.count == 0 and w.data.get().tolist() == [3, 4]


@pytest.mark.parametrize("make", [lambda p: ta.SGD(p, 0.1), ta.Adam], ids=["SGD", "Adam"])
@pytest.mark.parametrize("change", [lambda ps: ps.append(leaf(1, 2)), lambda ps: ps.pop(0)])
def test_a_list_of_parameters_that_was_changed_is_rejected(make, change):
    optimizer = make([leaf(1, 2), leaf(3, 4)])
    change(optimizer.parameters)
    for p in optimizer.parameters:
        p.grad = p.data
    with pytest.raises(TinyADTNError, match=r"has arrays for 2 parameters, and there are [13] now"):
        optimizer.step()
    assert optimizer.count == 0 and optimizer.parameters[-1].data.tolist() in ([1, 2], [3, 4])


# name: (optimizer, an option, values that it rejects)
LATER = {
    "clip": (ta.SGD, -1.0, "clip must be above 0"),
    "weight_decay": (ta.SGD, math.nan, "weight_decay must be 0 or more"),
    "learning_rate": (ta.SGD, "0.1", "learning_rate must be a number"),
    "momentum": (ta.SGD, 1.5, "momentum must be from 0 to below 1"),
    "betas": (ta.Adam, (1.0, 1.0), "betas must be from 0 to below 1"),
    "epsilon": (ta.Adam, -1.0, "epsilon 0 or more"),
}


@pytest.mark.parametrize("name", LATER)
def test_an_option_that_is_changed_later_is_checked_by_the_next_step(name):
    make, value, words = LATER[name]
    w = leaf(1, 2)
    optimizer = make([w], 0.1)
    setattr(optimizer, name, value)
    (w * w).sum().backward()
    with pytest.raises(ValueError, match=words):
        optimizer.step()
    assert w.data.tolist() == [1, 2] and optimizer.count == 0


def test_a_parameter_may_get_other_values():
    w = leaf(1, 2)
    optimizer = ta.SGD([w], 0.5)
    for _ in range(2):
        w.data = np.array([3, 4], np.float32)
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        assert w.data.tolist() == [0, 0]


# --- optimizers of one's own ----------------------------------------------------------------------


def stepped(kind):
    w = leaf(1, 2)
    (w * w).sum().backward()
    kind([w], 0.5).step()
    return w.data.tolist()


def test_an_optimizer_of_ones_own_gets_data_gradient_rate_and_state():
    class Counting(Optimizer):
        slots = ("steps",)

        def update(self, data, gradient, lr, *memory):
            memory[0][...] += 1
            data -= lr * gradient * memory[0]

    assert stepped(Counting) == [0, 0]


def test_an_update_that_returns_the_new_values_is_rejected():
    class Returning(Optimizer):
        def update(self, data, gradient, lr, *memory):
            return data - lr * gradient

    with pytest.raises(TypeError, match=r"Returning.update must change data in place.*data -="):
        stepped(Returning)


def test_an_optimizer_without_update_or_with_a_text_as_slots_is_rejected():
    class Empty(Optimizer):
        pass

    class Text(Optimizer):
        slots = "velocity"

    with pytest.raises(TypeError, match=r"Empty has no update\(\)"):
        stepped(Empty)
    with pytest.raises(TypeError, match=r"Text.slots must be a tuple, got 'velocity'"):
        stepped(Text)


class Momentum(Optimizer):
    """Momentum that is kept where no state is saved."""

    def __init__(self, parameters, learning_rate, factor=None):
        super().__init__(parameters, learning_rate)
        self.factor, self.velocity = factor, {}

    def update(self, data, gradient, lr, *memory):
        self.keep(gradient)
        data -= lr * gradient * (1 if self.factor is None else self.factor)

    def keep(self, gradient):
        self.velocity["a"] = gradient.copy()


class Late(Momentum):
    def keep(self, gradient):
        self.last = [(gradient.copy(),)]


class InPlace(Momentum):
    def __init__(self, parameters, learning_rate):
        super().__init__(parameters, learning_rate)
        self.total = np.zeros(2)

    def keep(self, gradient):
        self.total += gradient


class Saving(Momentum):
    def state(self):
        return {**super().state(), "velocity": self.velocity}


class Constant(Momentum):
    def keep(self, gradient):
        pass


@pytest.mark.parametrize(
    ("kind", "name"), [(Momentum, "velocity"), (Late, "last"), (InPlace, "total")]
)
def test_state_that_is_not_saved_is_rejected(kind, name):
    with pytest.raises(TinyADTNError, match=f"{kind.__name__}.{name} is state.*slots"):
        stepped(kind)


def test_an_optimizer_may_hold_constants_and_save_its_state_itself():
    w = leaf(1, 2)
    (w * w).sum().backward()
    Constant([w], 0.5, np.array([1, 0], np.float32)).step()
    assert w.data.tolist() == [0, 2]
    assert stepped(Saving) == [0, 0]


def test_a_count_that_is_not_saved_warns():
    class Counting(Optimizer):
        steps = 0

        def update(self, data, gradient, lr, *memory):
            self.steps += 1
            data -= lr * gradient

    says = r"Counting.steps is state.*self.count has the number"
    with pytest.warns(UserWarning, match=says) as warned:
        assert stepped(Counting) == [0, 0]
    assert warned[0].filename == __file__  # the line that calls step


class Lost(Optimizer):
    """Momentum whose assignments make new arrays."""

    slots = ("mean",)
    in_place = False

    def update(self, data, gradient, lr, *memory):
        (mean,) = memory
        mean = 0.9 * mean + gradient
        if self.in_place:
            data -= lr * mean
        else:
            data = data - lr * mean


def test_an_update_without_effect_is_rejected(monkeypatch):
    with pytest.raises(TinyADTNError, match=r"Lost.update changed nothing: write data -= change"):
        stepped(Lost)
    w = leaf(1, 2)
    (w * w).sum().backward()
    Lost([w], 0.0).step()  # a learning rate of 0, as a schedule may begin with
    w.grad = np.zeros(2, np.float32)
    Lost([w], 0.5).step()  # a gradient of 0
    monkeypatch.setattr(Lost, "in_place", True)
    says = r"Lost.update left mean at zero: write mean\[...\] = new"
    with pytest.warns(UserWarning, match=says) as warned:
        assert stepped(Lost) == [0, 0]
    assert warned[0].filename == __file__


class LostData(Optimizer):
    """Momentum that remembers, and whose update is lost."""

    slots = ("mean",)

    def update(self, data, gradient, lr, *memory):
        (mean,) = memory
        mean += gradient
        data = data - lr * mean


def test_a_lost_update_with_good_slots_warns():
    with pytest.warns(UserWarning, match=r"LostData.update changed no parameter: write data -= ch"):
        stepped(LostData)


def test_torchs_name_of_an_option_names_ours():
    with pytest.raises(TypeError, match=r"did you mean learning_rate\?"):
        ta.Adam([leaf(1.0)], lr=1e-3)
    with pytest.raises(TypeError, match=r"did you mean kernel\?"):
        ta.Conv2d(1, 2, kernel_size=3)
    with pytest.raises(TypeError, match=r"did you mean axis\?"):
        leaf(1.0, 2.0).sum(dim=0)
    with pytest.raises(TypeError, match=r"did you mean keepdims\?"):
        ta.sum(leaf(1.0, 2.0), axis=0, keepdim=True)
