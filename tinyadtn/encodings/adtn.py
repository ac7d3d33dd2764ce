"""ADTN: a weight as an automatically differentiable tensor network.

This file is the definition: options, sites, gates, contraction into T, and T as the weight. Other
files have the details: ``scale`` (initialization), ``fit`` (to a given weight), ``costs`` (memory
and multiply-adds).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..autodiff.arrays import array_module
from ..autodiff.engine import Tensor, op
from ..autodiff.modes import no_grad
from ..checks import to_builtin
from ..decode_free.by_factors import ByFactors
from ..decode_free.rule import LARGE_BATCH
from ..decode_free.wall_chain import WallChain, wall_chain
from ..errors import ShapeError
from ..nn.parameters import Seed
from ..tensor_networks.activations import ACTIVATIONS
from ..tensor_networks.counting import live_entries
from ..tensor_networks.fast.one_layer import one_layer_weight
from ..tensor_networks.gates import ContractionStep, contraction_steps, network_tensor
from ..tensor_networks.sites import Axes, assign_sites
from ..tensor_networks.starts import STARTS, draw_gates
from ..tensor_networks.wall import build_wall
from ..tensor_networks.wirings import WIRINGS, Pairs, columns_of
from . import costs
from .encoding import Counts, Encoding, Recipe
from .fit import fit_by_variable_projection
from .scale import match_scale, norm_of_last, unit_gates, with_norm


class ADTN(ByFactors, Encoding):
    """A weight as a deep tensor network: T = L_M σ(… σ(L_1 |0…0⟩)), cropped to ``shape``.

    Each TN layer L is a pass through the columns of gates of a wiring; a brick wall has two columns
    of gates on neighboring sites. The depth M (``depth``) is the number of TN layers. Q sites of
    dimension 2 hold 2^Q entries in 16·M·(Q-1) - 12·⌊Q/2⌋ parameters. The options:

    - ``activation``, σ: relu, leaky_relu, tanh or identity.
    - ``wiring``: "brick_wall", "staircase", "tree", "butterfly" (pictures and counts in
      ``wirings``), or a list of columns, each a list of pairs of positions. If no gate acts on a
      site, it stays |0⟩: the weight is always 0 where its digit is not 0.
    - ``axes`` splits an axis whose structure is known: ``axes=(256, (28, 28))`` for 784 pixels.
    - ``order`` is the order of the sites: "mirrored" (outputs and inputs alternate; for an image,
      the rows from their finest digit, then the columns from their coarsest), "nested" (rows and
      columns from their coarsest digit), "interleaved" (outputs, rows and columns alternate),
      "output_first", or a permutation. The first three differ only for split axes.
    - ``site_dim``: the dimension of the sites, one for all or one for each. A site of dimension 4
      holds two bits, and its gates are 16×16. Only brick walls of dimension 2 have a fast path.
    - ``start``, the initialization of the gates: orthogonal, normal with N(0, 1/4), or
      near_identity (see ``starts``). Then ``scale``, one factor that is not trained, gives the
      decoded weight the standard deviation of a dense initialization, √(2/fan_in).
    - ``normalized``: gates are directions, T is divided by its rms if M > 1, and the last gate
      gives the norm, so that no training step can make the weight vanish or explode (see
      ``scale``). A gate that was set to 0 has no direction, so its gradient may be NaN. False is
      the *plain* parametrization of the paper, W = scale·T.
    - ``rng``: without it, the ADTN has shapes only.

    Raises SizeLimitError, before anything is allocated, if the tensor needs more than this
    machine's memory. A brick wall of depth 1 may be larger, because layers apply it through its
    factors; then only ``decode`` raises.
    Source: Qing, Li, Zhou, Ran, arXiv 2305.06058; the number of parameters is under our counting
    rule.

    >>> weight = ADTN((256, 784), depth=2, axes=(256, (28, 28)), rng=0)
    >>> weight.num_parameters, weight.decode().shape
    (436, (256, 784))
    """

    takes_axes = True
    columns: list[Tensor]
    scale: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        depth: int = 1,
        *,
        activation: str = "relu",
        wiring: str | Sequence[Pairs] = "brick_wall",
        order: str | Sequence[int] = "mirrored",
        axes: Axes = None,
        site_dim: int | Sequence[int] = 2,
        start: str = "orthogonal",
        normalized: bool = True,
        rng: Seed = None,
    ):
        options = checked_options(
            shape=shape, depth=depth, activation=activation, wiring=wiring, order=order,
            axes=axes, site_dim=site_dim, start=start, normalized=normalized,
        )  # fmt: skip
        self.shape, self.depth = options["shape"], options["depth"]
        self.activation, self.wiring = options["activation"], options["wiring"]
        self.start, self.normalized = options["start"], options["normalized"]
        self.sites = assign_sites(
            self.shape, options["axes"], options["site_dim"], options["order"]
        )
        pairs = columns_of(self.wiring, self.num_sites)
        self.wall = build_wall(pairs, self.sites.wall_dims, 1)  # one layer, for the size check
        costs.check_size(self, by_factors=True)
        self.wall = build_wall(pairs, self.sites.wall_dims, self.depth)
        self.config = {"encoding": "ADTN", **options, "shape": list(self.shape)}
        rng = None if rng is None else np.random.default_rng(rng)
        self.scale = Tensor(np.float32(1))
        self.columns = draw_gates(self.wall, self.start, rng)
        if rng is not None:
            match_scale(self, rng)

    @classmethod
    def like(cls, depth: int = 1, **options: Any) -> Recipe:
        """Return a recipe: it makes such an ADTN for any shape (and axes) that a layer has."""
        return super().like(depth, **options)

    def options(self) -> dict[str, Any]:
        """Return the arguments that make another ADTN of this kind."""
        return {key: value for key, value in self.config.items() if key != "encoding"}

    @property
    def label(self) -> str:
        """The name in reports, with the depth and the wiring."""
        wiring = self.wiring if isinstance(self.wiring, str) else "own wiring"
        dims = set(self.sites.dims)
        words = [f"M={self.depth}"]
        words += [] if wiring == "brick_wall" else [wiring.replace("_", " ")]
        words += [] if dims == {2} else [f"d={'/'.join(map(str, sorted(dims)))}"]
        return f"ADTN {' '.join(words)}"

    @property
    def num_sites(self) -> int:
        """The number of sites, Q."""
        return len(self.sites.dims)

    def gates(self) -> list[Tensor]:
        """Return the gates as they act, one Tensor per column: Â = c·A/‖A‖ if normalized."""
        return unit_gates(self.columns, self.wall) if self.normalized else self.columns

    def amplitude(self) -> Tensor:
        """Return the factor on T: scale · ‖A_G‖ if normalized, with A_G the last gate; or scale."""
        return norm_of_last(self.columns[-1], scale=self.scale) if self.normalized else self.scale

    def contract(self) -> Tensor:
        """Return T as a vector over all sites by position: before the crop and the factor."""
        return network_tensor(
            self.gates(), self.wall, self.sites.wall_dims, self.activation, self.wiring
        )

    def decode(self) -> Tensor:
        """Return the weight: T contracted, put in the axes' order, cropped and scaled."""
        if not self.fits():  # depth 1, and layers use the factors
            costs.check_size(self)
        if layout := costs.one_layer_layout(self):  # the same weight, faster
            return one_layer_weight(*self.gates(), self.amplitude(), layout=layout)
        tensor = self.contract()
        index = self.sites.index_like(tensor.data)
        if index is not None:
            tensor = _pick(tensor, index=index)
        if self.normalized and self.depth > 1:  # amplitude · T/rms(T)
            norm = self.amplitude() * math.sqrt(tensor.size)
            return with_norm(tensor.reshape(1, -1), norm).reshape(self.shape)
        return tensor.reshape(self.shape) * self.amplitude()

    @no_grad()
    def steps(self) -> Iterator[ContractionStep]:
        """Yield the contraction one column at a time: each step has a name and the state after it.

        >>> for step in ADTN((4, 4), depth=2, rng=0).steps():
        ...     print(step.name)
        all sites in |0⟩
        layer 1: gates on (0,1) (2,3)
        layer 1: gates on (1,2)
        relu after layer 1
        layer 2: gates on (0,1) (2,3)
        layer 2: gates on (1,2)
        """
        yield from contraction_steps(self.gates(), self.wall, self.sites.wall_dims, self.activation)

    def counts(self) -> Counts:
        """Count dense and padded entries, and stored and effective (``live``) parameters.

        >>> vgg = [ADTN(s, 1, order="output_first").counts() for s in ((4096, 512), (4096, 4096))]
        >>> [sum(getattr(c, kind) for c in vgg) for kind in ("stored", "live", "full_gates")]
        [424, 416, 688]
        """
        pairs = [(column, pair) for column in self.wall for pair in column.pairs]
        return Counts(
            dense=math.prod(self.shape),
            padded=self.sites.padded_size,
            stored=sum(math.prod(column.shape) for column in self.wall),
            live=live_entries(self.wall, self.sites.wall_dims, self.sites.kept()),
            full_gates=sum(math.prod(column.dims) ** 2 for column, _ in pairs),
        )

    def chain(self, batch: int) -> WallChain | None:
        """Return the chain of factors for a batch of that many vectors, or None.

        There is one for a brick wall of depth 1, if it takes fewer multiply-adds than the weight.
        """
        has_inputs = len(self.shape) > 1
        return wall_chain(self.sites) if costs.is_one_layer(self) and has_inputs else None

    def factors(self, chain: Any = None) -> Sequence[Tensor]:
        """Return the cores of the chain, whose product is the weight; differentiable.

        With all output sites before all input sites they are two matrices, W = A·B, of rank 4, or
        2 if the number of output sites is odd. The default ``chain`` is the one for large batches.
        TypeError if the ADTN has no chain.

        >>> weight = ADTN((512, 4096), order="output_first", rng=0)
        >>> a, b = weight.factors()
        >>> a.shape, b.shape, bool(np.allclose((a @ b).data, weight.decode().data, atol=1e-6))
        ((512, 2), (2, 4096), True)
        """
        chain = chain or self.chain(LARGE_BATCH)
        if chain is None:
            raise TypeError(
                f"this {self.label} of shape {self.shape} has no factors, only decode(): it needs "
                "depth 1, brick_wall, sites of dimension 2, and inputs, and the factors must take "
                "fewer multiply-adds than the weight"
            )
        return chain.factors(self.gates(), self.amplitude())

    fit = fit_by_variable_projection
    cost = costs.cost
    peak_bytes = costs.peak_bytes

    def __repr__(self) -> str:
        return (
            f"ADTN({self.shape}, depth={self.depth}): {self.num_parameters:,} parameters "
            f"for {math.prod(self.shape):,}"
        )


def checked_options(**options: Any) -> dict[str, Any]:
    """Return the options of an ADTN in Python's own types, ready for JSON. Raise if one is wrong.

    ``assign_sites`` and ``columns_of`` check the values that depend on the shape.
    """
    normalized = options["normalized"]
    if not isinstance(normalized, (bool, np.bool_)):
        raise ValueError(f"normalized must be True or False, got {normalized!r}")
    options = {name: to_builtin(value) for name, value in options.items()}
    shape, depth, wiring = options["shape"], options["depth"], options["wiring"]
    if not isinstance(depth, int) or depth < 1:
        raise ShapeError(f"an ADTN needs a whole depth of 1 or more, got {depth!r}")
    if not isinstance(shape, tuple):
        raise ShapeError(f"a weight's shape has a length for each axis, got {shape!r}")
    for name, table in (("activation", ACTIVATIONS), ("start", STARTS)):
        value = options[name]
        if not isinstance(value, str) or value not in table:
            raise ValueError(f"{name} must be one of {', '.join(table)}, got {value!r}")
    if isinstance(wiring, str) and wiring not in WIRINGS:
        raise ValueError(
            f"wiring must be {', '.join(WIRINGS)} or a list of columns of pairs, got {wiring!r}"
        )
    return {**options, "normalized": bool(normalized)}


@op
def _pick(tensor: Any, *, index: Any) -> Any:
    """weight[…] = tensor[index[…]]. No index occurs twice, so the gradient needs no sum."""

    def grad_tensor(g: Any) -> Any:
        share = array_module(g).zeros(tensor.shape, g.dtype)
        share[index] = g
        return share

    return tensor.take(index), grad_tensor
