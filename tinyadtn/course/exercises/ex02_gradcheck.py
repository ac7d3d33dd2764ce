"""Notebook 02: a bug that .sum() hides, a gradcheck that finds all, and which element is wrong."""

import numpy as np

from tinyadtn.course.exercises.zoo import BUGS, sample, softmax, softmax_vjp
from tinyadtn.teach import exercise

# --- the bug that .sum() hides -------------------------------------------------------------------


@exercise(
    "hidden bug",
    hints=(
        "What is the right answer where g is the same number everywhere? Work it out.",
        "It is 0 everywhere, for a softmax always sums to 1. So which wrong formulas are 0 there?",
        "Zeros, always, would do. So would p * (g - g.mean()): it looks quite right, too.",
    ),
    wrong=(
        lambda x, g: softmax_vjp(x, g),  # not a bug
        lambda x, g: softmax(x) * g,  # seen at once
        lambda x, g: g,  # passes g on
        lambda x, g: softmax_vjp(x, g) + 1e-13 * g,  # nearly right
    ),
)
def check_hidden_bug(answer, rng):
    for n in sorted(rng.integers(3, 9, size=20)):
        x, ones = rng.normal(size=n), np.ones(n)
        found = answer(x, ones)
        yield f"{n} scores and g = 1 everywhere", np.zeros(n), found
        # Three of them: one alone may happen to hide a bug as well.
        random = [rng.normal(size=n) for _ in range(3)]
        off = [np.abs(np.asarray(answer(x, g)) - softmax_vjp(x, g)).max() for g in random]
        yield f"for {n} scores and a random g it is clearly wrong", True, bool(max(off) > 1e-4)


# --- the gradcheck -------------------------------------------------------------------------------


def through_the_sum(function, vjp, x, rng):
    return along_one_direction(function, vjp, x, np.ones_like(function(x)), rng, 1e-5, 1e-6)


def absolute_tolerance(function, vjp, x, rng):
    g, v, h = rng.normal(size=np.shape(function(x))), rng.normal(size=x.shape), 1e-5
    measured = np.sum(g * (function(x + h * v) - function(x - h * v))) / (2 * h)
    return bool(abs(measured - np.sum(vjp(x, g) * v)) < 1e-4)


def step_too_small(function, vjp, x, rng):
    return along_one_direction(function, vjp, x, rng.normal(size=np.shape(function(x))), rng, 1e-15)


def step_too_large(function, vjp, x, rng):
    return along_one_direction(function, vjp, x, rng.normal(size=np.shape(function(x))), rng, 0.1)


def along_one_direction(function, vjp, x, g, rng, h, tolerance=1e-6):
    v = rng.normal(size=x.shape)
    measured = np.sum(g * (function(x + h * v) - function(x - h * v))) / (2 * h)
    claimed = vjp(x, g)
    scale = np.linalg.norm(claimed) * np.linalg.norm(v) + abs(measured)
    return bool(abs(measured - np.sum(claimed * v)) <= tolerance * scale)


@exercise(
    "gradcheck",
    hints=(
        "Draw a random g of the shape of function(x), and a random direction v of the shape of x.",
        "⟨g, function(x + h·v) - function(x - h·v)⟩ / 2h should be ⟨vjp(x, g), v⟩.",
        "Compare the difference with the size of what is compared, not with a fixed number.",
    ),
    wrong=(
        through_the_sum,
        absolute_tolerance,
        step_too_small,
        step_too_large,
        lambda function, vjp, x, rng: True,  # trusts everybody
        lambda function, vjp, x, rng: False,  # trusts nobody
    ),
)
def check_gradcheck(answer, rng):
    large = ("1e6 exp x", lambda x: 1e6 * np.exp(x), lambda x, g: 1e6 * g * np.exp(x))
    kinked = ("relu", lambda x: np.maximum(x, 0), lambda x, g: g * (x > 0))
    for _ in range(5):
        for bug in BUGS:
            x = sample(rng)
            yield f"{bug.name} with its right VJP", True, answer(bug.function, bug.right, x, rng)
            found = answer(bug.function, bug.wrong, x, rng)
            yield f"{bug.name}, with a bug ({bug.bug})", False, found
        for name, function, vjp in (large, kinked):
            yield f"{name} with its right VJP", True, answer(function, vjp, sample(rng), rng)


# --- which element is wrong ----------------------------------------------------------------------


def one_by_one(function, vjp, x, rng, h=1e-5):
    """Right, but with two runs for each element."""
    g = rng.normal(size=np.shape(function(x)))
    moves = h * np.eye(x.size)
    measured = [np.sum(g * (function(x + e) - function(x - e))) / (2 * h) for e in moves]
    return int(np.argmax(np.abs(np.array(measured) - vjp(x, g))))


def all_at_once(function, vjp, x, rng, h=1e-5):
    """Moves all elements together: right only if output k depends on element k alone."""
    g = rng.normal(size=np.shape(function(x)))
    measured = g * (function(x + h) - function(x - h)) / (2 * h)
    return int(np.argmax(np.abs(measured - vjp(x, g))))


def smallest_gradient(function, vjp, x, rng):
    return int(np.argmin(np.abs(vjp(x, rng.normal(size=np.shape(function(x)))))))


def largest_gradient(function, vjp, x, rng):
    return int(np.argmax(np.abs(vjp(x, rng.normal(size=np.shape(function(x)))))))


def off_by_one(function, vjp, x, rng):
    return (one_by_one(function, vjp, x, rng) + 1) % x.size


def sine_and_last(x, g):
    out = g * np.cos(x)
    out[-1] += g.sum()
    return out


@exercise(
    "find the element",
    hints=(
        "A direction v that is 0 outside a group of elements tests this group alone.",
        "Test one half of the elements. Then you know in which half the bug is.",
        "Each test takes two runs, and 12 halvings leave one element of 4,096.",
    ),
    wrong=(
        one_by_one,
        all_at_once,
        smallest_gradient,
        largest_gradient,
        lambda function, vjp, x, rng: 0,  # always the first
        off_by_one,
    ),
)
def check_find_element(answer, rng):
    functions = (
        ("tanh x", np.tanh, lambda x, g: g * (1 - np.tanh(x) ** 2)),
        ("x exp(-x)", lambda x: x * np.exp(-x), lambda x, g: g * (1 - x) * np.exp(-x)),
        # each output depends on its element and on the last one
        ("sin x + x[-1]", lambda x: np.sin(x) + x[-1], sine_and_last),
    )
    for size in (2, 16, 100, 1_000, 4_096):
        for name, function, vjp in functions:
            x, place = rng.normal(size=size), int(rng.integers(1, size))
            sign = rng.choice([-1.0, 1.0])
            calls = [0]

            def counted(x, function=function, calls=calls):
                calls[0] += 1
                return function(x)

            def wrong(x, g, vjp=vjp, place=place, sign=sign):
                out = vjp(x, g)
                out[place] += sign * (1 + abs(out[place]))
                return out

            got = answer(counted, wrong, x, rng)
            yield f"{name}, {size} elements", place, got
            yield f"{name}, {size} elements: {calls[0]} runs, at most 30", True, calls[0] <= 30
