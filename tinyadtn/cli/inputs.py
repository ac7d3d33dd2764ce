"""What a command works on: a checkpoint or a named network, and its data."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import numpy as np

from ..autodiff.arrays import require_device
from ..compression.checkpoint import load
from ..data.labels import numbers_as_names
from ..data.loading import load_data
from ..data.splits import Data, hash_of
from ..errors import DataFileError, NonFiniteError, TinyADTNError
from ..nn.devices import placed
from ..studies.networks import build_for
from ..studies.parts import is_own
from ..studies.run import encoded
from ..training.resume import data_in
from .encode_option import by_layer
from .terminal import as_typed, words_of


def widths_of(options: Namespace) -> dict[str, Any]:
    """Return the options of the network that --widths means; fc2 has one hidden layer."""
    if options.widths is None:
        return {}
    if is_own(options.model):
        raise TinyADTNError(f"--widths is for the networks of ta.models, not for {options.model}")
    if options.model != "fc2":
        return {"widths": options.widths}
    if len(options.widths) != 1:
        raise TinyADTNError(f"fc2 has one hidden layer, got {len(options.widths)} --widths")
    return {"hidden": options.widths[0]}


def network_for(options: Namespace, data: Data, seed: int | None) -> Any:
    """Return the named network with --widths and --encode; no seed gives shapes only."""
    model = build_for(data, options.model, seed, **widths_of(options))
    return encoded(model, {"encode": by_layer(options.encode)}, seed)


def own_words(options: Namespace) -> list[str]:
    """Return what `evaluate` needs for a network with parts of the user, which no file describes.

    It is nothing for networks and encodings of this package.
    """
    encodings = [entry["encoding"] for entry in by_layer(options.encode).values()]
    if not any(map(is_own, [options.model, *encodings])):
        return []
    return ["--network", options.model, *words_of(options, "widths", "encode")]


def load_finite(path: str, device: str = "cpu", into: Any = None) -> Any:
    """Return the model in a checkpoint, on a device, if all its parameters are finite."""
    require_device(device)
    model = load(path, into=into)
    for name, array in model.arrays().items():
        bad = int((~np.isfinite(array)).sum())
        if bad:
            raise NonFiniteError(
                f"{path}: {name} holds {bad:,} of {array.size:,} values that are not finite; "
                "take a state from before, as previous.npz"
            )
    return placed(model, device)


def require_same_classes(path: str, model: Any, data: Data) -> None:
    """Raise DataFileError if a checkpoint was trained on classes of other names."""
    count, known = (model.config or {}).get("num_classes", len(data.classes)), data_in(path)
    trained = class_names(known, count)
    without_names = numbers_as_names(max(count, len(data.classes)))
    if not known or all(c == without_names[: len(c)] for c in (trained, data.classes)):
        return
    if trained != data.classes:
        raise DataFileError(
            f"{path} was trained on the classes {', '.join(trained)}, and {data.name} has the "
            f"classes {', '.join(data.classes)}; give data with the same classes in this order"
        )


def class_names(known: dict[str, Any], count: int) -> tuple[str, ...]:
    """Return the names of the classes in the identity of training data; without any, numbers."""
    names = known.get("classes")
    if isinstance(names, list) and len(names) == count and all(isinstance(n, str) for n in names):
        return tuple(names)
    return numbers_as_names(count)


def require_finite(path: str, inputs: str, values: Any) -> None:
    if not np.isfinite(values).all():
        raise NonFiniteError(f"{path}: the outputs of this network overflow on these {inputs}")


def data_for(options: Namespace) -> Data:
    """Return the data of --data, or else the data that the checkpoint was trained on."""
    known = data_in(options.checkpoint)
    name = options.data or known.get("name", "mnist-5k")
    try:
        data = load_data(name)
    except DataFileError as error:
        if options.data:
            raise
        raise DataFileError(
            f"{error}. {options.checkpoint} names these data; a path in it begins at the folder "
            "where it was trained. Give them with --data"
        ) from error
    before, now = (hash_of(identity, known) for identity in (known, data.identity()))
    if not options.data and before not in (None, now):
        raise DataFileError(
            f"{name} has changed since {options.checkpoint} was trained on it (another SHA-256); "
            f"to use it as it is now, add {as_typed(['--data', name])}"
        )
    return data
