"""A matrix as a chain of small cores, and a batch that goes through it core by core.

           o₁       o₂       o₃
           │        │        │
         ┌─┴─┐ D₁ ┌─┴─┐ D₂ ┌─┴─┐
         │ 1 ├────┤ 2 ├────┤ 3 │        W[o₁o₂o₃, i₁i₂i₃]; core k is (D_{k-1}, o_k, i_k, D_k)
         └─┬─┘    └─┬─┘    └─┬─┘
           │        │        │
           i₁       i₂       i₃

Every encoding that need not be decoded is such a chain. A product of two matrices is the one with
cores (1, o, 1, r) and (r, 1, i, 1), a tensor train has it in its name, and an ADTN of depth 1 is
one along its wall. Going through it from the right, say, each core trades its inputs and the bond
on its right for its outputs and the bond on its left. No axis is ever moved: the batch stands
last, what is still to come stands in front of the core's own axes and what is done behind them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..autodiff.arrays import Array, array_module
from ..autodiff.engine import op
from .cost import CALL, COPIED, work

Core = tuple[int, int, int, int]  # (left bond, outputs, inputs, right bond)


@dataclass(frozen=True, eq=False)
class Chain:
    """How a matrix is made of cores, without their numbers.

    ``from_right`` says at which end a batch enters. ``into[f]`` is the place of input f among the
    cores' inputs taken together, first core most significant; places that no input has get zeros.
    ``out[k]`` is the place of output k. None: they are all there, in order.

    >>> low_rank = Chain(((1, 256, 1, 8), (8, 1, 784, 1)))
    >>> low_rank.multiply_adds, low_rank.rank
    (8320, 8)
    """

    cores: tuple[Core, ...]
    from_right: bool = True
    into: np.ndarray | None = None
    out: np.ndarray | None = None

    @cached_property
    def steps(self) -> list[tuple[int, int, int, int, int]]:
        """(core, stack, rows, inner, columns for a batch of one), in the order they are taken."""
        steps, done, left = [], 1, math.prod(i for _, _, i, _ in self.cores)
        numbers = range(len(self.cores))
        for k in reversed(numbers) if self.from_right else numbers:
            a, o, i, b = self.cores[k]
            left //= i
            steps.append(
                (k, left, a * o, i * b, done) if self.from_right else (k, done, o * b, a * i, left)
            )
            done *= o
        return steps

    @cached_property
    def multiply_adds(self) -> int:
        """Those of one vector."""
        return sum(math.prod(step[1:]) for step in self.steps)

    @cached_property
    def state_floats(self) -> int:
        """Numbers that a vector becomes on its way, all steps together."""
        return sum(
            stack * (rows + inner) * columns for _, stack, rows, inner, columns in self.steps
        )

    @cached_property
    def widest(self) -> int:
        """Numbers of the largest of them, with what it is made from."""
        return max(
            stack * (rows + inner) * columns for _, stack, rows, inner, columns in self.steps
        )

    @property
    def rank(self) -> int | None:
        """The bond of two cores, one with all the inputs and one with all the outputs, or None."""
        if len(self.cores) != 2 or self.into is not None or self.out is not None:
            return None
        first, last = self.cores if self.from_right else self.cores[::-1]
        return first[3 if self.from_right else 0] if first[2] == last[1] == 1 else None

    def work(self, batch: int) -> int:
        """What a batch takes, in multiply-adds of a large product."""
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

    # --- on arrays -------------------------------------------------------------------------------

    def matrices(self, cores: Sequence[Any]) -> Sequence[Any]:
        """Each core as the matrix that a step multiplies by."""
        if self.from_right and all(core.ndim == 2 for core in cores):
            return cores  # two factors
        if self.from_right:
            return [core.reshape(a * o, i * b) for core, (a, o, i, b) in zip(cores, self.cores)]
        return [
            core.reshape(shape).transpose(1, 3, 0, 2).reshape(shape[1] * shape[3], -1)
            for core, shape in zip(cores, self.cores)
        ]

    def cores_of(self, matrices: Sequence[Any]) -> list[Any]:
        """The way back from ``matrices``, for gradients."""
        if self.from_right:
            return [matrix.reshape(shape) for matrix, shape in zip(matrices, self.cores)]
        return [
            matrix.reshape(o, b, a, i).transpose(2, 0, 3, 1)
            for matrix, (a, o, i, b) in zip(matrices, self.cores)
        ]

    def apply(self, columns: Array, matrices: Sequence[Any]) -> tuple[Any, list[Any]]:
        """(inputs, batch) -> (outputs, batch), and what each step started from."""
        batch, states = columns.shape[1], []
        state = columns if self.into is None else self._padded(columns)
        for k, stack, rows, inner, width in self.steps:
            if width * batch == 1:
                states.append(state.reshape(stack, inner))
                state = states[-1] @ matrices[k].T
            elif stack == 1 and rows < batch:  # BLAS is faster the other way round
                states.append(state.reshape(1, inner, width * batch))
                state = (states[-1][0].T @ matrices[k].T).T
            else:
                states.append(state.reshape(stack, inner, width * batch))
                state = matrices[k] @ states[-1]
        state = state.reshape(math.prod(o for _, o, _, _ in self.cores), batch)
        if self.out is not None:
            state = state[array_module(state).asarray(self.out)]
        return state, states

    def pull_back(
        self, g: Array, states: Sequence[Any], matrices: Sequence[Any]
    ) -> tuple[Any, list[Any]]:
        """From g = dL/d(outputs): dL/d(inputs), and dL/d(matrix) for each of them."""
        xp, batch = array_module(g), g.shape[1]
        if self.out is not None:
            whole = xp.zeros((math.prod(o for _, o, _, _ in self.cores), batch), g.dtype)
            whole[xp.asarray(self.out)] = g
            g = whole
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
        g = g.reshape(math.prod(i for _, _, i, _ in self.cores), batch)
        return (g if self.into is None else g[xp.asarray(self.into)]), grads

    def _padded(self, columns: Array) -> Any:
        xp = array_module(columns)
        wide = xp.zeros(
            (math.prod(i for _, _, i, _ in self.cores), columns.shape[1]), columns.dtype
        )
        wide[xp.asarray(self.into)] = columns
        return wide


@op(joint=True)
def through(x: Array, *arrays: Array, chain: Chain, biased: bool = False) -> Any:
    """y[n,o] = Σ_i x[n,i] · W[o,i] (+ bias[o]) for the W that the chain's cores make together.

    ``arrays`` are the cores, then the bias if there is one.

    >>> left, right = np.ones((3, 1)), np.arange(4.0).reshape(1, 4)
    >>> chain = Chain(((1, 3, 1, 1), (1, 1, 4, 1)))
    >>> through(np.ones((2, 4)), left, right, chain=chain).data
    array([[6., 6., 6.],
           [6., 6., 6.]])
    """
    cores = arrays[:-1] if biased else arrays
    matrices = chain.matrices(cores)
    y, states = chain.apply(x.T, matrices)
    if biased:
        y += arrays[-1][:, None]

    def backward(g: Array) -> list[Any]:
        share, grads = chain.pull_back(g.T, states, matrices)
        shaped = [c.reshape(a.shape) for c, a in zip(chain.cores_of(grads), cores)]
        return [share.T, *shaped, *([g.sum(axis=0)] if biased else [])]

    return y.T, backward
