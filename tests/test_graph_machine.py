"""A machine that builds graphs as a user might, beside a model that knows nothing but paths.

Hypothesis makes leaves, ops, constants, detours through ``no_grad``, backward passes from anywhere,
second ones that must be refused, and drops tensors on the way. The model holds for every result the
dense Jacobian of each step, and takes dL/d(leaf) as what it is: the sum over all paths from L to
the leaf of the product of the Jacobians on the path.
"""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

import tinyadtn as ta
from tinyadtn.errors import GraphError

SHAPES = [(), (3,), (2, 3)]
LARGEST, MOST_PATHS = 12, 400


def linear(function):
    """The Jacobian of each argument of a function that is linear in each, seen from ``arrays``."""

    def jacobian(arrays, k):
        columns = []
        for j in range(arrays[k].size):
            unit = np.zeros(arrays[k].size)
            unit[j] = 1
            others = list(arrays)
            others[k] = unit.reshape(arrays[k].shape)
            columns.append(np.ravel(function(*others)))
        return np.stack(columns, axis=1)

    return jacobian


def additive(function):
    """The same for one that is linear in all arguments together: the others are 0."""

    def jacobian(arrays, k):
        zeros = [a if j == k else np.zeros_like(a) for j, a in enumerate(arrays)]
        return linear(function)(zeros, k)

    return jacobian


def elementwise(slope):
    return lambda arrays, k: np.diag(np.ravel(slope(arrays[0])))


# name: (with tensors, with arrays, the Jacobian of argument k)
UNARY = {
    "negative": (lambda x: -x, np.negative, linear(np.negative)),
    "tanh": (ta.tanh, np.tanh, elementwise(lambda a: 1 - np.tanh(a) ** 2)),
    "square": (lambda x: x**2, np.square, elementwise(lambda a: 2 * a)),
    "half": (lambda x: 0.5 * x, lambda a: 0.5 * a, linear(lambda a: 0.5 * a)),
    "sum": (lambda x: x.sum(), lambda a: a.sum(), linear(lambda a: a.sum())),
    "mean of rows": (
        lambda x: x.mean(axis=-1) if x.ndim else x * 1,
        lambda a: a.mean(axis=-1) if a.ndim else a * 1,
        linear(lambda a: a.mean(axis=-1) if a.ndim else a * 1),
    ),
    "flat": (lambda x: x.reshape(-1), np.ravel, linear(np.ravel)),
    "transpose": (lambda x: x.T, np.transpose, linear(np.transpose)),
    "first twice": (
        lambda x: x.reshape(-1)[[0, -1, 0]],
        lambda a: a.ravel()[[0, -1, 0]],
        linear(lambda a: a.ravel()[[0, -1, 0]]),
    ),
}
BINARY = {
    "add": (lambda x, y: x + y, np.add, additive(np.add)),
    "subtract": (lambda x, y: x - y, np.subtract, additive(np.subtract)),
    "multiply": (lambda x, y: x * y, np.multiply, linear(np.multiply)),
    "outer": (
        lambda x, y: ta.contract(x.reshape(-1), y.reshape(-1), pattern="i,j->ij"),
        np.outer,
        linear(np.outer),
    ),
    "joined": (
        lambda x, y: ta.concatenate(x.reshape(-1), y.reshape(-1)),
        lambda a, b: np.concatenate([a.ravel(), b.ravel()]),
        additive(lambda a, b: np.concatenate([a.ravel(), b.ravel()])),
    ),
}


class Known:
    """A tensor, and all that the model knows of it."""

    def __init__(self, tensor, value, parents=(), leaf=False):
        self.tensor, self.value = tensor, np.array(value)  # a copy: nobody may change it
        self.parents = list(parents)  # (Known, Jacobian), of those that need a gradient
        self.leaf, self.freed = leaf, False
        self.grad, self.size_of_grad = None, 0.0  # by the model, and the sum of its parts' sizes

    @property
    def needs_gradient(self):
        return self.leaf or bool(self.parents)

    def behind(self):
        """Everything that this was computed from, itself included."""
        found, waiting = {id(self): self}, [self]
        while waiting:
            for parent, _ in waiting.pop().parents:
                if id(parent) not in found:
                    found[id(parent)] = parent
                    waiting.append(parent)
        return list(found.values())

    def count_paths(self, counted):
        if id(self) not in counted:
            counted[id(self)] = (
                1 if self.leaf else sum(parent.count_paths(counted) for parent, _ in self.parents)
            )
        return counted[id(self)]

    def paths(self, product):
        """(leaf, cotangent · J · J · …) for every single path from here to a leaf."""
        if self.leaf:
            yield self, product
        for parent, jacobian in self.parents:
            yield from parent.paths(product @ jacobian)


class Graphs(RuleBasedStateMachine):
    """See the module's docstring."""

    tensors = Bundle("tensors")

    @initialize(target=tensors, shape=st.sampled_from(SHAPES), seed=st.integers(0, 99))
    def start(self, shape, seed):
        self.leaves = []
        return self.leaf(shape, seed)

    @rule(target=tensors, shape=st.sampled_from(SHAPES), seed=st.integers(0, 99))
    def leaf(self, shape, seed):
        value = np.asarray(np.random.default_rng(seed).normal(size=shape))
        known = Known(ta.Tensor(value.copy(), requires_grad=True), value, leaf=True)
        self.leaves.append(known)
        return known

    @rule(target=tensors, shape=st.sampled_from(SHAPES), seed=st.integers(0, 99))
    def constant(self, shape, seed):
        value = np.asarray(np.random.default_rng(seed).normal(size=shape))
        return Known(ta.Tensor(value.copy()), value)

    @rule(target=tensors, x=tensors, name=st.sampled_from(sorted(UNARY)), record=st.booleans())
    def apply_to_one(self, x, name, record):
        return self.applied(UNARY[name], [x], record)

    @rule(target=tensors, x=tensors, y=tensors, name=st.sampled_from(sorted(BINARY)))
    def apply_to_two(self, x, y, name):
        return self.applied(BINARY[name], [x, y], record=True)

    @rule(target=tensors, x=tensors, name=st.sampled_from(sorted(BINARY)))
    def apply_to_one_twice(self, x, name):
        return self.applied(BINARY[name], [x, x], record=True)

    def applied(self, op, arguments, record):
        function, reference, jacobian = op
        arrays = [known.value for known in arguments]
        try:
            value = np.asarray(reference(*arrays))
        except ValueError:  # these two do not broadcast
            with pytest.raises(ta.errors.ShapeError):
                function(*(known.tensor for known in arguments))
            return arguments[0]
        if value.size > LARGEST or np.abs(value).max(initial=0) > 1e3:
            return arguments[0]
        if record:
            tensor = function(*(known.tensor for known in arguments))
        else:
            with ta.no_grad():
                tensor = function(*(known.tensor for known in arguments))
        np.testing.assert_allclose(tensor.data, value, rtol=1e-12, atol=1e-12)
        parents = [
            (known, jacobian(arrays, k))
            for k, known in enumerate(arguments)
            if record and known.needs_gradient
        ]
        assert tensor.requires_grad == bool(parents)
        return Known(tensor, tensor.data, parents)

    @rule(target=tensors, x=tensors)
    def detach(self, x):
        return Known(x.tensor.detach(), x.value)

    @rule(x=tensors, seed=st.integers(0, 99))
    def backward(self, x, seed):
        cotangent = np.asarray(np.random.default_rng(seed).normal(size=x.value.shape))
        if x.leaf or not x.parents or any(known.freed for known in x.behind()):
            with pytest.raises(GraphError, match="freed" if x.parents else "nothing to"):
                x.tensor.backward(cotangent)
            return
        if x.count_paths({}) > MOST_PATHS:
            return
        x.tensor.backward(cotangent)
        for leaf, product in x.paths(cotangent.ravel()):
            share = product.reshape(leaf.value.shape)
            leaf.grad = share if leaf.grad is None else leaf.grad + share
            leaf.size_of_grad += np.abs(share).max(initial=0)
        for known in x.behind():
            known.freed = not known.leaf

    @rule(x=tensors)
    def forget_the_gradient(self, x):
        if x.leaf:
            x.tensor.grad, x.grad, x.size_of_grad = None, None, 0.0

    @rule(x=consumes(tensors))
    def drop(self, x):
        """Its name goes. What was computed from it may still need it."""

    @precondition(lambda self: any(leaf.tensor.grad is not None for leaf in self.leaves))
    @rule()
    def write_into_a_gradient(self):
        """Gradients belong to their leaf: nobody else notices, not even the other leaves."""
        leaf = next(leaf for leaf in self.leaves if leaf.tensor.grad is not None)
        if leaf.tensor.grad.flags.writeable:
            leaf.tensor.grad += 1.0
            leaf.grad = leaf.grad + 1.0
            leaf.size_of_grad += 1.0

    @invariant()
    def every_gradient_is_the_sum_over_paths(self):
        for leaf in getattr(self, "leaves", ()):
            np.testing.assert_array_equal(leaf.tensor.data, leaf.value)
            if leaf.grad is None:
                assert leaf.tensor.grad is None
            else:
                error = np.abs(leaf.tensor.grad - leaf.grad).max(initial=0)
                assert error <= 1e-12 * (1 + leaf.size_of_grad)


Graphs.TestCase.settings = settings(Graphs.TestCase.settings, stateful_step_count=40)
TestGraphs = Graphs.TestCase


def test_the_model_walks_every_path():
    """d(x·x + x)/dx = 2x + 1 by hand: two paths through the product, one beside it."""
    x = Known(ta.Tensor(np.array([3.0]), requires_grad=True), [3.0], leaf=True)
    product = Known(None, [9.0], [(x, np.array([[3.0]])), (x, np.array([[3.0]]))])
    total = Known(None, [12.0], [(product, np.eye(1)), (x, np.eye(1))])
    found = [p.item() for _, p in total.paths(np.ones(1))]
    assert sorted(found) == [1, 3, 3] and total.count_paths({}) == 3


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_the_jacobians_of_the_model_are_difference_quotients(name):
    _, function, jacobian = (UNARY | BINARY)[name]
    arrays = [np.random.default_rng(k).normal(size=(2, 3)) for k in range(1 + (name in BINARY))]
    for k, array in enumerate(arrays):
        expected = jacobian(arrays, k)
        for j in range(array.size):
            sides = []
            for step in (1e-6, -1e-6):
                moved = [a.copy() for a in arrays]
                moved[k].flat[j] += step
                sides.append(np.ravel(function(*moved)))
            slope = (sides[0] - sides[1]) / 2e-6
            np.testing.assert_allclose(slope, expected[:, j], rtol=1e-7, atol=1e-7)
