"""detect_anomaly: it names the op, and the line of the user, behind the first NaN."""

import asyncio
import contextvars
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.autodiff.engine import op
from tinyadtn.errors import NonFiniteError


def test_anomaly_names_the_op_that_went_bad_going_forward():
    x = ta.Tensor([1.0, 0.0, -1.0])
    with ta.detect_anomaly(), np.errstate(all="ignore"):
        with pytest.raises(NonFiniteError, match="log gave 2 of 3"):
            ta.exp(ta.log(x) * 0)
        with pytest.raises(NonFiniteError, match="divide gave 1 of 3"):
            1 / x
        with pytest.raises(NonFiniteError, match=r"^where gave"):
            ta.where(np.array([True, False, False]), np.nan, x)


def test_anomaly_names_the_op_that_went_bad_going_backward():
    @op
    def treacherous(a):
        return a * 1, lambda g: g * np.nan

    x = ta.Tensor([1.0, 2.0], requires_grad=True)
    with (
        ta.detect_anomaly(),
        pytest.raises(NonFiniteError, match="gradient of treacherous gave 2 of 2"),
    ):
        (treacherous(x * 3) * 2).sum().backward()
    assert x.grad is None


def this_line(offset=0):
    """``file:line`` of the caller, as an error tells it."""
    frame = inspect.currentframe().f_back
    return f"{Path(__file__).relative_to(Path.cwd())}:{frame.f_lineno + offset}"


@pytest.fixture
def in_the_repository(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[1])


def test_anomaly_names_the_line_of_the_forward_pass(in_the_repository):
    x = ta.Tensor([1.0, 0.0])
    with ta.detect_anomaly(), np.errstate(all="ignore"):
        good = ta.exp(x)
        with pytest.raises(NonFiniteError) as caught:
            line = this_line(1)
            bad = ta.log(x) * 2 + good
            bad.sum()
    assert str(caught.value) == (
        f"log gave 1 of 2 values that are not finite, called at {line}: bad = ta.log(x) * 2 + good"
    )


@pytest.mark.parametrize("kind", ["op", "composed", "operator", "method"])
def test_anomaly_names_the_line_through_every_door(kind, in_the_repository):
    x = ta.Tensor([np.inf, 1.0])
    doors = {
        "op": lambda: ta.multiply(x, 2.0),
        "composed": lambda: ta.mean(x),
        "operator": lambda: 2.0 - x,
        "method": lambda: x.sum(),
    }
    with ta.detect_anomaly(), pytest.raises(NonFiniteError, match=f'"{kind}": lambda: '):
        doors[kind]()


def test_anomaly_names_the_line_of_a_gradient_that_was_made_going_forward(in_the_repository):
    x = ta.Tensor([0.0, 1.0], requires_grad=True)
    with ta.detect_anomaly(), np.errstate(divide="ignore"):
        line = this_line(1)
        root = ta.sqrt(x)
        later = (root * 3).sum()
        with pytest.raises(NonFiniteError) as caught:
            later.backward()
    assert f"gradient of sqrt gave 1 of 2 values that are not finite, called at {line}: root" in (
        str(caught.value)
    )


def test_anomaly_names_the_line_inside_the_users_own_layer(in_the_repository):
    class Own(ta.Module):
        def forward(self, x, *, training=False, rng=None):
            return ta.log(x - 5)  # the culprit

    model = ta.Sequential(flatten=ta.Flatten(), own=Own())
    with (
        ta.detect_anomaly(),
        np.errstate(invalid="ignore"),
        pytest.raises(NonFiniteError, match=r"test_anomaly\.py:\d+: return ta\.log.*# the culprit"),
    ):
        model(np.ones((1, 1, 2, 2), np.float32))


def test_anomaly_looks_past_what_stands_between(in_the_repository):
    """``decoded`` is a context manager: contextlib called the op, and is nobody's code."""
    model = ta.compress(ta.models.fc2(hidden=8, rng=0), {"fc1": 1}, rng=0)
    model.fc1.weight.columns[0].data[0, 0, 0] = np.nan
    switch = ta.detect_anomaly()

    def decode():
        with switch, ta.decoded(model):
            pass

    with pytest.raises(NonFiniteError, match=r"test_anomaly\.py:\d+: with switch, ta\.decoded"):
        decode()


def test_anomaly_says_what_was_bad_before_the_op(in_the_repository):
    x, y = ta.Tensor([1.0, np.nan]), ta.Tensor([1.0, 2.0])
    for function, had in [
        (lambda: y * x, "its argument 2"),
        (lambda: x * y, "its argument 1"),
        (lambda: ta.add(x, x), "its argument 1 and 2"),
    ]:
        with ta.detect_anomaly(), pytest.raises(NonFiniteError) as caught:
            function()
        assert str(caught.value).endswith(f"; not finite already: {had}")


def test_anomaly_knows_no_line_of_a_graph_that_was_made_before():
    x = ta.Tensor([0.0], requires_grad=True)
    root = ta.sqrt(x)
    quiet = np.errstate(divide="ignore")
    with ta.detect_anomaly(), quiet, pytest.raises(NonFiniteError) as caught:
        root.backward()
    assert str(caught.value) == "the gradient of sqrt gave 1 of 1 values that are not finite"


def test_anomaly_in_a_thread_that_runs_an_op_alone_has_no_line():
    caught = []

    def keep(error):
        caught.append(error.exc_value)

    before, threading.excepthook = threading.excepthook, keep
    try:
        with ta.detect_anomaly():
            # A thread starts with settings of its own: the op is run in a copy of these.
            run = contextvars.copy_context().run
            thread = threading.Thread(target=run, args=(ta.multiply, np.array([np.nan]), 1.0))
            thread.start()
            thread.join()
    finally:
        threading.excepthook = before
    assert str(caught[0]).endswith("values that are not finite; not finite already: its argument 1")


@pytest.mark.parametrize("pool", ["of threads", "of asyncio"])
def test_anomaly_blames_no_line_of_the_library_that_runs_the_pool(pool):
    bad = np.array([np.nan])
    with ta.detect_anomaly(), pytest.raises(NonFiniteError) as caught:
        if pool == "of threads":
            run = contextvars.copy_context().run
            with ThreadPoolExecutor(1) as threads:
                threads.submit(run, ta.multiply, bad, 1.0).result()
        else:
            asyncio.run(asyncio.to_thread(ta.multiply, bad, 1.0))
    assert str(caught.value).endswith("are not finite; not finite already: its argument 1")


def test_anomaly_blames_the_seed_and_not_the_op(in_the_repository):
    x = ta.Tensor([1.0, 2.0], requires_grad=True)
    with (
        ta.detect_anomaly(),
        pytest.raises(NonFiniteError, match=r"given to backward\(\) gave 1 of 2.*backward\(np"),
    ):
        (x * 2).backward(np.array([np.nan, 1.0]))


@pytest.mark.parametrize("through", ["a leaf", "a node"])
def test_anomaly_finds_gradients_that_are_too_large_together(through, in_the_repository):
    x = ta.Tensor(np.array([1e-9], np.float32), requires_grad=True)
    with ta.detect_anomaly(), np.errstate(over="ignore"):
        y = x if through == "a leaf" else x * 1
        loss = y * 2e38 + y * 2e38  # either slope fits into float32, the two together do not
        with pytest.raises(NonFiniteError, match=r"sum of gradients up to multiply gave 1 of 1"):
            loss.backward()


def test_anomaly_costs_a_plain_op_no_look_at_its_numbers(monkeypatch):
    """Off, neither the numbers nor the stack are looked at, forward or backward."""
    for name in ("check_finite", "calling_line"):
        monkeypatch.setattr(f"tinyadtn.autodiff.rules.{name}", lambda *_: pytest.fail("it looked"))
    y = (ta.Tensor([1.0, 2.0], requires_grad=True) * 2).sum()
    y.backward()
    assert y.node is not None


def test_anomaly_at_the_square_root_of_zero():
    x = ta.Tensor([0.0, 1.0], requires_grad=True)
    with (
        ta.detect_anomaly(),
        np.errstate(divide="ignore"),
        pytest.raises(NonFiniteError, match="gradient of sqrt gave 1 of 2"),
    ):
        ta.sqrt(x).backward(np.ones(2))


def test_without_the_switch_nan_passes_through():
    x = ta.Tensor([np.nan, 1.0], requires_grad=True)
    (x * 2).backward(np.ones(2))
    assert x.grad.tolist() == [2, 2]
    with ta.detect_anomaly():
        pass
    assert np.isnan((x * 2).data[0])


def test_integers_are_never_an_anomaly():
    with ta.detect_anomaly():
        assert ta.Tensor(np.arange(3)).max().item() == 2
