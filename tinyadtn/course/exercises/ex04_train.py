"""Notebook 04: one step of Adam, the diagnosis of three broken runs, and a small network."""

from functools import cache

import numpy as np

import tinyadtn as ta
from tinyadtn.course.exercises.broken import CULPRITS
from tinyadtn.teach import exercise
from tinyadtn.teach.exercises import parts

# --- Adam ----------------------------------------------------------------------------------------

# torch.optim.Adam (2.13, float64, lr=0.1, else its defaults) from START along GRADIENTS
START = [1.0, -2.0, 0.5]
GRADIENTS = [
    [0.5, -1.0, 0.0],
    [0.1, -1.0, 2.0],
    [-3.0, 0.25, 1e-3],
    [0.0, 0.0, 0.0],
    [1.0, 1.0, -1.0],
    [0.3, -0.2, 10.0],
]
STORED = [
    [0.900000002, -1.900000001, 0.5],
    [0.819695906384652, -1.800000002, 0.425586318169354],
    [0.872284110680864, -1.73501008235205, 0.368032377071152],
    [0.915361167709748, -1.68177429478945, 0.320887690635048],
    [0.932902068816136, -1.67607587998216, 0.309681570373994],
    [0.943078324790382, -1.66525823953183, 0.256619781988626],
]


def no_correction(data, g, mean, square, t, lr):
    mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g * g
    return data - lr * mean / (np.sqrt(square) + 1e-8), mean, square


def betas_swapped(data, g, mean, square, t, lr):
    return step(data, g, mean, square, t, lr, betas=(0.999, 0.9))


def no_root(data, g, mean, square, t, lr):
    mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g * g
    m, v = mean / (1 - 0.9**t), square / (1 - 0.999**t)
    return data - lr * m / (v + 1e-8), mean, square


def counts_from_zero(data, g, mean, square, t, lr):
    return step(data, g, mean, square, t + 1, lr)


def corrected_twice(data, g, mean, square, t, lr):
    """Keeps the corrected mean and corrects it again at the next step."""
    mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g * g
    m, v = mean / (1 - 0.9**t), square / (1 - 0.999**t)
    return data - lr * m / (np.sqrt(v) + 1e-8), m, v


def step(data, g, mean, square, t, lr, betas=(0.9, 0.999)):
    mean = betas[0] * mean + (1 - betas[0]) * g
    square = betas[1] * square + (1 - betas[1]) * g * g
    m, v = mean / (1 - betas[0] ** t), square / (1 - betas[1] ** t)
    return data - lr * m / (np.sqrt(v) + 1e-8), mean, square


def climbs(data, g, mean, square, t, lr):
    return step(data, -np.asarray(g), mean, square, t, lr)


@exercise(
    "adam",
    hints=(
        "Two running means: mean keeps 0.9 of itself and takes 0.1 of g; square keeps 0.999 of "
        "itself and takes 0.001 of g².",
        "Both start at 0, so they are too small at first. Divide by 1 - 0.9^t and 1 - 0.999^t; "
        "but give back the two as they were before that.",
        "data - lr · m̂ / (√v̂ + 1e-8)",
    ),
    wrong=(no_correction, betas_swapped, no_root, counts_from_zero, corrected_twice, climbs),
    tolerance=1e-8,
)
def check_adam(answer, rng):
    data, mean, square = np.array(START), np.zeros(3), np.zeros(3)
    for t, (g, right) in enumerate(zip(np.array(GRADIENTS), STORED), start=1):
        data, mean, square = parts(answer(data, g, mean, square, t, 0.1), 3)
        yield f"step {t} of a stored run", np.array(right), data
    for _ in range(20):
        # Written out: the running means are weighted sums over all gradients so far.
        steps, lr = int(rng.integers(1, 9)), float(rng.uniform(1e-3, 0.3))
        gradients, start = rng.normal(size=(steps, 4)), rng.normal(size=4)
        data, mean, square, right = start, np.zeros(4), np.zeros(4), start
        for t in range(1, steps + 1):
            data, mean, square = parts(answer(data, gradients[t - 1], mean, square, t, lr), 3)
            age = np.arange(t)[::-1]
            w1, w2 = 0.9**age, 0.999**age
            m = w1 @ gradients[:t] / w1.sum()
            v = w2 @ gradients[:t] ** 2 / w2.sum()
            right = right - lr * m / (np.sqrt(v) + 1e-8)
        yield f"{steps} steps with rate {lr:.4f}", right, data


# --- the broken runs -----------------------------------------------------------------------------


@exercise(
    "diagnosis",
    hints=(
        "A: the loss falls well at first. What does an update do whose gradient is the sum of all "
        "gradients so far?",
        "B: it reads digits well, but its loss stops near 1.46. How small can the loss be if the "
        "scores must lie between 0 and 1? ln(e + 9) - 1 = 1.461.",
        "C: look at the p.grad of w1. What passes through a second matrix that is 0?",
    ),
    wrong=(
        dict(zip("ABC", ("the step is far too large", CULPRITS["B"], CULPRITS["C"]))),
        dict(zip("ABC", (CULPRITS["A"], "the step goes uphill", CULPRITS["C"]))),
        dict(
            zip(
                "ABC",
                (
                    CULPRITS["A"],
                    CULPRITS["B"],
                    "the labels come in another order than the images",
                ),
            )
        ),
        dict(zip("ABC", (CULPRITS["B"], CULPRITS["C"], CULPRITS["A"]))),
    ),
)
def check_diagnosis(answer, rng):
    named = answer if isinstance(answer, dict) else {}
    letters = list(rng.permutation(list(CULPRITS)))
    for letter in sorted(letters, key=lambda letter: named.get(letter) is None):  # those last
        given = named.get(letter)
        named_right = None if given is None else given == CULPRITS[letter]
        yield f"run {letter}: the right cause", True, named_right


# --- a small network -----------------------------------------------------------------------------


@cache
def validation_digits():
    split = ta.load_data("mnist-5k").validation
    return split.images.reshape(-1, 784), split.labels


def random_network(hidden, scale=1.0):
    rng = np.random.default_rng(0)
    return [scale * rng.normal(size=s) for s in ((784, hidden), (hidden,), (hidden, 10), (10,))]


def always_zero():
    w1, b1, w2, b2 = random_network(8, scale=0.0)
    return [w1, b1, w2, b2 + np.eye(10)[0]]


@exercise(
    "small network",
    hints=(
        "784 · h + h + 10 · h + 10 parameters: which widths h are allowed?",
        "A small network needs more steps than a large one, or larger ones: try Adam at 3e-3.",
        "h = 8, 20 epochs of Adam at 3e-3 reach about 0.9; seeds differ by one percentage point.",
    ),
    wrong=(random_network(8), random_network(256), always_zero(), random_network(8, scale=0.0)),
)
def check_small_network(answer, rng):
    arrays = answer if isinstance(answer, (list, tuple)) else [None] * 4
    arrays = [a if isinstance(a, np.ndarray) else getattr(a, "data", a) for a in parts(arrays, 4)]
    if any(array is None for array in arrays):
        yield "my_small", 0, None
        return
    w1, b1, w2, b2 = (np.asarray(array) for array in arrays)
    count = sum(array.size for array in (w1, b1, w2, b2))
    yield f"{count:,} parameters: at most 6,400", True, count <= 6_400
    images, labels = validation_digits()
    read = np.argmax(np.maximum(images @ w1 + b1, 0) @ w2 + b2, axis=1)
    percent = 100 * float(np.mean(read == labels))
    yield f"{percent:.1f} % of the validation digits: at least 90 %", True, percent >= 90
