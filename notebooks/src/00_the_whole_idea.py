# %% [markdown]
# # 00 What is the whole idea, on one page?
#
# A neural network stores millions of weights. This course asks whether a few hundred parameters can
# take their place. It builds everything that is needed to answer, from the chain rule on.
#
# The whole idea fits on one page of Python, `tinyadtn/tiny.py`. In this notebook you run the page,
# read it from top to bottom, and change it. You do not have to understand every line yet. Each of
# the next notebooks takes one part of the page and builds it by hand.
#
# **Study time** 75 minutes. **You need** derivatives, matrix products and NumPy. **Afterwards you
# can** say what a gate, a depth and a contraction are. You can add an operation to the engine, and
# change the width, the depth and the activation of a tensor network.

# %%
import inspect

import numpy as np

import tinyadtn as ta
from tinyadtn import teach, tiny
from tinyadtn.course.pictures import legs
from tinyadtn.course.pictures.page import page_graph
from tinyadtn.course.pictures.rows import rows_as_images

# %% [markdown]
# ## Run it
#
# FC-2 is a network with two layers that classifies pictures of digits. 784 pixels go in, 256
# *hidden units* stand in the middle, and ten scores come out. Its first layer `fc1` has a weight
# matrix of 256 rows and 784 columns. That makes 200,704 entries.
#
# The page trains FC-2 twice. The first time the matrix is stored and trained as usual: it is
# **dense**. The second time the matrix is never stored. In every step it is computed from an
# **ADTN**, an *automatically differentiable tensor network*. This one has 436 parameters, and they
# are trained instead of the matrix.
#
# Then both read digits that they have not seen. The share that is right is the **test accuracy**.
# Guess first: how many percentage points does the small one lose?

# %%
my_guess_points = None  # for example 20

# %% [markdown]
# The next cell runs for a minute or two: the page is short, and therefore slow. The dense network
# reports first. (`teach.pick(240, 3)` is 240; the tests of this course take the smaller number.)

# %%
data = ta.load_data("mnist-5k")
tiny.main(data, steps=teach.pick(240, 3))

# %% compare
teach.states("200,704", 256 * 784, always=True)

# %% [markdown]
# Subtract the second accuracy from the first, and compare the difference with your guess. If it is
# negative, the small one is better here. Do not conclude too much: `240` steps are few, and this is
# one run of each. Notebook 09 makes a fair comparison.
#
# Why does this work, how far does it go, and what is *not* due to these parameters? These are the
# questions of notebooks 06 to 11.
#
# ## The picture to keep
#
# Here is the second run as a graph. Blue arrows compute values, from left to right. Orange arrows
# bring gradients back, and they end at the two boxes with a bold frame, which are trained. The
# bias `b1` of the first layer is trained as well. The words below the arrows are functions of the
# page; `relu` sets negative entries to 0. There are n images in a batch, and **logits** is the
# usual name of the ten scores. The **loss** is one number that is small if the scores are right.

# %%
page_graph()

# %% [markdown]
# ## A number that remembers where it came from
#
# A `Tensor` holds an array and the tensors that it was computed from, its *sources*. For each
# source it holds a function, the **VJP** (vector-Jacobian product). It turns the gradient of the
# result into the gradient of that source.
#
# Three names of the code need a word. `requires_grad` marks the tensors that are trained. `order`
# is larger than the order of every source, so the loss has the largest. `cotangents` holds the
# gradients that have arrived so far. `backward` starts at the loss, always takes the tensor of the
# largest order next, and so visits each tensor once. (`unbroadcast` is for arrays that NumPy has
# stretched: notebook 03.)


# %%
def show(thing):
    """Print the code of a function or class of the page."""
    print(inspect.getsource(thing))


show(tiny.Tensor)

# %% [markdown]
# Take $y = a \cdot b + a$ with $a = 3$ and $b = 4$. The variable $a$ is used twice, so two
# contributions arrive at it, and `backward` adds them. Guess the gradients of both.

# %%
my_guess_a = None
my_guess_b = None

# %%
a, b = tiny.Tensor(3.0, requires_grad=True), tiny.Tensor(4.0, requires_grad=True)
y = a * b + a
y.backward()
teach.reveal(my_guess_a, a.grad, "a")
teach.reveal(my_guess_b, b.grad, "b")

# %% [markdown]
# ## An operation is its value and its VJPs
#
# This is all the calculus on the page. Each operation is one line: the value first, then one VJP
# for each array. In them `g` is the gradient of the loss with respect to the result. For example:
#
# ```python
# multiply = op(lambda a, b: (a * b, lambda g: g * b, lambda g: g * a))
# ```
#
# The function `op` packs this into Tensors:

# %%
show(tiny.op)

# %% [markdown]
# ## Exercise: an operation of your own
#
# Add the sine. Its value is `np.sin(a)`, its derivative is $\cos a$. The check compares value and
# gradient with many arrays; `teach.hint("sine")` helps.


# %%
def my_sine(x):
    """The sine of a tensor: tiny.op(lambda a: (value, vjp)) of x."""


# %% solution: sine
def my_sine(x):
    """The sine of a tensor: tiny.op(lambda a: (value, vjp)) of x."""
    return tiny.op(lambda a: (np.sin(a), lambda g: g * np.cos(a)))(x)


# %%
my_sine = teach.check("sine", my_sine)

# %% [markdown]
# ## One operation for all layers
#
# A linear layer, a convolution and a tensor network all multiply arrays and sum over some axes.
# This is a **contraction**, and a pattern of letters describes it. `"ni,oi->no"` multiplies an
# array with axes n and i by one with axes o and i. It sums over i, which the result lacks: the same
# as `x @ w.T`.
#
# The gradient of a contraction is a contraction again: *exchange the letters of the operand with
# those of the result*. The cell compares the rule with what `backward` found.

# %%
rng = np.random.default_rng(0)
x = tiny.Tensor(rng.normal(size=(5, 3)))
w = tiny.Tensor(rng.normal(size=(4, 3)), requires_grad=True)
result = tiny.contract(x, w, pattern="ni,oi->no")
result.backward()  # from a gradient of ones
by_the_rule = np.einsum("ni,no->oi", x.data, np.ones((5, 4)))
print(f"largest difference: {np.abs(w.grad - by_the_rule).max():.0e}")

# %% [markdown]
# ## A gate
#
# Now the tensor network. A **site** is an axis of length 2. Two sites together have 4 settings,
# `00`, `01`, `10` and `11`, so an array over two sites has 4 entries. A **gate** is a 4×4 matrix
# that acts on two neighbouring sites.
#
# Start with the array that is 1 at `00` and 0 elsewhere. Apply a gate to sites 0 and 1: the result
# is the first column of the gate.

# %%
gate_1, gate_2 = rng.normal(size=(2, 4, 4)).round(1)
two = gate_1 @ [1, 0, 0, 0]  # sites 0 and 1
print(gate_1)
print("its first column:", two)

# %% [markdown]
# Now add a third site that is at `0`. Every entry gets a zero behind it, which makes 8 entries.
# Then apply a second gate to sites 1 and 2. This is a contraction. The letter `q` is the pair of
# sites 1 and 2 before the gate, and `p` is the same pair after it. The letter `a` stands for the
# sites to the left of the pair. Here that is site 0 alone, so `a` has 2 values. The letter `b`
# stands for the sites to the right. There are none, so `b` has 1 value.

# %%
three = np.kron(two, [1, 0])
print("before gate 2:", three)
three = np.einsum("aqb,pq->apb", three.reshape(2, 4, 1), gate_2).ravel()
print("after gate 2: ", three.round(2))

# %% [markdown]
# For three sites nothing is saved: 4 parameters of the first gate and 16 of the second have made 8
# entries. But every further site doubles the entries, and one more gate adds only 16 parameters.
# This is where the compression comes from.
#
# ## Layers of gates
#
# A **layer** of the network applies a gate to every pair of neighbours. It has two *columns* of
# gates: one begins at sites 0 and 1, the next at sites 1 and 2. The number of layers is the
# **depth** $M$. Between two layers stands an activation, here relu. It acts on each entry.
#
# Here are two layers on 6 sites, to be read upward, so that a column of gates is drawn as a row. A
# vertical line is a site, and $|0\rangle$ means that it begins at `0`. The number in a gate is how
# many parameters it stores: its 4×4 matrix. The gates of the first column store less. They act on
# `00`, where one column of the matrix is enough.

# %%
legs.draw(legs.brick_wall(6, 2))

# %% [markdown]
# So depth 1 stores $3 \cdot 4 + 2 \cdot 16 = 44$ parameters here, and the array has $2^6$ entries.
#
# The weight of `fc1` has 256 rows, and $256 = 2^8$: it needs 8 sites for them. An image has 28
# rows. This is not a power of 2, so it takes 5 sites with $2^5 = 32$ settings, and the last four
# are left out. The 28 columns take 5 sites as well. Together these are $Q = 18$ sites.
#
# Predict: how many parameters are there at depth 1, and at depth 4? Depth 2 has 436. And how many
# are there at depth 2, if the **width** is 64 hidden units instead of 256?

# %%
my_guess_depth_1 = None
my_guess_depth_4 = None
my_guess_width_64 = None


# %%
def new_network(width, depth):
    return tiny.ADTN(width, 28, 28, depth=depth, rng=np.random.default_rng(0))


def count(network):
    return sum(column.data.size for column in network.columns)


networks = {M: new_network(256, M) for M in (1, 2, 4)}
teach.reveal(my_guess_depth_1, count(networks[1]), "depth 1")
teach.reveal(my_guess_depth_4, count(networks[4]), "depth 4")
teach.reveal(my_guess_width_64, count(new_network(64, 2)), "width 64")

# %% compare
teach.states("436", count(networks[2]), always=True)
teach.states("384", count(new_network(64, 2)), always=True)
teach.states("16", gate_2.size, always=True)
teach.states("500", len(data.validation), always=True)

# %% [markdown]
# A quarter of the width makes the parameters only a little fewer, 384 instead of 436. Two sites are
# gone, and with them one gate of each column: one with 4 parameters and three with 16.
#
# ## What the network can draw
#
# A row of the weight is a picture of 28×28 entries: what one hidden unit looks for in the image.
# Here are rows of the three networks before training. Yellow is positive, blue is negative, and
# grey is 0. Depth 1 repeats one pattern at several sizes. With more depth the pictures become more
# varied.

# %%
weights = {
    f"depth {M}\n{count(network)} parameters": network.decode().data[:8].reshape(8, 28, 28)
    for M, network in networks.items()
}
rows_as_images(weights, "Eight rows of the decoded weight, before training")

# %% [markdown]
# ## Exercise: change the activation
#
# Here is the method that applies all gates, column by column. Its inner loop is the contraction of
# two sites from above.

# %%
show(tiny.ADTN.decode)

# %% [markdown]
# Two lines need a word.
#
# - `np.eye(1, 1 + Q % 2)` is the state before the first gate: (1) if $Q$ is even. If $Q$ is odd it
#   is (1, 0), because the last site has no partner in the first column.
# - `reshape(..., shape=(4, -1))` makes a gate a matrix. In the first column it is 4×1, because it
#   adds two sites. In all others it is 4×4.
#
# Write `my_tensor(network, activation)`: the same, with the given activation instead of `relu`.
# Leave out the last line, which picks entries and scales them. Return the array T of all $2^Q$
# entries as one axis, where $Q$ is the number of sites. Write `tiny.` in front of the functions of
# the page, and `network` for `self`.
#
# Take care before the first gate. There, `decode` applies relu to 1, which changes nothing; another
# activation would change it.


# %%
def my_tensor(network, activation):
    """T of the network, a Tensor of shape (2**network.num_sites,)."""


# %% solution: any activation
def my_tensor(network, activation):
    """T of the network, a Tensor of shape (2**network.num_sites,)."""
    state = tiny.Tensor(np.eye(1, 1 + network.num_sites % 2))
    for k, gates in enumerate(network.columns):
        if k > 0 and k % 2 == 0:
            state = activation(state)
        for n, i in enumerate(range(k % 2, network.num_sites - 1, 2)):
            gate = tiny.reshape(tiny.getitem(gates, index=n), shape=(4, -1))
            pair = tiny.reshape(state, shape=(2**i, gate.data.shape[1], -1))
            state = tiny.contract(pair, gate, pattern="aqb,pq->apb")
    return tiny.reshape(state, shape=-1)


# %%
my_tensor = teach.check("any activation", my_tensor)

# %% [markdown]
# ## The rest of the page
#
# Three larger parts are left to read. What is not printed here are other operations, written like
# the sine, and `main`, whose loop follows below.
#
# - `__init__` makes an ADTN. It counts the sites, draws random gates, and finds `index`: where each
#   entry of the weight stands in T. In which order the sites of rows, columns and outputs stand is
#   a choice. Here they take turns; notebook 09 draws it.
# - `fc2` is the network: two layers, with a relu between them.
# - `adam` turns gradients into steps of the parameters. Notebook 04 builds it.

# %%
for part in (tiny.ADTN.__init__, tiny.fc2, tiny.adam):
    show(part)

# %% [markdown]
# ## Train your own
#
# Now put the parts together, with your tensor in it, so that you can change what you like. `train`
# changes the network itself, and returns the other parameters of FC-2. Its first line sets the
# scale, so that the entries of the weight are as large as those of a dense one: an activation other
# than relu changes their size.


# %%
def weight_of(network, activation):
    """The weight of fc1, as decode computes it, with any activation."""
    return tiny.getitem(my_tensor(network, activation), index=network.index) * network.scale


def accuracy(network, others, split, activation=tiny.relu):
    logits = tiny.fc2(split.images, weight_of(network, activation), *others).data
    return (logits.argmax(axis=1) == split.labels).mean()


# %%
def train(network, steps, activation=tiny.relu, rate=2e-2, seed=0):
    """Train FC-2 with this network as the weight of fc1; return b1, W2 and b2."""
    network.scale *= np.sqrt(2 / 784) / weight_of(network, activation).data.std()
    rng, width = np.random.default_rng(seed), len(network.index)
    arrays = np.zeros(width), rng.normal(0, np.sqrt(2 / width), (10, width)), np.zeros(10)
    others = [tiny.Tensor(array, requires_grad=True) for array in arrays]
    parameters = [*network.columns, *others]
    memory = [np.zeros((2, *p.data.shape), np.float32) for p in parameters]
    for step in range(1, steps + 1):
        rows = rng.choice(len(data.train), size=128)
        logits = tiny.fc2(data.train.images[rows], weight_of(network, activation), *others)
        tiny.softmax_cross_entropy(logits, labels=data.train.labels[rows]).backward()
        tiny.adam(parameters, memory, step, rate * (1 - step / steps))
    return others


# %% [markdown]
# What matters more: the depth, the activation, or the width? Train four networks for `80` steps and
# look at the validation digits, which are there for such choices. Write down the order that you
# expect, the best first. (The cell makes new networks, so you can run it again.)

# %%
cases = {  # width, depth, activation
    "M = 1": (256, 1, tiny.relu),
    "M = 2": (256, 2, tiny.relu),
    "M = 2, no relu": (256, 2, lambda x: x),
    "M = 2, 64 hidden units": (64, 2, tiny.relu),
}

# %%
my_guess_order = None  # for example ("M = 1", "M = 2", "M = 2, no relu", "M = 2, 64 hidden units")

# %%
reached = {}
for name, (width, depth, activation) in cases.items():
    network = new_network(width, depth)
    others = train(network, teach.pick(80, 2), activation)
    reached[name] = accuracy(network, others, data.validation, activation)
    print(f"{name}: {count(network)} parameters in fc1, accuracy {reached[name]:.1%}")
best_first = sorted(reached, key=reached.get, reverse=True)
teach.reveal(my_guess_order, best_first)

# %% compare
teach.states("4", 1 + best_first.index("M = 2, 64 hidden units"))
teach.states("2,570", 10 * 256 + 10, always=True)
teach.states("650", sum(other.data.size for other in others[1:]), always=True)

# %% [markdown]
# In our run, the narrow network came last of the 4. The width changes `fc1` only a little, but it
# changes the second layer a lot: from 2,570 parameters to 650.
#
# Compare the others. Is a difference of one percentage point a difference at all? One point is
# 5 of the 500 validation digits, and other random numbers (another *seed*) can give another order.
# Notebook 11 is about this question.
#
# Now change a line of `cases` and run the cells again. For example, try a depth of 3, or another
# activation such as your `my_sine`.
#
# ## Where the journey goes
#
# | part of the page | you build it in |
# |---|---|
# | `Tensor`, `backward`, `op` | 01, and 02 checks it |
# | `unbroadcast`, `contract`, the loss | 03 |
# | `adam`, the loop | 04 |
# | convolution, which is not on the page | 05 |
# | ranks, and tensor networks in general | 06 |
# | `ADTN` | 07, and 08 trains it |
# | `main`: dense against ADTN | 09 |
# | even fewer parameters, and what a result means | 10 and 11 |
#
# ## Challenge: the smallest network
#
# The network of depth 1 has `164` parameters in `fc1`. Reach at least `93 %` of the validation
# digits with as many parameters or fewer. Change the number of steps, the learning rate, the seed
# or the gates at the start. Then put your network and its other parameters into `my_smallest`, as
# the comment shows.


# %%
def arrays_of(network, others):
    """All that an accuracy depends on, as plain arrays."""
    columns = [column.data for column in network.columns]
    return network.scale, columns, [other.data for other in others]


my_smallest = None  # arrays_of(network, others), where others = train(network, ...)


# %% solution: smallest network
def smallest(steps=240, seed=0):
    data, rng = ta.load_data("mnist-5k"), np.random.default_rng(seed)
    network = tiny.ADTN(256, 28, 28, depth=1, rng=np.random.default_rng(0))
    arrays = np.zeros(256), rng.normal(0, np.sqrt(2 / 256), (10, 256)), np.zeros(10)
    others = [tiny.Tensor(array, requires_grad=True) for array in arrays]
    parameters = [*network.columns, *others]
    memory = [np.zeros((2, *p.data.shape), np.float32) for p in parameters]
    for count in range(1, steps + 1):
        rows = rng.choice(len(data.train), size=128)
        logits = tiny.fc2(data.train.images[rows], network.decode(), *others)
        tiny.softmax_cross_entropy(logits, labels=data.train.labels[rows]).backward()
        tiny.adam(parameters, memory, count, 2e-2 * (1 - count / steps))
    columns = [column.data for column in network.columns]
    return network.scale, columns, [other.data for other in others]


my_smallest = smallest()

# %%
my_smallest = teach.check("smallest network", my_smallest)

# %% [markdown]
# ## Ledger
#
# **Shown.** One page trains a network whose first layer is computed from 436 parameters. An
# operation is a value and its VJPs. All layers are contractions.
#
# **Assumed.** The gradients are right: that is notebook 02.
#
# **Not tested.** Whether the tensor network does the work, or the layer after it, which is trained
# as well: that is notebook 09.
#
# **Next: notebook 01.** What does it mean to differentiate a program?
