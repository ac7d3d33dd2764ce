"""The fast schedule for the brick wall of gates: T and the gradient of every gate, on plain arrays.

Gate by gate, each of the M·(Q−1) gates reads and writes all 2^Q numbers. Three ideas avoid that.

**1. The first TN layer is a matrix product state.** It acts on |0…0>, so T is a chain of small
cores: first-column gate a_k already *is* a 2×2 state, and second-column gate B_k joins it to the
next one. Split the chain in two and multiply the halves, T = L·R: T is written once::

    site  0   1   2   3   4   5                 x        y
          └a_0┘   └a_1┘   └a_2┘               ──┤ core k ├──     core k = Σ_i a_k[x,i] B_k[o₁o₂,iy]
              └B_0┘   └B_1┘                       o₁  o₂         x, y: sites 2k, 2k+2 before B

**2. Later layers go window by window.** A window is about five neighbouring sites. The gates of
*both* columns inside it multiply to one small matrix W: one matrix product in place of four.
Windows overlap in one site, an odd one, and go from left to right like stairs: the second-column
gate there belongs to the window on the right, which completes the first column under it::

    site  0   1   2   3   4   5   6   7   8   9
          └───┘   └───┘   └───┘   └───┘   └───┘     first column
              └───┘   └───┘   └───┘   └───┘         second column
          └─ window ──┘
                      └─── window ────┘
                                      └window─┘

**3. Blocks in cache.** The windows of a layer form two groups. For the *head*, the first f sites,
T is a 2^f × 2^(Q−f) matrix whose columns never meet: it takes a few columns at a time. The *tail*,
at most 17 sites, takes a few rows at a time. A block stays in cache from window to window, so a
group reads and writes the 2^Q numbers once. Backward computes each block again: only the groups'
inputs are kept, and their gradients overwrite them. Each product is small enough to run from the
first-level cache and on one thread: here OpenBLAS gains nothing from a second, and waits for it.
"""

from collections.abc import Callable, Sequence

import numpy as np

from .errors import GraphError, ShapeError

BLOCK_SITES = 16  # 2^16 numbers in a block: the few blocks that a group works on fit an L2 cache
TAIL_SITES = 17  # but a row of the tail is not cut: its block may hold 2^17
SLAB = 256  # columns in one small matrix product, fewer for a large W:
PRODUCT = 2**18  # multiplications up to which OpenBLAS starts no thread

Backward = Callable[..., list[np.ndarray]]

# In place: σ on x, and its derivative, told from y = σ(x), on g = dL/dy.
ACTIVATIONS: dict[str, tuple[Callable, Callable]] = {
    "identity": (lambda x: x, lambda g, y: g),
    "leaky_relu": (
        lambda x: np.maximum(x, 0.01 * x, out=x),
        lambda g, y: np.multiply(g, np.where(y > 0, g.dtype.type(1), g.dtype.type(0.01)), out=g),
    ),
    "relu": (lambda x: np.maximum(x, 0, out=x), lambda g, y: np.multiply(g, y > 0, out=g)),
    "tanh": (lambda x: np.tanh(x, out=x), lambda g, y: np.multiply(g, 1 - y * y, out=g)),
}


def _chain(
    columns: Sequence[np.ndarray], num_sites: int, cut: int
) -> tuple[np.ndarray, np.ndarray, Backward]:
    """T = L·R, L (2^cut, 2), R (2, 2^(Q−cut)), at an odd cut; and (dL, dR) -> column gradients."""
    first, second = columns
    pairs, gates = first[: len(second)], second.reshape(-1, 4, 2, 2)  # (k, x, i), (k, o, i, y)
    cores = np.einsum("kxi,koiy->kxoy", pairs, gates)
    eye = np.eye(2, dtype=first.dtype)
    lefts = [eye]  # site 0 comes out as it went in
    for core in cores[: cut // 2]:
        lefts.append((lefts[-1] @ core.reshape(2, 8)).reshape(-1, 2))
    # Q even: the last pair has no gate behind it. Q odd: the last site is still |0>.
    rights = [first[-1] if num_sites % 2 == 0 else eye[:, :1]]
    for core in cores[cut // 2 :][::-1]:
        rights.append((core.reshape(8, 2) @ rights[-1]).reshape(2, -1))

    def backward(grad_left: np.ndarray, grad_right: np.ndarray) -> list[np.ndarray]:
        grad_cores, grad_first = np.empty_like(cores), np.empty_like(first)
        for k in reversed(range(cut // 2)):
            grad = grad_left.reshape(-1, 8)
            grad_cores[k] = (lefts[k].T @ grad).reshape(2, 4, 2)
            grad_left = grad @ cores[k].reshape(2, 8).T
        for k, right in enumerate(rights[-2::-1], start=cut // 2):
            grad = grad_right.reshape(8, -1)
            grad_cores[k] = (grad @ right.T).reshape(2, 4, 2)
            grad_right = cores[k].reshape(8, 2).T @ grad
        if num_sites % 2 == 0:
            grad_first[-1] = grad_right
        grad_first[: len(second)] = np.einsum("kxoy,koiy->kxi", grad_cores, gates)
        return [grad_first, np.einsum("kxoy,kxi->koiy", grad_cores, pairs).reshape(second.shape)]

    return lefts[-1], rights[-1], backward


def factors(
    columns: Sequence[np.ndarray], num_sites: int, cut: int
) -> tuple[np.ndarray, np.ndarray, Backward]:
    """T = L·R for depth 1, exactly: L (2^cut, r), R (r, 2^(Q−cut)), and the way back.

    r is 2 at an odd cut and 4 at an even one, 0 < cut < Q. The third value takes dL and dR and
    returns one gradient a column. ShapeError if the columns are not one TN layer, or no such cut.

    >>> first, second = np.ones((2, 2, 2)), np.ones((1, 4, 4))
    >>> left, right, _ = factors([first, second], num_sites=4, cut=2)
    >>> left.shape, right.shape, float((left @ right)[0, 0])
    ((4, 4), (4, 4), 4.0)
    """
    _check_columns(columns, num_sites)
    if len(columns) != 2 or not 0 < cut < num_sites:
        raise ShapeError(
            f"factors need depth 1 and a cut between 1 and {num_sites - 1}; "
            f"got depth {len(columns) // 2} and cut {cut}: contract() is for every depth"
        )
    left, right, chain_backward = _chain(columns, num_sites, cut - 1 + cut % 2)
    if cut % 2:
        return left, right, chain_backward
    # The site between the odd cut and this one passes through L untouched.
    eye = np.eye(2, dtype=left.dtype)
    wide = np.einsum("lr,ij->lirj", left, eye).reshape(-1, 4)

    def backward(grad_wide: np.ndarray, grad_right: np.ndarray) -> list[np.ndarray]:
        grad_left = np.einsum("liri->lr", grad_wide.reshape(-1, 2, 2, 2))
        return chain_backward(grad_left, grad_right.reshape(right.shape))

    return wide, right.reshape(4, -1), backward


def _row_blocks(left: np.ndarray, right: np.ndarray) -> list[slice]:
    """Rows of L·R, a block of them at a time: small enough to stay in cache."""
    rows = max(1, 2**BLOCK_SITES // right.shape[1])
    return [slice(row, row + rows) for row in range(0, len(left), rows)]


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """L·R; to OpenBLAS a large product with so few columns in L is worth twice the time."""
    out = np.empty((len(left), right.shape[1]), left.dtype)
    for rows in _row_blocks(left, right):
        np.matmul(left[rows], right, out=out[rows])
    return out


def _product_backward(
    left: np.ndarray, right: np.ndarray, g: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """dL = g Rᵀ and dR = Lᵀ g, both while a block of g is in cache: g is read once."""
    g = g.reshape(len(left), -1)
    grad_left, grad_right = np.empty_like(left), np.zeros_like(right)
    for rows in _row_blocks(left, right):
        np.matmul(g[rows], right.T, out=grad_left[rows])
        grad_right += left[rows].T @ g[rows]
    return grad_left, grad_right


def window_spans(num_sites: int) -> list[list[tuple[int, int]]]:
    """(start, stop) of the windows of a later TN layer: its head's, if it has one, and its tail's.

    5 sites each, but 4 or 6 the first, and 6 the last for odd Q; up to 7 sites are one window.
    """
    last = num_sites - 5 - num_sites % 2
    starts = [0, *range(3 if last % 4 == 3 else 5, last + 1, 4)]
    spans = list(zip(starts, [start + 1 for start in starts[1:]] + [num_sites], strict=True))
    head = [span for span in spans if span[0] < num_sites - TAIL_SITES]
    return [head, spans[len(head) :]] if head else [spans]


class _Window:
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
        state = np.eye(self.size, dtype=layer[0].dtype)
        self.states = []  # what each gate acts on: (2^site, 4, rest)
        for column, k, site in self.gates:
            self.states.append(state.reshape(2**site, 4, -1))
            state = layer[column][k] @ self.states[-1]
        self.slab = min(SLAB, PRODUCT // self.size**2)
        self.matrix = state.reshape(self.size, self.size)
        self.by_columns = np.asfortranarray(self.matrix)  # BLAS is faster on W, and on Wᵀ, this way

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
            np.matmul(self._rows(x), self.by_columns.T, out=self._rows(out))
        else:
            np.matmul(self.by_columns, self._slabs(x), out=self._slabs(out))

    def pull_back(self, g: np.ndarray, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        """From g = dL/d(W x): dL/dx goes to out, dL/dW is returned."""
        if self.after == 1:
            g, x = self._rows(g), self._rows(x)
            np.matmul(g, self.matrix, out=self._rows(out))
            products = g.swapaxes(1, 2) @ x
        else:
            g, x = self._slabs(g), self._slabs(x)
            np.matmul(self.matrix.T, g, out=self._slabs(out))
            products = g @ x.swapaxes(2, 3)
        return products.reshape(-1, self.size, self.size).sum(0)

    def gate_gradients(self, grad: np.ndarray, layer_grads: Sequence[np.ndarray]) -> None:
        """From dL/dW, the gradient of each gate in W, put at its place in the layer's columns."""
        for (column, k, _), x in zip(self.gates[::-1], self.states[::-1], strict=True):
            grad = grad.reshape(x.shape)
            layer_grads[column][k] = (grad @ x.swapaxes(1, 2)).sum(0)
            grad = self.layer[column][k].T @ grad


class _Group:
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
            _Window(a, b, layer, 2 ** (a - skipped), 2 ** (num_sites - b)) for a, b in spans
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
        self.state, out = state, np.empty_like(state)
        blocks = self._blocks(state)
        x, y = (np.empty(blocks[0].shape, state.dtype) for _ in range(2))
        for block, out_block in zip(blocks, self._blocks(out), strict=True):
            x[...] = block
            self.activate(x)
            for window in self.windows[:-1]:
                window.apply(x, y)
                x, y = y, x
            self.windows[-1].apply(x, out_block)
        return out

    def backward(self, g: np.ndarray, layer_grads: Sequence[np.ndarray]) -> np.ndarray:
        """The gradient of the state, in the state's memory; the gates' go to layer_grads."""
        blocks = self._blocks(self.state)
        grads = [np.zeros_like(window.matrix) for window in self.windows]
        *inputs, spare = (np.empty(blocks[0].shape, g.dtype) for _ in [*self.windows, None])
        for block, g_block in zip(blocks, self._blocks(g), strict=True):
            inputs[0][...] = block
            self.activate(inputs[0])
            for window, x, y in zip(self.windows, inputs, inputs[1:], strict=False):
                window.apply(x, y)
            grad_x, free = g_block, spare
            for k in reversed(range(len(inputs))):
                grads[k] += self.windows[k].pull_back(grad_x, inputs[k], out=free)
                grad_x, free = free, inputs[k]  # an input is not needed again, but the first
            self.activation_grad(grad_x, inputs[0])
            block[...] = grad_x
        for window, grad in zip(self.windows, grads, strict=True):
            window.gate_gradients(grad, layer_grads)
        return self.state


def contract(
    columns: Sequence[np.ndarray], num_sites: int, activation: str
) -> tuple[np.ndarray, Backward]:
    """T = L_M σ(… L_2 σ(L_1 |0…0>)), shape (2^Q,), and the way back from dL/dT.

    `columns`: two per TN layer; the gates of each, stacked. The first of all is (⌊Q/2⌋, 2, 2), only
    the gates' answer to |00>; the others are (k, 4, 4), new[p] = Σ_q gate[p, q] old[q], 4 = two
    sites, the left one first. Site 0 is the most significant bit of T's index. All arrays share one
    dtype. `activation`: identity, leaky_relu (0.01), relu or tanh.
    The second value takes dL/dT and returns one gradient a column; it runs once (GraphError after).

    >>> pair = np.eye(2)[None]                    # one first gate: |00> becomes |00> + |11>
    >>> tensor, backward = contract([pair, np.empty((0, 4, 4))], num_sites=2, activation="relu")
    >>> tensor
    array([1., 0., 0., 1.])
    >>> backward(np.arange(4.0))[0]
    array([[[0., 1.], [2., 3.]]])
    """
    _check_columns(columns, num_sites)
    if activation not in ACTIVATIONS:
        raise ValueError(f"no activation {activation!r}: take one of {', '.join(ACTIVATIONS)}")
    left, right, chain_backward = _chain(columns[:2], num_sites, cut=num_sites // 2 | 1)
    state = _product(left, right).reshape(-1)
    groups = []
    for layer in range(2, len(columns), 2):
        for spans in window_spans(num_sites):
            name = activation if spans[0][0] == 0 else "identity"
            group = _Group(spans, num_sites, columns[layer : layer + 2], name)
            groups.append((layer, group))
            state = group.forward(state)

    def backward(g: np.ndarray) -> list[np.ndarray]:
        if len(columns) > 2 and not groups:
            raise GraphError("backward has run and freed what it needs: contract the wall again")
        grads = [np.empty_like(column) for column in columns]
        g = np.asarray(g, left.dtype)
        while groups:
            layer, group = groups.pop()
            g = group.backward(g, grads[layer : layer + 2])
        return chain_backward(*_product_backward(left, right, g)) + grads[2:]

    return state, backward


def peak_floats(num_sites: int, depth: int) -> int:
    """A bound on the numbers that contract and its backward hold at once, T among them.

    >>> peak_floats(24, depth=1) / 2**24 < 1.01, peak_floats(24, depth=3) / 2**24 < 5.1
    (True, True)
    """
    parts = window_spans(num_sites)
    states = 1 + (depth - 1) * len(parts)
    chain = 8 * (2 ** (num_sites // 2 | 1) + 2 ** (num_sites // 2)) + 64 * num_sites
    if depth == 1:
        return 2**num_sites + chain
    # A window holds W as each gate finds it; a block, each window's input and a few of its size.
    windows = sum((b - a + 3) * 4 ** (b - a) for spans in parts for a, b in spans)
    blocks = max(len(spans) for spans in parts) + 6
    return (
        states * 2**num_sites + blocks * 2 ** min(num_sites, TAIL_SITES) + chain + depth * windows
    )


def _check_columns(columns: Sequence[np.ndarray], num_sites: int) -> None:
    counts = [num_sites // 2, (num_sites - 1) // 2] * (len(columns) // 2)
    wanted = [(count, 4, 4) if i else (count, 2, 2) for i, count in enumerate(counts)]
    shapes = [column.shape for column in columns]
    if not shapes or shapes != wanted:
        raise ShapeError(f"a wall of {num_sites} sites takes columns {wanted}, got {shapes}")
