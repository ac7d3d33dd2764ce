"""Checks of notebook 00: an operation for the page, any activation, and the smallest network."""

from __future__ import annotations

from types import FunctionType

import numpy as np

import tinyadtn as ta
from tinyadtn import tiny
from tinyadtn.course import asking
from tinyadtn.teach import exercise
from tinyadtn.teach.exercises import UnexpectedResultError, parts

# --- sine ----------------------------------------------------------------------------------------


@exercise(
    "sine",
    hints=(
        "tiny.op takes a function of an array a. It returns the value and one VJP.",
        "The VJP is a function of g: g times the derivative of the sine at a.",
        "tiny.op(lambda a: (np.sin(a), lambda g: g * np.cos(a)))(x)",
    ),
    wrong=(
        tiny.op(lambda a: (np.sin(a), lambda g: np.cos(a))),
        tiny.op(lambda a: (np.sin(a), lambda g: -g * np.cos(a))),
        tiny.op(lambda a: (np.cos(a), lambda g: -g * np.sin(a))),
        lambda x: tiny.Tensor(np.sin(x.data)),
    ),
    tolerance=1e-5,
    ask=asking.value_and_gradient,
)
def sine(answer, rng):
    """Value and gradient, with another gradient arriving than ones."""
    for shape in ((), (3,), (2, 4)):
        x, g = rng.uniform(0.5, 1.5, size=shape).round(1), rng.normal(size=shape).round(1)
        value, gradient = parts(answer(x, g), 2)
        where = f"x = {x}" if shape == () else f"x of shape {shape}"
        yield f"the sine at {where}", np.sin(x), value
        arriving = f"g = {g}" if shape == () else "a random g"
        yield f"the gradient at {where}, where {arriving} arrives", g * np.cos(x), gradient


# --- any activation ------------------------------------------------------------------------------


def _tensor(network, activation, acts=lambda k: k > 0 and k % 2 == 0, flip=False):
    """The right answer, and with the options wrong ones."""
    state = tiny.Tensor(np.eye(1, 1 + network.num_sites % 2))
    for k, gates in enumerate(network.columns):
        state = activation(state) if acts(k) else state
        for n, i in enumerate(range(k % 2, network.num_sites - 1, 2)):
            gate = tiny.reshape(tiny.getitem(gates, index=n), shape=(4, -1))
            pair = tiny.reshape(state, shape=(2**i, gate.data.shape[1], -1))
            square = flip and gate.data.shape[1] == 4
            pattern = "aqb,qp->apb" if square else "aqb,pq->apb"
            state = tiny.contract(pair, gate, pattern=pattern)
    return tiny.reshape(state, shape=-1)


@exercise(
    "any activation",
    hints=(
        "Copy the loop of decode. Which line holds tiny.relu?",
        "Before columns 2, 4, … a layer begins: there, and not at k = 0, the activation acts.",
        "The last line of decode picks entries and scales them: leave that out, return all.",
    ),
    wrong=(
        lambda network, activation: _tensor(network, tiny.relu),
        lambda network, activation: _tensor(network, activation, acts=lambda k: k > 0),
        lambda network, activation: _tensor(network, activation, acts=lambda k: False),
        lambda network, activation: activation(_tensor(network, activation)),
        lambda network, activation: _tensor(network, activation, flip=True),
        lambda network, activation: network.decode(),
        lambda network, activation: _tensor(network, activation).data,
        lambda network, activation: tiny.Tensor(_tensor(network, activation).data),
    ),
    tolerance=1e-5,
    ask=asking.decoded,
)
def any_activation(answer, rng):
    """Odd and even numbers of sites, one to three layers, three activations."""
    for sides, depth in (((2, 2, 2), 1), ((4, 2, 2), 2), ((4, 4, 2), 3)):
        for name, activation in asking.ACTIVATIONS.items():
            network = tiny.ADTN(*sides, depth=depth, rng=rng)
            tried = f"{network.num_sites} sites, depth {depth}, activation {name}"
            got = answer(sides, depth, [gates.data for gates in network.columns], name)
            yield tried, _tensor(network, activation).data, got


# --- the smallest network ------------------------------------------------------------------------


def _untrained(depth):
    rng = np.random.default_rng(0)
    network = tiny.ADTN(256, 28, 28, depth=depth, rng=rng)
    others = [np.zeros(256), rng.normal(0, np.sqrt(2 / 256), (10, 256)), np.zeros(10)]
    return network.scale, [column.data for column in network.columns], others


def _dead():
    """All gates are 0, so every image has the same scores."""
    scale, columns, others = _untrained(1)
    return scale, [0 * column for column in columns], others


def _hidden():
    """200,704 parameters in place of the scale: the right size only by its gates."""
    scale, columns, others = _untrained(1)
    return np.full((256, 784), scale), columns, others


@exercise(
    "smallest network",
    hints=(
        "Depth 1 has 164 parameters, so the size is right. What limits the accuracy?",
        "80 steps are few. Try 240, with the same learning rate.",
        "mine = tiny.ADTN(256, 28, 28, depth=1, rng=np.random.default_rng(0)); then "
        "my_smallest = arrays_of(mine, train(mine, steps=240))",
    ),
    wrong=(_untrained(1), _untrained(2), _dead(), _hidden()),
    last=True,
)
def smallest_network(answer, rng):
    """At most 164 parameters, and at least 93 % of the validation digits."""
    if not isinstance(answer, (tuple, list, type(None), FunctionType)):
        raise UnexpectedResultError("arrays_of(network, others) is expected.")
    given = None if isinstance(answer, FunctionType) else answer
    scale, columns, others = parts(given, 3)
    if scale is None or columns is None or others is None:
        yield "my_smallest", 0, None
        return
    # An array as scale, or one bias for each image, would be parameters that are not counted.
    shapes = [np.shape(array) for array in (scale, *others)]
    names = "scale is one number, and b1, W2 and b2 have the shapes (256,), (10, 256) and (10,)"
    fits = shapes == [(), (256,), (10, 256), (10,)]
    yield f"{names}; yours are {', '.join(map(str, shapes))}", True, fits
    if not fits:
        return
    network = tiny.ADTN(256, 28, 28, depth=max(1, len(columns) // 2), rng=rng)
    network.scale = scale
    network.columns = [tiny.Tensor(column) for column in columns]
    count = sum(column.data.size for column in network.columns)
    yield f"{count} parameters: at most 164", True, count <= 164
    split = ta.load_data("mnist-5k").validation
    logits = tiny.fc2(split.images, network.decode(), *map(tiny.Tensor, others)).data
    percent = 100 * float(np.mean(logits.argmax(axis=1) == split.labels))
    yield f"{percent:.1f} % of the validation digits: at least 93 %", True, percent >= 93
