"""Weights in torch: parameters, and modules that decode the same weight as our encodings.

Each module has the tensors of our encoding under the same names. ``forward`` returns the weight, as
``decode`` does; there are no fast paths here. The formulas are explained in ``encodings``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ..autodiff.engine import Tensor
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
from ..errors import TinyADTNError
from ..limits import require_memory


class Part(nn.Module):
    """The base class: a torch module with tensors of one of our modules.

    ``made`` maps the id of our tensors and modules to their copies. So what several layers share is
    copied once.
    """

    def hold(self, ours: Any, made: dict[int, Any], *names: str) -> None:
        """Copy attributes of our module: parameters, buffers, None, weights and lists of tensors.

        A parameter that is frozen becomes a buffer; in a list, a parameter without gradient.
        """
        for name in names:
            value = getattr(ours, name)
            if value is None:
                self.register_parameter(name, None)
            elif isinstance(value, list):
                self.add_module(name, nn.ParameterList(copied(tensor, made) for tensor in value))
            elif not isinstance(value, Tensor):
                self.add_module(name, decoder(value, made))
            elif value.requires_grad:
                self.register_parameter(name, copied(value, made))
            else:
                self.register_buffer(name, copied(value, made).data)


def copied(tensor: Tensor, made: dict[int, Any]) -> nn.Parameter:
    """Return a parameter with a copy of the values."""
    if id(tensor) not in made:
        array = tensor.numpy()
        if array.dtype.kind == "u" and array.dtype != np.uint8:  # indices, which torch cannot save
            array = array.astype(np.int64)
        value = torch.tensor(array)
        made[id(tensor)] = nn.Parameter(value, requires_grad=tensor.requires_grad)
    return made[id(tensor)]


def decoder(weight: Any, made: dict[int, Any]) -> nn.Module:
    """Return the module that decodes the weight of an encoding."""
    if type(weight) not in DECODERS:
        raise TinyADTNError(
            f"{type(weight).__name__} has no counterpart in torch; decode it first, "
            "ta.to_torch(ta.decompress(model))"
        )
    if not weight.fits():
        require_memory(
            f"a weight of shape {weight.shape}, which torch forms,",
            weight.peak_bytes(),
            "use a smaller layer",
        )
    if id(weight) not in made:
        made[id(weight)] = DECODERS[type(weight)](weight, made)
    return made[id(weight)]


# --- ADTN ----------------------------------------------------------------------------------------


class ADTNWeight(Part):
    """T = L_M σ(… L_2 σ(L_1 |0…0⟩)), one gate after the other, then cropped and scaled."""

    def __init__(self, ours: ADTN, made: dict[int, Any]):
        super().__init__()
        self.hold(ours, made, "columns", "scale")
        self.shape, self.normalized = ours.shape, ours.normalized
        self.wall, self.depth, self.site_dims = ours.wall, ours.depth, ours.sites.wall_dims
        self.activation = ours.activation
        index = None if ours.sites.index is None else torch.tensor(ours.sites.index)
        self.register_buffer("index", index, persistent=False)

    def forward(self) -> torch.Tensor:
        tensor = self.contract()
        if self.index is not None:
            tensor = tensor[self.index]
        tensor = tensor.reshape(self.shape)
        if not self.normalized:
            return tensor * self.scale
        amplitude = self.scale * self.columns[-1][-1].norm()  # scale · ‖A_G‖
        if self.depth == 1:
            return tensor * amplitude
        return (
            amplitude * math.sqrt(tensor.numel()) * unit(tensor.reshape(1, -1)).reshape(self.shape)
        )

    def gates(self) -> list[torch.Tensor]:
        """Return the gates as they act, one tensor per column: c·A/‖A‖ if normalized."""
        if not self.normalized:
            return list(self.columns)
        return [
            unit(gates) * (1.0 if column.fresh else math.sqrt(column.shape[-1]))
            for column, gates in zip(self.wall, self.columns)
        ]

    def contract(self) -> torch.Tensor:
        """Return T as a vector over all sites by position."""
        state = self.columns[0].new_zeros(math.prod(self.site_dims))
        state[0] = 1  # |0…0⟩
        layer = 1
        for column, gates in zip(self.wall, self.gates()):
            if column.layer > layer:  # σ after a TN layer, except the last
                state = ACTIVATIONS[self.activation](state)
                layer = column.layer
            for gate, pair in zip(gates, column.pairs):
                state = apply_gate(state, gate, pair, self.site_dims, column.fresh)
        return state


def apply_gate(
    state: torch.Tensor,
    gate: torch.Tensor,
    pair: tuple[int, int],
    site_dims: tuple[int, ...],
    fresh: bool,
) -> torch.Tensor:
    """new[…p…q…] = Σ_rs gate[pq, rs] · state[…r…s…], on the two sites of the pair.

    A fresh gate acts on |00⟩ and stores only its column r = s = 0.
    """
    i, j = sorted(pair)
    outside = (site_dims[:i], site_dims[i + 1 : j], site_dims[j + 1 :])
    before, between, after = map(math.prod, outside)
    view = state.reshape(before, site_dims[i], between, site_dims[j], after)
    dims = [site_dims[k] for k in pair]
    letters = ("pq", "rs") if pair == (i, j) else ("qp", "sr")
    if fresh:
        new = torch.einsum(f"{letters[0]},abc->apbqc", gate, view[:, 0, :, 0, :])
    else:
        matrix = gate.reshape(*dims, *dims)
        new = torch.einsum(f"{letters[0]}{letters[1]},arbsc->apbqc", matrix, view)
    return new.reshape(-1)


def unit(x: torch.Tensor) -> torch.Tensor:
    """x[k]/‖x[k]‖ for every k; 0 stays 0."""
    norms = x.flatten(1).norm(dim=1).reshape(-1, *[1] * (x.ndim - 1))
    return x / torch.where(norms == 0, math.inf, norms)


def _identity(x: torch.Tensor) -> torch.Tensor:
    return x


ACTIVATIONS: dict[str, Any] = {
    "relu": torch.relu,
    "leaky_relu": functional.leaky_relu,  # slope 0.01, as ours
    "tanh": torch.tanh,
    "identity": _identity,
}


# --- the other encodings -------------------------------------------------------------------------


class LowRankWeight(Part):
    """W[o,i] = Σ_r left[o,r] · right[r,i]."""

    def __init__(self, ours: LowRank, made: dict[int, Any]):
        super().__init__()
        self.hold(ours, made, "left", "right")
        self.shape = ours.shape

    def forward(self) -> torch.Tensor:
        return (self.left @ self.right).reshape(self.shape)


class TensorTrainWeight(Part):
    """W[o₁…oₙ, i₁…iₙ] = core₁[o₁,i₁] ⋯ coreₙ[oₙ,iₙ], contracted from left to right."""

    def __init__(self, ours: TensorTrain, made: dict[int, Any]):
        super().__init__()
        self.hold(ours, made, "cores")
        self.shape = ours.shape

    def forward(self) -> torch.Tensor:
        weight = self.cores[0][0]  # (rows, columns, bond) so far
        for core in list(self.cores)[1:]:
            weight = torch.einsum("abr,roid->aobid", weight, core)
            weight = weight.flatten(0, 1).flatten(1, 2)
        return weight.reshape(self.shape)


class TuckerWeight(Part):
    """W[o,c,p,q] = Σ_ab out[o,a] · core[a,b,p,q] · in[c,b]."""

    def __init__(self, ours: Tucker, made: dict[int, Any]):
        super().__init__()
        self.hold(ours, made, "out_factor", "core", "in_factor")

    def forward(self) -> torch.Tensor:
        return torch.einsum("oa,ab...,cb->oc...", self.out_factor, self.core, self.in_factor)


class MixTWeight(Part):
    """W[rows[r,p], columns[r,q]] = (1/N) Σ_gates gate[p,q]."""

    def __init__(self, ours: MixT, made: dict[int, Any]):
        super().__init__()
        self.hold(ours, made, "gates")
        self.shape, self.windows = ours.shape, ours.windows

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

    def __init__(self, ours: Dense | Frozen, made: dict[int, Any]):
        super().__init__()
        self.hold(ours, made, "values")

    def forward(self) -> torch.Tensor:
        return self.values


class PrunedWeight(Part):
    """W[place_k] = value_k, and 0 elsewhere. The places are indices, or one bit per entry."""

    def __init__(self, ours: Pruned, made: dict[int, Any]):
        super().__init__()
        self.hold(ours, made, "values", "places")
        self.shape, self.is_mask = ours.shape, ours.is_mask

    def forward(self) -> torch.Tensor:
        count = math.prod(self.shape)
        index = self.places.long()
        if self.is_mask:  # bytes, most significant bit first
            bits = index[:, None] >> torch.arange(7, -1, -1, device=index.device) & 1
            index = bits.flatten()[:count].nonzero().flatten()
        return self.values.new_zeros(count).index_put([index], self.values).reshape(self.shape)


class QuantizedWeight(Part):
    """The weight of the encoding inside, from rounded parameters; see ``encodings.quantized``."""

    def __init__(self, ours: Quantized, made: dict[int, Any]):
        super().__init__()
        self.hold(ours, made, "of")
        self.bits = ours.bits

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

    def __init__(self, ours: Update, made: dict[int, Any]):
        super().__init__()
        self.hold(ours, made, "base", "of", "gain")

    def forward(self) -> torch.Tensor:
        return self.base + self.gain * self.of()


class SharedPart(Part):
    """One layer's part of an encoding of several layers: W = gain · whole[first:last]."""

    def __init__(self, ours: SharedWeight, made: dict[int, Any]):
        super().__init__()
        self.hold(ours, made, "whole")
        self.shape, self.gain = ours.shape, ours.gain
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


def weight_of(layer: nn.Module) -> torch.Tensor:
    """Return the weight of a layer, decoded if it is a module."""
    weight: Any = layer.weight
    return weight() if isinstance(weight, nn.Module) else weight
