"""The commands of the command line, except ``sweep``: one function each, from parsed options."""

from __future__ import annotations

import math
import signal
import sys
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
from ..data.catalogue import available, download
from ..data.feature_file import require_ending, save_features
from ..data.loading import load_data
from ..data.splits import Data
from ..errors import NonFiniteError, TinyADTNError
from ..nn.devices import placed
from ..studies import experiment
from ..tables import format_table
from ..training.evaluate import evaluate, predict
from ..training.features import features, layers_before
from ..training.folder import writable_folder
from ..training.memory import check_memory, training_memory
from ..training.progress_bar import with_progress
from ..training.runs import TrainingPlan, planned, trained_on
from ..training.train import SAVE_MINUTES, train
from .picture import read_picture
from .terminal import as_typed, say


def train_model(options: Namespace) -> int:
    """Train a network, dense or with encoded layers; stop gently when asked to."""
    require_device(options.device)
    plan_options = [field.name for field in fields(TrainingPlan)]
    given = {k: v for k in plan_options if (v := getattr(options, k)) is not None}
    if options.resume:
        data, model, plan = _run_to_go_on_with(options)
    else:
        plan = TrainingPlan(**given)
        data, model = _data_and_new_model(options, plan)
    model = placed(model, options.device)
    # train() checks the rest at the call, so an error comes before the announcement.
    steps = train(
        model,
        data,
        out=options.out,
        resume=options.resume,
        save_minutes=options.save_minutes,
        **given,
    )
    _announce_training(options, model, data, plan)
    with interruption() as asked_to_stop:
        for _ in with_progress(steps, options.model, not options.quiet):
            if asked_to_stop.is_set():
                break
    if asked_to_stop.is_set():
        steps.close()  # saves last.npz
        say(f"stopped and saved; go on with\n  {_to_go_on(options)}")
        return 130
    _print_trained(options, model, data)
    return 0


def _announce_training(options: Namespace, model: Any, data: Data, plan: TrainingPlan) -> None:
    """Print what is trained, the memory that it takes, and where and how often it is saved."""
    say(f"{options.model}, {model.num_parameters:,} numbers to train, on {data}")
    say(f"takes {training_memory(model, data, plan)}")
    epochs = "1 epoch" if plan.epochs == 1 else f"{plan.epochs} epochs"
    say(
        f"{epochs} of {math.ceil(len(data.train) / plan.batch_size):,} steps; saves in "
        f"{options.out} every {options.save_minutes:g} minutes and after every epoch"
        + (f"; goes on from {options.resume}" if options.resume else "")
    )


def _print_trained(options: Namespace, model: Any, data: Data) -> None:
    """Print the validation accuracy, the files that were written, and the command to test them."""
    result = evaluate(model, data.validation)
    say(f"validation accuracy {100 * result.accuracy:.2f} %, loss {result.loss:.4f}")
    # A resumed run that was done, or never better than before, leaves fewer files in a new folder.
    files = [file for file in ("best.npz", "last.npz") if (Path(options.out) / file).exists()]
    say(f"in {options.out}: {', '.join(files) or 'nothing new'} (best is by validation accuracy)")
    kept = Path(options.out) / files[0] if files else options.resume
    test = as_typed([program(), "evaluate", str(kept)])
    say(f"test it once you are done choosing: {test}")


def _to_go_on(options: Namespace) -> str:
    """The command that goes on with a run that was stopped; what is usual is left out."""
    words = [program(), "train", options.model, "--data", options.data, "--out", options.out]
    words += ["--resume", f"{options.out}/last.npz"]
    if options.device != "cpu":
        words += ["--device", options.device]
    if options.save_minutes != SAVE_MINUTES:
        words += ["--save-minutes", str(options.save_minutes)]
    return as_typed(words)


def _data_and_new_model(options: Namespace, plan: TrainingPlan) -> tuple[Data, Any]:
    """The data, and the named network with its layers encoded, if the memory will do."""
    spec = dict(options.encode)
    options.out = options.out or "runs/train"
    options.data = options.data or "mnist-5k"
    if len(spec) < len(options.encode):
        raise TinyADTNError("--encode names a layer twice")
    _check_free(Path(options.out), "last.npz", f", or go on: --resume {options.out}/last.npz")
    data = load_data(options.data)
    shapes = compress(experiment.build_for(data, options.model, None), spec, rng=None)
    check_memory(training_memory(shapes, data, plan))
    model = experiment.build_for(data, options.model, plan.seed)
    return data, compress(model, spec, rng=plan.seed) if spec else model


def _run_to_go_on_with(options: Namespace) -> tuple[Data, Any, TrainingPlan]:
    """The data, network and plan of a checkpoint, if it is of the network that was named."""
    model, (plan, source) = load(options.resume), planned(options.resume)
    found = (model.config or {}).get("model")
    if found != options.model:
        raise TinyADTNError(f"{options.resume} holds {found}, not {options.model}; name that one")
    if options.encode:
        raise TinyADTNError("a resumed run keeps its layers as they are: leave --encode out")
    folder = Path(options.resume).parent
    options.out, options.data = options.out or str(folder), options.data or source
    if Path(options.out).resolve() != folder.resolve():
        _check_free(Path(options.out), "last.npz")
    data = load_data(options.data)
    check_memory(training_memory(model, data, plan))
    return data, model, plan


@contextmanager
def interruption() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, so that the step can end; a second one kills."""
    event = threading.Event()

    def stop(number: int, _: Any) -> None:
        event.set()
        signal.signal(number, before[signal.Signals(number)])

    before = {n: signal.signal(n, stop) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def compress_model(options: Namespace) -> None:
    """The main job: see ``experiment``."""
    require_device(options.device)
    data = load_data(options.data)
    if len(set(options.layers)) < len(options.layers):
        raise TinyADTNError(f"--layers names one twice: {' '.join(options.layers)}")
    knobs = ("depth", "order", "activation", "start", "wiring", "site_dim")
    encoding = {name: getattr(options, name) for name in knobs}
    dense = _load_finite(options.dense) if options.dense else None
    settings = experiment.Settings(
        model=options.model,
        layers=tuple(options.layers),
        encoding=encoding,
        epochs=options.epochs,
        dense_epochs=options.dense_epochs,
        fit_steps=options.fit_steps,
        learning_rate=options.learning_rate,
        dense_learning_rate=options.dense_learning_rate,
        batch_size=options.batch_size,
        seeds=options.seeds,
        dense_from=options.dense,
        device=options.device,
    )
    experiment.check(data, settings, dense)
    folder = _output_folder(options)
    say(f"{options.model} on {data}")
    try:
        outcomes = experiment.run_experiment(
            data, settings, trained=dense, show_progress=not options.quiet
        )
    except KeyboardInterrupt:
        say("\nnothing was saved: results are written when all candidates are done")
        raise
    files = experiment.write_all(folder, data, settings, outcomes)  # first: printing may fail
    say(f"\nWhat is stored\n\n{report(outcomes[0].models['fine-tuned'])}")
    say(f"\nWhat it achieves\n\n{experiment.accuracy_table(outcomes)}")
    spread = 100 * math.sqrt(0.1 * 0.9 / len(data.test))
    say(f"\nfrozen is the control: random, untrained weights in {', '.join(options.layers)}.")
    say(f"{len(data.test):,} test images tell 90 % apart to about ±{spread:.1f} points.")
    say(f"\n{folder}/\n  " + "\n  ".join(f"{file:22} {what}" for file, what in files.items()))
    if "digit-*.png" in files:
        asked = as_typed([program(), "predict", f"{folder}/"]) + "digit-*.png"
        say(f"\nNext: {asked} {as_typed(['--model', f'{folder}/fine-tuned.npz'])}")


def evaluate_model(options: Namespace) -> None:
    """Loss and accuracy of a checkpoint on a split."""
    require_device(options.device)
    model = placed(_load_finite(options.checkpoint), options.device)
    data = load_data(options.data or trained_on(options.checkpoint) or "mnist-5k")
    with np.errstate(all="ignore"):  # what overflows is told below, in one line
        result = evaluate(model, getattr(data, options.split))
    if not math.isfinite(result.loss):
        raise NonFiniteError(
            f"{options.checkpoint}: the loss is {result.loss}: its numbers overflow on these images"
        )
    say(
        f"{options.split} of {data.name}, {result.count:,} images: "
        f"accuracy {100 * result.accuracy:.2f} %, loss {result.loss:.4f}"
    )


def write_features(options: Namespace) -> None:
    """What the first layers of a checkpoint make of a data set, as a file that --data takes."""
    require_device(options.device)
    out = Path(options.out)
    require_ending(out)
    if out.exists() and (out.samefile(options.checkpoint) or not options.overwrite):
        other = "" if options.overwrite else ", or add --overwrite"
        raise TinyADTNError(f"{out} is there already; name another file with --out{other}")
    model = placed(_load_finite(options.checkpoint), options.device)
    data = load_data(options.data or trained_on(options.checkpoint) or "mnist-5k")
    layers_before(model, options.before)  # a name that is wrong leaves no folder behind
    writable_folder(out.parent)
    made = features(model, options.before, data, show_progress=not options.quiet)
    save_features(out, made)
    say(f"{out}, {out.stat().st_size / 2**20:.1f} MiB: {made}")
    say(f"train on it: {as_typed([program(), 'train', 'head', '--data', str(out)])}")


def predict_image(options: Namespace) -> None:
    """The digit in each picture, with the probabilities of all."""
    require_device(options.device)
    model = placed(_load_finite(options.model), options.device)
    size, channels = model.config["image_size"], model.config["channels"]
    if channels != 1:
        raise TinyADTNError(
            f"{options.model} takes images with {channels} channels; predict reads pictures of "
            "digits (in Python: ta.predict(model, images))"
        )
    images = np.stack([read_picture(path, size) for path in options.images])
    with np.errstate(all="ignore"):
        answers = predict(model, images)
    if not np.isfinite(answers).all():
        raise NonFiniteError(f"{options.model}: its numbers overflow on these pictures")
    for path, probabilities in zip(options.images, answers):
        say(f"{path}: {probabilities.argmax()}")
        for digit in np.argsort(-probabilities)[:3]:
            share = float(probabilities[digit])
            say(f"  {digit}  {100 * share:5.1f} %  {'█' * round(30 * share)}")


def print_report(options: Namespace) -> None:
    """The table of stored numbers and, if asked for, of what the layers take."""
    model = load(options.checkpoint)
    say(report(model, timing=options.timing, batch_size=options.batch_size))


def draw_model(options: Namespace) -> None:
    """The brick wall and the spectrum of every ADTN in a checkpoint."""
    model = _load_finite(options.checkpoint)
    folder = Path(options.out)
    walls = experiment.walls(model)
    if not walls:
        raise TinyADTNError(f"{options.checkpoint} holds no ADTN; compress a model first")
    folder.mkdir(parents=True, exist_ok=True)
    for name, weight in walls.items():
        draw.save(draw.brick_wall(weight), folder / f"{name}_brick_wall.png")
        say(folder / f"{name}_brick_wall.png")
    spectra = {f"{n}, M={w.depth}": draw.cut_spectrum(w) for n, w in walls.items()}
    title = "T cut in the middle of the wall"
    draw.save(draw.singular_values(spectra, title=title), folder / "singular_values.png")
    say(folder / "singular_values.png")


def list_data(options: Namespace) -> None:
    """The data sets and where they are."""
    say(format_table([["name", "what", "where"], *map(list, available())], left=3))


def get_data(options: Namespace) -> None:
    """Download a data set."""
    say(download(options.name))


def program() -> str:
    """How this program was called, for commands that the reader may copy."""
    return sys.argv[0] if Path(sys.argv[0]).name == "tinyadtn" else "tinyadtn"


def _load_finite(path: str) -> Any:
    """The model in a checkpoint, if there is anything to be said of its numbers."""
    model = load(path)
    for name, array in model.arrays().items():
        bad = int((~np.isfinite(array)).sum())
        if bad:
            raise NonFiniteError(
                f"{path}: {name} holds {bad:,} of {array.size:,} values that are not finite; "
                "take a state from before, as previous.npz"
            )
    return model


# --- folders -------------------------------------------------------------------------------------


def _output_folder(options: Namespace) -> Path:
    """A folder that holds no earlier run, unless asked to overwrite it; writable now, not later."""
    folder = Path(options.out or f"runs/compress-{options.model}")
    if not options.overwrite:
        _check_free(folder, "results.json", ", or add --overwrite")
    return writable_folder(folder)


def _check_free(folder: Path, file: str, hint: str = "") -> None:
    if (folder / file).exists():
        raise TinyADTNError(
            f"{folder} holds an earlier run ({file}); name another folder with --out{hint}"
        )
