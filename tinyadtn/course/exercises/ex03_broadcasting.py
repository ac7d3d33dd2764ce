"""Notebook 03: undoing broadcasting, and the gradient of softmax cross-entropy."""

import numpy as np

from tinyadtn.teach import exercise

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
    for _ in range(300):
        large, small = shape_pair(rng)
        g, b = rng.normal(size=large), rng.normal(size=small)
        got = answer(g, small)
        if got is None or got is NotImplemented:
            yield f"{large} back to {small}", 0, got
            return
        # np.add.at adds up what belongs to one number, wherever it was copied to
        right = np.zeros(b.size)
        owner = np.broadcast_to(np.arange(b.size).reshape(small), large)
        np.add.at(right, owner, g)
        yield f"{large} back to {small}", right.reshape(small), got
        identity = np.sum(g * np.broadcast_to(b, large))
        yield f"the adjoint identity, {large} and {small}", identity, np.sum(np.asarray(got) * b)


# --- softmax cross-entropy -----------------------------------------------------------------------


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def without_the_mean(logits, labels):
    out = softmax(logits)
    out[np.arange(len(labels)), labels] -= 1
    return out


def probabilities_only(logits, labels):
    return softmax(logits) / len(labels)


def sign_turned(logits, labels):
    return -without_the_mean(logits, labels) / len(labels)


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
        probabilities_only,
        sign_turned,
        softmax_along_the_batch,
        overflows,
    ),
    tolerance=1e-8,
)
def check_cross_entropy(answer, rng):
    for _ in range(15):
        n, classes = (int(k) for k in rng.integers(2, 6, size=2))
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
