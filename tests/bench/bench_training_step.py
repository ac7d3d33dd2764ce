"""A training step, forward, backward and update, here and with others: the same network and batch.

    python tests/bench/bench_training_step.py [NETWORK …]

float32, SGD with momentum 0.9, dropout off; the loss is read after every step. Before anything is
timed, all sides take three steps from the same weights; their losses must agree to a thousandth of
the first.
"""

import os
import sys
from pathlib import Path

import numpy as np
from side_by_side import as_on_a_users_machine, milliseconds, peer, print_row, ratio, rounds

import tinyadtn as ta

sys.path.insert(0, str(Path(__file__).parents[1]))

torch = peer("torch")
BATCH = {"fc2": 128, "lenet5": 128, "vgg16": 32}
RATE, MOMENTUM = 0.001, 0.9
# module: the networks it can take. HIPS autograd has no convolution; of VGG-16, MyGrad's loss is
# the others' before the first update and another one after it.
PEERS = {"jax": ("fc2", "lenet5", "vgg16"), "mygrad": ("fc2", "lenet5"), "autograd": ("fc2",)}
NAMES = {"jax": "JAX jit", "mygrad": "MyGrad", "autograd": "HIPS autograd"}
PASSED_OVER = (ta.Dropout, ta.Normalize)  # off, and constants that the images can have already


def problem(name):
    """A network, and a batch for it."""
    model = getattr(ta.models, name)(rng=0)
    for _, layer in model.named_modules():
        if isinstance(layer, ta.Dropout):
            layer.rate = 0.0
    rng = np.random.default_rng(0)
    images = rng.random((BATCH[name], *ta.models.image_shape(model.config)), np.float32)
    return model, images, rng.integers(0, 10, BATCH[name])


# --- the sides: each a function that takes a step and returns the loss ---------------------------


def ours(name):
    model, images, labels = problem(name)
    optimizer = ta.SGD(model.parameters(), RATE, momentum=MOMENTUM)

    def step():
        loss = ta.softmax_cross_entropy(model(images, training=True), labels=labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def torch_eager(name):
    import torch_networks

    torch.set_num_threads(int(os.environ.get("OPENBLAS_NUM_THREADS", os.cpu_count())))
    model, images, labels = problem(name)
    options = {"batch_norm": True} if name == "vgg16" else {}
    network = torch_networks.with_arrays(
        lambda: getattr(torch_networks, name)(**options), model.arrays()
    ).train()
    for layer in network.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    images, labels = torch.from_numpy(images), torch.from_numpy(labels)
    optimizer = torch.optim.SGD(network.parameters(), RATE, momentum=MOMENTUM)

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def logits(model, x, weights, words):
    """What the layers say, in a peer's words: functions by the name of the layer's class."""
    for name, layer in vars(model).items():
        if isinstance(layer, ta.Module) and not isinstance(layer, PASSED_OVER):
            mine = [weights[f"{name}.{part}"] for part in PARTS.get(type(layer), ())]
            x = words[type(layer)](x, layer, *mine)
    return x


PARTS = {
    ta.Linear: ("weight", "bias"),
    ta.Conv2d: ("weight", "bias"),
    ta.BatchNorm2d: ("scale", "shift"),
}


def jax_jit(name):
    import jax
    import jax.numpy as jnp

    def convolution(x, layer, weight, bias):
        padding = [(layer.padding, layer.padding)] * 2
        return jax.lax.conv_general_dilated(x, weight, (1, 1), padding) + bias[:, None, None]

    def pool(x, layer):
        window = (1, 1, layer.kernel, layer.kernel)
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")

    def norm(x, layer, scale, shift):
        centred = x - x.mean((0, 2, 3), keepdims=True)
        spread = jnp.sqrt((centred**2).mean((0, 2, 3), keepdims=True) + layer.epsilon)
        return scale[:, None, None] * centred / spread + shift[:, None, None]

    words = {
        ta.Flatten: lambda x, layer: x.reshape(len(x), -1),
        ta.ReLU: lambda x, layer: jax.nn.relu(x),
        ta.Linear: lambda x, layer, weight, bias: x @ weight.T + bias,
        ta.Conv2d: convolution,
        ta.MaxPool2d: pool,
        ta.BatchNorm2d: norm,
    }
    model, images, labels = problem(name)

    def loss_of(weights):
        scores = jax.nn.log_softmax(logits(model, images, weights, words))
        return -scores[jnp.arange(len(labels)), labels].mean()

    @jax.jit
    def update(weights, velocity):
        loss, gradients = jax.value_and_grad(loss_of)(weights)
        velocity = {k: MOMENTUM * velocity[k] + gradients[k] for k in weights}
        return loss, {k: weights[k] - RATE * velocity[k] for k in weights}, velocity

    state = [{k: jnp.asarray(p.data) for k, p in model.named_parameters()}]
    state.append({k: jnp.zeros_like(p) for k, p in state[0].items()})

    def step():
        loss, *state[:] = update(*state)
        jax.block_until_ready(state)
        return float(loss)

    return step


def mygrad_step(name):
    import mygrad
    from mygrad.nnet.activations import relu
    from mygrad.nnet.layers import batchnorm, conv_nd, max_pool
    from mygrad.nnet.losses import softmax_crossentropy

    words = {
        ta.Flatten: lambda x, layer: x.reshape(len(x), -1),
        ta.ReLU: lambda x, layer: relu(x),
        ta.Linear: lambda x, layer, weight, bias: x @ weight.T + bias,
        ta.Conv2d: lambda x, layer, weight, bias: (
            conv_nd(x, weight, stride=1, padding=layer.padding) + bias.reshape(1, -1, 1, 1)
        ),
        ta.MaxPool2d: lambda x, layer: max_pool(x, (layer.kernel,) * 2, layer.kernel),
        ta.BatchNorm2d: lambda x, layer, scale, shift: batchnorm(
            x, gamma=scale, beta=shift, eps=layer.epsilon
        ),
    }
    model, images, labels = problem(name)
    weights = {k: mygrad.tensor(p.data) for k, p in model.named_parameters()}
    velocity = {k: np.zeros_like(p.data) for k, p in model.named_parameters()}

    def step():
        loss = softmax_crossentropy(logits(model, images, weights, words), labels)
        loss.backward()
        for name, weight in weights.items():
            follow(weight.data, velocity[name], weight.grad)
        return float(loss)

    return step


def autograd_step(name):
    import autograd
    import autograd.numpy as anp

    words = {
        ta.Flatten: lambda x, layer: x.reshape(len(x), -1),
        ta.ReLU: lambda x, layer: anp.maximum(x, 0),
        ta.Linear: lambda x, layer, weight, bias: anp.dot(x, weight.T) + bias,
    }
    model, images, labels = problem(name)

    def loss_of(weights):
        z = logits(model, images, weights, words)
        z = z - anp.max(z, axis=1, keepdims=True)
        scores = z - anp.log(anp.sum(anp.exp(z), axis=1, keepdims=True))
        return -anp.mean(scores[np.arange(len(labels)), labels])

    weights = {k: p.data.copy() for k, p in model.named_parameters()}
    velocity = {k: np.zeros_like(p) for k, p in weights.items()}
    value_and_gradient = autograd.value_and_grad(loss_of)

    def step():
        loss, gradients = value_and_gradient(weights)
        for name, weight in weights.items():
            follow(weight, velocity[name], gradients[name])
        return float(loss)

    return step


def follow(weight, velocity, gradient):
    """SGD, for the peers that have no optimiser."""
    velocity *= MOMENTUM
    velocity += gradient
    weight -= np.float32(RATE) * velocity


MAKERS = {"jax": jax_jit, "mygrad": mygrad_step, "autograd": autograd_step}


# --- the table -----------------------------------------------------------------------------------


def main(names):
    as_on_a_users_machine()
    there = [module for module in PEERS if peer(module) is not None]
    print("ms a step: median (quartiles); behind it the median ratio to torch, round by round\n")
    heads = ["network", "batch", "tinyadtn", "", "torch eager"]
    for module in there:
        heads += [NAMES[module], ""]
    widths = [8, 7, 20, 7, 20] + [22, 7] * len(there)
    print_row(heads, widths)
    for name in names or BATCH:
        sides = {"ours": ours(name), "torch": torch and torch_eager(name)}
        for module in there:
            sides[module] = MAKERS[module](name) if name in PEERS[module] else None
        require_equal_losses(name, sides)
        seconds = rounds(sides, seconds=20 if name == "vgg16" else 8)
        reference = seconds["torch"] if torch else seconds["ours"]
        cells = [name, BATCH[name]]
        for side in sides:
            if side not in seconds:
                cells += ["–"] * (1 if side == "torch" else 2)
                continue
            cells.append(milliseconds(seconds[side]))
            if side != "torch":
                cells.append(ratio(seconds[side], reference))
        print_row(cells, widths)


def require_equal_losses(name, sides):
    losses = {side: [step() for _ in range(3)] for side, step in sides.items() if step is not None}
    for side, values in losses.items():
        error = np.abs(np.subtract(values, losses["ours"])).max() / losses["ours"][0]
        assert error < 1e-3, f"{name}: {side} differs, {losses}"


if __name__ == "__main__":
    main(sys.argv[1:])
