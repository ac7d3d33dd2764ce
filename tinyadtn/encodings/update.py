"""A frozen dense weight plus a trained encoding: an additive update with few parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autodiff.engine import Tensor
from ..nn.parameters import Seed, he_std, parameter
from ..tensor_networks.sites import Axes
from .encoding import Cost, Counts, Encoding, check_size
from .fit import checked_target, relative_error
from .recipe import Inner, encoding_for


class Update(Encoding):
    """W = W₀ + gain · U: a dense W₀ that is not trained, and an encoding U that is.

    ``of`` makes U: a recipe such as ``LowRank.like(4)``, a depth of an ADTN, or an encoding; the
    default is an ADTN of depth 1. ``gain`` is one trained parameter. It is 0 at first, so that
    W = W₀. ``fit`` copies the given weight to W₀ and resets the gain. So after
    ``ta.fit(small, model)`` the network computes what ``model`` does, and training changes it
    through few parameters.
    W₀ counts as stored, so this saves no memory: it saves trained parameters (for many tasks with
    one W₀). Without ``fit``, W₀ is random, N(0, 2/fan_in).
    Source of the idea: Hu et al., "LoRA", arXiv 2106.09685; of the gain: De and Smith, arXiv
    2002.10444.

    >>> weight = Update((256, 784), of=2, rng=0)
    >>> weight.num_parameters, weight.counts().stored  # 436 + 1, and 256·784 more
    (437, 201141)
    """

    takes_axes = True
    base: Tensor
    of: Encoding
    gain: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        *,
        of: Inner = None,
        axes: Axes = None,
        rng: Seed = None,
    ):
        generator = None if rng is None else np.random.default_rng(rng)
        self.of = encoding_for(1 if of is None else of, shape, axes, generator)
        self.shape = self.of.shape
        check_size(self)
        self.base = parameter(self.shape, he_std(self.shape), generator).detach()
        self.gain = parameter((1,), 0.0, generator)
        self.describe("Update", of=self.of.config)

    @property
    def label(self) -> str:
        """The name in reports."""
        return f"dense + {self.of.label}"

    def decode(self) -> Tensor:
        """Return W₀ + gain · U."""
        return self.base + self.gain * self.of.decode()

    def counts(self) -> Counts:
        """Count W₀, the parameters of U, and the gain."""
        inner, n = self.of.counts(), math.prod(self.shape)
        return Counts(
            dense=n,
            padded=inner.padded,
            stored=n + inner.stored + 1,
            live=n + inner.live + 1,
            full_gates=n + inner.full_gates + 1,
            stored_bytes=4 * (n + 1) + inner.stored_bytes,
        )

    def cost(self) -> Cost:
        """Count the multiply-adds to decode U and to add it."""
        return Cost(self.of.cost().decode + math.prod(self.shape), None)

    def peak_bytes(self) -> int:
        """Estimate the bytes for U, W₀ and W."""
        return self.of.peak_bytes() + 4 * math.prod(self.shape) + super().peak_bytes()

    def fit(self, target: Any) -> list[float]:
        """Copy the target to W₀ and set the gain to 0. Return a list with one relative error."""
        found, _ = checked_target(self, target)
        self.load_arrays({**self.arrays(), "base": found, "gain": np.zeros(1)})
        return [relative_error(self, target)]
