"""Variants of an ADTN that the library does not offer: fc1_variants.toml, fc1_activations.toml.

Each is a small subclass of an encoding that changes one thing. The studies name it as
"variants:NAME". None of them stores more parameters.
"""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np

import tinyadtn as ta
from tinyadtn.encodings.recipe import encoding_for
from tinyadtn.nn.surgery import with_changed
from tinyadtn.tensor_networks.gates import apply_gate, product_state


class LayerRates(ta.ADTN):
    """A learning rate per TN layer: that of layer m is ``factor`` times that of layer m - 1.

    A normalized ADTN uses A/‖A‖, so a gate that is 1/f times as long is the same gate. But Adam's
    steps, which have a fixed length, then turn it f times as far.
    """

    def __init__(self, shape, depth=2, factor=1.0, *, axes=None, rng=None):
        super().__init__(shape, depth, axes=axes, rng=rng)
        if rng is not None:
            for column, gates in zip(self.wall, self.columns):
                gates.data *= gates.dtype.type(factor ** (1 - column.layer))
            multiply_scale(self, factor ** (depth - 1))  # the norm of the last gate is in W


class Between(ta.ADTN):
    """Something else between the TN layers, where an ADTN has T ← L σ(T).

    - "skip", a residual connection: T ← T + L σ(T).
    - "centered", a normalization: T ← L σ(T - mean(T)). A division by the norm as well would change
      nothing, because σ = relu passes factors through, and the ADTN divides by the rms at the end.
    - "nothing": T ← L σ(T), to test this class.
    """

    def __init__(self, shape, depth=2, between="skip", *, axes=None, rng=None):
        self.between = between
        super().__init__(shape, depth, axes=axes, rng=rng)

    def contract(self):
        dims = self.sites.wall_dims
        state = product_state(dims)
        columns = zip(self.wall, self.gates())
        for layer, own in itertools.groupby(columns, key=lambda pair: pair[0].layer):
            new = state if layer == 1 else self._activated(state)
            for column, gates in own:
                for k, pair in enumerate(column.pairs):
                    new = apply_gate(new, gates[k], pair, dims)
            state = state + new if self.between == "skip" and layer > 1 else new
        return state

    def _activated(self, state):
        return ta.relu(state - state.mean() if self.between == "centered" else state)


class Averaged(ta.Encoding):
    """Weight averaging: evaluation uses the running mean of the parameters over the steps.

    ``of`` is the encoding. While ops are recorded, ``decode`` uses the parameters themselves and
    updates the mean, mean ← decay·mean + (1 - decay)·p.
    """

    takes_axes = True
    config = None

    def __init__(self, shape, of, decay=0.98, *, axes=None, rng=None):
        self.of = encoding_for(of, shape, axes, rng)
        self.shape, self.decay, self.means = self.of.shape, decay, {}

    @property
    def label(self):
        return f"{self.of.label}, averaged"

    def decode(self):
        weight = self.of.decode()
        if weight.requires_grad:
            for name, p in self.of.named_parameters():
                mean = self.means.get(name, p.data)
                self.means[name] = self.decay * mean + (1 - self.decay) * p.data
            return weight
        names = {id(p): name for name, p in self.of.named_parameters()}
        mean = with_changed(self.of, lambda t: ta.Tensor(self.means.get(names.get(id(t)), t.data)))
        return mean.decode()

    def counts(self):
        return self.of.counts()

    def peak_bytes(self):
        return self.of.peak_bytes()


class Fitted(ta.ADTN):
    """An ADTN whose ``fit`` looks at the activations W·x, or gives W the norm of the target.

    With ``metric = "activations"`` it minimizes Σ_x ‖(W - W₀)x‖², summed over training images: the
    distance of W·R and W₀·R, where R·Rᵀ = Σ_x x·xᵀ / n. A pixel that is always black costs nothing.
    With "differences" the mean image is subtracted from each x, because the bias can replace the
    response to it. With ``rescale``, W gets the norm of W₀ afterwards; the closest W is
    shorter.
    """

    def __init__(self, shape, depth=2, metric="activations", rescale=False, *, axes=None, rng=None):
        self.metric, self.rescale = metric, rescale
        super().__init__(shape, depth, axes=axes, rng=rng)

    def fit(self, target, *, steps=300, learning_rate=0.05):
        if self.metric == "weights":
            errors = super().fit(
                target, steps=steps, learning_rate=learning_rate, show_progress=False
            )
        else:
            errors = self._fit_activations(target, steps, learning_rate)
        if self.rescale:  # the closest W has the norm cos·‖W₀‖, and the error is √(1 - cos²)
            multiply_scale(self, 1 / math.sqrt(1 - errors[-1] ** 2))
        return errors

    def _fit_activations(self, target, steps, learning_rate):
        """Variable projection as in ``ADTN.fit``: maximize cos² of W·R and W₀·R, then scale."""
        root = square_root_of_moments(centered=self.metric == "differences")
        goal = target @ root
        norm = float(np.linalg.norm(goal))
        optimizer = ta.Adam(self.parameters(), clip=1.0)
        schedule = ta.OneCycle(learning_rate, steps)
        errors = []
        for step in range(steps + 1):
            seen = self.decode() @ root
            overlap, square = (seen * (goal / norm)).sum(), (seen * seen).sum()
            loss = 1 - overlap * overlap / square
            errors.append(math.sqrt(max(loss.item(), 0.0)))
            if step < steps:
                loss.backward()
                optimizer.step(schedule(step))
                optimizer.zero_grad()
        multiply_scale(self, norm * overlap.item() / square.item())
        return errors


@functools.cache
def square_root_of_moments(centered):
    """R (784, 784) with R·Rᵀ = Σ_x x·xᵀ / n over the bundled training images."""
    images = ta.load_data("mnist-5k").train.images
    x = images.reshape(len(images), -1)
    x = x - x.mean(axis=0) if centered else x
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    return vectors * np.sqrt(np.maximum(values, 0))


def multiply_scale(weight, factor):
    weight.scale = ta.Tensor(weight.scale.data * weight.scale.dtype.type(factor))
