"""The switches (no_grad, detect_anomaly, unprotected): nesting, exceptions, generators, threads."""

import asyncio
import contextlib
import contextvars
import inspect
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from test_interrupts import Interrupter

import tinyadtn as ta
from tinyadtn.autodiff import modes, switch
from tinyadtn.autodiff.engine import op
from tinyadtn.autodiff.modes import isolated, looking_for_nan, protecting, recording
from tinyadtn.compression import timing
from tinyadtn.draw.matrices import cut_spectrum
from tinyadtn.errors import NonFiniteError

X = ta.Tensor(np.array([1.0, 2.0]), requires_grad=True)


def records():
    return (X * 2).requires_grad


def test_no_grad_nests_and_ends():
    assert records()
    with ta.no_grad():
        assert not records()
        with ta.no_grad():
            assert not records()
        assert not records()
    assert records()


def test_no_grad_ends_with_an_exception():
    with pytest.raises(KeyError), ta.no_grad():
        raise KeyError
    assert records()


def test_one_switch_may_be_used_again_and_inside_itself():
    switch = ta.no_grad()
    for _ in range(2):
        with switch, switch:
            assert not records()
        assert records()


def test_under_no_grad_nothing_is_kept():
    with ta.no_grad():
        y = X * 2
    assert y.node is None and X.data.flags.writeable


def test_a_decorated_function():
    @ta.no_grad()
    def function(depth):
        """Its name and text stay."""
        return records() if depth == 0 else function(depth - 1)

    assert not function(0) and not function(3) and records()
    assert function.__name__ == "function" and function.__doc__ == "Its name and text stay."


def test_a_decorated_generator_switches_only_while_it_runs():
    @ta.no_grad()
    def generator():
        for _ in range(3):
            yield records()
        return "end"

    found = []
    steps = generator()
    try:
        while True:
            found.append((next(steps), records()))
    except StopIteration as stop:
        assert stop.value == "end"
    assert found == [(False, True)] * 3


def test_a_decorated_generator_receives_what_is_sent_thrown_and_closed():
    events = []

    class FalsyError(Exception):
        def __bool__(self):
            return False

    @ta.no_grad()
    def generator():
        try:
            events.append((yield 1))
            try:
                yield 2
            except FalsyError:
                events.append(("caught", records()))
                yield 3
        finally:
            events.append(("closed", records()))

    steps = generator()
    assert next(steps) == 1
    assert steps.send("sent") == 2
    assert steps.throw(FalsyError()) == 3
    assert records()
    steps.close()
    assert events == ["sent", ("caught", False), ("closed", False)]
    assert records()


def test_a_generator_that_raises_leaves_the_switch_as_it_was():
    @ta.no_grad()
    def generator():
        yield 1
        raise KeyError

    steps = generator()
    next(steps)
    with pytest.raises(KeyError):
        next(steps)
    assert records()


def test_every_thread_has_its_own_setting():
    inside, seen = threading.Barrier(2), {}

    def work(name, switch):
        if switch:
            with ta.no_grad():
                inside.wait(10)
                seen[name] = records()
                inside.wait(10)
        else:
            inside.wait(10)
            seen[name] = records()
            inside.wait(10)

    with ta.no_grad():  # of the main thread: nobody else notices
        threads = [threading.Thread(target=work, args=(str(k), k == 0)) for k in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert seen == {"0": False, "1": True}


def test_a_decorated_function_may_run_in_two_threads_at_once():
    """The first to come is the first to go: a shared memory of "before" would mix them up."""
    both_are_in, first_is_out, seen = threading.Barrier(2, timeout=10), threading.Event(), {}

    @ta.no_grad()
    def function(name):
        both_are_in.wait()
        if name == "second":
            first_is_out.wait(10)

    def first():
        function("first")
        seen["first"] = records()
        first_is_out.set()

    def second():
        with ta.no_grad():
            function("second")
            seen["second"] = records()

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"first": True, "second": False}


def test_every_task_has_its_own_setting():
    async def work(switch):
        if not switch:
            await asyncio.sleep(0)
            return records()
        with ta.no_grad():
            await asyncio.sleep(0)
            return records()

    async def both():
        return await asyncio.gather(work(True), work(False))

    assert asyncio.run(both()) == [False, True]


def test_a_decorated_coroutine_switches_from_beginning_to_end():
    @ta.no_grad()
    async def work():
        """Its text stays."""
        before = records()
        await asyncio.sleep(0)
        return before, records()

    async def other():
        return records()

    async def both():
        return await asyncio.gather(work(), other())

    assert asyncio.run(both()) == [(False, False), True]
    assert inspect.iscoroutinefunction(work) and work.__doc__ == "Its text stays."


@pytest.mark.parametrize("switch", [ta.no_grad, ta.detect_anomaly, ta.unprotected])
def test_a_decorator_rejects_what_it_would_not_change(switch):
    async def steps():
        yield records()

    class Model:
        def forward(self):
            return records()

    with pytest.raises(TypeError, match=f"{switch.__name__} cannot decorate a class, .*Model"):
        switch()(Model)
    with pytest.raises(TypeError, match=r"cannot decorate an async generator, .*steps: write with"):
        switch()(steps)


@pytest.mark.parametrize("switch", [ta.no_grad, ta.detect_anomaly, ta.unprotected])
def test_a_decorator_without_parentheses_is_rejected(switch):
    with pytest.raises(TypeError, match=rf"{switch.__name__} takes nothing: write .*\(\)$"):
        switch(records)


# --- detect_anomaly ------------------------------------------------------------------------------


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
        pytest.raises(NonFiniteError, match=r"test_modes\.py:\d+: return ta\.log.*# the culprit"),
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

    with pytest.raises(NonFiniteError, match=r"test_modes\.py:\d+: with switch, ta\.decoded"):
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
    y = (X * 2).sum()
    y.backward()
    X.grad = None
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


def test_no_switch_outlives_the_call_of_an_isolated_function():
    """As where Ctrl-C falls into the end of a ``with`` block, before it restores the switch."""

    @isolated
    def interrupted(value):
        ta.no_grad().__enter__()
        ta.detect_anomaly().__enter__()
        ta.unprotected().__enter__()
        if value is None:
            raise KeyboardInterrupt
        return value

    assert interrupted(3) == 3
    with pytest.raises(KeyboardInterrupt):
        interrupted(None)
    assert (recording.get(), looking_for_nan.get(), protecting.get()) == (True, False, True)


def test_a_switch_works_without_with_and_in_an_exit_stack():
    switch = ta.no_grad()
    assert switch.__enter__() is switch and not records()
    with contextlib.ExitStack() as stack:
        stack.enter_context(ta.no_grad())
        assert not records()
    assert not records()
    assert not switch.__exit__(KeyError, KeyError(), None) and records()


ENCODED = ta.compress(ta.Sequential(fc=ta.Linear(4, 4, rng=0)), {"fc": 1}, rng=0)
SWITCHING = {
    "a with block": lambda: enter(ta.no_grad()),
    "a decorated function": ta.no_grad()(lambda: X * 2),
    "a decorated generator": lambda: list(ta.ADTN((4, 4), 1, rng=0).steps()),
    "decoded": lambda: enter(ta.decoded(ENCODED)),
    "a start": lambda: ta.LowRank((6, 8), 2, rng=0),
    "a start of MixT": lambda: ta.MixT((8, 8), ((2, 4), (4, 2)), width=2, rng=0),
    "a start of an ADTN": lambda: ta.ADTN((4, 4), 1, rng=0),
    "decompress": lambda: ta.decompress(ENCODED),
    "summary": lambda: ta.summary(ta.Sequential(own=Around()), (4,)),
    "timings": lambda: timing._timing("fc", ENCODED.fc, ta.Tensor(np.ones((2, 4), np.float32))),
    "cut_spectrum": lambda: cut_spectrum(ta.ADTN((4, 4), 1, rng=0)),
    "evaluate": lambda: ta.predict(ENCODED, np.ones((2, 4), np.float32)),
}


def enter(switch):
    with switch as inside:
        return inside


class Around(ta.Module):
    """A module of the user around a layer."""

    def __init__(self):
        self.fc = ta.Linear(4, 4, rng=0)

    def forward(self, x, *, training, rng):
        return self.fc(x)


class InTheSwitches(Interrupter):
    """Sends SIGINT at the k-th line of the files of the switches."""

    def __call__(self, frame, event, argument):
        there = frame.f_code.co_filename in (modes.__file__, switch.__file__)
        return super().__call__(frame, event, argument) if there else None


@pytest.mark.parametrize("switching", SWITCHING.values(), ids=list(SWITCHING))
def test_ctrl_c_in_a_switch_leaves_recording_switched_on(switching, monkeypatch):
    monkeypatch.setattr(timing, "FEWEST", 1)
    monkeypatch.setattr(timing, "SECONDS", 0.0)
    with InTheSwitches() as count:
        switching()
    assert count.lines > 0
    for line in range(1, count.lines + 1):
        with contextlib.suppress(KeyboardInterrupt), InTheSwitches(line):
            switching()
        token = recording.set(True)  # for the tests that follow
        assert token.old_value is not False, line


def entered(call):
    """The functions of the package that a call enters, as file:function."""
    found, package = set(), str(Path(ta.__file__).parent)

    def look(frame, event, argument):
        if frame.f_code.co_filename.startswith(package):
            file = Path(frame.f_code.co_filename).relative_to(package).as_posix()
            found.add(f"{file}:{frame.f_code.co_name}")

    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(None)
    return found


WIDE = ta.Linear(4096, 16, rng=0)


def encoded(weight, layer=WIDE):
    return ta.compress(ta.Sequential(layer=layer), {"layer": weight}, rng=0)


BY_DEFINITION = {
    "a brick wall": (lambda: encoded(2), (4, 4096)),
    "a brick wall of one layer": (lambda: encoded(1), (4096, 4096)),
    "a chain": (lambda: encoded(ta.LowRank.like(1)), (4, 4096)),
    "Winograd": (lambda: ta.Conv2d(32, 32, 3, rng=0, padding=1), (16, 32, 8, 8)),
    "blocks": (lambda: ta.Conv2d(8, 8, 5, rng=0), (64, 8, 32, 32)),
    "a row": (lambda: encoded(ta.LowRank.like(2), ta.Conv2d(64, 64, 3, rng=0)), (4, 64, 8, 8)),
}


@pytest.mark.parametrize("make, shape", BY_DEFINITION.values(), ids=list(BY_DEFINITION))
def test_by_definition_takes_no_fast_path(make, shape):
    model, results = make(), []
    parameters = list(model.parameters())
    data = np.random.default_rng(0).normal(size=shape).astype(np.float32)

    def both_passes():
        x = ta.Tensor(data, requires_grad=True)
        (model(x) ** 2).sum().backward()
        results.append([x.grad, *[p.grad for p in parameters]])
        for parameter in parameters:
            parameter.grad = None

    usual = entered(both_passes)
    with ta.by_definition():
        plain = entered(both_passes)
    fast = re.compile(r"/fast/.*:(?!applies)|decode_free/(chain|row|wall_chain)")
    assert any(map(fast.search, usual)) and not [*filter(fast.search, plain)]
    is_wall = any(".columns." in name for name, _ in model.named_parameters())
    assert ("tensor_networks/gates.py:apply_gate" in plain - usual) == is_wall
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * abs(b).max())


def test_the_path_in_the_docs_leads_through_the_files_that_it_names():
    """And it is taken inside ``by_definition``, or it would not enter ``gates.py:apply_gate``."""
    page = (Path(__file__).parents[1] / "docs" / "reading.md").read_text(encoding="utf-8")
    table = page.partition("## One path")[2].partition("[Equations]")[0]
    data = ta.load_data("mnist-5k")

    def path():
        model = ta.models.fc2(rng=0)
        ta.softmax_cross_entropy(
            model(data.train.images[:8]), labels=data.train.labels[:8]
        ).backward()
        for _ in ta.train(model, data, epochs=1):
            break
        small = ta.compress(model, {"fc1": 1}, rng=0)
        small.fc1.weight.decode()
        ta.evaluate(small, data.test)

    with ta.by_definition():
        functions = entered(path)
    named = re.findall(r"`([a-z_]+/[a-z_]+\.py)`", table)
    assert len(named) > 15 and set(named) <= {place.partition(":")[0] for place in functions}
    assert "tensor_networks/gates.py:apply_gate" in functions
