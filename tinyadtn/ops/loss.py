"""Losses, which training minimizes, and accuracy, which is reported.

A loss is an op that returns a single number. ``backward`` starts from it.
"""

from __future__ import annotations

from typing import Any

from ..autodiff.arrays import Array, array_module, as_array, as_float, asarray_like, require_no_mask
from ..autodiff.engine import Tensor, op
from ..checks import require_share
from ..errors import DTypeError, ShapeError
from .softmax import total_of_others


@op
def softmax_cross_entropy(logits: Array, *, labels: Array, label_smoothing: float = 0.0) -> Any:
    """L = mean over n of ( ln Σ_k e^logits[n,k] - Σ_k target[n,k] logits[n,k] ), in nats.

    ``logits`` (n, classes), ``labels`` n integers in 0 … classes - 1. The target of an image is
    one_hot(label); with ``label_smoothing`` ε it is (1 - ε) one_hot(label) + ε / classes (Szegedy
    et al., arXiv 1512.00567). Logits up to the limit of their dtype do not overflow. The gradient
    is (softmax(logits) - target) / n.

    >>> import numpy as np
    >>> softmax_cross_entropy(np.zeros((2, 10)), labels=np.array([3, 7])).item()  # ln 10
    2.302585...
    """
    xp, logits = array_module(logits), as_float(logits)
    labels = asarray_like(labels, logits)
    _check_labels(logits, labels)
    require_share("label_smoothing", label_smoothing)
    n, classes = logits.shape
    picked = (xp.arange(n), labels)
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = xp.exp(shifted)
    others = total_of_others(exponentials, 1)
    losses = xp.log1p(others)[:, 0] - shifted[picked]  # ln Σ e^logits - logits[label]
    if label_smoothing:
        losses = losses + label_smoothing * (shifted[picked] - shifted.mean(axis=1))

    def grad_logits(g: Array) -> Any:
        # (p - target) / n. At the label this is p - 1, which loses digits where p is almost 1:
        # it is computed as minus the sum of the other p.
        share = exponentials / (1 + others)  # p = softmax(logits)
        share[picked] = 0
        share[picked] = -share.sum(axis=1)
        if label_smoothing:
            share[picked] += label_smoothing
            share -= label_smoothing / classes
        return share * (g / n)

    return losses.mean(), grad_logits


@op
def binary_cross_entropy_with_logits(logits: Array, *, labels: Array) -> Any:
    """L = mean of -( t ln σ(a) + (1 - t) ln(1 - σ(a)) ) over all logits a, with labels t, in nats.

    ``labels`` has the shape of ``logits`` and values from 0 to 1. The gradient is (σ(a) - t) / n.

    >>> binary_cross_entropy_with_logits([0.0, 0.0], labels=[0, 1]).item()  # ln 2
    0.693...
    """
    xp, a = array_module(logits), as_float(logits)
    t = asarray_like(labels, a)
    if t.dtype.kind not in "fiub":
        raise DTypeError(f"labels must be numbers from 0 to 1, got {t.dtype}")
    t = t.astype(a.dtype)
    if t.shape != a.shape or a.size == 0:
        raise ShapeError(
            f"logits and labels need one shape and an element, got {a.shape}, {t.shape}"
        )
    if not (t.min() >= 0 and t.max() <= 1):
        raise ShapeError(f"labels must lie in 0 … 1, got {float(t.min())} … {float(t.max())}")
    e, t = xp.exp(-xp.abs(a)), (a > 0) - t  # ln(1 + e^a) = ln(1 + e^-|a|) + max(a, 0)
    loss, q = (a * t + xp.log1p(e)).mean(), e / (1 + e)
    return loss, lambda g: (t + xp.where(a > 0, -q, q)) * (g / a.size)


@op
def mean_squared_error(a: Array, b: Array) -> Any:
    """L = mean of (a - b)² over all elements; the shapes must agree."""
    if a.shape != b.shape:
        raise ShapeError(f"mean_squared_error of shapes {a.shape} and {b.shape}")
    if a.size == 0:
        raise ShapeError("mean_squared_error of no elements is undefined")
    difference = as_float(a) - as_float(b)
    slope = 2 / difference.size
    return (
        (difference * difference).mean(),
        lambda g: g * slope * difference,
        lambda g: -g * slope * difference,
    )


def accuracy(logits: Array, labels: Array) -> float:
    """Return the fraction of rows whose largest logit is that of the label, from 0 to 1.

    A row with a NaN has no largest logit: it counts as wrong.

    >>> accuracy([[2.0, 1.0], [0.0, 3.0]], [0, 0])
    0.5
    """
    logits = logits.data if isinstance(logits, Tensor) else as_array(logits)
    require_no_mask(labels)
    labels = asarray_like(labels, logits)
    _check_labels(logits, labels)
    largest = logits.max(axis=1)  # NaN, which argmax takes for the largest, is not itself
    return float(((logits.argmax(axis=1) == labels) & (largest == largest)).mean())


def _check_labels(logits: Array, labels: Array) -> None:
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ShapeError(
            f"logits must be (n, classes) and labels (n,), got {logits.shape} and {labels.shape}"
        )
    if len(labels) == 0:
        raise ShapeError("the loss of an empty batch is undefined")
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"labels must be integers, got {labels.dtype}")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ShapeError(
            f"labels must lie in 0 … {logits.shape[1] - 1}, "
            f"got {int(labels.min())} … {int(labels.max())}"
        )
