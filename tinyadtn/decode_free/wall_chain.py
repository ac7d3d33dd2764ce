"""An ADTN of depth 1 on a brick wall as a chain of cores along its sites, without forming W.

One TN layer acts on |0…0⟩, so T is a matrix product state: a chain of one small tensor for each
pair of sites (``tensor_networks/fast/pair_cores``). A *span* is a run of neighboring sites whose
tensors are multiplied to one core of a ``Chain``. The outputs of the core are the legs of the span
that belong to the weight's output axis, and the inputs are all others.

If all output sites are before all input sites, or after, there are two spans: W = A·B. The rank is
4, or 2 if the cut is before an odd site. In any other order the spans have about ``SPAN`` sites:
fewer and longer spans take more multiply-adds, more and shorter ones take more calls of NumPy.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autodiff.arrays import Array, array_module
from ..autodiff.engine import Tensor, op
from ..tensor_networks.fast.pair_cores import FirstLayer, Span
from ..tensor_networks.sites import Sites
from .chain import Chain
from .cost import CALL, MOVED

# Found by timing FC-2, LeNet-5 and VGG-16 in batches of 1 to 500. A search for the best
# spans of each batch was not faster beyond the noise of a tenth.
SPAN = 7.5


@dataclass(frozen=True, eq=False)
class WallChain(Chain):
    """The sites of each core, and the places of its entries in the tensor of the span.

    An index is None if the core is the tensor of the span, unchanged.
    """

    num_sites: int = 0
    spans: tuple[Span, ...] = ()
    index: tuple[np.ndarray | None, ...] = ()

    def factors(self, columns: Sequence[Tensor], scale: Tensor) -> list[Tensor]:
        """Return the cores from the gates, as matrices (bond · outputs, inputs · bond)."""
        entries, cores = _entries(*columns, chain=self), []
        for (a, o, i, b), end in zip(self.cores, np.cumsum(list(map(math.prod, self.cores)))):
            cores.append(entries[end - a * o * i * b : end].reshape(a * o, i * b))
        return [cores[0] * scale, *cores[1:]]


def wall_chain(sites: Sites) -> WallChain | None:
    """Return the chain of the first TN layer; None if it takes no fewer multiply-adds than W.

    >>> from tinyadtn.tensor_networks.sites import assign_sites
    >>> wall_chain(assign_sites((4096, 4096), None, 2, "output_first")).cores
    ((1, 4096, 1, 4), (4, 1, 4096, 1))
    >>> wall_chain(assign_sites((4096, 4096), None, 2, "interleaved")).cores
    ((1, 32, 16, 2), (2, 16, 16, 2), (2, 8, 16, 1))
    """
    chain = best_chain(sites)
    return chain if chain and chain.multiply_adds < math.prod(sites.shape) else None


@functools.lru_cache(maxsize=64)  # an index may be as large as its core
def best_chain(sites: Sites) -> WallChain | None:
    """Return the chain, entered from the cheaper end; None for outputs or inputs alone."""
    is_output, num_sites = sites.is_output, len(sites.order)
    switches = [k for k in range(1, num_sites) if is_output[k] != is_output[k - 1]]
    if not switches:
        return None
    cuts = switches if len(switches) == 1 else _odd_cuts(num_sites)
    spans = tuple(zip([0, *cuts], [*cuts, num_sites]))
    axes = range(len(sites.lengths))
    out: Any = sites.places(axes[: sites.num_outputs])
    into: Any = sites.places(axes[sites.num_outputs :])
    cores, index = [], []
    for span in spans:
        places = _core_places(is_output, span)
        size = places.size
        if len(switches) == 1:  # the core has all the outputs or all the inputs: crop them here
            places = places[:, out] if is_output[span[0]] else places[:, :, into]
        cores.append(places.shape)
        index.append(_or_none(places.ravel(), size))
    if len(switches) == 1:
        out = into = None
    else:
        out, into = _or_none(out, 2 ** sum(is_output)), _or_none(into, 2 ** is_output.count(False))
    entries = sum(map(math.prod, cores))
    chains = (
        WallChain(
            tuple(cores),
            from_right,
            into,
            out,
            build_multiply_adds=2 * entries,
            build_work=4 * CALL * len(cores) + (2 + 4 * MOVED) * entries,
            num_sites=num_sites,
            spans=spans,
            index=tuple(index),
        )
        for from_right in (True, False)
    )
    return min(chains, key=lambda chain: chain.multiply_adds)


def _core_places(is_output: Sequence[bool], span: Span) -> np.ndarray:
    """Return where each entry of a core (bond, outputs, inputs, bond) is in the span's tensor."""
    legs = is_output[slice(*span)]
    left, right = (1 if cut in (0, len(is_output)) else 4 - 2 * (cut % 2) for cut in span)
    outputs_first = sorted(range(len(legs)), key=lambda k: not legs[k])  # it is stable
    places = np.arange(left * 2 ** len(legs) * right).reshape(left, *[2] * len(legs), right)
    places = places.transpose(0, *(k + 1 for k in outputs_first), -1)
    return places.reshape(left, 2 ** sum(legs), -1, right)


def _odd_cuts(num_sites: int) -> list[int]:
    """Return where to cut the sites in spans of about ``SPAN``: before odd sites, the bond is 2."""
    count = max(2, round(num_sites / SPAN))
    return [2 * round((num_sites * k / count - 1) / 2) + 1 for k in range(1, count)]


def _or_none(places: np.ndarray, size: int) -> np.ndarray | None:
    """Return None for 0, 1, 2, … size - 1: there is nothing to pick."""
    return None if places.size == size and (places == np.arange(size)).all() else places


@op(joint=True)
def _entries(first: Array, second: Array, *, chain: WallChain) -> Any:
    """Return the entries of all cores, one core after the other; differentiable."""
    xp = array_module(first)
    layer = FirstLayer(first, second, chain.num_sites)
    index = [None if places is None else xp.asarray(places) for places in chain.index]
    tensors, backwards = zip(*map(layer.product, chain.spans))
    cores = [
        tensor.reshape(-1) if places is None else tensor.reshape(-1)[places]
        for tensor, places in zip(tensors, index)
    ]

    def backward(g: Array) -> list[Any]:
        grads, start = [], 0
        for tensor, tensor_backward, core, places in zip(tensors, backwards, cores, index):
            share, start = g[start : start + len(core)], start + len(core)
            if places is not None:
                picked, share = share, xp.zeros(tensor.size, g.dtype)
                share[places] = picked
            grads.append(tensor_backward(share.reshape(tensor.shape)))
        return layer.backward(chain.spans, grads)

    return xp.concatenate(cores), backward
