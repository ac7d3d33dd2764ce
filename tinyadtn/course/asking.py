"""How checks call answers that need objects: with plain values in, and plain values out.

The grader runs an answer in a process of its own. Arrays, numbers and functions of them can be
sent there; a computation graph cannot. These functions build the objects next to the answer. This
file holds no right answer, because the process of an answer can read it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import FunctionType
from typing import Any

import numpy as np

import tinyadtn as ta
from tinyadtn import tiny
from tinyadtn.teach.exercises import UnexpectedResultError

RECIPES = ("ADTN", "Frozen", "LowRank", "TensorTrain", "Tucker")
ACTIVATIONS = {
    "relu": tiny.relu,
    "tanh": tiny.op(lambda a: (np.tanh(a), lambda g: g * (1 - np.tanh(a) ** 2))),
    "none": tiny.op(lambda a: (a, lambda g: g)),
}


def value_and_gradient(answer: Callable, x: np.ndarray, factor: np.ndarray) -> Any:
    """Return an op's value at x, and the gradient that arrives at x from the sum of factor · op."""
    given = tiny.Tensor(x, requires_grad=True)
    try:
        result = answer(given)
        if isinstance(result, tiny.Tensor) and all(callable(vjp) for _, vjp in result.sources):
            tiny.multiply(result, tiny.Tensor(factor)).backward()
    except TypeError as error:
        if "cannot unpack" in str(error):
            raise UnexpectedResultError(
                "The function inside tiny.op returns a value and one VJP: lambda a: (value, vjp)."
            ) from None
        if "ufunc" not in str(error):
            raise
        raise UnexpectedResultError(
            "NumPy's functions take arrays, not Tensors: call them inside tiny.op(lambda a: ...)."
        ) from None
    if result is None or result is NotImplemented:
        return result
    _check_tensor(result)
    if not all(callable(vjp) for _, vjp in result.sources):
        raise UnexpectedResultError("A VJP is a function: lambda g: ...")
    gradient = np.zeros_like(x) if given.grad is None else given.grad
    return result.data, gradient


def decoded(
    answer: Callable, sides: Sequence[int], depth: int, columns: list[np.ndarray], activation: str
) -> Any:
    """Return the tensor that the answer computes from an ADTN with these gates."""
    outputs, height, width = sides
    network = tiny.ADTN(outputs, height, width, depth, np.random.default_rng(0))
    for gates, values in zip(network.columns, columns):
        gates.data = values
    result = answer(network, ACTIVATIONS[activation])
    if result is None or result is NotImplemented:
        return result
    _check_tensor(result)
    if not result.requires_grad:
        raise UnexpectedResultError(
            "No gradient reaches the gates: compute with Tensors, not .data."
        )
    return result.data


def _check_tensor(result: Any) -> None:
    if not isinstance(result, tiny.Tensor):
        kind = type(result).__name__
        raise UnexpectedResultError(f"A tiny.Tensor is expected, not a value of type {kind}.")


class Node:
    """A node of a graph, as the check of the topological order gives it to the answer."""

    def __init__(self, parents: Sequence[Any] = ()) -> None:
        self.parents = list(parents)


def order_of(answer: Callable, parents: list[list[int]]) -> Any:
    """Return the order in which the answer puts the nodes 0, 1, …; node 0 is the root.

    A thing that is not one of the nodes becomes -1.
    """
    nodes = [Node() for _ in parents]
    for node, numbers in zip(nodes, parents):
        node.parents = [nodes[k] for k in numbers]
    place = {id(node): k for k, node in enumerate(nodes)}
    order = answer(nodes[0])
    if order is None or order is NotImplemented:
        return order
    if not isinstance(order, (list, tuple)):
        raise UnexpectedResultError("It should return a list of nodes.")
    return [place.get(id(node), -1) for node in order]


def small_problem(seed: int, frozen: bool) -> tuple[ta.Module, np.ndarray, np.ndarray]:
    """A network 6-5-3 whose first weight is an ADTN or frozen, and 200 images of 6 pixels."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(200, 6)).astype(np.float32)
    labels = (images @ rng.normal(size=(6, 3))).argmax(axis=1)
    model = ta.Sequential(fc1=ta.Linear(6, 5, rng=seed), fc2=ta.Linear(5, 3, rng=seed))
    recipe = ta.Frozen.like() if frozen else ta.ADTN.like(1)
    return ta.compress(model, {"fc1": recipe}, rng=seed), images, labels


def losses_and_parameters(
    answer: Callable, seed: int, frozen: bool, steps: int, learning_rate: float
) -> Any:
    """Return the losses that a training loop yields on a small problem, and the parameters then."""
    model, images, labels = small_problem(seed, frozen)
    rng = np.random.default_rng(seed)
    losses = answer(model, images, labels, steps, learning_rate, rng)
    if losses is None or losses is NotImplemented:
        return losses
    if not isinstance(losses, Iterable):
        raise UnexpectedResultError("It should `yield` the loss in each step, not return one loss.")
    losses = list(losses)
    if any(isinstance(loss, ta.Tensor) for loss in losses):
        raise UnexpectedResultError("It should yield numbers, loss.item(); it yields tensors.")
    return losses, {name: p.data for name, p in model.named_parameters()}


def control(answer: Callable, layer: str, seed: int) -> Any:
    """Return the weight of a control of 50-40-30, what is trained, and whether the model stayed."""
    model = ta.Sequential(fc1=ta.Linear(50, 40, rng=1), fc2=ta.Linear(40, 30, rng=1))
    before = {name: p.data.copy() for name, p in model.named_parameters()}
    frozen = answer(model, layer, seed)
    if frozen is None or frozen is NotImplemented:
        return frozen
    if not isinstance(frozen, ta.Module):
        raise UnexpectedResultError("It should return the network: my_compress(...) makes it.")
    now = dict(model.named_parameters())
    stayed = before.keys() == now.keys() and all((now[n].data == before[n]).all() for n in now)
    weight = getattr(frozen, layer).weight
    weight = weight if isinstance(weight, ta.Tensor) else weight.decode()
    return weight.data, ", ".join(name for name, _ in frozen.named_parameters()), stayed


def recipe_parts(answer: Any) -> Any:
    """Return the kind of a recipe, such as "ADTN" of ta.ADTN.like(1), and its arguments."""
    if isinstance(answer, FunctionType):
        return None
    try:
        kind, arguments, options = answer.args
        name = kind.__name__
    except (AttributeError, TypeError, ValueError):
        name = ""
    if name not in RECIPES:
        raise UnexpectedResultError("A recipe is expected, such as ta.ADTN.like(1).")
    return name, arguments if isinstance(arguments, tuple) else (arguments,), options


def recipe_of(name: str, arguments: tuple, options: dict[str, Any]) -> Any:
    """Return the recipe with these parts."""
    return getattr(ta, RECIPES[RECIPES.index(name)]).like(*arguments, **options)
