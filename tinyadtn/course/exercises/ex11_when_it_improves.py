"""Checks of notebook 11."""

from __future__ import annotations

import numpy as np

from tinyadtn.teach import exercise

# --- verdict -------------------------------------------------------------------------------------

T = {2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}


def _verdict(a, b, *, times=lambda fewer: T[min(fewer - 1, 9)], fewest=3, error=None):
    if min(len(a), len(b)) < fewest:
        return 0
    spread = np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))
    if error:
        spread = error(a, b)
    difference = np.mean(a) - np.mean(b)
    return int(np.sign(difference)) if abs(difference) > times(min(len(a), len(b))) * spread else 0


def _of_means(a, b):
    return int(np.sign(np.mean(a) - np.mean(b)))


@exercise(
    "verdict",
    hints=(
        "First of all: if either list has fewer than three numbers, the answer is 0.",
        "The standard error is np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b)).",
        "Compare |difference of the means| with STUDENT_T[shorter length - 1] times that error.",
    ),
    wrong=(
        _of_means,
        lambda a, b: 0 if min(len(a), len(b)) < 3 else _of_means(a, b),
        lambda a, b: _verdict(a, b, times=lambda n: 1.0),
        lambda a, b: _verdict(a, b, times=lambda n: 1.96),  # right for many runs, not for three
        lambda a, b: _verdict(a, b, fewest=2, times=lambda n: T[max(n - 1, 2)]),
        lambda a, b: abs(_verdict(a, b)),
        lambda a, b: _verdict(a, b, error=lambda a, b: np.std(a) / len(a)),
        lambda a, b: 0,
    ),
)
def verdict(answer, rng):
    """It refuses, it keeps quiet where there is nothing, and it sees what is plain."""
    yield "one run each, 90.17 and 91.74", 0, answer([91.74], [90.17])
    yield "two runs against two", 0, answer([97.0, 97.01], [92.0, 92.01])
    yield "ten runs against two", 0, answer(list(97 + 0.01 * np.arange(10)), [92.0, 92.01])
    alarms = {}
    for n in (3, 5, 10):
        runs = rng.normal(95, 0.3, size=(1500, 2, n))
        alarms[n] = np.mean([answer(list(a), list(b)) != 0 for a, b in runs])
        yield f"{n} runs each, no difference: an alarm in 8 % or fewer", True, alarms[n] <= 0.08
    for n, apart in ((3, 12), (5, 5), (10, 3)):  # in standard deviations
        runs = rng.normal(95, 0.3, size=(200, 2, n))
        seen = [answer(list(a + 0.3 * apart), list(b)) for a, b in runs]
        yield f"{n} runs each, a is {apart} σ above b: seen in 80 %", True, np.mean(seen) >= 0.8
        seen = [answer(list(a), list(b + 0.3 * apart)) for a, b in runs]
        yield f"{n} runs each, b is {apart} σ above a: seen in 80 %", True, np.mean(seen) <= -0.8
