"""Notebook 01: rules for tanh and power, a topological order by a loop, and a lowest point."""

import math
import sys

from tinyadtn.course import asking
from tinyadtn.course.asking import Node
from tinyadtn.teach import exercise
from tinyadtn.teach.exercises import parts


def wiggle(f, x, h=1e-3):
    """A five-point difference: good for about eleven digits here."""
    return (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h)


# --- tanh ----------------------------------------------------------------------------------------


def tanh_overflows(x):
    e = math.exp(2 * x)
    return (e - 1) / (e + 1), 4 * e / (e + 1) ** 2


@exercise(
    "tanh",
    hints=(
        "The slope can be written with the value alone. Compute the value first.",
        "d tanh(x)/dx = 1 - tanh(x)². Return (value, slope).",
    ),
    wrong=(
        lambda x: (math.tanh(x), 1 - math.tanh(x)),  # slope without square
        lambda x: (math.tanh(x), 1 - x * x),  # slope of input
        lambda x: (math.tanh(x), 1.0),  # value only
        tanh_overflows,
    ),
)
def check_tanh(answer, rng):
    drawn = rng.uniform(0.5, 3, size=60).round(2) * rng.choice([-1, 1], size=60)
    for x in [*sorted(map(float, drawn), key=abs), 300.0, -300.0]:
        value, slope = parts(answer(x), 2)
        yield f"the value at x = {x:g}", math.tanh(x), value
        yield f"the slope at x = {x:g}", wiggle(math.tanh, x), slope


# --- power ---------------------------------------------------------------------------------------


@exercise(
    "power",
    hints=(
        "For x, n is a constant: the rule from school.",
        "For n, x is a constant. Write x**n = exp(n · ln x) and use the slope of exp.",
        "The slopes are n·x^(n-1) and x^n·ln x.",
    ),
    wrong=(
        lambda x, n: (x**n, n * x**n, x**n * math.log(x)),  # exponent not lowered
        lambda x, n: (x**n, x ** (n - 1), x**n * math.log(x)),  # factor forgotten
        lambda x, n: (x**n, n * x ** (n - 1), 0.0),  # exponent is constant
        lambda x, n: (x**n, n * x ** (n - 1), x**n * math.log(abs(n))),  # logarithm of the exponent
    ),
    tolerance=1e-8,
)
def check_power(answer, rng):
    signs = rng.choice([-1, 1], size=60)
    drawn = zip(rng.uniform(1.2, 3, size=60).round(1), signs * rng.uniform(1.2, 3, 60).round(1))
    for x, n in [(2.0, 3.0), (0.5, -2.0), *(map(float, pair) for pair in drawn)]:
        value, for_x, for_n = parts(answer(x, n), 3)
        at = f"at x = {x:g}, n = {n:g}"
        yield f"the value {at}", x**n, value
        yield f"the slope for x {at}", wiggle(lambda u, n=n: u**n, x), for_x
        yield f"the slope for n {at}", wiggle(lambda u, x=x: x**u, n), for_n


# --- topological order ---------------------------------------------------------------------------


def recursive(root):
    order, seen = [], set()

    def visit(node):
        if node not in seen:
            seen.add(node)
            for parent in node.parents:
                visit(parent)
            order.append(node)

    visit(root)
    return order


def first_seen_first(root):
    """Breadth first, turned around: a node that is reached early on a short way comes too late."""
    order, seen = [root], {root}
    for node in order:
        for parent in node.parents:
            if parent not in seen:
                seen.add(parent)
                order.append(parent)
    return order[::-1]


def with_repeats(root):
    order: list = []
    waiting = [root]
    while waiting and len(order) < 10_000:
        node = waiting.pop()
        order.append(node)
        waiting.extend(node.parents)
    return order[::-1]


def random_graph(rng, count):
    """Every node has up to three of the earlier ones as parents, some of them twice."""
    nodes = [Node()]
    for _ in range(count - 1):
        chosen = rng.integers(len(nodes), size=rng.integers(0, 4))
        nodes.append(Node([nodes[k] for k in chosen]))
    return Node([*nodes[-5:], nodes[0]])


def chain(length):
    node = Node()
    for _ in range(length):
        node = Node([node])
    return node


def doubling(length):
    """2^length paths: an order that walks them all never ends."""
    node = Node()
    for _ in range(length):
        node = Node([node, node])
    return node


def parents_by_number(root):
    """The graph in numbers: the parents of each node, with the root as node 0."""
    number, waiting = {root: 0}, [root]
    for node in waiting:
        for parent in node.parents:
            if parent not in number:
                number[parent] = len(number)
                waiting.append(parent)
    return [[number[parent] for parent in node.parents] for node in waiting]


@exercise(
    "topological order",
    hints=(
        "Keep your own stack, a list of nodes that wait. Look at its last one without taking it.",
        "If some of its parents are not in the order yet, put them on the stack. If none is "
        "missing, take the node off and put it into the order.",
        "A node may be on the stack twice: when its turn comes again, just drop it.",
    ),
    wrong=(
        recursive,
        first_seen_first,
        with_repeats,
        lambda root: recursive(root)[:-1],  # root left out
        lambda root: recursive(root)[::-1],  # from the result
    ),
    ask=asking.order_of,
)
def check_order(answer, rng):
    graphs = [("a single node", Node()), ("a chain of three", chain(3))]
    graphs += [
        (f"a random graph of {n} nodes", random_graph(rng, n))
        for n in sorted(rng.integers(2, 60, 30))
    ]
    graphs += [("40 doublings, with 2^40 paths", doubling(40))]
    graphs += [(f"a chain of {n:,} nodes", chain(n)) for n in (5_000, 5 * sys.getrecursionlimit())]
    for name, root in graphs:
        parents = parents_by_number(root)
        if len(parents) <= 6:
            name = f"the graph whose nodes 0 (the root), 1, … have the parents {parents}"
        order = answer(parents)
        place = {node: k for k, node in enumerate(order)}
        once = sorted(order) == list(range(len(parents)))
        yield f"{name}: every node is there, once", True, once
        in_order = all(place[p] < place[n] for n in order for p in parents[n])
        yield f"{name}: parents before children", True, in_order
        yield f"{name}: the root is last", True, order[-1] == 0


# --- the lowest point ----------------------------------------------------------------------------


def fixed_rate(rate, steps=99):
    def lowest(f, start):
        u, v = start
        for _ in range(steps):
            _, slope_u, slope_v = f(u, v)
            u, v = u - rate * slope_u, v - rate * slope_v
        return u, v

    return lowest


def stays(f, start):
    return start


def too_many_runs(f, start):
    """Right for every function of the check, the steep and the flat ones, but with 10,000 runs."""
    return fixed_rate(0.03, steps=10_000)(f, start)


def bowl(steepness, place, height, calls):
    """c (u - p)² + d (v - q)² + height, with its slopes; it counts its calls."""

    def f(u, v):
        calls[0] += 1
        (c, d), across, along = steepness, u - place[0], v - place[1]
        value = c * across * across + d * along * along + height
        return value, 2 * c * across, 2 * d * along

    return f


@exercise(
    "lowest",
    hints=(
        "Begin with gradient descent at a small rate. Which functions does it solve?",
        "If a step makes f larger, it was too long: go back, and make the rate smaller.",
        "If a step makes f smaller, it was good: keep the place, and make the rate a bit larger.",
    ),
    wrong=(fixed_rate(0.1), fixed_rate(0.01), fixed_rate(-0.01), stays, too_many_runs),
)
def check_lowest(answer, rng):
    bowls = [((1.0, 1.0), (0.0, 0.0)), ((30.0, 10.0), (1.0, 2.0)), ((0.02, 0.05), (-2.0, 1.0))]
    for _ in range(20):
        size = 10 ** rng.uniform(-1, 1)
        bowls.append((size * rng.uniform(0.3, 1, 2), rng.normal(size=2)))
    for steepness, place in bowls:
        (c, d), (p, q), calls = map(float, steepness), map(float, place), [0]
        start = tuple(float(x + s) for x, s in zip((p, q), rng.choice([-1.0, 1.0], 2)))
        u, v = parts(answer(bowl((c, d), (p, q), float(rng.normal()), calls), start), 2)
        name = f"the bowl {c:.2f} (u - {p:.2f})² + {d:.2f} (v - {q:.2f})²".replace("- -", "+ ")
        yield f"{name}: {calls[0]} runs, at most 100", True, calls[0] <= 100
        near = abs(u - p) + abs(v - q) < 0.01
        yield f"{name}: within 0.01 of the lowest place, ({p:.3f}, {q:.3f})", True, near
