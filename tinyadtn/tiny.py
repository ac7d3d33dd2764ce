"""The whole idea on one page: a tensor network with 436 parameters encodes 200,704 weights.

The library is this page, made careful and fast. ``python -m tinyadtn.tiny`` trains FC-2, a network
784-256-10, on 3,500 digits: first with a dense weight in fc1, its first layer, then with an ADTN
(automatically differentiable tensor network, arXiv 2305.06058), gate by gate: simple, and slow.
"""

import time

import numpy as np


class Tensor:
    """An array, and the tensors x it was computed from, each with a VJP: dL/d(self) -> dL/dx."""

    def __init__(self, data, requires_grad=False, sources=()):
        self.data, self.grad = np.asarray(data, dtype=np.float32), None
        self.requires_grad, self.sources = requires_grad or len(sources) > 0, sources
        self.order = 1 + max((x.order for x, _ in sources), default=0)  # above all its sources

    def backward(self):
        """Add dL/dx to ``x.grad`` for every tensor x that this one, the loss L, depends on."""
        cotangents = {self: np.ones_like(self.data)}  # dL/dL = 1
        while cotangents:
            tensor = max(cotangents, key=lambda tensor: tensor.order)
            g = cotangents.pop(tensor)  # complete: every tensor computed from it is above it
            tensor.grad = g if tensor.grad is None else tensor.grad + g
            for x, vjp in tensor.sources:
                cotangents[x] = cotangents.get(x, 0) + unbroadcast(vjp(g), x.data.shape)


def unbroadcast(g, shape):
    """Sum over the axes that NumPy added or stretched: the adjoint of broadcasting."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    return g.sum(axis=tuple(k for k, n in enumerate(shape) if n == 1), keepdims=True)


def op(function):  # from arrays to a value and one VJP for each array
    def apply(*inputs, **options):
        inputs = [x if isinstance(x, Tensor) else Tensor(x) for x in inputs]
        value, *vjps = function(*(x.data for x in inputs), **options)
        return Tensor(value, sources=[(x, vjp) for x, vjp in zip(inputs, vjps) if x.requires_grad])

    return apply


add = Tensor.__add__ = op(lambda a, b: (a + b, lambda g: g, lambda g: g))
multiply = Tensor.__mul__ = op(lambda a, b: (a * b, lambda g: g * b, lambda g: g * a))
relu = op(lambda a: (np.maximum(a, 0), lambda g: g * (a > 0)))
reshape = op(lambda a, shape: (a.reshape(shape), lambda g: g.reshape(a.shape)))


@op
def getitem(a, index):
    places = np.arange(a.size).reshape(a.shape)[index].ravel()  # the places of a[index] in a
    return a[index], lambda g: np.float32(np.bincount(places, g.ravel(), a.size)).reshape(a.shape)


@op
def contract(a, b, pattern):
    """Multiply, and sum over every letter that is not in the result: "ni,oi->no" is a @ b.T."""
    x, y, z = pattern.replace("->", ",").split(",")
    return (
        np.einsum(pattern, a, b, optimize=True),
        lambda g: np.einsum(f"{z},{y}->{x}", g, b, optimize=True),  # operand and result have
        lambda g: np.einsum(f"{x},{z}->{y}", a, g, optimize=True),  # exchanged their letters
    )


@op
def softmax_cross_entropy(logits, labels):
    """L = mean of -ln p[n, labels[n]] over n, where p[n] = e^logits[n] / Σ e^logits[n]."""
    log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    y = np.eye(logits.shape[1], dtype=np.float32)[labels]  # one-hot
    return -(y * log_p).sum() / len(y), lambda g: g * (np.exp(log_p) - y) / len(y)


class ADTN:
    """W = scale · T[index], T = L_M relu(… relu(L_1 |0…0⟩)), M = ``depth``. W is (o, h·w).

    T has one axis of length 2 for each of Q sites: the bits of an output, a row and a column of
    the image. A layer L is two columns of gates, 4x4 matrices that act on neighboring sites.
    """

    def __init__(self, outputs, height, width, depth, rng):
        o, h, w = ((n - 1).bit_length() for n in (outputs, height, width))  # padded to 2^o, …
        self.num_sites = q = o + h + w
        inputs = [*reversed(range(h)), *range(h, h + w)]  # coarse bits meet in the middle
        turns = [(k + 0.5) / len(axis) for axis in (range(o), inputs) for k in axis]
        order = np.argsort(turns, kind="stable")  # outputs and inputs take turns
        place = np.moveaxis(np.arange(2**q).reshape([2] * q), range(q), order)
        self.index = place.reshape(2**o, 2**h, 2**w)[:outputs, :height, :width].reshape(outputs, -1)
        gates = [np.linalg.qr(rng.normal(size=(n, 4, 4))).Q for n in [q // 2, (q - 1) // 2] * depth]
        gates[0] = gates[0][:, :, 0].reshape(-1, 2, 2)  # only this column of a gate acts on |00⟩
        self.columns = [Tensor(array, requires_grad=True) for array in gates]
        self.scale = 1.0
        self.scale = np.sqrt(2 / (height * width)) / self.decode().data.std()

    def decode(self):
        """Contract the gates, column by column, and return W."""
        state = Tensor(np.eye(1, 1 + self.num_sites % 2))  # |0⟩ of a last site that has no partner
        for k, gates in enumerate(self.columns):
            state = state if k % 2 else relu(state)  # between two layers; relu leaves |0⟩ unchanged
            for n, i in enumerate(range(k % 2, self.num_sites - 1, 2)):
                gate = reshape(getitem(gates, index=n), shape=(4, -1))  # (4, 4); the first (4, 1)
                pair = reshape(state, shape=(2**i, gate.data.shape[1], -1))  # sites i, i + 1 inside
                state = contract(pair, gate, pattern="aqb,pq->apb")
        return getitem(reshape(state, shape=-1), index=self.index) * self.scale


def fc2(x, weight1, bias1, weight2, bias2):
    """Return the logits of FC-2: relu(x W1ᵀ + b1) W2ᵀ + b2."""
    hidden = relu(contract(x.reshape(-1, 784), weight1, pattern="ni,oi->no") + bias1)
    return contract(hidden, weight2, pattern="ni,oi->no") + bias2


def adam(parameters, memory, count, learning_rate):
    """Take one step against the running mean of the gradients, each divided by its usual size."""
    for p, (mean, square) in zip(parameters, memory):
        mean += 0.1 * (p.grad - mean)
        square += 0.001 * (p.grad**2 - square)
        step = mean / (1 - 0.9**count) / (np.sqrt(square / (1 - 0.999**count)) + 1e-8)
        p.data, p.grad = p.data - learning_rate * step, None


def main(data, steps=240, seed=0, decay=1, lr=2e-2):
    rng = np.random.default_rng(seed)
    dense = Tensor(rng.normal(0, np.sqrt(2 / 784), (256, 784)), requires_grad=True)
    adtn = ADTN(256, 28, 28, depth=2, rng=rng)
    cases = ("dense", lambda: dense, [dense], 2e-3), ("ADTN", adtn.decode, adtn.columns, lr)
    for name, decode, columns, learning_rate in cases:
        print(f"{name:5} trains for {steps} steps …")
        arrays = np.zeros(256), rng.normal(0, np.sqrt(2 / 256), (10, 256)), np.zeros(10)
        others = [Tensor(array, requires_grad=True) for array in arrays]
        parameters, start = [*columns, *others], time.perf_counter()
        memory = [np.zeros((2, *p.data.shape), np.float32) for p in parameters]
        for count in range(1, steps + 1):
            batch = rng.choice(len(data.train), size=128)
            logits = fc2(data.train.images[batch], decode(), *others)
            softmax_cross_entropy(logits, labels=data.train.labels[batch]).backward()
            adam(parameters, memory, count, learning_rate * (1 - decay * count / steps))
        hits = fc2(data.test.images, decode(), *others).data.argmax(axis=1) == data.test.labels
        size, seconds = sum(p.data.size for p in columns), time.perf_counter() - start
        print(f"{name:5} fc1 {size:7,} parameters, accuracy {hits.mean():.1%}, {seconds:.1f} s")


if __name__ == "__main__":
    from tinyadtn import load_data

    main(load_data("mnist-5k"))
