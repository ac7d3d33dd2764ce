"""Evaluate a model on a split (``evaluate``), and predict the classes of images (``predict``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.splits import Split
from ..decode_free.precomputed import decoded
from ..errors import ShapeError
from ..nn.module import Module
from ..ops.loss import accuracy, softmax_cross_entropy
from ..ops.reductions import softmax

EVALUATION_BATCH = 500  # images per batch: large enough to be fast, small enough for the memory


@dataclass(frozen=True)
class Evaluation:
    """Mean loss in nats and accuracy (0 to 1) over a split of ``count`` images."""

    loss: float
    accuracy: float
    count: int


def evaluate(model: Module, split: Split, *, batch_size: int = EVALUATION_BATCH) -> Evaluation:
    """Return mean loss and accuracy over a split. Encoded weights are decoded once."""
    if not isinstance(split, Split):
        raise TypeError(f"evaluate needs one Split, as data.test; got {type(split).__name__}")
    if len(split) == 0:
        raise ShapeError("there are no images in this split to judge by")
    loss = correct = 0.0
    with decoded(model) as ready:
        for start in range(0, len(split), batch_size):
            images = split.images[start : start + batch_size]
            labels = split.labels[start : start + batch_size]
            logits = ready(images)
            loss += softmax_cross_entropy(logits, labels=labels).item() * len(labels)
            correct += accuracy(logits, labels) * len(labels)
    return Evaluation(loss / len(split), correct / len(split), len(split))


def predict(model: Module, images: Any) -> np.ndarray:
    """Return class probabilities (n, classes) of images (n, c, h, w).

    The predicted classes are ``predict(model, images).argmax(axis=1)``.
    """
    with decoded(model) as ready:
        parts = range(0, max(1, len(images)), EVALUATION_BATCH)
        return np.concatenate(
            [softmax(ready(images[k : k + EVALUATION_BATCH])).numpy() for k in parts]
        )
