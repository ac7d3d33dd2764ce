"""The other encodings in torch: modules that decode the same weight.

Each has the tensors of our encoding under the same names. ``forward`` returns the weight, as
``decode`` does; there are no fast paths here. The formulas are explained in ``encodings``.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from ..encodings.adtn import ADTN
from ..encodings.dense import Dense
from ..encodings.frozen import Frozen
from ..encodings.joint import SharedWeight
from ..encodings.low_rank import LowRank
from ..encodings.mixt import MixT
from ..encodings.pruned import Pruned
from ..encodings.quantized import HALF, LARGEST, Quantized
from ..encodings.tensor_train import TensorTrain
from ..encodings.tucker import Tucker
from ..encodings.update import Update
from ..limits import require_memory
from .torch_adtn import ADTNWeight
from .torch_part import Part, counterpart


class LowRankWeight(Part):
    """W[o,i] = Σ_r left[o,r] · right[r,i]."""

    tensors = ("left", "right")
    options = ("shape",)

    def forward(self) -> torch.Tensor:
        return (self.left @ self.right).reshape(self.shape)


class TensorTrainWeight(Part):
    """W[o₁…oₙ, i₁…iₙ] = core₁[o₁,i₁] ⋯ coreₙ[oₙ,iₙ], contracted from left to right."""

    tensors = ("cores",)
    options = ("shape",)

    def forward(self) -> torch.Tensor:
        weight = self.cores[0][0]  # (rows, columns, bond) so far
        for core in list(self.cores)[1:]:
            weight = torch.einsum("abr,roid->aobid", weight, core)
            weight = weight.flatten(0, 1).flatten(1, 2)
        return weight.reshape(self.shape)


class TuckerWeight(Part):
    """W[o,c,p,q] = Σ_ab out[o,a] · core[a,b,p,q] · in[c,b]."""

    tensors = ("out_factor", "core", "in_factor")

    def forward(self) -> torch.Tensor:
        return torch.einsum("oa,ab...,cb->oc...", self.out_factor, self.core, self.in_factor)


class MixTWeight(Part):
    """W[rows[r,p], columns[r,q]] = (1/N) Σ_gates gate[p,q]."""

    tensors = ("gates",)
    options = ("shape", "windows")

    def forward(self) -> torch.Tensor:
        weight = self.gates[0].new_zeros(self.shape[0], math.prod(self.shape[1:]))
        for gate, (rows, columns) in zip(self.gates, self.windows):
            place = [
                torch.tensor(rows, device=gate.device)[:, :, None],
                torch.tensor(columns, device=gate.device)[:, None, :],
            ]
            share = (gate / len(self.gates)).expand(len(rows), *gate.shape)
            weight = weight.index_put(place, share, accumulate=True)
        return weight.reshape(self.shape)


class ValuesWeight(Part):
    """W itself: ``Dense``, or ``Frozen``, which is a buffer."""

    tensors = ("values",)

    def forward(self) -> torch.Tensor:
        return self.values


class PrunedWeight(Part):
    """W[place_k] = value_k, and 0 elsewhere. The places are indices, or one bit per entry."""

    tensors = ("values", "places")
    options = ("shape", "is_mask")

    def forward(self) -> torch.Tensor:
        count = math.prod(self.shape)
        index = self.places.long()
        if self.is_mask:  # bytes, most significant bit first
            bits = index[:, None] >> torch.arange(7, -1, -1, device=index.device) & 1
            index = bits.flatten()[:count].nonzero().flatten()
        return self.values.new_zeros(count).index_put([index], self.values).reshape(self.shape)


class QuantizedWeight(Part):
    """The weight of the encoding inside, from rounded parameters; see ``encodings.quantized``."""

    options = ("bits",)

    def __init__(self, ours: Quantized, made: dict[int, Any]):
        super().__init__(ours, made)
        self.of = decoder(ours.of, made)

    def forward(self) -> torch.Tensor:
        inside = [*self.of.named_parameters(), *self.of.named_buffers()]
        rounded = {
            name: self.rounded(x) if x.numel() > 1 and x.is_floating_point() else x
            for name, x in inside
        }
        return torch.func.functional_call(self.of, rounded, ())

    def rounded(self, x: torch.Tensor) -> torch.Tensor:
        """Return x as it is stored; the gradient is that of y = x."""
        if self.bits == HALF:
            stored = x.clamp(-LARGEST, LARGEST).half().to(x)
        else:
            step = x.abs().max() / (2 ** (self.bits - 1) - 1)
            stored = torch.where(step > 0, (x / step).round() * step, x)
        return x + (stored - x).detach()


class UpdateWeight(Part):
    """W = W₀ + gain · U, with a dense W₀ that is not trained."""

    tensors = ("base", "gain")

    def __init__(self, ours: Update, made: dict[int, Any]):
        super().__init__(ours, made)
        self.of = decoder(ours.of, made)

    def forward(self) -> torch.Tensor:
        return self.base + self.gain * self.of()


class SharedPart(Part):
    """One layer's part of an encoding of several layers: W = gain · whole[first:last]."""

    options = ("shape", "gain")

    def __init__(self, ours: SharedWeight, made: dict[int, Any]):
        super().__init__(ours, made)
        self.whole = decoder(ours.whole, made)
        entry = math.prod(ours.whole.shape[1:])  # elements at one index of the first axis
        lengths = [math.prod(shape) // entry for shape in ours.layers.values()]
        self.first = sum(lengths[: ours.index])
        self.last = self.first + lengths[ours.index]

    def forward(self) -> torch.Tensor:
        return self.whole()[self.first : self.last].reshape(self.shape) * self.gain


DECODERS: dict[type, Any] = {
    ADTN: ADTNWeight,
    LowRank: LowRankWeight,
    TensorTrain: TensorTrainWeight,
    Tucker: TuckerWeight,
    MixT: MixTWeight,
    Dense: ValuesWeight,
    Frozen: ValuesWeight,
    Pruned: PrunedWeight,
    Quantized: QuantizedWeight,
    Update: UpdateWeight,
    SharedWeight: SharedPart,
}


def decoder(weight: Any, made: dict[int, Any]) -> nn.Module:
    """Return the module that decodes the weight of an encoding."""
    if not weight.fits():
        require_memory(
            f"a weight of shape {weight.shape}, which torch forms,",
            weight.peak_bytes(),
            "use a smaller layer",
        )
    advice = "decode it first, ta.to_torch(ta.decompress(model))"
    return counterpart(DECODERS, weight, made, advice)
