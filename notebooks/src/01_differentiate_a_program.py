# %% [markdown]
# # 01 What does it mean to differentiate a program?
#
# A program takes a few numbers and computes one. Turn one input up a little: how fast does the
# result move? That speed is a derivative, and a neural network learns by knowing it for each of
# its millions of inputs at once.
#
# In this notebook you write a program that finds all of them in one sweep; it fits on a page.
# Nothing in it is deeper than two sentences: **multiply along a path, add over paths**; and **go
# backward, so that each step is visited once**.

# %%
import math

import tinyadtn as ta
from tinyadtn import teach
from tinyadtn.course.pictures.graph import graph_frames

# %% [markdown]
# ## Wiggle an input
#
# Here is our program. The honest way to find out how fast the result moves is to try: move `a` by
# a small `h`, run again, divide.
#
# This works for any program. But it takes one more run for each input, and the answer is only
# nearly right. Both will bother us.


# %%
def program(a, b):
    return a * b + math.log(a + b)


a, b, h = 3.0, 1.0, 1e-6
wiggle_a = (program(a + h, b) - program(a, b)) / h
wiggle_b = (program(a, b + h) - program(a, b)) / h
print(f"result {program(a, b):.4f};  it moves {wiggle_a:.8f} times as fast as a,", end=" ")
print(f"{wiggle_b:.8f} times as fast as b")

# %% [markdown]
# ## Each step knows its own slope
#
# Write the program as steps so small that each has a slope you know by heart. A product `a * b`
# moves `b` times as fast as `a`. A logarithm `log(s)` moves `1/s` times as fast as `s`. A sum
# just passes on what moves.
#
# Now go through the steps from the last to the first, and ask at each: *how fast does the result
# move, if this number moves?* This is the **adjoint** of the number; the field also says
# gradient. The adjoint of the result itself is 1. Every other one is
#
# $$\text{adjoint of } x \;=\; \sum_{\text{steps that use } x}
# (\text{adjoint of the step}) \times (\text{slope of the step for } x).$$
#
# `a` is used twice, so two contributions arrive, and they add up. (Where the text names a
# result, `teach.states` compares it with your run.)

# %%
p = a * b  # forward: the values
s = a + b
q = math.log(s)
y = p + q

adj_y = 1.0  # backward: the adjoints, last step first
adj_p, adj_q = adj_y * 1, adj_y * 1
adj_s = adj_q * (1 / s)
adj_a = adj_p * b + adj_s * 1
adj_b = adj_p * a + adj_s * 1
print(f"adjoint of a: {adj_a}, of b: {adj_b}")
teach.states("1.25", adj_a, always=True)
teach.states("3.25", adj_b, always=True)

# %% [markdown]
# The wiggles gave 1.25 and 3.25 as well, up to the sixth digit; these two are exact. And we got
# both from *one* pass backward.
#
# ## Let the program remember
#
# Doing this by hand for a million steps is out of the question. So let the numbers remember where
# they came from. A `Value` holds a number, the values it was computed from, and the slope for
# each of them.


# %%
class Value:
    """A number, and how it was computed."""

    def __init__(self, data, parents=(), slopes=(), op=""):
        self.data = data
        self.parents, self.slopes, self.op = parents, slopes, op
        self.grad = 0.0  # the adjoint, once backward() has run


# %% [markdown]
# A **rule** says what one step does with plain numbers. It returns the value, then one slope for
# each input. `my_op` turns a rule into a function on `Value`s that remembers. Six rules are
# enough for a start; compare each with what you know from school.


# %%
def my_op(rule):
    """Lift a rule on numbers to Values."""

    def apply(*inputs):
        inputs = [x if isinstance(x, Value) else Value(x) for x in inputs]
        data, *slopes = rule(*[x.data for x in inputs])
        return Value(data, inputs, slopes, rule.__name__)

    return apply


# %%
def add(a, b):
    return a + b, 1.0, 1.0


def multiply(a, b):
    return a * b, b, a


def negative(a):
    return -a, -1.0


def exp(a):
    return math.exp(a), math.exp(a)


def log(a):
    return math.log(a), 1 / a


def relu(a):
    return max(a, 0.0), 1.0 if a > 0 else 0.0


# %%
my_add, my_multiply, my_negative = my_op(add), my_op(multiply), my_op(negative)
my_exp, my_log, my_relu = my_op(exp), my_op(log), my_op(relu)
Value.__add__ = Value.__radd__ = my_add
Value.__mul__ = Value.__rmul__ = my_multiply
Value.__neg__ = my_negative
Value.__sub__ = lambda a, b: a + (-b)

A, B = Value(3.0), Value(1.0)
P, S = A * B, A + B
Q = my_log(S)
Y = P + Q
for name, value in {"A": A, "B": B, "P": P, "S": S, "Q": Q, "Y": Y}.items():
    print(f"{name} = {value.data:<8.4f} {value.op:<9} slopes {value.slopes}")

# %% [markdown]
# ## Backward
#
# A value may pass its adjoint on only when it is complete: when everything that used the value
# has spoken. So we need an order in which every value stands behind all that it was computed
# from, a *topological order*; backward walks it from the end. One way to get it: first put down
# the parents, then yourself.


# %%
def recursive_order(root):
    order, seen = [], set()

    def visit(node):
        if node not in seen:
            seen.add(node)
            for parent in node.parents:
                visit(parent)
            order.append(node)

    visit(root)
    return order


def my_backward(root, order=recursive_order):
    root.grad = 1.0
    for node in reversed(order(root)):
        for parent, slope in zip(node.parents, node.slopes):
            parent.grad += slope * node.grad


my_backward(Y)
print(f"A.grad = {A.grad}, B.grad = {B.grad}")

# %% [markdown]
# That is all of reverse-mode differentiation. Everything else in this course is larger steps and
# more of them.
#
# ## The picture to keep
#
# Each box holds a value on its left and, later, its adjoint on its right. A hatched adjoint still
# waits for a contribution; a shaded one is complete, and may speak. Along each orange arrow:
# *multiply by the slope*. Where arrows meet: *add*.

# %%
names = {A: "a", B: "b", P: "p", S: "s", Q: "q", Y: "y"}
graph_frames(Y, recursive_order(Y), names)

# %% [markdown]
# ## Predict: one value, used twice
#
# Let $y = x \cdot x + x$ at $x = 3$. What is its derivative? Write your guess before you run
# the cell, or leave `None`; `teach.reveal` puts the answer beside it. Then: what would `=` in
# place of `+=` in `my_backward` have given? It is the classic bug of every autodiff engine,
# because it stays silent.

# %%
my_guess = None
X = Value(3.0)
my_backward(X * X + X)
teach.reveal(my_guess, X.grad)


# %%
def forgetful_backward(root):
    root.grad = 1.0
    for node in reversed(recursive_order(root)):
        for parent, slope in zip(node.parents, node.slopes):
            parent.grad = slope * node.grad  # forgets what has already arrived


X = Value(3.0)
forgetful_backward(X * X + X)
print(f"with = in place of +=: {X.grad}")

# %% [markdown]
# ## Why not simply follow every path?
#
# The derivative is the sum over all paths from input to result, of the product of slopes along
# each. So one could walk all the paths. Predict: if we double a number 20 times, each time by `x
# = x + x`, how many paths lead from the first `x` to the last? And how many steps does
# `my_backward` take?
#
# The sum over paths is what we compute. The order is what makes it cheap: contributions that meet
# are added *before* they go on, so every edge is walked once.

# %%
my_paths = None
X = Z = Value(1.0)
for _ in range(20):
    Z = Z + Z
my_backward(Z)
steps = sum(len(node.parents) for node in recursive_order(Z))
teach.reveal(my_paths, X.grad)  # every path contributes 1 · 1 · … · 1
print(f"my_backward took {steps} steps")

# %% [markdown]
# So 40 steps did the work of 1,048,576 paths.
#
# ## Why backward?
#
# The sum over paths can be walked from the other end, too. Give *one input* the speed 1, and let
# every step compute its own speed from those of its parents. This is *forward mode*; it answers:
# if this input moves, how fast does everything move? Backward answers the opposite question: if
# anything moves, how fast does the result move? Each is one sweep over the same edges.
#
# Programs that learn have many inputs and one result, the loss. So take a neuron with 500 inputs,
# $\text{relu}(\sum_i w_i x_i)$. Guess how many multiplications each way needs for all 500
# derivatives.

# %%
teach.states("1,048,576", X.grad, always=True)
teach.states("40", steps, always=True)


def forward_mode(order, moving):
    """How fast the last value moves if `moving` does; and how many multiplications it took."""
    speed, count = {}, 0
    for node in order:
        speed[node] = float(node is moving)
        for parent, slope in zip(node.parents, node.slopes):
            speed[node] += slope * speed[parent]
            count += 1
    return speed[order[-1]], count


# %%
my_forward, my_reverse = None, None
W = [Value(math.sin(i)) for i in range(500)]
total = Value(0.0)
for i, w in enumerate(W):
    total = total + w * math.cos(i)
neuron = my_relu(total)
order = recursive_order(neuron)
my_backward(neuron)

one_by_one = [forward_mode(order, w) for w in W]
assert all(abs(w.grad - slope) < 1e-12 for w, (slope, _) in zip(W, one_by_one))
teach.reveal(my_forward, sum(count for _, count in one_by_one))
teach.reveal(my_reverse, sum(len(node.parents) for node in order))
teach.states("2,001", sum(len(node.parents) for node in order), always=True)
print(f"the program itself: {sum(bool(node.parents) for node in order):,} operations")

# %% [markdown]
# The same 500 numbers, for a million multiplications or for 2,001: about two for each operation
# of the program, *however many inputs there are*. This is the reason why networks can learn at
# all.
#
# ## Exercise: two more rules
#
# Write the rules for `tanh` and for `power`, $x^n$ with $x > 0$; both of its inputs can move. A
# rule returns the value, then one slope for each input. The check compares slopes with wiggles.
# `teach.hint("tanh")` helps.


# %%
def tanh(x):
    """Return tanh(x), and its slope."""


# %% solution: tanh
def tanh(x):
    t = math.tanh(x)
    return t, 1 - t * t


# %%
tanh = teach.check("tanh", tanh)


# %%
def power(x, n):
    """Return x ** n, its slope for x, and its slope for n."""


# %% solution: power
def power(x, n):
    return x**n, n * x ** (n - 1), x**n * math.log(x)


# %%
power = teach.check("power", power)
my_tanh, my_power = my_op(tanh), my_op(power)

# %% [markdown]
# ## Exercise: an order without recursion
#
# `recursive_order` calls itself once for each step of the longest path. Python allows about a
# thousand calls inside each other; a network over time easily has 5,000 steps in a row. Write
# `topological_order(root)` with a loop: return a list of every node once, all of `node.parents`
# before `node`, `root` last. Mind that a node may be reached on many ways.


# %%
def topological_order(root):
    """Every node behind all of its parents, root last; no function calls itself."""


# %% solution: topological order
def topological_order(root):
    order, done, waiting = [], set(), [root]
    while waiting:
        node = waiting[-1]  # stays until its parents are done
        missing = [parent for parent in node.parents if parent not in done]
        if missing:
            waiting.extend(missing)
            continue
        waiting.pop()
        if node not in done:
            done.add(node)
            order.append(node)
    return order


# %%
topological_order = teach.check("topological order", topological_order)
X = Z = Value(0.1)
for _ in range(5_000):
    Z = Z + X * 0.001
my_backward(Z, topological_order)
print(f"a chain of 5,000 additions: dz/dx = {X.grad:.6f}")

# %% [markdown]
# ## The library does the same
#
# `ta.Tensor` is our `Value` for whole arrays, `ta.op` is its `my_op`, and its rules are written
# just as ours: a value, then for each input what to do with an adjoint. Only that with arrays a
# slope is no longer one number, so a rule gives a function, `lambda g: g * b`, in its place;
# notebook 03 says why. From here on we may use it: it does nothing that you have not done
# yourself.

# %%
a, b = (ta.Tensor(x, requires_grad=True) for x in (3.0, 1.0))
y = a * b + ta.tanh(ta.log(a + b)) + ta.relu(ta.exp(-b))
y.backward()

A, B = Value(3.0), Value(1.0)
Y = A * B + my_tanh(my_log(A + B)) + my_relu(my_exp(-B))
my_backward(Y, topological_order)
for name, mine, theirs in (("a", A, a), ("b", B, b)):
    print(f"d/d{name}: mine {mine.grad:.6f}, the library's {theirs.grad:.6f}")
    assert abs(mine.grad - theirs.grad) < 1e-6

# %% [markdown]
# ## Ledger
#
# **Shown.** One backward sweep gives the derivative for every input, exactly, at about the cost
# of the program: a sum over all paths, each edge walked once. Contributions add where a value is
# used twice. An order by a loop takes chains of any length.
#
# **Assumed.** Every step has a slope. `relu` has none at 0; we said 0 there. A program with `if`
# is differentiated along the branch that it took.
#
# **Not tested.** How near a wiggle comes, and what a check would miss: that is notebook 02.
# Memory: every value is kept until backward has run. Derivatives of derivatives, which the
# library leaves out.
#
# **Next: notebook 02.** How do you know that a gradient is right?
