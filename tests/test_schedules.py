"""Learning-rate schedules: their ends, their peak, short ones, and options that make no sense."""

import copy
import math
import pickle
from itertools import pairwise

import pytest

import tinyadtn as ta


def test_one_cycle_at_its_key_points():
    schedule = ta.OneCycle(peak=2.0, steps=201, warmup=0.25)
    assert schedule(0) == pytest.approx(2 / 25)
    assert schedule(25) == pytest.approx((2 + 2 / 25) / 2)
    assert schedule(50) == pytest.approx(2)
    assert schedule(125) == pytest.approx((2 + 2e-4) / 2)
    assert schedule(200) == pytest.approx(2e-4)


def test_one_cycle_goes_up_and_then_down():
    rates = [ta.OneCycle(peak=1.0, steps=101)(k) for k in range(101)]
    assert rates[:31] == sorted(rates[:31])
    assert rates[30:] == sorted(rates[30:], reverse=True)
    assert len(set(rates)) > 98
    assert max(abs(b - a) for a, b in pairwise(rates)) < 0.06  # no jump


def test_cosine_at_its_key_points():
    schedule = ta.Cosine(peak=2.0, steps=101, floor=0.5)
    assert [schedule(k) for k in (0, 50, 100)] == pytest.approx([2, 1.25, 0.5])
    rates = [schedule(k) for k in range(101)]
    assert rates == sorted(rates, reverse=True)
    assert schedule(25) == pytest.approx(0.5 + 1.5 * (1 + math.sqrt(0.5)) / 2)


@pytest.mark.parametrize("steps", [3, 4, 20, 390])
@pytest.mark.parametrize(
    ("make", "first", "last"), [(ta.OneCycle, 1 / 25, 1e-4), (ta.Cosine, 1, 0)], ids=str
)
def test_a_loop_of_all_steps_goes_from_one_end_to_the_other(make, first, last, steps):
    schedule = make(peak=1.0, steps=steps)
    rates = [schedule(k) for k in range(steps)]
    assert (rates[0], rates[-1]) == (pytest.approx(first), pytest.approx(last))
    assert [schedule(k) for k in (steps, 2 * steps)] == [rates[-1]] * 2


@pytest.mark.parametrize("steps", range(3, 12))
@pytest.mark.parametrize("warmup", [0.05, 0.1, 0.5, 0.9, 0.95])
def test_a_short_cycle_has_a_rise_and_a_fall_wherever_its_peak_is(warmup, steps):
    schedule = ta.OneCycle(peak=1.0, steps=steps, warmup=warmup)
    rates = [schedule(k) for k in range(steps)]
    assert (rates[0], max(rates), rates[-1]) == pytest.approx((1 / 25, 1, 1e-4))


@pytest.mark.parametrize("make", [ta.OneCycle, ta.Cosine])
def test_a_single_step_has_the_peak(make):
    assert make(peak=0.5, steps=1)(0) == 0.5


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
    """Before the first step and after the last one, the learning rate is theirs."""
    rates = [schedule(k) for k in range(schedule.steps + 1)]
    assert all(0 <= rate <= 1 for rate in rates)
    last = schedule(max(schedule.steps - 1, 0))
    assert [schedule(k) for k in (schedule.steps, 10**9)] == [last, last]
    assert schedule(-1) == rates[0]


@pytest.mark.parametrize("warmup", [-0.1, 2, math.nan])
def test_a_warmup_is_a_share_of_the_steps(warmup):
    with pytest.raises(ValueError, match=f"share of the steps, from 0 to 1, got {warmup}"):
        ta.OneCycle(0.1, 10, warmup=warmup)


@pytest.mark.parametrize("warmup", [0.0, 0.01, 0.1, 0.3, 0.5, 0.9, 1.0])
def test_one_cycle_reaches_its_peak_however_short_it_is(warmup):
    for steps in [*range(1, 60), 390]:
        schedule = ta.OneCycle(2.0, steps, warmup=warmup)
        rates = [schedule(k) for k in range(steps)]
        assert 0.99 * 2 <= max(rates) <= 2, steps
    assert ta.OneCycle(2.0, 2)(0) == 2


# name: (options that replace good ones, what the error says)
WRONG = {
    "a text as peak": ({"peak": "a"}, "peak must be a number, got 'a'"),
    "a bool as peak": ({"peak": True}, "peak must be a number, got True"),
    "None as peak": ({"peak": None}, "peak must be a number"),
    "a negative peak": ({"peak": -1.0}, "peak must be 0 or more and finite, got -1.0"),
    "nan as peak": ({"peak": math.nan}, "peak must be 0 or more and finite, got nan"),
    "an infinite peak": ({"peak": math.inf}, "peak must be 0 or more and finite"),
    "a list as peak": ({"peak": [0.1]}, "peak must be a number"),
    "a fraction of steps": ({"steps": 2.5}, "steps must be a whole number, got 2.5"),
    "a float of steps": ({"steps": 3.0}, "steps must be a whole number, got 3.0"),
    "negative steps": ({"steps": -1}, "steps must be 0 or more, got -1"),
    "True steps": ({"steps": True}, "steps must be a whole number"),
    "a text as steps": ({"steps": "10"}, "steps must be a whole number, got '10'"),
    "no steps": ({"steps": None}, "steps must be a whole number"),
}


@pytest.mark.parametrize("make", [ta.OneCycle, ta.Cosine])
@pytest.mark.parametrize(("options", "says"), WRONG.values(), ids=WRONG)
def test_peaks_and_steps_that_make_no_sense_are_rejected(make, options, says):
    with pytest.raises(ValueError, match=says):
        make(**{"peak": 0.1, "steps": 10, **options})


@pytest.mark.parametrize("floor", [-0.1, math.nan, math.inf, "a", True, 0.2])
def test_a_floor_lies_between_zero_and_the_peak(floor):
    with pytest.raises(ValueError, match="floor must"):
        ta.Cosine(0.1, 10, floor=floor)


@pytest.mark.parametrize("warmup", ["a", None, True])
def test_a_warmup_is_a_number(warmup):
    with pytest.raises(ValueError, match="warmup must be a number"):
        ta.OneCycle(0.1, 10, warmup=warmup)


AGAIN = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {n}": lambda s, n=n: pickle.loads(pickle.dumps(s, n)) for n in range(2, 6)},
}


@pytest.mark.parametrize("schedule", [ta.OneCycle(0.1, 10), ta.Cosine(0.1, 10, 0.01)], ids=repr)
@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)
def test_a_schedule_is_copied(schedule, again):
    assert again(schedule) == schedule
