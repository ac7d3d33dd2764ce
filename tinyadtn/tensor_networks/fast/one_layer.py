"""The weight of a brick wall of depth 1, written in the order of its axes.

T = L·R: L has the sites before a cut, R those after it (``fast_wall``). Every digit of an axis's
index belongs to one of the halves, so the weight is the same product in another order::

    W[a,b,c,d] = Σ_r L[a,c,r] · R[r,b,d]        (a,b) an output index, (c,d) an input index, say

A stack of small matrix products, one for each (a,b), writes it. Only the halves, which are small,
are put in order and cropped. To form T and to pick W from it takes several times as long.

The axes of a kernel alternate between the halves many times, and their matrices would be tiny. So
one half takes the digits e that the other has of the last axes into the sum:
Σ_r L[…,e,r] · R[r,…,d] = Σ_(e',r) L[…,e',r] · (R[r,…,d] if e' = e else 0).
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...autodiff.arrays import Array, array_module
from ...autodiff.engine import op, unbroadcast
from ..sites import Sites
from .pair_cores import FirstLayer

BOND = 2  # of a cut before an odd site
BLOCK = 16  # rows of a product; OpenBLAS takes long for a single large one with so short sums
STACKED = 1000  # the cost of one more product in a stack, in multiply-adds of a product


@dataclass(frozen=True, eq=False)
class Layout:
    """How the halves are put in order: the matrices of the product, and the shape of the result.

    ``rows[…, c, e]`` and ``columns[…, d]`` are places in the halves. Where the digits of a stack
    belong to the other half, the axis has length 1. ``e_of_d`` is the e that belongs to each d. The
    product has the shape ``padded`` and is cropped to ``lengths``.
    """

    cut: int
    rows_are_left: bool
    rows: np.ndarray
    columns: np.ndarray
    e_of_d: np.ndarray
    padded: tuple[int, ...]
    lengths: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def work(self) -> int:
        """The cost of the products, in multiply-adds."""
        stack = math.prod(np.broadcast_shapes(self.rows.shape[:-2], self.columns.shape[:-1]))
        return STACKED * stack + BOND * self.rows.shape[-1] * math.prod(self.padded)


@op(joint=True)
def one_layer_weight(first: Array, second: Array, scale: Array, *, layout: Layout) -> Any:
    """Return scale · T in the order of the weight's axes, cropped; differentiable.

    ``first`` and ``second`` are the gates of the two columns, as in ``pair_cores``.
    """
    xp = array_module(first)
    layer = FirstLayer(first, second, len(first) + len(second) + 1)
    spans = [(0, layout.cut), (layout.cut, layer.num_sites)]
    (left, left_backward), (right, right_backward) = map(layer.product, spans)
    halves = [left, right.reshape(BOND, -1).T]  # (places, bond) both
    if not layout.rows_are_left:
        halves.reverse()
    row_places, column_places, chosen = _on_device(layout, xp)

    plain = halves[0][row_places]  # (…, c, e, r)
    plain = plain.reshape(*plain.shape[:-2], -1)
    rows = plain * scale
    columns = halves[1][column_places].swapaxes(-1, -2)[..., None, :, :] * chosen  # (…, e, r, d)
    columns = columns.reshape(*columns.shape[:-3], -1, columns.shape[-1])
    weight = rows @ columns
    stacked, inside = weight.shape, tuple(map(slice, layout.lengths))
    weight = weight.reshape(layout.padded)[inside].reshape(layout.shape)

    def backward(g: Array) -> list[Any]:
        if layout.padded != layout.lengths:
            cropped, g = g.reshape(layout.lengths), xp.zeros(layout.padded, g.dtype)
            g[inside] = cropped
        g = g.reshape(stacked)
        grad_rows = unbroadcast(g @ columns.swapaxes(-1, -2), rows.shape)
        grad_columns = unbroadcast(rows.swapaxes(-1, -2) @ g, columns.shape)
        grads = [xp.zeros_like(half) for half in halves]
        grads[0][row_places] = (grad_rows * scale).reshape(*row_places.shape, BOND)
        grad_columns = grad_columns.reshape(*columns.shape[:-2], -1, BOND, columns.shape[-1])
        for e, own in enumerate(chosen[:, 0]):  # for one e, the places of all d are different
            share = grad_columns[..., e, :, :].swapaxes(-1, -2)[..., own, :]
            grads[1][column_places[..., own]] += share
        if not layout.rows_are_left:
            grads.reverse()
        span_grads = [left_backward(grads[0]), right_backward(grads[1].T.reshape(-1, 1))]
        return [*layer.backward(spans, span_grads), (grad_rows * plain).sum()]

    return weight, backward


@functools.lru_cache(maxsize=64)
def _on_device(layout: Layout, xp: Any) -> tuple[Array, Array, Array]:
    """Return the places, and whether e and d belong together; a GPU gets them once."""
    chosen = np.arange(layout.rows.shape[-1])[:, None, None] == layout.e_of_d
    return xp.asarray(layout.rows), xp.asarray(layout.columns), xp.asarray(chosen)


# --- the layout ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Digits:
    """Neighboring digits of an axis that belong to the same half: places for each setting."""

    left: bool
    places: np.ndarray
    axis: int
    is_low: bool  # the axis has higher digits, in the other half


def applies(sites: Sites) -> bool:
    """Return whether no axis alternates between the halves more than once."""
    return all(len(runs) <= 2 for runs in _runs(sites, len(sites.order) // 2 | 1))


def peak_floats(sites: Sites) -> int:
    """Return a bound on the floats that forward and backward hold at once, the weight included.

    It counts the weight, its gradient, half as much for the gradients of the halves before they are
    summed, as much as the weight for crops, and a few times the halves.
    """
    cut, num_sites = len(sites.order) // 2 | 1, len(sites.order)
    return 7 * math.prod(sites.shape) // 2 + 16 * (2**cut + 2 ** (num_sites - cut)) + 64 * num_sites


@functools.lru_cache(maxsize=64)  # the places are as many as the entries of the halves
def layout_of(sites: Sites) -> Layout | None:
    """Return the cheapest layout; None if it does not apply.

    >>> from tinyadtn.tensor_networks.sites import assign_sites
    >>> layout = layout_of(assign_sites((256, 784), (256, (28, 28)), 2, "mirrored"))
    >>> layout.rows.shape, layout.columns.shape  # (a, 1, c, e) and (1, b, d)
    ((16, 1, 28, 1), (1, 16, 28))
    """
    if not applies(sites):
        return None
    cut = len(sites.order) // 2 | 1
    parts = _parts(sites, cut)
    tails = [k for k in range(1, len(parts)) if parts[k].left != parts[k - 1].left]
    return min((_layout(sites, cut, parts, tail) for tail in tails), key=lambda found: found.work)


def _parts(sites: Sites, cut: int) -> list[_Digits]:
    """Split every axis into its digits before the cut and after it, in the order of the weight."""
    parts = []
    for axis, runs in enumerate(_runs(sites, cut)):
        below = 2 ** sum(len(run) for _, run in runs[1:])
        for k, (left, run) in enumerate(runs):
            count = 2 ** len(run) if k else -(-sites.lengths[axis] // below)
            last = (cut if left else len(sites.order)) - 1
            bits = np.arange(count)[:, None] >> np.arange(len(run))[::-1] & 1
            parts.append(_Digits(left, bits @ [2 ** (last - place) for place in run], axis, k > 0))
    return parts


def _runs(sites: Sites, cut: int) -> list[list[tuple[bool, list[int]]]]:
    """Return, for every axis, its positions in runs that are all before the cut, or all after."""
    place = {site: k for k, site in enumerate(sites.order)}
    groups = [[place[site] for site in group] for group in sites.groups]
    return [
        [(left, list(run)) for left, run in itertools.groupby(group, lambda k: k < cut)]
        for group in groups
    ]


def _layout(sites: Sites, cut: int, parts: list[_Digits], tail: int) -> Layout:
    """Return the layout in which all digits from ``parts[tail]`` on are the columns d."""
    left, whole = parts[tail].left, parts[tail].axis + parts[tail].is_low  # axes from ``whole`` on
    own = parts[tail].places if parts[tail].is_low else np.zeros(1, int)
    other = np.zeros_like(own)
    for axis in range(whole, len(sites.lengths)):
        index, below = np.arange(sites.lengths[axis]), 1
        places = {left: np.zeros_like(index), not left: np.zeros_like(index)}
        for part in reversed([part for part in parts if part.axis == axis]):
            places[part.left] = part.places[index // below % len(part.places)]
            below *= len(part.places)
        own, other = _all_sums(own, places[left]), _all_sums(other, places[not left])
    e_places, e_of_d = np.unique(other, return_inverse=True)
    start = tail
    while start and parts[start - 1].left != left:
        start -= 1
    c = functools.reduce(_all_sums, (part.places for part in parts[start:tail]))
    stack = parts[:start]
    rows, columns = c[:, None] + e_places, own
    if not stack and len(c) % BLOCK == 0:
        rows, columns = rows.reshape(-1, BLOCK, len(e_places)), columns[None]
    for k, part in enumerate(reversed(stack), start=1):
        along = part.places.reshape(-1, *[1] * (k + 1))
        rows = rows + along if part.left != left else rows[None]
        columns = columns + along[..., 0] if part.left == left else columns[None]
    counts = [math.prod(len(p.places) for p in parts if p.axis == k) for k in range(whole)]
    return Layout(
        cut,
        not left,
        rows,
        columns,
        e_of_d.reshape(-1),
        (*counts, *sites.lengths[whole:]),
        sites.lengths,
        sites.shape,
    )


def _all_sums(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return every a[i] + b[j], j fastest."""
    return (a[:, None] + b).ravel()
