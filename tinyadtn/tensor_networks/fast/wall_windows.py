"""The later TN layers of a brick wall, on plain arrays: windows of gates, blocks in cache.

**Windows.** A window is about five neighboring sites. The gates of *both* columns inside it
multiply to one small matrix W, so that one matrix product replaces four. Neighboring windows
overlap in one site with an odd number, and they are applied from left to right. The second-column
gate on that site belongs to the right window, because it needs the first-column gates of both::

    site  0   1   2   3   4   5   6   7   8   9
          └───┘   └───┘   └───┘   └───┘   └───┘     first column
              └───┘   └───┘   └───┘   └───┘         second column
          └─ window ──┘
                      └─── window ────┘
                                      └window─┘

**Blocks in cache.** The windows of a layer form two groups. For the *head*, the first f sites,
T is a 2^f × 2^(Q−f) matrix whose columns do not mix: the group works on a few columns at a time.
The *tail*, at most 17 sites, works on a few rows at a time. A block stays in cache from window to
window, so a group reads and writes the 2^Q entries once. Backward computes each block again: only
the inputs of the groups are kept, and their gradients overwrite them. Each product is small enough
for the first-level cache and one thread: a second OpenBLAS thread costs more here than it gains.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...autodiff.arrays import array_module
from ..activations import ACTIVATIONS

BLOCK_SITES = 16  # 2^16 floats in a block: the few blocks of a group fit into an L2 cache
TAIL_SITES = 17  # a row of the tail is not split, so its block may have 2^17 floats
SLAB = 256  # columns in one small matrix product; fewer for a large W, because of
PRODUCT = 2**18  # the number of multiplications up to which OpenBLAS starts no second thread


def window_spans(num_sites: int) -> list[list[tuple[int, int]]]:
    """Return (start, stop) of each window of a later TN layer: head (if there is one), then tail.

    Windows have 5 sites, except the first (4 or 6) and, for odd Q, the last (6). Up to 7 sites are
    one window.
    """
    last = num_sites - 5 - num_sites % 2
    starts = [0, *range(3 if last % 4 == 3 else 5, last + 1, 4)]
    spans = list(zip(starts, [start + 1 for start in starts[1:]] + [num_sites], strict=True))
    head = [span for span in spans if span[0] < num_sites - TAIL_SITES]
    return [head, spans[len(head) :]] if head else [spans]


class GateWindow:
    """The gates of one TN layer inside sites start…stop−1, multiplied to one matrix W.

    A window views a block as an array (before, W's index, after). A block of the head has fewer
    entries after the window than ``after``.
    """

    def __init__(
        self, start: int, stop: int, layer: Sequence[np.ndarray], before: int, after: int
    ) -> None:
        self.layer, self.before, self.after, self.size = layer, before, after, 2 ** (stop - start)
        # Column, number in the column, first site relative to the window's start.
        self.gates = [
            (column, site // 2, site - start)
            for column in (0, 1)
            for site in range(start, stop - 1)
            if site % 2 == column
        ]
        self.xp = xp = array_module(layer[0])
        state = xp.eye(self.size, dtype=layer[0].dtype)
        self.states = []  # the input of each gate: (2^site, 4, rest)
        for column, k, site in self.gates:
            self.states.append(state.reshape(2**site, 4, -1))
            state = layer[column][k] @ self.states[-1]
        self.slab = min(SLAB, PRODUCT // self.size**2)
        self.matrix = state.reshape(self.size, self.size)
        self.by_columns = xp.asfortranarray(self.matrix)  # BLAS is faster with this layout

    def _slabs(self, block: np.ndarray) -> np.ndarray:
        """View a block as matrices (before, …, size, columns)."""
        columns = min(self.slab, self.after)
        return block.reshape(self.before, self.size, -1, columns).swapaxes(1, 2)

    def _rows(self, block: np.ndarray) -> np.ndarray:
        """View a block as matrices (…, rows, size), if no site comes after the window."""
        return block.reshape(-1, min(self.slab, self.before), self.size)

    def apply(self, x: np.ndarray, out: np.ndarray) -> None:
        """out = W x."""
        if self.after == 1:
            self.xp.matmul(self._rows(x), self.by_columns.T, out=self._rows(out))
        else:
            self.xp.matmul(self.by_columns, self._slabs(x), out=self._slabs(out))

    def pull_back(self, g: np.ndarray, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Write dL/dx to ``out`` and return dL/dW, for g = dL/d(W x)."""
        if self.after == 1:
            g, x = self._rows(g), self._rows(x)
            self.xp.matmul(g, self.matrix, out=self._rows(out))
            products = g.swapaxes(1, 2) @ x
        else:
            g, x = self._slabs(g), self._slabs(x)
            self.xp.matmul(self.matrix.T, g, out=self._slabs(out))
            products = g @ x.swapaxes(2, 3)
        return products.reshape(-1, self.size, self.size).sum(0)

    def gate_gradients(self, grad: np.ndarray, layer_grads: Sequence[np.ndarray]) -> None:
        """Write the gradient of each gate in W into the layer's columns, for ``grad`` = dL/dW."""
        for (column, k, _), x in zip(self.gates[::-1], self.states[::-1], strict=True):
            grad = grad.reshape(x.shape)
            layer_grads[column][k] = (grad @ x.swapaxes(1, 2)).sum(0)
            grad = self.layer[column][k].T @ grad


class WindowGroup:
    """σ, then neighboring windows of one TN layer: head, tail, or all windows of a small one."""

    def __init__(
        self, spans: list[tuple[int, int]], num_sites: int, layer: Sequence[np.ndarray], name: str
    ) -> None:
        self.activation = ACTIVATIONS[name]
        start, stop = spans[0][0], spans[-1][1]
        self.head_sites = stop if stop < num_sites else 0
        # A tail block is one row over the group's sites, or as many rows as fit into a block.
        self.tail_sites = min(num_sites, max(BLOCK_SITES, num_sites - start))
        skipped = 0 if self.head_sites else num_sites - self.tail_sites
        self.windows = [
            GateWindow(a, b, layer, 2 ** (a - skipped), 2 ** (num_sites - b)) for a, b in spans
        ]

    def _blocks(self, state: np.ndarray) -> list[np.ndarray]:
        """Return views that no gate of the group mixes: rows (tail) or slabs of columns (head)."""
        if not self.head_sites:
            return list(state.reshape(-1, 2**self.tail_sites))
        slabs = state.reshape(2**self.head_sites, -1, SLAB)
        step = max(1, 2**BLOCK_SITES // slabs[:, 0].size)
        return [slabs[:, i : i + step] for i in range(0, slabs.shape[1], step)]

    def forward(self, state: np.ndarray) -> np.ndarray:
        """Return the group applied to the state; keep the state for backward."""
        xp = array_module(state)
        self.state, out = state, xp.empty_like(state)
        blocks = self._blocks(state)
        x, y = (xp.empty(blocks[0].shape, state.dtype) for _ in range(2))
        for block, out_block in zip(blocks, self._blocks(out), strict=True):
            x[...] = block
            self.activation.in_place(x, xp)
            for window in self.windows[:-1]:
                window.apply(x, y)
                x, y = y, x
            self.windows[-1].apply(x, out_block)
        return out

    def backward(self, g: np.ndarray, layer_grads: Sequence[np.ndarray]) -> np.ndarray:
        """Return dL/d(state), in the state's memory; write the gates' gradients to layer_grads."""
        blocks = self._blocks(self.state)
        xp = array_module(g)
        grads = [xp.zeros_like(window.matrix) for window in self.windows]
        *inputs, spare = (xp.empty(blocks[0].shape, g.dtype) for _ in [*self.windows, None])
        for block, g_block in zip(blocks, self._blocks(g), strict=True):
            inputs[0][...] = block
            self.activation.in_place(inputs[0], xp)
            for window, x, y in zip(self.windows, inputs, inputs[1:], strict=False):
                window.apply(x, y)
            grad_x, free = g_block, spare
            for k in reversed(range(len(inputs))):
                grads[k] += self.windows[k].pull_back(grad_x, inputs[k], out=free)
                grad_x, free = free, inputs[k]  # only the first input is needed again
            self.activation.times_derivative(grad_x, inputs[0], xp)
            block[...] = grad_x
        for window, grad in zip(self.windows, grads, strict=True):
            window.gate_gradients(grad, layer_grads)
        return self.state
