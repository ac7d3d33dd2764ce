# %% [markdown]
# # 03 What is the adjoint of broadcasting?
#
# A layer of a network adds one bias to every image of a batch. Write `x + b`, and NumPy stretches
# `b`. Nobody asked how. But then the gradient arrives, with one row for each image, and `b` has
# room for one row only. What belongs there?
#
# This is the one thing that is really new when numbers become arrays. The answer is one word, and
# at the end of this notebook it carries a whole network: a `Tensor` on two pages.

# %%
import numpy as np

import tinyadtn as ta
from tinyadtn import teach
from tinyadtn.course.pictures.stretch import stretch_and_sum

# %% [markdown]
# ## From slopes to functions
#
# In notebook 01 a rule returned numbers: the slopes. For arrays a table of all slopes would be
# absurd: a product of two arrays of a million elements has a table of $10^{12}$, nearly all of
# them 0. What backward needs is only the *product* of the adjoint with that table. So a rule
# returns, for each input, a function: from `g`, the adjoint of the result, to the adjoint of the
# input. It is the vector-Jacobian product of notebook 02.
#
# Now the riddle. Here a batch of 3 rows meets a bias of 4 numbers. Which shape does `g * a` have,
# and which shape must the adjoint of `b` have?


# %%
def multiply(a, b):
    return a * b, lambda g: g * b, lambda g: g * a


a, b = np.arange(12.0).reshape(3, 4), np.array([1.0, -1.0, 2.0, 0.5])
value, for_a, for_b = multiply(a, b)
my_guess = None
teach.reveal(my_guess, f"{for_b(np.ones((3, 4))).shape}, but b has the shape {b.shape}")

# %% [markdown]
# ## Stretching is copying, and copies add up
#
# Notebook 01 has the answer: where a value is used three times, three contributions arrive, *and
# they add up*. Broadcasting uses each number of `b` once in every row. So its adjoint is the sum
# over the rows.
#
# Notebook 02 has the proof: copying is linear, so only the adjoint identity needs to hold,
# $\langle g, \text{stretch}(b)\rangle = \langle \text{sum}(g), b\rangle$.

# %%
rng = np.random.default_rng(3)
g = rng.normal(size=(3, 4))
stretched = np.broadcast_to(b, (3, 4))
left, right = np.sum(g * stretched), np.sum(g.sum(axis=0) * b)
print(f"<g, stretch(b)> = {left:.12f}\n<sum(g), b>     = {right:.12f}")
assert abs(left - right) < 1e-12

# %% [markdown]
# ## The picture to keep
#
# Forward, one number becomes many copies: cells of one shade. Backward, the adjoints of one shade
# come together in one number. A row is stretched downward, so columns are summed; a column is
# stretched to the right, so rows are summed.

# %%
row, column = np.array([1.0, -1.0, 2.0, 0.5]), np.array([[3.0], [-2.0], [1.0]])
gradient = np.array([[1.0, 0.0, 2.0, -1.0], [0.0, 3.0, 1.0, 1.0], [2.0, 1.0, -2.0, 1.0]])
stretch_and_sum([row, column], gradient)

# %% [markdown]
# ## Exercise: undo any broadcasting
#
# NumPy's rule has two halves. Shapes are lined up at their right ends, and *axes are put in
# front* where there are too few. Then *every axis of length 1 is stretched*. Write
# `unbroadcast(g, shape)`: sum `g` back to `shape`. The check draws hundreds of pairs of shapes.


# %%
def unbroadcast(g, shape):
    """Sum g over everything that broadcasting stretched; return an array of this shape."""


# %% solution: unbroadcast
def unbroadcast(g, shape):
    new = g.ndim - len(shape)  # axes that were put in front
    stretched = [new + k for k, n in enumerate(shape) if n == 1 != g.shape[new + k]]
    return g.sum(axis=(*range(new), *stretched)).reshape(shape)


# %%
unbroadcast = teach.check("unbroadcast", unbroadcast)

# %% [markdown]
# ## A Tensor
#
# It is the `Value` of notebook 01 with arrays inside. Two things are simpler now. The rules
# return functions, so nothing is computed that backward does not ask for. And instead of
# searching for an order we note the time: what was made later cannot have been used earlier, so
# *the order of making is a topological order*.
#
# Broadcasting is undone in one place, for all rules together: where an adjoint arrives at its
# input.


# %%
class Tensor:
    """An array, and how it was computed."""

    made = 0

    def __init__(self, data, parents=(), vjps=()):
        self.data = np.asarray(data, dtype=np.float64)
        self.parents, self.vjps = parents, vjps
        self.grad = np.zeros(self.data.shape)
        self.number = Tensor.made = Tensor.made + 1


def my_op(rule):
    """Lift a rule on arrays to Tensors; options go to the rule as they are."""

    def apply(*inputs, **options):
        inputs = [x if isinstance(x, Tensor) else Tensor(x) for x in inputs]
        data, *vjps = rule(*[x.data for x in inputs], **options)
        return Tensor(data, inputs, vjps)

    return apply


# %%
def my_backward(root):
    found, waiting = {root}, [root]
    while waiting:
        for parent in waiting.pop().parents:
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    root.grad = np.ones(root.data.shape)
    for node in sorted(found, key=lambda node: node.number, reverse=True):
        for parent, vjp in zip(node.parents, node.vjps):
            parent.grad = parent.grad + unbroadcast(vjp(node.grad), parent.data.shape)


# %% [markdown]
# ## Rules for arrays
#
# `add` and `multiply` read as they did for numbers. A sum over axes is the mirror image of
# broadcasting: its adjoint *copies*. For the matrix product let the shapes lead you: with `a` (n,
# k), `b` (k, m) and `g` (n, m) there is only one way to get an (n, k) out of `g` and `b`, and it
# is the right one.


# %%
def add(a, b):
    return a + b, lambda g: g, lambda g: g


def relu(a):
    return np.maximum(a, 0), lambda g: g * (a > 0)


def total(a, *, axis=None):
    def grad_a(g):
        g = g if axis is None else np.expand_dims(g, axis)
        return np.broadcast_to(g, a.shape)

    return a.sum(axis=axis), grad_a


def matmul(a, b):
    return a @ b, lambda g: g @ b.T, lambda g: a.T @ g


# %% [markdown]
# ## Indexing: predict what a repeated index gets
#
# `x[[0, 0, 2]]` copies element 0 twice, and element 1 not at all. If each of the three results
# has the adjoint 1, what is the adjoint of `x`? The cell tries two ways of writing it; guess
# which is right.


# %%
def by_assignment(x, index, g):
    out = np.zeros(x.shape)
    out[index] += g
    return out


def by_adding_at(x, index, g):
    out = np.zeros(x.shape)
    np.add.at(out, index, g)
    return out


my_guess = None
x, index = np.array([5.0, 6.0, 7.0]), [0, 0, 2]
for way in (by_assignment, by_adding_at):
    print(f"{way.__name__}: {way(x, index, np.ones(3))}")
teach.reveal(my_guess, by_adding_at.__name__)


# %%
def getitem(a, *, index):
    return a[index], lambda g: by_adding_at(a, index, g)


g = rng.normal(size=3)
for way in (by_assignment, by_adding_at):
    difference = np.sum(g * x[index]) - np.sum(way(x, index, g) * x)
    print(f"{way.__name__}: the adjoint identity is off by {abs(difference):.1e}")
assert abs(difference) < 1e-12

# %% [markdown]
# `out[index] += g` reads, adds and writes back; for a repeated index the second write covers the
# first. Copies must add up, here too. The identity sees it; no shape does.
#
# ## From scores to probabilities
#
# A network ends in ten scores, the *logits*, for each image. `log_softmax` turns them into
# logarithms of probabilities; the largest is taken off first, so that nothing overflows. Raising
# one score raises its own logarithm by 1, and lowers all of them by its probability. That
# sentence is the rule's gradient.


# %%
def log_softmax(a):
    shifted = a - a.max(axis=-1, keepdims=True)
    value = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return value, lambda g: g - np.exp(value) * g.sum(axis=-1, keepdims=True)


def random(*shape):
    return rng.normal(size=shape)


tests = (
    (add, (random(3, 4), random(4)), "smooth", {}),
    (multiply, (random(3, 4), random(3, 1)), "linear", {}),
    (total, (random(3, 4),), "linear", {"axis": 1}),
    (matmul, (random(3, 4), random(4, 2)), "linear", {}),
    (getitem, (random(3, 4),), "linear", {"index": ([0, 2, 2], [1, 3, 3])}),
    (log_softmax, (random(3, 4),), "smooth", {}),
)
for rule, arrays, method, options in tests:
    distance = ta.check_vjp(ta.op(rule), *arrays, method=method, **options)
    print(f"{rule.__name__:<12} {distance:.0e}")

# %% [markdown]
# Every rule holds: the linear ones to the last digits, by the adjoint identity. (`add` is tested
# as a smooth one: with `b` held fixed, `a + b` is not linear in `a`, for it is not 0 where `a`
# is.) Note that `ta.op` took our rules as they are.
#
# ## Exercise: softmax cross-entropy
#
# The loss of a classifier is the mean of minus the log-probability of the right answer, $L =
# -\tfrac1n\sum_i \log p_{i,\,\text{label}_i}$. Write `cross_entropy_vjp(logits, labels)`: the
# adjoint of the logits, (n, classes), in closed form. It is short, and the most used formula of
# the trade. Mind huge logits.


# %%
def cross_entropy_vjp(logits, labels):
    """Return dL/dlogits, an array of the shape of the logits."""


# %% solution: cross-entropy
def cross_entropy_vjp(logits, labels):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    out = e / e.sum(axis=1, keepdims=True)
    out[np.arange(len(labels)), labels] -= 1  # what it says, minus what is true
    return out / len(labels)


# %%
cross_entropy_vjp = teach.check("cross-entropy", cross_entropy_vjp)

# %% [markdown]
# ## A network, and the library beside it
#
# All rules together: two layers, each a matrix product and a bias, with a relu between them,
# and the cross-entropy. 30 rows of 8 numbers go in, and the adjoints of both matrices and both
# biases come out. The library, given the same numbers, must agree to the last digits. Which of
# the four did `unbroadcast` have to shrink?

# %%
my_add, my_relu, my_total, my_matmul, my_getitem, my_log_softmax = map(
    my_op, (add, relu, total, matmul, getitem, log_softmax)
)
my_multiply = my_op(multiply)
inputs, labels = random(30, 8), rng.integers(5, size=30)
arrays = {"w1": random(8, 16), "b1": random(16), "w2": random(16, 5), "b2": random(5)}


def my_network(x, w1, b1, w2, b2):
    hidden = my_relu(my_add(my_matmul(x, w1), b1))
    return my_add(my_matmul(hidden, w2), b2)


mine = {name: Tensor(array) for name, array in arrays.items()}
logits = my_network(inputs, **mine)
picked = my_getitem(my_log_softmax(logits), index=(np.arange(30), labels))
loss = my_multiply(my_total(picked), -1 / 30)
my_backward(loss)
closed = cross_entropy_vjp(logits.data, labels)
print(f"logits: engine and closed form differ by {abs(logits.grad - closed).max():.0e}")
assert abs(logits.grad - closed).max() < 1e-15

# %%
theirs = {name: ta.Tensor(array, requires_grad=True) for name, array in arrays.items()}
hidden = ta.relu(ta.add(ta.matmul(inputs, theirs["w1"]), theirs["b1"]))
logits = ta.add(ta.matmul(hidden, theirs["w2"]), theirs["b2"])
ta.softmax_cross_entropy(logits, labels=labels).backward()
for name in arrays:
    difference = abs(mine[name].grad - theirs[name].grad).max()
    print(f"{name}: {theirs[name].grad.shape!s:<8} largest difference {difference:.0e}")
    assert difference < 1e-14

# %% [markdown]
# `unbroadcast` shrank the two biases: (30, 16) to (16,), and (30, 5) to (5,).
#
# ## Ledger
#
# **Shown.** The adjoint of copying is adding: for broadcasting, for indexing, for a value used
# twice; it is one fact. A Tensor is a Value with arrays in it and with functions for slopes. Ours
# agrees with the library's to the last digits, for a network of two layers.
#
# **Assumed.** Shapes that NumPy lets through are shapes that were meant. A bias of the wrong
# shape that happens to broadcast gives a right gradient of the wrong function.
#
# **Not tested.** Number types (ours is float64 throughout), arrays of zero length, arrays that
# share memory, changing an array before backward has used it. The library's tests go into all of
# these.
#
# **Next: notebook 04.** Does it learn?
