"""The files of an experiment: results, checkpoints, gates, and pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import draw
from ..compression.checkpoint import save_with
from ..compression.report import report
from ..data.splits import Data
from ..encodings.adtn import ADTN
from ..encodings.storage import group_by_encoding, storage_of
from ..files.atomic import replacing
from ..files.npz import write_npz
from ..nn.module import Module
from ..nn.surgery import dense, layer_named
from ..training.runs import versions
from .experiment import Outcome, Settings

FILES = {
    "results.json": "settings, versions, histories and all results",
    "dense.npz": "the network before compression",
    "fine-tuned.npz": "compressed: fitted, then fine-tuned",
    "random-start.npz": "compressed: trained from a random start",
    "gates.npz": "the gates of fine-tuned.npz alone",
}
PICTURES = ("curves", "weights", "brick_wall", "singular_values", "digit-0", "digit-1", "digit-2")


def results(data: Data, settings: Settings, outcomes: list[Outcome]) -> dict[str, Any]:
    """Return all settings and measurements, for ``results.json``."""
    small = outcomes[0].models["fine-tuned"]
    return {
        "data": {"name": data.name, "train": len(data.train), "test": len(data.test)},
        "settings": asdict(settings),
        "model": small.config,
        "versions": versions(),
        "report": [row.as_dict() for row in report(small).rows],
        "runs": [
            {"row": row, "seed": outcome.seed, **record}
            for outcome in outcomes
            for row, record in outcome.records.items()
        ],
    }


def write_all(
    folder: Path, data: Data, settings: Settings, outcomes: list[Outcome]
) -> dict[str, str]:
    """Write checkpoints, results and pictures of an experiment; return {file: description}.

    Checkpoints and pictures are those of the first seed. The small files that took longest to
    compute are written first, so a full disk affects them last.
    """
    first, about = outcomes[0], {"data": data.identity()}
    stored = walls(first.models["fine-tuned"])
    gates = {f"{name}.{k}": a for name, w in stored.items() for k, a in w.arrays().items()}
    files = FILES if gates else {k: v for k, v in FILES.items() if k != "gates.npz"}
    found = json.dumps(results(data, settings, outcomes), indent=1).encode()
    if gates:
        _write(folder / "gates.npz", partial(write_npz, arrays=gates))
    _write(folder / "results.json", lambda file: file.write(found))
    for name in ("fine-tuned", "random start", "dense"):
        save_with(folder / f"{name.replace(' ', '-')}.npz", first.models[name], about)
    if gates:
        size = f", {(folder / 'gates.npz').stat().st_size:,} bytes"
        files = {**files, "gates.npz": files["gates.npz"] + size}
    try:
        pictures = _write_pictures(folder, first, len(data.classes))
        return files | pictures | _write_digits(folder, data)
    except ImportError as error:
        return files | {"no pictures": str(error)}


def _write(path: Path, write: Callable[[Any], Any]) -> None:
    with replacing(path) as file:
        write(file)


def walls(model: Module) -> dict[str, ADTN]:
    """Return {layer: ADTN} of a model; an ADTN that several layers share is included once."""
    groups = group_by_encoding(model).items()
    stored = {name: storage_of(next(iter(weights.values()))) for name, weights in groups}
    return {name: weight for name, weight in stored.items() if isinstance(weight, ADTN)}


def _write_pictures(folder: Path, outcome: Outcome, classes: int) -> dict[str, str]:
    """Draw the histories and the first encoded layer; return {file: description}."""
    adtns = walls(outcome.models["fine-tuned"])
    name = next(iter(adtns or outcome.records["fine-tuned"]["encoded"]))
    first = name.split("+")[0]  # of the layers with a joint encoding
    labels = {row: row for row in ("dense", "fitted only", "fine-tuned", "random start")}
    if name in (errors := outcome.records["fine-tuned"]["fit_error"]):
        labels["fitted only"] += f": ‖difference‖ is\n{errors[name]:.2f} of ‖dense‖"
    layers = {label: layer_named(outcome.models[row], first) for row, label in labels.items()}
    matrices = {label: dense(layer.weight).numpy() for label, layer in layers.items()}
    pixels = layers["dense"].axes[1]
    image = pixels if isinstance(pixels, tuple) and len(pixels) == 2 else None
    histories = {row: record["history"] for row, record in outcome.records.items()}
    curves = draw.training_curves({r: h for r, h in histories.items() if h}, classes=classes)
    draw.save(curves, folder / "curves.png")
    draw.save(draw.weights(matrices, image_shape=image), folder / "weights.png")
    files = {
        "curves.png": "training loss and validation",
        "weights.png": f"{first}, dense and decoded",
    }
    return files | (_write_wall(folder, name, adtns[name], outcome.seed) if adtns else {})


def _write_wall(folder: Path, name: str, wall: ADTN, seed: int) -> dict[str, str]:
    """Draw an ADTN, and its spectrum next to those of random gates; return {file: description}."""
    spectra = {f"fine-tuned, M={wall.depth}": draw.cut_spectrum(wall)}
    for depth in range(1, 5):
        start = ADTN(**{**wall.options(), "depth": depth}, rng=seed)
        spectra[f"random gates, M={depth}"] = draw.cut_spectrum(start)
    title = f"{name}: T cut between the middle sites"
    draw.save(draw.brick_wall(wall), folder / "brick_wall.png")
    draw.save(draw.singular_values(spectra, title=title), folder / "singular_values.png")
    return {
        "brick_wall.png": f"the tensor network behind {name}",
        "singular_values.png": "across a cut, M = 1 … 4",
    }


def _write_digits(folder: Path, data: Data, count: int = 3) -> dict[str, str]:
    """Write a few validation images as pictures for the command predict; return {file: text}."""
    if data.origin is not None or data.validation.images.shape[1] != 1:
        return {}  # predict reads neither features nor colours
    from PIL import Image

    split = data.validation
    for k in range(min(count, len(split))):
        pixels = np.uint8(np.rint(255 * split.images[k, 0]))
        with replacing(folder / f"digit-{k}.png") as file:
            Image.fromarray(pixels).save(file, format="png")
    return {"digit-*.png": "validation images, to try predict on"}
