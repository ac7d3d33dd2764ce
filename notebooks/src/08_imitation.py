# %% [markdown]
# # 08 Can a brick wall imitate a matrix?
#
# In notebook 07 random gates became a random matrix. Now the matrix W is given, and we look for
# gates whose T is close to it. For that we need the gradient of every gate.
#
# **How close can an ADTN with a few hundred parameters come to W, and what does that depend on?**
#
# **Study time** 90 minutes; the last third runs for half a minute. **You need** notebooks 03
# and 07. **Afterwards you can** write the backward pass of a network of gates, test it with one
# equation, explain why a fit should set the scale last, and say what a relative error of 0.94
# means.
#
# **Recap of notebook 07.** A gate is a 4 × 4 matrix on two neighbouring sites, applied by one
# reshape. Two columns of gates are a TN layer, and M layers with ReLU between them compute T from
# |00…0⟩.

# %%
import numpy as np

import tinyadtn as ta
from tinyadtn import teach
from tinyadtn.course.pictures import fits, walls

rng = np.random.default_rng(0)


def apply_gate(state, gate, site):  # from notebook 07
    return (gate @ state.reshape(2**site, 4, -1)).reshape(-1)


# %% [markdown]
# ## The gradient of one gate, by hand
#
# With two sites the state x has four entries, and the gate is an ordinary matrix: `new = G @ x`.
# Say that the loss has the gradient $g = dL/d(\text{new})$. Then notebook 03 gives
#
# $$\frac{dL}{dG} = g\, x^T, \qquad \frac{dL}{dx} = G^T g.$$

# %%
x, g = np.array([1.0, 2.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0, 3.0])
print("dL/dG =")
print(np.outer(g, x))

# %% [markdown]
# Look at the entry in row 3 and column 1, which is 6. If `G[3, 1]` grows by a little, `new[3]`
# grows twice as much, because `x[1]` is 2. The loss grows three times as much as that.
#
# With more sites the same gate acts on many pieces of the state, one for each value of the other
# sites. Each piece contributes $g\, x^T$, and the contributions add up. Adding up is the adjoint
# of using one thing many times, as in notebook 03.
#
# ## Exercise: the gradient of a gate
#
# Write `gate_backward` for any number of sites.


# %%
def gate_backward(gate, state, site, g):
    """Return dL/d(gate) and dL/d(state), for g = dL/d(apply_gate(state, gate, site))."""


# %% solution: gate backward
def gate_backward(gate, state, site, g):
    """Return dL/d(gate) and dL/d(state), for g = dL/d(apply_gate(state, gate, site))."""
    x = state.reshape(2**site, 4, -1)
    g = g.reshape(x.shape)
    return (g @ x.swapaxes(1, 2)).sum(axis=0), (gate.T @ g).reshape(-1)


# %%
gate_backward = teach.check("gate backward", gate_backward)

# %% [markdown]
# ## All gates, backward
#
# Go forward and write a tape: before every gate and every ReLU, keep the state that it acts on.
# Then read the tape backward. A ReLU passes g on where its input was positive.
#
# As in notebook 07, `columns` is a list with one array per column. The first column stores only
# what each gate answers to |00⟩, so `np.pad` adds the three columns that are never used.


# %%
def my_forward(columns, num_sites):
    """Return T and a tape: what each step acted on. A ReLU is a step without a gate."""
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


# %%
def my_backward(columns, tape, g):
    """Return dL/d(column) for every column, and g before every step, the last step first."""
    grads, flow = [np.zeros_like(column) for column in columns], [g]
    for k, j, gate, state in reversed(tape):
        if gate is None:
            g = g * (state > 0)
        else:
            dgate, g = gate_backward(gate, state, 2 * j + k % 2, g)
            grads[k][j] = dgate if k else dgate[:, 0].reshape(2, 2)
        flow.append(g)
    return grads, flow


# %% [markdown]
# Compare with the library, on a *plain* ADTN (`normalized=False`): its weight is W = `scale` · T,
# with one fixed factor. So dL/dT = `scale` · dL/dW. To send the same dL/dT into both, the library's
# `backward` gets dL/dT divided by `scale`.

# %%
adtn = ta.ADTN((16, 16), depth=2, order="output_first", normalized=False, rng=0)
columns = [column.numpy().astype(np.float64) for column in adtn.columns]
T, tape = my_forward(columns, 8)
dT = rng.normal(size=T.size)
mine, flow = my_backward(columns, tape, dT)

weight = adtn.decode()  # scale · T
weight.backward(dT.reshape(16, 16).astype(np.float32) / adtn.scale.item())
for ours, column in zip(mine, adtn.columns):
    difference = np.abs(ours - column.grad).max() / np.abs(ours).max()
    print(f"{column.shape!s:10} largest relative difference: {difference:.0e}")

# %% [markdown]
# They agree to the rounding of float32. Watch the gradient flow back. It starts at the top as
# dL/dT. The orange gate has just received its own gradient, and the picture on the right is what is
# passed on to the state below it. At the ReLU the gradient becomes 0 wherever the ReLU had zeros.

# %%
walls.film(8, 2, [state.reshape(16, 16) for state in flow], backward=True)

# %% [markdown]
# ## One equation for all gates
#
# Double one gate, and T doubles, because each gate appears once in every product, and a ReLU lets
# a positive factor through. T is *homogeneous* in each gate A.
#
# Now replace A by cA, so that T becomes cT. How fast does the loss change with c, at c = 1? The
# chain rule answers it in two ways. Seen from the gate, A changes in the direction A, and the slope
# is ⟨A, dL/dA⟩. Here ⟨ , ⟩ multiplies entry by entry and adds. Seen from the result, T changes in
# the direction T. So for any loss, as Euler found,
#
# $$\langle A, dL/dA\rangle = \langle T, dL/dT\rangle.$$
#
# The right side mentions no particular gate. What does that say about the left sides of all gates?

# %%
my_guess_euler = None  # "all equal", "all different", "equal within a column"

# %%
euler = [(A * dA).sum() for c, dc in zip(columns, mine) for A, dA in zip(c, dc)]
print(f"<T, dT> = {T @ dT:.12f}")
print(f"<A, dA> of {len(euler)} gates: from {min(euler):.12f} to {max(euler):.12f}")
teach.reveal(my_guess_euler, "all equal" if np.allclose(euler, T @ dT) else "not all equal")

# %% [markdown]
# One equation tests a whole backward pass. It is necessary, not sufficient: a wrong "gradient"
# $A\,\langle T, dT\rangle / \langle A, A\rangle$ fulfils it too. And it needs an activation that
# is homogeneous. With tanh it does not hold, since tanh(2x) is not 2 tanh(x).
#
# ## The obvious fit, and how it fails
#
# The target W is the first weight of an FC-2 with 64 hidden units. It has 50,176 entries, on 16
# sites. We divide it by its norm ‖W‖, the root of the sum of all squares, so its norm is 1. The
# obvious loss is the squared distance ‖T−W‖². We start with random gates and ‖T‖ = 1, and let Adam
# work.
#
# Before that: what is the distance at the start, when T is unrelated to W?

# %%
my_guess_start = None  # a distance

# %%
my_guess_after = None  # and after the first ten steps?

# %%
data = ta.load_data("mnist-5k")
model = ta.models.fc2(hidden=64, rng=0)
for _step in ta.train(model, data, epochs=teach.pick(20, 2), learning_rate=2e-3):
    pass
W = model.fc1.weight.numpy()
W = W / np.linalg.norm(W)
print(f"{W.size:,} entries")

# %% compare
teach.states("50,176", W.size, always=True)


# %%
def my_fit(loss_of, steps, learning_rate=0.01):
    """Train the gates of one plain ADTN; return ‖T‖, the distance and ⟨T, W⟩ of each step."""
    adtn = ta.ADTN(W.shape, depth=2, start="normal", normalized=False, rng=0)
    factor = np.float32(1 / np.linalg.norm(adtn.decode().numpy()))
    optimizer, rows = ta.Adam(adtn.parameters(), clip=1.0), []
    for _ in range(steps):
        T = adtn.decode() * factor
        loss_of(T).backward()
        optimizer.step(learning_rate)
        optimizer.zero_grad()
        t = T.data
        rows.append((np.linalg.norm(t), np.linalg.norm(t - W), (t * W).sum()))
    norm, distance, overlap = np.array(rows).T
    return {"norm": norm, "distance": distance, "best": np.sqrt(1 - (overlap / norm) ** 2)}


# %%
by_distance = my_fit(lambda T: ((T - W) * (T - W)).sum(), teach.pick(300, 20))
teach.reveal(my_guess_start, round(by_distance["distance"][0], 2), "at the start")
teach.reveal(my_guess_after, round(by_distance["distance"][10], 2), "after 10 steps")
print("smallest norm of T:", by_distance["norm"].min().round(4))

# %% compare
teach.states("1.41", by_distance["distance"][0], within=0.01)
teach.states("0.002", by_distance["norm"].min(), within=0.003)

# %% [markdown]
# From 1.41, which is √2, to 1 in a few steps. That looks like progress, but T = 0 has the distance
# 1, too. A random T is almost orthogonal to W, so the fastest way down is to shrink T, and its
# norm falls to 0.002. There all gradients are small, and most steps pass before T grows again.
#
# The scale is the one unknown that need not be searched for. For a given T, the best factor in
# front of it follows from setting one derivative to zero.
#
# ## Exercise: the best scale
#
# Find the number c for which ‖cT−W‖ is smallest, and the relative error ‖cT−W‖ / ‖W‖ that remains.
#
# By hand: for T = (1, 0) and W = (3, 4) the best c is 3. What remains is (0, 4), and the relative
# error is $4/5$. T and W are arrays of one shape, and c may be negative.


# %%
def best_scale(T, W):
    """Return c and ‖cT − W‖ / ‖W‖, for the c that makes it smallest."""


# %% solution: best scale
def best_scale(T, W):
    """Return c and ‖cT − W‖ / ‖W‖, for the c that makes it smallest."""
    c = (T * W).sum() / (T * T).sum()
    return c, np.linalg.norm(c * T - W) / np.linalg.norm(W)


# %%
best_scale = teach.check("best scale", best_scale)

# %% [markdown]
# Write θ for the angle between T and W as vectors. Then the remaining error is
# $\sqrt{1-\cos^2\theta} = \sin\theta$. So **turn T toward W, and set the scale last**: minimize
# $1-\cos^2\theta$, which does not depend on the norm of T. This is called variable projection
# (Golub and Pereyra, 1973), and `ADTN.fit` does it.


# %%
def one_minus_cosine_squared(T):
    overlap = (T * W).sum()
    return 1 - overlap * overlap / (T * T).sum()


by_angle = my_fit(one_minus_cosine_squared, teach.pick(300, 20))
print(f"error by distance {by_distance['best'][-1]:.4f}, by angle {by_angle['best'][-1]:.4f}")
fits.two_ways(by_distance, by_angle)

# %% [markdown]
# On the left you see the detour through zero, and on the right what it costs.
#
# ## The right scale to start from
#
# A network cannot set the scale last: it needs a weight of the usual size from the first step on.
# How large is T if all gates are random? Each T is a product of many random factors, so its size
# varies by orders of magnitude from one draw to the next:

# %%
print("root mean square of T, for 5 draws of random gates:")
for depth in (1, 2, 4):
    shapes = [column.shape for column in ta.ADTN((32, 32), depth).columns]
    draws = [[rng.normal(0, 0.5, size=shape) for shape in shapes] for _ in range(5)]
    sizes = [np.sqrt(np.mean(my_forward(gates, 10)[0] ** 2)) for gates in draws]
    print(f"M = {depth}:", "  ".join(f"{size:.1e}" for size in sizes))

# %% [markdown]
# No formula for the average helps, since a typical draw is far from the average. So the library
# measures: it *decodes* once, which means that it computes W from the gates. Then it stores one
# factor, `scale`, that is not trained. It gives the weight the size of a dense initialization, for
# every draw.
#
# Training can still shrink all gates together, as in the left picture above, and at a large
# learning rate a network may never recover. The library's default, the **normalized** ADTN,
# prevents this: it divides each gate by its norm. It has the same parameters and, with ReLU,
# reaches the same weights. This course stays with plain ADTNs, `normalized=False`. You have written
# them by hand, and the project's long runs use them, so that your numbers can be compared.

# %% [markdown]
# ## The picture to keep: three targets
#
# - **trained**: W from above, which has learned to read digits;
# - **random**: independent normal entries, in which there is nothing to find;
# - **smooth**: the bell along the diagonal of notebook 06.
#
# The deepest ADTN below has 864 parameters. A matrix of rank 4 has 3,392. For each target: does
# the ADTN come closer than the matrix of rank 4?

# %%
my_guess_trained = None  # True or False

# %%
my_guess_random = None  # True or False

# %%
my_guess_smooth = None  # True or False

# %%
x, y = np.linspace(0, 1, 64)[:, None], np.linspace(0, 1, 784)
smooth = np.exp(-((x - y) ** 2) / (2 * 0.1**2))
targets = {"trained": W, "random": rng.normal(size=W.shape), "smooth": smooth}
modes = (4, 4, 2, 2), (4, 7, 7, 4)
OPTIONS = {"steps": teach.pick(400, 5), "learning_rate": 0.05, "show_progress": False}


def adtn_errors(target, depth):
    """Return the parameters, and the errors of fits from two initializations."""
    adtns = [ta.ADTN(target.shape, depth, normalized=False, rng=seed) for seed in range(2)]
    return adtns[0].num_parameters, [adtn.fit(target, **OPTIONS)[-1] for adtn in adtns]


# %%
def race(target):
    """Return for each family a list of (parameters, relative errors)."""
    low = [ta.LowRank(W.shape, r, rng=0) for r in (1, 2, 4, 8)]
    trains = [ta.TensorTrain(W.shape, modes, D, rng=0) for D in (1, 2, 4, 8)]
    return {
        "low rank": [(e.num_parameters, e.fit(target)[-1:]) for e in low],
        "tensor train": [(e.num_parameters, e.fit(target)[-1:]) for e in trains],
        "ADTN": [adtn_errors(target, depth) for depth in (1, 2, 4)],
    }


races = {name: race(target) for name, target in targets.items()}

# %%
errors = {}  # of the largest ADTN, of D = 4 and of rank 4
for name, found in races.items():
    chosen = found["ADTN"][-1], found["tensor train"][2], found["low rank"][2]
    errors[name] = [np.mean(values) for _, values in chosen]
for guess, name in (
    (my_guess_trained, "trained"),
    (my_guess_random, "random"),
    (my_guess_smooth, "smooth"),
):
    teach.reveal(guess, bool(errors[name][0] < errors[name][2]), name)
fits.race(races, W.size, depths=(1, 2, 4))

# %% [markdown]
# ## What does 0.94 mean?
#
# The picture shows a relative error of 0.94 for the trained W. Squares make it clearer. The ADTN
# explains the share $1 - 0.94^2$ of ‖W‖².
#
# Compare that with the share of parameters, since n free parameters can explain about n of the N
# entries of *any* matrix. This is the grey line in the picture: what a recipe explains when there
# is nothing to learn.

# %%
sizes = [races["trained"][f][k][0] for f, k in (("ADTN", -1), ("tensor train", 2), ("low rank", 2))]
print("explained share of the squares      ADTN M = 4     TT D = 4       rank 4")
print("parameters                     ", "".join(f"{n:13,}" for n in sizes))
print("share of the entries           ", "".join(f"{100 * n / W.size:11.1f} %" for n in sizes))
for name, row in errors.items():
    print(f"{name:31}", "".join(f"{100 * (1 - error**2):11.1f} %" for error in row))

# %% compare
teach.states("864", sizes[0], always=True)
teach.states("3,392", sizes[2], always=True)
teach.states("1.7", 100 * sizes[0] / W.size, always=True)
teach.states("0.94", errors["trained"][0], within=0.015)
teach.states("99", 100 * (1 - errors["smooth"][0] ** 2), within=0.9)
teach.states("91", 100 * (1 - errors["smooth"][2] ** 2), always=True)
teach.states("11", 100 * (1 - errors["trained"][0] ** 2), within=2.5)
teach.states("4", 100 * (1 - errors["random"][0] ** 2), within=2)

# %% [markdown]
# **Trained: hardly.** With 1.7 % of the parameters the ADTN explains about 11 % of the squares.
# That is more than for random entries, where it explains about 4 %, and far from a copy.
#
# **Random: no, and no recipe can.** The ADTN explains a little more than its share of the
# parameters, because it may choose *which* directions it explains. So may the other recipes.
#
# **Smooth: yes.** It explains more than 99 %, where rank 4 explains 91 % with four times the
# parameters. Neighbouring entries are alike, so the low bits of row and column hardly matter. The
# tensor train is better still, by a formula and without any step.
#
# So a few hundred parameters cannot imitate a trained weight by any of these recipes. That sounds
# like the end of compression by a factor of hundreds, but it is not. A network does not need
# *this* W. It needs *a* weight that reads digits. Notebook 09 trains the gates for that, and never
# looks at W.
#
# ## Challenge
#
# One gradient has been changed. You get the gates and their gradients, both as lists of columns,
# and T and dL/dT of an ADTN with ReLU. **Find the gate whose gradient is wrong, without computing
# any gradient.** Return (k, j), its column and its place in that column, both counted from 0.


# %%
def wrong_gate(columns, grads, T, dT):
    """Return (k, j) such that grads[k][j] is not the gradient of columns[k][j]."""


# %% solution: wrong gate
def wrong_gate(columns, grads, T, dT):
    """Return (k, j) such that grads[k][j] is not the gradient of columns[k][j]."""
    expected = (T * dT).sum()
    off = {
        (k, j): abs((A * dA).sum() - expected)
        for k, (column, grad) in enumerate(zip(columns, grads))
        for j, (A, dA) in enumerate(zip(column, grad))
    }
    return max(off, key=off.get)


# %%
wrong_gate = teach.check("wrong gate", wrong_gate)

# %% [markdown]
# ## Ledger
#
# **Shown.** The backward pass of a gate is two matrix products, and ⟨A, dA⟩ = ⟨T, dT⟩ holds at
# every gate. A fit that leaves the scale to the gates passes through T = 0. How well an ADTN
# imitates depends above all on the target.
#
# **Assumed.** One network of one width, from one seed, stands for "trained". The error is
# Euclidean, so all entries count alike. ADTNs had a fixed number of steps at one learning rate and
# two initializations; low rank has the best solution there is.
#
# **Not tested.** More steps, other orders of the sites, other wirings, and whether a smaller error
# makes a better network.
#
# **Next: notebook 09.** Compress FC-2 and LeNet-5, and pay for it honestly.
