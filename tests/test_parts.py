"""The user's own optimizers, schedules and losses in ``train``: run, saved, resumed, rejected."""

import functools
import math

import numpy as np
import pytest
from test_train import net, small_data

import tinyadtn as ta
from tinyadtn.errors import CheckpointError, GraphError
from tinyadtn.files.state import read_state, write_state
from tinyadtn.nn.optim import Optimizer

PLAN = {"batch_size": 64, "epochs": 3}  # 300 images: 5 steps an epoch


@pytest.fixture(scope="module")
def data():
    return small_data()


class Heavy(Optimizer):
    """SGD with momentum, under other names."""

    slots = ("velocity",)

    def update(self, data, gradient, lr, *memory):
        memory[0][...] = data.dtype.type(0.9) * memory[0] + gradient
        data -= data.dtype.type(lr) * memory[0]


def steps_down(peak, steps):
    """Half of the learning rate in the second half."""
    return lambda step: peak if step < steps // 2 else peak / 2


def focal(logits, labels):
    """Focal loss with γ = 2."""
    log_p = logits - ta.logsumexp(logits, axis=1, keepdims=True)
    log_p = log_p[np.arange(len(labels)), labels]
    return -((1 - ta.exp(log_p)) ** 2 * log_p).mean()


class Alone:
    """An optimizer that is not derived from ours and takes two arguments."""

    def __init__(self, parameters, learning_rate):
        self.parameters, self.learning_rate = parameters, learning_rate
        self.total = np.zeros(1)

    def step(self, learning_rate=None):
        self.total += 1
        for p in self.parameters:
            p.data = p.data - np.float32(learning_rate or self.learning_rate) * p.grad

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    def state(self):
        return {"total": self.total}

    def load_state(self, state):
        self.total = np.array(state["total"])


def trained(data, *, model=None, stop=None, **options):
    model = model or net()
    steps = []
    for step in ta.train(model, data, **options):
        steps.append(step)
        if step.step == stop:
            break
    return model.arrays(), steps


def same(one, other):
    return all(one[name].tobytes() == other[name].tobytes() for name in one)


def test_parts_of_ones_own_do_what_the_known_ones_do(data):
    own = {"optimizer": Heavy, "schedule": lambda peak, steps: lambda step: peak}
    known = {"optimizer": "sgd", "momentum": 0.9, "schedule": "constant"}
    (one, ones), (other, others) = (
        trained(data, **PLAN, **parts, learning_rate=0.05) for parts in (own, known)
    )
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-5, atol=1e-6)
    assert [step.loss for step in ones] == pytest.approx([step.loss for step in others], rel=1e-5)
    assert ones[-1].loss < ones[0].loss


def test_the_schedule_gets_the_peak_and_all_steps(data):
    _, steps = trained(data, **PLAN, learning_rate=0.2, optimizer="sgd", schedule=steps_down)
    assert [step.learning_rate for step in steps] == [0.2] * 7 + [0.1] * 8


def test_numbers_of_numpy_are_learning_rates(tmp_path, data):
    def schedule(peak, steps):
        return lambda step: np.float32(peak)

    trained(data, batch_size=100, epochs=1, schedule=schedule, out=tmp_path / "run")


def test_classes_of_the_library_are_known_by_their_names(data):
    named = trained(data, **PLAN, optimizer="adam", schedule="cosine")[0]
    assert same(named, trained(data, **PLAN, optimizer=ta.Adam, schedule=ta.Cosine)[0])
    assert same(trained(data, **PLAN, schedule=ta.OneCycle)[0], trained(data, **PLAN)[0])


def test_weight_decay_and_clip_are_handed_on_if_they_are_given(data):
    got = []

    def make(parameters, learning_rate, **options):
        got.append(options)
        return Heavy(parameters, learning_rate, **options)

    for options in ({}, {"weight_decay": 0.1}, {"clip": 1.0, "weight_decay": 0.2}):
        trained(data, stop=1, optimizer=make, **options)
    assert got == [{}, {"weight_decay": 0.1}, {"clip": 1.0, "weight_decay": 0.2}]


PARTS = {
    "a subclass": {"optimizer": Heavy, "schedule": steps_down},
    "an optimizer alone": {"optimizer": Alone},
    "a partial": {"optimizer": functools.partial(ta.Adam, betas=(0.8, 0.9))},
    "a loss": {"loss": focal},
    "a schedule with options": {"schedule": functools.partial(ta.OneCycle, warmup=0.5)},
}


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("stop", [3, 5, 8])
def test_a_run_with_parts_of_ones_own_goes_on_bit_for_bit(name, stop, tmp_path, data):
    options = {**PLAN, **PARTS[name], "learning_rate": 0.01}
    whole = trained(data, **options)[0]
    trained(data, stop=stop, out=tmp_path, **options)
    last = tmp_path / "last.npz"
    resumed = trained(data, model=net(1), resume=last, **PARTS[name])
    assert same(whole, resumed[0]) and resumed[1][-1].step == 15


def test_a_run_is_not_resumed_without_its_parts_or_with_others(tmp_path, data):
    trained(data, stop=2, out=tmp_path, optimizer=Heavy, schedule=steps_down)
    last = tmp_path / "last.npz"
    assert read_state(last)[1]["plan"]["optimizer"] == f"{__name__}:Heavy"
    with pytest.raises(
        CheckpointError, match=r"optimizer='.*Heavy' is your own.*give it again with optimizer="
    ):
        trained(data, resume=last)
    with pytest.raises(CheckpointError, match=r"schedule='.*steps_down' is your own"):
        trained(data, resume=last, optimizer=Heavy)
    with pytest.raises(CheckpointError, match=r"planned with optimizer=.*Heavy, not .*Alone"):
        trained(data, resume=last, optimizer=Alone, schedule=steps_down)
    with pytest.raises(CheckpointError, match=r"planned with optimizer=.*Heavy, not adam"):
        trained(data, resume=last, optimizer="adam", schedule=steps_down)
    trained(data, stop=3, resume=last, optimizer=Heavy, schedule=steps_down)


def test_a_run_is_not_resumed_with_another_loss(tmp_path, data):
    trained(data, stop=2, out=tmp_path / "own", loss=focal)
    trained(data, stop=2, out=tmp_path / "known")
    own, known = tmp_path / "own" / "last.npz", tmp_path / "known" / "last.npz"
    with pytest.raises(CheckpointError, match=r"loss='.*focal' is your own.*again with loss="):
        trained(data, resume=own)
    with pytest.raises(CheckpointError, match=r"with loss=.*focal, not softmax_cross_entropy"):
        trained(data, resume=own, loss=ta.softmax_cross_entropy)
    with pytest.raises(CheckpointError, match=r"with loss=softmax_cross_entropy, not .*focal"):
        trained(data, resume=known, loss=focal)
    arrays, meta = read_state(known)  # a file from before there was a choice
    del meta["plan"]["loss"]
    write_state(known, arrays, meta)
    with pytest.raises(CheckpointError, match=r"with loss=softmax_cross_entropy, not .*focal"):
        trained(data, resume=known, loss=focal)
    trained(data, stop=3, resume=known, loss="softmax_cross_entropy")


# --- losses --------------------------------------------------------------------------------------


def test_a_loss_of_ones_own_is_minimized_and_judged(data):
    def cross_entropy(logits, labels):
        return (ta.logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels]).mean()

    known, own = trained(data, **PLAN), trained(data, **PLAN, loss=cross_entropy)
    for name in known[0]:
        np.testing.assert_allclose(own[0][name], known[0][name], rtol=1e-4, atol=1e-5)
    model = net()
    _, steps = trained(data, model=model, **PLAN, loss=focal)
    (last,) = steps[-1:]
    assert last.validation == ta.evaluate(model, data.validation, loss=focal)
    assert last.validation.loss < 0.9 * ta.evaluate(model, data.validation).loss
    # The loss of an image is at most its cross-entropy, and the mean is over images.
    value = focal(model(data.validation.images), data.validation.labels).item()
    assert last.validation.loss == pytest.approx(value, rel=1e-5)
    assert ta.evaluate(model, data.validation, batch_size=7, loss=focal).loss == pytest.approx(
        value
    )


def test_a_loss_may_be_negative_also_after_a_resume(tmp_path, data):
    def likelihood(logits, labels):
        return -ta.softmax(logits)[np.arange(len(labels)), labels].mean()

    whole, _ = trained(data, **PLAN, loss=likelihood)
    _, steps = trained(data, stop=7, out=tmp_path, **PLAN, loss=likelihood)
    assert -1 < steps[-1].loss < 0
    rest, _ = trained(data, model=net(1), resume=tmp_path / "last.npz", loss=likelihood)
    assert same(whole, rest)


def test_the_options_of_a_partial_are_a_part_of_its_name(tmp_path, data):
    trained(data, stop=2, out=tmp_path, optimizer=functools.partial(ta.Adam, epsilon=0.1))
    with pytest.raises(CheckpointError, match=r"partial\(adam, epsilon=0.1\), not"):
        trained(
            data,
            resume=tmp_path / "last.npz",
            optimizer=functools.partial(ta.Adam, epsilon=0.2),
        )


# --- what is wrong -------------------------------------------------------------------------------


class NeedsMore(Optimizer):
    def __init__(self, parameters, learning_rate, power):
        super().__init__(parameters, learning_rate)


class Stateless:
    def __init__(self, parameters, learning_rate):
        self.parameters = parameters

    def step(self, learning_rate):
        pass


class OddState(Alone):
    def state(self):
        return [self.total]


class ObjectState(Alone):
    def state(self):
        return {"total": {1, 2}}


# name: (options of train, the error, what it says)
WRONG = {
    "an instance": (
        {"optimizer": Alone([], 0.1)},
        ValueError,
        r"optimizer must be one of adam, sgd, got .*Alone.*called with \(parameters, learning_rate",
    ),
    "a number": ({"schedule": 0.1}, ValueError, "schedule must be one of one_cycle"),
    "None": ({"optimizer": None}, ValueError, "optimizer must be one of adam, sgd, got None"),
    "another argument": (
        {"optimizer": NeedsMore},
        TypeError,
        r"NeedsMore is called with \(parameters, learning_rate\): missing .*'power'",
    ),
    "no clip": (
        {"optimizer": Alone, "clip": 1.0},
        TypeError,
        r"Alone is called with \(parameters, learning_rate, clip=…\): got an unexpected",
    ),
    "no state": (
        {"optimizer": Stateless},
        TypeError,
        "made a Stateless without zero_grad, state, load_state; derive it from",
    ),
    "a list as state": ({"optimizer": OddState}, TypeError, r"state\(\) must return a dict of"),
    "a set in the state": ({"optimizer": ObjectState}, TypeError, r"state\(\) must return a dict"),
    "nothing": ({"optimizer": lambda p, lr: None}, TypeError, "made a NoneType without parameters"),
    "a function of the step": (
        {"schedule": lambda step: 0.1},
        TypeError,
        r"called with \(peak, steps\): too many positional.*it returns a function of the step",
    ),
    "a schedule that was made already": (
        {"schedule": ta.OneCycle(0.1, 20)},
        TypeError,
        r"OneCycle is called with \(peak, steps\): too many positional",
    ),
    "a number from the schedule": (
        {"schedule": lambda peak, steps: peak},
        TypeError,
        "must return a function of the step, such as lambda step: peak; got 0.001",
    ),
    "a text as learning rate": (
        {"schedule": lambda peak, steps: lambda step: "fast"},
        ValueError,
        r"the learning rate that schedule .* gives for step 0 must be a number, got 'fast'",
    ),
    "an option that the loss lacks": (
        {"loss": lambda logits: logits.mean()},
        TypeError,
        r"loss .*lambda> is called with \(logits, labels\): too many positional arguments",
    ),
    "smoothing of another loss": (
        {"loss": focal, "label_smoothing": 0.1},
        ValueError,
        r"label_smoothing is an option of softmax_cross_entropy: smooth the labels in .*focal",
    ),
    "a name as loss": (
        {"loss": "cross_entropy"},
        ValueError,
        r"loss must be one of softmax_cross_entropy, got 'cross_entropy'.*called with \(logits, l",
    ),
    "a loss of each image": (
        {"loss": lambda logits, labels: logits[np.arange(len(labels)), labels]},
        TypeError,
        r"must return a Tensor of one number, the mean over the batch.*; got shape \(64,\)",
    ),
    "a loss by NumPy": (
        {"loss": lambda logits, labels: np.mean(logits.numpy())},
        TypeError,
        r"must return a Tensor of one number.*ops of tinyadtn computed.*; got float32",
    ),
    "a loss without the network": (
        {"loss": lambda logits, labels: ta.Tensor(1.0)},
        GraphError,
        "nothing to differentiate",
    ),
    "a negative learning rate": (
        {"schedule": lambda peak, steps: lambda step: peak * (5 - step)},
        ValueError,
        r"gives learning rate -0.0\d+ for step 7",
    ),
    "nan": (
        {"schedule": lambda peak, steps: lambda step: math.nan},
        ValueError,
        "gives learning rate nan for step 0",
    ),
}


@pytest.mark.parametrize(("options", "error", "says"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_a_part_is_named_before_the_first_step(options, error, says, data):
    model = net()
    before = model.arrays()
    with pytest.raises(error, match=says):
        trained(data, model=model, **PLAN, **options)
    assert same(before, model.arrays())


def test_a_learning_rate_that_goes_wrong_later_is_named(data):
    def schedule(peak, steps):
        return lambda step: -1.0 if step == 4 else peak

    with pytest.raises(
        ValueError, match=r"schedule .*schedule gives learning rate -1.0 for step 4"
    ):
        trained(data, **PLAN, schedule=schedule)
