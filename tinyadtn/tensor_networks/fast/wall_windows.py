"""The later TN layers of a brick wall, on plain arrays: windows of gates, blocks in cache.

**Windows.** A window is about five neighbouring sites. The gates of *both* columns inside it
multiply to one small matrix W: one matrix product in place of four. Windows overlap in one site, an
odd one, and go from left to right like stairs: the second-column gate there belongs to the window
on the right, which completes the first column under it::

    site  0   1   2   3   4   5   6   7   8   9
          └───┘   └───┘   └───┘   └───┘   └───┘     first column
              └───┘   └───┘   └───┘   └───┘         second column
          └─ window ──┘
                      └─── window ────┘
                                      └window─┘

**Blocks in cache.** The windows of a layer form two groups. For the *head*, the first f sites,
T is a 2^f × 2^(Q−f) matrix whose columns never meet: it takes a few columns at a time. The *tail*,
at most 17 sites, takes a few rows at a time. A block stays in cache from window to window, so a
group reads and writes the 2^Q numbers once. Backward computes each block again: only the groups'
inputs are kept, and their gradients overwrite them. Each product is small enough to run from the
first-level cache and on one thread: here OpenBLAS gains nothing from a second, and waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...autodiff.arrays import array_module

BLOCK_SITES = 16  # 2^16 numbers in a block: the few blocks that a group works on fit an L2 cache
TAIL_SITES = 17  # but a row of the tail is not cut: its block may hold 2^17
SLAB = 256  # columns in one small matrix product, fewer for a large W:
PRODUCT = 2**18  # multiplications up to which OpenBLAS starts no thread


# In place: σ on x, and its derivative, told from y = σ(x), on g = dL/dy; xp is their array module.
ACTIVATIONS: dict[str, tuple[Callable, Callable]] = {
    "identity": (lambda x, xp: x, lambda g, y, xp: g),
    "leaky_relu": (
        lambda x, xp: xp.maximum(x, 0.01 * x, out=x),
        lambda g, y, xp: xp.multiply(
            g, xp.where(y > 0, g.dtype.type(1), g.dtype.type(0.01)), out=g
        ),
    ),
    "relu": (
        lambda x, xp: xp.maximum(x, 0, out=x),
        lambda g, y, xp: xp.multiply(g, y > 0, out=g),
    ),
    "tanh": (
        lambda x, xp: xp.tanh(x, out=x),
        lambda g, y, xp: xp.multiply(g, 1 - y * y, out=g),
    ),
}


def window_spans(num_sites: int) -> list[list[tuple[int, int]]]:
    """(start, stop) of the windows of a later TN layer: its head's, if it has one, and its tail's.

    5 sites each, but 4 or 6 the first, and 6 the last for odd Q; up to 7 sites are one window.
    """
    last = num_sites - 5 - num_sites % 2
    starts = [0, *range(3 if last % 4 == 3 else 5, last + 1, 4)]
    spans = list(zip(starts, [start + 1 for start in starts[1:]] + [num_sites], strict=True))
    head = [span for span in spans if span[0] < num_sites - TAIL_SITES]
    return [head, spans[len(head) :]] if head else [spans]


class GateWindow:
    """The gates of one TN layer inside sites start…stop−1, multiplied to one matrix W.

    A window sees a block as an array (before, W's index, after); more may come after than is there.
    """

    def __init__(
        self, start: int, stop: int, layer: Sequence[np.ndarray], before: int, after: int
    ) -> None:
        self.layer, self.before, self.after, self.size = layer, before, after, 2 ** (stop - start)
        # Column, number in the column, first site counted from the window's start.
        self.gates = [
            (column, site // 2, site - start)
            for column in (0, 1)
            for site in range(start, stop - 1)
            if site % 2 == column
        ]
        self.xp = xp = array_module(layer[0])
        state = xp.eye(self.size, dtype=layer[0].dtype)
        self.states = []  # what each gate acts on: (2^site, 4, rest)
        for column, k, site in self.gates:
            self.states.append(state.reshape(2**site, 4, -1))
            state = layer[column][k] @ self.states[-1]
        self.slab = min(SLAB, PRODUCT // self.size**2)
        self.matrix = state.reshape(self.size, self.size)
        self.by_columns = xp.asfortranarray(self.matrix)  # BLAS is faster on W, and on Wᵀ, this way

    def _slabs(self, block: np.ndarray) -> np.ndarray:
        """View a block as matrices (before, …, size, columns)."""
        columns = min(self.slab, self.after)
        return block.reshape(self.before, self.size, -1, columns).swapaxes(1, 2)

    def _rows(self, block: np.ndarray) -> np.ndarray:
        """With nothing after the window, view a block as matrices (…, rows, size)."""
        return block.reshape(-1, min(self.slab, self.before), self.size)

    def apply(self, x: np.ndarray, out: np.ndarray) -> None:
        """out = W x."""
        if self.after == 1:
            self.xp.matmul(self._rows(x), self.by_columns.T, out=self._rows(out))
        else:
            self.xp.matmul(self.by_columns, self._slabs(x), out=self._slabs(out))

    def pull_back(self, g: np.ndarray, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        """From g = dL/d(W x): dL/dx goes to out, dL/dW is returned."""
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
        """From dL/dW, the gradient of each gate in W, put at its place in the layer's columns."""
        for (column, k, _), x in zip(self.gates[::-1], self.states[::-1], strict=True):
            grad = grad.reshape(x.shape)
            layer_grads[column][k] = (grad @ x.swapaxes(1, 2)).sum(0)
            grad = self.layer[column][k].T @ grad


class WindowGroup:
    """σ, then neighbouring windows of one TN layer: its head, its tail, or all of a small wall."""

    def __init__(
        self, spans: list[tuple[int, int]], num_sites: int, layer: Sequence[np.ndarray], name: str
    ) -> None:
        self.activate, self.activation_grad = ACTIVATIONS[name]
        start, stop = spans[0][0], spans[-1][1]
        self.head_sites = stop if stop < num_sites else 0
        # A tail block: one row of the group's sites, or as many rows as a block has room for.
        self.tail_sites = min(num_sites, max(BLOCK_SITES, num_sites - start))
        skipped = 0 if self.head_sites else num_sites - self.tail_sites
        self.windows = [
            GateWindow(a, b, layer, 2 ** (a - skipped), 2 ** (num_sites - b)) for a, b in spans
        ]

    def _blocks(self, state: np.ndarray) -> list[np.ndarray]:
        """Views that no gate of the group joins: rows (tail), or slabs of columns (head)."""
        if not self.head_sites:
            return list(state.reshape(-1, 2**self.tail_sites))
        slabs = state.reshape(2**self.head_sites, -1, SLAB)
        step = max(1, 2**BLOCK_SITES // slabs[:, 0].size)
        return [slabs[:, i : i + step] for i in range(0, slabs.shape[1], step)]

    def forward(self, state: np.ndarray) -> np.ndarray:
        """The group applied to the state, which is kept."""
        xp = array_module(state)
        self.state, out = state, xp.empty_like(state)
        blocks = self._blocks(state)
        x, y = (xp.empty(blocks[0].shape, state.dtype) for _ in range(2))
        for block, out_block in zip(blocks, self._blocks(out), strict=True):
            x[...] = block
            self.activate(x, xp)
            for window in self.windows[:-1]:
                window.apply(x, y)
                x, y = y, x
            self.windows[-1].apply(x, out_block)
        return out

    def backward(self, g: np.ndarray, layer_grads: Sequence[np.ndarray]) -> np.ndarray:
        """The gradient of the state, in the state's memory; the gates' go to layer_grads."""
        blocks = self._blocks(self.state)
        xp = array_module(g)
        grads = [xp.zeros_like(window.matrix) for window in self.windows]
        *inputs, spare = (xp.empty(blocks[0].shape, g.dtype) for _ in [*self.windows, None])
        for block, g_block in zip(blocks, self._blocks(g), strict=True):
            inputs[0][...] = block
            self.activate(inputs[0], xp)
            for window, x, y in zip(self.windows, inputs, inputs[1:], strict=False):
                window.apply(x, y)
            grad_x, free = g_block, spare
            for k in reversed(range(len(inputs))):
                grads[k] += self.windows[k].pull_back(grad_x, inputs[k], out=free)
                grad_x, free = free, inputs[k]  # an input is not needed again, but the first
            self.activation_grad(grad_x, inputs[0], xp)
            block[...] = grad_x
        for window, grad in zip(self.windows, grads, strict=True):
            window.gate_gradients(grad, layer_grads)
        return self.state
