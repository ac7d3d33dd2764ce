# %% [markdown]
# # 06 What is a tensor network?
#
# The first layer of FC-2 holds 200,704 weights. In notebook 08, 436 numbers will stand in their
# place. Rounding or zipping does not get there. A *tensor network* does: it is a recipe that makes
# many numbers from few.
#
# **How can a handful of numbers become $2^Q$ numbers? And which $2^Q$ numbers can they never
# become?**
#
# By hand: a cut through a tensor, a tensor train of a trained weight, a gate, and a wall of gates.
# All of it is `reshape` and matrix products. Nothing is differentiated; that is for notebook 07.

# %%
import numpy as np

import tinyadtn as ta
from tinyadtn import teach
from tinyadtn.course.pictures import walls

rng = np.random.default_rng(0)

# %% [markdown]
# ## An index is a row of bits
#
# A vector with $2^Q$ entries has indices of Q bits. Reshape it to `(2, 2, …, 2)`, and every bit has
# an axis of its own: a **site**. No number moves. A site that is sure to be 0 is written
# |0⟩ = (1, 0); so |00…0⟩ is the vector whose only 1 stands at index 0.
#
# The cheapest recipe gives each site two numbers and multiplies: the entry at index
# $b_1{\ldots}b_Q$ is $v_1[b_1]\, v_2[b_2] \cdots v_Q[b_Q]$. That takes 2Q numbers, and makes
# $2^Q$. Where is the catch?

# %%
vector = np.arange(16)
sites = vector.reshape(2, 2, 2, 2)
assert sites[1, 0, 1, 1] == vector[0b1011] == 11


def my_product(vectors):
    """Every product of one entry from each vector; the first vector's bits come first."""
    result = np.ones(1)
    for v in vectors:
        result = np.outer(result, v).ravel()
    return result


made = my_product(rng.normal(size=(20, 2)))
print(f"{made.size:,} numbers from {20 * 2}")

# %% [markdown]
# ## A cut tells what the recipe cannot do
#
# Cut the row of sites in two. The bits on the left number the rows of a matrix, those on the right
# its columns. Its **rank** counts the channels through which the two halves can talk: T is a sum
# of so many products (left pattern) × (right pattern), and of no fewer. A product has rank 1 at
# every cut: whatever the left bits are, the right ones see the same pattern, only scaled.
# Arbitrary numbers have full rank.


# %%
def my_cut(tensor, cut):
    """Singular values of T as a matrix: the first bits number its rows, the others its columns."""
    return np.linalg.svd(tensor.reshape(2**cut, -1), compute_uv=False)


def rank(values):
    return int((values > 1e-10 * values[0]).sum())


product, random = my_product(rng.normal(size=(12, 2))), rng.normal(size=2**12)
for name, tensor in {"product": product, "random": random}.items():
    print(f"{name:8}", [rank(my_cut(tensor, cut)) for cut in range(1, 12)])

# %% [markdown]
# ## What a trained weight is like
#
# Train FC-2 as in notebook 04 and take its first weight W, 256 × 784. If few channels carried it,
# keeping the largest singular values would do. Eckart and Young (1936) proved that no matrix of
# the same rank is closer; what is then missing is the root of the sum of the squares left out.
#
# Predict: how many of the 256 must be kept until less than half of W is missing, in Euclidean
# distance?

# %%
data = ta.load_data("mnist-5k")
model = ta.models.fc2(rng=0)
for _step in ta.train(model, data, epochs=teach.pick(10, 3), learning_rate=2e-3):
    pass
W = model.fc1.weight.numpy()
assert W.size == 200_704

# %%
my_guess = None  # a number from 1 to 256


def my_low_rank(matrix, r):
    """The closest matrix of rank r, as two factors."""
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    return u[:, :r] * s[:r], v[:r]


s = np.linalg.svd(W, compute_uv=False)
missing = np.sqrt(np.cumsum(s[::-1] ** 2)[::-1] / (s**2).sum())  # missing[r]: if r values are kept
needed = int(np.argmax(missing < 0.5))
teach.reveal(my_guess, needed)
print(f"{needed * (256 + 784):,} numbers in the two factors, {W.size:,} in W")

# %%
left, right = my_low_rank(W, 16)
mine = np.linalg.norm(left @ right - W) / np.linalg.norm(W)
theirs = ta.LowRank(W.shape, 16, rng=0).fit(W)[-1]
print(f"rank 16: my error {mine:.6f}, the library's {theirs:.6f}, by the rule {missing[16]:.6f}")

# %% [markdown]
# ## A tensor train: cut after cut
#
# One cut leaves two large factors. So cut those, too. Split the 256 rows as 4·4·4·4 and the 784
# columns as 4·7·7·4, put row mode and column mode k side by side, and split off one **core** at a
# time by SVD, keeping D singular values, the **bond**. Each core is small, and there are only
# about log(size) of them. This is a *tensor train*; physicists call it a matrix product operator.


# %%
def my_tensor_train(matrix, out_modes, in_modes, bond):
    """Cores (D, o, i, D') whose chain is close to the matrix: one SVD for each cut."""
    n = len(out_modes)
    pairs = [axis for k in range(n) for axis in (k, n + k)]  # o1 i1 o2 i2 …
    rest = matrix.reshape(*out_modes, *in_modes).transpose(pairs)
    cores, left = [], 1
    for o, i in zip(out_modes[:-1], in_modes[:-1]):
        u, s, v = np.linalg.svd(rest.reshape(left * o * i, -1), full_matrices=False)
        cores.append(u[:, :bond].reshape(left, o, i, -1))
        rest, left = s[:bond, None] * v[:bond], cores[-1].shape[-1]
    return [*cores, rest.reshape(left, out_modes[-1], in_modes[-1], 1)]


def my_chain(cores):
    """The matrix that the cores make."""
    matrix = cores[0][0]
    for core in cores[1:]:
        matrix = np.einsum("abr,roid->aobid", matrix, core)
        a, o, b, i, bond = matrix.shape
        matrix = matrix.reshape(a * o, b * i, bond)
    return matrix[..., 0]


# %%
modes = (4, 4, 4, 4), (4, 7, 7, 4)
errors = {}
for bond in (1, 2, 4, 8, 16):
    cores = my_tensor_train(W, *modes, bond)
    errors[bond] = np.linalg.norm(my_chain(cores) - W) / np.linalg.norm(W)
    theirs = ta.TensorTrain(W.shape, modes, bond, rng=0).fit(W)[-1]
    numbers = sum(core.size for core in cores)
    print(f"D = {bond:2}: {numbers:6,} numbers, error {errors[bond]:.4f} (library {theirs:.4f})")
teach.states("0.99", errors[4], within=0.01)
teach.states("0.92", errors[16], within=0.02)

# %% [markdown]
# With D = 4, about a thousand numbers, the error is 0.99: the train has caught next to nothing.
# With D = 16 it is 0.92. To a recipe that is *fitted* to it, a trained weight looks almost random.
# Keep that in mind: notebook 07 will try harder, and 08 will ask whether it matters.
#
# ## A gate mixes two sites
#
# Now the other way round: build, instead of cutting. A **gate** is a 4 × 4 matrix that acts on two
# neighbouring sites and leaves all others alone:
#
# $$\text{new}[\ldots p\,q \ldots] = \sum_{rs} G[pq, rs]\; \text{state}[\ldots r\,s \ldots]$$
#
# Written as one matrix on 20 sites it would hold $2^{40}$ numbers: terabytes, nearly all of them
# 0. You need none of them.
#
# **Exercise.** Write `apply_gate`, for states of up to $2^{20}$ numbers. One reshape shows the
# gate its two sites as a single axis.


# %%
def apply_gate(state, gate, site):
    """The state, a vector of 2^Q numbers, after the 4×4 gate on sites (site, site + 1)."""


# %% solution: apply gate
def apply_gate(state, gate, site):
    """The state, a vector of 2^Q numbers, after the 4×4 gate on sites (site, site + 1)."""
    return (gate @ state.reshape(2**site, 4, -1)).reshape(-1)


# %%
apply_gate = teach.check("apply gate", apply_gate)

# %% [markdown]
# ## A wall of gates
#
# Start in |00…0⟩. One **TN layer** is two columns of gates: on the sites (0, 1), (2, 3), … and
# then on (1, 2), (3, 4), …. Stack M layers, with a ReLU on all $2^Q$ numbers between them. That is
# the *brick wall* of Qing, Li, Zhou and Ran (arXiv 2305.06058); what comes out is called T.
#
# A gate of the very first column meets nothing but |00⟩. Of its four columns only one is ever
# used, so it is stored as 2 × 2 numbers.
#
# Two options below: `output_first`, the output's bits come before the input's; `orthogonal`, every
# gate starts as a random rotation.


# %%
def my_wall(columns, num_sites):
    """Contract the wall gate by gate: yields (what was done, all 2^Q numbers after it)."""
    state = np.eye(1, 2**num_sites)[0]
    yield "start: |00…0⟩", state
    for k, column in enumerate(columns):
        if k > 0 and k % 2 == 0:
            state = np.maximum(state, 0)
            yield f"ReLU {k // 2}", state
        for j, gate in enumerate(column):
            site, name = 2 * j + k % 2, f"layer {k // 2 + 1}, col. {k % 2 + 1}"
            if k == 0:  # only what it answers to |00⟩ is stored
                gate = np.pad(gate.reshape(4, 1), ((0, 0), (0, 3)))
                name = f"gate on {site}, {site + 1}"
            state = apply_gate(state, gate, site)
            yield name, state


# %%
weight = ta.ADTN((64, 64), depth=3, order="output_first", normalized=False, rng=3)
columns = [column.numpy().astype(np.float64) for column in weight.columns]
frames = dict(my_wall(columns, weight.num_sites))  # of one name, the last state stays
*_, (_, T) = frames.items()
*_, theirs = weight.steps()
print(f"{weight.num_parameters} numbers became {T.size:,}")
print("largest difference to the library:", np.abs(T - theirs.state.numpy()).max())
assert np.allclose(T, theirs.state.numpy(), atol=1e-5)

# %% [markdown]
# So that is all it is: reshape, multiply, and now and then a ReLU. Its name is *automatically
# differentiable tensor network*, ADTN; the derivatives come next time.
#
# Here is T as a 64 × 64 matrix, from a single 1 to a weight: the first column of gates one by one,
# the others a column at a time. Before you look: which share of the entries does a ReLU remove?

# %%
my_guess = None  # a share from 0 to 1
teach.reveal(my_guess, np.mean(frames["ReLU 1"] == 0))
walls.growth([(name, state.reshape(64, 64)) for name, state in frames.items()], per_row=7)

# %% [markdown]
# The first column fills the whole matrix, and says nothing new: still a product, rank 1. In column
# 2 one gate sits across the line between rows and columns, and the rank becomes 4. The ReLU is the
# odd one out. It removes half of the entries, and the rank goes *up*. A gate treats all settings
# of the other sites alike; the ReLU looks at one number at a time and knows no sites, and so ties
# all of them together.
#
# ## What is stored, counted three ways
#
# Papers count differently. For Q sites and depth M:
#
# - **stored**: 4 numbers for each gate of the very first column, 16 for every other gate;
# - **live**: stored numbers that can change T at all. If Q is odd, one gate of layer 1 meets a
#   site that is still |0⟩: half of its columns only ever multiply zeros;
# - **full gates**: 16 for every gate.
#
# **Exercise.** Write the three counts.


# %%
def three_counts(num_sites, depth):
    """(stored, live, full gates) of a brick wall whose T is used whole."""


# %% solution: three counts
def three_counts(num_sites, depth):
    """(stored, live, full gates) of a brick wall whose T is used whole."""
    full = 16 * depth * (num_sites - 1)
    stored = full - 12 * (num_sites // 2)
    return stored, stored - 8 * (num_sites % 2), full


# %%
three_counts = teach.check("three counts", three_counts)
for num_sites in (12, 18, 24):
    stored, live, full = three_counts(num_sites, 1)
    print(f"Q = {num_sites}: {2**num_sites:10,} numbers from {stored} ({live} live, {full} full)")
assert three_counts(18, 2)[0] == 436  # what FC-2's first layer will get

# %% [markdown]
# ## What a wall can never become
#
# Take away the ReLU and cut T somewhere. A column of gates has one gate across the cut, or none. A
# gate across it is a sum of at most 4 products (matrix on the left site) × (matrix on the right
# site), so it can multiply the rank by 4. In the very first column it answers |00⟩ with a 2 × 2
# table: by 2. And no rank exceeds the smaller side of its matrix.
#
# **Exercise.** Write the largest rank that T can have at a cut, for a wall without activation.


# %%
def rank_bound(num_sites, depth, cut):
    """The largest rank of T between the first ``cut`` sites and the others; no ReLU."""


# %% solution: rank bound
def rank_bound(num_sites, depth, cut):
    """The largest rank of T between the first ``cut`` sites and the others; no ReLU."""
    # At an odd cut a gate of each first column is across, at an even one of each second.
    through = 2 * 4 ** (depth - 1) if cut % 2 else 4**depth
    return min(through, 2**cut, 2 ** (num_sites - cut))


# %%
rank_bound = teach.check("rank bound", rank_bound)
for depth in (1, 2, 3):
    print(f"M = {depth}:", [rank_bound(12, depth, cut) for cut in range(1, 12)])

# %% [markdown]
# ## The picture to keep: how far one gate reaches
#
# A changed gate changes what the gates behind it receive, then those behind them. This **light
# cone** widens by one site to each side with every column. Seen from T, all that has changed is a
# matrix on the sites of the cone. To make that visible, let every gate be a rotation (an
# orthogonal matrix) and turn one gate of layer 1 a little further. A rotation on one side of a cut
# leaves its singular values as they are: so every cut that has the whole cone on one side must not
# notice.


# %%
def spectra(activation, turned):
    """Singular values at every cut of one wall of rotations, one gate turned or not."""
    wall = ta.ADTN(
        (64, 64), 2, activation=activation, order="output_first", start="orthogonal", rng=0
    )
    if turned:  # the gate on sites 5, 6 in column 2 of layer 1
        rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))
        wall.columns[1].data[2] = rotation
    values = [ta.draw.cut_spectrum(wall, cut) for cut in range(1, 12)]
    return [v / np.linalg.norm(v) for v in values]


before, after = spectra("identity", False), spectra("identity", True)
changed = [cut for cut in range(1, 12) if np.abs(before[cut - 1] - after[cut - 1]).max() > 1e-6]
print("cuts that noticed:", changed)
assert [rank(v) for v in before] == [rank_bound(12, 2, cut) for cut in range(1, 12)]
walls.light_cone(12, 2, (1, 1, 5), before, after)

# %% [markdown]
# Above the wall, time upward; below it what each cut sees (cut k lies between the sites k−1 and k).
# Inside the cone the singular values have moved, outside not one has. The ranks are exactly the
# bounds of your exercise: the wall uses every channel that it has.
#
# Now the same change in the same wall, but with the ReLU between its two layers.

# %%
my_guess = None  # how many of the 11 cuts notice?
with_relu = spectra("relu", False), spectra("relu", True)
moved = [np.abs(a - b).max() > 1e-6 for a, b in zip(*with_relu)]
teach.reveal(my_guess, sum(moved))
print("ranks without ReLU:", [rank(v) for v in before])
print("ranks with ReLU:   ", [rank(v) for v in with_relu[0]])

# %% [markdown]
# All 11. One ReLU, and the cone is gone: only linear walls are local. The same ReLU lifts the rank
# far above the bound of your exercise. Whether such T are of more *use* is another question, and
# this notebook does not answer it.
#
# ## Ledger
#
# **Shown.** $2^Q$ numbers come from about 16·M·Q by matrix products on two sites at a time. The
# rank at a cut says what a wall cannot do: at M = 1 it is at most 4, and 2 at odd cuts. The
# library and `my_wall` make the same T, to the rounding of float32. The trained weight of FC-2 is
# no tensor train of small bond.
#
# **Assumed.** Only the abstract of the paper was at hand: that its first gates count 4 numbers is
# our reading. All gates here were random, and random gates reach the largest rank with probability
# 1.
#
# **Not tested.** Whether gates can be *found* that bring T near a given matrix (notebook 07), and
# whether a network learns with them (08). Our sites stand in the order of the output's bits, then
# the input's. Another order makes another cut the matrix, and changes all that was said of its
# rank.
#
# **Next: notebook 07.** Can a brick wall imitate a matrix?
