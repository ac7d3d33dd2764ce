"""A matrix as a chain of small cores, and how a batch goes through it core by core.

           o₁       o₂       o₃
           │        │        │
         ┌─┴─┐ D₁ ┌─┴─┐ D₂ ┌─┴─┐
         │ 1 ├────┤ 2 ├────┤ 3 │        W[o₁o₂o₃, i₁i₂i₃]; core k is (D_{k-1}, o_k, i_k, D_k)
         └─┬─┘    └─┬─┘    └─┬─┘
           │        │        │
           i₁       i₂       i₃

A weight that can be applied without forming W is such a chain. A product of two matrices is the
one with cores (1, o, 1, r) and (r, 1, i, 1). The cores of a tensor train are these cores, and an
ADTN of depth 1 is a chain along its sites (``wall_chain``). A batch enters at one end. From the
right, each core contracts its inputs and the bond on its right, and computes its outputs and the
bond on its left. No axis is ever moved: the batch axis is last, the remaining inputs are in front
of the core's own axes, and the finished outputs are behind them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..autodiff.arrays import Array, array_module, sum_over, to_numpy
from ..autodiff.engine import op
from .cost import CALL, COPIED, SPILLED, work

Core = tuple[int, int, int, int]  # (left bond, outputs, inputs, right bond)
LARGE = 2**27  # entries of a matrix; the standard deviation of a larger one comes from its cores
BLOCK = 2**18  # floats of the widest step for a block of rows: the states stay in cache


@dataclass(frozen=True, eq=False)
class Chain:
    """How cores form a matrix, without their entries.

    ``from_right`` is the end at which a batch enters. ``into[f]`` is the place of input f among the
    inputs of all cores, first core most significant; places without an input are filled with zeros.
    ``out[k]`` is the place of output k. None means that all are there, in order. If the cores must
    be computed first, that takes ``build_multiply_adds``; with memory traffic, ``build_work``.

    >>> low_rank = Chain(((1, 256, 1, 8), (8, 1, 784, 1)))
    >>> low_rank.multiply_adds, low_rank.rank
    (8320, 8)
    """

    cores: tuple[Core, ...]
    from_right: bool = True
    into: np.ndarray | None = None
    out: np.ndarray | None = None
    build_multiply_adds: int = 0
    build_work: int = 0

    @cached_property
    def steps(self) -> list[tuple[int, int, int, int, int]]:
        """(core, stack, rows, inner, columns for a batch of one) of each step, in order."""
        steps, done, left = [], 1, self.num_inputs
        order = range(len(self.cores))
        for k in reversed(order) if self.from_right else order:
            a, o, i, b = self.cores[k]
            left //= i
            steps.append(
                (k, left, a * o, i * b, done) if self.from_right else (k, done, o * b, a * i, left)
            )
            done *= o
        return steps

    @cached_property
    def num_inputs(self) -> int:
        """The number of inputs of all cores together: the size after ``into``."""
        return math.prod(i for _, _, i, _ in self.cores)

    @cached_property
    def num_outputs(self) -> int:
        """The number of outputs of all cores together: the size before ``out``."""
        return math.prod(o for _, o, _, _ in self.cores)

    @property
    def num_kept(self) -> int:
        """The number of outputs after ``out``."""
        return self.num_outputs if self.out is None else len(self.out)

    @cached_property
    def multiply_adds(self) -> int:
        """The number of multiply-adds for one vector."""
        return sum(math.prod(step[1:]) for step in self.steps)

    @cached_property
    def state_floats(self) -> int:
        """The number of floats of one vector before and after each step, summed over the steps."""
        return sum(self._step_floats)

    @cached_property
    def widest(self) -> int:
        """The number of floats of one vector before and after the largest step."""
        return max(self._step_floats)

    @property
    def _step_floats(self) -> list[int]:
        return [stack * (rows + inner) * columns for _, stack, rows, inner, columns in self.steps]

    @property
    def rank(self) -> int | None:
        """The bond of two cores, one with all the inputs and one with all the outputs, or None."""
        if len(self.cores) != 2 or self.into is not None or self.out is not None:
            return None
        first, last = self.cores if self.from_right else self.cores[::-1]
        return self.cores[0][3] if first[2] == last[1] == 1 else None

    def work(self, batch: int) -> int:
        """Estimate the cost of a batch, in multiply-adds of a large product."""
        total = sum(
            # One vector: a stack of products with a vector is a single product.
            work(stack, inner, rows)
            if columns * batch == 1
            else work(rows, inner, columns * batch, stack)
            for _, stack, rows, inner, columns in self.steps
        )
        for places in (self.into, self.out):
            total += 0 if places is None else CALL + COPIED * batch * len(places)
        return total

    def blocks(self, batch: int) -> list[slice]:
        """Return the rows that go through the cores together: all, or blocks that fit the cache."""
        rows = 2 ** max(0, round(math.log2(BLOCK / self.widest)))
        if batch * self.widest < 4 * BLOCK:  # a few blocks would save less than they cost
            rows = max(1, batch)
        return [slice(k, k + rows) for k in range(0, max(1, batch), rows)]

    def kept_work(self, batch: int) -> int:
        """Estimate the cost of keeping states for the backward pass that do not fit the cache."""
        return SPILLED * max(0, batch * self.state_floats - 4 * BLOCK)

    # --- on arrays -------------------------------------------------------------------------------

    def matrices(self, cores: Sequence[Any]) -> list[Any]:
        """Return each core as the matrix that its step multiplies by."""
        if self.from_right:
            return [core.reshape(a * o, i * b) for core, (a, o, i, b) in zip(cores, self.cores)]
        return [
            core.reshape(a, o, i, b).transpose(1, 3, 0, 2).reshape(o * b, a * i)
            for core, (a, o, i, b) in zip(cores, self.cores)
        ]

    def cores_of(self, matrices: Sequence[Any]) -> list[Any]:
        """Undo ``matrices``, for gradients."""
        if self.from_right:
            return list(matrices)
        return [
            matrix.reshape(o, b, a, i).transpose(2, 0, 3, 1)
            for matrix, (a, o, i, b) in zip(matrices, self.cores)
        ]

    def apply(self, columns: Array, matrices: Sequence[Any]) -> tuple[Any, list[Any]]:
        """Map (inputs, batch) to (outputs, batch); also return the state before each step."""
        batch, states = columns.shape[1], []
        state = _put(columns, self.into, self.num_inputs)
        for k, stack, _, inner, width in self.steps:
            if width * batch == 1:
                states.append(state.reshape(stack, inner))
                state = states[-1] @ matrices[k].T
            elif stack == width == 1:  # the rows of x are then contiguous in both matrices
                states.append(state.reshape(1, inner, batch))
                state = (states[-1][0].T @ matrices[k].T).T
            else:
                states.append(state.reshape(stack, inner, width * batch))
                state = matrices[k] @ states[-1]
        return _pick(state.reshape(self.num_outputs, batch), self.out), states

    def pull_back(
        self, g: Array, states: Sequence[Any], matrices: Sequence[Any]
    ) -> tuple[Any, list[Any]]:
        """Return dL/d(inputs) and dL/d(matrix) for each matrix, from g = dL/d(outputs)."""
        batch = g.shape[1]
        g = _put(g, self.out, self.num_outputs)
        grads: list[Any] = [None] * len(matrices)
        for (k, stack, rows, _, width), state in zip(self.steps[::-1], states[::-1]):
            if state.ndim == 2:
                g = g.reshape(stack, rows)
                grads[k] = g.T @ state
                g = g @ matrices[k]
            else:
                g = g.reshape(stack, rows, width * batch)
                grads[k] = (g @ state.swapaxes(1, 2)).sum(axis=0)
                g = matrices[k].T @ g
        return _pick(g.reshape(self.num_inputs, batch), self.into), grads


def _put(rows: Array, places: np.ndarray | None, size: int) -> Any:
    """Return ``size`` rows: these ones at their places, zeros elsewhere."""
    if places is None:
        return rows
    xp = array_module(rows)
    wide = xp.zeros((size, rows.shape[1]), rows.dtype)
    wide[xp.asarray(places)] = rows
    return wide


def _pick(rows: Array, places: np.ndarray | None) -> Any:
    """Return the rows at these places."""
    return rows if places is None else rows[array_module(rows).asarray(places)]


def standard_deviation(cores: Sequence[Array]) -> float:
    """Return the standard deviation of all entries of the matrix W that the cores form.

    ΣW is the product of the cores' sums over their outputs and inputs, a row of matrices (bond,
    bond). ΣW² is the same for the products of each core with itself, (bond², bond²). So nothing of
    the size of W is formed.

    >>> standard_deviation([np.ones((1, 3, 1, 1)), np.array([1.0, 2.0]).reshape(1, 1, 2, 1)])
    0.5
    """
    total, square, entries = np.ones(1), np.ones((1, 1)), 1
    for core in cores:
        core = to_numpy(core).astype(np.float64)
        total = total @ core.sum(axis=(1, 2))
        half = np.tensordot(square, core, axes=1)
        square = np.tensordot(core, half, axes=((0, 1, 2), (0, 1, 2)))
        entries *= core.shape[1] * core.shape[2]
    return math.sqrt(max(square.item() / entries - (total.item() / entries) ** 2, 0.0))


@op(joint=True)
def through(x: Array, *arrays: Array, chain: Chain, biased: bool = False) -> Any:
    """y[n,o] = Σ_i x[n,i] · W[o,i] (+ bias[o]), with the matrix W that the chain's cores form.

    ``arrays`` are the cores, then the bias if there is one. On a CPU, x goes through all cores in
    blocks of rows.

    >>> left, right = np.ones((3, 1)), np.arange(4.0).reshape(1, 4)
    >>> chain = Chain(((1, 3, 1, 1), (1, 1, 4, 1)))
    >>> through(np.ones((2, 4)), left, right, chain=chain).data
    array([[6., 6., 6.],
           [6., 6., 6.]])
    """
    cores = arrays[:-1] if biased else arrays
    matrices, xp = chain.matrices(cores), array_module(x)
    blocks = chain.blocks(len(x)) if xp is np else [slice(None)]
    y, states = xp.empty((len(x), chain.num_kept), x.dtype), []
    for block in blocks:
        part, kept = chain.apply(x[block].T, matrices)
        y[block] = part.T
        states.append(kept)
    if biased:
        y += arrays[-1]

    def backward(g: Array) -> list[Any]:
        share, grads = xp.empty(x.shape, g.dtype), []
        for block, kept in zip(blocks, states):
            part, of_block = chain.pull_back(g[block].T, kept, matrices)
            share[block] = part.T
            grads.append(of_block)
        totals = chain.cores_of([sum(of_core) for of_core in zip(*grads)])
        shaped = [total.reshape(core.shape) for total, core in zip(totals, cores)]
        return [share, *shaped, *([sum_over(g, (0,))] if biased else [])]

    return y, backward
