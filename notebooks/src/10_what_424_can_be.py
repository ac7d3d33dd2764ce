# %% [markdown]
# # 10 What can 424 parameters be?
#
# The abstract of Qing, Li, Zhou and Ran (arXiv 2305.06058) makes a claim. Two linear layers of
# VGG-16, with approximately $10^7$ parameters, become two ADTNs with just 424. The test accuracy
# on CIFAR-10 improves from 90.17 % to 91.74 %.
#
# **How do 424 parameters come about, and which matrices can they be?**
#
# **Study time** 95 minutes. **You need** notebooks 06, 07 and 08. **Afterwards you can** check a
# published parameter count, find the independent parameters among the stored ones, and prove that
# an ADTN of depth 1 has rank 4 if its outputs come first.
#
# **Recap of notebook 09.** It trained ADTNs in networks and measured their accuracy. This notebook
# and the next take the claim apart: the count here, the word "improves" in notebook 11.

# %%
import time

import numpy as np

import tinyadtn as ta
from tinyadtn import teach
from tinyadtn.course.pictures import legs
from tinyadtn.course.results import measured

CLAIM = {"parameters": 424, "before": 90.17, "after": 91.74}  # % on CIFAR-10: the abstract
rng = np.random.default_rng(0)

# %% [markdown]
# ## The two layers
#
# VGG-16 for images of 32 × 32 pixels ends in linear layers 512 → 4096 → 4096 → 10. The first two
# are the large ones. Since $512 = 2^9$ and $4096 = 2^{12}$, they have $9 + 12 = 21$ and
# $12 + 12 = 24$ sites, without padding. Notebook 07 counts an ADTN of depth M on Q sites as
# `16*M*(Q - 1) - 12*(Q // 2)` stored parameters. Compute it for both layers at M = 1, by hand.

# %%
my_guess_count = None  # stored parameters of both layers together

# %% [markdown]
# To count, shapes are enough: without `rng`, no parameter is drawn. A whole number stands for an
# ADTN of that depth.

# %%
vgg = ta.models.vgg16(num_classes=10, image_size=32)
small = ta.compress(vgg, {"fc1": 1, "fc2": 1}, rng=None)
rows = {row.name: row.counts for row in ta.report(small).rows}
teach.reveal(my_guess_count, rows["encoded weights"].stored)
print("                       dense       stored      ratio")
for name in ("fc1.weight", "fc2.weight", "encoded weights", "whole model"):
    count = rows[name]
    print(f"{name:16} {count.dense:11,}  {count.stored:11,}  {count.ratio:9,.1f}")

# %% compare
teach.states("424", rows["encoded weights"].stored, always=True)
teach.states("18,874,368", rows["encoded weights"].dense, always=True)
teach.states("2.3", rows["whole model"].ratio, always=True)

# %% [markdown]
# The count comes out: 424 parameters for 18,874,368 weights, and $10^7$ is the right order of
# magnitude. The *network* shrinks only by a factor of 2.3, because its convolutions stay as they
# are. One factor per layer is left out, the `scale` of notebook 08. It is never trained.
#
# ## What else would store 424?
#
# A count that fits is evidence only if few other readings fit.
#
# ## Exercise: all readings that fit
#
# Find all pairs of ADTNs, of one common depth M ≥ 1, that store a given total. `most_sites` limits
# the sites of each. For example, a total of $24$ and at most 4 sites: only (1, 2, 3) fits, since 2
# sites store 4 parameters and 3 sites $20$.


# %%
def pairs_storing(total, most_sites):
    """Return all (M, Q1, Q2) with 2 <= Q1 <= Q2 <= most_sites that store ``total``, sorted."""


# %% solution: pairs storing
def pairs_storing(total, most_sites):
    """Return all (M, Q1, Q2) with 2 <= Q1 <= Q2 <= most_sites that store ``total``, sorted."""

    def stored(num_sites, depth):
        return 16 * depth * (num_sites - 1) - 12 * (num_sites // 2)

    return [
        (depth, q1, q2)
        for depth in range(1, 2 + total // 16)
        for q1 in range(2, most_sites + 1)
        for q2 in range(q1, most_sites + 1)
        if stored(q1, depth) + stored(q2, depth) == total
    ]


# %%
pairs_storing = teach.check("pairs storing", pairs_storing)
marks = {(21, 24): "  <- VGG-16", (22, 23): "  <- closest to ten million"}
for depth, q1, q2 in pairs_storing(CLAIM["parameters"], 28):
    mark = marks.get((q1, q2), "")
    print(f"M = {depth:2}, {q1:2} and {q2:2} sites: {2**q1 + 2**q2:12,} weights{mark}")

# %% [markdown]
# Except for two toys, the total fixes the depth and the sum of the sites. It does not fix the
# shapes. In favour of VGG-16, its shapes were known beforehand, and they are in the list.
#
# How good is the *rule* "4 parameters for a gate of the first column"? Try the three rules of
# notebook 07 on the same shapes. The first version of the abstract offers a second test, for which
# the rule was not made. Three convolutional layers of VGG-16, about 10 million parameters, become
# 632.
#
# How many of the three rules give 424 *and* 632? (For the second we take the last convolutions,
# 512 × 512 × 3 × 3.)

# %%
my_guess_rules = None  # from 0 to 3


# %%
def stored(num_sites, depth=1):
    return 16 * depth * (num_sites - 1) - 12 * (num_sites // 2)


rules = {
    "stored": stored,
    "effective": lambda num_sites: stored(num_sites) - 8 * (num_sites % 2),
    "full gates": lambda num_sites: 16 * (num_sites - 1),
}
kernel_sites = ta.ADTN((512, 512, 3, 3), 1).num_sites
found = {name: (rule(21) + rule(24), 3 * rule(kernel_sites)) for name, rule in rules.items()}
for name, (layers, kernels) in found.items():
    print(f"{name:10}  two layers {layers} (424)   three kernels {kernels:5} (632)")
teach.reveal(my_guess_rules, sum(pair == (424, 632) for pair in found.values()))

# %% [markdown]
# For the two layers, only *stored* gives 424. No rule gives 632: the shapes, the depth or the rule
# of that version were not what we think. **A reading that fits one figure is not confirmed by it.**
# We shall put this on a list in notebook 11.
#
# ## Do all 424 count?
#
# Two cores with a bond of size 1, by hand: A = (1, 2) and B = (3, 4) make the table of notebook
# 06, with rows (3, 4) and (6, 8). Now double A and halve B.

# %%
A, B = np.array([1.0, 2.0]), np.array([3.0, 4.0])
print(np.outer(A, B).ravel(), np.outer(2 * A, B / 2).ravel())

# %% [markdown]
# Other parameters, the same table. With a larger bond the factor 2 becomes an invertible matrix X,
# and one half becomes its inverse. This is called **gauge freedom**. Of the four stored parameters
# above only three are *independent*: the table can move in three directions.

# %%
legs.draw(legs.gauge())

# %% [markdown]
# So ask in how many directions the weight can move if all stored parameters move. That is the rank
# of the matrix of derivatives, with a row for each entry of W and a column for each parameter.
# Notebook 08 has shown how to get a row: backpropagate from one entry.


# %%
def my_independent_numbers(adtn):
    """Return the rank of dW/dθ, from the gradient of every entry of W."""
    exact, rows = adtn.copy(), []
    for column in exact.columns:
        column.data = column.data.astype(np.float64)
    for entry in np.eye(np.prod(adtn.shape)):
        exact.decode().backward(entry.reshape(adtn.shape))
        rows.append(np.concatenate([column.grad.ravel() for column in exact.columns]))
        for column in exact.columns:
            column.grad = None
    return int(np.linalg.matrix_rank(rows))


# %%
print("sites   stored   independent (mine, the library's)")
for shape in ((4, 4), (4, 8), (8, 8), (8, 16), (16, 16), (16, 32)):
    adtn = ta.ADTN(shape, 1, normalized=False, rng=0)
    mine, theirs = my_independent_numbers(adtn), ta.independent_numbers(adtn)
    print(f"{adtn.num_sites:5}   {adtn.num_parameters:6}   {mine:6} {theirs:6}")

# %% [markdown]
# Many stored parameters are not independent. Guess from the table: how many of the 424 are?

# %%
my_guess_independent = None

# %% [markdown]
# For VGG-16 the matrix of derivatives would have millions of rows, so we look for a formula. With
# four sites, every one of the 16 entries is free. From five sites on, cut at the odd places, where
# the rank is at most 2 (notebook 07). So the ADTN is a tensor train of bond 2:
#
# - The cuts are at 3, 5, 7, …. (At 1 the core would be 2 × 2, and all of it gauge.)
# - So the cores hold 3, 2, …, 2 bits. The last one holds 3 bits, or 2 bits if Q is odd.
# - A core with n bits has $2^n$ entries times the sizes of its bonds.
# - Each bond of size 2 has a gauge matrix X with 2 · 2 entries, which must be subtracted.

# %%
legs.draw(legs.cores((3, 3)), legs.cores((3, 2, 2)))

# %% [markdown]
# ## Exercise: count the independent parameters
#
# Write the formula for Q ≥ 5, and test it with the table above. Two examples by hand, drawn here:
#
# - Q = 6: two cores of 3 bits and one bond, $8 \cdot 2 + 2 \cdot 8 - 4 = 28$;
# - Q = 7: cores of 3, 2 and 2 bits, $8 \cdot 2 + 2 \cdot 4 \cdot 2 + 2 \cdot 4 - 2 \cdot 4 = 32$.


# %%
def independent_parameters(num_sites):
    """Return the number of independent parameters at depth 1, for 5 sites or more."""


# %% solution: independent parameters
def independent_parameters(num_sites):
    """Return the number of independent parameters at depth 1, for 5 sites or more."""
    bits = [3] + [2] * ((num_sites - 5) // 2) + [3 - num_sites % 2]
    bonds = [1, *[2] * (len(bits) - 1), 1]
    entries = sum(a * 2**n * b for a, n, b in zip(bonds, bits, bonds[1:]))
    return entries - 4 * (len(bits) - 1)


# %%
independent_parameters = teach.check("independent parameters", independent_parameters)
both = independent_parameters(21) + independent_parameters(24)
teach.reveal(my_guess_independent, both)

# %% compare
teach.states("8", 6 * 24 - independent_parameters(24), always=True)
teach.states("10", 6 * 21 - independent_parameters(21), always=True)
teach.states("252", both, always=True)

# %% [markdown]
# Written out, the formula is 6·Q − 8 if Q is even, and 6·Q − 10 if Q is odd. That is about 6
# parameters per site, where 10 are stored.
#
# Of the 424 parameters, 252 are independent. The others are like the choice of an origin: stored,
# trained, and without an effect that the 252 could not have. A file of this form must store all of
# them, so the claim stands. But it shows what these ADTNs are: tensor trains of bond 2.
#
# ## Rank 4
#
# At depth 1 there is no ReLU inside. Put the output's bits first. Then exactly one gate G lies
# across the line between outputs and inputs:

# %%
legs.draw(legs.brick_wall(8, 1), legs.two_halves(4, 4))

# %% [markdown]
# Leave G out for a moment. The left half of the network makes a vector $l$ over the output's
# sites. The right half makes a vector $r$ over the input's sites. T is their product. Now name the
# bits, as in the picture:
#
# - s is the last output bit before G acts, and p is the same bit after it;
# - t is the first input bit before G acts, and q is the same bit after it;
# - a stands for all other output bits, and b for all other input bits.
#
# Then
#
# $$T[ap, qb] = \sum_{s,t} G[pq, st]\, l[as]\, r[tb].$$
#
# The sum over t involves G and r alone. Do it first, and call the result B:
#
# $$T[ap, qb] = \sum_{s} l[as]\; B[ps, qb], \qquad B[ps, qb] = \sum_t G[pq, st]\, r[tb].$$
#
# The pair (p, s) has 2 · 2 = 4 values, so B has 4 rows. But p is also an output, and must be in A.
# So A has 4 columns (x, s), and x hands p over to B: $A[ap, xs] = l[as]$ if $x = p$, and 0
# otherwise. **W = A·B, with 4 columns in A and 4 rows in B**, whatever the gates are.

# %%
legs.draw(legs.rank_four(4, 4))

# %% [markdown]
# ## Exercise: the two factors
#
# Write A and B. You get three arrays: $l$ as `left` with the axes a and s, $r$ as `right` with the
# axes t and b, and `G` with the axes p, q, s and t. Every axis has the size 2, except a and b.
#
# Return A as a matrix with rows ap and four columns, and B as a matrix with four rows and columns
# qb. Here are small random arrays to try it on:

# %%
left, right, G = rng.normal(size=(3, 2)), rng.normal(size=(2, 5)), rng.normal(size=(2, 2, 2, 2))
T = np.einsum("pqst,as,tb->apqb", G, left, right).reshape(6, 10)  # what A @ B must be
print("T has the shape", T.shape, "and the rank", np.linalg.matrix_rank(T))


# %%
def two_factors(left, right, G):
    """Return A (2a, 4) and B (4, 2b) whose product is T."""


# %% solution: two factors
def two_factors(left, right, G):
    """Return A (2a, 4) and B (4, 2b) whose product is T."""
    A = np.einsum("as,px->apxs", left, np.eye(2)).reshape(-1, 4)
    B = np.einsum("xqst,tb->xsqb", G, right).reshape(4, -1)
    return A, B


# %%
two_factors = teach.check("two factors", two_factors)

# %% [markdown]
# What remains is to compute $l$ and $r$ from the gates. This is the contraction of notebook 07,
# without the gate across the cut.


# %%
def half(pairs, gates, num_sites):
    """Return one side of a depth-1 network on its own: a vector of 2^num_sites entries."""
    state = np.ones(1, np.float32)
    for pair in pairs:  # the first column makes a product
        state = np.outer(state, pair).ravel()
    if num_sites % 2:  # a last site without a partner is still |0⟩
        state = np.outer(state, np.float32([1, 0])).ravel()
    for j, gate in enumerate(gates):  # the second column
        state = (gate @ state.reshape(2 ** (2 * j + 1), 4, -1)).ravel()
    return state


# %%
def my_factors(adtn, cut):
    """Return A (2^cut, 4) and B (4, 2^(Q-cut)) with W = A·B: depth 1, output first, even cut."""
    pairs, gates = (column.numpy() for column in adtn.columns)
    k = cut // 2
    left = half(pairs[:k], gates[: k - 1], cut).reshape(-1, 2)
    right = half(pairs[k:], gates[k:], adtn.num_sites - cut).reshape(2, -1)
    A, B = two_factors(left, right, gates[k - 1].reshape(2, 2, 2, 2))
    return A.astype(np.float32) * adtn.scale.numpy(), B


# %% [markdown]
# Check it on both layers of VGG-16, for ADTNs with random gates. The singular values of A·B are
# those of a 4 × 4 matrix. A QR decomposition writes A as orthonormal columns times a 4 × 4 matrix,
# and $B^T$ likewise. Orthonormal columns do not change singular values, so the product of the two
# small matrices has them all.

# %%
adtns = {
    "fc1": ta.ADTN((4096, 512), 1, order="output_first", normalized=False, rng=0),
    "fc2": ta.ADTN((4096, 4096), 1, order="output_first", normalized=False, rng=1),
}
for name, adtn in adtns.items():
    W, (A, B) = adtn.decode().data, my_factors(adtn, 12)
    (_, left), (_, right) = np.linalg.qr(A), np.linalg.qr(B.T)
    values = np.linalg.svd(left @ right.T, compute_uv=False)
    difference = np.abs(W - A @ B).max() / np.abs(W).max()
    print(f"{name}: {W.size:,} weights, largest |W − A·B| / largest |W| = {difference:.0e}")
    print(f"     singular values {values.round(2)}, and {min(W.shape) - 4:,} zeros")

# %% [markdown]
# Both layers have rank 4. The layer has 4096 outputs, and they lie in a space of 4 dimensions.
# Between these layers the network passes 4 values on, and no training can change that.
#
# Is this due to the network, or to the order of its sites? Let output bits and input bits take
# turns. Then many gates cross the line between them. What is the rank of a 64 × 64 weight?

# %%
my_guess_rank = None  # from 1 to 64

# %%
for order in ("output_first", "interleaved"):
    adtn = ta.ADTN((64, 64), 1, order=order, normalized=False, rng=0)
    values = np.linalg.svd(adtn.decode().data.astype(np.float64), compute_uv=False)
    rank, strong = int((values > 1e-6 * values[0]).sum()), int((values > 0.1 * values[0]).sum())
    print(f"{order:12} rank {rank:2} of 64; above a tenth of the largest: {strong}")
teach.reveal(my_guess_rank, rank)

# %%
_, first = measured("fc1_mnist", "output first depth=1")
_, turns = measured("fc1_mnist", "interleaved depth=1")
print(f"FC-2, depth 1: output first {np.mean(first):.1f} %, interleaved {np.mean(turns):.1f} %")

# %% compare
teach.states("21", np.mean(turns) - np.mean(first), always=True)

# %% [markdown]
# Interleaved, as many parameters give full rank, though few directions are strong. The abstract
# does not say which order the paper used. In the project's long runs of FC-2 the order made a
# difference of 21 percentage points at depth 1.
#
# ## What rank 4 gives back
#
# A layer A·B need not be decoded, because $Wx = A(Bx)$. For the layer 4096 → 4096: how many times
# fewer multiply-adds is that for one image?

# %%
my_guess_saving = None  # a factor


# %%
x, layer = rng.normal(size=(64, 4096)).astype(np.float32), adtns["fc2"]


def by_decoding():
    return x @ layer.decode().data.T


def by_factors():
    A, B = my_factors(layer, 12)
    return x @ B.T @ A.T


for way in (by_decoding, by_factors):
    start = time.perf_counter()
    for _ in range(3):
        way()
    print(f"{way.__name__:11} {1000 * (time.perf_counter() - start) / 3:8.2f} ms for 64 images")
teach.reveal(my_guess_saving, W.size / (A.size + B.size))

# %% compare
teach.states("512", W.size / (A.size + B.size), always=True)

# %% [markdown]
# 512 times fewer, with the same result, and W is never in memory. It is the friendly side of the
# same fact: what makes the layer poor also makes it cheap. The library does this by itself at
# depth 1 (`docs/without_forming_w.md`).
#
# ## Challenge
#
# Outputs first gives rank 4, and interleaved gives 64. **Find an order of the 12 sites for which a
# weight of 64 × 64 has rank 16.** Sites 0 to 5 are the output's bits, and sites 6 to 11 the
# input's. Your answer is a list of these twelve, from left to right. Hint: by which factor does a
# border between output sites and input sites raise the rank? It depends on its place.

# %%
order_of_rank_16 = None  # for example [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], which has rank 4

# %% solution: order of rank 16
order_of_rank_16 = [0, 1, 6, 7, 8, 9, 10, 11, 2, 3, 4, 5]

# %%
order_of_rank_16 = teach.check("order of rank 16", order_of_rank_16)

# %% [markdown]
# ## Ledger
#
# **Shown.** There is a rule by which both layers of VGG-16 store 424 parameters, and 252 of these
# are independent. With outputs first each layer is a product A·B of rank 4, and can be applied
# without forming W.
#
# **Assumed.** Two versions of an abstract were read, and no more. The counting rule, M = 1 and the
# order of the sites are our reading. The formula for independent parameters was tested up to 10
# sites, and used for 21 and 24.
#
# **Not tested.** The 632 parameters of the first version, and whether a larger rank makes the
# better network.
#
# **Next: notebook 11.** When does a number improve on another?
