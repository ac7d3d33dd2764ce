# %% [markdown]
# # 04 Does it learn?
#
# We can differentiate, and we know that the gradients are right. So let a network read digits: 784
# pixels go in, ten scores come out. The real question is not whether the loss falls. It is how you
# would *know* that a network has learned something, and what it looks like if it has not.
#
# Four questions come before any accuracy. Does the loss start where it must? Can the network learn
# one batch by heart? Does it fail where there is nothing to learn? And what does it still get
# wrong?
#
# **Study time** 90 minutes. **You need** notebook 03, above all its `Tensor`. **Afterwards you
# can** write a training loop with SGD and Adam and test it in four ways. And you can name the bug
# of a run from its curves.
#
# **Recap of notebook 03.** A `Tensor` is an array that remembers how it was computed, and a rule
# gives one VJP for each input. The adjoint of copying is adding; the gradient of a contraction
# exchanges letters. With these, 20 steps of gradient descent taught a small network most of the
# digits.

# %%
import time

import numpy as np

import tinyadtn as ta
from tinyadtn import teach
from tinyadtn.course.exercises.broken import SUSPECTS, broken_run
from tinyadtn.course.pictures.learning import curves_and_misread, loss_curves

data = ta.load_data("mnist-5k")
train = data.train
print(f"{len(train)} digits to train, {len(data.validation)} to validate, {len(data.test)} to test")
ta.draw.digits(train.images[:10], [f"this is a {n}" for n in train.labels[:10]])

# %% compare
teach.states("500", len(data.validation), always=True)
teach.states("1,000", len(data.test), always=True)

# %% [markdown]
# The network learns from the training digits. We look at the 500 validation digits while we choose,
# and at the 1,000 test digits once, at the end.
#
# ## Your Tensor
#
# Here is the `Tensor` of notebook 03 once more, in short form, with the four rules that a network
# needs. Read it as a recap: you should recognize every line.


# %%
class Tensor:
    made = 0

    def __init__(self, data, parents=(), vjps=()):
        self.data, self.grad = np.asarray(data), 0.0
        self.parents, self.vjps = parents, vjps
        Tensor.made += 1
        self.number = Tensor.made


def my_op(rule):
    def apply(*inputs, **options):
        inputs = [x if isinstance(x, Tensor) else Tensor(x) for x in inputs]
        data, *vjps = rule(*[x.data for x in inputs], **options)
        return Tensor(data, inputs, vjps)

    return apply


def my_backward(root):
    found, waiting = {root}, [root]
    while waiting:
        new = [p for p in waiting.pop().parents if p not in found]
        found.update(new)
        waiting += new
    root.grad = np.ones_like(root.data)
    for node in sorted(found, key=lambda node: node.number, reverse=True):
        for parent, vjp in zip(node.parents, node.vjps):
            parent.grad = parent.grad + unbroadcast(vjp(node.grad), parent.data.shape)


# %%
def unbroadcast(g, shape):
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    return g.sum(axis=tuple(k for k, n in enumerate(shape) if n == 1), keepdims=True)


@my_op
def relu(a):
    return np.maximum(a, 0), lambda g: g * (a > 0)


@my_op
def cross_entropy(a, *, labels):
    rows, e = np.arange(len(labels)), np.exp(a - a.max(axis=1, keepdims=True))
    p, truth = e / e.sum(axis=1, keepdims=True), np.eye(a.shape[1])[labels]
    return -np.log(p[rows, labels]).mean(), lambda g: g * (p - truth) / len(labels)


Tensor.__add__ = my_op(lambda a, b: (a + b, lambda g: g, lambda g: g))
Tensor.__matmul__ = my_op(lambda a, b: (a @ b, lambda g: g @ b.T, lambda g: a.T @ g))

# %% [markdown]
# ## A network is a function and a list of arrays
#
# Two matrices, two biases, a relu between. The matrices start at random values. They are scaled by
# $1/\sqrt n$, so that a sum over $n$ inputs is about as large as one of them.


# %%
def my_arrays(seed=0, hidden=256):
    """w1, b1, w2, b2 at the start."""
    rng = np.random.default_rng(seed)
    w1, w2 = rng.normal(size=(784, hidden)) / 28, rng.normal(size=(hidden, 10)) / hidden**0.5
    arrays = w1, np.zeros(hidden), w2, np.zeros(10)
    return [array.astype(np.float32) for array in arrays]


def own_loss(parameters, images, labels):
    w1, b1, w2, b2 = parameters
    hidden = relu(Tensor(images.reshape(-1, 784)) @ w1 + b1)
    return cross_entropy(hidden @ w2 + b2, labels=labels)


# %% [markdown]
# ## Predict: where does the loss start?
#
# The loss is the mean of $-\ln p\,(\text{right answer})$. An untrained network has not seen any
# digit, so it gives each of the ten about the same probability. Guess the loss.

# %%
my_guess_first = None

# %%
parameters = [Tensor(array) for array in my_arrays()]
first_loss = float(own_loss(parameters, train.images, train.labels).data)
teach.reveal(my_guess_first, first_loss)
print(f"ln 10 = {np.log(10):.4f}")

# %% compare
teach.states("203,530", sum(array.size for array in my_arrays()), always=True)

# %% [markdown]
# This is the cheapest test of all. If a network of yours starts far above $\ln 10$, its first
# scores are too large. If it starts far below, the answer has leaked in somewhere.
#
# ## Downhill
#
# The gradient $g$ is the slope of the loss along each parameter $p$. Take a step against it: $p
# \leftarrow p - \text{rate} \cdot g$. This is *stochastic gradient descent*, **SGD**. It is
# stochastic because each step looks at one random batch only.
#
# Now the second test: can 300 steps learn 32 images by heart? A network that cannot do this has a
# bug, and there is no reason to show it more images.


# %%
def my_sgd(parameters, rate=0.1):
    """One step against the gradient, for every parameter."""
    for p in parameters:
        p.data -= rate * p.grad


def own_step(parameters, images, labels):
    loss = own_loss(parameters, images, labels)
    my_backward(loss)
    my_sgd(parameters)
    for p in parameters:
        p.grad = 0.0  # gradients add up until they are reset
    return float(loss.data)


# %%
parameters = [Tensor(array) for array in my_arrays()]
for _ in range(300):
    by_heart = own_step(parameters, train.images[:32], train.labels[:32])
print(f"after 300 steps on the same 32 images: loss {by_heart:.4f}")

# %% [markdown]
# ## The first epoch
#
# An **epoch** shows all training images once, in a random order, in batches of 128. Here is the
# first epoch on your own Tensor, with a clock.


# %%
def batches(count, seed):
    order = np.random.default_rng(seed).permutation(count)
    return [order[start : start + 128] for start in range(0, count, 128)]


parameters = [Tensor(array) for array in my_arrays()]
begun = time.perf_counter()
own_losses = [
    own_step(parameters, train.images[rows], train.labels[rows])
    for rows in batches(len(train), seed=0)
]
own_seconds = time.perf_counter() - begun
print(f"loss {own_losses[0]:.3f} -> {own_losses[-1]:.3f} in {own_seconds:.2f} s")

# %% [markdown]
# ## The library, and the clock
#
# `ta.Tensor` does the same, so the next functions read like those above. Two differences:
# `backward` is a method, and a gradient is reset to `None`. From here on the function `update` is
# an argument, because SGD will not be the only one.


# %%
def my_network(parameters, images):
    w1, b1, w2, b2 = parameters
    hidden = ta.relu(images.reshape(-1, 784) @ w1 + b1)
    return hidden @ w2 + b2


def my_step(parameters, images, labels, update):
    loss = ta.softmax_cross_entropy(my_network(parameters, images), labels=labels)
    loss.backward()
    update(parameters)
    for p in parameters:
        p.grad = None
    return loss.item()


# %%
def my_train(images, labels, update, epochs, hidden=256):
    arrays = my_arrays(hidden=hidden)
    parameters = [ta.Tensor(array, requires_grad=True) for array in arrays]
    losses = []
    for epoch in range(epochs):
        for rows in batches(len(images), seed=epoch):
            losses.append(my_step(parameters, images[rows], labels[rows], update))
    return parameters, losses


# %% [markdown]
# Both epochs see the same batches from the same start. Guess two things: how many times faster is
# the library, and how far apart are the 28 losses at most?

# %%
my_guess_factor = None
my_guess_difference = None

# %%
begun = time.perf_counter()
_, losses = my_train(train.images, train.labels, my_sgd, epochs=1)
seconds = time.perf_counter() - begun
difference = max(abs(a - b) for a, b in zip(own_losses, losses))
teach.reveal(my_guess_factor, round(own_seconds / seconds, 1), "times faster")
teach.reveal(my_guess_difference, difference, "difference")

# %% compare
teach.states("28", len(losses), always=True)

# %% [markdown]
# The losses agree up to rounding: the library computes nothing that you have not computed. Why is
# it faster? Look for `np.eye` in `cross_entropy`. This table has double precision, so every adjoint
# of your Tensor has it too. Write `np.eye(a.shape[1], dtype=np.float32)` and run both epochs again:
# most of the difference is gone. From here on we use the library, which takes care of such details.
#
# ## More epochs
#
# **Accuracy** is the share of right answers, on images that the loop never sees.


# %%
def my_accuracy(parameters, split):
    return np.mean(my_network(parameters, split.images).data.argmax(axis=1) == split.labels)


epochs = teach.pick(15, 2)
by_sgd, sgd_losses = my_train(train.images, train.labels, my_sgd, epochs)
print(f"SGD: validation accuracy {100 * my_accuracy(by_sgd, data.validation):.1f} %")

# %% [markdown]
# ## Exercise: Adam
#
# SGD uses one learning rate for all parameters, and it forgets each gradient after its step.
# **Adam** remembers. For each parameter it keeps a running mean $m$ of the gradient and a running
# mean $v$ of its square. It steps by mean over root, so a step is about `rate` long, whatever the
# size of the gradient. In step $t = 1, 2, \dots$
#
# $$m \leftarrow 0.9\,m + 0.1\,g,\quad v \leftarrow 0.999\,v + 0.001\,g^2,\quad
# p \leftarrow p - \text{rate}\,\frac{m/(1-0.9^t)}{\sqrt{v/(1-0.999^t)} + 10^{-8}}$$
#
# Both means start at 0, so they are too small at first; the two divisions correct that. The check
# compares with a stored run of another library, and with the sums written out.


# %%
def adam_step(p, g, m, v, t, rate):
    """One step: return the new p, m and v. t counts the steps from 1."""


# %% solution: adam
def adam_step(p, g, m, v, t, rate):
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g * g
    step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return p - rate * step, m, v


# %%
adam_step = teach.check("adam", adam_step)


class MyAdam:
    """An update that remembers two running means for each parameter."""

    def __init__(self, rate=1e-3):
        self.rate, self.t, self.means = rate, 0, {}

    def __call__(self, parameters):
        self.t += 1
        for k, p in enumerate(parameters):
            m, v = self.means.get(k, (0 * p.data, 0 * p.data))  # both start at 0
            new, m, v = adam_step(p.data, p.grad, m, v, self.t, self.rate)
            p.data[...] = new
            self.means[k] = m, v


# %% [markdown]
# Guess: SGD or Adam, which one has the lower training loss after the same number of steps? And
# which one reads more validation digits rightly?

# %%
my_guess_loss = None  # "SGD" or "Adam"
my_guess_digits = None

# %%
by_adam, adam_losses = my_train(train.images, train.labels, MyAdam(), epochs)
end = {"SGD": np.mean(sgd_losses[-20:]), "Adam": np.mean(adam_losses[-20:])}
right = {"SGD": my_accuracy(by_sgd, data.validation), "Adam": my_accuracy(by_adam, data.validation)}
for name in end:
    print(f"{name}: training loss {end[name]:.3f}, validation accuracy {100 * right[name]:.1f} %")
teach.reveal(my_guess_loss, min(end, key=end.get), "lower loss")
teach.reveal(my_guess_digits, max(right, key=right.get), "more digits")

# %% [markdown]
# ## The control: shuffled labels
#
# The third test. Give the labels to the wrong images, at random, and train three times as long.
# There is nothing to learn except the list itself. Guess two values: the training loss at the end,
# and the accuracy on the validation images.

# %%
my_guess_shuffled_loss = None
my_guess_shuffled_percent = None

# %%
shuffled = np.random.default_rng(1).permutation(train.labels)
misled, shuffled_losses = my_train(train.images, shuffled, MyAdam(), 3 * epochs)
chance = my_accuracy(misled, data.validation)
teach.reveal(my_guess_shuffled_loss, round(float(np.mean(shuffled_losses[-20:])), 2), "loss")
teach.reveal(my_guess_shuffled_percent, 100 * chance, "accuracy in %")

# %% [markdown]
# The loss falls far below $\ln 10$ even here: the network learns the list by heart. The accuracy on
# new images stays near one in ten. **A falling training loss shows that the optimizer works. Only
# images that it has not seen show that something was learned.**
#
# ## Exercise: three broken runs
#
# Each of these runs has one bug. All three would pass a test that only asks whether the code runs.
# For each run, the cell prints the loss of the first step and its mean over the last ten. Then
# comes how much of the last batch is read rightly. Last comes the norm of `p.grad` of the first
# matrix, in the first step and in the last. The norm is the root of the sum of all squares.
#
# Name the bug of each run from the list. Ask: where does the loss start, where does it stop, and
# does any gradient reach the first matrix?

# %%
runs = {letter: broken_run(letter, train, teach.pick(600, 60)) for letter in "ABC"}
for letter, run in runs.items():
    print(f"{letter}: {run}")
print("suspects:", *SUSPECTS, sep="\n  ")
loss_curves({f"run {letter}": run.losses for letter, run in runs.items()})

# %%
my_diagnosis = {"A": None, "B": None, "C": None}  # a line of the list for each

# %% solution: diagnosis
my_diagnosis = {
    "A": "gradients are never reset",
    "B": "softmax is taken twice",
    "C": "all weights start at zero",
}

# %%
my_diagnosis = teach.check("diagnosis", my_diagnosis)

# %% [markdown]
# ## The picture to keep
#
# Left: the loss of a network that gives all digits the same probability, and three curves against
# it. Right, the fourth question: 25 of the validation digits that the network trained with Adam
# misreads: `3→5` is a 3 that it reads as a 5. Look at them; some would cost you a second as well.

# %%
answers = my_network(by_adam, data.validation.images).data.argmax(axis=1)
wrong = np.flatnonzero(answers != data.validation.labels)[:25]
curves = {
    f"SGD: {100 * right['SGD']:.0f} % of new digits": sgd_losses,
    f"Adam: {100 * right['Adam']:.0f} %": adam_losses,
    f"Adam, shuffled labels: {100 * chance:.0f} %": shuffled_losses,
}
misread = data.validation.images[wrong, 0]
curves_and_misread(curves, misread, data.validation.labels[wrong], answers[wrong])

# %% [markdown]
# ## The library does the same
#
# `ta.Adam` makes the same steps as yours. `ta.train` is the same loop, with a learning rate that
# first rises and then falls; hence the slow first epoch. It is a generator: whatever you want to do
# at each step stands in the body of your own `for`. And `ta.models.fc2` is the same network, with
# $\sqrt2$ times as large weights at the start.

# %%
w = ta.Tensor(np.ones(5, np.float32), requires_grad=True)
optimizer = ta.Adam([w], learning_rate=0.1)
state = np.ones(5), np.zeros(5), np.zeros(5)
for t in range(1, 6):
    w.grad = (t * np.arange(5.0) - 3).astype(np.float32)
    state = adam_step(state[0], w.grad.astype(np.float64), *state[1:], t, 0.1)
    optimizer.step()
print(f"five steps of Adam: largest difference {abs(state[0] - w.data).max():.0e}")

# %% [markdown]
# Only now, with all choices made, look at the test images, once.

# %%
model = ta.models.fc2(rng=0)
for step in ta.train(model, data, epochs=epochs):
    if step.validation:
        print(f"epoch {step.epoch}: {step.mean_loss:.3f}", end="  ")
library_accuracy = 100 * ta.evaluate(model, data.test).accuracy
print(f"\ntest accuracy: mine {100 * my_accuracy(by_adam, data.test):.1f} %", end=", ")
print(f"the library's {library_accuracy:.1f} %")

# %% compare
teach.states("91 %", library_accuracy, within=2)

# %% [markdown]
# ## Challenge: the same with few parameters
#
# | network | parameters | accuracy |
# |---|---:|---:|
# | 784-256-10, as above | 203,530 | about 91 % of the test digits |
# | yours | at most `6,400` | at least `90 %` of the validation digits |
#
# Train a network of the same form with a smaller hidden layer. Choose its width, the learning rate
# and the number of epochs as you like; `my_train` has an argument `hidden`. Then put the four
# arrays, `p.data` of each parameter, into `my_small`.

# %%
my_small = None  # [w1, b1, w2, b2], four arrays


# %% solution: small network
def train_small(hidden=8, epochs=20, seed=1):
    train, rng = ta.load_data("mnist-5k").train, np.random.default_rng(seed)
    shapes = ((784, hidden), (hidden,), (hidden, 10), (10,))
    starts = [rng.normal(size=s) / s[0] ** 0.5 * (len(s) == 2) for s in shapes]
    parameters = [ta.Tensor(start.astype(np.float32), requires_grad=True) for start in starts]
    w1, b1, w2, b2 = parameters
    optimizer = ta.Adam(parameters, learning_rate=3e-3)
    for _ in range(epochs):
        for rows in np.split(rng.permutation(3500), 28):
            logits = ta.relu(train.images[rows].reshape(-1, 784) @ w1 + b1) @ w2 + b2
            ta.softmax_cross_entropy(logits, labels=train.labels[rows]).backward()
            optimizer.step()
            optimizer.zero_grad()
    return [p.data for p in parameters]


my_small = train_small()

# %%
my_small = teach.check("small network", my_small)

# %% [markdown]
# ## Ledger
#
# **Shown.** The loss starts at $\ln 10$. One batch can be learned by heart. Shuffled labels give a
# falling training loss and one in ten on new images. After 15 epochs, the network reads about 91 %
# of the test digits rightly.
#
# **Assumed.** Validation and test digits come from the same source as the training ones. A digit
# written elsewhere may be read much worse. Learning rates and the number of epochs were taken, not
# searched.
#
# **Not tested.** Other seeds. With so few test images, one standard deviation of the accuracy is
# about one percentage point. So a difference of one point between two runs is not significant. The
# notebooks on compression repeat their runs for that reason.
#
# **Next: notebook 05.** Is convolution a matrix product in disguise?
