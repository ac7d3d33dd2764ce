"""Notebook 04: one step of Adam, the diagnosis of three broken runs, and a small network."""

from functools import cache

import numpy as np

import tinyadtn as ta
from tinyadtn.course.exercises.broken import CULPRITS, SUSPECTS
from tinyadtn.teach import exercise
from tinyadtn.teach.exercises import UnexpectedResultError, parts

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


def no_correction(p, g, m, v, t, rate):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return p - rate * m / (np.sqrt(v) + 1e-8), m, v


def no_root(p, g, m, v, t, rate):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return p - rate * (m / (1 - 0.9**t)) / (v / (1 - 0.999**t) + 1e-8), m, v


def corrected_twice(p, g, m, v, t, rate):
    """Keeps the corrected mean and corrects it again at the next step."""
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    m, v = m / (1 - 0.9**t), v / (1 - 0.999**t)
    return p - rate * m / (np.sqrt(v) + 1e-8), m, v


def step(p, g, m, v, t, rate, betas=(0.9, 0.999)):
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * g * g
    root = np.sqrt(v / (1 - betas[1] ** t))
    return p - rate * (m / (1 - betas[0] ** t)) / (root + 1e-8), m, v


@exercise(
    "adam",
    hints=(
        "Two running means: m keeps 0.9 of itself and takes 0.1 of g; v keeps 0.999 of itself and "
        "takes 0.001 of g².",
        "Both start at 0, so they are too small at first. Divide by 1 - 0.9^t and 1 - 0.999^t; "
        "but give back the two as they were before that.",
        "p - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8), then m and v",
    ),
    wrong=(
        no_correction,
        lambda p, g, m, v, t, rate: step(p, g, m, v, t, rate, betas=(0.999, 0.9)),  # betas swapped
        no_root,
        lambda p, g, m, v, t, rate: step(p, g, m, v, t + 1, rate),  # counts from zero
        corrected_twice,
        lambda p, g, m, v, t, rate: step(p, -np.asarray(g), m, v, t, rate),  # climbs
    ),
    tolerance=1e-8,
)
def check_adam(answer, rng):
    p, m, v = np.array(START), np.zeros(3), np.zeros(3)
    for t, (g, right) in enumerate(zip(np.array(GRADIENTS), STORED), start=1):
        p, m, v = parts(answer(p, g, m, v, t, 0.1), 3)
        yield f"p after step {t} of a stored run", np.array(right), p
    for _ in range(20):
        # Written out: the running means are weighted sums over all gradients so far.
        steps, rate = int(rng.integers(2, 9)), float(rng.uniform(1e-3, 0.3))
        gradients, start = rng.normal(size=(steps, 4)), rng.normal(size=4)
        p, m, v, right = start, np.zeros(4), np.zeros(4), start
        for t in range(1, steps + 1):
            p, m, v = parts(answer(p, gradients[t - 1], m, v, t, rate), 3)
            age = np.arange(t)[::-1]
            w1, w2 = 0.9**age, 0.999**age
            mean, square = w1 @ gradients[:t] / w1.sum(), w2 @ gradients[:t] ** 2 / w2.sum()
            right = right - rate * mean / (np.sqrt(square) + 1e-8)
        yield f"p after {steps} steps with rate {rate:.4f}", right, p


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
        CULPRITS | {"A": "the step is far too large"},
        CULPRITS | {"B": "the step goes uphill"},
        CULPRITS | {"C": "the labels come in another order than the images"},
        dict(zip("ABC", (CULPRITS["B"], CULPRITS["C"], CULPRITS["A"]))),
    ),
)
def check_diagnosis(answer, rng):
    if isinstance(answer, (str, int, float, list, tuple)):
        raise UnexpectedResultError("A dict is expected, with a line of the list for A, B and C.")
    named = answer if isinstance(answer, dict) else {}
    letters = list(rng.permutation(list(CULPRITS)))
    # Those without an answer come last, in the order of the alphabet.
    for letter in sorted(letters, key=lambda letter: letter if named.get(letter) is None else ""):
        given = named.get(letter)
        if given is not None and given not in SUSPECTS:
            raise UnexpectedResultError(f"run {letter}: {given!r} is not a line of the list.")
        if given is None:
            yield f"the cause of run {letter}", True, None
            return
        case = f"run {letter}: if {given}, {SUSPECTS[given]}"
        yield case, True, given == CULPRITS[letter]


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
    last=True,
)
def check_small_network(answer, rng):
    if isinstance(answer, (int, float, dict, np.ndarray)):
        raise UnexpectedResultError("Four arrays are expected: [w1, b1, w2, b2].")
    arrays = answer if isinstance(answer, (list, tuple)) else [None] * 4
    arrays = [a if isinstance(a, np.ndarray) else getattr(a, "data", a) for a in parts(arrays, 4)]
    if any(array is None for array in arrays):
        yield "my_small", 0, None
        return
    w1, b1, w2, b2 = (np.asarray(array) for array in arrays)
    hidden = w1.shape[-1:]
    shapes = [array.shape for array in (w1, b1, w2, b2)]
    fits = shapes == [(784, *hidden), hidden, (*hidden, 10), (10,)]
    yield f"shapes (784, h), (h,), (h, 10), (10,); yours are {shapes}", True, fits
    count = sum(array.size for array in (w1, b1, w2, b2))
    yield f"{count:,} parameters: at most 6,400", True, count <= 6_400
    images, labels = validation_digits()
    read = np.argmax(np.maximum(images @ w1 + b1, 0) @ w2 + b2, axis=1)
    percent = 100 * float(np.mean(read == labels))
    yield f"{percent:.1f} % of the validation digits: at least 90 %", True, percent >= 90
