"""SGD and Adam against a few lines of float64 NumPy; the schedules at the points that matter."""

import math
from itertools import pairwise

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import GraphError, ShapeError, TinyADTNError
from tinyadtn.nn import optim
from tinyadtn.nn.optim import Optimizer

STEPS = 20
RATES = [0.05 / (1 + k) for k in range(STEPS)]


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


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": -1.0},
        {"learning_rate": math.nan},
        {"learning_rate": math.inf},
        {"clip": 0.0},
        {"clip": -1.0},
        {"weight_decay": -0.1},
        {"momentum": -0.1},
        {"momentum": 1.0},
    ],
)
def test_options_that_undo_learning_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ta.SGD([ta.Tensor([1.0], requires_grad=True)], **{"learning_rate": 0.1, **options})


@pytest.mark.parametrize("warmup", [-0.1, 2, math.nan])
def test_a_warmup_is_a_share_of_the_steps(warmup):
    with pytest.raises(ValueError, match=f"share of the steps, from 0 to 1, got {warmup}"):
        ta.OneCycle(0.1, 10, warmup=warmup)


def test_the_frame_alone_is_no_optimiser():
    w = ta.Tensor([1.0], requires_grad=True)
    w.grad = np.ones(1, np.float32)
    with pytest.raises(TypeError, match="SGD or Adam"):
        Optimizer([w], 0.1).step()


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
    assert a.data[0] < 1 > b.data[0]
    loss = (a * b).sum()  # the old gradients are still there
    with pytest.raises(GraphError, match="no parameter has a new gradient"):
        optimizer.step()
    loss.backward()
    optimizer.step()
    assert optimizer.count == 2


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


# --- schedules -----------------------------------------------------------------------------------


def test_one_cycle_at_its_key_points():
    schedule = ta.OneCycle(peak=2.0, steps=200, warmup=0.25)
    assert schedule(0) == pytest.approx(2 / 25)
    assert schedule(25) == pytest.approx((2 + 2 / 25) / 2)
    assert schedule(50) == pytest.approx(2)
    assert schedule(125) == pytest.approx((2 + 2e-4) / 2)
    assert schedule(200) == pytest.approx(2e-4)


def test_one_cycle_goes_up_and_then_down():
    rates = [ta.OneCycle(peak=1.0, steps=100)(k) for k in range(101)]
    assert rates[:31] == sorted(rates[:31])
    assert rates[30:] == sorted(rates[30:], reverse=True)
    assert len(set(rates)) > 98
    assert max(abs(b - a) for a, b in pairwise(rates)) < 0.06  # no jump


def test_cosine_at_its_key_points():
    schedule = ta.Cosine(peak=2.0, steps=100, floor=0.5)
    assert [schedule(k) for k in (0, 50, 100)] == pytest.approx([2, 1.25, 0.5])
    rates = [schedule(k) for k in range(101)]
    assert rates == sorted(rates, reverse=True)
    assert schedule(25) == pytest.approx(0.5 + 1.5 * (1 + math.sqrt(0.5)) / 2)


@pytest.mark.parametrize(
    "schedule",
    [
        ta.OneCycle(peak=1.0, steps=1),
        ta.OneCycle(peak=1.0, steps=10, warmup=0.0),
        ta.OneCycle(peak=1.0, steps=10, warmup=1.0),
        ta.OneCycle(peak=1.0, steps=0),
        ta.Cosine(peak=1.0, steps=1),
        ta.Cosine(peak=1.0, steps=0),
    ],
)
def test_short_and_one_sided_schedules_stay_between_zero_and_the_peak(schedule):
    rates = [schedule(k) for k in range(schedule.steps + 1)]
    assert all(0 <= rate <= 1 for rate in rates)


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
