"""Three training runs, each with one bug, for notebook 04. Reading on spoils the exercise.

A run has the loss of every step, the share of the last batch that is read right, and the norm of
the first matrix's `p.grad` at the first step and at the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import tinyadtn as ta

SUSPECTS = {  # cause: what it looks like
    "the labels come in another order than the images": "the loss stays near ln 10, with gradients",
    "the step is far too large": "the loss jumps up in the first steps",
    "gradients are never reset": "the loss falls at first, and the norm of p.grad grows",
    "softmax is taken twice": "digits are read well, and the loss stays above 1.46",
    "all weights start at zero": "no gradient ever reaches the first matrix",
    "the step goes uphill": "the loss rises from the first step on",
}
CULPRITS = {
    "A": "gradients are never reset",
    "B": "softmax is taken twice",
    "C": "all weights start at zero",
}


@dataclass(frozen=True)
class Run:
    losses: list[float]
    accuracy: float
    first_gradient: float
    last_gradient: float

    def __repr__(self) -> str:
        return (
            f"loss {self.losses[0]:.3f}, at the end {np.mean(self.losses[-10:]):.3f}; "
            f"right {100 * self.accuracy:.0f} %; norm of w1's p.grad first "
            f"{self.first_gradient:.2g}, last {self.last_gradient:.2g}"
        )


def broken_run(letter: str, split: Any, steps: int) -> Run:
    """Train 784-64-10 by plain SGD on a split, with the bug of that letter."""
    rng = np.random.default_rng(0)
    start = 0.0 if letter == "C" else 0.05
    parameters = [
        ta.Tensor((start * rng.normal(size=shape)).astype(np.float32), requires_grad=True)
        for shape in ((784, 64), (64,), (64, 10), (10,))
    ]
    w1, b1, w2, b2 = parameters
    losses, norms, right = [], [], 0.0
    for _ in range(steps):
        rows = rng.integers(len(split), size=128)
        labels = split.labels[rows]
        hidden = ta.relu(split.images[rows].reshape(128, 784) @ w1 + b1)
        logits = hidden @ w2 + b2
        shown = ta.softmax(logits) if letter == "B" else logits
        loss = ta.softmax_cross_entropy(shown, labels=labels)
        right = ta.accuracy(logits, labels)
        loss.backward()
        losses.append(loss.item())
        norms.append(float(np.linalg.norm(w1.grad)))
        for p in parameters:
            p.data -= (0.5 if letter == "B" else 0.2) * p.grad
            if letter != "A":
                p.grad = None
    return Run(losses, right, norms[0], norms[-1])
