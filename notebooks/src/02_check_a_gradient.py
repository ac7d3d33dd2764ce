# %% [markdown]
# # 02 How do you know that a gradient is right?
#
# A wrong gradient seldom crashes. The loss still falls, only more slowly, or to a worse place, and
# you look for the reason everywhere else. So every gradient in this course is measured.
#
# Measuring looks trivial: wiggle and compare, as in notebook 01. This notebook shows that it is
# not. The obvious step is the wrong one, the obvious test misses a bug, and there are checks that
# are far sharper and far cheaper.
#
# **Study time** 90 minutes. **You need** notebook 01, NumPy, and the Taylor expansion to third
# order. **Afterwards you can** choose the step of a difference and write a gradient check that
# finds planted bugs. And you can prove a linear backward pass right without any step.
#
# **Recap of notebook 01.** A `Value` remembers its parents and a slope for each, and one backward
# sweep gives the derivative for every input. A rule with a wrong slope would give a wrong gradient
# without any message. We compared slopes with wiggles, and the two agreed to about six digits.

# %%
import numpy as np

import tinyadtn as ta
from tinyadtn import teach
from tinyadtn.course.exercises.zoo import BUGS, sample, softmax, softmax_vjp
from tinyadtn.course.pictures.steps import error_against_step

# %% [markdown]
# ## Predict: which step is best?
#
# The derivative is the limit of $(f(x+h) - f(x))/h$ for $h \to 0$. So the smaller $h$, the better?
# Take a function whose derivative we know. Guess the power of ten at which the error is smallest,
# for example `-12` for $h = 10^{-12}$.

# %%
my_guess_power = None


# %%
def f(x):
    return np.exp(np.sin(x))


def true_slope(x):
    return np.cos(x) * np.exp(np.sin(x))


def my_forward(f, x, h):
    return (f(x + h) - f(x)) / h


def relative_error(method, h, x=0.7):
    right = true_slope(np.float64(x))
    return abs(np.float64(method(f, x, h)) - right) / right


# %%
for power in range(-2, -17, -2):
    print(f"h = 1e{power:<4} error {relative_error(my_forward, 10.0**power):.1e}")
best = min(range(-16, 0), key=lambda power: relative_error(my_forward, 10.0**power))
teach.reveal(my_guess_power, best)


# %% [markdown]
# ## Two errors that pull in opposite directions
#
# The difference quotient replaces a curve by a straight line. That costs about $\tfrac{h}{2} f''$,
# the **truncation error**, and it shrinks with $h$. But a computer keeps only 16 digits. If
# $f(x+h)$ and $f(x)$ agree in the first ten digits, six are left in their difference. The division
# by $h$ then magnifies the error of the last one. That costs about $\varepsilon/h$ with
# $\varepsilon = 2\cdot10^{-16}$, the **rounding error**, and it grows.
#
# The sum of both is smallest where they are about equal: $h \approx \varepsilon/h$, near $h =
# \sqrt{\varepsilon}$. So this formula gives half of the digits at best.
#
# ## Three formulas that do better
#
# All three come from the Taylor expansion
#
# $$f(x + h) = f + h f' + \tfrac{h^2}{2} f'' + \tfrac{h^3}{6} f''' + \dots$$
#
# - *Central*: go both ways. In $f(x+h) - f(x-h) = 2h f' + \tfrac{h^3}{3} f''' + \dots$ the terms
#   with $h^2$ have cancelled. After the division by $2h$ the error starts with $h^2$.
# - *Five points*: with twice the step, that error is four times as large. So 4 times the quotient
#   of step $h$, minus that of step $2h$, is $3 f'$, and the error cancels. What is left starts with
#   $h^4$.
# - *Complex step*: put $ih$ in place of $h$. In $f(x+ih) = f + ih f' - \tfrac{h^2}{2} f'' - \dots$
#   the slope stands in the imaginary part, alone except for a term with $h^3$. Take that part and
#   divide by $h$. No difference is taken, so no digits are lost. But every step of the program must
#   accept complex numbers.


# %%
def my_central(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


def my_five_point(f, x, h):
    return (4 * my_central(f, x, h) - my_central(f, x, 2 * h)) / 3


def my_complex_step(f, x, h):
    return np.imag(f(x + 1j * h)) / h


methods = {
    "forward": my_forward,
    "central": my_central,
    "five points": my_five_point,
    "complex step": my_complex_step,
}

# %% [markdown]
# Predict: at which power of ten is the error of each difference smallest? Its two errors are then
# about equal. For example, central has $h^2 \approx \varepsilon/h$. Halves such as `-7.5` are
# allowed.

# %%
my_guess_central = None
my_guess_five_points = None

# %%
steps = 10.0 ** np.arange(-16, 0.01, 0.5)
panels = {}
for kind in (np.float64, np.float32):
    panels[kind.__name__] = {
        label: np.array([relative_error(method, kind(h), kind(0.7)) for h in steps])
        for label, method in methods.items()
    }
best_power = {
    label: np.log10(steps[errors.argmin()]) for label, errors in panels["float64"].items()
}
teach.reveal(my_guess_central, round(best_power["central"], 1), "central")
teach.reveal(my_guess_five_points, round(best_power["five points"], 1), "five points")

# %% [markdown]
# In general, an error $h^k$ meets $\varepsilon/h$ at $h = \varepsilon^{1/(k+1)}$. Since
# $\varepsilon \approx 10^{-16}$, this is near $10^{-5}$ for the error $h^2$, and near $10^{-3}$ for
# $h^4$. The better the formula, the *larger* its best step.
#
# ## The picture to keep
#
# Read it from the right. Each curve falls along a straight line; on logarithmic axes its steepness
# is the power of $h$. Then the three differences meet the rounding error, which rises to the left
# with steepness $-1$ for all of them. The bottom of each V is the best that the formula can do. The
# complex step first lies on the curve of central. It has no V: it falls to the last digit and stays
# there. An error of exactly 0 is drawn at the bottom.

# %%
error_against_step(steps, panels)

# %%
for name, errors in panels.items():
    smallest = ", ".join(f"{label} {e.min():.0e}" for label, e in errors.items())
    print(f"{name}, smallest error: {smallest}")

# %% [markdown]
# The right panel is why **gradients in float32 are never checked by differences**. Six digits is
# the best case, at one lucky step. Farther left $x + h$ is rounded to $x$, and the difference is 0.
# Check the code in float64, then compare float32 with *that*. The complex step reaches the last
# digit here, too. But most code, relu among it, does not accept complex numbers.
#
# ## Many outputs: weigh them at random
#
# From now on `x` is an array, and so is the result. Then backward does not return a slope. It
# answers a question: given `g`, the adjoint of the result, what is the adjoint of `x`? Such an
# answer is called a **vector-Jacobian product**, `vjp(x, g)`.
#
# To measure it, weigh the outputs with `g` and add them up, which makes one number of them. Then
# wiggle each element of `x`. The first example is **softmax**, which turns scores into positive
# numbers that sum to 1: $p_k = e^{x_k} / \sum_j e^{x_j}$.


# %%
def slope_along(function, x, v, h=1e-3):
    """How fast the result of the function moves, if x moves in the direction v."""
    return my_five_point(lambda t: function(x + t * v), 0.0, h)


def my_numerical_vjp(function, x, g):
    measured = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        one_element = np.zeros(x.shape)
        one_element[place] = 1.0
        measured[place] = np.sum(g * slope_along(function, x, one_element))
    return measured


rng = np.random.default_rng(0)
x, g = rng.normal(size=6), rng.normal(size=6)
difference = abs(my_numerical_vjp(softmax, x, g) - softmax_vjp(x, g)).max()
print(f"softmax: measured and computed differ by {difference:.0e}")

# %% [markdown]
# ## Exercise: the bug that `.sum()` hides
#
# Many tests call `function(x).sum().backward()`. That is the choice `g = 1` everywhere. It is
# convenient, and blind to some bugs. Write a **wrong** VJP of softmax that such a test accepts, for
# any `x`, but that is clearly wrong for a random `g`. You may use `softmax(x)`.


# %%
def wrong_vjp(x, g):
    """Return a wrong dL/dx that is right for g = 1, 1, 1, …"""


# %% solution: hidden bug
def wrong_vjp(x, g):
    return softmax(x) * (g - g.mean())


# %%
wrong_vjp = teach.check("hidden bug", wrong_vjp)
for name, weights in (("g = 1", np.ones(6)), ("a random g", g)):
    distance = abs(wrong_vjp(x, weights) - my_numerical_vjp(softmax, x, weights)).max()
    print(f"{name:<10} the wrong VJP is off by {distance:.0e}")

# %% [markdown]
# Softmax always sums to 1, so for `g = 1` the right answer is 0 everywhere. Even a VJP that returns
# nothing but zeros passes.
#
# ## Cheaper: one direction instead of every element
#
# With four runs for each element, a million elements would need four million runs. But if we move
# all elements at once, along a random direction $v$, two numbers must agree:
#
# $$\frac{\langle g,\, f(x + hv) - f(x - hv)\rangle}{2h} \;=\;
# \langle \text{vjp}(x, g),\, v\rangle.$$
#
# Here $\langle a, b\rangle$ is the sum of all products $a_i b_i$. This takes two runs, whatever the
# size. It has a price: *which* element is wrong stays hidden. And a bug in one of $n$ elements
# changes only about one part in $n$ of the size of what is compared, $|\text{vjp}|\cdot|v|$.
#
# Predict: one gradient of 10,000 is set to 0. How large is the relative error that this check
# shows, as a power of ten? And how large is it for a right VJP?

# %%
my_guess_bug = None  # for example 1e-2
my_guess_right = None


# %%
def my_directional_error(function, vjp, x, rng, h=1e-5):
    g, v = rng.normal(size=np.shape(function(x))), rng.normal(size=x.shape)
    measured = np.sum(g * (function(x + h * v) - function(x - h * v))) / (2 * h)
    claimed = vjp(x, g)
    scale = np.linalg.norm(claimed) * np.linalg.norm(v) + abs(measured)
    return abs(measured - np.sum(claimed * v)) / scale


def tanh_vjp(x, g):
    return g * (1 - np.tanh(x) ** 2)


def one_forgotten(x, g):
    out = tanh_vjp(x, g)
    out[abs(x).argmin()] = 0.0
    return out


# %%
x = rng.normal(size=10_000)
right = my_directional_error(np.tanh, tanh_vjp, x, rng)
seen = np.median([my_directional_error(np.tanh, one_forgotten, x, rng) for _ in range(50)])
teach.reveal(my_guess_bug, f"{seen:.0e}", "with the bug")
teach.reveal(my_guess_right, f"{right:.0e}", "without it")

# %% [markdown]
# Small, but far above what the right one shows. With a tolerance just above rounding, the bug is
# found. That is why tolerances should be tight, and *relative* to the size of what is compared.
#
# ## Sharper: the adjoint identity
#
# Where the function is linear in `x` (a matrix product, a sum, a convolution), no step is needed at
# all. Then $f(x + hv) - f(x - hv)$ is exactly $2h f(v)$. With $x$ in place of $v$, the identity
# above becomes
#
# $$\langle g, f(x)\rangle = \langle \text{vjp}(g), x\rangle .$$
#
# These are two sums, equal to the last digits. If they agree for random $g$ and $x$, the backward
# pass is the *adjoint*; for a matrix this is the transpose. That is all it should be.
#
# `BUGS` is a list of eight functions of an array. Each has a `right` VJP and a `wrong` one with a
# planted bug. Three of the functions are linear.


# %%
def my_adjoint_error(function, vjp, x, rng):
    y = function(x)
    g = rng.normal(size=np.shape(y))
    size = np.linalg.norm(g) * np.linalg.norm(y)
    return abs(np.sum(g * y) - np.sum(vjp(x, g) * x)) / size


for bug in BUGS:
    if bug.name in ("A @ x", "cumsum", "mean"):
        right = my_adjoint_error(bug.function, bug.right, rng.normal(size=6), rng)
        wrong = my_adjoint_error(bug.function, bug.wrong, rng.normal(size=6), rng)
        print(f"{bug.name:<7} right: {right:.0e}   {bug.bug}: {wrong:.0e}")

# %% [markdown]
# ## Keep away from kinks
#
# A measured slope near a kink is an average of two sides, and not a derivative. At $x = 0.0003$,
# `relu` has slope 1. Predict: what does a central difference with step 0.001 give?

# %%
my_guess_kink = None

# %%
slope = my_central(lambda x: max(x, 0.0), 0.0003, 0.001)
teach.reveal(my_guess_kink, slope)

# %% [markdown]
# A right gradient now looks wrong. The remedy is not a looser tolerance but another `x`.
#
# ## Exercise: a gradcheck that finds all of them
#
# Write `gradcheck(function, vjp, x, rng)`: `True` if the VJP is right, `False` if not. The check
# gives it 8 planted bugs and the right version of each, several times. It should find 8 of 8 and
# raise no false alarm. One of the functions is tiny, another is huge. The table after it shows what
# a test through `.sum()` with a fixed tolerance, 1e-6, finds of the same bugs.


# %%
def gradcheck(function, vjp, x, rng):
    """Return True if vjp(x, g) is the gradient of <g, function(x)>, else False."""


# %% solution: gradcheck
def gradcheck(function, vjp, x, rng, h=1e-5):
    g, v = rng.normal(size=np.shape(function(x))), rng.normal(size=x.shape)
    measured = np.sum(g * (function(x + h * v) - function(x - h * v))) / (2 * h)
    claimed = vjp(x, g)
    scale = np.linalg.norm(claimed) * np.linalg.norm(v) + abs(measured)
    return bool(abs(measured - np.sum(claimed * v)) <= 1e-6 * scale)


# %%
gradcheck = teach.check("gradcheck", gradcheck)


def through_the_sum(bug, x):
    """Whether a test with g = 1 and a fixed tolerance finds this bug."""
    ones = np.ones_like(bug.function(x))
    measured = my_numerical_vjp(bug.function, x, ones)
    return abs(bug.wrong(x, ones) - measured).max() > 1e-6


found = []
for bug in BUGS:
    x = sample(rng)  # six numbers, none of them near a kink at 0
    found.append((through_the_sum(bug, x), not gradcheck(bug.function, bug.wrong, x, rng)))
    marks = ["found " if hit else "MISSED" for hit in found[-1]]
    print(f"{bug.name:<11} {bug.bug:<32} .sum(): {marks[0]}   gradcheck: {marks[1]}")

# %% compare
teach.states("6", sum(by_sum for by_sum, _ in found), always=True)

# %% [markdown]
# The sum hides the bug of softmax. The fixed tolerance hides the tiny one.
#
# ## The library does the same
#
# `ta.check_vjp` takes a function of Tensors and compares its gradient with differences. Its method
# depends on the class of the function: "smooth" (five points), "piecewise" (central), "linear"
# (with the adjoint identity). It returns the largest relative difference, or raises an error that
# names the place. With it, and with `ta.op`, any rule can be tested.

# %%
x = sample(rng)
print(f"tanh:    mine {my_directional_error(np.tanh, tanh_vjp, x, rng):.0e}", end="   ")
print(f"the library's {ta.check_vjp(ta.tanh, x):.0e}")


@ta.op
def wrong_softmax(x):
    return softmax(x), lambda g: wrong_vjp(x, g)


try:
    ta.check_vjp(wrong_softmax, x)
except AssertionError as error:
    print(error)

# %% [markdown]
# ## Challenge: which element is it?
#
# One direction is cheap, but it does not show *where* the bug is. Someone gives you a VJP with
# thousands of elements, of which exactly one is wrong. Write `find_element(function, vjp, x, rng)`
# that returns its index.
#
# It may call `function` at most `30` times. One difference for each element is therefore out of the
# question. An output may depend on several elements, so moving all of them at once does not answer
# it either. Which directions $v$ would you choose?


# %%
def find_element(function, vjp, x, rng):
    """Return the index of the one element of vjp(x, g) that is wrong."""


# %% solution: find the element
def find_element(function, vjp, x, rng, h=1e-5):
    g = rng.normal(size=np.shape(function(x)))
    claimed, low, high = vjp(x, g), 0, x.size
    while high - low > 1:  # the wrong element is in low, …, high - 1
        middle = (low + high) // 2
        v = np.zeros(x.size)
        v[low:middle] = rng.choice([-1.0, 1.0], size=middle - low)
        measured = np.sum(g * (function(x + h * v) - function(x - h * v))) / (2 * h)
        size = np.linalg.norm(claimed[low:middle]) * np.linalg.norm(v) + abs(measured)
        wrong = abs(measured - np.sum(claimed * v)) > 1e-6 * size
        low, high = (low, middle) if wrong else (middle, high)
    return low


# %%
find_element = teach.check("find the element", find_element)

# %% [markdown]
# ## Ledger
#
# **Shown.** The best step for a forward difference is near $10^{-8}$, and float32 is not suited for
# differences. A check must weigh outputs at random and compare relative to the size: a test through
# `.sum()` with a fixed tolerance finds only 6 of 8 bugs. One random direction costs two runs; the
# adjoint identity needs no step at all.
#
# **Assumed.** The function itself is right. A gradient check compares a function with its own
# gradient, and cannot show whether it is the function you wanted. The points are away from kinks.
#
# **Not tested.** Inputs that were never drawn: special values, other shapes, memory that is shared.
# A check that passes at one random point is evidence and not a proof, unless the function is
# linear.
#
# **Next: notebook 03.** What is the adjoint of broadcasting, and of a contraction?
