# %% [markdown]
# # 11 When does a number improve on another?
#
# Two accuracies from the abstract of notebook 10, 90.17 % and 91.74 %. The second is larger, so it
# is better: that is how results are usually read. This last notebook asks what must be known
# before one may say so.
#
# **What does the word "improves" need, and which claims of this field carry it?**
#
# **Study time** 95 minutes. **You need** notebooks 09 and 10. **Afterwards you can** judge two
# lists of accuracies, plan how many runs a comparison needs, place a claim on a ladder, and test
# what a paper reports against runs of your own.
#
# **Recap of notebooks 09 and 10.** Under our counting rule, two layers of VGG-16 store 424
# parameters. *Frozen* random weights are the baseline of any claim.

# %%
from itertools import pairwise

import numpy as np

import tinyadtn as ta
from tinyadtn import teach
from tinyadtn.course.pictures import claims
from tinyadtn.course.results import measured, trained_once

CLAIM = {"parameters": 424, "before": 90.17, "after": 91.74}  # the abstract, arXiv 2305.06058
rng = np.random.default_rng(0)

# %% [markdown]
# ## Two runs of one network
#
# The claim has a difference of 1.57 percentage points, and as far as we know one run on each side.
# How much do two runs of *one and the same* network differ? The project trained one with ten seeds,
# for a short time: FC-2 on MNIST, with `fc1` as an ADTN of depth 2 and outputs first.
#
# Ten runs make 45 pairs. In how many of them do the two runs differ by 1.57 points or more?

# %%
my_guess_pairs = None  # from 0 to 45

# %%
_, ten = measured("fc1_short", "output first depth=2")
gaps = np.array([abs(a - b) for k, a in enumerate(ten) for b in ten[:k]])
gap = CLAIM["after"] - CLAIM["before"]
print("one network, ten seeds:", " ".join(f"{percent:.1f}" for percent in sorted(ten)))
teach.reveal(my_guess_pairs, int((gaps >= gap).sum()))

# %% compare
_, steady = measured("fc1_mnist", "image depth=2")
teach.states("1.57", gap, always=True)
teach.states("23", (gaps >= gap).sum(), always=True)
teach.states("0.1", np.std(steady, ddof=1), always=True)
teach.states("45", len(gaps), always=True)

# %% [markdown]
# In 23 of 45 pairs. Train this network twice. About one time in four the second run is better by
# as much as in the abstract, though nothing was changed. (This network was chosen because its runs
# vary a lot. In another order and with longer training, the standard deviation is 0.1. How much a
# VGG-16 varies, only more runs can show.)
#
# ## A verdict on two lists
#
# Each run gets a random seed: for the weights, and for the order of the images. Take n runs on
# each side. The means $\bar a$ and $\bar b$ would change a little with other seeds. The **standard
# error** of their difference is
#
# $$e = \sqrt{s_a^2/n_a+s_b^2/n_b},$$
#
# with the standard deviations $s_a$, $s_b$ of the runs (`ddof=1`). An example with three runs on
# each side:

# %%
a, b = [97.2, 97.4, 97.6], [97.0, 97.1, 97.2]
difference = np.mean(a) - np.mean(b)
error = np.sqrt(np.var(a, ddof=1) / 3 + np.var(b, ddof=1) / 3)
ratio = difference / error
print(f"difference {difference:.2f}, standard error {error:.2f}, ratio {ratio:.1f}")

# %% compare
teach.states("2.3", ratio, always=True)

# %% [markdown]
# Is a ratio of 2.3 much? Student's t answers: if nothing is different, the ratio exceeds the
# factor below in only 5 % of the cases. With few runs, the standard deviation itself is badly
# known, so the factor is larger. For three runs on the shorter side the table has 4.3, so here the
# verdict is "not significant".
#
# ## Exercise: a verdict
#
# Write a verdict on two lists of accuracies, which may differ in length:
#
# - 1 if the difference is significant and a is better, −1 if it is significant and b is better;
# - 0 if it is not significant, or if either side has fewer than three runs.
#
# The check draws many lists. If nothing is different, at most 8 % of the verdicts may be false
# alarms. (The table promises 5 %, and the check needs some room.) Large differences must be found.

# %%
# Key: the number of runs on the shorter side, minus 1. Value: the factor; use 2.26 for more runs.
STUDENT_T = {2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}


def verdict(a, b):
    """Return 1, -1 or 0 for two lists of accuracies, one entry for each seed."""


# %% solution: verdict
def verdict(a, b):
    """Return 1, -1 or 0 for two lists of accuracies, one entry for each seed."""
    student_t = {2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}
    fewer = min(len(a), len(b))
    if fewer < 3:
        return 0
    error = np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))
    difference = np.mean(a) - np.mean(b)
    return int(np.sign(difference)) if abs(difference) > student_t[min(fewer - 1, 9)] * error else 0


# %%
verdict = teach.check("verdict", verdict)

# %% [markdown]
# ## The verdict at work
#
# Now judge what the project measured, five runs each: LeNet-5 on MNIST, with its three linear
# layers encoded. One ADTN has 2,192 parameters and the other 848. Is the larger one significantly
# better?

# %%
my_guess_larger = None  # True or False

# %%
names = ["dense", "TT, 2,860", "ADTN, 2,192", "ADTN, 848", "TT, 824", "frozen"]
lenet = {name: measured("lenet5_mnist", name, ())[1] for name in names}
teach.reveal(my_guess_larger, verdict(lenet["ADTN, 2,192"], lenet["ADTN, 848"]) == 1)
claims.seeds(lenet, verdict)

# %% compare
layers = "fc1", "fc2", "fc3"
teach.states("2,192", measured("lenet5_mnist", "ADTN, 2,192", layers)[0], always=True)
teach.states("848", measured("lenet5_mnist", "ADTN, 848", layers)[0], always=True)

# %% [markdown]
# Between two rows stands your verdict. Dense layers are better than the larger tensor train, which
# is better than the larger ADTN. Frozen weights are last. But the two ADTNs are not significantly
# different, although one has more than twice the parameters.
#
# Next, VGG-16 on CIFAR-10. Its convolutions were trained once. What follows them is called the
# **head**, and it was trained with five seeds in each of four forms:
#
# - *ADTN, 424*: its two large linear layers are ADTNs, with 424 parameters together;
# - *removed*: these two layers are left out;
# - *frozen*: both are random and never trained, at the learning rate that suits such a head best;
# - *frozen, untuned*: the same, at the learning rate that suits the ADTN.
#
# Are 424 parameters significantly better than *frozen*? (In brackets below: the number of runs.)

# %%
my_guess_424 = None  # True or False


# %%
def judge(rows, pairs):
    """Print one line for each pair: the means, the runs, and what may be said."""
    words = {1: "is better than", -1: "is worse than", 0: "is not significantly different from"}
    for left, right in pairs:
        a, b = rows[left], rows[right]
        word = words[verdict(a, b)] if min(len(a), len(b)) > 2 else "NO VERDICT, too few runs:"
        sides = [f"{name} {np.mean(rows[name]):.2f} ({len(rows[name])})" for name in (left, right)]
        print(f"{sides[0]:23} {word:36} {sides[1]}")


names = ["ADTN, 424", "removed", "frozen", "frozen, untuned"]
vgg = {name: measured("vgg16_heads", name, ())[1] for name in names}
judge(vgg, [(names[0], other) for other in names[1:]])
judge({"after": [CLAIM["after"]], "before": [CLAIM["before"]]}, [("after", "before")])
teach.reveal(my_guess_424, verdict(vgg["ADTN, 424"], vgg["frozen"]) == 1)

# %% compare
teach.states("78.1", np.mean(vgg["ADTN, 424"]), always=True)
teach.states("78.1", np.mean(vgg["removed"]), always=True)
teach.states("78.0", np.mean(vgg["frozen"]), always=True)
teach.states("77.8", np.mean(vgg["frozen, untuned"]), always=True)

# %% [markdown]
# **A control needs tuning, too.** The 424 parameters reach 78.1 %, and frozen layers 78.0 %: no
# significant difference. Untuned, frozen layers reach only 77.8 %, and then the ADTN would seem
# better. With both layers removed the head reaches 78.1 %.
#
# **And 91.74 against 90.17, the abstract, gets no verdict.** That does not make the claim false. It
# says that two figures cannot carry it.
#
# Ours cannot carry one either. The project also trained VGG-16 as a whole, once for each row. In
# one run the two large layers were left out. Is it higher or lower than the run with dense layers?

# %%
my_guess_removed = None  # "higher" or "lower"

# %%
whole = {"dense": [trained_once("vgg16")]}
for name in ("424", "frozen", "removed"):
    whole[name] = measured("vgg16_end_to_end", name, ())[1]
judge(whole, [(name, "dense") for name in ("424", "frozen", "removed")])
word = "higher" if whole["removed"][0] > whole["dense"][0] else "lower"
teach.reveal(my_guess_removed, f"{word} (no verdict)")

# %% compare
teach.states("77.6", whole["dense"][0], always=True)
teach.states("81.1", whole["removed"][0], always=True)

# %% [markdown]
# Without both layers VGG-16 reaches 81.1 %, and with dense layers 77.6 %. A gap of that size asks
# for an explanation. But one run each gives no verdict, and we have to be as strict with our own
# figures.
#
# ## The picture to keep: a ladder of claims
#
# A claim is a ladder. Each rung needs the one below it, and something more. From the ground up,
# the six rungs are:
#
# 1. 424 parameters are stored;
# 2. for about $10^7$ weights;
# 3. the network learns with them;
# 4. no accuracy is lost;
# 5. the accuracy improves;
# 6. because of the ADTNs.
#
# How many of them have we seen to hold?

# %%
my_guess_rungs = None  # from 0 to 6

# %%
rungs = claims.claim_of_2023(CLAIM, lenet, vgg, whole)
teach.reveal(my_guess_rungs, sum(rung.state == "holds" for rung in rungs))
claims.ladder(*rungs)

# %% [markdown]
# The lower rungs are exact, and they are remarkable. 424 parameters do fill two layers of that
# size, and a network learns with them. The upper rungs are the news. They need what the claim does
# not have: seeds, a baseline that was trained as well, and a control.
#
# ## Four papers, eleven years
#
# The question "how many parameters does a layer need?" is older than ADTNs. What the papers report
# is quoted here, with its source. Everything else was measured or counted by this project.

# %%
REPORTED = {  # year: who, where, what they report
    2015: ("Novikov and others", "arXiv 1509.06569", 200_000, "times smaller, one layer of VGG"),
    2020: ("Gao and others", "Phys. Rev. Research 2, 023300", 99.17, "%, LeNet-5 on MNIST"),
    2023: ("Qing and others", "arXiv 2305.06058", 91.74, "%, VGG-16 on CIFAR-10"),
    2026: ("Lu and others", "arXiv 2605.25344", 47.5, "% fewer parameters, LLaMA2-7B"),
}
for year, (who, where, figure, unit) in REPORTED.items():
    print(f"{year}  {who:18}  {where:29}  {figure:10,} {unit}")

# %% [markdown]
# ### 2015: tensor trains
#
# Novikov and others store the weight as a tensor train, and train its cores by backpropagation.
# Their abstract reports layers of VGG that became up to 200,000 times smaller, and networks that
# became up to 7 times smaller. The first linear layer of VGG-16 has 25,088 inputs and 4,096
# outputs. They split the inputs as `2·7·8·8·7·4`, and the outputs as `4·4·4·4·4·4`.
#
# ### Exercise: parameters of a tensor train
#
# How many parameters does such a tensor train have? Core k has the size
# $D_{k-1} \cdot o_k \cdot i_k \cdot D_k$, and the two outer bonds have size 1.


# %%
def train_parameters(out_modes, in_modes, bond):
    """Return the parameters of a tensor train whose inner bonds all have the size ``bond``."""


# %% solution: train parameters
def train_parameters(out_modes, in_modes, bond):
    """Return the parameters of a tensor train whose inner bonds all have the size ``bond``."""
    bonds = [1, *[bond] * (len(out_modes) - 1), 1]
    return sum(a * o * i * b for a, o, i, b in zip(bonds, out_modes, in_modes, bonds[1:]))


# %%
train_parameters = teach.check("train parameters", train_parameters)

# %% [markdown]
# For which bond does the layer become 200,000 times smaller? And the whole network with it?

# %%
my_guess_bond = None  # 1, 2, 3 or 4

# %%
my_guess_network = None  # a factor

# %%
modes, vgg16 = ((4,) * 6, (2, 7, 8, 8, 7, 4)), ta.models.vgg16(num_classes=1000, image_size=224)
layer = {bond: 25_088 * 4_096 / train_parameters(*modes, bond) for bond in (1, 2, 3, 4)}
network = {}
for bond, factor in layer.items():
    small = ta.compress(vgg16, {"fc1": ta.TensorTrain.like(modes, bond)}, rng=None)
    network[bond] = ta.report(small).rows[-1].counts.ratio
    print(f"D = {bond}: layer {factor:9,.0f} times smaller, network {network[bond]:.1f} times")
both = {"fc1": ta.TensorTrain.like(modes, 4), "fc2": ta.TensorTrain.like(((4,) * 6,) * 2, 4)}
both = ta.report(ta.compress(vgg16, both, rng=None)).rows[-1].counts.ratio
print(f"D = 4 in the next layer, too: network {both:.1f} times")
teach.reveal(my_guess_bond, min(layer, key=lambda bond: abs(layer[bond] - 200_000)), "bond")
teach.reveal(my_guess_network, round(network[2], 1), "network")

# %% compare
teach.states("194,622", round(layer[2]), always=True)
teach.states("3.9", network[2], always=True)
teach.states("7.4", both, within=0.05)

# %% [markdown]
# A bond of 2 makes the layer 194,622 times smaller. So here, unlike in notebook 10, a second figure
# comes out. But that network becomes only 3.9 times smaller. The 7 needs the next layer, too:
# with bonds of 4 in both we count 7.4. The two figures of the abstract belong to two networks.
#
# ### 2020: matrix product operators
#
# Gao and others use the same form, with the name that physicists use. For LeNet-5 they report
# 99.17 %, with 2,860 parameters in its linear layers. Our five runs have the mean 99.01 %. Have we
# failed to reproduce the result?
#
# Ask whether 99.17 % may be one more run of ours. Runs differ by their standard deviation s, and
# the mean of n runs is itself uncertain by $s/\sqrt n$. The squares add up, so the difference of
# one more run to the mean has the standard error $s \sqrt{1 + 1/n}$.
#
# ### Exercise: one more run
#
# Decide whether a reported accuracy may be one more run: at most `STUDENT_T` times this error away
# from the mean of at least three runs. By hand: 97.2, 97.4 and 97.6 have $s = 0.2$ and the error
# 0.23. The factor is 4.3, so anything up to 98.4 may be one more run.


# %%
def one_more_run(runs, reported):
    """Return True if ``reported`` may be one more run of the experiment, else False."""


# %% solution: one more run
def one_more_run(runs, reported):
    """Return True if ``reported`` may be one more run of the experiment, else False."""
    student_t = {2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}
    error = np.std(runs, ddof=1) * np.sqrt(1 + 1 / len(runs))
    return abs(reported - np.mean(runs)) <= student_t[len(runs) - 1] * error


# %%
my_guess_gao = None  # True or False

# %%
one_more_run = teach.check("one more run", one_more_run)
size, runs = measured("lenet5_mnist", "TT (Gao)", ("fc1", "fc2", "fc3"))
print(f"ours, {size:,} parameters:", " ".join(f"{percent:.2f}" for percent in sorted(runs)))
teach.reveal(my_guess_gao, bool(one_more_run(runs, 99.17)))

# %% compare
teach.states("2,860", size, always=True)
teach.states("99.01", np.mean(runs), always=True)
error = np.std([97.2, 97.4, 97.6], ddof=1) * np.sqrt(1 + 1 / 3)
teach.states("0.23", error, always=True)
teach.states("98.4", 97.4 + 4.3 * error, always=True)

# %% [markdown]
# It may. So nothing speaks against the report, and a single reported figure allows no more than
# that.
#
# ### 2023: ADTNs
#
# Qing and others take gates instead of cores, in several layers with a ReLU in between. You have
# counted their parameters in notebook 10, and their claim is on the ladder above. One question
# about its upper rungs is left: **how often was each side tried?**
#
# The abstract does not say whether 91.74 % is the only run, or the best of several runs or learning
# rates. The side that tries more often has an advantage, even if nothing else is different. How
# large is it?
#
# Take the ten runs from the beginning of this notebook, which are runs of *one* ADTN. Draw from
# them several times and report the best. (A run can be drawn more than once.) The old method
# reports its mean. The **gain** is the difference, on average over many such draws.
#
# ### Exercise: the best of several tries
#
# Compute the gain for a list of runs. By hand: the runs $90$ and $92$ have the mean $91$. The best
# of two tries is $90$ in one of four cases, and otherwise $92$. Its average is 91.5, so the gain is
# $0.5$.
#
# With the runs in order, a formula is short. A simulation with `20_000` draws passes, too.


# %%
def gain_of_tries(runs, tries):
    """Return the average of the best of ``tries`` draws, minus the mean of the runs."""


# %% solution: gain of tries
def gain_of_tries(runs, tries):
    """Return the average of the best of ``tries`` draws, minus the mean of the runs."""
    n = len(runs)
    within = (np.arange(n + 1) / n) ** tries  # all tries in the lowest k runs
    return float(np.sort(runs) @ np.diff(within) - np.mean(runs))


# %%
my_guess_tries = None  # how many tries until the gain is 1.57 points or more?

# %%
gain_of_tries = teach.check("gain of tries", gain_of_tries)
gains = {tries: gain_of_tries(ten, tries) for tries in range(1, 21)}
for tries in (1, 2, 3, 4, 6, 10, 20):
    print(f"best of {tries:2}: {gains[tries]:4.2f} points above the mean of the same runs")
teach.reveal(my_guess_tries, next(tries for tries in gains if gains[tries] >= gap))

# %% compare
teach.states("6", next(tries for tries in gains if gains[tries] >= gap), always=True)
teach.states("91.5", 91 + gain_of_tries([90, 92], 2), within=0.05, always=True)

# %% [markdown]
# The best of 6 tries gains as much as the abstract reports. Nothing was improved: all draws are
# runs of one network. The gain is in proportion to the spread. A network whose runs differ by a
# tenth as much gains a tenth as much.
#
# This is no accusation, since we do not know what was tried. It is a reason for three habits. Give
# each side the same number of tries, as in notebook 09. Report means, not best runs. And choose on
# validation images, never on test images.
#
# ### 2026: MixT
#
# Lu and others, among them authors of the ADTN paper, compress large language models. A layer is
# an average of several small tensor operators, each on its own sites, and it is applied without
# forming the weight. For LLaMA2-7B they report 47.5 % fewer parameters.
#
# We read the abstract like this. The input x has Q sites. Branch k applies a gate to a window of w
# neighbouring sites, from site k on. The result is the average over all branches.
#
# ### Exercise: a mixture of gates
#
# Apply such a layer. A gate on w sites is a $2^w \times 2^w$ matrix, and you have written the case
# w = 2 in notebook 07. By hand: with two sites and w = 1, reshape x to 2 × 2. Gate 0 acts on its
# rows, `gates[0] @ x`, and gate 1 on its columns, `x @ gates[1].T`. The result is half of their
# sum.


# %%
def mixture(x, gates):
    """Return the average of the branches: gate k, (2^w, 2^w), acts on w sites from site k on."""


# %% solution: mixture
def mixture(x, gates):
    """Return the average of the branches: gate k, (2^w, 2^w), acts on w sites from site k on."""
    branches = [(gate @ x.reshape(2**k, len(gate), -1)).ravel() for k, gate in enumerate(gates)]
    return sum(branches) / len(gates)


# %%
mixture = teach.check("mixture", mixture)
gates = rng.normal(size=(9, 16, 16))  # windows of 4 sites, on 12 sites
result = mixture(rng.normal(size=2**12), gates)
print(f"{len(result):,} -> {len(result):,}: parameters {gates.size:,}, dense {len(result) ** 2:,}")
print(f"multiply-adds {gates.size // 16 * len(result):,}, dense {len(result) ** 2:,}")

# %% [markdown]
# The project trained such a layer in FC-2, next to other recipes (`data/results/fc1_bytes.md`).
# These runs are shorter than those of notebook 09: two epochs, with three seeds. A window has w = 2
# or 3 sites, and its sites have the modes of the tensor train, not only two values. Is MixT with
# 1,680 parameters significantly better than a tensor train with 1,024?

# %%
my_guess_mixt = None  # "better", "worse" or "not significant"

# %%
names = ["dense", "MixT w=3", "MixT w=2", "TT D=4", "frozen"]
short = {name: measured("fc1_bytes", name) for name in names}
for name, (size, runs) in short.items():
    print(f"{name:8} {size:8,} parameters   {np.mean(runs):5.2f} ± {np.std(runs, ddof=1):.2f} %")
words = {1: "better", -1: "worse", 0: "not significant"}
teach.reveal(my_guess_mixt, words[verdict(short["MixT w=2"][1], short["TT D=4"][1])])

# %% compare
teach.states("1,680", short["MixT w=2"][0], always=True)
teach.states("1,024", short["TT D=4"][0], always=True)
teach.states("25,088", short["MixT w=3"][0], always=True)
assert verdict(short["MixT w=2"][1], short["TT D=4"][1]) == -1
assert verdict(short["MixT w=3"][1], short["dense"][1]) == 0

# %% [markdown]
# It is worse, with more parameters. With 25,088 parameters MixT is not significantly different from
# dense weights. This is our reading of an abstract, in a small network. It does not test the claim
# about LLaMA2-7B.
#
# ### All of them in one network
#
# Your verdict has not yet judged the table of FC-2 in notebook 09. It has a row for each kind.

# %%
names = ["dense", "TT D=4", "larger sites", "ADTN M=4", "frozen"]
fc2 = {name: measured("fc1_budgets", name)[1] for name in names}
judge(fc2, [*pairwise(names), ("dense", "larger sites"), ("TT D=4", "ADTN M=4")])

# %% [markdown]
# The tensor train and the ADTN with larger sites are not significantly different. With sites of two
# values, the ADTN is below both. In LeNet-5 with fewer than 1,000 parameters, the picture above
# shows no significant difference between tensor train and ADTN either. That is a finding about
# small networks and digits, and no more.
#
# So ask of the next claim: **What is counted? What can it be? Against what? Over how many runs?
# And what if nothing were there at all?**
#
# ## Challenge
#
# You plan a comparison. Pilot runs have a standard deviation s, the same on both sides, and you
# hope for a difference d. Your verdict should find it in at least four of five cases. **How many
# runs per side does that need?** Return the smallest n from 3 to 10, or 10 if more are needed.
# Simulate it, or use a formula.


# %%
def runs_needed(d, s):
    """Return the smallest n, 3 to 10, for which the verdict finds it in 4 of 5 cases."""


# %% solution: runs needed
def runs_needed(d, s):
    """Return the smallest n, 3 to 10, for which the verdict finds it in 4 of 5 cases."""
    student_t = {2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}
    draw = np.random.default_rng(1)
    for n in range(3, 11):
        a, b = draw.normal(d, s, size=(4000, n)), draw.normal(0, s, size=(4000, n))
        error = np.sqrt(a.var(axis=1, ddof=1) / n + b.var(axis=1, ddof=1) / n)
        found = a.mean(axis=1) - b.mean(axis=1) > student_t[n - 1] * error
        if found.mean() >= 0.8:
            return n
    return 10


# %%
runs_needed = teach.check("runs needed", runs_needed)
for d in (0.3, 0.5, 1.0):
    print(f"a difference of {d}, standard deviation 0.2: {runs_needed(d, 0.2)} runs per side")

# %% [markdown]
# ## Ledger
#
# **Shown.** Two runs of one network can differ by more than the claim, and the best of a few runs
# gains as much. A verdict over seeds separates what is different from what is not, and gives none
# for single runs. A control needs tuning as well.
#
# **Assumed.** Two versions of an abstract were read: the counting rule, M = 1 and the order of the
# sites are our reading. Student's t takes runs to be independent and nearly normal. All runs share
# one test set, whose own sampling error is not in the verdict. Many comparisons together produce
# some false alarms. Our reading of MixT is from its abstract.
#
# **Not tested.** A full training of VGG-16 that is as good as the paper's, over seeds: dense, with
# 424 parameters, frozen, and with both layers removed. That experiment would settle the upper
# rungs. It takes a GPU and a few days. You have everything else. On better convolutions, heads
# with few parameters, with MixT, frozen and without both layers do not differ either
# (`data/results/vgg16_sgd_heads.md`).
#
# ## Where to go on
#
# This was the last notebook. You have written reverse-mode differentiation, a convolution, Adam, a
# tensor train and an ADTN. You can count what a compressed layer stores, bound its rank, train it
# next to a control, and judge the result over seeds.
#
# Now take a question of your own: another data set, another layer, another wiring of the gates.
# `tinyadtn sweep` runs a study over seeds from one file; the studies in `data/results` are examples
# to copy. Then read one of the four papers with the ladder next to it. And open the library: every
# part of it is a longer form of something that you have written here.
