"""The ADTN in torch: gate by gate, as in ``tensor_networks.gates``, which explains the formulas."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

from ..encodings.adtn import ADTN
from .torch_part import Part


class ADTNWeight(Part):
    """T = L_M σ(… L_2 σ(L_1 |0…0⟩)), one gate after the other, then cropped and scaled."""

    tensors = ("columns", "scale")
    options = ("shape", "normalized", "wall", "depth", "activation")

    def __init__(self, ours: ADTN, made: dict[int, Any]):
        super().__init__(ours, made)
        self.site_dims = ours.sites.wall_dims
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


ACTIVATIONS: dict[str, Any] = {
    "relu": torch.relu,
    "leaky_relu": functional.leaky_relu,  # slope 0.01, as ours
    "tanh": torch.tanh,
    "identity": torch.nn.Identity(),
}
