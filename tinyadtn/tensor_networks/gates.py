"""TODO tensor_networks.gates: ACTIVATIONS, Step, apply_gate, contract_gate_by_gate, contraction_steps, product_state."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autodiff.arrays import array_module
from ..autodiff.engine import Tensor
from ..ops.basic import leaky_relu, relu, tanh
from ..ops.contract import contract
from .wall import Column

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": relu,
    "leaky_relu": leaky_relu,
    "tanh": tanh,
    "identity": lambda state: state,
}


# --- contraction, gate by gate -------------------------------------------------------------------


def product_state(site_dims: Sequence[int], dtype: Any = np.float32, xp: Any = np) -> Tensor:
    """|00…0⟩ as a vector with one entry for each setting of all sites: (1, 0, 0, …)."""
    state = xp.zeros(math.prod(site_dims), dtype)
    state[0] = 1
    return Tensor(state)


def apply_gate(
    state: Tensor, gate: Tensor, pair: tuple[int, int], site_dims: Sequence[int]
) -> Tensor:
    """new[…p…q…] = Σ_rs gate[pq, rs] · state[…r…s…], on the two sites of the pair.

    ``state`` is a vector over all sites, the first site most significant; ``gate`` is
    (d·d, d·d), or (d, d) for a fresh gate, which stands for its column r = s = 0.

    >>> swap = np.eye(4)[[0, 2, 1, 3]]
    >>> apply_gate(Tensor([0.0, 1.0, 0.0, 0.0]), Tensor(swap), (0, 1), (2, 2)).data
    array([0., 0., 1., 0.])
    """
    (i, j), flipped = sorted(pair), pair[0] > pair[1]
    p, q = site_dims[i], site_dims[j]
    view = state.reshape(
        math.prod(site_dims[:i]),
        p,
        math.prod(site_dims[i + 1 : j]),
        q,
        math.prod(site_dims[j + 1 :]),
    )
    if gate.shape == (site_dims[pair[0]], site_dims[pair[1]]):  # a fresh gate
        letters = "qp" if flipped else "pq"
        new = contract(gate, view[:, 0, :, 0, :], pattern=f"{letters},abc->apbqc")
    else:
        letters = "qpsr" if flipped else "pqrs"
        dims = (q, p, q, p) if flipped else (p, q, p, q)
        new = contract(gate.reshape(dims), view, pattern=f"{letters},arbsc->apbqc")
    return new.reshape(state.size)


@dataclass(frozen=True)
class ContractionStep:
    """Where a contraction stands: what was just done, and the state of all sites after it."""

    name: str
    state: Tensor


def contraction_steps(
    columns: Sequence[Tensor], wall: Sequence[Column], site_dims: Sequence[int], activation: str
) -> Iterator[ContractionStep]:
    """Contract the wall into T, one named step a column or activation. The last state is T."""
    state = product_state(site_dims, columns[0].dtype, array_module(columns[0].data))
    yield ContractionStep("all sites in |0⟩", state)
    for k, (column, gates) in enumerate(zip(wall, columns)):
        if k > 0 and column.layer > wall[k - 1].layer and activation != "identity":
            state = ACTIVATIONS[activation](state)
            yield ContractionStep(f"{activation} after layer {wall[k - 1].layer}", state)
        for gate, pair in enumerate(column.pairs):
            state = apply_gate(state, gates[gate], pair, site_dims)
        pairs = " ".join(f"({i},{j})" for i, j in column.pairs)
        yield ContractionStep(f"layer {column.layer}: gates on {pairs}", state)


def contract_gate_by_gate(
    columns: Sequence[Tensor], wall: Sequence[Column], site_dims: Sequence[int], activation: str
) -> Tensor:
    """T as a vector, by applying every gate to all 2^Q numbers: plain, and any wiring will do."""
    *_, last = contraction_steps(columns, wall, site_dims, activation)
    return last.state
