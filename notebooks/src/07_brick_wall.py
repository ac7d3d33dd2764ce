# %% [markdown]
# # 07 What is a brick wall of gates?
#
# Notebook 06 took tensors apart, by cutting. Now we build: we start with a single 1 and multiply
# by small matrices, the *gates*, until every entry is filled. That is the network inside an
# **ADTN**, an automatically differentiable tensor network.
#
# **How do a few hundred parameters become $2^Q$ entries, and what is the largest rank they
# reach?**
#
# **Study time** 90 minutes. **You need** notebook 06. **Afterwards you can** apply a gate to a
# vector of a million entries, draw and count an ADTN, bound its rank at any cut, and say what a
# ReLU between two layers changes.
#
# **Recap of notebook 06.** A vector with $2^Q$ entries has Q sites, one for each bit of its index.
# A product has rank 1 at every cut, so it can never become (1, 0, 0, 1). The rank at a cut is the
# size of the bond that is needed there.

# %%
import numpy as np

import tinyadtn as ta
from tinyadtn import teach
from tinyadtn.course.pictures import legs, walls

rng = np.random.default_rng(0)

# %% [markdown]
# ## One gate on two sites, by hand
#
# A site that is 0 for sure is written |0⟩ = (1, 0). Two of them are |00⟩ = (1, 0, 0, 0): the entry
# at index 00 is 1, and the others are 0. A vector over sites is also called a **state**. A **gate**
# is a 4 × 4 matrix that multiplies the state of two sites.

# %%
zero = np.array([1, 0, 0, 0])  # |00⟩
G = np.array([[1, 5, 6, 7], [0, 5, 6, 7], [0, 5, 6, 7], [1, 5, 6, 7]])
print("G |00⟩ =", G @ zero)

# %% [markdown]
# Two things can be seen here. First, only the first column of G was used, because |00⟩ has only
# one entry that is not 0. Secondly, the result is (1, 0, 0, 1), which no product can be. **A gate
# joins two sites.**
#
# ## One gate on many sites
#
# On a longer row of sites a gate acts on two neighbours and leaves the others alone:
#
# $$\text{new}[\ldots p\,q \ldots] = \sum_{rs} G[pq, rs]\; \text{state}[\ldots r\,s \ldots]$$
#
# Here r and s are the bits of the two sites before the gate, and p and q those after it. The pair
# pq numbers the four rows of G as 00, 01, 10, 11, and rs its columns. The dots are all other bits.

# %%
legs.draw(legs.gate(6, 2))

# %% [markdown]
# For three sites we can still write the whole matrix. For a gate on sites 1 and 2 it has two copies
# of G along the diagonal, one for each value of site 0. (This is a Kronecker product.)

# %%
state = np.arange(8.0)
big = np.kron(np.eye(2), G)
print(big.astype(int))
print("whole matrix:      ", big @ state)
print("G on each half:    ", np.concatenate([G @ state[:4], G @ state[4:]]))

# %% [markdown]
# On $Q = 20$ sites that matrix would have $2^{40}$ entries, which are terabytes, and nearly all
# are zero. None of them is needed. As the second line shows, it is enough to multiply pieces of
# the state by G, and a `reshape` finds the pieces.
#
# ## Exercise: apply a gate
#
# Write `apply_gate` for states of up to $2^{20}$ entries. By hand, with three sites:
# `apply_gate(state, G, 1)` must return the eight entries above, and its pieces are the entries
# 0 to 3 and 4 to 7. For a gate on sites 0 and 1 the pieces lie elsewhere. Site 2 keeps its bit, so
# one piece has the entries 0, 2, 4, 6, and the other the entries 1, 3, 5, 7.


# %%
def apply_gate(state, gate, site):
    """Return the state, 2^Q entries, after the 4×4 gate on sites (site, site + 1)."""


# %% solution: apply gate
def apply_gate(state, gate, site):
    """Return the state, 2^Q entries, after the 4×4 gate on sites (site, site + 1)."""
    return (gate @ state.reshape(2**site, 4, -1)).reshape(-1)


# %%
apply_gate = teach.check("apply gate", apply_gate)

# %% [markdown]
# ## Column, layer, depth
#
# - A **column** is a set of gates that do not overlap. There are two kinds: gates on sites (0, 1),
#   (2, 3), …, and gates on sites (1, 2), (3, 4), ….
# - A **TN layer** (tensor-network layer) is one column of each kind. It joins every site to its
#   neighbours.
# - The **depth** M (`depth`) is the number of TN layers. Between two layers a ReLU acts on all
#   $2^Q$ entries.
#
# Drawn as boxes, the gates look like bricks, so this wiring is called a *brick wall*. What comes
# out at the top is called T. The construction is from Qing, Li, Zhou and Ran (arXiv 2305.06058).

# %%
legs.draw(legs.brick_wall(6, 1), legs.brick_wall(6, 2))

# %% [markdown]
# A box shows how many parameters its gate stores. White gates belong to the very first column.
# They meet |00⟩ and nothing else, so only one of their four columns is used and stored: 4
# parameters. All others store 16.
#
# In code, `columns` is a list of arrays, one for each column. The first has the shape (gates, 2,
# 2): it holds what each gate answers to |00⟩. All others have the shape (gates, 4, 4).


# %%
def my_wall(columns, num_sites):
    """Contract gate by gate: yield the state at the start, and after each gate and each ReLU."""
    state = np.eye(1, 2**num_sites)[0]
    yield state
    for k, column in enumerate(columns):
        if k > 0 and k % 2 == 0:
            state = np.maximum(state, 0)
            yield state
        for j, gate in enumerate(column):
            if k == 0:  # only its first column is stored
                gate = np.pad(gate.reshape(4, 1), ((0, 0), (0, 3)))
            state = apply_gate(state, gate, 2 * j + k % 2)
            yield state


# %% [markdown]
# Compare with the library, for a weight of shape (16, 16). It has 8 sites: four bits number its
# rows, which are the outputs, and four its columns, the inputs. Three options are used here.
#
# - `order="output_first"` puts the bits of the output before those of the input;
# - `rng=3` draws random gates;
# - `normalized=False` makes a **plain** ADTN, which is exactly the network that you see.
#
# All ADTNs of this course are plain. The library's default is *normalized*, and notebook 08 says
# what that changes.

# %%
adtn = ta.ADTN((16, 16), depth=2, order="output_first", normalized=False, rng=3)
columns = [column.numpy().astype(np.float64) for column in adtn.columns]
states = list(my_wall(columns, adtn.num_sites))
*_, last = adtn.steps()  # the library's state after every column; we need the last one
print(f"{adtn.num_parameters} parameters became {states[-1].size} entries")
print("largest difference to the library:", np.abs(states[-1] - last.state.numpy()).max())

# %% [markdown]
# So that is all: reshape, multiply, and a ReLU between two layers.
#
# ## Watch it grow
#
# The player shows the state as a 16 × 16 matrix, gate by gate: from |0…0⟩, a single 1, to T. Sites
# 0 to 3 number the rows, and sites 4 to 7 the columns. So the matrix belongs to the cut in the
# middle.
#
# Two guesses before you press play. Which share of the entries is 0 after the ReLU? And does the
# ReLU make the rank larger, smaller, or neither?

# %%
my_guess_share = None  # from 0 to 1

# %%
my_guess_rank = None  # "larger", "smaller" or "neither"

# %%
walls.film(8, 2, [state.reshape(16, 16) for state in states])

# %%
before, after = 7, 8  # the ReLU acts after the 4 + 3 gates of layer 1
ranks = [int(np.linalg.matrix_rank(s.reshape(16, 16))) for s in states]
teach.reveal(my_guess_share, np.mean(states[after] == 0), "share of zeros")
teach.reveal(my_guess_rank, "larger" if ranks[after] > ranks[before] else "not larger", "rank")
print("ranks from the start to the end:", ranks)

# %% [markdown]
# The four gates of the first column fill the whole matrix, and it still has rank 1. In the second
# column, the gate on sites 3 and 4 is across the cut, and the rank becomes 4.
#
# The ReLU is different. It sets about half of the entries to 0, and the rank becomes *larger*. A
# gate treats all values of the other sites alike. The ReLU looks at one entry at a time, knows
# nothing about sites, and thereby joins all of them.
#
# ## What is stored, counted three ways
#
# Papers count differently. For Q sites and depth M:
#
# - **stored**: 4 parameters for a gate of the very first column, 16 for every other gate;
# - **effective** (`live` in the code): stored parameters that can change T at all;
# - **full gates**: 16 for every gate.
#
# Stored and effective differ only if Q is odd. Take Q = 3 and M = 1: one gate on sites (0, 1), and
# one on (1, 2). Site 2 is still |0⟩ when the second gate comes, so half of its columns multiply
# zeros. That happens once, in layer 1, whatever the depth. The counts are $4 + 16 = 20$ stored, 12
# effective, and $32$.
#
# ## Exercise: three counts
#
# Write the three counts. First count the boxes of the two pictures above: for Q = 6 and M = 1 they
# store $3 \cdot 4 + 2 \cdot 16 = 44$ parameters. How many for M = 2?


# %%
def three_counts(num_sites, depth):
    """Return (stored, effective, full gates) of a brick wall with ``depth`` TN layers."""


# %% solution: three counts
def three_counts(num_sites, depth):
    """Return (stored, effective, full gates) of a brick wall with ``depth`` TN layers."""
    full = 16 * depth * (num_sites - 1)
    stored = full - 12 * (num_sites // 2)
    return stored, stored - 8 * (num_sites % 2), full


# %%
three_counts = teach.check("three counts", three_counts)
print(" Q      entries   stored  effective  full gates   (M = 1)")
for num_sites in (12, 18, 21, 24):
    stored, effective, full = three_counts(num_sites, 1)
    print(f"{num_sites:2} {2**num_sites:12,}   {stored:6}  {effective:9}  {full:10}")

# %% [markdown]
# The growth is the point: one site more doubles the entries, and adds at most 16 parameters per
# layer.
#
# And FC-2's first weight, whose sides are not powers of two? Each side gets as many bits as it
# needs:

# %%
fc1 = ta.ADTN((256, 784), depth=2)  # without rng: shapes only
print(f"rows: 256 = 2^8; columns: 784, more than 2^9 = {2**9} and at most 2^10 = {2**10}")
print(f"{fc1.num_sites} sites, {fc1.num_parameters} parameters, T has {2**18:,} entries")

# %% compare
teach.states("436", fc1.num_parameters, always=True)
teach.states("240", 2**10 - 784, always=True)

# %% [markdown]
# T has the shape (256, 1024), and its last 240 columns are cut off. This is called **padding**. So
# FC-2's first layer needs 18 sites, and with two TN layers it stores 436 parameters.
#
# ## What such a network can never become
#
# Take away the ReLU, and cut T somewhere. In each column there is one gate across the cut, or none.
# By which factor can that gate raise the rank? Cut the gate itself, as in notebook 06:
#
# - Sort its four bits: p and r belong to the left site, q and s to the right one. As a matrix with
#   rows pr and columns qs, the gate is 4 × 4. So it is a sum of at most 4 products of a left part
#   and a right part. **It can multiply the rank by 4.**
# - A gate of the very first column only answers |00⟩. It has the bits p and q alone, which make a
#   2 × 2 table. **It can multiply the rank by 2.**
#
# And no rank exceeds the smaller side of its matrix: `2**cut` rows, `2**(num_sites - cut)` columns.
#
# ## Exercise: a bound on the rank
#
# Write the largest rank that T can have at a cut, without a ReLU. By hand: for M = 1 and Q = 6 the
# picture above gives the ranks 2, 4, 2, 4, 2 at the cuts 1 to 5.


# %%
def rank_bound(num_sites, depth, cut):
    """Return the largest rank of T between the first ``cut`` sites and the others; no ReLU."""


# %% solution: rank bound
def rank_bound(num_sites, depth, cut):
    """Return the largest rank of T between the first ``cut`` sites and the others; no ReLU."""
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
# A changed gate changes the input of the gates above it, and those change the next ones. This
# **light cone** widens by one site to each side with every column. Seen from T, all that has
# changed is a matrix on the sites of the cone.
#
# To see it, let every gate be a rotation (an orthogonal matrix). A rotation on one side of a cut
# does not change its singular values. We replace one gate of layer 1 by another rotation: the gate
# on sites 5 and 6, in the second column. There are 12 sites. At which of the 11 cuts do the
# singular values change?


# %%
def spectra(activation, replaced):
    """Return the singular values at every cut of one brick wall, with one gate replaced or not."""
    options = {"order": "output_first", "start": "orthogonal", "normalized": False}
    adtn = ta.ADTN((64, 64), 2, activation=activation, rng=0, **options)
    if replaced:  # the gate on sites 5 and 6 in column 2 of layer 1
        rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))
        adtn.columns[1].data[2] = rotation
    values = [ta.draw.cut_spectrum(adtn, cut) for cut in range(1, 12)]
    return [v / np.linalg.norm(v) for v in values]


def changed(before, after):
    pairs = enumerate(zip(before, after), start=1)
    return [cut for cut, (a, b) in pairs if np.abs(a - b).max() > 1e-6]


# %%
my_guess_linear = None  # how many of the 11 cuts change, without a ReLU?

# %%
my_guess_relu = None  # and with a ReLU between the two layers?

# %%
before, after = spectra("identity", False), spectra("identity", True)
teach.reveal(my_guess_linear, len(changed(before, after)))
walls.light_cone(12, 2, (1, 1, 5), before, after)

# %% [markdown]
# The upper picture is read upward. Below it, each column of dots belongs to the cut between two
# sites. Inside the cone the singular values have moved, and outside the cone not one of them has.
# The ranks are exactly the bounds of your exercise.
#
# Now the second guess: the same change, with the ReLU.

# %%
with_relu = spectra("relu", False), spectra("relu", True)
teach.reveal(my_guess_relu, len(changed(*with_relu)))
for name, values in (("without ReLU", before), ("with ReLU", with_relu[0])):
    print(f"ranks {name:12}", [int((v > 1e-10 * v[0]).sum()) for v in values])

# %% [markdown]
# All 11 cuts change. With one ReLU the cone is gone: only a linear network is local. The ReLU also
# lifts the rank far above the bound. Whether such a T is more *useful* is another question, and
# this notebook does not answer it.
#
# ## Challenge
#
# The rank bound says that four sites and depth 1 reach rank 4 in the middle. The 4 × 4 identity
# has rank 4. **Write gates whose T is the identity matrix**, with rows $b_0 b_1$ and columns
# $b_2 b_3$.
#
# Return the list `columns` of this network, as `my_wall` takes it. The first array has the shape
# (2, 2, 2), and the second the shape (1, 4, 4). Hint: T must be 1 where $b_0 = b_2$ and
# $b_1 = b_3$. Which pairs of sites does the first column join?


# %%
def identity_gates():
    """Return [first column (2, 2, 2), second column (1, 4, 4)] whose T is the 4×4 identity."""


# %% solution: identity gates
def identity_gates():
    """Return [first column (2, 2, 2), second column (1, 4, 4)] whose T is the 4×4 identity."""
    equal = np.eye(2)  # (1, 0, 0, 1): two sites with the same bit
    swap = np.eye(4)[[0, 2, 1, 3]]  # exchanges the bits of sites 1 and 2
    return [np.array([equal, equal]), swap[None]]


# %%
identity_gates = teach.check("identity gates", identity_gates)

# %% [markdown]
# ## Ledger
#
# **Shown.** $2^Q$ entries come from about 16·M·Q parameters, by matrix products on two sites at a
# time. At M = 1 the rank at a cut is at most 4, and 2 at odd cuts. `my_wall` and the library
# compute the same T, up to the rounding of float32.
#
# **Assumed.** Only the abstract of the paper was available to us, so it is our reading that a gate
# of the first column counts 4. All gates here were random, and random gates reach the largest rank
# with probability 1.
#
# **Not tested.** Whether gates can be *found* that bring T near a given matrix (notebook 08), and
# whether a network learns with them (09). Another order of the sites makes another cut the matrix,
# and changes what was said of its rank.
#
# **Next: notebook 08.** Can a brick wall imitate a matrix?
