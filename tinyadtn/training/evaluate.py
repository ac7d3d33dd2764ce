"""Evaluate a model on a split (``evaluate``), and predict the classes of images (``predict``)."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autodiff.arrays import array_module, as_array
from ..autodiff.engine import Tensor
from ..autodiff.modes import isolated
from ..checks import require_number
from ..data.image_checks import require_channels_first, require_pixels
from ..data.splits import Data, Split
from ..decode_free.precomputed import decoded
from ..errors import ShapeError, explained
from ..nn.module import Module, require_model
from ..ops.loss import accuracy, softmax_cross_entropy
from ..ops.softmax import softmax
from ..tables import rounded
from .parts import loss_of

EVALUATION_BATCH = 500  # images per batch: large enough to be fast, small enough for the memory


@dataclass(frozen=True)
class Evaluation:
    """Mean loss and accuracy (0 to 1) over a split of ``count`` images."""

    loss: float
    accuracy: float
    count: int

    __repr__ = rounded


@explained("; Split(images, labels) makes a split of arrays")
@isolated
def evaluate(
    model: Module,
    split: Split,
    *,
    batch_size: int = EVALUATION_BATCH,
    loss: Any = softmax_cross_entropy,
) -> Evaluation:
    """Return mean loss and accuracy over a split. Encoded weights are decoded once.

    The loss is in nats. Another ``loss`` is a function of (logits, labels), or a name, as for
    ``train``.
    """
    require_model("evaluate", model)
    if not isinstance(split, Split):
        raise TypeError(f"evaluate needs one Split, as data.test; got {type(split).__name__}")
    if len(split) == 0:
        raise ShapeError("there are no images in this split to judge by")
    require_number("batch_size", batch_size, numbers.Integral)
    if batch_size < 1:
        raise ShapeError(f"evaluate needs batch_size >= 1, got {batch_size}")
    total = correct = 0.0
    loss = loss_of(loss)
    with decoded(model) as ready:
        for start in range(0, len(split), batch_size):
            images = split.images[start : start + batch_size]
            labels = split.labels[start : start + batch_size]
            logits = ready(images)
            total += loss(logits, labels).item() * len(labels)
            correct += accuracy(logits, labels) * len(labels)
    return Evaluation(total / len(split), correct / len(split), len(split))


@explained()
@isolated
def predict(model: Module, images: Any) -> np.ndarray:
    """Return class probabilities (n, classes) of images (n, c, h, w), of uint8 or in [0, 1].

    Images of uint8 are divided by 255, as ``load_data`` does. The predicted classes are
    ``predict(model, images).argmax(axis=1)``. ``DataFileError`` for images (n, h, w, c), and for
    other numbers, unless the model is for features or a module of your own. ``TypeError`` for a
    Split, a generator or None.
    """
    require_model("predict", model)
    images = _as_images(images)
    with decoded(model) as ready:
        parts = range(0, max(1, len(images)), EVALUATION_BATCH)
        return np.concatenate(
            [
                softmax(ready(_pixels(model, images[k : k + EVALUATION_BATCH]))).numpy()
                for k in parts
            ]
        )


def _as_images(images: Any) -> Any:
    """Return the array that ``predict`` was given; TypeError for anything else."""
    if isinstance(images, Tensor):
        return images.data
    if images is None or isinstance(images, (Split, Data, Iterator)):
        hint = {Split: "give split.images", Data: "give data.test.images"}
        raise TypeError(
            f"predict needs an array of images (n, c, h, w), got {type(images).__name__}; "
            + hint.get(type(images), "give numpy.stack of your images")
        )
    images = as_array(images)
    if images.shape == (0,):
        raise ShapeError("predict got no images; an empty batch has the shape (0, c, h, w)")
    return images


def _pixels(model: Module, images: Any) -> Any:
    """Return the images as networks are trained on them; features and own inputs unchanged."""
    config = model.config if isinstance(model.config, dict) else {}
    if config.get("model") == "head":  # features may be any numbers
        return images
    if "image_size" in config:
        require_pixels(images, "predict")
    else:
        require_channels_first(images, "predict")
    if images.dtype == np.uint8:
        return array_module(images).divide(images, 255, dtype=np.float32)
    return images
