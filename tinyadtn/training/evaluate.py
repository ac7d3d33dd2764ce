"""Evaluate a model on a split (``evaluate``), and predict the classes of images (``predict``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autodiff.arrays import array_module, as_array
from ..autodiff.engine import Tensor
from ..autodiff.modes import isolated
from ..data.image_checks import require_channels_first
from ..data.splits import Split
from ..decode_free.precomputed import decoded
from ..errors import DataFileError, ShapeError
from ..nn.module import Module
from ..ops.loss import accuracy, softmax_cross_entropy
from ..ops.softmax import softmax

EVALUATION_BATCH = 500  # images per batch: large enough to be fast, small enough for the memory


@dataclass(frozen=True)
class Evaluation:
    """Mean loss in nats and accuracy (0 to 1) over a split of ``count`` images."""

    loss: float
    accuracy: float
    count: int


@isolated
def evaluate(model: Module, split: Split, *, batch_size: int = EVALUATION_BATCH) -> Evaluation:
    """Return mean loss and accuracy over a split. Encoded weights are decoded once."""
    if not isinstance(split, Split):
        raise TypeError(f"evaluate needs one Split, as data.test; got {type(split).__name__}")
    if len(split) == 0:
        raise ShapeError("there are no images in this split to judge by")
    if batch_size < 1:
        raise ShapeError(f"evaluate needs batch_size >= 1, got {batch_size}")
    loss = correct = 0.0
    with decoded(model) as ready:
        for start in range(0, len(split), batch_size):
            images = split.images[start : start + batch_size]
            labels = split.labels[start : start + batch_size]
            logits = ready(images)
            loss += softmax_cross_entropy(logits, labels=labels).item() * len(labels)
            correct += accuracy(logits, labels) * len(labels)
    return Evaluation(loss / len(split), correct / len(split), len(split))


@isolated
def predict(model: Module, images: Any) -> np.ndarray:
    """Return class probabilities (n, classes) of images (n, c, h, w), of uint8 or in [0, 1].

    Images of uint8 are divided by 255, as ``load_data`` does. The predicted classes are
    ``predict(model, images).argmax(axis=1)``. ``DataFileError`` for images (n, h, w, c), and for
    other numbers, unless the model is for features or a module of your own.
    """
    with decoded(model) as ready:
        parts = range(0, max(1, len(images)), EVALUATION_BATCH)
        return np.concatenate(
            [
                softmax(ready(_pixels(model, images[k : k + EVALUATION_BATCH]))).numpy()
                for k in parts
            ]
        )


def _pixels(model: Module, images: Any) -> Any:
    """The images as networks are trained on them; ``DataFileError`` where they cannot be."""
    images = images.data if isinstance(images, Tensor) else as_array(images)
    config = model.config if isinstance(model.config, dict) else {}
    if config.get("model") == "head":  # features may be any numbers
        return images
    require_channels_first(images, "predict")
    if images.dtype == np.uint8:
        return array_module(images).divide(images, 255, dtype=np.float32)
    if "image_size" in config and images.size:
        low, high = images.min(), images.max()
        if images.dtype.kind != "f" or not (low >= 0 and high <= 1):  # NaN is rejected, too
            raise DataFileError(
                "predict: expected images of uint8 or floats in [0, 1], found "
                f"{images.dtype} from {low} to {high}; scale them as for training"
            )
    return images
