"""The first TN layer of a brick wall as a matrix product state: a chain of small tensors.

A first-column gate a_k *is* a state of two sites, and a second-column gate B_k joins it to the next
one. The gates of a column are stacked: ``first`` is (⌊Q/2⌋, 2, 2), ``second`` is (⌊(Q−1)/2⌋, 4, 4).
Together they are one core for each pair of sites::

    site  0   1   2   3   4   5                 x        y
          └a_0┘   └a_1┘   └a_2┘               ──┤ core k ├──     core k = Σ_i a_k[x,i] B_k[o₁o₂,iy]
              └B_0┘   └B_1┘                       o₁  o₂         x, y: sites 2k, 2k+2 before B

Before an odd site the bond is 2. The chain can be cut before an even site too: the site on the left
of the cut then passes through as part of the bond, which is 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...autodiff.arrays import array_module

Span = tuple[int, int]  # the sites start … stop - 1, by position


class FirstLayer:
    """The chain of the first TN layer, to be multiplied out in spans of neighboring sites."""

    def __init__(self, first: np.ndarray, second: np.ndarray, num_sites: int) -> None:
        self.first, self.second, self.num_sites = first, second, num_sites
        self.cores, self._cores_backward = pair_cores(first, second)

    def product(self, span: Span) -> tuple[np.ndarray, Callable[[np.ndarray], list[np.ndarray]]]:
        """Return the tensor of a span, (left bond · legs, right bond), and its backward function.

        The backward function returns gradients for ``FirstLayer.backward``.
        """
        return multiply(self._tensors(span, self.cores, right_end(self.first, self.num_sites)))

    def backward(
        self, spans: Sequence[Span], grads: Sequence[Sequence[np.ndarray]]
    ) -> list[np.ndarray]:
        """Return the gradients of ``first`` and ``second``, for spans that share no site."""
        xp = array_module(self.first)
        grad_cores = xp.zeros(self.cores.shape, self.first.dtype)
        grad_first = xp.zeros_like(self.first)
        for span, span_grads in zip(spans, grads):
            views = self._tensors(span, grad_cores, right_end(grad_first, self.num_sites))
            for view, grad in zip(views, span_grads):
                view[...] = grad
        grad_pairs, grad_second = self._cores_backward(grad_cores)
        grad_first[: len(self.second)] += grad_pairs
        return [grad_first, grad_second]

    def _tensors(self, span: Span, cores: np.ndarray, end: np.ndarray) -> list[np.ndarray]:
        """Return the tensors of a span, (left bond, legs, right bond): constants, or views.

        No tensor belongs to site 0: its leg is the left bond of the next tensor.
        """
        (start, stop), xp = span, array_module(cores)
        tensors = [*cores[start // 2 : (stop - 1) // 2]]  # core k is sites 2k + 1 and 2k + 2
        if start and start % 2 == 0:  # the site on the left of the cut is part of the bond
            tensors.insert(0, cores[start // 2 - 1].reshape(4, 2, 2))
        if stop == self.num_sites:
            tensors.append(end[..., None])
        elif stop % 2 == 0:  # the last site passes through, into the bond
            tensors.append(xp.eye(4, dtype=cores.dtype).reshape(2, 2, 4))
        return tensors or [xp.eye(2, dtype=cores.dtype)[None]]  # site 0 alone


def multiply(
    tensors: Sequence[np.ndarray],
) -> tuple[np.ndarray, Callable[[np.ndarray], list[np.ndarray]]]:
    """Return the product of a chain of tensors (bond, legs, bond), and its backward function.

    The product is (left bond · all legs, right bond); the backward function returns the gradient of
    every tensor.

    >>> product, backward = multiply([np.ones((1, 2, 3)), np.ones((3, 4, 2))])
    >>> product.shape, [grad.shape for grad in backward(product)]
    ((8, 2), [(1, 2, 3), (3, 4, 2)])
    """
    matrices = [tensor.reshape(len(tensor), -1) for tensor in tensors[1:]]
    product = tensors[0].reshape(-1, tensors[0].shape[-1])
    products = [product]
    for tensor, matrix in zip(tensors[1:], matrices):
        product = (product @ matrix).reshape(-1, tensor.shape[-1])
        products.append(product)

    def backward(g: np.ndarray) -> list[np.ndarray]:
        grads = []
        for product, matrix in zip(products[-2::-1], matrices[::-1]):
            g = g.reshape(len(product), -1)
            grads.append(product.T @ g)
            g = g @ matrix.T
        return [grad.reshape(tensor.shape) for grad, tensor in zip([g, *grads[::-1]], tensors)]

    return product, backward


def pair_cores(
    first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]]:
    """core_k[x, o₁o₂, y] = Σ_i a_k[x, i] B_k[o₁o₂, i y], and its backward function.

    The backward function takes the gradient of the cores. It returns the gradient of those a_k that
    are followed by a B_k, ``first[: len(second)]``, and the gradient of ``second``.
    """
    pairs = first[: len(second)]  # (k, x, i)
    gates = second.reshape(-1, 4, 2, 2).swapaxes(1, 2).reshape(-1, 2, 8)  # (k, i, oy)

    def backward(grad_cores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        g = grad_cores.reshape(-1, 2, 8)
        grad_gates = (pairs.swapaxes(1, 2) @ g).reshape(-1, 2, 4, 2).swapaxes(1, 2)
        return g @ gates.swapaxes(1, 2), grad_gates.reshape(second.shape)

    return (pairs @ gates).reshape(-1, 2, 4, 2), backward


def right_end(first: np.ndarray, num_sites: int) -> np.ndarray:
    """Return the last tensor of the chain, (2, 2) or (2, 1).

    Q even: the last pair has no second-column gate after it. Q odd: the last site is still |0⟩.
    """
    return first[-1] if num_sites % 2 == 0 else array_module(first).eye(2, dtype=first.dtype)[:, :1]
