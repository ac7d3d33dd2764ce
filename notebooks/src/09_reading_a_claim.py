# %% [markdown]
# # 09 · Reading a claim: "ten million parameters to 424"
#
# The abstract of Qing, Li, Zhou and Ran (arXiv 2305.06058) says it in one sentence: two linear layers of
# VGG-16 with approximately $10^7$ parameters become two ADTNs with 424, and the test accuracy on CIFAR-10
# improves from 90.17 % to 91.74 %.
#
# **What must be true for that sentence to hold, what can we check, and what does nobody know yet?**
#
# You have every tool. We take the sentence apart, from the count, which can be settled on paper, to the word
# "improves", which cannot. The abstract is all we have read: details of the paper are our reading.

# %%
import json
import time
from pathlib import Path

import numpy as np
from pictures import claims

import tinyadtn as ta
from tinyadtn import teach

CLAIM = {"numbers": 424, "before": 90.17, "after": 91.74}  # percent, as the abstract has them
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. The two layers
#
# VGG-16 for 32 × 32 images ends in linear layers 512 → 4096 → 4096 → 10. The first two are the large ones.
# Both sides are powers of two, so nothing is padded: 21 and 24 sites. Shapes are enough for counting: without
# `rng`, no number is drawn.

# %%
vgg = ta.models.vgg16()
small = ta.compress(vgg, {"fc1": 1, "fc2": 1}, rng=None)
rows = {row.name: row for row in ta.report(small).rows}
for name in ("fc1.weight", "fc2.weight", "encoded weights", "whole model"):
    counts = rows[name].counts
    print(f"{name:16} {counts.dense:12,} -> {counts.stored:12,} stored, {counts.ratio:10,.1f} times fewer")
assert rows["encoded weights"].counts.stored == CLAIM["numbers"]
teach.states("18,874,368", rows["encoded weights"].counts.dense, always=True)
teach.states("2.3", rows["whole model"].counts.ratio, always=True)

# %% [markdown]
# Depth 1 stores 200 + 224 = 424 numbers for 18,874,368 weights. The count is right, and $10^7$ is the order of
# magnitude. In the same breath: the *network* shrinks by a factor of 2.3, for its convolutions stay as they are.
#
# ## 2. Which other walls store 424?
#
# A count that fits is evidence only if few others would fit. With Q sites and depth M a wall stores
# `16·M·(Q - 1) - 12·(Q // 2)` (notebook 06).
#
# **Exercise.** Find every pair of walls, of one common depth, that stores a given total.

# %%
def stored(num_sites, depth):
    return 16 * depth * (num_sites - 1) - 12 * (num_sites // 2)


def pairs_storing(total, most_sites):
    """All (depth, Q1, Q2), 2 <= Q1 <= Q2 <= most_sites, that store ``total`` together, sorted."""


# %% solution: pairs storing
def pairs_storing(total, most_sites):
    """All (depth, Q1, Q2), 2 <= Q1 <= Q2 <= most_sites, that store ``total`` together, sorted."""

    def one(num_sites, depth):
        return 16 * depth * (num_sites - 1) - 12 * (num_sites // 2)

    return [
        (depth, q1, q2)
        for depth in range(1, 2 + total // 16)
        for q1 in range(2, most_sites + 1)
        for q2 in range(q1, most_sites + 1)
        if one(q1, depth) + one(q2, depth) == total
    ]


# %%
pairs_storing = teach.check("pairs storing", pairs_storing)
for depth, q1, q2 in pairs_storing(CLAIM["numbers"], 28):
    size, mark = 2**q1 + 2**q2, "  <- VGG-16" if (q1, q2) == (21, 24) else ""
    print(f"M = {depth:2}: {q1:2} and {q2:2} sites, {size:12,} weights{mark}")
    assert size < 20 or (depth == 1 and q1 + q2 == 45)
assert stored(20, 2) > 424  # so no wall of a million weights is deeper, in mixed pairs either

# %% [markdown]
# But for toys the total fixes the depth, 1, and the sites in all, 45. It does not fix the shapes: 22 and 23 sites
# would be 12,582,912 weights, nearer to ten million. What points to VGG-16 is that its two shapes, known beforehand, are on the list.
#
# Other rules give other totals for those two shapes. And the first version of the same abstract offers a second
# test: *three convolutional layers* of VGG-16, "about 10 million parameters", in 632 numbers.

# %%
def live(num_sites, depth):
    return stored(num_sites, depth) - 8 * (num_sites % 2)


def full(num_sites, depth):
    return 16 * depth * (num_sites - 1)


kernel = ta.ADTN((512, 512, 3, 3), 1)  # as in the last six convolutions
print(f"a kernel 512 × 512 × 3 × 3: {kernel.num_sites} sites, {kernel.num_parameters} numbers")
for rule in (stored, live, full):
    layers = rule(21, 1) + rule(24, 1)
    print(f"{rule.__name__:7} two layers: {layers}, claim 424; three kernels: {3 * rule(22, 1)}, claim 632")
assert 3 * stored(22, 1) == 612 and 632 % 16 and 424 % 16

# %% [markdown]
# For the two layers only *stored* gives 424; *live* gives 416, *full* 688. A total that is no multiple of 16 cannot
# come from counting every gate as 16, so 632 says the same. But our rule does not explain 632: three such kernels
# make 612. Their shapes, depth or rule were other than we think. **A reading that fits one number is not confirmed
# by it**, and we say so on the ladder below.
#
# ## 3. What 424 numbers can be
#
# Depth 1 has no ReLU inside. With the output bits first, exactly one gate sits across the line between outputs
# and inputs. Leave it out for a moment: the left half of the wall makes a vector $l$ over the output sites, the
# right half a vector $r$ over the input sites, and T is their product, rank 1. Now let the gate act on the last
# output site and the first input site:
#
# $$T[a\,p,\; q\,b] = \sum_{rs} G[pq, rs]\; l[a\,r]\; r[s\,b] = \sum_{x,r}
# \underbrace{\delta_{px}\, l[a\,r]}_{A[ap,\,xr]}\;\underbrace{\textstyle\sum_s G[xq, rs]\, r[s\,b]}_{B[xr,\,qb]}$$
#
# The pair (x, r) has 4 values. So **W = A·B with 4 columns and 4 rows**, whatever the gates are.

# %%
def half_wall(pairs, gates, num_sites):
    """One part of a depth-1 wall, on its own: a vector of 2^num_sites numbers."""
    state = np.ones(1, np.float32)
    for pair in pairs:
        state = np.outer(state, pair).ravel()
    if num_sites % 2:  # the last site has no partner in the first column: |0⟩
        state = np.outer(state, np.float32([1, 0])).ravel()
    for j, gate in enumerate(gates):
        state = (gate @ state.reshape(2 ** (2 * j + 1), 4, -1)).reshape(-1)
    return state


def my_factors(wall, cut):
    """A (2^cut, 4) and B (4, 2^(Q-cut)) with W = A·B, for depth 1, output first, an even cut."""
    pairs, gates = (column.numpy() for column in wall.columns)
    half = cut // 2
    left = half_wall(pairs[:half], gates[: half - 1], cut).reshape(-1, 2)
    right = half_wall(pairs[half:], gates[half:], wall.num_sites - cut).reshape(2, -1)
    A = np.einsum("ar,px->apxr", left, np.eye(2, dtype=np.float32)).reshape(2**cut, 4)
    B = np.einsum("xqrs,sb->xrqb", gates[half - 1].reshape(2, 2, 2, 2), right).reshape(4, -1)
    return A * wall.scale.data, B


# %%
walls = {
    "fc1": ta.ADTN((4096, 512), 1, order="output_first", rng=0),
    "fc2": ta.ADTN((4096, 4096), 1, order="output_first", rng=1),
}
factors = {}
for name, wall in walls.items():
    W, (A, B) = wall.decode().data, my_factors(wall, 12)
    factors[name] = A, B
    middle = np.linalg.qr(A)[1] @ np.linalg.qr(B.T)[1].T  # 4 × 4, with W's singular values
    values = np.linalg.svd(middle.astype(np.float64), compute_uv=False)
    print(f"{name}: {W.size:10,} weights, largest |W - A·B| / largest |W|: ", end="")
    print(f"{np.abs(W - A @ B).max() / np.abs(W).max():.1e}; singular values", values.round(2))
    assert np.allclose(W, A @ B, atol=1e-5 * np.abs(W).max()) and values[3] > 0

# %% [markdown]
# Both of VGG's layers have rank 4: 4096 outputs that live in a space of 4 dimensions. Between them the network
# has a bottleneck of 4 numbers, and no training can widen it.
#
# Is it the walls, or the order of their sites? Interleave output and input bits, and many gates cross the line:

# %%
for order in ("output_first", "interleaved"):
    matrix = ta.ADTN((64, 64), 1, order=order, rng=0).decode().data.astype(np.float64)
    values = np.linalg.svd(matrix / np.abs(matrix).max(), compute_uv=False)
    rank = int((values > 1e-6 * values[0]).sum())
    print(f"{order:12} rank {rank:2}, half of them above {np.median(values[:rank]) / values[0]:.1e}")

# %% [markdown]
# Interleaved, the rank is far larger at the same count, though most singular values are tiny. Which order the
# paper used, the abstract does not say. In notebook 08's long runs it was worth 21 points at depth 1.
#
# ## 4. What rank 4 gives back
#
# A layer that is A·B need not be decoded: $Wx = A(Bx)$. Predict: how many times fewer multiply-adds, for `fc2`?

# %%
my_guess = None
A, B = factors["fc2"]
teach.reveal(my_guess, 4096 * 4096 / (A.size + B.size))
teach.states("512", 4096 * 4096 / (A.size + B.size), always=True)


def milliseconds(run, repeats=teach.pick(7, 2)):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1000 * np.median(times)


x = rng.normal(size=(64, 4096)).astype(np.float32)
W = walls["fc2"].decode().data
spent = {
    "multiply by the decoded W": milliseconds(lambda: x @ W.T),
    "decode, then multiply": milliseconds(lambda: x @ walls["fc2"].decode().data.T),
    "make A and B, then A(Bx)": milliseconds(lambda: (x @ my_factors(walls["fc2"], 12)[1].T) @ A.T),
    "A(Bx)": milliseconds(lambda: (x @ B.T) @ A.T),
}
for name, ms in spent.items():
    print(f"{name:26} {ms:8.2f} ms for 64 images, {spent['multiply by the decoded W'] / ms:6.1f} times as fast")
assert np.allclose((x @ B.T) @ A.T, x @ W.T, atol=1e-3 * np.abs(x @ W.T).max())

# %% [markdown]
# 512 times fewer multiply-adds, the same numbers, and W is never in memory. The abstract does not mention it. It
# is the friendly side of the same fact: what makes the layer poor makes it cheap.
#
# ## 5. "Improves"
#
# Two accuracies, 90.17 and 91.74. Would a second seed give the same order? Accuracy varies from run to run, and
# two single runs cannot say by how much. With n runs each, the difference of the means has the standard error
# $\sqrt{s_a^2/n_a + s_b^2/n_b}$; Student's t says how many of those chance may explain.
#
# **Exercise.** Write a verdict: 1 if a is better, -1 if b is, 0 if these runs cannot tell. It must refuse fewer
# than three runs on either side, and cry wolf in at most 8 % of the cases where there is no difference.

# %%
STUDENT_T = {2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}  # 95 %


def verdict(a, b):
    """1, -1 or 0 for two lists of accuracies, one for each seed."""


# %% solution: verdict
def verdict(a, b):
    """1, -1 or 0 for two lists of accuracies, one for each seed."""
    student_t = {2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}
    fewer = min(len(a), len(b))
    if fewer < 3:
        return 0
    error = np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))
    difference = np.mean(a) - np.mean(b)
    if abs(difference) <= student_t[min(fewer - 1, 9)] * error:
        return 0
    return int(np.sign(difference))


# %%
verdict = teach.check("verdict", verdict)

# %%
def test_accuracies(file, **wanted):
    """In %, one for each seed, of the project's runs with exactly these settings."""
    folder = next(p for p in (Path("../data/results"), Path("data/results")) if p.exists())
    runs = [json.loads(line) for line in (folder / file).read_text().splitlines()]
    chosen = [r for r in runs if {k: v for k, v in r["config"].items() if k != "seed"} == wanted]
    return [100 * run["test"] for run in chosen]


def lenet(encoding, rate, **more):
    same = {"data": "mnist", "network": "lenet5", "batch_size": 256, "epochs": 8}
    layers = {"layers": ["fc1", "fc2", "fc3"], "encoding": encoding} if encoding else {"layers": []}
    return test_accuracies("networks.jsonl", **same, **layers, learning_rate=rate, **more)


def vgg_epoch(**more):
    same = {"data": "cifar10", "network": "vgg16", "batch_size": 128, "epochs": 1}
    return test_accuracies("networks.jsonl", **same, **more, learning_rate=1e-3)


runs = {
    "dense": lenet(None, 1e-2),
    "train, 2,860 numbers": lenet("mpo", 4e-2),
    "ADTN M=4, 2,192": lenet("adtn", 2e-2, depth=4),
    "ADTN M=2, 976": lenet("adtn", 2e-2, depth=2),
    "frozen, 0": lenet("frozen", 8e-2),
    "VGG dense, one epoch": vgg_epoch(layers=[]),
    "VGG 424, one epoch": vgg_epoch(layers=["fc1", "fc2"], encoding="adtn", depth=1),
    "the paper, before": [CLAIM["before"]],
    "the paper, after": [CLAIM["after"]],
}

# %%
names = list(runs)
for better, worse in (*zip(names[:4], names[1:5], strict=True), names[5:7], names[:6:-1]):
    a, b = runs[better], runs[worse]
    word = {1: "is better than", 0: "no verdict against", -1: "is worse than"}[verdict(a, b)]
    print(f"{better:21} {word:18} {worse:21} {np.mean(a):.2f} ({len(a)} runs), {np.mean(b):.2f} ({len(b)})")
for text, name in (("54.5", "VGG dense, one epoch"), ("47.1", "VGG 424, one epoch")):
    teach.states(text, runs[name][0], always=True)
teach.states("97.2", np.mean(runs["frozen, 0"]), always=True)
teach.states("99.2", np.mean(runs["dense"]), always=True)

# %% [markdown]
# The verdict speaks where it may: on LeNet-5, dense is above the tensor train, that above the wall, and the wall
# above frozen weights. It refuses depth 4 against depth 2, it refuses our own single epoch of VGG-16 (54.5 %
# dense, 47.1 % with 424 numbers), and it refuses 90.17 against 91.74. That is not to say that the claim is false.
# It says that two numbers cannot carry it.
#
# ## 6. The ladder
#
# A claim is a ladder: each rung needs the one below, and something more. Here is the whole sentence.

# %%
HOLDS, PARTLY, ELSEWHERE, OPEN = "holds", "partly", "not here", "not tested"
rungs = [  # from the ground up: claim, what must be true, what was checked, what was not, state
    (
        "424 numbers are stored",
        "a counting rule that gives 424\nfor these two shapes",
        "first gates 4, others 16, M = 1:\n200 + 224, the only rule of three",
        "whether the authors count so;\nversion 1's 632 is unexplained",
        HOLDS,
    ),
    (
        "… for about $10^7$ weights",
        "they decode to both layers",
        f"{rows['encoded weights'].counts.dense:,} weights,\nrank 4 each, outputs first",
        "the order of the sites",
        HOLDS,
    ),
    (
        "the network learns with them",
        "the loss falls, above chance",
        f"one epoch on CIFAR-10: {runs[names[6]][0]:.1f} %\n(dense {runs[names[5]][0]:.1f} %), one seed",
        "a full training, more seeds",
        PARTLY,
    ),
    (
        "no accuracy is lost",
        "as good as dense, both tuned,\nall data, several seeds",
        f"LeNet-5, all of MNIST: {np.mean(runs[names[2]]):.1f} %,\ndense {np.mean(runs[names[0]]):.1f} %",
        "the same on CIFAR-10",
        ELSEWHERE,
    ),
    (
        f"accuracy improves,\n{CLAIM['before']} to {CLAIM['after']} %",
        "a verdict over seeds, against\na baseline trained as well",
        "nothing: two numbers\ncarry no verdict",
        "all of it; others report\n93.13 % for a dense VGG-16",
        OPEN,
    ),
    (
        "… because of the walls",
        "frozen or missing layers\ndo worse",
        f"LeNet-5 frozen: {np.mean(runs[names[4]]):.1f} %",
        "a frozen control for VGG-16",
        OPEN,
    ),
]
claims.ladder(rungs)

# %% [markdown]
# The lower rungs are exact and remarkable: 424 numbers *are* two layers of VGG-16, and a network learns with them.
# The upper ones are where the news is, and they need what the sentence does not give: seeds, a baseline
# (Gao and others, 2020, report 93.13 % for theirs) and a control. On LeNet-5 frozen random layers alone keep 97.2
# of 99.2 %: where most of the work is done elsewhere, almost anything may stand in the place of a layer.
#
# Read the next claim so: **What is counted? What can it be? Against what? Over how many runs? What if nothing were
# there?**
#
# ## Ledger
#
# **Shown.** A rule with which the count comes out, both tensors and their ranks, inference without decoding,
# and what the project's runs can and cannot tell apart.
#
# **Assumed.** Only the abstract (two versions) was read; the rule, M = 1 and the order of the sites are our reading. Student's t takes runs to
# be independent and nearly normal; all runs share one test set, so its own chance is not in the verdict.
#
# **Not tested.** A full training of VGG-16, dense, encoded, frozen and with the layers left out, over seeds. It is
# the experiment that would settle the upper rungs. It needs a GPU and some days; you have all the rest.
