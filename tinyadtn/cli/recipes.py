"""How ``tinyadtn train`` trains a network where its options do not say it."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ..data.splits import Data

# With ADTNs of depth 1 to 8, fc2 and lenet5 are best at rates of 0.02 to 0.04
# (data/results/collapse.md), 30 times that of dense networks.
ENCODED_RATE = 0.03
# VGG-16 without hidden layers reaches 87.6 % on CIFAR-10 with these (vgg16_sgd_heads.md in
# data/results), and 81.1 % in 6 epochs with Adam (vgg16_end_to_end.md). At the peak a step shrinks
# the weights by a part of learning rate × weight decay = 1/2000.
VGG16 = {
    "epochs": 16,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "weight_decay": 5e-3,
    "clip": 5.0,
    "label_smoothing": 0.1,
}


def recipe(options: Namespace, given: dict[str, Any], data: Data) -> dict[str, Any]:
    """Return what the network's own recipe adds to the options of the plan that are given.

    A recipe belongs to its optimizer, so another ``--optimizer`` gets none of it.

    >>> from tinyadtn import load_data
    >>> data = load_data("mnist-5k")
    >>> added = recipe(Namespace(model="vgg16"), {"epochs": 30, "learning_rate": 0.05}, data)
    >>> added["optimizer"], added["weight_decay"], added["augment"], "epochs" in added
    ('sgd', 0.005, False, False)
    """
    own: dict[str, Any] = {}
    if options.model == "vgg16" and given.get("optimizer", "sgd") == "sgd":
        colour = data.train.images.shape[1] == 3
        own = VGG16 | {"augment": colour}  # digits must not be mirrored
        if "loss" in given:
            del own["label_smoothing"]  # only cross-entropy has it
    elif options.model in ("fc2", "lenet5") and options.encode:
        own = {"learning_rate": ENCODED_RATE}
    return {name: value for name, value in own.items() if name not in given}
