# %% [markdown]
# # 03 What is the adjoint of broadcasting, and of a contraction?
#
# A layer of a network adds one bias to every image of a batch. You write `x + b`, and NumPy
# stretches `b` without a word. But then the gradient arrives, with one row for each image, and `b`
# has room for one row only. What belongs there?
#
# Then the layer itself: it multiplies arrays and sums over an axis. What is the gradient of that?
# The first answer is one word, the second is one sentence. At the end of this notebook they carry a
# whole network, which learns to read digits.
#
# **Study time** 115 minutes. **You need** NumPy arrays with axes and shapes, and notebooks 01 and
# 02. **Afterwards you can** write a `Tensor` for whole arrays, undo any broadcasting, and write
# down the gradient of any contraction.
#
# **Recap of notebook 02.** A gradient is measured before it is used. A backward pass answers a
# question: given `g`, the adjoint of the result, what is the adjoint of the input? Such an answer
# is a *vector-Jacobian product*, VJP. Where the function is linear, it must pass the adjoint
# identity $\langle g, f(x)\rangle = \langle \text{vjp}(g), x\rangle$.

# %%
import numpy as np

import tinyadtn as ta
from tinyadtn import teach
from tinyadtn.course.pictures.learning import loss_curves
from tinyadtn.course.pictures.letters import chains
from tinyadtn.course.pictures.stretch import stretch_and_sum

# %% [markdown]
# ## From slopes to functions
#
# In notebook 01 a rule returned slopes. For arrays a table of all slopes would be absurd. The
# product of two arrays of a million elements has $10^{12}$ slopes, nearly all of them 0. Backward
# needs only the *product* of the adjoint with that table. So a rule returns a function for each
# input: from `g`, the adjoint of the result, to the adjoint of the input.
#
# Now the riddle. Here a batch of 3 rows meets a bias of 4 entries. Which shape does `g * a` have?
# And which shape must the adjoint of `b` have?


# %%
def multiply(a, b):
    return a * b, lambda g: g * b, lambda g: g * a


a, b = np.arange(12.0).reshape(3, 4), np.array([1.0, -1.0, 2.0, 0.5])
value, for_a, for_b = multiply(a, b)

# %%
my_guess_product = None  # the shape of g * a
my_guess_adjoint = None  # the shape of the adjoint of b

# %%
teach.reveal(my_guess_product, f"{for_b(np.ones((3, 4))).shape}", "g * a")
teach.reveal(my_guess_adjoint, f"{b.shape}", "adjoint of b")

# %% [markdown]
# ## Stretching is copying, and copies add up
#
# Notebook 01 has the answer: where a value is used three times, three contributions arrive, *and
# they add up*. Broadcasting uses each entry of `b` once in every row. So its adjoint is the sum
# over the rows.
#
# Notebook 02 has the proof. Copying is linear, so only the adjoint identity needs to hold: $\langle
# g, \text{stretch}(b)\rangle = \langle \text{sum}(g), b\rangle$.

# %%
rng = np.random.default_rng(3)
g = rng.normal(size=(3, 4))
left, right = np.sum(g * np.broadcast_to(b, (3, 4))), np.sum(g.sum(axis=0) * b)
print(f"<g, stretch(b)> = {left:.12f}")
print(f"<sum(g), b>     = {right:.12f}")

# %% [markdown]
# ## The picture to keep
#
# Forward, one entry becomes many copies: cells of one shade. Backward, the adjoints of one shade
# come together in one entry. A row is stretched downward, so columns are summed; a column is
# stretched to the right, so rows are summed.

# %%
row, column = np.array([1.0, -1.0, 2.0, 0.5]), np.array([[3.0], [-2.0], [1.0]])
gradient = np.array([[1.0, 0.0, 2.0, -1.0], [0.0, 3.0, 1.0, 1.0], [2.0, 1.0, -2.0, 1.0]])
stretch_and_sum([row, column], gradient)

# %% [markdown]
# ## Exercise: undo any broadcasting
#
# NumPy's rule has two halves. Shapes are lined up at their right ends, and *axes are put in front*
# where there are too few. Then *every axis of length 1 is stretched*. Write `unbroadcast(g,
# shape)`: sum `g` back to `shape`. The check draws hundreds of pairs of shapes.


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
# It is the `Value` of notebook 01 with an array inside. Two things are simpler now. First, the
# rules return functions, so nothing is computed that backward does not ask for. Second, we number
# the tensors in the order in which they are made. What was made later cannot have been used
# earlier, so *the order of making is a topological order*.
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
        Tensor.made += 1
        self.number = Tensor.made  # this is the n-th Tensor


def my_op(rule):
    """Turn a rule on arrays into an operation on Tensors; options go to the rule as they are."""

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
# `add` and `multiply` read as they did for single numbers. A sum over axes is the mirror image of
# broadcasting: its adjoint *copies*. For the matrix product the shapes lead the way. Let `a` be (n,
# k), `b` (k, m) and `g` (n, m). There is only one way to get an (n, k) out of `g` and `b`, and it
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
# Try it. The loss is the sum of all entries of `x + b`, for a batch of three rows. So the adjoint
# of every entry of `x` is 1. Each entry of `b` was copied into three rows.

# %%
my_add, my_relu, my_total, my_matmul, my_multiply = map(my_op, (add, relu, total, matmul, multiply))
batch, bias = Tensor(np.arange(12.0).reshape(3, 4)), Tensor(b)
my_backward(my_total(my_add(batch, bias)))
print("adjoint of b:", bias.grad)

# %% [markdown]
# ## Contraction: one operation for all layers
#
# A matrix product is one case of a larger family. A **contraction** gives each axis a letter,
# multiplies the arrays, and sums over every letter that the result lacks. `"ik,kj->ij"` is the
# matrix product, and `np.einsum` computes it. In this family you do not have to try out shapes.
# Take the smallest interesting case, a matrix times a vector:
#
# $$c_i = \sum_k a_{ik}\, x_k, \qquad \sum_i g_i\, c_i = \sum_{ik} g_i\, a_{ik}\, x_k .$$
#
# To first order the loss $L$ depends on $c$ only through $\sum_i g_i c_i$, where $g$ is the adjoint
# of $c$. This sum is linear in $a$ and linear in $x$. So the adjoint of $a_{ik}$ is what stands
# next to it, $g_i\,x_k$: the pattern `"i,k->ik"`. The adjoint of $x_k$ is $\sum_i g_i\,a_{ik}$: the
# pattern `"ik,i->k"`. In both cases **the operand and the result have exchanged their letters**.

# %%
a, x, g = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([10.0, 1.0]), np.array([1.0, -1.0])
print("c = a x:", np.einsum("ik,k->i", a, x))
print("adjoint of a:\n", np.einsum("i,k->ik", g, x))  # a and the result have changed places
print("adjoint of x:", np.einsum("ik,i->k", a, g))  # x and the result have changed places

# %% [markdown]
# Draw an array as a node and each of its axes as a leg with its letter. A leg that joins two nodes
# is summed over. An open leg is an axis of the result. For the matrix product, the three
# contractions are three chains: the adjoint G takes the place of the operand that is asked for.

# %%
chains(
    [
        ("forward: C", ("A", "B"), "ikj"),
        ("adjoint of A", ("G", "B"), "ijk"),
        ("adjoint of B", ("A", "G"), "kij"),
    ]
)

# %% [markdown]
# ## Exercise: the gradient of a contraction
#
# Write `einsum_vjp(pattern, a, b, g)`. It returns the adjoints of `a` and of `b` for the
# contraction `np.einsum(pattern, a, b)`. Take the pattern apart, exchange letters, and call
# `np.einsum` twice.
#
# The check draws random letters. Every letter stands in at least two of the three terms, so that
# each contraction has all the letters it needs.


# %%
def einsum_vjp(pattern, a, b, g):
    """Return (dL/da, dL/db) of a contraction like "ik,kj->ij", where g is dL/d(result)."""


# %% solution: einsum_vjp
def einsum_vjp(pattern, a, b, g):
    operands, z = pattern.split("->")
    x, y = operands.split(",")
    return np.einsum(f"{z},{y}->{x}", g, b), np.einsum(f"{x},{z}->{y}", a, g)


# %%
einsum_vjp = teach.check("einsum_vjp", einsum_vjp)


def contract(a, b, *, pattern):
    return (
        np.einsum(pattern, a, b),
        lambda g: einsum_vjp(pattern, a, b, g)[0],
        lambda g: einsum_vjp(pattern, a, b, g)[1],
    )


# %% [markdown]
# ## Indexing: predict what a repeated index gets
#
# `x[[0, 0, 2]]` copies element 0 twice, and element 1 not at all. If each of the three results has
# the adjoint 1, what is the adjoint of `x`?

# %%
my_guess_index = None  # three values, for example (1, 1, 1)


# %%
def by_assignment(x, index, g):
    out = np.zeros(x.shape)
    out[index] += g
    return out


def by_adding_at(x, index, g):
    out = np.zeros(x.shape)
    np.add.at(out, index, g)
    return out


# %%
x, index, g = np.array([5.0, 6.0, 7.0]), [0, 0, 2], rng.normal(size=3)
teach.reveal(my_guess_index, by_adding_at(x, index, np.ones(3)))
for way in (by_assignment, by_adding_at):
    difference = np.sum(g * x[index]) - np.sum(way(x, index, g) * x)
    print(f"{way.__name__}: {way(x, index, np.ones(3))}", end=", ")
    print(f"the adjoint identity is off by {abs(difference):.1e}")


def getitem(a, *, index):
    return a[index], lambda g: by_adding_at(a, index, g)


# %% [markdown]
# `out[index] += g` reads, adds and writes back. For a repeated index the second write covers the
# first. Copies must add up, here too. The adjoint identity sees it; the shapes do not.
#
# ## From scores to probabilities
#
# A network ends in ten scores $a_1 \dots a_{10}$ for each image, the **logits**. They become
# probabilities by **softmax**, and the loss needs the logarithm of these:
#
# $$p_k = \frac{e^{a_k}}{\sum_j e^{a_j}}, \qquad
# \log p_k = a_k - \log \sum_j e^{a_j} .$$
#
# How does $\log p_k$ move with $a_j$? The first term moves only if $k = j$, with slope 1. The
# second is a logarithm of a sum: its slope is $e^{a_j} / \sum e^{a} = p_j$, for every $k$. So the
# slope is $[k = j] - p_j$, where the bracket is 1 if its content is true, else 0. Weigh the outputs
# with $g_k$ and add them up:
#
# $$\sum_k g_k\,\big([k = j] - p_j\big) \;=\; g_j - p_j \sum_k g_k .$$
#
# This is the VJP, and the last line of the rule. The largest score is taken off first, so that
# nothing overflows; it cancels in the fraction.


# %%
def log_softmax(a):
    shifted = a - a.max(axis=-1, keepdims=True)
    value = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return value, lambda g: g - np.exp(value) * g.sum(axis=-1, keepdims=True)


# %% [markdown]
# ## Check every rule
#
# `ta.check_vjp`, which you built in notebook 02, tests each rule. Linear rules are tested by the
# adjoint identity, the others by differences. `add` counts as "smooth": with `b` held fixed, `a +
# b` is not linear in `a`, because it is not 0 where `a` is 0.


# %%
def random(*shape):
    return rng.normal(size=shape)


tests = (
    (add, (random(3, 4), random(4)), "smooth", {}),
    (multiply, (random(3, 4), random(3, 1)), "linear", {}),
    (total, (random(3, 4),), "linear", {"axis": 1}),
    (matmul, (random(3, 4), random(4, 2)), "linear", {}),
    (contract, (random(3, 4), random(2, 4)), "linear", {"pattern": "ni,oi->no"}),
    (getitem, (random(3, 4),), "linear", {"index": ([0, 2, 2], [1, 3, 3])}),
    (log_softmax, (random(3, 4),), "smooth", {}),
)
for rule, arrays, method, options in tests:
    distance = ta.check_vjp(ta.op(rule), *arrays, method=method, **options)
    print(f"{rule.__name__:<12} {distance:.0e}")

# %% [markdown]
# All rules hold, the linear ones to the last digits. Note that `ta.op` took our rules as they are.
#
# ## Exercise: softmax cross-entropy
#
# The loss of a classifier is the mean of minus the log-probability of the right answer, $L =
# -\tfrac1n\sum_i \log p_{i,\,\text{label}_i}$. It is called **cross-entropy**. Write
# `cross_entropy_vjp(logits, labels)`: the adjoint of the logits, of shape (n, classes), in closed
# form. It is short, and every classifier uses it. Take care with huge logits.


# %%
def cross_entropy_vjp(logits, labels):
    """Return dL/dlogits, an array of the shape of the logits."""


# %% solution: cross-entropy
def cross_entropy_vjp(logits, labels):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    out = e / e.sum(axis=1, keepdims=True)
    out[np.arange(len(labels)), labels] -= 1  # the probability, minus the truth
    return out / len(labels)


# %%
cross_entropy_vjp = teach.check("cross-entropy", cross_entropy_vjp)

# %% [markdown]
# ## A network that reads digits
#
# Two layers, each a contraction and a bias, with a relu between them. 784 pixels go in, 32 hidden
# values stand in the middle, and ten logits come out. For images n, inputs i and outputs o, the
# pattern of a layer is `"ni,oi->no"`.

# %%
my_getitem, my_log_softmax, my_contract = map(my_op, (getitem, log_softmax, contract))


def my_network(x, w1, b1, w2, b2):
    hidden = my_relu(my_add(my_contract(x, w1, pattern="ni,oi->no"), b1))
    return my_add(my_contract(hidden, w2, pattern="ni,oi->no"), b2)


def my_cross_entropy(logits, labels):
    n = len(labels)
    picked = my_getitem(my_log_softmax(logits), index=(np.arange(n), labels))
    return my_multiply(my_total(picked), -1 / n)


# %% [markdown]
# First the gradients, against your closed form and against the library, which gets the same arrays.
# All of them must agree to the last digits.

# %%
data = ta.load_data("mnist-5k")
images, labels = data.train.images[:64].reshape(64, 784), data.train.labels[:64]
arrays = {"w1": random(32, 784) / 28, "b1": random(32), "w2": random(10, 32) / 6, "b2": random(10)}
mine = {name: Tensor(array) for name, array in arrays.items()}
logits = my_network(images, **mine)
my_backward(my_cross_entropy(logits, labels))
closed = cross_entropy_vjp(logits.data, labels)
print(f"logits: engine and closed form differ by {abs(logits.grad - closed).max():.0e}")

# %%
theirs = {name: ta.Tensor(array, requires_grad=True) for name, array in arrays.items()}
x = images.astype(np.float64)
hidden = ta.relu(ta.add(ta.contract(x, theirs["w1"], pattern="ni,oi->no"), theirs["b1"]))
output = ta.add(ta.contract(hidden, theirs["w2"], pattern="ni,oi->no"), theirs["b2"])
ta.softmax_cross_entropy(output, labels=labels).backward()
for name in arrays:
    difference = abs(mine[name].grad - theirs[name].grad).max()
    print(f"{name}: {theirs[name].grad.shape!s:<9} largest difference {difference:.0e}")

# %% [markdown]
# ## Let it learn: 20 steps
#
# As in notebook 01, each step moves every parameter against its gradient. Each step looks at the
# next 64 digits. All of it is your own code: `Tensor`, the rules, `unbroadcast`, `einsum_vjp`,
# `my_backward`. The parameters start at half of the arrays above, because smaller scores bring the
# first loss nearer to that of equal probabilities.
#
# Guess: after 20 steps, how many percent of the validation digits, which it has never seen, does
# the network read rightly?

# %%
my_guess_percent = None


# %%
def my_step(parameters, images, labels, rate):
    """One step of gradient descent: return the new parameters and the loss before it."""
    tensors = {name: Tensor(array) for name, array in parameters.items()}
    loss = my_cross_entropy(my_network(images, **tensors), labels)
    my_backward(loss)
    moved = {name: tensor.data - rate * tensor.grad for name, tensor in tensors.items()}
    return moved, float(loss.data)


# %%
parameters, losses = {name: array / 2 for name, array in arrays.items()}, []
for k in range(20):
    batch = slice(64 * k, 64 * (k + 1))
    images = data.train.images[batch].reshape(64, 784)
    parameters, loss = my_step(parameters, images, data.train.labels[batch], rate=0.5)
    losses.append(loss)

answers = my_network(data.validation.images.reshape(-1, 784), **parameters).data.argmax(axis=1)
percent = 100 * np.mean(answers == data.validation.labels)
teach.reveal(my_guess_percent, percent)

# %% [markdown]
# The grey line is the loss of a network that gives every digit the same probability. Notebook 04
# starts from this line.

# %%
loss_curves({"my Tensor, 20 steps": losses})

# %% [markdown]
# The digits are read by two sentences, "copies add up" and "exchange the letters", and a loop
# around them. Whether 20 steps are enough, and how you would know, is the question of the next
# notebook.
#
# ## Challenge: a letter on its own
#
# In `"ij,k->k"` the letters i and j stand in the first operand only. They are summed over, but no
# other term has them, so `np.einsum` cannot produce them by an exchange. Which adjoint arrives
# there? You know both halves of the answer: the adjoint of a sum copies, and a contraction
# exchanges letters.
#
# Write `any_vjp(pattern, a, b, g)`. It returns what `einsum_vjp` returns, also for patterns in
# which a letter stands alone.


# %%
def any_vjp(pattern, a, b, g):
    """Return (dL/da, dL/db), also where a letter stands in one operand only."""


# %% solution: any pattern
def any_vjp(pattern, a, b, g):
    operands, z = pattern.split("->")
    x, y = operands.split(",")

    def adjoint(wanted, shape, other, letters):
        alone = [letter not in letters + z for letter in wanted]
        kept = "".join(letter for letter, lone in zip(wanted, alone) if not lone)
        result = np.einsum(f"{z},{letters}->{kept}", g, other)
        ones = [1 if lone else n for lone, n in zip(alone, shape)]
        return np.broadcast_to(result.reshape(ones), shape)

    return adjoint(x, a.shape, b, y), adjoint(y, b.shape, a, x)


# %%
any_vjp = teach.check("any pattern", any_vjp)

# %% [markdown]
# ## Ledger
#
# **Shown.** The adjoint of copying is adding: for broadcasting, for indexing, for a value used
# twice. The gradient of a contraction is a contraction with exchanged letters. A Tensor is a Value
# with an array in it and with functions for slopes. Ours agrees with the library's to the last
# digits, and 20 steps with it teach a network most of the digits.
#
# **Assumed.** Shapes that NumPy accepts are shapes that were meant. A bias of the wrong shape that
# happens to broadcast gives a right gradient of the wrong function.
#
# **Not tested.** Number types (ours is float64 throughout), arrays of zero length, arrays that
# share memory, changing an array before backward has used it. The library's tests cover all of
# these.
#
# **Next: notebook 04.** Does it learn?
