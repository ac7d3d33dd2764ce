# %% [markdown]
# # 04 Does it learn?
#
# We can differentiate, and we know that the gradients are right. So let a network read digits:
# 784 pixels go in, ten scores come out. The real question is not whether the loss falls. It is
# how you would *know* that a network has learned something, and what it looks like if it has not.
#
# Four questions, before any accuracy is believed. Does it start where it must? Can it learn one
# batch by heart? Does it fail where there is nothing to learn? And what does it still get wrong?

# %%
import numpy as np

import tinyadtn as ta
from tinyadtn import teach
from tinyadtn.course.exercises.broken import SUSPECTS, broken_run
from tinyadtn.course.pictures.learning import curves_and_misread, loss_curves

data = ta.load_data("mnist-5k")
assert [len(split) for split in (data.train, data.validation, data.test)] == [3_500, 500, 1_000]
ta.draw.digits(data.train.images[:10], [f"this is a {n}" for n in data.train.labels[:10]])

# %% [markdown]
# 3,500 digits to learn from; 500 to look at while choosing; 1,000 to be looked at once, at the
# end.
#
# ## A network is a function and a list of arrays
#
# Two matrices, two biases, a relu between. The matrices start at random, scaled so that a sum
# over $n$ inputs is about as large as one of them: $1/\sqrt n$.


# %%
def my_parameters(seed=0, hidden=256):
    rng = np.random.default_rng(seed)

    def start(*shape):
        scale = shape[0] ** -0.5 if len(shape) == 2 else 0.0
        return ta.Tensor((scale * rng.normal(size=shape)).astype(np.float32), requires_grad=True)

    return [start(784, hidden), start(hidden), start(hidden, 10), start(10)]


def my_network(parameters, images):
    w1, b1, w2, b2 = parameters
    hidden = ta.relu(images.reshape(len(images), 784) @ w1 + b1)
    return hidden @ w2 + b2


# %% [markdown]
# ## Predict: where does the loss start?
#
# The loss is the mean of $-\ln p\,(\text{right answer})$. An untrained network knows nothing, so
# it gives each of the ten digits about the same probability. Guess the loss before you run the
# cell.
#
# If a network of yours starts far above that, its first scores are too large; far below, and the
# answer has leaked in somewhere. It is the cheapest test there is.

# %%
my_guess = None
parameters = my_parameters()
train = data.train
logits = my_network(parameters, train.images)
first_loss = ta.softmax_cross_entropy(logits, labels=train.labels).item()
teach.reveal(my_guess, first_loss)
print(f"ln 10 = {np.log(10):.4f}")
assert abs(first_loss - np.log(10)) < 0.1

# %% [markdown]
# ## Downhill
#
# The gradient says how the loss moves with each number. Take a step against it: $p \leftarrow p -
# \eta\,\partial L/\partial p$. That is all that *stochastic gradient descent* does; stochastic,
# because each step looks at one batch. First the second test: can 300 steps learn 32 images by
# heart? A network that cannot do this has a bug, and no need to see the other images.


# %%
def my_sgd(p, memory, t, rate=0.1):
    p.data -= rate * p.grad


def my_step(parameters, images, labels, update, memory, t):
    loss = ta.softmax_cross_entropy(my_network(parameters, images), labels=labels)
    loss.backward()
    for p, remembered in zip(parameters, memory):
        update(p, remembered, t)
        p.grad = None  # gradients add up, until they are reset
    return loss.item()


# %%
parameters = my_parameters()
images, labels = train.images[:32], train.labels[:32]
memory = [{} for _ in parameters]
for t in range(1, 1 + 300):
    loss = my_step(parameters, images, labels, my_sgd, memory, t)
print(f"after {t} steps on the same {len(labels)} images: loss {loss:.4f}")
assert loss < 0.05

# %% [markdown]
# ## The loop
#
# An *epoch* deals all images once, in a new random order, in batches of 128. Accuracy is measured
# on images that the loop never sees.


# %%
def my_train(images, labels, update, epochs, seed=0):
    parameters, losses = my_parameters(seed), []
    memory, rng = [{} for _ in parameters], np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(images))
        for start in range(0, len(images), 128):
            rows = order[start : start + 128]
            t = len(losses) + 1
            losses.append(my_step(parameters, images[rows], labels[rows], update, memory, t))
    return parameters, losses


def my_accuracy(parameters, split):
    return np.mean(my_network(parameters, split.images).data.argmax(axis=1) == split.labels)


epochs = teach.pick(15, 2)
parameters, sgd_losses = my_train(train.images, train.labels, my_sgd, epochs)
print(f"validation accuracy {100 * my_accuracy(parameters, data.validation):.1f} %")

# %% [markdown]
# ## Exercise: Adam
#
# Plain descent takes the same rate for all numbers. Adam keeps, for each number, a running mean
# of its gradient and one of its square, and steps by mean over root: about `lr` whatever the
# gradient's size.
#
# $$m \leftarrow 0.9\,m + 0.1\,g,\quad v \leftarrow 0.999\,v + 0.001\,g^2,\quad
# p \leftarrow p - \text{lr}\,\frac{m/(1-0.9^t)}{\sqrt{v/(1-0.999^t)} + 10^{-8}}$$
#
# Both start at 0; the two divisions undo that. The check compares with stored numbers of another
# library, and with the sums written out.


# %%
def adam_step(data, g, mean, square, t, lr):
    """One step: return the new data, mean and square. t counts the steps from 1."""


# %% solution: adam
def adam_step(data, g, mean, square, t, lr):
    mean = 0.9 * mean + 0.1 * g
    square = 0.999 * square + 0.001 * g * g
    m, v = mean / (1 - 0.9**t), square / (1 - 0.999**t)
    return data - lr * m / (np.sqrt(v) + 1e-8), mean, square


# %%
adam_step = teach.check("adam", adam_step)


def my_adam(p, memory, t, rate=1e-3):
    before = memory.get("mean", 0 * p.data), memory.get("square", 0 * p.data)
    p.data[...], memory["mean"], memory["square"] = adam_step(p.data, p.grad, *before, t, rate)


best, adam_losses = my_train(train.images, train.labels, my_adam, epochs)
print(f"validation accuracy {100 * my_accuracy(best, data.validation):.1f} %")

# %% [markdown]
# ## The control: shuffled labels
#
# Now deal the labels to the wrong images, at random, and train three times as long. There is
# nothing to learn but the list itself. Guess two numbers: the training loss at the end, and the
# accuracy on the validation images.

# %%
my_guess = None
shuffled = np.random.default_rng(1).permutation(train.labels)
lost, shuffled_losses = my_train(train.images, shuffled, my_adam, 3 * epochs)
chance = my_accuracy(lost, data.validation)
end = np.mean(shuffled_losses[-20:])
teach.reveal(my_guess, f"loss {end:.2f}, accuracy {100 * chance:.1f} %")
assert abs(chance - 0.1) < 0.06
assert teach.fast or end < 1.2

# %% [markdown]
# The loss falls far below ln 10 even here: the network learns the list by heart. What stays at
# one in ten is the accuracy on new images. **A falling training loss shows that the optimiser
# works. Only held-out data shows that something was learned.**
#
# ## Exercise: three broken runs
#
# Each of these runs has one bug. All three would pass a test that only asks whether the code
# runs. Read the curves and the instruments, and name the culprit of each from the list of
# suspects. Ask: where does it start, where does it stop, and does any gradient reach the first
# matrix?

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
# Left: one line that means *knows nothing*, and three curves against it. Right: 25 of the
# validation digits that the network trained with Adam reads wrongly. Look at them: some would
# cost you a second as well. A loss is a number; these are its mistakes.

# %%
answers = my_network(best, data.validation.images).data.argmax(axis=1)
wrong = np.flatnonzero(answers != data.validation.labels)[:25]
seen = {
    f"SGD: {100 * my_accuracy(parameters, data.validation):.0f} % of new digits": sgd_losses,
    f"Adam: {100 * my_accuracy(best, data.validation):.0f} %": adam_losses,
    f"Adam, shuffled labels: {100 * chance:.0f} %": shuffled_losses,
}
misread = data.validation.images[wrong, 0]
curves_and_misread(seen, misread, data.validation.labels[wrong], answers[wrong])

# %% [markdown]
# ## The library does the same
#
# `ta.Adam` makes the same steps as yours. `ta.train` is the same loop, with a rate that first
# rises and then falls, hence the slow first epoch; it is a generator, so what you want to do at
# each step stands in the body of your own `for`. And `ta.models.fc2` is the same network,
# started $\sqrt2$ times as large. Only now, with all choices made, look at the test images,
# once.

# %%
w = ta.Tensor(np.ones(5, np.float32), requires_grad=True)
optimizer = ta.Adam([w], learning_rate=0.1)
state = np.ones(5), np.zeros(5), np.zeros(5)
for t in range(1, 6):
    w.grad = (t * np.arange(5.0) - 3).astype(np.float32)
    state = adam_step(state[0], w.grad.astype(np.float64), *state[1:], t, 0.1)
    optimizer.step()
print(f"five steps of Adam: largest difference {abs(state[0] - w.data).max():.0e}")
assert abs(state[0] - w.data).max() < 1e-5

# %%
model = ta.models.fc2(rng=0)
for step in ta.train(model, data, epochs=epochs):
    if step.validation:
        print(f"epoch {step.epoch}: {step.mean_loss:.3f}", end="  ")
library_accuracy = 100 * ta.evaluate(model, data.test).accuracy
print(f"\ntest accuracy: mine {100 * my_accuracy(best, data.test):.1f} %", end=", ")
print(f"the library's {library_accuracy:.1f} %")
teach.states("91 %", library_accuracy, within=2)

# %% [markdown]
# ## Ledger
#
# **Shown.** The loss starts at ln 10. One batch can be learned by heart. Shuffled labels give a
# falling training loss and one in ten on new images. About 91 % of 1,000 unseen digits are read
# rightly, after 3,500 seen ones.
#
# **Assumed.** That validation and test digits come from the same source as the training ones; a
# digit written elsewhere may be read much worse. Rates and the number of epochs were taken, not
# searched.
#
# **Not tested.** Other seeds: with 1,000 test images, one standard deviation of the accuracy is
# about one point, so a difference of a point between two runs says nothing. Notebook 08 repeats
# runs for that reason.
#
# **Next: notebook 05.** Is convolution a matrix product in disguise?
