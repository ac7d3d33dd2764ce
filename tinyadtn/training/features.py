"""Features of a data set, computed once by a network's first layers, to train many heads on them.

data = ta.load_data("cifar10")
inputs = ta.features(vgg, "fc1", data)        # 512 features per image
head = ta.models.head()                       # fc1, fc2 and fc3 alone
for step in ta.train(head, inputs, epochs=5):
    ...
"""

from __future__ import annotations

import hashlib
import math

import numpy as np

from ..autodiff.arrays import to_numpy
from ..autodiff.modes import isolated
from ..data.splits import Data, Split
from ..decode_free.precomputed import decoded
from ..errors import NonFiniteError, TinyADTNError, nearest
from ..files.datafile import SPLITS
from ..limits import require_memory
from ..nn.module import Module
from ..nn.sequential import Sequential, for_images
from ..progress import progress
from .evaluate import EVALUATION_BATCH


@isolated
def features(model: Module, before: str, data: Data, *, show_progress: bool = True) -> Data:
    """Return h = f_k(… f_2(f_1(x))) of every image x; f_1 … f_k are the layers before ``before``.

    The layers run as they do in ``evaluate``: without dropout, with the running statistics of batch
    normalization, and without a graph. The result is ``Data``, float32 (n, c, h, w), whose values
    need not lie in [0, 1]. Features without rows and columns have the shape (n, features, 1, 1).

    A network for features begins with Flatten, so ``before`` may also name the model's own Flatten:
    ``before="flatten"`` keeps the rows and columns of the image, which an encoding can give
    separate sites. Labels, splits and classes are those of ``data``. ``origin`` holds the identity
    of the data, ``before``, and the model: its configuration and the SHA-256 of these layers.

    TypeError for a model that is not a Sequential, TinyADTNError for a layer that it does not have,
    ShapeError for images that it does not accept, SizeLimitError if the features would not fit in
    memory, NonFiniteError for features that are not finite.

    >>> import tinyadtn as ta
    >>> model = ta.models.lenet5(rng=0)
    >>> features(model, "fc1", ta.load_data("mnist-5k"), show_progress=False)
    Data(mnist-5k before fc1: train 3,500, validation 500, test 1,000; images 400×1×1; 10 classes)
    """
    if not isinstance(data, Data):
        raise TypeError(f"features needs Data with all splits, got {type(data).__name__}")
    part = layers_before(model, before)
    with decoded(part) as ready, np.errstate(all="ignore"):  # an overflow is reported below
        with for_images(model.config, data.train.images.shape[1:]):
            shape = ready(data.train.images[:1]).shape[1:]
        shape += (1,) * (3 - len(shape))
        images = sum(len(getattr(data, name)) for name in SPLITS)
        each = "×".join(map(str, shape))
        what = f"features before {before}, {each} numbers for each of {images:,} images,"
        require_memory(what, 4 * images * math.prod(shape), "name a later layer")
        made = {name: np.empty((len(getattr(data, name)), *shape), np.float32) for name in SPLITS}
        batches = [
            (name, start)
            for name, rows in made.items()
            for start in range(0, len(rows), EVALUATION_BATCH)
        ]
        label = f"features before {before}"
        for name, start in progress(batches, total=len(batches), label=label, show=show_progress):
            images = getattr(data, name).images[start : start + EVALUATION_BATCH]
            values = to_numpy(ready(images).data).reshape(len(images), *shape)
            made[name][start : start + len(images)] = values
            if not np.isfinite(made[name][start : start + len(images)]).all():
                raise NonFiniteError(
                    f"features before {before} are not finite, of {name} images {start} to "
                    f"{start + len(images) - 1}: look at the model's weights, and at the images"
                )
    train, validation, test = (
        Split(made[name], getattr(data, name).labels, features=True) for name in SPLITS
    )
    layers = {"config": model.config, "sha256": sha256_of(part)}
    origin = {"data": data.identity(), "before": before, "model": layers}
    name = f"{data.name} before {before}"
    return Data(train, validation, test, data.classes, name, origin)


def layers_before(model: Module, before: str) -> Sequential:
    """Return the layers of the model before ``before``, as a network that shares them."""
    if not isinstance(model, Sequential):
        raise TypeError(
            "features are what a layer of a Sequential receives: it says what comes before what; "
            f"got {type(model).__name__}"
        )
    layers = dict(model.layers())
    names = list(layers)
    if before not in names:
        raise TinyADTNError(
            f"no layer {before!r}{nearest(before, names)} (there is {', '.join(names)})"
        )
    if before == names[0]:
        raise TinyADTNError(f"{before} is the first layer: what it receives are the images")
    return Sequential(**{name: layers[name] for name in names[: names.index(before)]})


def sha256_of(part: Module) -> str:
    """Return the SHA-256 of all stored parameters and buffers of a network or of some layers."""
    digest = hashlib.sha256()
    for name, array in part.arrays().items():
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
