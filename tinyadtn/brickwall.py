"""The tensor network behind an ADTN: which gates there are, and how they are contracted into T.

    site 0  |0⟩──┌───┐────────────┌───┐──────
    site 1  |0⟩──└───┘──┌───┐─────└───┘──┌───┐
    site 2  |0⟩──┌───┐──└───┘──σ──┌───┐──└───┘     T has one axis for each site
    site 3  |0⟩──└───┘──┌───┐─────└───┘──┌───┐
    site 4  |0⟩─────────└───┘────────────└───┘
              column 1   column 2 …

Q sites start in |0⟩ = (1, 0). A gate is a matrix that acts on two sites. A *TN layer* is one pass
through the wiring's columns (here those of a brick wall; others are in ``wirings``); depth M means
M layers with an activation σ between them.
Source: Qing, Li, Zhou, Ran, arXiv 2305.06058.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import fast_wall
from .backend import array_module
from .contract import contract
from .engine import Tensor, op
from .errors import ShapeError
from .ops import leaky_relu, relu, tanh
from .wirings import Pairs

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": relu,
    "leaky_relu": leaky_relu,
    "tanh": tanh,
    "identity": lambda state: state,
}


@dataclass(frozen=True)
class Column:
    """Gates of one shape that act side by side, on different pairs of sites.

    A gate on two untouched sites only ever meets |00⟩, one column of its matrix: ``fresh`` gates
    store just that, d·d numbers for sites of dimension d. All others store (d·d)².
    """

    layer: int  # 1 … M
    pairs: Pairs
    fresh: bool
    dims: tuple[int, int]

    @property
    def shape(self) -> tuple[int, ...]:
        """(gates, d, d) if fresh, else (gates, d·d, d·d)."""
        size = self.dims[0] * self.dims[1]
        return (len(self.pairs), *(self.dims if self.fresh else (size, size)))


def build_wall(wiring: Sequence[Pairs], site_dims: Sequence[int], depth: int) -> list[Column]:
    """All columns of a depth-M wall; a wiring column of mixed gates becomes one Column a kind."""
    _check_wiring(wiring)
    touched: set[int] = set()
    wall: list[Column] = []
    for layer in range(1, depth + 1):
        for pairs in wiring:
            _check_pairs(pairs, len(site_dims))
            kinds: dict[tuple, list[tuple[int, int]]] = {}
            for i, j in pairs:
                fresh = i not in touched and j not in touched
                kinds.setdefault((fresh, (site_dims[i], site_dims[j])), []).append((i, j))
            wall += [Column(layer, tuple(p), *kind) for kind, p in kinds.items()]
            touched.update(site for pair in pairs for site in pair)
    if not wall:
        raise ShapeError(f"a wiring needs at least one gate, got {list(wiring)}")
    return wall


def _check_wiring(wiring: Any) -> None:
    """A list of columns, each a list of pairs of sites."""
    for column in wiring if isinstance(wiring, (list, tuple)) else [wiring]:
        if not isinstance(column, (list, tuple)) or not all(map(_is_pair, column)):
            raise ShapeError(
                "a wiring is a list of columns, each a list of pairs of sites, such as "
                f"[[(0, 1), (2, 3)], [(1, 2)]]; got {column!r}"
            )


def _is_pair(pair: Any) -> bool:
    return (
        isinstance(pair, (list, tuple))
        and len(pair) == 2
        and all(isinstance(site, int) for site in pair)
    )


def _check_pairs(pairs: Pairs, num_sites: int) -> None:
    sites = [site for pair in pairs for site in pair]
    if len(set(sites)) < len(sites) or not all(0 <= site < num_sites for site in sites):
        raise ShapeError(
            f"a column's gates must act on different sites of 0 … {num_sites - 1}, got {pairs}"
        )


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
class Step:
    """Where a contraction stands: what was just done, and the state of all sites after it."""

    name: str
    state: Tensor


def contraction_steps(
    columns: Sequence[Tensor], wall: Sequence[Column], site_dims: Sequence[int], activation: str
) -> Iterator[Step]:
    """Contract the wall into T, one named step a column or activation. The last state is T."""
    state = product_state(site_dims, columns[0].dtype, array_module(columns[0].data))
    yield Step("all sites in |0⟩", state)
    for k, (column, gates) in enumerate(zip(wall, columns)):
        if k > 0 and column.layer > wall[k - 1].layer and activation != "identity":
            state = ACTIVATIONS[activation](state)
            yield Step(f"{activation} after layer {wall[k - 1].layer}", state)
        for gate, pair in enumerate(column.pairs):
            state = apply_gate(state, gates[gate], pair, site_dims)
        pairs = " ".join(f"({i},{j})" for i, j in column.pairs)
        yield Step(f"layer {column.layer}: gates on {pairs}", state)


def contract_gate_by_gate(
    columns: Sequence[Tensor], wall: Sequence[Column], site_dims: Sequence[int], activation: str
) -> Tensor:
    """T as a vector, by applying every gate to all 2^Q numbers: plain, and any wiring will do."""
    *_, last = contraction_steps(columns, wall, site_dims, activation)
    return last.state


def peak_floats(layer: Sequence[Column], site_dims: Sequence[int], depth: int) -> int:
    """About how many numbers training gate by gate holds at once, told from the first layer.

    A gate keeps what it acted on in the order its product wants, and the new state: two tensors of
    T's size. So does an activation. A gate's number has a gradient and two moments in Adam.

    >>> peak_floats(build_wall([((0, 1),), ((1, 2),)], (2, 2, 2), 1), (2, 2, 2), depth=1)
    128
    """
    gates = sum(len(column.pairs) for column in layer)
    first = sum(math.prod(column.shape) for column in layer)
    later = sum(len(column.pairs) * math.prod(column.dims) ** 2 for column in layer)
    states = 2 * depth * gates + 2 * (depth - 1) + 2  # and two on the way back
    return states * math.prod(site_dims) + 4 * (first + (depth - 1) * later)


@op(joint=True)
def contract_brick_wall(*columns, num_sites: int, activation: str):
    """T as a vector, for a brick wall on sites of dimension 2: the same numbers, much sooner."""
    return fast_wall.contract(list(columns), num_sites, activation)


# --- counting ------------------------------------------------------------------------------------


def live_entries(
    wall: Sequence[Column], site_dims: Sequence[int], kept: Sequence[tuple[list[int], np.ndarray]]
) -> int:
    """How many stored numbers can influence an entry of T that is kept, for generic gates.

    ``kept`` says what the crop keeps: for each axis its sites and a boolean array with one axis a
    site. Going backward, a gate mixes its two sites, so before it every setting of them matters if
    any did after it. Going forward, an untouched site is 0: that limits a gate's inputs, and never
    its outputs, for with an entry the crop keeps all that have a 1 of its index turned into a 0.
    """
    kept = [(sites, mask.copy()) for sites, mask in kept]
    total = 0
    for k in range(len(wall) - 1, -1, -1):
        pairs = wall[k].pairs
        touched = {s for earlier in wall[:k] for pair in earlier.pairs for s in pair}
        for pair in pairs:
            inputs = math.prod(site_dims[s] if s in touched else 1 for s in pair)
            total += inputs * _reachable_outputs(pair, site_dims, kept)
        for sites, mask in kept:
            axes = tuple(sites.index(s) for pair in pairs for s in pair if s in sites)
            mask |= mask.any(axis=axes, keepdims=True)
    return total


def _reachable_outputs(
    pair: tuple[int, int], site_dims: Sequence[int], kept: list[tuple[list[int], np.ndarray]]
) -> int:
    """Settings of the pair's two sites with which some kept entry agrees."""
    count = 0
    for values in np.ndindex(*(site_dims[s] for s in pair)):
        fixed = dict(zip(pair, values))
        count += all(
            mask[tuple(fixed.get(site, slice(None)) for site in sites)].any()
            for sites, mask in kept
        )
    return count
