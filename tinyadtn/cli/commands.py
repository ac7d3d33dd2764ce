"""The commands for networks: one function each, from parsed options."""

from __future__ import annotations

import errno
import math
import os
import shutil
import signal
import threading
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from .. import draw
from ..autodiff.arrays import require_device
from ..compression.checkpoint import load
from ..compression.compress import compress
from ..compression.report import report
from ..data.labels import numbers_as_names
from ..data.loading import load_data
from ..data.saved_data import require_ending, save_features
from ..data.splits import Data
from ..encodings.encoding import Encoding
from ..errors import DataFileError, NonFiniteError, TinyADTNError
from ..exchange.onnx_file import save_onnx
from ..exchange.safetensors_file import save_safetensors
from ..nn.devices import placed
from ..nn.surgery import named_layers
from ..studies import experiment, experiment_files
from ..studies.networks import build_for
from ..training.evaluate import evaluate, predict
from ..training.features import features, layers_before
from ..training.folder import STATES, require_free, writable_folder
from ..training.memory import check_memory, training_memory
from ..training.progress_bar import with_progress
from ..training.runs import TrainingPlan, class_names, is_trained_on, planned, trained_on
from ..training.train import SAVE_MINUTES, train
from .picture import read_digit, read_picture
from .terminal import as_typed, program, say, say_next

FEW_STEPS = 100  # of training; a network has hardly left its initialization
DIGITS = ("mnist-5k", "mnist")  # data of ink on paper, prepared as LeCun et al. did
# With ADTNs of depth 1 to 8, fc2 and lenet5 are best at rates of 0.02 to 0.04
# (data/results/collapse.md), 30 times that of dense networks.
ENCODED_RATE = 0.03
EXPORTS: dict[str, Any] = {".onnx": save_onnx, ".safetensors": save_safetensors}

# --- train ---------------------------------------------------------------------------------------


def train_model(options: Namespace) -> int:
    """Train a network, dense or with encoded layers; save the state if a signal stops it."""
    require_device(options.device)
    plan_options = [field.name for field in fields(TrainingPlan)]
    given = {k: v for k in plan_options if (v := getattr(options, k)) is not None}
    if options.encode and options.model in ("fc2", "lenet5"):
        given.setdefault("learning_rate", ENCODED_RATE)
    data, model, plan = (_run_to_resume if options.resume else _new_run)(options, given)
    model = placed(model, options.device)
    # train() checks its arguments when it is called, before anything is printed.
    places = {name: getattr(options, name) for name in ("out", "resume", "overwrite")}
    steps = train(model, data, **places, save_minutes=options.save_minutes, **given)
    say(f"{options.model}, {model.num_parameters:,} trainable parameters, on {data}")
    say(f"takes {training_memory(model, data, plan)}")
    say(
        f"{plan.epochs} {'epoch' if plan.epochs == 1 else 'epochs'} of "
        f"{math.ceil(len(data.train) / plan.batch_size):,} steps, peak learning rate "
        f"{plan.learning_rate:g}; saves in {options.out} every "
        f"{options.save_minutes:g} minutes and after every epoch"
        + (f"; resumes {options.resume}" if options.resume else "")
    )
    total = plan.epochs * math.ceil(len(data.train) / plan.batch_size)
    if total < FEW_STEPS:
        say(
            f"{total} steps are few to learn from: a smaller --batch-size or more --epochs has more"
        )
    with interruption() as asked_to_stop:
        for _ in with_progress(steps, options.model, not options.quiet):
            if asked_to_stop.is_set():
                steps.close()  # saves last.npz
                say(f"stopped and saved; go on with\n  {_to_go_on(options)}")
                return 130
    result = evaluate(model, data.validation)
    say(f"validation accuracy {100 * result.accuracy:.2f} %, loss {result.loss:.4f}")
    # A resumed run that was complete, or never improved, leaves fewer files in a new folder.
    kept = [file for name in ("best.npz", "last.npz") if (file := Path(options.out, name)).exists()]
    names = ", ".join(file.name for file in kept) or "nothing new"
    say(f"in {options.out}: {names} (best is by validation accuracy)")
    say("test it once you are done choosing")
    say_next("evaluate", str([*kept, options.resume][0]))
    return 0


def _new_run(options: Namespace, given: dict[str, Any]) -> tuple[Data, Any, TrainingPlan]:
    """Return the data, the named network with encoded layers, and the plan; check the memory."""
    plan, spec = TrainingPlan(**given), dict(options.encode)
    options.out, options.data = options.out or "runs/train", options.data or "mnist-5k"
    if len(spec) < len(options.encode):
        raise TinyADTNError("--encode names a layer twice")
    last = Path(options.out) / "last.npz"
    _check_free(options, *STATES, hint=f", resume it (--resume {last})" if last.exists() else "")
    data = load_data(options.data)
    if options.widths is not None and options.model == "fc2":
        raise TinyADTNError("fc2 has one hidden layer; ta.models.fc2(hidden=…) sets its width")
    own = {} if options.widths is None else {"widths": options.widths}
    shapes = compress(build_for(data, options.model, None, **own), spec, rng=None)
    check_memory(training_memory(shapes, data, plan))
    model = build_for(data, options.model, plan.seed, **own)
    return data, compress(model, spec, rng=plan.seed) if spec else model, plan


def _run_to_resume(options: Namespace, _: Any) -> tuple[Data, Any, TrainingPlan]:
    """Return the data, network and plan of a checkpoint, which must be of the named network."""
    model, (plan, source) = load(options.resume), planned(options.resume)
    found = (model.config or {}).get("model")
    if found != options.model:
        raise TinyADTNError(f"{options.resume} holds {found}, not {options.model}; name that one")
    if options.encode or options.widths is not None:
        raise TinyADTNError(
            "a resumed run keeps its layers as they are: leave --encode and --widths out"
        )
    folder = Path(options.resume).parent
    options.out, options.data = options.out or str(folder), options.data or source
    if Path(options.out).resolve() != folder.resolve():
        _check_free(options, *STATES)
    data = load_data(options.data)
    check_memory(training_memory(model, data, plan))
    return data, model, plan


def _to_go_on(options: Namespace) -> str:
    """Return the command that resumes a stopped run; options with default values are omitted."""
    words = [program(), "train", options.model, "--data", options.data, "--out", options.out]
    words += ["--resume", f"{options.out}/last.npz"]
    words += ["--device", options.device] if options.device != "cpu" else []
    if options.save_minutes != SAVE_MINUTES:
        words += ["--save-minutes", str(options.save_minutes)]
    return as_typed(words)


@contextmanager
def interruption() -> Iterator[threading.Event]:
    """Yield an event that a stopping signal sets, so that the step can end; a second one kills."""
    event = threading.Event()

    def stop(number: int, _: Any) -> None:
        event.set()
        signal.signal(number, before[signal.Signals(number)])

    with handling(stop, signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as before:
        yield event


@contextmanager
def handling(handler: Any, *signals: signal.Signals) -> Iterator[dict[signal.Signals, Any]]:
    """Handle these signals, except those that are ignored already, as nohup arranges."""
    before = {n: old for n in signals if (old := signal.getsignal(n)) is not signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, handler)
        yield before
    finally:
        for number, old in before.items():
            signal.signal(number, old)


# --- compress ------------------------------------------------------------------------------------


def compress_model(options: Namespace) -> None:
    """Train, encode, fine-tune and compare: see ``experiment``."""
    require_device(options.device)
    data = load_data(options.data)
    if len(set(options.layers)) < len(options.layers):
        raise TinyADTNError(f"--layers names one twice: {' '.join(options.layers)}")
    dense = _load_finite(options.dense) if options.dense else None
    knobs = ("depth", "order", "activation", "start", "wiring", "site_dim")
    given = {f.name: v for f in fields(experiment.Settings) if (v := vars(options).get(f.name))}
    settings = experiment.Settings(
        **{**given, "layers": tuple(options.layers), "dense_from": options.dense},
        encoding={name: getattr(options, name) for name in knobs},
    )
    experiment.check(data, settings, dense)
    options.out = options.out or f"runs/compress-{options.model}"
    pictures = (f"{name}.png" for name in experiment_files.PICTURES)
    _check_free(options, *experiment_files.FILES, *pictures)
    folder = writable_folder(options.out)  # before training
    _check_room(folder, 12 * build_for(data, options.model, None).num_parameters)
    say(f"{options.model} on {data}")
    try:
        outcomes = experiment.run_experiment(
            data, settings, trained=dense, show_progress=not options.quiet
        )
    except KeyboardInterrupt:
        say("\nnothing was saved: results are written when all candidates are done")
        raise
    try:
        files = experiment_files.write_all(folder, data, settings, outcomes)  # printing may fail
    finally:  # print also if writing failed
        say(f"\nWhat is stored\n\n{report(outcomes[0].models['fine-tuned'])}")
        say(f"\nWhat it achieves\n\n{experiment.accuracy_table(outcomes)}")
    error = 100 * math.sqrt(0.1 * 0.9 / len(data.test))
    say(f"\nfrozen is the control: random, untrained weights in {', '.join(options.layers)}.")
    say(f"The standard error of 90 % on {len(data.test):,} test images is {error:.1f} points.")
    say(f"\n{folder}/\n  " + "\n  ".join(f"{file:22} {what}" for file, what in files.items()))
    small = f"{folder}/fine-tuned.npz"
    if "digit-*.png" in files:
        asked = as_typed([program(), "predict", f"{folder}/"]) + "digit-*.png"
        say(f"\nNext: {asked} {as_typed(['--model', small])}")
    else:
        say_next("evaluate", small)


def _check_room(folder: Path, size: int) -> None:
    """Raise OSError if the disk has less than ``size`` free bytes, before anything is trained."""
    if shutil.disk_usage(folder).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


# --- commands for a checkpoint -------------------------------------------------------------------


def evaluate_model(options: Namespace) -> None:
    """Print the loss and accuracy of a checkpoint on a split."""
    model = _load_finite(options.checkpoint, options.device)
    data = _data_for(options)
    _require_same_classes(options.checkpoint, model, data)
    with np.errstate(all="ignore"):  # an overflow is reported below, in one line
        result = evaluate(model, getattr(data, options.split))
    _require_finite(options.checkpoint, "images", result.loss)
    say(
        f"{options.split} of {data.name}, {result.count:,} images: "
        f"accuracy {100 * result.accuracy:.2f} %, loss {result.loss:.4f}"
    )
    say_next("report", options.checkpoint)


def write_features(options: Namespace) -> None:
    """Compute the output of the first layers on a data set; write it to a file for --data."""
    out = Path(options.out)
    require_device(options.device)
    require_ending(out)
    if out.exists() and (out.samefile(options.checkpoint) or not options.overwrite):
        other = "" if options.overwrite else ", or add --overwrite"
        raise TinyADTNError(f"{out} is there already; name another file with --out{other}")
    model = _load_finite(options.checkpoint, options.device)
    data = _data_for(options)
    layers_before(model, options.before)  # checked before a folder is made
    writable_folder(out.parent)
    made = features(model, options.before, data, show_progress=not options.quiet)
    save_features(out, made)
    say(f"{out}, {out.stat().st_size / 2**20:.1f} MiB: {made}")
    say_next("train", "head", "--data", str(out))


def export_model(options: Namespace) -> None:
    """Write a checkpoint to the format that the ending of --out names."""
    out, write = Path(options.out), EXPORTS.get(Path(options.out).suffix)
    if write is None:
        raise TinyADTNError(f"--out {out} must end in one of {', '.join(EXPORTS)}")
    if out.exists() and not options.overwrite:
        raise TinyADTNError(f"{out} is there already; name another file, or add --overwrite")
    model = _load_finite(options.checkpoint)
    writable_folder(out.parent)
    write(out, model)
    say(f"{out}, {out.stat().st_size / 2**20:.1f} MiB")


def predict_image(options: Namespace) -> None:
    """Print the class of each picture, with the three highest probabilities."""
    model = _load_finite(options.model, options.device)
    size, channels = model.config["image_size"], model.config["channels"]
    if channels not in (1, 3):
        raise TinyADTNError(
            f"{options.model} takes images with {channels} channels; predict reads pictures "
            "(in Python: ta.predict(model, images))"
        )
    # The default data of a network without a name of data are digits, as for evaluate.
    is_ink = options.ink or (trained_on(options.model) or "mnist-5k") in DIGITS
    if options.ink and channels == 3:
        raise TinyADTNError(f"--ink is for grey networks, and {options.model} takes colour")
    images = np.stack(
        [
            read_digit(path, size)
            if is_ink and channels == 1
            else read_picture(path, size, channels)
            for path in options.images
        ]
    )
    with np.errstate(all="ignore"):
        answers = predict(model, images)
    _require_finite(options.model, "pictures", answers)
    names = class_names(options.model, answers.shape[1])
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
    if experiment_files.walls(model):
        say_next("draw", options.checkpoint)
    elif any(isinstance(layer.weight, Encoding) for layer in named_layers(model).values()):
        say_next("evaluate", options.checkpoint)
    else:
        data = trained_on(options.checkpoint)
        words = ["compress", model.config["model"], "--dense", options.checkpoint]
        say_next(*words, *(["--data", data] if data else []))


def draw_model(options: Namespace) -> None:
    """Draw the gates and the spectrum of every ADTN in a checkpoint."""
    walls = experiment_files.walls(_load_finite(options.checkpoint))
    if not walls:
        raise TinyADTNError(f"{options.checkpoint} holds no ADTN; compress a model first")
    names = {name: f"{name}_brick_wall.png" for name in walls}
    _check_free(options, *names.values(), "singular_values.png")
    figures = {names[name]: draw.brick_wall(weight) for name, weight in walls.items()}
    spectra = {f"{n}, M={w.depth}": draw.cut_spectrum(w) for n, w in walls.items()}
    title = "T cut between the middle sites"
    figures["singular_values.png"] = draw.singular_values(spectra, title=title)
    Path(options.out).mkdir(parents=True, exist_ok=True)
    for file, figure in figures.items():
        draw.save(figure, Path(options.out) / file)
        say(Path(options.out) / file)
    say_next("evaluate", options.checkpoint)


# --- shared by several commands ------------------------------------------------------------------


def _load_finite(path: str, device: str = "cpu") -> Any:
    """Return the model in a checkpoint, on a device, if all its parameters are finite."""
    require_device(device)
    model = load(path)
    for name, array in model.arrays().items():
        bad = int((~np.isfinite(array)).sum())
        if bad:
            raise NonFiniteError(
                f"{path}: {name} holds {bad:,} of {array.size:,} values that are not finite; "
                "take a state from before, as previous.npz"
            )
    return placed(model, device)


def _require_same_classes(path: str, model: Any, data: Data) -> None:
    """Raise DataFileError if a checkpoint was trained on classes of other names."""
    count = model.config["num_classes"]
    trained = tuple(class_names(path, count))
    without_names = numbers_as_names(max(count, len(data.classes)))
    both = (trained, data.classes)
    if trained_on(path) is None or all(c == without_names[: len(c)] for c in both):
        return
    if trained != data.classes:
        raise DataFileError(
            f"{path} was trained on the classes {', '.join(trained)}, and {data.name} has the "
            f"classes {', '.join(data.classes)}; give data with the same classes in this order"
        )


def _require_finite(path: str, inputs: str, values: Any) -> None:
    if not np.isfinite(values).all():
        raise NonFiniteError(f"{path}: the outputs of this network overflow on these {inputs}")


def _data_for(options: Namespace) -> Data:
    """Return the data of --data, or else the data that the checkpoint was trained on."""
    name = options.data or trained_on(options.checkpoint) or "mnist-5k"
    try:
        data = load_data(name)
    except DataFileError as error:
        if options.data:
            raise
        raise DataFileError(
            f"{error}. {options.checkpoint} names these data; a path in it begins at the folder "
            "where it was trained. Give them with --data"
        ) from error
    if not options.data and not is_trained_on(options.checkpoint, data):
        raise DataFileError(
            f"{name} has changed since {options.checkpoint} was trained on it (another SHA-256); "
            f"to use it as it is now, add {as_typed(['--data', name])}"
        )
    return data


def _check_free(options: Namespace, *files: str, hint: str = "") -> None:
    """Reject a folder with files that this command would replace, unless --overwrite is given."""
    if not options.overwrite:
        require_free(Path(options.out), files, f" with --out{hint}, or add --overwrite")
