"""An ADTN of depth 1 on a brick wall, as a chain of cores along its wall: nothing is decoded.

One TN layer acts on |0…0⟩, so T is a matrix product state. A first-column gate a_k *is* a state of
two sites, and a second-column gate B_k joins it to the next (see ``fast_wall``)::

    site  0   1   2   3   4   5                 x        y
          └a_0┘   └a_1┘   └a_2┘               ──┤ core k ├──     core k = Σ_i a_k[x,i] B_k[o₁o₂,iy]
              └B_0┘   └B_1┘                       o₁  o₂         x, y: sites 2k, 2k+2 before B

Between two cores, before an odd site, the bond is 2. Before an even site the wall can be cut too:
the site on the left of the cut passes through as part of the bond, which is then 4.

A *span* is a run of neighbouring sites whose tensors are multiplied to one core of a ``Chain``:
its outputs are the legs that belong to the weight's output axis, its inputs are all others. Few
long spans are few large products; many short ones are fewer multiply-adds. ``wall_chain`` looks
for the spans that take least in all: to multiply out, and to put a batch through.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autodiff.arrays import Array, array_module
from ..autodiff.engine import op
from ..tensor_networks.fast.pair_cores import pair_cores, right_end
from ..tensor_networks.sites import Sites
from .chain import Chain, Core
from .cost import CALL, MOVED, work

Span = tuple[int, int]  # sites start … stop - 1, by position in the wall


@dataclass(frozen=True, eq=False)
class WallChain(Chain):
    """Which sites each core holds, and where its entries stand in the span's tensor.

    An index is None where the core is the span's tensor as it is.
    """

    spans: tuple[Span, ...] = ()
    index: tuple[np.ndarray | None, ...] = ()

    @property
    def build_multiply_adds(self) -> int:
        """Those of multiplying each span's gates: 2 to a number, on the way from its left end."""
        return 2 * sum(map(math.prod, self.cores))

    @property
    def build_work(self) -> int:
        """The same with all that is moved, in multiply-adds of a large product."""
        return sum(map(_build_work, self.cores))


def _build_work(core: Core) -> int:
    return 4 * CALL + (2 + 4 * MOVED) * math.prod(core)


# --- which spans ---------------------------------------------------------------------------------


def wall_chain(sites: Sites, batch: int) -> WallChain | None:
    """The cores for a batch of that size; None where the best single core is the whole weight.

    Sites with all outputs on one side and all inputs on the other make two cores: W = A·B.

    >>> from tinyadtn.tensor_networks.sites import assign_sites
    >>> wall_chain(assign_sites((4096, 4096), None, 2, "output_first"), 128).cores
    ((1, 4096, 1, 4), (4, 1, 4096, 1))
    >>> wall_chain(assign_sites((4096, 4096), None, 2, "interleaved"), 128).cores
    ((1, 8, 4, 2), (2, 8, 8, 2), (2, 8, 8, 2), (2, 8, 16, 1))
    """
    # Few batches to find spans for: the next power of 2.
    found = _best_spans(sites, 1 << max(0, batch - 1).bit_length())
    return None if found is None else _with_indices(sites, *found)


@functools.lru_cache(maxsize=1024)
def _best_spans(sites: Sites, batch: int) -> tuple[tuple[Span, ...], bool] | None:
    """The spans, and whether a batch enters from the right."""
    is_output = _outputs(sites)
    switches = [k for k in range(1, len(is_output)) if is_output[k] != is_output[k - 1]]
    if not switches:
        return None
    if len(switches) == 1:
        cut = switches[0]
        spans, from_right = [(0, cut), (cut, len(is_output))], is_output[0]
    else:
        _, spans, from_right = min(_cheapest(is_output, batch, side) for side in (True, False))
    return None if len(spans) == 1 else (tuple(spans), from_right)


def _outputs(sites: Sites) -> list[bool]:
    """For each place in the wall, whether its leg belongs to the weight's output axis."""
    outputs = {s for group in sites.groups[: sites.num_outputs] for s in group}
    return [site in outputs for site in sites.order]


def _cheapest(
    is_output: Sequence[bool], batch: int, from_right: bool
) -> tuple[int, list[Span], bool]:
    """The spans with the least work, by the best way to every cut from the cuts before it."""
    num_sites = len(is_output)
    best: list[tuple[int, list[Span]]] = [(0, [])]
    for stop in range(1, num_sites + 1):
        routes = []
        for start in range(stop):
            a, o, i, b = core = _core(is_output, (start, stop))
            outside = is_output[:start], is_output[stop:]
            before, behind = outside if from_right else outside[::-1]
            left, done = 2 ** before.count(False), 2 ** behind.count(True)
            rows, inner = (a * o, i * b) if from_right else (o * b, a * i)
            stack, columns = (left, done) if from_right else (done, left)
            taken = work(rows, inner, columns * batch, stack) + _build_work(core)
            routes.append((best[start][0] + taken, [*best[start][1], (start, stop)]))
        best.append(min(routes))
    return *best[-1], from_right


def _core(is_output: Sequence[bool], span: Span) -> Core:
    num_sites, legs = len(is_output), is_output[slice(*span)]
    left, right = (1 if cut in (0, num_sites) else 4 - 2 * (cut % 2) for cut in span)
    return left, 2 ** legs.count(True), 2 ** legs.count(False), right


@functools.lru_cache(maxsize=64)  # indices may be as large as the cores; no batch is in the key
def _with_indices(sites: Sites, spans: tuple[Span, ...], from_right: bool) -> WallChain:
    """A core with all the outputs has those that the crop keeps, in order; so for the inputs."""
    is_output = _outputs(sites)
    axes = range(len(sites.lengths))
    out: np.ndarray | None = sites.places(axes[: sites.num_outputs])
    into: np.ndarray | None = sites.places(axes[sites.num_outputs :])
    cores, index = [], []
    for start, stop in spans:
        a, o, i, b = _core(is_output, (start, stop))
        legs = is_output[start:stop]
        order = sorted(range(len(legs)), key=lambda k: not legs[k])  # outputs first; it is stable
        entries = np.arange(a * o * i * b).reshape(a, *(2 for _ in legs), b)
        entries = entries.transpose(0, *(k + 1 for k in order), -1).reshape(a, o, i, b)
        if out is not None and legs.count(True) == is_output.count(True):
            entries, out = entries[:, out], None
        if into is not None and legs.count(False) == is_output.count(False):
            entries, into = entries[:, :, into], None
        cores.append(entries.shape)
        index.append(None if _is_all(entries, a * o * i * b) else entries.ravel())
    if into is not None and _is_all(into, 2 ** is_output.count(False)):
        into = None
    if out is not None and _is_all(out, 2 ** is_output.count(True)):
        out = None
    return WallChain(tuple(cores), from_right, into, out, spans, tuple(index))


def _is_all(places: np.ndarray, size: int) -> bool:
    """0, 1, 2, … with nothing left out: no need to pick."""
    return places.size == size and bool((places.ravel() == np.arange(size)).all())


# --- their numbers -------------------------------------------------------------------------------


@op(joint=True)
def wall_cores(*columns: Array, num_sites: int, chain: WallChain, scale: Array) -> Any:
    """The entries of all cores, one core behind the other; the first is multiplied by ``scale``."""
    first, second = columns
    xp = array_module(first)
    joined, joined_backward = pair_cores(first, second)
    end = right_end(first, num_sites)
    products = [SpanProduct(span, joined, end, num_sites) for span in chain.spans]
    cores = [
        product.tensor.reshape(-1) if index is None else product.tensor.reshape(-1)[index]
        for product, index in zip(products, map(_on_device(xp), chain.index))
    ]
    cores[0] = cores[0] * scale
    ends = np.cumsum([len(core) for core in cores]).tolist()

    def backward(g: Array) -> list[Any]:
        grad_joined, grad_first = xp.zeros_like(joined), xp.zeros_like(first)
        indices = map(_on_device(xp), chain.index)
        for k, (product, index, start, stop) in enumerate(zip(products, indices, [0, *ends], ends)):
            share = g[start:stop] * (scale if k == 0 else 1)
            if index is not None:
                whole = xp.zeros(product.tensor.size, g.dtype)
                whole[index] = share
                share = whole
            product.pull_back(share, grad_joined, grad_first)
        grad_pairs, grad_second = joined_backward(grad_joined)
        grad_first[: len(second)] += grad_pairs
        return [grad_first, grad_second]

    return xp.concatenate(cores), backward


def _on_device(xp: Any) -> Any:
    return lambda index: None if index is None else xp.asarray(index)


class SpanProduct:
    """The tensor of one span: the cores of its pairs of gates multiplied, and closed on the right.

    ``joined`` are the cores of all pairs, ``end`` is what closes the last one (``pair_cores``).
    """

    def __init__(self, span: Span, joined: Array, end: Array, num_sites: int) -> None:
        self.span, self.joined, self.end, self.num_sites = span, joined, end, num_sites
        self.first, stop = (cut // 2 for cut in _odd_cuts(span, num_sites))  # numbers of its cores
        eye = array_module(joined).eye(2, dtype=joined.dtype)
        self.products = [eye]  # site 0 comes out as it went in; elsewhere it is the left bond
        for core in joined[self.first : stop]:
            self.products.append((self.products[-1] @ core.reshape(2, 8)).reshape(-1, 2))
        self.tensor = self._closed(self.products[-1])

    def _closed(self, product: Array) -> Any:
        """The last product (…, bond) with the right end that the span has."""
        if self.span[1] == self.num_sites:
            return product @ self.end
        if self.span[1] % 2:
            return product
        # Cut before an even site: the one on the left of the cut passes through, into the bond.
        wide = array_module(product).zeros((len(product), 2, 2, 2), product.dtype)
        wide[:, 0, :, 0] = wide[:, 1, :, 1] = product  # (…, its leg, bond, bond)
        return wide

    def pull_back(self, g: Array, grad_joined: Array, grad_first: Array) -> None:
        """From g = dL/d(tensor): the gradients of the cores and of the last gate, put in place."""
        if self.span[1] == self.num_sites:
            g = g.reshape(-1, self.end.shape[1])
            if self.num_sites % 2 == 0:
                grad_first[-1] = self.products[-1].T @ g
            g = g @ self.end.T
        elif self.span[1] % 2 == 0:
            wide = g.reshape(-1, 2, 2, 2)
            g = wide[:, 0, :, 0] + wide[:, 1, :, 1]
        for k in reversed(range(len(self.products) - 1)):
            g, core = g.reshape(-1, 8), self.first + k
            grad_joined[core] = (self.products[k].T @ g).reshape(2, 4, 2)
            g = g @ self.joined[core].reshape(2, 8).T


def _odd_cuts(span: Span, num_sites: int) -> Span:
    """The cuts between the cores that a span is made of: the odd ones at it or to its left."""
    start, stop = span
    last = num_sites - 1 + num_sites % 2  # behind the last core that is made of two gates
    return start - 1 + start % 2 if start else 1, min(stop - 1 + stop % 2, last)


def split(cores: Array, chain: WallChain) -> list[Any]:
    """The tensor that ``wall_cores`` gave as one tensor a core, or as two matrices A and B."""
    shapes: list[tuple[int, ...]] = list(chain.cores)
    if chain.rank is not None and chain.from_right:
        (_, o, _, rank), (_, _, i, _) = chain.cores
        shapes = [(o, rank), (rank, i)]
    ends = np.cumsum(list(map(math.prod, shapes))).tolist()
    return [cores[begin:end].reshape(shape) for begin, end, shape in zip([0, *ends], ends, shapes)]
