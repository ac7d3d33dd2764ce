"""The main experiment: train a dense network, encode its layers, and compare the results.

Five candidates are trained and evaluated on the same data:

    dense         the network without encodings
    fitted only   its layers replaced by ADTNs fitted to the trained weights
    fine-tuned    the same, then trained through the task loss
    random start  the same ADTNs trained from random gates, without a dense network
    frozen        the control: random, untrained weights in the same layers, other layers trained

Only the accuracy above *frozen* is due to the stored parameters. All choices are made on the
validation split; the test split is used once, when all candidates are done.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import draw
from ..compression.checkpoint import save_with
from ..compression.compress import compress
from ..compression.fitting import fit
from ..compression.report import report
from ..data.preprocess import channel_statistics
from ..data.splits import Data, Split
from ..encodings.adtn import ADTN
from ..encodings.encoding import Encoding
from ..encodings.frozen import Frozen
from ..encodings.joint import group_by_encoding, storage_of
from ..errors import ShapeError, TinyADTNError
from ..files.atomic import replacing
from ..files.npz import write_npz
from ..nn.devices import placed
from ..nn.models import MODELS
from ..nn.module import Module
from ..nn.surgery import dense, layer_named, named_layers
from ..tables import format_table, spread
from ..training.evaluate import evaluate
from ..training.progress_bar import with_progress
from ..training.runs import TrainingPlan, versions
from ..training.train import train

FILES = {
    "results.json": "settings, versions, histories and all results",
    "dense.npz": "the network before compression",
    "fine-tuned.npz": "compressed: fitted, then fine-tuned",
    "random-start.npz": "compressed: trained from a random start",
    "gates.npz": "the gates of fine-tuned.npz alone",
}
PICTURES = ("curves", "weights", "brick_wall", "singular_values", "digit-0", "digit-1", "digit-2")
CANDIDATES = ("dense", "fitted only", "fine-tuned", "random start", "frozen")


@dataclass(frozen=True)
class Settings:
    """The settings of an experiment: ``layers`` become ADTNs with the options ``encoding``."""

    model: str
    layers: tuple[str, ...]
    encoding: dict[str, Any]
    epochs: int
    dense_epochs: int
    fit_steps: int
    learning_rate: float = 3e-2
    dense_learning_rate: float = 2e-3
    batch_size: int = 128
    clip: float = 1.0  # without it, one large step can make a deep ADTN diverge
    seeds: int = 1
    dense_from: str | None = None  # the file of a trained network
    device: str = "cpu"  # or "cuda"


@dataclass
class Outcome:
    """The networks of one seed, their training histories and their accuracies."""

    seed: int
    models: dict[str, Module] = field(default_factory=dict)
    histories: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    fit_errors: dict[str, list[float]] = field(default_factory=dict)
    validation: dict[str, float] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)


def run_experiment(
    data: Data, settings: Settings, *, trained: Module | None = None, show_progress: bool = True
) -> list[Outcome]:
    """Train all candidates for every seed; evaluate them on the test split at the very end.

    If ``trained`` is given, it is the dense candidate of every seed. Wrong settings raise an error
    before the first step.
    """
    check(data, settings, trained)
    outcomes = [
        _train_all(data, settings, trained, seed, show_progress) for seed in range(settings.seeds)
    ]
    for outcome in outcomes:
        for name, model in outcome.models.items():
            outcome.validation[name] = evaluate(model, data.validation).accuracy
            outcome.test[name] = evaluate(model, data.test).accuracy
    return outcomes


def build_for(data: Data, model: str, seed: int | None, **options: Any) -> Any:
    """Return the named network for the images and classes of the data; no seed gives shapes only.

    ``options`` are options of the network, such as ``hidden`` of fc2. A network that normalizes its
    input gets the mean and standard deviation of the training images.
    """
    _, channels, height, width = data.train.images.shape
    if height != width:
        raise ShapeError(f"the networks take square images, these are {height}×{width}; pad them")
    built = MODELS[model](len(data.classes), width, channels=channels, rng=seed, **options)
    if "normalize" in vars(built) and seed is not None:
        mean, std = channel_statistics(data.train.images)
        built.normalize.load_arrays({"mean": mean, "std": std})
    return built


def check(data: Data, settings: Settings, dense_model: Module | None) -> None:
    """Encode a model of shapes only and make both training plans, to raise errors early."""
    if dense_model is not None:
        check_dense(dense_model, build_for(data, settings.model, None))
        evaluate(dense_model, Split(data.validation.images[:1], data.validation.labels[:1]))
    layers = dict.fromkeys(settings.layers, ADTN.like(**settings.encoding))
    compress(build_for(data, settings.model, None), layers, rng=None)
    for epochs, rate in (
        (settings.dense_epochs, settings.dense_learning_rate),
        (settings.epochs, settings.learning_rate),
    ):
        TrainingPlan(epochs=epochs, learning_rate=rate, batch_size=settings.batch_size)


def check_dense(model: Module, wanted: Module) -> None:
    """Raise TinyADTNError if the network to compress is compressed already or another one."""
    if any(isinstance(p.weight, Encoding) for p in named_layers(model).values()):
        raise TinyADTNError("the network to compress is compressed already; name a dense one")
    if model.config != wanted.config:
        raise TinyADTNError(
            f"the dense network is {_described(model.config)}, this experiment is for "
            f"{_described(wanted.config)}; name the network that it is, and data of its kind"
        )


def _described(config: dict[str, Any] | None) -> str:
    if config is None:
        return "none that ta.models made"
    return f"{config['model']} ({', '.join(f'{k}={v}' for k, v in config.items() if k != 'model')})"


def _train_all(
    data: Data, settings: Settings, dense_model: Module | None, seed: int, show: bool
) -> Outcome:
    outcome = Outcome(seed)

    def trained(name: str, model: Module, epochs: int, learning_rate: float) -> None:
        plan: dict[str, Any] = {
            "epochs": epochs,
            "learning_rate": learning_rate,
            "batch_size": settings.batch_size,
            "clip": settings.clip,
            "seed": seed,
        }
        steps = with_progress(train(model, data, **plan), f"{name} (seed {seed})", show)
        outcome.histories[name] = [step.record() for step in steps if step.validation]
        outcome.models[name] = model

    untrained = placed(build_for(data, settings.model, seed), settings.device)
    if dense_model is None:
        original = untrained.copy()
        trained("dense", original, settings.dense_epochs, settings.dense_learning_rate)
    else:
        original = outcome.models["dense"] = placed(dense_model, settings.device)

    layers = dict.fromkeys(settings.layers, ADTN.like(**settings.encoding))
    fitted = compress(original, layers, rng=seed)
    outcome.fit_errors = fit(fitted, original, steps=settings.fit_steps, show_progress=show)
    outcome.models["fitted only"] = fitted.copy()
    trained("fine-tuned", fitted, settings.epochs, settings.learning_rate)

    random = compress(untrained, layers, rng=seed)
    trained("random start", random, settings.epochs, settings.learning_rate)
    control = compress(untrained, dict.fromkeys(layers, Frozen), rng=seed)
    trained("frozen", control, settings.epochs, settings.learning_rate)
    return outcome


# --- output --------------------------------------------------------------------------------------


def accuracy_table(outcomes: list[Outcome]) -> str:
    """Return a table of the accuracies of every candidate, mean ± standard deviation over seeds."""
    rows = [["", "trainable parameters", "epochs", "validation", "test"]]
    for name in CANDIDATES:
        models = [outcome.models[name] for outcome in outcomes]
        validation = [outcome.validation[name] for outcome in outcomes]
        test = [outcome.test[name] for outcome in outcomes]
        epochs = str(len(outcomes[0].histories.get(name, [])) or "–")
        numbers = f"{models[0].num_parameters:,}"
        rows.append([name, numbers, epochs, spread(validation), spread(test)])
    return format_table(rows)


def results(data: Data, settings: Settings, outcomes: list[Outcome]) -> dict[str, Any]:
    """Return all settings and measurements, for ``results.json``."""
    small = outcomes[0].models["fine-tuned"]
    return {
        "data": {"name": data.name, "train": len(data.train), "test": len(data.test)},
        "settings": asdict(settings),
        "model": small.config,
        "versions": versions(),
        "report": [row.as_dict() for row in report(small).rows],
        "outcomes": [
            {
                "seed": outcome.seed,
                "validation_accuracy": outcome.validation,
                "test_accuracy": outcome.test,
                "fit_error": {name: errors[-1] for name, errors in outcome.fit_errors.items()},
                "histories": outcome.histories,
            }
            for outcome in outcomes
        ],
    }


def write_all(
    folder: Path, data: Data, settings: Settings, outcomes: list[Outcome]
) -> dict[str, str]:
    """Write checkpoints, results and pictures of an experiment; return {file: description}.

    Checkpoints and pictures are those of the first seed. If a file cannot be written, the other
    checkpoints and results are still written; then its OSError is raised. The small files that took
    longest to compute come first, so a full disk affects them last.
    """
    first, about = outcomes[0], {"data": data.identity()}
    errors: list[OSError] = []

    def attempt(write: Any, file: str, *content: Any) -> None:
        try:
            write(folder / file, *content)
        except OSError as error:
            errors.append(error)

    attempt(_write_gates, "gates.npz", walls(first.models["fine-tuned"]))
    attempt(_write_results, "results.json", results(data, settings, outcomes))
    for name in ("fine-tuned", "random start", "dense"):
        attempt(save_with, f"{name.replace(' ', '-')}.npz", first.models[name], about)
    if errors:
        raise errors[0]
    size = f", {(folder / 'gates.npz').stat().st_size:,} bytes"
    files = {**FILES, "gates.npz": FILES["gates.npz"] + size}
    try:
        pictures = _write_pictures(folder, first, len(data.classes))
        return files | pictures | _write_digits(folder, data)
    except ImportError as error:
        return files | {"no pictures": str(error)}


def _write_gates(path: Path, stored: dict[str, ADTN]) -> None:
    gates = {f"{name}.{k}": a for name, w in stored.items() for k, a in w.arrays().items()}
    with replacing(path) as file:
        write_npz(file, gates)


def _write_results(path: Path, found: dict[str, Any]) -> None:
    with replacing(path) as file:
        file.write(json.dumps(found, indent=1).encode())


def walls(model: Module) -> dict[str, ADTN]:
    """Return {layer: ADTN} of a model; an ADTN that several layers share is included once."""
    groups = group_by_encoding(model).items()
    stored = {name: storage_of(next(iter(weights.values()))) for name, weights in groups}
    return {name: weight for name, weight in stored.items() if isinstance(weight, ADTN)}


def _write_pictures(folder: Path, outcome: Outcome, classes: int) -> dict[str, str]:
    name, wall = next(iter(walls(outcome.models["fine-tuned"]).items()))
    layer = layer_named(outcome.models["dense"], name)
    error = outcome.fit_errors[name][-1]
    labels = {
        "dense": "dense",
        "fitted only": f"fitted only: ‖difference‖ is\n{error:.2f} of ‖dense‖",
        "fine-tuned": "fine-tuned",
        "random start": "random start",
    }
    matrices = {
        label: dense(layer_named(outcome.models[stage], name).weight).numpy()
        for stage, label in labels.items()
    }
    pixels = layer.axes[1]
    image = pixels if isinstance(pixels, tuple) and len(pixels) == 2 else None
    spectra = {f"fine-tuned, M={wall.depth}": draw.cut_spectrum(wall)}
    for depth in range(1, 5):
        start = ADTN(**{**wall.options(), "depth": depth}, rng=outcome.seed)
        spectra[f"random gates, M={depth}"] = draw.cut_spectrum(start)
    figures = {
        "curves": (
            draw.training_curves(outcome.histories, classes=classes),
            "training loss and validation",
        ),
        "weights": (draw.weights(matrices, image_shape=image), f"{name}, dense and decoded"),
        "brick_wall": (draw.brick_wall(wall), f"the tensor network behind {name}"),
        "singular_values": (
            draw.singular_values(spectra, title=f"{name}: T cut between the middle sites"),
            "across a cut, M = 1 … 4",
        ),
    }
    for file, (figure, _) in figures.items():
        draw.save(figure, folder / f"{file}.png")
    return {f"{file}.png": what for file, (_, what) in figures.items()}


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
