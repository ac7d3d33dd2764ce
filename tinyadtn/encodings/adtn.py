"""ADTN: a weight as an automatically differentiable tensor network.

The start, the decoding, the fit to given weights, and the counting of what is stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..autodiff.arrays import array_module, asarray_like
from ..autodiff.engine import Tensor, op
from ..autodiff.modes import no_grad
from ..checks import to_builtin
from ..decode_free.cut import CutChain, cut_chain, cut_cores
from ..decode_free.wall_chain import WallChain, split, wall_chain, wall_cores
from ..errors import NonFiniteError, ShapeError, SizeLimitError
from ..limits import memory_limit
from ..nn.optim import Adam
from ..nn.parameters import Seed, he_std, require_values
from ..nn.schedules import OneCycle
from ..progress import progress
from ..tensor_networks.counting import live_entries, peak_floats
from ..tensor_networks.fast import fast_wall
from ..tensor_networks.gates import (
    ACTIVATIONS,
    ContractionStep,
    contract_network,
    contraction_steps,
)
from ..tensor_networks.sites import Axes, assign_sites
from ..tensor_networks.starts import STARTS, draw_gates
from ..tensor_networks.wall import build_wall
from ..tensor_networks.wirings import WIRINGS, Pairs
from .encoding import Cost, Counts, Encoding, Recipe, checked_target

LARGE_BATCH = 2**14  # vectors in the batch that ``factors`` are for, unless told otherwise
BASIS = 256  # unit vectors that a new ADTN is seen through at a time


class ADTN(Encoding):
    """A weight as a deep tensor network: T = L_M σ(… σ(L_1 |0…0⟩)), cropped to ``shape``.

    Each TN layer L is two columns of gates on neighbouring sites. ``depth`` is M; Q sites of
    dimension 2 hold 2^Q entries in 16·M·(Q-1) - 12·⌊Q/2⌋ numbers. ``axes`` splits an axis whose
    structure is known: ``axes=(256, (28, 28))`` for 784 pixels. ``order`` says where the sites of
    the axes stand: "mirrored" (outputs and inputs take turns; of an image, the rows from their
    finest digit, then the columns from their coarsest), "nested" (rows and columns from their
    coarsest), "interleaved" (outputs, rows and columns take turns), "output_first", or a
    permutation; the first three differ for split axes alone. ``activation`` is relu, leaky_relu,
    tanh or identity. ``wiring`` is "brick_wall", or "staircase", "tree", "butterfly" (pictures and
    counts in ``wirings``), or a list of columns, each a list of pairs of wall positions. A site
    that no gate acts on stays |0⟩: where its digit is not 0 the weight is 0 for ever.
    ``site_dim`` is the dimension of the sites, one for all or one for each: 4 holds two bits a
    site, and gates are 16×16. Other wirings and dimensions are contracted gate by gate.

    The ``start`` of the gates is orthogonal, normal, N(0, 1/4), or near_identity (see ``starts``).
    Then one untrained factor, ``scale``, gives the decoded weight the standard deviation of a dense
    start, √(2/fan_in). Without ``rng``, only shapes.
    Raises SizeLimitError, before anything is allocated, for a tensor beyond this machine's memory.
    Source: Qing, Li, Zhou, Ran, arXiv 2305.06058; the counting rule is our reading of it.

    >>> weight = ADTN((256, 784), depth=2, axes=(256, (28, 28)), rng=0)
    >>> weight.num_parameters, weight.decode().shape
    (436, (256, 784))
    """

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
        rng: Seed = None,
    ):
        shape, depth, order, axes, site_dim, wiring = map(
            to_builtin, (shape, depth, order, axes, site_dim, wiring)
        )
        if not isinstance(depth, int) or depth < 1:
            raise ShapeError(f"an ADTN needs a whole depth of 1 or more, got {depth!r}")
        if not isinstance(shape, tuple):
            raise ShapeError(f"a weight's shape has a length for each axis, got {shape!r}")
        if not isinstance(activation, str) or activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}"
            )
        if not isinstance(start, str) or start not in STARTS:
            raise ValueError(f"start must be one of {', '.join(STARTS)}, got {start!r}")
        if isinstance(wiring, str) and wiring not in WIRINGS:
            raise ValueError(
                f"wiring must be {', '.join(WIRINGS)} or a list of columns of pairs, got {wiring!r}"
            )
        self.shape = tuple(shape)
        self.depth, self.activation, self.wiring, self.start = depth, activation, wiring, start
        self.sites = assign_sites(self.shape, axes, site_dim, order)
        pairs = WIRINGS[wiring](self.num_sites) if isinstance(wiring, str) else wiring
        self.wall = build_wall(pairs, self.sites.wall_dims, 1)  # enough to tell what all will take
        _check_size(self)
        self.wall = build_wall(pairs, self.sites.wall_dims, depth)
        self.config = {
            "encoding": "ADTN",
            "shape": list(self.shape),
            "depth": depth,
            "activation": activation,
            "wiring": wiring,
            "order": order,
            "axes": axes,
            "site_dim": site_dim,
            "start": start,
        }
        rng = None if rng is None else np.random.default_rng(rng)
        self.scale = Tensor(np.float32(1))
        self.columns = draw_gates(self.wall, self.start, rng)
        if rng is not None:
            self._match_scale(rng)

    @classmethod
    def like(cls, depth: int = 1, **options: Any) -> Recipe:
        """A recipe: an ADTN of this kind for whatever shape (and structure of axes) a layer has."""
        return lambda shape, axes=None, rng=None: cls(
            shape, depth, **{"axes": axes, **options}, rng=rng
        )

    def options(self) -> dict[str, Any]:
        """The arguments that make another ADTN of this kind."""
        return {key: value for key, value in self.config.items() if key != "encoding"}

    @property
    def label(self) -> str:
        wiring = self.wiring if isinstance(self.wiring, str) else "own wiring"
        dims = set(self.sites.dims)
        said = [f"M={self.depth}"]
        said += [] if wiring == "brick_wall" else [wiring.replace("_", " ")]
        said += [] if dims == {2} else [f"d={'/'.join(map(str, sorted(dims)))}"]
        return f"ADTN {' '.join(said)}"

    @property
    def num_sites(self) -> int:
        """Q."""
        return len(self.sites.dims)

    def peak_bytes(self) -> int:
        """About how many bytes are held at once while a loss of the decoded weight trains it."""
        if fast_wall.applies(self.wiring, self.sites.dims):
            floats = fast_wall.peak_floats(self.num_sites, self.depth)
        else:
            layer = [column for column in self.wall if column.layer == 1]
            floats = peak_floats(layer, self.sites.wall_dims, self.depth)
        # Beside T: its gradient, the index, and the weight as picked, as scaled, and its gradient.
        return 4 * (floats + self.sites.padded_size) + (8 + 3 * 4) * math.prod(self.shape)

    def contract(self) -> Tensor:
        """T as a vector over all sites in wall order: before the crop and the scale factor."""
        require_values(self.columns)
        return contract_network(
            self.columns, self.wall, self.sites.wall_dims, self.activation, self.wiring
        )

    def decode(self) -> Tensor:
        """The weight: T contracted, put in the axes' order, cropped and scaled."""
        tensor = self.contract()
        index = self.sites.index_like(tensor.data)
        if index is None:
            return tensor.reshape(self.shape) * self.scale
        return _pick(tensor, index=index) * self.scale

    @no_grad()
    def steps(self) -> Iterator[ContractionStep]:
        """The contraction one column at a time, each step with a name and the state after it.

        >>> for step in ADTN((4, 4), depth=2, rng=0).steps():
        ...     print(step.name)
        all sites in |0⟩
        layer 1: gates on (0,1) (2,3)
        layer 1: gates on (1,2)
        relu after layer 1
        layer 2: gates on (0,1) (2,3)
        layer 2: gates on (1,2)
        """
        require_values(self.columns)
        yield from contraction_steps(self.columns, self.wall, self.sites.wall_dims, self.activation)

    def counts(self) -> Counts:
        """Dense, padded, stored and live numbers.

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

    def cost(self) -> Cost:
        """Multiply-adds to decode, to go through the factors, and to compute those.

        A brick wall's first layer is decoded as a matrix product state, 2 a number, and every other
        gate applied to all numbers; ``fast_wall`` groups those gates and has more products, sooner.

        >>> ADTN((4, 4), depth=2).cost()  # a layer of three gates of 4×4 on 2^4 numbers, and 2 each
        Cost(decode=224, apply=None, build=0)
        """
        first = 2 if fast_wall.applies(self.wiring, self.sites.dims) else 0
        gates = [
            (len(column.pairs), 1 if column.fresh else math.prod(column.dims))
            for column in self.wall
            if not (fast_wall.applies(self.wiring, self.sites.dims) and column.layer == 1)
        ]
        decode = self.sites.padded_size * (first + sum(n * terms for n, terms in gates))
        chain = self.chain(1)
        if chain is None:
            return Cost(decode, None)
        return Cost(decode, chain.multiply_adds, chain.build_multiply_adds)

    def chain(self, batch: int) -> WallChain | CutChain | None:
        """For depth 1, or without activation: the wall as a chain, if that has fewer numbers."""
        if len(self.shape) < 2 or (self.depth > 1 and self.activation != "identity"):
            return None
        if fast_wall.applies(self.wiring, self.sites.dims) and self.depth == 1:
            return wall_chain(self.sites, batch)
        return cut_chain(self.sites, tuple(self.wall))

    def factors(self, chain: Any = None) -> Sequence[Tensor]:
        """The cores of a depth-1 ADTN's chain, what ``decode`` would multiply; differentiable.

        With all output sites before all input sites they are two matrices, W = A·B, of rank 4, or
        2 if the output sites are odd in number. Without ``chain`` they are those for large batches.
        TypeError for a wall that is no chain.

        >>> weight = ADTN((512, 4096), order="output_first", rng=0)
        >>> a, b = weight.factors()
        >>> a.shape, b.shape, bool(np.allclose((a @ b).data, weight.decode().data, atol=1e-6))
        ((512, 2), (2, 4096), True)
        """
        chain = chain or self.chain(LARGE_BATCH)
        require_values(self.columns)
        if isinstance(chain, WallChain):
            cores = wall_cores(
                *self.columns, num_sites=self.num_sites, chain=chain, scale=self.scale
            )
            return split(cores, chain)
        if isinstance(chain, CutChain):
            a, b = cut_cores(self.columns, self.sites, chain)
            return a, b * self.scale
        why = "they would have no fewer numbers than the weight"
        if len(self.shape) < 2:
            why = f"a weight of shape {self.shape} has no input axis"
        elif self.depth > 1 and self.activation != "identity":
            why = f"depth {self.depth} with the activation {self.activation!r} is no product"
        raise TypeError(f"this ADTN has no factors, only decode(): {why}")

    def build_work(self, chain: Any) -> int:
        return chain.build_work

    def fit(
        self,
        target: Any,
        *,
        steps: int = 500,
        learning_rate: float = 0.02,
        show_progress: bool = True,
        label: str = "fit",
    ) -> list[float]:
        """Bring the decoded weight W close to the target in Euclidean distance.

        For given gates the best ``scale`` is known, ⟨W, target⟩ / ⟨W, W⟩, and leaves the relative
        error √(1 - cos²) with cos the cosine between W and the target. So the gates maximise cos²
        (Adam, one cycle) and the scale follows: the distance alone would pull a random start to
        W = 0 first. Returns the relative error ‖W - target‖ / ‖target‖ at every step; the last is
        what was reached. After NonFiniteError the gates are as they were before. Source of the
        elimination: Golub and Pereyra, SIAM J. Numer. Anal. 10, 413 (1973).
        """
        if steps < 0 or not 0 < learning_rate < math.inf:
            raise ValueError(
                f"fit needs steps >= 0 and a learning rate above 0, got {steps}, {learning_rate}"
            )
        target, norm = checked_target(self, target)
        dtype = self.columns[0].dtype
        direction = asarray_like((target / norm).astype(dtype), self.columns[0].data)
        optimizer = Adam(self.parameters(), clip=1.0)
        schedule = OneCycle(peak=learning_rate, steps=steps)
        errors: list[float] = []
        before = self.arrays()
        bar = progress(
            range(steps + 1),
            label=label,
            note=lambda _: f"relative error {errors[-1]:.3f}" if errors else "",
            show=show_progress,
        )
        for step in bar:
            with np.errstate(all="ignore"):  # what overflows is found in the next line
                weight = self.decode()
                overlap, square = (weight * direction).sum(), (weight * weight).sum()
            if not 0 < square.item() < math.inf:
                self.load_arrays(before)
                what = "zero" if square.item() == 0 else "numbers that are not finite"
                raise NonFiniteError(
                    f"after {step} steps this ADTN decodes to {what}; try a smaller learning_rate, "
                    "another rng or leaky_relu"
                )
            error = 1 - overlap * overlap / square
            errors.append(math.sqrt(max(error.item(), 0.0)))
            if step < steps:
                error.backward()
                optimizer.step(schedule(step))
                optimizer.zero_grad()
        best = norm * overlap.item() / square.item()
        self.scale = Tensor(self.scale.data * self.scale.dtype.type(best))
        return errors

    def __repr__(self) -> str:
        return (
            f"ADTN({self.shape}, depth={self.depth}): {self.num_parameters} numbers "
            f"for {math.prod(self.shape):,}"
        )

    def _match_scale(self, rng: np.random.Generator) -> None:
        """Set ``scale`` so that the decoded weight is spread like a dense start."""
        for _ in range(100):
            std = self._spread()
            if std > 0:
                self.scale = Tensor(np.float32(he_std(self.shape) / std))
                return
            # A relu can silence a small wall altogether; then other gates are drawn.
            self.columns = draw_gates(self.wall, self.start, rng)
        raise NonFiniteError(f"100 random starts of {self!r} decode to zero; try leaky_relu")

    @no_grad()
    def _spread(self) -> float:
        """The standard deviation of the weight's entries; not decoded, if it need not be."""
        chain = self.chain(BASIS)
        if chain is None:
            return float(self.decode().numpy().std())
        matrices = chain.matrices([core.data for core in self.factors(chain)])
        total = square = 0.0
        inputs = math.prod(self.shape[1:])
        for start in range(0, inputs, BASIS):  # some columns of the weight at a time
            count = min(BASIS, inputs - start)
            basis = np.eye(inputs, count, -start, dtype=matrices[0].dtype)
            columns = chain.apply(basis, matrices)[0].astype(np.float64)
            total, square = total + columns.sum(), square + (columns * columns).sum()
        count = math.prod(self.shape)
        return math.sqrt(max(square / count - (total / count) ** 2, 0.0))


@op
def _pick(tensor: Any, *, index: Any) -> Any:
    """weight[…] = tensor[index[…]]; the index names no entry twice, so its adjoint just writes."""

    def grad_tensor(g: Any) -> Any:
        share = array_module(g).zeros(tensor.shape, g.dtype)
        share[index] = g
        return share

    return tensor.take(index), grad_tensor


def _check_size(weight: ADTN) -> None:
    """Refuse what would not fit: Linux promises memory it does not have and kills who uses it."""
    needed, limit = weight.peak_bytes(), memory_limit()
    if needed > limit:
        fast = (
            ""
            if fast_wall.applies(weight.wiring, weight.sites.dims)
            else ', or wiring="brick_wall" and site_dim=2, which take less'
        )
        raise SizeLimitError(
            f"a weight of shape {weight.shape} is a tensor of {weight.sites.padded_size:,} "
            f"numbers; to train it at depth {weight.depth} takes about {needed / 2**30:,.1f} GiB, "
            f"the limit here is {limit / 2**30:,.1f} GiB (three quarters of the memory); use a "
            f"smaller weight or a smaller depth{fast}"
        )
