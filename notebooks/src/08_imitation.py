# %% [markdown]
# # 07 Can a brick wall imitate a matrix?
#
# Notebook 06 let random gates become a matrix. Now the matrix W is given, and the gates are
# wanted.
#
# **How near can a wall with a few hundred numbers come to W, and what does that depend on?**
#
# By hand: the gradient of a gate, the backward pass of a wall, a fit that fails and one that does
# not, and the right scale to start from. Then low rank, tensor train and walls of depth 1 to 4 race
# for three targets. That race makes this notebook run for up to a minute.

# %%
import numpy as np

import tinyadtn as ta
from tinyadtn import teach
from tinyadtn.course.pictures import fits

rng = np.random.default_rng(0)


def apply_gate(state, gate, site):  # from notebook 06
    return (gate @ state.reshape(2**site, 4, -1)).reshape(-1)


# %% [markdown]
# ## The gradient of one gate
#
# A gate is a matrix product, `new = gate @ x`, where x is the state as `(2**site, 4, rest)`. With
# $g = dL/d(\text{new})$, notebook 03 says
#
# $$\frac{dL}{dG} = \sum g\, x^T, \qquad \frac{dL}{dx} = G^T g.$$
#
# The sum runs over all settings of the other sites. It is the adjoint of copying: one gate, used
# $2^{Q-2}$ times.
#
# **Exercise.** Write `gate_backward`.


# %%
def gate_backward(gate, state, site, g):
    """(dL/d(gate), dL/d(state)), where g = dL/d(apply_gate(state, gate, site)), a vector."""


# %% solution: gate backward
def gate_backward(gate, state, site, g):
    """(dL/d(gate), dL/d(state)), where g = dL/d(apply_gate(state, gate, site)), a vector."""
    x = state.reshape(2**site, 4, -1)
    g = g.reshape(x.shape)
    return (g @ x.swapaxes(1, 2)).sum(axis=0), (gate.T @ g).reshape(-1)


# %%
gate_backward = teach.check("gate backward", gate_backward)

# %% [markdown]
# ## A wall, backward
#
# For the whole wall, go forward and write a tape: before every gate and every ReLU, note what it
# acts on. Then read the tape backward. A ReLU passes on what was positive.


# %%
def my_forward(columns, num_sites):
    """T, and a tape: what each step acted on. A ReLU is a step without a gate."""
    state, tape = np.eye(1, 2**num_sites)[0], []
    for k, column in enumerate(columns):
        if k > 0 and k % 2 == 0:
            tape.append((k, None, None, state))
            state = np.maximum(state, 0)
        for j, gate in enumerate(column):
            gate = gate if k else np.pad(gate.reshape(4, 1), ((0, 0), (0, 3)))
            tape.append((k, j, gate, state))
            state = apply_gate(state, gate, 2 * j + k % 2)
    return state, tape


def my_backward(columns, tape, g):
    """dL/d(column) for every column, from g = dL/dT: the tape, backward."""
    grads = [np.zeros_like(column) for column in columns]
    for k, j, gate, state in reversed(tape):
        if gate is None:
            g = g * (state > 0)
        else:
            dgate, g = gate_backward(gate, state, 2 * j + k % 2, g)
            grads[k][j] = dgate if k else dgate[:, 0].reshape(2, 2)
    return grads


# %%
weight = ta.ADTN((16, 16), depth=3, order="output_first", normalized=False, rng=0)
columns = [column.numpy().astype(np.float64) for column in weight.columns]
T, tape = my_forward(columns, 8)
dT = rng.normal(size=T.size)
mine = my_backward(columns, tape, dT)

decoded = weight.decode()  # T, reshaped and times weight.scale
decoded.backward(dT.reshape(16, 16).astype(np.float32) / weight.scale.item())
for ours, column in zip(mine, weight.columns):
    difference = np.abs(ours - column.grad).max() / np.abs(ours).max()
    print(f"{column.shape!s:10} largest difference, relative: {difference:.0e}")
    assert difference < 1e-4

# %% [markdown]
# ## An equation that every gate obeys
#
# Double one gate of a wall, and T doubles: each gate stands once in every product, and a ReLU lets
# a positive factor through. T is *homogeneous* in each gate A. Euler's theorem for such functions
# says that then, for any loss,
#
# $$\langle A, dL/dA\rangle = \langle T, dL/dT\rangle.$$
#
# The same number for every gate. That tests a whole backward pass at a glance. It is necessary,
# not sufficient: a "gradient" $A\,\langle T, dT\rangle / \langle A, A\rangle$ obeys it, too, and
# is wrong. (The check above tried random directions as well.)

# %%
euler = [(A * dA).sum() for c, dc in zip(columns, mine) for A, dA in zip(c, dc)]
print(f"<T, dT> = {T @ dT:.12f}")
print(f"<A, dA> of {len(euler)} gates: from {min(euler):.12f} to {max(euler):.12f}")
assert np.allclose(euler, T @ dT, rtol=1e-9)

# tanh(2x) is not 2 tanh(x)
bent = ta.ADTN((16, 16), 3, activation="tanh", start="normal", normalized=False, rng=0)
for c in bent.columns:
    c.data *= 1.5  # large enough to leave the straight part of tanh
made = bent.decode()
made.backward(dT.reshape(16, 16).astype(np.float32))
others = [float((A * dA).sum()) for c in bent.columns for A, dA in zip(c.data, c.grad)]
print(f"with tanh: <T, dT> = {made.data.ravel() @ dT:.2f}", end="; ")
print(f"<A, dA> from {min(others):.2f} to {max(others):.2f}")
assert min(others) < 1.2 * max(others) < 0

# %% [markdown]
# ## The obvious fit, and how it fails
#
# The target: the first weight of an FC-2 with 64 hidden units, 64 × 784. That is 50,176 numbers on
# 16 sites. Let W be that weight divided by its norm. The obvious loss is the squared distance
# ‖T−W‖²; we start at random, every gate of independent normal numbers, with ‖T‖ = 1, and let Adam
# work. From here on the sites of output and input take turns, which is the default.
#
# Predict: what is the distance after the first few steps?

# %%
data = ta.load_data("mnist-5k")
model = ta.models.fc2(hidden=64, rng=0)
for _step in ta.train(model, data, epochs=teach.pick(20, 2), learning_rate=2e-3):
    pass
W = model.fc1.weight.numpy()
W = W / np.linalg.norm(W)
assert W.size == 50_176


# %%
def my_fit(loss_of, steps, learning_rate=0.01):
    """Train the gates of one wall; per step: ‖T‖, and the error if T were scaled at its best."""
    wall = ta.ADTN(W.shape, depth=2, start="normal", normalized=False, rng=0)
    factor = np.float32(1 / np.linalg.norm(wall.decode().numpy()))
    optimizer, told = ta.Adam(wall.parameters(), clip=1.0), []
    for _ in range(steps):
        T = wall.decode() * factor
        loss_of(T).backward()
        optimizer.step(learning_rate)
        optimizer.zero_grad()
        norm = np.linalg.norm(T.data)
        told.append((norm, np.linalg.norm(T.data - W), 1 - (T.data * W).sum() ** 2 / norm**2))
    norms, distances, squares = np.array(told).T
    return {"norm": norms, "distance": distances, "best": np.sqrt(squares)}


by_distance = my_fit(lambda T: ((T - W) * (T - W)).sum(), teach.pick(400, 20))
print("distance after steps 1, 11 and all:", by_distance["distance"][[0, 10, -1]].round(3))
print("smallest norm of T on the way:", by_distance["norm"].min().round(4))
teach.states("1.41", by_distance["distance"][0], within=0.01)
teach.states("0.99", by_distance["distance"][-1], within=0.005)
teach.states("0.002", by_distance["norm"].min(), within=0.003)

# %% [markdown]
# From 1.41, which is √2, to 1 in a few steps. That looks like progress and is none: 1 is what
# $T=0$ scores. A random T is as good as orthogonal to W, so the quickest way down is to shrink T,
# and the norm falls to 0.002. Down there all gradients are small. The wall crawls out in the end,
# and most of the 400 steps are gone: 0.99.
#
# But the scale is the one thing that need not be searched for. For a given T the best multiple is
# $\langle T, W\rangle / \langle T, T\rangle$, and it leaves the relative error $\sqrt{1-\cos^2}$,
# with the cosine of the angle between T and W. So **turn the gates toward W, and set the scale
# last**. That is called eliminating a linear unknown (Golub and Pereyra), and it is what
# `ADTN.fit` does.


# %%
def one_minus_cosine_squared(T):
    overlap = (T * W).sum()
    return 1 - overlap * overlap / (T * T).sum()


by_angle = my_fit(one_minus_cosine_squared, teach.pick(400, 20))
library = ta.ADTN(W.shape, depth=2, start="normal", normalized=False, rng=0)
theirs = library.fit(W, steps=teach.pick(400, 20), show_progress=False)
print(f"by distance {by_distance['best'][-1]:.4f}, by angle {by_angle['best'][-1]:.4f}, ", end="")
print(f"the library {theirs[-1]:.4f} = {np.linalg.norm(library.decode().numpy() - W):.4f}")
fits.two_ways(by_distance, by_angle)

# %% [markdown]
# Left, the detour through zero; right, what it costs.
#
# ## The right scale to start from
#
# A network cannot set the scale last. It needs a T that is as large as a dense start from the
# first step on. If the gates hold independent numbers of mean 0 and variance $s^2$, how large is
# T?
#
# A gate makes 4 new entries from 4 old ones. The square of each new one is, in the mean, $s^2$
# times the sum of the old squares; so every gate makes the sum of squares $4s^2$ times as large. A
# ReLU halves it, because T and −T are equally likely. |00…0⟩ starts with the sum 1, and there are
# $M(Q-1)$ gates. For the mean over the $2^Q$ entries that makes
#
# $$\mathbb{E}\,T^2 = 2^{-Q}\,(4s^2)^{M(Q-1)}\, 2^{-(M-1)}.$$
#
# **Exercise.** Solve for s: which gates give T the root mean square that is wanted?


# %%
def gate_std(num_sites, depth, wanted):
    """The standard deviation s of the gates for which √E T² is ``wanted``."""


# %% solution: gate std
def gate_std(num_sites, depth, wanted):
    """The standard deviation s of the gates for which √E T² is ``wanted``."""
    without_gates = 2.0**-num_sites * 2.0 ** (1 - depth)
    return 0.5 * (wanted**2 / without_gates) ** (0.5 / (depth * (num_sites - 1)))


# %%
gate_std = teach.check("gate std", gate_std)


def sizes_of_walls(depth, draws):
    """Root mean square of T for random walls on 10 sites, gates made for 0.05."""
    shapes = [c.shape for c in ta.ADTN((32, 32), depth, order="output_first").columns]
    s, found = gate_std(10, depth, 0.05), []
    for _ in range(draws):
        T, _tape = my_forward([rng.normal(0, s, size=shape) for shape in shapes], 10)
        found.append(np.sqrt((T**2).mean()))
    return np.array(found)


for depth in (1, 2, 4):
    sizes = sizes_of_walls(depth, teach.pick(400, 20))
    low, middle, high = np.quantile(sizes, [0.05, 0.5, 0.95])
    print(f"M = {depth}: root of the mean square {np.sqrt((sizes**2).mean()):.4f}", end="; ")
    print(f"one draw in ten lies outside {low:.5f} … {high:.5f}, half below {middle:.5f}")

# %% [markdown]
# The formula is right, and no help. It speaks of the mean, and the mean lives on rare, huge draws;
# the typical T is smaller, ten times and more for deep walls. A product of many random factors
# spreads over orders of magnitude.
#
# So do not predict, measure: decode the new wall once, and store one more number, an untrained
# `scale`, that gives T the size of a dense start. That is exact for every draw and every M. (No
# count in this course holds it: 864 numbers, below, are 865 with it.)

# %%
dense = np.sqrt(2 / 784)  # the start that a dense layer of 784 inputs has
for depth in (1, 4, 8):
    spread = ta.ADTN((64, 784), depth, start="normal", rng=0).decode().numpy().std()
    print(f"M = {depth}: {spread:.6f}, a dense start {dense:.6f}")
    assert np.isclose(spread, dense, rtol=1e-4)

# %% [markdown]
# ## The picture to keep: three targets
#
# From here on the walls start `orthogonal`, the default: every gate a random rotation.
#
# - **trained**: W from above, which has learned to read digits;
# - **random**: independent normal numbers, where there is nothing to find;
# - **smooth**: a bell along the diagonal, $e^{-(x-y)^2/2w^2}$ with w = 0.1.
#
# Predict: for which of them do 864 numbers, a wall of depth 4, come nearer than a matrix of rank
# 4, with 3,392 numbers?

# %%
x, y = np.linspace(0, 1, 64)[:, None], np.linspace(0, 1, 784)
smooth = np.exp(-((x - y) ** 2) / (2 * 0.1**2))
targets = {"trained": W, "random": rng.normal(size=W.shape), "smooth": smooth}
modes = (4, 4, 2, 2), (4, 7, 7, 4)


def race(target):
    """Family -> a list of (numbers stored, relative errors of its starts)."""
    low = [ta.LowRank(W.shape, r, rng=0) for r in (1, 2, 4, 8)]
    trains = [ta.TensorTrain(W.shape, modes, D, rng=0) for D in (1, 2, 4, 8)]
    found = {
        "low rank": [(e.num_parameters, e.fit(target)[-1:]) for e in low],
        "tensor train": [(e.num_parameters, e.fit(target)[-1:]) for e in trains],
        "ADTN": [],
    }
    options = {"steps": teach.pick(500, 5), "learning_rate": 0.05, "show_progress": False}
    for depth in (1, 2, 3, 4):
        starts = [
            ta.ADTN(W.shape, depth, start="orthogonal", rng=s) for s in range(teach.pick(3, 1))
        ]
        errors = [wall.fit(target, **options)[-1] for wall in starts]
        found["ADTN"].append((starts[0].num_parameters, errors))
    return found


races = {name: race(target) for name, target in targets.items()}

# %%
my_guess = None  # a set of names, such as {"random"}
rank_4 = {name: found["low rank"][2][1][0] for name, found in races.items()}
deepest = {name: np.mean(found["ADTN"][3][1]) for name, found in races.items()}
teach.states("865", races["smooth"]["ADTN"][3][0] + 1, always=True)
assert [races["smooth"][f][k][0] for f, k in (("ADTN", 3), ("low rank", 2))] == [864, 3392]
teach.reveal(my_guess, str({name for name in races if deepest[name] < rank_4[name]}))
fits.race(races, W.size)

# %%
train_4 = {name: found["tensor train"][2][1][0] for name, found in races.items()}
for name in races:
    print(
        f"{name:8} ADTN M=4 {deepest[name]:.3f}, train D=4 {train_4[name]:.3f}, "
        f"rank 4 {rank_4[name]:.3f}"
    )
teach.states("0.94", deepest["trained"], within=0.015)
teach.states("0.98", deepest["random"], within=0.01)
teach.states("0.05", deepest["smooth"], within=0.02)
teach.states("0.30", rank_4["smooth"], always=True)
teach.states("0.004", train_4["smooth"], always=True)

# %% [markdown]
# ## So, can it?
#
# **Smooth: yes.** 864 numbers leave 0.05, where a matrix of rank 4 leaves 0.30. Neighbours are
# alike, so the low bits of row and column hardly matter, and a chain of sites can say that. The
# tensor train says it better still: 0.004, by a formula and without a step.
#
# **Random: no, and nobody can.** n free numbers can take away about n of N directions, which
# leaves $\sqrt{1 - n/N}$, the grey line. The wall gets a little below it, to 0.98, because it may
# choose *which* directions; so may the others.
#
# **Trained: hardly.** 0.94. A trained weight is much more like the random one than like the
# smooth.
#
# Here are the smooth target and three imitations.

# %%
imitations = {
    "rank 1, 848 numbers": ta.LowRank(W.shape, 1, rng=0),
    "ADTN M=2, 384 numbers": ta.ADTN(W.shape, 2, start="orthogonal", rng=0),
    "train D=4, 768 numbers": ta.TensorTrain(W.shape, modes, 4, rng=0),
}
assert [e.num_parameters for e in imitations.values()] == [848, 384, 768]
for imitation in imitations.values():
    more = {"steps": teach.pick(500, 5), "learning_rate": 0.05, "show_progress": False}
    imitation.fit(smooth, **(more if isinstance(imitation, ta.ADTN) else {}))
ta.draw.weights({"smooth": smooth} | {name: e.decode() for name, e in imitations.items()})

# %% [markdown]
# So a few hundred numbers cannot imitate a trained weight by any of these recipes. That sounds like
# the end of compression by a factor of hundreds. It is not. Nobody needs *this* W: a network needs
# *a* weight that reads digits. Notebook 08 trains the gates for that and never looks at W.
#
# ## Ledger
#
# **Shown.** The backward pass of a wall is one line a gate, and ⟨A, dA⟩ = ⟨T, dT⟩ at every gate. A
# fit that leaves the scale to the gates goes through $T=0$. How well a wall imitates depends on
# the target above all.
#
# **Assumed.** One network of one width, from one seed, stands for "trained". The error is
# Euclidean: all entries count alike, useful or not. ADTNs had 500 steps at one rate and three
# starts; low rank has the best answer there is, the tensor train one close to it.
#
# **Not tested.** More steps, other orders of the sites, other wirings, whether the ReLU helps a
# fit, and whether a smaller error means a better network.
#
# **Next: notebook 08.** Compress FC-2 and LeNet-5, and pay for it honestly.
