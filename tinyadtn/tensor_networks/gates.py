"""The contraction of an ADTN into T, one gate after the other: this is the definition.

The picture of the network is in ``wall``. ``apply_gate`` is one box of that picture.
``contraction_steps`` goes through the picture from left to right, and ``network_tensor`` returns
the state at the right end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autodiff.arrays import array_module
from ..autodiff.engine import Tensor
from ..autodiff.modes import fast
from ..ops.contract import contract
from .activations import ACTIVATIONS
from .fast import fast_wall
from .wall import Column
from .wirings import Pairs


def network_tensor(
    columns: Sequence[Tensor],
    wall: Sequence[Column],
    site_dims: Sequence[int],
    activation: str,
    wiring: str | Sequence[Pairs] = "",
) -> Tensor:
    """Return T = L_M σ(… L_2 σ(L_1 |0…0⟩)), a vector with one entry for each setting of all sites.

    ``columns[k]`` holds the gates of ``wall[k]``, stacked. ``site_dims`` are the dimensions of the
    sites by position, the first site most significant. ``wiring`` is what ``wall`` was built from.
    The name "brick_wall" allows the fast path, which returns the same T and the same gradients up
    to rounding. Otherwise, or without ``wiring``, every gate is applied to all entries in turn.

    >>> from tinyadtn.tensor_networks.wall import build_wall
    >>> gate = Tensor(np.eye(2)[None])  # one gate: |00⟩ becomes |00⟩ + |11⟩
    >>> network_tensor([gate], build_wall([((0, 1),)], (2, 2), 1), (2, 2), "relu").data
    array([1., 0., 0., 1.])
    """
    # The same T, faster: skip ``fast`` at first.
    if fast.get() and fast_wall.applies(wiring, site_dims):
        return fast_wall.brick_wall_tensor(
            *columns, num_sites=len(site_dims), activation=activation
        )
    for step in contraction_steps(columns, wall, site_dims, activation):
        state = step.state
    return state


@dataclass(frozen=True)
class ContractionStep:
    """One step of a contraction: its name, and the state of all sites after it."""

    name: str
    state: Tensor


def contraction_steps(
    columns: Sequence[Tensor], wall: Sequence[Column], site_dims: Sequence[int], activation: str
) -> Iterator[ContractionStep]:
    """Yield a step for the initial state, each column and each activation; the last state is T."""
    state = product_state(site_dims, columns[0].dtype, array_module(columns[0].data))
    yield ContractionStep("all sites in |0⟩", state)
    layer = 1
    for column, gates in zip(wall, columns):
        if column.layer > layer:  # between two TN layers; there is none after the last
            state = ACTIVATIONS[activation].op(state)
            if activation != "identity":
                yield ContractionStep(f"{activation} after layer {layer}", state)
            layer = column.layer
        for k, pair in enumerate(column.pairs):
            state = apply_gate(state, gates[k], pair, site_dims)
        pairs = " ".join(f"({i},{j})" for i, j in column.pairs)
        yield ContractionStep(f"layer {column.layer}: gates on {pairs}", state)


def product_state(site_dims: Sequence[int], dtype: Any = np.float32, xp: Any = np) -> Tensor:
    """Return |00…0⟩ as a vector with one entry for each setting of all sites: (1, 0, 0, …)."""
    state = xp.zeros(math.prod(site_dims), dtype)
    state[0] = 1
    return Tensor(state)


def apply_gate(
    state: Tensor, gate: Tensor, pair: tuple[int, int], site_dims: Sequence[int]
) -> Tensor:
    """new[…p…q…] = Σ_rs gate[pq, rs] · state[…r…s…], on the two sites of the pair.

    ``state`` is a vector over all sites, the first site most significant; ``gate`` is
    (d·d, d·d), or (d, d) for a fresh gate, which is only its column r = s = 0.

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
