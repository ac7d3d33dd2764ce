"""SGD and Adam against a few lines of float64 NumPy, and all that an optimizer rejects."""

import copy
import math
import multiprocessing
import pickle
import threading

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import GraphError, TinyADTNError
from tinyadtn.nn import optim

STEPS = 20
RATES = [0.05 / (1 + k) for k in range(STEPS)]


def leaf(*values):
    return ta.Tensor(np.array(values, np.float32), requires_grad=True)


def start(seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(3, 4)), rng.normal(size=5)]


def slopes(step, values):
    """Gradients that depend on the parameters and on the step, with very different sizes."""
    rng = np.random.default_rng([7, step])
    return [0.3 * v + s * rng.normal(size=v.shape) for v, s in zip(values, (1.0, 1e-3))]


def clipped(gradients, clip):
    norm = math.sqrt(sum((g**2).sum() for g in gradients))
    return gradients if clip is None or norm <= clip else [g * (clip / norm) for g in gradients]


def sgd_reference(momentum=0.0, weight_decay=0.0, clip=None):
    values = start()
    velocity = [np.zeros_like(v) for v in values]
    for step, lr in enumerate(RATES):
        for k, g in enumerate(clipped(slopes(step, values), clip)):
            velocity[k] = momentum * velocity[k] + g
            values[k] = (1 - lr * weight_decay) * values[k] - lr * velocity[k]
    return values


def adam_reference(betas=(0.9, 0.999), epsilon=1e-8, weight_decay=0.0, clip=None):
    values = start()
    m, v = ([np.zeros_like(x) for x in values] for _ in range(2))
    for step, lr in enumerate(RATES):
        for k, g in enumerate(clipped(slopes(step, values), clip)):
            m[k] = betas[0] * m[k] + (1 - betas[0]) * g
            v[k] = betas[1] * v[k] + (1 - betas[1]) * g**2
            m_hat = m[k] / (1 - betas[0] ** (step + 1))
            v_hat = v[k] / (1 - betas[1] ** (step + 1))
            values[k] = values[k] - lr * (
                m_hat / (np.sqrt(v_hat) + epsilon) + weight_decay * values[k]
            )
    return values


def run(make, steps=range(STEPS), tensors=None, dtype=np.float64):
    """Parameters after the steps, and the optimiser."""
    if tensors is None:
        tensors = [ta.Tensor(v.astype(dtype), requires_grad=True) for v in start()]
    optimizer = make(tensors)
    advance(optimizer, steps)
    return [t.data for t in tensors], optimizer


def advance(optimizer, steps):
    for step in steps:
        optimizer.zero_grad()
        gradients = slopes(step, [t.data for t in optimizer.parameters])
        for t, g in zip(optimizer.parameters, gradients):
            t.grad = g.astype(t.dtype)
        optimizer.step(RATES[step])


OPTIONS = [{}, {"weight_decay": 0.3}, {"clip": 0.5}, {"clip": 0.5, "weight_decay": 0.1}]


@pytest.mark.parametrize("options", [o | m for o in OPTIONS for m in ({}, {"momentum": 0.9})])
def test_sgd_follows_its_formula(options):
    values, _ = run(lambda t: ta.SGD(t, 1.0, **options))
    for value, expected in zip(values, sgd_reference(**options), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "options", [*OPTIONS, {"betas": (0.5, 0.9)}, {"epsilon": 0.1}, {"epsilon": 1e-3, "clip": 1e-3}]
)
def test_adam_follows_its_formula(options):
    values, _ = run(lambda t: ta.Adam(t, 1.0, **options))
    for value, expected in zip(values, adam_reference(**options), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("make", [lambda t: ta.SGD(t, 1.0, momentum=0.9), lambda t: ta.Adam(t)])
def test_single_precision_stays_single_and_near(make):
    values, optimizer = run(make, dtype=np.float32)
    exact, _ = run(make)
    for value, expected in zip(values, exact):
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-5)
    assert {array.dtype for slot in optimizer.memory for array in slot} == {np.dtype(np.float32)}


def test_the_reference_would_notice_forgotten_momentum_and_corrections():
    """The formulas above differ from their usual mistakes by more than the tolerance."""
    assert np.abs(sgd_reference(momentum=0.9)[0] - sgd_reference()[0]).max() > 0.1
    assert np.abs(adam_reference(clip=0.5)[0] - adam_reference()[0]).max() > 1e-4
    coupled = sgd_reference(momentum=0.9, weight_decay=0.3)[0]
    assert np.abs(coupled - sgd_reference(momentum=0.9)[0]).max() > 1e-2


def test_the_rate_given_at_the_start_is_used_when_none_is_given():
    w = ta.Tensor([1.0], requires_grad=True)
    w.grad = np.ones(1, np.float32)
    ta.SGD([w], 0.25).step()
    assert w.data == 0.75


def test_a_small_gradient_is_not_clipped():
    w = ta.Tensor([1.0, 1.0], requires_grad=True)
    w.grad = np.array([0.3, 0.4], np.float32)
    ta.SGD([w], 1.0, clip=0.5000001).step()
    np.testing.assert_allclose(w.data, [0.7, 0.6], rtol=1e-6)


def test_zero_gradients_can_be_clipped():
    w = ta.Tensor([1.0], requires_grad=True)
    w.grad = np.zeros(1, np.float32)
    ta.SGD([w], 1.0, clip=1.0).step()
    assert w.data == 1


def test_a_parameter_without_gradient_stays():
    a, b = (ta.Tensor([1.0], requires_grad=True) for _ in range(2))
    a.grad = np.ones(1, np.float32)
    ta.Adam([a, b], 0.1, weight_decay=0.5).step()
    assert b.data == 1 != a.data


def test_zero_grad_forgets():
    w = ta.Tensor([1.0], requires_grad=True)
    (w * w).backward()
    ta.SGD([w], 0.1).zero_grad()
    assert w.grad is None


# --- state ---------------------------------------------------------------------------------------

MAKERS = {
    "sgd": lambda t: ta.SGD(t, 1.0, momentum=0.9, weight_decay=0.1),
    "adam": lambda t: ta.Adam(t, weight_decay=0.1, clip=1.0),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("stop", [0, 1, 7, 19])
def test_a_saved_state_goes_on_bit_for_bit(make, stop):
    expected, _ = run(make)
    values, first = run(make, steps=range(stop))
    state = first.state()
    tensors = [ta.Tensor(v.copy(), requires_grad=True) for v in values]
    advance(first, range(stop, STEPS))  # the saved state does not follow
    second = make(tensors)
    second.load_state(state)
    advance(second, range(stop, STEPS))
    for t, e in zip(tensors, expected, strict=True):
        np.testing.assert_array_equal(t.data, e)


def test_the_names_of_the_state():
    _, adam = run(MAKERS["adam"], steps=range(3))
    assert set(adam.state()) == {"count", "mean.0", "mean.1", "square.0", "square.1"}
    assert adam.state()["count"] == 3
    _, sgd = run(MAKERS["sgd"], steps=range(1))
    assert set(sgd.state()) == {"count", "velocity.0", "velocity.1"}


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.pop("mean.1"),
        lambda s: s.pop("count"),
        lambda s: s.update({"mean.1": np.ones(1)}),  # would broadcast
        lambda s: s.update({"square.0": np.ones((4, 3))}),
        lambda s: s.update({"velocity.0": np.ones((3, 4))}),
    ],
)
def test_a_state_of_another_run_is_refused_and_changes_nothing(change):
    _, adam = run(MAKERS["adam"], steps=range(3))
    state = {name: np.asarray(value) + 1 for name, value in adam.state().items()}
    change(state)
    before = {name: np.array(value) for name, value in adam.state().items()}
    with pytest.raises(TinyADTNError, match="state"):
        adam.load_state(state)
    for name, value in adam.state().items():
        np.testing.assert_array_equal(value, before[name])


# --- the guard -----------------------------------------------------------------------------------


def test_a_step_before_backward_is_refused_and_changes_nothing():
    a, b = (ta.Tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    loss = (a * b).sum()
    optimizer = ta.Adam([a, b], 0.1)
    with pytest.raises(GraphError, match="backward"):
        optimizer.step()
    np.testing.assert_array_equal(a.data, [1, 2])
    assert optimizer.count == 0
    loss.backward()
    optimizer.step()
    assert a.data[0] < 1 > b.data[0] and optimizer.count == 1


@pytest.mark.parametrize("left", [lambda a: None, lambda a: a.sum(), lambda a: (a * a).sum()])
def test_two_steps_may_use_the_same_gradient_whatever_graph_is_alive(left):
    a = ta.Tensor([1.0, 2.0], requires_grad=True)
    optimizer = ta.SGD([a], 0.25)
    (a * a).sum().backward()
    optimizer.step()
    alive = left(a)
    optimizer.step()
    np.testing.assert_array_equal(a.data, [0, 0])
    del alive


def test_a_graph_that_was_left_behind_stops_no_step_and_keeps_its_numbers():
    """That of a notebook's cell that failed, say: its traceback keeps it alive."""
    a = ta.Tensor([1.0, 2.0], requires_grad=True)
    optimizer = ta.SGD([a], 0.1)
    left = (a * a * a).sum()
    (a * a).sum().backward()
    optimizer.step()
    np.testing.assert_allclose(a.data, [0.8, 1.6], rtol=1e-6)
    optimizer.zero_grad()
    left.backward()
    np.testing.assert_allclose(a.grad, [3, 12])  # 3a² of the a that it was computed from


# --- parts of a parameter ------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [ta.SGD, ta.Adam])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_parameter_that_is_changed_part_by_part_gets_the_same_bits(monkeypatch, optimizer, order):
    """The F order has no flat parts and is changed as a whole."""

    def trained(chunk):
        monkeypatch.setattr(optim, "CHUNK", chunk)
        rng = np.random.default_rng(0)
        p = ta.Tensor(np.array(rng.normal(size=(3, 11)), np.float32, order=order), True)
        steps = optimizer([p], 0.1, weight_decay=0.1, clip=0.5)
        parts = []
        update = steps.update
        steps.update = lambda *a: parts.append(a[0].size) or update(*a)
        for _ in range(3):
            p.grad = rng.normal(size=p.shape).astype(np.float32)
            steps.step()
        return p.data, steps.memory, parts

    data, memory, parts = trained(8)
    whole, whole_memory, whole_parts = trained(33)
    assert whole_parts == [33] * 3
    assert parts == ([8, 8, 8, 8, 1] * 3 if order == "C" else [33] * 3)
    np.testing.assert_array_equal(data, whole)
    np.testing.assert_array_equal(memory, whole_memory)


# --- whose memory --------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [ta.SGD, ta.Adam])
@pytest.mark.parametrize(
    "of",
    [
        lambda a: a,
        lambda a: a[:],
        lambda a: a[::-1],
        lambda a: a.view(np.recarray),
        lambda a: np.frombuffer(a.data, np.float32),
    ],
    ids=["itself", "slice", "reversed", "subclass", "buffer"],
)
def test_what_parameters_were_made_of_stays_as_it_is(optimizer, of):
    """Two parameters of the same memory, and the caller's array: training one changes it alone."""
    w0 = np.zeros(3, np.float32)
    a, b = (ta.Tensor(of(w0), requires_grad=True) for _ in range(2))
    steps = optimizer([a], 0.1)
    for _ in range(3):
        ((a - 1) * (a - 1)).sum().backward()
        steps.step()
        steps.zero_grad()
    assert (w0 == 0).all() and (b.data == 0).all() and (a.data > 0).all()


def test_modules_that_share_an_array_are_trained_apart():
    w0 = np.ones((2, 3), np.float32)
    one, other = ta.Linear(3, 2, rng=0), ta.Linear(3, 2, rng=0)
    for layer in (one, other):
        layer.weight = ta.Tensor(w0, requires_grad=True)
    steps = ta.SGD(one.parameters(), 0.1)
    other_steps = ta.SGD(other.parameters(), 0.1, weight_decay=0.5)
    one(np.ones((1, 3), np.float32)).sum().backward()
    steps.step()
    assert (w0 == 1).all() and (other.weight.data == 1).all() and (one.weight.data < 1).all()
    other(np.ones((1, 3), np.float32)).sum().backward()
    other_steps.step()
    assert (w0 == 1).all() and (one.weight.data == np.float32(0.9)).all()


def test_an_array_that_is_given_between_steps_stays_as_it_is():
    w, w0 = leaf(1, 2), np.ones(2, np.float32)
    steps = ta.SGD([w], 0.1)
    for data in (w.data, w0):
        w.data = data
        (w * w).sum().backward()
        steps.step()
        steps.zero_grad()
    assert (w0 == 1).all() and (w.data < 1).all()


def test_later_steps_are_in_place():
    w = leaf(1, 2)
    steps, seen = ta.Adam([w]), []
    for _ in range(4):
        (w * w).sum().backward()
        steps.step()
        seen.append(w.data)
    assert all(data is seen[0] for data in seen)


# --- pickle, copies, processes, threads ----------------------------------------------------------


def trained(optimizer, steps):
    """The optimizer, further by some steps."""
    for _ in range(steps):
        (w,) = optimizer.parameters
        (w * w).sum().backward()
        optimizer.step(0.1)
        optimizer.zero_grad()
    return optimizer


def further(optimizer):
    return trained(optimizer, 3).parameters[0].data, optimizer.state()


AGAIN = {
    "deepcopy": copy.deepcopy,
    **{f"pickle {n}": lambda o, n=n: pickle.loads(pickle.dumps(o, n)) for n in range(2, 6)},
}
every_again = pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)


@every_again
@pytest.mark.parametrize("steps", [0, 1, 5])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_an_optimizer_is_copied_before_and_after_its_first_step(make, steps, again):
    optimizer = trained(make([leaf(1, -2, 3)]), steps)
    twin = again(optimizer)
    np.testing.assert_array_equal(further(twin)[0], further(optimizer)[0])
    for name, value in optimizer.state().items():
        np.testing.assert_array_equal(twin.state()[name], value)


@every_again
def test_a_copied_optimizer_goes_on_with_the_copied_model(again):
    model = ta.Sequential(fc1=ta.Linear(3, 2, rng=0), fc2=ta.Linear(2, 1, rng=1))
    optimizer, x = ta.Adam(model.parameters(), 0.1), np.ones((4, 3), np.float32)

    def step(model, optimizer):
        (model(x) * model(x)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        return model.arrays()

    step(model, optimizer)
    before = model.arrays()
    twin, twins = again((model, optimizer))
    assert [id(p) for p in twin.parameters()] == [id(p) for p in twins.parameters]
    found = step(twin, twins)
    for name, array in before.items():
        np.testing.assert_array_equal(model.arrays()[name], array)  # the original stays
    for name, array in step(model, optimizer).items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_an_optimizer_goes_to_another_process_and_comes_back(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    optimizer = trained(ta.Adam([leaf(1, -2, 3)]), 2)
    with multiprocessing.get_context(method).Pool(1) as pool:
        data, state = pool.apply_async(further, (optimizer,)).get(timeout=120)
        twin = pool.apply_async(trained, (optimizer, 3)).get(timeout=120)
    expected, expected_state = further(optimizer)
    np.testing.assert_array_equal(data, expected)
    np.testing.assert_array_equal(twin.parameters[0].data, expected)
    for name, value in expected_state.items():
        np.testing.assert_array_equal(state[name], value)


def test_optimizers_in_threads_do_not_disturb_each_other():
    expected, found = further(ta.Adam([leaf(1, -2, 3)]))[0], [None] * 8

    def work(k):
        found[k] = further(ta.Adam([leaf(1, -2, 3)]))[0]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(found))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for data in found:
        np.testing.assert_array_equal(data, expected)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_state_that_could_not_all_be_loaded_changes_nothing(monkeypatch, error):
    optimizer, calls = trained(ta.Adam([leaf(1, -2, 3)]), 2), []
    before = optimizer.state()

    def asarray_like(value, array):
        calls.append(value)
        if len(calls) == 2:
            raise error
        return value

    monkeypatch.setattr(optim, "asarray_like", asarray_like)
    with pytest.raises(error):
        optimizer.load_state({k: np.asarray(v) + 1 for k, v in before.items()})
    for name, value in optimizer.state().items():
        np.testing.assert_array_equal(value, before[name])


def test_masked_states_are_refused():
    adam = ta.Adam([leaf(1, 2)])
    state = adam.state() | {"mean.0": np.ma.masked_equal(np.zeros(2, np.float32), 0)}
    with pytest.raises(TinyADTNError, match=r"mean\.0: a masked array would lose its mask"):
        adam.load_state(state)


def test_gradients_whose_squares_overflow_are_clipped_to_the_norm():
    w = ta.Tensor(np.zeros(2, np.float32), requires_grad=True)
    w.grad = np.array([3e25, 4e25], np.float32)
    with np.errstate(over="ignore"):
        ta.SGD([w], 1.0, clip=1.0).step()
    np.testing.assert_allclose(w.data, [-0.6, -0.8], rtol=1e-6)
