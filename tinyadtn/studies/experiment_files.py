"""The files of an experiment: results, checkpoints, gates, and pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import draw
from ..compression.checkpoint import save_with
from ..compression.encoded_model import stored_weights
from ..compression.report import report
from ..data.splits import Data
from ..encodings.adtn import ADTN
from ..files.atomic import replacing
from ..files.npz import write_npz
from ..nn.module import Module
from ..nn.surgery import dense, layer_named
from ..training.runs import versions
from .experiment import Settings
from .results import Record

FILES = {
    "results.json": "settings, versions, histories and all results",
    "dense.npz": "the network before compression",
    "fine-tuned.npz": "compressed: fitted, then fine-tuned",
    "random-start.npz": "compressed: trained from a random start",
    "gates.npz": "the gates of fine-tuned.npz alone",
    "curves.png": "training loss and validation",
    "weights.png": "the first encoded layer, dense and decoded",
    "brick_wall.png": "the tensor network behind it",
    "singular_values.png": "its T across a cut, M = 1 … 4",
    **{f"digit-{k}.png": "a validation image, to try predict on" for k in range(3)},
}


def write_all(
    folder: Path,
    data: Data,
    settings: Settings,
    models: Mapping[str, Module],
    records: list[Record],
) -> Iterator[str]:
    """Write results, checkpoints and pictures of an experiment; yield the name of each file.

    Checkpoints and pictures are those of the first seed. The small files that took longest to
    compute are written first, so a full disk affects them last. Without Matplotlib or Pillow there
    are no pictures.
    """
    stored = walls(models["fine-tuned"])
    gates = {f"{name}.{k}": a for name, w in stored.items() for k, a in w.arrays().items()}
    found = json.dumps(results(data, settings, models, records), indent=1).encode()
    if gates:
        yield _write(folder / "gates.npz", partial(write_npz, arrays=gates))
    yield _write(folder / "results.json", lambda file: file.write(found))
    for row in ("fine-tuned", "random start", "dense"):
        name = f"{row.replace(' ', '-')}.npz"
        save_with(folder / name, models[row], {"data": data.identity()})
        yield name
    first = {record["row"]: record for record in records if record["seed"] == 0}
    with suppress(ImportError):
        for name, figure in _pictures(models, first, len(data.classes)):
            draw.save(figure, folder / name)
            yield name
        yield from _write_digits(folder, data)


def results(
    data: Data, settings: Settings, models: Mapping[str, Module], records: list[Record]
) -> dict[str, Any]:
    """Return all settings and measurements, for ``results.json``."""
    small = models["fine-tuned"]
    return {
        "data": {"name": data.name, "train": len(data.train), "test": len(data.test)},
        "settings": asdict(settings),
        "model": small.config,
        "versions": versions(),
        "report": [row.as_dict() for row in report(small).rows],
        "runs": records,
    }


def _write(path: Path, write: Callable[[Any], Any]) -> str:
    with replacing(path) as file:
        write(file)
    return path.name


def walls(model: Module) -> dict[str, ADTN]:
    """Return {layer: ADTN} of a model; an ADTN that several layers share is included once."""
    return {w.name: w.storage for w in stored_weights(model) if isinstance(w.storage, ADTN)}


def _pictures(
    models: Mapping[str, Module], records: Mapping[str, Record], classes: int
) -> Iterator[tuple[str, Any]]:
    """Draw the histories and the first encoded layer; yield the name and the figure of each."""
    adtns = walls(models["fine-tuned"])
    name = next(iter(adtns or records["fine-tuned"]["encoded"]))
    first = name.split("+")[0]  # of the layers with a joint encoding
    histories = {row: record["history"] for row, record in records.items() if record["history"]}
    yield "curves.png", draw.training_curves(histories, classes=classes)
    labels = {row: row for row in ("dense", "fitted only", "fine-tuned", "random start")}
    if name in (errors := records["fine-tuned"]["fit_error"]):
        labels["fitted only"] += f": ‖difference‖ is\n{errors[name]:.2f} of ‖dense‖"
    layers = {label: layer_named(models[row], first) for row, label in labels.items()}
    matrices = {label: dense(layer.weight).numpy() for label, layer in layers.items()}
    pixels = layers["dense"].axes[1]
    image = pixels if isinstance(pixels, tuple) and len(pixels) == 2 else None
    yield "weights.png", draw.weights(matrices, image_shape=image)
    if adtns:
        wall = adtns[name]
        yield "brick_wall.png", draw.brick_wall(wall)
        spectra = {f"fine-tuned, M={wall.depth}": draw.cut_spectrum(wall)}
        for depth in range(1, 5):
            start = ADTN(**{**wall.options(), "depth": depth}, rng=0)
            spectra[f"random gates, M={depth}"] = draw.cut_spectrum(start)
        title = f"{name}: T cut between the middle sites"
        yield "singular_values.png", draw.singular_values(spectra, title=title)


def _write_digits(folder: Path, data: Data, count: int = 3) -> Iterator[str]:
    """Write a few validation images as pictures for the command predict; yield their names."""
    split = data.validation
    if data.origin is not None or split.images.shape[1] != 1:
        return  # predict reads neither features nor colours
    from PIL import Image

    for k in range(min(count, len(split))):
        pixels = Image.fromarray(np.uint8(np.rint(255 * split.images[k, 0])))
        yield _write(folder / f"digit-{k}.png", partial(pixels.save, format="png"))
