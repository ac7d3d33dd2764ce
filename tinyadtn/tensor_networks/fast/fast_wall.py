"""The fast contraction of a brick wall: T and the gradient of every gate, on plain arrays.

``gates.network_tensor`` is the definition. There each of the M·(Q−1) gates reads and writes all
2^Q entries of the state. Here the first TN layer writes them once, and every later layer reads and
writes them twice: see ``wall_windows``.

**The first TN layer is a matrix product state.** It acts on |0…0⟩, so T is a chain of small cores
(picture in ``pair_cores``). Split the chain in two and multiply the halves, T = L·R: T is written
once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...autodiff.arrays import array_module
from ...autodiff.engine import op
from ..wirings import Pairs
from .pair_cores import FirstLayer
from .wall_windows import BLOCK_SITES, TAIL_SITES, WindowGroup, window_spans

Backward = Callable[..., list[np.ndarray]]


def applies(wiring: str | Sequence[Pairs], site_dims: Sequence[int]) -> bool:
    """Return whether the network is a brick wall, given by its name, on 3 or more sites of dim 2.

    A list of columns is contracted gate by gate, also if it is a brick wall.
    """
    return wiring == "brick_wall" and len(site_dims) > 2 and set(site_dims) == {2}


def _row_blocks(left: np.ndarray, right: np.ndarray) -> list[slice]:
    """Return the rows of L·R in blocks that are small enough to stay in cache."""
    rows = max(1, 2**BLOCK_SITES // right.shape[1])
    return [slice(row, row + rows) for row in range(0, len(left), rows)]


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return L·R. OpenBLAS takes twice as long for one large product with so few columns in L."""
    xp = array_module(left)
    out = xp.empty((len(left), right.shape[1]), left.dtype)
    for rows in _row_blocks(left, right):
        xp.matmul(left[rows], right, out=out[rows])
    return out


def _product_backward(
    left: np.ndarray, right: np.ndarray, g: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return dL = g Rᵀ and dR = Lᵀ g, both while a block of g is in cache: g is read once."""
    g, xp = g.reshape(len(left), -1), array_module(left)
    grad_left, grad_right = xp.empty_like(left), xp.zeros_like(right)
    for rows in _row_blocks(left, right):
        xp.matmul(g[rows], right.T, out=grad_left[rows])
        grad_right += left[rows].T @ g[rows]
    return grad_left, grad_right


def tensor_and_backward(
    columns: Sequence[np.ndarray], num_sites: int, activation: str
) -> tuple[np.ndarray, Backward]:
    """Return T = L_M σ(… L_2 σ(L_1 |0…0⟩)), shape (2^Q,), and its backward function.

    ``columns``: two per TN layer, the gates of each stacked. The first column is (⌊Q/2⌋, 2, 2): its
    gates act on |00⟩ only, so they store one column of their matrix. The others are (k, 4, 4),
    new[p] = Σ_q gate[p, q] old[q], 4 = two sites, the left one first. Site 0 is the highest bit of
    T's index. All arrays share one dtype. ``activation`` is a name in ``ACTIVATIONS``.
    The backward function takes dL/dT and returns one gradient per column. It runs once, because the
    gradients overwrite the stored states.

    >>> pair = np.eye(2)[None]                    # one first gate: |00⟩ becomes |00⟩ + |11⟩
    >>> tensor, backward = tensor_and_backward([pair, np.empty((0, 4, 4))], 2, "relu")
    >>> tensor
    array([1., 0., 0., 1.])
    >>> backward(np.arange(4.0))[0]
    array([[[0., 1.], [2., 3.]]])
    """
    first_layer, cut = FirstLayer(columns[0], columns[1], num_sites), num_sites // 2 | 1
    halves = [(0, cut), (cut, num_sites)]  # an odd cut: the bond is 2
    (left, left_backward), (right, right_backward) = map(first_layer.product, halves)
    right = right.reshape(2, -1)
    state = _product(left, right).reshape(-1)
    window_groups = []
    for layer in range(2, len(columns), 2):
        for spans in window_spans(num_sites):
            name = activation if spans[0][0] == 0 else "identity"
            group = WindowGroup(spans, num_sites, columns[layer : layer + 2], name)
            window_groups.append((layer, group))
            state = group.forward(state)

    def backward(g: np.ndarray) -> list[np.ndarray]:
        xp = array_module(g)
        grads = [xp.empty_like(column) for column in columns]
        g = xp.asarray(g, left.dtype)
        while window_groups:
            layer, group = window_groups.pop()
            g = group.backward(g, grads[layer : layer + 2])
        grad_left, grad_right = _product_backward(left, right, g)
        halves_grads = [left_backward(grad_left), right_backward(grad_right)]
        return first_layer.backward(halves, halves_grads) + grads[2:]

    return state, backward


def peak_floats(num_sites: int, depth: int) -> int:
    """Return a bound on the floats that forward and backward hold at once, T included.

    >>> peak_floats(24, depth=1) / 2**24 < 1.01, peak_floats(24, depth=3) / 2**24 < 5.1
    (True, True)
    """
    parts = window_spans(num_sites)
    states = 1 + (depth - 1) * len(parts)
    chain = 8 * (2 ** (num_sites // 2 | 1) + 2 ** (num_sites // 2)) + 64 * num_sites
    if depth == 1:
        return 2**num_sites + chain
    # A window keeps the partial product before each gate. A block keeps each window's input, and a
    # few more arrays of its size.
    windows = sum((b - a + 3) * 4 ** (b - a) for spans in parts for a, b in spans)
    blocks = max(len(spans) for spans in parts) + 6
    return (
        states * 2**num_sites + blocks * 2 ** min(num_sites, TAIL_SITES) + chain + depth * windows
    )


@op(joint=True)
def brick_wall_tensor(*columns, num_sites: int, activation: str):
    """Return T as a vector, for a brick wall on sites of dimension 2; differentiable."""
    return tensor_and_backward(list(columns), num_sites, activation)
