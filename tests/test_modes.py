"""The switches of the engine: nesting, exceptions, generators, threads, Ctrl-C."""

import asyncio
import contextlib
import inspect
import threading

import numpy as np
import pytest
from test_interrupts import Interrupter

import tinyadtn as ta
from tinyadtn.autodiff import modes, switch
from tinyadtn.autodiff.modes import isolated, looking_for_nan, protecting, recording
from tinyadtn.compression import timing
from tinyadtn.draw.matrices import cut_spectrum

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
