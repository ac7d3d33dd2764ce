"""A weight as a mean of small dense gates, each on a window of modes: a Tensor Mixture (MixT).

    o₁ o₂ o₃ o₄       o₁ o₂ o₃ o₄
    │  │  │  │        │  │  │  │
    ┌──┴┐ │  │        │ ┌┴──┐ │
    │ G₁│ │  │    +   │ │G₂ │ │   + …      here a window has two of the four modes
    └──┬┘ │  │        │ └┬──┘ │
    │  │  │  │        │  │  │  │
    i₁ i₂ i₃ i₄       i₁ i₂ i₃ i₄

There is no depth and no activation inside. A layer sends its input through each gate, so W is never
formed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autodiff.arrays import Array, array_module
from ..autodiff.engine import Tensor, op
from ..checks import to_builtin
from ..errors import ShapeError
from ..limits import require_memory
from ..nn.parameters import Seed, parameter
from ..tensor_networks.sites import Axes
from .encoding import Cost, Encoding, check_size, checked_shape
from .factored import match_std
from .fit import checked_target
from .tensor_train import Modes, checked_modes

Window = tuple[np.ndarray, np.ndarray]  # (rest, gate's outputs) and (rest, gate's inputs) of W


class MixT(Encoding):
    """W = (1/N) Σ_k I ⊗ … ⊗ G_k ⊗ … ⊗ I: N dense gates on windows of neighboring modes.

    ``modes`` is ((o₁, …, oₙ), (i₁, …, iₙ)), or None, as for ``TensorTrain``. Gate k acts on
    ``width`` modes from mode k on, N = n - width + 1, and every other mode passes unchanged. Where
    o_j and i_j differ, I is the rectangular identity: the surplus inputs are dropped, the surplus
    outputs are 0. The stored parameters are Σ_k (o_k … o_{k+width-1}) · (i_k … i_{k+width-1}).
    ``fit`` is linear least squares, one gate after the other until the error stays the same.
    Raises ShapeError for modes that do not multiply to the shape, or a width that is not 1 to n.
    Source: Lu, Zhou, Fang, Zhang, Ran, Su, arXiv 2605.25344, of which we know the summary: local
    tensor branches on reshaped inputs, and the mean of their outputs. The windows and the
    rectangular identity are our reading.

    >>> weight = MixT((256, 784), ((4, 4, 4, 4), (4, 7, 7, 4)), 2, rng=0)
    >>> weight.num_parameters, [gate.shape for gate in weight.gates]
    (1680, [(16, 28), (16, 49), (16, 28)])
    """

    gates: list[Tensor]

    def __init__(
        self,
        shape: Sequence[int],
        modes: Modes | None = None,
        width: int = 2,
        *,
        axes: Axes = None,
        rng: Seed = None,
    ):
        self.shape = checked_shape("MixT", shape, 2)
        self.modes, self.width = checked_modes(self.shape, modes), to_builtin(width)
        n = len(self.modes[0])
        if type(self.width) is not int or not 1 <= self.width <= n:
            raise ShapeError(f"a window of {n} modes has a width from 1 to {n}, got {width!r}")
        self.describe("MixT", modes=[list(row) for row in self.modes], width=self.width)
        ends = range(self.width, n + 1)
        outs, ins = ([math.prod(row[e - self.width : e]) for e in ends] for row in self.modes)
        vectors = self.shape[0] + math.prod(self.shape[1:])
        require_memory(
            f"a weight of shape {self.shape} as {self.label}; to train it",
            4 * 4 * sum(o * i for o, i in zip(outs, ins)) + 8 * len(ends) * vectors,
            "use a smaller weight or narrower windows",
        )
        generator = None if rng is None else np.random.default_rng(rng)
        self.gates = [parameter(gate, 1.0, generator) for gate in zip(outs, ins)]
        if generator is not None:
            places = self.cost().decode / math.prod(self.shape)
            match_std(self, self.gates, 1, lambda: math.sqrt(places) / len(self.gates))

    @property
    def label(self) -> str:
        """The name in reports, with the width of the windows."""
        return f"MixT w={self.width}"

    @property
    def windows(self) -> list[Window]:
        """For each gate, the outputs and inputs of W that it connects."""
        return _windows(self.modes, self.width)

    def decode(self) -> Tensor:
        """Return the weight: every gate added at its places. SizeLimitError if it does not fit."""
        check_size(self)
        matrix = (self.shape[0], math.prod(self.shape[1:]))
        return _formed(*self.gates, windows=self.windows, shape=matrix).reshape(self.shape)

    def linear(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """y[n,o] = Σ_i x[n,i] · W[o,i] + bias[o], through each gate."""
        y = _mixed(x, *self.gates, windows=self.windows, outputs=self.shape[0])
        return y if bias is None else y + bias

    def cost(self) -> Cost:
        """Count the multiply-adds: one for each entry of each gate at each of its places."""
        count = sum(rows.size * columns.shape[1] for rows, columns in self.windows)
        return Cost(count, count)

    def linear_multiply_adds(self) -> int:
        """Count the multiply-adds per input vector."""
        return self.cost().decode

    def fit(self, target: Any) -> list[float]:
        """Bring W close to the target: the best gate for what the others leave, again and again.

        Returns one relative error per round. W is linear in all gates together, so the error falls
        to the smallest possible one.
        """
        target, norm = checked_target(self, target)
        rest = np.array(target, np.float64).reshape(self.shape[0], -1)
        count, errors = len(self.gates), [math.inf]
        gates = [np.zeros(gate.shape) for gate in self.gates]
        while len(errors) < 100:
            for gate, (rows, columns) in zip(gates, self.windows):
                places = rows[:, :, None], columns[:, None, :]
                change = rest[places].mean(axis=0)  # the best one, because no place occurs twice
                gate += change
                rest[places] -= change
            errors.append(float(np.linalg.norm(rest)) / norm)
            if errors[-1] > (1 - 1e-6) * errors[-2]:
                break
        fitted = [(count * gate).astype(old.dtype) for gate, old in zip(gates, self.gates)]
        self.load_arrays({name: gate for (name, _), gate in zip(self.named_tensors(), fitted)})
        return errors[1:]


@functools.lru_cache(maxsize=64)
def _windows(modes: tuple[tuple[int, ...], ...], width: int) -> list[Window]:
    """Return the places of each gate, whose modes come last: (rest, all modes of the window)."""
    windows, n = [], len(modes[0])
    common = [slice(min(pair)) for pair in zip(*modes)]
    for first in range(n - width + 1):
        inside = range(first, first + width)
        outside = [k for k in range(n) if k not in inside]
        cut = tuple(slice(None) if k in inside else common[k] for k in range(n))
        rest = math.prod(common[k].stop for k in outside)
        windows.append(
            tuple(
                np.arange(math.prod(row))
                .reshape(row)[cut]
                .transpose(*outside, *inside)
                .reshape(rest, -1)
                for row in modes
            )
        )
    return windows


@op(joint=True)
def _mixed(x: Array, *gates: Array, windows: Sequence[Window], outputs: int) -> Any:
    """y[n,rows[r,p]] = (1/N) Σ_gates Σ_q gate[p,q] · x[n,columns[r,q]]."""
    xp, count = array_module(x), len(gates)
    places = [(xp.asarray(rows), xp.asarray(columns)) for rows, columns in windows]
    y = xp.zeros((len(x), outputs), xp.result_type(x, *gates))
    for gate, (rows, columns) in zip(gates, places):
        y[:, rows] += x[:, columns] @ (gate.T / count)

    def backward(g: Array) -> list[Any]:
        share, grads = xp.zeros_like(x), []
        for gate, (rows, columns) in zip(gates, places):
            part = g[:, rows] / count
            share[:, columns] += part @ gate
            seen = x[:, columns].reshape(-1, gate.shape[1])
            grads.append(part.reshape(-1, gate.shape[0]).T @ seen)
        return [share, *grads]

    return y, backward


@op(joint=True)
def _formed(*gates: Array, windows: Sequence[Window], shape: tuple[int, int]) -> Any:
    """W[rows[r,p],columns[r,q]] = (1/N) Σ_gates gate[p,q]."""
    xp, count = array_module(gates[0]), len(gates)
    places = [(xp.asarray(r)[:, :, None], xp.asarray(c)[:, None, :]) for r, c in windows]
    whole = xp.zeros(shape, gates[0].dtype)
    for gate, place in zip(gates, places):
        whole[place] += gate / count
    return whole, lambda g: [g[place].sum(axis=0) / count for place in places]
