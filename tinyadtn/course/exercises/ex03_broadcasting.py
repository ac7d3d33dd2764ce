"""Notebook 03: undoing broadcasting, gradients of contractions and of softmax cross-entropy."""

import numpy as np

from tinyadtn.teach import exercise
from tinyadtn.teach.exercises import parts

# --- undo broadcasting ---------------------------------------------------------------------------


def leaves_ones(g, shape):
    """Sums the new axes in front, and forgets those of length 1."""
    return g.sum(axis=tuple(range(g.ndim - len(shape)))) if g.ndim > len(shape) else g


def takes_the_mean(g, shape):
    lead = g.ndim - len(shape)
    axes = (*range(lead), *(lead + k for k, n in enumerate(shape) if n == 1 != g.shape[lead + k]))
    return g.mean(axis=axes).reshape(shape) if axes else g


def takes_the_first(g, shape):
    """Picks one of the copies instead of adding them."""
    lead = g.ndim - len(shape)
    picked = g[(0,) * lead]
    return picked[tuple(slice(0, 1) if n == 1 else slice(None) for n in shape)]


def drops_ones(g, shape):
    lead = g.ndim - len(shape)
    return g.sum(axis=(*range(lead), *(lead + k for k, n in enumerate(shape) if n == 1)))


def aligns_left(g, shape):
    """NumPy lines shapes up at their right ends; this does it at the left."""
    axes = tuple(k for k in range(g.ndim) if k >= len(shape) or shape[k] != g.shape[k])
    return g.sum(axis=axes, keepdims=True).reshape(shape)


def shape_pair(rng):
    """A shape of up to four axes, and one that broadcasts to it."""
    large = tuple(int(n) for n in rng.integers(1, 5, size=rng.integers(0, 5)))
    small = large[int(rng.integers(0, len(large) + 1)) :]
    return large, tuple(1 if rng.random() < 0.4 else n for n in small)


@exercise(
    "unbroadcast",
    hints=(
        "Two things can have happened: axes were put in front; axes of length 1 were stretched.",
        "Sum over the first g.ndim - len(shape) axes. Then, with keepdims=True, over every axis "
        "where shape has 1 and g has more.",
        "At the end .reshape(shape) puts back the axes of length 1.",
    ),
    wrong=(leaves_ones, takes_the_mean, takes_the_first, drops_ones, aligns_left),
)
def check_unbroadcast(answer, rng):
    pairs = sorted((shape_pair(rng) for _ in range(300)), key=lambda pair: np.prod(pair[0]))
    for large, small in [((2,), (1,)), ((2, 3), (3,)), *pairs]:
        g, b = rng.normal(size=large), rng.normal(size=small)
        got = answer(g, small)
        # np.add.at adds up what belongs to one number, wherever it was copied to
        right = np.zeros(b.size)
        owner = np.broadcast_to(np.arange(b.size).reshape(small), large)
        np.add.at(right, owner, g)
        yield f"{large} back to {small}", right.reshape(small), got
        identity = np.sum(g * np.broadcast_to(b, large))
        yield f"the adjoint identity, {large} and {small}", identity, np.sum(np.asarray(got) * b)


# --- the gradient of a contraction ---------------------------------------------------------------


def split(pattern):
    operands, z = pattern.split("->")
    return *operands.split(","), z


def measured(pattern, a, b, g):
    """The adjoints, one element at a time: a contraction is linear in each operand."""

    def of(array, contraction):
        units = np.eye(array.size).reshape(-1, *array.shape)
        return np.array([np.sum(g * contraction(e)) for e in units]).reshape(array.shape)

    return (
        of(a, lambda e: np.einsum(pattern, e, b)),
        of(b, lambda e: np.einsum(pattern, a, e)),
    )


def letters_in_order(pattern, a, b, g):
    """The right letters, but sorted: some results come transposed."""
    x, y, z = split(pattern)
    return (
        np.einsum(f"{z},{y}->{''.join(sorted(x))}", g, b),
        np.einsum(f"{x},{z}->{''.join(sorted(y))}", a, g),
    )


def right_only_for_a(pattern, a, b, g):
    for_a, _ = einsum_with(pattern, a, b, g)
    return for_a, b * np.sum(g)


def einsum_with(pattern, a, b, g):
    x, y, z = split(pattern)
    return np.einsum(f"{z},{y}->{x}", g, b), np.einsum(f"{x},{z}->{y}", a, g)


def random_pattern(rng, count, terms):
    """A pattern of ``count`` letters, each in one of these choices of terms (a, b, result)."""
    chosen = [terms[k] for k in rng.integers(len(terms), size=count)]
    words = []
    for term in "abz":
        letters = [letter for letter, where in zip("ijklm", chosen) if term in where]
        words.append("".join(rng.permutation(letters)))
    return "{},{}->{}".format(*words)


def contraction_cases(answer, rng, patterns):
    for pattern in patterns:
        lengths = dict(zip("ijklm", map(int, rng.permutation([2, 3, 4, 2, 3]))))
        x, y, z = ([lengths[letter] for letter in word] for word in split(pattern))
        a, b, g = (rng.normal(size=shape) for shape in (x, y, z))
        case = f'"{pattern}", a {a.shape}, b {b.shape}'
        got = parts(answer(pattern, a, b, g), 2)
        for name, right, mine in zip("ab", measured(pattern, a, b, g), got):
            yield f"the adjoint of {name}, {case}", right, mine


@exercise(
    "einsum_vjp",
    hints=(
        'Take "ik,kj->ij" apart with split: x = "ik", y = "kj", z = "ij".',
        "For a, exchange x and z: the operands are g with the letters z, and b with y.",
        'np.einsum(f"{z},{y}->{x}", g, b) is the adjoint of a. For b exchange y and z.',
    ),
    wrong=(
        lambda pattern, a, b, g: (g @ b.T, a.T @ g),  # only for matrices
        lambda pattern, a, b, g: einsum_with(pattern, a, b, np.ones_like(g)),  # forgets g
        letters_in_order,
        lambda pattern, a, b, g: einsum_with(pattern, a, b, g)[::-1],  # operands exchanged
        right_only_for_a,
    ),
)
def check_einsum(answer, rng):
    shared = ("ab", "az", "bz", "abz")
    counts = sorted(int(k) for k in rng.integers(1, 5, size=60))
    patterns = ["i,i->", "ik,k->i", "ik,kj->ij", "kj,ik->ji"]
    patterns += [random_pattern(rng, count, shared) for count in counts]
    yield from contraction_cases(answer, rng, patterns)


# --- softmax cross-entropy -----------------------------------------------------------------------


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def without_the_mean(logits, labels):
    out = softmax(logits)
    out[np.arange(len(labels)), labels] -= 1
    return out


def softmax_along_the_batch(logits, labels):
    e = np.exp(logits - logits.max(axis=0))
    out = e / e.sum(axis=0)
    out[np.arange(len(labels)), labels] -= 1
    return out / len(labels)


def overflows(logits, labels):
    e = np.exp(logits)
    out = e / e.sum(axis=1, keepdims=True)
    out[np.arange(len(labels)), labels] -= 1
    return out / len(labels)


def loss(logits, labels):
    shifted = logits - logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(shifted).sum(axis=1))
    return np.mean(total - shifted[np.arange(len(labels)), labels])


@exercise(
    "cross-entropy",
    hints=(
        "Through log-softmax: dL/d(log p) is -1/n at the label of each row, 0 elsewhere.",
        "Put that into the gradient of log-softmax, g - softmax · Σg. What is Σg in each row?",
        "(softmax(logits) - one_hot(labels)) / n; take the largest logit of each row off first.",
    ),
    wrong=(
        without_the_mean,
        lambda logits, labels: softmax(logits) / len(labels),  # probabilities only
        lambda logits, labels: -without_the_mean(logits, labels) / len(labels),  # sign turned
        softmax_along_the_batch,
        overflows,
    ),
    tolerance=1e-8,
)
def check_cross_entropy(answer, rng):
    sizes = sorted(rng.integers(2, 6, size=(15, 2)).tolist(), key=np.prod)
    for n, classes in sizes:
        logits, labels = rng.normal(scale=2, size=(n, classes)), rng.integers(classes, size=n)
        right, h = np.zeros((n, classes)), 1e-3
        for place in np.ndindex(n, classes):
            e = np.zeros((n, classes))
            e[place] = h
            at = [loss(logits + k * e, labels) for k in (1, -1, 2, -2)]
            right[place] = (8 * (at[0] - at[1]) - (at[2] - at[3])) / (12 * h)
        yield f"{n} rows, {classes} classes", right, answer(logits, labels)
    sure, labels = np.array([[1000.0, 0.0], [0.0, -1000.0]]), np.array([1, 0])
    right = np.array([[0.5, -0.5], [0.0, 0.0]])
    yield "logits of 1000: nothing overflows", right, answer(sure, labels)


# --- any pattern ---------------------------------------------------------------------------------


def divides_instead(pattern, a, b, g):
    """Spreads the adjoint over the copies, as if a sum were a mean."""
    for_a, for_b = measured(pattern, a, b, g)
    x, y, z = split(pattern)
    lone_a = np.prod([n for n, k in zip(a.shape, x) if k not in y + z])
    lone_b = np.prod([n for n, k in zip(b.shape, y) if k not in x + z])
    return for_a / lone_a, for_b / lone_b


def keeps_ones(pattern, a, b, g):
    """Leaves axes of length 1 where a letter stands alone."""
    x, y, z = split(pattern)
    for_a, for_b = measured(pattern, a, b, g)
    cut_a = tuple(slice(None) if k in y + z else slice(0, 1) for k in x)
    cut_b = tuple(slice(None) if k in x + z else slice(0, 1) for k in y)
    return for_a[cut_a], for_b[cut_b]


def other_not_summed(pattern, a, b, g):
    """Takes one entry along the lone axes of the other operand instead of their sum."""
    x, y, z = split(pattern)
    cut_a = tuple(slice(None) if k in y + z else slice(0, 1) for k in x)
    cut_b = tuple(slice(None) if k in x + z else slice(0, 1) for k in y)
    return measured(pattern, a, b[cut_b], g)[0], measured(pattern, a[cut_a], b, g)[1]


@exercise(
    "any pattern",
    hints=(
        "Which letters of a stand in neither b nor the result? Leave them out at first.",
        "np.einsum then gives the adjoint without these axes. The adjoint of a sum copies.",
        "Put axes of length 1 where they are missing, and use np.broadcast_to.",
    ),
    wrong=(einsum_with, divides_instead, keeps_ones, other_not_summed),
)
def check_any_pattern(answer, rng):
    anywhere = ("a", "b", "ab", "az", "bz", "abz")
    counts = sorted(int(k) for k in rng.integers(1, 5, size=60))
    patterns = ["i,->", "ij,k->k", "ij,jk->k"]
    patterns += [random_pattern(rng, count, anywhere) for count in counts]
    yield from contraction_cases(answer, rng, patterns)
