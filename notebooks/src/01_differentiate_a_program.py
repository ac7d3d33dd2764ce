# %% [markdown]
# # 01 What does it mean to differentiate a program?
#
# A program takes a few inputs and computes one result. Turn one input up a little: how fast does
# the result move? That speed is a derivative. A neural network learns from its derivatives with
# respect to millions of inputs, and it needs all of them at once.
#
# In this notebook you write a program that finds all of them in one sweep. It fits on one page, and
# two sentences describe it: **multiply along a path, add over paths**, and **go backward, so that
# each step is visited once**.
#
# **Study time** 90 minutes. **You need** the chain rule for functions of one variable, and Python
# classes. **Afterwards you can** write reverse-mode differentiation from memory, explain why it is
# cheap, and fit a model with it.
#
# **Recap of notebook 00.** One page of Python trained a network whose first layer is computed from
# a few hundred parameters. On that page a `Tensor` remembers what it was computed from, and
# `backward` visits every tensor once, last first. Now you build both, for single numbers.

# %%
import math
import random

import tinyadtn as ta
from tinyadtn import teach
from tinyadtn.course.pictures.graph import adjoints_arriving
from tinyadtn.course.pictures.line import line_fit

# %% [markdown]
# ## Wiggle an input
#
# Here is our program. The most direct way to find its derivative is to try. Move `a` by a small
# `h`, run the program again, and divide the change of the result by `h`.
#
# This works for any program. But it takes one more run for each input, and the answer is only
# nearly right. Both will bother us.


# %%
def program(a, b):
    return a * b + math.log(a + b)


h = 1e-6
wiggle_a = (program(3.0 + h, 1.0) - program(3.0, 1.0)) / h
wiggle_b = (program(3.0, 1.0 + h) - program(3.0, 1.0)) / h
print(f"the result at a = 3, b = 1: {program(3.0, 1.0):.4f}")
print(f"it moves {wiggle_a:.8f} times as fast as a, {wiggle_b:.8f} times as fast as b")

# %% [markdown]
# ## Each step has its own slope
#
# Split the program into steps so small that you know from school how fast each moves. A product `a
# * b` moves `b` times as fast as `a`. A logarithm `log(s)` moves `1/s` times as fast as `s`. A sum
# moves as fast as each of its terms. We call this factor the **slope** of the step.
#
# Now go through the steps from the last to the first, and ask at each: *how fast does the result
# move, if this value moves?* The answer is the **adjoint** of the value; it is also called its
# gradient. The adjoint of the result itself is 1. Every other adjoint is
#
# $$\text{adjoint of } x \;=\; \sum_{\text{steps that use } x}
# (\text{adjoint of the step}) \times (\text{slope of the step for } x).$$
#
# The input `a` is used twice. So two contributions arrive at it, and they add up.

# %%
a, b = 3.0, 1.0
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

# %% compare
teach.states("1.25", adj_a, always=True)
teach.states("3.25", adj_b, always=True)

# %% [markdown]
# The wiggles gave 1.25 and 3.25 as well, up to the sixth digit. These two are exact, and both came
# from *one* pass backward.
#
# ## A number that remembers
#
# A million steps by hand are out of the question. So let each number remember how it was computed.
# A `Value` holds the number, its *parents* (the values it was computed from), and the slope for
# each parent.
#
# Python calls the method `__add__` where it finds a `+`, and `__mul__` where it finds a `*`. So we
# write the two operators first, and then the program reads as before.


# %%
class Value:
    """A number, and how it was computed."""

    def __init__(self, data, parents=(), slopes=(), op=""):
        self.data, self.op = data, op
        self.parents, self.slopes = parents, slopes
        self.grad = 0.0  # the adjoint, once my_backward has run

    def __add__(self, other):
        return Value(self.data + other.data, (self, other), (1.0, 1.0), "add")

    def __mul__(self, other):
        return Value(self.data * other.data, (self, other), (other.data, self.data), "multiply")


def log(x):
    return Value(math.log(x.data), (x,), (1 / x.data,), "log")


# %%
a, b = Value(3.0), Value(1.0)
y = a * b + log(a + b)

print(f"y = {y.data:.4f} is the result of {y.op!r}, with slopes {y.slopes}")
for parent in y.parents:
    print(f"its parent: {parent.op!r} = {parent.data:.4f}, with slopes {parent.slopes}")

# %% [markdown]
# ## Backward
#
# A value may pass its adjoint on only when the adjoint is complete. So every value that uses it
# must have its turn first. We need a list in which each value comes after all of its parents: a
# *topological order*. Backward walks this list from its end.
#
# One way to make the list is recursive: first the parents, then the value itself.


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


# %%
def my_backward(root, order=recursive_order):
    root.grad = 1.0
    for node in reversed(order(root)):
        for parent, slope in zip(node.parents, node.slopes):
            parent.grad += slope * node.grad


my_backward(y)
print(f"a.grad = {a.grad}, b.grad = {b.grad}")

# %% compare
my_backward(y)
teach.states("4.0", a.grad, always=True)

# %% [markdown]
# That is all of reverse-mode differentiation. The other notebooks only add larger steps, and more
# of them.
#
# Run the last cell again and the gradients are wrong: `a` gets 4.0, because every value in between
# still holds its old adjoint, and the new one is added to it. Make new `Value`s first.
#
# ## See it happen
#
# Each box holds a value on its left and, later, its adjoint on its right. A hatched adjoint still
# waits for a contribution; a shaded one is complete. Along an orange arrow, *multiply by the
# slope*. Where arrows meet, *add*.
#
# Press play, or move the slider. Then change the line of `my_expression` and run the cell again.
# Use only `a`, `b`, `+`, `*` and `log` so far, and no plain numbers. The other operations
# follow below.


# %%
def my_expression(a, b):
    return a * b + log(a + b)  # change this line


a, b = Value(3.0), Value(1.0)
y = my_expression(a, b)
adjoints_arriving(y, recursive_order(y), {a: "a", b: "b", y: "y"})

# %% [markdown]
# ## Predict: one value, used twice
#
# Let $y = x \cdot x + x$ at $x = 3$. What is its derivative? Write your guess into the next cell,
# or leave `None`. Then run the cell after it, which prints your guess and the answer.

# %%
my_guess = None

# %%
x = Value(3.0)
my_backward(x * x + x)
teach.reveal(my_guess, x.grad)

# %% [markdown]
# And what would `=` in place of `+=` in `my_backward` have given? This is the classic bug of
# automatic differentiation, because no error message appears.

# %%
my_guess_with_assignment = None


# %%
def forgetful_backward(root):
    root.grad = 1.0
    for node in reversed(recursive_order(root)):
        for parent, slope in zip(node.parents, node.slopes):
            parent.grad = slope * node.grad  # overwrites what has already arrived


x = Value(3.0)
forgetful_backward(x * x + x)
teach.reveal(my_guess_with_assignment, x.grad)

# %% [markdown]
# ## Rules: write only what differs
#
# Each new operation repeats the same lines: unpack the data, compute, pack a `Value`. Only the
# value and the slopes differ. So we write these as a **rule**: a function of plain numbers that
# returns the value first, and then one slope for each input. `my_op` turns a rule into an operation
# on `Value`s, and also accepts plain numbers.


# %%
def my_op(rule):
    """Turn a rule on plain numbers into an operation on Values."""

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


# %%
def exp(a):
    return math.exp(a), math.exp(a)


def logarithm(a):
    return math.log(a), 1 / a


def relu(a):  # the rectifier: negative inputs become 0
    return max(a, 0.0), 1.0 if a > 0 else 0.0


# %%
my_add, my_multiply, my_negative = my_op(add), my_op(multiply), my_op(negative)
my_exp, my_log, my_relu = my_op(exp), my_op(logarithm), my_op(relu)
Value.__add__ = Value.__radd__ = my_add  # radd: 2 + a, where the Value is on the right
Value.__mul__ = Value.__rmul__ = my_multiply
Value.__neg__ = my_negative
Value.__sub__ = lambda a, b: a + (-b)

x = Value(2.0)
y = 3 * x - my_exp(-x)
my_backward(y)
print(f"3x - exp(-x) at x = 2: slope {x.grad:.6f}, from school {3 + math.exp(-2):.6f}")

# %% [markdown]
# ## Exercise: two more rules
#
# Write the rules for `tanh` and for `power`, $x^n$ with $x > 0$. Both inputs of `power` can move. A
# rule returns the value, then one slope for each input. The check compares your slopes with
# wiggles. `teach.hint("tanh")` prints a hint, and one more each time.


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
# ## Why not simply follow every path?
#
# The derivative is a sum over all paths from the input to the result. Each path contributes the
# product of the slopes along it. So one could walk all the paths.
#
# Predict: double a value 20 times, each time by `x = x + x`. How many paths lead from the first `x`
# to the last? And how many steps does `my_backward` take?

# %%
my_guess_paths = None
my_guess_steps = None

# %%
x = z = Value(1.0)
for _ in range(20):
    z = z + z
my_backward(z)
steps = sum(len(node.parents) for node in recursive_order(z))
teach.reveal(my_guess_paths, x.grad, "paths")  # every path contributes 1 · 1 · … · 1
teach.reveal(my_guess_steps, steps, "steps")

# %% compare
teach.states("1,048,576", x.grad, always=True)
teach.states("40", steps, always=True)

# %% [markdown]
# So 40 steps did the work of 1,048,576 paths. The sum over paths is *what* we compute. The order is
# what makes it cheap. Contributions that meet are added *before* they go on, so every edge of the
# graph is walked once.
#
# ## Why backward?
#
# The sum over paths can also be walked from the other end. Give *one input* the speed 1, and let
# every step compute its own speed from the speeds of its parents. This is **forward mode**. It
# answers the question: if this input moves, how fast does everything move? Backward (**reverse
# mode**) answers the opposite one: if anything moves, how fast does the result move?
#
# Programs that learn have many inputs and one result, the loss. Take a neuron with 500 inputs,
# $\text{relu}(\sum_i w_i x_i)$, and count multiplications.


# %%
def forward_mode(order, moving):
    """The speed of the last value if `moving` moves, and the number of multiplications."""
    speed, count = {}, 0
    for node in order:
        speed[node] = float(node is moving)
        for parent, slope in zip(node.parents, node.slopes):
            speed[node] += slope * speed[parent]
            count += 1
    return speed[order[-1]], count


# %%
weights = [Value(math.sin(i)) for i in range(500)]
total = Value(0.0)
for i, weight in enumerate(weights):
    total = total + weight * math.cos(i)
neuron = my_relu(total)
order = recursive_order(neuron)
print(f"the program itself: {sum(bool(node.parents) for node in order):,} operations")

# %% [markdown]
# Guess how many multiplications each mode needs for all 500 derivatives.

# %%
my_guess_forward = None
my_guess_reverse = None

# %%
one_by_one = [forward_mode(order, weight) for weight in weights]
my_backward(neuron)
reverse_count = sum(len(node.parents) for node in order)
teach.reveal(my_guess_forward, sum(count for _, count in one_by_one), "forward")
teach.reveal(my_guess_reverse, reverse_count, "reverse")
largest = max(abs(w.grad - speed) for w, (speed, _) in zip(weights, one_by_one))
print(f"largest difference between the two modes: {largest:.0e}")

# %% compare
teach.states("2,001", reverse_count, always=True)

# %% [markdown]
# The same 500 derivatives, for a million multiplications or for 2,001. Reverse mode takes about two
# for each operation of the program, *however many inputs there are*. This is the reason why
# networks can learn at all.
#
# ## Exercise: an order without recursion
#
# `recursive_order` calls itself once for each step of the longest path. Python allows only a
# limited number of such calls inside each other, often a thousand. But a long program easily has
# 5,000 steps in a row:

# %%
x = z = Value(0.1)
for _ in range(5_000):
    z = z + x * 0.001
try:
    recursive_order(z)
except RecursionError as error:
    print("RecursionError:", error)

# %% [markdown]
# Write `topological_order(root)` with a loop. Return a list that holds every node once, all of
# `node.parents` before `node`, and `root` last. A node may be reached along many paths.


# %%
def topological_order(root):
    """Every node after all of its parents, root last; no function calls itself."""


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

# %%
my_backward(z, topological_order)
print(f"a chain of 5,000 additions: dz/dx = {x.grad:.6f}")

# %% [markdown]
# ## Let it learn: fit two weights
#
# Here are some points near a line $y = w x + c$, which has two weights, $w$ and $c$. The **loss**
# is the mean of the squared errors, a program of two inputs. Its derivatives say which way is
# uphill, so we move both weights a little in the opposite direction, again and again. This is
# **gradient descent**; the factor of the step is the **learning rate**.

# %%
noise = random.Random(0)
xs = [k / 10 for k in range(-10, 11)]
ys = [0.8 * x - 0.3 + noise.gauss(0, 0.1) for x in xs]


def mean_squared_error(w, c):
    total = Value(0.0)
    for x, y in zip(xs, ys):
        error = w * x + c - y
        total = total + error * error
    return total * (1 / len(xs))


# %%
def descend(steps, rate):
    """Return (w, c, loss) before each step of gradient descent."""
    w, c, path = -1.0, 1.0, []
    for _ in range(steps):
        w, c = Value(w), Value(c)
        loss = mean_squared_error(w, c)
        my_backward(loss, topological_order)
        path.append((w.data, c.data, loss.data))
        w, c = w.data - rate * w.grad, c.data - rate * c.grad
    return path


path = descend(31, 0.3)
for k in (0, 1, 5, 30):
    print("step {}: w = {:.3f}, c = {:.3f}, loss {:.4f}".format(k, *path[k]))

# %% [markdown]
# ## The picture to keep
#
# Left: the points, and the line after a few steps. Right: the loss after every step. The program
# does not contain a formula of the best line; it only follows its own derivatives.

# %%
line_fit(xs, ys, path, steps=(0, 1, 5, 30))

# %% [markdown]
# Predict: take a learning rate that is ten times as large, 3.0. Is it ten times as fast? Guess the
# loss after 5 steps. With 0.3 it was 0.1109.

# %%
my_guess_loss = None

# %%
teach.reveal(my_guess_loss, descend(6, 3.0)[5][2])

# %% compare
teach.states("0.1109", path[5][2], always=True)

# %% [markdown]
# The loss explodes. A step that is too long jumps over the valley and lands higher up on the other
# side. Notebook 04 returns to the choice of the learning rate.
#
# ## The library does the same
#
# `ta.Tensor` is our `Value` for whole arrays, and `ta.op` is its `my_op`. Its rules are written
# like ours: a value, then what to do with an adjoint for each input. With arrays the slopes fill a
# whole table, so a rule returns functions instead, such as `lambda g: g * b`. Notebook 03 explains
# why. From here on we may use the library, because it does nothing that you have not done yourself.

# %%
a, b = (ta.Tensor(x, requires_grad=True) for x in (3.0, 1.0))
y = a * b + ta.tanh(ta.log(a + b)) + ta.relu(ta.exp(-b))
y.backward()

my_a, my_b = Value(3.0), Value(1.0)
my_y = my_a * my_b + my_tanh(my_log(my_a + my_b)) + my_relu(my_exp(-my_b))
my_backward(my_y, topological_order)
for name, mine, theirs in (("a", my_a, a), ("b", my_b, b)):
    print(f"d/d{name}: mine {mine.grad:.6f}, the library's {theirs.grad:.6f}")

# %% [markdown]
# ## Challenge: the lowest point, in few runs
#
# A function of two inputs has one lowest point. You get it as `f(u, v)`, which returns three
# numbers: the value, and the slopes for `u` and `v`. The slopes are those that your `my_backward`
# would find. Write `lowest(f, start)`. It returns the place `(u, v)` where the value is lowest, and
# it may call `f` at most a hundred times.
#
# Some functions of the check are steep and some are flat, so no fixed learning rate works for all.
# Change the rate on the way: what does it mean if a step made the value larger?


# %%
def lowest(f, start):
    """Return the place (u, v) where the value is lowest; f(u, v) is (value, slope, slope)."""


# %% solution: lowest
def lowest(f, start):
    place = start
    value, *slopes = f(*place)
    rate = 0.1
    for _ in range(99):
        tried = [x - rate * slope for x, slope in zip(place, slopes)]
        result, *new_slopes = f(*tried)
        if result < value:  # downhill: keep the place, and be bolder
            value, place, slopes, rate = result, tried, new_slopes, 1.3 * rate
        else:  # too far: stay, and be more careful
            rate = 0.4 * rate
    return tuple(place)


# %%
lowest = teach.check("lowest", lowest)

# %% [markdown]
# ## Ledger
#
# **Shown.** One backward sweep gives the derivative for every input, exactly, at about the cost of
# the program. It is a sum over all paths, and each edge is walked once. Contributions add where a
# value is used twice. Two weights learned from nothing else.
#
# **Assumed.** Every step has a slope. `relu` has none at 0, where our rule says 0. A program with
# `if` is differentiated along the branch that it took.
#
# **Not tested.** How near a wiggle comes, and what a check would miss: that is notebook 02. Memory:
# every value is kept until backward has run. Derivatives of derivatives, which the library leaves
# out.
#
# **Next: notebook 02.** How do you know that a gradient is right?
