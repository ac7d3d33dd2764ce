# %% [markdown]
# # 09 Reading a claim: "ten million parameters to 424"
#
# The abstract of Qing, Li, Zhou and Ran (arXiv 2305.06058) says it in one sentence: two linear
# layers of VGG-16 with approximately $10^7$ parameters become two ADTNs with just 424, and the
# test accuracy on CIFAR-10 improves from 90.17 % to 91.74 %.
#
# **What must be true for that sentence to hold, what can we check, and what is still open?**
#
# You have all the tools. We take the sentence apart, from the count, which can be settled on
# paper, to the word "improves", which cannot. Of the paper only its abstract was at hand; what
# goes beyond it is our reading, and is called so.

# %%
import json
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

import tinyadtn as ta
from tinyadtn import teach
from tinyadtn.course.pictures import claims

CLAIM = {"numbers": 424, "before": 90.17, "after": 91.74}
BASELINE = 93.13  # dense VGG-16 on CIFAR-10, as Gao et al. report it
rng = np.random.default_rng(0)

# %% [markdown]
# ## The two layers
#
# VGG-16 for images of 32 × 32 pixels ends in linear layers 512 → 4096 → 4096 → 10. The first two
# are the large ones. All sides are powers of two, so nothing is padded: 21 and 24 sites. To count,
# shapes are enough: without `rng` no number is drawn.

# %%
vgg = ta.models.vgg16(num_classes=10, image_size=32)
small = ta.compress(vgg, {"fc1": 1, "fc2": 1}, rng=None)
rows = {row.name: row.counts for row in ta.report(small).rows}
for name in ("fc1.weight", "fc2.weight", "encoded weights", "whole model"):
    count = rows[name]
    print(f"{name:16} {count.dense:12,} -> {count.stored:11,} stored: {count.ratio:9,.1f}×")
assert small.fc1.weight.num_sites == 21 and small.fc2.weight.num_sites == 24
assert rows["encoded weights"].stored == CLAIM["numbers"]
teach.states("426", rows["encoded weights"].stored + 2, always=True)
teach.states("18,874,368", rows["encoded weights"].dense, always=True)
teach.states("2.3", rows["whole model"].ratio, always=True)

# %% [markdown]
# With the rule of notebook 06, depth 1 stores 424 numbers for 18,874,368 weights. The number comes
# out, and $10^7$ is the order of magnitude. In the same breath: the *network* shrinks by a factor
# of 2.3. Its convolutions stay as they are.
#
# One number a layer is left out: the `scale` of notebook 07, set at the start and never trained.
# With it our layers hold 426.
#
# ## What else would store 424?
#
# A count that fits is evidence only if few others fit. A wall of Q sites and depth M stores
# `16*M*(Q - 1) - 12*(Q // 2)`.
#
# **Exercise.** Find all pairs of walls, of one common depth, that store a given total.


# %%
def pairs_storing(total, most_sites):
    """All (M, Q1, Q2), 2 <= Q1 <= Q2 <= most_sites, whose walls store ``total``, sorted."""


# %% solution: pairs storing
def pairs_storing(total, most_sites):
    """All (M, Q1, Q2), 2 <= Q1 <= Q2 <= most_sites, whose walls store ``total``, sorted."""

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
for depth, q1, q2 in pairs_storing(CLAIM["numbers"], 28):
    size, mark = 2**q1 + 2**q2, "  <- VGG-16" if (q1, q2) == (21, 24) else ""
    print(f"M = {depth:2}, {q1:2} and {q2:2} sites: {size:12,} weights{mark}")
    assert size < 20 or (depth == 1 and q1 + q2 == 45)

# %% [markdown]
# But for two toys, the total fixes the depth, 1, and the sites, 45 in all. It does not fix the
# shapes: 22 and 23 sites would be 12,582,912 weights, nearer to ten million. What speaks for
# VGG-16 is that its two shapes were known beforehand, and are on the list.
#
# How good is the *rule*? Two other rules from notebook 06 can be tried on the same shapes. And the
# first version of the abstract offers a second test, which our rule was not made for: three
# convolutional layers of VGG-16, about 10 million parameters, in 632 numbers.


# %%
def stored(num_sites, depth):
    return 16 * depth * (num_sites - 1) - 12 * (num_sites // 2)


def live(num_sites, depth):
    return stored(num_sites, depth) - 8 * (num_sites % 2)


def full(num_sites, depth):
    return 16 * depth * (num_sites - 1)


kernel = ta.ADTN((512, 512, 3, 3), 1)  # as in the last convolutions
for rule in (stored, live, full):
    layers, kernels = rule(21, 1) + rule(24, 1), 3 * rule(kernel.num_sites, 1)
    print(f"{rule.__name__:7} two layers {layers} (424), three kernels {kernels:5} (632)")
assert rows["encoded weights"].live == 416 and rows["encoded weights"].full_gates == 688
teach.states("7,077,888", 3 * np.prod(kernel.shape), always=True)
assert 2**22 + 2**23 == 12_582_912 and 3 * kernel.num_parameters == 612 and 632 % 16

# %% [markdown]
# For the two layers only *stored* gives 424: *live* has 416, *full* 688. And 632 is no multiple of
# 16, so nobody counted 16 for every gate. But our rule does not explain 632 either: three kernels
# of 512 × 512 × 3 × 3 make 612, and they are 7,077,888 weights, not quite 10 million: one more sign
# that the shapes were others. Their shapes, their depth or their rule were not what we think. **A
# reading that fits one number is not confirmed by it.** That goes on the ladder, below.
#
# ## Do all 424 count?
#
# Between two gates, multiply by a 2 × 2 matrix on one side and by its inverse on the other: other
# numbers, the same weight. So ask how many directions the weight can move in, the rank of its
# derivative by all numbers: a row for each entry of W, and you know since notebook 07 how to get
# one.
#
# Predict: of 424, how many are independent?


# %%
def my_independent_numbers(wall):
    """The rank of dW/dθ, from the gradient of every entry of W."""
    exact, rows = wall.copy(), []
    for column in exact.columns:
        column.data = column.data.astype(np.float64)
    for entry in np.eye(np.prod(wall.shape)):
        exact.decode().backward(entry.reshape(wall.shape))
        rows.append(np.concatenate([column.grad.ravel() for column in exact.columns]))
        for column in exact.columns:
            column.grad = None
    return np.linalg.matrix_rank(rows)


def of_a_train(num_sites):
    """Of a tensor train of bond 2 whose sites hold 3, 2, …, 2 and 3 or 2 bits."""
    bits = [3, *[2] * ((num_sites - 3) // 2)]
    bits[-1] += num_sites - sum(bits)
    bonds = [1, *[2] * (len(bits) - 1), 1]
    numbers = sum(a * 2**n * b for a, n, b in zip(bonds, bits, bonds[1:]))
    return numbers - 4 * (len(bits) - 1)  # 2 × 2 free numbers at each bond


for shape in ((16, 16), (16, 32), (32, 32)):
    wall = ta.ADTN(shape, 1, rng=0)
    sites, mine = wall.num_sites, my_independent_numbers(wall)
    print(f"{sites} sites: stored {wall.num_parameters}, independent {mine}")
    assert mine == ta.independent_numbers(wall) == of_a_train(sites)

my_guess = None
teach.reveal(my_guess, of_a_train(21) + of_a_train(24))
teach.states("252", of_a_train(21) + of_a_train(24), always=True)
teach.states("172", 424 - of_a_train(21) - of_a_train(24), always=True)

# %% [markdown]
# 252. The other 172 are like the choice of an origin: stored, trained, and without an effect that
# others could not have. That makes the claim no weaker: a file of this form must hold 424. But what
# they can say is what a tensor train of bond 2 can say, in 252. (In sites of 4 values instead of 2
# the bond would be 4.)
#
# ## What 424 numbers can be
#
# At depth 1 there is no ReLU inside. With the output's bits first, exactly one gate sits across
# the line between outputs and inputs. Leave it out for a moment. Then the left half of the wall
# makes a vector $l$ over the output's sites, the right half a vector $r$ over the input's, and T
# is their product. Now let the gate act, on the last output site and the first input site:
#
# $$T[ap, qb] = \sum_{s,t} G[pq, st]\, l[as]\, r[tb] = \sum_{x,s} A[ap, xs]\, B[xs, qb]$$
#
# with $A[ap, xs] = \delta_{px}\, l[as]$ and $B[xs, qb] = \sum_t G[xq, st]\, r[tb]$. The pair (x,
# s) has 4 values. So **W = A·B, where A has 4 columns and B has 4 rows**, whatever the gates are.


# %%
def half_wall(pairs, gates, num_sites):
    """One side of a depth-1 wall, on its own: a vector of 2^num_sites numbers."""
    state = np.ones(1, np.float32)
    for pair in pairs:  # the first column makes a product
        state = np.outer(state, pair).ravel()
    if num_sites % 2:  # a last site without a partner is still |0⟩
        state = np.outer(state, np.float32([1, 0])).ravel()
    for j, gate in enumerate(gates):  # the second column
        state = (gate @ state.reshape(2 ** (2 * j + 1), 4, -1)).ravel()
    return state


def my_factors(wall, cut):
    """A (2^cut, 4) and B (4, 2^(Q-cut)) with W = A·B: depth 1, output first, an even cut."""
    pairs, gates = (column.numpy() for column in wall.columns)
    half = cut // 2
    left = half_wall(pairs[:half], gates[: half - 1], cut).reshape(-1, 2)
    right = half_wall(pairs[half:], gates[half:], wall.num_sites - cut).reshape(2, -1)
    across = gates[half - 1].reshape(2, 2, 2, 2)
    A = np.einsum("as,px->apxs", left, np.eye(2, dtype=np.float32)).reshape(2**cut, 4)
    B = np.einsum("xqst,tb->xsqb", across, right).reshape(4, -1)
    return A * wall.scale.numpy(), B


# %%
walls = {
    "fc1": ta.ADTN((4096, 512), 1, order="output_first", normalized=False, rng=0),
    "fc2": ta.ADTN((4096, 4096), 1, order="output_first", normalized=False, rng=1),
}
for name, wall in walls.items():
    W, (A, B) = wall.decode().data, my_factors(wall, 12)
    pairs = {"A·B": (A, B), "the library's": [f.data for f in wall.factors()]}
    off = {name: np.abs(W - a @ b).max() / np.abs(W).max() for name, (a, b) in pairs.items()}
    (_, left), (_, right) = np.linalg.qr(A), np.linalg.qr(B.T)
    values = np.linalg.svd(left @ right.T, compute_uv=False)  # of 4 × 4, and those of W
    print(
        f"{name}: {W.size:10,} weights;", ", ".join(f"W less {k} {d:.0e}" for k, d in off.items())
    )
    print(f"     singular values {values.round(2)}, and {min(W.shape) - 4:,} zeros")
    assert max(off.values()) < 1e-5 and values[3] > 0

# %% [markdown]
# Both layers of VGG-16 have rank 4. 4096 outputs, and they live in a space of 4 dimensions:
# between these layers the network passes 4 numbers on, and no training can change that.
#
# Is it the wall, or the order of its sites? Let output and input bits take turns, and many gates
# cross the line:

# %%
for order in ("output_first", "interleaved"):
    matrix = ta.ADTN((64, 64), 1, order=order, rng=0).decode().data.astype(np.float64)
    values = np.linalg.svd(matrix, compute_uv=False)
    rank = int((values > 1e-6 * values[0]).sum())
    strong = int((values > 0.1 * values[0]).sum())
    print(f"{order:12} rank {rank:2} of 64; above a tenth of the largest: {strong}")


# %%
RESULTS = next(p for p in (Path("../data/results"), Path("data/results")) if p.exists())


def test_accuracies(study, label):
    """In %, one for each seed, of the project's runs with that label."""
    runs = map(json.loads, (RESULTS / f"{study}.jsonl").read_text().splitlines())
    return [100 * run["test"] for run in runs if run["label"] == label]


labels = [f"{order} depth=1" for order in ("output first", "interleaved")]
by_order = [np.mean(test_accuracies("fc1_mnist", label)) for label in labels]
print("FC-2, depth 1:", np.round(by_order, 1))
teach.states("21", by_order[1] - by_order[0], always=True)

# %% [markdown]
# Interleaved, the same count has full rank, though few directions are strong. Which order the
# paper used, its abstract does not say. In the project's long runs of FC-2 it made a difference of
# 21 points at depth 1.
#
# ## What rank 4 gives back
#
# A layer that is A·B need not be decoded: $Wx = A(Bx)$.
#
# Predict: how many times fewer multiply-adds is that, for the layer 4096 → 4096?


# %%
def milliseconds(run):
    times = []
    for _ in range(teach.pick(7, 2)):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1000 * np.median(times)


my_guess = None
teach.reveal(my_guess, W.size / (A.size + B.size))
teach.states("512", W.size / (A.size + B.size), always=True)
x = rng.normal(size=(64, 4096)).astype(np.float32)
wall = walls["fc2"]
spent = {
    "W decoded before": milliseconds(lambda: x @ W.T),
    "decode, then W x": milliseconds(lambda: x @ wall.decode().data.T),
    "make A and B, then A(B x)": milliseconds(lambda: x @ my_factors(wall, 12)[1].T @ A.T),
    "A(B x)": milliseconds(lambda: x @ B.T @ A.T),
}
for name, ms in spent.items():
    print(f"{name:26} {ms:7.2f} ms for 64 images, {spent['W decoded before'] / ms:6.1f}×")
assert np.abs(x @ B.T @ A.T - x @ W.T).max() < 1e-3 * np.abs(x @ W.T).max()

# %% [markdown]
# 512 times fewer, the same result, and W is never in memory. The abstract does not mention it. It
# is the friendly side of the same fact: what makes the layer poor makes it cheap.
#
# ## "Improves"
#
# From 90.17 to 91.74, 1.57 points. How much do two runs of *one and the same* network differ? The
# project trained one with ten seeds: FC-2 on all of MNIST, `fc1` as an ADTN of depth 2 with its
# outputs first, for a short time.
#
# Predict: in how many of its 45 pairs of runs do the two differ by 1.57 points or more?

# %%
my_guess = None
ten = test_accuracies("fc1_short", "output first depth=2")
gaps = np.array([abs(a - b) for k, a in enumerate(ten) for b in ten[:k]])
gap = CLAIM["after"] - CLAIM["before"]
print("one network, ten seeds:", " ".join(f"{percent:.1f}" for percent in sorted(ten)))
teach.reveal(my_guess, int((gaps >= gap).sum()))
teach.states("1.57", gap, always=True)
teach.states("23", (gaps >= gap).sum(), always=True)
teach.states("0.1", np.std(test_accuracies("fc1_mnist", "image depth=2"), ddof=1), always=True)
assert len(gaps) == 45

# %% [markdown]
# In 23 of 45. Train this network twice, and one time in four the second run is better by as much as
# the abstract's. (This is a shaky case, picked for its ten seeds: the same depth, interleaved and
# trained longer, varied by 0.1. How much VGG-16 varies, only more runs can tell.)
#
# With n runs on each side, the difference of the means has the standard error
# $\sqrt{s_a^2/n_a+s_b^2/n_b}$, and Student's t says how many of these chance explains.
#
# **Exercise.** Write a verdict on two lists of accuracies: 1 if a is better, −1 if b is, 0 if they
# cannot tell. It must refuse fewer than three runs on either side, and see a difference where
# there is none in at most 8 % of the cases.

# %%
STUDENT_T = {2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}  # 95 %


def verdict(a, b):
    """1, -1 or 0 for two lists of accuracies, one entry for each seed."""


# %% solution: verdict
def verdict(a, b):
    """1, -1 or 0 for two lists of accuracies, one entry for each seed."""
    student_t = {2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}
    fewer = min(len(a), len(b))
    if fewer < 3:
        return 0
    error = np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))
    difference = np.mean(a) - np.mean(b)
    return int(np.sign(difference)) if abs(difference) > student_t[min(fewer - 1, 9)] * error else 0


# %%
verdict = teach.check("verdict", verdict)
assert verdict([CLAIM["after"]], [CLAIM["before"]]) == 0

# %% [markdown]
# Now let it judge what the project measured: LeNet-5 on all of MNIST, its three linear layers
# encoded, five seeds; then VGG-16 on CIFAR-10. There the convolutions were trained once, and five
# heads of every kind on what they make of an image: 424 numbers in the place of both large layers,
# no layers at all in that place, and random ones that are never trained.

# %%
labels = {
    "LeNet-5 dense": "dense",
    "LeNet-5 train, 2,860 numbers": "tensor train D=4, 4, 2",
    "LeNet-5 ADTN M=4, 2,192": "ADTN M=4",
    "LeNet-5 ADTN M=3, 1, 1, 848": "ADTN M=3, 1, 1",
    "LeNet-5 train, 824": "tensor train D=2",
    "LeNet-5 frozen, 0": "frozen",
}
runs = {name: test_accuracies("lenet5_mnist", label) for name, label in labels.items()}

# %%
labels = {
    "VGG-16 424 numbers": "ADTN M=1, interleaved",
    "VGG-16 both layers removed": "layers removed",
    "VGG-16 both frozen": "frozen learning_rate=0.002",
    "VGG-16 frozen, untuned": "frozen learning_rate=0.01",
}
vgg_runs = {name: test_accuracies("vgg16_heads", label) for name, label in labels.items()}
abstract = {"abstract, after": [CLAIM["after"]], "abstract, before": [CLAIM["before"]]}

# %%
words = {1: "better than", 0: "no verdict:", -1: "worse than"}
rows_of = runs | vgg_runs | abstract
pairs = [pair for group in (runs, vgg_runs, abstract) for pair in pairwise(group)]
with_frozen = [
    ("VGG-16 424 numbers", f"VGG-16 {name}") for name in ("both frozen", "frozen, untuned")
]
for name, other in [*pairs, *with_frozen]:
    a, b = rows_of[name], rows_of[other]
    print(f"{name:28} {np.mean(a):.2f} ({len(a)})  {words[verdict(a, b)]:12}", end="")
    print(f" {other:28} {np.mean(b):.2f} ({len(b)})")
dense, _, deep, *_, frozen = [np.mean(percents) for percents in runs.values()]
with_424, removed, random, untuned = [np.mean(percents) for percents in vgg_runs.values()]
teach.states("78.1", with_424, always=True)
teach.states("78.1", removed, always=True)
teach.states("78.0", random, always=True)
teach.states("77.8", untuned, always=True)
teach.states("97.2", frozen, always=True)
teach.states("99.2", dense, always=True)
claims.seeds(runs, verdict)

# %%
trained = json.loads((RESULTS / "trained.json").read_text())  # dense networks, once each
whole = {"dense": next(100 * net["test"] for net in trained if net["config"]["model"] == "vgg16")}
for label in ("ADTN M=1", "frozen", "layers removed"):
    (whole[label],) = test_accuracies("vgg16_end_to_end", label)
print("VGG-16, all of it trained for six epochs:", {k: round(v, 2) for k, v in whole.items()})
teach.states("77.55", whole["dense"], always=True)
teach.states("77.38", whole["ADTN M=1"], always=True)
teach.states("73.51", whole["frozen"], always=True)
teach.states("81.12", whole["layers removed"], always=True)
teach.states("3.6", whole["layers removed"] - whole["dense"], always=True)

# %% [markdown]
# Where there are seeds the verdict speaks: dense above the larger tensor train, that above the
# walls, and these above frozen weights. But it refuses to order the two walls, and the smaller one
# and a train of as many numbers. In VGG-16 it tells the
# 424 numbers neither from frozen ones, 78.0 %, nor from no layers at all, 78.1. (At the
# rate of the 424, frozen ones have 77.8, and it does tell them: a control wants tuning, too.)
# And it refuses 91.74 against 90.17. That does not make the claim false. It says that two numbers
# cannot carry it.
#
# Nor can four carry ours: trained as a whole, one run each, VGG-16 has 77.55 % dense, 77.38 with
# 424 numbers, 73.51 with both layers frozen, and 81.12 with nothing in their place. Yet 3.6 points
# ask for a reason.
#
# ## The picture to keep: the ladder
#
# A claim is a ladder: each rung needs the one below, and something more.

# %%
count = f"{rows['encoded weights'].dense:,}"
improves = f"accuracy improves, {CLAIM['before']} to {CLAIM['after']} %"
once, end_to_end, fixed, none = whole.values()
heads = f"VGG-16, six epochs: {end_to_end:.1f} %; as a head {with_424:.1f}, five seeds"
without = (
    f"as heads {with_424:.1f} %, frozen {random:.1f}, none {removed:.1f};"
    f" end to end {end_to_end:.1f}, frozen {fixed:.1f}, none {none:.1f}"
)
mnist = f"LeNet-5 {deep:.1f} %, dense {dense:.1f}; VGG-16 {end_to_end:.2f}, {once:.2f}, once"
others = f"all of it; others report {BASELINE} % for a dense VGG-16"
rungs = [  # from the ground: claim | what must be true | checked | not checked | state
    "424 numbers are stored | a counting rule that gives 424 for these two shapes"
    " | first gates 4, others 16, M = 1: the only one of three rules"
    " | whether the authors count so; 632 in version 1 is unexplained | holds",
    "… for about $10^7$ weights | they decode to both layers"
    f" | {count} weights, rank 4 each, outputs first | the order of the sites | holds",
    "the network learns with them | accuracy far above chance"
    f" | {heads} | more than one run of the whole | holds",
    "no accuracy is lost | level with dense: both tuned, all data, several seeds"
    f" | {mnist} | VGG-16 over several seeds | not here",
    f"{improves} | a verdict over seeds, against a baseline trained as well"
    f" | nothing: two numbers carry no verdict | {others} | not tested",
    "… because of the walls | frozen or missing layers do worse"
    f" | {without} | a VGG-16 as good as the paper's | not here",
]
claims.ladder(*(rung.split(" | ") for rung in rungs))

# %% [markdown]
# The lower rungs are exact, and remarkable: 424 numbers *do* fill two layers of that size, with
# matrices of rank 4 if the outputs come first, and a network learns with them. The upper ones are
# where the news is, and they need what the sentence does not have: seeds, a baseline, a control.
# Gao et al. (2020) report 93.13 % for their dense VGG-16. On LeNet-5 *frozen random* layers keep
# 97.2 of 99.2 %, and in our VGG-16 both layers can go: where the work is done elsewhere, a layer
# may shrink to a few numbers, or be left out.
#
# So ask of the next claim: **What is counted? What can it be? Against what? Over how many runs?
# And what if there were nothing in its place?**
#
# ## Ledger
#
# **Shown.** A rule by which the count comes out, both tensors and their ranks, inference without
# decoding, and what the project's runs can tell apart and what not.
#
# **Assumed.** Two versions of an abstract were read, no more: the rule, M = 1 and the order of the
# sites are our reading. Student's t takes runs to be independent and nearly normal. All runs share
# one test set, whose own chance is not in the verdict.
#
# **Not tested.** A full training of VGG-16, as good as the paper's and over seeds: dense, with 424
# numbers, frozen, and with the two layers left out. Six epochs took an hour and three quarters,
# each. That experiment would settle the upper rungs. It takes a GPU and a few days; all else you
# have.
