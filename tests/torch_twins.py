"""Our networks and torch's with the same weights, and how far apart they are."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch_networks as theirs
from torch_leg import torch

import tinyadtn as ta
from tinyadtn.nn.parameters import he_std


@dataclasses.dataclass(frozen=True)
class Case:
    """A network in two spellings.

    ``training``: with the statistics of the batch. ``seed``: of images that keep away from kinks in
    float32, see ``clearance``.
    """

    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    seed: int
    options: dict = dataclasses.field(default_factory=dict)
    shape: tuple[int, int, int] = (3, 32, 32)
    images: int = 2
    training: bool = False


DIGITS = (1, 28, 28)
PLAIN, NORMED = {"batch_norm": False}, {"batch_norm": True}
CASES = {
    "FC-2": Case(ta.models.fc2, theirs.fc2, 5, shape=DIGITS),
    "LeNet-5": Case(ta.models.lenet5, theirs.lenet5, 37, shape=DIGITS),
    "AlexNet": Case(ta.models.alexnet, theirs.alexnet, 31),
    "AlexNet, 2 groups": Case(ta.models.alexnet, theirs.alexnet, 11, {"groups": 2}),
    "ZFNet": Case(ta.models.zfnet, theirs.zfnet, 28),
    "VGG-16": Case(ta.models.vgg16, theirs.vgg16, 4, PLAIN),
    "VGG-16, batch norm": Case(ta.models.vgg16, theirs.vgg16, 74, NORMED),
    "the same, training": Case(ta.models.vgg16, theirs.vgg16, 32, NORMED, images=4, training=True),
}


def drawn(model, dtype, seed=0):
    """Arrays for every parameter and buffer, none of them at its start of 0 or 1."""
    rng = np.random.default_rng(seed)

    def draw(name, shape):
        kind = name.rpartition(".")[2]
        values = rng.random(shape, dtype)  # from 0 to 1
        if kind in ("scale", "std", "running_variance"):
            values += 0.5
        else:
            values -= 0.5
            values *= he_std(shape) * 12**0.5 if kind == "weight" else 0.4
        return values

    return {name: draw(name, tensor.shape) for name, tensor in model.named_tensors()}


def twins(case, dtype):
    """Our network and torch's with the same weights, both without dropout."""
    model = case.ours(**case.options)
    arrays = drawn(model, dtype)
    model.load_arrays(arrays)
    network = theirs.with_arrays(lambda: case.theirs(**case.options), arrays).train(case.training)
    for name, layer in model.named_modules():
        if isinstance(layer, ta.Dropout):
            layer.rate = network.get_submodule(name).p = 0.0
    return model, network


def batch(case, dtype):
    rng = np.random.default_rng(case.seed)
    return rng.random((case.images, *case.shape)).astype(dtype), rng.integers(0, 10, case.images)


# --- one step forward and back -------------------------------------------------------------------


def ours_backward(model, x, labels, training, rng=None):
    """Logits, loss, and every gradient by name, that of the images among them."""
    images = ta.Tensor(x, requires_grad=True)
    logits = model(images, training=training, rng=rng)
    loss = ta.softmax_cross_entropy(logits, labels=labels)
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    return logits.numpy(), loss.numpy(), {"images": images.grad, **gradients}


def torch_backward(network, x, labels):
    """The same from torch, with torch's names."""
    images = torch.tensor(x, requires_grad=True)
    logits = network(images)
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels))
    loss.backward()
    gradients = {name: p.grad.numpy() for name, p in network.named_parameters()}
    return (
        logits.detach().numpy(),
        loss.detach().numpy(),
        {"images": images.grad.numpy(), **gradients},
    )


@dataclasses.dataclass(frozen=True)
class Agreement:
    """The largest differences between two networks, in units of the largest number of each array.

    ``gradients`` has them by name, ``norms`` the norms of the differences in units of the norm.
    ``clearance`` is how far the images keep away from kinks.
    """

    clearance: float
    logits: float
    loss: float
    gradients: dict[str, float]
    norms: dict[str, float]


def agreement(case, dtype):
    """How far our network is from torch's, after one step forward and back."""
    model, network = twins(case, dtype)
    logits, loss, gradients = ours_backward(model, *batch(case, dtype), case.training)
    distances = clearance(network)
    torch_logits, torch_loss, torch_gradients = torch_backward(network, *batch(case, dtype))
    assert logits.dtype == torch_logits.dtype == dtype
    assert {theirs.torch_name(name) for name in gradients} == torch_gradients.keys()
    largest, norms = {}, {}
    for name, gradient in gradients.items():
        assert gradient.dtype == dtype
        other, unit = torch_gradients[theirs.torch_name(name)], yardstick(case, name)
        largest[name] = relative(gradient, other, gradients[unit], np.inf)
        norms[name] = relative(gradient, other, gradients[unit], 2)
    return Agreement(
        min(distances),
        relative(logits, torch_logits, torch_logits, np.inf),
        relative(loss, torch_loss, torch_loss, np.inf),
        largest,
        norms,
    )


def clearance(network, most=40_000):
    """A list to which the network's next run adds how far each layer keeps away from its kinks.

    A relu's input from 0, the winner of a pool from the second, in units of the layer's largest
    input. Where rounding decides such a thing otherwise, two right gradients differ; one of
    ``most`` decisions in a layer is worth up to a hundredth of the norm, in larger layers less.
    """
    distances = []

    def at_relu(_, inputs, output):
        if inputs[0].numel() <= most:
            distances.append((inputs[0].abs().min() / inputs[0].abs().max()).item())

    def at_pool(pool, inputs, output):
        sides = (pool.padding,) * 4
        x = torch.nn.functional.pad(inputs[0].detach(), sides, value=-torch.inf)
        windows = x.unfold(2, pool.kernel_size, pool.stride).unfold(
            3, pool.kernel_size, pool.stride
        )
        first, second = windows.flatten(4).topk(2).values.unbind(-1)
        gaps = (first - second)[first > 0]  # what relu made 0 gets no gradient, whoever wins
        if gaps.numel() <= most:
            distances.append((gaps.min() / x.max()).item())

    for layer in network.modules():
        if isinstance(layer, torch.nn.ReLU):
            layer.register_forward_hook(at_relu)
        if isinstance(layer, torch.nn.MaxPool2d):
            layer.register_forward_hook(at_pool)
    return distances


def relative(a, b, unit, order):
    """‖a - b‖ / ‖unit‖."""
    assert a.shape == b.shape
    return np.linalg.norm((a - b).ravel(), order) / np.linalg.norm(unit.ravel(), order)


def yardstick(case, name):
    """The array whose size says whether a difference in the array ``name`` is large.

    Itself, but for a bias in front of a normalisation by the batch: that takes the bias away
    again, its gradient is 0, and what both sides get is what rounding leaves of the weight's.
    """
    silent = case.training and name.startswith("conv") and name.endswith(".bias")
    return name.replace(".bias", ".weight") if silent else name


# --- many steps ----------------------------------------------------------------------------------


OPTIMISERS = {
    "SGD": (
        lambda parameters: ta.SGD(parameters, 0.02, momentum=0.9),
        lambda parameters: torch.optim.SGD(parameters, 0.02, momentum=0.9),
    ),
    "Adam": (
        lambda parameters: ta.Adam(parameters, 1e-3),
        lambda parameters: torch.optim.Adam(parameters, 1e-3),
    ),
    # A difference of δ in a gradient near 0 becomes one of lr·δ/ε in the step.
    "Adam, epsilon 1e-4": (
        lambda parameters: ta.Adam(parameters, 1e-3, epsilon=1e-4),
        lambda parameters: torch.optim.Adam(parameters, 1e-3, eps=1e-4),
    ),
}


def drift(case, optimiser, steps, dtype=np.float64, order=np.inf):
    """How far training drives two networks apart: in the loss of each step, and in the end.

    An array's difference at the end is in units of the way that it went.
    """
    model, network = twins(case, dtype)
    ours, other = (
        make(list(net.parameters())) for make, net in zip(OPTIMISERS[optimiser], (model, network))
    )
    losses = []
    for step in range(steps):
        x, labels = batch(dataclasses.replace(case, seed=case.seed + step), dtype)
        ours.zero_grad()
        _, loss, _ = ours_backward(model, x, labels, case.training)
        ours.step()
        other.zero_grad()
        _, torch_loss, _ = torch_backward(network, x, labels)
        other.step()
        losses.append(relative(loss, torch_loss, torch_loss, np.inf))
    end, state = {name: t.numpy() for name, t in model.named_tensors()}, network.state_dict()
    start = drawn(model, dtype)
    way = {name: end[name] - start.pop(name) for name in end if "normalize" not in name}
    arrays = {}
    for name in way:
        other, unit = state[theirs.torch_name(name)].numpy(), way[yardstick(case, name)]
        arrays[name] = relative(end[name], other, unit, order)
    return losses, arrays
