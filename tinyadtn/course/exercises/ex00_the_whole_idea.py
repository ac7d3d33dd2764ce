"""Checks of notebook 00: an operation for the page, and an ADTN with any activation."""

from __future__ import annotations

import numpy as np

from tinyadtn import tiny
from tinyadtn.teach import exercise

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
)
def sine(answer, rng):
    """Value and gradient, with another gradient arriving than ones."""
    for shape in ((), (3,), (2, 4)):
        x, factor = rng.normal(size=shape), rng.normal(size=shape)
        given = tiny.Tensor(x, requires_grad=True)
        result = answer(given)
        yield f"sin of an array of shape {shape}", np.sin(x), getattr(result, "data", result)
        (result * tiny.Tensor(factor)).backward()
        got = np.zeros(shape) if given.grad is None else given.grad
        yield f"its gradient, for a shape {shape}", factor * np.cos(x), got


# --- any activation ------------------------------------------------------------------------------

tanh = tiny.op(lambda a: (np.tanh(a), lambda g: g * (1 - np.tanh(a) ** 2)))


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
    ),
    tolerance=1e-5,
)
def any_activation(answer, rng):
    """Odd and even numbers of sites, one to three layers, three activations."""
    linear = tiny.op(lambda a: (a, lambda g: g))
    for sides, depth in (((2, 2, 2), 1), ((4, 2, 2), 2), ((4, 4, 2), 3)):
        for name, activation in (("relu", tiny.relu), ("tanh", tanh), ("none", linear)):
            network = tiny.ADTN(*sides, depth=depth, rng=rng)
            tried = f"{network.num_sites} sites, depth {depth}, activation {name}"
            got = answer(network, activation)
            yield tried, _tensor(network, activation).data, getattr(got, "data", got)
