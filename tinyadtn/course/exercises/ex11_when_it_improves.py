"""Checks of notebook 11: a verdict over seeds, one for each paper, and how many runs are needed."""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np

from tinyadtn import TensorTrain
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


def _error_of_deviations(a, b):  # not of the variances
    return np.sqrt(np.std(a, ddof=1) / len(a) + np.std(b, ddof=1) / len(b))


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
        lambda a, b: _verdict(
            a, b, error=lambda a, b: np.hypot(np.std(a), np.std(b)) / len(a) ** 0.5
        ),
        lambda a, b: _verdict(a, b, error=_error_of_deviations),
        lambda a, b: 0,
    ),
)
def verdict(answer, rng):
    """0 for too few runs, few false alarms without a difference, and large differences found."""
    yield "one run each, 90.17 and 91.74", 0, answer([91.74], [90.17])
    yield "two runs against two", 0, answer([97.0, 97.01], [92.0, 92.01])
    yield "ten runs against two", 0, answer(list(97 + 0.01 * np.arange(10)), [92.0, 92.01])
    a = [97.2, 97.4, 97.6]  # with b, a little below and above the factor 4.30
    for b in ([96.55, 96.75, 96.95], [96.4, 96.6, 96.8]):
        yield f"{a} and {b}", _verdict(a, b), answer(list(a), list(b))
    for n, s in ((3, 0.3), (5, 0.3), (10, 0.3), (5, 0.003)):
        runs = rng.normal(95, s, size=(1500, 2, n))
        alarms = np.mean([answer(list(a), list(b)) != 0 for a, b in runs])
        case = (
            f"{n} runs each, no difference: alarms in {100 * alarms:.0f} %, at most 8 are allowed"
        )
        yield case, True, alarms <= 0.08
    for n, apart, s in ((3, 12, 0.3), (5, 5, 0.3), (10, 3, 0.3), (5, 5, 0.003)):
        runs = rng.normal(95, s, size=(200, 2, n))
        for sign, order in ((1, "a is {} above b"), (-1, "b is {} above a")):
            moved = runs + sign * s * apart * np.array([[[0.5], [-0.5]]])
            seen = np.mean([answer(list(a), list(b)) == sign for a, b in moved])
            case = f"{n} runs each, standard deviation {s}, {order.format(f'{s * apart:g}')}"
            case = f"{case}: {sign} in {100 * seen:.0f} %, at least 80 are expected"
            yield case, True, seen >= 0.8


# --- train parameters ----------------------------------------------------------------------------


def _train(out_modes, in_modes, bond, *, ends=1, add=False):
    bonds = [ends, *[bond] * (len(out_modes) - 1), ends]
    pairs = zip(bonds, out_modes, in_modes, bonds[1:])
    return sum(a * (o + i if add else o * i) * b for a, o, i, b in pairs)


def _random_modes(rng, cores):
    return tuple(tuple(int(n) for n in rng.integers(2, 7, size=cores)) for _ in range(2))


@exercise(
    "train parameters",
    hints=(
        "Write the bonds as a list, with 1 at both ends: [1, D, D, …, 1].",
        "Core k has bonds[k] · out_modes[k] · in_modes[k] · bonds[k + 1] entries.",
        "sum(a * o * i * b for a, o, i, b in zip(bonds, out_modes, in_modes, bonds[1:]))",
    ),
    wrong=(
        lambda out, ins, bond: _train(out, ins, bond, ends=bond),
        lambda out, ins, bond: _train(out, ins, bond, add=True),
        lambda out, ins, bond: bond * bond * sum(o * i for o, i in zip(out, ins)),
        lambda out, ins, bond: bond * sum(o * i for o, i in zip(out, ins)),
        lambda out, ins, bond: math.prod(out) * math.prod(ins),
    ),
)
def train_parameters(answer, rng):
    """The entries of the cores that the library makes, from one core to four."""
    for cores in (1, 2, 3, 3, 4, 4):
        out_modes, in_modes = _random_modes(rng, cores)
        for bond in (1, 2, 4):
            shape = math.prod(out_modes), math.prod(in_modes)
            right = TensorTrain(shape, (out_modes, in_modes), bond).num_parameters
            yield (
                f"modes {out_modes} and {in_modes}, bond {bond}",
                right,
                answer(out_modes, in_modes, bond),
            )


# --- one more run --------------------------------------------------------------------------------


def _one_more(runs, reported, *, times=lambda n: T[n - 1], error=lambda n: 1 + 1 / n, ddof=1):
    limit = times(len(runs)) * np.std(runs, ddof=ddof) * math.sqrt(error(len(runs)))
    return bool(abs(reported - np.mean(runs)) <= limit)


@exercise(
    "one more run",
    hints=(
        "The standard deviation of the runs is np.std(runs, ddof=1).",
        "The standard error is that times np.sqrt(1 + 1 / len(runs)).",
        "Compare abs(reported - np.mean(runs)) with STUDENT_T[len(runs) - 1] times that error.",
    ),
    wrong=(
        lambda runs, reported: _one_more(runs, reported, error=lambda n: 1 / n),  # of the mean
        lambda runs, reported: _one_more(runs, reported, error=lambda n: 1.0),
        lambda runs, reported: _one_more(runs, reported, times=lambda n: 2.0),
        lambda runs, reported: _one_more(runs, reported, times=lambda n: T[min(n, 9)]),
        lambda runs, reported: _one_more(runs, reported, ddof=0),
        lambda runs, reported: reported > np.mean(runs) or _one_more(runs, reported),
        lambda runs, reported: min(runs) <= reported <= max(runs),
        lambda runs, reported: True,
    ),
)
def one_more_run(answer, rng):
    """Accuracies a little inside and a little outside of the limits, on both sides."""
    cases = [[97.2, 97.4, 97.6]]
    cases += [[round(float(x), 2) for x in rng.normal(95, 0.3, size=n)] for n in (4, 5, 7, 10)]
    for runs in cases:
        n, mean = len(runs), float(np.mean(runs))
        limit = T[n - 1] * float(np.std(runs, ddof=1)) * math.sqrt(1 + 1 / n)
        for share in (0.97, -0.97, 1.03, -1.03):
            reported = round(mean + share * limit, 3)
            got = answer(list(runs), reported)
            yield f"runs {runs}, reported {reported}", abs(share) < 1, got


# --- gain of tries -------------------------------------------------------------------------------


def _gain(runs, tries):
    draws = list(itertools.product(runs, repeat=tries))
    return float(np.mean([max(draw) for draw in draws]) - np.mean(runs))


def _without_return(runs, tries):  # each run at most once
    draws = list(itertools.combinations(runs, min(tries, len(runs))))
    return float(np.mean([max(draw) for draw in draws]) - np.mean(runs))


@exercise(
    "gain of tries",
    hints=(
        "Simulation: the largest of each row of a table (20_000, tries) that rng.choice draws.",
        "Formula: all tries are among the k lowest of n runs with the probability (k / n)**tries.",
        "The best is run k, in order, with the probability (k / n)**tries - ((k - 1) / n)**tries.",
    ),
    wrong=(
        lambda runs, tries: max(runs) - float(np.mean(runs)),
        lambda runs, tries: _gain(runs, 1),
        lambda runs, tries: _gain(runs, tries + 1),
        lambda runs, tries: _gain(runs, tries) + float(np.mean(runs)),  # not the difference
        lambda runs, tries: tries * float(np.std(runs, ddof=1)),
        _without_return,
    ),
    tolerance=0.03,  # a simulation passes
)
def gain_of_tries(answer, rng):
    """The average over all possible draws, one by one."""
    cases = [([90.0, 92.0], 2), ([90.0, 92.0], 1), ([90.0, 92.0], 3)]
    for n, tries in ((3, 2), (4, 2), (4, 4), (5, 3)):
        cases.append(([round(float(x), 1) for x in rng.normal(95, 0.8, size=n)], tries))
    for runs, tries in cases:
        yield f"runs {runs}, best of {tries}", _gain(runs, tries), answer(list(runs), tries)


# --- mixture -------------------------------------------------------------------------------------


def _mixture(x, gates, *, place=lambda k, gates: k, divide=True, transpose=False):
    branches = []
    for k, gate in enumerate(gates):
        gate = gate.T if transpose else gate
        branches.append((gate @ x.reshape(2 ** place(k, gates), len(gate), -1)).ravel())
    return sum(branches) / (len(gates) if divide else 1)


def _one_after_the_other(x, gates):
    for k, gate in enumerate(gates):
        x = (gate @ x.reshape(2**k, len(gate), -1)).ravel()
    return x


@exercise(
    "mixture",
    hints=(
        "x.reshape(2**k, len(gate), -1) has the window of gate k as its middle axis.",
        "Each branch starts from x itself: (gate @ x.reshape(…)).ravel().",
        "Add the branches and divide by their number.",
    ),
    wrong=(
        lambda x, gates: _mixture(x, gates, divide=False),
        lambda x, gates: _mixture(x, gates, place=lambda k, gates: len(gates) - 1 - k),
        lambda x, gates: _mixture(x, gates, transpose=True),
        lambda x, gates: _mixture(x, gates, place=lambda k, gates: 0),
        _one_after_the_other,
    ),
)
def mixture(answer, rng):
    """The average of the matrices, written out with Kronecker products."""
    for num_sites, width in ((2, 1), (2, 2), (4, 2), (5, 3), (7, 2)):
        count = num_sites - width + 1
        x, gates = rng.normal(size=2**num_sites), rng.normal(size=(count, 2**width, 2**width))
        wholes = [
            np.kron(np.kron(np.eye(2**k), gate), np.eye(2 ** (num_sites - width - k)))
            for k, gate in enumerate(gates)
        ]
        got = answer(x.copy(), gates.copy())
        yield f"{num_sites} sites, windows of {width}", sum(wholes) @ x / count, got


# --- runs needed ---------------------------------------------------------------------------------


@cache
def _power(ratio: float, n: int) -> float:
    """How often the verdict finds a difference of ``ratio`` standard deviations with n runs."""
    draw = np.random.default_rng(5)
    a, b = draw.normal(ratio, 1, size=(20_000, n)), draw.normal(0, 1, size=(20_000, n))
    error = np.sqrt(a.var(axis=1, ddof=1) / n + b.var(axis=1, ddof=1) / n)
    return float((a.mean(axis=1) - b.mean(axis=1) > T[n - 1] * error).mean())


def _needed(d, s, *, power=0.8):
    return next((n for n in range(3, 11) if _power(round(d / s, 6), n) >= power), 10)


@exercise(
    "runs needed",
    hints=(
        "Only d / s matters. Draw a from N(d, s) and b from N(0, s), n runs each, many times.",
        "Count in how many of the draws verdict(a, b) is 1, and return the first n with 80 %.",
        "Vectors: means and variances along axis 1 of arrays of shape (4000, n).",
    ),
    wrong=(
        lambda d, s: 3,
        lambda d, s: 10,
        lambda d, s: _needed(s, d),
        lambda d, s: _needed(d, s, power=0.3),
        lambda d, s: min(10, max(3, round((2 * s / d) ** 2))),  # as if nothing varied
    ),
)
def runs_needed(answer, rng):
    """With n runs the difference is found in about 80 % or more, with n − 1 in fewer."""
    for ratio in (8.0, 4.0, 2.5, 2.0, 1.6):
        s = float(10 ** rng.uniform(-2, 1))
        n = answer(ratio * s, s)
        case = f"d = {ratio} s"
        yield f"{case}: a whole number from 3 to 10", True, n in range(3, 11)
        n = min(max(int(n), 3), 10)
        found, before = _power(ratio, n), _power(ratio, n - 1) if n > 3 else 0.0
        few = f"{case}: {n} runs find it in {100 * found:.0f} % of the cases, at least 80 are asked"
        yield few, True, found >= 0.78 or n == 10
        many = f"{case}: {n - 1} runs find it in {100 * before:.0f} %, so fewer than 80"
        yield many, True, before < 0.82
