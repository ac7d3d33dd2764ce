"""The commands for a checkpoint: one function each, from parsed options."""

from __future__ import annotations

import errno
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from .. import draw
from ..autodiff.arrays import require_device
from ..compression.checkpoint import load
from ..compression.report import report
from ..data.picture import load_picture
from ..data.saved_data import require_ending, save_features
from ..encodings.encoding import Encoding
from ..errors import CheckpointError, TinyADTNError
from ..exchange.onnx_file import save_onnx
from ..exchange.safetensors_file import save_safetensors
from ..nn.layers import Linear
from ..nn.models import MODELS
from ..nn.surgery import named_layers
from ..studies import experiment_files
from ..studies.parts import recipe_of
from ..studies.sensitivity import sensitivity
from ..training.evaluate import evaluate, predict
from ..training.features import features, layers_before
from ..training.folder import writable_folder
from ..training.resume import data_in
from .encode_option import encoding
from .inputs import (
    class_names,
    data_for,
    load_finite,
    network_for,
    require_finite,
    require_same_classes,
)
from .outputs import check_free, check_new, check_picture, size_of
from .terminal import as_typed, program, say, say_next

DIGITS = ("mnist-5k", "mnist")  # data of ink on paper, prepared as LeCun et al. did
DEMO = ("compress", "fc2", "--out", "runs/demo")  # makes the network that predict takes by default
TIMES = """
dense: the forward pass with a dense weight
decode: forming the weight, without the batch
cached: the forward pass with what evaluate computes once from the parameters
decode-free: the same with that computed anew, without forming the weight (–: not possible)"""
EXPORTS: dict[str, Any] = {".onnx": save_onnx, ".safetensors": save_safetensors}


def evaluate_model(options: Namespace) -> None:
    """Print the loss and accuracy of a checkpoint on a split."""
    options.model, into = options.network, None
    if options.network:  # a file does not say which code of the user runs
        into = network_for(options, data_for(options), None)
    elif options.encode or options.widths is not None:
        raise TinyADTNError("--widths and --encode go with --network; other files have them")
    try:
        model = load_finite(options.checkpoint, options.device, into)
    except CheckpointError as error:
        if into is None or options.encode:
            raise
        raise CheckpointError(
            f"{error}; if layers are encoded, add --encode as for train"
        ) from error
    data = data_for(options)
    require_same_classes(options.checkpoint, model, data)
    with np.errstate(all="ignore"):  # an overflow is reported below, in one line
        result = evaluate(model, getattr(data, options.split))
    require_finite(options.checkpoint, "images", result.loss)
    say(
        f"{options.split} of {data.name}, {result.count:,} images: "
        f"accuracy {100 * result.accuracy:.2f} %, loss {result.loss:.4f}"
    )
    if not options.network:
        say_next("report", options.checkpoint)


def write_features(options: Namespace) -> None:
    """Compute the output of the first layers on a data set; write it to a file for --data."""
    require_device(options.device)
    require_ending(Path(options.out))
    out = check_new(options.out, options.overwrite, options.checkpoint)
    model = load_finite(options.checkpoint, options.device)
    data = data_for(options)
    layers_before(model, options.before)  # checked before a folder is made
    writable_folder(out.parent)
    made = features(model, options.before, data, show_progress=not options.quiet)
    save_features(out, made)
    say(f"{size_of(out)}: {made}")
    names = list(dict(model.layers()))
    later = names[names.index(options.before) :]
    linear = [a for n, a in named_layers(model).items() if isinstance(a, Linear) and n in later]
    widths = [str(layer.weight.shape[0]) for layer in linear[:-1]]
    say_next("train", "head", "--data", str(out), "--widths", *widths)


def export_model(options: Namespace) -> None:
    """Write a checkpoint to the format that the ending of --out names."""
    out, write = Path(options.out), EXPORTS.get(Path(options.out).suffix.lower())
    if write is None:
        raise TinyADTNError(f"--out {out} must end in one of {', '.join(EXPORTS)}")
    check_new(options.out, options.overwrite, options.checkpoint)
    model = load_finite(options.checkpoint)
    writable_folder(out.parent)
    write(out, model)
    say(size_of(out))


def predict_image(options: Namespace) -> None:
    """Print the class of each picture, with the three highest probabilities."""
    require_device(options.device)
    if options.model == options.defaults["model"] and not Path(options.model).exists():
        raise CheckpointError(
            f"{options.model}, the default of --model: there is no such file; make it with "
            f"{as_typed([program(), *DEMO])}, or give --model"
        )
    for path in filter(os.path.isdir, options.images):
        pictures = as_typed([os.path.join(path, "")]) + "*.png"  # noqa: PTH118 - Path drops the ./
        advice = f"this is a folder; name the pictures in it, such as {pictures}"
        raise IsADirectoryError(errno.EISDIR, advice, path)
    model = load_finite(options.model, options.device)
    size, channels = model.config["image_size"], model.config["channels"]
    if channels not in (1, 3):
        raise TinyADTNError(
            f"{options.model} takes images with {channels} channels; predict reads pictures "
            "(in Python: ta.predict(model, images))"
        )
    # The default data of a network without a name of data are digits, as for evaluate.
    known = data_in(options.model)
    is_ink = options.ink or known.get("name", "mnist-5k") in DIGITS
    if options.ink and channels == 3:
        raise TinyADTNError(f"--ink is for grey networks, and {options.model} takes colour")
    images = np.stack(
        [
            load_picture(path, size=size, channels=channels, ink=is_ink and channels == 1)
            for path in options.images
        ]
    )
    with np.errstate(all="ignore"):
        answers = predict(model, images)
    require_finite(options.model, "pictures", answers)
    names = class_names(known, answers.shape[1])
    width = max(map(len, names))
    for path, probabilities in zip(options.images, answers):
        say(f"{path}: {names[probabilities.argmax()]}")
        for k in np.argsort(-probabilities)[:3]:
            share = float(probabilities[k])
            say(f"  {names[k]:{width}}  {100 * share:5.1f} %  {'█' * round(30 * share)}")
    say_next("report", options.model)


def print_report(options: Namespace) -> None:
    """Print the table of parameters and, with --timing, the table of times per layer."""
    model = load(options.checkpoint)
    say(report(model, timing=options.timing, batch_size=options.batch_size))
    if options.timing:
        say(TIMES)
    if experiment_files.walls(model):
        say_next("draw", options.checkpoint)
    elif any(isinstance(layer.weight, Encoding) for layer in named_layers(model).values()):
        say_next("evaluate", options.checkpoint)
    elif "frozen" in model.config or not {"fc1", "fc2"} <= named_layers(model).keys():
        say_next("sensitivity", options.checkpoint)
    else:
        data = data_in(options.checkpoint).get("name")
        words = ["compress", *_network_words(model), "--dense", options.checkpoint]
        say_next(*words, *(["--data", data] if data else []))


def try_layers(options: Namespace) -> None:
    """Encode one layer at a time; print, and draw, how much accuracy each one costs."""
    if options.out is not None:
        check_picture(options.out, options.overwrite, options.checkpoint)
    model, data = load_finite(options.checkpoint), data_for(options)
    require_same_classes(options.checkpoint, model, data)
    if options.out is not None:  # before the work
        writable_folder(Path(options.out).parent)
    training = {"epochs": options.epochs, "learning_rate": options.learning_rate}
    found = sensitivity(
        model, data, recipe_of(encoding(options.encode)), layers=options.layers, **training
    )
    say(found)
    if options.out is not None:
        draw.save(draw.sensitivity(found.drops), options.out)
        say(f"\n{options.out}")
    best = min(found.rows, key=lambda row: (row.drop, row.counts.stored - row.counts.dense))
    source = options.data or data_in(options.checkpoint).get("name", "mnist-5k")
    encode = ["--encode", f"{best.layer}={options.encode}"]
    say_next("train", *_network_words(model), "--data", source, *encode)


def _network_words(model: Any) -> list[str]:
    """Return the name of a network, with --widths if they are not the published ones."""
    config, name = model.config, model.config["model"]
    published = MODELS[name](
        config["num_classes"], config["image_size"], channels=config["channels"]
    )
    option = "hidden" if name == "fc2" else "widths"
    if config[option] == published.config[option]:
        return [name]
    return [name, "--widths", *map(str, np.ravel(config[option]).astype(int))]


def draw_model(options: Namespace) -> None:
    """Draw the gates and the spectrum of every ADTN in a checkpoint."""
    model = load_finite(options.checkpoint)
    walls = experiment_files.walls(model)
    if not walls:
        weights = [layer.weight for layer in named_layers(model).values()]
        others = dict.fromkeys(type(w).__name__ for w in weights if isinstance(w, Encoding))
        found = f"its encodings are {', '.join(others)}" if others else "compress a model first"
        raise TinyADTNError(f"{options.checkpoint} holds no ADTN, which draw needs; {found}")
    names = {name: f"{name}_brick_wall.png" for name in walls}
    check_free(options, *names.values(), "singular_values.png")
    writable_folder(options.out)
    figures = {names[name]: draw.brick_wall(weight) for name, weight in walls.items()}
    spectra = {f"{n}, M={w.depth}": draw.cut_spectrum(w) for n, w in walls.items()}
    title = "T cut between the middle sites"
    figures["singular_values.png"] = draw.singular_values(spectra, title=title)
    for file, figure in figures.items():
        draw.save(figure, Path(options.out) / file)
        say(Path(options.out) / file)
    say_next("evaluate", options.checkpoint)
