# %% [markdown]
# # 06 What can a few parameters never become?
#
# The first layer of FC-2 holds 200,704 weights, and notebook 00 replaced them by a few hundred
# parameters. Rounding or zipping does not get there. A *tensor network* does: it is a recipe that
# computes many entries from few parameters. Each recipe has a price, because some matrices are out
# of its reach.
#
# **Which matrices can a few parameters never become?**
#
# **Study time** 85 minutes. **You need** notebook 04 and the singular value decomposition (SVD).
# **Afterwards you can** see whether a vector is a product, compute the rank at a cut, write a
# tensor train, count what a contraction order costs, and judge whether a weight can be approximated
# with a given budget.
#
# **Recap of notebook 05.** A convolution became a matrix product by `reshape` alone. Here, too, we
# only reshape and multiply. Nothing is differentiated until notebook 08.

# %%
import time

import numpy as np

import tinyadtn as ta
from tinyadtn import teach
from tinyadtn.course.pictures import cuts, legs

rng = np.random.default_rng(0)

# %% [markdown]
# ## Two sites, by hand
#
# Take a vector with four entries. Its indices 0, 1, 2, 3 are 00, 01, 10, 11 in binary. So we can
# reshape it to `(2, 2)`, and each bit of the index has an axis. Such an axis is called a **site**,
# and an array with several axes a **tensor**.
#
# The cheapest recipe stores two entries $u = (u_0, u_1)$ for the first site and two entries
# $v = (v_0, v_1)$ for the second. The entry at index $b_0 b_1$ is the product $u[b_0]\, v[b_1]$.
# With $u = (1, 2)$ and $v = (3, 4)$:

# %%
u, v = np.array([1, 2]), np.array([3, 4])
table = np.outer(u, v)
print(table)
print("as a vector:", table.ravel())

# %% [markdown]
# Now look at the table. Its second row is twice the first row, as $u$ is (1, 2). In any product
# the rows are multiples of each other, and therefore $t_{00} t_{11} = t_{01} t_{10}$: here 3 · 8 =
# 4 · 6.
#
# Before you go on: is the vector (1, 0, 0, 1) such a product?

# %%
my_guess_product = None  # True or False

# %%
teach.reveal(my_guess_product, bool(1 * 1 == 0 * 0))

# %% [markdown]
# It is not, since 1 · 1 is not 0 · 0. No $u$ and $v$ make (1, 0, 0, 1), however we choose them. It
# says "both bits are equal", and a product cannot say anything about *two* bits together.
#
# ## Many sites
#
# A vector with $2^Q$ entries has indices of Q bits, so it has Q sites. A product stores two
# entries for each site, 2Q in all. In a picture, a box is a tensor and a line is an index. A line
# that ends in the open is called a **leg**: it is an index of the result, which we call T.

# %%
legs.draw(legs.whole(4), legs.product(4))

# %%
vector = np.arange(16)
print(vector.reshape(2, 2, 2, 2)[1, 0, 1, 1], "is at index 1011, which is", 0b1011)


def my_product(vectors):
    """Return every product of one entry of each vector; bits of the first vector come first."""
    result = np.ones(1)
    for v in vectors:
        result = np.outer(result, v).ravel()
    return result


result = my_product(rng.normal(size=(20, 2)))
print(f"{20 * 2} parameters became {result.size:,} entries")

# %% [markdown]
# ## A cut shows what a recipe cannot do
#
# For two sites we looked at a 2 × 2 table. For more sites, **cut** the row of sites in two. The
# bits on the left of the cut number the rows of a matrix, and the others number its columns. With
# four sites and a cut in the middle, rows and columns are 00, 01, 10, 11.
#
# Every matrix is a sum of products, (a vector over rows) × (a vector over columns):
#
# $$T[\text{left}, \text{right}] = \sum_{k=1}^{r} L[\text{left}, k]\; R[k, \text{right}].$$
#
# The smallest r for which this is possible is the **rank**. It is the number of singular values
# above 0. In a picture, the two halves L and R are joined by one line, the **bond**. It is the
# index k, over which we sum, and its size is r.

# %%
legs.draw(legs.whole(4), legs.cut(4, 2))


# %%
def my_cut(tensor, cut):
    """Return the singular values of T, as a matrix with the first ``cut`` bits as rows."""
    return np.linalg.svd(tensor.reshape(2**cut, -1), compute_uv=False)


def rank(values):
    return int((values > 1e-10 * values[0]).sum())


print("(3, 4, 6, 8):", my_cut(np.array([3, 4, 6, 8]), 1).round(3))
print("(1, 0, 0, 1):", my_cut(np.array([1, 0, 0, 1]), 1).round(3))

# %% [markdown]
# One singular value is zero for the product: rank 1. The other vector has rank 2. Now 12 sites,
# with 11 cuts: once a product, and once $2^{12}$ random entries.

# %%
my_guess_random_rank = None  # the largest rank of the random vector, at the cut in the middle

# %%
product, random = my_product(rng.normal(size=(12, 2))), rng.normal(size=2**12)
ranks = {}
for name, tensor in {"product": product, "random": random}.items():
    ranks[name] = [rank(my_cut(tensor, cut)) for cut in range(1, 12)]
    print(f"{name:8}", ranks[name])
teach.reveal(my_guess_random_rank, max(ranks["random"]))

# %% [markdown]
# The product has rank 1 at every cut. Random entries have the full rank, which is the smaller side
# of the matrix. So **the rank at a cut is what a recipe has to pay for**. With bonds of size 1 it
# never becomes a vector of higher rank.
#
# ## How much rank does a trained weight need?
#
# Train FC-2 as in notebook 04 and take its first weight W, with 256 rows and 784 columns. Keep its
# r largest singular values and set the others to zero. Eckart and Young (1936) proved that no
# matrix $W_r$ of rank r is closer. With the singular values $s_1 \ge s_2 \ge \ldots$ and the norm
# ‖W‖, the root of the sum of all squared entries, the **relative error** is
#
# $$\frac{\|W_r-W\|}{\|W\|} = \sqrt{\frac{s_{r+1}^2 + s_{r+2}^2 + \ldots}{s_1^2 + s_2^2 +
# \ldots}}.$$
#
# First the price. A matrix of rank r is stored as two factors, of `rows × r` and `r × columns`
# entries.
#
# ## Exercise: the largest rank
#
# Which is the largest rank that a budget of parameters allows? By hand: for 2 rows and 3 columns,
# rank 1 costs 5 parameters and rank 2 costs 10. So a budget of 9 allows rank 1. The rank never
# exceeds the smaller side.


# %%
def largest_rank(rows, columns, budget):
    """Return the largest r whose two factors have at most ``budget`` entries; 0 if none fits."""


# %% solution: largest rank
def largest_rank(rows, columns, budget):
    """Return the largest r whose two factors have at most ``budget`` entries; 0 if none fits."""
    return min(budget // (rows + columns), rows, columns)


# %%
largest_rank = teach.check("largest rank", largest_rank)
for budget in (1_000, 5_000, 50_000):
    print(f"{budget:6,} parameters: rank {largest_rank(256, 784, budget)}")

# %% [markdown]
# With a budget of 1,000 parameters not even rank 1 fits. Now the weight. How many of its 256
# singular values must be kept until the relative error is below one half?

# %%
my_guess_kept = None  # from 1 to 256

# %%
data = ta.load_data("mnist-5k")
model = ta.models.fc2(rng=0)
for _step in ta.train(model, data, epochs=teach.pick(10, 3), learning_rate=2e-3):
    pass
W = model.fc1.weight.numpy()


def my_low_rank(matrix, r):
    """Return the closest matrix of rank r, as two factors."""
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    return u[:, :r] * s[:r], v[:r]


# %%
def my_errors(matrix):
    """Return the relative error if 0, 1, 2, … singular values are kept."""
    squares = np.linalg.svd(matrix, compute_uv=False) ** 2
    return np.sqrt(np.cumsum(squares[::-1])[::-1] / squares.sum())


errors = my_errors(W)
needed = int(np.argmax(errors < 0.5))
teach.reveal(my_guess_kept, needed)
print(f"{needed * (256 + 784):,} parameters in the two factors, {W.size:,} in W")

# %% compare
teach.states("200,704", W.size, always=True)

# %% [markdown]
# Check the formula with rank 16, and compare with the library. `ta.LowRank` holds two such factors.
# Its method `fit(W)` brings them close to W and returns a list with the relative error.

# %%
left, right = my_low_rank(W, 16)
mine = np.linalg.norm(left @ right - W) / np.linalg.norm(W)
theirs = ta.LowRank(W.shape, 16, rng=0).fit(W)[-1]
print(f"rank 16: my error {mine:.5f}, the library's {theirs:.5f}, by the rule {errors[16]:.5f}")

# %% [markdown]
# The three figures agree, so from here on we may use `ta.LowRank`. About half of all singular
# values are needed, which saves little.
#
# ## A tensor train: cut after cut
#
# One cut leaves two large factors. So cut those factors again, until each site stands alone. Each
# piece is called a **core**, and neighbouring cores are joined by a bond of size D, the **bond
# dimension**. The chain is a **tensor train** (TT).
#
# For a matrix each core gets two legs, one for the output (the row) and one for the input (the
# column). Physicists call that a matrix product operator (MPO). Take a 4 × 4 matrix. Its row number
# has two bits $o_1 o_2$, and its column number two bits $i_1 i_2$. The first core gets the first
# bit of both, and the second core the second bit of both. In the picture, output legs point up and
# input legs down.

# %%
legs.draw(legs.train([(2, 2), (2, 2)]))

# %% [markdown]
# So before the cut the axes must be sorted from $o_1 o_2 i_1 i_2$ to $o_1 i_1 o_2 i_2$. This
# changes the rank. As an example take the matrix that `np.kron` makes: one 2 × 2 block, multiplied
# by the four entries of another.

# %%
small = np.kron([[1, 2], [3, 4]], [[5, 6], [7, 8]])
print(small)
print("rank of the matrix:", rank(my_cut(small, 2)))

# %%
my_guess_sorted = None  # the rank at the cut in the middle, after the axes are sorted

# %%
in_order = small.reshape(2, 2, 2, 2).transpose(0, 2, 1, 3)
teach.reveal(my_guess_sorted, rank(my_cut(in_order, 2)))

# %% [markdown]
# As a matrix it has full rank, so two low-rank factors would save nothing. As a tensor train a bond
# of size 1 is enough: the two cores are the two blocks, with 8 parameters instead of 16. Which
# recipe is cheap depends on where it cuts.
#
# The modes need not be 2. For W, 256 rows are split as $4 \cdot 4 \cdot 4 \cdot 4$, and 784 columns
# as $4 \cdot 7 \cdot 7 \cdot 4$: a row number has four digits from 0 to 3. These factors are called
# output **modes** and input modes:

# %%
legs.draw(legs.train([(4, 4), (4, 7), (4, 7), (4, 4)]))

# %% [markdown]
# A core has (left bond) · (output mode) · (input mode) · (right bond) entries, and the two outer
# bonds have size 1. With D = 2 the four cores have together
#
# $$1 \cdot 16 \cdot 2 + 2 \cdot 28 \cdot 2 + 2 \cdot 28 \cdot 2 + 2 \cdot 16 \cdot 1 = 288.$$
#
# A bond must be as large as the rank at its cut. If it is smaller, only the largest singular values
# are kept, and the others become the error. One SVD splits off one core. Say that `rest` has the
# shape `(left, n, right)`: a bond to the left, the legs of this core, and everything that comes
# later. As a matrix with `left · n` rows it is split into a core of shape `(left, n, D)` and a new
# rest of shape `(D, right)`.
#
# ## Exercise: split off a core
#
# Write this step. Keep at most `bond` singular values. As a matrix the core must have orthonormal
# columns, so multiply the singular values into the new rest.
#
# By hand: a `rest` of shape `(1, 2, 2)` with the entries 3, 4, 6, 8 has rank 1. Its core holds
# $(1, 2)/\sqrt 5$, and the new rest is $\sqrt 5 \cdot (3, 4)$, up to a common sign.


# %%
def split_core(rest, bond):
    """Return a core (left, n, D) and a rest (D, right), with D at most ``bond``."""


# %% solution: split core
def split_core(rest, bond):
    """Return a core (left, n, D) and a rest (D, right), with D at most ``bond``."""
    left, n, right = rest.shape
    u, s, v = np.linalg.svd(rest.reshape(left * n, right), full_matrices=False)
    return u[:, :bond].reshape(left, n, -1), s[:bond, None] * v[:bond]


# %%
split_core = teach.check("split core", split_core)


# %% [markdown]
# A whole tensor train is this step in a loop, after the axes are sorted. `my_chain` is the way
# back: contract from left to right, and sort the axes again.


# %%
def my_tensor_train(matrix, out_modes, in_modes, bond):
    """Return cores (D, o·i, D') whose chain is close to the matrix."""
    n, sizes = len(out_modes), [o * i for o, i in zip(out_modes, in_modes)]
    pairs = [axis for k in range(n) for axis in (k, n + k)]  # 0, n, 1, n + 1, …
    rest = matrix.reshape(*out_modes, *in_modes).transpose(pairs).reshape(1, -1)
    cores = []
    for size in sizes[:-1]:
        core, rest = split_core(rest.reshape(len(rest), size, -1), bond)
        cores.append(core)
    return [*cores, rest.reshape(len(rest), sizes[-1], 1)]


# %%
def my_chain(cores, out_modes, in_modes):
    """Return the matrix that the cores make."""
    result = np.ones((1, 1))
    for core in cores:  # "a" has all legs so far, "r" and "d" are bonds
        result = np.einsum("ar,rnd->and", result, core).reshape(-1, core.shape[-1])
    n = len(out_modes)
    axes = [size for pair in zip(out_modes, in_modes) for size in pair]
    outputs, inputs = range(0, 2 * n, 2), range(1, 2 * n, 2)
    return result.reshape(axes).transpose(*outputs, *inputs).reshape(np.prod(out_modes), -1)


# %% [markdown]
# ## Exercise: the order of a contraction
#
# `my_chain` contracts from the left. Other orders give the same matrix, because matrix products are
# associative: (AB)C = A(BC). But **the contraction order decides the cost**. The product of an
# a × b matrix and a b × c matrix has a · c entries, and each entry is a sum of b products. So it
# costs $abc$ **multiply-adds** (one multiplication and one addition).
#
# Let A be a × b, B be b × c, and C be c × d. Count the multiply-adds of both orders. By hand: for a
# chain of 2 × 3, 3 × 4 and 4 × 1, the order (AB)C costs 24 + 8 = 32, and A(BC) costs 12 + 6 = 18.


# %%
def multiply_adds(a, b, c, d):
    """Return the multiply-adds of (AB)C, and those of A(BC)."""


# %% solution: contraction order
def multiply_adds(a, b, c, d):
    """Return the multiply-adds of (AB)C, and those of A(BC)."""
    return a * b * c + a * c * d, b * c * d + a * b * d


# %%
multiply_adds = teach.check("contraction order", multiply_adds)

# %% compare
left_first, right_first = multiply_adds(2, 3, 4, 1)
teach.states("32", left_first, always=True)
teach.states("18", right_first, always=True)
teach.states("24", multiply_adds(2, 3, 4, 0)[0], always=True)

# %% [markdown]
# Now let the chain end in a vector v: A and B are n × n, and d = 1. Guess for n = 1,000: how many
# times as long as A(Bv) does (AB)v take on your computer?

# %%
my_guess_order = None  # for example 10


# %%
def from_the_left(A, B, v):
    return (A @ B) @ v


def from_the_right(A, B, v):
    return A @ (B @ v)


def milliseconds(work, *arrays):
    """Return the time of the fastest of five runs."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        work(*arrays)
        times.append(time.perf_counter() - begun)
    return 1000 * min(times)


# %%
print("    n      (AB)v, ms  multiply-adds   A(Bv), ms  multiply-adds")
for n in teach.pick((250, 500, 1_000), (50, 100, 200)):
    chain = np.ones((n, n)), np.ones((n, n)), np.ones(n)
    slow = milliseconds(from_the_left, *chain)
    quick = milliseconds(from_the_right, *chain)
    counts = multiply_adds(n, n, n, 1)
    print(f"{n:5} {slow:14.3f} {counts[0]:14,} {quick:11.3f} {counts[1]:14,}")
teach.reveal(my_guess_order, round(slow / quick))

# %% compare
assert np.array_equal(from_the_left(*chain), from_the_right(*chain))
assert quick < slow
assert counts == (n**3 + n**2, 2 * n**2)
assert multiply_adds(1, n, n, n) == counts[::-1]
half = multiply_adds(n // 2, n // 2, n // 2, 1)
teach.states("8", counts[0] / half[0], within=0.1, always=True)
teach.states("4", counts[1] / half[1], always=True)

# %% [markdown]
# The first order costs $n^3 + n^2$, and the second $2n^2$. For twice the n the first costs about 8
# times as much, and the second 4 times. The measured times may differ less than the counts: a
# product with a vector uses each entry only once, so it waits for the memory. Python computes
# `A @ B @ v` from the left, so write the brackets.
#
# Backpropagation is this choice: the loss is one number, so the chain of Jacobians begins with a
# single row, and `backward` multiplies from that side, for $2n^2$ and not for $n^3 + n^2$. A tensor
# train is multiplied out from one end, as in `my_chain`, with the small bonds inside: the finished
# part has one open bond, and a part from the middle would have two.
#
# ## The trained weight as a tensor train
#
# Now compress W. Guess first: with D = 4, which is about a thousand parameters, what is the
# relative error? (0 means a perfect copy, and a matrix of zeros reaches 1.)

# %%
my_guess_error = None  # from 0 to 1

# %%
modes = (4, 4, 4, 4), (4, 7, 7, 4)
found = {}
print("  D   parameters   my error   library's")
for bond in (1, 2, 4, 8, 16):
    cores = my_tensor_train(W, *modes, bond)
    found[bond] = np.linalg.norm(my_chain(cores, *modes) - W) / np.linalg.norm(W)
    theirs = ta.TensorTrain(W.shape, modes, bond, rng=0).fit(W)[-1]
    size = sum(core.size for core in cores)
    print(f" {bond:2}   {size:10,}   {found[bond]:8.4f}   {theirs:9.4f}")
teach.reveal(my_guess_error, found[4])

# %% compare
teach.states("0.99", found[4], within=0.01)

# %% [markdown]
# The error is 0.99, so the tensor train has captured almost nothing of W. Larger bonds help slowly.
#
# ## The picture to keep
#
# Is that the fault of the recipe, or of W? Compare the trained W with two others of its shape:
# random entries, and a smooth bell along the diagonal, $e^{-(x-y)^2/2w^2}$ with $w = 0.1$.

# %%
x, y = np.linspace(0, 1, 256)[:, None], np.linspace(0, 1, 784)
matrices = {
    "trained": W,
    "random": rng.normal(size=W.shape),
    "smooth": np.exp(-((x - y) ** 2) / (2 * 0.1**2)),
}
curves = {name: my_errors(matrix) for name, matrix in matrices.items()}
cuts.missing(curves)

# %%
ranks = (10, 12, 16)
print("smooth, by rank:", {r: f"{curves['smooth'][r]:.0e}" for r in ranks})
print("relative error at rank 16:", {name: f"{curve[16]:.2g}" for name, curve in curves.items()})

# %% compare
teach.states("0.87", curves["trained"][16], within=0.02)
teach.states("0.93", curves["random"][16], within=0.02)

# %% [markdown]
# For the smooth matrix ten singular values leave an error below 1 %, and each further one makes it
# smaller. The random matrix needs all of them. The trained weight is much closer to the random one:
# at rank 16 its error is 0.87, against 0.93 for random entries.
#
# So a few parameters can become a smooth matrix, and they never become a random one. To a recipe
# that is *fitted* to it, a trained weight looks almost random. Keep that in mind: notebook 08 will
# try harder, and notebook 09 will ask whether a network needs *this* weight at all.
#
# ## Challenge: a small tensor train
#
# Take the smooth bell with 64 rows and 64 columns. Rank 3 stores 384 parameters and is far from it.
# **Do better: at most 300 parameters, and a relative error below 0.01.**
#
# Choose output modes, input modes and a bond. Output modes have the product 64, and so have input
# modes. Your answer is a tuple, for example `(8, 8), (8, 8), 2`. Count its parameters first. You
# may try answers with your own `my_tensor_train` and `my_chain`, or with the check. Trials find an
# answer, and a reason explains it. Write one down: why may the bond of this matrix be so small?

# %%
z, budget, most = np.linspace(0, 1, 64), 300, 0.01
bell = my_errors(np.exp(-((z[:, None] - z) ** 2) / (2 * 0.1**2)))
print(f"rank 3: {3 * (64 + 64)} parameters, error {bell[3]:.2f}")
print(f"you: at most {budget} parameters, error below {most}")
bell_train = None  # (output modes), (input modes), bond

# %% solution: bell train
bell_train = (4, 4, 4), (4, 4, 4), 3

# %%
bell_train = teach.check("bell train", bell_train)

# %% compare
teach.states("384", 3 * (64 + 64), always=True)

# %% [markdown]
# ## Ledger
#
# **Shown.** A product of two entries per site has rank 1 at every cut. The rank at a cut is the
# size that a bond must have there. A tensor train is cut after cut by SVD. The contraction order
# decides the cost and leaves the result as it is. A trained weight of FC-2 is neither of small rank
# nor a tensor train of small bond.
#
# **Assumed.** One network from one seed stands for "trained", and its rows and columns are in the
# order in which they are stored. The error is Euclidean, so all entries count alike.
#
# **Not tested.** Other orders of rows and columns, other splittings into modes, and whether a
# smaller error makes a better network.
#
# **Next: notebook 07.** What is a brick wall of gates?
