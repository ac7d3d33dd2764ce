"""How the axes of a weight become sites, and how the tensor T over all sites becomes the weight.

An axis of length n gets ⌈log2 n⌉ sites of dimension 2: the bits of its index, most significant
first. A length that is not a power of two is padded up, and the decoded tensor is cropped.

Every site has a number and a position. The numbers count through the axes of the weight. The
position is the place of the site in the network (a line of the picture in ``wall``), and ``order``
maps positions to numbers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeGuard

import numpy as np

from ..autodiff.arrays import device_of, to_device
from ..errors import ShapeError
from .orders import ORDERS, SiteGroup

Axes = Sequence[int | Sequence[int]] | None


@dataclass(frozen=True)
class Sites:
    """The sites of one weight.

    ``lengths`` are the lengths of the axes that get separate sites (a split axis counts as
    several). ``dims`` are the dimensions of the sites by number. ``groups[k]`` are the site numbers
    of axis k, and ``order[position]`` is the number of the site at that position.
    """

    shape: tuple[int, ...]
    lengths: tuple[int, ...]
    dims: tuple[int, ...]
    groups: tuple[SiteGroup, ...]
    order: tuple[int, ...]

    @cached_property
    def wall_dims(self) -> tuple[int, ...]:
        """The dimension of each site by position."""
        return tuple(self.dims[site] for site in self.order)

    @property
    def padded_size(self) -> int:
        """The number of entries of T: 2^Q for Q sites of dimension 2."""
        return math.prod(self.dims)

    def kept(self) -> list[tuple[list[int], np.ndarray]]:
        """Return for every axis the positions of its sites and a mask of the kept settings."""
        position = {site: place for place, site in enumerate(self.order)}
        masks = []
        for length, group in zip(self.lengths, self.groups):
            dims = [self.dims[site] for site in group]
            mask = np.arange(math.prod(dims)).reshape(dims) < length
            masks.append(([position[site] for site in group], mask))
        return masks

    @cached_property
    def index(self) -> np.ndarray | None:
        """The index in T of every entry of the weight, an array of the weight's shape.

        None if the weight is T itself, reshaped.
        """
        if self.order == tuple(range(len(self.dims))) and math.prod(self.shape) == self.padded_size:
            return None
        return self.places(range(len(self.lengths))).reshape(self.shape)

    @property
    def num_outputs(self) -> int:
        """The number of axes that belong to the first axis of the weight, a layer's outputs."""
        products = np.cumprod([1, *self.lengths]).tolist()
        return products.index(self.shape[0])

    @cached_property
    def is_output(self) -> tuple[bool, ...]:
        """For each site by position, whether it belongs to the first axis of the weight."""
        outputs = sum(self.groups[: self.num_outputs], ())
        return tuple(site in outputs for site in self.order)

    def places(self, axes: Sequence[int]) -> np.ndarray:
        """Return the index of every entry of these axes in a tensor over their sites by position.

        >>> assign_sites((4, 3), None, 2, (2, 0, 3, 1)).places([1])  # sites 2 and 3 hold axis 1
        array([0, 1, 2])
        """
        own = {site for k in axes for site in self.groups[k]}
        stride, size = {}, 1
        for site in reversed(self.order):
            if site in own:
                stride[site] = size
                size *= self.dims[site]
        index = np.zeros(1, np.intp)
        for k in axes:
            length, group = self.lengths[k], self.groups[k]
            digits = np.unravel_index(np.arange(length), [self.dims[site] for site in group] or [1])
            offset = sum(digit * stride[site] for digit, site in zip(digits, group))
            index = (index[:, None] + np.broadcast_to(offset, length)).ravel()
        return index

    def index_like(self, tensor: Any) -> Any:
        """Return ``index`` on the device of ``tensor``. A GPU gets its copy once."""
        here = self.index is None or device_of(tensor) == "cpu"
        return self.index if here else self._index_on_gpu

    @cached_property
    def _index_on_gpu(self) -> Any:
        return to_device(self.index, "cuda")

    def __deepcopy__(self, memo: dict) -> Sites:
        return self  # it is immutable, and its index is as large as the weight


def assign_sites(
    shape: tuple[int, ...], axes: Axes, site_dim: int | Sequence[int], order: str | Sequence[int]
) -> Sites:
    """Assign sites to every axis and put them in order.

    >>> assign_sites((4, 6), None, 2, "interleaved").order
    (2, 0, 3, 1, 4)
    """
    split = _split(shape, axes)
    lengths = sum(split, ())
    given: list[Any] = list(site_dim) if _is_list(site_dim) else [site_dim]
    for dim in given:
        if not isinstance(dim, int):
            raise ShapeError(f"site_dim must be a whole number or a list of them, got {site_dim!r}")
        if dim < 2:
            raise ShapeError(f"a site needs dimension 2 or more, got {dim}")
    next_dim = iter(given) if _is_list(site_dim) else itertools.repeat(*given)
    dims: list[int] = []
    groups = []
    for length in lengths:
        group: list[int] = []
        while math.prod(dims[site] for site in group) < length:
            group.append(len(dims))
            dims.append(next(next_dim, 2))
        groups.append(tuple(group))
    if _is_list(site_dim) and len(given) != len(dims):
        raise ShapeError(f"site_dim has {len(given)} entries, shape {shape} needs {len(dims)}")
    if len(dims) < 2:
        raise ShapeError(f"a weight of shape {shape} has {len(dims)} sites; a gate needs two")
    places = _ordered(order, groups, list(map(len, split)))
    return Sites(shape, lengths, tuple(dims), tuple(groups), places)


def _split(shape: tuple[int, ...], axes: Axes) -> list[tuple[int, ...]]:
    """Return the lengths of the parts of every axis."""
    given = shape if axes is None else axes
    if not _is_list(given):
        raise ShapeError(f"axes must be a list of lengths, got {axes!r}")
    parts = [tuple(n) if isinstance(n, (tuple, list)) else (n,) for n in given]
    if not all(isinstance(n, int) and n > 0 for part in (shape, *parts) for n in part):
        split = "" if axes is None else f" split as {axes}"
        raise ShapeError(f"every axis needs a whole length of 1 or more, got {shape}{split}")
    if [math.prod(part) for part in parts] != list(shape):
        raise ShapeError(f"axes {axes} multiply to {[math.prod(p) for p in parts]}, not to {shape}")
    return parts


def _ordered(
    order: str | Sequence[int], groups: list[tuple[int, ...]], parts: Sequence[int]
) -> tuple[int, ...]:
    num_sites = sum(map(len, groups))
    if isinstance(order, str) and order in ORDERS:
        return ORDERS[order](groups, parts)
    if isinstance(order, str) or not _is_list(order):
        raise ShapeError(f"order must be {', '.join(ORDERS)} or a permutation, got {order!r}")
    if set(order) != set(range(num_sites)) or len(order) != num_sites:
        raise ShapeError(f"order must hold each of 0 … {num_sites - 1} once, got {list(order)}")
    return tuple(order)


def _is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, (list, tuple))
